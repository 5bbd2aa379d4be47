//! The state's store: records of memory, shared context and vectors, in one sequence.
//!
//! A batch gets consecutive places at the end of the sequence and the ledger's head of that instant, in one
//! transaction: so records and ledger entries are in one order, and a [`Moment`] names a point in it. Nothing is
//! ever overwritten; what somebody sees is `pinrail_domain::state`'s to say, never SQL's.
//!
//! Content leaves the store in two ways only, both audited by the ledger (I8): [`State::state_remove`] takes whole
//! records of retracted deployments (gc), [`State::state_erase`] takes the content and leaves the record.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::ledger::Entry;
use pinrail_domain::release::Metric;
use pinrail_domain::state::{Author, Content, Layer, Moment, Op, Operation, Record, Space, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Answer, AnswerKey, StoreError};

/// Records to append together.
#[derive(Clone, Debug)]
pub struct Batch {
    pub author: Author,
    pub at: Timestamp,
    /// At least one, at most [`BATCH_MAX`].
    pub puts: Vec<Put>,
    /// Append only if this is still so.
    pub expect: Option<Expect>,
    /// The author is a data job that was open as of this entry: append only if none since has ended it.
    pub open: Option<LedgerSeq>,
    /// Keep the outcome, a [`Appended`] as JSON, as the answer to this request.
    pub answer: Option<Keep>,
}

/// One record to append: a put or a delete.
#[derive(Clone, Debug)]
pub struct Put {
    pub space: Space,
    pub key: StateKey,
    pub op: Op,
    pub parents: Vec<StateSeq>,
    pub content: Content,
    /// What `Content::digest` gives: zero where the record says nothing, and only there.
    pub content_digest: Digest,
    /// `pinrail_domain::state::digest` of all that.
    pub digest: Digest,
}

/// What a decision was made on: the newest operation on a key, of whatever deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    pub space: Space,
    pub key: StateKey,
    pub newest: Option<StateSeq>,
}

/// Under which idempotency key an outcome is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    pub key: AnswerKey,
    pub request: Digest,
}

/// What an append did: the batch's records are `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    pub first: StateSeq,
    pub last: StateSeq,
    /// The ledger's head that the records carry.
    pub ledger: LedgerSeq,
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody wrote the key meanwhile: decide again.
    #[error("the key's newest record is {newest:?}")]
    Moved { newest: Option<StateSeq> },
    #[error("the idempotency key was used before")]
    Answered(Box<Answer>),
    /// The author's data job was committed or taken back: nothing more is written in its name.
    #[error("ledger entry {by} ended the data job")]
    Ended { by: LedgerSeq },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records that a batch holds at most: some hundred kilobytes of text, or 1.5 MB of vectors, per sync.
pub const BATCH_MAX: usize = 1_000;

/// A space, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceFacts {
    pub space: Space,
    pub puts: u64,
    pub deletes: u64,
    /// Its newest record.
    pub newest: StateSeq,
}

/// Which spaces. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceFilter {
    pub layer: Option<Layer>,
    /// Only spaces of these tenants (I11).
    pub tenants: Option<Vec<TenantId>>,
    /// What the name begins with.
    pub prefix: Option<String>,
}

/// What one deployment wrote in one space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub space: Space,
    pub puts: u64,
    pub deletes: u64,
}

/// What a run read, in one go: proof for "who may have been misled".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub run: RunId,
    pub agent: AgentName,
    pub space: Space,
    /// The view's moment.
    pub at: Moment,
    pub what: Seen,
}

/// Which records a read showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// All that was visible to the run then.
    All,
    /// These, ascending.
    Records(Vec<StateSeq>),
}

/// How an agent uses a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub agent: AgentName,
    pub space: Space,
    pub reads: u64,
    pub writes: u64,
    pub last_at: Timestamp,
}

/// What a reader asks a store about a space that isn't in memory.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    pub space: &'a Space,
    /// Whose own writes are seen whatever became of them.
    pub own: Option<DeploymentId>,
    /// None is now.
    pub at: Option<Moment>,
    /// Only records before this one are listed; all are counted.
    pub before: Option<StateSeq>,
    /// How many are listed at most.
    pub limit: usize,
    /// A space with fewer operations isn't worth asking the store about.
    pub operations_min: u64,
}

/// What a reader sees of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// The view's moment.
    pub at: Moment,
    /// How many records are visible.
    pub count: u64,
    /// The last of them, newest first.
    pub last: Vec<StateSeq>,
}

/// What a store has on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// Where the heads were just then: up to here there is no more on it.
    pub at: Moment,
    /// All that was written to it and is still there, in sequence order.
    pub operations: Vec<Operation>,
}

/// A question to a store that searches vectors.
#[derive(Clone, Debug)]
pub struct Nearest<'a> {
    /// A space of one embedder: its vectors are never compared with another's (I12).
    pub space: &'a Space,
    pub own: Option<DeploymentId>,
    pub at: Moment,
    pub vector: &'a [f32],
    pub metric: Metric,
    pub k: usize,
    /// Compare with everything that is visible, whatever indexes there are.
    pub exact: bool,
    /// How many operations the space has, and how many puts of them the reader sees: which way is cheaper follows from that.
    pub operations: usize,
    pub visible: usize,
}

/// The answer: candidates, which the caller compares with the vectors themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Nearest first as far as the store can tell; a few more than were asked for, where there are so many.
    pub seqs: Vec<StateSeq>,
    /// Nothing nearer was missed: all that is visible was compared.
    pub proven: bool,
}

