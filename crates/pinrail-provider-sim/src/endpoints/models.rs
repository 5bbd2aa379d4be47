//! `GET /v1/models` and `GET /v1/models/{id}`: checkpoints and aliases alike, as providers list them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::sim::Sim;
use crate::world::Listed;

/// Lists all models.
pub async fn list(State(sim): State<Sim>, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let data: Vec<Value> = sim.world().list().iter().map(describe).collect();
    Ok(Json(json!({ "object": "list", "data": data })))
}

/// Shows one model.
pub async fn show(
    State(sim): State<Sim>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let listed = sim.world().list().into_iter().find(|model| model.id == id);
    listed.map(|model| Json(describe(&model))).ok_or_else(|| Failure::model_not_found(&id))
}

fn describe(model: &Listed) -> Value {
    json!({ "id": model.id, "object": "model", "created": model.created, "owned_by": "pinrail-sim" })
}
