//! What was last seen: probes of models, the lists that providers publish, and MCP sessions that any replica may go on with.
//!
//! A sighting is the newest of its subject and nothing more; what a document says is its writer's. Losing one costs another
//! look, or leaves a run open, so nothing else rests on them.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;

use crate::StoreError;

/// What was last seen of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub kind: SightingKind,
    pub subject: String,
    pub at: Timestamp,
    /// JSON.
    pub document: String,
}

/// What was looked at. Stored: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SightingKind {
    /// A model, by a call.
    Probe = 0,
    /// A provider's list of models.
    List = 1,
    /// An MCP session with a run of its own, by its use. Only where several replicas share the store.
    McpSession = 2,
}

/// Keeps sightings.
#[async_trait]
pub trait Sightings: Send + Sync {
    /// Keeps a sighting in the place of the one before of its kind and subject, durably (I9). Returns whether it did: an
    /// older one changes nothing.
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError>;

    /// All sightings of a kind, in the order of their subjects.
    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError>;

    /// Forgets the sightings of a kind from before a time; returns how many.
    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError>;
}
