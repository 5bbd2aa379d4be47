//! The chat completions format of OpenAI, which many providers speak.
//!
//! Requests: [`ChatRequest`] reads, [`ChatRequest::rewrite`] and [`ChatRequest::verify`] apply a release.
//! Tool calls that may not reach the client are held back by [`StreamGuard`] and [`Calls`].
//! Answers: [`observe_answer`] and [`StreamObserver`] note what a provider did, without changing it.

mod canned;
mod error;
mod guard;
mod models;
mod observe;
mod probe;
mod request;
mod rewrite;
mod stream;
mod text;
mod tools;
mod verify;

pub use canned::Canned;
pub use error::{ProviderError, error_body, parse_error, stream_error_event};
pub use guard::{Called, Calls, Rule, StreamGuard, Verdict};
pub use models::{ModelEntry, ModelsError, When, models_list, next_page, parse_models};
pub use observe::{AnswerError, Observed, ToolCall, Usage, observe_answer, observe_answer_text};
pub use probe::{TokenLimit, other_limit, probe_request, ran_out_of_tokens, token_limit};
pub use request::{ChatRequest, Message, RequestError};
pub use rewrite::{Edit, PARAMS_RESERVED};
pub use stream::{Ending, Finished, Gathered, Limits, StreamObserver};
pub use tools::{chooses, tool_names, without_tools};
pub use verify::{Mismatch, Pin, PinnedTools, ToolsError};
