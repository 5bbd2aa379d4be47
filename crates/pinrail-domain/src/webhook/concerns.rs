//! What a ledger entry is about: its deployment, its agents, and the address of the thing that it changed.
//!
//! It is read off the body's fields by their names: `deployment` (a number), `agent` (a name), `releases` (by agent),
//! `deployments` and `agents` (lists). Every kind of entry that concerns such a thing names it so.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::deployment::{Deployment, Status};
use crate::id::{AgentName, DeploymentId, LedgerSeq, SegmentName};
use crate::ledger::{Body, Entry};
use crate::world::World;

/// What an entry is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerns {
    pub deployment: Option<DeploymentId>,
    /// Those that the body names, and those of its deployments.
    pub agents: BTreeSet<AgentName>,
    /// Such as `deployments/7`; none for what has no address.
    pub subject: Option<String>,
}

/// The fields that name the thing that an entry changed, most telling first, each with its place in the API.
const SUBJECTS: [(&str, &str); 11] = [
    ("deployment", "deployments"),
    ("gate", "gates"),
    ("release", "releases"),
    ("agent", "agents"),
    ("provider", "providers"),
    ("server", "mcp/servers"),
    ("finding", "drift"),
    ("catalogue", "artifacts"),
    ("webhook", "webhooks"),
    ("key", "keys"),
    ("tenant", "tenants"),
];

impl Concerns {
    /// What a body is about. `world` is the world after its entry, or after later ones.
    #[must_use]
    pub fn of(body: &Body, world: &World) -> Concerns {
        // A body that JSON can't carry was never sealed.
        let fields = serde_json::to_value(body).expect("a body is plain data");
        let number = |value: &Value| value.as_u64().map(DeploymentId);
        let name = |value: &Value| value.as_str().and_then(|name| name.parse().ok());
        let list = |field: &str| fields[field].as_array().into_iter().flatten();
        let deployment = number(&fields["deployment"]);
        let mut agents: BTreeSet<AgentName> = list("agents").filter_map(name).collect();
        agents.extend(name(&fields["agent"]));
        agents.extend(name(&fields["place"]["agent"]));
        let releases = fields["releases"].as_object().into_iter().flat_map(|releases| releases.keys());
        agents.extend(releases.filter_map(|agent| agent.parse().ok()));
        for id in list("deployments").filter_map(number).chain(deployment) {
            let known = world.deployments.get(&id);
            agents.extend(known.iter().flat_map(|known| known.releases.keys().cloned()));
        }
        Concerns { deployment, agents, subject: subject(&fields) }
    }
}

/// The state of a deployment right after an entry, in the words of [`crate::deploy::state`]. `world` may be later.
#[must_use]
pub fn state_at(world: &World, deployment: &Deployment, at: LedgerSeq) -> &'static str {
    let ingest = deployment.ingest.is_some();
    match deployment.status {
        Status::RolledBack { seq, .. } if seq <= at => return "rolled back",
        Status::Candidate { .. } | Status::Promoted { .. } | Status::RolledBack { .. } => {}
    }
    let committed = world.commits.span(deployment.id).committed.is_some_and(|committed| committed <= at);
    let is_active =
        |agent: &AgentName| active_at(world, agent, &deployment.segment, at) == Some(deployment.id);
    match (committed, ingest) {
        (false, true) => "open",
        (false, false) => "candidate",
        (true, true) => "committed",
        (true, false) if deployment.releases.keys().any(is_active) => "active",
        (true, false) => "superseded",
    }
}

/// What an agent's segment served right after an entry: the deployment promoted last by then, among those that weren't
/// taken back by then. `world` may be later.
#[must_use]
pub fn active_at(
    world: &World,
    agent: &AgentName,
    segment: &SegmentName,
    at: LedgerSeq,
) -> Option<DeploymentId> {
    let covering = world
        .deployments
        .values()
        .filter(|deployment| deployment.segment == *segment && deployment.releases.contains_key(agent));
    let standing = covering.filter(|deployment| match &deployment.status {
        Status::Candidate { .. } | Status::Promoted { .. } => true,
        Status::RolledBack { seq, .. } => *seq > at,
    });
    let promoted = standing.filter_map(|deployment| {
        let committed = world.commits.span(deployment.id).committed?;
        (committed <= at).then_some((committed, deployment.id))
    });
    promoted.max().map(|(_, id)| id)
}

impl Entry {
    /// What the entry is about: [`Concerns::of`].
    #[must_use]
    pub fn concerns(&self, world: &World) -> Concerns {
        Concerns::of(&self.body, world)
    }
}

fn subject(fields: &Value) -> Option<String> {
    SUBJECTS.iter().find_map(|(field, place)| {
        let named = &fields[*field];
        match named.get("id").unwrap_or(named) {
            Value::String(name) => Some(format!("{place}/{name}")),
            Value::Number(number) => Some(format!("{place}/{number}")),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    })
}
