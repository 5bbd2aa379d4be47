//! Which embedders a tenant's vectors are of: each one's contract, kept under its digest in a space of its own.
//!
//! The same dimensions don't make the same space: an embedder is its whole contract, and its digest is in the name of
//! every index that it fills.

use std::sync::Arc;

use pinrail_domain::canonical::NotCanonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{CollectionName, TenantId};
use pinrail_domain::release::{DIMS_MAX, Embedder, Manifest};
use pinrail_domain::state::index::Index;
use pinrail_domain::state::{Content, Layer, Space, SpaceName, StateKey};
use pinrail_store::StoreError;
use pinrail_store::state::{SpaceFacts, SpaceFilter};
use pinrail_vectors::arena::Shape;

use super::super::{Change, Decided, NewValue, States, WriteAs, WriteError};

/// One embedder's index of a space.
#[derive(Clone, Debug)]
pub struct VectorSpace {
    pub space: Space,
    pub embedder: Arc<Embedder>,
    pub id: Digest,
}

/// Which embedder a caller means.
#[derive(Clone, Debug, PartialEq)]
pub enum Named {
    Contract(Embedder),
    /// The first digits of an embedder's digest.
    Id(String),
}

/// Why it isn't known whose vectors are meant, or they are somebody else's.
#[derive(Debug, thiserror::Error)]
pub enum EmbedderRefused {
    #[error("space `{space}` has {} embedders, and none is named", known.len())]
    Which { space: CollectionName, known: Vec<Digest> },
    /// I12.
    #[error("the vectors are of embedder {}; for `{space}` the run's release pins {}", named.short(), pinned.short())]
    Mixed { space: CollectionName, named: Digest, pinned: Digest },
    #[error("space `{space}` has no embedder {named}")]
    Unknown { space: CollectionName, named: String },
    #[error("the embedder's dims must be 1 to {DIMS_MAX}")]
    Dims,
    #[error("the embedder has no canonical form")]
    Canonical(#[from] NotCanonical),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where contracts are kept: no space of a caller has such a name.
const EMBEDDERS: &str = "~embedders";
/// Embedders that one space has had: each is a migration.
const EMBEDDERS_MAX: usize = 100;

impl VectorSpace {
    /// The index of a space for an embedder.
    pub fn new(
        tenant: &TenantId,
        name: &CollectionName,
        embedder: &Embedder,
    ) -> Result<VectorSpace, EmbedderRefused> {
        if !(1..=DIMS_MAX).contains(&embedder.dims) {
            return Err(EmbedderRefused::Dims);
        }
        let id = embedder.id()?;
        let space = Space::vectors(tenant.clone(), name, id);
        Ok(VectorSpace { space, embedder: Arc::new(embedder.clone()), id })
    }

    /// What callers call the space, whichever embedder's index this is.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.space.name.as_str();
        name.rsplit_once('@').map_or(name, |(name, _)| name)
    }

    pub(super) fn shape(&self) -> Shape {
        Shape { dims: self.embedder.dims as usize, metric: self.embedder.metric }
    }
}

impl States {
    /// The index that a call means: the embedder that it names, else the one that its run's release pins, else the
    /// only one there is. One that is named must be the pinned one (I12).
    pub async fn vector_space(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
        named: Option<&Named>,
        manifest: Option<&Manifest>,
    ) -> Result<VectorSpace, EmbedderRefused> {
        let pinned = manifest.and_then(|manifest| manifest.state.vectors.get(name.as_str()));
        let pinned = pinned.map(|embedder| VectorSpace::new(tenant, name, embedder)).transpose()?;
        let meant = match named {
            None => pinned.clone(),
            Some(Named::Contract(embedder)) => Some(VectorSpace::new(tenant, name, embedder)?),
            Some(Named::Id(named)) => {
                let prefix = named.strip_prefix("sha256:").unwrap_or(named);
                let known = self.embedders(tenant, name).await?.into_iter().chain(pinned.clone());
                let found = known.into_iter().find(|known| known.id.hex().starts_with(prefix));
                let unknown = || EmbedderRefused::Unknown { space: name.clone(), named: named.clone() };
                Some(found.ok_or_else(unknown)?)
            }
        };
        match (meant, pinned) {
            (Some(meant), Some(pinned)) if meant.id != pinned.id => {
                Err(EmbedderRefused::Mixed { space: name.clone(), named: meant.id, pinned: pinned.id })
            }
            (Some(meant), _) => Ok(meant),
            (None, _) => {
                let mut known = self.embedders(tenant, name).await?;
                if known.len() == 1 {
                    return Ok(known.remove(0));
                }
                let known = known.iter().map(|space| space.id).collect();
                Err(EmbedderRefused::Which { space: name.clone(), known })
            }
        }
    }

