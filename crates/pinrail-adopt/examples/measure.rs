//! Measures adopted tables: how long statements wait while a large table is adopted and given back, and what a search
//! finds, and how fast, when much is hidden.
//!
//! `cargo run --release -p pinrail-adopt --example measure -- URL locks [ROWS]` and `… -- URL search [ROWS] [DIMS]`. URL
//! is of an empty, migrated database with the extension vector; what it makes there stays.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures, and a surprise must panic"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pinrail_adopt::{Unadopting, adopt, unadopt};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Vectors in clusters of 400, as embeddings of real texts lie.
const VECTOR: &str = "CREATE OR REPLACE FUNCTION some_vector(i bigint, dims integer) RETURNS vector LANGUAGE sql VOLATILE AS
    $$ SELECT array_agg(sin((i % 500 + 1) * j * 0.7) + (random() - 0.5) * 0.8)::vector FROM generate_series(1, dims) j $$;";

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| args.get(at).map_or(default, |text| text.parse().unwrap());
    match (args.first(), args.get(1).map(String::as_str)) {
        (Some(url), Some("locks")) => locks(url, number(2, 1_000_000)).await,
        (Some(url), Some("search")) => search(url, number(2, 200_000), number(3, 64)).await,
        _ => println!("usage: measure URL locks [ROWS] | measure URL search [ROWS] [DIMS]"),
    }
}

/// What went on when a statement was sent.
const PHASES: [&str; 5] = ["before", "adopting", "adopted", "giving back", "after"];

async fn locks(url: &str, rows: usize) {
    let mut client = connect(url).await;
    run(&client, &format!(
        "{VECTOR} CREATE TABLE measured (id bigserial PRIMARY KEY, content text NOT NULL, embedding vector(8));
         INSERT INTO measured (content, embedding) SELECT 'document ' || i, some_vector(i, 8) FROM generate_series(1, {rows}) i;
         CREATE INDEX ON measured USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32); ANALYZE measured"
    ))
    .await;
    let phase = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for who in 0..4_usize {
        let (client, phase) = (connect(url).await, Arc::clone(&phase));
        tasks.push(tokio::spawn(async move { work(&client, who, rows, &phase).await }));
    }
    let settle = || tokio::time::sleep(Duration::from_secs(4));
    settle().await;
    phase.store(1, Ordering::SeqCst);
    let began = Instant::now();
    let adopted = adopt(&mut client, "measured", "measuring").await.unwrap();
    println!("adopting {rows} rows took {} ms, {} tries", began.elapsed().as_millis(), adopted.tries);
    phase.store(2, Ordering::SeqCst);
    settle().await;
    phase.store(3, Ordering::SeqCst);
    let began = Instant::now();
    let how = Unadopting { drop_hidden: false, reason: "measured".to_owned(), batch: 2_000 };
    let back = unadopt(&mut client, "measured", &how, |_, _| ()).await.unwrap();
    println!(
        "giving back took {} ms: {} keys settled beforehand, {} rows at the end",
        began.elapsed().as_millis(),
        back.settled,
        back.moved
    );
    phase.store(4, Ordering::SeqCst);
    settle().await;
    phase.store(9, Ordering::SeqCst);
    let mut taken: Vec<Vec<Vec<u128>>> = vec![vec![Vec::new(); PHASES.len()]; 2];
    let mut again = 0;
    for (who, task) in tasks.into_iter().enumerate() {
        let (phases, conflicts) = task.await.unwrap();
        again += conflicts;
        for (n, times) in phases.into_iter().enumerate() {
            taken[usize::from(who >= 2)][n].extend(times);
        }
    }
    println!("\n| phase | who | statements | p50 | p99 | longest |\n|---|---|---|---|---|---|");
    for (n, name) in PHASES.iter().enumerate() {
        for (who, times) in ["two readers", "two writers"].iter().zip(&mut taken) {
            let times = &mut times[n];
            times.sort_unstable();
            let at = |share: f64| {
                times.get(((times.len().max(1) - 1) as f64 * share) as usize).map_or(0, |us| *us)
            };
            println!(
                "| {name} | {who} | {} | {} µs | {} µs | {} µs |",
                times.len(),
                at(0.5),
                at(0.99),
                at(1.0)
            );
        }
    }
    println!("\n{again} writes met another's and were told to try again (40001)");
}

