//! What an agent said in a case: what assertions look at.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to one turn, with all the calls of tools on the way to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The last message's text.
    pub text: String,
    /// The calls of tools, in order, those of the last message included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The provider marks it as a refusal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refusal: bool,
    /// From asking to the last byte, of all the turn's model calls together.
    pub latency_ms: f64,
    /// None where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    #[serde(default)]
    pub input_tokens: u64,
    #[serde(default)]
    pub output_tokens: u64,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    pub name: String,
    /// As the model wrote them: JSON, if the model kept to the format.
    pub arguments: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl ToolCall {
    /// The arguments as JSON; none where they are none.
    #[must_use]
    pub fn parsed(&self) -> Option<Value> {
        let text = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        serde_json::from_str(text).ok()
    }
}
