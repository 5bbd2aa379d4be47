//! Approvals in SQLite: each change reads the row, has the domain change it, and writes it back in one transaction.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, Decision, Use};
use pinrail_domain::id::{ApprovalId, RunId};
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::{ApprovalFilter, Approvals, Asked, DecideError};
use pinrail_store::{Answer, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::failure::{Failure, integer};
use crate::writer::{Kind, Operation};
use crate::{Sqlite, answers};

mod read;

/// Approvals whose arguments go in one transaction: some milliseconds, which is what a rollback may have to wait for (I7).
const FORGET_ROWS: u64 = 256;

#[async_trait]
impl Approvals for Sqlite {
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError> {
        self.carry_out(move |db| ask(db, &approval)).await?
    }

    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError> {
        let decided =
            self.carry_out(move |db| decide(db, id, &decision, expires_at, answer.as_ref())).await?;
        decided?
    }

    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError> {
        self.carry_out(move |db| take(db, id, by)).await?
    }

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        Ok(self.quick.ask(move |db| read::get(db, id)).await?)
    }

    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        let filter = filter.clone();
        Ok(self.readers.ask(move |db| read::list(db, &filter, before, limit)).await?)
    }

    async fn approvals_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let some = self.carry_out(move |db| forget(db, now)).await??;
            forgotten += some;
            if some < FORGET_ROWS {
                return Ok(forgotten);
            }
        }
    }

    async fn approvals_pending(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.quick.ask(move |db| read::pending(db, now)).await?)
    }
}

impl Sqlite {
    /// Takes the arguments of the calls that a run asked approval for; tells whether there were any.
    pub(crate) async fn erase_arguments(&self, run: RunId) -> Result<bool, StoreError> {
        self.carry_out(move |db| erase_arguments(db, run)).await?
    }

    /// Has the writing thread do something to approvals.
    async fn carry_out<T: Send + 'static>(
        &self,
        act: impl Fn(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let failed = Failure::closed();
        Ok(self.writer.carry_out(|reply| Act { act, outcome: Err(failed.0), reply }).await?)
    }
}

/// A change of approvals.
struct Act<T, F> {
    act: F,
    outcome: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: Fn(&Connection) -> Result<T, Failure> + Send> Operation for Act<T, F> {
    fn kind(&self) -> Kind {
        Kind::Approvals
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = Ok((self.act)(db)?);
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

/// Takes the arguments of a run's calls; tells whether there were any.
pub(crate) fn erase_arguments(db: &Connection, run: RunId) -> Result<bool, Failure> {
    let sql = "UPDATE approvals SET arguments = NULL, document = json_remove(document, '$.truncated') \
         WHERE run = ?1 AND arguments IS NOT NULL";
    Ok(db.prepare_cached(sql)?.execute([run.0.to_be_bytes()])? > 0)
}

fn ask(db: &Connection, approval: &Approval) -> Result<Asked, Failure> {
    let newest = read::newest(db, approval.key)?;
    if let Some(known) = newest.filter(|known| known.stands_for(approval.asked_at)) {
        return Ok(Asked::Known(Box::new(known)));
    }
    let sql = "INSERT INTO approvals \
         (id, call_key, run, agent, tenant, tool, arguments, expires_at, verdict, used, document, until_decided) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    db.prepare_cached(sql)?.execute((
        approval.id.0.to_be_bytes(),
        approval.key.as_bytes(),
        approval.run.0.to_be_bytes(),
        approval.agent.as_str(),
        approval.tenant.as_str(),
        approval.tool.as_str(),
        &approval.arguments,
        integer(approval.expires_at.0),
        verdict(approval),
        approval.used.is_some(),
        document(approval),
        approval.until_decided,
    ))?;
    Ok(Asked::New)
}

fn decide(
    db: &Connection,
    id: ApprovalId,
    decision: &Decision,
    expires_at: Timestamp,
    answer: Option<&Answer>,
) -> Result<Result<Approval, DecideError>, Failure> {
    if let Some(answer) = answer
        && let Some(given) = answers::given(db, &answer.key)?
    {
        return Ok(Err(DecideError::Answered(Box::new(given))));
    }
    let Some(mut approval) = read::get(db, id)? else { return Ok(Err(DecideError::NoApproval(id))) };
    if let Err(refused) = approval.decide(decision.clone(), expires_at) {
        return Ok(Err(refused.into()));
    }
    write(db, &approval)?;
    if let Some(answer) = answer {
        answers::keep(db, answer)?;
    }
    Ok(Ok(approval))
}

fn take(db: &Connection, id: ApprovalId, by: Use) -> Result<bool, Failure> {
    let Some(mut approval) = read::get(db, id)? else { return Ok(false) };
    let may = approval.take(by);
    if may {
        write(db, &approval)?;
    }
    Ok(may)
}

fn write(db: &Connection, approval: &Approval) -> Result<(), Failure> {
    let sql = "UPDATE approvals SET expires_at = ?2, verdict = ?3, used = ?4, document = ?5 WHERE id = ?1";
    db.prepare_cached(sql)?.execute((
        approval.id.0.to_be_bytes(),
        integer(approval.expires_at.0),
        verdict(approval),
        approval.used.is_some(),
        document(approval),
    ))?;
    if approval.arguments.is_none() {
        let sql = "UPDATE approvals SET arguments = NULL WHERE id = ?1 AND arguments IS NOT NULL";
        db.prepare_cached(sql)?.execute([approval.id.0.to_be_bytes()])?;
    }
    Ok(())
}

/// Lets go of some of the arguments that were kept for a decision which can't be made any more.
fn forget(db: &Connection, now: Timestamp) -> Result<u64, Failure> {
    let sql = "UPDATE approvals SET arguments = NULL, document = json_remove(document, '$.truncated') \
         WHERE number IN (SELECT number FROM approvals \
         WHERE until_decided = 1 AND arguments IS NOT NULL AND expires_at <= ?1 LIMIT ?2)";
    Ok(db.prepare_cached(sql)?.execute([integer(now.0), integer(FORGET_ROWS)])? as u64)
}

fn verdict(approval: &Approval) -> Option<bool> {
    approval.decision.as_ref().map(|decision| decision.approved)
}

/// The approval without its arguments, which have a column that can be emptied.
fn document(approval: &Approval) -> String {
    let bare = Approval { arguments: None, ..approval.clone() };
    serde_json::to_string(&bare).expect("an approval is plain data")
}
