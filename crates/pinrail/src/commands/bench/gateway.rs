//! The data plane against a direct connection and nginx, all on the same upstream in the same run.

use std::time::Duration;

use anyhow::Context as _;

use super::load::{Asks, Load, Outcome};
use super::process::Process;
use super::stage::{DURABLE, SOON, Stage};
use super::upstream::CHUNKS;
use super::{Bench, Row, quantile};

pub mod idle;

/// What the data plane is asked to carry.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "gateway-wish")]
pub struct Wish {
    /// Gateway: silent streams that are held open at once [default: 10000, and 1000 with --quick]
    #[arg(long)]
    streams: Option<usize>,
}

/// Connections that each keep one request in flight.
const CONCURRENCY: [usize; 3] = [1, 32, 256];
/// Where the budget of CPU per request holds.
const BUDGETED: usize = 32;
/// The budgets of the design, as factors over nginx or microseconds.
const CPU_SOON_FACTOR: f64 = 3.0;
const CPU_DURABLE_FACTOR: f64 = 4.0;
const ADDED_US: u64 = 150;
const STREAM_ADDED_US: u64 = 500;
const STREAM_FIRST_US: u64 = 200;
const FRESH_MB: f64 = 60.0;
/// Between two chunks: where one stream is measured alone as fast as timers go, else the pace of a quick model. 256 streams
/// of a thousand chunks a second each would measure nothing but the machine's last core.
const PAUSE_ALONE_MS: u64 = 1;
const PAUSE_MS: u64 = 20;
/// Connections and caches fill in well under a second.
const WARM_UP: Duration = Duration::from_millis(500);

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
    resident_mb: Option<f64>,
}

/// What the lines of the same load are compared with.
#[derive(Default)]
struct Baseline {
    direct: Outcome,
    nginx_cpu_us: Option<f64>,
}

pub async fn measure(bench: &Bench, wish: Wish) -> anyhow::Result<Vec<Row>> {
    let stage = Stage::set(bench).await?.with_nginx().await?;
    let direct = Target { name: "direct", port: stage.upstream_port, model: SOON, process: None };
    let nginx = stage.nginx.as_ref().map(|(process, port)| Target {
        name: "nginx",
        port: *port,
        model: SOON,
        process: Some(process),
    });
    let ours = Some(&stage.ours);
    let soon = Target { name: "pinrail", port: stage.port, model: SOON, process: ours };
    let durable = Target { name: "pinrail, durable stamp", port: stage.port, model: DURABLE, process: ours };
    let all: Vec<&Target<'_>> =
        [Some(&direct), nginx.as_ref(), Some(&soon), Some(&durable)].into_iter().flatten().collect();
    let fsync = super::fsync_us(&bench.dir)?;
    let loads: &[usize] = if bench.quick { &CONCURRENCY[..2] } else { &CONCURRENCY };
    let fresh = stage.fresh_mb;
    let mut rows = vec![
        Row::new("gateway", "resident memory, idle", format!("{fresh:.0} MB"))
            .budget("≤ 60 MB", fresh <= FRESH_MB),
    ];
    for concurrency in loads {
        rows.extend(answers(bench, &all, *concurrency, fsync).await?);
    }
    for concurrency in loads {
        // Stamps are the same in streams, and so is what a durable one costs.
        rows.extend(streams(bench, &all[..all.len() - 1], *concurrency).await?);
    }
    drop(stage);
    rows.extend(idle::measure(bench, wish.streams).await?);
    Ok(rows)
}

