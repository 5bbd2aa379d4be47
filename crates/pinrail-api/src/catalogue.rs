//! `GET /api/v1/catalogue`, `POST /api/v1/catalogue/update`, and what was learnt when.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{LedgerSeq, ProviderName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::model::{Changes, Listed};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known about models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// When its newest part was written.
    pub as_of: Timestamp,
    /// Whether that is older than counts.
    pub stale: bool,
    /// The newest update, if there was one since this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Update>,
    /// Whether the user's own file is laid over it.
    pub own_file: bool,
    pub models: Vec<Listed>,
}

/// An update of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The ledger entry that says so.
    pub seq: LedgerSeq,
    pub at: Timestamp,
    /// What is laid over what Pinrail brings, an artifact.
    pub catalogue: Digest,
    pub source: String,
    /// What the ledger says of it; absent where only the newest is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How much an update changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub added: u64,
    pub changed: u64,
    /// Models that the list lacked; they stay as they were known.
    pub unlisted: u64,
}

/// The updates, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub items: Vec<Update>,
}

/// What to learn from: a registered provider's own list, or LiteLLM's price list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateCatalogue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// The content of `model_prices_and_context_window.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub litellm: Option<String>,
    /// Say what would change, and write nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(default)]
    pub reason: String,
}

/// What was learnt, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updated {
    pub source: String,
    #[serde(flatten)]
    pub changes: Changes,
    /// Whether a list was read to its end; else it says nothing of what it lacks.
    pub whole: bool,
    /// Entries of the file that were passed over: other providers' and other kinds of models.
    #[serde(default)]
    pub passed_over: u64,
    /// What is laid over what Pinrail brings now; absent where nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
}
