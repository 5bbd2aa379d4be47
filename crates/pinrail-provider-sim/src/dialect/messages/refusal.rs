//! Refusals in Anthropic's form: `{"type": "error", "error": {type, message}, "request_id"}`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Writes a refusal as a response that carries its request's id.
pub fn refuse(failure: &Failure, request_id: &str) -> Response {
    let body = error_body(failure, request_id);
    let mut response = failure.with_retry_after((failure.status, Json(body)).into_response());
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}

/// Writes a refusal's body, which is also the data of a stream's error event.
pub fn error_body(failure: &Failure, request_id: &str) -> Value {
    let kind = match failure.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    };
    json!({
        "type": "error", "error": { "type": kind, "message": failure.message }, "request_id": request_id,
    })
}
