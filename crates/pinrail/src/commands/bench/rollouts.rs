//! Rollouts from end to end: real clients, a real server, the simulated provider, and four candidates.
//!
//! One is good, one is right in 80 % of its answers where the incumbent is in 95 % (and fine at everything else), one is
//! hopeless, and one gets hardly any traffic. Each is rolled out as often as there are seeds: another seed means other sessions, other questions
//! and another split. A session is two questions with one right answer each, and its client scores both answers.

use std::collections::BTreeMap;
use std::process::Command;

use crate::output::talk;

use super::process::{self, Process};
use super::{Bench, Row, quantile};

mod breach;
mod drive;
mod story;

use drive::{Candidate, Drive, Ended, Outcome};

/// Sessions of one rollout, at most.
const SESSIONS: usize = 3_000;
/// Sessions of the rollout that has too few of them.
const SESSIONS_FEW: usize = 40;
const SEEDS_QUICK: u64 = 3;
/// The budget from the end of the run that proves a breach to the flip, in milliseconds.
const FLIP_MS: f64 = 1_000.0;

/// What `pinrail bench rollouts` is asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "rollouts-wish")]
pub struct Wish {
    /// How often each kind of candidate is rolled out
    #[arg(long, default_value_t = 20)]
    pub rollouts: u64,
}

/// The candidates, each with the state that its rollout should end in.
const CANDIDATES: [Candidate; 4] = [
    Candidate { name: "good", model: "good-2026-09-01", sessions: SESSIONS, expected: Ended::Promoted },
    Candidate {
        name: "slightly-bad",
        model: "bad-2026-06-01",
        sessions: SESSIONS,
        expected: Ended::RolledBack,
    },
    Candidate {
        name: "hopeless",
        model: "broken-2026-07-01",
        sessions: SESSIONS,
        expected: Ended::RolledBack,
    },
    Candidate { name: "unused", model: "good-2026-09-01", sessions: SESSIONS_FEW, expected: Ended::Asks },
];

/// The provider's script: accuracies as in the builtin one, and a checkpoint that fails nearly always.
const SCRIPT: &str = r#"
[[checkpoint]]
id = "now-2026-01-15"
accuracy = 0.95
[[checkpoint]]
id = "good-2026-09-01"
accuracy = 0.96
[[checkpoint]]
id = "bad-2026-06-01"
accuracy = 0.80
[[checkpoint]]
id = "broken-2026-07-01"
accuracy = 0.10
error_rate = 0.90
"#;

pub async fn measure(bench: &Bench, wish: Wish) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![flip(bench).await?];
    let folder = bench.folder()?;
    let me = std::env::current_exe()?;
    let script = folder.path().join("script.toml");
    std::fs::write(&script, SCRIPT)?;
    let (sim_port, port) = (process::free_port()?, process::free_port()?);
    let _sim = Process::start(
        Command::new(&me)
            .args(["sim", "--listen"])
            .arg(format!("127.0.0.1:{sim_port}"))
            .arg("--script")
            .arg(&script),
    )?;
    let _server = Process::start(
        Command::new(&me)
            .args(["up", "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--dir")
            .arg(folder.path()),
    )?;
    process::listening(sim_port).await?;
    process::listening(port).await?;
    let drive = Drive::new(port, sim_port)?;
    let seeds = if bench.quick { SEEDS_QUICK } else { wish.rollouts.max(1) };
    let outcomes = tokio::task::spawn_blocking(move || drive.all(&CANDIDATES, seeds)).await??;
    rows.extend(CANDIDATES.iter().map(|candidate| row(candidate, &outcomes[candidate.name])));
    Ok(rows)
}

/// How long a breach takes to be acted on.
async fn flip(bench: &Bench) -> anyhow::Result<Row> {
    talk("measuring the time from a breach to the flip …");
    let mut took_us = breach::measure(bench).await?;
    took_us.sort_unstable();
    #[allow(clippy::cast_precision_loss, reason = "microseconds of seconds")]
    let [p50, worst] = [0.5, 1.0].map(|q| quantile(&took_us, q) as f64 / 1_000.0);
    let what = format!("end of the breaching run to the flip, {} rollouts", took_us.len());
    Ok(Row::new("rollouts", what, format!("p50 {p50:.0} ms, worst {worst:.0} ms"))
        .budget("< 1 s", worst < FLIP_MS))
}

fn row(candidate: &Candidate, outcomes: &[Outcome]) -> Row {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.ended.word()).or_default() += 1;
    }
    let mut runs: Vec<u64> = outcomes.iter().map(|outcome| outcome.candidate_runs).collect();
    let mut sessions: Vec<u64> = outcomes.iter().map(|outcome| outcome.sessions).collect();
    runs.sort_unstable();
    sessions.sort_unstable();
    let ends: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let measured = format!(
        "{}; after {} sessions (p50; worst {}); runs on it {} (p50)",
        ends.join(", "),
        quantile(&sessions, 0.5),
        quantile(&sessions, 1.0),
        quantile(&runs, 0.5),
    );
    let as_expected = outcomes.iter().filter(|outcome| outcome.ended == candidate.expected).count();
    Row::new("rollouts", format!("{} candidate, {} rollouts", candidate.name, outcomes.len()), measured)
        .against(format!("{as_expected} of {} {}", outcomes.len(), candidate.expected.word()))
}
