//! `pinrail bench`: measures the budgets against baselines of the same run, and prints one table.
//!
//! Everything runs on loopback and in temporary folders. Numbers of a shared machine vary: read the ratios.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::exit::Usage;
use crate::output::table::table;
use crate::output::{Output, talk};

mod chaos;
mod dashboard;
mod dial;
mod drift;
mod gateway;
mod journal;
mod load;
mod members;
mod process;
mod replicas;
mod resolve;
mod rollback;
mod rollouts;
mod search;
mod session;
mod soak;
mod stage;
mod stats;
mod upstream;

/// Measure Pinrail's budgets on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail bench                               every scenario
  pinrail bench gateway --seconds 10          the gateway against a direct connection and nginx
  pinrail bench gateway --streams 20000       so many idle streams at once
  pinrail bench soak --minutes 30             whether memory grows in half an hour of mixed load
  pinrail bench journal --dir /srv/pinrail    durable appends on the disk that will be used
  pinrail bench search --graph                searches in a view, with graphs too
  pinrail bench drift --models 200            how soon a swapped checkpoint is found, and false alarms
  pinrail bench dial --quick                  how soon a turn of the dial is everywhere, and its cost
  pinrail bench chaos --seed 7                ten minutes of faults: PostgreSQL and replicas killed, paused, cut off
  pinrail bench dashboard                     the home of 500 agents over a million runs, and what following it costs
  pinrail bench stats --seeds 10000           how soon harm is found in a canary, how often a gate lets it pass

The gateway's baseline is nginx (`proxy_pass`, 1 worker, keep-alive); without an nginx in PATH that column is left out.
Use a release build.")]
pub struct Args {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// How long each load lasts, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Folder for the temporary stores: the disk matters
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave out what takes longest: a million records, ten thousand streams
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    gateway: gateway::Wish,
    #[command(flatten)]
    soak: soak::Wish,
    #[command(flatten)]
    search: search::Wish,
    #[command(flatten)]
    rollouts: rollouts::Wish,
    #[command(flatten)]
    stats: stats::Seeds,
    #[command(flatten)]
    drift: drift::Wish,
    #[command(flatten)]
    chaos: chaos::Wish,
    /// Internal: answer as the fixed upstream on this port
    #[arg(long, hide = true)]
    upstream: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// Choosing the deployment, in process
    Resolve,
    /// Durable journal appends, against the raw store
    Journal,
    /// Taking a deployment back, with longer and longer ledgers and more and more state
    Rollback,
    /// How fast a rollback reaches all members
    Members,
    /// How fast a flip at one replica is in force at all, over a PostgreSQL made for it
    Replicas,
    /// Reading a session's memory, with many deployments before
    State,
    /// Nearest vectors in a view, against the bare index
    Search,
    /// The data plane, against direct and nginx
    Gateway,
    /// Whether the server's memory grows with what it has answered
    Soak,
    /// Whole rollouts of good and bad candidates, and how fast a breach is acted on
    Rollouts,
    /// How soon a rollout's statistics find harm, and how often they find none where none is
    Stats,
    /// How soon border prompts find a swapped checkpoint, and that quiet days raise nothing
    Drift,
    /// How soon a turn of the dial is everywhere, and what a dial costs each request
    Dial,
    /// How long the dashboard's home takes with many agents and a long journal, and what following it costs
    Dashboard,
    /// Whether the promises hold while replicas and PostgreSQL are killed, paused and cut off; alone, and only when named
    Chaos,
}

/// In the order in which they are measured.
const SCENARIOS: [Scenario; 14] = [
    Scenario::Resolve,
    Scenario::Journal,
    Scenario::Rollback,
    Scenario::Members,
    Scenario::Replicas,
    Scenario::State,
    Scenario::Search,
    Scenario::Gateway,
    Scenario::Soak,
    Scenario::Rollouts,
    Scenario::Stats,
    Scenario::Drift,
    Scenario::Dial,
    Scenario::Dashboard,
];

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub scenario: &'static str,
    pub what: String,
    pub measured: String,
    /// The baseline of the same run, and what it is.
    pub baseline: String,
    pub budget: String,
    /// `met`, `missed`, or empty where there is no budget.
    pub verdict: &'static str,
}

/// What every scenario needs.
pub struct Bench {
    seconds: Duration,
    dir: PathBuf,
    quick: bool,
}

