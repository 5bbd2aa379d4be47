//! How soon a turn of the dial is everywhere: acknowledged by members over real connections, and enforced by the server's
//! own gateway. A rollback's way to the same members, in the same run, is the baseline.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::StatusCode;
use pinrail_api::deployments::Flip;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;

use super::super::members::{self, Line, MEMBERS};
use super::super::{process, quantile};
use super::{AGENT, Bench, Row, turn};

/// Turns measured, half of them down; and rollbacks.
const TURNS: usize = 400;
const TURNS_QUICK: usize = 200;
/// Turns to `off` that are followed until the gateway refuses.
const REFUSALS: usize = 100;
/// The budget for the last member to acknowledge.
const ALL_US: u64 = 100_000;
/// A member that says nothing for this long is lost; well below a lease.
const PATIENCE: Duration = Duration::from_secs(10);

/// Times in microseconds, sorted.
struct Times(Vec<u64>);

pub(super) async fn measure(
    bench: &Bench,
    port: u16,
    operator: &mut Line,
    release: &Value,
) -> anyhow::Result<Vec<Row>> {
    let turns = if bench.quick { TURNS_QUICK } else { TURNS };
    let (heard, mut hears) = mpsc::unbounded_channel();
    let mut members = members::register(port, Some(heard)).await?;
    let (mut down, mut up, mut back) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns / 2 {
        for (position, took) in [("read_only", &mut down), ("full", &mut up)] {
            let start = process::now();
            let epoch = turn(operator, AGENT, position).await?;
            took.push(acknowledged(&mut hears, epoch).await?.duration_since(start));
        }
        let wish = json!({ "releases": { AGENT: release }, "weight": 2_000, "lift_hold": true });
        let opened: Flip = operator.post("deployments", &wish).await?;
        acknowledged(&mut hears, opened.epoch.0).await?;
        let start = process::now();
        let path = format!("deployments/{}/rollback", opened.deployment);
        let flip: Flip = operator.post(&path, &json!({ "reason": "bench" })).await?;
        back.push(acknowledged(&mut hears, flip.epoch.0).await?.duration_since(start));
    }
    members.shutdown().await;
    let back = format!("{} a rollback's", Times::of(back));
    let mut rows = Vec::new();
    for (which, took) in [("down", down), ("up", up)] {
        let took = Times::of(took);
        let what = format!(
            "turn {which}, call to acknowledged by all of {MEMBERS} local members, {} turns",
            turns / 2
        );
        let met = took.worst() <= ALL_US;
        rows.push(Row::new("dial", what, took.to_string()).against(back.clone()).budget("≤ 100 ms", met));
    }
    rows.push(enforced(port, operator).await?);
    Ok(rows)
}

/// When the last member had acknowledged the epoch.
async fn acknowledged(hears: &mut UnboundedReceiver<(u64, Instant)>, epoch: u64) -> anyhow::Result<Instant> {
    let mut last = None;
    for _ in 0..MEMBERS {
        loop {
            let heard = tokio::time::timeout(PATIENCE, hears.recv()).await;
            let (acknowledged, at) = heard
                .with_context(|| format!("not everyone acknowledged epoch {epoch}"))?
                .context("all members are gone")?;
            if acknowledged >= epoch {
                last = last.max(Some(at));
                break;
            }
        }
    }
    last.context("there are members")
}

/// From the call until the gateway's first refusal: somebody asks without a pause on another connection.
async fn enforced(port: u16, operator: &mut Line) -> anyhow::Result<Row> {
    let (mut refused, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..REFUSALS {
        let (begun, goes_on) = oneshot::channel();
        let asks = tokio::spawn(until_refused(Line::open(port).await?, begun));
        goes_on.await.context("the gateway answers while the dial is at full")?;
        let start = process::now();
        turn(operator, AGENT, "off").await?;
        answered.push(start.elapsed());
        // Whoever was told that it is off finds it off.
        let status = ask(operator).await?;
        anyhow::ensure!(status == StatusCode::SERVICE_UNAVAILABLE, "after the turn, an answer was {status}");
        refused.push(asks.await??.saturating_duration_since(start));
        turn(operator, AGENT, "full").await?;
    }
    let what = format!("turn to off, call to the server's own gateway's first refusal, {REFUSALS} turns");
    let answered = Times::of(answered);
    Ok(Row::new("dial", what, Times::of(refused).to_string()).against(format!("{answered} call to answer")))
}

/// Asks until it is refused, and says when that was.
async fn until_refused(mut line: Line, begun: oneshot::Sender<()>) -> anyhow::Result<Instant> {
    let first = ask(&mut line).await?;
    anyhow::ensure!(first.is_success(), "the first answer was {first}");
    let _ = begun.send(());
    loop {
        match ask(&mut line).await? {
            StatusCode::SERVICE_UNAVAILABLE => return Ok(process::now()),
            status => anyhow::ensure!(status.is_success(), "an answer was {status}"),
        }
    }
}

async fn ask(line: &mut Line) -> anyhow::Result<StatusCode> {
    let body = json!({ "model": AGENT, "messages": [{ "role": "user", "content": "Where is my order?" }] });
    line.status("POST", "/v1/chat/completions", &body).await
}

impl Times {
    fn of(took: Vec<Duration>) -> Times {
        let us = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut all: Vec<u64> = took.into_iter().map(us).collect();
        all.sort_unstable();
        Times(all)
    }

    fn worst(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (quantile(&self.0, 0.5), quantile(&self.0, 0.99));
        write!(f, "p50 {p50} µs, p99 {p99} µs, worst {} µs", self.worst())
    }
}
