//! Answers that went well.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderName};
use pinrail_api::problem::Problem;
use serde::Serialize;

/// What an endpoint returns.
pub type Answer = Result<Response, Problem>;

/// Says that an earlier request with the same `Idempotency-Key` did it.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A JSON answer.
pub fn json<T: Serialize>(value: &T) -> Answer {
    let body = serde_json::to_vec(value).expect("an answer is plain data");
    Ok(with_type("application/json", Body::from(body)))
}

/// A JSON answer to a mutation.
pub fn changed<T: Serialize>(replayed: bool, value: &T) -> Answer {
    let mut response = json(value)?;
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub fn with_type(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
