//! Verdicts of evals that another tool ran, from the file to what people are shown.

use pinrail_domain::digest::Digest;
use pinrail_gate::statement::Envelope;
use serde_json::{Value, json};

use crate::testing::Bench;

/// promptfoo's results of this model: so many passed and failed answers.
fn results(model: &str, passed: usize, failed: usize, when: &str) -> Vec<u8> {
    let entry = |n: usize| {
        let pass = n < passed;
        json!({
            "promptIdx": 0, "testIdx": n, "provider": { "id": "sim", "label": model },
            "testCase": { "vars": { "q": n }, "assert": [{ "type": "equals", "value": "42" }] },
            "response": { "output": "41", "raw": { "model": model } },
            "success": pass, "score": usize::from(pass), "failureReason": usize::from(!pass),
            "gradingResult": { "pass": pass, "reason": "<b>41</b>", "componentResults": [] },
        })
    };
    let entries: Vec<Value> = (0..passed + failed).map(entry).collect();
    let results = json!({ "version": 3, "timestamp": when, "results": entries });
    serde_json::to_vec(&json!({ "evalId": "e", "results": results })).unwrap()
}

const NEW: &str = "sim-large-2026-04-01";
const OLD: &str = "sim-large-2026-03-01";
const YESTERDAY: &str = "2027-01-14T08:00:00.000Z";

struct World {
    bench: Bench,
    new: String,
    old: String,
}

async fn world() -> World {
    let bench = Bench::open().await;
    bench.agent_and_provider().await;
    let (new, old) = (bench.release(NEW).await, bench.release(OLD).await);
    World { bench, new, old }
}

