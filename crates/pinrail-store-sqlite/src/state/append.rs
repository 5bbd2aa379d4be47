//! Appends of records.
//!
//! Vectors and lists become bytes where the caller runs; the writing thread binds and inserts.

use std::collections::HashMap;

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::{Content, Op, Space, vector_bytes};
use pinrail_store::StoreError;
use pinrail_store::state::{AppendError, Appended, Batch, Expect, Put};
use rusqlite::{CachedStatement, Connection};
use tokio::sync::oneshot;

use super::{PLACES_PER_CHUNK, read, spaces};
use crate::failure::{Failure, integer, natural};
use crate::writer::{Kind, Operation};
use crate::{answers, ledger};

/// A batch under way.
pub(super) struct Appending {
    batch: Batch,
    /// For each put: its parents' JSON, if it has any, and its vector's bytes.
    prepared: Vec<(Option<String>, Option<Vec<u8>>)>,
    outcome: Result<Appended, AppendError>,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Appending {
    pub(super) fn new(batch: Batch, reply: oneshot::Sender<Result<Appended, AppendError>>) -> Appending {
        let prepared = batch.puts.iter().map(|put| (places(&put.parents), vector(&put.content))).collect();
        let nothing_yet = Appended { first: StateSeq(0), last: StateSeq(0), ledger: LedgerSeq(0) };
        Appending { batch, prepared, outcome: Ok(nothing_yet), reply }
    }

    fn append_to(&self, db: &Connection) -> Result<Appended, AppendError> {
        let Batch { author: _, at, puts, expect, open, answer } = &self.batch;
        if let Some(keep) = answer
            && let Some(given) = answers::given(db, &keep.key)?
        {
            return Err(AppendError::Answered(Box::new(given)));
        }
        if let Some(expect) = expect {
            let newest = newest(db, expect)?;
            if newest != expect.newest {
                return Err(AppendError::Moved { newest });
            }
        }
        // Mostly there are none since: the job was seen to be open a moment ago.
        if let Some(open) = open
            && let Some(by) = self.batch.ended_by(&ledger::read(db, *open, usize::MAX)?)
        {
            return Err(AppendError::Ended { by });
        }
        let head = read::head(db)?;
        let (first, last) = (head.state.next(), StateSeq(head.state.0 + puts.len() as u64));
        let appended = Appended { first, last, ledger: head.ledger };
        self.insert(db, appended)?;
        if let Some(keep) = answer {
            answers::keep(db, &keep.clone().answer(appended, *at))?;
        }
        Ok(appended)
    }

    fn insert(&self, db: &Connection, appended: Appended) -> Result<(), Failure> {
        let mut inserts = Inserts::prepare(db)?;
        let mut counts: HashMap<&Space, Count> = HashMap::new();
        for ((put, prepared), seq) in self.batch.puts.iter().zip(&self.prepared).zip(appended.first.0..) {
            let seq = integer(seq);
            let count = match counts.get_mut(&put.space) {
                Some(count) => count,
                None => counts.entry(&put.space).or_insert(Count::new(spaces::make(db, &put.space)?)),
            };
            count.add(put.op, seq);
            self.insert_record(&mut inserts, put, prepared, (seq, count.space, integer(appended.ledger.0)))?;
        }
        mark(db, appended, integer(self.batch.at.0))?;
        let deployment = integer(self.batch.author.deployment.0);
        for count in counts.values() {
            count.note(db, deployment)?;
            if let Some(agent) = &self.batch.author.agent {
                let (writes, at) = (count.puts + count.deletes, integer(self.batch.at.0));
                spaces::used(db, count.space, agent, 0, writes, at)?;
            }
        }
        Ok(())
    }

    fn insert_record(
        &self,
        inserts: &mut Inserts<'_>,
        put: &Put,
        (parents, vector): &(Option<String>, Option<Vec<u8>>),
        (seq, space, ledger): (i64, i64, i64),
    ) -> Result<(), Failure> {
        let author = &self.batch.author;
        inserts.record.execute((
            seq,
            space,
            put.key.as_str(),
            put.op as i64,
            integer(author.deployment.0),
            author.run.map(|run| run.0.to_be_bytes()),
            author.origin as i64,
            ledger,
            integer(self.batch.at.0),
            parents,
            put.content_digest.as_bytes(),
            put.digest.as_bytes(),
        ))?;
        if let Content::Value(value) = &put.content {
            inserts.content.execute((seq, value.salt, &value.json, vector))?;
        }
        for parent in &put.parents {
            inserts.parent.execute((integer(parent.0), seq))?;
        }
        Ok(())
    }
}

impl Operation for Appending {
    fn kind(&self) -> Kind {
        Kind::State
    }

