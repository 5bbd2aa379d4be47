//! Watching models behind their pins by border prompts: a few tokens a day for every model that is needed.
//!
//! What is asked and what the answers mean is decided in [`pinrail_domain::drift::border`]; here it is asked, kept and acted
//! upon. Start reading at [`Drift`], then `round` (one look at one model).

mod asked;
mod document;
mod notice;
mod round;
mod service;
mod watched;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use pinrail_domain::drift::border::Rules;
use pinrail_domain::provider::ProviderSpec;
use serde_json::Value;

pub use document::Spent;
pub use notice::Notices;
pub use round::Looked;
pub use service::{Drift, Options, RunFailed};
pub use watched::{Model, Shown, Trouble};

/// What `[drift]` in pinrail.toml says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Whether models are asked border prompts at all.
    pub enabled: bool,
    /// Tokens of answers that each model may cost on one day (UTC).
    pub tokens_per_day: u32,
    /// Hours between two looks at a model.
    pub every_hours: u32,
    pub rules: Rules,
}

impl Settings {
    /// What holds where pinrail.toml says nothing: less than it would cost to answer one customer.
    pub const DEFAULT: Settings =
        Settings { enabled: true, tokens_per_day: 400, every_hours: 6, rules: Rules::DEFAULT };

    /// Looks per day: the hours must divide a day.
    #[must_use]
    pub fn slots(&self) -> u32 {
        24 / self.every_hours.clamp(1, 24)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings::DEFAULT
    }
}

/// Asks a provider one question, with nothing of a release in it and in no run.
#[async_trait]
pub trait Questions: Send + Sync {
    /// The whole answer in OpenAI's format, or why there is none, without a secret in it (I15).
    async fn ask(&self, provider: &ProviderSpec, body: &Value) -> Result<Value, AskFailed>;
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskFailed {
    /// The provider has too much to do: it is left alone.
    #[error("the provider is busy: {why}")]
    Busy { why: String, retry_after_ms: Option<u64> },
    /// It will say the same again.
    #[error("the provider refuses: {0}")]
    Refused(String),
    /// Another time it may work.
    #[error("no answer: {0}")]
    Failed(String),
}
