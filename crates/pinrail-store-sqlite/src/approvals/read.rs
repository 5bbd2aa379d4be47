//! Approvals, read.

use pinrail_domain::approval::{Approval, ApprovalState};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::ApprovalFilter;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::failure::{Failure, integer, limit as sql_limit, natural};

/// What an approval is read from, in the order of [`approval`].
const APPROVAL: &str = "SELECT id, arguments, document FROM approvals";

pub(super) fn get(db: &Connection, id: ApprovalId) -> Result<Option<Approval>, Failure> {
    let mut select = db.prepare_cached(&format!("{APPROVAL} WHERE id = ?1"))?;
    let mut rows = select.query([id.0.to_be_bytes()])?;
    rows.next()?.map(approval).transpose()
}

/// The newest that is about the same call.
pub(super) fn newest(db: &Connection, key: Digest) -> Result<Option<Approval>, Failure> {
    let sql = format!("{APPROVAL} WHERE call_key = ?1 ORDER BY id DESC LIMIT 1");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query([key.as_bytes()])?;
    rows.next()?.map(approval).transpose()
}

pub(super) fn list(
    db: &Connection,
    filter: &ApprovalFilter,
    before: Option<ApprovalId>,
    limit: usize,
) -> Result<Vec<Approval>, Failure> {
    let ApprovalFilter { agent, tool, run, tenants, state } = filter;
    let text = |text: &str| Value::Text(text.to_owned());
    let mut sql = format!("{APPROVAL} WHERE TRUE");
    let mut values = Vec::new();
    let conditions = [
        ("agent = ?", agent.as_ref().map(|agent| text(agent.as_str()))),
        ("tool = ?", tool.as_ref().map(|tool| text(tool.as_str()))),
        ("run = ?", run.map(|run| Value::Blob(run.0.to_be_bytes().to_vec()))),
        ("id < ?", before.map(|before| Value::Blob(before.0.to_be_bytes().to_vec()))),
    ];
    for (condition, value) in conditions {
        if let Some(value) = value {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value);
        }
    }
    if let Some(tenants) = tenants {
        let places = vec!["?"; tenants.len()].join(", ");
        sql.push_str(&format!(" AND tenant IN ({places})"));
        values.extend(tenants.iter().map(|tenant| text(tenant.as_str())));
    }
    if let Some((state, now)) = state {
        let (condition, takes_time) = condition(*state);
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(takes_time.then(|| Value::Integer(integer(now.0))));
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push(Value::Integer(sql_limit(limit)));
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut approvals = Vec::new();
    while let Some(row) = rows.next()? {
        approvals.push(approval(row)?);
    }
    Ok(approvals)
}

pub(super) fn pending(db: &Connection, now: Timestamp) -> Result<u64, Failure> {
    let (condition, _) = condition(ApprovalState::Pending);
    let mut select = db.prepare_cached(&format!("SELECT count(*) FROM approvals WHERE {condition}"))?;
    Ok(natural(select.query_row([integer(now.0)], |row| row.get(0))?))
}

/// [`Approval::state`] in SQL, and whether it asks for the time.
fn condition(state: ApprovalState) -> (&'static str, bool) {
    match state {
        ApprovalState::Pending => ("verdict IS NULL AND expires_at > ?", true),
        ApprovalState::Approved => ("verdict = 1 AND used = 0 AND expires_at > ?", true),
        ApprovalState::Denied => ("verdict = 0 AND used = 0", false),
        ApprovalState::Expired => ("verdict IS NOT 0 AND used = 0 AND expires_at <= ?", true),
        ApprovalState::Used => ("used = 1", false),
    }
}

fn approval(row: &Row<'_>) -> Result<Approval, Failure> {
    let id = ApprovalId(u128::from_be_bytes(row.get(0)?));
    let document: String = row.get(2)?;
    let bare: Approval = serde_json::from_str(&document).map_err(|why| Failure::damaged(id, why))?;
    Ok(Approval { arguments: row.get(1)?, ..bare })
}
