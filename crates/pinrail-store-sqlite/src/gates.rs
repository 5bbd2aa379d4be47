//! Gates in SQLite.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_store::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, Gates, RowKey};
use pinrail_store::{Answer, StoreError};
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use crate::failure::{Failure, integer};
use crate::writer::{Kind, Operation};
use crate::{Sqlite, answers};

mod read;

#[async_trait]
impl Gates for Sqlite {
    async fn gate_create(
        &self,
        gates: Vec<GateRecord>,
        answer: Option<Answer>,
    ) -> Result<(), GateCreateError> {
        self.writer.carry_out(|reply| Create { gates, answer, outcome: Ok(()), reply }).await?
    }

    async fn gate_update(&self, change: GateChange) -> Result<bool, StoreError> {
        let update = |reply| Update { change, outcome: Ok(false), reply };
        self.writer.carry_out(update).await?
    }

    async fn gate_get(&self, id: GateId) -> Result<Option<GateRecord>, StoreError> {
        Ok(self.quick.ask(move |db| read::get(db, id)).await?)
    }

    async fn gate_list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<GateRecord>, StoreError> {
        let filter = filter.clone();
        Ok(self.readers.ask(move |db| read::list(db, &filter, before, limit)).await?)
    }

    async fn gate_rows_append(&self, gate: GateId, rows: Vec<GateRow>) -> Result<u64, StoreError> {
        self.writer.carry_out(|reply| AppendRows { gate, rows, outcome: Ok(0), reply }).await?
    }

    async fn gate_rows_read(
        &self,
        gate: GateId,
        after: Option<RowKey>,
        limit: usize,
    ) -> Result<Vec<GateRow>, StoreError> {
        Ok(self.readers.ask(move |db| read::rows(db, gate, after, limit)).await?)
    }

    async fn gate_rows_reusable(
        &self,
        release: ReleaseId,
        case: Digest,
        repeats: u32,
    ) -> Result<Vec<(GateId, GateRow)>, StoreError> {
        Ok(self.readers.ask(move |db| read::reusable(db, release, case, repeats)).await?)
    }
}

struct Create {
    gates: Vec<GateRecord>,
    answer: Option<Answer>,
    outcome: Result<(), GateCreateError>,
    reply: oneshot::Sender<Result<(), GateCreateError>>,
}

struct Update {
    change: GateChange,
    outcome: Result<bool, StoreError>,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

struct AppendRows {
    gate: GateId,
    rows: Vec<GateRow>,
    outcome: Result<u64, StoreError>,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

impl Operation for Create {
    fn kind(&self) -> Kind {
        Kind::Gates
    }

    fn rows(&self) -> usize {
        self.gates.len()
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = match self.create_in(db) {
            Err(GateCreateError::Store(error)) => return Err(error),
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

impl Create {
    fn create_in(&self, db: &Connection) -> Result<(), GateCreateError> {
        if let Some(answer) = &self.answer
            && let Some(given) = answers::given(db, &answer.key)?
        {
            return Err(GateCreateError::Answered(Box::new(given)));
        }
        for gate in &self.gates {
            if number(db, gate.id)?.is_some() {
                return Err(GateCreateError::Exists(gate.id));
            }
        }
        for gate in &self.gates {
            insert(db, gate)?;
        }
        if let Some(answer) = &self.answer {
            answers::keep(db, answer)?;
        }
        Ok(())
    }
}

impl Operation for Update {
    fn kind(&self) -> Kind {
        Kind::Gates
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(update(db, &self.change)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

impl Operation for AppendRows {
    fn kind(&self) -> Kind {
        Kind::Gates
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok(append(db, self.gate, &self.rows)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

fn insert(db: &Connection, gate: &GateRecord) -> Result<(), Failure> {
    let sql = "INSERT INTO gates (id, agent, deployment, candidate, incumbent, created_at, status, document) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let GateRecord { id, agent, deployment, candidate, incumbent, created_at, status, document } = gate;
    db.prepare_cached(sql)?.execute((
        id.0.to_be_bytes(),
        agent.as_str(),
        deployment.map(|deployment| integer(deployment.0)),
        candidate.0.as_bytes(),
        incumbent.as_ref().map(|incumbent| incumbent.0.as_bytes()),
        integer(created_at.0),
        *status as i64,
        document,
    ))?;
    Ok(())
}

fn update(db: &Connection, change: &GateChange) -> Result<bool, Failure> {
    // Nobody else can lead.
    let GateChange { id, from, to, document, fence: _ } = change;
    let sql = "UPDATE gates SET status = ?3, document = ?4 WHERE id = ?1 AND status = ?2";
    let params = (id.0.to_be_bytes(), *from as i64, *to as i64, document);
    Ok(db.prepare_cached(sql)?.execute(params)? == 1)
}

fn append(db: &Connection, gate: GateId, rows: &[GateRow]) -> Result<u64, Failure> {
    let Some(gate) = number(db, gate)? else { return Ok(0) };
    let sql = "INSERT INTO gate_rows (gate, case_digest, repeat, release, settled, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (gate, case_digest, repeat, release) \
         DO UPDATE SET settled = excluded.settled, body = excluded.body WHERE settled = 0";
    let mut insert = db.prepare_cached(sql)?;
    let mut kept = 0;
    for GateRow { key, settled, body } in rows {
        let RowKey { case, repeat, release } = key;
        let values = (gate, case.as_bytes(), repeat, release.0.as_bytes(), settled, body);
        kept += insert.execute(values)? as u64;
    }
    Ok(kept)
}

/// A gate's place in this file.
fn number(db: &Connection, id: GateId) -> Result<Option<i64>, Failure> {
    let mut select = db.prepare_cached("SELECT number FROM gates WHERE id = ?1")?;
    Ok(select.query_row([id.0.to_be_bytes()], |row| row.get(0)).optional()?)
}
