//! Refusals of the HTTP surface, and their form in OpenAI's dialects; `dialect::messages` has Anthropic's.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error with all that a dialect's form may need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    pub message: String,
    pub kind: &'static str,
    pub param: Option<String>,
    pub code: Option<&'static str>,
    pub retry_after_seconds: Option<u64>,
}

impl Failure {
    /// Refuses a request whose named parameter can't be served.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            kind: "invalid_request_error",
            param: Some(param.into()),
            code: None,
            retry_after_seconds: None,
        }
    }

    /// Says that no checkpoint and no alias has this id.
    pub fn model_not_found(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            param: None,
            code: Some("model_not_found"),
            ..Self::invalid(
                "model",
                format!("The model `{model}` does not exist in this simulator's script; see GET /v1/models"),
            )
        }
    }

    /// Says that the request's key isn't the script's. Never repeats the key that came.
    pub fn wrong_key() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            param: None,
            code: Some("invalid_api_key"),
            ..Self::invalid(
                "",
                "Incorrect API key provided; the script's `api_key` is expected as a bearer token",
            )
        }
    }

    /// Says that nothing lives at this path, or not under this method.
    pub fn no_such_route(status: StatusCode, what: String) -> Self {
        Self { status, param: None, ..Self::invalid("", what) }
    }

    /// Refuses for lack of room, and says when to come back.
    pub fn overloaded(what: &str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: format!("The simulator is at its limit of {what}; retry in a second"),
            kind: "server_error",
            param: None,
            code: Some("overloaded"),
            retry_after_seconds: Some(1),
        }
    }

    /// Writes OpenAI's body of the refusal.
    pub fn openai(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }

    /// Says in a response's head when to come back, where that is known.
    pub fn with_retry_after(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Makes the error that a script injects with this status.
    pub fn injected(status: StatusCode, retry_after_seconds: Option<u64>) -> Self {
        let (kind, code, message) = match status.as_u16() {
            429 => ("requests", Some("rate_limit_exceeded"), "Rate limit reached".to_owned()),
            401 | 403 => ("invalid_request_error", Some("invalid_api_key"), "Access refused".to_owned()),
            400..=499 => ("invalid_request_error", None, "The request was refused".to_owned()),
            _ => ("server_error", None, "The server had an error while processing your request".to_owned()),
        };
        let message = format!("{message} (injected by the simulator's script)");
        Self { status, message, kind, param: None, code, retry_after_seconds }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.with_retry_after((self.status, Json(self.openai())).into_response())
    }
}