/// Reads (0, 1) or writes (2, 3) one row after the other; gives what each statement took, by phase.
async fn work(client: &Client, who: usize, rows: usize, phase: &AtomicUsize) -> (Vec<Vec<u128>>, usize) {
    let mut taken = vec![Vec::new(); PHASES.len()];
    let (mut n, mut again) = (who * 7919, 0);
    loop {
        let at = phase.load(Ordering::SeqCst);
        if at >= PHASES.len() {
            return (taken, again);
        }
        n = (n * 1_103_515_245 + 12_345) % 2_147_483_648;
        let id = n % rows + 1;
        let sql = match (who, n % 5) {
            (0 | 1, 0) => format!(
                "SELECT id FROM measured ORDER BY embedding <=> (SELECT some_vector({id}, 8)) LIMIT 10"
            ),
            (0 | 1, _) => format!("SELECT content FROM measured WHERE id = {id}"),
            (_, 0) => {
                format!("INSERT INTO measured (content, embedding) VALUES ('new', some_vector({id}, 8))")
            }
            (_, 1) => format!("DELETE FROM measured WHERE id = {id}"),
            (_, _) => format!("UPDATE measured SET content = 'changed' WHERE id = {id}"),
        };
        let began = Instant::now();
        if let Err(error) = client.batch_execute(&sql).await {
            assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("40001"), "{error:?}");
            again += 1;
        }
        taken[at].push(began.elapsed().as_micros());
    }
}

async fn search(url: &str, rows: usize, dims: usize) {
    let mut client = connect(url).await;
    run(&client, VECTOR).await;
    println!("{rows} rows, {dims} dimensions, HNSW with its defaults, 100 queries, ten neighbours each\n");
    println!("| visible | hidden in | recall@10 | p50 | p99 |\n|---|---|---|---|---|");
    for (visible, slot) in [(100, true), (50, true), (5, true), (50, false), (5, false)] {
        let ground = rows * visible / 100;
        run(&client, &format!(
            "CREATE TABLE measured (id bigint PRIMARY KEY, embedding vector({dims}));
             INSERT INTO measured SELECT i, some_vector(i, {dims}) FROM generate_series(1, {ground}) i;
             SET maintenance_work_mem = '1GB'; CREATE INDEX ON measured USING hnsw (embedding vector_cosine_ops)"
        ))
        .await;
        adopt(&mut client, "measured", "measuring").await.unwrap();
        let inner: String = client
            .query_one("SELECT 'pinrail_adopted_' || id FROM pinrail_adopted.tables", &[])
            .await
            .unwrap()
            .get(0);
        let hidden = if slot { "written_1" } else { "written" };
        // What a deployment that was taken back left, loaded at once: row by row its index would take an hour.
        run(&client, &format!(
            "DROP INDEX {inner}.{hidden}_embedding_idx;
             INSERT INTO {inner}.{hidden} SELECT i, some_vector(i, {dims}), 1, 7, 1 FROM generate_series({ground} + 1, {rows}) i;
             CREATE INDEX ON {inner}.{hidden} USING hnsw (embedding vector_cosine_ops);
             INSERT INTO {inner}.slots SELECT 1, 7 WHERE {slot}; INSERT INTO pinrail.spans VALUES (7, 1, 2)"
        ))
        .await;
        run(&client, "ANALYZE").await;
        let (recall, mut taken) = ask(&client, dims).await;
        taken.sort_unstable();
        let place = if visible == 100 {
            "–"
        } else if slot {
            "a slot"
        } else {
            "among others' rows"
        };
        println!(
            "| {visible} % | {place} | {recall:.3} | {} µs | {} µs |",
            taken[taken.len() / 2],
            taken[taken.len() * 99 / 100]
        );
        let how = Unadopting { drop_hidden: true, reason: "measured".to_owned(), batch: 2_000 };
        unadopt(&mut client, "measured", &how, |_, _| ()).await.unwrap();
        run(&client, "DROP TABLE measured; DELETE FROM pinrail.spans WHERE deployment = 7").await;
    }
}

/// Asks for neighbours by the index and by comparing everything.
async fn ask(client: &Client, dims: usize) -> (f64, Vec<u128>) {
    let (mut found, mut taken) = (0, Vec::new());
    for n in 0..110 {
        let sql = format!("SELECT some_vector({n}, {dims})::text");
        let query: String = client.query_one(&sql, &[]).await.unwrap().get(0);
        let by = |order: &str| format!("SELECT id FROM measured ORDER BY {order} LIMIT 10");
        let near = by(&format!("embedding <=> '{query}'"));
        let began = Instant::now();
        let rows = client.simple_query(&near).await.unwrap();
        let took = began.elapsed().as_micros();
        // The first ten warm up.
        if n < 10 {
            continue;
        }
        taken.push(took);
        let ids = |rows: &[SimpleQueryMessage]| -> Vec<String> {
            let id = |message: &SimpleQueryMessage| {
                let SimpleQueryMessage::Row(row) = message else { return None };
                row.get(0).map(str::to_owned)
            };
            rows.iter().filter_map(id).collect()
        };
        let exact = client.simple_query(&by(&format!("(embedding <=> '{query}') + 0"))).await.unwrap();
        let (near, exact) = (ids(&rows), ids(&exact));
        found += exact.iter().filter(|id| near.contains(id)).count();
    }
    (found as f64 / (taken.len() * 10) as f64, taken)
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    run(&client, "SET hnsw.iterative_scan = strict_order; SET jit = off").await;
    client
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}
