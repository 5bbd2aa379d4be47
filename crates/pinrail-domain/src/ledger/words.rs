//! What an entry says, in one sentence for people.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::Body;
use crate::deployment::Deployment;
use crate::dial::{Place, Position};
use crate::id::{AgentName, DeploymentId, IngestName, SegmentName, TenantId};
use crate::key::{Key, Tenants};
use crate::rollout::outlook::{step_words, stop_words};
use crate::rollout::told::{gate_words, judged_words};
use crate::share::Share;
use crate::state::view::Ranges;
use crate::time::Day;
use crate::world::World;

impl Body {
    /// What was done, in one sentence: `Rolled back deployment 3 of support (default)`. `world` is the world after the
    /// entry, or after later ones; where it doesn't know a thing, the sentence says less.
    ///
    /// What people and providers wrote is in it as they wrote it.
    #[must_use]
    pub fn in_words(&self, world: &World) -> String {
        let of = |id: &DeploymentId| named(world, *id);
        match self {
            Body::ProviderPut { provider, .. } => settings("provider", provider),
            Body::ProviderRemoved { provider } => format!("Removed provider {provider}"),
            Body::AgentPut { agent, .. } => settings("agent", agent),
            Body::AgentRemoved { agent } => format!("Removed agent {agent}"),
            Body::ReleaseCreated { release, agent, manifest, .. } => {
                format!("Created release {} of {agent}, on {}", release.short(), manifest.model.snapshot)
            }
            Body::DeploymentOpened { deployment, releases, segment, weight, ingest, rollout, .. } => {
                let agents = releases.keys().collect::<Vec<_>>();
                let what = described(*deployment, ingest.as_ref(), &agents, segment);
                format!("Opened {what}{}", begins(rollout.as_deref().map(|plan| plan.steps.len()), *weight))
            }
            Body::DeploymentPromoted { deployment, overridden, .. } => {
                promoted(world, *deployment, overridden.as_deref())
            }
            Body::DeploymentRolledBack { deployment, keep_state, derived, to, .. } => {
                format!("Rolled back {}{}", of(deployment), how_far(*keep_state, derived, to))
            }
            Body::RolloutStep { deployment, entered, .. } => {
                format!("Took {} to {}", of(deployment), step(world, *deployment, entered.step))
            }
            Body::RolloutStopped { deployment, why, .. } => {
                format!("Stopped the rollout of {}: {}", of(deployment), stop_words(why))
            }
            Body::RolloutResumed { deployment, .. } => format!("Resumed the rollout of {}", of(deployment)),
            Body::RolloutApproved { deployment, step: place, .. } => {
                format!("Approved {} of {}", step(world, *deployment, *place), of(deployment))
            }
            Body::GateRecorded { deployment, gate } => format!("{}: {}", of(deployment), gate_words(gate)),
            Body::GateJudged { agent, judgement, .. } => {
                let candidate = judgement.candidate.short();
                format!("{agent}, release {candidate}: {}", judged_words(judgement))
            }
            Body::GateOverridden { deployment, kinds } => {
                format!("Overrode the gate of {} for {} suites", of(deployment), list(kinds))
            }
            Body::GateOverrideSeconded { deployment, overridden } => {
                format!("Seconded override {overridden} of the gate of {}", of(deployment))
            }
            Body::ManifestRecorded { deployment, .. } => {
                format!("Recorded the state as it was when {} was opened", of(deployment))
            }
            Body::StateCollected { deployments, records, .. } => {
                let deployments = count(deployments.len() as u64, "rolled-back deployment");
                format!("Removed {} of {deployments} for good", count(*records, "record"))
            }
            Body::JournalCollected { before, runs } => dropped(*before, *runs),
            Body::StateErased { tenant, subject, records, runs, .. } => {
                erased(tenant, subject.as_deref(), *records, *runs)
            }
            Body::WeightSet { deployment, weight } => format!("Set {} to {weight}", of(deployment)),
            Body::HoldLifted { agent, segment } => format!("Lifted the hold on {agent} ({segment})"),
            Body::KeyCreated { key } => key_made(key),
            Body::KeyRevoked { key } => format!("Revoked key {key}"),
            Body::WebhookPut { webhook, .. } => settings("webhook", webhook),
            Body::WebhookRemoved { webhook } => format!("Removed webhook {webhook}"),
            Body::DialSet { place, position, .. } => turned(place, *position),
            Body::DriftFound { subject, what, .. } => format!("Found that {subject} drifted: {what}"),
            Body::DriftCleared { finding } => format!("Cleared drift finding {finding}"),
            Body::CatalogueUpdated { source, added, changed, removed, .. } => {
                let counts = format!("{added} added, {changed} changed, {removed} no longer listed");
                format!("Learnt about models from {source}: {counts}")
            }
            Body::ReleaseRetired { release } => format!("Retired release {}", release.short()),
            Body::McpServerPut { server, .. } => settings("MCP server", server),
            Body::McpServerRemoved { server } => format!("Removed MCP server {server}"),
        }
    }
}

