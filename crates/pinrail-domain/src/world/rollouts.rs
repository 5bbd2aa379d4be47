//! The fold's part for rollouts: each entry moves one on by one generation.

use std::sync::Arc;

use super::World;
use crate::id::DeploymentId;
use crate::ledger::{Body, Entry};
use crate::rollout::progress::{Approval, Stopped};
use crate::rollout::{Evidence, Rollout, Weights};

impl World {
    /// Takes in an entry of a rollout. Panics for an entry of anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "only rollouts' entries are handed here")]
    pub(super) fn move_rollout(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::RolloutStep { deployment, generation, entered } => {
                let epoch = self.epoch.next();
                let weights = Weights { everywhere: entered.weight, segments: entered.segments.clone() };
                self.rollout(*deployment, *generation, |rollout| {
                    if entered.step >= rollout.plan.steps.len() {
                        return Err("the plan has no such step".to_owned());
                    }
                    rollout.enter(entered, entry.at, entry.seq, epoch);
                    Ok(())
                })?;
                self.weigh(*deployment, &weights)?;
                self.keep_evidence(*deployment, entered.evidence.as_deref());
            }
            Body::RolloutStopped { deployment, generation, why, evidence } => {
                self.rollout(*deployment, *generation, |rollout| {
                    rollout.stopped = Some(Stopped { at: entry.at, seq: entry.seq, why: why.clone() });
                    Ok(())
                })?;
                self.keep_evidence(*deployment, evidence.as_deref());
            }
            Body::RolloutResumed { deployment, generation } => {
                // Whoever set another weight meanwhile is done with that.
                let (mut weights, epoch) = (Weights::default(), self.epoch.next());
                self.rollout(*deployment, *generation, |rollout| {
                    rollout.stopped.take().ok_or("it isn't stopped")?;
                    (rollout.since, rollout.since_seq) = (entry.at, entry.seq);
                    weights = Weights::at_step(&rollout.plan, rollout.step);
                    rollout.reweigh(weights.clone(), epoch);
                    Ok(())
                })?;
                self.weigh(*deployment, &weights)?;
            }
            Body::RolloutApproved { deployment, generation, step } => {
                self.rollout(*deployment, *generation, |rollout| {
                    if rollout.step != *step {
                        return Err("another step is under way".to_owned());
                    }
                    rollout.approvals.push(Approval {
                        by: entry.actor.clone(),
                        at: entry.at,
                        seq: entry.seq,
                    });
                    Ok(())
                })?;
            }
            _ => panic!("entry {} is of no rollout", entry.seq),
        }
        Ok(())
    }

    /// Moves a rollout on; `generation` is the one that it has afterwards.
    fn rollout(
        &mut self,
        id: DeploymentId,
        generation: u64,
        change: impl FnOnce(&mut Rollout) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        let rollout = deployment.rollout.as_mut().ok_or("it has no rollout")?;
        if generation != rollout.generation + 1 {
            return Err(format!("the rollout is at generation {}", rollout.generation));
        }
        change(rollout)?;
        rollout.generation = generation;
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    pub(super) fn keep_evidence(&mut self, id: DeploymentId, evidence: Option<&Evidence>) {
        if let Some((deployment, evidence)) = self.deployments.get_mut(&id).zip(evidence) {
            Arc::make_mut(deployment).evidence = Some(Box::new(evidence.clone()));
        }
    }
}
