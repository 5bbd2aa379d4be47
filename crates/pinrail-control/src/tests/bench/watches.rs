//! The watches' part of the gated store.

use async_trait::async_trait;
use pinrail_store::StoreError;
use pinrail_store::watches::{WatchDay, WatchKey, Watches};

use super::Gated;

#[async_trait]
impl Watches for Gated {
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError> {
        self.memory.watch_get(of).await
    }

    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError> {
        self.memory.watch_put(of, document, day).await
    }

    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError> {
        self.memory.watch_days(of, from, limit).await
    }

    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError> {
        self.memory.watch_list().await
    }
}
