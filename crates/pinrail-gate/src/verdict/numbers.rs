//! The numbers beside the pass rate: they inform, and never decide.

use std::collections::BTreeSet;

use pinrail_domain::stats::paired::{self, Ask, CaseScores, Paired, Scale};
use pinrail_domain::stats::{Alphas, Better};
use serde::{Deserialize, Serialize};

use super::arms::Counted;
use super::cases::{Both, latency_ms};

/// How both arms compare by something else than the pass rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Informs {
    /// `score`, `latency_ms`, `cost_usd`, or the name of a metric that assertions name.
    pub metric: String,
    pub scale: Scale,
    pub better: Better,
    /// What its verdict would be judged by.
    pub margin: f64,
    /// The mean over the cases that have it, each counting once.
    pub candidate: Option<f64>,
    pub incumbent: Option<f64>,
    /// None where there is no incumbent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Paired>,
}

/// A tenth slower or dearer is what people notice.
const AMOUNT_MARGIN: f64 = 0.1;
/// Named metrics that are reported; each is a test of its own.
const NAMED_MAX: usize = 32;

type Value<'v> = &'v dyn Fn(&Counted<'_>) -> Option<f64>;

/// All that can be said beside the pass rate of the cases that are compared.
pub(super) fn informs(cases: &[&Both<'_>], margin: f64, alphas: Alphas) -> Vec<Informs> {
    let unit = |metric: &str, of: Value<'_>| {
        let ask = Ask { scale: Scale::Unit, better: Better::Higher, margin, alphas };
        compare(metric, cases, &ask, of)
    };
    let amount = |metric: &str, of: Value<'_>| {
        let ask = Ask { scale: Scale::Amount, better: Better::Lower, margin: AMOUNT_MARGIN, alphas };
        compare(metric, cases, &ask, of)
    };
    let mut found = vec![unit("score", &|answer| Some(answer.score.score))];
    for name in names(cases) {
        found.push(unit(&name, &|answer| answer.score.named.get(&name).copied()));
    }
    found.push(amount("latency_ms", &|answer| Some(latency_ms(answer)).filter(|ms| *ms > 0.0)));
    found.push(amount("cost_usd", &cost_usd));
    found.retain(|informs| informs.candidate.is_some() || informs.incumbent.is_some());
    found
}

/// How often each case passed, for the arms that there are.
pub(super) fn pass_rates(cases: &[&Both<'_>]) -> Vec<CaseScores> {
    scores(cases, &|answer| Some(if answer.score.pass { 1.0 } else { 0.0 }))
}

fn scores(cases: &[&Both<'_>], of: Value<'_>) -> Vec<CaseScores> {
    let arm = |answers: &[Counted<'_>]| answers.iter().filter_map(of).collect::<Vec<f64>>();
    let one = |both: &&Both<'_>| CaseScores {
        candidate: arm(&both.candidate),
        incumbent: both.incumbent.as_deref().map(arm).unwrap_or_default(),
    };
    cases.iter().map(one).collect()
}

fn compare(metric: &str, cases: &[&Both<'_>], ask: &Ask, of: Value<'_>) -> Informs {
    let scores = scores(cases, of);
    let paired = cases.first().is_some_and(|both| both.incumbent.is_some());
    Informs {
        metric: metric.to_owned(),
        scale: ask.scale,
        better: ask.better,
        margin: ask.margin,
        candidate: mean(scores.iter().map(|case| case.candidate.as_slice())),
        incumbent: mean(scores.iter().map(|case| case.incumbent.as_slice())),
        compared: paired.then(|| paired::paired(&scores, ask)),
    }
}

/// What an answer cost in US dollars; none unless the price of every turn is known.
fn cost_usd(answer: &Counted<'_>) -> Option<f64> {
    let turns = &answer.row.answers;
    let nano: Option<u64> = turns.iter().map(|turn| turn.cost_nano_usd).sum();
    nano.filter(|_| !turns.is_empty()).map(|nano| nano as f64 / 1e9)
}

fn names(cases: &[&Both<'_>]) -> Vec<String> {
    let arms = cases.iter().flat_map(|both| both.candidate.iter().chain(both.incumbent.iter().flatten()));
    let names: BTreeSet<&String> = arms.flat_map(|answer| answer.score.named.keys()).collect();
    names.into_iter().take(NAMED_MAX).cloned().collect()
}

/// The mean of the cases' means, whatever the order; none of nothing.
fn mean<'v>(cases: impl Iterator<Item = &'v [f64]>) -> Option<f64> {
    let of = |values: &[f64]| {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let means: Vec<f64> = cases.filter_map(of).collect();
    of(&means)
}
