//! The dial in a world: what is in force at every step, and that nothing keeps it from being turned down.

use std::time::Duration;

use pinrail_control::dial::{COMMIT_WAIT, Turned};
use pinrail_control::{Control, Snapshot};
use pinrail_domain::dial::{Place, Position, Ruling, Turn};

use super::World;
use crate::checks::{self, Fault};
use crate::op::{Change, Done, NewRun, Op, RunWork, Told, ToolWish, What};
use crate::schedule::Mood;
use crate::setting::SETTING;

/// What a turn down may take beyond its wait for the ledger: the steps of the world take a millisecond each.
const SLACK: Duration = Duration::from_millis(5);

impl World {
    /// What is in force is what was said to be; and a turn down waits no longer than it may (I7, I9).
    pub(super) fn check_dial(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let notes = self.paper.notes();
        let truth = self.store.truth();
        let (before, since) = &self.noted;
        checks::check_in_force(&truth, &snapshot.routes, &notes, before, *since)?;
        for flight in &self.flights {
            let What::Change(Change::Turn(wish)) = &flight.op.what else { continue };
            let late = flight.since.elapsed() > COMMIT_WAIT + SLACK;
            if late && !checks::may_wait(&truth, wish, &flight.floor, &notes) {
                return Err(format!("I7: {} still waits for the ledger", flight.op.tag()));
            }
        }
        let head = truth.head();
        drop(truth);
        self.noted = (notes, head);
        Ok(())
    }

    /// An approved call is made once, unless its caller names it.
    pub(super) fn check_use(&mut self, op: &Op, told: &Told) -> Result<(), Fault> {
        let What::Run(RunWork::Authorize { wish: ToolWish { id, by_gateway, .. }, .. }) = &op.what else {
            return Ok(());
        };
        let Told::Done(Done::Ruled { ruling: Ruling::Allowed, approval: Some(approval) }) = told else {
            return Ok(());
        };
        let is_new = self.used.insert(*approval);
        if is_new || (id.is_some() && !by_gateway) {
            Ok(())
        } else {
            Err(format!("{} was let through by {approval}, which was used before", op.tag()))
        }
    }

    /// From now on nobody may be shown a world without the turn.
    pub(super) fn learn_turn(&mut self, op: &Op, told: &Told) {
        let Told::Done(Done::Turned { turned: Turned { epoch, recorded, .. } }) = told else { return };
        let seq = {
            let truth = self.store.truth();
            truth.entries.iter().find(|entry| entry.reason == op.tag()).map(|entry| entry.seq)
        };
        if *recorded {
            self.floor.rise(seq.unwrap_or(self.floor.ledger), *epoch);
        } else {
            self.counts.unrecorded += 1;
        }
    }

    /// With nothing of the store at work the dial is turned down all the same, and no run begins (I7). The next process
    /// finds it so.
    pub(super) async fn turn_off_without_store(&mut self, control: &Control) -> Result<(), Fault> {
        let place = Place::default();
        if control.snapshot().routes.dials().get(&place).is_some_and(|set| set.position == Position::Off) {
            return Ok(());
        }
        self.schedule.set_mood(Mood::Away);
        let turn = Turn { place, position: Position::Off, release: None, text: None };
        let (op, told) = self.do_now(control, What::Change(Change::Turn(turn))).await?;
        let Told::Done(Done::Turned { turned: Turned { recorded: false, changed: true, .. } }) = &told else {
            return Err(format!("I7: {} was told {}", op.tag(), told.summary()));
        };
        self.learn_turn(&op, &told);
        let new = NewRun {
            agent: SETTING.agents[0].clone(),
            tenant: SETTING.tenants[0].clone(),
            session: None,
            parent: None,
            queued: false,
        };
        let (op, told) = self.do_now(control, What::Run(RunWork::Call(new))).await?;
        self.schedule.set_mood(Mood::Free);
        if !matches!(told, Told::Refused(_)) {
            return Err(format!("I7: the dial is off, and {} was told {}", op.tag(), told.summary()));
        }
        self.check_step(Some(control))
    }

    /// Carries one operation out while nobody else does anything.
    async fn do_now(&mut self, control: &Control, what: What) -> Result<(Op, Told), Fault> {
        self.next_number += 1;
        let op = Op { number: self.next_number, keyed: false, what };
        let floor = checks::Floor { notes: self.paper.notes(), ..self.floor.clone() };
        let told = op.clone().carry_out(control.clone()).await;
        self.trace.say(&format_args!("{}: {} -> {}", op.tag(), op.what.summary(), told.summary()));
        checks::check_told(&self.store.truth(), &op, true, &floor, &self.paper.notes(), &told)?;
        Ok((op, told))
    }
}
