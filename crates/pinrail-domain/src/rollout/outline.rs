//! What a plan will take, worked out before anybody follows it: how much evidence each step needs, how long that is likely
//! to take, and what looks wrong.
//!
//! It asks of every guardrail how many units of the candidate it takes until `not worse` is expected where both arms are
//! equal ([`crate::stats::units_needed_rate`] and its neighbours), from what was measured lately or, where that is
//! too little, from an assumption that it names. Evidence is kept from step to step, so a step only waits for what
//! the steps before it haven't brought. A candidate that is better is through sooner, one that is a little worse later or
//! never; chance alone makes about every second rollout take longer than is said here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::margin_words;
use super::outlook::step_words;
use super::plan::{Guardrail, Plan, Step};
use super::progress::Weights;
use crate::id::AgentName;
use crate::stats::{units_needed_mean, units_needed_quantile, units_needed_rate};

mod doubts;
mod recent;

pub use recent::{Base, Flow, Keys, Recent, UNITS_MIN, VALUES_MIN};

use recent::Grounds;

/// A plan, in what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// The traffic that it is worked out from, in words.
    pub traffic: String,
    pub steps: Vec<StepOutline>,
    /// How long the steps take together, as far as that can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// What somebody should look at before this is followed.
    pub doubts: Vec<String>,
}

/// A step, in what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutline {
    /// From 1.
    pub step: usize,
    /// `canary 5%`.
    pub what: String,
    /// What must be there before it ends, in words.
    pub needs: Vec<String>,
    /// Of a canary: what each guardrail needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Need>,
    /// How long it is likely to take; none where nobody can know, or for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// When it stops and asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// What a guardrail needs in a canary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Need {
    pub agent: AgentName,
    pub guardrail: String,
    /// What is to be proven: `at most 2.00 points worse`.
    pub proves: String,
    /// Units of the candidate until that is expected, over the whole rollout; none: out of reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// How many of them this step adds to what the steps before it brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// How long that takes at the recent traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// What it is worked out from: `0.40% in 1 000 recent units`, or what is assumed.
    pub from: String,
}

/// Works out what a plan takes.
#[must_use]
pub fn outline(plan: &Plan, recent: &Recent) -> Outline {
    let grounds: Vec<Grounds<'_>> =
        plan.guardrails.iter().map(|guardrail| Grounds::of(guardrail, recent)).collect();
    let mut collected = BTreeMap::new();
    let mut steps = Vec::with_capacity(plan.steps.len());
    for (place, step) in plan.steps.iter().enumerate() {
        let weights = Weights::at_step(plan, place);
        let outlined = match step {
            Step::Canary { min_runs, slack, .. } => Canary {
                plan,
                recent,
                grounds: &grounds,
                weights: &weights,
                min_runs: *min_runs,
                slack: *slack,
            }
            .outline(place, step, &mut collected),
            Step::Gate | Step::Shadow { .. } | Step::Pause { .. } | Step::Approve { .. } => {
                waiting(place, step, recent)
            }
        };
        steps.push(outlined);
    }
    let doubts = doubts::of(plan, recent, &grounds, &steps);
    let expected_ms = steps.iter().map(|step| step.expected_ms).sum();
    Outline { traffic: recent.words(), steps, expected_ms, doubts }
}

/// A number of things for people: exact below 100, else two digits that count.
#[must_use]
pub fn about(count: u64) -> String {
    let mut step = 1;
    while count / step >= 100 {
        step *= 10;
    }
    let rounded = (count + step / 2) / step * step;
    let prefix = if step > 1 { "about " } else { "" };
    format!("{prefix}{}", thousands(rounded))
}

/// A length of time for people, in its largest unit: `3 d`, `40 min`.
#[must_use]
pub fn duration_words(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    // From two of the larger unit on; one and a half days are told in hours.
    let unit = UNITS.iter().find(|(size, _)| ms + size / 20 >= 2 * size);
    unit.map_or_else(
        || "a second".to_owned(),
        |(size, unit)| format!("{} {unit}", thousands((ms + size / 2) / size)),
    )
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

struct Canary<'a> {
    plan: &'a Plan,
    recent: &'a Recent,
    grounds: &'a [Grounds<'a>],
    weights: &'a Weights,
    min_runs: u64,
    slack: f64,
}

