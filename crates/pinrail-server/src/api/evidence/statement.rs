//! `GET /api/v1/gates/{gate}/statement`: a verdict's in-toto statement in its envelope, byte for byte as it is stored.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::X_CONTENT_TYPE_OPTIONS;

use super::{Sealed, sealed};
use crate::call::Call;
use crate::reply::{Answer, with_type};

pub async fn show(call: Call) -> Answer {
    Ok(response(sealed(&call).await?))
}

pub(super) fn response(sealed: Sealed) -> Response {
    let mut response = with_type("application/vnd.dsse.envelope.v1+json", Body::from(sealed.bytes));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
