//! What providers say of their models: their own lists.

use async_trait::async_trait;
use pinrail_domain::provider::ProviderSpec;

/// Asks a provider for its models.
#[async_trait]
pub trait ModelLists: Send + Sync {
    /// The list as the provider wrote it, or why there is none, without a secret in it (I15).
    async fn list(&self, provider: &ProviderSpec) -> Result<Vec<u8>, String>;
}
