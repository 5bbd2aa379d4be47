//! `GET /api/v1/deployments/{deployment}`: with what still runs on it.

use pinrail_api::deployments::{Blocking, Deployment, Drain};
use pinrail_api::problem::Problem;
use pinrail_domain::deployment::Status;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::RunStatus;
use pinrail_domain::key::Tenants;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};

use super::{id, in_conflict, no_deployment, open_runs, rollout, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&deployment(&call, id(&call)?).await?)
}

/// A deployment, with what still runs on it.
pub async fn deployment(call: &Call, id: DeploymentId) -> Result<Deployment, Problem> {
    let snapshot = call.control().snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let drain = call.control().drain_of(id).await.map_err(|error| problem::store(&error))?;
    let mut shown = shown(&snapshot.world, deployment);
    shown.drain = Some(drained(call, id, drain).await.map_err(|error| problem::store(&error))?);
    if matches!(deployment.status, Status::Candidate { .. }) {
        let found = call.control().conflicts(id).await.map_err(|error| problem::store(&error))?;
        shown.conflicts = Some(in_conflict(found));
        shown.gate_missing = call.control().gate_missing(id).unwrap_or_default();
    }
    if let Some(standing) = call.control().standing(id) {
        shown.rollout = Some(rollout::short(&standing.rollout, Some(standing.sentence)));
    }
    Ok(shown)
}

/// What still runs on a deployment, for its readers.
pub(super) async fn drained(
    call: &Call,
    id: DeploymentId,
    drain: pinrail_control::deploy::Drain,
) -> Result<Drain, StoreError> {
    let total = drain.open.total();
    let blocking = oldest(call, id, drain.blocking, total).await?;
    Ok(Drain {
        open: open_runs(drain.open),
        drained: total == 0,
        more: total.saturating_sub(blocking.len() as u64),
        blocking: blocking.into_iter().map(blocks).collect(),
    })
}

/// As many blocking runs as `newest` has, the oldest first: those have blocked for longest. Where there are more, a
/// page of each status is looked through.
async fn oldest(
    call: &Call,
    deployment: DeploymentId,
    newest: Vec<Run>,
    total: u64,
) -> Result<Vec<Run>, StoreError> {
    let shown = newest.len();
    let mut runs = newest;
    if total > shown as u64 {
        runs.clear();
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let filter =
                RunFilter { deployment: Some(deployment), status: Some(status), ..RunFilter::default() };
            let page = call.state.limits.page_max;
            runs.extend(call.control().runs().list(&Tenants::All, filter, None, page).await?);
        }
    }
    runs.sort_unstable_by_key(|run| run.stamp.run);
    runs.truncate(shown);
    Ok(runs)
}

fn blocks(run: Run) -> Blocking {
    Blocking {
        run: run.stamp.run,
        agent: run.stamp.agent,
        status: run.summary.status.to_string(),
        since: run.summary.started_at,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_deployment_names_what_keeps_it_from_draining() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        bench.roll_back(1).await.ok();
        let shown = bench.get("/api/v1/deployments/1").await.ok();
        assert_eq!((&shown["state"], &shown["rolled_back"]["why"]), (&json!("rolled back"), &json!("worse")));
        assert_eq!(
            (&shown["drain"]["drained"], &shown["drain"]["blocking"][0]["run"]),
            (&json!(false), &json!(run))
        );
        bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
        assert_eq!(bench.get("/api/v1/deployments/1").await.ok()["drain"]["drained"], true);
        assert_eq!(bench.get("/api/v1/deployments/1").await.ok()["drain"]["more"], 0);
        bench.get("/api/v1/deployments/9").await.problem("not_found");
        bench.get("/api/v1/deployments/x").await.problem("bad_name");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_blocking_runs_the_oldest_come_first() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let mut runs = Vec::new();
        for _ in 0..25 {
            runs.push(json!(bench.run("acme").await));
        }
        let pause = json!({ "events": [{ "type": "paused", "why": "w" }] });
        let oldest = runs[0].as_str().unwrap();
        bench.post(&format!("/api/v1/runs/{oldest}/events"), pause).await.ok();
        let drain = bench.get("/api/v1/deployments/1").await.ok()["drain"].clone();
        let blocking = drain["blocking"].as_array().unwrap();
        let listed: Vec<_> = blocking.iter().map(|run| run["run"].clone()).collect();
        assert_eq!((&listed[..], &drain["more"]), (&runs[..listed.len()], &json!(25 - listed.len())));
    }
}
