//! A problem as a page: what is wrong, and what to do next.

use askama::Template;
use pinrail_api::problem::Problem;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A problem.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Wrong {
    pub problem: Problem,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Main<'a> {
    problem: &'a Problem,
    code: &'static str,
    shell: &'a Shell,
}

impl Page for Wrong {
    fn nav(&self) -> Nav {
        Nav::Elsewhere
    }

    fn title(&self) -> String {
        self.problem.code.title().to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { problem: &self.problem, code: self.problem.code.as_str(), shell })
    }
}
