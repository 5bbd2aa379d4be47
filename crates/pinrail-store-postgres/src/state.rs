//! State in PostgreSQL: `state/append.rs` appends, `state/read.rs` reads records, `state/spaces.rs` lists spaces,
//! `state/reads.rs` keeps who read and used what, `state/remove.rs` takes away, `state/nearest.rs` searches vectors.
//!
//! A record is a row of `pinrail.state`, narrow and covered by indexes, and a row of `pinrail.state_content`, which may be large
//! and is only touched by who wants the content. Counts are kept beside, in the same transaction.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Moment, Operation, Record, Space, StateKey};
use pinrail_domain::time::Timestamp;
use pinrail_store::state::{
    AppendError, Appended, Batch, KeyHistory, Look, Near, Nearest, Read, SpaceFacts, SpaceFilter, Use,
    Visible, Written,
};
use pinrail_store::{State, StoreError};

use crate::Postgres;
use crate::db::repeat;

mod append;
mod index;
mod nearest;
mod read;
mod reads;
mod remove;
mod spaces;
mod visible;

pub(crate) use index::Indexes;
pub(crate) use spaces::Known;

/// Places whose earliest time is kept together. Stored: never change.
const PLACES_PER_CHUNK: i64 = 1_024;
/// Records that are read like one thing, in well under a millisecond; more of them are a list.
const RECORDS_QUICK: usize = 64;

#[async_trait]
impl State for Postgres {
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.assert_whole();
        append::append(self, &batch).await
    }

    async fn state_head(&self) -> Result<Moment, StoreError> {
        Ok(read::head(self).await?)
    }

    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError> {
        Ok(read::moment(self, at).await?)
    }

    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError> {
        Ok(read::until(self, ledger).await?)
    }

    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError> {
        Ok(spaces::list(self, filter, after, limit).await?)
    }

    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        Ok(read::operations(self, space, after, limit).await?)
    }

    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        Ok(read::records(self, seqs).await?)
    }

    async fn state_digests(&self, seqs: &[StateSeq]) -> Result<Vec<(StateSeq, Digest)>, StoreError> {
        Ok(read::digests(self, seqs).await?)
    }

    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(read::scan(self, space, after, limit).await?)
    }

    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError> {
        Ok(spaces::written(self, deployment).await?)
    }

    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        Ok(read::of_deployment(self, deployment, after, limit).await?)
    }

    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        Ok(read::of_run(self, run, after, limit).await?)
    }

    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError> {
        Ok(read::children(self, parents).await?)
    }

    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError> {
        if reads.is_empty() {
            return Ok(());
        }
        let noting = reads::Noting::new(self, reads, at).await?;
        Ok(repeat(|| noting.note(self)).await?)
    }

    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError> {
        Ok(reads::of_space(self, space, from, (skip, limit)).await?)
    }

    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError> {
        Ok(reads::uses(self, tenants).await?)
    }

    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError> {
        Ok(repeat(|| remove::remove(self, deployment, until, limit)).await?)
    }

    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError> {
        Ok(remove::erase(self, seqs).await?)
    }

    async fn state_visible(&self, look: &Look<'_>) -> Result<Option<Visible>, StoreError> {
        Ok(visible::visible(self, look).await?)
    }

    async fn state_of_key(
        &self,
        space: &Space,
        key: &StateKey,
        operations_min: u64,
        limit: usize,
    ) -> Result<Option<KeyHistory>, StoreError> {
        Ok(read::of_key(self, space, key, (operations_min, limit)).await?)
    }

    async fn vectors_nearest(&self, asked: &Nearest<'_>) -> Result<Option<Near>, StoreError> {
        Ok(nearest::nearest(self, asked).await?)
    }

    fn vectors_search(&self) -> Option<String> {
        Some(nearest::told(self))
    }
}
