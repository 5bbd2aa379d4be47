//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::read_body;
use crate::dialect::{Dialect, messages, request_id};
use crate::draw::Draw;
use crate::failure::Failure;
use crate::serve::serve;
use crate::sim::Sim;

/// Answers a messages request.
pub async fn create(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    serve(&sim, Dialect::Messages, &headers, body).await
}

/// Counts the tokens of a prompt. It is no request to a model, so it isn't counted and nothing goes wrong with it.
pub async fn count_tokens(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let luck = Draw::new(sim.seed(), "count_tokens", body.as_deref().map_or(0, xxh3_64), None);
    match count(&sim, &headers, body) {
        Ok(counted) => Json(counted).into_response(),
        Err(failure) => messages::refuse(&failure, &request_id(&luck)),
    }
}

fn count(sim: &Sim, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Value, Failure> {
    sim.check_key(headers)?;
    let version = messages::read_version(headers)?;
    let request = messages::read_to_count(&read_body(body)?, version, sim.seed())?;
    if !sim.world().list().iter().any(|model| model.id == request.model) {
        return Err(Failure::model_not_found(&request.model));
    }
    Ok(json!({ "input_tokens": request.prompt_tokens() }))
}
