//! `/gates`: which ran, and the suites that they ask.

use std::collections::BTreeMap;

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_dashboard::gates::{AgentSuite, Filter, Gates, Line, SuiteEnd};
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::gate::SuitePin;
use pinrail_domain::id::{AgentName, DeploymentId, GateId};
use pinrail_domain::world::World;
use pinrail_store::gates::GateFilter;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::form;
use super::releases::AGENTS_OFFERED_MAX;
use super::serve::{self, View};
use crate::api;
use crate::call::Call;
use crate::gates::Looked;
use crate::problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    deployment: Option<DeploymentId>,
    status: Option<String>,
    before: Option<GateId>,
}

/// Of a suite's artifact what is counted here.
#[derive(Deserialize)]
struct Counted {
    cases: Vec<IgnoredAny>,
}

/// Gates on one page: each is some lines high.
const PAGE: usize = 50;
/// Suites whose cases are counted for one page, since each is read; more are shown by agent.
const SUITES_SHOWN: usize = 24;

pub async fn list(call: Call) -> Result<Gates, Problem> {
    let Query { agent, deployment, status, before } = form::query(&call)?;
    let filter = GateFilter {
        agent: agent.clone(),
        deployment,
        status: status.as_deref().map(api::gates::list::status_of).transpose()?,
    };
    let gates = call.state.gates.list(&filter, before, PAGE + 1).await;
    let gates = gates.map_err(|error| problem::store(&error))?;
    let Page { items, next } = Page::cut(gates, PAGE, |looked| looked.record.id.to_string());
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let is_first = before.is_none();
    // What lives is the list alone.
    let (suites, suites_more) = match is_first && serve::view(&call.head) != View::Live {
        true => suites(&call, world, agent.as_ref()).await?,
        false => (Vec::new(), 0),
    };
    Ok(Gates {
        items: items.into_iter().map(|looked| line(world, looked)).collect(),
        next,
        filter: Filter { agent, deployment, status },
        agents: world.agents.keys().take(AGENTS_OFFERED_MAX).cloned().collect(),
        suites,
        suites_more,
        is_first,
    })
}

fn line(world: &World, looked: Looked) -> Line {
    let verdicts = verdicts(world, &looked.record.agent, looked.record.id);
    let gate = api::gates::shown(looked);
    let end = |pin: &SuitePin| SuiteEnd {
        name: pin.name.clone(),
        kind: pin.kind,
        verdict: verdicts.get(&pin.name).copied(),
    };
    Line { suites: gate.settings.suites.iter().map(end).collect(), gate }
}

/// How the suites of a gate ended, by the ledger; nothing before that.
fn verdicts(world: &World, agent: &AgentName, gate: GateId) -> BTreeMap<String, GateVerdict> {
    let judged = world.gates.get(agent).into_iter().flatten().rev().find(|judged| judged.gate == gate);
    let suites = judged.into_iter().flat_map(|judged| &judged.judgement.suites);
    suites.map(|suite| (suite.name.clone(), suite.verdict)).collect()
}

/// The suites that agents list now, and how many more there are.
async fn suites(
    call: &Call,
    world: &World,
    of: Option<&AgentName>,
) -> Result<(Vec<AgentSuite>, u64), Problem> {
    let agents = world.agents.iter().filter(|(agent, _)| of.is_none_or(|of| of == *agent));
    let all = agents.flat_map(|(agent, spec)| {
        let pins = spec.gate.iter().flat_map(|gate| &gate.suites);
        pins.map(move |pin| (agent, pin))
    });
    let all: Vec<_> = all.collect();
    let most = if of.is_some() { all.len() } else { SUITES_SHOWN };
    let mut shown = Vec::new();
    for (agent, pin) in all.iter().take(most) {
        let bytes = call.control().artifact_get(pin.digest).await.map_err(|error| problem::store(&error))?;
        let counted = bytes.and_then(|bytes| serde_json::from_slice::<Counted>(&bytes).ok());
        shown.push(AgentSuite {
            agent: (*agent).clone(),
            name: pin.name.clone(),
            kind: pin.kind,
            digest: pin.digest,
            margin: pin.margin(),
            better: pin.better,
            cases: counted.map(|counted| counted.cases.len() as u64),
            imported: pin.imported,
        });
    }
    Ok((shown, all.len().saturating_sub(most) as u64))
}
