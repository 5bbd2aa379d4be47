//! One process: it opens, things happen, and it dies or comes to its end.

use std::sync::Arc;
use std::time::Duration;

use pinrail_control::state::Reader;
use pinrail_control::{Control, OpenError, Options, Recovered};

use super::{Ending, World, settle};
use crate::checks::{self, Fault};
use crate::schedule::{Mood, Side};
use crate::setting::SETTING;
use crate::store::poll_once;

/// Operations under way at once.
const FLIGHTS_MAX: usize = 6;
/// Attempts to open while the store fails: more than any outage lasts.
const OPENS_MAX: usize = 200;
/// Steps that one attempt to open may take.
const OPEN_STEPS_MAX: usize = 1_000;

impl World {
    pub(super) async fn life(&mut self, steps: usize, last: bool) -> Result<Ending, Fault> {
        self.schedule.set_mood(if steps == 0 { Mood::Free } else { Mood::Gated });
        let Some(control) = self.open().await? else { return Ok(Ending::Crashed) };
        self.follow(&control);
        for _ in 0..steps {
            settle().await;
            self.land().await?;
            self.check_step(Some(&control))?;
            if !self.happen(&control).await {
                return Ok(Ending::Crashed);
            }
        }
        if !last && self.dice.chance(70) {
            return Ok(Ending::Crashed);
        }
        self.quieten(&control).await?;
        self.check_quiet(&control).await?;
        if last {
            self.take_everything_back(&control).await?;
            self.turn_off_without_store(&control).await?;
        }
        control.drain().await;
        self.check_step(Some(&control))?;
        Ok(Ending::Quiet)
    }

    /// Opens the control plane; none when the process died meanwhile.
    async fn open(&mut self) -> Result<Option<Control>, Fault> {
        for _ in 0..OPENS_MAX {
            match self.try_open().await? {
                None => return Ok(None),
                Some(Ok((control, recovered))) => {
                    self.trace.say(&format_args!("open: {recovered:?}"));
                    return Ok(Some(control));
                }
                Some(Err(error @ OpenError::Corrupt(_))) => {
                    return Err(format!("I8: it cannot open: {error:?}"));
                }
                Some(Err(error)) => self.trace.say(&format_args!("not open: {error:?}")),
            }
        }
        Err("it never opened".to_owned())
    }

    async fn try_open(&mut self) -> Result<Option<Result<(Control, Recovered), OpenError>>, Fault> {
        let options = Options {
            store: Arc::clone(&self.store) as Arc<dyn pinrail_store::Store>,
            clock: Arc::clone(&self.clock) as Arc<dyn pinrail_domain::time::Clock>,
            entropy: Arc::clone(&self.entropy) as Arc<dyn pinrail_domain::time::Entropy>,
            catalogue: SETTING.catalogue.clone(),
            vectors_folder: None,
            notebook: Some(Arc::clone(&self.paper) as Arc<dyn pinrail_control::dial::Notebook>),
            spool: None,
            stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
            leads: true,
        };
        let opening = tokio::spawn(Control::open(options));
        for _ in 0..OPEN_STEPS_MAX {
            settle().await;
            self.check_step(None)?;
            if opening.is_finished() {
                return match opening.await {
                    Ok(opened) => Ok(Some(opened)),
                    Err(error) => Err(format!("opening panicked: {error}")),
                };
            }
            let waiting = self.schedule.waiting();
            if self.dice.draw() % 1_000 < self.temper.crash_permille {
                return Ok(None);
            }
            if waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else {
                self.release(&waiting);
            }
        }
        Err("opening doesn't end".to_owned())
    }

    /// The members follow the new process.
    fn follow(&mut self, control: &Control) {
        let spaces = vec![SETTING.context(0, 0), SETTING.context(0, 1)];
        for member in &self.members {
            tokio::spawn(member.clone().follow(control.clone(), spaces.clone()));
        }
    }

    /// What happens next; false when it is the process's end.
    async fn happen(&mut self, control: &Control) -> bool {
        if self.dice.draw() % 1_000 < self.temper.crash_permille {
            return false;
        }
        let waiting = self.schedule.waiting();
        match self.dice.below(100) {
            0..=29 if self.flights.len() < FLIGHTS_MAX => self.start(control),
            30..=33 => {
                let ms = [-86_400_000, -5_000, -1, 3_000, 3_600_000, 2 * 86_400_000][self.dice.below(6)];
                self.trace.say(&format_args!("the clock jumps by {ms} ms"));
                self.clock.jump(ms);
            }
            34..=37 => self.pass(1 + self.dice.clone().below(600) as u64).await,
            38..=39 => self.go_away(),
            40 if self.temper.fault_percent > 0 => {
                self.temper.outage = 1 + self.dice.below(12) as u64;
                self.trace.say(&format_args!("the next {} calls fail", self.temper.outage));
            }
            _ if !waiting.is_empty() => self.release(&waiting),
            _ if self.flights.len() < FLIGHTS_MAX => self.start(control),
            _ => self.pass(20).await,
        }
        true
    }

    async fn pass(&mut self, ms: u64) {
        let _ = self.dice.draw();
        self.trace.say(&format_args!("{ms} ms pass"));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// A client stops waiting for its answer.
    fn go_away(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let place = self.dice.below(self.flights.len());
        let flight = &self.flights[place];
        self.trace.say(&format_args!("{} gives up", flight.op.tag()));
        flight.work.abort();
    }

    /// Lets everybody come to an end, without faults.
    pub(super) async fn quieten(&mut self, control: &Control) -> Result<(), Fault> {
        self.temper.outage = 0;
        self.schedule.set_mood(Mood::Free);
        for _ in 0..100 {
            let recorded = control.dials_unrecorded().is_empty();
            for _ in self.schedule.waiting() {
                self.schedule.release(0, crate::schedule::Fate::Go);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.land().await?;
            self.check_step(Some(control))?;
            // The store is back, so what the ledger doesn't hold gets there, and everybody hears of it.
            if recorded && self.flights.is_empty() && self.schedule.waiting().is_empty() {
                return Ok(());
            }
        }
        let stuck: Vec<String> = self.flights.iter().map(|flight| flight.op.tag()).collect();
        let calls: Vec<(&str, Side)> =
            self.schedule.waiting().iter().map(|(call, side)| (call.name, *side)).collect();
        Err(format!("nobody answers {stuck:?}, with {calls:?}"))
    }

    /// Looks at every space that lies ready, through everybody's eyes, at one instant: all layers are at one entry.
    pub(super) fn probe(&mut self, control: &Control) -> Result<(), Fault> {
        let truth = self.store.truth();
        let shown = control.snapshot().world.head.seq;
        if self.probed.replace((truth.moment(), shown)) == Some((truth.moment(), shown)) {
            return Ok(());
        }
        for space in truth.spaces() {
            for own in truth.readers() {
                let reader = Reader { own, ..Reader::everybody() };
                let view = control.states().view(space, &reader, |sight| {
                    let seqs = sight.shown().iter().map(|place| sight.index.seq(place)).collect::<Vec<_>>();
                    (sight.view.at, seqs)
                });
                // One that has to be read first is not looked at.
                let Some(Ok((at, seqs))) = poll_once(view) else { break };
                if at.ledger != shown {
                    return Err(format!("I5: {space} is at entry {}, and the world at {shown}", at.ledger));
                }
                checks::check_view(&truth, (space, &reader), at, &seqs, &self.floor)?;
                self.counts.views += 1;
            }
        }
        Ok(())
    }
}
