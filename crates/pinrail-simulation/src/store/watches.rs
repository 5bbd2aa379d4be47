//! The watches' part of the store that breaks.

use async_trait::async_trait;
use pinrail_store::StoreError;
use pinrail_store::watches::{WatchDay, WatchKey, Watches};

use super::{Breaking, now};
use crate::schedule::Call;

#[async_trait]
impl Watches for Breaking {
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError> {
        self.through(Call::read("watch_get"), || now(self.memory.watch_get(of))).await
    }

    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError> {
        self.through(Call::write("watch_put"), || now(self.memory.watch_put(of, document, day))).await
    }

    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError> {
        self.through(Call::read("watch_days"), || now(self.memory.watch_days(of, from, limit))).await
    }

    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError> {
        self.through(Call::read("watch_list"), || now(self.memory.watch_list())).await
    }
}
