//! The dashboard's home: how long it takes and how large it is with many agents and a long journal, and what following it costs.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use pinrail_domain::id::{RunId, TenantId};
use pinrail_domain::journal::{Event, Outcome, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::Journal as _;
use pinrail_store::journal::{Start, Write};
use pinrail_store_sqlite::{Options, Sqlite};
use serde_json::{Value, json};

use super::members::Line;
use super::process::{self, Process};
use super::{Bench, Row, quantile};
use crate::output::talk;

const AGENTS: usize = 500;
const RUNS: usize = 1_000_000;
/// The same for a quick look.
const AGENTS_QUICK: usize = 120;
const RUNS_QUICK: usize = 20_000;
/// Runs of the journal's last hour, which the counters read after a start; the others are of the day before.
const LAST_HOUR: usize = 20_000;
const RUNS_PER_WRITE: usize = 2_000;
const LOADS: usize = 300;
/// Pages that are open while runs are made.
const FOLLOWERS: usize = 20;
const RUNS_PER_SECOND: u64 = 10;
/// The budgets for one load: server time and bytes.
const LOAD_US: u64 = 50_000;
const BYTES: usize = 100_000;

/// What an agent's runs are stamped with.
struct Served {
    agent: String,
    deployment: u64,
    release: String,
}

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let (agents, runs) = if bench.quick { (AGENTS_QUICK, RUNS_QUICK) } else { (AGENTS, RUNS) };
    let folder = bench.folder()?;
    let served = {
        let (_server, port) = up(folder.path()).await?;
        set_up(port, agents).await?
    };
    talk(&format!("writing {runs} runs of {agents} agents …"));
    fill(folder.path(), &served, runs).await?;
    let (server, port) = up(folder.path()).await?;
    until_counted(port).await?;
    let mut rows = loads(port, agents, runs).await?;
    rows.extend(follows(bench, &server, port).await?);
    Ok(rows)
}

async fn up(folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = process::free_port()?;
    let listen = format!("127.0.0.1:{port}");
    let me = std::env::current_exe()?;
    let server = Process::start(Command::new(&me).args(["up", "--listen", &listen, "--dir"]).arg(folder))?;
    process::listening(port).await?;
    Ok((server, port))
}

/// Agents, each with a release of its own that serves.
async fn set_up(port: u16, agents: usize) -> anyhow::Result<Vec<Served>> {
    let mut operator = Line::open(port).await?;
    let mut served = Vec::new();
    for n in 0..agents {
        let agent = format!("bench-agent-{n:03}");
        let _: Value = operator.put(&format!("agents/{agent}"), &json!({})).await?;
        let manifest = json!({ "pinrail": 1, "model": {
            "provider": "sim", "snapshot": "sim-1-2026-06-01", "params": { "seed": n } } });
        let made: Value = operator.post("releases", &json!({ "agent": agent, "manifest": manifest })).await?;
        let wish = json!({ "releases": { (&agent): made["release"] }, "now": true });
        let flip: Value = operator.post("deployments", &wish).await?;
        let deployment = flip["deployment"].as_u64().unwrap_or_default();
        let release = made["release"].as_str().unwrap_or_default().to_owned();
        served.push(Served { agent, deployment, release });
    }
    Ok(served)
}

/// Writes runs into the store of a server that is stopped.
async fn fill(folder: &Path, served: &[Served], runs: usize) -> anyhow::Result<()> {
    let store = Sqlite::open(Options::new(folder.join(".pinrail").join("pinrail.db")))?;
    let now = process::unix_us() / 1_000;
    let recent = runs.min(LAST_HOUR);
    for first in (0..runs).step_by(RUNS_PER_WRITE) {
        let batch = (first..(first + RUNS_PER_WRITE).min(runs)).map(|n| {
            // Oldest first: a day, and then its last hour.
            let ago_ms = match n.checked_sub(runs - recent) {
                Some(place) => 3_600_000 * (recent - place) as u64 / recent as u64,
                None => 86_400_000 - 82_000_000 * n as u64 / runs as u64,
            };
            Ok(Write::Start(Box::new(run(&served[n % served.len()], n, now - ago_ms)?)))
        });
        for written in store.journal_write(Arc::new(batch.collect::<anyhow::Result<_>>()?)).await {
            written?;
        }
    }
    Ok(())
}

fn run(served: &Served, n: usize, at_ms: u64) -> anyhow::Result<Start> {
    let stamp: Stamp = serde_json::from_value(json!({
        "run": RunId::from_parts(at_ms, n as u128), "agent": served.agent, "tenant": TenantId::shared(), "single": true,
        "deployment": served.deployment, "release": served.release, "segment": "default", "epoch": 1, "via": "session",
        "provider": "sim", "snapshot": "sim-1-2026-06-01",
    }))?;
    let outcome = if n.is_multiple_of(50) { Outcome::Error } else { Outcome::Ok };
    let at = Timestamp(at_ms);
    let events = vec![(at, Event::Finished { outcome, why: None })];
    Ok(Start { stamp, at, queued: false, events, bind: None, current: false, answer: None })
}

