//! How far the watch over each model is, and what its days gave.
//!
//! What the documents say is the server's: here they are texts under keys. A watch and one of its days are changed in one
//! step, so that what was spent and what it gave never disagree.

use async_trait::async_trait;
use pinrail_domain::id::ProviderName;

use crate::StoreError;

/// A model that is watched: all releases that pin it share one watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchKey {
    pub provider: ProviderName,
    pub snapshot: String,
}

/// A day of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchDay {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// JSON.
    pub document: String,
}

/// Keeps watches and their days.
#[async_trait]
pub trait Watches: Send + Sync {
    /// The watch's document; none before the first.
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError>;

    /// Keeps the document and, where given, a day in place of what that day said before, in one durable step (I9).
    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError>;

    /// Up to `limit` days from `from` on, in order.
    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError>;

    /// All watches with their documents, in order.
    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError>;
}
