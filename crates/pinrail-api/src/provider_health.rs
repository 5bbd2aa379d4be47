//! How a provider does, by the calls that went to it since the server began: in `GET /api/v1/providers[/{provider}]`.

use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How a provider does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderHealth {
    /// The worst of its models.
    pub breaker: BreakerState,
    /// Retries made, and those that the budget had none left for.
    pub retries: u64,
    pub retries_refused: u64,
    pub models: Vec<ModelHealth>,
}

/// How one of its models does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelHealth {
    pub snapshot: String,
    pub breaker: BreakerState,
    /// Since when the breaker stands so.
    pub since: Timestamp,
    /// In how many milliseconds the next attempt goes through, where none does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_in_ms: Option<u64>,
    pub failed_in_a_row: u32,
    pub window: Window,
    /// Attempts since the server began, and those that failed.
    pub calls: u64,
    pub failed: u64,
    pub last_call: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// For how many milliseconds more calls that may go elsewhere do so, because the provider asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_ms: Option<u64>,
    /// The waits for the first byte of the newest attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Waits>,
}

/// How the breaker stands. The API sends it: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// A probe decides; other calls are kept away.
    HalfOpen,
    /// Calls are kept away.
    Open,
}

/// Attempts of the breaker's window by how they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub ms: u64,
    pub well: u32,
    pub failed: u32,
}

/// What failed last, secrets removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    pub at: Timestamp,
    pub why: String,
}

/// Quantiles of waits, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    pub p50_us: u64,
    pub p99_us: u64,
}

impl BreakerState {
    /// As people read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half open",
            BreakerState::Open => "open",
        }
    }
}
