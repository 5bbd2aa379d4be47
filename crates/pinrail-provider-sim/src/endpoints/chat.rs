//! `POST /v1/chat/completions`.

use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;

use crate::dialect::Dialect;
use crate::serve::serve;
use crate::sim::Sim;

/// Answers a chat request.
pub async fn complete(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    serve(&sim, Dialect::Chat, &headers, body).await
}
