//! Erasure: what a person or a tenant said is removed for good, and the proof that it happened stays.
//!
//! 1. Found is exactly this ([`Whose`]): of a tenant, all its records and runs; of a session, the records of its memory
//!    and all that its runs wrote anywhere; of an attribute, all that runs stamped with it wrote anywhere. Runs that
//!    such runs started count with them.
//! 2. A list of it, places and digests without content, is stored as artifacts; the ledger gets an entry that names the
//!    list: from here on it has happened (I8).
//! 3. The content is taken out of records and journals, and out of the files; an artifact marks the end.
//!
//! Step 3 is safe to do twice: after a crash the next start goes on with it. Digests of erased content are salted, so
//! they say nothing to whoever guesses at it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, LedgerSeq, RunId, SessionId, StateSeq, TenantId};
use pinrail_domain::ledger::Body;
use pinrail_domain::state::{Content, Space};
use pinrail_domain::world::{Erasure, World};
use pinrail_store::journal::{Run, RunFilter};
use pinrail_store::state::SpaceFilter;
use pinrail_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::States;
use crate::{By, CommitError, Committed, Control, Inner, errors};

/// Whose content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    pub tenant: TenantId,
    pub subject: Subject,
}

/// Which part of a tenant's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// All of it.
    Tenant,
    /// A conversation.
    Session { agent: AgentName, session: SessionId },
    /// Runs that carry this attribute.
    Attribute { name: String, value: String },
}

/// What an erasure takes, or would take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// Records with content, by space.
    pub spaces: Vec<(Space, u64)>,
    pub records: u64,
    pub runs: u64,
    /// Runs that are still open: what they go on to write is not erased.
    pub open_runs: Vec<RunId>,
    /// Records of others that name an erased one as a parent. They stay.
    pub derived: u64,
    /// The ledger entry; none as long as nothing is erased.
    pub seq: Option<LedgerSeq>,
    /// The list of what was erased.
    pub proof: Option<Digest>,
}

/// Why nothing is erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseRefused {
    #[error("there is nothing to erase")]
    Nothing,
}

/// What an erasure's proof says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The erasure.
    pub entry: LedgerSeq,
    /// The record's digest.
    pub digest: Digest,
}

/// The list of what was erased, without content. Stored as an artifact: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    pinrail_erasure: u32,
    tenant: TenantId,
    records: u64,
    runs: u64,
    /// Artifacts, each a [`Part`].
    parts: Vec<Digest>,
}

/// Some of what was erased. Stored as an artifact: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    spaces: Vec<PartOfSpace>,
    /// Runs, and how many events each had.
    runs: Vec<(RunId, u64)>,
}

/// Records with their digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartOfSpace {
    space: Space,
    records: Vec<(StateSeq, Digest)>,
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    runs: Vec<(RunId, u64)>,
    open_runs: Vec<RunId>,
    records: BTreeMap<Space, BTreeMap<StateSeq, Digest>>,
    derived: u64,
}

/// Records, and runs, in one part of a proof: about a megabyte.
const PART: usize = 10_000;
/// Runs or records read at once.
const PAGE: usize = 500;
/// Records, or runs, erased by one call of the store.
const BATCH: usize = 1_000;

impl Control {
    /// What an erasure would take now.
    pub async fn erasure_plan(&self, whose: &Whose) -> Result<Erased, StoreError> {
        Ok(self.find(whose).await?.told())
    }

    /// Erases. On success the content is gone; on an error after the ledger's entry the next start goes on, or the same
    /// request sent again.
    pub async fn erase(&self, by: By, whose: &Whose) -> Result<Committed<Erased>, CommitError<EraseRefused>> {
        let committed = self.enter_erasure(by, whose).await?;
        let snapshot = self.snapshot();
        for erasure in
            snapshot.world.erasures.iter().filter(|erasure| Some(erasure.seq) == committed.value.seq)
        {
            carry_out(&self.inner, erasure).await.map_err(CommitError::Store)?;
        }
        Ok(committed)
    }

    /// Finds what there is to erase, stores the list of it and enters it into the ledger.
    pub(crate) async fn enter_erasure(
        &self,
        by: By,
        whose: &Whose,
    ) -> Result<Committed<Erased>, CommitError<EraseRefused>> {
        let found = self.find(whose).await.map_err(CommitError::Store)?;
        let proof = self.prove(whose, &found).await.map_err(CommitError::Store)?;
        let decide = |_: &World| {
            let told = found.told();
            if told.records == 0 && told.runs == 0 {
                return Err(EraseRefused::Nothing);
            }
            let body = Body::StateErased {
                tenant: whose.tenant.clone(),
                subject: whose.subject.in_words(),
                records: told.records,
                runs: told.runs,
                proof,
            };
            Ok((vec![body], told))
        };
        let report =
            |world: &World, told: Erased| Erased { seq: Some(world.head.seq), proof: Some(proof), ..told };
        self.commit(by, decide, report).await
    }

