//! Webhooks: who is told of what the ledger says, and how that goes. Secrets are named, never shown.

use askama::Template;
use pinrail_api::webhooks::{DeadLetter, Resent, Webhook, WebhookTest};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::webhook::WebhookSpec;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

/// The webhooks by name.
#[derive(Clone, Debug, Serialize)]
pub struct Webhooks {
    pub items: Vec<Webhook>,
}

/// One webhook, how its delivery goes, and what its receiver wouldn't take.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookPage {
    #[serde(flatten)]
    pub webhook: Webhook,
    pub letters: Vec<DeadLetter>,
    /// Pass as `after` for more dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<LedgerSeq>,
    /// What a test that was just sent came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<WebhookTest>,
    /// What became of dead letters that were just sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resent: Option<Resent>,
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct List<'a> {
    it: &'a Webhooks,
}

#[derive(Template)]
#[template(path = "webhooks/one.html")]
struct One<'a> {
    it: &'a WebhookPage,
    shell: &'a Shell,
}

impl Page for Webhooks {
    fn nav(&self) -> Nav {
        Nav::Webhooks
    }

    fn title(&self) -> String {
        "Webhooks".to_owned()
    }

    fn main(&self, _: &Shell) -> Html {
        ui::written(&List { it: self })
    }
}

impl Page for WebhookPage {
    fn nav(&self) -> Nav {
        Nav::Webhooks
    }

    fn title(&self) -> String {
        format!("Webhook {}", self.webhook.webhook)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&One { it: self, shell })
    }
}

impl One<'_> {
    fn more(&self) -> Option<String> {
        let next = self.it.next?;
        Some(format!("/webhooks/{}?after={next}", self.it.webhook.webhook))
    }
}

/// Whether it keeps up.
fn standing(webhook: &Webhook) -> Html {
    match (&webhook.last_error, webhook.lag) {
        (Some(_), _) => ui::badge(Tone::Bad, "held up"),
        (None, 0) => ui::badge(Tone::Good, "up to date"),
        (None, lag) => ui::badge(Tone::Live, format!("{} to go", ui::count(lag, "entry", "entries"))),
    }
}

/// What it is told of.
fn wants(spec: &WebhookSpec) -> String {
    let kinds =
        if spec.events.is_empty() { "everything but notes".to_owned() } else { spec.events.join(", ") };
    let agents: Vec<String> = spec.agents.iter().map(ToString::to_string).collect();
    if agents.is_empty() { kinds } else { format!("{kinds}; only of {}", agents.join(", ")) }
}

#[cfg(test)]
mod tests;
