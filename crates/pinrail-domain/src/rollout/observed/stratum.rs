//! What the units of one share come to, kept as units change: nothing is counted anew at a look.

use std::collections::BTreeSet;

use super::unit::{Arm, Unit};
use super::watch::{Watch, is_rate};
use crate::rollout::spec::Metric;
use crate::stats::Arms;

/// Values kept per metric, arm and stratum. What they say of a mean is right to half a point; a quantile needs fewer.
pub const VALUES_MAX: usize = if cfg!(test) { 64 } else { 20_000 };

/// The units that were assigned while the candidate had one share.
#[derive(Clone, Debug)]
pub(super) struct Stratum {
    pub units: Arms<u64>,
    /// Per watch.
    pub sums: Vec<Sum>,
}

/// What units come to in one metric.
#[derive(Clone, Debug)]
pub(super) enum Sum {
    /// Units that were seen, and those of them that are bad.
    Rate {
        units: Arms<u64>,
        bad: Arms<u64>,
    },
    Values {
        metric: Metric,
        values: Arms<Values>,
    },
}

/// Values of units, ordered: a sample of the units by their hash.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// The value's bits, which for what isn't negative sort as the numbers do, and the unit's hash.
    kept: BTreeSet<(u64, u64)>,
    /// How often the sample was halved.
    pub halved: u32,
}

impl Stratum {
    pub fn new(watches: &[Watch]) -> Stratum {
        let sum = |watch: &Watch| match is_rate(&watch.metric) {
            true => Sum::Rate { units: Arms::default(), bad: Arms::default() },
            false => Sum::Values { metric: watch.metric.clone(), values: Arms::default() },
        };
        Stratum { units: Arms::default(), sums: watches.iter().map(sum).collect() }
    }

    /// Counts what the unit comes to.
    pub fn deposit(&mut self, place: usize, unit: &Unit, arm: Arm) {
        let tally = unit.tallies[place];
        match &mut self.sums[place] {
            Sum::Rate { units, bad } => {
                if let Some(is_bad) = tally.rated() {
                    *arm.of(units) += 1;
                    *arm.of(bad) += u64::from(is_bad);
                }
            }
            Sum::Values { metric, values } => {
                if let Some(value) = tally.value(metric) {
                    arm.of(values).insert(value, unit.hash);
                }
            }
        }
    }

    /// Takes back what [`Stratum::deposit`] counted, while the unit is still as it was.
    pub fn withdraw(&mut self, place: usize, unit: &Unit, arm: Arm) {
        let tally = unit.tallies[place];
        match &mut self.sums[place] {
            Sum::Rate { units, bad } => {
                if let Some(is_bad) = tally.rated() {
                    *arm.of(units) -= 1;
                    *arm.of(bad) -= u64::from(is_bad);
                }
            }
            Sum::Values { metric, values } => {
                if let Some(value) = tally.value(metric) {
                    arm.of(values).remove(value, unit.hash);
                }
            }
        }
    }
}

impl Values {
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// The values of units whose hash is among the lowest `part` of all, in order.
    pub fn of_part(&self, part: f64) -> impl Iterator<Item = f64> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at the ends")]
        let below = (part * 2.0_f64.powi(64)) as u64;
        let everything = part >= 1.0;
        let kept = self.kept.iter().filter(move |(_, hash)| everything || *hash < below);
        kept.map(|(bits, _)| f64::from_bits(*bits))
    }

    /// The part of all units that is kept, as far as chance goes.
    pub fn part(&self) -> f64 {
        0.5_f64.powi(i32::try_from(self.halved).unwrap_or(i32::MAX))
    }

    fn insert(&mut self, value: f64, hash: u64) {
        if !self.keeps(hash) {
            return;
        }
        self.kept.insert((value.to_bits(), hash));
        while self.kept.len() > VALUES_MAX {
            self.halved += 1;
            let below = u64::MAX >> self.halved;
            self.kept.retain(|(_, hash)| *hash <= below);
        }
    }

    fn remove(&mut self, value: f64, hash: u64) {
        self.kept.remove(&(value.to_bits(), hash));
    }

    fn keeps(&self, hash: u64) -> bool {
        hash <= u64::MAX >> self.halved.min(63)
    }
}
