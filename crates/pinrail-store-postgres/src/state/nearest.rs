//! Searches of vectors by pgvector, under the visibility rule.
//!
//! A search goes one of two ways. **Exact**: everything that the reader sees is compared. **By the index** of a large space
//! (`index.rs`): the graph is walked from the nearest on, what isn't visible is passed over, and it is walked further until there
//! is enough. That needs `hnsw.iterative_scan = strict_order`, which every answer of the index proves to have been on: with it off, a
//! rolled-back heap of near-duplicates hides all that is visible.
//!
//! Which way: exact where it was asked for, where the space has no index yet, and where few of its records are visible, since a
//! graph passes over the others one by one and then finds less. What the index found too little of is searched exactly. So many
//! that the server would be busy with each search are left to the replicas' memory until there is an index.
//!
//! Vectors of other dimensions are never looked at, should a space hold some (I12).

use pinrail_domain::id::StateSeq;
use pinrail_domain::release::Metric;
use pinrail_store::state::{Near, Nearest};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::index::{self, Shape};
use super::spaces;
use crate::Postgres;
use crate::db::{Lane, Param, repeat};
use crate::failure::{Failure, column, integer, limit as sql_limit, number};

/// The oldest pgvector that walks on.
const VECTOR_VERSION_MIN: (u32, u32) = (0, 8);
/// Candidates beyond those asked for: the last digits of a distance may put neighbours in another order than the caller's.
const SPARE: usize = 16;
/// Where even so many are as near as those asked for, an exact search gives these, and proves nothing.
const CANDIDATES_MAX: usize = 16_384;
/// How many more to ask for each time.
const MORE: usize = 8;
/// What a distance of single-precision numbers may be off, for each unit of length and each root of a dimension.
const ROUNDING: f64 = 4e-7;
/// Where less than this share of a space's operations is visible, exact is as fast and misses nothing.
const INDEX_SHARE_MIN: f64 = 0.2;
/// More visible vectors than this aren't compared one by one in the server for every search: while there is no index, replicas
/// search them in their memory.
const EXACT_MAX: usize = 20_000;
/// What a walk keeps in sight at least; more finds more and takes longer.
const EF_SEARCH_MIN: usize = 100;
/// pgvector's own limit.
const EF_SEARCH_MAX: usize = 1_000;
/// How many vectors a walk may pass before it ends with what it has; an exact search follows then.
const SCAN_TUPLES_MAX: usize = 40_000;

/// What a visible put is, for one record `s` at a time: the parameters are the own deployment, the moment's state and its ledger.
const SEEN: &str = "s.op = 0 AND s.seq <= $3 AND s.ledger <= $4 AND ((s.deployment = $2) IS TRUE OR (\
     (s.deployment = 0 OR s.deployment IN (SELECT p.deployment FROM pinrail.spans p \
      WHERE p.committed <= $4 AND (p.retracted IS NULL OR p.retracted > $4))) \
     AND NOT EXISTS (SELECT 1 FROM pinrail.cascades c WHERE int8range(c.first, c.last, '[]') @> s.seq AND c.at <= $4))) \
     AND NOT EXISTS (SELECT 1 FROM pinrail.state e WHERE e.space = s.space AND e.key = s.key AND e.seq > s.seq \
      AND e.seq <= $3 AND e.ledger <= $4 AND ((e.deployment = $2) IS TRUE OR (\
      (e.deployment = 0 OR e.deployment IN (SELECT p.deployment FROM pinrail.spans p \
       WHERE p.committed <= $4 AND (p.retracted IS NULL OR p.retracted > $4))) \
      AND NOT EXISTS (SELECT 1 FROM pinrail.cascades c WHERE int8range(c.first, c.last, '[]') @> e.seq AND c.at <= $4))) OFFSET 0)";

/// Where the extension's types and operators are, if it can be used.
pub(super) fn schema(store: &Postgres) -> Option<&str> {
    let found = store.found();
    let mut parts = found.vector_version.as_deref()?.split('.').map(|part| part.parse::<u32>().ok());
    let version = (parts.next()??, parts.next()??);
    (version >= VECTOR_VERSION_MIN).then_some(())?;
    found.vector_schema.as_deref()
}