    async fn find(&self, whose: &Whose) -> Result<Found, StoreError> {
        // A stamp may be on its way to the store.
        self.inner.runs.settled().await;
        let store = &*self.inner.store;
        let mut found = Found::default();
        let runs = runs_of(store, whose).await?;
        for run in &runs {
            found.runs.push((run.stamp.run, run.summary.next.0));
            if run.summary.status.is_open() {
                found.open_runs.push(run.stamp.run);
            }
        }
        let mut seqs = BTreeSet::new();
        for space in spaces_of(store, whose).await? {
            let mut after = StateSeq(0);
            loop {
                let operations = store.state_operations(&space, after, PAGE).await?;
                let Some(last) = operations.last() else { break };
                after = last.seq;
                seqs.extend(operations.iter().map(|operation| operation.seq));
            }
        }
        for run in &runs {
            let mut after = StateSeq(0);
            loop {
                let written = store.state_of_run(run.stamp.run, after, PAGE).await?;
                let Some((_, last)) = written.last() else { break };
                after = last.seq;
                seqs.extend(written.iter().map(|(_, operation)| operation.seq));
            }
        }
        let seqs: Vec<StateSeq> = seqs.into_iter().collect();
        for some in seqs.chunks(PAGE) {
            let mut with_content = Vec::with_capacity(some.len());
            for record in store.state_records(some).await? {
                match record.content {
                    Content::Value(_) => {}
                    Content::Nothing | Content::Erased => continue,
                }
                // I11: nobody's content but this tenant's.
                if record.space.tenant == whose.tenant {
                    with_content.push(record.operation.seq);
                    let of_space = found.records.entry(record.space).or_default();
                    of_space.insert(record.operation.seq, record.digest);
                }
            }
            let children = store.state_children(&with_content).await?;
            let others = children.iter().filter(|child| seqs.binary_search(child).is_err());
            found.derived += others.count() as u64;
        }
        Ok(found)
    }

    /// Stores the list of what was found.
    async fn prove(&self, whose: &Whose, found: &Found) -> Result<Digest, StoreError> {
        let store = &*self.inner.store;
        let mut parts = Vec::new();
        for (space, records) in &found.records {
            let records: Vec<(StateSeq, Digest)> =
                records.iter().map(|(seq, digest)| (*seq, *digest)).collect();
            for some in records.chunks(PART) {
                let of = PartOfSpace { space: space.clone(), records: some.to_vec() };
                parts.push(put(store, &Part { spaces: vec![of], runs: Vec::new() }).await?);
            }
        }
        for some in found.runs.chunks(PART) {
            parts.push(put(store, &Part { spaces: Vec::new(), runs: some.to_vec() }).await?);
        }
        let told = found.told();
        let tenant = whose.tenant.clone();
        put(store, &Proof { pinrail_erasure: 1, tenant, records: told.records, runs: told.runs, parts }).await
    }
}

impl States {
    /// Which erasures took these records' content, by the proofs that the ledger names.
    pub async fn erasures_of(
        &self,
        tenant: &TenantId,
        seqs: impl IntoIterator<Item = StateSeq>,
    ) -> Result<BTreeMap<StateSeq, Proven>, StoreError> {
        let mut sought: BTreeSet<StateSeq> = seqs.into_iter().collect();
        let mut proven = BTreeMap::new();
        let snapshot = self.parts.snapshot.load_full();
        let of_tenant = snapshot.world.erasures.iter().rev().filter(|erasure| erasure.tenant == *tenant);
        for erasure in of_tenant {
            if sought.is_empty() {
                break;
            }
            let Some(proof) = get::<Proof>(&*self.parts.store, erasure.proof).await? else { continue };
            for part in proof.parts {
                let Some(part) = get::<Part>(&*self.parts.store, part).await? else { continue };
                for (seq, digest) in part.spaces.into_iter().flat_map(|of| of.records) {
                    if sought.remove(&seq) {
                        proven.insert(seq, Proven { entry: erasure.seq, digest });
                    }
                }
            }
        }
        Ok(proven)
    }
}

impl Subject {
    /// For the ledger; none for all of a tenant.
    fn in_words(&self) -> Option<String> {
        match self {
            Subject::Tenant => None,
            Subject::Session { agent, session } => Some(format!("session {agent}/{session}")),
            Subject::Attribute { name, value } => Some(format!("attribute {name}={value}")),
        }
    }
}

impl Found {
    fn told(&self) -> Erased {
        let spaces: Vec<(Space, u64)> =
            self.records.iter().map(|(space, records)| (space.clone(), records.len() as u64)).collect();
        Erased {
            records: spaces.iter().map(|(_, records)| records).sum(),
            spaces,
            runs: self.runs.len() as u64,
            open_runs: self.open_runs.clone(),
            derived: self.derived,
            seq: None,
            proof: None,
        }
    }
}

/// Finishes erasures that a crash cut off.
pub(crate) async fn go_on(inner: Arc<Inner>) {
    let snapshot = inner.snapshot.load_full();
    for erasure in snapshot.world.erasures.iter() {
        match carry_out(&inner, erasure).await {
            Ok(false) => {}
            Ok(true) => tracing::info!(entry = %erasure.seq, "finished an erasure that was cut off"),
            Err(error) => {
                let error = errors::chain(&error);
                tracing::error!(%error, entry = %erasure.seq, "an erasure could not be finished; the next start goes on");
            }
        }
    }
}

