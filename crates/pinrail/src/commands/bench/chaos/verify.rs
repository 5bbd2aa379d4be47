//! Holds every replica against what was acknowledged.
//!
//! To be asked while nothing is under way: then all replicas must tell the same, and exactly what clients remember.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::ask::{Ask, Said};
use super::record::{Fate, Run, Turn};
use super::traffic::{AGENT, World};

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Looked {
    pub runs: usize,
    pub notes: usize,
    pub turns: usize,
    pub deployments: usize,
}

/// Attempts at one question, each at another replica: everything is well again by now.
const TRIES_MAX: usize = 20;
const AGAIN: Duration = Duration::from_millis(200);

/// Looks at everything that changed since the last time, and at all of it with `all`.
pub async fn verify(world: &World, all: bool) -> Looked {
    let mut looked = Looked::default();
    ledger(world).await;
    let counted = deployments(world, &mut looked).await;
    let runs: Vec<(String, Run)> = {
        let record = world.record.lock();
        let wanted = record.runs.iter().filter(|(_, run)| all || !run.verified);
        wanted.map(|(id, run)| (id.clone(), run.clone())).collect()
    };
    for (n, (id, run)) in runs.iter().enumerate() {
        let port = world.ports[n % world.ports.len()];
        journal(world, port, id, run).await;
        looked.runs += 1;
        looked.notes += run.notes.len();
        if let Some(known) = world.record.lock().runs.get_mut(id) {
            known.verified = true;
        }
    }
    let turns = world.record.lock().turns.clone();
    for (session, turns) in &turns {
        looked.turns += turns.len();
        for port in &world.ports {
            memory(world, *port, session, turns, &counted).await;
        }
    }
    looked
}

/// The chain is whole, and the same wherever one asks (I8). What the leader does by itself may still be under way: then
/// they are asked again.
async fn ledger(world: &World) {
    let mut heads = BTreeSet::new();
    for _ in 0..TRIES_MAX {
        heads.clear();
        for port in &world.ports {
            let told = ask(world, *port, "/api/v1/ledger/verify").await;
            if told["whole"] != true {
                return world.record.violated(format!("the ledger isn't whole: {told} (I8)"));
            }
            heads.insert(format!("{} entries, head {}", told["entries"], told["head"]));
        }
        if heads.len() == 1 {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
    world.record.violated(format!("replicas have different ledgers: {heads:?} (I8)"));
}

/// Every deployment is what was acknowledged; tells which of them count (I5).
async fn deployments(world: &World, looked: &mut Looked) -> BTreeMap<u64, bool> {
    let known = world.record.lock().deployments.clone();
    let mut counted = BTreeMap::new();
    for (id, fate) in known {
        looked.deployments += 1;
        let port = world.ports[id as usize % world.ports.len()];
        let told = ask(world, port, &format!("/api/v1/deployments/{id}")).await;
        let state = told["state"].as_str().unwrap_or_default();
        let now = match state {
            "candidate" => Fate::Candidate,
            "rolled back" => Fate::RolledBack,
            "" => Fate::Unknown,
            _ => Fate::Promoted,
        };
        if fate != Fate::Unknown && fate != now {
            world
                .record
                .violated(format!("deployment {id} was acknowledged as {fate:?} and is {state:?} (I9)"));
        }
        world.record.lock().deployments.insert(id, now);
        counted.insert(id, now == Fate::Promoted);
    }
    counted
}

/// A run has its plan, its release and every event that was acknowledged, each once (I2, I3, I9).
async fn journal(world: &World, port: u16, id: &str, run: &Run) {
    let told = ask(world, port, &format!("/api/v1/runs/{id}/events?from=0&limit=1000")).await;
    let empty = Vec::new();
    let events = told["events"].as_array().unwrap_or(&empty);
    let plan = events.first().unwrap_or(&Value::Null);
    if plan["type"] != "plan" {
        world.record.violated(format!("{id} has no plan event but {plan} (I3)"));
    }
    let stamp = ask(world, port, &format!("/api/v1/runs/{id}")).await;
    let (release, deployment) = (&stamp["stamp"]["release"], &stamp["stamp"]["deployment"]);
    if release.as_str() != Some(&run.release) || deployment.as_u64() != Some(run.deployment) {
        world.record.violated(format!(
            "{id} was stamped with {} of deployment {} and has {release} of {deployment} (I2)",
            run.release, run.deployment
        ));
    }
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for name in events.iter().filter_map(|event| event["name"].as_str()) {
        *found.entry(name).or_default() += 1;
    }
    for note in &run.notes {
        let times = found.remove(note.as_str()).unwrap_or_default();
        if times != 1 {
            world.record.violated(format!("{id} has the acknowledged event {note} {times} times (I9)"));
        }
    }
    for note in found.keys().filter(|note| !run.perhaps.iter().any(|perhaps| perhaps == *note)) {
        world.record.violated(format!("{id} has the event {note}, which nobody wrote"));
    }
}

/// Everybody sees what counts and nothing else, and what doesn't count isn't lost (I4, I5, I9).
async fn memory(world: &World, port: u16, session: &str, turns: &[Turn], counted: &BTreeMap<u64, bool>) {
    let place = format!("/api/v1/memory/{AGENT}/{session}?limit=1000");
    let texts = |told: &Value| -> BTreeSet<String> {
        let turns = told["turns"].as_array().into_iter().flatten();
        turns.filter_map(|turn| turn["content"].as_str()).map(str::to_owned).collect()
    };
    let seen = texts(&ask(world, port, &place).await);
    let kept = texts(&ask(world, port, &format!("{place}&history=true")).await);
    for turn in turns {
        let Turn { text, deployment, acknowledged } = turn;
        let counts = counted.get(deployment).copied().unwrap_or_default();
        if seen.contains(text) && !counts {
            world
                .record
                .violated(format!("{text} of deployment {deployment}, which doesn't count, is seen (I4)"));
        }
        if *acknowledged && counts && !seen.contains(text) {
            world
                .record
                .violated(format!("{text} of deployment {deployment}, which counts, isn't seen (I5)"));
        }
        if *acknowledged && !kept.contains(text) {
            world.record.violated(format!("{text} was acknowledged and is gone (I9)"));
        }
    }
    for text in seen.iter().filter(|text| !turns.iter().any(|turn| turn.text == **text)) {
        world.record.violated(format!("{text} is remembered, which nobody wrote"));
    }
}

/// Asks a replica that is well. No answer is a violation, too: it said that it is ready.
async fn ask(world: &World, port: u16, path: &str) -> Value {
    let mut said = Said::Lost;
    for _ in 0..TRIES_MAX {
        said = Ask::get(path).send(port).await;
        if let Said::Done(value) = said {
            return value;
        }
        tokio::time::sleep(AGAIN).await;
    }
    world.record.violated(format!("{path} isn't answered by a replica that is ready: {said:?}"));
    Value::Null
}