impl Canary<'_> {
    /// `collected` are the candidate's units so far, per agent, and takes in this step's.
    fn outline(&self, place: usize, step: &Step, collected: &mut BTreeMap<AgentName, u64>) -> StepOutline {
        let runs_ms = time_for(self.min_runs, self.recent.candidate_runs_per_hour(self.weights));
        let guardrails: Vec<Need> = self
            .plan
            .guardrails
            .iter()
            .zip(self.grounds)
            .map(|(guardrail, grounds)| self.need(guardrail, grounds, collected))
            .collect();
        // One that can't be reached, or without traffic, makes the whole step unknowable.
        let expected_ms = guardrails
            .iter()
            .map(|need| need.more.and_then(|more| if more == 0 { Some(0) } else { need.expected_ms }))
            .chain([runs_ms])
            .try_fold(0, |longest: u64, ms| ms.map(|ms| longest.max(ms)));
        for agent in self.plan.guardrails.iter().map(|guardrail| &guardrail.agent) {
            let own =
                guardrails.iter().filter(|need| need.agent == *agent).filter_map(|need| need.units).max();
            let by_then = expected_ms.map_or(0, |ms| {
                let per_hour = self.recent.candidate_units_per_hour(agent, self.weights);
                // Rounded down: an expectation.
                (per_hour * hours(ms)) as u64
            });
            let before = collected.get(agent).copied().unwrap_or_default();
            collected.insert(agent.clone(), before.max(own.unwrap_or_default()).max(by_then));
        }
        let runs = format!("{} runs of the candidate", thousands(self.min_runs));
        let proofs = guardrails.iter().map(|need| format!("{}: proof of {}", need.guardrail, need.proves));
        StepOutline {
            step: place + 1,
            what: step_words(step),
            needs: [runs].into_iter().chain(proofs).collect(),
            guardrails,
            expected_ms,
            deadline_ms: step.deadline().map(|deadline| deadline.ms),
        }
    }

    fn need(
        &self,
        guardrail: &Guardrail,
        grounds: &Grounds<'_>,
        collected: &BTreeMap<AgentName, u64>,
    ) -> Need {
        let (margin, alphas) = (guardrail.margin.0 * self.slack, guardrail.alphas());
        let share = self.weights.largest();
        let needed = match &*grounds.base {
            Base::Rate { bad, units } => {
                // Nothing bad yet is no proof that there never is.
                let rate = (*bad as f64 + 0.5) / (*units as f64 + 1.0);
                units_needed_rate(rate, share, margin, alphas)
            }
            Base::Mean { mean, sd, .. } => {
                units_needed_mean((*mean, *sd), guardrail.direction, share, margin, alphas)
            }
            Base::Values(values) => {
                let q = guardrail.quantile.unwrap_or(0.5);
                units_needed_quantile(values, q, share, margin, alphas)
            }
        };
        let units = needed.map(|needed| needed.candidate.max(guardrail.min_samples));
        let before = collected.get(&guardrail.agent).copied().unwrap_or_default();
        let more = units.map(|units| units.saturating_sub(before));
        let per_hour = self.recent.candidate_units_per_hour(&guardrail.agent, self.weights);
        Need {
            agent: guardrail.agent.clone(),
            guardrail: guardrail.name.clone(),
            proves: format!(
                "at most {} worse",
                margin_words(guardrail.margin, self.slack, &guardrail.metric)
            ),
            units,
            more,
            expected_ms: more.and_then(|more| time_for(more, per_hour)),
            from: grounds.words.clone(),
        }
    }
}

/// A step that measures nothing on live traffic of the candidate.
fn waiting(place: usize, step: &Step, recent: &Recent) -> StepOutline {
    let (needs, expected_ms) = match step {
        Step::Gate => {
            (vec!["a passing verdict on every suite of its agents (`pinrail gate run`)".to_owned()], None)
        }
        Step::Shadow { percent, min_runs, max_divergence, budget, .. } => {
            let mut needs = vec![format!("{} compared answers", thousands(*min_runs))];
            needs.extend(
                max_divergence.map(|max| format!("proof that answers differ by at most {max} on average")),
            );
            needs.extend(budget.map(|budget| format!("at most ${budget} for the candidate's answers")));
            let everywhere = Weights::everywhere(percent.0);
            (needs, time_for(*min_runs, recent.candidate_runs_per_hour(&everywhere)))
        }
        Step::Pause { length: Some(length) } => (vec![format!("{length} to pass")], Some(length.ms)),
        Step::Pause { length: None } => {
            (vec!["somebody to resume it (`pinrail deployment resume`)".to_owned()], None)
        }
        Step::Approve { by } if by.is_empty() => {
            (vec!["the approval of somebody who may deploy (`pinrail deployment approve`)".to_owned()], None)
        }
        Step::Approve { by } => {
            let each = by.iter().map(|name| format!("the approval of the holder of key `{name}`"));
            (each.collect(), None)
        }
        Step::Canary { .. } => unreachable!("a canary is outlined with its guardrails"),
    };
    StepOutline {
        step: place + 1,
        what: step_words(step),
        needs,
        guardrails: Vec::new(),
        expected_ms,
        deadline_ms: step.deadline().map(|deadline| deadline.ms),
    }
}

/// How long `count` things take; none where there are none per hour.
fn time_for(count: u64, per_hour: f64) -> Option<u64> {
    // Rounded up to a millisecond: an expectation, far below 2^53.
    (per_hour > 0.0).then(|| (count as f64 / per_hour * 3_600_000.0).ceil() as u64)
}

fn hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}

#[cfg(test)]
mod tests;
