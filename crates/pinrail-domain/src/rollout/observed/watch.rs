//! How events read as a metric.
//!
//! | metric | counts a unit as | is bad, or has the value |
//! |---|---|---|
//! | `error_rate` | seen: a run of it ended `ok`, or with an `error` that isn't the client's | a run ended with an `error`, a call failed, was answered with an error or cut, and it wasn't the client's doing |
//! | `refusal_rate` | seen: as above | an answer was a refusal |
//! | `empty_rate` | seen: as above | an answer was empty, cut by the provider, or cut at the token limit |
//! | `tool_error_rate` | seen: as above | a tool's result was an error |
//! | `unknown_tool_rate` | seen: as above | the model, or the agent, called a tool that the release doesn't have |
//! | `drift_rate` | seen: as above | something else than the pin answered |
//! | `first_byte`, `latency` | per whole answer | milliseconds from the request's arrival |
//! | `input_tokens`, `output_tokens`, `cost` | per run that ended `ok` | what its calls took together, where the provider said |
//! | `score:NAME` | per run with such a score | the newest one |
//!
//! A unit in which something bad happened is seen, ended runs or not. What the client cancelled or did wrong is neither
//! good nor bad. Failed calls have no latency and failed runs no cost: they are often fast and cheap, and that is no merit.

use std::collections::BTreeSet;

use super::Ran;
use crate::id::AgentName;
use crate::journal::{Ending, Event, FaultOf, ModelResponse, Outcome};
use crate::rollout::plan::Plan;
use crate::rollout::spec::{Measure, Metric};

/// A metric of an agent that a guardrail asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Watch {
    pub agent: AgentName,
    pub metric: Metric,
}

/// The tools of a release; none where it pins none, and the caller's are passed on.
pub type Tools = Option<BTreeSet<String>>;

/// What a unit comes to in one metric: for rates `n` ended runs and `sum` bad events, else `n` values and their sum, in
/// whole microseconds, tokens, or billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tally {
    pub n: u64,
    pub sum: u64,
}

/// What an event does to a tally.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    pub n: u64,
    pub plus: u64,
    pub minus: u64,
}

/// Finish reasons of answers that reached the token limit, in the words of different providers.
const TOO_LONG: [&str; 2] = ["length", "max_tokens"];
const NANO: f64 = 1e9;

impl Watch {
    /// What a plan's guardrails ask of the journal, each once.
    pub fn all(plan: &Plan) -> Vec<Watch> {
        let mut watches: Vec<Watch> = Vec::new();
        for guardrail in plan.guardrails.iter().filter(|guardrail| guardrail.metric != Metric::Prometheus) {
            let watch = Watch { agent: guardrail.agent.clone(), metric: guardrail.metric.clone() };
            if !watches.contains(&watch) {
                watches.push(watch);
            }
        }
        watches
    }

    /// What an event of a run does to its unit's tally; `ran` has taken the event in already.
    pub fn change(&self, place: usize, ran: &mut Ran, event: &Event) -> Option<Change> {
        let ends = matches!(event, Event::Finished { .. });
        match &self.metric {
            Metric::Score(name) => score(place, name, ran, event),
            Metric::FirstByte => answered(event, |response| response.first_byte_us),
            Metric::Latency => answered(event, |response| response.last_byte_us),
            Metric::InputTokens if ends => spent(ran, ran.tokens.map(|(input, _)| input)),
            Metric::OutputTokens if ends => spent(ran, ran.tokens.map(|(_, output)| output)),
            Metric::Cost if ends => spent(ran, ran.cost_nano_usd),
            Metric::InputTokens | Metric::OutputTokens | Metric::Cost | Metric::Prometheus => None,
            Metric::ErrorRate
            | Metric::RefusalRate
            | Metric::EmptyRate
            | Metric::ToolErrorRate
            | Metric::UnknownToolRate
            | Metric::DriftRate => {
                let n = u64::from(ends && is_judged(ran));
                let plus = u64::from(self.is_bad(ran, event));
                (n + plus > 0).then_some(Change { n, plus, minus: 0 })
            }
        }
    }

