//! Watches in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Memory;
use crate::StoreError;
use crate::watches::{WatchDay, WatchKey, Watches};

/// What is kept of a watch.
#[derive(Default)]
pub(super) struct Watched {
    document: String,
    days: BTreeMap<u32, String>,
}

#[async_trait]
impl Watches for Memory {
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError> {
        Ok(self.lock().watches.get(of).map(|watched| watched.document.clone()))
    }

    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError> {
        self.write(|kept| {
            let watched = kept.watches.entry(of.clone()).or_default();
            watched.document = document;
            watched.days.extend(day.map(|WatchDay { day, document }| (day, document)));
        })
    }

    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError> {
        let kept = self.lock();
        let days = kept.watches.get(of).into_iter().flat_map(|watched| watched.days.range(from..));
        Ok(days
            .take(limit)
            .map(|(day, document)| WatchDay { day: *day, document: document.clone() })
            .collect())
    }

    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError> {
        let kept = self.lock();
        Ok(kept.watches.iter().map(|(key, watched)| (key.clone(), watched.document.clone())).collect())
    }
}
