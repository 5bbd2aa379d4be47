//! How good an answer is: a case's assertions, weighed and put together.

use async_trait::async_trait;
use serde_json::Value;

use crate::answer::Answer;
use crate::ask::AskFailed;
use crate::row::Score;
use crate::suite::Case;

/// What assertions need that isn't in the answer.
#[async_trait]
pub trait Aides: Send + Sync {
    /// Has the judge answer a prompt: its text, and what that cost.
    async fn judge(&self, prompt: &str) -> Result<(String, u64), CannotScore>;

    /// Embeds texts, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, CannotScore>;

    /// The Python that may be run, where the server's settings allow it.
    fn python(&self) -> Option<&str>;
}

/// Why an answer couldn't be judged: it counts neither way.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CannotScore {
    #[error("{0}")]
    Ask(#[from] AskFailed),
    /// A script failed, ran too long, or used too much memory; or something isn't allowed or not configured.
    #[error("{0}")]
    Script(String),
}

/// Judges the answers to a case's turns. `tools` are the tools pinned in the release that answered; those of the case's
/// own request go before them.
pub async fn score(
    case: &Case,
    answers: &[Answer],
    tools: &[Value],
    aides: &dyn Aides,
) -> Result<Score, CannotScore> {
    let _ = (case, answers, tools, aides);
    Err(CannotScore::Script("nothing judges answers yet".to_owned()))
}
