//! The pages of gates, over a server in memory with scripted models.

use pinrail_gate::suite::{AssertKind, Assertion, Case, FORMAT, Suite, Turn};
use serde_json::{Value, json};

use super::{HTML, text};
use crate::api::gates::tests::over;
use crate::testing::Bench;

const HOSTILE: &str = "<script>alert(1)</script></textarea>\u{202e}\u{1b}[31m";

/// A suite of so many hostile cases, which an answer passes that holds `good`.
async fn suite(bench: &Bench, cases: usize) -> Value {
    let case = |n: usize| Case {
        turns: vec![Turn {
            messages: vec![json!({ "role": "user", "content": format!("{n} {HOSTILE}") })],
            asserts: vec![],
        }],
        asserts: vec![Assertion { kind: AssertKind::Contains, value: "good".into(), ..Assertion::default() }],
        description: format!("question {n} {HOSTILE}"),
        ..Case::default()
    };
    let kind = pinrail_domain::gate::SuiteKind::Success;
    let cases = (0..cases).map(case).collect();
    let suite =
        Suite { pinrail_suite: FORMAT, name: "basics".to_owned(), kind, description: String::new(), cases };
    let bytes = pinrail_domain::canonical::to_vec(&suite).unwrap();
    let digest = bench.post_bytes("/api/v1/artifacts", &bytes).await.ok()["digest"].clone();
    json!({ "name": "basics", "kind": "success", "digest": digest })
}

/// A candidate whose gate has 12 cases; returns its release and the one that is active.
async fn candidate() -> (Bench, String, String) {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let suite = suite(&bench, 12).await;
    let spec = json!({ "gate": { "suites": [suite], "repeats": 2, "concurrency": 2 } });
    bench.put("/api/v1/agents/support", spec).await.ok();
    let old = bench.release("sim-large-2026-03-01").await;
    let new = bench.release("sim-large-2026-04-01").await;
    bench.open_deployment(json!({ "releases": { "support": new }, "weight": 500 })).await.ok();
    (bench, new, old)
}

async fn start(bench: &Bench) -> String {
    let started = bench.post("/api/v1/gates", json!({ "deployment": 2, "reason": HOSTILE })).await.ok();
    started["gates"][0]["gate"].as_str().unwrap().to_owned()
}

async fn page(bench: &Bench, path: &str) -> String {
    let shown = bench.send("GET", path, &[HTML], None).await;
    let html = text(&shown);
    assert_eq!(shown.status, 200, "{path}: {html}");
    assert!(!html.contains("<script>") && !html.contains("</textarea"), "{path}: {html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{path}: {html}");
    html
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_failed_shows_its_flipped_cases_side_by_side() {
    let (bench, new, old) = candidate().await;
    assert!(page(&bench, "/gates").await.contains("No gate has run"));
    bench.models.says(&new, Ok(&format!("bad {HOSTILE}")));
    let gate = start(&bench).await;
    over(&bench, &format!("/api/v1/gates/{gate}")).await;

    let list = page(&bench, "/gates?agent=support").await;
    assert!(list.contains(&gate) && list.contains("fail") && list.contains(">basics<"), "{list}");
    let twin = bench.get("/gates.json").await.ok();
    assert_eq!(
        (&twin["items"][0]["suites"][0]["verdict"], &twin["suites"][0]["cases"]),
        (&json!("fail"), &json!(12))
    );
    assert!(page(&bench, "/gates?status=running").await.contains("No gate is like that"));
    assert_eq!(bench.send("GET", "/gates?status=odd", &[HTML], None).await.status, 400);

    let path = format!("/gates/{gate}");
    let shown = page(&bench, &path).await;
    for seen in [
        "100 points worse",
        "<ins>",
        "expected",
        "contains: good",
        "unsigned",
        "0 of 2 passed",
        "2 of 2 passed",
    ] {
        assert!(shown.contains(seen), "{seen}: {shown}");
    }
    let twin = bench.get(&format!("{path}.json")).await.ok();
    assert_eq!(twin["suites"][0]["judged"]["pairs"]["only_incumbent"], 12);
    let items = twin["cases"]["items"].as_array().unwrap();
    assert_eq!((items.len(), &twin["cases"]["show"]), (10, &json!("flipped")));
    assert_eq!(items[0]["candidate"]["answers"].as_array().unwrap().len(), 2);
    let next = twin["cases"]["next"].as_str().unwrap();
    let rest = bench.get(&format!("{path}.json?show=failed&suite=basics&after={next}")).await.ok();
    assert_eq!(rest["cases"]["items"].as_array().unwrap().len(), 2);
    assert_eq!(rest["cases"].get("next"), None);
    let none = bench.get(&format!("{path}.json?show=errors")).await.ok();
    assert_eq!(none["cases"]["items"], json!([]));
    assert_eq!(bench.send("GET", &format!("{path}?after=x"), &[HTML], None).await.status, 400);
    // What it rests on is handed out to whoever may see the page, and the pair's comparison leads here.
    let statement = bench.send("GET", &format!("{path}/statement"), &[HTML], None).await;
    assert_eq!(statement.header("content-type"), Some("application/vnd.dsse.envelope.v1+json"));
    let report = bench.send("GET", &format!("{path}/report?format=junit"), &[HTML], None).await;
    assert_eq!((report.status, report.header("x-content-type-options")), (200, Some("nosniff")));
    let diff = page(&bench, &format!("/releases/{}/diff/{}", &old[7..], &new[7..])).await;
    assert!(diff.contains(&gate), "{diff}");
    let release = page(&bench, &format!("/releases/{}", &new[7..])).await;
    assert!(release.contains(&gate) && release.contains("gate judged"), "{release}");
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_stopped_and_taken_up_from_its_page() {
    let (bench, _, _) = candidate().await;
    let held = bench.models.gate.lock().await;
    let gate = start(&bench).await;
    let path = format!("/gates/{gate}");
    let running = page(&bench, &path).await;
    assert!(running.contains("id=\"gate-running\"") && running.contains("/cancel\""), "{running}");
    assert!(running.contains("hx-sse:connect"), "{running}");
    let mut events = bench.follow_epochs(&format!("{path}.live"), &[]).await;
    let confirm = page(&bench, &format!("{path}/cancel")).await;
    assert!(confirm.contains("0 of 48 answers are there"), "{confirm}");
    let done = bench.send_form(&format!("{path}/cancel"), &[HTML], &[("reason", "too dear")]).await;
    assert_eq!((done.status, done.header("location")), (303, Some(path.as_str())), "{}", text(&done));
    // Whoever follows the page is told to load it anew.
    let mut told = String::new();
    while !told.contains("event: reload") {
        told.push_str(&events.next().await.unwrap());
    }
    let stopped = page(&bench, &path).await;
    assert!(stopped.contains("cancelled") && stopped.contains("/resume\""), "{stopped}");
    let again = bench.send_form(&format!("{path}/cancel"), &[HTML], &[]).await;
    assert_eq!(again.status, 303, "stopped is stopped");
    page(&bench, &format!("{path}/resume")).await;
    drop(held);
    let done = bench.send_form(&format!("{path}/resume"), &[HTML], &[]).await;
    assert_eq!(done.status, 303, "{}", text(&done));
    let ended = over(&bench, &format!("/api/v1/gates/{gate}")).await;
    assert_eq!(ended["status"], "finished", "{ended}");
    assert_eq!(bench.send_form(&format!("{path}/resume"), &[HTML], &[]).await.status, 409);
    assert!(!page(&bench, &path).await.contains("/resume\""));
}
