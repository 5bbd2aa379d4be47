//! `GET /healthz`, `GET /readyz`, `GET /api/v1/status`.

use pinrail_domain::id::{Epoch, LedgerSeq};
use serde::{Deserialize, Serialize};

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub ready: bool,
    /// Why it isn't ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Whether anyone who reaches it may do anything.
    pub open: bool,
    pub epoch: Epoch,
    pub seq: LedgerSeq,
    pub agents: u64,
    pub releases: u64,
    pub deployments: u64,
    /// Tool calls that wait for a person.
    #[serde(default)]
    pub approvals_pending: u64,
    /// Places where the dial isn't at `full`.
    #[serde(default)]
    pub dials: u64,
    /// What changed behind its pin and isn't dealt with.
    #[serde(default)]
    pub findings: u64,
    /// Providers whose key variable is not set in the server's environment, with its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_provider_keys: Vec<MissingKey>,
}

/// `GET /healthz`: the process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    pub version: String,
    /// What isn't well, where only model calls were asked about: they are taken all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// A provider that can't be called for want of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingKey {
    pub provider: String,
    pub key_env: String,
}
