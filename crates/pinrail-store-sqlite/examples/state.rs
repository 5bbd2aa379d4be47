//! Measures state on the disk of a folder: `cargo run --release --example state [FOLDER [RECORDS]]`.
//!
//! Appends of vectors in batches of a thousand, alone and several at once; small appends at once, sharing groups; then
//! a space's operations and whole records as they are loaded at a start; records by place; removal and erasure.
//! Making the records, digests included, isn't measured; encoding them for the store is. CPU is the whole process's.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the terminal; a surprise must panic"
)]
#![expect(clippy::disallowed_methods, reason = "measuring reads a clock")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::{Layer, Space};
use pinrail_store::State;
use pinrail_store::conformance::sample::all_at_once;
use pinrail_store::conformance::sample::state::{author, batch, set, set_vector, space};
use pinrail_store::state::{BATCH_MAX, Batch};
use pinrail_store_sqlite::{Options, Sqlite};

const DIMENSIONS: usize = 384;
/// Operations and records loaded with one question.
const PAGE: usize = 50_000;

#[tokio::main]
async fn main() {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let records = std::env::args().nth(2).map_or(100_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = Sqlite::open(Options::new(folder.path().join("pinrail.db"))).unwrap();
    println!("what                              records      seconds    records/s   ms/call   CPU us/record");
    vectors(&store, records, 1).await;
    vectors(&store, records, 8).await;
    small(&store).await;
    operations(&store, 1_000_000).await;
    reads(&store).await;
    take_away(&store).await;
    let bytes = std::fs::metadata(folder.path().join("pinrail.db")).unwrap().len();
    println!("file: {} MiB", bytes >> 20);
}

fn index() -> Space {
    space("acme", Layer::Vectors, "kb@0123456789ab")
}

fn embeddings(first: u64, count: usize) -> Batch {
    let vector = |n: u64| (0..DIMENSIONS as u64).map(|d| ((n * 31 + d) % 997) as f32 / 997.0).collect();
    let change = |n: u64| {
        let json = format!("{{\"source\":\"docs/page-{n}.md\",\"text\":\"passage {n} of the corpus\"}}");
        set_vector(&index(), &format!("docs/page-{n}.md#3"), &json, Some(vector(n)))
    };
    batch(&author(3), first, (first..).take(count).map(change).collect())
}

/// Batches of a thousand, some at once.
async fn vectors(store: &Sqlite, records: usize, at_once: usize) {
    let mut spent = Spent::new(format!("vectors, {at_once} batches at once"));
    while spent.records < records {
        let batches: Vec<Batch> =
            (0..at_once).map(|n| embeddings((spent.records + n * BATCH_MAX) as u64, BATCH_MAX)).collect();
        let began = Spent::begin();
        let appended = all_at_once(batches.into_iter().map(|batch| store.state_append(batch))).await;
        spent.add(began, at_once * BATCH_MAX);
        assert!(appended.iter().all(Result::is_ok));
    }
    spent.print();
}

/// One record each, as agents write memory.
async fn small(store: &Sqlite) {
    for at_once in [1, 32, 256] {
        let mut spent = Spent::new(format!("turns, {at_once} at once"));
        while spent.time < Duration::from_secs(2) {
            let appends = (0..at_once).map(|n| {
                let session = space("acme", Layer::Memory, &format!("support/session-{}", n % 50));
                let turn = set(
                    &session,
                    &format!("turn-{}-{n}", spent.records),
                    "{\"role\":\"user\",\"text\":\"hello\"}",
                );
                batch(&author(n as u64 % 9), 7, vec![turn])
            });
            let appends: Vec<Batch> = appends.collect();
            let began = Spent::begin();
            let appended = all_at_once(appends.into_iter().map(|batch| store.state_append(batch))).await;
            spent.add(began, at_once);
            assert!(appended.iter().all(Result::is_ok));
        }
        spent.print();
    }
}

async fn operations(store: &Sqlite, records: usize) {
    let facts = space("acme", Layer::Context, "facts");
    let mut spent = Spent::new("facts, 1 batch at once".to_owned());
    while spent.records < records {
        let first = spent.records;
        let changes =
            (first..first + BATCH_MAX).map(|n| set(&facts, &format!("customer/{n}"), "{\"tier\":\"gold\"}"));
        let batch = batch(&author(4), 9, changes.collect());
        let began = Spent::begin();
        store.state_append(batch).await.unwrap();
        spent.add(began, BATCH_MAX);
    }
    spent.print();
    let mut spent = Spent::new("load operations".to_owned());
    let mut after = StateSeq(0);
    loop {
        let began = Spent::begin();
        let page = store.state_operations(&facts, after, PAGE).await.unwrap();
        spent.add(began, page.len());
        let Some(last) = page.last() else { break };
        after = last.seq;
    }
    spent.print();
}

async fn reads(store: &Sqlite) {
    let mut spent = Spent::new("scan vectors".to_owned());
    let mut after = StateSeq(0);
    loop {
        let began = Spent::begin();
        let page = store.state_scan(&index(), after, 5_000).await.unwrap();
        spent.add(began, page.len());
        let Some(last) = page.last() else { break };
        after = last.operation.seq;
    }
    spent.print();
    let head = store.state_head().await.unwrap().state.0;
    let mut spent = Spent::new("records by place, 10 at once".to_owned());
    for n in 0..2_000_u64 {
        let seqs: Vec<StateSeq> = (0..10).map(|k| StateSeq(1 + (n * 10 + k) * 7_919 % head)).collect();
        let began = Spent::begin();
        let read = store.state_records(&seqs).await.unwrap();
        spent.add(began, read.len());
    }
    spent.print();
    let mut spent = Spent::new("head".to_owned());
    for _ in 0..5_000 {
        let began = Spent::begin();
        store.state_head().await.unwrap();
        spent.add(began, 1);
    }
    spent.print();
}

async fn take_away(store: &Sqlite) {
    let mut spent = Spent::new("remove, 1000 at once".to_owned());
    for _ in 0..20 {
        let began = Spent::begin();
        let removed = store.state_remove(DeploymentId(3), StateSeq(u64::MAX), 1_000).await.unwrap();
        spent.add(began, usize::try_from(removed).unwrap());
    }
    spent.print();
    let mut spent = Spent::new("erase, 1000 at once".to_owned());
    for n in 0..5 {
        let seqs: Vec<StateSeq> = (0..1_000).map(|k| StateSeq(50_000 + n * 1_000 + k)).collect();
        let began = Spent::begin();
        let erased = store.state_erase(&seqs).await.unwrap();
        spent.add(began, usize::try_from(erased).unwrap());
    }
    spent.print();
}

/// What a load took.
struct Spent {
    what: String,
    records: usize,
    calls: u32,
    time: Duration,
    cpu: Duration,
}

impl Spent {
    fn begin() -> (Instant, Duration) {
        (Instant::now(), cpu_time())
    }

    fn new(what: String) -> Spent {
        Spent { what, records: 0, calls: 0, time: Duration::ZERO, cpu: Duration::ZERO }
    }

    fn add(&mut self, (began, cpu): (Instant, Duration), records: usize) {
        self.time += began.elapsed();
        self.cpu += cpu_time().saturating_sub(cpu);
        self.records += records;
        self.calls += 1;
    }

    fn print(&self) {
        let seconds = self.time.as_secs_f64();
        println!(
            "{:<30} {:>10} {seconds:>12.2} {:>12.0} {:>9.3} {:>15.2}",
            self.what,
            self.records,
            self.records as f64 / seconds,
            seconds * 1e3 / f64::from(self.calls),
            self.cpu.as_secs_f64() * 1e6 / self.records as f64,
        );
    }
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}
