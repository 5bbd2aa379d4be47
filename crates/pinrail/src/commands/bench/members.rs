//! How long a rollback takes to reach everyone: members over real connections, each following the stream and
//! acknowledging what it brings.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem::Finder;
use pinrail_api::deployments::Flip;
use pinrail_api::members::{EpochReport, Registered};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::process::{self, Process};
use super::{Bench, Row, quantile};

/// Members that follow.
pub(super) const MEMBERS: usize = 100;
/// Rollbacks measured.
const MEASURED: usize = 200;
/// The budget for the last of them to acknowledge.
const LAST_US: u64 = 50_000;
/// Between two looks whether everyone has.
const LOOK: Duration = Duration::from_millis(5);
/// Looks until a member counts as lost: ten seconds, well below a lease.
const LOOKS_MAX: u32 = 2_000;
pub(super) const AGENT: &str = "bench";

/// A member's acknowledgement of an epoch, and when the server had taken it in.
pub(super) type Heard = UnboundedSender<(u64, Instant)>;

/// A connection of its own, kept open.
pub(super) struct Line(SendRequest<Full<Bytes>>);

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.folder()?;
    let port = process::free_port()?;
    let _server = Process::start(
        Command::new(std::env::current_exe()?)
            .args(["up", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--dir")
            .arg(folder.path()),
    )?;
    process::listening(port).await?;
    let mut operator = Line::open(port).await?;
    let releases = set_up(&mut operator).await?;
    let mut members = register(port, None).await?;
    let (mut last, mut each) = (Vec::new(), Vec::new());
    for _ in 0..MEASURED {
        let report = take_back(&mut operator, &releases).await?;
        let took = report.took.context("nobody acknowledged")?;
        last.push(took.max_us);
        each.push(took.p50_us);
    }
    members.shutdown().await;
    last.sort_unstable();
    each.sort_unstable();
    let (p50, p99) = (quantile(&last, 0.5), quantile(&last, 0.99));
    let half = quantile(&each, 0.5);
    let what = format!("rollback, flipped to acknowledged by all of {MEMBERS} local members");
    Ok(vec![
        Row::new("members", what, format!("p50 {p50} µs, p99 {p99} µs"))
            .against(format!("{half} µs half of them, p50"))
            .budget("p99 ≤ 50 ms", p99 <= LAST_US),
    ])
}

/// Members that follow the epoch, and tell of each that they acknowledged.
pub(super) async fn register(port: u16, heard: Option<Heard>) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut members = JoinSet::new();
    for n in 0..MEMBERS {
        let (mut acks, events) = (Line::open(port).await?, Line::open(port).await?);
        let wish = json!({ "name": format!("member-{n}"), "kind": "worker", "lease_ms": 300_000 });
        let me: Registered = acks.post("members", &wish).await?;
        members.spawn(follow(acks, events, me, heard.clone()));
    }
    Ok(members)
}

/// An agent with something active and something to try; returns the release to try.
pub(super) async fn set_up(operator: &mut Line) -> anyhow::Result<Value> {
    let _: Value = operator.put(&format!("agents/{AGENT}"), &json!({})).await?;
    let mut releases = Vec::new();
    for temperature in [0, 1] {
        let manifest = json!({
            "pinrail": 1,
            "model": { "provider": "sim", "snapshot": "sim-1-2026-01-15", "params": { "temperature": temperature } },
        });
        let made: Value = operator.post("releases", &json!({ "agent": AGENT, "manifest": manifest })).await?;
        releases.push(made["release"].clone());
    }
    let wish = json!({ "releases": { AGENT: releases[0] }, "now": true });
    let _: Flip = operator.post("deployments", &wish).await?;
    Ok(releases.swap_remove(1))
}

/// Opens a canary, lets everyone hear of it, takes it back, and waits until everyone has heard of that.
async fn take_back(operator: &mut Line, release: &Value) -> anyhow::Result<EpochReport> {
    let wish = json!({ "releases": { AGENT: release }, "weight": 2_000, "lift_hold": true });
    let opened: Flip = operator.post("deployments", &wish).await?;
    settled(operator, opened.epoch.0).await?;
    let path = format!("deployments/{}/rollback", opened.deployment);
    let back: Flip = operator.post(&path, &json!({ "reason": "bench" })).await?;
    settled(operator, back.epoch.0).await
}

async fn settled(operator: &mut Line, epoch: u64) -> anyhow::Result<EpochReport> {
    for _ in 0..LOOKS_MAX {
        // Looking costs the server something, too: not at once.
        tokio::time::sleep(LOOK).await;
        let report: EpochReport = operator.ask("GET", &format!("epochs/{epoch}"), None).await?;
        if report.settled {
            let all = report.acknowledged == MEMBERS as u64 + 1;
            anyhow::ensure!(all, "{} of {MEMBERS} members acknowledged", report.acknowledged - 1);
            return Ok(report);
        }
    }
    anyhow::bail!("not everyone acknowledged epoch {epoch}")
}

/// A member: acknowledges every epoch that the stream brings.
async fn follow(
    mut acks: Line,
    mut events: Line,
    me: Registered,
    heard: Option<Heard>,
) -> anyhow::Result<()> {
    let mut stream = events.send("GET", &me.watch, None).await?;
    let id = Finder::new("\nid: ");
    let path = format!("members/{}/ack", me.member);
    while let Some(frame) = stream.frame().await {
        // The server writes one event at a time.
        let Ok(data) = frame?.into_data() else { continue };
        let Some(at) = id.find(&data) else { continue };
        let digits = data[at + id.needle().len()..].split(|byte| !byte.is_ascii_digit()).next();
        let epoch: u64 = std::str::from_utf8(digits.unwrap_or_default())?.parse()?;
        let _: Value = acks.post(&path, &json!({ "epoch": epoch, "generation": me.generation })).await?;
        if let Some(heard) = &heard {
            heard.send((epoch, process::now()))?;
        }
    }
    Ok(())
}

impl Line {
    pub(super) async fn open(port: u16) -> anyhow::Result<Line> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Line(sender))
    }

    pub(super) async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.ask("POST", path, Some(body)).await
    }

    pub(super) async fn put<T: DeserializeOwned>(&mut self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.ask("PUT", path, Some(body)).await
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let answer = self.send(method, &format!("/api/v1/{path}"), body).await?.collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer)?)
    }

    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Incoming> {
        let response = self.request(method, path, body).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let said = response.into_body().collect().await?.to_bytes();
        anyhow::bail!("{method} {path} was answered {status}: {}", String::from_utf8_lossy(&said))
    }

    /// Asks, reads the answer to its end, and says only how it was answered.
    pub(super) async fn status(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<StatusCode> {
        let response = self.request(method, path, Some(body)).await?;
        let status = response.status();
        response.into_body().collect().await?;
        Ok(status)
    }

    async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.0.ready().await?;
        Ok(self.0.send_request(request).await?)
    }
}
