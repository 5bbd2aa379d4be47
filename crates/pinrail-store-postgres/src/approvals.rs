//! Approvals in PostgreSQL: each change reads the row and locks it, has the domain change it, and writes it back in one
//! transaction.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, Decision, Use};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{ApprovalId, RunId};
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::{ApprovalFilter, Approvals, Asked, DecideError};
use pinrail_store::{Answer, StoreError};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, integer};
use crate::{Postgres, answers, replicas};

mod read;

/// Approvals whose arguments go in one transaction.
const FORGET_ROWS: u64 = 256;
/// The first half of the advisory lock under which a call is asked for; the other is made of its key.
const ASK_LOCK: i32 = 7_071;

#[async_trait]
impl Approvals for Postgres {
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError> {
        let asked = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let asked = ask(&tx, &approval).await?;
            tx.commit().await?;
            Ok(asked)
        });
        Ok(asked.await?)
    }

    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError> {
        let decided = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let decided = decide(&tx, id, &decision, expires_at, answer.as_ref()).await?;
            match decided {
                Ok(_) => tx.commit().await?,
                Err(_) => tx.rollback().await?,
            }
            Ok(decided)
        });
        decided.await.map_err(StoreError::from)?
    }

    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError> {
        let used = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let used = take(&tx, id, by).await?;
            tx.commit().await?;
            Ok(used)
        });
        Ok(used.await?)
    }

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        Ok(read::get(self, id).await?)
    }

    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        Ok(read::list(self, filter, before, limit).await?)
    }

    async fn approvals_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE pinrail.approvals SET arguments = NULL WHERE id IN (SELECT id FROM pinrail.approvals \
                   WHERE until_decided AND arguments IS NOT NULL AND expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        let params: [Param<'_>; 2] = [(&integer(now.0), Type::INT8), (&integer(FORGET_ROWS), Type::INT8)];
        let mut forgotten = 0;
        loop {
            let some = self.change(Lane::Work, sql, &params).await?;
            forgotten += some;
            if some < FORGET_ROWS {
                return Ok(forgotten);
            }
        }
    }

    async fn approvals_pending(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(read::pending(self, now).await?)
    }
}

impl Postgres {
    /// Takes the arguments of the calls that a run asked approval for; tells whether there were any.
    pub(crate) async fn erase_arguments(&self, run: RunId) -> Result<bool, Failure> {
        let sql = "UPDATE pinrail.approvals SET arguments = NULL WHERE run = $1 AND arguments IS NOT NULL";
        Ok(self.change(Lane::Work, sql, &[(&Uuid::from_u128(run.0), Type::UUID)]).await? > 0)
    }
}

async fn ask(db: &Session, approval: &Approval) -> Result<Asked, Failure> {
    // Two that ask for the same call: one of them asks first.
    let sql = "SELECT pg_catalog.pg_advisory_xact_lock($1, $2)";
    db.execute(sql, &[(&ASK_LOCK, Type::INT4), (&half(approval.key), Type::INT4)]).await?;
    let newest = read::newest(db, approval.key).await?;
    if let Some(known) = newest.filter(|known| known.stands_for(approval.asked_at)) {
        return Ok(Asked::Known(Box::new(known)));
    }
    let sql = "INSERT INTO pinrail.approvals \
               (id, call_key, run, agent, tenant, tool, arguments, expires_at, approved, used, document, until_decided) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let params: [Param<'_>; 12] = [
        (&uuid(approval.id), Type::UUID),
        (&&approval.key.as_bytes()[..], Type::BYTEA),
        (&Uuid::from_u128(approval.run.0), Type::UUID),
        (&approval.agent.as_str(), Type::TEXT),
        (&approval.tenant.as_str(), Type::TEXT),
        (&approval.tool.as_str(), Type::TEXT),
        (&approval.arguments, Type::TEXT),
        (&integer(approval.expires_at.0), Type::INT8),
        (&approved(approval), Type::BOOL),
        (&approval.used.is_some(), Type::BOOL),
        (&document(approval), Type::TEXT),
        (&approval.until_decided, Type::BOOL),
    ];
    db.execute(sql, &params).await?;
    replicas::tell_rest(db).await?;
    Ok(Asked::New)
}

async fn decide(
    db: &Session,
    id: ApprovalId,
    decision: &Decision,
    expires_at: Timestamp,
    answer: Option<&Answer>,
) -> Result<Result<Approval, DecideError>, Failure> {
    if let Some(answer) = answer
        && let Some(given) = answers::given(db, &answer.key).await?
    {
        return Ok(Err(DecideError::Answered(Box::new(given))));
    }
    let Some(mut approval) = read::lock(db, id).await? else { return Ok(Err(DecideError::NoApproval(id))) };
    if let Err(refused) = approval.decide(decision.clone(), expires_at) {
        return Ok(Err(refused.into()));
    }
    write(db, &approval).await?;
    if let Some(answer) = answer {
        answers::keep(db, answer).await?;
    }
    Ok(Ok(approval))
}

async fn take(db: &Session, id: ApprovalId, by: Use) -> Result<bool, Failure> {
    let Some(mut approval) = read::lock(db, id).await? else { return Ok(false) };
    let may = approval.take(by);
    if may {
        write(db, &approval).await?;
    }
    Ok(may)
}

async fn write(db: &Session, approval: &Approval) -> Result<(), Failure> {
    let id = uuid(approval.id);
    let sql =
        "UPDATE pinrail.approvals SET expires_at = $2, approved = $3, used = $4, document = $5 WHERE id = $1";
    let params: [Param<'_>; 5] = [
        (&id, Type::UUID),
        (&integer(approval.expires_at.0), Type::INT8),
        (&approved(approval), Type::BOOL),
        (&approval.used.is_some(), Type::BOOL),
        (&document(approval), Type::TEXT),
    ];
    db.execute(sql, &params).await?;
    if approval.arguments.is_none() {
        let sql = "UPDATE pinrail.approvals SET arguments = NULL WHERE id = $1 AND arguments IS NOT NULL";
        db.execute(sql, &[(&id, Type::UUID)]).await?;
    }
    replicas::tell_rest(db).await
}

fn approved(approval: &Approval) -> Option<bool> {
    approval.decision.as_ref().map(|decision| decision.approved)
}

/// The approval without its arguments, which have a column that can be emptied.
fn document(approval: &Approval) -> String {
    let bare = Approval { arguments: None, ..approval.clone() };
    serde_json::to_string(&bare).expect("an approval is plain data")
}

/// A part of a digest; two calls that share it wait for each other for a moment, and no harm is done.
fn half(key: Digest) -> i32 {
    let [a, b, c, d, ..] = *key.as_bytes();
    i32::from_be_bytes([a, b, c, d])
}

fn uuid(id: ApprovalId) -> Uuid {
    Uuid::from_u128(id.0)
}
