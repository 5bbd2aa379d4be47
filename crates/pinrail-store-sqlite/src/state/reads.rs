//! Who read what, and who uses which space.

use pinrail_domain::id::{AgentName, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Moment, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::state::{Read, Seen, Use};
use rusqlite::{Connection, Row, params_from_iter};
use tokio::sync::oneshot;

use super::{read, spaces};
use crate::failure::{Failure, integer, limit as sql_limit, natural};
use crate::writer::{Kind, Operation};

/// Numbers are found and sorted in the index alone; only those that are wanted are fetched.
pub(super) const OF_SPACE: &str = "SELECT run, agent, state, ledger, records FROM state_reads WHERE number IN \
     (SELECT number FROM state_reads WHERE space = ?1 AND state >= ?2 ORDER BY number LIMIT ?4 OFFSET ?3) \
     ORDER BY number";

/// Reads to note.
pub(super) struct Noting {
    reads: Vec<Read>,
    /// For each, the places that it saw, if it didn't see all.
    seen: Vec<Option<String>>,
    at: Timestamp,
    outcome: Result<(), StoreError>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Noting {
    pub(super) fn new(
        reads: Vec<Read>,
        at: Timestamp,
        reply: oneshot::Sender<Result<(), StoreError>>,
    ) -> Noting {
        let seen = reads.iter().map(|read| match &read.what {
            Seen::All => None,
            Seen::Records(seqs) => Some(serde_json::to_string(seqs).expect("places are numbers")),
        });
        let seen = seen.collect();
        Noting { reads, seen, at, outcome: Ok(()), reply }
    }

    fn note(&self, db: &Connection) -> Result<(), Failure> {
        let mut insert = db.prepare_cached(
            "INSERT INTO state_reads (run, agent, space, state, ledger, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (read, seen) in self.reads.iter().zip(&self.seen) {
            let Read { run, agent, space, at: Moment { state, ledger }, what: _ } = read;
            let space = spaces::make(db, space)?;
            insert.execute((
                run.0.to_be_bytes(),
                agent.as_str(),
                space,
                integer(state.0),
                integer(ledger.0),
                seen,
            ))?;
            spaces::used(db, space, agent, 1, 0, integer(self.at.0))?;
        }
        Ok(())
    }
}

impl Operation for Noting {
    fn kind(&self) -> Kind {
        Kind::State
    }

    fn rows(&self) -> usize {
        self.reads.len()
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(());
        Ok(self.note(db)?)
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

pub(super) fn of_space(
    db: &Connection,
    space: &Space,
    from: StateSeq,
    skip: usize,
    limit: usize,
) -> Result<Vec<Read>, Failure> {
    let Some(number) = spaces::find(db, space)? else { return Ok(Vec::new()) };
    let mut select = db.prepare_cached(OF_SPACE)?;
    let mut rows = select.query((number, integer(from.0), sql_limit(skip), sql_limit(limit)))?;
    let mut reads = Vec::new();
    while let Some(row) = rows.next()? {
        reads.push(read_of(row, space)?);
    }
    Ok(reads)
}

pub(super) fn uses(db: &Connection, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, Failure> {
    let mut sql = "SELECT tenant, layer, name, agent, reads, writes, last_at FROM state_uses \
         JOIN spaces ON number = space WHERE TRUE"
        .to_owned();
    let mut values = Vec::new();
    if let Some(tenants) = tenants {
        spaces::only_tenants(&mut sql, &mut values, tenants);
    }
    sql.push_str(" ORDER BY tenant, layer, name, agent");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut uses = Vec::new();
    while let Some(row) = rows.next()? {
        uses.push(Use {
            space: spaces::space_of(row, 0)?,
            agent: agent_of(row, 3)?,
            reads: natural(row.get(4)?),
            writes: natural(row.get(5)?),
            last_at: Timestamp(natural(row.get(6)?)),
        });
    }
    Ok(uses)
}

fn read_of(row: &Row<'_>, space: &Space) -> Result<Read, Failure> {
    let run = RunId(u128::from_be_bytes(row.get(0)?));
    let sees_all = row.get_ref(4)? == rusqlite::types::ValueRef::Null;
    Ok(Read {
        run,
        agent: agent_of(row, 1)?,
        space: space.clone(),
        at: Moment { state: StateSeq(natural(row.get(2)?)), ledger: LedgerSeq(natural(row.get(3)?)) },
        what: match sees_all {
            true => Seen::All,
            false => Seen::Records(read::places_of(row, 4, format_args!("a read of {run}"))?),
        },
    })
}

fn agent_of(row: &Row<'_>, column: usize) -> Result<AgentName, Failure> {
    let name: String = row.get(column)?;
    name.parse().map_err(|why| Failure::damaged("a space's agent", why))
}
