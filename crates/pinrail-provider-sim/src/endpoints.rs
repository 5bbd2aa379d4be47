//! The HTTP endpoints, one file each.

pub mod chat;
pub mod control;
pub mod embeddings;
pub mod models;
pub mod page;

use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use bytes::Bytes;

use crate::failure::Failure;
use crate::limits::BODY_BYTES_MAX;

/// Takes a request's body, or says in OpenAI's form why it couldn't be read.
fn read_body(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Failure> {
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
