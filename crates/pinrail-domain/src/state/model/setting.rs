//! Where the model's steps take place: agents, releases, and a space in each layer.

use serde_json::json;

use crate::agent::AgentSpec;
use crate::digest::Digest;
use crate::id::{AgentName, CollectionName, SessionId, TenantId};
use crate::ledger::Body;
use crate::provider::ProviderSpec;
use crate::release::Manifest;
use crate::state::Space;

/// The spaces that steps write to, one in each layer; a step names them by their place here.
#[must_use]
pub fn spaces() -> Vec<Space> {
    let tenant = TenantId::shared();
    let [agent, _] = agents();
    let session = SessionId::new("session").expect("a short name");
    let collection = CollectionName::new("kb").expect("a short name");
    vec![
        Space::memory(tenant.clone(), &agent, &session),
        Space::context(tenant.clone(), &collection),
        Space::vectors(tenant, &collection, Digest::ZERO),
    ]
}

/// What must be in the ledger before the first step: two agents with two releases each.
#[must_use]
pub fn setup() -> Vec<Body> {
    let provider = "sim".parse().expect("a short name");
    let mut bodies = vec![Body::ProviderPut { provider, spec: Box::new(ProviderSpec::simulated()) }];
    for agent in agents() {
        bodies.push(Body::AgentPut { agent: agent.clone(), spec: AgentSpec::default() });
        for snapshot in ["m-2026-01-01", "m-2026-02-01"] {
            let manifest = manifest(snapshot);
            bodies.push(Body::ReleaseCreated {
                release: manifest.id().expect("a manifest has a canonical form"),
                agent: agent.clone(),
                manifest: Box::new(manifest),
                identity: "pinned".to_owned(),
                model_override: None,
            });
        }
    }
    bodies
}

fn agents() -> [AgentName; 2] {
    ["executor", "planner"].map(|name| name.parse().expect("a short name"))
}

fn manifest(snapshot: &str) -> Manifest {
    let json = json!({"pinrail": 1, "model": {"provider": "sim", "snapshot": snapshot}});
    serde_json::from_value(json).expect("a minimal manifest")
}
