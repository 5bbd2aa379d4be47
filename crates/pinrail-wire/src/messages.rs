//! The messages format of Anthropic, as its API reference describes it.
//!
//! Requests: [`MessagesRequest`] reads, [`MessagesRequest::rewrite`] and [`MessagesRequest::verify`] apply a release.
//! Tool calls that may not reach the client are held back by [`StreamGuard`] and [`Calls`].
//! Answers: [`observe_answer_text`] and [`StreamObserver`] note what a provider did, without changing it.
//! Beside them: the count of a request's tokens ([`is_counted`], [`input_tokens`]) and the list of models.

mod canned;
mod count;
mod error;
mod guard;
mod models;
mod observe;
mod probe;
mod request;
mod rewrite;
mod stream;
mod verify;

pub use canned::{canned, canned_stream};
pub use count::{input_tokens, is_counted};
pub use error::{error_body, stream_error_event};
pub use guard::{Calls, StreamGuard};
pub use models::{model, models_list};
pub use observe::{observe_answer, observe_answer_text};
pub use probe::probe_request;
pub use request::{Message, MessagesRequest};
pub use rewrite::PARAMS_RESERVED;
pub use stream::StreamObserver;
