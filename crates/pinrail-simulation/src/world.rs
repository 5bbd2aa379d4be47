//! A world: its lives one after another, each ended by a crash or by its end, and what happens in them step by step.
//!
//! A step lets everything run until nothing can go on without the world, checks what must hold, and then picks one
//! thing that happens next: an operation begins, one of the calls that wait goes on or fails, time passes, the clock
//! jumps, a client goes away, or the process dies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pinrail_control::Control;
use pinrail_domain::id::{ApprovalId, DeploymentId, LedgerSeq};
use pinrail_domain::journal::Stamp;
use pinrail_domain::ledger::Body;
use pinrail_domain::state::Moment;
use tokio::task::JoinHandle;

use crate::checks::{self, Fault, Floor};
use crate::clock::{JumpingClock, SeededEntropy};
use crate::dice::Dice;
use crate::member::Member;
use crate::notebook::{Noted, Paper};
use crate::op::{Done, Op, Told};
use crate::plan::Plan;
use crate::schedule::{Call, Fate, Kind, Mood, Schedule, Side};
use crate::setting::SETTING;
use crate::store::{Breaking, now};
use crate::tamper::Tampering;
use crate::trace::Trace;
use crate::{Counts, Failure, Options, Played, Tamper};

mod dial;
mod life;
mod quiet;

/// Everything that outlives a crash, and the world's own notes.
struct World {
    dice: Dice,
    temper: Temper,
    store: Arc<Breaking>,
    schedule: Arc<Schedule>,
    clock: Arc<JumpingClock>,
    entropy: Arc<SeededEntropy>,
    /// What the control plane keeps without the store.
    paper: Arc<Paper>,
    trace: Trace,
    counts: Counts,
    /// What nobody may be shown less than.
    floor: Floor,
    next_number: u64,
    /// Operations under way.
    flights: Vec<Flight>,
    /// Sent under an idempotency key and not answered: sent again.
    unanswered: Vec<(Op, u32)>,
    /// All operations that were ever begun.
    begun: Vec<Op>,
    runs: Vec<Arc<Stamp>>,
    moments: Vec<Moment>,
    members: Vec<Member>,
    fills: Vec<u64>,
    /// What the last probe saw: where nothing changed since, another one would see the same.
    probed: Option<(Moment, LedgerSeq)>,
    /// What stood on the paper at the last look, and how long the ledger was then.
    noted: (Vec<Noted>, LedgerSeq),
    /// Approvals that somebody was told are used.
    used: BTreeSet<ApprovalId>,
}

/// How this world breaks.
struct Temper {
    fault_percent: u64,
    crash_permille: u64,
    order: Order,
    /// Looks at every space after every step, which also keeps indexes fresh: not in every world.
    probes: bool,
    /// Calls that still fail, one after another.
    outage: u64,
}

/// Which of the waiting calls goes on.
#[derive(Clone, Copy)]
enum Order {
    Any,
    OldestFirst,
    NewestFirst,
}

/// An operation under way.
struct Flight {
    op: Op,
    attempt: u32,
    floor: Floor,
    since: tokio::time::Instant,
    work: JoinHandle<Told>,
}

/// How a life ended.
enum Ending {
    Crashed,
    Quiet,
}

/// Attempts at one request with an idempotency key: clients give up at last.
const ATTEMPTS_MAX: u32 = 4;

pub(crate) fn play(seed: u64, options: &Options) -> Result<Played, Failure> {
    let mut world = World::new(seed, options);
    // A panic anywhere is a failure like others: its seed must be known.
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.play()));
    match played.unwrap_or_else(|panic| Err(format!("it panicked: {}", said(&*panic)))) {
        Ok(()) => {
            let (digest, counts) = (world.trace.digest(), world.counted());
            let (_, trace) = world.trace.into_lines();
            Ok(Played { seed, digest, counts, trace })
        }
        Err(what) => Err(Failure { seed, what, trace: world.trace.into_lines().1 }),
    }
}

