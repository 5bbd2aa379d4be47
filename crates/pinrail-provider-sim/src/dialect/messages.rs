//! Anthropic's messages, as its API reference has them: requests, answers, streams, refusals, and its list of models.

mod format;
mod history;
mod models;
mod read;
mod refusal;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod write;

pub use models::{model, models};
pub use read::{read, read_to_count, read_version, speaks};
pub use refusal::{error_body, refuse};
pub use write::{events, message};
