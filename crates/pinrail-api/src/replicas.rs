//! `GET /api/v1/replicas`: the processes that have the store open.

use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The replicas, and what the one that answers is among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// Whether there may be others: the store is one that several processes share.
    pub shared: bool,
    /// The one that answers.
    pub here: u64,
    /// Whether that one leads: conducts rollouts, delivers webhooks, runs gates.
    pub leads: bool,
    /// Whether that one is never to lead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_leads: bool,
    /// For how long others may have changed the world without its knowledge.
    pub stale_ms: u64,
    /// Who looks for near vectors: `pgvector 0.8.0`, where the store does; absent where each process does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors_by: Option<String>,
    pub items: Vec<Replica>,
}

/// A process that has the store open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    pub id: u64,
    pub name: String,
    pub started_at: Timestamp,
    /// How long ago it was heard of, by the store's own clock.
    pub silent_ms: u64,
    /// The term in which it leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Since when, by the store's own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads_since: Option<Timestamp>,
}
