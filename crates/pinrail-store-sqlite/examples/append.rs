//! Measures durable appends on the disk of a folder: `cargo run --release --example append [FOLDER [GROUP]]`.
//!
//! Three loads for every group size: single notes appended to open runs; whole gateway runs (a start with model
//! request, model response and end); and, to compare, the same gateway runs put into a bare table, one row for
//! each event and nothing checked. One batch is one group, so one sync. CPU is the whole process's, JSON included.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the terminal; a surprise must panic"
)]
#![expect(clippy::disallowed_methods, reason = "measuring reads a clock")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pinrail_domain::id::{AgentName, RunId, TenantId};
use pinrail_domain::time::Timestamp;
use pinrail_store::Journal;
use pinrail_store::conformance::sample;
use pinrail_store::journal::{Append, Start, Write};
use pinrail_store_sqlite::{Options, Sqlite};

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
const MEASURE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let sizes = std::env::args().nth(2).map_or(SIZES.to_vec(), |size| vec![size.parse().unwrap()]);
    println!("load      group     writes/s     events/s   CPU us/write   ms/group");
    for &size in &sizes {
        measure("notes", size, &folder, |n| note(n, size as u64)).await;
    }
    for &size in &sizes {
        measure("gateway", size, &folder, gateway).await;
    }
    for &size in &sizes {
        measure_bare(size, &folder);
    }
}

async fn measure(load: &str, size: usize, folder: &std::path::Path, write: impl Fn(u64) -> Write) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = Sqlite::open(Options::new(folder.path().join("pinrail.db"))).unwrap();
    let open_runs = (0..size as u64).map(|n| Write::Start(Box::new(start(n)))).collect::<Vec<_>>();
    assert!(store.journal_write(open_runs.into()).await.iter().all(Result::is_ok));

    // Making the writes isn't measured, encoding them is.
    let mut spent = Spent::default();
    while spent.time < MEASURE {
        let batch: Vec<Write> = (0..size as u64).map(|n| write(spent.writes + n)).collect();
        let events = batch.iter().map(count).sum();
        let began = spent.begin();
        let results = store.journal_write(batch.into()).await;
        spent.end(began, size, events);
        assert!(results.iter().all(Result::is_ok));
    }
    spent.print(load, size);
}

/// The least that SQLite can do with the gateway's events, with the same settings.
fn measure_bare(size: usize, folder: &std::path::Path) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let mut db = rusqlite::Connection::open(folder.path().join("bare.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 4096;
         CREATE TABLE events (run BLOB, seq INTEGER, at INTEGER, event TEXT, PRIMARY KEY (run, seq))",
    )
    .unwrap();
    let mut spent = Spent::default();
    while spent.time < MEASURE {
        let batch: Vec<Write> = (0..size as u64).map(|n| gateway(spent.writes + n)).collect();
        let events = batch.iter().map(count).sum();
        let began = spent.begin();
        let group = db.transaction().unwrap();
        for write in batch {
            let Write::Start(start) = write else { continue };
            let plan = start.plan();
            let run = start.stamp.run.0.to_be_bytes();
            let all = std::iter::once((plan.at, plan.event)).chain(start.events);
            let mut insert = group.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4)").unwrap();
            for (seq, (at, event)) in (0_i64..).zip(all) {
                insert.execute((run, seq, at.0 as i64, serde_json::to_string(&event).unwrap())).unwrap();
            }
        }
        group.commit().unwrap();
        spent.end(began, size, events);
    }
    spent.print("bare", size);
}

/// What a load took.
#[derive(Default)]
struct Spent {
    writes: u64,
    events: u64,
    groups: u32,
    time: Duration,
    cpu: Duration,
}

impl Spent {
    fn begin(&self) -> (Instant, Duration) {
        (Instant::now(), cpu_time())
    }

    fn end(&mut self, (began, cpu): (Instant, Duration), writes: usize, events: u64) {
        self.time += began.elapsed();
        self.cpu += cpu_time().saturating_sub(cpu);
        self.writes += writes as u64;
        self.events += events;
        self.groups += 1;
    }

    fn print(&self, load: &str, size: usize) {
        let per_second = |count: u64| count as f64 / self.time.as_secs_f64();
        println!(
            "{load:<9} {size:>5} {:>12.0} {:>12.0} {:>14.1} {:>10.2}",
            per_second(self.writes),
            per_second(self.events),
            self.cpu.as_secs_f64() * 1e6 / self.writes as f64,
            self.time.as_secs_f64() * 1e3 / f64::from(self.groups),
        );
    }
}

fn count(write: &Write) -> u64 {
    match write {
        Write::Start(start) => 1 + start.events.len() as u64,
        Write::Append(append) => append.events.len() as u64,
    }
}

/// A note on one of `runs` open runs.
fn note(n: u64, runs: u64) -> Write {
    let events = vec![(Timestamp(n), sample::note("step"))];
    Write::Append(Append { run: sample::run(n % runs), expected: None, events, answer: None, follows: None })
}

fn gateway(n: u64) -> Write {
    // Beside the open runs, with the random part that real ids have.
    let mut start = start(0);
    let random = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834) >> 48;
    start.stamp.run = RunId::from_parts(1_000_000 + n / 20, random);
    start.stamp.single = true;
    start.stamp.agent = AgentName::new(["support", "planner", "executor"][(n % 3) as usize]).unwrap();
    start.stamp.tenant = TenantId::new(&format!("tenant-{}", n % 50)).unwrap();
    start.events = sample::one_call();
    Write::Start(Box::new(start))
}

fn start(n: u64) -> Start {
    sample::start(sample::stamp(n))
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}
