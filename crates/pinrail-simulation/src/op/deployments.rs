//! Deployments: opened, widened, promoted, taken back.

use pinrail_control::Control;
use pinrail_control::deploy::Flipped;
use pinrail_domain::deployment::{Gate, GateVerdict};
use pinrail_domain::id::GateId;

use crate::setting::{CRITICAL, SETTING};

use super::{Change, Done, Op, Told, committed, dial};

impl Op {
    pub(super) async fn change(&self, control: &Control, change: &Change) -> Told {
        let by = self.by();
        match change {
            Change::Deploy(open) => committed(control.deploy(by, open).await, flipped),
            Change::OpenIngest(name) => committed(control.open_ingest(by, name).await, flipped),
            Change::Promote { id, lift_hold } => {
                committed(control.promote(by, *id, *lift_hold).await, flipped)
            }
            Change::RollBack { id, take } => {
                committed(control.roll_back(by, *id, take.clone()).await, flipped)
            }
            Change::SetWeight { id, weight } => {
                committed(control.set_weight(by, *id, *weight).await, flipped)
            }
            Change::Freeze(id) => committed(control.freeze(by, *id).await, flipped),
            Change::Resume(id) => committed(control.resume(by, *id).await, flipped),
            Change::Approve(id) => committed(control.approve(by, *id).await, flipped),
            Change::Gate(id) => {
                let gate = Gate { verdict: GateVerdict::Pass, report: None };
                committed(control.record_gate(by, *id, gate).await, flipped)
            }
            Change::Judge { id: _, judgement } => {
                let (agent, gate) = (&SETTING.agents[CRITICAL], GateId::from_parts(self.number, 0));
                let judged = control.judge_gate(by, agent, gate, judgement).await;
                committed(judged, |seq, _| Done::Lifted { seq })
            }
            Change::Turn(turn) => dial::turn(control, by, turn).await,
            Change::Decide { id, approved } => dial::decide(control, by, *id, *approved).await,
            Change::LiftHold { agent, segment } => {
                committed(control.lift_hold(by, agent, segment).await, |seq, _| Done::Lifted { seq })
            }
        }
    }
}

fn flipped(flipped: Flipped, replayed: bool) -> Done {
    let Flipped { seq, epoch, deployment, .. } = flipped;
    Done::Flipped { seq, epoch, deployment, replayed }
}
