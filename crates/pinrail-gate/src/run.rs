//! Runs a gate: both arms answer every case as often as planned, and each answer is kept as soon as it is judged.
//!
//! In this order: all cases of all suites once, then once more, and so on; both arms of a case one right after the other,
//! taking turns in who is first, so that whatever changes meanwhile changes for both. A case that stands in two suites is
//! asked once.
//!
//! What has a row isn't asked again: a gate that was cut off goes on where it was. It ends when
//! 1. it was told to stop, before anything else;
//! 2. it cost its budget: what is under way is still waited for, and kept;
//! 3. so many answers of an arm are lost to errors that nothing could be concluded any more;
//! 4. all planned answers are there, and either the verdict is clear or more repeats wouldn't make it so or aren't allowed.

use std::sync::Arc;

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::id::{AgentName, GateId, ReleaseId};
use pinrail_domain::time::Clock;
use pinrail_store::{Gates, StoreError};
use serde_json::Value;
use tokio::sync::watch;

use crate::ask::Models;
use crate::verdict::{self, Held, Report};

mod aides;
mod asking;
pub mod document;
pub mod estimate;
mod patience;
mod plan;
mod rows;
mod talk;

#[cfg(test)]
mod tests;

pub use document::{Document, Judge, Progress, Settings};
pub use estimate::{Estimate, estimate};

/// What a gate is to find out.
#[derive(Clone, Debug)]
pub struct Job {
    pub gate: GateId,
    pub agent: AgentName,
    pub candidate: Contestant,
    pub incumbent: Option<Contestant>,
    pub settings: Settings,
    pub held: Vec<Held>,
    /// What it cost before it was cut off, as far as its document says: rows say no more than what is kept of them.
    pub spent_nano_usd: u64,
    /// Whether answers that are missing for an error are asked for again.
    pub retry_errors: bool,
}

/// A release that answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Contestant {
    pub release: ReleaseId,
    /// The tools pinned in it, in OpenAI's form.
    pub tools: Vec<Value>,
}

/// What a gate is run with.
#[derive(Clone)]
pub struct Means {
    pub models: Arc<dyn Models>,
    pub store: Arc<dyn Gates>,
    pub clock: Arc<dyn Clock>,
    /// The Python that assertions may run.
    pub python: Option<String>,
}

/// How a gate's run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// There is nothing more to ask.
    Judged(Box<Report>),
    /// It was told to stop; it can go on later.
    Stopped,
}

/// Why a gate couldn't go on. What it has is kept, and it can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum RunFailed {
    #[error("the answers cannot be kept")]
    Store(#[from] StoreError),
    #[error("a suite has no canonical form")]
    Canonical(#[from] pinrail_domain::canonical::NotCanonical),
    #[error("row {0} cannot be read")]
    Row(String, #[source] serde_json::Error),
    #[error("a gate may ask for at most {ANSWERS_MAX} answers, and {0} are planned")]
    TooMany(u64),
    /// Our mistake; its message is the panic's.
    #[error("asking or judging failed: {0}")]
    Broken(String),
}

/// The answers of one gate, which are held in memory while it runs: some hundred megabytes at most, and days at most
/// providers' limits.
pub const ANSWERS_MAX: u64 = 100_000;

/// How often the answers are looked at: after the planned repeats, and once more where more were asked for.
const LOOKS_MAX: u32 = 2;

/// Runs a gate to its end, or until `stop` says true; `told` follows how far it is.
pub async fn run(
    job: Arc<Job>,
    means: Means,
    told: &watch::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Ended, RunFailed> {
    let cases = plan::cases(&job.held)?;
    let mut rows = rows::Rows::load(&job, &means).await?;
    let mut repeats = job.settings.repeats;
    if job.settings.reuse {
        rows.reuse(&job, &means, &cases, repeats).await?;
    }
    let mut looks = 0;
    loop {
        let planned = plan::answers(&job, &cases, repeats);
        if planned > ANSWERS_MAX {
            return Err(RunFailed::TooMany(planned));
        }
        let round = asking::Round { job: &job, means: &means, cases: &cases, repeats, told };
        let halt = round.ask(&mut rows, &stop).await?;
        if halt == Some(asking::Halt::Stopped) {
            return Ok(Ended::Stopped);
        }
        let report = judge(&job, &rows);
        looks += 1;
        match (halt, more(&job, &report, &cases, repeats).filter(|_| looks < LOOKS_MAX)) {
            (None, Some(most)) => {
                tracing::info!(gate = %job.gate, repeats = most, "undecided: asking for more repeats");
                repeats = most;
            }
            (halt, _) => return Ok(Ended::Judged(Box::new(bounded(report, halt, &job)))),
        }
    }
}

/// The chance of passing a candidate that is worse is shared by all the times that the answers are looked at: a test that is
/// made twice at 5 % is wrong more often than that.
fn judge(job: &Job, rows: &rows::Rows) -> Report {
    let incumbent = job.incumbent.as_ref().map(|arm| arm.release);
    let looks = if job.settings.repeats_max > job.settings.repeats { f64::from(LOOKS_MAX) } else { 1.0 };
    verdict::judge(&job.held, rows.all(), job.candidate.release, incumbent, job.settings.alpha / looks)
}

/// The repeats to go on to, where more would help and are allowed.
fn more(job: &Job, report: &Report, cases: &plan::Cases, repeats: u32) -> Option<u32> {
    let wanted = report.more_repeats()?.min(job.settings.repeats_max);
    let fits = plan::answers(job, cases, wanted) <= ANSWERS_MAX;
    (wanted > repeats && fits).then_some(wanted)
}

/// What a gate may say that didn't ask all it planned: what is proven to be worse stays so, and nothing passes.
fn bounded(mut report: Report, halt: Option<asking::Halt>, job: &Job) -> Report {
    let budget = pinrail_domain::model::NanoUsd(job.settings.budget_nano_usd);
    let why = match halt {
        None | Some(asking::Halt::Stopped) => return report,
        Some(asking::Halt::Budget) => {
            format!("budget: it cost {budget}, which is what it may, before all answers were there")
        }
        Some(asking::Halt::Errors { suite, release, lost, planned }) => format!(
            "errors: {lost} of the {planned} answers of {} to suite {suite} are lost, too many to conclude anything",
            release.short()
        ),
    };
    for suite in &mut report.suites {
        if suite.verdict == GateVerdict::Pass {
            suite.verdict = GateVerdict::Inconclusive;
        }
    }
    if report.verdict == GateVerdict::Fail {
        report.why = format!("{}; {why}", report.why);
    } else {
        report.verdict = GateVerdict::Inconclusive;
        report.why = why;
    }
    report
}
