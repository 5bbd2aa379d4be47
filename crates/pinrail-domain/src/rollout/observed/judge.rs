//! From what was observed to facts: gathered quickly while others wait, judged when nobody does.
//!
//! Rates are judged by stratum. For means and quantiles both arms must be mixed alike: in a stratum at 1 % there are 99
//! incumbents for each unit of the candidate, at 50 % one; pooled as they are, the incumbent's values would be older on
//! average, and an hour that was slow for everybody would be held against one arm. So in each stratum units of one arm
//! are left out, chosen by hash, until all strata have the same ratio, the one nearest to theirs that wastes least.
//!
//! That choice changes when a share is met for the first time, or when a sample is halved. Between such changes what is
//! looked at only grows, which is what anytime-valid tests need. So each share of the plan gets an even part of
//! the guardrail's α, of which four fifths go to the first sample and each later one gets a fifth of the one before
//! (a union bound): the promise holds over all of them together.
//!
//! Counts from outside come without strata: they are asked for since the current step was entered, so they are of one share
//! too, and each step of the plan gets an even part of α. Which part of all events is the candidate's to have is not known there (sessions stay where
//! they are when shares change), so [`proportion`] judges them, which doesn't ask.

use std::collections::{BTreeMap, BTreeSet};

use super::stratum::{Sum, Values};
use super::{Observed, Paired, Watch};
use crate::rollout::facts::{Facts, Finding};
use crate::rollout::plan::{Guardrail, Plan, Step};
use crate::rollout::progress::Weights;
use crate::rollout::spec::Measure;
use crate::share::Share;
use crate::stats::{Alphas, Arms, Better, Counted, Judged, mean, proportion, quantile, rate, sample_ratio};

/// All that facts follow from, copied out of the fold.
#[derive(Clone, Debug)]
pub struct Gathered {
    guardrails: Vec<(Guardrail, Material)>,
    runs: Arms<u64>,
    strata: Vec<(Share, Arms<u64>)>,
    paired: Paired,
    shares: u32,
    steps: u32,
}

/// What a source outside says for a guardrail.
#[derive(Clone, Debug, PartialEq)]
pub enum Sourced {
    /// Bad events and all events, since the current step was entered or resumed.
    Counts { bad: Arms<u64>, total: Arms<u64> },
    /// Why it gives nothing.
    Trouble(String),
}

#[derive(Clone, Debug)]
enum Material {
    Rate(Vec<Counted>),
    Values { sorted: Arms<Vec<f64>>, halved: u32 },
    Outside,
}

/// The arms don't get their shares: a chance in a thousand of saying so in vain, since it stops everything.
const RATIO_ALPHA: f64 = 0.001;
const FIRST_SAMPLE: f64 = 0.8;
const NEXT_SAMPLE: f64 = 0.2;

impl Observed {
    /// Copies what facts need.
    #[must_use]
    pub fn gather(&self) -> Gathered {
        let guardrails = self.rollout.plan.guardrails.iter();
        let since = self.rollout.since_epoch;
        let mut runs = Arms::default();
        for arms in self.ended.range(since..).map(|(_, arms)| arms) {
            runs = sum(runs, *arms);
        }
        let mut paired = Paired::default();
        self.paired.range(since..).for_each(|(_, of)| paired.add(of));
        Gathered {
            guardrails: guardrails.map(|guardrail| (guardrail.clone(), self.material(guardrail))).collect(),
            runs,
            strata: self.strata.iter().map(|(share, stratum)| (*share, stratum.units)).collect(),
            paired,
            shares: shares(&self.rollout.plan),
            steps: u32::try_from(self.rollout.plan.steps.len()).unwrap_or(u32::MAX),
        }
    }

    fn material(&self, guardrail: &Guardrail) -> Material {
        let is_it = |watch: &Watch| watch.agent == guardrail.agent && watch.metric == guardrail.metric;
        let Some(place) = self.watches.iter().position(is_it) else { return Material::Outside };
        let (mut counted, mut valued) = (Vec::new(), Vec::new());
        for (share, stratum) in &self.strata {
            match &stratum.sums[place] {
                Sum::Rate { units, bad } => counted.push(Counted { share: *share, units: *units, bad: *bad }),
                Sum::Values { values, .. } => valued.push((*share, values)),
            }
        }
        match guardrail.metric.measure() {
            Measure::Rate => Material::Rate(counted),
            Measure::Mean | Measure::Quantile => {
                let halved = valued.iter().map(|(_, v)| v.candidate.halved + v.incumbent.halved).sum();
                Material::Values { sorted: mixed_alike(&valued), halved }
            }
        }
    }
}

impl Gathered {
    /// The facts, with what sources outside say by the guardrail's place in the plan. `complete` is for whoever knows
    /// whether everything was read.
    #[must_use]
    pub fn facts(self, sourced: &BTreeMap<usize, Sourced>) -> Facts {
        let (shares, steps) = (f64::from(self.shares.max(1)), f64::from(self.steps.max(1)));
        let findings = self.guardrails.iter().enumerate().map(|(place, (guardrail, material))| {
            let (judged, trouble) = match material {
                Material::Rate(counted) => (rated(counted, guardrail), None),
                Material::Values { sorted, halved } => {
                    let sample = FIRST_SAMPLE * NEXT_SAMPLE.powi(i32::try_from(*halved).unwrap_or(i32::MAX));
                    (valued(sorted, guardrail, sample / shares), None)
                }
                Material::Outside => outside(guardrail, sourced.get(&place), 1.0 / steps),
            };
            let Guardrail { name, agent, metric, .. } = guardrail;
            Finding { guardrail: name.clone(), agent: agent.clone(), metric: metric.clone(), judged, trouble }
        });
        Facts {
            complete: true,
            findings: findings.collect(),
            runs: self.runs,
            units: self.strata.iter().fold(Arms::default(), |units, (_, of)| sum(units, *of)),
            ratio_off: sample_ratio(&self.strata, RATIO_ALPHA).mismatch,
            pairs: self.paired.pairs(),
        }
    }
}

