//! The fold's part for deployments: opened, weighed, promoted, taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PointerKey, World};
use crate::deployment::{Deployment, Hold, Status};
use crate::id::{AgentName, DeploymentId};
use crate::ledger::{Body, Entry};
use crate::rollout::{Plan, Rollout, Weights};
use crate::share::Share;
use crate::state::Moment;

impl World {
    /// Takes in an opening. Panics for an entry of anything else.
    pub(super) fn open(&mut self, entry: &Entry) -> Result<(), String> {
        let Body::DeploymentOpened { deployment, releases, segment, weight, salt, ingest, rollout } =
            &entry.body
        else {
            panic!("entry {} opens no deployment", entry.seq)
        };
        let mut opened = Deployment {
            id: *deployment,
            ingest: ingest.clone(),
            releases: releases.clone(),
            segment: segment.clone(),
            salt: *salt,
            opened_at: entry.at,
            opened_seq: entry.seq,
            reason: entry.reason.clone(),
            status: Status::Candidate { weight: *weight, segments: BTreeMap::new() },
            replaced: BTreeMap::new(),
            manifest: None,
            rollout: None,
            gate: None,
            waivers: Vec::new(),
            evidence: None,
        };
        self.check_opening(&opened)?;
        if let Some(plan) = rollout {
            self.begin_rollout(&mut opened, *weight, plan)?;
        }
        for key in pointer_keys(&opened) {
            let pointer = self.pointers.entry(key).or_default();
            pointer.candidate = Some(opened.id);
            pointer.weight = *weight;
        }
        self.deployments.insert(opened.id, Arc::new(opened));
        Ok(())
    }

    fn check_opening(&self, opened: &Deployment) -> Result<(), String> {
        if opened.id != self.next_deployment() {
            return Err(format!("the next deployment is {}", self.next_deployment()));
        }
        if opened.ingest.is_some() != opened.releases.is_empty() {
            return Err("a deployment holds releases or is a data job".to_owned());
        }
        for (agent, release) in &opened.releases {
            if !self.agents.contains_key(agent) {
                return Err(format!("no such agent: {agent}"));
            }
            if !self.releases.get(release).is_some_and(|release| release.agents.contains(agent)) {
                return Err(format!("{agent} has no such release"));
            }
        }
        for key in pointer_keys(opened) {
            if self.pointers.get(&key).is_some_and(|pointer| pointer.candidate.is_some()) {
                return Err(format!("{}/{} has a candidate", key.0, key.1));
            }
        }
        Ok(())
    }

    fn begin_rollout(&self, opened: &mut Deployment, weight: Share, plan: &Plan) -> Result<(), String> {
        if opened.ingest.is_some() || plan.steps.is_empty() {
            return Err("a rollout has steps, and a data job has none".to_owned());
        }
        let rollout = Rollout::begun(plan.clone(), opened.opened_at, opened.opened_seq, self.epoch.next());
        let Weights { everywhere, segments } = rollout.weights_now().clone();
        if everywhere != weight {
            return Err("the weight is not that of the rollout's first step".to_owned());
        }
        opened.status = Status::Candidate { weight: everywhere, segments };
        opened.rollout = Some(Box::new(rollout));
        Ok(())
    }

    pub(super) fn candidate(&self, id: DeploymentId) -> Result<Arc<Deployment>, String> {
        let deployment = self.deployments.get(&id).ok_or("no such deployment")?;
        match deployment.status {
            Status::Candidate { .. } => Ok(Arc::clone(deployment)),
            Status::Promoted { .. } | Status::RolledBack { .. } => Err("it is no candidate".to_owned()),
        }
    }

