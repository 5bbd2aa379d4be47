//! The count of a request's tokens, which a provider tells without answering the request.

use serde::Deserialize;

/// Parameters of a message that its count takes too; any other is refused by the provider.
const COUNTED: [&str; 11] = [
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// Says whether a request that only counts tokens takes this field; a release's other parameters don't belong there.
#[must_use]
pub fn is_counted(param: &str) -> bool {
    COUNTED.contains(&param)
}

/// Reads the answer of a count; none where it holds no number.
#[must_use]
pub fn input_tokens(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice::<Count>(body).ok().map(|count| count.input_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_and_takes_what_it_counts() {
        assert_eq!(input_tokens(br#"{ "input_tokens": 2095 }"#), Some(2095));
        assert_eq!(input_tokens(br#"{"input_tokens":1,"context_management":{}}"#), Some(1));
        assert_eq!(input_tokens(br#"{"type":"error","error":{"message":"m"}}"#), None);
        assert_eq!(input_tokens(b"<html>"), None);
        assert!(is_counted("thinking") && is_counted("tools"));
        assert!(!is_counted("max_tokens") && !is_counted("stream") && !is_counted("temperature"));
    }
}
