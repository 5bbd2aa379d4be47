//! What a request says about thinking, and what doesn't go with it.

use serde_json::{Map, Value};

use super::read::wrong;
use crate::failure::Failure;
use crate::request::ToolChoice;

/// What a request's `thinking` asks for.
pub struct Thinking {
    pub wanted: bool,
    /// Whether the text of the thought is to be sent.
    pub shown: bool,
    /// Set with `type: enabled`, whose rules are stricter.
    pub budget: Option<u64>,
}

/// Reads `thinking`.
pub fn read(map: &Map<String, Value>) -> Result<Thinking, Failure> {
    let off = Thinking { wanted: false, shown: false, budget: None };
    let Some(value) = map.get("thinking").filter(|value| !value.is_null()) else { return Ok(off) };
    let shown = value.get("display").and_then(Value::as_str) != Some("omitted");
    match value.get("type").and_then(Value::as_str) {
        Some("disabled") => Ok(off),
        Some("adaptive" | "between_tools") => Ok(Thinking { wanted: true, shown, budget: None }),
        Some("enabled") => match value.get("budget_tokens").map(Value::as_u64) {
            None => Err(wrong("thinking.enabled.budget_tokens", "Field required")),
            Some(Some(budget)) if budget >= 1024 => {
                Ok(Thinking { wanted: true, shown, budget: Some(budget) })
            }
            Some(_) => {
                Err(wrong("thinking.enabled.budget_tokens", "Input should be greater than or equal to 1024"))
            }
        },
        Some(_) | None => Err(wrong(
            "thinking",
            "Input tag found using 'type' does not match any of the expected tags: 'adaptive', \
             'between_tools', 'disabled', 'enabled'",
        )),
    }
}

/// Checks `thinking` against the fields that it doesn't go with.
pub fn check(
    map: &Map<String, Value>,
    thinking: &Thinking,
    tool_choice: &ToolChoice,
    temperature: Option<f64>,
) -> Result<(), Failure> {
    let forced = matches!(tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    let tokens_max = map.get("max_tokens").and_then(Value::as_u64);
    if thinking.wanted && forced {
        return Err(Failure::invalid(
            "thinking",
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    if thinking.wanted && temperature.is_some_and(|temperature| temperature != 1.0) {
        return Err(Failure::invalid(
            "temperature",
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
        ));
    }
    match (thinking.budget, tokens_max) {
        (Some(budget), Some(max)) if max <= budget => {
            Err(Failure::invalid("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`."))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}
