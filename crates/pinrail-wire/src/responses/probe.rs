//! A probe: the cheapest request that shows whether a model answers with a release's parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::json;

/// The fewest tokens that the API takes as the most of an answer.
const OUTPUT_TOKENS: u32 = 16;

/// What is asked. It speaks of JSON, since a release may ask for that format, and providers refuse such requests when
/// nothing speaks of it.
const ASK: &str = "Reply with the JSON number 1.";

/// Parameters that aren't sent: they need what a probe doesn't have (tools, a stream, a place to store), or cost.
const LEFT_OUT: [&str; 19] = [
    "background",
    "background_options",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
];

/// The request's body: the fewest tokens for an answer, and the release's parameters.
///
/// An answer that isn't finished with so few tokens comes as `incomplete`, which shows as much.
#[must_use]
pub fn probe_request(snapshot: &str, params: &BTreeMap<String, Value>) -> Vec<u8> {
    let kept = params.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let mut body: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    body.insert("model".to_owned(), snapshot.into());
    body.insert("input".to_owned(), ASK.into());
    body.insert("max_output_tokens".to_owned(), OUTPUT_TOKENS.into());
    body.insert("store".to_owned(), json!(false));
    json::to_vec(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_small_and_has_the_releases_parameters() {
        let params: BTreeMap<String, Value> = serde_json::from_value(json!({
            "temperature": 0.2, "max_output_tokens": 800, "tool_choice": "required", "stream": true, "store": true,
            "reasoning": { "effort": "low" }, "text": { "format": { "type": "json_object" } }
        }))
        .unwrap();
        let body: Value = serde_json::from_slice(&probe_request("m-1", &params)).unwrap();
        assert_eq!(
            body,
            json!({
                "model": "m-1", "input": ASK, "max_output_tokens": 16, "store": false, "temperature": 0.2,
                "reasoning": { "effort": "low" }, "text": { "format": { "type": "json_object" } }
            })
        );
    }
}
