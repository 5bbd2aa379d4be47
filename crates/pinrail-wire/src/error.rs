//! Errors as providers write them, in the several forms there are.

use serde_json::Value;

/// What a provider said went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    pub message: String,
    /// The provider's `type`, such as `invalid_request_error`.
    pub kind: Option<String>,
    /// The provider's `code`; a number is given as its digits.
    pub code: Option<String>,
}

/// Reads an error out of a body, in the several forms that providers use; `None` when it holds none.
///
/// Known forms: `{"error": {…}}`, `{"error": "text"}`, the same inside an array of one, and
/// `{"object": "error", "message": …}`.
#[must_use]
pub fn parse_error(body: &[u8]) -> Option<ProviderError> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let value = value.get(0).unwrap_or(&value);
    let inner = match value.get("error") {
        Some(Value::String(message)) => {
            return Some(ProviderError {
                message: message.clone(),
                kind: text(value, "type"),
                code: text(value, "code"),
            });
        }
        Some(inner @ Value::Object(_)) => inner,
        _ if value.get("object").and_then(Value::as_str) == Some("error") => value,
        _ if value.get("type").and_then(Value::as_str) == Some("error") => value,
        _ => return None,
    };
    let message = text(inner, "message").unwrap_or_else(|| inner.to_string());
    Some(ProviderError {
        message,
        kind: text(inner, "type").or_else(|| text(inner, "status")),
        code: text(inner, "code"),
    })
}

fn text(of: &Value, key: &str) -> Option<String> {
    match of.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_providers_use() {
        let check = |body: &str, want: Option<(&str, Option<&str>, Option<&str>)>| {
            let got = parse_error(body.as_bytes());
            let got = got.as_ref().map(|e| (e.message.as_str(), e.kind.as_deref(), e.code.as_deref()));
            assert_eq!(got, want, "{body}");
        };
        check(
            include_str!("../tests/fixtures/error_429.json"),
            Some((
                "You exceeded your current quota, please check your plan and billing details.",
                Some("insufficient_quota"),
                Some("insufficient_quota"),
            )),
        );
        check(r#"{"error":"overloaded"}"#, Some(("overloaded", None, None)));
        check(r#"{"error":{"message":"m","code":429}}"#, Some(("m", None, Some("429"))));
        check(
            r#"[{"error":{"code":400,"message":"m","status":"INVALID"}}]"#,
            Some(("m", Some("INVALID"), Some("400"))),
        );
        check(r#"{"object":"error","message":"m","type":"t","code":null}"#, Some(("m", Some("t"), None)));
        check(r#"{"error":{"oops":1}}"#, Some((r#"{"oops":1}"#, None, None)));
        check(r#"{"error":null,"choices":[]}"#, None);
        check(r#"{"choices":[]}"#, None);
        check("<html>502</html>", None);
        check("[]", None);
    }
}
