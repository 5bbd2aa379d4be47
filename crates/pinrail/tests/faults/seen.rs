//! What must hold of a store whatever happened to its server, and that nothing seen before was ever lost.

use std::collections::BTreeMap;
use std::path::Path;

use pinrail_domain::ledger::{Entry, Head};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::client::Client;
use crate::node::{copy, database};

/// The ledger and the runs as they were when last looked at.
#[derive(Clone, Default)]
pub struct Seen {
    pub ledger: Vec<Entry>,
    pub runs: BTreeMap<String, Journal>,
}

/// A run as it was when last looked at.
#[derive(Clone)]
pub struct Journal {
    pub stamp: Value,
    pub summary: Value,
    pub events: Vec<Value>,
}

impl Seen {
    /// A first look.
    pub fn look(client: &Client, dir: &Path) -> Seen {
        let mut seen = Seen::default();
        seen.look_again(client, dir);
        seen
    }

    /// Looks at everything, while nothing else happens: what must hold holds, and what was seen before is there still.
    pub fn look_again(&mut self, client: &Client, dir: &Path) {
        self.check_ledger(client);
        self.check_runs(client);
        self.check_drains(client);
        check_bindings(dir);
    }

    /// I8: the chain is whole, and begins with what was seen before.
    fn check_ledger(&mut self, client: &Client) {
        let verified = client.get("/api/v1/ledger/verify");
        assert_eq!(verified["whole"], true, "{verified}");
        let entries = client.all("/api/v1/ledger", "after").into_iter();
        let entries: Vec<Entry> = entries.map(|entry| serde_json::from_value(entry).unwrap()).collect();
        let mut heads = vec![Head::START];
        for entry in &entries {
            heads.push(heads[heads.len() - 1].follow(entry).unwrap());
        }
        // A manifest may have been recorded in between: what was verified is a beginning of what is there.
        let verified_to = verified["entries"].as_u64().expect("a count") as usize;
        assert_eq!(json!(heads[verified_to].hash), verified["head"]);
        assert!(entries.starts_with(&self.ledger), "the ledger lost or changed what it had");
        self.ledger = entries;
    }

    /// I2, I3, I8: every run keeps its stamp; its journal begins with its plan, has no gaps and only grows.
    fn check_runs(&mut self, client: &Client) {
        let runs = client.all("/api/v1/runs", "before");
        let mut listed = 0;
        for run in runs {
            let id = run["run"].as_str().expect("an id").to_owned();
            listed += usize::from(self.runs.contains_key(&id));
            let before = self.runs.get(&id);
            if let Some(before) = before {
                assert_eq!(before.stamp, run["stamp"], "run {id} changed its stamp"); // I2
                if before.summary == run["summary"] {
                    continue;
                }
            }
            let events = journal(client, &id);
            check_journal(&id, &run, &events);
            let known = before.map_or(&[][..], |before| &before.events[..]);
            assert!(events.starts_with(known), "run {id} lost or changed events");
            let journal = Journal { stamp: run["stamp"].clone(), summary: run["summary"].clone(), events };
            if self.runs.insert(id, journal).is_none() {
                listed += 1;
            }
        }
        assert_eq!(listed, self.runs.len(), "runs are gone");
    }

    /// Each deployment's drain status is what a recount of its runs gives.
    fn check_drains(&self, client: &Client) {
        let mut counted: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
        for journal in self.runs.values() {
            let deployment = journal.stamp["deployment"].as_u64().expect("a number");
            let status = journal.summary["status"].as_str().expect("a word").to_owned();
            *counted.entry(deployment).or_default().entry(status).or_default() += 1;
        }
        for deployment in client.all("/api/v1/deployments", "before") {
            let id = deployment["deployment"].as_u64().expect("a number");
            let shown = client.get(&format!("/api/v1/deployments/{id}"));
            for status in ["queued", "running", "paused", "parked"] {
                let recount = counted.get(&id).and_then(|open| open.get(status)).copied().unwrap_or_default();
                assert_eq!(shown["drain"]["open"][status], recount, "deployment {id}, {status}: {shown}");
            }
        }
    }
}

/// A run's events, all of them.
pub fn journal(client: &Client, run: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let page = client.get(&format!("/api/v1/runs/{run}/events?from={}&limit=1000", events.len()));
        let page = page["events"].as_array().expect("a list").clone();
        if page.is_empty() {
            return events;
        }
        let is_last = page.len() < 1_000;
        events.extend(page);
        if is_last {
            return events;
        }
    }
}

/// Waits until a run's journal has an event of this kind.
pub fn follow(client: &Client, run: &str, kind: &str) {
    let mut from = 0;
    loop {
        let page = client.get(&format!("/api/v1/runs/{run}/events?from={from}&wait_ms=30000"));
        let events = page["events"].as_array().expect("a list");
        if events.iter().any(|event| event["type"] == kind) {
            return;
        }
        assert_ne!(page["status"], "finished", "run {run} ended without {kind}");
        from = page["next"].as_u64().expect("a place");
    }
}

fn check_journal(id: &str, run: &Value, events: &[Value]) {
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], place, "run {id} has a gap");
        assert_eq!(event["type"] == "plan", place == 0, "run {id} has a plan at {place}, or none at 0"); // I3
    }
    assert_eq!(run["summary"]["next"], events.len(), "run {id}: {run}");
    let plan = events[0].as_object().expect("an event");
    for (name, value) in run["stamp"].as_object().expect("a stamp") {
        assert_eq!(plan.get(name), Some(value), "run {id} isn't stamped with its plan's {name}");
    }
    let ends = events.iter().filter(|event| event["type"] == "finished").count();
    assert_eq!(ends, usize::from(run["summary"]["status"] == "finished"), "run {id}: {run}");
}

/// I3: no session is bound without a run that was stamped with the binding.
fn check_bindings(dir: &Path) {
    // Read from a copy: SQLite follows links, and a folder may be seen through one that only the kernel understands.
    let copy = copy(dir);
    let db = Connection::open(database(copy.path())).unwrap();
    let loose =
        "SELECT count(*) FROM sessions s WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.agent = s.agent
        AND r.tenant = s.tenant AND r.session = s.session AND r.deployment = s.deployment)";
    let loose: i64 = db.query_row(loose, (), |row| row.get(0)).unwrap();
    assert_eq!(loose, 0, "sessions are bound to deployments that none of their runs has");
}
