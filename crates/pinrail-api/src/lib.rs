//! What Pinrail's own clients say and are told: requests, replies, error codes, of `/api/v1`.
//!
//! Plain data that the server and the command line share; nothing here decides anything. Start reading at
//! [`problem`], then the file of the resource.
//!
//! Everywhere: ids are written as the domain writes them, times are Unix milliseconds, shares are basis points,
//! money is nano-dollars. Mutating requests may carry an `Idempotency-Key` header. Every list is a [`Page`].

use serde::{Deserialize, Serialize};

pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod catalogue;
pub mod context;
pub mod deployments;
pub mod dial;
pub mod drift;
pub mod drills;
pub mod erasures;
pub mod evidence;
pub mod gates;
pub mod gc;
pub mod keys;
pub mod ledger;
pub mod mcp;
pub mod members;
pub mod memory;
pub mod pointers;
pub mod problem;
pub mod provider_health;
pub mod readiness;
pub mod releases;
pub mod replicas;
pub mod runs;
pub mod spaces;
pub mod state;
pub mod status;
pub mod traffic;
pub mod vectors;
pub mod warm;
pub mod webhooks;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass as `before` (runs, deployments, releases) or `after` (all others) for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` items out of a list that was read one item further.
    #[must_use]
    pub fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Page { items, next }
    }
}
