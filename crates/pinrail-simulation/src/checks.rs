//! What must hold: after every step, at every answer, and when everything is quiet.

use std::collections::BTreeMap;

use pinrail_control::Snapshot;
use pinrail_control::state::{AsOf, Reader};
use pinrail_domain::deploy;
use pinrail_domain::id::{DeploymentId, Epoch, EventSeq, LedgerSeq, RunId, StateSeq};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::state::{Content, Moment, Record, Space, StateKey};
use pinrail_store::{Journal as _, State as _};

use crate::notebook::Noted;
use crate::op::{Change, Done, Look, Op, RunWork, Told, What, Write};
use crate::store::{Breaking, now};
use crate::truth::{Touched, Truth};

macro_rules! must {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

mod dial;

pub(crate) use dial::{check_in_force, may_wait, segment_of};

/// What its client knew when an operation began: nothing that it is told may be older.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floor {
    /// The newest entry that somebody was told is in force.
    pub ledger: LedgerSeq,
    pub epoch: Epoch,
    /// The newest record per space that somebody was told is kept.
    pub records: BTreeMap<Space, StateSeq>,
    /// Turns of the dial that were in force without the ledger.
    pub notes: Vec<Noted>,
}

/// Why a check fails; the invariant first.
pub(crate) type Fault = String;

impl Floor {
    /// Nobody may be shown less than this from now on.
    pub(crate) fn rise(&mut self, ledger: LedgerSeq, epoch: Epoch) {
        self.ledger = self.ledger.max(ledger);
        self.epoch = self.epoch.max(epoch);
    }

    pub(crate) fn kept(&mut self, space: &Space, seq: StateSeq) {
        let known = self.records.entry(space.clone()).or_default();
        *known = seq.max(*known);
    }
}

/// Compares what the store holds with what it was made to hold, where something changed (I2, I3, I8, I9).
pub(crate) fn compare_touched(store: &Breaking) -> Result<(), Fault> {
    let touched = std::mem::take(&mut store.truth().touched);
    let truth = store.truth();
    if let Some(fault) = truth.faults.first() {
        return Err(fault.clone());
    }
    let Touched { ledger, state, runs } = touched;
    if ledger {
        compare_ledger(store, &truth)?;
    }
    if state {
        compare_state(store, &truth)?;
    }
    runs.iter().try_for_each(|run| compare_run(store, &truth, *run))
}

/// Compares all of it.
pub(crate) fn compare_all(store: &Breaking) -> Result<(), Fault> {
    let truth = store.truth();
    compare_ledger(store, &truth)?;
    compare_state(store, &truth)?;
    truth.runs.keys().try_for_each(|run| compare_run(store, &truth, *run))?;
    for (key, deployment) in &truth.bindings {
        let bound = now(store.memory.session_get(key)).expect("no failure was planned");
        must!(bound == Some(*deployment), "I3: {key:?} is bound to {bound:?}, not {deployment}");
        let of_session = |stamp: &Stamp| pinrail_store::journal::SessionKey::of(stamp).as_ref() == Some(key);
        let has_run = |deployment: DeploymentId| {
            truth.runs.values().any(|run| run.stamp.deployment == deployment && of_session(&run.stamp))
        };
        must!(has_run(*deployment), "I3: {key:?} is bound without a run");
    }
    Ok(())
}

/// What readers are shown is a point of the ledger, and not an older one than somebody was told of (I5, I9).
pub(crate) fn check_snapshot(snapshot: &Snapshot, truth: &Truth, floor: &Floor) -> Result<(), Fault> {
    let world = &snapshot.world;
    let seq = world.head.seq;
    must!(seq <= truth.head(), "I9: entry {seq} is shown, and the ledger ends at {}", truth.head());
    let known = &truth.worlds[seq.0 as usize];
    must!(world.head == known.head, "I8: {:?} is shown, where {:?} is true", world.head, known.head);
    must!(world.epoch == known.epoch, "I5: epoch {} is shown at entry {seq}", world.epoch);
    must!(seq >= floor.ledger, "I9: entry {} was in force, and {seq} is shown", floor.ledger);
    must!(
        snapshot.routes.seq == seq,
        "I5: routes of {} are shown with the world of {seq}",
        snapshot.routes.seq
    );
    for id in world.deployments.keys() {
        let shown = world.commits.is_committed(*id, seq);
        must!(
            shown == truth.is_committed(*id, seq),
            "I4: deployment {id} is shown as committed: {shown}, at entry {seq}"
        );
    }
    Ok(())
}