fn settings(what: &str, name: &dyn Display) -> String {
    format!("Wrote the settings of {what} {name}")
}

/// A deployment with whose it is, as far as the world knows it.
fn named(world: &World, id: DeploymentId) -> String {
    match world.deployments.get(&id).map(|known| &**known) {
        Some(Deployment { ingest, releases, segment, .. }) => {
            described(id, ingest.as_ref(), &releases.keys().collect::<Vec<_>>(), segment)
        }
        None => format!("deployment {id}"),
    }
}

fn described(
    id: DeploymentId,
    ingest: Option<&IngestName>,
    agents: &[&AgentName],
    segment: &SegmentName,
) -> String {
    match ingest {
        Some(ingest) => format!("deployment {id}, data job {ingest}"),
        None => format!("deployment {id} of {} ({segment})", list(agents)),
    }
}

/// How a deployment of releases begins.
fn begins(steps: Option<usize>, weight: Share) -> String {
    match steps {
        Some(steps) => format!(", with a rollout of {}", count(steps as u64, "step")),
        None if weight == Share::NONE => String::new(),
        None => format!(" at {weight}, by hand"),
    }
}

fn promoted(world: &World, id: DeploymentId, overridden: Option<&str>) -> String {
    let is_job = world.deployments.get(&id).is_some_and(|known| known.ingest.is_some());
    let verb = if is_job { "Committed" } else { "Promoted" };
    let overriding = overridden.map(|why| format!(", overriding its rollout: {why}"));
    format!("{verb} {}{}", named(world, id), overriding.unwrap_or_default())
}

/// What a rollback took along, or left.
fn how_far(keep_state: bool, derived: &Ranges, to: &BTreeMap<AgentName, DeploymentId>) -> String {
    let mut text = String::new();
    if keep_state {
        text.push_str(", pointers only");
    }
    if !derived.is_empty() {
        text.push_str(&format!(", with {} derived from it", count(derived.len(), "record")));
    }
    for (agent, deployment) in to {
        text.push_str(&format!(", {agent} back to deployment {deployment}"));
    }
    text
}

fn step(world: &World, id: DeploymentId, place: usize) -> String {
    let rollout = world.deployments.get(&id).and_then(|known| known.rollout.as_deref());
    match rollout.and_then(|rollout| Some((rollout.plan.steps.len(), rollout.plan.steps.get(place)?))) {
        Some((steps, step)) => format!("step {} of {steps}, {}", place + 1, step_words(step)),
        None => format!("step {}", place + 1),
    }
}

fn erased(tenant: &TenantId, subject: Option<&str>, records: u64, runs: u64) -> String {
    let whose = match subject {
        Some(subject) => format!("{subject} of tenant {tenant}"),
        None => format!("tenant {tenant}"),
    };
    format!("Erased what {whose} said: {} and {}", count(records, "record"), count(runs, "run"))
}

fn dropped(before: Day, runs: u64) -> String {
    format!("Dropped the journals of before {before} for good: {}", count(runs, "run"))
}

fn key_made(key: &Key) -> String {
    let Key { id, name, scopes, tenants, secret_hash: _ } = key;
    let scopes = scopes.iter().collect::<Vec<_>>();
    match tenants {
        Tenants::All => format!("Made key {name} ({id}): {}", list(&scopes)),
        Tenants::Only(tenants) => {
            let tenants = tenants.iter().collect::<Vec<_>>();
            format!("Made key {name} ({id}): {}, for {}", list(&scopes), list(&tenants))
        }
    }
}

fn turned(place: &Place, position: Position) -> String {
    match position {
        Position::Full => format!("Turned the dial of {place} back to full"),
        Position::Supervised | Position::ReadOnly | Position::Fallback | Position::Canned | Position::Off => {
            format!("Turned the dial of {place} to {position}")
        }
    }
}

fn count(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
