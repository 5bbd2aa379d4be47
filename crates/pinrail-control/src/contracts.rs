//! Releases with their prompts and tools, loaded once and kept: what a request needs is in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{McpServerName, ReleaseId};
use pinrail_domain::mcp::{Pin, PinnedTool};
use pinrail_domain::release::Contract;
use pinrail_store::{Store, StoreError};
use serde_json::Value;

use crate::Snapshot;

/// The loaded contracts.
pub struct Contracts {
    store: Arc<dyn Store>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    loaded: ArcSwap<HashMap<ReleaseId, Arc<Contract>>>,
}

/// Why a release can't be applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ContractError {
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    #[error("artifact {0} is missing from the store")]
    Missing(Digest),
    #[error("artifact {0} is not text")]
    NotText(Digest),
    #[error("artifact {digest} cannot be used as the tools of a release")]
    Tools {
        digest: Digest,
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Some hundred agents with a few warm releases each; a contract is mostly its prompt, some kilobytes. Tests fill it.
const LOADED_MAX: usize = if cfg!(test) { 16 } else { 2_000 };

impl Contracts {
    pub(crate) fn new(store: Arc<dyn Store>, snapshot: Arc<ArcSwap<Snapshot>>) -> Contracts {
        Contracts { store, snapshot, loaded: ArcSwap::default() }
    }

    /// A release's contract: from memory where it was used before, else from the store, verified.
    pub async fn get(&self, id: ReleaseId) -> Result<Arc<Contract>, ContractError> {
        if let Some(contract) = self.loaded.load().get(&id) {
            return Ok(Arc::clone(contract));
        }
        let release = self.snapshot.load().world.releases.get(&id).cloned();
        let manifest = Arc::clone(&release.ok_or(ContractError::NoRelease(id))?.manifest);
        let system = self.text(manifest.prompt.system).await?;
        let schema = self.text(manifest.tools.schema).await?;
        let mut pins = BTreeMap::new();
        for (server, digest) in &manifest.tools.mcp {
            pins.insert(server.clone(), self.pin(*digest).await?);
        }
        let tools = with_pins(schema, &pins).map_err(|cause| ContractError::Tools {
            digest: manifest.tools.schema.expect("only a schema can fail to be one"),
            cause: Arc::new(cause),
        })?;
        let contract = Arc::new(Contract { id, manifest, system, tools, pins });
        self.keep(&contract);
        Ok(contract)
    }

    #[cfg(test)]
    pub(crate) fn is_loaded(&self, id: ReleaseId) -> bool {
        self.loaded.load().contains_key(&id)
    }

    async fn pin(&self, digest: Digest) -> Result<Arc<Pin>, ContractError> {
        let bytes = self.store.artifact_get(digest).await?.ok_or(ContractError::Missing(digest))?;
        let pin = Pin::read(&bytes);
        pin.map(Arc::new).map_err(|bad| ContractError::Tools { digest, cause: Arc::new(bad) })
    }

    async fn text(&self, digest: Option<Digest>) -> Result<Option<Arc<str>>, ContractError> {
        let Some(digest) = digest else { return Ok(None) };
        let bytes = self.store.artifact_get(digest).await?.ok_or(ContractError::Missing(digest))?;
        let text = String::from_utf8(bytes).map_err(|_| ContractError::NotText(digest))?;
        Ok(Some(text.into()))
    }

    fn keep(&self, contract: &Arc<Contract>) {
        self.loaded.rcu(|loaded| {
            let mut loaded = HashMap::clone(loaded);
            if loaded.len() >= LOADED_MAX {
                let live = self.snapshot.load().world.live_releases();
                loaded.retain(|id, _| live.contains(id));
            }
            if loaded.len() >= LOADED_MAX {
                let mut n = 0_u32;
                // All are served: whichever goes is read again when it is used.
                loaded.retain(|_, _| {
                    n = n.wrapping_add(1);
                    !n.is_multiple_of(8)
                });
            }
            loaded.insert(contract.id, Arc::clone(contract));
            loaded
        });
    }
}

/// The tools that the model is told of: those of the schema, byte for byte where there are no pins, then those of the
/// pins by server and name.
fn with_pins(
    schema: Option<Arc<str>>,
    pins: &BTreeMap<McpServerName, Arc<Pin>>,
) -> Result<Option<Arc<str>>, serde_json::Error> {
    if pins.is_empty() {
        return Ok(schema);
    }
    let own: Vec<Value> = schema.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
    let pinned = pins.values().flat_map(|pin| &pin.tools).map(PinnedTool::openai);
    let all: Vec<Value> = own.into_iter().chain(pinned).collect();
    Ok((!all.is_empty()).then(|| Value::Array(all).to_string().into()))
}

#[cfg(test)]
mod tests {
    use pinrail_domain::agent::AgentSpec;
    use pinrail_domain::deploy::Traffic;
    use pinrail_domain::tier::Tier;

    use super::*;
    use crate::tests::bench::{Bench, agent, by, manifest};

    #[tokio::test(start_paused = true)]
    async fn more_served_releases_than_fit_are_loaded_in_turn() {
        let bench = Bench::new(Tier::Throwaway).await;
        let contracts = bench.control.contracts();
        let models: Vec<String> = (0..2 * LOADED_MAX).map(|n| format!("model-{n}")).collect();
        for model in &models {
            bench.control.agent_put(by("a"), &agent(model), &AgentSpec::default()).await.unwrap();
            bench.deploy(&[model], model, Traffic::Now).await;
            assert!(contracts.loaded.load().len() <= LOADED_MAX);
        }
        for model in &models {
            let id = manifest(model).id().unwrap();
            assert_eq!(contracts.get(id).await.unwrap().id, id);
        }
    }
}
