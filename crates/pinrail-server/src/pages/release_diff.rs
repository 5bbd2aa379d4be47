//! `/releases/{release}/diff/{other}`: what changes from the first to the second.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pinrail_api::problem::Problem;
use pinrail_dashboard::releases::diff::{ReleaseDiff, Side, ToolChange};
use pinrail_domain::id::ReleaseId;
use pinrail_domain::release::Contract;
use pinrail_domain::release::diff::{Diff, diff};
use pinrail_domain::world::World;
use serde_json::Value;

use super::release::named;
use super::releases::verdicts;
use crate::api;
use crate::call::Call;
use crate::problem;

/// Verdicts that are shown: more gates of one pair say nothing new.
const VERDICTS: usize = 20;

pub async fn show(call: Call) -> Result<ReleaseDiff, Problem> {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let from = named(&call, world)?;
    let to = api::releases::named(world, call.text("other"), None)?;
    let contracts = call.control().contracts();
    let before = contracts.get(from).await.map_err(problem::contract)?;
    let after = contracts.get(to).await.map_err(problem::contract)?;
    // Long prompts take milliseconds to compare: not on a thread that carries streams.
    let compared = tokio::task::spawn_blocking(move || compared(&before, &after)).await;
    let (diff, tools) = compared.expect("comparing doesn't panic");
    let pair = BTreeSet::from([from, to]);
    let is_pair = |candidate: ReleaseId, incumbent: Option<ReleaseId>| {
        incumbent.is_some_and(|incumbent| BTreeSet::from([candidate, incumbent]) == pair)
    };
    Ok(ReleaseDiff {
        before: side(world, from),
        after: side(world, to),
        diff,
        tools,
        verdicts: verdicts(world, VERDICTS, |judged| {
            is_pair(judged.judgement.candidate, judged.judgement.incumbent)
        }),
    })
}

fn compared(before: &Arc<Contract>, after: &Arc<Contract>) -> (Diff, Vec<ToolChange>) {
    let diff = diff(before, after);
    let (old, new) = (definitions(before), definitions(after));
    let changed = diff.tools.changed.keys().chain(&diff.tools.added).chain(&diff.tools.removed);
    let tools = changed.map(|name| ToolChange {
        name: name.clone(),
        before: old.get(name).cloned(),
        after: new.get(name).cloned(),
    });
    let tools = tools.collect();
    (diff, tools)
}

/// Every tool's definition by its name; of a pinned tool all that is pinned.
fn definitions(contract: &Contract) -> BTreeMap<String, Value> {
    let listed: Vec<Value> =
        contract.tools.as_deref().and_then(|tools| serde_json::from_str(tools).ok()).unwrap_or_default();
    let mut all = BTreeMap::new();
    for (index, tool) in listed.into_iter().enumerate() {
        let name = tool.pointer("/function/name").or_else(|| tool.get("name")).or_else(|| tool.get("type"));
        let name = name.and_then(Value::as_str).map_or_else(|| format!("#{index}"), str::to_owned);
        all.entry(name).or_insert(tool);
    }
    for tool in contract.pins.values().flat_map(|pin| &pin.tools) {
        all.insert(tool.name.to_string(), serde_json::to_value(tool).unwrap_or_default());
    }
    all
}

fn side(world: &World, id: ReleaseId) -> Side {
    let release = &world.releases[&id];
    Side {
        release: id,
        snapshot: release.manifest.model.snapshot.clone(),
        created_at: release.created_at,
        retired: release.retired.is_some(),
        agents: release.agents.iter().cloned().collect(),
    }
}
