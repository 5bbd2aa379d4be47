//! Durable journal appends through the store, in groups, against raw inserts of rows of the same size.

use std::path::Path;
use std::sync::Arc;

use pinrail_domain::id::{RunId, TenantId};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::Journal as _;
use pinrail_store::journal::{Append, Start, Write};
use pinrail_store_sqlite::{Options, Sqlite};
use rusqlite::Connection;

use super::{Bench, Row, process};

/// Writers that wait for their group's commit.
const WRITERS: usize = 64;
/// Writes that each writer hands over at once.
const PER_WRITE: usize = 32;
/// The budgets: events per second, and the factor over raw inserts.
const EVENTS_PER_SECOND: f64 = 50_000.0;
const RAW_FACTOR: f64 = 2.0;

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let fsync = super::fsync_us(&bench.dir)?;
    let folder = bench.folder()?;
    let raw = raw_inserts(bench, folder.path())?;
    let ours = appends(bench, folder.path()).await?;
    let ratio = raw / ours;
    Ok(vec![
        Row::new("journal", "one 4 KiB write and sync on this disk, median", format!("{fsync} µs")),
        Row::new(
            "journal",
            format!("durable events/s, {WRITERS} writers in groups"),
            format!("{ours:.0} /s"),
        )
        .against(format!("{raw:.0} /s raw SQLite inserts"))
        .budget("≥ 50 000 /s", ours >= EVENTS_PER_SECOND),
        Row::new("journal", "against raw bulk insert", format!("{ratio:.2}×"))
            .budget("≤ 2×", ratio <= RAW_FACTOR),
    ])
}

/// Events per second, each acknowledged only when it is on disk.
async fn appends(bench: &Bench, folder: &Path) -> anyhow::Result<f64> {
    let store = Arc::new(Sqlite::open(Options::new(folder.join("pinrail.db")))?);
    let runs: Vec<RunId> = (0..WRITERS as u128).map(|n| RunId::from_parts(1, n)).collect();
    let starts = runs.iter().map(|run| Ok(Write::Start(Box::new(start(*run)?))));
    for written in store.journal_write(starts.collect::<anyhow::Result<Vec<_>>>()?.into()).await {
        written?;
    }
    let begun = process::now();
    let seconds = bench.seconds;
    let writers = runs.into_iter().map(|run| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut events = 0_u64;
            while begun.elapsed() < seconds {
                let writes: Vec<Write> = (0..PER_WRITE).map(|n| append(run, n as u64)).collect();
                for written in store.journal_write(writes.into()).await {
                    written?;
                    events += 1;
                }
                if events >= pinrail_store::journal::EVENTS_PER_RUN_MAX - PER_WRITE as u64 {
                    break;
                }
            }
            anyhow::Ok(events)
        })
    });
    let mut events = 0;
    for writer in writers.collect::<Vec<_>>() {
        events += writer.await??;
    }
    Ok(events as f64 / begun.elapsed().as_secs_f64())
}

/// Rows per second of a plain table with the same bytes, in transactions of as many rows.
fn raw_inserts(bench: &Bench, folder: &Path) -> anyhow::Result<f64> {
    let mut connection = Connection::open(folder.join("raw.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "create table events (run integer, seq integer, body blob, primary key (run, seq)) without rowid",
    )?;
    let (begun, mut rows) = (process::now(), 0_i64);
    while begun.elapsed() < bench.seconds {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert into events values (?1, ?2, ?3)")?;
            for n in 0..(WRITERS * PER_WRITE) as i64 {
                let body = serde_json::to_vec(&event(n.unsigned_abs()))?;
                insert.execute((n % WRITERS as i64, rows, body))?;
                rows += 1;
            }
        }
        transaction.commit()?;
    }
    Ok(rows as f64 / begun.elapsed().as_secs_f64())
}

fn event(n: u64) -> Event {
    Event::Note { name: "step".to_owned(), data: serde_json::json!({ "n": n, "text": "x".repeat(120) }) }
}

fn append(run: RunId, n: u64) -> Write {
    Write::Append(Append {
        run,
        expected: None,
        events: vec![(Timestamp(n), event(n))],
        answer: None,
        follows: None,
    })
}

fn start(run: RunId) -> anyhow::Result<Start> {
    let stamp: Stamp = serde_json::from_value(serde_json::json!({
        "run": run, "agent": "bench", "tenant": TenantId::shared(), "deployment": 1,
        "release": pinrail_domain::digest::Digest::of(b"bench"), "segment": "default", "epoch": 1, "via": "active",
        "provider": "sim", "snapshot": "sim-1-2026-01-15",
    }))?;
    Ok(Start {
        stamp,
        at: Timestamp(1),
        queued: false,
        events: Vec::new(),
        bind: None,
        current: false,
        answer: None,
    })
}
