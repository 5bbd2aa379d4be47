//! `POST /v1/responses`, and `GET` and `DELETE /v1/responses/{id}` for those that are kept.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::serve::serve;
use crate::sim::Sim;

/// Answers a responses request.
pub async fn create(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    serve(&sim, Dialect::Responses, &headers, body).await
}

/// Shows a kept response.
pub async fn show(
    State(sim): State<Sim>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let kept = sim.responses().get(&id).map(|kept| kept.response.clone());
    kept.map(Json).ok_or_else(|| not_found(&id))
}

/// Forgets a kept response.
pub async fn delete(
    State(sim): State<Sim>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    if sim.responses().delete(&id) {
        Ok(Json(json!({ "id": id, "object": "response", "deleted": true })))
    } else {
        Err(not_found(&id))
    }
}

fn not_found(id: &str) -> Failure {
    Failure {
        status: StatusCode::NOT_FOUND,
        param: None,
        ..Failure::invalid("", format!("Response with id '{id}' not found."))
    }
}
