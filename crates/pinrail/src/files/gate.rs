//! `[gate]` in pinrail.toml: how the server runs gates.

use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::is_env_name;
use pinrail_domain::release::{Embedder, Metric};
use pinrail_server::gates::{GateEmbedder, Settings};

use super::section::Section;

/// Reads the settings.
pub fn read(gate: &Section<'_>) -> Option<Settings> {
    let signing_key_env: Option<String> = gate.get("signing_key_env");
    // What looks like a secret by mistake is not repeated in the error (I15).
    if signing_key_env.as_ref().is_some_and(|name| !is_env_name(name)) {
        gate.refuse("signing_key_env", "must name an environment variable, never hold the key itself");
    }
    let embedder = gate.table("embedder", |section| {
        let provider: ProviderName = section.need("provider")?;
        let embedder = Embedder {
            embedder: section.need("model")?,
            dims: section.need("dims")?,
            metric: Metric::Cosine,
            provider: Some(provider.to_string()),
            endpoint: None,
            revision: None,
            pooling: None,
            normalisation: None,
            prefix: None,
        };
        Some(GateEmbedder { provider, embedder })
    });
    Some(Settings { signing_key_env, python: gate.get("python"), embedder })
}