/// How vectors are searched, for people.
pub(super) fn told(store: &Postgres) -> String {
    let found = store.found();
    match (&found.vector_version, schema(store)) {
        (Some(version), Some(_)) => format!("pgvector {version}"),
        (Some(version), None) => format!(
            "in each replica: pgvector {version} is too old (0.8 walks on past what isn't visible), update the extension"
        ),
        (None, _) => {
            "in each replica: the extension pgvector (vector, 0.8 or newer) isn't installed in the database"
                .to_owned()
        }
    }
}

pub(super) async fn nearest(store: &Postgres, asked: &Nearest<'_>) -> Result<Option<Near>, Failure> {
    let Some(schema) = schema(store) else { return Ok(None) };
    let Some(number) = spaces::find(store, asked.space).await? else {
        return Ok(Some(Near { seqs: Vec::new(), proven: true }));
    };
    let Some(shape) = Shape::new(schema, number, asked.vector.len(), asked.metric) else { return Ok(None) };
    let share = asked.visible as f64 / asked.operations.max(1) as f64;
    let (is_dense, is_large) = (share >= INDEX_SHARE_MIN, asked.visible > EXACT_MAX);
    if !asked.exact && (is_dense || is_large) {
        let is_ready = index::is_ready(store, &shape, asked.operations).await?;
        if is_large && !is_ready {
            return Ok(None);
        }
        if is_ready
            && is_dense
            && let Some(seqs) = repeat(|| walk(store, asked, &shape)).await?
            && seqs.len() >= (asked.k + SPARE).min(asked.visible)
        {
            return Ok(Some(Near { seqs, proven: false }));
        }
    }
    exact(store, asked, &shape).await.map(Some)
}

/// Compares everything that is visible; asks for more while it can't be told which of them are nearest.
async fn exact(store: &Postgres, asked: &Nearest<'_>, shape: &Shape) -> Result<Near, Failure> {
    let sql = exact_sql(shape);
    let mut asking = Asking::of(asked, shape.space);
    let length = asked.vector.iter().map(|part| f64::from(*part).powi(2)).sum::<f64>().sqrt();
    loop {
        let rows = store.rows(Lane::Work, &sql, &asking.params(&sql_limit(asking.limit))).await?;
        let seqs: Vec<StateSeq> = rows.iter().map(seq_of).collect::<Result<_, _>>()?;
        let is_all = seqs.len() < asking.limit;
        let distance = |place: usize| column::<f64>(&rows[place], 1, "a distance");
        let proven = is_all || {
            let (of, last) = (distance(asked.k - 1)?, distance(seqs.len() - 1)?);
            let unit = match asked.metric {
                Metric::Cosine => 1.0,
                Metric::Dot => {
                    let lengths = rows.iter().map(|row| column::<f64>(row, 2, "a length"));
                    length * lengths.collect::<Result<Vec<_>, _>>()?.into_iter().fold(0.0, f64::max)
                }
                Metric::Euclidean => last,
            };
            last - of > ROUNDING * unit * (shape.dims as f64).sqrt()
        };
        if proven || asking.limit >= CANDIDATES_MAX {
            return Ok(Near { seqs, proven });
        }
        asking.limit *= MORE;
    }
}

