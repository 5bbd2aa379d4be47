//! What must hold when nobody does anything: everything is counted out, every member knows, everything can be taken back.

use pinrail_control::Control;
use pinrail_control::ledger::Verdict;
use pinrail_control::state::Reader;
use pinrail_domain::deploy;
use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::key::Tenants;
use pinrail_domain::state::Moment;

use super::{World, settle};
use crate::checks::{self, Fault};
use crate::op::{Change, NewRun, Op, RunWork, Told, What};
use crate::schedule::Mood;
use crate::setting::SETTING;

/// The calls that write state, or remove it.
const STATE_WRITES: [&str; 4] = ["state_append", "state_remove", "state_erase", "run_erase"];

impl World {
    /// Members' caches are true, and none went back.
    pub(super) fn check_members(&mut self) -> Result<(), Fault> {
        let truth = self.store.truth();
        for (member, fills) in self.members.iter().zip(&mut self.fills) {
            let known = member.known();
            if let Some(fault) = &known.fault {
                return Err(format!("I5: {fault}"));
            }
            if known.fills == *fills {
                continue;
            }
            *fills = known.fills;
            for (space, at, seqs) in &known.cache {
                let epoch = truth.worlds[at.ledger.0 as usize].epoch;
                if epoch < known.acknowledged {
                    let acknowledged = known.acknowledged;
                    return Err(format!("I5: a member acknowledged {acknowledged} and read of {epoch}"));
                }
                let expected = truth.shown(space, None, *at);
                if *seqs != expected {
                    return Err(format!("I4: a member caches {seqs:?} of {space}, which is {expected:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn check_quiet(&mut self, control: &Control) -> Result<(), Fault> {
        self.trace.say(&"quiet");
        checks::compare_all(&self.store)?;
        let verdict = control.ledger_verify().await.map_err(|error| format!("I8: {error:?}"))?;
        if verdict != (Verdict::Whole { head: self.store.truth().world().head }) {
            return Err(format!("I8: the ledger is {verdict:?}"));
        }
        let epoch = control.snapshot().world.epoch;
        if let Some(late) = self.members.iter().find(|member| member.known().acknowledged != epoch) {
            return Err(format!(
                "a member stays at epoch {}, and {epoch} is shown",
                late.known().acknowledged
            ));
        }
        for op in &self.begun {
            let truth = self.store.truth();
            if let Some(tag) = op.tags().iter().find(|tag| truth.times(tag) > op.times_max()) {
                return Err(format!("I8: {tag} happened {} times", truth.times(tag)));
            }
        }
        self.check_runs(control).await?;
        self.check_views(control).await
    }

    /// Takes everything back while nothing but the ledger works: one append each, and no write of state (I5, I6, I7).
    pub(super) async fn take_everything_back(&mut self, control: &Control) -> Result<(), Fault> {
        for id in self.deployments() {
            let take = TakeBack::default();
            if deploy::roll_back(self.store.truth().world(), id, &take).is_err() {
                continue;
            }
            self.next_number += 1;
            let keyed = self.dice.chance(50);
            let op =
                Op { number: self.next_number, keyed, what: What::Change(Change::RollBack { id, take }) };
            self.trace.say(&format_args!("{}: take back {id}", op.tag()));
            self.schedule.set_mood(Mood::LedgerOnly);
            let before = (self.schedule.made(&["ledger_append"]), self.schedule.made(&STATE_WRITES));
            let entries = self.store.truth().entries.len();
            let told = op.clone().carry_out(control.clone()).await;
            let after = (self.schedule.made(&["ledger_append"]), self.schedule.made(&STATE_WRITES));
            self.schedule.set_mood(Mood::Free);
            let Told::Done(done) = told else {
                return Err(format!("I7: {id} cannot be taken back: {told:?}"));
            };
            let appended = self.store.truth().entries.len() - entries;
            if after != (before.0 + 1, before.1) || appended != 1 {
                return Err(format!(
                    "I6: taking {id} back made calls {before:?} -> {after:?}, {appended} entries"
                ));
            }
            self.learn(done);
            self.check_step(Some(control))?;
        }
        self.check_views(control).await
    }

    /// Every run is as it was stamped and written, and open ones are counted exactly (I2).
    async fn check_runs(&mut self, control: &Control) -> Result<(), Fault> {
        let ids: Vec<_> = self.store.truth().runs.keys().copied().collect();
        for id in ids {
            let stamp =
                control.runs().stamp(id, &Tenants::All).await.map_err(|error| format!("{error:?}"))?;
            let truth = self.store.truth();
            let known = &truth.runs[&id];
            if stamp.as_deref() != Some(&known.stamp) {
                return Err(format!("I2: {id} is stamped {stamp:?}, and was {:?}", known.stamp));
            }
        }
        let is_recounted = self.write_once(control).await?;
        let (open, per_deployment) = self.open_runs();
        let counted = control.runs().live_open();
        if is_recounted && counted != open {
            return Err(format!("{counted} runs are counted as open, and {open} are"));
        }
        for (id, open) in per_deployment {
            let drain = control.drain_of(id).await.map_err(|error| format!("{error:?}"))?;
            if drain.open.total() != open {
                return Err(format!("deployment {id} has {open} open runs, and {drain:?} is said"));
            }
        }
        Ok(())
    }

    /// Writes to a run, if there can be any: after a write that nobody heard of, runs are counted anew with the next one.
    async fn write_once(&mut self, control: &Control) -> Result<bool, Fault> {
        let open = {
            let truth = self.store.truth();
            let mut open = truth.runs.values().filter(|run| run.status != RunStatus::Finished);
            open.find(|run| !run.stamp.single).map(|run| run.stamp.run)
        };
        let run = match open {
            Some(run) => RunWork::Note { run, expected: None },
            None => RunWork::Create(NewRun {
                agent: SETTING.agents[0].clone(),
                tenant: SETTING.tenants[0].clone(),
                session: None,
                parent: None,
                queued: false,
            }),
        };
        self.next_number += 1;
        let op = Op { number: self.next_number, keyed: false, what: What::Run(run) };
        let told = op.clone().carry_out(control.clone()).await;
        self.trace.say(&format_args!("{}: {} -> {}", op.tag(), op.what.summary(), told.summary()));
        let notes = self.paper.notes();
        checks::check_told(&self.store.truth(), &op, true, &self.floor, &notes, &told)?;
        settle().await;
        Ok(matches!(told, Told::Done(_)))
    }

    fn open_runs(&self) -> (u64, Vec<(DeploymentId, u64)>) {
        let truth = self.store.truth();
        let open_in = |id: Option<DeploymentId>| {
            let runs = truth.runs.values().filter(|run| run.status != RunStatus::Finished);
            runs.filter(|run| id.is_none_or(|id| run.stamp.deployment == id)).count() as u64
        };
        let deployments = truth.world().deployments.keys();
        (open_in(None), deployments.map(|id| (*id, open_in(Some(*id)))).collect())
    }

    /// Everybody sees everything that they should, in all layers at the newest entry (I4, I5), and every reason is true.
    async fn check_views(&mut self, control: &Control) -> Result<(), Fault> {
        let (spaces, readers, newest) = {
            let truth = self.store.truth();
            let spaces: Vec<_> = truth.spaces().into_iter().cloned().collect();
            (spaces, truth.readers(), truth.moment())
        };
        for space in &spaces {
            for own in &readers {
                let reader = Reader { own: *own, ..Reader::everybody() };
                let view = control.states().view(space, &reader, |sight| {
                    let seqs: Vec<StateSeq> =
                        sight.shown().iter().map(|place| sight.index.seq(place)).collect();
                    let told: Vec<_> = sight
                        .index
                        .history(&sight.view)
                        .filter(|(_, hidden)| hidden.is_none())
                        .map(|(place, _)| sight.index.seq(place))
                        .collect();
                    (sight.view.at, seqs, told)
                });
                let (at, seqs, told) = view.await.map_err(|error| format!("{error:?}"))?;
                self.counts.views += 1;
                let truth = self.store.truth();
                checks::check_view(
                    &truth,
                    (space, &reader),
                    Moment { ledger: newest.ledger, ..at },
                    &seqs,
                    &self.floor,
                )?;
                if told != seqs {
                    return Err(format!("the history of {space} shows {told:?}, and the view {seqs:?}"));
                }
            }
        }
        Ok(())
    }
}
