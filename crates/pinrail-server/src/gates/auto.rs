//! Gates that start by themselves: a rollout that comes to its step `gate` has the gates of its agents run.
//!
//! Once for each candidate, incumbent and set of suites: whatever came of it, the next one is a person's act, so that nothing
//! spends money in a circle. An agent says no by `auto = false` in its `[gate]`. Everything that it remembers is in the
//! store, so a restart starts nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_control::By;
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{incumbent, step_missing};
use pinrail_domain::id::{AgentName, DeploymentId};
use pinrail_domain::rollout::Step;
use pinrail_domain::world::World;
use pinrail_gate::run::document::Document;
use pinrail_store::StoreError;
use pinrail_store::gates::GateFilter;

use super::service::Gates;
use super::start::{Of, StartRefused, Wish};
use crate::problem::chain;

/// Gates of one deployment that are looked at: more than ever belong to one candidate against one incumbent.
const LOOKED_MAX: usize = 100;

/// Why nothing was started, so that it is said once.
#[derive(Default)]
struct Told(BTreeMap<DeploymentId, String>);

impl Gates {
    /// Starts gates as rollouts come to their step, until the gates are stopped.
    pub fn start_by_themselves(&self) {
        let gates = self.clone();
        let mut heads = self.control().heads();
        // Whoever leads from now on looks at what the last leader left.
        let mut standing = self.control().standing_changes();
        let mut stopping = self.inner.stopping.subscribe();
        tokio::spawn(async move {
            let mut told = Told::default();
            while !*stopping.borrow() {
                gates.start_waiting(&mut told).await;
                tokio::select! {
                    moved = heads.changed() => if moved.is_err() { return },
                    changed = standing.changed() => if changed.is_err() { return },
                    _ = stopping.changed() => {}
                }
            }
        });
    }

    /// Starts what rollouts are waiting for.
    async fn start_waiting(&self, told: &mut Told) {
        if !self.control().standing_here().leads() {
            return;
        }
        let snapshot = self.control().snapshot();
        for deployment in snapshot.world.deployments.values() {
            if !self.waits(&snapshot.world, deployment) {
                continue;
            }
            if let Err(error) = self.start_for(&snapshot.world, deployment).await {
                let why = chain(&error);
                if told.0.get(&deployment.id) != Some(&why) {
                    tracing::warn!(deployment = %deployment.id, why, "the gate of a rollout was not started by itself");
                    told.0.insert(deployment.id, why);
                }
            }
        }
    }

    /// Whether a rollout stands at a gate that an answer of its models may open.
    fn waits(&self, world: &World, deployment: &Deployment) -> bool {
        let is_candidate = matches!(deployment.status, Status::Candidate { .. });
        let at_gate = deployment
            .rollout
            .as_deref()
            .is_some_and(|rollout| rollout.stopped.is_none() && *rollout.current() == Step::Gate);
        // A verdict that a person recorded is theirs to change.
        is_candidate
            && at_gate
            && deployment.gate.is_none()
            && !step_missing(world, deployment, self.inner.options.clock.now()).is_empty()
    }

    async fn start_for(&self, world: &World, deployment: &Deployment) -> Result<(), StartRefused> {
        let mut asked = BTreeMap::new();
        for (agent, candidate) in &deployment.releases {
            let Some(gate) = world.agents.get(agent).and_then(|spec| spec.gate.as_ref()) else { continue };
            let changes = incumbent(world, agent, &deployment.segment) != Some(*candidate);
            let suites = gate.suites.iter().filter(|suite| !suite.imported);
            let digests: BTreeSet<Digest> = suites.map(|suite| suite.digest).collect();
            if gate.is_auto() && changes && !digests.is_empty() {
                asked.insert(agent.clone(), digests);
            }
        }
        let begun = self.begun(world, deployment, &asked).await?;
        asked.retain(|agent, _| !begun.contains(agent));
        if asked.is_empty() {
            return Ok(());
        }
        let of = Of::Agents(deployment.id, asked.into_keys().collect());
        let wish =
            Wish { of, suites: Vec::new(), repeats: None, budget: None, concurrency: None, reuse: false };
        let by = By::system(&format!("the rollout of deployment {} came to its gate", deployment.id));
        self.start(&by, &wish, false).await.map(drop)
    }

