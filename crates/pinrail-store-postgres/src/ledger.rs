//! The ledger in PostgreSQL.
//!
//! An append locks the one row of heads, compares, inserts, and writes the row back: that is the commit point of everything
//! that Pinrail decides. State's appends lock the row as well, for one short transaction each, so a rollback waits for
//! at most the one that is under way (I7). Whoever locks it does so in the last statement of a transaction, which the server carries
//! out and commits without its process ([`Tx::conclude`]): a replica that is stopped in the middle keeps nobody waiting.
//!
//! The epoch has an advisory lock. Starts that ask for the newest epoch take it, shared, and appends that raise it alone: so a start that
//! was let through is committed before the epoch rises, or sees that it rose. A lock on the row itself would let a stream of starts keep an
//! append waiting; this one has a queue.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, LedgerSeq};
use pinrail_domain::ledger::{Counting, Entry, Head};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Ledger, StoreError, Term};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Lane, Param, Session, Tx, repeat};
use crate::failure::{Failure, column, integer, json, limit as sql_limit, number};
use crate::{Postgres, answers};

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
        let probe = &self.inner.options.probe;
        let tx = self.begin(Lane::Quick).await?;
        if let Some(answer) = &append.answer
            && let Some(given) = answers::given(&tx, &answer.key).await?
        {
            tx.rollback().await?;
            return Ok(Err(AppendError::Answered(Box::new(given))));
        }
        probe.at("ledger.before_commit");
        let concluded = conclude(tx, append, base, texts).await;
        let row = concluded.map_err(|failure| match append.answer {
            Some(_) => failure.of_one_that_looks(),
            None => failure,
        })?;
        let what = "the ledger's head";
        if column::<bool>(&row, 3, what)? {
            probe.at("ledger.after_commit");
            return Ok(Ok(()));
        }
        let term = Term(number(&row, 2, "the leaders' term")?);
        Ok(Err(match append.fence {
            Some(fence) if fence != term => AppendError::Fenced { newest: term },
            Some(_) | None => AppendError::Moved { head: head_of(&row)? },
        }))
    }
}

/// Appends where the ledger stands at `base`, and commits; tells where it stood.
async fn conclude(tx: Tx, append: &Append, base: Head, texts: &[String]) -> Result<Row, Failure> {
    const APPEND: &str = "SELECT out_seq, out_hash, out_term, appended FROM pinrail.ledger_append(\
         $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
    let Append { entries, answer, fence } = append;
    let fence = fence.map(|fence| integer(fence.0));
    let seqs: Vec<i64> = entries.iter().map(|entry| integer(entry.seq.0)).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|entry| &entry.hash.as_bytes()[..]).collect();
    let times: Vec<i64> = entries.iter().map(|entry| integer(entry.at.0)).collect();
    let raises = entries.iter().filter(|entry| entry.body.raises_epoch()).count() as u64;
    let counted = Columns::of(entries.iter().filter_map(counted));
    let answer = answer.as_ref();
    let params: [Param<'_>; 22] = [
        (&integer(base.seq.0), Type::INT8),
        (&&base.hash.as_bytes()[..], Type::BYTEA),
        (&fence, Type::INT8),
        (&seqs, Type::INT8_ARRAY),
        (&hashes, Type::BYTEA_ARRAY),
        (&times, Type::INT8_ARRAY),
        (&texts, Type::TEXT_ARRAY),
        (&integer(raises), Type::INT8),
        (&counted.deployments, Type::INT8_ARRAY),
        (&counted.seqs, Type::INT8_ARRAY),
        (&counted.commits, Type::BOOL_ARRAY),
        (&counted.unless_committed, Type::BOOL_ARRAY),
        (&counted.from, Type::INT4_ARRAY),
        (&counted.to, Type::INT4_ARRAY),
        (&counted.firsts, Type::INT8_ARRAY),
        (&counted.lasts, Type::INT8_ARRAY),
        (&answer.map(|answer| answer.key.caller.as_str()), Type::TEXT),
        (&answer.map(|answer| answer.key.key.as_str()), Type::TEXT),
        (&answer.map(|answer| &answer.request.as_bytes()[..]), Type::BYTEA),
        (&answer.map(|answer| i32::from(answer.status)), Type::INT4),
        (&answer.map(|answer| answer.body.as_str()), Type::TEXT),
        (&answer.map(|answer| integer(answer.at.0)), Type::INT8),
    ];
    let row = tx.conclude(APPEND, &params).await?.into_iter().next();
    row.ok_or_else(|| Failure::damaged("the ledger's head", "its row is missing"))
}