impl Batch {
    /// Panics where the caller broke the contract: an empty or too large batch, a digest of nothing.
    pub fn assert_whole(&self) {
        assert!((1..=BATCH_MAX).contains(&self.puts.len()), "a batch holds 1 to {BATCH_MAX} records");
        for Put { key, content, content_digest, .. } in &self.puts {
            let says_nothing = matches!(content, Content::Nothing);
            let fits = says_nothing == (*content_digest == Digest::ZERO);
            assert!(fits, "the content of {key} and its digest say different things");
        }
    }

    /// The first of these entries, which come in order, that came after the author's job was seen to be open and ended it.
    #[must_use]
    pub fn ended_by<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> Option<LedgerSeq> {
        let (open, job) = (self.open?, self.author.deployment);
        let ends = |entry: &&Entry| {
            entry.seq > open && entry.body.counting().is_some_and(|counting| counting.deployment() == job)
        };
        entries.into_iter().find(ends).map(|entry| entry.seq)
    }
}

impl SpaceFilter {
    /// Whether the space is one of those.
    #[must_use]
    pub fn matches(&self, space: &Space) -> bool {
        let SpaceFilter { layer, tenants, prefix } = self;
        layer.is_none_or(|layer| space.layer == layer)
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&space.tenant))
            && prefix.as_ref().is_none_or(|prefix| space.name.as_str().starts_with(prefix))
    }
}

impl Keep {
    /// The answer that is kept of an append: status 200, and the outcome as JSON.
    #[must_use]
    pub fn answer(self, appended: Appended, at: Timestamp) -> Answer {
        let body = serde_json::to_string(&appended).expect("three numbers are plain data");
        Answer { key: self.key, request: self.request, status: 200, body, at }
    }
}

/// Keeps state.
#[async_trait]
pub trait State: Send + Sync {
    /// Appends all records or none. Durable on return (I9). The answer's key is looked at first, then what is
    /// expected, then whether the author's job is open still: no entry ends it between that look and the append.
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError>;

    /// The last place given to a record, removed or not, and the newest ledger entry.
    async fn state_head(&self) -> Result<Moment, StoreError>;

    /// The last record that is there and the last ledger entry whose time is not after `at`; zero where there is none.
    ///
    /// Last by sequence: where a clock jumped back, what came after the jump counts as of its own time.
    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError>;

    /// The last place given to a record, removed or not, while the ledger's head was at or before `ledger`.
    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError>;

    /// Up to `limit` matching spaces after `after`, ordered by tenant, layer and name. Only those that hold records.
    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError>;

    /// Up to `limit` operations of a space after `after`, in sequence order.
    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError>;

    /// Whole records, in the order asked for and as often; one that isn't there is left out.
    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError>;

    /// The digests of records, in the order asked for; one that isn't there is left out.
    async fn state_digests(&self, seqs: &[StateSeq]) -> Result<Vec<(StateSeq, Digest)>, StoreError> {
        let records = self.state_records(seqs).await?;
        Ok(records.into_iter().map(|record| (record.operation.seq, record.digest)).collect())
    }

    /// Up to `limit` whole records of a space after `after`, in sequence order.
    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// What a deployment wrote and is still there, per space, ordered as spaces are. Counted when it was written.
    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError>;

    /// Up to `limit` operations of a deployment after `after`, in sequence order, with their spaces.
    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError>;

    /// Up to `limit` operations of a run after `after`, in sequence order, with their spaces.
    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError>;

    /// Records that name one of `parents`, ascending, each once. The parents needn't be there any more.
    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError>;

    /// Notes reads that were made at `at`; all or none. Durable on return.
    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError>;

    /// Up to `limit` reads of a space whose moment is at or after record `from`, in the order in which they were
    /// noted, after the first `skip` of them.
    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError>;

    /// Which agents use which spaces, ordered by space and agent: records written and reads noted, ever.
    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError>;

    /// Removes up to `limit` records of a deployment at or before `until`, the oldest first, with their content and
    /// what is known of their parents; returns how many. Fewer than `limit` means that none is left.
    ///
    /// All or none, so a small limit keeps other writes from waiting (I7). Their places are never given again. What
    /// was noted of reads stays, and so do other records that name them as parents.
    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError>;

    /// Erases the content of records; places and digests stay. Returns how many had content.
    ///
    /// A failure may leave some of them erased: ask again until it is `Ok`. Only then has the content left the store's
    /// files too, as far as the backend can tell; what it can't is in its documentation.
    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError>;

    /// What a reader sees of a large space, by `pinrail_domain::state::view`'s rule: for whoever has no index of it in
    /// memory and would have to read it whole. None: build the index, since the space is small or the store knows no rule.
    async fn state_visible(&self, _look: &Look<'_>) -> Result<Option<Visible>, StoreError> {
        Ok(None)
    }

    /// All operations on one key of a space that has at least `operations_min`: for whoever has no index of it in memory and wants no
    /// other key. None: build the index, since the space is small or the key was written more than `limit` times, or since
    /// nobody else writes to this store, so that an index that was built once serves on.
    async fn state_of_key(
        &self,
        _space: &Space,
        _key: &StateKey,
        _operations_min: u64,
        _limit: usize,
    ) -> Result<Option<KeyHistory>, StoreError> {
        Ok(None)
    }

    /// The visible records of a space that are nearest to a vector. None: this store doesn't search, at least not here
    /// and now.
    async fn vectors_nearest(&self, _asked: &Nearest<'_>) -> Result<Option<Near>, StoreError> {
        Ok(None)
    }

    /// How vectors are searched, for people; none where the store leaves it to whoever asks.
    fn vectors_search(&self) -> Option<String> {
        None
    }
}
