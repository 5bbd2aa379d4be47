//! `GET /api/v1/status`.

use pinrail_api::status::Status;

use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let troubles = call.state.troubles();
    reply::json(&Status {
        version: call.state.version.clone(),
        ready: troubles.is_empty(),
        troubles,
        open: !world.keyed,
        epoch: world.epoch,
        seq: world.head.seq,
        agents: world.agents.len() as u64,
        releases: world.releases.len() as u64,
        deployments: world.deployments.len() as u64,
        // A store that can't say is among the troubles.
        approvals_pending: call.control().approvals_pending().await.unwrap_or_default(),
        dials: snapshot.routes.dials().len() as u64,
        findings: world.findings.len() as u64,
        missing_provider_keys: (call.state.missing_keys)(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_status_counts_what_there_is() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let status = bench.get("/api/v1/status").await.ok();
        assert_eq!(status["open"], true);
        assert_eq!(status["ready"], true);
        assert_eq!(
            (&status["agents"], &status["releases"], &status["deployments"]),
            (&json!(1), &json!(1), &json!(1))
        );
        assert_eq!(
            status["missing_provider_keys"],
            json!([{ "provider": "openai", "key_env": "OPENAI_API_KEY" }])
        );
        bench.key(&["admin"], None).await;
        let keyed = bench.get("/api/v1/status").await;
        assert_eq!(keyed.status, 401);
    }
}