/// A reader sees what the model sees, nothing older than what it may know, nothing that isn't yet (I4, I5).
pub(crate) fn check_view(
    truth: &Truth,
    (space, reader): (&Space, &Reader),
    at: Moment,
    seqs: &[StateSeq],
    floor: &Floor,
) -> Result<(), Fault> {
    check_moment(truth, space, reader, at, floor)?;
    let expected = truth.shown(space, reader.own, at);
    must!(
        seqs == expected,
        "I4: {space} of {} for {:?} at {at:?} shows {seqs:?}, and must show {expected:?}",
        space.tenant,
        reader.own
    );
    Ok(())
}

/// Checks what a client was told.
pub(crate) fn check_told(
    truth: &Truth,
    op: &Op,
    first: bool,
    floor: &Floor,
    notes: &[Noted],
    told: &Told,
) -> Result<(), Fault> {
    dial::check_told(truth, op, floor, notes, told)?;
    for tag in op.tags() {
        let times = truth.times(&tag);
        must!(times <= op.times_max(), "I8: {tag} happened {times} times");
        match told {
            Told::Done(_) => must!(
                times == 1 || tag == op.call_tag() || is_call(op) || is_turn(op),
                "I9: {tag} was acknowledged and is not there"
            ),
            // A run may be refused while the same request, sent before, is on its way; what takes turns may not.
            Told::Refused(why) => must!(
                times == 0 || !first && matches!(op.what, What::Run(_)),
                "I9: {tag} was refused ({why}) and happened"
            ),
            Told::Unknown(_) => {}
        }
    }
    match told {
        Told::Done(done) => check_done(truth, op, first, floor, done),
        Told::Refused(why) => check_refused(truth, op, floor, why),
        Told::Unknown(_) => Ok(()),
    }
}

fn check_done(truth: &Truth, op: &Op, first: bool, floor: &Floor, done: &Done) -> Result<(), Fault> {
    match done {
        Done::Flipped { seq, epoch, deployment, .. } => {
            must!(*seq <= truth.head(), "I9: entry {seq} was acknowledged and is not there");
            let world = &truth.worlds[seq.0 as usize];
            must!(world.epoch == *epoch, "I5: entry {seq} made epoch {}, not {epoch}", world.epoch);
            must!(world.deployments.contains_key(deployment), "I9: deployment {deployment} is not there");
            Ok(())
        }
        Done::Lifted { seq } => {
            must!(*seq <= truth.head(), "I9: entry {seq} was acknowledged and is not there");
            Ok(())
        }
        Done::Begun { stamp, replayed } => {
            same_stamp(truth, stamp)?;
            must!(*replayed || stamp.epoch >= floor.epoch, "I9: {stamp:?} is older than {}", floor.epoch);
            Ok(())
        }
        Done::Called { stamp } => {
            must!(stamp.epoch >= floor.epoch, "I9: {stamp:?} is older than {}", floor.epoch);
            // A stamp that may follow soon needn't be there yet; where it is, it is this one.
            if truth.runs.contains_key(&stamp.run) { same_stamp(truth, stamp) } else { Ok(()) }
        }
        Done::Joined { stamp } => same_stamp(truth, stamp),
        Done::Run { stamp, events } => {
            same_stamp(truth, stamp)?;
            let known = &truth.runs[&stamp.run].events;
            let is_prefix = known.get(..events.len()) == Some(&events[..]);
            must!(is_prefix, "I8: {} reads as {events:?}, and is {known:?}", stamp.run);
            Ok(())
        }
        Done::Turned { .. } | Done::Ruled { .. } | Done::Noted | Done::Changed => Ok(()),
        Done::Wrote { space, last } => check_write(truth, op, first, floor, space, *last),
        Done::Shown { .. }
        | Done::Recalled { .. }
        | Done::Got { .. }
        | Done::Nothing { .. }
        | Done::Mismatch { .. } => match &op.what {
            What::Read(look) => check_look(truth, look, floor, done),
            What::Change(_) | What::Run(_) | What::Write(_) | What::Conduct => {
                Err("a write was answered as a read".to_owned())
            }
        },
    }
}

