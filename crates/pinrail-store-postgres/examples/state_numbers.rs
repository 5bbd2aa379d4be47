//! Measures state over PostgreSQL: appends beside the ledger's, a rollback's cost, and searches by index and exactly.
//!
//! `cargo run --release -p pinrail-store-postgres --features testing --example state_numbers -- [VECTORS]`, on the server that
//! `PINRAIL_TEST_POSTGRES` names, in a database of its own that is dropped at the end.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program to be read by whoever runs it: a surprise must panic, and time is what it measures"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::{Actor, Body, Draft};
use pinrail_domain::release::Metric;
use pinrail_domain::state::{Author, Content, Layer, Moment, Op, Origin, Space, StateKey, Value, digest};
use pinrail_domain::time::Timestamp;
use pinrail_store::ledger::Append;
use pinrail_store::state::{Batch, Nearest, Put};
use pinrail_store::{Ledger, State};
use pinrail_store_postgres::Postgres;
use pinrail_store_postgres::testing::{Cluster, Database};

const DIMS: usize = 384;
const BATCH: usize = 1_000;
const QUERIES: usize = 20;
const K: usize = 10;
/// The share of the records that each deployment has, in percent; the first is the ground.
const SHARES: [(u64, usize); 3] = [(0, 5), (1, 45), (2, 50)];

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Near one of a thousand centres, as texts about the same things are.
    fn vector(&mut self, centres: &[Vec<f32>]) -> Vec<f32> {
        let n = ((self.next() + 1.0) / 2.0 * centres.len() as f32) as usize % centres.len().max(1);
        let centre = centres.get(n);
        (0..DIMS).map(|at| centre.map_or(0.0, |centre| centre[at]) + 0.6 * self.next()).collect()
    }
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).map_or(200_000, |text| text.parse().unwrap());
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    let store = Postgres::connect(database.options_of_owner()).await.unwrap();
    database.execute("INSERT INTO pinrail.spans VALUES (1, 1, NULL), (2, 1, NULL)");
    let space = Space::vectors("default".parse().unwrap(), &"kb".parse().unwrap(), Digest::of(b"e"));
    let mut numbers = Numbers(0x5eed);
    let centres: Vec<Vec<f32>> = (0..1_000).map(|_| (0..DIMS).map(|_| numbers.next()).collect()).collect();

    let done = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(append_beside(store.clone(), Arc::clone(&done)));
    let start = Instant::now();
    let mut written = 0;
    for (deployment, percent) in SHARES {
        let mut left = count * percent / 100;
        while left > 0 {
            let some = left.min(BATCH);
            let vectors = (0..some).map(|_| numbers.vector(&centres)).collect();
            store.state_append(batch(&space, deployment, written, vectors)).await.unwrap();
            (left, written) = (left - some, written + some);
        }
    }
    let a_second = written as f64 / start.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    println!("{written} records of {DIMS} dimensions, in batches of {BATCH}: {a_second:.0} a second");
    println!("ledger appends meanwhile: {}", percentiles(beside.await.unwrap()));
    database.execute("ANALYZE pinrail.state; ANALYZE pinrail.state_content");
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| numbers.vector(&centres)).collect();
    searches(&store, &database, &space, &queries, count).await;
}

