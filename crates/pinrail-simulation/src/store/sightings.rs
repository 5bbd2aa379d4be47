//! The sightings' part of the store that breaks.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::sightings::{Sighting, SightingKind, Sightings};

use super::{Breaking, now};
use crate::schedule::Call;

#[async_trait]
impl Sightings for Breaking {
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError> {
        self.through(Call::write("sighting_put"), || now(self.memory.sighting_put(sighting))).await
    }

    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError> {
        self.through(Call::read("sighting_list"), || now(self.memory.sighting_list(kind))).await
    }

    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError> {
        self.through(Call::write("sighting_forget"), || now(self.memory.sighting_forget(kind, before))).await
    }
}
