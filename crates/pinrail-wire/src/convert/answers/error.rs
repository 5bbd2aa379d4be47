//! Errors, from one vendor's form to another's: the status and the names by which clients tell them apart, and the message.
//!
//! Conditions: what went wrong is told by the error's own names first and by the status second, as providers that only look like
//! OpenAI have the status right and the names as they please. The message is kept; where it is the only sign by which the other vendor's
//! clients know a case (a prompt that is too long, with Anthropic), the words that they look for are put before it.
//! `docs/conversion.md` has the table.

use serde_json::{Value, json};

use super::parts::said;
use crate::dialect::Dialect;
use crate::error::parse_error;

/// What a provider said went wrong, and of what kind it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub kind: Kind,
    pub message: String,
    /// The provider's own code, where it has one.
    code: Option<String>,
    param: Option<String>,
    /// As it came; none in a stream.
    status: Option<u16>,
}

/// What clients tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    ContextLength,
    ContentPolicy,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    Conflict,
    Unprocessable,
    RateLimit,
    Quota,
    Timeout,
    Overloaded,
    Server,
}

/// Characters of a body that is no error we know which stand in its place as the message.
const BODY_CHARS_MAX: usize = 500;

/// Converts an error answer: the status and the body that the client gets. It never fails: what can't be read is told as it is.
///
/// Between chat and responses, whose errors have one form, both stay as they are.
#[must_use]
pub fn error(from: Dialect, status: u16, body: &[u8], to: Dialect) -> (u16, Vec<u8>) {
    let same_vendor = (from == Dialect::Messages) == (to == Dialect::Messages);
    if same_vendor && parse_error(body).is_some() {
        return (status, body.to_vec());
    }
    let value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let problem = Problem::of(&value, Some(status)).unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        let text: String = text.trim().chars().take(BODY_CHARS_MAX).collect();
        let message =
            if text.is_empty() { format!("the provider answered with status {status}") } else { text };
        let kind = by_status(status).unwrap_or(Kind::Server);
        Problem { kind, message, code: None, param: None, status: Some(status) }
    });
    let (status, body) = match to {
        Dialect::Chat | Dialect::Responses => problem.openai(),
        Dialect::Messages => problem.anthropic(),
    };
    (status, body.to_string().into_bytes())
}

impl Problem {
    /// Reads an error out of an event's data; none when it holds none.
    pub fn read(data: &Value) -> Option<Problem> {
        Problem::of(data, None)
    }

    /// An error of which nothing is known.
    pub fn unsaid() -> Problem {
        let message = "the provider reported an error without saying which".to_owned();
        Problem { kind: Kind::Server, message, code: None, param: None, status: None }
    }

    /// The status and body of an error of OpenAI's.
    pub fn openai(&self) -> (u16, Value) {
        let (status, kind) = match self.kind {
            Kind::Invalid | Kind::ContextLength | Kind::ContentPolicy => (400, "invalid_request_error"),
            Kind::Authentication => (401, "invalid_request_error"),
            Kind::Permission => (403, "permission_error"),
            Kind::NotFound => (404, "invalid_request_error"),
            Kind::TooLarge => (413, "invalid_request_error"),
            Kind::Conflict => (409, "invalid_request_error"),
            Kind::Unprocessable => (422, "invalid_request_error"),
            Kind::RateLimit => (429, "rate_limit_error"),
            Kind::Quota => (429, "insufficient_quota"),
            Kind::Timeout => (504, "server_error"),
            Kind::Overloaded => (503, "server_error"),
            Kind::Server => (self.server_status(), "server_error"),
        };
        let error =
            json!({ "message": self.message, "type": kind, "param": self.param, "code": self.openai_code() });
        (status, json!({ "error": error }))
    }

    /// The code by which clients of OpenAI's know the case, or the provider's own.
    pub fn openai_code(&self) -> Option<&str> {
        match self.kind {
            Kind::ContextLength => Some("context_length_exceeded"),
            Kind::ContentPolicy => Some("content_policy_violation"),
            Kind::Authentication => Some("invalid_api_key"),
            Kind::NotFound => Some("model_not_found"),
            Kind::TooLarge => Some("request_too_large"),
            Kind::RateLimit => Some("rate_limit_exceeded"),
            Kind::Quota => Some("insufficient_quota"),
            Kind::Timeout => Some("timeout"),
            Kind::Overloaded => Some("overloaded"),
            Kind::Invalid | Kind::Permission | Kind::Conflict | Kind::Unprocessable | Kind::Server => {
                self.code.as_deref()
            }
        }
    }

