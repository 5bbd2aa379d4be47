//! Killed at a named point: the change is wholly there or wholly not, and its client repeats it without harm.

use std::path::Path;

use pinrail_domain::digest::Digest;
use serde_json::{Value, json};

use crate::client::{Answer, Broken, Client};
use crate::node::{Node, copy};
use crate::seen::{Seen, journal};
use crate::stage::{CRITICAL, IDLE, STANDARD, Stage};

/// A change of the API, and how often it is found done.
struct Change {
    name: &'static str,
    method: &'static str,
    path: String,
    body: Value,
    /// Whether its answer is kept under its idempotency key.
    answers: bool,
    done: Box<dyn Fn(&Client) -> usize>,
    /// What `done` says when it is done once.
    once: usize,
}

/// What every change of the ledger gives as its reason, and every event and session is called.
const MARK: &str = "crash-test";

#[test]
fn a_change_of_the_ledger_is_there_or_not_and_repeats_well() {
    let (dir, stage, seen) = set();
    for change in ledger_changes(&stage) {
        crash(dir.path(), &seen, &change, "ledger.before_commit");
        crash(dir.path(), &seen, &change, "ledger.after_commit");
    }
}

#[test]
fn a_change_of_a_journal_is_there_or_not_and_repeats_well() {
    let (dir, stage, seen) = set();
    for change in journal_changes(&stage) {
        crash(dir.path(), &seen, &change, "journal.before_commit");
        crash(dir.path(), &seen, &change, "journal.after_commit");
    }
}

#[test]
fn an_artifact_is_there_or_not() {
    let (dir, _, _) = set();
    let bytes = b"You are a crash test dummy.\n";
    let node = Node::doomed(dir.path(), "artifact.before_commit:1");
    assert!(node.client.artifact(bytes).is_err());
    node.wait_for_crash();
    let node = Node::start(dir.path());
    let path = format!("/api/v1/artifacts/{}", Digest::of(bytes));
    let shown = || node.client.send("GET", &path, &[], None).unwrap();
    assert_eq!(shown().status, 404);
    for _ in 0..2 {
        assert_eq!(node.client.artifact(bytes).unwrap().ok()["digest"], Digest::of(bytes).to_string());
        assert_eq!(shown().body, bytes);
    }
}

/// A stopped server's folder with a stage in it, and what is to be seen there.
fn set() -> (tempfile::TempDir, Stage, Seen) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let stage = Stage::set(&node.client, None);
    let seen = Seen::look(&node.client, dir.path());
    node.kill();
    (dir, stage, seen)
}

/// Drives a change into a point, and looks at what is left of it.
fn crash(base: &Path, seen: &Seen, change: &Change, point: &str) {
    eprintln!("{} at {point}", change.name);
    let dir = copy(base);
    let node = Node::doomed(dir.path(), &format!("{point}:1"));
    assert_eq!((change.done)(&node.client), 0);
    assert!(change.send(&node.client).is_err(), "nobody is told of a change that may not be");
    node.wait_for_crash();

    let node = Node::start(dir.path());
    let client = &node.client;
    let committed = point.ends_with("after_commit");
    assert_eq!((change.done)(client), if committed { change.once } else { 0 });
    let mut seen = seen.clone();
    seen.look_again(client, dir.path());
    // I2: what was open goes on with what it began with.
    for (run, before) in seen.runs.iter().filter(|(_, run)| run.summary["status"] != "finished") {
        let resumed = client.send("POST", &format!("/api/v1/runs/{run}/resume"), &[], None).unwrap().ok();
        assert_eq!(resumed["stamp"], before.stamp);
    }
    let first = change.send(client).unwrap();
    let second = change.send(client).unwrap();
    assert_eq!((change.done)(client), change.once, "it is done once");
    if change.answers {
        assert_eq!((first.is_replayed(), second.is_replayed()), (committed, true));
        assert_eq!(lasting(&first), lasting(&second));
    }
    seen.look_again(client, dir.path());
}

