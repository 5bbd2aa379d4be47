//! The catalogue in force: what Pinrail brings, what was learnt since ([`Body::CatalogueUpdated`]), what the user's own file
//! states; as one, swapped as a whole, so that readers take no lock.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use pinrail_domain::digest::Digest;
use pinrail_domain::model::{Catalogue, Layers};
use pinrail_domain::world::World;
use pinrail_store::Store;

use crate::{Control, Inner, errors};

/// What is known about models.
pub(crate) struct Known {
    layers: Layers,
    now: Arc<ArcSwap<Catalogue>>,
    /// What was learnt, by its artifact; none: nothing yet, or it couldn't be read.
    learnt: ArcSwap<Option<(Digest, Arc<Catalogue>)>>,
}

/// Why what was learnt can't be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the store cannot be read")]
    Store(#[from] pinrail_store::StoreError),
    #[error("the artifact is missing")]
    Missing,
    #[error("the artifact is not text")]
    NotText(#[from] std::string::FromUtf8Error),
    #[error("the artifact is no catalogue")]
    Bad(#[from] pinrail_domain::model::CatalogueError),
}

impl Known {
    pub(crate) async fn open(store: &dyn Store, layers: Layers, world: &World) -> Known {
        let now = Arc::new(ArcSwap::from_pointee(layers.with(None)));
        let known = Known { layers, now, learnt: ArcSwap::default() };
        known.learn(store, world).await;
        known
    }

    pub(crate) fn now(&self) -> Arc<Catalogue> {
        self.now.load_full()
    }

    pub(crate) fn handle(&self) -> Arc<ArcSwap<Catalogue>> {
        Arc::clone(&self.now)
    }

    /// Takes in what the ledger says was learnt, if that is new here. What can't be read changes nothing and is tried again.
    pub(crate) async fn learn(&self, store: &dyn Store, world: &World) {
        let Some(update) = &world.catalogue else { return };
        let digest = update.catalogue;
        if self.learnt.load().as_ref().as_ref().is_some_and(|(known, _)| *known == digest) {
            return;
        }
        match read(store, digest).await {
            Ok(learnt) => {
                self.now.store(Arc::new(self.layers.with(Some(&learnt))));
                self.learnt.store(Arc::new(Some((digest, Arc::new(learnt)))));
            }
            Err(error) => {
                let error = errors::chain(&error);
                tracing::error!(%digest, error, "what was learnt about models cannot be used; what is known without it holds");
            }
        }
    }
}

impl Control {
    /// The catalogue in force, for those who ask it on the way of a call: it follows every change.
    #[must_use]
    pub fn catalogue_handle(&self) -> Arc<ArcSwap<Catalogue>> {
        self.inner.catalogue.handle()
    }

    /// What there is beside what was learnt.
    #[must_use]
    pub fn catalogue_layers(&self) -> &Layers {
        &self.inner.catalogue.layers
    }

    /// What was learnt, as it is in force.
    #[must_use]
    pub fn catalogue_learnt(&self) -> Option<(Digest, Arc<Catalogue>)> {
        Option::clone(&self.inner.catalogue.learnt.load())
    }
}

/// Takes in what is learnt, wherever it was written, until the control plane is gone.
pub(crate) async fn follow(control: Weak<Inner>) {
    let Some(mut heads) = control.upgrade().map(|inner| inner.heads.subscribe()) else { return };
    while heads.changed().await.is_ok() {
        let Some(inner) = control.upgrade() else { return };
        let snapshot = inner.snapshot.load_full();
        inner.catalogue.learn(&*inner.store, &snapshot.world).await;
    }
}

async fn read(store: &dyn Store, digest: Digest) -> Result<Catalogue, Unusable> {
    let bytes = store.artifact_get(digest).await?.ok_or(Unusable::Missing)?;
    Ok(Catalogue::from_toml(&String::from_utf8(bytes)?)?)
}
