use serde_json::{Value, json};

use crate::testing::{Answered, Bench};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

fn text(answered: &Answered) -> String {
    String::from_utf8(answered.body.to_vec()).unwrap()
}

async fn open(bench: &Bench, path: &str) -> String {
    let answered = bench.send("GET", path, &[HTML], None).await;
    assert_eq!(answered.status, 200, "{path}: {}", text(&answered));
    text(&answered)
}

/// Sends a form and follows where it leads.
async fn act(bench: &Bench, path: &str, fields: &[(&str, &str)]) -> String {
    let answered = bench.send_form(path, &[HTML], fields).await;
    assert_eq!(answered.status, 303, "{path}: {}", text(&answered));
    open(bench, answered.header("location").unwrap()).await
}

fn rollout() -> Value {
    json!({ "steps": [{ "canary": { "percent": 50, "min_runs": 1000 } }, { "approve": {} }],
            "guardrails": [{ "metric": "error_rate", "margin": "2%" }] })
}

#[tokio::test(start_paused = true)]
async fn a_rollout_is_shown_frozen_and_taken_back_with_its_entry() {
    let bench = Bench::open().await;
    let id = bench.roll_out(rollout()).await;
    let run = bench.run_on(id, "acme").await;
    let page = format!("/deployments/{id}");
    let shown = open(&bench, &page).await;
    for needle in
        ["canary 50%", "error_rate of support", "/freeze", &format!("/runs/{run}"), "opened; step 1 of 2"]
    {
        assert!(shown.contains(needle), "{needle}: {shown}");
    }
    assert!(shown.contains(&format!("{page}.live?seen=")) && !shown.contains("/weight"), "{shown}");
    assert!(open(&bench, &format!("{page}/freeze")).await.contains("Guardrails go on watching"));
    let frozen = act(&bench, &format!("{page}/freeze"), &[("reason", "a fair is on")]).await;
    assert!(frozen.contains("frozen by a person: a fair is on") && frozen.contains("/weight"), "{frozen}");
    assert!(frozen.contains(", because: a fair is on"), "{frozen}");
    let weighed = act(&bench, &format!("{page}/weight"), &[("weight", "7.5"), ("reason", "less")]).await;
    assert!(weighed.contains("7.5 % of its traffic"), "{weighed}");
    let asked = open(&bench, &format!("{page}/rollback?cascade=true")).await;
    for needle in
        ["support returns to", "deployment 1", "1 run", "name=\"cascade\" value=\"true\"", "required"]
    {
        assert!(asked.contains(needle), "{needle}: {asked}");
    }
    let unsaid = bench.send_form(&format!("{page}/rollback"), &[HTML], &[("reason", "")]).await;
    assert_eq!(unsaid.status, 400, "it needs a reason");
    let back = act(&bench, &format!("{page}/rollback"), &[("reason", "wrong refunds")]).await;
    for needle in ["rolled back", ", because: wrong refunds", "is held", "/lift?agent=support", "Flipped in"]
    {
        assert!(back.contains(needle), "{needle}: {back}");
    }
    assert!(!back.contains(&format!("{page}/rollback")), "once is enough: {back}");
    let lift = format!("{page}/lift");
    assert!(open(&bench, &format!("{lift}?agent=support&segment=default")).await.contains("wrong refunds"));
    let fields = [("agent", "support"), ("segment", "default"), ("reason", "mended")];
    assert!(!act(&bench, &lift, &fields).await.contains("is held"));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_is_promoted_and_listed_and_a_data_job_committed() {
    let bench = Bench::open().await;
    assert!(open(&bench, "/deployments").await.contains("Nothing was deployed yet"));
    let id = bench.roll_out(rollout()).await;
    let page = format!("/deployments/{id}");
    assert!(open(&bench, &format!("{page}/promote")).await.contains("although its rollout isn’t through"));
    let refused = bench.send_form(&format!("{page}/promote"), &[HTML], &[("reason", "r")]).await;
    assert!(
        refused.status == 409 && text(&refused).contains("pinrail deployment show"),
        "{}",
        text(&refused)
    );
    let fields = [("reason", "it cannot wait"), ("overridden", "true")];
    let promoted = act(&bench, &format!("{page}/promote"), &fields).await;
    assert!(promoted.contains("promoted, overriding its rollout: it cannot wait"), "{promoted}");
    let job = bench.open_deployment(json!({ "ingest": "docs" })).await.ok()["deployment"].as_u64().unwrap();
    assert!(open(&bench, &format!("/deployments/{job}")).await.contains("data job docs"));
    assert!(open(&bench, &format!("/deployments/{job}/commit")).await.contains("What data job docs wrote"));
    let committed = act(&bench, &format!("/deployments/{job}/commit"), &[("reason", "done")]).await;
    assert!(committed.contains("committed"), "{committed}");
    let list = open(&bench, "/deployments").await;
    assert!(list.contains("data job docs") && list.contains("superseded"), "{list}");
    assert!(!open(&bench, "/deployments?agent=support").await.contains("data job"));
    let twin = bench.get(&format!("{page}.json")).await.ok();
    assert_eq!(
        (&twin["deployment"]["state"], &twin["rollout"]["ended"]["how"]),
        (&json!("active"), &json!("promoted"))
    );
    for missing in ["/deployments/99", "/deployments/99/rollback", "/deployments/99/freeze"] {
        assert_eq!(bench.send("GET", missing, &[HTML], None).await.status, 404, "{missing}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_be_seen_now_is_proven_and_pairs_have_a_page() {
    let bench = Bench::open().await;
    let id = bench.roll_out(rollout()).await;
    bench.get(&format!("/api/v1/deployments/{id}/manifest")).await;
    while bench.get(&format!("/api/v1/deployments/{id}")).await.ok()["manifest"].is_null() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(open(&bench, &format!("/deployments/{id}/verify")).await.contains("It holds."));
    let pairs = open(&bench, &format!("/deployments/{id}/pairs")).await;
    assert!(pairs.contains("No copy was answered yet"), "{pairs}");
}
