//! Gates through kills: nothing that was answered is asked again, and the ledger has one verdict.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::client::Client;
use crate::node::{BINARY, Node};

const CASES: usize = 60;
/// Two repeats of two arms.
const ANSWERS: usize = CASES * 4;
/// Times that a question is asked again.
const PATIENCE: usize = 10_000;

/// An agent that is held to a suite of sums, one release that serves, and a candidate; returns its deployment.
fn set(client: &Client) -> u64 {
    let case = |n: usize| {
        json!({
            "turns": [{ "messages": [{ "role": "user", "content": format!("What is {n} + 100?") }] }],
            "asserts": [{ "type": "contains", "value": (n + 100).to_string() }],
        })
    };
    let cases: Vec<Value> = (1..=CASES).map(case).collect();
    let suite = json!({ "pinrail_suite": 1, "name": "sums", "kind": "success", "cases": cases });
    let digest = client.artifact(suite.to_string().as_bytes()).unwrap().ok()["digest"].clone();
    let gate = json!({
        "suites": [{ "name": "sums", "kind": "success", "digest": digest }], "repeats": 2, "concurrency": 2,
    });
    client.put("/api/v1/agents/sums", &json!({ "tier": "standard", "gate": gate }));
    let release = |snapshot: &str| {
        let model = json!({ "provider": "sim", "snapshot": snapshot });
        let wish = json!({ "agent": "sums", "manifest": { "pinrail": 1, "model": model } });
        client.post("/api/v1/releases", &wish)["release"].clone()
    };
    let old = release("sim-1-2026-01-15");
    client.post("/api/v1/deployments", &json!({ "releases": { "sums": old }, "now": true }));
    let new = release("sim-1-2026-06-01");
    let candidate =
        client.post("/api/v1/deployments", &json!({ "releases": { "sums": new }, "weight": 500 }));
    candidate["deployment"].as_u64().unwrap()
}

/// Waits until the gate is over.
fn over(client: &Client, gate: &str) -> Value {
    let watch = format!("{gate}/watch?done=1000000&wait_ms=1000");
    let mut shown = (0..PATIENCE).map(|_| client.get(&watch));
    shown.find(|shown| shown["status"] != "running").expect("it ends");
    client.get(gate)
}

fn cli(client: &Client, args: &[&str]) -> Output {
    let url = format!("http://{}", client.address());
    Command::new(BINARY).env_clear().env("PINRAIL_URL", url).args(args).output().unwrap()
}

fn doomed(dir: &Path, point: &str, deployment: Option<u64>) {
    let node = Node::doomed(dir, point);
    if let Some(deployment) = deployment {
        let _ = node.client.send("POST", "/api/v1/gates", &[], Some(&json!({ "deployment": deployment })));
    }
    node.wait_for_crash();
}

/// I9, I14: a gate goes on where kills left it, however often.
#[test]
fn a_gate_that_is_killed_goes_on_without_asking_twice() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let deployment = set(&node.client);
    node.kill();
    // The first commit is the gate's record; the others are answers.
    doomed(dir.path(), "gates.after_commit:1", Some(deployment));
    doomed(dir.path(), "gates.before_commit:9", None);
    doomed(dir.path(), "gates.after_commit:20", None);
    let node = Node::start(dir.path());
    let client = &node.client;
    let listed = client.get("/api/v1/gates");
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    let gate = format!("/api/v1/gates/{}", listed["items"][0]["gate"].as_str().unwrap());
    let ended = over(client, &gate);
    assert_eq!(
        (&ended["status"], &ended["progress"]["done"]),
        (&json!("finished"), &json!(ANSWERS)),
        "{ended}"
    );
    let judged = client.all("/api/v1/ledger", "after");
    let judged: Vec<&Value> = judged.iter().filter(|entry| entry["body"]["type"] == "gate_judged").collect();
    assert_eq!(judged.len(), 1);
    assert_eq!(judged[0]["body"]["judgement"]["verdict"], ended["ended"]["verdict"]);
    // Every answer that was kept is of one run; what a kill took away was asked once more, and its run was ended.
    let mut runs: BTreeMap<String, String> = BTreeMap::new();
    for run in client.all("/api/v1/runs?gate=true", "before") {
        runs.insert(
            run["run"].as_str().unwrap().to_owned(),
            run["summary"]["status"].as_str().unwrap().to_owned(),
        );
    }
    assert!(runs.values().all(|status| status == "finished"), "{runs:?}");
    assert!((ANSWERS..=ANSWERS + 3 * 4).contains(&runs.len()), "{} runs", runs.len());
    let rows = client.all(&format!("{gate}/rows"), "after");
    assert_eq!(rows.len(), ANSWERS);
    assert!(rows.iter().all(|row| runs.contains_key(row["run"].as_str().unwrap())));
    // The same once more, on the command line: the exit code is the verdict, and stdout is one JSON value.
    let output = cli(client, &["gate", "run", &deployment.to_string(), "--reuse", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["gates"][0]["progress"]["reused"], ANSWERS, "{said}");
    let verdict = said["gates"][0]["ended"]["verdict"].as_str().unwrap();
    let code = match verdict {
        "pass" => 0,
        "fail" => 1,
        _ => 2,
    };
    assert_eq!(output.status.code(), Some(code), "{verdict}");
    assert_eq!(cli(client, &["gate", "run", "99"]).status.code(), Some(3));
    node.stop();
}