    fn rows(&self) -> usize {
        self.batch.puts.len()
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = match self.append_to(db) {
            Err(AppendError::Store(error)) => return Err(error),
            outcome => outcome,
        };
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone().into());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// The statements that run once for every record.
struct Inserts<'a> {
    record: CachedStatement<'a>,
    content: CachedStatement<'a>,
    parent: CachedStatement<'a>,
}

impl Inserts<'_> {
    fn prepare(db: &Connection) -> Result<Inserts<'_>, Failure> {
        Ok(Inserts {
            record: db.prepare_cached(
                "INSERT INTO state (seq, space, key, op, deployment, run, origin, ledger, at, parents, \
                 content_digest, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?,
            content: db.prepare_cached(
                "INSERT INTO state_content (seq, salt, json, vector) VALUES (?1, ?2, ?3, ?4)",
            )?,
            parent: db.prepare_cached(
                "INSERT INTO state_parents (parent, child) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?,
        })
    }
}

/// What a batch adds to one space.
struct Count {
    space: i64,
    puts: i64,
    deletes: i64,
    newest: i64,
}

impl Count {
    fn new(space: i64) -> Count {
        Count { space, puts: 0, deletes: 0, newest: 0 }
    }

    fn add(&mut self, op: Op, seq: i64) {
        match op {
            Op::Put => self.puts += 1,
            Op::Delete => self.deletes += 1,
        }
        self.newest = seq;
    }

    fn note(&self, db: &Connection, deployment: i64) -> Result<(), Failure> {
        let Count { space, puts, deletes, newest } = self;
        let sql = "UPDATE spaces SET puts = puts + ?2, deletes = deletes + ?3, newest = ?4 WHERE number = ?1";
        db.prepare_cached(sql)?.execute((space, puts, deletes, newest))?;
        let sql = "INSERT INTO state_written (deployment, space, puts, deletes) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET puts = puts + excluded.puts, deletes = deletes + excluded.deletes";
        db.prepare_cached(sql)?.execute((deployment, space, puts, deletes))?;
        Ok(())
    }
}

fn newest(db: &Connection, expect: &Expect) -> Result<Option<StateSeq>, Failure> {
    let Some(space) = spaces::find(db, &expect.space)? else { return Ok(None) };
    let sql = "SELECT max(seq) FROM state INDEXED BY state_by_key WHERE space = ?1 AND key = ?2";
    let mut select = db.prepare_cached(sql)?;
    let newest: Option<i64> = select.query_row((space, expect.key.as_str()), |row| row.get(0))?;
    Ok(newest.map(|seq| StateSeq(natural(seq))))
}

/// Notes which places are given now, and when.
fn mark(db: &Connection, appended: Appended, at: i64) -> Result<(), Failure> {
    let Appended { first, last, ledger } = appended;
    let (first, last) = (integer(first.0), integer(last.0));
    let sql = "INSERT INTO state_marks (ledger, last) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET last = excluded.last";
    db.prepare_cached(sql)?.execute((integer(ledger.0), last))?;
    let mut upsert = db.prepare_cached(
        "INSERT INTO state_times (chunk, earliest) VALUES (?1, ?2) \
         ON CONFLICT DO UPDATE SET earliest = excluded.earliest WHERE excluded.earliest < earliest",
    )?;
    for chunk in first / PLACES_PER_CHUNK..=last / PLACES_PER_CHUNK {
        upsert.execute((chunk, at))?;
    }
    Ok(())
}

fn places(seqs: &[StateSeq]) -> Option<String> {
    (!seqs.is_empty()).then(|| serde_json::to_string(seqs).expect("places are numbers"))
}

fn vector(content: &Content) -> Option<Vec<u8>> {
    match content {
        Content::Value(value) => value.vector.as_deref().map(vector_bytes),
        Content::Nothing | Content::Erased => None,
    }
}
