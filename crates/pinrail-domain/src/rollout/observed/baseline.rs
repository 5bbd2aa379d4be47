//! What metrics were lately, whoever answered: what a plan's outline is worked out from.
//!
//! The same reading of events, unit by unit, as a rollout's own, without arms and strata.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::unit::{Ran, UnitKey};
use super::watch::{Tally, Tools, Watch};
use crate::id::AgentName;
use crate::journal::{Recorded, Stamp};
use crate::rollout::outline::Base;
use crate::rollout::plan::Plan;
use crate::rollout::spec::{Measure, Metric};

/// Runs taken in so far.
#[derive(Clone, Debug)]
pub struct Baseline {
    watches: Vec<Watch>,
    units: HashMap<UnitKey, Vec<Tally>>,
}

impl Baseline {
    /// For what a plan's guardrails ask of the journal.
    #[must_use]
    pub fn new(plan: &Plan) -> Baseline {
        Baseline { watches: Watch::all(plan), units: HashMap::new() }
    }

    /// Takes in a run with its events, in order. `tools` are those of its release.
    pub fn take(&mut self, stamp: &Stamp, events: &[Recorded], tools: &Arc<Tools>) {
        let mut ran = Ran::of(stamp, tools, None);
        let tallies = self.units.entry(UnitKey::of(stamp));
        let tallies = tallies.or_insert_with(|| vec![Tally::default(); self.watches.len()]);
        for Recorded { event, .. } in events {
            ran.note(event);
            for (place, watch) in
                self.watches.iter().enumerate().filter(|(_, watch)| watch.agent == stamp.agent)
            {
                if let Some(change) = watch.change(place, &mut ran, event) {
                    tallies[place].apply(change);
                }
            }
        }
    }

    /// What each metric came to, by agent.
    #[must_use]
    pub fn bases(&self) -> BTreeMap<(AgentName, Metric), Base> {
        let of = |(place, watch): (usize, &Watch)| {
            let tallies = self.units.values().map(|tallies| tallies[place]);
            let base = match watch.metric.measure() {
                Measure::Rate => {
                    let rated = tallies.filter_map(Tally::rated);
                    let count = |(bad, units), is_bad| (bad + u64::from(is_bad), units + 1);
                    let (bad, units) = rated.fold((0, 0), count);
                    Base::Rate { bad, units }
                }
                Measure::Mean => spread(&values(tallies, &watch.metric)),
                Measure::Quantile => Base::Values(values(tallies, &watch.metric)),
            };
            ((watch.agent.clone(), watch.metric.clone()), base)
        };
        self.watches.iter().enumerate().map(of).collect()
    }
}

fn values(tallies: impl Iterator<Item = Tally>, metric: &Metric) -> Vec<f64> {
    let mut values: Vec<f64> = tallies.filter_map(|tally| tally.value(metric)).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn spread(values: &[f64]) -> Base {
    #[allow(clippy::cast_precision_loss, reason = "a sample of some hundreds")]
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    Base::Mean { mean, sd: variance.sqrt(), units: values.len() as u64 }
}
