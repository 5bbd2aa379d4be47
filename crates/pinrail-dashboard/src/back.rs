//! What a rollback would do, before it is done.

use std::collections::BTreeMap;

use askama::Template;
use pinrail_api::deployments::back::Plan;
use pinrail_domain::dial::Stranded;
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::state::Layer;

use crate::ui::{self, Html};

#[derive(Template)]
#[template(path = "back.html")]
struct Preview<'a> {
    it: &'a Plan,
    models: &'a BTreeMap<(DeploymentId, AgentName), String>,
    callable: bool,
}

/// What a rollback would hide, whom it concerns, where pointers would go and what stays; `models` says what agents run there.
#[must_use]
pub fn preview(plan: &Plan, models: &BTreeMap<(DeploymentId, AgentName), String>, callable: bool) -> Html {
    ui::written(&Preview { it: plan, models, callable })
}

impl Preview<'_> {
    fn to(&self, agent: &AgentName, to: &Option<DeploymentId>) -> String {
        match to {
            Some(to) => {
                let model = self.models.get(&(*to, agent.clone()));
                format!("deployment {to}{}", model.map(|model| format!(", {model}")).unwrap_or_default())
            }
            None => "nothing: nobody answers there".to_owned(),
        }
    }

    fn layer(&self, layer: &Layer) -> String {
        serde_json::to_value(layer).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn grouped(&self, n: &u64) -> String {
        ui::grouped(*n)
    }

    fn open(&self) -> u64 {
        let open = &self.it.open_runs;
        open.queued + open.running + open.paused + open.parked
    }

    fn taken_along(&self) -> u64 {
        self.it.taken_along.values().sum()
    }

    fn stranded(&self, stranded: &Stranded) -> String {
        let Stranded { agent, release, place } = stranded;
        let at = place.as_ref().map_or("in the agent's settings".to_owned(), |place| format!("at {place}"));
        format!("The fallback of {agent} ({}, {at}) would answer nobody any more.", release.short())
    }

    fn count(&self, n: impl std::borrow::Borrow<u64>, one: &str, many: &str) -> String {
        ui::count(*n.borrow(), one, many)
    }
}
