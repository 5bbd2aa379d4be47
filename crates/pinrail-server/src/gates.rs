//! Gates that run in this server: how they are started and followed, what they ask models through, what their settings
//! are. Start reading at [`Gates`].

use pinrail_domain::id::ProviderName;
use pinrail_domain::release::Embedder;

mod auto;
mod conduct;
pub mod models;
mod seal;
mod service;
mod start;

pub use seal::{Elsewhere, KeepFailed, Kept};
pub use service::{ActRefused, Gates, Looked, Options, Started};
pub use start::{Of, StartRefused, Wish};

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
