//! How long a flip takes to be in force everywhere: replicas as processes over one PostgreSQL, each followed by a stream.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use memchr::memmem::Finder;
use pinrail_api::deployments::Flip;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use super::chaos::fleet;
use super::chaos::server::{Postgres, Programs};
use super::members::{AGENT, Line, set_up};
use super::{Bench, Row, process, quantile};
use crate::config;
use crate::output::talk;

/// Replicas over one store.
const REPLICAS: usize = 4;
/// Rollbacks measured, at each replica in turn.
const MEASURED: usize = 100;
/// The budget for the last of the others to show it.
const SHOWN_US: u64 = 50_000;
/// How long a replica may take until it counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// A replica showed an epoch.
struct Shown {
    replica: usize,
    epoch: u64,
    at: Instant,
}

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.folder()?;
    let programs = match Programs::find(config::variable("PATH").as_deref()) {
        Ok(programs) => programs,
        Err(why) => {
            talk(&format!("replicas: skipped, {why}"));
            return Ok(Vec::new());
        }
    };
    programs.give(folder.path())?;
    let data = folder.path().join("postgres");
    let server = Postgres::make(&programs, &data).await?;
    let store = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", server.port);
    let replicas = fleet::start(REPLICAS, folder.path(), &store).await?;
    let (tell, mut shown) = mpsc::unbounded_channel();
    let mut followers = JoinSet::new();
    let mut lines = Vec::new();
    for (n, replica) in replicas.iter().enumerate() {
        followers.spawn(follow(Line::open(replica.port).await?, n, tell.clone()));
        lines.push(Line::open(replica.port).await?);
    }
    let release = set_up(&mut lines[0]).await?;
    let (mut last, mut call) = (Vec::new(), Vec::new());
    for n in 0..MEASURED {
        let took = take_back(&mut lines, n % REPLICAS, &release, &mut shown).await?;
        last.push(took.last_us);
        call.push(took.call_us);
    }
    followers.shutdown().await;
    drop((replicas, server));
    last.sort_unstable();
    call.sort_unstable();
    let (p50, p99) = (quantile(&last, 0.5), quantile(&last, 0.99));
    let call = quantile(&call, 0.5);
    let what =
        format!("rollback, committed at one of {REPLICAS} replicas to shown by the last of the others");
    Ok(vec![
        Row::new("replicas", what, format!("p50 {p50} µs, p99 {p99} µs"))
            .against(format!("{call} µs the call itself, p50"))
            .budget("p99 ≤ 50 ms", p99 <= SHOWN_US),
    ])
}

/// How long one rollback took.
struct Took {
    /// From the answer, which comes after the commit, until the last of the others showed it.
    last_us: u64,
    call_us: u64,
}

/// Opens a canary at a replica, waits until all show it, and takes it back there.
async fn take_back(
    lines: &mut [Line],
    at: usize,
    release: &Value,
    shown: &mut UnboundedReceiver<Shown>,
) -> anyhow::Result<Took> {
    let wish = json!({ "releases": { AGENT: release }, "weight": 2_000, "lift_hold": true });
    let opened: Flip = lines[at].post("deployments", &wish).await?;
    everywhere(opened.epoch.0, shown).await?;
    let called = process::now();
    let path = format!("deployments/{}/rollback", opened.deployment);
    let back: Flip = lines[at].post(&path, &json!({ "reason": "bench" })).await?;
    let committed = process::now();
    let times = everywhere(back.epoch.0, shown).await?;
    let others = times.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, shown)| *shown);
    let last = others.max().context("there are others")?;
    let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    // Who heard of the commit before the caller did took no time at all.
    Ok(Took { last_us: us(last.saturating_duration_since(committed)), call_us: us(committed - called) })
}

/// Waits until every replica showed the epoch, or a later one; when each did.
async fn everywhere(epoch: u64, shown: &mut UnboundedReceiver<Shown>) -> anyhow::Result<Vec<Instant>> {
    let mut times: Vec<Option<Instant>> = vec![None; REPLICAS];
    while times.iter().any(Option::is_none) {
        let heard = tokio::time::timeout(PATIENCE, shown.recv()).await;
        let heard = heard.with_context(|| format!("not every replica showed epoch {epoch}"))?;
        let Shown { replica, epoch: newest, at } = heard.context("a replica's stream ended")?;
        if newest >= epoch {
            times[replica].get_or_insert(at);
        }
    }
    Ok(times.into_iter().flatten().collect())
}

/// Tells of every epoch that a replica's stream brings.
async fn follow(mut line: Line, replica: usize, tell: UnboundedSender<Shown>) -> anyhow::Result<()> {
    let mut stream = line.send("GET", "/api/v1/watch", None).await?;
    let id = Finder::new("id: ");
    while let Some(frame) = stream.frame().await {
        // The server writes one event at a time.
        let Ok(data) = frame?.into_data() else { continue };
        let Some(at) = id.find(&data) else { continue };
        let digits = data[at + id.needle().len()..].split(|byte| !byte.is_ascii_digit()).next();
        let epoch: u64 = std::str::from_utf8(digits.unwrap_or_default())?.parse()?;
        tell.send(Shown { replica, epoch, at: process::now() })?;
    }
    Ok(())
}
