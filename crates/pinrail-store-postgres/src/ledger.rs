//! The ledger in PostgreSQL.
//!
//! An append locks the one row of heads, compares, inserts, and writes the row back: that is the commit point of everything
//! that Pinrail decides. State's appends lock the row as well, for one short transaction each, so a rollback waits for
//! at most the one that is under way (I7).

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, Epoch, LedgerSeq};
use pinrail_domain::ledger::{Counting, Entry, Head};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Ledger, StoreError, Term};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, column, integer, json, limit as sql_limit, number};
use crate::{Postgres, answers};

/// Taken, shared, by starts that ask for the newest epoch, and alone by appends that raise it: so a start that was let through is
/// committed before the epoch rises, or sees that it rose. A lock on the row itself would let a stream of starts keep an append waiting; this
/// one has a queue. Shared by all versions: never change.
pub(crate) const EPOCH_LOCK: i64 = 0x7069_6e72_6169_6c02;

#[async_trait]
impl Ledger for Postgres {
    async fn ledger_head(&self) -> Result<Head, StoreError> {
        let sql = "SELECT ledger_seq, ledger_hash FROM pinrail.heads";
        let row = self.maybe(Lane::Quick, sql, &[]).await?;
        let row = row.ok_or_else(|| Failure::damaged("the ledger's head", "its row is missing"))?;
        Ok(head_of(&row)?)
    }

    async fn ledger_append(&self, append: Append) -> Result<(), AppendError> {
        let base = append.base();
        let text = |entry| serde_json::to_string(entry).expect("an entry is plain data");
        let texts: Vec<String> = append.entries.iter().map(text).collect();
        repeat(|| self.append_once(&append, base, &texts)).await?
    }

    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT seq, hash, entry FROM pinrail.ledger WHERE seq > $1 ORDER BY seq LIMIT $2";
        let params: [Param<'_>; 2] = [(&integer(after.0), Type::INT8), (&sql_limit(limit), Type::INT8)];
        let rows = self.rows(Lane::Quick, sql, &params).await?;
        let entries = (after.0 + 1..).map(LedgerSeq).zip(&rows);
        Ok(entries.map(|(expected, row)| entry_of(row, expected)).collect::<Result<_, _>>()?)
    }
}

impl Postgres {
    async fn append_once(
        &self,
        append: &Append,
        base: Head,
        texts: &[String],
    ) -> Result<Result<(), AppendError>, Failure> {
        let Append { entries, answer, fence } = append;
        let probe = &self.inner.options.probe;
        let tx = self.begin(Lane::Quick).await?;
        if let Some(answer) = answer
            && let Some(given) = answers::given(&tx, &answer.key).await?
        {
            tx.rollback().await?;
            return Ok(Err(AppendError::Answered(Box::new(given))));
        }
        let sql = "SELECT ledger_seq, ledger_hash, term FROM pinrail.heads FOR UPDATE";
        let row = tx.row(sql, &[]).await?;
        let (head, term) = (head_of(&row)?, Term(number(&row, 2, "the leaders' term")?));
        let refused = if fence.is_some_and(|fence| fence != term) {
            Some(AppendError::Fenced { newest: term })
        } else if head != base {
            Some(AppendError::Moved { head })
        } else {
            None
        };
        if let Some(refused) = refused {
            tx.rollback().await?;
            return Ok(Err(refused));
        }
        insert(&tx, entries, texts).await?;
        count(&tx, entries).await?;
        move_head(&tx, entries).await?;
        if let Some(answer) = answer {
            answers::keep(&tx, answer).await?;
        }
        probe.at("ledger.before_commit");
        tx.commit().await?;
        probe.at("ledger.after_commit");
        Ok(Ok(()))
    }
}

/// What the ledger's epoch is, until the transaction ends: whoever would raise it waits.
pub(crate) async fn hold_epoch(db: &Session) -> Result<Epoch, Failure> {
    db.batch(&format!("SELECT pg_catalog.pg_advisory_xact_lock_shared({EPOCH_LOCK})")).await?;
    // A statement of its own: it sees what was committed while the lock was waited for.
    let row = db.row("SELECT epoch FROM pinrail.heads", &[]).await?;
    Ok(Epoch(number(&row, 0, "the epoch")?))
}

async fn insert(db: &Session, entries: &[Entry], texts: &[String]) -> Result<(), Failure> {
    let seqs: Vec<i64> = entries.iter().map(|entry| integer(entry.seq.0)).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|entry| &entry.hash.as_bytes()[..]).collect();
    let times: Vec<i64> = entries.iter().map(|entry| integer(entry.at.0)).collect();
    let sql = "INSERT INTO pinrail.ledger (seq, hash, at, entry) \
               SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[])";
    let params: [Param<'_>; 4] = [
        (&seqs, Type::INT8_ARRAY),
        (&hashes, Type::BYTEA_ARRAY),
        (&times, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
    ];
    db.execute(sql, &params).await?;
    Ok(())
}

