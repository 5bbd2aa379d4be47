//! The chat completions format of OpenAI, which many providers speak.
//!
//! Requests: [`ChatRequest`] reads, [`ChatRequest::rewrite`] and [`ChatRequest::verify`] apply a release.
//! Tool calls that may not reach the client are held back by [`StreamGuard`] and [`Calls`].
//! Answers: [`observe_answer_text`] and [`StreamObserver`] note what a provider did, without changing it.

mod canned;
mod error;
mod guard;
mod observe;
mod probe;
mod request;
mod rewrite;
mod stream;
mod verify;

pub use canned::{canned, canned_stream};
pub use error::{error_body, stream_error_event};
pub use guard::{Calls, StreamGuard};
pub use observe::{observe_answer, observe_answer_text};
pub use probe::{TokenLimit, other_limit, probe_request, ran_out_of_tokens, token_limit};
pub use request::{ChatRequest, Message};
pub use rewrite::PARAMS_RESERVED;
pub use stream::StreamObserver;
