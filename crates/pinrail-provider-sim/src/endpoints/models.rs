//! `GET /v1/models` and `GET /v1/models/{id}`: checkpoints and aliases alike, as providers list them; in Anthropic's form
//! where the request names a version of its API.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::refuse;
use crate::dialect::messages;
use crate::failure::Failure;
use crate::sim::Sim;
use crate::world::Listed;

/// Lists all models.
pub async fn list(State(sim): State<Sim>, headers: HeaderMap) -> Response {
    let list = |sim: &Sim| {
        sim.check_key(&headers)?;
        let listed = sim.world().list();
        Ok(if messages::speaks(&headers) {
            messages::models(&listed)
        } else {
            json!({ "object": "list", "data": listed.iter().map(describe).collect::<Vec<Value>>() })
        })
    };
    list(&sim).map_or_else(|failure| refuse(&sim, &headers, failure), |list| Json(list).into_response())
}

/// Shows one model.
pub async fn show(State(sim): State<Sim>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let show = |sim: &Sim| {
        sim.check_key(&headers)?;
        let listed = sim.world().list().into_iter().find(|model| model.id == id);
        let listed = listed.ok_or_else(|| Failure::model_not_found(&id))?;
        Ok(if messages::speaks(&headers) { messages::model(&listed) } else { describe(&listed) })
    };
    show(&sim).map_or_else(|failure| refuse(&sim, &headers, failure), |model| Json(model).into_response())
}

fn describe(model: &Listed) -> Value {
    json!({ "id": model.id, "object": "model", "created": model.created, "owned_by": "pinrail-sim" })
}