fn check_write(
    truth: &Truth,
    op: &Op,
    first: bool,
    floor: &Floor,
    space: &Space,
    last: StateSeq,
) -> Result<(), Fault> {
    let record = truth.record(last).filter(|record| record.space == *space);
    let Some(record) = record else { return Err(format!("I9: record {last} was acknowledged, not kept")) };
    must!(record.is_whole(), "I8: record {last} is not what its digest says");
    let What::Write(Write::Set { key, expected: Some(expected), .. }) = &op.what else { return Ok(()) };
    if !first {
        return Ok(());
    }
    // The version that it was written over was the current one when the write was decided.
    let own = Some(record.operation.deployment);
    let mut moments = (floor.ledger.0..=record.operation.ledger.0)
        .map(|ledger| Moment { state: StateSeq(last.0 - 1), ledger: LedgerSeq(ledger) });
    let was_current = |at| current(truth, space, own, key, at).unwrap_or_default() == *expected;
    must!(moments.any(was_current), "record {last} was written over {expected}, which was not current");
    Ok(())
}

fn check_look(truth: &Truth, look: &Look, floor: &Floor, done: &Done) -> Result<(), Fault> {
    match (look, done) {
        (Look::All { space, reader }, Done::Shown { at, seqs }) => {
            check_view(truth, (space, reader), *at, seqs, floor)
        }
        (Look::Recall { space, reader }, Done::Recalled { at, turns, count }) => {
            let seqs: Vec<StateSeq> = turns.iter().map(|turn| turn.operation.seq).collect();
            must!(*count == seqs.len(), "{count} turns are counted and {} are there", seqs.len());
            turns.iter().try_for_each(|turn| same_record(truth, turn))?;
            check_view(truth, (space, reader), *at, &seqs, floor)
        }
        (Look::Get { space, key, reader, accepts }, done) => {
            let (at, version, accepted) = match done {
                Done::Got { at, record } => {
                    same_record(truth, record)?;
                    (*at, Some(record.operation.seq), true)
                }
                Done::Mismatch { at, version } => (*at, Some(*version), false),
                Done::Nothing { at } => (*at, None, true),
                Done::Flipped { .. }
                | Done::Lifted { .. }
                | Done::Begun { .. }
                | Done::Called { .. }
                | Done::Joined { .. }
                | Done::Turned { .. }
                | Done::Ruled { .. }
                | Done::Noted
                | Done::Changed
                | Done::Run { .. }
                | Done::Wrote { .. }
                | Done::Shown { .. }
                | Done::Recalled { .. } => return Err(format!("{look:?} was answered with {done:?}")),
            };
            check_moment(truth, space, reader, at, floor)?;
            let expected = current(truth, space, reader.own, key, at);
            must!(
                version == expected,
                "I4: {key} of {space} at {at:?} is {version:?}, and must be {expected:?}"
            );
            let fits = version.is_none_or(|seq| {
                accepts.is_none_or(|accepts| protocol(truth, seq) == Some(accepts)) == accepted
            });
            must!(fits, "{version:?} was handed over: {accepted}, to a reader that accepts {accepts:?}");
            Ok(())
        }
        (look, done) => Err(format!("{look:?} was answered with {done:?}")),
    }
}

fn check_moment(
    truth: &Truth,
    space: &Space,
    reader: &Reader,
    at: Moment,
    floor: &Floor,
) -> Result<(), Fault> {
    let newest = truth.moment();
    must!(at.state <= newest.state && at.ledger <= newest.ledger, "{at:?} is later than {newest:?}");
    match reader.as_of {
        AsOf::Now => {
            let kept = floor.records.get(space).copied().unwrap_or_default();
            must!(at.state >= kept, "I9: {space} ends at {}, and record {kept} was kept", at.state);
            must!(
                at.ledger >= floor.ledger,
                "I5: {space} shows entry {}, and {} was in force",
                at.ledger,
                floor.ledger
            );
        }
        AsOf::Moment(asked) => must!(at == asked, "{asked:?} was asked for, and {at:?} shown"),
        AsOf::Ledger(asked) => must!(at.ledger == asked, "entry {asked} was asked for, and {at:?} shown"),
        AsOf::State(asked) => must!(at.state == asked, "record {asked} was asked for, and {at:?} shown"),
        AsOf::Time(_) => {}
    }
    Ok(())
}

