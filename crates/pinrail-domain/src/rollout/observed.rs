//! What is observed of a rollout: a fold over the journal of the runs that it concerns.
//!
//! **Who is compared.** Both arms at the same time, never before against after:
//! - the *candidate's* arm is runs stamped with its deployment, the *incumbent's* runs of the same agents stamped with any
//!   other one, in segments and epochs in which the candidate had a share above none. Runs of other times and places
//!   count for nothing. Neither do runs by `Via::Active`: there was no choice.
//! - Only what chance assigned is compared. A *unit* is a session of an agent and tenant, or a run without one; it is
//!   compared if its first run in the rollout came by `Via::Bucket` of this deployment's salt. A session that came by
//!   `Via::Session` was bound before the rollout served anybody: such sessions are longer than others, and all of them
//!   are the incumbent's. The first run is the one of the lowest epoch, and there one by chance, whatever order they
//!   arrive in: a session that is bound stays so for the rest of an epoch.
//! - A sub-agent's runs (`Via::Parent`) belong to the unit of the run that began them, whatever session they name, since
//!   that unit is what was assigned; they never make a unit, nor do they decide its stratum.
//! - A unit that was seen on both arms (only what people do leads there) is dropped from both.
//! - Shadow runs are in no arm; they are counted in [`Pairs`](super::facts::Pairs).
//!
//! **Strata.** A unit's stratum is the share that its segment had in the epoch of its first run: the chance of the
//! candidate's arm. Counts are kept by stratum ([`crate::stats::rate`]). Values of both arms are mixed alike before they are
//! compared ([`judge`]), so that a share that grew while everybody slowed down is no harm.
//!
//! **Clusters.** A session's runs depend on each other, so what is compared is units: rates count units in which it happened
//! at least once, means and quantiles take one value per unit, the mean of its values.
//!
//! **Order.** Runs may arrive in any order, each run's events in theirs. What comes out doesn't depend on it: sums are whole
//! numbers, and samples are chosen by hashes of the units. Events that came before are passed over, and events that are
//! missing are asked for ([`Taken::Gap`]), so following live and reading the store again can overlap.
//!
//! **Memory.** At most [`UNITS_MAX`] units and [`RUNS_MAX`] runs are remembered. Then the oldest unit is *settled*: what it
//! counted for stays counted, and what still comes of it, such as a late score, is passed over. At most [`VALUES_MAX`] values
//! are kept per metric, arm and stratum: a sample of the units by hash, halved whenever it is full.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::progress::Rollout;
use crate::assign::{Salt, bucket};
use crate::deployment::Deployment;
use crate::id::{AgentName, DeploymentId, Epoch, EventSeq, RunId, SessionId};
use crate::journal::{Event, Stamp};
use crate::routes::Via;
use crate::share::Share;
use crate::stats::Arms;

mod baseline;
pub mod judge;
mod pairs;
mod stratum;
mod unit;
mod watch;

pub use baseline::Baseline;
pub use judge::{Gathered, Sourced};
pub use stratum::VALUES_MAX;
pub use watch::Tools;

use pairs::Paired;
use stratum::Stratum;
use unit::{Assigned, Ran, Unit, UnitKey};
use watch::{Change, Watch};

/// About 300 bytes each with eight guardrails: 30 MB while a rollout is that large. Far more than any margin needs.
pub const UNITS_MAX: usize = if cfg!(test) { 400 } else { 100_000 };
/// About 150 bytes each. Sessions have some runs; beyond this, the oldest go.
pub const RUNS_MAX: usize = if cfg!(test) { 1_000 } else { 200_000 };

/// The fold for one deployment's rollout.
#[derive(Clone, Debug)]
pub struct Observed {
    id: DeploymentId,
    salt: Salt,
    /// What is watched of each agent that the deployment covers, as places in `watches`.
    agents: BTreeMap<AgentName, Vec<usize>>,
    watches: Vec<Watch>,
    rollout: Rollout,
    units: HashMap<UnitKey, Unit>,
    /// The units by age, oldest first.
    ages: VecDeque<UnitKey>,
    runs: HashMap<RunId, Ran>,
    strata: BTreeMap<Share, Stratum>,
    /// Runs of compared units that ended, by the epoch of their stamp.
    ended: BTreeMap<Epoch, Arms<u64>>,
    /// Copies, by the epoch of their stamp.
    paired: BTreeMap<Epoch, Paired>,
}

