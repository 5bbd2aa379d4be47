//! What the gate needs of the world of models. The server implements it over the gateway, so that an arm answers on the
//! same path as live traffic.

use async_trait::async_trait;
use pinrail_domain::id::{AgentName, GateId, ReleaseId, RunId};
use serde_json::Value;

use crate::answer::ToolCall;

/// Asks models.
#[async_trait]
pub trait Models: Send + Sync {
    /// Begins a run in which a release answers one case. It writes no state and counts for no rollout.
    async fn begin(&self, of: Arm) -> Result<RunId, AskFailed>;

    /// One model call in a run: `body` is a chat completion request without `model` and `stream`.
    async fn ask(&self, run: RunId, body: Value) -> Result<Reply, AskFailed>;

    /// Ends a run.
    async fn end(&self, run: RunId, ok: bool);

    /// Embeds texts with the configured embedder, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, AskFailed>;
}

/// Whose run it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    pub gate: GateId,
    pub agent: AgentName,
    pub release: ReleaseId,
}

/// A provider's whole answer to one model call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The assistant's message as it came, to go on with.
    pub message: Value,
    pub text: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish_reason: Option<String>,
    pub refusal: bool,
    /// What the provider says that answered.
    pub served: Option<String>,
    /// Whether that is the release's pin, by the catalogue's rules; true where the provider says nothing.
    pub is_pin: bool,
    pub latency_ms: f64,
    pub cost_nano_usd: Option<u64>,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskFailed {
    /// The provider, the network or a limit: trying again may help.
    #[error("{why}")]
    Passing { why: String, retry_after_ms: Option<u64> },
    /// It won't be better next time: the request or the release is at fault.
    #[error("{0}")]
    Lasting(String),
}
