//! The data plane against a direct connection and nginx, all on the same upstream in the same run.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::output::talk;

use super::load::{Load, Outcome};
use super::process::{self, Process};
use super::{Bench, Row, quantile};

/// Agents of the measured server: one whose stamps follow soon, one whose stamps come first.
const SOON: &str = "bench-soon";
const DURABLE: &str = "bench-durable";
const CONCURRENCY: usize = 32;
/// The budgets of the design, as factors over nginx or microseconds.
const CPU_SOON_FACTOR: f64 = 3.0;
const CPU_DURABLE_FACTOR: f64 = 4.0;
const ADDED_US: u64 = 150;
const STREAM_ADDED_US: u64 = 500;
const STREAM_FIRST_US: u64 = 200;
const IDLE_MB: f64 = 60.0;

/// Someone that answers requests.
struct Target<'a> {
    name: &'static str,
    port: u16,
    model: &'static str,
    process: Option<&'a Process>,
}

/// One load on one target.
struct Measured {
    outcome: Outcome,
    cpu_us: Option<f64>,
}

pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = bench.folder()?;
    let upstream_port = process::free_port()?;
    let me = std::env::current_exe()?;
    let upstream = Command::new(&me).args(["bench", "--upstream"]).arg(upstream_port.to_string()).start()?;
    process::listening(upstream_port).await?;
    let (nginx, nginx_port) = start_nginx(folder.path(), upstream_port).await?;
    let port = process::free_port()?;
    let ours = Command::new(&me)
        .args(["up", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--dir")
        .arg(folder.path())
        .start()?;
    process::listening(port).await?;
    let idle_mb = ours.resident_mb()?;
    configure(port, upstream_port)?;

    let direct = Target { name: "direct", port: upstream_port, model: SOON, process: None };
    let nginx = nginx.as_ref().map(|nginx| Target {
        name: "nginx",
        port: nginx_port,
        model: SOON,
        process: Some(nginx),
    });
    let soon = Target { name: "pinrail", port, model: SOON, process: Some(&ours) };
    let durable = Target { name: "pinrail, durable stamp", port, model: DURABLE, process: Some(&ours) };
    let targets: Vec<&Target<'_>> =
        [Some(&direct), nginx.as_ref(), Some(&soon), Some(&durable)].into_iter().flatten().collect();

    let mut rows = vec![
        Row::new("gateway", "resident memory, idle", format!("{idle_mb:.0} MB"))
            .budget("≤ 60 MB", idle_mb <= IDLE_MB),
    ];
    rows.extend(throughput(bench, &targets).await?);
    rows.extend(latency(bench, &targets).await?);
    rows.extend(streaming(bench, &targets).await?);
    rows.push(Row::new(
        "gateway",
        "resident memory after the load",
        format!("{:.0} MB", ours.resident_mb()?),
    ));
    drop(upstream);
    Ok(rows)
}

async fn throughput(bench: &Bench, targets: &[&Target<'_>]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut nginx_cpu = None;
    for target in targets {
        let Measured { outcome, cpu_us } = target.load(CONCURRENCY, false, bench.seconds).await?;
        let what = format!("{}, {CONCURRENCY} connections", target.name);
        let p99 = quantile(&outcome.whole_us, 0.99);
        let mut measured = format!("{:.0} requests/s, p99 {p99} µs", outcome.per_second());
        if let Some(cpu) = cpu_us {
            measured.push_str(&format!(", {cpu:.0} µs CPU/request"));
        }
        let mut row = Row::new("gateway", what, measured);
        match (target.name, cpu_us, nginx_cpu) {
            ("nginx", cpu, _) => nginx_cpu = cpu,
            (_, Some(cpu), Some(baseline)) => {
                let factor = if target.model == DURABLE { CPU_DURABLE_FACTOR } else { CPU_SOON_FACTOR };
                let ratio = cpu / baseline;
                row = row
                    .against(format!("{ratio:.1}× nginx's CPU"))
                    .budget(format!("≤ {factor:.0}×"), ratio <= factor);
            }
            (_, _, _) => {}
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn latency(bench: &Bench, targets: &[&Target<'_>]) -> anyhow::Result<Vec<Row>> {
    let fsync = super::fsync_us(&bench.dir)?;
    let mut rows = Vec::new();
    let mut direct = 0;
    for target in targets {
        let outcome = target.load(1, false, bench.seconds / 2).await?.outcome;
        let p50 = quantile(&outcome.whole_us, 0.5);
        let row = Row::new("gateway", format!("{}, 1 connection, p50", target.name), format!("{p50} µs"));
        let added = p50.saturating_sub(direct);
        let row = row.against(format!("{added} µs added"));
        rows.push(match (target.name, target.model) {
            ("direct", _) => {
                direct = p50;
                Row::new("gateway", "direct, 1 connection, p50", format!("{p50} µs"))
            }
            ("nginx", _) => row,
            (_, DURABLE) => {
                row.budget(format!("≤ 150 µs + one sync ({fsync} µs)"), added <= ADDED_US + fsync)
            }
            (_, _) => row.budget("≤ 150 µs", added <= ADDED_US),
        });
    }
    Ok(rows)
}

async fn streaming(bench: &Bench, targets: &[&Target<'_>]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut direct = (0, 0);
    for target in targets.iter().filter(|target| target.model != DURABLE) {
        let outcome = target.load(1, true, bench.seconds / 2).await?.outcome;
        let (first, whole) = (quantile(&outcome.first_us, 0.5), quantile(&outcome.whole_us, 0.5));
        let what = format!("{}, stream of {} chunks, p50", target.name, super::upstream::CHUNKS);
        let row = Row::new("gateway", what, format!("first chunk {first} µs, last {whole} µs on the way"));
        let (first_added, whole_added) = (first.saturating_sub(direct.0), whole.saturating_sub(direct.1));
        let row_added = |row: Row| row.against(format!("first +{first_added} µs, last +{whole_added} µs"));
        rows.push(match target.name {
            "direct" => {
                direct = (first, whole);
                row
            }
            "nginx" => row_added(row),
            _ => row_added(row).budget(
                "first ≤ 200 µs, last ≤ 500 µs",
                first_added <= STREAM_FIRST_US && whole_added <= STREAM_ADDED_US,
            ),
        });
    }
    Ok(rows)
}

impl Target<'_> {
    async fn load(&self, concurrency: usize, streams: bool, seconds: Duration) -> anyhow::Result<Measured> {
        let load = |seconds| Load { port: self.port, model: self.model, streams, concurrency, seconds };
        load(WARM_UP).run().await.with_context(|| format!("warming {} up", self.name))?;
        let before = self.process.map(Process::cpu_us).transpose()?;
        let outcome = load(seconds).run().await.with_context(|| format!("measuring {}", self.name))?;
        let after = self.process.map(Process::cpu_us).transpose()?;
        let cpu_us =
            before.zip(after).map(|(before, after)| (after - before) as f64 / outcome.requests as f64);
        Ok(Measured { outcome, cpu_us })
    }
}

/// Connections and caches fill in well under a second.
const WARM_UP: Duration = Duration::from_millis(500);

trait Start {
    fn start(&mut self) -> anyhow::Result<Process>;
}

impl Start for Command {
    fn start(&mut self) -> anyhow::Result<Process> {
        Process::start(self)
    }
}

async fn start_nginx(folder: &std::path::Path, upstream: u16) -> anyhow::Result<(Option<Process>, u16)> {
    let port = process::free_port()?;
    let folder = folder.join("nginx");
    std::fs::create_dir(&folder)?;
    let config = format!(
        "worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log crit;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; keepalive_requests 1000000000;
           client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
           fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
           upstream model {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
           server {{
             listen 127.0.0.1:{port};
             location / {{
               proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;
             }}
           }}
         }}",
        dir = folder.display()
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, config)?;
    let mut command = Command::new("nginx");
    match command.arg("-e").arg(folder.join("error.log")).arg("-c").arg(&path).start() {
        Ok(nginx) => {
            process::listening(port).await?;
            Ok((Some(nginx), port))
        }
        Err(_) => {
            talk("there is no nginx in PATH: measuring without that baseline");
            Ok((None, port))
        }
    }
}

/// Makes the measured server's provider, agents and releases.
fn configure(port: u16, upstream: u16) -> anyhow::Result<()> {
    let api = format!("http://127.0.0.1:{port}/api/v1");
    let put = |path: &str, body: serde_json::Value| ureq::put(format!("{api}/{path}")).send_json(body);
    let post = |path: &str, body: serde_json::Value| -> anyhow::Result<serde_json::Value> {
        Ok(ureq::post(format!("{api}/{path}")).send_json(body)?.body_mut().read_json()?)
    };
    let spec = json!({ "base_url": format!("http://127.0.0.1:{upstream}/v1"), "catalogue": "sim" });
    put("providers/fixed", spec)?;
    for (agent, tier) in [(SOON, "standard"), (DURABLE, "critical")] {
        put(&format!("agents/{agent}"), json!({ "tier": "standard" }))?;
        let manifest =
            json!({ "pinrail": 1, "model": { "provider": "fixed", "snapshot": "sim-1-2026-01-15" } });
        let release = post("releases", json!({ "agent": agent, "manifest": manifest }))?;
        post("deployments", json!({ "releases": { agent: release["release"] }, "now": true }))?;
        // A promotion in tier critical would need a gate, which isn't what is measured here.
        put(&format!("agents/{agent}"), json!({ "tier": tier }))?;
    }
    Ok(())
}
