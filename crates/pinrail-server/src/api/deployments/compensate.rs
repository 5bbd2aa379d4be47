//! `POST /api/v1/deployments/{deployment}/compensate`: reports the calls that a rollback can't take back.

use pinrail_api::deployments::blast::{CallReport, Compensate, Compensated};
use pinrail_api::problem::Problem;
use pinrail_control::deploy::compensate::{self, Outcome, Reported};
use pinrail_domain::id::DeploymentId;

use super::{id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn compensate(call: Call) -> Answer {
    let id = id(&call)?;
    let request = call.json_or_default()?;
    reply::json(&run(&call, id, request).await?)
}

/// Reports them, or with `dry_run` only says which.
pub async fn run(call: &Call, id: DeploymentId, request: Compensate) -> Result<Compensated, Problem> {
    let Compensate { dry_run, again, reason } = request;
    let how = compensate::Compensate { dry_run, again, reason };
    let done = call.control().compensate(id, &*call.state.outbound, how).await;
    let done = done.map_err(|error| problem::store(&error))?.ok_or_else(|| no_deployment(id))?;
    let mut all = Compensated {
        deployment: id,
        delivered: 0,
        would_send: 0,
        skipped: 0,
        no_address: 0,
        failed: 0,
        unreported: done.unreported,
        reports: Vec::new(),
        cut: done.cut,
    };
    for reported in done.reports {
        let report = report(reported, &mut all);
        all.reports.push(report);
    }
    Ok(all)
}

/// One call's report; counts it.
fn report(reported: Reported, all: &mut Compensated) -> CallReport {
    let Reported { id, run, event, agent, tool, at, outcome } = reported;
    let (mut attempts, mut why, mut delivered_at) = (None, None, None);
    let (count, word) = match outcome {
        Outcome::Delivered { attempts: took, not_noted } => {
            (attempts, why) = (Some(took), not_noted);
            (&mut all.delivered, "delivered")
        }
        Outcome::WouldSend => (&mut all.would_send, "would_send"),
        Outcome::Skipped { delivered_at: at } => {
            delivered_at = Some(at);
            (&mut all.skipped, "skipped")
        }
        Outcome::NoAddress => (&mut all.no_address, "no_address"),
        Outcome::Failed { attempts: took, why: cause } => {
            (attempts, why) = (Some(took), Some(cause));
            (&mut all.failed, "failed")
        }
    };
    *count += 1;
    CallReport { id, run, event, agent, tool, at, outcome: word.to_owned(), attempts, why, delivered_at }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::routing::post;
    use http::{HeaderMap, StatusCode};
    use pinrail_domain::journal::Event;
    use pinrail_domain::key::Tenants;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use crate::testing::{Bench, manifest};

    type Taken = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

    /// A receiver on loopback that is not ready at first.
    async fn receiver(taken: Taken) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let take = move |headers: HeaderMap, body: axum::body::Bytes| {
            let mut taken = taken.lock().unwrap();
            taken.push((headers, serde_json::from_slice(&body).unwrap()));
            let status =
                if taken.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT };
            async move { status }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
        url
    }

    #[tokio::test]
    async fn a_receiver_gets_a_signed_event_and_one_that_fails_gets_it_again() {
        let bench = Bench::open().await;
        let taken = Taken::default();
        let url = receiver(Arc::clone(&taken)).await;
        bench.provider("sim").await;
        let agent = json!({ "compensation": { "url": url, "secret_env": "HOOK_SECRET" } });
        bench.put("/api/v1/agents/support", agent).await.ok();
        let tools = json!([{ "type": "function", "function": { "name": "refund" } }]).to_string();
        let schema = bench.post_bytes("/api/v1/artifacts", tools.as_bytes()).await.ok()["digest"].clone();
        let mut manifest = manifest("sim-large-2026-03-01");
        manifest["tools"] = json!({ "schema": schema, "side_effects": ["refund"] });
        let wish = json!({ "agent": "support", "manifest": manifest });
        let release = bench.post("/api/v1/releases", wish).await.ok()["release"].clone();
        bench.open_deployment(json!({ "releases": { "support": release }, "now": true })).await.ok();
        let run = bench.run("acme").await;
        let call = Event::ToolCall { name: "refund".into(), id: None, arguments: json!({ "order": 7 }) };
        let id = run.parse().unwrap();
        bench.control.runs().append(id, &Tenants::All, None, vec![call], None).await.unwrap();
        bench.roll_back(1).await.ok();

        let at = "/api/v1/deployments/1/compensate";
        let planned = bench.post(at, json!({ "dry_run": true })).await.ok();
        assert_eq!((&planned["would_send"], taken.lock().unwrap().len()), (&json!(1), 0));
        let done = bench.post(at, json!({ "reason": "refunds by mistake" })).await.ok();
        assert_eq!((&done["delivered"], &done["reports"][0]["attempts"]), (&json!(1), &json!(2)));
        let taken = taken.lock().unwrap().clone();
        let (headers, event) = &taken[1];
        assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert_eq!(headers["webhook-id"].to_str().unwrap(), event["id"].as_str().unwrap());
        assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
        assert_eq!(event["data"]["reason"], "refunds by mistake");
        assert_eq!((&event["id"], &event["data"]["arguments"]), (&taken[0].1["id"], &json!({ "order": 7 })));
        // I15
        assert!(!format!("{taken:?}{done}").contains("planted secret"));

        assert_eq!(bench.post(at, json!({})).await.ok()["skipped"], 1);
        let blast = bench.get("/api/v1/deployments/1/blast-radius").await.ok();
        assert_eq!((&blast["reach"]["own_runs"], &blast["runs"][0]["run"]), (&json!(1), &json!(run)));
        assert!(blast["runs"][0]["side_effects"][0]["compensated_at"].is_u64(), "{blast}");
        bench.post("/api/v1/deployments/9/compensate", json!({})).await.problem("not_found");
        bench.get("/api/v1/deployments/9/blast-radius").await.problem("not_found");
        bench.get("/api/v1/deployments/1/blast-radius?limit=0").await.problem("bad_request");
    }
}
