//! Removal of whole records and erasure of their content: the two ways out (I8).

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_store::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::read;
use crate::Sqlite;
use crate::erase::{Permit, clean_log, permitted};
use crate::failure::{Failure, integer, limit as sql_limit, natural};
use crate::writer::{Kind, Operation};

/// Records whose content is erased in one transaction: some milliseconds, which is what a rollback may have to wait
/// for (I7).
const ERASE_RECORDS: usize = 1_000;

/// Erases the content of records, then takes it out of the log.
pub(super) async fn erase(store: &Sqlite, seqs: &[StateSeq]) -> Result<u64, Failure> {
    let mut erased = 0;
    for some in seqs.chunks(ERASE_RECORDS) {
        let what = Which::Content(some.to_vec());
        erased += store.writer.carry_out(|reply| Taking::new(what, reply)).await?.map_err(Failure)?;
    }
    if !seqs.is_empty() {
        // Also when nothing is left to erase: an earlier try may have come only so far.
        clean_log(store).await?;
    }
    Ok(erased)
}

/// What to take away.
pub(super) enum Which {
    Records { deployment: DeploymentId, until: StateSeq, limit: usize },
    Content(Vec<StateSeq>),
}

/// Something being taken away, in one transaction.
pub(super) struct Taking {
    what: Which,
    outcome: Result<u64, StoreError>,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

impl Taking {
    pub(super) fn new(what: Which, reply: oneshot::Sender<Result<u64, StoreError>>) -> Taking {
        Taking { what, outcome: Ok(0), reply }
    }
}

impl Operation for Taking {
    fn kind(&self) -> Kind {
        Kind::State
    }

    fn rows(&self) -> usize {
        match &self.what {
            Which::Records { limit, .. } => *limit,
            Which::Content(seqs) => seqs.len(),
        }
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(match &self.what {
            Which::Records { deployment, until, limit } => {
                let (deployment, until, limit) = (integer(deployment.0), integer(until.0), sql_limit(*limit));
                permitted(db, Permit::Remove, || remove(db, deployment, until, limit))?
            }
            Which::Content(seqs) => permitted(db, Permit::Erase, || erase_content(db, seqs))?,
        });
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn remove(db: &Connection, deployment: i64, until: i64, limit: i64) -> Result<u64, Failure> {
    let gone = condemned(db, deployment, until, limit)?;
    let mut records = db.prepare_cached("DELETE FROM state WHERE seq = ?1")?;
    let mut content = db.prepare_cached("DELETE FROM state_content WHERE seq = ?1")?;
    let mut parents = db.prepare_cached("DELETE FROM state_parents WHERE parent = ?1 AND child = ?2")?;
    let mut spaces: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for record in &gone {
        records.execute([record.seq])?;
        content.execute([record.seq])?;
        for parent in &record.parents {
            parents.execute((integer(parent.0), record.seq))?;
        }
        let (puts, deletes) = spaces.entry(record.space).or_default();
        *if record.is_delete { deletes } else { puts } += 1;
    }
    for (space, (puts, deletes)) in spaces {
        count_out(db, deployment, space, puts, deletes)?;
    }
    Ok(gone.len() as u64)
}

/// A record to remove.
struct Condemned {
    seq: i64,
    space: i64,
    is_delete: bool,
    parents: Vec<StateSeq>,
}

fn condemned(db: &Connection, deployment: i64, until: i64, limit: i64) -> Result<Vec<Condemned>, Failure> {
    let mut select = db.prepare_cached(
        "SELECT seq, space, op, parents FROM state INDEXED BY state_by_deployment \
         WHERE deployment = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = select.query([deployment, until, limit])?;
    let mut condemned = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let parents = read::places_of(row, 3, format_args!("state record {}", natural(seq)))?;
        condemned.push(Condemned { seq, space: row.get(1)?, is_delete: row.get::<_, i64>(2)? == 1, parents });
    }
    Ok(condemned)
}

fn count_out(db: &Connection, deployment: i64, space: i64, puts: i64, deletes: i64) -> Result<(), Failure> {
    let sql = "UPDATE spaces SET puts = puts - ?2, deletes = deletes - ?3, \
         newest = ifnull((SELECT max(seq) FROM state WHERE space = ?1), 0) WHERE number = ?1";
    db.prepare_cached(sql)?.execute([space, puts, deletes])?;
    let sql = "UPDATE state_written SET puts = puts - ?3, deletes = deletes - ?4 \
         WHERE deployment = ?1 AND space = ?2";
    db.prepare_cached(sql)?.execute([deployment, space, puts, deletes])?;
    let sql = "DELETE FROM state_written WHERE deployment = ?1 AND space = ?2 AND puts + deletes = 0";
    db.prepare_cached(sql)?.execute([deployment, space])?;
    Ok(())
}

fn erase_content(db: &Connection, seqs: &[StateSeq]) -> Result<u64, Failure> {
    let sql = "UPDATE state_content SET salt = NULL, json = NULL, vector = NULL WHERE seq = ?1 AND salt IS NOT NULL";
    let mut update = db.prepare_cached(sql)?;
    let mut erased = 0;
    for seq in seqs {
        erased += update.execute([integer(seq.0)])? as u64;
    }
    Ok(erased)
}
