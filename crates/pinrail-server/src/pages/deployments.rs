//! `/deployments`: the list, one deployment, and what its candidate said to copies.
//!
//! What a page shows is the API's own values, put together. What reads much (what a deployment wrote, whom it reached) is
//! gathered when the page is loaded and not again while it is followed.

use pinrail_api::problem::Problem;
use pinrail_dashboard::deployment::{Agent, Deployed, HeldPlace};
use pinrail_dashboard::deployments::Deployments;
use pinrail_dashboard::pairs::{OnePair, PairList};
use pinrail_dashboard::proof::Proven;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId};
use serde::Deserialize;

use super::form;
use super::serve::{View, view};
use crate::api::deployments as api;
use crate::call::Call;

pub mod acts;
pub mod confirm;

/// Deployments of a page.
const LISTED: usize = 50;
/// Entries of a deployment's timeline that its page shows: a rollout has one or two for each step.
const HAPPENED: usize = 200;
/// Pairs of a page: their texts are long.
const PAIRS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    agent: Option<AgentName>,
    before: Option<DeploymentId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paired {
    #[serde(default)]
    newest: bool,
    before: Option<RunId>,
}

pub async fn list(call: Call) -> Result<Deployments, Problem> {
    let Listed { agent, before } = form::query(&call)?;
    let snapshot = call.control().snapshot();
    let page = api::list::page(&snapshot.world, agent.as_ref(), before, LISTED);
    let agents = snapshot.world.agents.keys().cloned().collect();
    Ok(Deployments { page, agent, agents })
}

pub async fn show(call: Call) -> Result<Deployed, Problem> {
    let id = id(&call)?;
    let is_followed = view(&call.head) == View::Live;
    let deployment = api::get::deployment(&call, id).await?;
    let rollout = deployment.rollout.is_some().then(|| api::rollout::look(&call, id)).transpose()?;
    let history = match rollout.is_some() {
        true => Some(api::history::history(&call, id).await?),
        false => None,
    };
    let report = if is_followed { None } else { Some(api::report::report(&call, id, false).await?) };
    let timeline = api::timeline::timeline(&call, id, LedgerSeq(0), HAPPENED).await?;
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let agents = deployment.releases.iter().map(|(agent, release)| Agent {
        agent: agent.clone(),
        release: *release,
        model: world.releases.get(release).map(|release| release.manifest.model.snapshot.clone()),
    });
    let agents = agents.collect();
    let holds = world.pointers.iter().filter_map(|((agent, segment), pointer)| {
        let hold = pointer.hold.as_ref().filter(|hold| hold.deployment == id)?;
        Some(HeldPlace {
            agent: agent.clone(),
            segment: segment.clone(),
            since: hold.since,
            why: hold.why.clone(),
        })
    });
    let holds = holds.collect();
    Ok(Deployed { deployment, agents, rollout, history, report, holds, timeline })
}

pub async fn pairs(call: Call) -> Result<PairList, Problem> {
    let id = id(&call)?;
    let Paired { newest, before } = form::query(&call)?;
    let worst = !newest && before.is_none();
    Ok(PairList { deployment: id, worst, pairs: api::pairs::pairs(&call, id, worst, before, PAIRS).await? })
}

pub async fn pair(call: Call) -> Result<OnePair, Problem> {
    let id = id(&call)?;
    Ok(OnePair { deployment: id, pair: api::pair::pair(&call, id, call.param("run")?).await? })
}

/// The proof that what is visible is what it must be: every record is read for it.
pub async fn verify(call: Call) -> Result<Proven, Problem> {
    let id = id(&call)?;
    Ok(Proven { proof: api::verify::proof(call.control(), id).await? })
}

fn id(call: &Call) -> Result<DeploymentId, Problem> {
    call.param("deployment").map(DeploymentId)
}

#[cfg(test)]
mod tests;
