//! `POST /api/v1/runs/{run}/resume`: what a worker needs to go on, whatever was rolled back since (I2).
//!
//! Resuming a run that runs changes nothing, so sending it twice is sending it once.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::RunResumed;
use pinrail_control::runs::Resumed;
use pinrail_domain::id::EventSeq;

use super::{id, refused};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn resume(call: Call) -> Answer {
    let run = id(&call)?;
    call.idempotency()?;
    let tenants = call.tenants()?;
    let runs = call.control().runs();
    let Resumed { run: found, contract } =
        runs.resume(run, &tenants).await.map_err(|error| refused(run, error))?;
    let limit = call.state.limits.page_max;
    let events =
        runs.events(run, &tenants, EventSeq(0), limit).await.map_err(|error| problem::store(&error))?;
    let events = events.ok_or_else(|| call.no_run(run))?;
    let after = events.last().map_or(EventSeq(0), |last| last.seq.next());
    let tools = contract.tools.as_deref().map(serde_json::from_str).transpose();
    let tools = tools.map_err(|error| {
        Problem::new(Code::StoreDamaged, format!("the release's tools are no JSON: {error}"))
            .next_step("restore the store from a backup")
    })?;
    reply::json(&RunResumed {
        run,
        more_from: (after < found.summary.next).then_some(after),
        stamp: found.stamp,
        summary: found.summary,
        manifest: (*contract.manifest).clone(),
        system: contract.system.as_deref().map(str::to_owned),
        tools,
        events,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_worker_gets_the_stamped_release_and_the_events_so_far() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let prompt = bench.post_bytes("/api/v1/artifacts", b"be kind").await.ok();
        let tools = br#"[{"type":"function","function":{"name":"look"}}]"#;
        let tools = bench.post_bytes("/api/v1/artifacts", tools).await.ok();
        let mut manifest = crate::testing::manifest("sim-large-2026-03-01");
        manifest["prompt"] = json!({ "system": prompt["digest"] });
        manifest["tools"] = json!({ "schema": tools["digest"] });
        let release =
            bench.post("/api/v1/releases", json!({ "agent": "support", "manifest": manifest })).await.ok();
        let wish = json!({ "releases": { "support": release["release"] }, "now": true });
        bench.open_deployment(wish).await.ok();
        let run = bench.run("acme").await;
        let pause = json!({ "events": [{ "type": "paused", "why": "lunch" }] });
        bench.post(&format!("/api/v1/runs/{run}/events"), pause).await.ok();

        let path = format!("/api/v1/runs/{run}/resume");
        let resumed = bench.send("POST", &path, &[], None).await.ok();
        assert_eq!(
            (&resumed["system"], &resumed["tools"][0]["function"]["name"]),
            (&json!("be kind"), &json!("look"))
        );
        assert_eq!(resumed["summary"]["status"], "running");
        let kinds: Vec<_> =
            resumed["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
        assert_eq!(json!(kinds), json!(["plan", "paused", "resumed"]));
        let again = bench.send("POST", &path, &[], None).await.ok();
        assert_eq!(again["events"], resumed["events"]);
        bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
        bench.send("POST", &path, &[], None).await.problem("run_state");
    }
}
