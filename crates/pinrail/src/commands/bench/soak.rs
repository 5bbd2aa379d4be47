//! A mixed load for a long time: does the server's memory grow with what it has answered?
//!
//! Whole answers, streams and streams that their client leaves, all at a steady pace, while the memory that the process allocated is sampled. The
//! first half fills caches and the allocator's pools; over the second half a line is fitted. *No growth* is said when
//! zero lies within the slope's noise, which is two standard errors, widened for samples that resemble the one before.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::gateway::idle;
use super::load::{Asks, Load};
use super::process;
use super::stage::{SOON, Stage};
use super::{Bench, Row};

/// How long the load lasts.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "soak-wish")]
pub struct Wish {
    /// Soak, chaos: how many minutes it lasts [default: 10 when it is named; half a minute of soak otherwise; one round
    /// of chaos with --quick]
    #[arg(long)]
    minutes: Option<f64>,
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(30);
/// Between two samples; shorter where the whole is short.
const SAMPLE: Duration = Duration::from_secs(5);
const SAMPLES_MIN: u32 = 60;
/// Clients of each kind, and the pause of each between two requests: some thousand requests a second in all, so that the
/// journal of ten minutes is a gigabyte and not ten.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);
/// Between two chunks of a stream.
const CHUNK_PAUSE_MS: u64 = 2;

/// What was asked so far.
#[derive(Default)]
struct Counts {
    whole: AtomicU64,
    streams: AtomicU64,
    cancelled: AtomicU64,
}

/// A line through samples.
struct Line {
    /// In megabytes a minute, as is the noise.
    slope: f64,
    noise: f64,
    mean_mb: f64,
}

impl Wish {
    /// How long it lasts, as told.
    pub fn lasting(self) -> Option<Duration> {
        self.minutes.map(|minutes| Duration::from_secs_f64(minutes.clamp(0.1, 10_000.0) * 60.0))
    }
}

pub async fn measure(bench: &Bench, wish: Wish, named: bool) -> anyhow::Result<Vec<Row>> {
    let lasting = wish.lasting().unwrap_or(if named && !bench.quick { LONG } else { SHORT });
    let stage = Stage::set(bench).await?;
    let counts = Arc::new(Counts::default());
    let until = process::now() + lasting;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let asks = [Asks::Whole, Asks::Stream { pause_ms: CHUNK_PAUSE_MS }];
        for asks in asks {
            clients.spawn(answered(stage.port, asks, until, Arc::clone(&counts)));
        }
        clients.spawn(leaving(stage.port, until, Arc::clone(&counts)));
    }
    let samples = sample(&stage, lasting).await?;
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let line = Line::of(&samples[samples.len() / 2..]);
    let grows = line.slope > line.noise;
    let first = samples.first().map_or(0.0, |(_, mb)| *mb);
    let peak = samples.iter().fold(0.0_f64, |peak, (_, mb)| peak.max(*mb));
    let at = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let what = format!(
        "{:.1} minutes of {} answers, {} streams, {} cancelled streams: allocated memory, second half",
        lasting.as_secs_f64() / 60.0,
        at(&counts.whole),
        at(&counts.streams),
        at(&counts.cancelled)
    );
    let measured = format!(
        "{:+.2} MB a minute ± {:.2}: {}; mean {:.0} MB, most {peak:.0} MB",
        line.slope,
        line.noise,
        if grows { "it grows" } else { "no growth" },
        line.mean_mb
    );
    let row = Row::new("soak", what, measured).against(format!("{first:.0} MB at the start"));
    Ok(vec![row.budget("no growth beyond noise (two standard errors)", !grows)])
}

/// Asks over one connection until it is time.
async fn answered(port: u16, asks: Asks, until: Instant, counts: Arc<Counts>) -> anyhow::Result<()> {
    let load = Load { port, model: SOON, asks, concurrency: 1, seconds: Duration::ZERO };
    let mut line = load.connect().await?;
    let count = if asks == Asks::Whole { &counts.whole } else { &counts.streams };
    while process::now() < until {
        line.ask().await?;
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Begins streams and leaves: by turns before the first chunk and after it.
async fn leaving(port: u16, until: Instant, counts: Arc<Counts>) -> anyhow::Result<()> {
    let request = idle::request(Asks::Stream { pause_ms: CHUNK_PAUSE_MS });
    let mut early = false;
    while process::now() < until {
        if early {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.write_all(&request).await?;
        } else {
            drop(idle::begin(port, &request).await?);
        }
        early = !early;
        counts.cancelled.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Minutes since the start and megabytes, again and again.
async fn sample(stage: &Stage, lasting: Duration) -> anyhow::Result<Vec<(f64, f64)>> {
    let start = process::now();
    let mut ticks = tokio::time::interval(SAMPLE.min(lasting / SAMPLES_MIN));
    let mut samples = Vec::new();
    while start.elapsed() < lasting {
        ticks.tick().await;
        samples.push((start.elapsed().as_secs_f64() / 60.0, stage.ours.allocated_mb()?));
    }
    Ok(samples)
}

impl Line {
    /// Least squares; the standard error is widened by how much neighbouring residuals are alike, as samples of one process
    /// are: with correlation `r` of neighbours, n samples say as much as n·(1−r)/(1+r) independent ones.
    fn of(samples: &[(f64, f64)]) -> Line {
        let n = samples.len().max(1) as f64;
        let (mean_x, mean_y) = samples.iter().fold((0.0, 0.0), |(x, y), s| (x + s.0 / n, y + s.1 / n));
        let spread: f64 = samples.iter().map(|s| (s.0 - mean_x).powi(2)).sum();
        let both: f64 = samples.iter().map(|s| (s.0 - mean_x) * (s.1 - mean_y)).sum();
        let slope = if spread > 0.0 { both / spread } else { 0.0 };
        let rest: Vec<f64> = samples.iter().map(|s| s.1 - mean_y - slope * (s.0 - mean_x)).collect();
        let squares: f64 = rest.iter().map(|r| r * r).sum();
        let alike: f64 = rest.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let r = if squares > 0.0 { (alike / squares).clamp(0.0, 0.95) } else { 0.0 };
        let error = if n > 2.0 && spread > 0.0 { (squares / (n - 2.0) / spread).sqrt() } else { 0.0 };
        Line { slope, noise: 2.0 * error * ((1.0 + r) / (1.0 - r)).sqrt(), mean_mb: mean_y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_growth_only_beyond_its_noise() {
        let check = |per_minute: f64, jitter: &dyn Fn(usize) -> f64, want: bool| {
            let samples: Vec<(f64, f64)> =
                (0..60).map(|n| (n as f64 / 12.0, 80.0 + per_minute * n as f64 / 12.0 + jitter(n))).collect();
            let line = Line::of(&samples);
            assert_eq!(line.slope > line.noise, want, "{per_minute}: {} ± {}", line.slope, line.noise);
        };
        let saw = |n: usize| [0.0, 0.4, -0.3, 0.1, -0.2][n % 5];
        check(0.0, &|_| 0.0, false);
        check(0.0, &saw, false);
        check(1.0, &saw, true);
        // Slow waves resemble a slope, and are none.
        check(0.0, &|n| (n as f64 / 9.0).sin(), false);
        check(-1.0, &saw, false);
    }
}
