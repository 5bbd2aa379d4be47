//! `POST /api/v1/deployments/{deployment}/override` and `…/override/second`: a promotion without a part of its gate.

use pinrail_api::deployments::Because;
use pinrail_api::deployments::rollout::OverrideGate;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::gate::acts::OverrideRefused;

use super::{flip, id, no_deployment, not_a_candidate};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn override_gate(call: Call) -> Answer {
    let id = id(&call)?;
    let OverrideGate { kinds, reason } = call.json()?;
    let done = call.control().override_gate(call.by(reason)?, id, &kinds).await;
    flip(&call, done.map_err(|error| problem::commit(error, refused))?).await
}

pub async fn second(call: Call) -> Answer {
    let id = id(&call)?;
    let Because { reason } = call.json_or_default()?;
    let done = call.control().second_override(call.by(reason)?, id).await;
    flip(&call, done.map_err(|error| problem::commit(error, refused))?).await
}

fn refused(refused: OverrideRefused) -> Problem {
    let detail = problem::chain(&refused);
    let problem = |id: u64, next: String| {
        Problem::new(Code::GateOverride, detail.clone()).next_step(next).fact("deployment", id)
    };
    match refused {
        OverrideRefused::NoDeployment(id) => no_deployment(id),
        OverrideRefused::Over { id, state } => not_a_candidate(detail, id, state),
        OverrideRefused::NoReason => Problem::new(Code::BadRequest, detail)
            .next_step("say why: --reason 'why' (\"reason\": \"why\"); the ledger keeps it"),
        OverrideRefused::Nothing { id } => problem(
            id.0,
            format!("see what it waits for: `pinrail deployment show {id}` (GET /api/v1/deployments/{id}/rollout)"),
        ),
        OverrideRefused::NeedsKey { id } => problem(
            id.0,
            "make keys for two people, `pinrail key create NAME --scope deploy` (POST /api/v1/keys), and use them".to_owned(),
        ),
        OverrideRefused::NothingToSecond { id } => problem(
            id.0,
            format!("somebody must ask first: `pinrail gate override {id} --reason 'why'` (POST /api/v1/deployments/{id}/override)"),
        ),
        OverrideRefused::OwnWord { id } => problem(
            id.0,
            format!("let the holder of another key do it: `pinrail gate second {id}` (POST /api/v1/deployments/{id}/override/second)"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_critical_promotion_waits_for_its_gate_or_for_two_keys() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.put("/api/v1/agents/support", json!({ "tier": "critical" })).await.ok();
        let id = bench.release("sim-1-2026-06-01").await;
        // I14: nothing is promoted at once, and nothing by hand.
        let now = bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await;
        now.problem("gate_missing");
        bench.open_deployment(json!({ "releases": { "support": id }, "weight": 500 })).await.ok();
        let promote = "/api/v1/deployments/2/promote";
        let problem = bench.post(promote, json!({})).await.problem("gate_missing");
        assert_eq!(problem["missing"][0]["unmet"][0], json!({ "unmet": "no_suite", "kind": "success" }));
        let shown = bench.get("/api/v1/deployments/2").await.ok();
        assert_eq!(shown["gate_missing"][0]["unmet"].as_array().unwrap().len(), 3);

        let path = "/api/v1/deployments/2/override";
        let second = "/api/v1/deployments/2/override/second";
        let asked = json!({ "reason": "reviewed by hand" });
        bench.post(path, json!({})).await.problem("bad_request");
        bench.post(path, asked.clone()).await.problem("gate_override");
        let admin = bench.as_key(&bench.key(&["admin"], None).await);
        let key = json!({ "name": "bob", "scopes": ["deploy", "read"] });
        let bob = admin.post("/api/v1/keys", key).await.ok();
        let (ana, bob) = (admin, bench.as_key(bob["token"].as_str().unwrap()));
        ana.post(second, json!({})).await.problem("gate_override");
        ana.post(path, asked.clone()).await.ok();
        ana.post(second, json!({})).await.problem("gate_override");
        ana.post(promote, json!({})).await.problem("gate_missing");
        bob.post(second, json!({ "reason": "seen" })).await.ok();
        let shown = bob.get("/api/v1/deployments/2").await.ok();
        assert_eq!(shown["overrides"][0]["seconded"]["by"]["name"], "bob");
        assert!(shown.get("gate_missing").is_none());
        assert_eq!(ana.post(promote, json!({})).await.ok()["state"], "active");
        ana.post(path, asked).await.problem("not_a_candidate");
        // I7: taking it back asks for nothing.
        let back = json!({ "reason": "worse after all" });
        assert_eq!(bob.post("/api/v1/deployments/2/rollback", back).await.ok()["active"]["support"], 1);
    }
}