/// What became of what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in.
    New,
    /// It was in already.
    Known,
    /// The rollout doesn't concern itself with this run, as far as it knows.
    Ignored,
    /// The run's place depends on this one, which isn't known: take that in first, if it concerns the rollout.
    NeedsParent(RunId),
    /// Events of the run are missing from this place on.
    Gap(EventSeq),
}

impl Observed {
    /// The fold of a deployment with a rollout, empty; none where there is no rollout.
    #[must_use]
    pub fn new(deployment: &Deployment) -> Option<Observed> {
        let rollout = deployment.rollout.as_deref()?.clone();
        let watches = Watch::all(&rollout.plan);
        let watched = |agent: &AgentName| {
            let watches = (0..).zip(&watches).filter(|(_, watch)| watch.agent == *agent);
            watches.map(|(place, _)| place).collect()
        };
        Some(Observed {
            id: deployment.id,
            salt: deployment.salt,
            agents: deployment.releases.keys().map(|agent| (agent.clone(), watched(agent))).collect(),
            watches,
            rollout,
            units: HashMap::new(),
            ages: VecDeque::new(),
            runs: HashMap::new(),
            strata: BTreeMap::new(),
            ended: BTreeMap::new(),
            paired: BTreeMap::new(),
        })
    }

    /// Takes in where the rollout stands now: runs may be stamped with its newest epoch.
    pub fn moved(&mut self, rollout: &Rollout) {
        self.rollout = rollout.clone();
    }

    /// The agents whose runs it looks at.
    pub fn agents(&self) -> impl Iterator<Item = &AgentName> {
        self.agents.keys()
    }

    /// Where the rollout stood when it was last told.
    #[must_use]
    pub fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// The place of the next event of a run that is known.
    #[must_use]
    pub fn next(&self, run: RunId) -> Option<EventSeq> {
        self.runs.get(&run).map(|ran| EventSeq(u64::from(ran.next)))
    }

    /// Whether a run may matter, before anything else is known of it.
    #[must_use]
    pub fn concerns(&self, stamp: &Stamp) -> bool {
        let then = self.rollout.weights_in(stamp.epoch);
        let is_live = then.is_some_and(|weights| weights.largest() > Share::NONE);
        let is_copy = stamp.via == Via::Shadow && stamp.deployment == self.id;
        let is_traffic = !matches!(stamp.via, Via::Active | Via::Gate);
        self.agents.contains_key(&stamp.agent) && (is_copy || (is_live && is_traffic))
    }

    /// Takes in a run's beginning, event 0 of its journal, with the tools of its release.
    pub fn began(&mut self, stamp: &Stamp, tools: &Arc<Tools>) -> Taken {
        if self.runs.contains_key(&stamp.run) {
            return Taken::Known;
        }
        let weights = self.rollout.weights_in(stamp.epoch);
        let Some(weights) = weights.filter(|_| self.agents.contains_key(&stamp.agent)) else {
            return Taken::Ignored;
        };
        let share = weights.in_segment(&stamp.segment);
        let is_live = share > Share::NONE;
        let assigned = |was_bound| Assigned { epoch: stamp.epoch, was_bound, share };
        let taken = match stamp.via {
            Via::Shadow => self.began_copy(stamp, tools),
            Via::Active | Via::Gate | Via::Dial => Taken::Ignored,
            Via::Parent => match stamp.parent {
                Some(parent) if weights.largest() > Share::NONE => self.began_below(stamp, tools, parent),
                Some(_) | None => Taken::Ignored,
            },
            Via::Session if is_live => self.began_in(UnitKey::of(stamp), stamp, tools, Some(assigned(true))),
            // Another deployment's bucket is another choice.
            Via::Bucket(drawn) if is_live && drawn == self.bucket(stamp) => {
                self.began_in(UnitKey::of(stamp), stamp, tools, Some(assigned(false)))
            }
            Via::Session | Via::Bucket(_) => Taken::Ignored,
        };
        self.settle();
        taken
    }

