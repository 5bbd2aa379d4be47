//! One tool call that waits for a person, or did.

use askama::Template;
use pinrail_api::approvals::Approval;
use pinrail_domain::approval::ApprovalState;
use pinrail_domain::key::Scope;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::{Shell, Who};
use crate::ui::{self, Html};

/// One tool call that waits for a person, or did.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ApprovalPage {
    pub approval: Approval,
}

#[derive(Template)]
#[template(path = "dial/approval.html")]
struct Facts<'a> {
    it: &'a Approval,
    shell: &'a Shell,
}

impl Page for ApprovalPage {
    fn nav(&self) -> Nav {
        Nav::Dial
    }

    fn title(&self) -> String {
        format!("A call of {}", self.approval.tool)
    }

    fn main(&self, shell: &Shell) -> Html {
        let back =
            if shell.sees(Nav::Dial) { "<p class=\"crumbs\"><a href=\"/dial\">Dial</a></p>" } else { "" };
        Html::from_trusted(format!("{back}{}", ui::written(&Facts { it: &self.approval, shell })))
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        vec![Part { id: "approval".to_owned(), html: ui::written(&Facts { it: &self.approval, shell }) }]
    }

    fn is_live(&self) -> bool {
        self.approval.state == ApprovalState::Pending
    }
}

impl Facts<'_> {
    fn waits(&self) -> bool {
        self.it.state == ApprovalState::Pending
    }

    /// Whether the one who looks may decide: whoever sees the call may, with the right scope.
    fn may_decide(&self) -> bool {
        match &self.shell.who {
            Who::Nobody => false,
            Who::Open => true,
            Who::Key { scopes, .. } => scopes.iter().any(|held| held.includes(Scope::Deploy)),
        }
    }

    fn release(&self) -> Html {
        let release = self.it.release;
        if self.shell.sees(Nav::Releases) {
            ui::link_id(&format!("/releases/{release}"), release.short(), release)
        } else {
            ui::id(release.short(), release)
        }
    }

    fn arguments(&self) -> Html {
        match &self.it.arguments {
            Some(text) => ui::block(&indented(text)),
            None => Html::from_trusted(
                "<p class=\"dim\">They aren’t kept: the agent’s journal keeps none, or the call is decided.</p>".to_owned(),
            ),
        }
    }
}

/// JSON with its lines; what is no JSON, as it is.
fn indented(text: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text.to_owned())
}
