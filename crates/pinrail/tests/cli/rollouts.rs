//! Rollouts on the command line: what travels, and how waiting ends.

use serde_json::{Value, json};

use super::stub::{Reply, Stub};
use super::{pinrail, text};

const FLIP: &str = r#"{"deployment":3,"state":"candidate","segment":"default","epoch":4,"seq":12,"active":{"support":1},"took_us":840,
    "open_runs":{"queued":0,"running":0,"paused":0,"parked":0}}"#;

/// A rollout of one step, with some fields changed.
fn rollout(changes: Value) -> String {
    let mut rollout = json!({
        "deployment": 3, "state": "candidate", "segment": "default", "releases": {}, "sentence": "Step 1 of 1, pause.",
        "generation": 0, "step": 1, "opened_at": 1, "weights": { "everywhere": 0 }, "shadow": 0, "complete": true,
        "steps": [{ "step": 1, "what": "pause", "standing": "now", "plan": { "step": "pause" }, "since": 1 }],
        "guardrails": [], "runs": { "candidate": 0, "incumbent": 0 }, "units": { "candidate": 0, "incumbent": 0 },
        "pairs": { "compared": 0, "failed": 0, "dropped": 0, "cost": "0.00" }
    });
    rollout.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    rollout.to_string()
}

#[test]
fn a_deployment_says_how_it_gets_its_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let check = |args: &[&str], expected: Value| {
        let stub = Stub::new(|_| Some(Reply::ok(FLIP)));
        let args = [&["deploy", "support=4f1c22"], args].concat();
        let output = pinrail(&stub.url, &args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        let mut body: Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
        let body = body.as_object_mut().unwrap();
        body.retain(|field, _| !["releases", "reason", "lift_hold"].contains(&field.as_str()));
        assert_eq!(Value::Object(body.clone()), expected, "{args:?}");
    };
    check(&[], json!({ "now": false, "rollout": true }));
    check(&["--now"], json!({ "now": true }));
    check(&["--weight", "20%"], json!({ "now": false, "weight": 2_000 }));
    let steps = "steps = [{ pause = { for = \"2h\" } }]\nalpha = 0.01\n";
    let expected =
        json!({ "now": false, "rollout": { "steps": [{ "pause": { "for": "2h" } }], "alpha": 0.01 } });
    check(&["--plan", &file("bare.toml", steps)], expected.clone());
    check(&["--plan", &file("headed.toml", &format!("[rollout]\n{steps}"))], expected);

    let bad = file("bad.toml", "stepps = []\n");
    let output = pinrail("http://127.0.0.1:9", &["deploy", "support=4f1c22", "--plan", &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr)
            .contains("bad.toml:1: stepps is not a key that Pinrail knows; did you mean `steps`?")
    );
}

#[test]
fn a_dry_run_prints_steps_needs_and_doubts() {
    let outlined = r#"{"releases":{"support":"sha256:1743b50f2728eed52d5ec8466b80991f1ede7ca20721ce5dad91303b6ba6aa68"},
        "segment":"default","traffic":"rollout","outline":{"traffic":"2 000 runs of 1 000 sessions in the last 24 h",
        "steps":[{"step":1,"what":"canary 10%","needs":["100 runs of the candidate"],"guardrails":[{"agent":"support",
          "guardrail":"error_rate","proves":"at most 10.00 points worse","units":1234,"more":1234,"expected_ms":129600000,
          "from":"assumed: 1%"}],"expected_ms":129600000,"deadline_ms":259200000},
         {"step":2,"what":"approval","needs":["the approval of somebody"]}],"doubts":["step 1 is slow"]}}"#;
    let stub = Stub::new(move |_| Some(Reply::ok(outlined)));
    let output = pinrail(&stub.url, &["deploy", "support=4f1c22", "--dry-run"]);
    let shown = text(&output.stdout);
    for expected in [
        "nothing was opened; support=1743b50f2728 in segment default could be. The rollout, worked out from 2 000 runs",
        "step 1: canary 10%  (about 36 h; asks after 3 d)\n  100 runs of the candidate\n",
        "error_rate  at most 10.00 points worse  about 1 200",
        "step 2: approval  (nobody can say how long)\n  the approval of somebody\n",
        "warning: step 1 is slow\n",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}{}", text(&output.stderr));
    }
}

#[test]
fn waiting_ends_as_the_rollout_does() {
    let check = |replies: Vec<String>, args: &[&str], expected: i32| {
        let stub =
            Stub::new(move |count| replies.get(count.min(replies.len() - 1)).map(|body| Reply::ok(body)));
        let output = pinrail(&stub.url, &[&["deployment", "wait", "3"], args].concat());
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{all}");
        stub.requests().iter().map(|request| request.path().to_owned()).collect::<Vec<_>>()
    };
    let under_way = || rollout(json!({}));
    let ended = |how: &str| rollout(json!({ "ended": { "at": 5, "seq": 9, "how": how } }));
    let why = json!({ "why": "person", "reason": "lunch" });
    let stopped = rollout(json!({ "stopped": { "at": 5, "seq": 9, "why": why, "words": "frozen" } }));
    let paths = check(vec![under_way(), ended("promoted")], &[], 0);
    assert_eq!(paths[0], "/api/v1/deployments/3/rollout");
    assert!(paths[1].starts_with("/api/v1/deployments/3/rollout?seen=0&wait_ms="), "{paths:?}");
    check(vec![ended("rolled back")], &[], 1);
    check(vec![stopped], &["--json"], 2);
    check(vec![under_way()], &["--timeout", "0s"], 3);
    assert_eq!(pinrail("http://127.0.0.1:9", &["deployment", "wait", "3"]).status.code(), Some(3));
}

