//! Approvals, read.

use pinrail_domain::approval::{Approval, ApprovalState};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::ApprovalFilter;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::uuid;
use crate::Postgres;
use crate::conditions::Conditions;
use crate::db::{Lane, Session};
use crate::failure::{Failure, column, integer, json, limit as sql_limit, number};

/// What an approval is read from, in the order of [`approval`].
const APPROVAL: &str = "SELECT id, arguments, document FROM pinrail.approvals";

pub(super) async fn get(store: &Postgres, id: ApprovalId) -> Result<Option<Approval>, Failure> {
    let sql = format!("{APPROVAL} WHERE id = $1");
    let row = store.maybe(Lane::Quick, &sql, &[(&uuid(id), Type::UUID)]).await?;
    row.as_ref().map(approval).transpose()
}

/// Reads one and keeps others from changing it until the transaction ends.
pub(super) async fn lock(db: &Session, id: ApprovalId) -> Result<Option<Approval>, Failure> {
    let sql = format!("{APPROVAL} WHERE id = $1 FOR UPDATE");
    let row = db.maybe(&sql, &[(&uuid(id), Type::UUID)]).await?;
    row.as_ref().map(approval).transpose()
}

/// The newest that is about the same call.
pub(super) async fn newest(db: &Session, key: Digest) -> Result<Option<Approval>, Failure> {
    let sql = format!("{APPROVAL} WHERE call_key = $1 ORDER BY id DESC LIMIT 1");
    let row = db.maybe(&sql, &[(&&key.as_bytes()[..], Type::BYTEA)]).await?;
    row.as_ref().map(approval).transpose()
}

pub(super) async fn list(
    store: &Postgres,
    filter: &ApprovalFilter,
    before: Option<ApprovalId>,
    limit: usize,
) -> Result<Vec<Approval>, Failure> {
    let ApprovalFilter { agent, tool, run, tenants, state } = filter;
    let tenants = tenants
        .as_ref()
        .map(|tenants| tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect::<Vec<String>>());
    let mut select = Conditions::new(format!("{APPROVAL} WHERE TRUE"));
    select
        .and("agent = ?", agent.as_ref().map(|agent| agent.as_str().to_owned()), Type::TEXT)
        .and("tool = ?", tool.as_ref().map(|tool| tool.as_str().to_owned()), Type::TEXT)
        .and("run = ?", run.map(|run| Uuid::from_u128(run.0)), Type::UUID)
        .and("id < ?", before.map(uuid), Type::UUID)
        .and("tenant = ANY(?)", tenants, Type::TEXT_ARRAY);
    if let Some((state, now)) = state {
        select.then(" AND ");
        has_state(&mut select, *state, *now);
    }
    select.with(" ORDER BY id DESC LIMIT ?", sql_limit(limit), Type::INT8);
    let rows = store.rows(Lane::Work, select.sql(), &select.params()).await?;
    rows.iter().map(approval).collect()
}

pub(super) async fn pending(store: &Postgres, now: Timestamp) -> Result<u64, Failure> {
    let mut select = Conditions::new("SELECT count(*) FROM pinrail.approvals WHERE ");
    has_state(&mut select, ApprovalState::Pending, now);
    let what = "the approvals";
    let row = store.maybe(Lane::Quick, select.sql(), &select.params()).await?;
    number(&row.ok_or_else(|| Failure::damaged(what, "no count"))?, 0, what)
}

/// [`Approval::state`] in SQL.
fn has_state(select: &mut Conditions, state: ApprovalState, now: Timestamp) {
    let now = integer(now.0);
    match state {
        ApprovalState::Pending => select.with("approved IS NULL AND expires_at > ?", now, Type::INT8),
        ApprovalState::Approved => select.with("approved AND NOT used AND expires_at > ?", now, Type::INT8),
        ApprovalState::Denied => select.then("NOT approved AND NOT used"),
        ApprovalState::Expired => {
            select.with("approved IS DISTINCT FROM FALSE AND NOT used AND expires_at <= ?", now, Type::INT8)
        }
        ApprovalState::Used => select.then("used"),
    };
}

fn approval(row: &Row) -> Result<Approval, Failure> {
    let id = ApprovalId(column::<Uuid>(row, 0, "an approval")?.as_u128());
    let arguments: Option<String> = column(row, 1, id)?;
    let bare: Approval = json(row, 2, id)?;
    // Where they are gone, nothing was cut off them.
    let truncated = bare.truncated && arguments.is_some();
    Ok(Approval { arguments, truncated, ..bare })
}
