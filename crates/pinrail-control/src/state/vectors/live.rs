//! Embedding canary texts again at every release, so that a model that was swapped behind its name is seen before its
//! vectors meet the old ones.
//!
//! Whoever opens a deployment doesn't wait for it: the texts of every space that its releases pin are embedded in the
//! background, by the provider that the embedder's contract names, and the outcome is kept beside the texts. An
//! embedder without a provider is checked by whoever embeds (`POST /api/v1/vectors/SPACE/canaries/check`).

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use pinrail_domain::deployment::Deployment;
use pinrail_domain::id::{CollectionName, DeploymentId, ProviderName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Embedder;
use pinrail_domain::state::Layer;
use pinrail_store::StoreError;
use pinrail_store::state::SpaceFilter;

use super::super::{States, WriteError};
use super::VectorSpace;
use super::canaries::{CANARIES, CanariesRefused, Canary, Checked};
use crate::{errors, tasks};

/// Asks a provider for embeddings. The real one lives in the binary.
#[async_trait]
pub trait Embeds: Send + Sync {
    /// One vector per text, in order; or why there are none, in words without secrets (I15).
    async fn embed(
        &self,
        provider: &ProviderSpec,
        embedder: &Embedder,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, String>;
}

/// Why an embedder isn't asked, or its answer is worth nothing.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("the embedder's contract names no provider")]
    NoProvider,
    #[error("provider `{0}` is not registered")]
    UnknownProvider(String),
    #[error("this server asks no providers for embeddings")]
    NoClient,
    #[error("provider `{provider}` gave no embeddings: {why}")]
    Failed { provider: String, why: String },
    #[error(transparent)]
    Compare(#[from] WriteError<CanariesRefused>),
}

/// Tenants whose spaces are looked at for one deployment; more than share a server.
const TENANTS_MAX: usize = 10_000;

impl States {
    /// Says who asks providers for embeddings. Once; a second time changes nothing.
    pub fn embed_with(&self, embeds: Arc<dyn Embeds>) {
        let _ = self.embeds.set(embeds);
    }

    /// Embeds an embedder's canary texts again, and compares.
    pub async fn canaries_ask(&self, of: &VectorSpace) -> Result<Checked, LiveError> {
        let embeds = self.embeds.get().ok_or(LiveError::NoClient)?;
        let name = of.embedder.provider.as_deref().ok_or(LiveError::NoProvider)?;
        let provider = name.parse::<ProviderName>().ok();
        let snapshot = self.parts.snapshot.load_full();
        let provider = provider.and_then(|name| snapshot.world.providers.get(&name).cloned());
        let provider = provider.ok_or_else(|| LiveError::UnknownProvider(name.to_owned()))?;
        let (then, _) = self.canaries(of).await.map_err(WriteError::Store)?;
        let prefix = of.embedder.prefix.as_deref().unwrap_or_default();
        let texts = then.iter().map(|canary| format!("{prefix}{}", canary.text)).collect();
        let failed = |why| LiveError::Failed { provider: name.to_owned(), why };
        let vectors = embeds.embed(&provider, &of.embedder, texts).await.map_err(failed)?;
        if vectors.len() != then.len() {
            return Err(failed(format!("{} texts got {} vectors", then.len(), vectors.len())));
        }
        let now: Vec<Canary> = then
            .into_iter()
            .zip(vectors)
            .map(|(canary, vector)| Canary { text: canary.text, vector })
            .collect();
        Ok(self.canaries_check(of, &now).await?)
    }

    /// Embeds the canary texts of every space that a deployment's releases pin, in the background.
    pub(crate) fn check_embedders(&self, deployment: DeploymentId) {
        let states = Weak::clone(&self.me);
        tasks::spawn(async move {
            let Some(states) = states.upgrade() else { return };
            if let Err(error) = states.check_embedders_of(deployment).await {
                tracing::warn!(%error, %deployment, "the embedders' canary texts cannot be looked up");
            }
        });
    }

    async fn check_embedders_of(&self, deployment: DeploymentId) -> Result<(), StoreError> {
        let pinned = {
            let world = &self.parts.snapshot.load().world;
            world.deployments.get(&deployment).map_or_else(Vec::new, |opened| pinned(world, opened))
        };
        if pinned.is_empty() {
            return Ok(());
        }
        let filter = SpaceFilter {
            layer: Some(Layer::Vectors),
            prefix: Some(CANARIES.to_owned()),
            ..SpaceFilter::default()
        };
        for facts in self.parts.store.space_list(&filter, None, TENANTS_MAX).await? {
            for (name, embedder) in &pinned {
                let Ok(space) = VectorSpace::new(&facts.space.tenant, name, embedder) else { continue };
                if self.canaries(&space).await?.0.is_empty() {
                    continue;
                }
                match self.canaries_ask(&space).await {
                    Ok(checked) if checked.same => {
                        tracing::debug!(space = %space.space, "the embedder is the one that filled the space");
                    }
                    Ok(Checked { worst, worst_text, .. }) => tracing::error!(
                        space = %space.space, %deployment, worst, text = worst_text,
                        "another model answers under the embedder's name: its vectors don't belong into this space"
                    ),
                    Err(LiveError::NoProvider) => {
                        tracing::info!(space = %space.space, %deployment, "nobody embeds the canary texts for Pinrail");
                    }
                    Err(error) => tracing::warn!(
                        space = %space.space, %deployment, error = %errors::chain(&error),
                        "the embedder's canary texts are not checked"
                    ),
                }
            }
        }
        Ok(())
    }
}

fn pinned(world: &pinrail_domain::world::World, opened: &Deployment) -> Vec<(CollectionName, Embedder)> {
    let releases = opened.releases.values().filter_map(|release| world.releases.get(release));
    let pins = releases.flat_map(|release| &release.manifest.state.vectors);
    let named = pins.filter_map(|(name, embedder)| Some((name.parse().ok()?, embedder.clone())));
    let mut pinned: Vec<(CollectionName, Embedder)> = Vec::new();
    for pin in named {
        if !pinned.contains(&pin) {
            pinned.push(pin);
        }
    }
    pinned
}
