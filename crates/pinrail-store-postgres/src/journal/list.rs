//! Lists of runs by a filter, newest first.
//!
//! The filter becomes one statement whose text says which partial index serves it. Runs are walked along an index in the order of their ids;
//! where a filter asks for a stretch of time, the ids' own times bound the walk, and with it the partitions that are looked at.

use pinrail_domain::id::{RunId, TenantId};
use pinrail_domain::journal::Outcome;
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
    order: &'static str,
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
        outcome,
        session,
        tenants,
        single,
        shadow,
        gate,
        replica: _,
        since,
        until,
    } = filter;
    let sql = "SELECT id, stamp, summary FROM pinrail.runs WHERE true".to_owned();
    let mut query = Query { sql, values: Vec::new(), order: "" };
    query.lead(filter);
    if let Some(status) = status {
        if status.is_open() {
            query.sql.push_str(" AND status <> 4");
        }
        query.and("status = ", status_number(*status), Type::INT2);
    }
    if let Some(outcome) = outcome {
        if *outcome != Outcome::Ok {
            query.sql.push_str(" AND outcome <> 0");
        }
        query.and("outcome = ", outcome_number(*outcome), Type::INT2);
    }
    if let Some(session) = session {
        query.and("session = ", session.as_str().to_owned(), Type::TEXT);
    }
    if let Some(single) = single {
        query.and("single = ", *single, Type::BOOL);
    }
    query.kinds(*shadow, *gate);
    if let Some(tenants) = tenants {
        query.tenants(tenants);
    }
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

    /// What an index leads by. The first of these is asked for as a stretch of one value and put in front of the order: so the planner can't take the
    /// ids' index and walk through all the runs that came since, which it likes where it thinks that matches are everywhere.
    fn lead(&mut self, filter: &RunFilter) {
        if let Some(deployment) = filter.deployment {
            self.equals(
                ["deployment >= ", "deployment <= ", "deployment DESC, "],
                integer(deployment.0),
                Type::INT8,
            );
        }
        if let Some(release) = filter.release {
            let release = release.0.as_bytes().to_vec();
            self.equals(["release >= ", "release <= ", "release DESC, "], release, Type::BYTEA);
        }
        if let Some(replica) = filter.replica {
            if replica.0 == 0 {
                // All runs of a store that was never shared.
                self.and("replica = ", 0_i64, Type::INT8);
            } else {
                self.sql.push_str(" AND replica <> 0");
                let columns = ["replica >= ", "replica <= ", "replica DESC, "];
                self.equals(columns, integer(replica.0), Type::INT8);
            }
        }
        if let Some(agent) = &filter.agent {
            let agent = agent.as_str().to_owned();
            // Agents are few: an index that is about less is better.
            let others = filter.outcome.is_some_and(|outcome| outcome != Outcome::Ok)
                || filter.tenants.as_ref().is_some_and(|tenants| tenants.len() == 1);
            if others {
                self.and("agent = ", agent, Type::TEXT);
            } else {
                self.equals(["agent >= ", "agent <= ", "agent DESC, "], agent, Type::TEXT);
            }
        }
    }

    fn equals(
        &mut self,
        [from, to, order]: [&'static str; 3],
        value: impl ToSql + Sync + Send + 'static,
        of: Type,
    ) {
        self.and(from, value, of);
        self.sql.push_str(&format!(" AND {to}${}", self.values.len()));
        if self.order.is_empty() {
            self.order = order;
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
            Some(false) => " AND deployment <> 0",
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

    /// I11
    fn tenants(&mut self, tenants: &[TenantId]) {
        if let [tenant] = tenants {
            if *tenant != TenantId::shared() {
                // The index leaves the shared tenant out, and PostgreSQL must see that this is another.
                self.sql.push_str(" AND tenant <> 'default'");
            }
            self.and("tenant = ", tenant.as_str().to_owned(), Type::TEXT);
            return;
        }
        if !tenants.contains(&TenantId::shared()) {
            self.sql.push_str(" AND tenant <> 'default'");
        }
        // One parameter for any number of tenants, so that the statement stays the same.
        let names: Vec<String> = tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect();
        self.sql.push_str(" AND tenant = ANY(");
        self.value(names, Type::TEXT_ARRAY);
        self.sql.push(')');
    }
}

/// The first id of a millisecond.
fn first_id(ms: i64) -> Uuid {
    Uuid::from_u128(u128::from(ms.clamp(0, ID_MS_MAX).unsigned_abs()) << 80)
}
