//! A probe: the cheapest request that shows whether a model answers with a release's parameters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json;

/// What is asked: one token's worth. It speaks of JSON, since a release may ask for that format.
const ASK: &str = "Reply with the JSON number 1.";

/// Parameters that aren't sent: they need what a probe doesn't have (tools, a stream, a container, room to think, since
/// a budget must be below `max_tokens`), or cost.
const LEFT_OUT: [&str; 13] = [
    "cache_control",
    "container",
    "context_management",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "model",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// The request's body: one token for an answer, and the release's parameters.
#[must_use]
pub fn probe_request(snapshot: &str, params: &BTreeMap<String, Value>) -> Vec<u8> {
    let kept = params.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let mut body: serde_json::Map<String, Value> =
        kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    body.insert("model".to_owned(), snapshot.into());
    body.insert("max_tokens".to_owned(), 1.into());
    body.insert("messages".to_owned(), json!([{ "role": "user", "content": ASK }]));
    json::to_vec(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_small_and_has_the_releases_parameters() {
        let params: BTreeMap<String, Value> = serde_json::from_value(json!({
            "temperature": 0.2, "max_tokens": 800, "tool_choice": { "type": "any" }, "stream": true,
            "thinking": { "type": "enabled", "budget_tokens": 2_000 }, "output_config": { "effort": "low" }
        }))
        .unwrap();
        let body: Value = serde_json::from_slice(&probe_request("claude-opus-4-6", &params)).unwrap();
        assert_eq!(
            body,
            json!({
                "model": "claude-opus-4-6", "max_tokens": 1, "temperature": 0.2, "output_config": { "effort": "low" },
                "messages": [{ "role": "user", "content": ASK }]
            })
        );
    }
}
