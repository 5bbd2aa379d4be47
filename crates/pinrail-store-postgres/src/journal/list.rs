//! Lists of runs by a filter, newest first.
//!
//! The filter becomes one statement whose text says which partial index serves it. Runs are walked along an index in the order of their ids;
//! where a filter asks for a stretch of time, the ids' own times bound the walk, and with it the partitions that are looked at.

use pinrail_domain::id::RunId;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Run, RunFilter};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::put::{outcome_number, status_number};
use super::read::run_of;
use super::uuid;
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit};

/// The largest time that an id can begin with.
const ID_MS_MAX: i64 = (1 << 48) - 1;

/// A statement under way.
struct Query {
    sql: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    /// What comes before the id in the order.
    order: String,
}

impl Postgres {
    pub(super) async fn list_runs(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, Failure> {
        let skew = match (filter.since, filter.until) {
            (None, None) => (0, 0),
            (Some(_), _) | (_, Some(_)) => self.read_skew().await?,
        };
        let Query { sql, values, order: _ } = query(filter, before, limit, skew);
        let params: Vec<Param<'_>> =
            values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
        self.rows(Lane::Work, &sql, &params).await?.iter().map(run_of).collect()
    }

    /// What the server does for a list, as it explains it, and the milliseconds that it took.
    #[cfg(feature = "testing")]
    pub async fn run_list_explained(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<String>, pinrail_store::StoreError> {
        let skew = self.read_skew().await?;
        let Query { sql, values, order: _ } = query(filter, before, limit, skew);
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}");
        let params: Vec<Param<'_>> =
            values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
        let rows = self.rows(Lane::Work, &sql, &params).await?;
        Ok(rows.iter().map(|row| column(row, 0, "a plan")).collect::<Result<_, _>>()?)
    }

    /// How much later, and sooner, runs began than their ids say, at most: whatever was acknowledged is counted in.
    async fn read_skew(&self) -> Result<(i64, i64), Failure> {
        let row = self.maybe(Lane::Work, "SELECT later, sooner FROM pinrail.run_skew", &[]).await?;
        let row = row.ok_or_else(|| Failure::damaged("the runs' skew", "its row is missing"))?;
        Ok((column(&row, 0, "the runs' skew")?, column(&row, 1, "the runs' skew")?))
    }
}

fn query(filter: &RunFilter, before: Option<RunId>, limit: usize, skew: (i64, i64)) -> Query {
    let RunFilter {
        agent: _,
        release: _,
        deployment: _,
        status,
        outcome: _,
        session: _,
        tenants: _,
        single: _,
        shadow,
        gate,
        replica: _,
        since,
        until,
    } = filter;
    let sql = "SELECT id, stamp, summary FROM pinrail.runs WHERE true".to_owned();
    let mut query = Query { sql, values: Vec::new(), order: String::new() };
    if let Some(status) = status {
        // Open runs are few, and an index holds no others: better to sort those than to walk the rest.
        if status.is_open() {
            query.sql.push_str(" AND status <> 4");
        }
        query.equals("status", status_number(*status), Type::INT2, status.is_open());
    }
    query.lead(filter);
    query.common(filter);
    query.kinds(*shadow, *gate);
    query.times(*since, *until, skew);
    if let Some(before) = before {
        query.and("id < ", uuid(before), Type::UUID);
    }
    query.sql.push_str(&format!(" ORDER BY {}id DESC LIMIT ", query.order));
    query.value(sql_limit(limit), Type::INT8);
    query
}

impl Query {
    fn and(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static, of: Type) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.value(value, of);
    }

    fn value(&mut self, value: impl ToSql + Sync + Send + 'static, of: Type) {
        self.values.push((Box::new(value), of));
        self.sql.push_str(&format!("${}", self.values.len()));
    }

