//! The sightings' part of the gated store.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::sightings::{Sighting, SightingKind, Sightings};

use super::Gated;

#[async_trait]
impl Sightings for Gated {
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError> {
        self.memory.sighting_put(sighting).await
    }

    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError> {
        self.memory.sighting_list(kind).await
    }

    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError> {
        self.memory.sighting_forget(kind, before).await
    }
}
