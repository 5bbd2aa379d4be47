//! `POST /api/v1/runs/{run}/finish`.

use pinrail_api::runs::FinishRun;

use super::{changed, id, refused};
use crate::call::Call;
use crate::reply::Answer;

pub async fn finish(call: Call) -> Answer {
    let run = id(&call)?;
    let FinishRun { outcome, why } = call.json()?;
    let (tenants, idempotency) = (call.tenants()?, call.idempotency()?);
    let finished = call.control().runs().finish(run, &tenants, outcome, why, idempotency).await;
    changed(finished.map_err(|error| refused(run, error))?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_run_ends_once() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = format!("/api/v1/runs/{}/finish", bench.run("acme").await);
        let done = json!({ "outcome": "error", "why": "no answer" });
        let summary = bench.post(&path, done.clone()).await.ok()["summary"].clone();
        assert_eq!((&summary["status"], &summary["outcome"]), (&json!("finished"), &json!("error")));
        let problem = bench.post(&path, done).await.problem("run_state");
        let next = problem["next_step"].as_str().unwrap();
        assert!(next.contains("begin a new one") && !next.contains("resume"), "{next}");
        assert_eq!(problem["run_status"], "finished");
    }
}
