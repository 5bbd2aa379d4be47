//! `GET` and `POST /api/v1/gc`; of journals, `api/gc/journal.rs`.

use std::time::Duration;

use pinrail_api::gc::{Collect, Collected, Collection, Kept, Removal};
use pinrail_api::problem::Problem;
use pinrail_control::state::collect::{Collection as Planned, Progress};
use serde::Deserialize;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub mod journal;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    older_than_ms: Option<u64>,
    /// How long to wait for the end of a removal.
    #[serde(default)]
    wait_ms: u64,
}

/// What a collection would do now, and how far an earlier one is.
pub async fn show(call: Call) -> Answer {
    let Query { older_than_ms, wait_ms } = call.query()?;
    let mut progress = call.control().collecting();
    let wait = Duration::from_millis(wait_ms).min(call.state.limits.poll_wait_max);
    // Whether it ended or not: the answer says so.
    let _ = tokio::time::timeout(wait, progress.wait_for(|progress| !progress.running)).await;
    let planned = plan(&call, older_than_ms).await?;
    reply::json(&shown(&call, planned))
}

pub async fn collect(call: Call) -> Answer {
    let Collect { older_than_ms, dry_run, reason } = call.json_or_default()?;
    if dry_run {
        let planned = plan(&call, older_than_ms).await?;
        return reply::json(&shown(&call, planned));
    }
    let reason = if reason.is_empty() { "garbage collection".to_owned() } else { reason };
    let done = call.control().collect(call.by(reason)?, older_than_ms).await;
    let done = done.map_err(|error| problem::commit(error, |never| match never {}))?;
    reply::changed(done.replayed, &shown(&call, done.value))
}

async fn plan(call: &Call, older_than_ms: Option<u64>) -> Result<Planned, Problem> {
    call.control().collection_plan(older_than_ms).await.map_err(|error| problem::store(&error))
}

fn shown(call: &Call, planned: Planned) -> Collection {
    let Planned { plan, layers, kept_ms, seq } = planned;
    let Progress { running, records, removed, trouble } = call.control().collecting().borrow().clone();
    let kept = plan.keep.iter().map(|kept| Kept {
        deployment: kept.deployment,
        records: kept.records,
        because: kept.why.to_string(),
        why: kept.why,
    });
    let collected = plan
        .collect
        .iter()
        .map(|collected| Collected { deployment: collected.deployment, records: collected.records });
    Collection {
        seq,
        older_than_ms: kept_ms,
        records: plan.records(),
        layers,
        collect: collected.collect(),
        keep: kept.collect(),
        floor: plan.floor.ledger,
        removal: Removal { running, records, removed, trouble },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_rolled_back_job_is_kept_for_a_while_and_then_removed() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let job = super::super::state::tests::job(&bench, "load").await;
        super::super::state::tests::import(&bench, job, &[("k", json!({ "protocol": 1, "value": 1 }))])
            .await
            .ok();
        bench.roll_back(job).await.ok();
        let kept = bench.post("/api/v1/gc", json!({ "reason": "tidy" })).await.ok();
        assert_eq!((&kept["seq"], &kept["keep"][0]["why"]), (&json!(null), &json!("lately")));
        let plan = bench.get("/api/v1/gc?older_than_ms=0").await.ok();
        assert_eq!((&plan["records"], &plan["layers"]), (&json!(1), &json!({ "context": 1 })));
        let wish = json!({ "older_than_ms": 0, "dry_run": true });
        assert_eq!(bench.post("/api/v1/gc", wish).await.ok()["seq"], json!(null));
        let done = bench.post("/api/v1/gc", json!({ "older_than_ms": 0 })).await.ok();
        assert_eq!(done["collect"], json!([{ "deployment": job, "records": 1 }]));
        let mut progress = bench.control.collecting();
        progress.wait_for(|progress| !progress.running).await.unwrap();
        let after = bench.get("/api/v1/gc?older_than_ms=0").await.ok();
        assert_eq!((&after["records"], &after["removal"]["removed"]), (&json!(0), &json!(1)));
        let entry = &bench.get("/api/v1/ledger?limit=1000").await.ok()["items"];
        assert_eq!(entry.as_array().unwrap().last().unwrap()["body"]["type"], "state_collected");
        let eyes = format!("/api/v1/state/records?space=context/orders&deployment={job}");
        bench.get(&eyes).await.problem("collected");
    }
}
