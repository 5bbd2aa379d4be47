//! State in SQLite: `state/append.rs` appends, `state/read.rs` reads records, `state/spaces.rs` lists spaces,
//! `state/reads.rs` keeps who read and used what, `state/remove.rs` takes away.
//!
//! A record is a row of `state`, narrow and covered by indexes, and a row of `state_content`, which may be large and
//! is only touched by who wants the content. Counts are kept beside, in the same transaction.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Moment, Operation, Record, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::state::{AppendError, Appended, Batch, Read, SpaceFacts, SpaceFilter, Use, Written};
use pinrail_store::{State, StoreError};

use crate::Sqlite;

mod append;
mod read;
mod reads;
mod remove;
mod spaces;

/// Places whose earliest time is kept together. Stored: never change.
const PLACES_PER_CHUNK: i64 = 1_024;
/// Records that are read like one thing, in well under a millisecond; more of them are a list.
const RECORDS_QUICK: usize = 64;

#[async_trait]
impl State for Sqlite {
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.assert_whole();
        self.writer.carry_out(|reply| append::Appending::new(batch, reply)).await?
    }

    async fn state_head(&self) -> Result<Moment, StoreError> {
        Ok(self.quick.ask(read::head).await?)
    }

    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError> {
        Ok(self.quick.ask(move |db| read::moment(db, at)).await?)
    }

    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError> {
        Ok(self.quick.ask(move |db| read::until(db, ledger)).await?)
    }

    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError> {
        let (filter, after) = (filter.clone(), after.cloned());
        Ok(self.readers.ask(move |db| spaces::list(db, &filter, after.as_ref(), limit)).await?)
    }

    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        let space = space.clone();
        Ok(self.readers.ask(move |db| read::operations(db, &space, after, limit)).await?)
    }

    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        let readers = if seqs.len() <= RECORDS_QUICK { &self.quick } else { &self.readers };
        let seqs = seqs.to_vec();
        Ok(readers.ask(move |db| read::records(db, &seqs)).await?)
    }

    async fn state_digests(&self, seqs: &[StateSeq]) -> Result<Vec<(StateSeq, Digest)>, StoreError> {
        let seqs = seqs.to_vec();
        Ok(self.readers.ask(move |db| read::digests(db, &seqs)).await?)
    }

    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let space = space.clone();
        Ok(self.readers.ask(move |db| read::scan(db, &space, after, limit)).await?)
    }

    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError> {
        Ok(self.readers.ask(move |db| spaces::written(db, deployment)).await?)
    }

    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        Ok(self.readers.ask(move |db| read::of_deployment(db, deployment, after, limit)).await?)
    }

    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        Ok(self.readers.ask(move |db| read::of_run(db, run, after, limit)).await?)
    }

    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError> {
        let parents = parents.to_vec();
        Ok(self.readers.ask(move |db| read::children(db, &parents)).await?)
    }

    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError> {
        if reads.is_empty() {
            return Ok(());
        }
        let reads = reads.to_vec();
        self.writer.carry_out(|reply| reads::Noting::new(reads, at, reply)).await?
    }

    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError> {
        let space = space.clone();
        Ok(self.readers.ask(move |db| reads::of_space(db, &space, from, skip, limit)).await?)
    }

    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError> {
        let tenants = tenants.map(<[TenantId]>::to_vec);
        Ok(self.readers.ask(move |db| reads::uses(db, tenants.as_deref())).await?)
    }

    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let what = remove::Which::Records { deployment, until, limit };
        self.writer.carry_out(|reply| remove::Taking::new(what, reply)).await?
    }

    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError> {
        Ok(remove::erase(self, seqs).await?)
    }
}

#[cfg(test)]
mod tests;