    /// The embedders that a space has vectors of, by the names of their indexes.
    pub async fn embedders(
        &self,
        tenant: &TenantId,
        name: &CollectionName,
    ) -> Result<Vec<VectorSpace>, StoreError> {
        let filter = SpaceFilter {
            layer: Some(Layer::Vectors),
            tenants: Some(vec![tenant.clone()]),
            prefix: Some(format!("{name}@")),
        };
        let listed = self.parts.store.space_list(&filter, None, EMBEDDERS_MAX).await?;
        let mut spaces = Vec::with_capacity(listed.len());
        for SpaceFacts { space, .. } in listed {
            let embedder = self.embedder_of(&space).await?;
            let id = embedder.id().map_err(|error| damaged(&space, error))?;
            spaces.push(VectorSpace { space, embedder: Arc::new(embedder), id });
        }
        Ok(spaces)
    }

    /// The index that a space is, with its embedder; none for spaces that hold no index.
    pub async fn vector_space_of(&self, space: &Space) -> Result<Option<VectorSpace>, StoreError> {
        if space.layer != Layer::Vectors || !space.name.as_str().contains('@') {
            return Ok(None);
        }
        let embedder = self.embedder_of(space).await?;
        let id = embedder.id().map_err(|error| damaged(space, error))?;
        Ok(Some(VectorSpace { space: space.clone(), embedder: Arc::new(embedder), id }))
    }

    /// The contract of the embedder that fills an index.
    pub async fn embedder_of(&self, space: &Space) -> Result<Embedder, StoreError> {
        let short = space.name.as_str().rsplit_once('@').map_or("", |(_, short)| short);
        let seq = self
            .look(&contracts(space), |index| {
                index.iter(None).find(|(_, key)| key.as_str().starts_with(short)).map(|(seq, _)| seq)
            })
            .await?;
        let record = self.records(seq.as_slice()).await?.into_iter().next();
        match record.map(|record| record.content) {
            Some(Content::Value(value)) => {
                serde_json::from_str(&value.json).map_err(|error| damaged(space, error))
            }
            Some(Content::Nothing | Content::Erased) | None => Err(damaged(space, "its contract is gone")),
        }
    }

    /// Keeps an embedder's contract, as a fact, before the first vector of it.
    pub(super) async fn keep_embedder<E: std::error::Error + 'static>(
        &self,
        of: &VectorSpace,
    ) -> Result<(), WriteError<E>> {
        let space = contracts(&of.space);
        let key = StateKey::new(&of.id.hex()).expect("hex digits are a key");
        let is_kept = |index: &Index| index.get(None, &key).is_some();
        if self.look(&space, is_kept).await? {
            return Ok(());
        }
        let author = self.author(WriteAs::Operator).await.expect("a fact needs nobody's leave");
        let json = serde_json::to_string(&*of.embedder).expect("a contract is plain data");
        let decide = |index: &Index| {
            let value = Some(NewValue { json: json.clone(), vector: None });
            let change = Change { key: key.clone(), value, parents: Vec::new() };
            let changes = if is_kept(index) { Vec::new() } else { vec![change] };
            Ok(Decided { changes, expect: Some((key.clone(), None)) })
        };
        self.write(&author, &space, None, decide).await.map(drop)
    }
}

fn contracts(space: &Space) -> Space {
    let name = SpaceName::new(EMBEDDERS).expect("the name is short");
    Space { tenant: space.tenant.clone(), layer: Layer::Vectors, name }
}

fn damaged(space: &Space, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("the embedder of {space}: {why}"))
}
