//! State in memory: a map of records by place, looked through from the start for every question.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Content, Moment, Op, Operation, Record, Space, StateKey, Value};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;

use super::{Kept, Memory};
use crate::state::{
    AppendError, Appended, Batch, KeyHistory, Look, Put, Read, SpaceFacts, SpaceFilter, Use, Visible, Written,
};
use crate::{State, StoreError};

/// All state, and who read and wrote it.
#[derive(Default)]
pub(super) struct Records {
    records: BTreeMap<StateSeq, Record>,
    /// The last place given while the ledger's head was this. Places that were removed are never given again.
    marks: BTreeMap<LedgerSeq, StateSeq>,
    reads: Vec<Read>,
    uses: BTreeMap<(Space, AgentName), Use>,
}

/// How many puts and deletes.
#[derive(Clone, Copy, Default)]
struct Counted {
    puts: u64,
    deletes: u64,
}

impl Records {
    /// Changes a record's content behind the store's back.
    pub(super) fn damage(&mut self, seq: StateSeq) {
        let record = self.records.get_mut(&seq).expect("the record is there");
        match &mut record.content {
            Content::Value(value) => value.json.push(' '),
            content @ (Content::Nothing | Content::Erased) => {
                *content =
                    Content::Value(Value { salt: [7; 16], json: "\"planted\"".to_owned(), vector: None });
            }
        }
    }

    pub(super) fn last(&self) -> StateSeq {
        self.marks.last_key_value().map_or(StateSeq(0), |(_, last)| *last)
    }

    fn newest(&self, space: &Space, key: &StateKey) -> Option<StateSeq> {
        let mut newest_first = self.records.values().rev();
        let found = newest_first.find(|record| record.space == *space && record.operation.key == *key);
        found.map(|record| record.operation.seq)
    }

    fn append(&mut self, batch: Batch, ledger: LedgerSeq) -> Appended {
        let first = self.last().next();
        let mut seq = self.last();
        for put in batch.puts {
            seq = seq.next();
            let Put { space, key, op, parents, content, content_digest, digest } = put;
            if let Some(agent) = &batch.author.agent {
                self.used(&space, agent, batch.at).writes += 1;
            }
            let deployment = batch.author.deployment;
            let record = Record {
                space,
                operation: Operation { seq, ledger, deployment, key, op },
                at: batch.at,
                origin: batch.author.origin,
                run: batch.author.run,
                parents,
                content,
                content_digest,
                digest,
            };
            self.records.insert(seq, record);
        }
        self.marks.insert(ledger, seq);
        Appended { first, last: seq, ledger }
    }

    /// How the agent uses the space, which it just did.
    fn used(&mut self, space: &Space, agent: &AgentName, at: Timestamp) -> &mut Use {
        let key = (space.clone(), agent.clone());
        let unused = || Use { agent: agent.clone(), space: space.clone(), reads: 0, writes: 0, last_at: at };
        let used = self.uses.entry(key).or_insert_with(unused);
        used.last_at = used.last_at.max(at);
        used
    }

    fn of_space(&self, space: &Space, after: StateSeq) -> impl Iterator<Item = &Record> {
        self.matching(after, move |record| record.space == *space)
    }

    /// The records after `after` that match, in order.
    fn matching(&self, after: StateSeq, matches: impl Fn(&Record) -> bool) -> impl Iterator<Item = &Record> {
        self.records.range(after.next()..).map(|(_, record)| record).filter(move |record| matches(record))
    }

    fn remove(&mut self, deployment: DeploymentId, until: StateSeq, limit: usize) -> u64 {
        let oldest = self.matching(StateSeq(0), |record| {
            record.operation.deployment == deployment && record.operation.seq <= until
        });
        let gone: Vec<StateSeq> = oldest.map(|record| record.operation.seq).take(limit).collect();
        for seq in &gone {
            self.records.remove(seq);
        }
        gone.len() as u64
    }

    fn erase(&mut self, seqs: &[StateSeq]) -> u64 {
        let mut erased = 0;
        for seq in seqs {
            if let Some(record) = self.records.get_mut(seq)
                && matches!(record.content, Content::Value(_))
            {
                record.content = Content::Erased;
                erased += 1;
            }
        }
        erased
    }
}

impl Counted {
    fn add(&mut self, op: Op) {
        match op {
            Op::Put => self.puts += 1,
            Op::Delete => self.deletes += 1,
        }
    }
}