/// Appends to the ledger until it is told to stop; how long each append took.
async fn append_beside(store: Postgres, done: Arc<AtomicBool>) -> Vec<f64> {
    let mut waits = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let head = store.ledger_head().await.unwrap();
        let body = Body::HoldLifted { agent: "a".parse().unwrap(), segment: "default".parse().unwrap() };
        let draft = Draft { at: Timestamp(1), actor: Actor::System, reason: String::new(), body };
        let entry = head.seal(draft).unwrap();
        let start = Instant::now();
        store.ledger_append(Append::of(vec![entry])).await.unwrap();
        waits.push(start.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    waits
}

async fn searches(store: &Postgres, database: &Database, space: &Space, queries: &[Vec<f32>], count: usize) {
    let head = store.state_head().await.unwrap();
    // As of the head all count; then the last half is taken back, then the rest but the ground.
    let next = head.ledger.0 + 1;
    let start = Instant::now();
    database.execute(&format!("UPDATE pinrail.spans SET retracted = {next} WHERE deployment = 2"));
    let took = start.elapsed().as_secs_f64() * 1e3;
    println!("{} records taken back: {took:.1} ms, a new connection included", count / 2);
    database.execute(&format!("UPDATE pinrail.spans SET retracted = {} WHERE deployment = 1", next + 1));
    let moments = [("100 %", head.ledger.0, 100), ("50 %", next, 50), ("5 %", next + 1, 5)];
    let at = |ledger| Moment { state: head.state, ledger: LedgerSeq(ledger) };
    let mut exact = Vec::new();
    for (name, ledger, percent) in moments {
        let size = (count, count * percent / 100);
        let (found, times) = search(store, space, queries, at(ledger), size, true).await;
        println!("exact, {name} visible: {}", percentiles(times));
        exact.push(found);
    }
    let start = Instant::now();
    assert!(store.index_vectors(space, DIMS, Metric::Cosine).await.unwrap());
    println!("index made in {:.0} s", start.elapsed().as_secs_f64());
    for ((name, ledger, _), expected) in moments.into_iter().zip(&exact) {
        // Claimed as wholly visible, so that the index is walked at any share.
        let (found, times) = search(store, space, queries, at(ledger), (count, count), false).await;
        let hits = |(found, expected): (&Vec<StateSeq>, &Vec<StateSeq>)| {
            expected.iter().take(K).filter(|seq| found.contains(seq)).count()
        };
        let recall = found.iter().zip(expected).map(hits).sum::<usize>() as f64 / (QUERIES * K) as f64;
        println!("index, {name} visible: {}, recall@{K} {recall:.3}", percentiles(times));
    }
}

async fn search(
    store: &Postgres,
    space: &Space,
    queries: &[Vec<f32>],
    at: Moment,
    (operations, visible): (usize, usize),
    exact: bool,
) -> (Vec<Vec<StateSeq>>, Vec<f64>) {
    let (mut found, mut times) = (Vec::new(), Vec::new());
    for round in 0..2 {
        (found, times) = (Vec::new(), Vec::new());
        for query in queries {
            let asked = Nearest {
                space,
                own: None,
                at,
                vector: query,
                metric: Metric::Cosine,
                k: K,
                exact,
                operations,
                visible,
            };
            let start = Instant::now();
            let near = store.vectors_nearest(&asked).await.unwrap().unwrap();
            times.push(start.elapsed().as_secs_f64() * 1e3);
            assert!(!near.proven || exact || round == 0, "the walk found too little");
            found.push(near.seqs);
        }
        if exact {
            break;
        }
    }
    (found, times)
}

fn batch(space: &Space, deployment: u64, from: usize, vectors: Vec<Vec<f32>>) -> Batch {
    let author =
        Author { deployment: DeploymentId(deployment), origin: Origin::External, run: None, agent: None };
    let put = |(n, vector): (usize, Vec<f32>)| {
        let key = StateKey::new(&format!("key-{}", from + n)).unwrap();
        let content = Content::Value(Value { salt: [7; 16], json: "{}".to_owned(), vector: Some(vector) });
        let content_digest = content.digest().unwrap();
        let digest = digest(space, &key, Op::Put, &author, &[], content_digest);
        Put { space: space.clone(), key, op: Op::Put, parents: Vec::new(), content, content_digest, digest }
    };
    let puts = vectors.into_iter().enumerate().map(put).collect();
    assert_eq!(space.layer, Layer::Vectors);
    Batch { author: author.clone(), at: Timestamp(1), puts, expect: None, open: None, answer: None }
}

fn percentiles(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", at(0.5), at(0.99), at(1.0))
}
