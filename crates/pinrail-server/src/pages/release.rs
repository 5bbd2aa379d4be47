//! `/releases/{release}`: one release, and retiring it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_api::problem::Problem;
use pinrail_api::releases::Retire;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::releases::release::{EntryLine, Held, Model, Other, ReleasePage, Server, Tool};
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{LedgerSeq, ReleaseId};
use pinrail_domain::release::Contract;
use pinrail_domain::world::{Release, World};
use serde::Deserialize;
use serde_json::Value;

use super::answer::see_other;
use super::releases::{places, standing, verdicts};
use super::{done, form, typed};
use crate::api;
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

/// Deployments, verdicts and other releases that a page shows; the rest are lists of their own.
const SHOWN: usize = 50;
/// Ledger entries that a page shows. Each is read by its place.
const ENTRIES: usize = 40;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    from: Option<String>,
}

pub async fn show(call: Call) -> Result<ReleasePage, Problem> {
    let control = call.control();
    let snapshot = control.snapshot();
    let world = &snapshot.world;
    let id = named(&call, world)?;
    let release = Arc::clone(&world.releases[&id]);
    let contract = control.contracts().get(id).await.map_err(problem::contract)?;
    let mut holding: Vec<&Deployment> = world
        .deployments
        .values()
        .map(|deployment| &**deployment)
        .filter(|deployment| deployment.releases.values().any(|held| *held == id))
        .collect();
    holding.sort_by_key(|deployment| Reverse(deployment.id));
    let verdicts = verdicts(world, SHOWN, |judged| {
        judged.judgement.candidate == id || judged.judgement.incumbent == Some(id)
    });
    let judged = verdicts.iter().map(|verdict| verdict.judged.seq);
    let seqs = release.entries.iter().copied().chain(judged).chain(seqs(world, &holding)).collect();
    let mut warm = Vec::new();
    for agent in &release.agents {
        let set = control.warm_set(&call.surroundings(), Some(agent));
        warm.extend(set.into_iter().filter(|warm| warm.release == id).map(api::warm::shown));
    }
    let needs = control.retire_needs(id).await.map_err(|error| problem::store(&error))?;
    Ok(ReleasePage {
        release: api::releases::shown(control, world, &release),
        models: models(&call, world, &release),
        prompt: contract.system.as_deref().map(str::to_owned),
        tools: tools(&contract),
        servers: servers(&contract),
        serves: places(world, id),
        warm,
        deployments_count: holding.len() as u64,
        deployments: holding.iter().take(SHOWN).map(|deployment| held(world, deployment, id)).collect(),
        entries: entries(&call, seqs).await?,
        verdicts,
        others: others(world, &release),
        needs: needs.iter().map(ToString::to_string).collect(),
    })
}

/// Leads from the form that chooses another release to what changes between the two.
pub async fn compare(call: Call) -> Answer {
    let From { from } = form::query(&call)?;
    let snapshot = call.control().snapshot();
    let to = named(&call, &snapshot.world)?;
    let from = match from {
        Some(from) => api::releases::named(&snapshot.world, &from, None)?,
        None => to,
    };
    Ok(see_other(&format!("/releases/{}/diff/{}", from.0.hex(), to.0.hex())))
}

pub async fn confirm_retire(call: Call) -> Result<Confirm, Problem> {
    let snapshot = call.control().snapshot();
    let id = named(&call, &snapshot.world)?;
    let needs = call.control().retire_needs(id).await.map_err(|error| problem::store(&error))?;
    let mut says = vec![
        "Nobody can deploy it any more, and nothing probes its model. What it did stays: its runs, its verdicts, its \
         entries in the ledger. It can’t be undone: the same contract keeps its id."
            .to_owned(),
    ];
    if !needs.is_empty() {
        let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
        says.push(format!("It will be refused as things are now: {}.", needs.join("; ")));
    }
    Ok(Confirm {
        nav: Nav::Releases,
        title: format!("Retire release {}", id.short()),
        says,
        preview: pinrail_dashboard::Html::default(),
        fields: Vec::new(),
        action: format!("/releases/{}/retire", id.0.hex()),
        button: format!("Retire {}", id.short()),
        destructive: true,
        reason_needed: true,
        back: format!("/releases/{}", id.0.hex()),
    })
}

pub async fn retire(call: Call) -> Answer {
    let wish: Retire = typed(&call)?;
    let retired = api::releases::retire::run(&call, wish).await?;
    done(&format!("/releases/{}", retired.value.release.0.hex()), retired.seq)
}