    /// The status and body of an error of Anthropic's.
    pub fn anthropic(&self) -> (u16, Value) {
        let (status, kind) = match self.kind {
            Kind::Invalid | Kind::ContextLength | Kind::ContentPolicy => (400, "invalid_request_error"),
            Kind::Authentication => (401, "authentication_error"),
            Kind::Permission => (403, "permission_error"),
            Kind::NotFound => (404, "not_found_error"),
            Kind::TooLarge => (413, "request_too_large"),
            Kind::Conflict => (409, "conflict_error"),
            Kind::Unprocessable => (422, "invalid_request_error"),
            Kind::RateLimit => (429, "rate_limit_error"),
            Kind::Quota => (402, "billing_error"),
            Kind::Timeout => (504, "timeout_error"),
            Kind::Overloaded => (529, "overloaded_error"),
            Kind::Server => (self.server_status(), "api_error"),
        };
        let told = self.message.contains(TOO_LONG) || self.kind != Kind::ContextLength;
        let message = if told { self.message.clone() } else { format!("{TOO_LONG}: {}", self.message) };
        (status, json!({ "type": "error", "error": { "type": kind, "message": message } }))
    }

    fn of(data: &Value, status: Option<u16>) -> Option<Problem> {
        let told = parse_error(data.to_string().as_bytes())?;
        let inner = data.get(0).unwrap_or(data);
        let inner = inner.get("error").filter(|inner| inner.is_object()).unwrap_or(inner);
        let (code, name) = (told.code.as_deref().unwrap_or_default(), told.kind.as_deref());
        let too_long = CONTEXT_LENGTH.iter().any(|sign| told.message.contains(sign));
        let kind = by_name(code)
            .or(too_long.then_some(Kind::ContextLength))
            .or_else(|| by_name(name.unwrap_or_default()))
            .or_else(|| by_status(status?))
            .or_else(|| (name == Some("invalid_request_error")).then_some(Kind::Invalid));
        Some(Problem {
            kind: kind.unwrap_or(Kind::Server),
            message: told.message,
            code: told.code,
            param: said(inner, "param").map(str::to_owned),
            status,
        })
    }

    /// The provider's own status where it is a server's.
    fn server_status(&self) -> u16 {
        self.status.filter(|status| *status >= 500).unwrap_or(500)
    }
}

/// The words by which clients of Anthropic's know a prompt that is too long.
const TOO_LONG: &str = "prompt is too long";

/// Words by which providers without a code for it say that a prompt is too long.
const CONTEXT_LENGTH: &[&str] = &[TOO_LONG, "maximum context length", "context_length_exceeded"];

/// The kind of an error by a code or type of its vendor's; `invalid_request_error` says too little.
fn by_name(name: &str) -> Option<Kind> {
    Some(match name {
        "context_length_exceeded" => Kind::ContextLength,
        "content_policy_violation" | "content_filter" | "invalid_prompt" | "moderation_blocked" => {
            Kind::ContentPolicy
        }
        "invalid_api_key" | "authentication_error" | "invalid_authentication" => Kind::Authentication,
        "permission_error" | "permission_denied" => Kind::Permission,
        "model_not_found" | "not_found_error" | "DeploymentNotFound" => Kind::NotFound,
        "request_too_large" => Kind::TooLarge,
        "conflict_error" => Kind::Conflict,
        "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" => Kind::RateLimit,
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" => Kind::Quota,
        "timeout_error" | "timeout" => Kind::Timeout,
        "overloaded_error" | "overloaded" | "server_is_overloaded" | "slow_down" => Kind::Overloaded,
        "api_error" | "server_error" | "internal_error" => Kind::Server,
        _ => return None,
    })
}

fn by_status(status: u16) -> Option<Kind> {
    Some(match status {
        401 => Kind::Authentication,
        402 => Kind::Quota,
        403 => Kind::Permission,
        404 => Kind::NotFound,
        408 | 504 => Kind::Timeout,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        422 => Kind::Unprocessable,
        429 => Kind::RateLimit,
        503 | 529 => Kind::Overloaded,
        400..500 => Kind::Invalid,
        500.. => Kind::Server,
        _ => return None,
    })
}
