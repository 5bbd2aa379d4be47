//! `PUT|GET|DELETE /api/v1/webhooks/{webhook}`, `GET /api/v1/webhooks`, its test and its dead letters.
//!
//! The body of a `PUT` is the `WebhookSpec` itself; the reason of a `PUT` or `DELETE` is the query parameter `reason`.

use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_domain::time::Timestamp;
use pinrail_domain::webhook::WebhookSpec;
use serde::{Deserialize, Serialize};

/// A webhook, its settings, and how its delivery goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub webhook: WebhookName,
    pub spec: WebhookSpec,
    /// The ledger entry that added it: it is told of what came after that.
    pub since: LedgerSeq,
    /// The last entry that it is done with: delivered, not wanted, or a dead letter.
    pub cursor: LedgerSeq,
    /// Ledger entries after that.
    pub lag: u64,
    /// What was delivered last, since the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Delivered>,
    /// What keeps it from going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    pub dead_letters: u64,
}

/// An entry that the receiver took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    pub seq: LedgerSeq,
    pub at: Timestamp,
}

/// What the last attempt failed of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The entry that waits.
    pub seq: LedgerSeq,
    pub attempts: u32,
    pub what: String,
    pub at: Timestamp,
    /// When it is tried again.
    pub next_at: Timestamp,
}

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTest {
    pub webhook: WebhookName,
    /// The event's id, as the receiver sees it.
    pub id: String,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// What it answered, where it did: the HTTP status, and how the body begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    pub took_us: u64,
}

/// An entry that the receiver wouldn't take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub seq: LedgerSeq,
    /// How often it was sent, in all.
    pub attempts: u32,
    pub why: String,
    /// When the last attempt failed.
    pub at: Timestamp,
}

/// What became of dead letters that were sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    pub webhook: WebhookName,
    pub delivered: u64,
    pub failed: u64,
    /// Dead letters that there are still, tried or not.
    pub left: u64,
    pub letters: Vec<ResentLetter>,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResentLetter {
    pub seq: LedgerSeq,
    pub delivered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
