//! Assertions on what is known of an answer beside its text: time, money, why it ended, whether it refuses.

use super::CannotScore;
use super::judged::{Claim, Judged};
use super::seen::{Seen, usd};
use super::text::{quoted, wants};
use crate::suite::Assertion;

/// `latency`: at most `threshold` milliseconds, of all the answers in reach together.
pub(super) fn latency(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let latency_ms = seen.latency_ms();
    let Some(allowed) = assertion.threshold else {
        return measured(assertion, "latency", latency_ms);
    };
    let says = format!("take at most {allowed} ms");
    Ok(Claim::new(latency_ms <= allowed, says).but(format!("it took {latency_ms:.0} ms")).judge(assertion))
}

/// `cost`: at most `threshold` dollars, of all the answers in reach together.
pub(super) fn cost(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let Some(cost) = seen.cost_nano_usd().map(usd) else {
        return Err(CannotScore::Script("cost: no price is known for the model that answered".to_owned()));
    };
    let Some(allowed) = assertion.threshold else {
        return measured(assertion, "cost", cost);
    };
    let says = format!("cost at most {allowed} dollars");
    Ok(Claim::new(cost <= allowed, says).but(format!("it cost {cost}")).judge(assertion))
}

/// `finish-reason`: why the model ended its last answer. Without one the assertion fails, negated or not.
pub(super) fn finish_reason(assertion: &Assertion, seen: &Seen<'_>) -> Result<Judged, CannotScore> {
    let Some(value) = assertion.value.as_str() else {
        return Err(wants("finish-reason", "a text as its value"));
    };
    let Some(actual) = seen.last().finish_reason.as_deref().filter(|reason| !reason.is_empty()) else {
        return Ok(Judged::failed("the provider doesn't say why the answer ended"));
    };
    let holds = common_reason(value) == common_reason(actual);
    Ok(Claim::new(holds, format!("end for {}", quoted(value)))
        .but(format!("it ended for {}", quoted(actual)))
        .judge(assertion))
}

fn measured(assertion: &Assertion, kind: &str, value: f64) -> Result<Judged, CannotScore> {
    if assertion.not || assertion.metric.is_none() {
        return Err(wants(kind, "a threshold, or a metric to report it under"));
    }
    Ok(Judged { measured: Some(value), ..Judged::passed() })
}

/// What providers call by several names, by one.
fn common_reason(reason: &str) -> String {
    let reason = reason.to_lowercase();
    match reason.as_str() {
        "end_turn" | "stop_sequence" => "stop".to_owned(),
        "max_tokens" => "length".to_owned(),
        "tool_use" | "function_call" => "tool_calls".to_owned(),
        "refusal" | "safety" => "content_filter".to_owned(),
        _ => reason,
    }
}
