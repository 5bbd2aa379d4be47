//! What model providers say and what is said to them: bytes in, values out.
//!
//! This crate reads chat requests, writes the ones that go upstream, observes answers and streams, and
//! speaks errors in the provider's own form. It lies on the gateway's hot path, so it borrows from the
//! body wherever it can and copies what it does not understand byte for byte.
//!
//! It must not do I/O, read clocks, know what a release or a deployment is, or name another crate of ours.
//!
//! Start reading at [`dialect`], then [`chat`], whose form the other dialects share.

mod answer;
pub mod chat;
pub mod convert;
pub mod dialect;
mod edit;
pub mod embeddings;
mod error;
mod guard;
pub mod json;
pub mod litellm;
pub mod messages;
pub mod models;
mod pin;
pub mod redact;
mod request;
pub mod responses;
pub mod sse;
mod text;
mod tools;

pub use answer::{AnswerError, Ending, Finished, Gathered, Limits, Observed, ToolCall, Usage};
pub use dialect::Dialect;
pub use edit::Edit;
pub use error::{ProviderError, parse_error};
pub use guard::{Called, Rule, Verdict};
pub use pin::{Mismatch, Pin, PinnedTools, ToolsError};
pub use request::RequestError;
pub use tools::{chooses, tool_names, without_tools};
