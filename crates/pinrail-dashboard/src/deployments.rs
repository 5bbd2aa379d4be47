//! `/deployments`: every attempt to put releases in front of traffic, newest first.

use askama::Template;
use pinrail_api::Page as Paged;
use pinrail_api::deployments::Deployment;
use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A page of the deployments.
#[derive(Clone, Debug, Serialize)]
pub struct Deployments {
    #[serde(flatten)]
    pub page: Paged<Deployment>,
    /// Only those that cover this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// To choose from.
    #[serde(skip)]
    pub agents: Vec<AgentName>,
}

#[derive(Template)]
#[template(path = "deployments.html")]
struct Main<'a> {
    it: &'a Deployments,
    list: Html,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "deployments_list.html")]
struct List<'a> {
    it: &'a Deployments,
    now: Timestamp,
}

/// More agents than this are typed, not chosen from a list.
const CHOICES_MAX: usize = 200;

impl Page for Deployments {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        "Deployments".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        let more = self.page.next.as_ref().map(|next| match &self.agent {
            Some(agent) => format!("/deployments?before={next}&agent={agent}"),
            None => format!("/deployments?before={next}"),
        });
        ui::written(&Main { it: self, list: self.list(shell), more })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        vec![Part { id: "ds".to_owned(), html: self.list(shell) }]
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Deployments {
    fn list(&self, shell: &Shell) -> Html {
        ui::written(&List { it: self, now: shell.now })
    }
}

impl Main<'_> {
    fn choices(&self) -> &[AgentName] {
        if self.it.agents.len() > CHOICES_MAX { &[] } else { &self.it.agents }
    }
}

impl List<'_> {
    fn state(&self, deployment: &Deployment) -> Html {
        ui::state(&deployment.state)
    }

    fn release(&self, release: &ReleaseId) -> Html {
        ui::link_id(&format!("/releases/{}", release.short()), release.short(), release)
    }

    fn share(&self, deployment: &Deployment) -> String {
        deployment.weight.map(ui::share).unwrap_or_default()
    }

    fn step(&self, deployment: &Deployment) -> String {
        let Some(rollout) = deployment.rollout.as_ref().filter(|_| deployment.state == "candidate") else {
            return String::new();
        };
        let stopped = if rollout.stopped.is_some() { "; stopped" } else { "" };
        format!("{}, step {} of {}{stopped}", rollout.what, rollout.step, rollout.steps)
    }

    fn ago(&self, at: &Timestamp) -> Html {
        ui::ago(*at, self.now)
    }
}
