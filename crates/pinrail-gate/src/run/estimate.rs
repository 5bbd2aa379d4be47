//! What a gate will take, told before it is started.
//!
//! Tokens of what goes in are four bytes each, which is what English and JSON come to with most models; a turn sends all
//! that was said before it. What comes out nobody knows: [`OUTPUT_TOKENS`] a call, until the gate's own answers tell.

use pinrail_domain::model::{Price, Tokens};
use serde::{Deserialize, Serialize};

use super::{Settings, plan};
use crate::suite::Case;
use crate::verdict::Held;

/// What is known of an arm beforehand.
#[derive(Clone, Debug, Default)]
pub struct ArmFacts {
    /// None where the catalogue has no price of its model.
    pub price: Option<Price>,
    /// Bytes of its prompt and its tools, which every call carries.
    pub bytes: u64,
}

/// What a gate will take, about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub cases: u64,
    pub answers: u64,
    /// Model calls of the arms: one for each turn, more where tools are called.
    pub calls: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// None where an arm has no known price. Judges come on top.
    pub cost_nano_usd: Option<u64>,
    pub budget_nano_usd: u64,
    pub time_ms: u64,
}

/// A short paragraph, or a call with its arguments.
pub const OUTPUT_TOKENS: u64 = 200;
/// What a call of a middling model takes.
pub const CALL_MS: u64 = 3_000;
const BYTES_PER_TOKEN: u64 = 4;

/// Works out what a gate of these arms will take.
pub fn estimate(
    held: &[Held],
    arms: &[ArmFacts],
    settings: &Settings,
) -> Result<Estimate, pinrail_domain::canonical::NotCanonical> {
    let cases = plan::cases(held)?;
    let repeats = u64::from(settings.repeats);
    let mut estimate = Estimate {
        cases: cases.list.len() as u64,
        budget_nano_usd: settings.budget_nano_usd,
        cost_nano_usd: Some(0),
        ..Estimate::default()
    };
    for arm in arms {
        let mut tokens = Tokens::default();
        for planned in &cases.list {
            let (calls, input) = sizes(planned.case(held), arm.bytes);
            estimate.calls += calls * repeats;
            tokens.input += input * repeats;
            tokens.output += calls * OUTPUT_TOKENS * repeats;
        }
        estimate.answers += estimate.cases * repeats;
        estimate.input_tokens += tokens.input;
        estimate.output_tokens += tokens.output;
        let cost = arm.price.map(|price| price.cost(tokens).0);
        estimate.cost_nano_usd = estimate.cost_nano_usd.zip(cost).map(|(sum, cost)| sum.saturating_add(cost));
    }
    let at_once = estimate.calls.saturating_mul(CALL_MS) / u64::from(settings.concurrency.max(1));
    let paced =
        settings.calls_per_minute.map_or(0, |calls| estimate.calls * 60_000 / u64::from(calls.max(1)));
    estimate.time_ms = at_once.max(paced);
    Ok(estimate)
}

/// The calls of one answer to a case, and the tokens that go in with them.
fn sizes(case: &Case, arm_bytes: u64) -> (u64, u64) {
    let bytes = |value: &serde_json::Value| value.to_string().len() as u64;
    let own: u64 = case.request.values().map(bytes).sum();
    let (mut said, mut input, mut calls) = (0, 0, 0);
    for turn in &case.turns {
        said += turn.messages.iter().map(bytes).sum::<u64>();
        input += (arm_bytes + own + said) / BYTES_PER_TOKEN + 1;
        said += OUTPUT_TOKENS * BYTES_PER_TOKEN;
        calls += 1;
    }
    (calls, input)
}
