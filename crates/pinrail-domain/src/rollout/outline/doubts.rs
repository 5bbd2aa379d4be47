//! What looks wrong about a plan, each in a sentence that says by how much.

use super::recent::{Grounds, Keys, Recent};
use super::{StepOutline, about, duration_words};
use crate::rollout::plan::{Plan, Step};
use crate::rollout::spec::{Measure, Metric};
use crate::share::Share;

pub(super) fn of(
    plan: &Plan,
    recent: &Recent,
    grounds: &[Grounds<'_>],
    steps: &[StepOutline],
) -> Vec<String> {
    let mut doubts = Vec::new();
    let runs: u64 = recent.reached().map(|flow| flow.runs).sum();
    let is_served = !recent.flows.is_empty();
    if is_served && runs == 0 {
        doubts.push(format!(
            "there was {}: without traffic no canary is ever proven, and each step stops and asks at its deadline",
            recent.words()
        ));
    }
    for (step, outlined) in plan.steps.iter().zip(steps) {
        match step {
            Step::Canary { segments, min_runs, .. } => {
                let of_segments = segments
                    .iter()
                    .filter(|_| is_served)
                    .filter_map(|segment| segment_doubt(outlined, segment, recent));
                doubts.extend(of_segments);
                doubts.extend(margin_doubt(outlined, *min_runs));
                doubts.extend(deadline_doubt(outlined));
            }
            Step::Shadow { .. } => doubts.extend(deadline_doubt(outlined)),
            Step::Approve { by } => {
                doubts.extend(by.iter().filter_map(|name| key_doubt(outlined, name, recent)))
            }
            Step::Gate | Step::Pause { .. } => {}
        }
    }
    let is_canary = |step: &Step| match step {
        Step::Canary { percent, .. } => percent.0 > Share::NONE,
        Step::Gate | Step::Shadow { .. } | Step::Pause { .. } | Step::Approve { .. } => false,
    };
    if !plan.steps.iter().any(is_canary) {
        doubts
            .push("no step is a canary: nothing is measured on live traffic before the promotion".to_owned());
    } else if plan.guardrails.is_empty() {
        doubts.push(
            "no guardrail watches: a canary widens as soon as it has its runs, however they went".to_owned(),
        );
    }
    if runs > 0 {
        doubts.extend(plan.guardrails.iter().zip(grounds).filter_map(|(guardrail, grounds)| {
            let is_source = match guardrail.metric.measure() {
                Measure::Mean | Measure::Quantile => true,
                Measure::Rate => false,
            };
            let unseen = is_source && grounds.is_unseen;
            unseen.then(|| unseen_words(&guardrail.name, &guardrail.metric))
        }));
    }
    doubts
}

/// The guardrail that needs most beyond the step's `min_runs`, and how many others do.
fn margin_doubt(step: &StepOutline, min_runs: u64) -> Option<String> {
    let place = format!("step {}, {}", step.step, step.what);
    if let Some(never) = step.guardrails.iter().find(|need| need.units.is_none()) {
        return Some(format!(
            "{place}: {}: proving {} is out of reach: widen its margin or the step's slack",
            never.guardrail, never.proves
        ));
    }
    let mut over: Vec<_> =
        step.guardrails.iter().filter(|need| need.more.is_some_and(|more| more > min_runs)).collect();
    over.sort_by_key(|need| std::cmp::Reverse(need.more));
    let most = over.first()?;
    let how_long = match most.expected_ms {
        Some(ms) => format!("about {} at the recent traffic", duration_words(ms)),
        None => "and there is no traffic to say how long".to_owned(),
    };
    let others = match over.len() - 1 {
        0 => String::new(),
        1 => "; one other guardrail needs more than min_runs, too".to_owned(),
        n => format!("; {n} other guardrails need more than min_runs, too"),
    };
    Some(format!(
        "{place}: {}: proving {} takes {} units of the candidate ({}), min_runs is {min_runs}: the step will wait longer, \
         {how_long}{others}",
        most.guardrail,
        most.proves,
        about(most.units.unwrap_or_default()),
        most.from
    ))
}

fn deadline_doubt(step: &StepOutline) -> Option<String> {
    let (expected, deadline) = (step.expected_ms?, step.deadline_ms?);
    (expected > deadline).then(|| {
        format!(
            "step {}, {}: it takes about {} at the recent traffic and stops undecided at its deadline after {}",
            step.step,
            step.what,
            duration_words(expected),
            duration_words(deadline)
        )
    })
}

fn segment_doubt(step: &StepOutline, segment: &crate::id::SegmentName, recent: &Recent) -> Option<String> {
    let flows: Vec<_> = recent.flows.iter().filter(|flow| flow.segment == *segment).collect();
    let place = format!("step {}, {}", step.step, step.what);
    if flows.is_empty() {
        return Some(format!(
            "{place}: the deployment doesn't serve segment {segment}, so the candidate gets no run there"
        ));
    }
    if let Some(own) = flows.iter().find_map(|flow| flow.own) {
        return Some(format!(
            "{place}: segment {segment} has deployment {own} of its own, so the candidate gets no run there"
        ));
    }
    let runs: u64 = flows.iter().map(|flow| flow.runs).sum();
    let span = flows.iter().map(|flow| flow.span_ms).max().unwrap_or_default();
    let is_quiet = runs == 0 && recent.reached().any(|flow| flow.runs > 0);
    is_quiet.then(|| {
        format!("{place}: there was no run in segment {segment} in the last {}", duration_words(span))
    })
}

fn key_doubt(step: &StepOutline, name: &str, recent: &Recent) -> Option<String> {
    match &recent.keys {
        Keys::Named(names) if names.contains(name) => None,
        Keys::Named(_) => Some(format!(
            "step {}, {}: no key is called `{name}` and may deploy, so nobody can give this approval",
            step.step, step.what
        )),
        Keys::Open => Some(format!(
            "step {}, {}: there are no keys, so nobody can approve as `{name}`: `pinrail key create {name} --scope deploy`",
            step.step, step.what
        )),
    }
}

fn unseen_words(name: &str, metric: &Metric) -> String {
    let what = match metric {
        Metric::Score(score) => format!("no score `{score}` was reported of recent runs"),
        Metric::Cost => {
            "no recent run has a known cost (the catalogue has no price for the model)".to_owned()
        }
        Metric::FirstByte
        | Metric::Latency
        | Metric::InputTokens
        | Metric::OutputTokens
        | Metric::ErrorRate
        | Metric::RefusalRate
        | Metric::EmptyRate
        | Metric::ToolErrorRate
        | Metric::UnknownToolRate
        | Metric::DriftRate
        | Metric::Prometheus => "no recent run has a value of it".to_owned(),
    };
    format!("{name}: {what}: canaries wait for it until their deadline")
}
