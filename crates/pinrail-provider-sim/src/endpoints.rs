//! The HTTP endpoints, one file each.

pub mod chat;
pub mod control;
pub mod embeddings;
pub mod messages;
pub mod models;
pub mod page;
pub mod responses;

use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::dialect::{messages as anthropic, request_id};
use crate::draw::Draw;
use crate::failure::Failure;
use crate::limits::BODY_BYTES_MAX;
use crate::sim::Sim;

/// Takes a request's body, or says why it couldn't be read.
pub fn read_body(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Failure> {
    body.map_err(|rejection| {
        let status = rejection.status();
        let message = if status == StatusCode::PAYLOAD_TOO_LARGE {
            format!("The body is larger than {BODY_BYTES_MAX} bytes; send a shorter conversation")
        } else {
            rejection.body_text()
        };
        Failure { status, ..Failure::invalid("body", message) }
    })
}

/// Refuses a request outside a dialect's own endpoints, in Anthropic's form where it names a version of its API.
pub fn refuse(sim: &Sim, headers: &HeaderMap, failure: Failure) -> Response {
    if anthropic::speaks(headers) {
        let id = request_id(&Draw::new(sim.seed(), &failure.message, 0, None));
        anthropic::refuse(&failure, &id)
    } else {
        failure.into_response()
    }
}