impl World {
    fn new(seed: u64, options: &Options) -> World {
        let mut dice = Dice::new(seed);
        let schedule = Arc::new(Schedule::new(dice.fork()));
        let store = Arc::new(Breaking::new(Arc::clone(&schedule), Tampering::new(options.tamper)));
        let entropy = Arc::new(SeededEntropy::new(dice.fork()));
        let temper = Temper {
            fault_percent: [0, 1, 4, 10, 25][dice.below(5)],
            crash_permille: [0, 5, 15, 40][dice.below(4)],
            order: [Order::Any, Order::Any, Order::OldestFirst, Order::NewestFirst][dice.below(4)],
            probes: dice.chance(50),
            outage: 0,
        };
        let mut world = World {
            dice,
            temper,
            store,
            schedule,
            clock: Arc::new(JumpingClock::new()),
            entropy,
            paper: Arc::new(Paper::new(options.tamper == Some(Tamper::ForgetTurns))),
            trace: Trace::new(options.keep_all),
            counts: Counts::default(),
            floor: Floor::default(),
            next_number: 0,
            flights: Vec::new(),
            unanswered: Vec::new(),
            begun: Vec::new(),
            runs: Vec::new(),
            moments: Vec::new(),
            members: vec![Member::default(), Member::default()],
            fills: vec![0, 0],
            probed: None,
            noted: (Vec::new(), LedgerSeq(0)),
            used: BTreeSet::new(),
        };
        world.set_the_stage();
        world
    }

    fn play(&mut self) -> Result<(), Fault> {
        let lives = 1 + self.dice.below(3);
        for life in 0..lives {
            let steps = 40 + self.dice.below(90);
            self.trace.say(&format_args!("life {life}: {steps} steps"));
            self.live(steps, life + 1 == lives)?;
        }
        // Once more from what is stored alone.
        self.trace.say(&"the last look");
        self.live(0, true)
    }

