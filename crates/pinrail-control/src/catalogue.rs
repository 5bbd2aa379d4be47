//! The catalogue in force: what Pinrail brings, what was learnt since ([`Body::CatalogueUpdated`]), what the user's own file
//! states; as one, swapped as a whole, so that readers take no lock.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::model::{Catalogue, CatalogueError, Changes, Layers, Source, learn};
use pinrail_domain::world::World;
use pinrail_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::append::READ_ENTRIES;
use crate::{By, CommitError, Committed, Control, Inner, errors};

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

/// What learning from sources changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    pub changes: Changes,
    /// The artifact that is laid over what Pinrail brings; none where nothing was written.
    pub catalogue: Option<Digest>,
    /// The ledger entry that says so.
    pub seq: Option<LedgerSeq>,
}

/// Why nothing is learnt.
#[derive(Debug, thiserror::Error)]
pub enum LearnRefused {
    #[error("what would be learnt is no catalogue")]
    Bad(#[from] CatalogueError),
    #[error("somebody else changed the catalogue meanwhile")]
    Moved,
}

impl Control {
    /// What learning from sources would change. Writes nothing.
    pub fn learning(&self, sources: &[Source]) -> Result<Changes, CatalogueError> {
        let before = self.catalogue_learnt();
        let before = before.as_ref().map(|(_, catalogue)| &**catalogue);
        Ok(learn(self.catalogue_layers(), before, sources, self.inner.clock.now())?.1)
    }

    /// Learns from sources: what they say is laid over what was learnt before, and is in force here when this returns, and
    /// elsewhere as soon as the entry is seen. `from` says in words where it is from. What changes nothing isn't written.
    pub async fn learn_models(
        &self,
        by: By,
        sources: &[Source],
        from: &str,
    ) -> Result<Committed<Learnt>, CommitError<LearnRefused>> {
        let before = self.catalogue_learnt();
        let known = before.as_ref().map(|(digest, _)| *digest);
        let learnt = before.as_ref().map(|(_, catalogue)| &**catalogue);
        let now = self.inner.clock.now();
        let (text, changes) = learn(self.catalogue_layers(), learnt, sources, now)
            .map_err(|bad| CommitError::Refused(bad.into()))?;
        let catalogue = self.artifact_put(text.as_bytes()).await.map_err(CommitError::Store)?;
        let changed: BTreeSet<_> = changes.changed.iter().map(|one| (&one.provider, &one.id)).collect();
        let body = Body::CatalogueUpdated {
            catalogue,
            source: from.to_owned(),
            added: changes.added.len() as u64,
            changed: changed.len() as u64,
            removed: changes.unlisted.len() as u64,
        };
        let decide = |world: &World| {
            if world.catalogue.as_ref().map(|update| update.catalogue) != known {
                return Err(LearnRefused::Moved);
            }
            Ok(if known == Some(catalogue) { (Vec::new(), false) } else { (vec![body.clone()], true) })
        };
        let report = |world: &World, written: bool| Learnt {
            changes: changes.clone(),
            catalogue: written.then_some(catalogue),
            seq: written.then_some(world.head.seq),
        };
        let done = self.commit(by, decide, report).await?;
        self.inner.catalogue.learn(&*self.inner.store, &self.snapshot().world).await;
        Ok(done)
    }

    /// The updates of the catalogue, newest first.
    pub async fn catalogue_history(&self, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let mut updates = VecDeque::new();
        let mut after = LedgerSeq(0);
        loop {
            let entries = self.ledger_read(after, READ_ENTRIES).await?;
            let Some(last) = entries.last() else { return Ok(updates.into_iter().rev().collect()) };
            after = last.seq;
            for entry in
                entries.into_iter().filter(|entry| matches!(entry.body, Body::CatalogueUpdated { .. }))
            {
                updates.push_back(entry);
                if updates.len() > limit {
                    updates.pop_front();
                }
            }
        }
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