impl Kept {
    fn state_append(&mut self, batch: Batch) -> Result<Appended, AppendError> {
        if let Some(keep) = &batch.answer
            && let Some(answer) = self.answers.get(&keep.key)
        {
            return Err(AppendError::Answered(Box::new(answer.clone())));
        }
        if let Some(expect) = &batch.expect {
            let newest = self.state.newest(&expect.space, &expect.key);
            if newest != expect.newest {
                return Err(AppendError::Moved { newest });
            }
        }
        if let Some(by) = batch.ended_by(&self.ledger) {
            return Err(AppendError::Ended { by });
        }
        let (keep, at, ledger) = (batch.answer.clone(), batch.at, self.head().seq);
        let appended = self.state.append(batch, ledger);
        self.keep(keep.map(|keep| keep.answer(appended, at)));
        Ok(appended)
    }
}

impl Kept {
    /// Replays what counts; none where the ledger isn't one that a world follows, or the space is small.
    fn visible(&self, look: &Look<'_>) -> Option<Visible> {
        let mut world = World::default();
        self.ledger.iter().try_for_each(|entry| world.apply(entry)).ok()?;
        let records: Vec<&Record> = self.state.of_space(look.space, StateSeq(0)).collect();
        if (records.len() as u64) < look.operations_min.max(1) {
            return None;
        }
        let at = look.at.unwrap_or(Moment { state: self.state.last(), ledger: self.head().seq });
        let view = View { own: look.own, at, commits: Arc::clone(&world.commits) };
        let mut shown: BTreeMap<&StateKey, StateSeq> = BTreeMap::new();
        for Operation { seq, key, op, .. } in
            records.iter().map(|record| &record.operation).filter(|operation| view.counts(operation))
        {
            match op {
                Op::Put => shown.insert(key, *seq),
                Op::Delete => shown.remove(key),
            };
        }
        let mut last: Vec<StateSeq> = shown.into_values().collect();
        let count = last.len() as u64;
        last.retain(|seq| look.before.is_none_or(|before| *seq < before));
        last.sort_unstable_by_key(|seq| std::cmp::Reverse(*seq));
        last.truncate(look.limit);
        Some(Visible { at, count, last })
    }
}

#[async_trait]
impl State for Memory {
    async fn state_append(&self, batch: Batch) -> Result<Appended, AppendError> {
        batch.assert_whole();
        self.write(|kept| kept.state_append(batch))?
    }

    async fn state_head(&self) -> Result<Moment, StoreError> {
        let kept = self.lock();
        Ok(Moment { state: kept.state.last(), ledger: kept.head().seq })
    }

    async fn state_moment(&self, at: Timestamp) -> Result<Moment, StoreError> {
        let kept = self.lock();
        let record = kept.state.records.values().rev().find(|record| record.at <= at);
        let entry = kept.ledger.iter().rev().find(|entry| entry.at <= at);
        Ok(Moment {
            state: record.map_or(StateSeq(0), |record| record.operation.seq),
            ledger: entry.map_or(LedgerSeq(0), |entry| entry.seq),
        })
    }

    async fn state_until(&self, ledger: LedgerSeq) -> Result<StateSeq, StoreError> {
        let kept = self.lock();
        Ok(kept.state.marks.range(..=ledger).next_back().map_or(StateSeq(0), |(_, last)| *last))
    }

    async fn space_list(
        &self,
        filter: &SpaceFilter,
        after: Option<&Space>,
        limit: usize,
    ) -> Result<Vec<SpaceFacts>, StoreError> {
        let kept = self.lock();
        let mut spaces: BTreeMap<&Space, (Counted, StateSeq)> = BTreeMap::new();
        for record in kept.state.records.values() {
            let (counted, newest) = spaces.entry(&record.space).or_default();
            counted.add(record.operation.op);
            *newest = record.operation.seq;
        }
        let wanted = spaces
            .into_iter()
            .filter(|(space, _)| filter.matches(space) && after.is_none_or(|after| *space > after));
        let facts = wanted.map(|(space, (Counted { puts, deletes }, newest))| SpaceFacts {
            space: space.clone(),
            puts,
            deletes,
            newest,
        });
        Ok(facts.take(limit).collect())
    }

