//! Data at the end of its life: removed by gc and erased, with a kill in between; and what is left on the disk.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::Client;
use crate::node::{Node, copy, data};
use crate::stage::{STANDARD, Stage};

/// What nobody else says: it is looked for in the files.
const SECRET: &str = "the parrot prefers marmalade";
/// Records that each rolled-back run leaves: more than one batch of a removal.
const TURNS: usize = 700;

/// A run of its own session on the candidate, which the pointers soon leave.
fn run(client: &Client, session: &str) -> Value {
    client.post("/api/v1/runs", &json!({ "agent": STANDARD, "session": session, "tenant": "acme" }))
}

fn remember(client: &Client, run: &Value, session: &str, text: &str, turns: usize) {
    let turn = |n| json!({ "role": "assistant", "content": format!("{text} {n}") });
    let turns: Vec<Value> = (0..turns).map(turn).collect();
    let wish = json!({ "run": run["run"], "turns": turns });
    client.post(&format!("/api/v1/memory/{STANDARD}/{session}"), &wish);
}

fn visible(client: &Client, session: &str) -> Value {
    let space = format!("memory/{STANDARD}/{session}");
    client.get(&format!("/api/v1/state/records?space={space}&tenant=acme&limit=1000"))["items"].clone()
}

/// How many records of any kind a space holds.
fn held(client: &Client, session: &str) -> u64 {
    let spaces = client.all("/api/v1/state/spaces?layer=memory", "after");
    let space = format!("memory/{STANDARD}/{session}");
    let found = spaces.iter().find(|it| it["space"] == json!(space)).cloned().unwrap_or_default();
    found["puts"].as_u64().unwrap_or(0)
}

/// Waits for the removal's end.
fn settled(client: &Client) {
    assert_eq!(client.get("/api/v1/gc?wait_ms=30000")["removal"]["running"], false);
}

/// A session with a fact and what a rolled-back deployment added to it.
fn set(dir: &Path) -> Value {
    let node = Node::start(dir);
    let client = &node.client;
    let stage = Stage::set(client, None);
    let good = run(client, "s");
    let turns = json!({ "run": good["run"], "turns": [{ "role": "user", "content": "hello" }] });
    client.post(&format!("/api/v1/memory/{STANDARD}/s"), &turns);
    client.post(&format!("/api/v1/deployments/{}/promote", stage.candidate), &json!({}));
    let bad = run(client, "bad");
    assert_eq!(bad["stamp"]["deployment"], stage.candidate, "{bad}");
    remember(client, &bad, "s", "nonsense", TURNS);
    client
        .post(&format!("/api/v1/runs/{}/finish", bad["run"].as_str().unwrap()), &json!({ "outcome": "ok" }));
    // What else is open on it must end before anything of it is removed.
    client.post(&format!("/api/v1/deployments/{}/rollback", stage.candidate), &json!({ "reason": "bad" }));
    for run in client.all(&format!("/api/v1/runs?deployment={}", stage.candidate), "before") {
        if run["summary"]["status"] != "finished" {
            let id = run["run"].as_str().or_else(|| run["stamp"]["run"].as_str()).unwrap();
            client.post(&format!("/api/v1/runs/{id}/finish"), &json!({ "outcome": "ok" }));
        }
    }
    let shown = visible(client, "s");
    node.stop();
    shown
}

/// I8: the ledger says it before anything is gone, and what it says is carried out, whatever happens in between.
#[test]
fn a_collection_that_is_killed_is_finished_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let shown = set(dir.path());
    // 1: no entry, so nothing is gone. Afterwards: the entry is there, and no batch, one batch, or both are.
    for point in [
        "ledger.before_commit:1",
        "ledger.after_commit:1",
        "state.before_commit:1",
        "state.before_commit:2",
        "state.after_commit:1",
    ] {
        eprintln!("killed at {point}");
        let dir = copy(dir.path());
        let node = Node::doomed(dir.path(), point);
        let sent = node.client.send("POST", "/api/v1/gc", &[], Some(&json!({ "older_than_ms": 0 })));
        assert!(sent.is_ok() || point.starts_with("ledger"));
        node.wait_for_crash();
        let node = Node::start(dir.path());
        let client = &node.client;
        settled(client);
        let entered = !point.starts_with("ledger.before");
        assert_eq!(held(client, "s"), if entered { 1 } else { TURNS as u64 + 1 });
        let plan = client.get("/api/v1/gc?older_than_ms=0");
        assert_eq!(plan["records"], if entered { json!(0) } else { json!(TURNS) });
        assert_eq!(visible(client, "s"), shown);
        let space = format!("/api/v1/state/verify?space=memory/{STANDARD}/s&tenant=acme");
        assert_eq!(client.get(&space)["whole"], true);
        assert_eq!(client.get("/api/v1/ledger/verify")["whole"], true);
    }
}

fn is_on_disk(dir: &Path) -> bool {
    let files = std::fs::read_dir(data(dir)).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: std::path::PathBuf| {
        path.is_file() && memchr::memmem::find(&std::fs::read(path).unwrap(), SECRET.as_bytes()).is_some()
    };
    files.into_iter().any(holds)
}

/// What was erased is in no file, not while the server runs and not after it; killed in between, the next start
/// finishes it.
#[test]
fn what_is_erased_is_nowhere_on_the_disk() {
    let base = tempfile::tempdir().unwrap();
    let node = Node::start(base.path());
    let stage = Stage::set(&node.client, None);
    // Whichever deployment a session falls on, everybody sees what its runs say.
    node.client.post(&format!("/api/v1/deployments/{}/promote", stage.candidate), &json!({}));
    let ada = run(&node.client, "ada");
    remember(&node.client, &ada, "ada", SECRET, 50);
    let note = json!({ "events": [{ "type": "note", "name": "said", "data": SECRET }] });
    let path = format!("/api/v1/runs/{}", ada["run"].as_str().unwrap());
    node.client.post(&format!("{path}/events"), &note);
    node.client.post(&format!("{path}/finish"), &json!({ "outcome": "ok" }));
    let bob = run(&node.client, "bob");
    remember(&node.client, &bob, "bob", "hello", 1);
    assert!(is_on_disk(base.path()));
    node.stop();
    let wish = json!({
        "tenant": "acme", "session": { "agent": STANDARD, "session": "ada" }, "reason": "she asked"
    });
    for point in ["", "ledger.after_commit:1", "state.before_commit:1", "journal.before_commit:1"] {
        eprintln!("killed at {point:?}");
        let dir = copy(base.path());
        let node = if point.is_empty() { Node::start(dir.path()) } else { Node::doomed(dir.path(), point) };
        let sent = node.client.send("POST", "/api/v1/erasures", &[], Some(&wish));
        let node = if point.is_empty() {
            assert_eq!(sent.unwrap().ok()["records"], 50);
            assert!(!is_on_disk(dir.path()), "while it runs");
            node
        } else {
            assert!(sent.is_err());
            node.wait_for_crash();
            let node = Node::start(dir.path());
            node.logged("finished an erasure that was cut off");
            assert!(!is_on_disk(dir.path()), "after a crash");
            node
        };
        assert_eq!(visible(&node.client, "ada")[0]["erased"], true);
        assert_eq!(visible(&node.client, "bob").as_array().unwrap().len(), 1);
        for session in ["ada", "bob"] {
            let of = format!("/api/v1/state/verify?space=memory/{STANDARD}/{session}&tenant=acme");
            assert_eq!(node.client.get(&of)["whole"], true);
        }
        node.stop();
        assert!(!is_on_disk(dir.path()), "after it");
    }
}