#[test]
fn a_verdict_travels_with_its_report() {
    let digest = super::DIGEST;
    let stored = format!(r#"{{"digest":"{digest}","bytes":8}}"#);
    let stub = Stub::new(move |count| {
        Some(Reply::ok(match count {
            0 => &stored,
            1 => FLIP,
            _ => "{}",
        }))
    });
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    std::fs::write(&report, b"42 of 50").unwrap();
    let args = ["gate", "record", "3", "--verdict", "inconclusive", "--report", report.to_str().unwrap()];
    let output = pinrail(&stub.url, &args);
    assert!(
        text(&output.stdout).starts_with("gate of deployment 3 recorded: inconclusive (report sha256:1743")
    );
    let requests = stub.requests();
    assert_eq!((requests[0].path(), &requests[0].body[..]), ("/api/v1/artifacts", &b"42 of 50"[..]));
    let body: Value = serde_json::from_slice(&requests[1].body).unwrap();
    assert_eq!(body, json!({ "verdict": "inconclusive", "report": digest, "reason": "" }));
}

#[test]
fn a_timeline_shows_the_numbers_below_what_happened() {
    let page = r#"{"items":[{"at":1795190400000,"seq":15,"actor":{"kind":"system"},"what":"entered step 2 of 3: canary 25%",
        "reason":"canary 5% is through","evidence":{"findings":[{"guardrail":"error_rate","agent":"support","metric":"error_rate",
        "verdict":"not_worse","candidate":0.0,"incumbent":0.011,"harm":-0.011,"harm_low":-0.04,"harm_high":0.02,
        "samples":{"candidate":131,"incumbent":1420},"log_e":-1.0}],"runs":{"candidate":100,"incumbent":1902},
        "units":{"candidate":93,"incumbent":1811}}}]}"#;
    let stub = Stub::new(move |_| Some(Reply::ok(page)));
    let output = pinrail(&stub.url, &["deployment", "timeline", "3"]);
    let expected = "2026-11-20 16:00:00Z  entry 15  entered step 2 of 3: canary 25%  (pinrail)\n    canary 5% is through\n    \
        runs 100 and 1902, units 93 and 1811 (candidate and incumbent)\n    error_rate: 0.00% against 1.10% (131 and 1420 units), \
        at most 2.00 points worse\n";
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
}

#[test]
fn a_history_shows_each_guardrails_course() {
    let history = r#"{"deployment":3,"complete":true,"source":"observed","guardrails":[{"guardrail":"error_rate","agent":"support",
        "metric":"error_rate","unit":"share","direction":"lower","margin":"2%","harm":"difference","slack":5.0,"points":[
        {"at":1795190400000,"verdict":"undecided","candidate":0.0,"incumbent":0.02,"harm":-0.02,"harm_low":-0.5,"harm_high":0.4,
         "samples":{"candidate":4,"incumbent":90},"log_e":0.1},
        {"at":1795194000000,"verdict":"not_worse","candidate":0.01,"incumbent":0.011,"harm":-0.001,"harm_low":-0.04,"harm_high":0.02,
         "samples":{"candidate":131,"incumbent":1420},"log_e":-1.0}]},
        {"guardrail":"latency","agent":"support","metric":"latency","unit":"ms","direction":"lower","quantile":0.5,"margin":"20%",
         "harm":"ratio","slack":5.0,"points":[]}]}"#;
    let stub = Stub::new(move |_| Some(Reply::ok(history)));
    let output = pinrail(&stub.url, &["deployment", "history", "3"]);
    let shown = text(&output.stdout);
    let expected = "error_rate of support: margin 2.00 points, to prove: at most 10.00 points worse\n  at most worse  █▁\n";
    assert!(shown.starts_with(expected), "{shown}{}", text(&output.stderr));
    let last =
        "2026-11-20 17:00:00Z  1.00%      1.10%      -4.00 points to 2.00 points    131 and 1420  not worse";
    assert!(shown.contains(last), "{shown}");
    let unseen =
        "latency of support: margin 20.0%, to prove: at most 100.0% worse\n  nothing was observed yet";
    assert!(shown.contains(unseen), "{shown}");
    let json = pinrail(&stub.url, &["deployment", "history", "3", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(text(&json.stdout)).unwrap(),
        serde_json::from_str::<Value>(history).unwrap()
    );
    assert_eq!(stub.requests()[0].path(), "/api/v1/deployments/3/history");
}