/// Walks the index; none where the server's setting isn't what it must be.
async fn walk(
    store: &Postgres,
    asked: &Nearest<'_>,
    shape: &Shape,
) -> Result<Option<Vec<StateSeq>>, Failure> {
    let asking = Asking::of(asked, shape.space);
    let ef = (2 * asking.limit).clamp(EF_SEARCH_MIN, EF_SEARCH_MAX);
    let tx = store.begin(Lane::Work).await?;
    // Naming the type first loads the extension, without which these would be words that mean nothing.
    let settings = format!(
        "SELECT '[1]'::{schema}.vector, pg_catalog.set_config('hnsw.iterative_scan', 'strict_order', true), \
         pg_catalog.set_config('hnsw.ef_search', '{ef}', true), \
         pg_catalog.set_config('hnsw.max_scan_tuples', '{SCAN_TUPLES_MAX}', true), \
         pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('enable_sort', 'off', true), \
         pg_catalog.set_config('enable_bitmapscan', 'off', true)",
        schema = shape.schema
    );
    tx.batch(&settings).await?;
    let rows = tx.rows(&walk_sql(shape), &asking.params(&sql_limit(asking.limit))).await?;
    tx.rollback().await?;
    let mut seqs = Vec::with_capacity(rows.len());
    for row in &rows {
        if column::<Option<&str>>(row, 1, "the index's setting")? != Some("strict_order") {
            return Ok(None);
        }
        seqs.push(seq_of(row)?);
    }
    Ok(Some(seqs))
}

/// The parameters of both ways: space, own, state, ledger, vector, limit.
struct Asking<'a> {
    space: i64,
    own: Option<i64>,
    state: i64,
    ledger: i64,
    vector: &'a [f32],
    limit: usize,
}

impl<'a> Asking<'a> {
    fn of(asked: &Nearest<'a>, space: i64) -> Asking<'a> {
        Asking {
            space,
            own: asked.own.map(|own| integer(own.0)),
            state: integer(asked.at.state.0),
            ledger: integer(asked.at.ledger.0),
            vector: asked.vector,
            limit: asked.k + SPARE,
        }
    }

    fn params<'p>(&'p self, limit: &'p i64) -> [Param<'p>; 6] {
        [
            (&self.space, Type::INT8),
            (&self.own, Type::INT8),
            (&self.state, Type::INT8),
            (&self.ledger, Type::INT8),
            (&self.vector, Type::FLOAT4_ARRAY),
            (limit, Type::INT8),
        ]
    }
}

/// Compares all that is visible. Ties go by key, as everywhere.
fn exact_sql(shape: &Shape) -> String {
    let Shape { schema, dims, .. } = shape;
    let operator = operator(shape.metric);
    let length = match shape.metric {
        Metric::Cosine | Metric::Euclidean => "0::float8".to_owned(),
        Metric::Dot => format!("{schema}.vector_norm(t.vector::{schema}.vector)"),
    };
    // Only what was found is looked at a second time.
    format!(
        "SELECT t.seq, t.distance, {length} FROM (SELECT s.seq, s.key, v.vector, \
         v.vector::{schema}.vector OPERATOR({schema}.{operator}) $5::{schema}.vector AS distance \
         FROM pinrail.visible($1, $2, $3, $4) s JOIN pinrail.state_content v ON v.number = s.content \
         WHERE pg_catalog.cardinality(v.vector) = {dims} ORDER BY distance, s.key LIMIT $6) AS t ORDER BY t.distance, t.key"
    )
}

/// Goes along the index; each vector's record is looked up, and passed over unless it is visible.
fn walk_sql(shape: &Shape) -> String {
    let Shape { schema, space, dims, .. } = shape;
    let (operator, indexed) = (operator(shape.metric), shape.indexed_type());
    let (expression, predicate) = (shape.expression(), shape.predicate());
    format!(
        "SELECT r.seq, pg_catalog.current_setting('hnsw.iterative_scan', true) FROM pinrail.state_content v \
         CROSS JOIN LATERAL (SELECT s.seq FROM pinrail.state s \
         WHERE s.content = v.number AND s.space = $1 AND $1 = {space} AND {SEEN} OFFSET 0) AS r \
         WHERE {predicate} ORDER BY {expression} OPERATOR({schema}.{operator}) $5::{schema}.{indexed}({dims}) LIMIT $6"
    )
}

fn operator(metric: Metric) -> &'static str {
    match metric {
        Metric::Cosine => "<=>",
        Metric::Dot => "<#>",
        Metric::Euclidean => "<->",
    }
}

fn seq_of(row: &Row) -> Result<StateSeq, Failure> {
    Ok(StateSeq(number(row, 0, "a vector's record")?))
}
