//! Errors in the provider's own form, written and read.

use serde::Serialize;
use serde_json::Value;

use crate::json;

/// What a provider said went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    pub message: String,
    /// The provider's `type`, such as `invalid_request_error`.
    pub kind: Option<String>,
    /// The provider's `code`; a number is given as its digits.
    pub code: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'e> {
    error: Body<'e>,
}

#[derive(Serialize)]
struct Body<'e> {
    message: &'e str,
    #[serde(rename = "type")]
    kind: &'e str,
    param: Option<&'e str>,
    code: Option<&'e str>,
}

/// Writes the body of an error answer.
#[must_use]
pub fn error_body(message: &str, kind: &str, code: Option<&str>, param: Option<&str>) -> Vec<u8> {
    json::to_vec(&Envelope { error: Body { message, kind, param, code } })
}

/// Writes the event that ends a stream which can't be ended properly.
///
/// `mid_event` says that the client has already got the beginning of an event (see `Finished::mid_event`); the
/// bytes then begin by closing that event, so that this one is read for itself.
#[must_use]
pub fn stream_error_event(message: &str, kind: &str, code: Option<&str>, mid_event: bool) -> Vec<u8> {
    let mut event = if mid_event { b"\n\ndata: ".to_vec() } else { b"data: ".to_vec() };
    event.extend_from_slice(&error_body(message, kind, code, None));
    event.extend_from_slice(b"\n\n");
    event
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
            include_str!("../../tests/fixtures/error_429.json"),
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

    #[test]
    fn what_is_written_can_be_read() {
        let body = error_body("a \"b\"\n", "invalid_request_error", Some("c"), Some("model"));
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"error":{"message":"a \"b\"\n","type":"invalid_request_error","param":"model","code":"c"}}"#
        );
        let read = parse_error(&body).unwrap();
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("a \"b\"\n", Some("c")));
        let event = stream_error_event("cut\nshort", "provider_error", None, true);
        let text = String::from_utf8(event).unwrap();
        let body = text.strip_prefix("\n\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        assert_eq!(parse_error(body.as_bytes()).unwrap().message, "cut\nshort");
    }
}
