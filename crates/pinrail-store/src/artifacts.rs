//! Immutable bytes, named by their digest.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;

use crate::StoreError;

/// Keeps artifacts. Nothing is ever overwritten: the name is the content.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// Stores bytes under their digest; storing what is there already is a no-op. Durable on return.
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError>;

    /// Reads an artifact and checks it against its name: changed bytes are [`StoreError::Damaged`].
    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;
}