    /// One value of a column. Where that leads, it is asked for as a stretch and put in front of the order: so the planner can't take the ids'
    /// index and walk through all the runs that came since, which it likes where it thinks that matches are everywhere.
    fn equals(
        &mut self,
        column: &'static str,
        value: impl ToSql + Sync + Send + 'static,
        of: Type,
        leads: bool,
    ) {
        if !leads {
            self.and(&format!("{column} = "), value, of);
            return;
        }
        self.and(&format!("{column} >= "), value, of);
        self.sql.push_str(&format!(" AND {column} <= ${}", self.values.len()));
        if self.order.is_empty() {
            self.order = format!("{column} DESC, ");
        }
    }

    /// What an index leads by, whatever else is asked for.
    fn lead(&mut self, filter: &RunFilter) {
        if let Some(deployment) = filter.deployment {
            self.equals("deployment", integer(deployment.0), Type::INT8, true);
        }
        if let Some(release) = filter.release {
            self.equals("release", release.0.as_bytes().to_vec(), Type::BYTEA, true);
        }
        if let Some(replica) = filter.replica {
            self.equals("replica", integer(replica.0), Type::INT8, true);
        }
        if let Some(session) = &filter.session {
            self.equals("session", session.as_str().to_owned(), Type::TEXT, false);
        }
    }

    /// What many runs have in common, or hardly any. One of these alone leads; of several the planner knows better which is rare.
    fn common(&mut self, filter: &RunFilter) {
        let RunFilter { agent, outcome, single, tenants, session, .. } = filter;
        let asked = [agent.is_some(), outcome.is_some(), single.is_some(), tenants.is_some()];
        let alone = asked.iter().filter(|asked| **asked).count() == 1;
        let leads = alone && self.order.is_empty() && session.is_none();
        if let Some(agent) = agent {
            self.equals("agent", agent.as_str().to_owned(), Type::TEXT, leads);
        }
        if let Some(outcome) = outcome {
            self.equals("outcome", outcome_number(*outcome), Type::INT2, leads);
        }
        if let Some(single) = single {
            self.equals("single", *single, Type::BOOL, leads);
        }
        // I11
        match tenants.as_deref() {
            Some([tenant]) => self.equals("tenant", tenant.as_str().to_owned(), Type::TEXT, leads),
            Some(tenants) => {
                // One parameter for any number of tenants, so that the statement stays the same.
                let names: Vec<String> = tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect();
                self.sql.push_str(" AND tenant = ANY(");
                self.value(names, Type::TEXT_ARRAY);
                self.sql.push(')');
            }
            None => {}
        }
    }

    /// Copies or not, in a gate or not.
    fn kinds(&mut self, shadow: Option<bool>, gate: Option<bool>) {
        self.sql.push_str(match shadow {
            Some(true) => " AND shadow IS NOT NULL",
            Some(false) => " AND shadow IS NULL",
            None => "",
        });
        self.sql.push_str(match gate {
            Some(true) => " AND deployment = 0",
            // A stretch, which an index knows.
            Some(false) => " AND deployment > 0",
            None => "",
        });
    }

    /// A stretch of time. Runs began `later` than their ids say, or `sooner`, by so many milliseconds at most.
    fn times(&mut self, since: Option<Timestamp>, until: Option<Timestamp>, (later, sooner): (i64, i64)) {
        if let Some(since) = since {
            self.and("started_at >= ", integer(since.0), Type::INT8);
            self.and("id >= ", first_id(integer(since.0).saturating_sub(later)), Type::UUID);
        }
        if let Some(until) = until {
            self.and("started_at < ", integer(until.0), Type::INT8);
            let bound = integer(until.0).saturating_add(sooner);
            if bound <= ID_MS_MAX {
                self.and("id < ", first_id(bound), Type::UUID);
            }
        }
    }
}

/// The first id of a millisecond.
fn first_id(ms: i64) -> Uuid {
    Uuid::from_u128(u128::from(ms.clamp(0, ID_MS_MAX).unsigned_abs()) << 80)
}