/// Whole answers, as fast as they come.
async fn answers(
    bench: &Bench,
    targets: &[&Target<'_>],
    concurrency: usize,
    fsync: u64,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut base = Baseline::default();
    for target in targets {
        let measured = target.load(concurrency, Asks::Whole, bench.seconds).await?;
        let all = &measured.outcome.whole_us;
        let (p50, p99) = (quantile(all, 0.5), quantile(all, 0.99));
        let row = Row::new(
            "gateway",
            format!("{}, answers, {}", target.name, connections(concurrency)),
            format!(
                "{:.0} /s, p50 {p50} µs, p99 {p99} µs{}",
                measured.outcome.per_second(),
                measured.costs()
            ),
        );
        if target.name == "direct" {
            base.direct = measured.outcome;
            rows.push(row);
            continue;
        }
        let added = p50.saturating_sub(quantile(&base.direct.whole_us, 0.5));
        let added_p99 = p99.saturating_sub(quantile(&base.direct.whole_us, 0.99));
        let ratio = measured.cpu_us.zip(base.nginx_cpu_us).map(|(cpu, nginx)| cpu / nginx);
        let row = row.against(format!("p50 +{added} µs, p99 +{added_p99} µs{}", times_nginx(ratio)));
        let durable = target.model == DURABLE;
        rows.push(match (target.name, concurrency, ratio) {
            ("nginx", _, _) => {
                base.nginx_cpu_us = measured.cpu_us;
                row
            }
            (_, 1, _) if durable => {
                row.budget(format!("p50 ≤ +150 µs + one sync ({fsync} µs)"), added <= ADDED_US + fsync)
            }
            (_, 1, _) => row.budget("p50 ≤ +150 µs", added <= ADDED_US),
            (_, BUDGETED, Some(ratio)) => {
                let factor = if durable { CPU_DURABLE_FACTOR } else { CPU_SOON_FACTOR };
                row.budget(format!("≤ {factor:.0}× nginx's CPU"), ratio <= factor)
            }
            (_, _, _) => row,
        });
    }
    Ok(rows)
}

/// Streams at a model's pace: what the way adds to each chunk.
async fn streams(bench: &Bench, targets: &[&Target<'_>], concurrency: usize) -> anyhow::Result<Vec<Row>> {
    let pause_ms = if concurrency == 1 { PAUSE_ALONE_MS } else { PAUSE_MS };
    let mut rows = Vec::new();
    let mut base = Baseline::default();
    for target in targets {
        let measured = target.load(concurrency, Asks::Stream { pause_ms }, bench.seconds).await?;
        let at = |q: f64| {
            let Outcome { first_us, whole_us, .. } = &measured.outcome;
            (quantile(first_us, q), quantile(whole_us, q))
        };
        let ((first, last), (first_p99, last_p99)) = (at(0.5), at(0.99));
        let row = Row::new(
            "gateway",
            format!("{}, streams of {CHUNKS} chunks, {}", target.name, connections(concurrency)),
            format!(
                "{:.0} /s, on the way: first p50 {first} µs, p99 {first_p99} µs; last p50 {last} µs, p99 {last_p99} µs{}",
                measured.outcome.per_second(),
                measured.costs()
            ),
        );
        if target.name == "direct" {
            base.direct = measured.outcome;
            rows.push(row);
            continue;
        }
        let Outcome { first_us, whole_us, .. } = &base.direct;
        let first_added = first.saturating_sub(quantile(first_us, 0.5));
        let last_added = last.saturating_sub(quantile(whole_us, 0.5));
        let first_added_p99 = first_p99.saturating_sub(quantile(first_us, 0.99));
        let last_added_p99 = last_p99.saturating_sub(quantile(whole_us, 0.99));
        let ratio = measured.cpu_us.zip(base.nginx_cpu_us).map(|(cpu, nginx)| cpu / nginx);
        let row = row.against(format!(
            "first p50 +{first_added} µs, p99 +{first_added_p99} µs; last p50 +{last_added} µs, p99 +{last_added_p99} µs{}",
            times_nginx(ratio)
        ));
        rows.push(match (target.name, concurrency) {
            ("nginx", _) => {
                base.nginx_cpu_us = measured.cpu_us;
                row
            }
            (_, 1) => row.budget(
                "p50: first ≤ +200 µs, last ≤ +500 µs",
                first_added <= STREAM_FIRST_US && last_added <= STREAM_ADDED_US,
            ),
            (_, _) => row,
        });
    }
    Ok(rows)
}

impl Target<'_> {
    async fn load(&self, concurrency: usize, asks: Asks, seconds: Duration) -> anyhow::Result<Measured> {
        let load = |seconds| Load { port: self.port, model: self.model, asks, concurrency, seconds };
        load(WARM_UP).run().await.with_context(|| format!("warming {} up", self.name))?;
        let before = self.process.map(Process::cpu_us).transpose()?;
        let outcome = load(seconds).run().await.with_context(|| format!("measuring {}", self.name))?;
        let after = self.process.map(Process::cpu_us).transpose()?;
        let cpu_us =
            before.zip(after).map(|(before, after)| (after - before) as f64 / outcome.requests as f64);
        let resident_mb = self.process.map(Process::resident_mb).transpose()?;
        Ok(Measured { outcome, cpu_us, resident_mb })
    }
}

impl Measured {
    /// What it took of the process, where there is one.
    fn costs(&self) -> String {
        self.cpu_us
            .zip(self.resident_mb)
            .map_or_else(String::new, |(cpu, mb)| format!("; {cpu:.0} µs CPU each, {mb:.0} MB"))
    }
}

fn times_nginx(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("; {ratio:.1}× nginx's CPU"))
}

fn connections(concurrency: usize) -> String {
    if concurrency == 1 { "1 connection".to_owned() } else { format!("{concurrency} connections") }
}