/// Writes down what the entries change about which deployments count. One row each, whatever it hides (I6).
async fn count(db: &Session, entries: &[Entry]) -> Result<(), Failure> {
    for counted in entries.iter().flat_map(counted) {
        db.execute(counted.sql, &counted.params()).await?;
    }
    Ok(())
}

/// A statement that writes down what an entry changes about which deployments count.
pub(crate) struct Counted {
    pub(crate) sql: &'static str,
    /// The deployment and the entry.
    numbers: [i64; 2],
    flag: Option<bool>,
    ranges: Option<[Vec<i64>; 2]>,
}

impl Counted {
    pub(crate) fn params(&self) -> Vec<Param<'_>> {
        let numbers = self.numbers.iter().map(|number| (number as _, Type::INT8));
        let flag = self.flag.iter().map(|flag| (flag as _, Type::BOOL));
        let ranges = self.ranges.iter().flatten().map(|ends| (ends as _, Type::INT8_ARRAY));
        numbers.chain(flag).chain(ranges).collect()
    }
}

/// What an entry changes about which deployments count, in the order in which it is written down.
pub(crate) fn counted(entry: &Entry) -> Vec<Counted> {
    const COMMITS: &str = "INSERT INTO pinrail.spans (deployment, committed) VALUES ($1, $2) \
                           ON CONFLICT (deployment) DO UPDATE SET committed = excluded.committed";
    const RETRACTS: &str = "INSERT INTO pinrail.spans AS s (deployment, retracted) VALUES ($1, $2) \
                            ON CONFLICT (deployment) DO UPDATE SET retracted = excluded.retracted \
                            WHERE NOT ($3 AND s.committed IS NOT NULL)";
    // Only where the entry did retract it.
    const CASCADES: &str = "INSERT INTO pinrail.cascades (at, from_deployment, first, last) \
                            SELECT s.retracted, s.deployment, r.* FROM pinrail.spans s, unnest($3::bigint[], $4::bigint[]) AS r \
                            WHERE s.deployment = $1 AND s.retracted = $2";
    let on = |deployment: DeploymentId, sql, flag, ranges| Counted {
        sql,
        numbers: [integer(deployment.0), integer(entry.seq.0)],
        flag,
        ranges,
    };
    match entry.body.counting() {
        None => Vec::new(),
        Some(Counting::Commits(deployment)) => vec![on(deployment, COMMITS, None, None)],
        Some(Counting::Retracts { deployment, unless_committed, derived }) => {
            let mut counted = vec![on(deployment, RETRACTS, Some(unless_committed), None)];
            if !derived.is_empty() {
                let ends = derived.ranges().iter().map(|(first, last)| (integer(first.0), integer(last.0)));
                let (first, last) = ends.unzip();
                counted.push(on(deployment, CASCADES, None, Some([first, last])));
            }
            counted
        }
    }
}

/// Moves the head to the last entry, raises the epoch, and tells whoever listens.
async fn move_head(db: &Session, entries: &[Entry]) -> Result<(), Failure> {
    let last = entries.last().expect("an append holds at least one entry");
    let raises = entries.iter().filter(|entry| entry.body.raises_epoch()).count() as u64;
    if raises > 0 {
        db.batch(&format!("SELECT pg_catalog.pg_advisory_xact_lock({EPOCH_LOCK})")).await?;
    }
    let sql = "UPDATE pinrail.heads SET ledger_seq = $1, ledger_hash = $2, epoch = epoch + $3";
    let params: [Param<'_>; 3] = [
        (&integer(last.seq.0), Type::INT8),
        (&&last.hash.as_bytes()[..], Type::BYTEA),
        (&integer(raises), Type::INT8),
    ];
    db.execute(sql, &params).await?;
    let news = format!("ledger:{}", last.seq);
    db.rows("SELECT pg_catalog.pg_notify('pinrail', $1)", &[(&news, Type::TEXT)]).await?;
    Ok(())
}

pub(crate) fn head_of(row: &Row) -> Result<Head, Failure> {
    let what = "the ledger's head";
    let hash: &[u8] = column(row, 1, what)?;
    let hash = hash.try_into().map_err(|why| Failure::damaged(what, why))?;
    Ok(Head { seq: LedgerSeq(number(row, 0, what)?), hash: Digest::from_bytes(hash) })
}

/// Reads the entry that must come next.
fn entry_of(row: &Row, expected: LedgerSeq) -> Result<Entry, Failure> {
    let name = format_args!("ledger entry {expected}");
    if number(row, 0, name)? != expected.0 {
        return Err(Failure::damaged(name, "it is missing"));
    }
    let entry: Entry = json(row, 2, name)?;
    if entry.seq != expected {
        return Err(Failure::damaged(name, format_args!("it says that it is entry {}", entry.seq)));
    }
    // The next append builds on the column, so the two may not differ.
    if column::<&[u8]>(row, 1, name)? != &entry.hash.as_bytes()[..] {
        return Err(Failure::damaged(name, "it is filed under another hash than its own"));
    }
    Ok(entry)
}
