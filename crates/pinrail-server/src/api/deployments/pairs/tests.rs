use pinrail_domain::begin::{Call as ModelCall, CopyOf, Fate};
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::id::{DeploymentId, RunId, SegmentName, TenantId};
use pinrail_domain::journal::{Body, Event, ModelResponse, Outcome};
use pinrail_domain::key::Tenants;
use pinrail_domain::rollout::Plan;
use pinrail_domain::rollout::divergence::{Said, compare};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::time::Timestamp;
use serde_json::json;

use crate::testing::Bench;

/// A server with a candidate that answers copies of everything.
async fn shadowed() -> (Bench, DeploymentId) {
    let bench = Bench::open().await;
    bench.deploy_now().await;
    let steps = json!([{ "shadow": { "percent": 100, "min_runs": 10, "budget": 1 } }]);
    let spec = json!({ "journal": { "bodies": "full" }, "rollout": { "steps": steps } });
    bench.put("/api/v1/agents/support", spec).await.ok();
    let release = bench.release("sim-large-2026-04-01").await;
    let release = serde_json::from_value(json!(release)).unwrap();
    let (agent, segment) = ("support".parse().unwrap(), SegmentName::default_segment());
    let snapshot = bench.control.snapshot();
    let plan = Plan::of(&agent, &snapshot.world.agents[&agent], &segment);
    let traffic = Traffic::Rollout(Box::new(plan));
    let open = Open { releases: [(agent, release)].into(), segment, traffic, lift_hold: false };
    let by = pinrail_control::By {
        actor: pinrail_domain::ledger::Actor::Open,
        reason: "a candidate".into(),
        idempotency: None,
        term: None,
    };
    let id = bench.control.deploy(by, &open).await.unwrap().value.deployment;
    (bench, id)
}

/// A live answer, and the candidate's to a copy of the request.
async fn pair(bench: &Bench, tenant: &str, live_text: &str, text: &str) -> (RunId, RunId) {
    let runs = bench.control.runs();
    let call = ModelCall {
        agent: "support".to_owned(),
        tenant: TenantId::new(tenant).unwrap(),
        run: None,
        session: None,
        attributes: Default::default(),
    };
    let live = runs.begin(call).await.unwrap();
    let target = live.shadow.expect("every run is copied");
    let copy = runs.begin_shadow(CopyOf { live: live.stamp.clone(), target }).await.unwrap();
    let answered = |text: &str| {
        let message = json!({ "role": "assistant", "content": text });
        let body = json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
        let body = Some(Body::Text { text: body.to_string(), truncated: false });
        let finish_reason = Some("stop".to_owned());
        let cost_nano_usd = Some(5);
        let response =
            ModelResponse { call: 1, status: 200, finish_reason, cost_nano_usd, body, ..Default::default() };
        (Timestamp(9), Event::ModelResponse(Box::new(response)))
    };
    let said = |text: &str| Said { text: text.to_owned(), ..Said::default() };
    let compared = compare(live.stamp.run, 1, &said(text), &said(live_text));
    let end = || (Timestamp(9), Event::Finished { outcome: Outcome::Ok, why: None });
    runs.record(live.stamp.run, vec![answered(live_text), end()]).await;
    let compared = (Timestamp(9), Event::Compared(Box::new(compared)));
    runs.record(copy.stamp.run, vec![answered(text), compared, end()]).await;
    runs.copied(target.deployment, Fate::Queued);
    runs.copied(target.deployment, Fate::Compared { cost: Usd { nano: 5 } });
    let mut changes = runs.changes();
    while runs
        .get(copy.stamp.run, &Tenants::All)
        .await
        .unwrap()
        .is_none_or(|run| run.summary.divergence.is_none())
    {
        changes.changed().await.unwrap();
    }
    (live.stamp.run, copy.stamp.run)
}

#[tokio::test(start_paused = true)]
async fn pairs_are_listed_newest_or_worst_first_and_shown_side_by_side() {
    let (bench, id) = shadowed().await;
    let (live, one) = pair(&bench, "acme", "yes it is", "no it isn't").await;
    let (_, two) = pair(&bench, "acme", "yes", "yes").await;
    let (_, three) = pair(&bench, "umbrella", "a b c d", "a b c e").await;
    let path = format!("/api/v1/deployments/{id}/pairs");
    let check = async |query: &str, expected: &[RunId]| {
        let page = bench.get(&format!("{path}?{query}")).await.ok();
        let found: Vec<_> =
            page["items"].as_array().unwrap().iter().map(|pair| pair["run"].clone()).collect();
        assert_eq!(json!(found), json!(expected), "{query}");
        page
    };
    let all = check("", &[three, two, one]).await;
    assert_eq!(
        all["copies"],
        json!({
            "queued": 3, "dropped": 0, "refused": 0, "failed": 0, "compared": 3, "spent": all["copies"]["spent"]
        })
    );
    let page = check("limit=2", &[three, two]).await;
    check(&format!("before={}", page["next"].as_str().unwrap()), &[one]).await;
    check("worst=true&limit=2", &[one, three]).await;

    let shown = bench.get(&format!("{path}/{one}")).await.ok();
    assert_eq!(shown["candidate"]["text"], "no it isn't");
    assert_eq!((&shown["live"]["text"], &shown["live"]["run"]), (&json!("yes it is"), &json!(live)));
    assert!(shown["compared"]["divergence"].as_f64().unwrap() > 0.5, "{shown}");
    // I11
    let umbrella = bench.for_tenant("umbrella");
    umbrella.get(&format!("{path}/{one}")).await.problem("not_found");
    assert_eq!(umbrella.get(&path).await.ok()["items"].as_array().unwrap().len(), 1);
    bench.get(&format!("{path}/{live}")).await.problem("not_found");
    bench.get("/api/v1/deployments/99/pairs").await.problem("not_found");
}

#[tokio::test(start_paused = true)]
async fn copies_are_no_part_of_the_runs_unless_asked_for() {
    let (bench, id) = shadowed().await;
    let (live, copy) = pair(&bench, "acme", "yes", "yes").await;
    let check = async |query: &str, expected: &[RunId]| {
        let page = bench.get(&format!("/api/v1/runs?{query}")).await.ok();
        let found: Vec<_> = page["items"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
        assert_eq!(json!(found), json!(expected), "{query}");
    };
    check("", &[live]).await;
    check("shadow=true", &[copy]).await;
    check(&format!("deployment={id}"), &[]).await;
}
