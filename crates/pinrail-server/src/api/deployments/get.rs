//! `GET /api/v1/deployments/{deployment}`: with what still runs on it.

use pinrail_api::deployments::{Blocking, Drain};
use pinrail_store::journal::Run;

use super::{id, no_deployment, open_runs, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let snapshot = call.control().snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let drain = call.control().drain_of(id).await.map_err(|error| problem::store(&error))?;
    let mut shown = shown(&snapshot.world, deployment);
    shown.drain = Some(Drain {
        open: open_runs(drain.open),
        drained: drain.open.total() == 0,
        blocking: drain.blocking.into_iter().map(blocking).collect(),
    });
    reply::json(&shown)
}

fn blocking(run: Run) -> Blocking {
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
        bench.get("/api/v1/deployments/9").await.problem("not_found");
        bench.get("/api/v1/deployments/x").await.problem("bad_name");
    }
}
