//! `/releases`: which there are, and where they serve.

use std::cmp::Reverse;

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_control::Control;
use pinrail_dashboard::releases::{Line, Place, Releases, Verdict};
use pinrail_domain::gate::Judged;
use pinrail_domain::id::{AgentName, LedgerSeq, ReleaseId};
use pinrail_domain::model::Lifecycle;
use pinrail_domain::release::ModelId;
use pinrail_domain::world::World;
use serde::Deserialize;

use super::form;
use crate::api;
use crate::call::Call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    /// The ledger entry of the last release of the page before.
    before: Option<LedgerSeq>,
}

/// Releases on one page: each is some lines high.
const PAGE: usize = 50;
/// Agents that are offered to choose from; others can be typed.
pub const AGENTS_OFFERED_MAX: usize = 200;

pub async fn list(call: Call) -> Result<Releases, Problem> {
    let Query { agent, before } = form::query(&call)?;
    let control = call.control();
    let snapshot = control.snapshot();
    let world = &snapshot.world;
    let wanted = world.releases.values().filter(|release| {
        agent.as_ref().is_none_or(|agent| release.agents.contains(agent))
            && before.is_none_or(|before| release.seq < before)
    });
    let mut newest: Vec<_> = wanted.collect();
    newest.sort_by_key(|release| Reverse(release.seq));
    newest.truncate(PAGE + 1);
    let Page { items, next } = Page::cut(newest, PAGE, |release| release.seq.to_string());
    let line = |release: &std::sync::Arc<pinrail_domain::world::Release>| Line {
        standing: standing(control, world, release.manifest.model.id(), &call),
        serves: places(world, release.id),
        release: api::releases::shown(control, world, release),
    };
    Ok(Releases {
        items: items.into_iter().map(line).collect(),
        next,
        agent,
        agents: world.agents.keys().take(AGENTS_OFFERED_MAX).cloned().collect(),
    })
}

/// Where a model stands today.
pub fn standing(control: &Control, world: &World, model: ModelId<'_>, call: &Call) -> Lifecycle {
    let provider = world.providers.get(model.provider);
    let catalogue = provider.map_or("", |provider| provider.catalogue.as_str());
    control.catalogue().lifecycle(catalogue, model.snapshot, call.state.clock.now())
}

/// Where a release serves, or is being proven.
pub fn places(world: &World, release: ReleaseId) -> Vec<Place> {
    let mut places = Vec::new();
    for ((agent, segment), pointer) in world.pointers.iter() {
        let both = [(pointer.active, None), (pointer.candidate, Some(pointer.weight))];
        for (deployment, weight) in both {
            let held = deployment.filter(|deployment| {
                let known = world.deployments.get(deployment);
                known.is_some_and(|known| known.releases.get(agent) == Some(&release))
            });
            places.extend(held.map(|deployment| Place {
                agent: agent.clone(),
                segment: segment.clone(),
                deployment,
                weight,
            }));
        }
    }
    places
}

/// The newest verdicts that are meant, of all agents, newest first.
pub fn verdicts(world: &World, most: usize, is_meant: impl Fn(&Judged) -> bool) -> Vec<Verdict> {
    let all = world.gates.iter().flat_map(|(agent, judged)| judged.iter().map(move |judged| (agent, judged)));
    let mut meant: Vec<_> = all.filter(|(_, judged)| is_meant(judged)).collect();
    meant.sort_by_key(|(_, judged)| Reverse(judged.seq));
    meant.truncate(most);
    let shown =
        meant.into_iter().map(|(agent, judged)| Verdict { agent: agent.clone(), judged: (**judged).clone() });
    shown.collect()
}
