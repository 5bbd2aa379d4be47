use pinrail_gate::suite::{AssertKind, Assertion, Case, FORMAT, Suite, Turn};
use serde_json::{Value, json};

use crate::testing::Bench;

const GATES: &str = "/api/v1/gates";

/// A suite of so many cases, which an answer passes that holds `good`, as its agent's settings name it.
pub(crate) async fn suite(bench: &Bench, name: &str, cases: usize) -> Value {
    let case = |n| Case {
        turns: vec![Turn {
            messages: vec![json!({ "role": "user", "content": format!("q{n}") })],
            asserts: vec![],
        }],
        asserts: vec![Assertion { kind: AssertKind::Contains, value: "good".into(), ..Assertion::default() }],
        description: format!("question {n}"),
        ..Case::default()
    };
    let kind = pinrail_domain::gate::SuiteKind::Success;
    let cases = (0..cases).map(case).collect();
    let suite =
        Suite { pinrail_suite: FORMAT, name: name.to_owned(), kind, description: String::new(), cases };
    let bytes = pinrail_domain::canonical::to_vec(&suite).unwrap();
    let digest = bench.post_bytes("/api/v1/artifacts", &bytes).await.ok()["digest"].clone();
    json!({ "name": name, "kind": "success", "digest": digest })
}

/// Deployment 1, serving, and candidate 2 of an agent that is held to a suite; returns both releases.
async fn candidate(cases: usize) -> (Bench, String, String) {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let suite = suite(&bench, "basics", cases).await;
    let spec = json!({ "gate": { "suites": [suite], "repeats": 2, "concurrency": 2 } });
    bench.put("/api/v1/agents/support", spec).await.ok();
    let new = bench.release("sim-large-2026-04-01").await;
    let old = bench.release("sim-large-2026-03-01").await;
    bench.open_deployment(json!({ "releases": { "support": new }, "weight": 500 })).await.ok();
    (bench, new, old)
}

/// Starts a gate; returns its address.
async fn start(bench: &Bench, wish: Value) -> String {
    let started = bench.post(GATES, wish).await.ok();
    format!("{GATES}/{}", started["gates"][0]["gate"].as_str().unwrap())
}