/// The release that the path names.
pub fn named(call: &Call, world: &World) -> Result<ReleaseId, Problem> {
    api::releases::named(world, call.text("release"), None)
}

fn models(call: &Call, world: &World, release: &Release) -> Vec<Model> {
    let one = |pin: pinrail_domain::release::ModelPin| {
        let identity = call.control().judge(world, pin.id());
        Model {
            provider: pin.provider.to_string(),
            identity: pinrail_control::publish::word(&identity).to_owned(),
            why: identity.why().to_owned(),
            standing: standing(call.control(), world, pin.id(), call),
            params: pin.params.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            snapshot: pin.snapshot,
        }
    };
    release.manifest.model.each_alone().map(one).collect()
}

fn tools(contract: &Contract) -> Vec<Tool> {
    let text = contract.tools.as_deref().unwrap_or("[]");
    // What publishing took is an array of objects; anything else would be damage, and shows as no tools.
    let listed: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let one = |tool: &Value| {
        let function = tool.get("function").unwrap_or(tool);
        let text = |field: &str| function[field].as_str().unwrap_or_default().to_owned();
        let name = match text("name") {
            name if name.is_empty() => tool["type"].as_str().unwrap_or("?").to_owned(),
            name => name,
        };
        Tool {
            description: text("description"),
            server: contract.pinned_tool(&name).map(|(server, _, _)| server.clone()),
            side_effects: contract.has_side_effects(&name),
            parameters: function.get("parameters").cloned().unwrap_or(Value::Null),
            name,
        }
    };
    listed.iter().map(one).collect()
}

fn servers(contract: &Contract) -> Vec<Server> {
    let named = contract.manifest.tools.mcp.iter();
    let one = |(server, pin): (&pinrail_domain::id::McpServerName, &pinrail_domain::digest::Digest)| {
        let held = contract.pins.get(server)?;
        Some(Server {
            server: server.clone(),
            pin: *pin,
            name: held.server.name.clone(),
            version: held.server.version.clone(),
            tools: held.tools.len() as u64,
        })
    };
    named.filter_map(one).collect()
}

fn held(world: &World, deployment: &Deployment, release: ReleaseId) -> Held {
    let agents = deployment.releases.iter().filter(|(_, held)| **held == release);
    Held {
        deployment: deployment.id,
        agents: agents.map(|(agent, _)| agent.clone()).collect(),
        segment: deployment.segment.clone(),
        state: pinrail_domain::deploy::state(world, deployment).to_owned(),
        opened_at: deployment.opened_at,
        reason: deployment.reason.clone(),
    }
}

/// The entries that opened, promoted and took back deployments.
fn seqs(world: &World, holding: &[&Deployment]) -> Vec<LedgerSeq> {
    let mut seqs = Vec::new();
    for deployment in holding.iter().take(SHOWN) {
        seqs.push(deployment.opened_seq);
        seqs.extend(world.commits.span(deployment.id).committed);
        match &deployment.status {
            Status::Candidate { .. } => {}
            Status::Promoted { seq, .. } | Status::RolledBack { seq, .. } => seqs.push(*seq),
        }
    }
    seqs
}

/// The newest of these entries, as stored.
async fn entries(call: &Call, seqs: BTreeSet<LedgerSeq>) -> Result<Vec<EntryLine>, Problem> {
    let mut lines = Vec::new();
    for seq in seqs.into_iter().rev().take(ENTRIES) {
        let before = LedgerSeq(seq.0.saturating_sub(1));
        let read = call.control().ledger_read(before, 1).await.map_err(|error| problem::store(&error))?;
        lines.extend(read.into_iter().filter(|entry| entry.seq == seq).map(|entry| EntryLine {
            seq,
            at: entry.at,
            what: entry.body.kind().replace('_', " "),
            actor: entry.actor.to_string(),
            reason: entry.reason,
        }));
    }
    Ok(lines)
}

fn others(world: &World, release: &Release) -> Vec<Other> {
    let of_agents = world
        .releases
        .values()
        .filter(|other| other.id != release.id && !other.agents.is_disjoint(&release.agents));
    let mut newest: Vec<_> = of_agents.collect();
    newest.sort_by_key(|other| Reverse(other.seq));
    newest.truncate(SHOWN);
    let live = world.live_releases();
    let mut others: Vec<Other> = newest
        .into_iter()
        .map(|other| Other {
            release: other.id,
            snapshot: other.manifest.model.snapshot.clone(),
            created_at: other.created_at,
            live: live.contains(&other.id),
        })
        .collect();
    // What serves is what people compare with.
    others.sort_by_key(|other| !other.live);
    others
}
