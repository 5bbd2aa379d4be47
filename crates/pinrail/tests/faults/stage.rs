//! The world that the tests play in: two agents, three releases, a deployment and a candidate.

use serde_json::{Value, json};

use crate::client::Client;

/// The agent of tier `standard`: its stamps follow within a bounded delay.
pub const STANDARD: &str = "desk";
/// The agent of tier `critical`: its stamps are on disk before the provider is asked.
pub const CRITICAL: &str = "bank";
/// An agent of tier `standard` that serves nothing.
pub const IDLE: &str = "shop";

/// What was put up.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Releases that both agents have.
    pub releases: Vec<String>,
    /// The deployment that both agents run.
    pub active: u64,
    /// A candidate of [`STANDARD`] with a fifth of its traffic.
    pub candidate: u64,
    /// A running run, a paused one, a queued one: all open.
    pub running: String,
    pub paused: String,
    pub queued: String,
}

impl Stage {
    /// Puts it up; with a provider's address, that provider answers, else the simulated one.
    pub fn set(client: &Client, base_url: Option<&str>) -> Stage {
        let provider = if let Some(base_url) = base_url {
            let spec = json!({ "base_url": base_url, "catalogue": "sim", "retries_max": 0 });
            client.put("/api/v1/providers/held", &spec);
            "held"
        } else {
            "sim"
        };
        for agent in [STANDARD, CRITICAL, IDLE] {
            client.put(&format!("/api/v1/agents/{agent}"), &json!({ "tier": "standard" }));
        }
        let prompts = ["Be brief.\n", "Be kind.\n", "Be exact.\n"];
        let releases = prompts.map(|prompt| release(client, provider, prompt)).to_vec();
        let both = json!({ STANDARD: releases[0], CRITICAL: releases[0] });
        let active = client.post("/api/v1/deployments", &json!({ "releases": both, "now": true }));
        // What was promoted before the agent became critical needed no gate.
        client.put(&format!("/api/v1/agents/{CRITICAL}"), &json!({ "tier": "critical" }));
        let canary = json!({ "releases": { STANDARD: releases[1] }, "weight": 2_000 });
        let candidate = client.post("/api/v1/deployments", &canary);
        let running = run(client, &json!({ "agent": STANDARD, "session": "s-running" }));
        let paused = run(client, &json!({ "agent": CRITICAL }));
        let pause = json!({ "events": [{ "type": "paused", "why": "lunch" }] });
        client.post(&format!("/api/v1/runs/{paused}/events"), &pause);
        let queued = run(client, &json!({ "agent": STANDARD, "queued": true }));
        let id = |flip: Value| flip["deployment"].as_u64().expect("an id");
        settle(client);
        Stage { releases, active: id(active), candidate: id(candidate), running, paused, queued }
    }
}

/// A call to the gateway.
pub fn chat(agent: &str, stream: bool) -> Value {
    json!({ "model": agent, "stream": stream, "messages": [{ "role": "user", "content": "What is 17 + 25?" }] })
}

/// The gateway's address.
pub const CHAT: &str = "/v1/chat/completions";

/// Waits until the state at each opening is recorded, which happens in the background: crash points count appends.
fn settle(client: &Client) {
    let recorded = || {
        let listed = client.get("/api/v1/deployments");
        let deployments = listed["items"].as_array().expect("a page");
        deployments.iter().all(|deployment| deployment["manifest"].is_string())
    };
    let patience = 100_000;
    assert!((0..patience).any(|_| recorded()), "a manifest is not recorded");
}

fn release(client: &Client, provider: &str, prompt: &str) -> String {
    let artifact = client.artifact(prompt.as_bytes()).expect("the server answers").ok();
    let manifest = json!({
        "pinrail": 1,
        "model": { "provider": provider, "snapshot": "sim-1-2026-01-15" },
        "prompt": { "system": artifact["digest"] },
    });
    let mut id = String::new();
    for agent in [STANDARD, CRITICAL, IDLE] {
        let made = client.post("/api/v1/releases", &json!({ "agent": agent, "manifest": manifest }));
        id = made["release"].as_str().expect("an id").to_owned();
    }
    id
}

fn run(client: &Client, wish: &Value) -> String {
    client.post("/api/v1/runs", wish)["run"].as_str().expect("an id").to_owned()
}
