//! Indexes of vectors: one for each large space, made in the background, while everybody goes on writing and searching.
//!
//! Each is an HNSW index over the space's part of `pinrail.state_content` alone, so that no search ever walks through another
//! space's vectors, or another tenant's. Its name says what it is over; nothing else knows of it, and one that is dropped is made anew.
//! Making one needs the rights of the table's owner. Without them large spaces are searched exactly until the owner has run
//! [`Postgres::index_vectors`].

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pinrail_domain::release::Metric;
use tokio_postgres::types::Type;

use super::nearest;
use crate::Postgres;
use crate::db::Lane;
use crate::failure::{Failure, column};

/// What is known of the indexes of this database.
#[derive(Default)]
pub(crate) struct Indexes(Mutex<HashMap<String, Standing>>);

/// How an index stands, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Ready,
    /// This process makes it, or tried and can't.
    Making,
    /// Looked for in vain, at this many operations of the space.
    Missing(usize),
}

/// What an index is over.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The extension's, quoted.
    pub(super) schema: String,
    pub(super) space: i64,
    pub(super) dims: usize,
    pub(super) metric: Metric,
}

/// Below this many operations an exact search takes some milliseconds.
const OPERATIONS_MIN: usize = 10_000;
/// How much a space has to grow before an index is looked for again.
const GROWTH: f64 = 1.1;
/// Dimensions that an index over plain vectors, and over half-precision ones, can have.
const VECTOR_DIMS_MAX: usize = 2_000;
const HALFVEC_DIMS_MAX: usize = 4_000;
/// What making one may take: a graph that fits is made many times faster. Four hundred thousand vectors of 384 dimensions fit.
const MEMORY_MB: usize = 1_024;
/// Of all locks for making indexes. Shared by all versions: never change.
const LOCK: i64 = 0x7069_6e72_6169_6c03;

const IS_VALID: &str = "SELECT i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'pinrail' AND c.relname = $1";

impl Shape {
    /// None where pgvector has no index for so many dimensions, and no reason to be asked.
    pub(super) fn new(schema: &str, space: i64, dims: usize, metric: Metric) -> Option<Shape> {
        let schema = format!("\"{}\"", schema.replace('"', "\"\""));
        (1..=HALFVEC_DIMS_MAX).contains(&dims).then_some(Shape { schema, space, dims, metric })
    }

    fn name(&self) -> String {
        let metric = match self.metric {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::Euclidean => "euclidean",
        };
        format!("vectors_{}_{}_{metric}", self.space, self.dims)
    }

    /// Halves where whole ones are too large for a page: the caller compares what is found with the vectors themselves.
    pub(super) fn indexed_type(&self) -> &'static str {
        if self.dims <= VECTOR_DIMS_MAX { "vector" } else { "halfvec" }
    }

    pub(super) fn expression(&self) -> String {
        format!("(vector::{}.{}({}))", self.schema, self.indexed_type(), self.dims)
    }

    pub(super) fn predicate(&self) -> String {
        format!("space = {} AND pg_catalog.cardinality(vector) = {}", self.space, self.dims)
    }

    fn create_sql(&self) -> String {
        let class = match self.metric {
            Metric::Cosine => "cosine_ops",
            Metric::Dot => "ip_ops",
            Metric::Euclidean => "l2_ops",
        };
        format!(
            "CREATE INDEX CONCURRENTLY {name} ON pinrail.state_content USING hnsw ({expression} {schema}.{of}_{class}) \
             WHERE {predicate}",
            name = self.name(),
            expression = self.expression(),
            schema = self.schema,
            of = self.indexed_type(),
            predicate = self.predicate()
        )
    }
}

/// Whether a space's index can be used now. Begins to make it where it would pay.
pub(super) async fn is_ready(store: &Postgres, shape: &Shape, operations: usize) -> Result<bool, Failure> {
    let name = shape.name();
    match store.inner.vectors.get(&name) {
        Some(Standing::Ready) => return Ok(true),
        Some(Standing::Making) => return Ok(false),
        Some(Standing::Missing(then)) if (operations as f64) < then as f64 * GROWTH => return Ok(false),
        Some(Standing::Missing(_)) | None if operations < OPERATIONS_MIN => return Ok(false),
        Some(Standing::Missing(_)) | None => {}
    }
    if is_valid(store, &name).await? {
        store.inner.vectors.set(&name, Standing::Ready);
        return Ok(true);
    }
    store.inner.vectors.set(&name, Standing::Making);
    let (store, shape) = (store.clone(), shape.clone());
    tokio::spawn(async move {
        let standing = match store.make_index(&shape).await {
            Ok(true) => Standing::Ready,
            // Another process makes it, or this one may not: looked for again when the space has grown.
            Ok(false) | Err(_) => Standing::Missing(operations),
        };
        store.inner.vectors.set(&shape.name(), standing);
    });
    Ok(false)
}

async fn is_valid(store: &Postgres, name: &str) -> Result<bool, Failure> {
    let row = store.maybe(Lane::Work, IS_VALID, &[(&name, Type::TEXT)]).await?;
    row.map_or(Ok(false), |row| column(&row, 0, "an index"))
}

impl Postgres {
    /// Makes the index of a space of vectors, as the tables' owner, if it has none; tells whether it is there now. False where
    /// there is no pgvector to make it with, or another process is making one.
    ///
    /// Replicas whose role owns the tables do so by themselves.
    pub async fn index_vectors(
        &self,
        space: &pinrail_domain::state::Space,
        dims: usize,
        metric: Metric,
    ) -> Result<bool, pinrail_store::StoreError> {
        let Some(schema) = nearest::schema(self) else { return Ok(false) };
        let Some(number) = super::spaces::find(self, space).await? else { return Ok(false) };
        let Some(shape) = Shape::new(schema, number, dims, metric) else { return Ok(false) };
        let made = self.make_index(&shape).await?;
        if made {
            self.inner.vectors.set(&shape.name(), Standing::Ready);
        }
        Ok(made)
    }

    /// True once the index is there; false where another process makes it.
    async fn make_index(&self, shape: &Shape) -> Result<bool, Failure> {
        let (client, connection) = self.direct().await?;
        let task = tokio::spawn(async move { drop(connection.await) });
        let made = async {
            let sql = format!("SELECT pg_catalog.pg_try_advisory_lock({LOCK})");
            let rows = client.query_typed(&sql, &[]).await?;
            if !rows.first().is_some_and(|row| row.get(0)) {
                return Ok(false);
            }
            if is_valid(self, &shape.name()).await? {
                return Ok(true);
            }
            // One that was being made when its maker died is there, and useless.
            let drop_sql = format!("DROP INDEX CONCURRENTLY IF EXISTS pinrail.{}", shape.name());
            let memory = format!("SET maintenance_work_mem = '{MEMORY_MB}MB'");
            let create = shape.create_sql();
            for sql in ["SET statement_timeout = 0; SET lock_timeout = 0", &memory, &drop_sql, &create] {
                client.batch_execute(sql).await?;
            }
            is_valid(self, &shape.name()).await
        }
        .await;
        drop(client);
        let _ = task.await;
        made
    }
}

impl Indexes {
    fn get(&self, name: &str) -> Option<Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    fn set(&self, name: &str, standing: Standing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), standing);
    }
}
