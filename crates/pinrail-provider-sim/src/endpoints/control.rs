//! The control surface under `/sim`: look, move an alias, change rates, start over. No real provider has it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::read_body;
use crate::failure::Failure;
use crate::script::{ErrorStatus, Rate, check_statuses};
use crate::sim::Sim;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    alias: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    /// Missing: all checkpoints.
    checkpoint: Option<String>,
    #[serde(default)]
    rates: BTreeMap<String, Rate>,
    error_statuses: Option<Vec<ErrorStatus>>,
}

/// Shows counters, alias targets and present rates.
pub async fn state(State(sim): State<Sim>, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    Ok(describe(&sim))
}

/// Points an alias to another checkpoint.
pub async fn rotate(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let Rotate { alias, to } = parse(body)?;
    let rotated = sim.world().rotate(&alias, &to);
    rotated.map_err(|error| Failure::invalid("alias", error.to_string()))?;
    Ok(describe(&sim))
}

/// Changes rates of one checkpoint or of all.
pub async fn faults(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let change: Faults = parse(body)?;
    let statuses = change.error_statuses.as_deref();
    check_statuses("error_statuses", statuses.unwrap_or_default())
        .map_err(|error| Failure::invalid("error_statuses", error.to_string()))?;
    let changed = sim.world().change_rates(change.checkpoint.as_deref(), &change.rates, statuses);
    changed.map_err(|error| Failure::invalid("rates", error.to_string()))?;
    Ok(describe(&sim))
}

/// Goes back to the script: counters, aliases, swaps, rates, repeats, kept responses and the start of time.
pub async fn reset(State(sim): State<Sim>, headers: HeaderMap) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let now = sim.now();
    sim.world().reset(sim.script(), now);
    *sim.responses() = crate::dialect::responses::Store::default();
    Ok(describe(&sim))
}

fn describe(sim: &Sim) -> Json<Value> {
    Json(sim.world().describe(sim.seed()))
}

fn parse<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Failure> {
    serde_json::from_slice(&read_body(body)?).map_err(|error| Failure::invalid("body", error.to_string()))
}
