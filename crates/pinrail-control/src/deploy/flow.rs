//! How what a deployment wrote went on, wave by wave: who read it, what they wrote in turn, who read that.
//!
//! A record that the deployment wrote is in wave 0; one that was derived from a record is one wave later than that one.
//! Each record has one cause, so it is in one wave, and the waves tell a cause before its effect.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pinrail_domain::id::{RunId, StateSeq};
use pinrail_domain::state::Space;
use pinrail_domain::state::derive::Cause;

use super::blast::{Blast, Why};

/// What a deployment wrote, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    pub waves: Vec<Wave>,
    /// Records of later waves.
    pub beyond: u64,
}

/// Records that are equally many steps away from the deployment, and the runs that read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    pub written: BTreeMap<Space, BTreeMap<Writer, u64>>,
    /// The runs that were misled by records of this wave, with the spaces that they read those in.
    pub readers: BTreeMap<RunId, BTreeSet<Space>>,
}

/// Who wrote records of a wave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    Deployment,
    /// A run that was misled by the wave before.
    Run(RunId),
    /// Whoever it was named a record of this space, of the wave before, as a parent.
    Parent(Space),
}

/// Waves told apart; chains that are longer are rare, and nobody could look at them in one picture.
pub const WAVES_MAX: usize = 6;

impl Flow {
    fn wave(&mut self, wave: usize) -> &mut Wave {
        if self.waves.len() <= wave {
            self.waves.resize_with(wave + 1, Wave::default);
        }
        &mut self.waves[wave]
    }

    fn written(&mut self, wave: usize, space: &Space, by: Writer) {
        let written = &mut self.wave(wave).written;
        if !written.contains_key(space) {
            written.insert(space.clone(), BTreeMap::new());
        }
        let writers = written.get_mut(space).expect("it was put in just now");
        *writers.entry(by).or_default() += 1;
    }

    fn read(&mut self, wave: usize, run: RunId, space: &Space) {
        self.wave(wave).readers.entry(run).or_default().insert(space.clone());
    }
}

impl Blast {
    /// How what the deployment wrote went on.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let mut flow = Flow::default();
        let mut waves: HashMap<StateSeq, usize> = HashMap::with_capacity(self.found.derived.records.len());
        // Causes lie before their effects in the sequence, so the wave of a cause is always known.
        for (record, cause) in &self.found.derived.records {
            let from = match cause {
                Cause::Seed => None,
                Cause::Parent { record } | Cause::Run { record, .. } => Some(*record),
            };
            let wave = from.map_or(0, |from| waves.get(&from).copied().unwrap_or_default() + 1);
            waves.insert(*record, wave);
            if wave >= WAVES_MAX {
                flow.beyond += 1;
                continue;
            }
            let by = match cause {
                Cause::Seed => Writer::Deployment,
                Cause::Parent { record } => Writer::Parent(self.found.space(*record).clone()),
                Cause::Run { run, record, .. } => {
                    flow.read(wave - 1, *run, self.found.space(*record));
                    Writer::Run(*run)
                }
            };
            flow.written(wave, self.found.space(*record), by);
        }
        for (run, affected) in &self.runs {
            let Why::Misled(misled) = affected.why else { continue };
            let is_drawn = flow.waves.iter().any(|wave| wave.readers.contains_key(run));
            let wave = waves.get(&misled.record).copied().unwrap_or_default();
            if !is_drawn && wave < WAVES_MAX {
                flow.read(wave, *run, self.found.space(misled.record));
            }
        }
        flow
    }
}