/// A rollback is refused only where there is nothing to take back (I7).
fn check_refused(truth: &Truth, op: &Op, floor: &Floor, why: &str) -> Result<(), Fault> {
    let What::Change(Change::RollBack { id, take }) = &op.what else { return Ok(()) };
    let mut worlds = truth.worlds[floor.ledger.0 as usize..].iter();
    must!(
        worlds.any(|world| deploy::roll_back(world, *id, take).is_err()),
        "I7: the rollback of {id} was refused: {why}"
    );
    Ok(())
}

fn compare_ledger(store: &Breaking, truth: &Truth) -> Result<(), Fault> {
    let stored = store.entries(LedgerSeq(0), usize::MAX);
    let differs = stored.iter().zip(&truth.entries).find(|(stored, known)| stored != known);
    must!(differs.is_none(), "I8: an entry changed: {differs:?}");
    must!(
        stored.len() == truth.entries.len(),
        "I9: the ledger holds {} entries and was given {}",
        stored.len(),
        truth.entries.len()
    );
    Ok(())
}

fn compare_state(store: &Breaking, truth: &Truth) -> Result<(), Fault> {
    let all: Vec<StateSeq> = (1..=truth.records.len() as u64 + 1).map(StateSeq).collect();
    let stored = now(store.memory.state_records(&all)).expect("no failure was planned");
    let differs = stored.iter().zip(&truth.records).find(|(stored, known)| stored != known);
    must!(differs.is_none(), "I8: a record changed: {differs:?}");
    must!(
        stored.len() == truth.records.len(),
        "I9: the store holds {} records and was given {}",
        stored.len(),
        truth.records.len()
    );
    Ok(())
}

fn compare_run(store: &Breaking, truth: &Truth, run: RunId) -> Result<(), Fault> {
    let Some(known) = truth.runs.get(&run) else { return Err(format!("I3: {run} was never begun")) };
    let Some(stored) = store.run(run) else { return Err(format!("I9: {run} was acknowledged, not kept")) };
    must!(stored.stamp == known.stamp, "I2: {run} is stamped {:?}, not {:?}", stored.stamp, known.stamp);
    must!(
        stored.summary.status == known.status,
        "I8: {run} is {}, not {}",
        stored.summary.status,
        known.status
    );
    let events = now(store.memory.run_events(run, EventSeq(0), usize::MAX)).expect("no failure was planned");
    must!(events == known.events, "I8: the events of {run} are {events:?}, not {:?}", known.events);
    let planned = events.first().is_some_and(|first| matches!(first.event, Event::Plan { .. }));
    must!(planned, "I3: {run} has no plan");
    Ok(())
}

fn same_stamp(truth: &Truth, stamp: &Stamp) -> Result<(), Fault> {
    let known = truth.runs.get(&stamp.run).map(|run| &run.stamp);
    must!(known == Some(stamp), "I2: {} is stamped {stamp:?}, and was {known:?}", stamp.run);
    Ok(())
}

fn same_record(truth: &Truth, record: &Record) -> Result<(), Fault> {
    let known = truth.record(record.operation.seq);
    must!(known == Some(record), "I8: {record:?} was read, and {known:?} written");
    Ok(())
}

fn current(
    truth: &Truth,
    space: &Space,
    own: Option<DeploymentId>,
    key: &StateKey,
    at: Moment,
) -> Option<StateSeq> {
    let on_key = |seq: &StateSeq| truth.record(*seq).is_some_and(|record| record.operation.key == *key);
    truth.shown(space, own, at).into_iter().find(on_key)
}

fn protocol(truth: &Truth, seq: StateSeq) -> Option<u32> {
    let Content::Value(value) = &truth.record(seq)?.content else { return None };
    let value: serde_json::Value = serde_json::from_str(&value.json).ok()?;
    u32::try_from(value.get("protocol")?.as_u64()?).ok()
}

fn is_call(op: &Op) -> bool {
    matches!(op.what, What::Run(RunWork::Call(_)))
}

/// A turn has an entry only where it changed something, and only once the ledger can be written.
fn is_turn(op: &Op) -> bool {
    matches!(op.what, What::Change(Change::Turn(_)))
}