    pub(super) fn promote(&mut self, entry: &Entry, id: DeploymentId) -> Result<(), String> {
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        for key in pointer_keys(&deployment) {
            // An agent that was removed meanwhile has no pointer to move, and one that came back has another's.
            let pointer = self.pointers.get_mut(&key).filter(|pointer| pointer.candidate == Some(id));
            let Some(pointer) = pointer else { continue };
            deployment.replaced.insert(key.0, pointer.active);
            pointer.active = Some(id);
            pointer.candidate = None;
            pointer.weight = Share::NONE;
        }
        deployment.status = Status::Promoted { at: entry.at, seq: entry.seq };
        Arc::make_mut(&mut self.commits).commit(id, entry.seq);
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    /// Takes in a rollback. Panics for an entry of anything else.
    pub(super) fn roll_back(&mut self, entry: &Entry) -> Result<(), String> {
        let Body::DeploymentRolledBack { deployment: id, keep_state, derived, to, evidence: _ } = &entry.body
        else {
            panic!("entry {} takes nothing back", entry.seq)
        };
        let (id, keep_state) = (*id, *keep_state);
        let deployment = self.deployments.get(&id).ok_or("no such deployment")?;
        let was_promoted = match deployment.status {
            Status::Candidate { .. } => false,
            Status::Promoted { .. } => true,
            // Its pointers went back before; now its state goes too.
            Status::RolledBack { was_promoted, kept_state: true, .. } if !keep_state => was_promoted,
            Status::RolledBack { .. } => return Err("it is rolled back".to_owned()),
        };
        if !derived.is_sound() || keep_state && !derived.is_empty() {
            return Err("the derived records are no set".to_owned());
        }
        // What was never committed can't go on counting.
        let kept_state = keep_state && was_promoted;
        let mut deployment = Deployment::clone(deployment);
        self.check_landings(&deployment, to)?;
        let hold = Hold { deployment: id, since: entry.at, seq: entry.seq, why: entry.reason.clone() };
        for key in pointer_keys(&deployment) {
            let fallback = to.get(&key.0).copied().or_else(|| self.fallback(&key.0, &deployment));
            let Some(pointer) = self.pointers.get_mut(&key) else { continue };
            if pointer.candidate == Some(id) {
                pointer.candidate = None;
                pointer.weight = Share::NONE;
            } else if pointer.active == Some(id) {
                pointer.active = fallback;
            } else {
                continue;
            }
            pointer.hold = Some(hold.clone());
        }
        let (at, seq, why) = (entry.at, entry.seq, entry.reason.clone());
        deployment.status = Status::RolledBack { at, seq, why, was_promoted, kept_state };
        if !kept_state {
            Arc::make_mut(&mut self.commits).retract(id, seq, derived);
        }
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    /// Agents return only to what served them before, and only those that the rollback moves.
    fn check_landings(
        &self,
        from: &Deployment,
        to: &BTreeMap<AgentName, DeploymentId>,
    ) -> Result<(), String> {
        for (agent, landing) in to {
            if self.pointer(agent, &from.segment).active != Some(from.id) {
                return Err(format!("it doesn't serve {agent}"));
            }
            if !self.fallbacks(agent, from).any(|before| before.id == *landing) {
                return Err(format!("deployment {landing} didn't serve {agent} before it"));
            }
        }
        Ok(())
    }

    pub(super) fn collect(&mut self, deployments: &[DeploymentId], floor: Moment) -> Result<(), String> {
        for id in deployments {
            let deployment = self.deployments.get(id).ok_or("no such deployment")?;
            match deployment.status {
                Status::RolledBack { kept_state: false, .. } => {}
                Status::Candidate { .. } | Status::Promoted { .. } | Status::RolledBack { .. } => {
                    return Err(format!("the state of deployment {id} was not taken back"));
                }
            }
        }
        self.collected.extend(deployments.iter().map(|id| (*id, floor.state)));
        let Moment { state, ledger } = floor;
        self.floor = Moment { state: self.floor.state.max(state), ledger: self.floor.ledger.max(ledger) };
        Ok(())
    }

    pub(super) fn weigh(&mut self, id: DeploymentId, weights: &Weights) -> Result<(), String> {
        let weight = weights.everywhere;
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        for key in pointer_keys(&deployment) {
            if let Some(pointer) = self.pointers.get_mut(&key).filter(|pointer| pointer.candidate == Some(id))
            {
                pointer.weight = weight;
            }
        }
        deployment.status = Status::Candidate { weight, segments: weights.segments.clone() };
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    /// Takes in a share that a person set.
    pub(super) fn set_weight(&mut self, id: DeploymentId, weight: Share) -> Result<(), String> {
        // What a segment had of its own is over: the new share holds everywhere.
        let weights = Weights::everywhere(weight);
        let epoch = self.epoch.next();
        self.weigh(id, &weights)?;
        let deployment = self.deployments.get_mut(&id).ok_or("no such deployment")?;
        if let Some(rollout) = &mut Arc::make_mut(deployment).rollout {
            rollout.generation += 1;
            rollout.reweigh(weights, epoch);
        }
        Ok(())
    }
}

fn pointer_keys(deployment: &Deployment) -> Vec<PointerKey> {
    deployment.releases.keys().map(|agent| (agent.clone(), deployment.segment.clone())).collect()
}
