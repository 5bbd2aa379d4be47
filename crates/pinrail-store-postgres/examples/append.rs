//! How fast journals are kept: `cargo run --release -p pinrail-store-postgres --example append -- URL [WRITES] [CALLERS]`.
//!
//! The URL is of a role that may create databases; one is made for each load and dropped. Three loads: `notes` appends one event to each of many open runs,
//! `gateway` starts runs that come whole, as the gateway writes them, and `bare` puts the gateway's events into one plain table with an index,
//! one row each: the least that the server can do. A write is durable when it counts: look at the server's `fsync`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the terminal; a surprise must panic"
)]
#![expect(clippy::disallowed_methods, reason = "measuring reads a clock")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pinrail_domain::id::{AgentName, RunId, TenantId};
use pinrail_domain::time::Timestamp;
use pinrail_store::Journal;
use pinrail_store::conformance::sample;
use pinrail_store::journal::{Append, Start, Write};
use pinrail_store_postgres::testing::Cluster;
use pinrail_store_postgres::{Options, Postgres};

const SIZES: [usize; 4] = [1, 10, 100, 500];
const MEASURE: Duration = Duration::from_secs(3);
/// 2026-01-01.
const BEGIN_MS: u64 = 1_767_225_600_000;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("a URL of a role that may create databases");
    let sizes = args.next().map_or(SIZES.to_vec(), |size| vec![size.parse().unwrap()]);
    let callers = args.next().map_or(1, |callers| callers.parse().unwrap());
    let cluster = Cluster::at(&url);
    println!("load      writes  callers     writes/s     events/s   CPU us/write   ms/call");
    for &size in &sizes {
        measure("notes", size, callers, &cluster, move |n| note(n, (size * callers) as u64)).await;
    }
    for &size in &sizes {
        measure("gateway", size, callers, &cluster, gateway).await;
    }
    for &size in &sizes {
        measure_bare(size, &cluster).await;
    }
}

async fn measure(
    load: &str,
    size: usize,
    callers: usize,
    cluster: &Cluster,
    write: impl Fn(u64) -> Write + Copy + Send + 'static,
) {
    let database = cluster.database();
    let store = Postgres::connect(Options { pool_max: 4, ..Options::new(&database.url) }).await.unwrap();
    for first in (0..(size * callers) as u64).step_by(500) {
        let open = (first..(size * callers) as u64).take(500).map(|n| Write::Start(Box::new(start(n))));
        let open: Vec<Write> = open.collect();
        assert!(store.journal_write(open.into()).await.iter().all(Result::is_ok));
    }
    let (began, cpu) = (Instant::now(), cpu_time());
    let calls = (0..callers).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut calls, mut events) = (0_u64, 0_u64);
            while began.elapsed() < MEASURE {
                let first = (calls * callers as u64 + caller as u64) * size as u64;
                let batch: Vec<Write> = (first..first + size as u64).map(write).collect();
                events += batch.iter().map(count).sum::<u64>();
                let results = store.journal_write(Arc::new(batch)).await;
                assert!(results.iter().all(Result::is_ok), "{results:?}");
                calls += 1;
            }
            (calls, events)
        })
    });
    let (mut done, mut events) = (0, 0);
    for call in calls.collect::<Vec<_>>() {
        let (calls, some) = call.await.unwrap();
        done += calls;
        events += some;
    }
    print(load, size, callers, done, events, began.elapsed(), cpu_time().saturating_sub(cpu));
}

/// The least that the server can do with the gateway's events.
async fn measure_bare(size: usize, cluster: &Cluster) {
    let database = cluster.database();
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    let table = "CREATE TABLE public.bare (run uuid, seq int, at bigint, event text, PRIMARY KEY (run, seq))";
    client.batch_execute(table).await.unwrap();
    let sql = "INSERT INTO public.bare SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::text[])";
    let insert = client.prepare(sql).await.unwrap();
    let (began, cpu, mut calls, mut events) = (Instant::now(), cpu_time(), 0_u64, 0_u64);
    while began.elapsed() < MEASURE {
        let (mut runs, mut seqs, mut times, mut texts) = (vec![], vec![], vec![], vec![]);
        for n in 0..size as u64 {
            let Write::Start(start) = gateway(calls * size as u64 + n) else { continue };
            let plan = start.plan();
            let all = std::iter::once((plan.at, plan.event)).chain(start.events.clone());
            for (seq, (at, event)) in (0_i32..).zip(all) {
                runs.push(uuid::Uuid::from_u128(start.stamp.run.0));
                seqs.push(seq);
                times.push(at.0 as i64);
                texts.push(serde_json::to_string(&event).unwrap());
            }
        }
        events += runs.len() as u64;
        client.execute(&insert, &[&runs, &seqs, &times, &texts]).await.unwrap();
        calls += 1;
    }
    print("bare", size, 1, calls, events, began.elapsed(), cpu_time().saturating_sub(cpu));
}

fn print(load: &str, size: usize, callers: usize, calls: u64, events: u64, time: Duration, cpu: Duration) {
    let writes = (calls * size as u64) as f64;
    println!(
        "{load:<9} {size:>6} {callers:>8} {:>12.0} {:>12.0} {:>14.1} {:>9.2}",
        writes / time.as_secs_f64(),
        events as f64 / time.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / writes,
        time.as_secs_f64() * 1e3 * callers as f64 / calls as f64,
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
    let run = start(n % runs).stamp.run;
    Write::Append(Append { run, expected: None, events, answer: None, follows: None })
}

fn gateway(n: u64) -> Write {
    let mut start = start(0);
    let random = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834) >> 48;
    start.stamp.run = RunId::from_parts(BEGIN_MS + 1_000_000 + n / 20, random);
    start.at = Timestamp(BEGIN_MS + 1_000_000 + n / 20);
    start.stamp.single = true;
    start.stamp.agent = AgentName::new(["support", "planner", "executor"][(n % 3) as usize]).unwrap();
    start.stamp.tenant = TenantId::new(&format!("tenant-{}", n % 50)).unwrap();
    start.events = sample::one_call();
    Write::Start(Box::new(start))
}

fn start(n: u64) -> Start {
    let mut start = sample::start(sample::stamp(n));
    start.stamp.run = RunId::from_parts(BEGIN_MS + n, u128::from(n));
    start.at = Timestamp(BEGIN_MS + n);
    start
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}
