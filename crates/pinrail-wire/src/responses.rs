//! The responses format of OpenAI.
//!
//! Requests: [`ResponsesRequest`] reads, [`ResponsesRequest::rewrite`] and [`ResponsesRequest::verify`] apply a release;
//! [`ResponsesRequest::conflicts`] names what can't be served under one.
//! Tool calls that may not reach the client are held back by [`StreamGuard`] and [`Calls`].
//! Answers: [`observe_answer_text`] and [`StreamObserver`] note what a provider did, without changing it.
//! Names and forms are those of OpenAI's API reference.

mod canned;
mod error;
mod guard;
mod item;
mod observe;
mod probe;
mod request;
mod rewrite;
mod stream;
mod verify;

pub use canned::{canned, canned_stream};
pub use error::stream_error_event;
pub use guard::{Calls, StreamGuard};
pub use observe::observe_answer_text;
pub use probe::probe_request;
pub use request::{Input, InputItem, ResponsesRequest};
pub use rewrite::PARAMS_RESERVED;
pub use stream::StreamObserver;

#[cfg(test)]
mod tests;
