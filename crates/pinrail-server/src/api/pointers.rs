//! `GET /api/v1/pointers`.

use pinrail_api::pointers::{Pointer, Pointers, Side};
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::world::World;

use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let pointers = world.pointers.iter().map(|((agent, segment), pointer)| Pointer {
        agent: agent.clone(),
        segment: segment.clone(),
        active: pointer.active.and_then(|id| side(world, agent, id)),
        candidate: pointer.candidate.and_then(|id| side(world, agent, id)),
        weight: pointer.weight,
        hold: pointer.hold.clone(),
    });
    reply::json(&Pointers { epoch: world.epoch, seq: world.head.seq, pointers: pointers.collect() })
}

/// What the agent runs in a deployment. A pointer's deployment covers its agent, and its release exists.
fn side(world: &World, agent: &AgentName, deployment: DeploymentId) -> Option<Side> {
    let release = *world.deployments.get(&deployment)?.releases.get(agent)?;
    let model = world.releases.get(&release)?.manifest.model.snapshot.clone();
    Some(Side { deployment, release, model })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn pointers_name_what_is_served_and_what_is_held() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let pointers = bench.get("/api/v1/pointers").await.ok();
        let pointer = &pointers["pointers"][0];
        assert_eq!((&pointer["agent"], &pointer["segment"]), (&json!("support"), &json!("default")));
        assert_eq!(pointer["active"]["model"], "sim-large-2026-03-01");
        bench.roll_back(1).await.ok();
        let pointers = bench.get("/api/v1/pointers").await.ok();
        assert_eq!(pointers["pointers"][0].get("active"), None);
        assert_eq!(pointers["pointers"][0]["hold"]["why"], "worse");
    }
}
