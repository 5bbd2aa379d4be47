//! A probe: the cheapest request that shows whether a model answers with a release's parameters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::json;

/// How a model wants to be told the most tokens of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
}

/// What is asked: one token's worth. It speaks of JSON, since a release may ask for that format, and providers refuse such
/// requests when nothing speaks of it.
const ASK: &str = "Reply with the JSON number 1.";

/// Parameters that aren't sent: they need what a probe doesn't have (tools, a stream, a place to store), or cost.
const LEFT_OUT: [&str; 13] = [
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "prompt_cache_key",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
];

/// The request's body: one token for an answer, and the release's parameters.
#[must_use]
pub fn probe_request(snapshot: &str, params: &BTreeMap<String, Value>, limit: TokenLimit) -> Vec<u8> {
    let kept = params.iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()));
    let mut body: serde_json::Map<String, Value> =
        kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    body.insert("model".to_owned(), snapshot.into());
    body.insert("messages".to_owned(), json!([{ "role": "user", "content": ASK }]));
    let limit = match limit {
        TokenLimit::MaxTokens => "max_tokens",
        TokenLimit::MaxCompletionTokens => "max_completion_tokens",
    };
    body.insert(limit.to_owned(), 1.into());
    json::to_vec(&body)
}

/// How to limit the first request: as the release does.
#[must_use]
pub fn token_limit(params: &BTreeMap<String, Value>) -> TokenLimit {
    if params.contains_key("max_completion_tokens") {
        TokenLimit::MaxCompletionTokens
    } else {
        TokenLimit::MaxTokens
    }
}

/// Whether a refusal only says that the model wants its limit named otherwise; then how.
#[must_use]
pub fn other_limit(sent: TokenLimit, refusal: &str) -> Option<TokenLimit> {
    match sent {
        TokenLimit::MaxTokens if refusal.contains("max_completion_tokens") => {
            Some(TokenLimit::MaxCompletionTokens)
        }
        TokenLimit::MaxCompletionTokens if refusal.contains("max_completion_tokens") => {
            Some(TokenLimit::MaxTokens)
        }
        TokenLimit::MaxTokens | TokenLimit::MaxCompletionTokens => None,
    }
}

/// Whether a refusal shows that the model answered, but had no room for it: what reasoning models do with one token.
#[must_use]
pub fn ran_out_of_tokens(refusal: &str) -> bool {
    refusal.contains("output limit was reached")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_small_and_has_the_releases_parameters() {
        let params: BTreeMap<String, Value> = serde_json::from_value(json!({
            "temperature": 0.2, "max_tokens": 800, "tool_choice": "required", "n": 4, "stream": true,
            "response_format": { "type": "json_object" }
        }))
        .unwrap();
        let body: Value =
            serde_json::from_slice(&probe_request("m-1", &params, token_limit(&params))).unwrap();
        assert_eq!(
            body,
            json!({
                "model": "m-1", "max_tokens": 1, "temperature": 0.2, "response_format": { "type": "json_object" },
                "messages": [{ "role": "user", "content": ASK }]
            })
        );
        let reasoning = BTreeMap::from([("max_completion_tokens".to_owned(), json!(4_000))]);
        assert_eq!(token_limit(&reasoning), TokenLimit::MaxCompletionTokens);
    }

    #[test]
    fn refusals_that_only_mean_another_spelling_are_told_apart() {
        let unsupported = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert_eq!(other_limit(TokenLimit::MaxTokens, unsupported), Some(TokenLimit::MaxCompletionTokens));
        let unknown = "Unrecognized request argument supplied: max_completion_tokens";
        assert_eq!(other_limit(TokenLimit::MaxCompletionTokens, unknown), Some(TokenLimit::MaxTokens));
        assert_eq!(other_limit(TokenLimit::MaxTokens, "temperature must be 1"), None);
        let full = "Could not finish the message because max_tokens or model output limit was reached. Please try again with higher max_tokens.";
        assert!(ran_out_of_tokens(full));
        assert!(!ran_out_of_tokens(unsupported));
    }
}
