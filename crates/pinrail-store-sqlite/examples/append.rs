//! Measures durable appends on the disk of a folder: `cargo run --release --example append [FOLDER [GROUP]]`.
//!
//! Two loads for every group size: single notes appended to open runs, and whole gateway runs (a start with
//! model request, model response and end). One batch is one group, so one sync. CPU is the whole process's,
//! JSON and encoding included.

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
}

async fn measure(load: &str, size: usize, folder: &std::path::Path, write: impl Fn(u64) -> Write) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = Sqlite::open(Options::new(folder.path().join("pinrail.db"))).unwrap();
    let open_runs = (0..size as u64).map(|n| Write::Start(Box::new(start(n)))).collect();
    assert!(store.journal_write(open_runs).await.iter().all(Result::is_ok));

    // Made beforehand: who makes the writes isn't measured, their encoding is.
    let (mut done, mut groups, mut events) = (0_u64, 0_u32, 0_u64);
    let (mut spent, mut cpu) = (Duration::ZERO, Duration::ZERO);
    while spent < MEASURE {
        let batch: Vec<Write> = (0..size as u64).map(|n| write(done + n)).collect();
        events += batch.iter().map(count).sum::<u64>();
        let (began, cpu_began) = (Instant::now(), cpu_time());
        let results = store.journal_write(batch).await;
        spent += began.elapsed();
        cpu += cpu_time().saturating_sub(cpu_began);
        assert!(results.iter().all(Result::is_ok));
        done += size as u64;
        groups += 1;
    }
    let per_second = |count: u64| count as f64 / spent.as_secs_f64();
    println!(
        "{load:<9} {size:>5} {:>12.0} {:>12.0} {:>14.1} {:>10.2}",
        per_second(done),
        per_second(events),
        cpu.as_secs_f64() * 1e6 / done as f64,
        spent.as_secs_f64() * 1e3 / f64::from(groups),
    );
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
    Write::Append(Append { run: sample::run(n % runs), expected: None, events, answer: None })
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
