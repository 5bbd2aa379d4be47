//! Gates as the ledger knows them: their verdicts, and what people say a promotion may do without.

use std::collections::BTreeSet;

use pinrail_domain::gate::acts::{self, JudgeRefused, OverrideRefused};
use pinrail_domain::gate::{Judgement, Missing, SuiteKind, missing};
use pinrail_domain::id::{AgentName, DeploymentId, GateId, LedgerSeq};
use pinrail_domain::world::World;

use crate::deploy::{Flipped, flipped};
use crate::{By, CommitError, Committed, Control};

mod kept;

impl Control {
    /// Makes an id for a gate.
    #[must_use]
    pub fn new_gate_id(&self) -> GateId {
        let mut random = [0; 16];
        self.inner.entropy.fill(&mut random[..10]);
        GateId::from_parts(self.inner.clock.now().0, u128::from_le_bytes(random))
    }

    /// Keeps how a gate ended: from here on it counts for promotions (I14). A gate is kept once.
    pub async fn judge_gate(
        &self,
        by: By,
        agent: &AgentName,
        gate: GateId,
        judgement: &Judgement,
    ) -> Result<Committed<LedgerSeq>, CommitError<JudgeRefused>> {
        let decide = |world: &World| {
            let known = world.gates.get(agent).into_iter().flatten().any(|judged| judged.gate == gate);
            let body = acts::judged(world, agent, gate, judgement)?;
            Ok((if known { Vec::new() } else { vec![body] }, ()))
        };
        self.commit(by, decide, |world, ()| world.head.seq).await
    }

    /// Says that a candidate may be promoted without these kinds of suites; none named: all that it waits for.
    pub async fn override_gate(
        &self,
        by: By,
        id: DeploymentId,
        kinds: &BTreeSet<SuiteKind>,
    ) -> Result<Committed<Flipped>, CommitError<OverrideRefused>> {
        let (actor, reason) = (by.actor.clone(), by.reason.clone());
        let decide = |world: &World| {
            let now = self.inner.clock.now();
            Ok((vec![acts::override_gate(world, id, kinds, &actor, &reason, now)?], id))
        };
        self.commit(by, decide, flipped).await
    }

    /// Seconds the override that waits for it.
    pub async fn second_override(
        &self,
        by: By,
        id: DeploymentId,
    ) -> Result<Committed<Flipped>, CommitError<OverrideRefused>> {
        let actor = by.actor.clone();
        self.commit(by, |world| Ok((vec![acts::second(world, id, &actor)?], id)), flipped).await
    }

    /// What the gate has against promoting a deployment now; none where there is no such deployment.
    #[must_use]
    pub fn gate_missing(&self, id: DeploymentId) -> Option<Vec<Missing>> {
        let snapshot = self.snapshot();
        let deployment = snapshot.world.deployments.get(&id)?;
        let now = self.inner.clock.now();
        let world = &snapshot.world;
        Some(missing(world, &deployment.releases, &deployment.segment, &deployment.waivers, now))
    }
}
