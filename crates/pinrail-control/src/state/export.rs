//! A space out of the store and into one again, record by record.

use std::collections::BTreeSet;

use pinrail_domain::id::{DeploymentId, StateSeq, TenantId};
use pinrail_domain::state::{
    Content, KEY_BYTES_MAX, Moment, Record, Space, StateKey, VALUE_BYTES_MAX, Value,
};
use pinrail_store::StoreError;
use pinrail_store::state::BATCH_MAX;

use super::vectors::{Upsert, UpsertRefused, VectorSpace};
use super::{
    Authorised, Change, Decided, NewValue, NoWriter, ReadError, Reader, States, WriteAs, WriteError,
};

/// What is visible of a space at a moment: the records to write out, in sequence order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub at: Moment,
    pub seqs: Vec<StateSeq>,
}

/// A record to take in.
#[derive(Clone, Debug)]
pub struct Taken {
    pub key: StateKey,
    pub value: NewValue,
}

/// What taking records in came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    pub written: u64,
    /// The job had written these before, with the same content.
    pub there: u64,
}

/// Why nothing is taken in.
#[derive(Debug, thiserror::Error)]
pub enum TakeRefused {
    #[error(transparent)]
    NoWriter(#[from] NoWriter),
    #[error("a request holds 1 to {BATCH_MAX} records; this one has {0}")]
    Count(usize),
    #[error("the value of key {0} is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong(StateKey),
    #[error("key {0} comes twice")]
    Twice(StateKey),
    #[error("key {0} has no vector")]
    NoVector(StateKey),
    #[error(transparent)]
    Vectors(Box<UpsertRefused>),
}

/// Longest line of an export: a value, its key and what is told of both.
pub const LINE_BYTES_MAX: usize = 4 * VALUE_BYTES_MAX + 4 * KEY_BYTES_MAX;

impl States {
    /// The records to export.
    pub async fn exported(&self, space: &Space, reader: &Reader) -> Result<Exported, ReadError> {
        self.view(space, reader, |sight| {
            let seqs = sight.shown().iter().map(|place| sight.index.seq(place)).collect();
            Exported { at: sight.view.at, seqs }
        })
        .await
    }

    /// Takes records in, in an open data job's name. What the job has put there with the same content already is left
    /// as it is, so a request may be sent again.
    pub async fn take_in(
        &self,
        job: DeploymentId,
        space: &Space,
        taken: &[Taken],
    ) -> Result<TakenIn, WriteError<TakeRefused>> {
        let (by, new) = self.new_of(job, space, taken).await?;
        let change = |taken: &&Taken| Change {
            key: taken.key.clone(),
            value: Some(taken.value.clone()),
            parents: Vec::new(),
        };
        let changes: Vec<Change> = new.iter().map(change).collect();
        let written = changes.len() as u64;
        self.write(&by, space, None, |_| Ok(Decided { changes: changes.clone(), expect: None })).await?;
        Ok(TakenIn { written, there: taken.len() as u64 - written })
    }

    /// The same for vectors, which must be of the embedder that the space is for (I12).
    pub async fn take_in_vectors(
        &self,
        job: DeploymentId,
        to: &VectorSpace,
        taken: &[Taken],
    ) -> Result<TakenIn, WriteError<TakeRefused>> {
        let (by, new) = self.new_of(job, &to.space, taken).await?;
        let mut upserts = Vec::with_capacity(new.len());
        for Taken { key, value } in new {
            let no_vector = || WriteError::Refused(TakeRefused::NoVector(key.clone()));
            let payload = serde_json::from_str(&value.json).ok();
            let vector = value.vector.clone().ok_or_else(no_vector)?;
            upserts.push(Upsert { key: key.clone(), vector, payload, parents: Vec::new() });
        }
        let written = upserts.len() as u64;
        if written > 0 {
            self.upsert(&by, to, &upserts, None).await.map_err(|error| match error {
                WriteError::Refused(refused) => WriteError::Refused(TakeRefused::Vectors(Box::new(refused))),
                WriteError::Writer(refused) => WriteError::Writer(refused),
                WriteError::KeyReused => WriteError::KeyReused,
                WriteError::Contended => WriteError::Contended,
                WriteError::Store(error) => WriteError::Store(error),
            })?;
        }
        Ok(TakenIn { written, there: taken.len() as u64 - written })
    }

    /// A page of records of a tenant to write out.
    pub async fn export_page(&self, tenant: &TenantId, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        let mut records = self.records(seqs).await?;
        records.retain(|record| record.space.tenant == *tenant); // I11
        Ok(records)
    }

    /// The records that the job hasn't written yet.
    async fn new_of<'a>(
        &self,
        job: DeploymentId,
        space: &Space,
        taken: &'a [Taken],
    ) -> Result<(Authorised, Vec<&'a Taken>), WriteError<TakeRefused>> {
        if taken.is_empty() || taken.len() > BATCH_MAX {
            return Err(WriteError::Refused(TakeRefused::Count(taken.len())));
        }
        let mut keys = BTreeSet::new();
        for Taken { key, value } in taken {
            if value.json.len() > VALUE_BYTES_MAX {
                return Err(WriteError::Refused(TakeRefused::TooLong(key.clone())));
            }
            if !keys.insert(key) {
                return Err(WriteError::Refused(TakeRefused::Twice(key.clone())));
            }
        }
        let by = self.author(WriteAs::Job(job)).await.map_err(|no| WriteError::Refused(no.into()))?;
        let own: Vec<StateSeq> = self
            .look(space, |index| {
                let newest = taken.iter().filter_map(|taken| index.get(Some(job), &taken.key));
                newest.filter(|seq| index.place(*seq).is_some_and(|at| index.deployment(at) == job)).collect()
            })
            .await?;
        let there = self.records(&own).await?;
        let is_new = |taken: &&Taken| !there.iter().any(|record| is_same(record, taken));
        Ok((by, taken.iter().filter(is_new).collect()))
    }
}

fn is_same(record: &Record, taken: &Taken) -> bool {
    let same = |value: &Value| value.json == taken.value.json && value.vector == taken.value.vector;
    record.operation.key == taken.key
        && match &record.content {
            Content::Value(value) => same(value),
            Content::Nothing | Content::Erased => false,
        }
}
