//! The fold's part for gates: verdicts, and what promotions may do without.

use std::sync::Arc;

use super::World;
use crate::gate::{Judged, Seconded, Waiver, incumbent};
use crate::ledger::{Body, Entry};

impl World {
    /// Takes in an entry of a gate. Panics for an entry of anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "only gates' entries are handed here")]
    pub(super) fn take_in_gate(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::GateRecorded { deployment, gate } => {
                self.candidate(*deployment)?;
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                Arc::make_mut(deployment).gate = Some(gate.clone());
            }
            Body::GateJudged { agent, gate, judgement } => {
                for release in [Some(judgement.candidate), judgement.incumbent].into_iter().flatten() {
                    let known = self.releases.get(&release);
                    if !known.is_some_and(|release| release.agents.contains(agent)) {
                        return Err(format!("{agent} has no release {release}"));
                    }
                }
                let judged =
                    Judged { seq: entry.seq, at: entry.at, gate: *gate, judgement: (**judgement).clone() };
                self.gates.entry(agent.clone()).or_default().push(Arc::new(judged));
            }
            Body::GateOverridden { deployment, kinds } => {
                let candidate = self.candidate(*deployment)?;
                let against = |agent| incumbent(self, agent, &candidate.segment);
                let waiver = Waiver {
                    seq: entry.seq,
                    at: entry.at,
                    by: entry.actor.clone(),
                    reason: entry.reason.clone(),
                    kinds: kinds.clone(),
                    incumbents: candidate
                        .releases
                        .keys()
                        .map(|agent| (agent.clone(), against(agent)))
                        .collect(),
                    seconded: None,
                };
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                Arc::make_mut(deployment).waivers.push(waiver);
            }
            Body::GateOverrideSeconded { deployment, overridden } => {
                self.candidate(*deployment)?;
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                let waivers = &mut Arc::make_mut(deployment).waivers;
                let waiver = waivers.iter_mut().find(|waiver| waiver.seq == *overridden);
                let waiver = waiver.ok_or("nothing was overridden there")?;
                if waiver.by == entry.actor || waiver.seconded.is_some() {
                    return Err("it takes one other to second it, once".to_owned());
                }
                waiver.seconded = Some(Seconded { seq: entry.seq, at: entry.at, by: entry.actor.clone() });
            }
            _ => panic!("entry {} is of no gate", entry.seq),
        }
        Ok(())
    }
}