async fn until_counted(port: u16) -> anyhow::Result<()> {
    let mut line = Line::open(port).await?;
    loop {
        let traffic: Value = line.ask("GET", "traffic?agent=bench-agent-000", None).await?;
        if traffic["complete"] == true {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn loads(port: u16, agents: usize, runs: usize) -> anyhow::Result<Vec<Row>> {
    let mut line = Line::open(port).await?;
    let (mut samples, mut bytes) = (Vec::new(), 0);
    for _ in 0..LOADS {
        let start = process::now();
        bytes = page(&mut line, "/").await?.len();
        samples.push(process::us_since(start));
    }
    samples.sort_unstable();
    let (p50, p99) = (quantile(&samples, 0.5), quantile(&samples, 0.99));
    let what = format!("home with {agents} agents and {runs} runs");
    Ok(vec![
        Row::new("dashboard", format!("{what}, p50 and p99"), format!("{} and {}", ms(p50), ms(p99)))
            .budget("p99 < 50 ms", p99 < LOAD_US),
        Row::new("dashboard", format!("{what}, its document"), format!("{:.1} kB", bytes as f64 / 1e3))
            .budget("< 100 kB", bytes < BYTES),
    ])
}

/// Follows the home while runs are made: how soon a change is sent, how large it is, and what each open page costs.
async fn follows(bench: &Bench, server: &Process, port: u16) -> anyhow::Result<Vec<Row>> {
    let alone = busy(bench, server, port).await?;
    let (mut followers, sent) = (Vec::new(), Arc::new((AtomicU64::new(0), AtomicU64::new(0))));
    for _ in 0..FOLLOWERS {
        let mut line = Line::open(port).await?;
        let document = String::from_utf8_lossy(&page(&mut line, "/").await?).into_owned();
        let followed = document.split("hx-sse:connect=\"").nth(1).and_then(|rest| rest.split('"').next());
        let path = followed.ok_or_else(|| anyhow::anyhow!("the home is not followed"))?.replace("&#38;", "&");
        let stream = line.send("GET", &path, None).await?;
        let counted = Arc::clone(&sent);
        followers.push(tokio::spawn(async move {
            let _line = line;
            read(stream, &counted).await
        }));
    }
    let followed = busy(bench, server, port).await?;
    followers.iter().for_each(tokio::task::JoinHandle::abort);
    let (events, bytes) = (sent.0.load(Ordering::Relaxed), sent.1.load(Ordering::Relaxed));
    let seconds = bench.seconds.as_secs_f64();
    let each = (followed.saturating_sub(alone)) as f64 / seconds / FOLLOWERS as f64;
    let row = format!("an open home, {RUNS_PER_SECOND} runs/s: CPU per second");
    let size = bytes as f64 / events.max(1) as f64;
    Ok(vec![
        Row::new("dashboard", row, format!("{each:.0} µs"))
            .against(format!("{:.0} µs/s without pages", alone as f64 / seconds)),
        Row::new("dashboard", "what is sent to it at once", format!("{:.1} kB", size / 1e3)),
    ])
}

/// CPU that the server takes while runs are made.
async fn busy(bench: &Bench, server: &Process, port: u16) -> anyhow::Result<u64> {
    let mut line = Line::open(port).await?;
    let (before, begun) = (server.cpu_us()?, process::now());
    let mut n = 0_u64;
    while begun.elapsed() < bench.seconds {
        let wish = json!({ "agent": format!("bench-agent-{:03}", n % 60) });
        let made: Value = line.post("runs", &wish).await?;
        let run = made["run"].as_str().unwrap_or_default();
        let _: Value = line.post(&format!("runs/{run}/finish"), &json!({ "outcome": "ok" })).await?;
        n += 1;
        let due = Duration::from_millis(n * 1_000 / RUNS_PER_SECOND);
        tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    Ok(server.cpu_us()? - before)
}

/// Reads events until the stream ends, and counts them and their bytes.
async fn read(mut stream: Incoming, counted: &(AtomicU64, AtomicU64)) -> anyhow::Result<()> {
    while let Some(frame) = stream.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        counted.0.fetch_add(u64::from(data.starts_with(b"data:")), Ordering::Relaxed);
        counted.1.fetch_add(data.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

async fn page(line: &mut Line, path: &str) -> anyhow::Result<Bytes> {
    Ok(line.send("GET", path, None).await?.collect().await?.to_bytes())
}

fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}