impl World {
    /// A wish to import these two files.
    async fn wish(&self, new: &[u8], old: &[u8]) -> Value {
        let mut digests = Vec::new();
        for file in [new, old] {
            self.bench.post_bytes("/api/v1/artifacts", file).await.ok();
            digests.push(Digest::of(file).to_string());
        }
        json!({
            "format": "promptfoo", "agent": "support", "candidate": self.new, "incumbent": self.old,
            "candidate_answers": { "document": digests[0] }, "incumbent_answers": { "document": digests[1] },
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_imported_eval_is_a_verdict_with_report_and_statement() {
    let world = world().await;
    let World { bench, new, old } = &world;
    let wish = world.wish(&results(NEW, 100, 0, YESTERDAY), &results(OLD, 100, 0, YESTERDAY)).await;
    let done = bench.post("/api/v1/gates/import", wish.clone()).await.ok();
    assert_eq!(
        (&done["verdict"], &done["listed"], &done["signed"]),
        (&json!("pass"), &json!(false), &json!(false))
    );
    assert_eq!(done["answers"], 200);
    let gate = done["gate"].as_str().unwrap();
    let snapshot = bench.control.snapshot();
    let judged = snapshot.world.gates.values().flatten().next().unwrap().clone();
    assert_eq!(judged.gate.to_string(), gate);
    assert_eq!(judged.judgement.candidate.to_string(), *new);
    assert_eq!(judged.judgement.incumbent.map(|release| release.to_string()), Some(old.clone()));
    assert_eq!(judged.judgement.served, [NEW]);
    assert_eq!(json!(judged.judgement.source), "promptfoo");

    let shown = |format: &'static str| async move {
        let answer = bench.get(&format!("/api/v1/gates/{gate}/report?format={format}")).await;
        assert_eq!((answer.status, answer.header("x-content-type-options")), (200, Some("nosniff")));
        (answer.header("content-type").unwrap().to_owned(), String::from_utf8(answer.body.to_vec()).unwrap())
    };
    let (kind, text) = shown("text").await;
    assert!(kind.starts_with("text/plain") && text.contains("unsigned") && text.contains(": pass"), "{text}");
    let (kind, text) = shown("markdown").await;
    assert!(kind.starts_with("text/markdown") && text.starts_with("### Gate: pass"), "{text}");
    let (kind, text) = shown("junit").await;
    assert!(kind == "application/xml" && text.contains("failures=\"0\""), "{text}");
    let report = bench.get(&format!("/api/v1/gates/{gate}/report")).await;
    assert_eq!(Digest::of(&report.body).to_string(), done["report"]);
    let statement = bench.get(&format!("/api/v1/gates/{gate}/statement")).await;
    assert_eq!(Digest::of(&statement.body).to_string(), done["statement"]);
    let envelope: Envelope = serde_json::from_slice(&statement.body).unwrap();
    let numbers = envelope.unverified().unwrap().predicate.pinrail.unwrap();
    assert_eq!((numbers.gate.to_string().as_str(), json!(numbers.report)), (gate, done["report"].clone()));

    // The suite that it made is one that later imports fit into, once it is listed.
    let pin = json!({ "name": "tests", "kind": "success", "digest": done["suite"]["digest"] });
    bench.put("/api/v1/agents/support", json!({ "gate": { "suites": [pin] } })).await.ok();
    let mut again = wish.clone();
    again["suite"] = json!("tests");
    let again = bench.post("/api/v1/gates/import", again).await.ok();
    assert_eq!((&again["listed"], &again["suite"]["name"]), (&json!(true), &json!("tests")));
    let third = bench.post("/api/v1/gates/import", wish).await.ok();
    assert_eq!(third["suite"], again["suite"], "what the settings say of a suite counts, whoever made it");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_evidence_is_refused_with_the_way_on() {
    let world = world().await;
    let bench = &world.bench;
    let (good, old) = (results(NEW, 100, 0, YESTERDAY), results(OLD, 100, 0, YESTERDAY));
    let check = async |file: &[u8], change: Value, code: &str| {
        let mut wish = world.wish(file, &old).await;
        wish.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        bench.post("/api/v1/gates/import", wish).await.problem(code)
    };
    check(b"{}", json!({}), "bad_evidence").await;
    let stale = results(NEW, 100, 0, "2026-11-01T00:00:00Z");
    let refused = check(&stale, json!({}), "bad_evidence").await;
    assert!(refused["detail"].as_str().unwrap().contains("counts no longer"), "{refused}");
    check(&results(NEW, 100, 0, "2027-02-01T00:00:00Z"), json!({}), "bad_evidence").await;
    check(&good, json!({ "agent": "nobody" }), "not_found").await;
    check(&good, json!({ "candidate": "ffffff" }), "not_found").await;
    check(&good, json!({ "suite": "refunds" }), "not_found").await;
    check(&good, json!({ "suite": "refunds", "kind": "safety" }), "bad_request").await;
    check(&good, json!({ "pass_at": 2 }), "bad_request").await;
    check(&good, json!({ "name": "No Name" }), "bad_request").await;
    check(&good, json!({ "incumbent": null }), "bad_request").await;
    check(&good, json!({ "candidate_answers": { "document": Digest::of(b"?") } }), "not_found").await;
    bench.get("/api/v1/gates/gate_00000000010000000000000001/report").await.problem("not_found");
    bench.get("/api/v1/gates/gate_00000000010000000000000001/statement").await.problem("not_found");
    assert!(bench.control.snapshot().world.gates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_model_than_the_pin_proves_nothing() {
    let world = world().await;
    let wish = world
        .wish(&results("sim-small-2026-04-01", 100, 0, YESTERDAY), &results(OLD, 100, 0, YESTERDAY))
        .await;
    let done = world.bench.post("/api/v1/gates/import", wish).await.ok();
    assert_eq!(done["verdict"], "inconclusive");
    assert_eq!(done["refused"][0]["answers"], 100);
    let why = done["refused"][0]["why"].as_str().unwrap();
    assert!(why.contains("sim-small-2026-04-01 answered"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_import_asked_for_twice_is_one_verdict() {
    let world = world().await;
    let wish = world.wish(&results(NEW, 50, 50, YESTERDAY), &results(OLD, 100, 0, YESTERDAY)).await;
    let headers = [("idempotency-key", "once-more")];
    let send = async || world.bench.send("POST", "/api/v1/gates/import", &headers, Some(&wish)).await;
    let (first, second) = (send().await.ok(), send().await.ok());
    assert_eq!(
        (&first["verdict"], &first["gate"], &first["statement"]),
        (&json!("fail"), &second["gate"], &second["statement"])
    );
    assert_eq!(world.bench.control.snapshot().world.gates.values().flatten().count(), 1);
    // It is listed beside those that were run.
    let listed = world.bench.get("/api/v1/gates").await.ok();
    let listed = listed["items"].as_array().unwrap();
    assert_eq!(
        (listed.len(), &listed[0]["gate"], &listed[0]["status"]),
        (1, &first["gate"], &json!("finished"))
    );
    assert_eq!(listed[0]["ended"]["verdict"], "fail");
}
