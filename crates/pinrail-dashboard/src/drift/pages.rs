//! One finding, and one watched model.

use askama::Template;
use pinrail_api::drift::{DriftFinding, DriftModel, DriftPrompt};
use serde::Serialize;

use super::{sign, state};
use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// An open finding with its evidence.
#[derive(Clone, Debug, Serialize)]
pub struct FindingPage {
    #[serde(flatten)]
    pub finding: DriftFinding,
    /// The evidence's text, where it is kept and is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// A watched model with all its days and prompts.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ModelPage {
    pub model: DriftModel,
}

#[derive(Template)]
#[template(path = "drift/finding.html")]
struct Finding<'a> {
    it: &'a DriftFinding,
    seen: Option<&'a str>,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "drift/model.html")]
struct Model<'a> {
    it: &'a DriftModel,
    shell: &'a Shell,
}

impl Page for FindingPage {
    fn nav(&self) -> Nav {
        Nav::Drift
    }

    fn title(&self) -> String {
        format!("Drift finding {}", self.finding.finding)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Finding { it: &self.finding, seen: self.seen.as_deref(), shell })
    }
}

impl Page for ModelPage {
    fn nav(&self) -> Nav {
        Nav::Drift
    }

    fn title(&self) -> String {
        format!("Watch of {}", self.model.snapshot)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Model { it: &self.model, shell })
    }
}

impl Finding<'_> {
    fn sign(&self) -> Html {
        sign(&self.it.subject, &self.it.sign)
    }
}

impl Model<'_> {
    fn state(&self) -> Html {
        state(&self.it.state)
    }

    fn percent(&self, part: Option<f64>) -> String {
        part.map_or_else(|| "–".to_owned(), ui::percent)
    }

    fn sigma(&self, sigma: Option<f64>) -> String {
        sigma.map_or_else(|| "–".to_owned(), |sigma| format!("{sigma:.1} σ"))
    }

    fn answers(&self, prompt: &DriftPrompt) -> String {
        let mut answers: Vec<(&String, f64)> =
            prompt.answers.iter().map(|(answer, share)| (answer, *share)).collect();
        answers.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        answers
            .iter()
            .map(|(answer, share)| format!("{answer} {}", ui::percent(*share)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}