    /// One process: from its start to its end.
    fn live(&mut self, steps: usize, last: bool) -> Result<(), Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O needs nothing");
        let ending = runtime.block_on(self.life(steps, last));
        drop(runtime);
        self.schedule.clear();
        self.schedule.set_mood(Mood::Free);
        self.probed = None;
        match ending? {
            Ending::Crashed => {
                self.trace.say(&"crash");
                self.counts.crashes += 1;
                for flight in std::mem::take(&mut self.flights) {
                    self.unheard(flight.op, flight.attempt);
                }
            }
            Ending::Quiet => self.trace.say(&"the end"),
        }
        checks::compare_touched(&self.store)?;
        checks::compare_all(&self.store)
    }

    /// The ledger up to where the story begins.
    fn set_the_stage(&mut self) {
        for entry in &SETTING.ledger {
            let entries = vec![entry.clone()];
            let append = pinrail_store::ledger::Append::of(entries.clone());
            let appended = now(pinrail_store::Ledger::ledger_append(&self.store.memory, append));
            appended.expect("the setting is a chain");
            self.store.truth().appended(&entries);
        }
    }

    /// Nobody heard what became of it.
    fn unheard(&mut self, op: Op, attempt: u32) {
        if op.keyed && attempt < ATTEMPTS_MAX {
            self.unanswered.push((op, attempt + 1));
        }
    }

    fn start(&mut self, control: &Control) {
        let again = !self.unanswered.is_empty() && self.dice.chance(60);
        let (op, attempt) = if again {
            let place = self.dice.below(self.unanswered.len());
            self.unanswered.remove(place)
        } else {
            self.next_number += 1;
            let truth = self.store.truth();
            let dice = &mut self.dice;
            let mut plan = Plan { dice, truth: &truth, runs: &self.runs, moments: &self.moments };
            let op = plan.next(self.next_number);
            self.begun.push(op.clone());
            (op, 1)
        };
        let again = if attempt > 1 { " again" } else { "" };
        self.trace.say(&format_args!("{}{again}: {}", op.tag(), op.what.summary()));
        let work = tokio::spawn(op.clone().carry_out(control.clone()));
        let floor = Floor { notes: self.paper.notes(), ..self.floor.clone() };
        self.flights.push(Flight { op, attempt, floor, since: tokio::time::Instant::now(), work });
    }

    /// Takes in what those were told who were answered.
    async fn land(&mut self) -> Result<(), Fault> {
        while let Some(place) = self.flights.iter().position(|flight| flight.work.is_finished()) {
            let Flight { op, attempt, floor, work, since: _ } = self.flights.remove(place);
            let told = match work.await {
                Ok(told) => told,
                Err(error) if error.is_cancelled() => {
                    self.trace.say(&format_args!("{} went away", op.tag()));
                    self.unheard(op, attempt);
                    continue;
                }
                Err(error) => return Err(format!("{} panicked: {error}", op.tag())),
            };
            self.trace.say(&format_args!("{} -> {}", op.tag(), told.summary()));
            let notes = self.paper.notes();
            checks::check_told(&self.store.truth(), &op, attempt == 1, &floor, &notes, &told)?;
            self.check_use(&op, &told)?;
            self.learn_turn(&op, &told);
            match told {
                Told::Done(done) => self.learn(done),
                Told::Refused(_) => self.counts.refused += 1,
                Told::Unknown(_) => {
                    self.counts.unknown += 1;
                    self.unheard(op, attempt);
                }
            }
        }
        Ok(())
    }

    /// From now on nobody may be told otherwise.
    fn learn(&mut self, done: Done) {
        self.counts.done += 1;
        match done {
            Done::Flipped { seq, epoch, .. } => self.floor.rise(seq, epoch),
            Done::Lifted { seq } => self.floor.rise(seq, self.floor.epoch),
            Done::Begun { stamp, .. } => {
                if !self.runs.iter().any(|known| known.run == stamp.run) {
                    self.runs.push(Arc::new(stamp));
                }
            }
            Done::Wrote { space, last } => self.floor.kept(&space, last),
            Done::Shown { at, .. }
            | Done::Recalled { at, .. }
            | Done::Got { at, .. }
            | Done::Nothing { at }
            | Done::Mismatch { at, .. } => {
                self.counts.views += 1;
                if self.moments.last() != Some(&at) {
                    self.moments.push(at);
                }
            }
            Done::Called { .. }
            | Done::Joined { .. }
            | Done::Turned { .. }
            | Done::Ruled { .. }
            | Done::Noted
            | Done::Changed
            | Done::Run { .. } => {}
        }
    }

    /// Lets one of the waiting calls go on, as its fate will have it.
    fn release(&mut self, waiting: &[(Call, Side)]) {
        let place = match self.temper.order {
            Order::OldestFirst if self.dice.chance(80) => 0,
            Order::NewestFirst if self.dice.chance(80) => waiting.len() - 1,
            Order::Any | Order::OldestFirst | Order::NewestFirst => self.dice.below(waiting.len()),
        };
        let (call, side) = waiting[place];
        let fate = match side {
            Side::Before => self.fate(call),
            Side::After => Fate::Go,
        };
        self.trace.say(&format_args!("{} {side:?}: {fate:?}", call.name));
        self.schedule.release(place, fate);
    }

    fn fate(&mut self, call: Call) -> Fate {
        let fails = if self.temper.outage > 0 {
            self.temper.outage -= 1;
            true
        } else {
            self.dice.chance(self.temper.fault_percent)
        };
        match (fails, call.kind) {
            (false, _) => Fate::Go,
            (true, Kind::Read | Kind::LedgerRead) => Fate::Away,
            (true, Kind::Write | Kind::LedgerWrite) => {
                [Fate::Full, Fate::Away, Fate::Lost, Fate::Lost][self.dice.below(4)]
            }
        }
    }

    /// What must hold after every step.
    fn check_step(&mut self, control: Option<&Control>) -> Result<(), Fault> {
        self.counts.steps += 1;
        checks::compare_touched(&self.store)?;
        let Some(control) = control else { return Ok(()) };
        let snapshot = control.snapshot();
        let truth = self.store.truth();
        checks::check_snapshot(&snapshot, &truth, &self.floor)?;
        self.floor.rise(snapshot.world.head.seq, snapshot.world.epoch);
        drop(truth);
        self.check_dial(&snapshot)?;
        self.check_members()?;
        if self.temper.probes { self.probe(control) } else { Ok(()) }
    }

    fn counted(&self) -> Counts {
        let truth = self.store.truth();
        let turns = truth.entries.iter().filter(|entry| matches!(entry.body, Body::DialSet { .. }));
        Counts {
            turns: turns.count() as u64,
            decided: truth.approvals.values().filter(|approval| approval.approved.is_some()).count() as u64,
            used: truth.approvals.values().filter(|approval| approval.used.is_some()).count() as u64,
            entries: truth.entries.len() as u64,
            records: truth.records.len() as u64,
            runs: truth.runs.len() as u64,
            rollbacks: truth.world().deployments.values().filter(|d| d.is_rolled_back()).count() as u64,
            ..self.counts
        }
    }

    fn deployments(&self) -> Vec<DeploymentId> {
        self.store.truth().world().deployments.keys().copied().collect()
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something")
}

/// Lets everything run until nothing goes on by itself: time passes only when nobody has anything to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
