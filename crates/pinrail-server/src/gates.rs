//! Gates that run in this server: what they ask models through, and what their settings are.

use pinrail_domain::id::ProviderName;
use pinrail_domain::release::Embedder;

pub mod models;

/// What `[gate]` in pinrail.toml says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The environment variable that holds the key that statements are signed with (I15).
    pub signing_key_env: Option<String>,
    /// The Python that assertions may run; none: they may not.
    pub python: Option<String>,
    /// What `similar` embeds with.
    pub embedder: Option<GateEmbedder>,
}

/// What `similar` embeds with.
#[derive(Clone, Debug, PartialEq)]
pub struct GateEmbedder {
    pub provider: ProviderName,
    pub embedder: Embedder,
}
