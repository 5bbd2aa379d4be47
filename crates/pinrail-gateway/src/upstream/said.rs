//! What clouds answer in forms of their own, in the form of the `messages` dialect that everything behind reads.
//!
//! Bodies that are in that form already stay as they are. Sources: the API references of Amazon Bedrock and Google Cloud.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use pinrail_domain::provider::Format;
use serde_json::{Value, json};

use super::target::Endpoint;

/// The header in which Amazon names an error.
const AMAZON_ERROR: &str = "x-amzn-errortype";

/// A whole answer in the dialect of its endpoint.
pub fn whole(format: Format, endpoint: Endpoint, head: &mut Parts, body: Bytes) -> Bytes {
    let own = match (format, head.status.is_success()) {
        (Format::Openai | Format::Azure | Format::Anthropic, _) => None,
        (Format::Bedrock, true) if endpoint == Endpoint::CountTokens => counted(&body),
        (Format::Bedrock | Format::Vertex, true) => None,
        (Format::Bedrock, false) => {
            let name = head.headers.get(AMAZON_ERROR).and_then(|value| value.to_str().ok());
            refused_by_amazon(name.unwrap_or_default(), head.status.as_u16(), &body)
        }
        (Format::Vertex, false) => refused_by_google(head.status.as_u16(), &body),
    };
    let Some(own) = own else { return body };
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Bytes::from(own)
}

/// An `error` event of Anthropic's.
pub fn error_event(kind: &str, message: &str) -> Vec<u8> {
    let message = Value::from(message);
    format!(
        "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":{message}}}}}\n\n"
    )
    .into_bytes()
}

/// Anthropic's word for an error of Amazon's, by its name.
pub fn kind_of(name: &str) -> &'static str {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if is(&["throttl", "toomanyrequests", "servicequota"]) {
        "rate_limit_error"
    } else if is(&["validation", "badrequest", "serialization"]) {
        "invalid_request_error"
    } else if is(&["unrecognizedclient", "signature", "expiredtoken", "missingauth", "invalidclient"]) {
        "authentication_error"
    } else if is(&["accessdenied"]) {
        "permission_error"
    } else if is(&["notfound"]) {
        "not_found_error"
    } else if is(&["serviceunavailable", "modelnotready"]) {
        "overloaded_error"
    } else {
        "api_error"
    }
}

/// `{"inputTokens": n}` as Anthropic says it.
fn counted(body: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let tokens = said.get("inputTokens")?.as_u64()?;
    Some(json!({"input_tokens": tokens}).to_string())
}

fn refused_by_amazon(name: &str, status: u16, body: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if is_anthropics(&said) {
        return None;
    }
    let message = said.get("message").or_else(|| said.get("Message")).and_then(Value::as_str);
    let named =
        if name.is_empty() { said.get("__type").and_then(Value::as_str).unwrap_or_default() } else { name };
    let kind = if named.is_empty() { kind_by(status) } else { kind_of(named) };
    let message =
        message.map_or_else(|| format!("Amazon Bedrock answers with status {status}"), str::to_owned);
    Some(json!({"type": "error", "error": {"type": kind, "message": message}}).to_string())
}

fn refused_by_google(status: u16, body: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    if is_anthropics(&said) {
        return None;
    }
    // A stream's refusal is a list of one.
    let error = said.get("error").or_else(|| said.get(0)?.get("error"));
    let message = error.and_then(|error| error.get("message")?.as_str());
    let message =
        message.map_or_else(|| format!("Google Vertex AI answers with status {status}"), str::to_owned);
    Some(json!({"type": "error", "error": {"type": kind_by(status), "message": message}}).to_string())
}

fn is_anthropics(said: &Value) -> bool {
    said.get("type").and_then(Value::as_str) == Some("error")
        && said.get("error").is_some_and(Value::is_object)
}

/// Anthropic's word for an error, by its status.
fn kind_by(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    #[test]
    fn answers_are_in_the_form_of_their_endpoint() {
        let check =
            |format: Format, endpoint: Endpoint, status: u16, name: Option<&str>, body: &str, want: &str| {
                let mut head = Response::builder().status(status);
                if let Some(name) = name {
                    head = head.header(AMAZON_ERROR, name);
                }
                let (mut head, ()) = head.body(()).unwrap().into_parts();
                let got = whole(format, endpoint, &mut head, Bytes::copy_from_slice(body.as_bytes()));
                assert_eq!(std::str::from_utf8(&got).unwrap(), want);
            };
        let error = |kind: &str, message: &str| {
            format!(r#"{{"error":{{"message":"{message}","type":"{kind}"}},"type":"error"}}"#)
        };
        use Endpoint::{CountTokens, Messages};
        use Format::{Anthropic, Bedrock, Vertex};
        check(Bedrock, CountTokens, 200, None, r#"{"inputTokens":7}"#, r#"{"input_tokens":7}"#);
        check(Bedrock, Messages, 200, None, r#"{"inputTokens":7}"#, r#"{"inputTokens":7}"#);
        let validation = Some("ValidationException:http://internal.amazon.com/");
        check(
            Bedrock,
            Messages,
            400,
            validation,
            r#"{"message":"no"}"#,
            &error("invalid_request_error", "no"),
        );
        let denied = Some("AccessDeniedException");
        check(Bedrock, Messages, 403, denied, r#"{"Message":"no"}"#, &error("permission_error", "no"));
        let typed = r#"{"__type":"com.amazon#ThrottlingException","message":"slow"}"#;
        check(Bedrock, Messages, 429, None, typed, &error("rate_limit_error", "slow"));
        check(
            Bedrock,
            Messages,
            503,
            None,
            "<html>",
            &error("overloaded_error", "Amazon Bedrock answers with status 503"),
        );
        let google = r#"{"error":{"code":404,"message":"gone","status":"NOT_FOUND"}}"#;
        check(Vertex, Messages, 404, None, google, &error("not_found_error", "gone"));
        check(Vertex, Messages, 404, None, &format!("[{google}]"), &error("not_found_error", "gone"));
        for format in [Bedrock, Vertex, Anthropic] {
            let own = error("overloaded_error", "x");
            check(format, Messages, 529, None, &own, &own);
        }
        check(Anthropic, Messages, 500, None, "<html>", "<html>");
    }
}