/// Follows a gate until it is over.
pub(crate) async fn over(bench: &Bench, gate: &str) -> Value {
    loop {
        let shown = bench.get(&format!("{gate}/watch?wait_ms=1000&done=1000000")).await.ok();
        if shown["status"] != "running" {
            return bench.get(gate).await.ok();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_as_good_passes_and_may_be_promoted() {
    let (bench, new, old) = candidate(100).await;
    let gate = start(&bench, json!({ "deployment": 2, "reason": "for friday" })).await;
    let shown = over(&bench, &gate).await;
    assert_eq!(
        (&shown["status"], &shown["ended"]["verdict"]),
        (&json!("finished"), &json!("pass")),
        "{shown}"
    );
    assert_eq!((shown["candidate"].as_str(), shown["incumbent"].as_str()), (Some(&*new), Some(&*old)));
    assert_eq!(
        (&shown["progress"]["done"], &shown["settings"]["reason"]),
        (&json!(400), &json!("for friday"))
    );
    assert_eq!(shown["progress"]["spent_nano_usd"], 400_000);
    assert_eq!(shown["report"]["verdict"], "pass");
    assert_eq!(bench.models.count(), 400);
    // The verdict is in the ledger, with its statement, and the promotion finds it there.
    let statement = shown["ended"]["statement"].as_str().unwrap();
    bench.get(&format!("/api/v1/artifacts/{statement}")).await.ok();
    let entries = bench.get("/api/v1/ledger?limit=1000").await.ok();
    let judged =
        entries["items"].as_array().unwrap().iter().filter(|entry| entry["body"]["type"] == "gate_judged");
    assert_eq!(judged.count(), 1, "{entries}");
    bench.post("/api/v1/deployments/2/promote", json!({})).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_worse_candidate_fails_and_its_rows_say_where() {
    let (bench, new, _) = candidate(20).await;
    bench.models.says(&new, Ok("bad"));
    let gate = start(&bench, json!({ "deployment": 2 })).await;
    let shown = over(&bench, &gate).await;
    assert_eq!(shown["ended"]["verdict"], "fail", "{shown}");
    let rows = async |query: &str| bench.get(&format!("{gate}/rows?{query}")).await.ok();
    let all = rows("limit=1000").await;
    assert_eq!((all["items"].as_array().unwrap().len(), &all["next"]), (80, &Value::Null));
    let failed = rows("outcome=fail&limit=1000").await;
    let failed = failed["items"].as_array().unwrap();
    assert!(failed.len() == 40 && failed.iter().all(|row| row["arm"] == "candidate"));
    assert_eq!(rows("flipped=true&limit=1000").await["items"].as_array().unwrap().len(), 80);
    // Whole cases in the order of the suite, page by page.
    let (mut seen, mut query) = (Vec::new(), "limit=7".to_owned());
    loop {
        let page = rows(&query).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=7&after={next}");
    }
    assert_eq!(seen, (1..=20).flat_map(|n| [n; 4]).collect::<Vec<u64>>());
    let one = rows("suite=basics&case=3").await["items"].clone();
    assert_eq!((one.as_array().unwrap().len(), &one[0]["description"]), (4, &json!("question 2")));
    bench.get(&format!("{gate}/rows?outcome=good")).await.problem("bad_request");
    bench.get(&format!("{gate}/rows?after=x")).await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_stopped_and_taken_up_without_asking_twice() {
    let (bench, _, _) = candidate(100).await;
    let held = bench.models.gate.lock().await;
    let gate = start(&bench, json!({ "deployment": 2 })).await;
    let again = bench.post(GATES, json!({ "deployment": 2 })).await.problem("gate_state");
    assert!(gate.ends_with(again["gate"].as_str().unwrap()));
    bench.post(&format!("{gate}/resume"), json!({})).await.ok();
    drop(held);
    let progress = bench.get(&format!("{gate}/watch?done=0&wait_ms=1000")).await.ok();
    assert!(progress["progress"]["done"].as_u64().unwrap() > 0, "{progress}");
    let stopped = bench.post(&format!("{gate}/cancel"), json!({ "reason": "too dear" })).await.ok();
    assert_eq!(
        (&stopped["status"], &stopped["ended"]["why"]),
        (&json!("cancelled"), &json!("somebody stopped it"))
    );
    // Stopping what is stopped is no mistake.
    bench.post(&format!("{gate}/cancel"), json!({})).await.ok();
    let (asked, done) = (bench.models.count(), stopped["progress"]["done"].as_u64().unwrap());
    bench.post(&format!("{gate}/resume"), json!({})).await.ok();
    assert_eq!(over(&bench, &gate).await["ended"]["verdict"], "pass");
    assert_eq!(bench.models.count() - asked, 400 - usize::try_from(done).unwrap());
    let problem = bench.post(&format!("{gate}/cancel"), json!({})).await.problem("gate_state");
    assert_eq!(problem["gate_status"], "finished");
    bench.post(&format!("{gate}/resume"), json!({})).await.problem("gate_state");
}

/// I9: a server that comes back goes on with what it had.
#[tokio::test(start_paused = true)]
async fn a_restart_takes_gates_up() {
    let (bench, _, _) = candidate(100).await;
    let gate = start(&bench, json!({ "deployment": 2 })).await;
    bench.get(&format!("{gate}/watch?done=0&wait_ms=1000")).await.ok();
    bench.state.gates.stop().await;
    let left = bench.get(&gate).await.ok();
    assert_eq!(left["status"], "running");
    let asked = bench.models.count();
    let rows = bench.get(&format!("{gate}/rows?limit=1000")).await.ok()["items"].as_array().unwrap().len();
    assert!(rows > 0 && rows < 400, "{rows}");
    assert_eq!(bench.state.gates.take_up().await.unwrap(), 1);
    assert_eq!(over(&bench, &gate).await["ended"]["verdict"], "pass");
    assert_eq!(bench.models.count() - asked, 400 - rows);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_take_and_starts_nothing() {
    let (bench, new, _) = candidate(100).await;
    let wish = json!({ "deployment": 2, "dry_run": true, "repeats": 5, "budget": "2.50" });
    let would = bench.post(GATES, wish).await.ok()["gates"][0].clone();
    assert_eq!((&would["gate"], would["candidate"].as_str()), (&Value::Null, Some(&*new)));
    let estimate = &would["estimate"];
    assert_eq!(
        (&estimate["cases"], &estimate["answers"], &estimate["calls"]),
        (&json!(100), &json!(1000), &json!(1000))
    );
    assert_eq!(estimate["budget_nano_usd"], 2_500_000_000_u64);
    assert!(estimate["input_tokens"].as_u64().unwrap() > 1_000 && estimate["time_ms"].as_u64().unwrap() > 0);
    assert_eq!(bench.models.count(), 0);
    assert_eq!(bench.get(GATES).await.ok()["items"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_same_request_starts_one_gate() {
    let (bench, _, _) = candidate(3).await;
    let headers = [("idempotency-key", "gate-1")];
    let wish = json!({ "deployment": 2 });
    let first = bench.send("POST", GATES, &headers, Some(&wish)).await;
    let gate = format!("{GATES}/{}", first.ok()["gates"][0]["gate"].as_str().unwrap());
    over(&bench, &gate).await;
    let second = bench.send("POST", GATES, &headers, Some(&wish)).await;
    assert_eq!(second.ok()["gates"][0]["gate"], first.ok()["gates"][0]["gate"]);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    let other = bench.send("POST", GATES, &headers, Some(&json!({ "deployment": 1 }))).await;
    other.problem("idempotency_key_reused");
    assert_eq!(bench.get(GATES).await.ok()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn gates_are_listed_by_what_they_are_of() {
    let (bench, new, old) = candidate(3).await;
    let first = start(&bench, json!({ "deployment": 2 })).await;
    over(&bench, &first).await;
    let wish = json!({ "agent": "support", "candidate": &new[..20], "incumbent": old, "reuse": true });
    let second = start(&bench, wish).await;
    let shown = over(&bench, &second).await;
    assert_eq!((&shown["progress"]["reused"], &shown["deployment"]), (&json!(12), &Value::Null));
    assert_eq!(bench.models.count(), 12);
    let ids = async |query: &str| {
        let gates = bench.get(&format!("{GATES}?{query}")).await.ok()["items"].clone();
        let gates = gates
            .as_array()
            .unwrap()
            .iter()
            .map(|gate| format!("{GATES}/{}", gate["gate"].as_str().unwrap()));
        gates.collect::<Vec<_>>()
    };
    assert_eq!(ids("agent=support").await, [second.clone(), first.clone()]);
    assert_eq!(ids("deployment=2").await, std::slice::from_ref(&first));
    assert_eq!(ids("limit=1").await, std::slice::from_ref(&second));
    assert_eq!(ids("status=running").await, [""; 0]);
    assert_eq!(ids("status=finished").await.len(), 2);
    bench.get(&format!("{GATES}?status=odd")).await.problem("bad_request");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_judged_is_refused_with_the_way_on() {
    let (bench, new, old) = candidate(3).await;
    let refused = async |wish: Value, code: &str, hint: &str| {
        let problem = bench.post(GATES, wish).await.problem(code);
        let next = problem["next_step"].as_str().unwrap();
        assert!(next.contains(hint), "{next}");
    };
    refused(json!({}), "bad_request", "pinrail gate run").await;
    refused(json!({ "deployment": 2, "agent": "support" }), "bad_request", "pinrail gate run").await;
    refused(json!({ "deployment": 9 }), "not_found", "pinrail deployment list").await;
    refused(json!({ "deployment": 1 }), "not_a_candidate", "pinrail deploy").await;
    refused(json!({ "agent": "sales", "candidate": new }), "not_found", "agents/sales/agent.toml").await;
    refused(json!({ "agent": "support", "candidate": "abcdef" }), "not_found", "pinrail release list").await;
    refused(json!({ "agent": "support", "candidate": old }), "already_active", "--incumbent").await;
    refused(json!({ "deployment": 2, "budget": 0 }), "bad_request", "--budget").await;
    refused(json!({ "deployment": 2, "repeats": 1000 }), "bad_request", "correct it").await;
    refused(json!({ "deployment": 2, "suites": ["more"] }), "no_suites", "pinrail agent show").await;
    let mut gone = suite(&bench, "gone", 1).await;
    gone["digest"] = json!(pinrail_domain::digest::Digest::of(b"gone").to_string());
    bench.put("/api/v1/agents/support", json!({ "gate": { "suites": [gone] } })).await.ok();
    refused(json!({ "deployment": 2 }), "bad_suite", "pinrail apply").await;
    bench.put("/api/v1/agents/support", json!({})).await.ok();
    refused(json!({ "deployment": 2 }), "no_suites", "agents/support/evals").await;
    bench.get(&format!("{GATES}/gate_00000000000000000000000001")).await.problem("not_found");
    bench.get(&format!("{GATES}/7")).await.problem("bad_name");
}

#[tokio::test(start_paused = true)]
async fn whoever_only_reads_starts_nothing() {
    let (bench, _, _) = candidate(3).await;
    let gate = start(&bench, json!({ "deployment": 2 })).await;
    over(&bench, &gate).await;
    bench.key(&["admin"], None).await;
    let reader = bench.as_key(&bench.key(&["read"], None).await);
    reader.get(&gate).await.ok();
    reader.get(&format!("{gate}/rows")).await.ok();
    reader.post(GATES, json!({ "deployment": 2 })).await.problem("forbidden");
    reader.post(&format!("{gate}/resume"), json!({})).await.problem("forbidden");
}