/// Takes out what an entry says is erased; false where that was done before.
async fn carry_out(inner: &Inner, erasure: &Erasure) -> Result<bool, StoreError> {
    let store = &*inner.store;
    if is_done(store, erasure).await? {
        return Ok(false);
    }
    let done = done_mark(erasure);
    let lost = |what: &str| StoreError::Damaged(format!("the proof of erasure {}: {what}", erasure.seq));
    let proof: Proof = get(store, erasure.proof).await?.ok_or_else(|| lost("it is not there"))?;
    for part in proof.parts {
        let part: Part = get(store, part).await?.ok_or_else(|| lost("a part is not there"))?;
        for PartOfSpace { space, records } in part.spaces {
            let seqs: Vec<StateSeq> = records.into_iter().map(|(seq, _)| seq).collect();
            for some in seqs.chunks(BATCH) {
                store.state_erase(some).await?;
            }
            inner.states.erased(&space);
        }
        let runs: Vec<RunId> = part.runs.into_iter().map(|(run, _)| run).collect();
        for some in runs.chunks(BATCH) {
            store.run_erase(some).await?;
        }
    }
    store.artifact_put(&done).await?;
    Ok(true)
}

/// Whether an erasure was carried out to its end, by whomever.
pub(super) async fn is_done(store: &dyn Store, erasure: &Erasure) -> Result<bool, StoreError> {
    Ok(store.artifact_get(Digest::of(&done_mark(erasure))).await?.is_some())
}

/// The content of the artifact that says that an erasure was carried out to its end.
fn done_mark(erasure: &Erasure) -> Vec<u8> {
    format!("{{\"pinrail_erased\":1,\"entry\":{},\"hash\":\"{}\"}}", erasure.seq, erasure.hash).into_bytes()
}

/// The spaces that are erased whole.
async fn spaces_of(store: &dyn Store, whose: &Whose) -> Result<Vec<Space>, StoreError> {
    let filter = match &whose.subject {
        Subject::Tenant => {
            SpaceFilter { tenants: Some(vec![whose.tenant.clone()]), ..SpaceFilter::default() }
        }
        Subject::Session { agent, session } => {
            return Ok(vec![Space::memory(whose.tenant.clone(), agent, session)]);
        }
        Subject::Attribute { .. } => return Ok(Vec::new()),
    };
    let mut spaces: Vec<Space> = Vec::new();
    loop {
        let page = store.space_list(&filter, spaces.last(), PAGE).await?;
        if page.is_empty() {
            // Contracts of embedders, and what else Pinrail keeps for itself, hold nobody's content.
            spaces.retain(|space| !space.name.as_str().starts_with('~'));
            return Ok(spaces);
        }
        spaces.extend(page.into_iter().map(|facts| facts.space));
    }
}

/// The runs whose journals are erased.
async fn runs_of(store: &dyn Store, whose: &Whose) -> Result<Vec<Run>, StoreError> {
    let filter = RunFilter { tenants: Some(vec![whose.tenant.clone()]), ..RunFilter::default() };
    let mut all: Vec<Run> = Vec::new();
    loop {
        let page = store.run_list(&filter, all.last().map(|run| run.stamp.run), PAGE).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let is_meant = |run: &Run| match &whose.subject {
        Subject::Tenant => true,
        Subject::Session { agent, session } => {
            run.stamp.agent == *agent && run.stamp.session.as_ref() == Some(session)
        }
        Subject::Attribute { name, value } => run.stamp.attributes.get(name) == Some(value),
    };
    let mut matched: BTreeSet<RunId> =
        all.iter().filter(|run| is_meant(run)).map(|run| run.stamp.run).collect();
    let mut children: BTreeMap<RunId, Vec<RunId>> = BTreeMap::new();
    for stamp in all.iter().map(|run| &run.stamp) {
        // What a person said is also in the copies of what they said.
        for origin in [stamp.parent, stamp.shadow].into_iter().flatten() {
            children.entry(origin).or_default().push(stamp.run);
        }
    }
    let mut unasked: Vec<RunId> = matched.iter().copied().collect();
    while let Some(run) = unasked.pop() {
        let new =
            children.remove(&run).unwrap_or_default().into_iter().filter(|child| matched.insert(*child));
        unasked.extend(new.collect::<Vec<_>>());
    }
    all.retain(|run| matched.contains(&run.stamp.run));
    Ok(all)
}

async fn put<T: Serialize>(store: &dyn Store, value: &T) -> Result<Digest, StoreError> {
    let bytes = serde_json::to_vec(value).expect("a list of digests is plain data");
    store.artifact_put(&bytes).await
}

async fn get<T: for<'de> Deserialize<'de>>(
    store: &dyn Store,
    digest: Digest,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.artifact_get(digest).await? else { return Ok(None) };
    let damaged = |error| StoreError::Damaged(format!("artifact {digest}: {error}"));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}
