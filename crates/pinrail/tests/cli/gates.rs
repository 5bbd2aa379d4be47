//! Gates on the command line: what travels, and how the verdict becomes an exit code.

use serde_json::{Value, json};

use super::stub::{Reply, Stub};
use super::{DIGEST, NOBODY, pinrail, text};

const GATE: &str = "gate_01mcc5rm1p1460e1g50g1g4084";

fn started() -> Value {
    json!({ "gates": [{ "gate": GATE, "agent": "support", "candidate": DIGEST, "suites": ["basics"], "repeats": 3,
        "estimate": { "cases": 100, "answers": 300, "calls": 300, "input_tokens": 90_000, "output_tokens": 60_000,
            "cost_nano_usd": 7_500_000_000_u64, "budget_nano_usd": 5_000_000_000_u64, "time_ms": 120_000 } }] })
}

/// A gate that stands like this.
fn gate(status: &str, verdict: Option<&str>) -> String {
    let end = json!({ "at": 5, "why": "because", "verdict": verdict });
    json!({ "gate": GATE, "agent": "support", "deployment": 3, "candidate": DIGEST, "created_at": 1, "status": status,
        "settings": { "suites": [], "repeats": 3, "repeats_max": 3, "alpha": 0.05, "budget_nano_usd": 5_000_000_000_u64,
            "concurrency": 8, "reuse": false, "by": { "kind": "open" } },
        "progress": { "done": 300, "total": 300, "repeats": 3, "errors": 2, "refused": 0, "reused": 0, "retries": 1,
            "spent_nano_usd": 1_000_000_000_u64 },
        "ended": (status != "running").then_some(end) })
    .to_string()
}

#[test]
fn the_exit_code_is_the_verdict() {
    let check = |status: &'static str, verdict: Option<&'static str>, expected: i32| {
        let stub = Stub::new(move |n| {
            Some(match n {
                0 => Reply::ok(&started().to_string()),
                1 => Reply::ok(&gate("running", None)),
                _ => Reply::ok(&gate(status, verdict)),
            })
        });
        let output = pinrail(&stub.url, &["gate", "run", "3"]);
        assert_eq!(output.status.code(), Some(expected), "{}", text(&output.stderr));
        let told = text(&output.stderr);
        assert!(told.contains("about $7.50 (more than the budget of $5.00)"), "{told}");
        let shown = text(&output.stdout);
        assert!(shown.contains("because") && shown.contains("2 errors"), "{shown}");
        assert!(stub.requests()[2].path().ends_with("/watch?done=300&wait_ms=5000"));
    };
    check("finished", Some("pass"), 0);
    check("finished", Some("fail"), 1);
    check("finished", Some("inconclusive"), 2);
    check("failed", None, 3);
    check("cancelled", None, 3);
    assert_eq!(pinrail(NOBODY, &["gate", "run", "3"]).status.code(), Some(3));
    assert_eq!(pinrail(NOBODY, &["gate", "run", "support"]).status.code(), Some(3));
}

#[test]
fn what_is_asked_for_travels() {
    let check = |args: &[&str], expected: Value| {
        let stub = Stub::new(|_| Some(Reply::ok(&started().to_string())));
        let output = pinrail(&stub.url, &[&["gate", "run"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let body: Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
        assert_eq!(body, expected, "{args:?}");
        assert_eq!(stub.requests().len(), 1);
        assert!(text(&output.stdout).contains("300 answers to 100 cases"), "{}", text(&output.stdout));
    };
    check(&["3", "--detach"], json!({ "deployment": 3 }));
    check(
        &["3", "--dry-run", "--budget", "2.50", "--suite", "a"],
        json!({ "deployment": 3, "dry_run": true,
        "budget": "2.50", "suites": ["a"] }),
    );
    check(
        &[
            "support",
            "--candidate",
            "4f1c22",
            "--incumbent",
            "9b0c7e",
            "--reuse",
            "--repeats",
            "5",
            "--detach",
        ],
        json!({ "agent": "support", "candidate": "4f1c22", "incumbent": "9b0c7e", "reuse": true, "repeats": 5 }),
    );
}

#[test]
fn a_gate_that_asks_the_same_is_followed() {
    let problem = json!({ "type": "urn:pinrail:problem:gate_state", "title": "the gate is in another state", "status": 409,
        "code": "gate_state", "detail": "it asks the same already", "gate": GATE });
    let stub = Stub::new(move |n| {
        Some(match n {
            0 => Reply::new(409, &problem.to_string()),
            _ => Reply::ok(&gate("finished", Some("pass"))),
        })
    });
    let output = pinrail(&stub.url, &["gate", "run", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("following it"));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["gates"][0]["ended"]["verdict"], "pass");
}