/// The ledger's epoch as it is now, and may not be a moment later.
pub(crate) async fn newest_epoch(db: &Session) -> Result<Epoch, Failure> {
    let row = db.row("SELECT epoch FROM pinrail.heads", &[]).await?;
    Ok(Epoch(number(&row, 0, "the epoch")?))
}

/// Commits what was decided on an epoch, if that is still the newest; else all is undone, to be tried again.
pub(crate) async fn conclude_in(tx: Tx, epoch: Epoch) -> Result<(), Failure> {
    tx.conclude("SELECT pinrail.epoch_stays($1)", &[(&integer(epoch.0), Type::INT8)]).await.map(drop)
}

/// What an entry changes about which deployments count. One row each, whatever it hides (I6).
pub(crate) struct Counted {
    deployment: i64,
    seq: i64,
    commits: bool,
    unless_committed: bool,
    /// What is retracted with it.
    firsts: Vec<i64>,
    lasts: Vec<i64>,
}

impl Counted {
    /// The statement that writes it down.
    pub(crate) const WRITE: &str =
        "SELECT 1 FROM (SELECT pinrail.ledger_count($1, $2, $3, $4, $5, $6)) AS done";

    pub(crate) fn params(&self) -> [Param<'_>; 6] {
        [
            (&self.deployment, Type::INT8),
            (&self.seq, Type::INT8),
            (&self.commits, Type::BOOL),
            (&self.unless_committed, Type::BOOL),
            (&self.firsts, Type::INT8_ARRAY),
            (&self.lasts, Type::INT8_ARRAY),
        ]
    }
}

/// What an entry changes about which deployments count, if anything.
pub(crate) fn counted(entry: &Entry) -> Option<Counted> {
    let seq = integer(entry.seq.0);
    entry.body.counting().map(|counting| match counting {
        Counting::Commits(deployment) => Counted {
            deployment: integer(deployment.0),
            seq,
            commits: true,
            unless_committed: false,
            firsts: Vec::new(),
            lasts: Vec::new(),
        },
        Counting::Retracts { deployment, unless_committed, derived } => {
            let ends = derived.ranges().iter().map(|(first, last)| (integer(first.0), integer(last.0)));
            let (firsts, lasts) = ends.unzip();
            Counted {
                deployment: integer(deployment.0),
                seq,
                commits: false,
                unless_committed,
                firsts,
                lasts,
            }
        }
    })
}

/// The same of several entries, as columns; each has a slice of the ranges.
#[derive(Default)]
struct Columns {
    deployments: Vec<i64>,
    seqs: Vec<i64>,
    commits: Vec<bool>,
    unless_committed: Vec<bool>,
    from: Vec<i32>,
    to: Vec<i32>,
    firsts: Vec<i64>,
    lasts: Vec<i64>,
}

impl Columns {
    fn of(all: impl Iterator<Item = Counted>) -> Columns {
        let place = |n: usize| i32::try_from(n).expect("an entry takes fewer ranges along than that");
        let mut columns = Columns::default();
        for counted in all {
            columns.deployments.push(counted.deployment);
            columns.seqs.push(counted.seq);
            columns.commits.push(counted.commits);
            columns.unless_committed.push(counted.unless_committed);
            columns.from.push(place(columns.firsts.len() + 1));
            columns.firsts.extend(counted.firsts);
            columns.lasts.extend(counted.lasts);
            columns.to.push(place(columns.firsts.len()));
        }
        columns
    }
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
