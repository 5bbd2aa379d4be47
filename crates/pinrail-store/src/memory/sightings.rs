//! Sightings in memory.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;

use super::Memory;
use crate::StoreError;
use crate::sightings::{Sighting, SightingKind, Sightings};

#[async_trait]
impl Sightings for Memory {
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError> {
        self.write(|kept| {
            let key = (sighting.kind, sighting.subject.clone());
            let newer = kept.sightings.get(&key).is_none_or(|before| before.at <= sighting.at);
            if newer {
                kept.sightings.insert(key, sighting);
            }
            newer
        })
    }

    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError> {
        let kept = self.lock();
        Ok(kept.sightings.values().filter(|sighting| sighting.kind == kind).cloned().collect())
    }

    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError> {
        self.write(|kept| {
            let there = kept.sightings.len();
            kept.sightings.retain(|_, sighting| sighting.kind != kind || sighting.at >= before);
            (there - kept.sightings.len()) as u64
        })
    }
}
