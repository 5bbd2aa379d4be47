//! The page before something is done: what it does, what it will lead to, and the reason for the ledger.

use askama::Template;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// Asks once before something is done.
#[derive(Clone, Debug, Serialize)]
pub struct Confirm {
    #[serde(skip)]
    pub nav: Nav,
    /// What it does, as a heading: `Roll back deployment 7`.
    pub title: String,
    /// What that means, a paragraph each.
    pub says: Vec<String>,
    /// What it would lead to, as far as that can be known before.
    #[serde(skip)]
    pub preview: Html,
    pub fields: Vec<Field>,
    /// Where the form goes.
    pub action: String,
    /// What the button says: the deed, by its name.
    pub button: String,
    /// It takes something away.
    pub destructive: bool,
    /// The ledger keeps a reason, and it must be given.
    pub reason_needed: bool,
    /// Where to go instead.
    pub back: String,
}

/// A field of the form.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    pub name: &'static str,
    pub label: String,
    /// What it is for, under it.
    pub hint: String,
    pub kind: Kind,
}

/// What is typed or chosen.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Text { value: String, needed: bool },
    Number { value: String, min: f64, max: f64, step: f64 },
    Check { checked: bool },
    Choice { options: Vec<Choice> },
    Hidden { value: String },
}

/// One of several to choose from.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub chosen: bool,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Main<'a> {
    it: &'a Confirm,
    shell: &'a Shell,
}

impl Page for Confirm {
    fn nav(&self) -> Nav {
        self.nav
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}