    fn is_bad(&self, ran: &Ran, event: &Event) -> bool {
        let unknown = |name: &String| ran.tools.as_ref().as_ref().is_some_and(|tools| !tools.contains(name));
        match (&self.metric, event) {
            (Metric::ErrorRate, Event::Finished { outcome: Outcome::Error, .. }) => is_judged(ran),
            (Metric::ErrorRate, Event::ModelFailed { fault, .. }) => *fault != FaultOf::Client,
            (Metric::ErrorRate, Event::ModelResponse(response)) => match response.ending {
                Ending::Cut | Ending::Error => true,
                Ending::Complete | Ending::Cancelled => false,
            },
            (Metric::RefusalRate, Event::ModelResponse(response)) => response.refusal,
            (Metric::EmptyRate, Event::ModelResponse(response)) => is_empty(response),
            (Metric::ToolErrorRate, Event::ToolResult { error, .. }) => *error,
            (Metric::UnknownToolRate, Event::ModelResponse(response)) => {
                response.tool_calls.iter().any(unknown)
            }
            (Metric::UnknownToolRate, Event::ToolCall { name, .. }) => unknown(name),
            (Metric::DriftRate, Event::Drift { .. }) => true,
            (_, _) => false,
        }
    }
}

impl Tally {
    pub fn apply(&mut self, change: Change) {
        self.n += change.n;
        self.sum = self.sum.saturating_add(change.plus).saturating_sub(change.minus);
    }

    /// Whether the unit was seen, and whether it is bad.
    pub fn rated(self) -> Option<bool> {
        (self.n > 0 || self.sum > 0).then_some(self.sum > 0)
    }

    /// The unit's value in the metric's own unit.
    #[allow(clippy::cast_precision_loss, reason = "what is lost is far below what is measured")]
    pub fn value(self, metric: &Metric) -> Option<f64> {
        let mean = |scale: f64| self.sum as f64 / self.n as f64 / scale;
        (self.n > 0).then(|| match metric {
            Metric::FirstByte | Metric::Latency => mean(1e3),
            Metric::Score(_) | Metric::Cost => mean(NANO),
            Metric::InputTokens
            | Metric::OutputTokens
            | Metric::ErrorRate
            | Metric::RefusalRate
            | Metric::EmptyRate
            | Metric::ToolErrorRate
            | Metric::UnknownToolRate
            | Metric::DriftRate
            | Metric::Prometheus => mean(1.0),
        })
    }
}

/// Whether how the run ended says something of who answered it.
fn is_judged(ran: &Ran) -> bool {
    match ran.finished {
        // A fixed text says nothing of anybody.
        Some(Outcome::Ok) => !ran.canned,
        Some(Outcome::Error) => !ran.clients_fault,
        Some(Outcome::Cancelled) | None => false,
    }
}

fn is_empty(response: &ModelResponse) -> bool {
    let too_long = response.finish_reason.as_deref().is_some_and(|reason| TOO_LONG.contains(&reason));
    response.empty || too_long || response.ending == Ending::Cut
}

fn answered(event: &Event, us: impl Fn(&ModelResponse) -> u64) -> Option<Change> {
    let Event::ModelResponse(response) = event else { return None };
    (response.ending == Ending::Complete && !response.canned).then(|| Change {
        n: 1,
        plus: us(response),
        minus: 0,
    })
}

fn spent(ran: &Ran, value: Option<u64>) -> Option<Change> {
    let value = value.filter(|_| ran.finished == Some(Outcome::Ok))?;
    Some(Change { n: 1, plus: value, minus: 0 })
}

fn score(place: usize, name: &str, ran: &mut Ran, event: &Event) -> Option<Change> {
    let Event::Score { name: scored, value, .. } = event else { return None };
    if scored != name || !value.is_finite() {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to [0, 1]")]
    let nano = (value.clamp(0.0, 1.0) * NANO).round() as u64;
    Some(match ran.score(place, nano) {
        Some(before) => Change { n: 0, plus: nano, minus: before },
        None => Change { n: 1, plus: nano, minus: 0 },
    })
}

/// How the metric's units are compared: the same for all places of the fold.
pub(super) fn is_rate(metric: &Metric) -> bool {
    match metric.measure() {
        Measure::Rate => true,
        Measure::Mean | Measure::Quantile => false,
    }
}