    async fn state_operations(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Operation>, StoreError> {
        let kept = self.lock();
        Ok(kept.state.of_space(space, after).take(limit).map(|record| record.operation.clone()).collect())
    }

    async fn state_records(&self, seqs: &[StateSeq]) -> Result<Vec<Record>, StoreError> {
        let kept = self.lock();
        Ok(seqs.iter().filter_map(|seq| kept.state.records.get(seq)).cloned().collect())
    }

    async fn state_scan(
        &self,
        space: &Space,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let kept = self.lock();
        Ok(kept.state.of_space(space, after).take(limit).cloned().collect())
    }

    async fn state_written(&self, deployment: DeploymentId) -> Result<Vec<Written>, StoreError> {
        let kept = self.lock();
        let mut spaces: BTreeMap<&Space, Counted> = BTreeMap::new();
        for record in kept.state.matching(StateSeq(0), |record| record.operation.deployment == deployment) {
            spaces.entry(&record.space).or_default().add(record.operation.op);
        }
        let written = |(space, counted): (&Space, Counted)| Written {
            space: space.clone(),
            puts: counted.puts,
            deletes: counted.deletes,
        };
        Ok(spaces.into_iter().map(written).collect())
    }

    async fn state_of_deployment(
        &self,
        deployment: DeploymentId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        let kept = self.lock();
        let theirs = kept.state.matching(after, |record| record.operation.deployment == deployment);
        Ok(theirs.take(limit).map(placed).collect())
    }

    async fn state_of_run(
        &self,
        run: RunId,
        after: StateSeq,
        limit: usize,
    ) -> Result<Vec<(Space, Operation)>, StoreError> {
        let kept = self.lock();
        let its = kept.state.matching(after, |record| record.run == Some(run));
        Ok(its.take(limit).map(placed).collect())
    }

    async fn state_children(&self, parents: &[StateSeq]) -> Result<Vec<StateSeq>, StoreError> {
        let parents: BTreeSet<StateSeq> = parents.iter().copied().collect();
        let kept = self.lock();
        let children = kept.state.records.values();
        let derived = children.filter(|record| record.parents.iter().any(|parent| parents.contains(parent)));
        Ok(derived.map(|record| record.operation.seq).collect())
    }

    async fn reads_note(&self, reads: &[Read], at: Timestamp) -> Result<(), StoreError> {
        self.write(|kept| {
            for read in reads {
                kept.state.used(&read.space, &read.agent, at).reads += 1;
                kept.state.reads.push(read.clone());
            }
        })
    }

    async fn reads_of_space(
        &self,
        space: &Space,
        from: StateSeq,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Read>, StoreError> {
        let kept = self.lock();
        let reads = kept.state.reads.iter().filter(|read| read.space == *space && read.at.state >= from);
        Ok(reads.skip(skip).take(limit).cloned().collect())
    }

    async fn state_uses(&self, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, StoreError> {
        let kept = self.lock();
        let uses = kept.state.uses.values();
        let wanted = uses.filter(|used| tenants.is_none_or(|tenants| tenants.contains(&used.space.tenant)));
        Ok(wanted.cloned().collect())
    }

    async fn state_remove(
        &self,
        deployment: DeploymentId,
        until: StateSeq,
        limit: usize,
    ) -> Result<u64, StoreError> {
        self.write(|kept| kept.state.remove(deployment, until, limit))
    }

    async fn state_erase(&self, seqs: &[StateSeq]) -> Result<u64, StoreError> {
        self.write(|kept| kept.state.erase(seqs))
    }

    async fn state_visible(&self, look: &Look<'_>) -> Result<Option<Visible>, StoreError> {
        Ok(self.lock().visible(look))
    }

    async fn state_of_key(
        &self,
        space: &Space,
        key: &StateKey,
        operations_min: u64,
        limit: usize,
    ) -> Result<Option<KeyHistory>, StoreError> {
        let kept = self.lock();
        let all: Vec<&Operation> =
            kept.state.of_space(space, StateSeq(0)).map(|record| &record.operation).collect();
        let is_large = all.len() as u64 >= operations_min.max(1);
        let operations: Vec<Operation> =
            all.into_iter().filter(|operation| operation.key == *key).cloned().collect();
        let at = Moment { state: kept.state.last(), ledger: kept.head().seq };
        Ok((is_large && operations.len() <= limit).then_some(KeyHistory { at, operations }))
    }
}

fn placed(record: &Record) -> (Space, Operation) {
    (record.space.clone(), record.operation.clone())
}