    /// Takes in an event after event 0.
    pub fn take(&mut self, run: RunId, place: EventSeq, event: &Event) -> Taken {
        let Some(ran) = self.runs.get_mut(&run) else { return Taken::Ignored };
        match place.0.cmp(&u64::from(ran.next)) {
            std::cmp::Ordering::Less => return Taken::Known,
            std::cmp::Ordering::Greater => return Taken::Gap(EventSeq(u64::from(ran.next))),
            std::cmp::Ordering::Equal => ran.next += 1,
        }
        ran.note(event);
        let (epoch, key) = (ran.epoch, ran.unit);
        let Some(key) = key else {
            self.paired.entry(epoch).or_default().take(ran, event);
            return Taken::New;
        };
        let watched = self.agents.get(&ran.agent).map(Vec::as_slice).unwrap_or_default();
        let changes: Vec<(usize, Change)> = watched
            .iter()
            .filter_map(|place| Some((*place, self.watches[*place].change(*place, ran, event)?)))
            .collect();
        let unit = self.units.get_mut(&key).expect("a run is forgotten with its unit");
        let compared = unit.compared();
        for (place, change) in changes {
            if let Some((share, arm)) = compared {
                let stratum = self.strata.entry(share).or_insert_with(|| Stratum::new(&self.watches));
                stratum.withdraw(place, unit, arm);
                unit.tallies[place].apply(change);
                stratum.deposit(place, unit, arm);
            } else {
                unit.tallies[place].apply(change);
            }
        }
        if let (Event::Finished { .. }, Some((_, arm))) = (event, compared) {
            *arm.of(self.ended.entry(epoch).or_default()) += 1;
        }
        Taken::New
    }

    fn bucket(&self, stamp: &Stamp) -> u16 {
        match &stamp.session {
            Some(session) => bucket(self.salt, SessionId::as_str(session)),
            None => bucket(self.salt, &stamp.run.to_string()),
        }
    }

    fn began_copy(&mut self, stamp: &Stamp, tools: &Arc<Tools>) -> Taken {
        if stamp.deployment != self.id {
            return Taken::Ignored;
        }
        self.runs.insert(stamp.run, Ran::of(stamp, tools, None));
        Taken::New
    }

    fn began_below(&mut self, stamp: &Stamp, tools: &Arc<Tools>, parent: RunId) -> Taken {
        match self.runs.get(&parent).map(|ran| ran.unit) {
            Some(Some(key)) => self.began_in(key, stamp, tools, None),
            Some(None) => Taken::Ignored,
            None => Taken::NeedsParent(parent),
        }
    }

    /// Puts a run into its unit; `assigned` is how it got there, unless it is a sub-agent's.
    fn began_in(
        &mut self,
        key: UnitKey,
        stamp: &Stamp,
        tools: &Arc<Tools>,
        assigned: Option<Assigned>,
    ) -> Taken {
        let mut unit = match self.units.remove(&key) {
            Some(unit) => unit,
            None => {
                self.ages.push_back(key);
                Unit::new(key, self.watches.len())
            }
        };
        self.withdraw(&unit);
        unit.seen.add(stamp.deployment == self.id);
        if let Some(assigned) = assigned {
            unit.assigned(assigned);
        }
        unit.runs.push(stamp.run);
        self.runs.insert(stamp.run, Ran::of(stamp, tools, Some(key)));
        self.deposit(&unit);
        self.units.insert(key, unit);
        Taken::New
    }

    fn withdraw(&mut self, unit: &Unit) {
        let Some((share, arm)) = unit.compared() else { return };
        if let Some(stratum) = self.strata.get_mut(&share) {
            *arm.of(&mut stratum.units) -= 1;
            (0..self.watches.len()).for_each(|place| stratum.withdraw(place, unit, arm));
        }
        for ran in unit.runs.iter().filter_map(|run| self.runs.get(run)).filter(|ran| ran.finished.is_some())
        {
            *arm.of(self.ended.entry(ran.epoch).or_default()) -= 1;
        }
    }

    fn deposit(&mut self, unit: &Unit) {
        let Some((share, arm)) = unit.compared() else { return };
        let stratum = self.strata.entry(share).or_insert_with(|| Stratum::new(&self.watches));
        *arm.of(&mut stratum.units) += 1;
        (0..self.watches.len()).for_each(|place| stratum.deposit(place, unit, arm));
        for ran in unit.runs.iter().filter_map(|run| self.runs.get(run)).filter(|ran| ran.finished.is_some())
        {
            *arm.of(self.ended.entry(ran.epoch).or_default()) += 1;
        }
    }

    /// Forgets the oldest units where there are too many; what they counted for stays.
    fn settle(&mut self) {
        while self.units.len() > UNITS_MAX || (self.runs.len() > RUNS_MAX && self.units.len() > 1) {
            let Some(oldest) = self.ages.pop_front() else { return };
            let unit = self.units.remove(&oldest).expect("every age is a unit's");
            for run in &unit.runs {
                self.runs.remove(run);
            }
        }
    }
}

#[cfg(test)]
mod tests;