impl Change {
    fn send(&self, client: &Client) -> Result<Answer, Broken> {
        let body = (!self.body.is_null()).then_some(&self.body);
        client.send(self.method, &self.path, &[("idempotency-key", MARK)], body)
    }
}

/// An answer without what it says of the moment.
fn lasting(answer: &Answer) -> Value {
    let mut answer = answer.ok();
    for passing in ["took_us", "open_runs"] {
        answer.as_object_mut().expect("an object").remove(passing);
    }
    answer
}

fn ledger_changes(stage: &Stage) -> Vec<Change> {
    let Stage { releases, active, candidate, .. } = stage;
    let change = |name, method, path: String, body, once| Change {
        name,
        method,
        path,
        body,
        answers: true,
        done: Box::new(entries),
        once,
    };
    let open = "/api/v1/deployments".to_owned();
    let on = |id: &u64, what: &str| format!("/api/v1/deployments/{id}/{what}");
    let because = json!({ "reason": MARK });
    let manifest = json!({ "pinrail": 1, "model": { "provider": "sim", "snapshot": "sim-2-2026-09-01" } });
    let publish = json!({ "agent": STANDARD, "manifest": manifest, "reason": MARK });
    let now = json!({ "releases": { IDLE: releases[1] }, "now": true, "reason": MARK });
    let canary = json!({ "releases": { CRITICAL: releases[2] }, "weight": 500, "reason": MARK });
    vec![
        change("publish", "POST", "/api/v1/releases".to_owned(), publish, 1),
        // Opened and promoted, in one step.
        change("deploy now", "POST", open.clone(), now, 2),
        change("deploy a canary", "POST", open, canary, 1),
        change("weigh", "POST", on(candidate, "weight"), json!({ "weight": 7_000, "reason": MARK }), 1),
        change("promote", "POST", on(candidate, "promote"), because.clone(), 1),
        change("roll a candidate back", "POST", on(candidate, "rollback"), because.clone(), 1),
        change("roll two agents back", "POST", on(active, "rollback"), because, 1),
        change("put an agent", "PUT", format!("/api/v1/agents/new?reason={MARK}"), json!({}), 1),
    ]
}

fn journal_changes(stage: &Stage) -> Vec<Change> {
    let on = |run: &str, what: &str| format!("/api/v1/runs/{run}/{what}");
    let events_of = |run: &str, kind: &'static str| {
        let run = run.to_owned();
        Box::new(move |client: &Client| {
            let events = journal(client, &run).into_iter();
            events.filter(|event| event["type"] == kind && (kind != "note" || event["name"] == MARK)).count()
        })
    };
    let note = json!({ "type": "note", "name": MARK });
    let append = json!({ "expected_seq": 1, "events": [note, note] });
    let begin = |queued| json!({ "agent": STANDARD, "session": MARK, "queued": queued });
    let started = |name, queued| Change {
        name,
        method: "POST",
        path: "/api/v1/runs".to_owned(),
        body: begin(queued),
        answers: true,
        done: Box::new(|client| client.all(&format!("/api/v1/runs?session={MARK}"), "before").len()),
        once: 1,
    };
    vec![
        started("create a run", false),
        started("queue a run", true),
        Change {
            name: "append",
            method: "POST",
            path: on(&stage.running, "events"),
            body: append,
            answers: true,
            done: events_of(&stage.running, "note"),
            once: 2,
        },
        Change {
            name: "finish",
            method: "POST",
            path: on(&stage.queued, "finish"),
            body: json!({ "outcome": "ok" }),
            answers: true,
            done: events_of(&stage.queued, "finished"),
            once: 1,
        },
        Change {
            name: "resume",
            method: "POST",
            path: on(&stage.paused, "resume"),
            body: Value::Null,
            answers: false,
            done: events_of(&stage.paused, "resumed"),
            once: 1,
        },
    ]
}

/// Entries of the ledger that this test made.
fn entries(client: &Client) -> usize {
    client.all("/api/v1/ledger", "after").iter().filter(|entry| entry["reason"] == MARK).count()
}