impl Row {
    fn new(scenario: &'static str, what: impl Into<String>, measured: impl Into<String>) -> Row {
        let (baseline, budget) = (String::new(), String::new());
        Row { scenario, what: what.into(), measured: measured.into(), baseline, budget, verdict: "" }
    }

    fn against(mut self, baseline: impl Into<String>) -> Row {
        self.baseline = baseline.into();
        self
    }

    fn budget(mut self, budget: impl Into<String>, met: bool) -> Row {
        self.budget = budget.into();
        self.verdict = if met { "met" } else { "missed" };
        self
    }
}

impl Bench {
    /// A fresh folder that is gone when the value is dropped.
    fn folder(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(&self.dir)?)
    }
}

/// Measures and prints.
pub fn run(args: Args, out: Output) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(port) = args.upstream {
        runtime.block_on(upstream::serve(port))?;
        return Ok(ExitCode::SUCCESS);
    }
    if cfg!(debug_assertions) {
        talk("this is a debug build: its numbers mean nothing; use --release");
    }
    let dir = args.dir.unwrap_or_else(std::env::temp_dir);
    let bench = Bench { seconds: Duration::from_secs(args.seconds.max(1)), dir, quick: args.quick };
    if args.scenarios.contains(&Scenario::Chaos) {
        if args.scenarios.len() > 1 {
            return Err(Usage("chaos would disturb what else is measured: name it alone".to_owned()).into());
        }
        return runtime.block_on(chaos::run(&bench, args.chaos, args.soak.lasting(), out));
    }
    let wanted = |scenario| args.scenarios.is_empty() || args.scenarios.contains(&scenario);
    let mut rows = Vec::new();
    for scenario in SCENARIOS {
        if !wanted(scenario) {
            continue;
        }
        talk(&format!("measuring {scenario:?} …").to_lowercase());
        rows.extend(match scenario {
            Scenario::Resolve => resolve::measure(&bench)?,
            Scenario::Journal => runtime.block_on(journal::measure(&bench))?,
            Scenario::Rollback => runtime.block_on(rollback::measure(&bench))?,
            Scenario::Members => runtime.block_on(members::measure(&bench))?,
            Scenario::Replicas => runtime.block_on(replicas::measure(&bench))?,
            Scenario::State => runtime.block_on(session::measure(&bench))?,
            Scenario::Search => runtime.block_on(search::measure(&bench, args.search))?,
            Scenario::Gateway => runtime.block_on(gateway::measure(&bench, args.gateway))?,
            Scenario::Soak => {
                let named = args.scenarios.contains(&Scenario::Soak);
                runtime.block_on(soak::measure(&bench, args.soak, named))?
            }
            Scenario::Rollouts => runtime.block_on(rollouts::measure(&bench, args.rollouts))?,
            Scenario::Stats => stats::measure(&bench, args.stats)?,
            Scenario::Drift => runtime.block_on(drift::measure(&bench, args.drift))?,
            Scenario::Dial => runtime.block_on(dial::measure(&bench))?,
            Scenario::Dashboard => runtime.block_on(dashboard::measure(&bench))?,
            // It is no measurement: see above.
            Scenario::Chaos => Vec::new(),
        });
    }
    show(&rows, out)?;
    Ok(ExitCode::SUCCESS)
}

fn show(rows: &[Row], out: Output) -> anyhow::Result<()> {
    let line = |row: &Row| {
        let Row { scenario, what, measured, baseline, budget, verdict } = row.clone();
        vec![scenario.to_owned(), what, measured, baseline, budget, verdict.to_owned()]
    };
    let header = ["scenario", "what", "measured", "baseline", "budget", ""];
    out.value(&rows, || table(&header, rows.iter().map(line).collect(), "nothing was measured"))?;
    Ok(())
}

/// The value below which the share `q` of the sorted samples lies.
fn quantile(sorted: &[u64], q: f64) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(((last as f64) * q).round() as usize).copied().unwrap_or_default()
}

/// A folder's device speed: how long one small durable write takes, in microseconds (median).
fn fsync_us(dir: &Path) -> anyhow::Result<u64> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(dir)?;
    let mut samples = Vec::new();
    for _ in 0..200 {
        let start = process::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        samples.push(process::us_since(start));
    }
    samples.sort_unstable();
    Ok(quantile(&samples, 0.5))
}