fn rated(counted: &[Counted], guardrail: &Guardrail) -> Judged {
    let (margin, alphas) = (guardrail.margin.0, guardrail.alphas());
    match guardrail.direction {
        Better::Lower => rate(counted, margin, alphas),
        Better::Higher => {
            // More of it is good: what lacks it is counted as bad.
            let lacking = |of: &Counted| {
                let lacks = |units: u64, with: u64| units.saturating_sub(with);
                let bad = Arms {
                    candidate: lacks(of.units.candidate, of.bad.candidate),
                    incumbent: lacks(of.units.incumbent, of.bad.incumbent),
                };
                Counted { bad, ..*of }
            };
            let lacking: Vec<Counted> = counted.iter().map(lacking).collect();
            let judged = rate(&lacking, margin, alphas);
            let with = |lacks: Option<f64>| lacks.map(|lacks| 1.0 - lacks);
            Judged { candidate: with(judged.candidate), incumbent: with(judged.incumbent), ..judged }
        }
    }
}

fn valued(sorted: &Arms<Vec<f64>>, guardrail: &Guardrail, part: f64) -> Judged {
    let Arms { candidate, incumbent } = sorted;
    let (margin, alphas) = (guardrail.margin.0, parted(guardrail.alphas(), part));
    let arms = Arms { candidate: &candidate[..], incumbent: &incumbent[..] };
    let Some(q) = guardrail.quantile else { return mean(arms, guardrail.direction, margin, alphas) };
    match guardrail.direction {
        Better::Lower => quantile(arms, q, margin, alphas),
        Better::Higher => {
            // Less is worse: how far the incumbent is above the candidate.
            let turned = Arms { candidate: arms.incumbent, incumbent: arms.candidate };
            let judged = quantile(turned, q, margin, alphas);
            let Arms { candidate, incumbent } = judged.samples;
            Judged {
                candidate: judged.incumbent,
                incumbent: judged.candidate,
                samples: Arms { candidate: incumbent, incumbent: candidate },
                ..judged
            }
        }
    }
}

fn outside(guardrail: &Guardrail, sourced: Option<&Sourced>, part: f64) -> (Judged, Option<String>) {
    let (margin, alphas) = (guardrail.margin.0, parted(guardrail.alphas(), part));
    let judge = |bad, total| proportion(bad, total, margin, alphas);
    match sourced {
        Some(Sourced::Counts { bad, total }) => (judge(*bad, *total), None),
        Some(Sourced::Trouble(why)) => (judge(Arms::default(), Arms::default()), Some(why.clone())),
        None => {
            let why = "it was not asked yet".to_owned();
            (judge(Arms::default(), Arms::default()), Some(why))
        }
    }
}

/// A part of what may be wrong. What lets a candidate pass needs none: it must pass at the last share anyway.
fn parted(alphas: Alphas, part: f64) -> Alphas {
    Alphas { worse: alphas.worse * part, ..alphas }
}

/// The values of both arms, sorted, in which all strata have the same ratio of the arms.
fn mixed_alike(strata: &[(Share, &Arms<Values>)]) -> Arms<Vec<f64>> {
    let ratio = |share: Share, values: &Arms<Values>| {
        let bps = f64::from(share.bps());
        let rest = f64::from(Share::BPS_MAX) - bps;
        (rest * values.incumbent.part()) / (bps * values.candidate.part())
    };
    let met: Vec<(f64, &Arms<Values>)> = strata
        .iter()
        .filter(|(share, values)| {
            let choice = *share > Share::NONE && *share < Share::ALL;
            choice && values.candidate.len() + values.incumbent.len() > 0
        })
        .map(|(share, values)| (ratio(*share, values), *values))
        .collect();
    let least = met.iter().map(|(ratio, _)| *ratio).fold(f64::INFINITY, f64::min);
    let most = met.iter().map(|(ratio, _)| *ratio).fold(0.0, f64::max);
    let target = least.max(1.0).min(most);
    let mut mixed = Arms { candidate: Vec::new(), incumbent: Vec::new() };
    for (ratio, values) in met {
        let keep = |values: &Values, part: f64| if part < 1.0 { values.part() * part } else { 1.0 };
        let (candidate, incumbent) = (&values.candidate, &values.incumbent);
        mixed.candidate.extend(candidate.of_part(keep(candidate, ratio / target)));
        mixed.incumbent.extend(incumbent.of_part(keep(incumbent, target / ratio)));
    }
    mixed.candidate.sort_by(f64::total_cmp);
    mixed.incumbent.sort_by(f64::total_cmp);
    mixed
}

/// How many shares a plan's canaries give.
fn shares(plan: &Plan) -> u32 {
    let mut shares = BTreeSet::new();
    for (step, at) in plan.steps.iter().enumerate() {
        match at {
            Step::Canary { .. } => {
                let Weights { everywhere, segments } = Weights::at_step(plan, step);
                shares.extend(segments.into_values().chain([everywhere]));
            }
            Step::Gate | Step::Shadow { .. } | Step::Pause { .. } | Step::Approve { .. } => {}
        }
    }
    shares.remove(&Share::NONE);
    u32::try_from(shares.len()).unwrap_or(u32::MAX)
}

fn sum(a: Arms<u64>, b: Arms<u64>) -> Arms<u64> {
    Arms { candidate: a.candidate + b.candidate, incumbent: a.incumbent + b.incumbent }
}