    /// The agents for which such a gate was begun already, whatever came of it.
    async fn begun(
        &self,
        world: &World,
        deployment: &Deployment,
        asked: &BTreeMap<AgentName, BTreeSet<Digest>>,
    ) -> Result<BTreeSet<AgentName>, StoreError> {
        if asked.is_empty() {
            return Ok(BTreeSet::new());
        }
        let filter = GateFilter { deployment: Some(deployment.id), ..GateFilter::default() };
        let records = self.control().gate_store().gate_list(&filter, None, LOOKED_MAX).await?;
        let same = |agent: &AgentName, suites: &BTreeSet<Digest>| {
            records.iter().any(|record| {
                let Ok(Document { settings, .. }) = serde_json::from_str(&record.document) else {
                    return false;
                };
                let has = |digest: &Digest| settings.suites.iter().any(|suite| suite.digest == *digest);
                record.agent == *agent
                    && record.incumbent == incumbent(world, agent, &deployment.segment)
                    && suites.iter().all(has)
            })
        };
        Ok(asked
            .iter()
            .filter(|(agent, suites)| same(agent, suites))
            .map(|(agent, _)| agent.clone())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::gates::tests::{over, suite};
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_rollout_at_its_gate_has_it_run_once_and_goes_on() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.state.gates.start_by_themselves();
        let mut suites = vec![suite(&bench, "basics", 100).await];
        let spec = |suites: &[serde_json::Value], auto: bool| {
            json!({
                "gate": { "suites": suites, "repeats": 1, "auto": auto },
                "rollout": { "steps": [{ "gate": null }, { "pause": {} }] }
            })
        };
        bench.put("/api/v1/agents/support", spec(&suites, false)).await.ok();
        let new = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": new }, "rollout": true })).await.ok();
        // Let whatever starts by itself start.
        let listed = async || {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            bench.get("/api/v1/gates").await.ok()["items"].as_array().unwrap().clone()
        };
        assert!(listed().await.is_empty(), "it says that it doesn't want to");
        bench.put("/api/v1/agents/support", spec(&suites, true)).await.ok();
        let gates = listed().await;
        assert_eq!((gates.len(), &gates[0]["deployment"]), (1, &json!(2)));
        let path = format!("/api/v1/gates/{}", gates[0]["gate"].as_str().unwrap());
        let shown = over(&bench, &path).await;
        assert_eq!(shown["ended"]["verdict"], "pass");
        bench.control.conduct_once().await;
        assert_eq!(bench.get("/api/v1/deployments/2/rollout").await.ok()["step"], 2);

        // Another suite at another gate: what was asked before doesn't answer that.
        bench.roll_back(2).await.ok();
        bench.post("/api/v1/holds/lift", json!({ "agent": "support", "reason": "again" })).await.ok();
        suites.push(suite(&bench, "more", 100).await);
        bench.put("/api/v1/agents/support", spec(&suites, true)).await.ok();
        bench.open_deployment(json!({ "releases": { "support": new }, "rollout": true })).await.ok();
        let gates = listed().await;
        assert_eq!((gates.len(), &gates[0]["deployment"]), (2, &json!(3)));
        bench.post(&format!("/api/v1/gates/{}/cancel", gates[0]["gate"].as_str().unwrap()), json!({})).await;
        bench
            .put("/api/v1/agents/support", json!({ "gate": { "suites": suites }, "description": "x" }))
            .await
            .ok();
        assert_eq!(listed().await.len(), 2, "what was stopped is not started again by itself");
    }

    /// The leader was gone before it started the gate; nothing is appended to the ledger meanwhile.
    #[tokio::test(start_paused = true)]
    async fn the_next_leader_starts_what_the_last_one_did_not() {
        let one = Bench::leading().await;
        let two = one.beside().await;
        one.deploy_now().await;
        let suites = [suite(&one, "basics", 20).await];
        let spec = json!({
            "gate": { "suites": suites, "repeats": 1 },
            "rollout": { "steps": [{ "gate": null }, { "pause": {} }] }
        });
        one.put("/api/v1/agents/support", spec).await.ok();
        two.state.gates.start_by_themselves();
        let new = one.release("sim-large-2026-04-01").await;
        one.open_deployment(json!({ "releases": { "support": new }, "rollout": true })).await.ok();
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let gates = async || two.get("/api/v1/gates").await.ok()["items"].as_array().unwrap().len();
        assert_eq!(gates().await, 0, "it doesn't lead");
        one.control.resign().await;
        two.control.until_leading().await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(gates().await, 1);
    }
}
