//! A database with a store and a table of a user's in it.

use pinrail_adopt::{Adopted, Error, Unadopted, Unadopting};
use pinrail_domain::id::RunId;
use pinrail_store_postgres::testing::{Cluster, Database};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub struct Bench {
    pub database: Database,
    /// The superuser, who adopts.
    pub admin: Client,
}

/// The usual table.
pub const DOCUMENTS: &str = "CREATE TABLE documents (
    id bigserial PRIMARY KEY,
    slug text UNIQUE,
    content text NOT NULL DEFAULT 'empty',
    words integer GENERATED ALWAYS AS (length(content)) STORED,
    embedding vector(3));
CREATE INDEX documents_near ON documents USING hnsw (embedding vector_cosine_ops);
INSERT INTO documents (slug, content, embedding) VALUES
    ('a', 'one', '[1,0,0]'), ('b', 'two', '[0,1,0]'), ('c', 'three', '[0,0,1]');";

impl Bench {
    /// An empty database with a store; none where there is no server.
    pub async fn new() -> Option<Bench> {
        let database = Cluster::named_by_env()?.database();
        let admin = connect(&database.url).await;
        Some(Bench { database, admin })
    }

    /// The same with the usual table, adopted.
    pub async fn adopted() -> Option<Bench> {
        let mut bench = Bench::new().await?;
        bench.sql(DOCUMENTS).await;
        bench.adopt("documents").await.unwrap();
        Some(bench)
    }

    pub async fn sql(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub async fn adopt(&mut self, table: &str) -> Result<Adopted, Error> {
        pinrail_adopt::adopt(&mut self.admin, table, "a test").await
    }

    pub async fn unadopt(&mut self, table: &str, drop_hidden: bool) -> Result<Unadopted, Error> {
        let how = Unadopting { drop_hidden, reason: "a test".to_owned(), batch: 2 };
        pinrail_adopt::unadopt(&mut self.admin, table, &how, |_, _| ()).await
    }

    /// Another connection.
    pub async fn another(&self) -> Client {
        connect(&self.database.url).await
    }

    /// The next ledger entry commits the deployment.
    pub async fn commit(&self, deployment: i64) {
        self.entry(&format!(
            "INSERT INTO pinrail.spans VALUES ({deployment}, (SELECT ledger_seq FROM pinrail.heads), NULL)
             ON CONFLICT (deployment) DO UPDATE SET committed = excluded.committed"
        ))
        .await;
    }

    /// The next ledger entry takes the deployment back: one row, whatever it hides.
    pub async fn roll_back(&self, deployment: i64) {
        self.entry(&format!(
            "INSERT INTO pinrail.spans VALUES ({deployment}, NULL, (SELECT ledger_seq FROM pinrail.heads))
             ON CONFLICT (deployment) DO UPDATE SET retracted = excluded.retracted"
        ))
        .await;
    }

    /// Opens a data job, as the ledger tells of it.
    pub async fn open_job(&self, deployment: i64) {
        let body =
            format!(r#"{{"body":{{"type":"deployment_opened","deployment":{deployment},"ingest":"load"}}}}"#);
        self.entry(&format!(
            "INSERT INTO pinrail.ledger (seq, hash, at, entry) SELECT ledger_seq, '\\x00', 0, '{body}' FROM pinrail.heads"
        ))
        .await;
    }

    pub async fn entry(&self, sql: &str) {
        self.sql(&format!("BEGIN; UPDATE pinrail.heads SET ledger_seq = ledger_seq + 1; {sql}; COMMIT"))
            .await;
    }

    /// A run of a deployment; its id as Pinrail tells it.
    pub async fn run_of(&self, deployment: i64, more: &str) -> String {
        let id = RunId::from_parts(1_700_000_000_000, u128::from(deployment.unsigned_abs()) << 40);
        self.sql(&format!(
            "INSERT INTO pinrail.runs (id, agent, tenant, single, deployment, release, started_at, queued, stamp, status, summary)
             VALUES ('{:032x}', 'support', 'default', true, {deployment}, '\\x00', 0, false, '{{{more}}}', 0, '{{}}')",
            id.0
        ))
        .await;
        id.to_string()
    }
}

/// Statements in one transaction, under settings such as `pinrail.run = 'run_…'`.
pub async fn within(client: &Client, settings: &[String], sql: &str) -> Result<(), SqlState> {
    let set: String = settings.iter().map(|setting| format!("SET LOCAL {setting};")).collect();
    let done = client.batch_execute(&format!("BEGIN; {set} {sql}; COMMIT")).await;
    if let Err(error) = done {
        client.batch_execute("ROLLBACK").await.unwrap();
        return Err(error.code().unwrap_or_else(|| panic!("{sql}: {error:?}")).clone());
    }
    Ok(())
}

/// What a query shows under settings: a text for each row, its columns joined by `|`.
pub async fn seen(client: &Client, settings: &[String], sql: &str) -> Vec<String> {
    let set: String = settings.iter().map(|setting| format!("SET LOCAL {setting};")).collect();
    let told = client.simple_query(&format!("BEGIN; {set} {sql}; COMMIT")).await;
    let told = told.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = told.iter().filter_map(|message| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        Some((0..row.len()).map(|n| row.get(n).unwrap_or("∅")).collect::<Vec<_>>().join("|"))
    });
    rows.collect()
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client.batch_execute("SET hnsw.iterative_scan = strict_order").await.unwrap();
    client
}
