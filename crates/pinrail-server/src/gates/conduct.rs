//! One gate from its place in the queue to its verdict in the ledger.
//!
//! The report and the statement are stored first, then the ledger gets the verdict, then the gate's record says that it is
//! over: whoever is killed in between finds the gate running, asks nothing again, comes to the same verdict, and the
//! ledger keeps it once.
//!
//! Of several replicas, the leader that began to run a gate ends it, in that term, and only while the store says that the gate
//! runs. One that slept changes nothing when it wakes: another has taken the gate up, or somebody stopped it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pinrail_control::{By, CommitError};
use pinrail_domain::gate::Source;
use pinrail_gate::run::document::{Document, End, Progress};
use pinrail_gate::run::{self, Ended, Job, Means};
use pinrail_gate::statement::About;
use pinrail_gate::verdict::Report;
use pinrail_store::Term;
use pinrail_store::gates::{GateChange, GateRecord, GateStatus};
use tokio::sync::watch;

use super::seal::KeepFailed;
use super::service::{Gates, json};
use crate::problem::chain;

/// Why a gate that was stopped ended.
pub(super) const CANCELLED: &str = "somebody stopped it";

/// What is wanted of a gate that runs.
pub(super) struct Orders {
    /// It is stopped for good; else a stop is the server's, and the next start goes on.
    pub cancelled: AtomicBool,
    /// The store says so already: another replica was asked.
    pub cancelled_elsewhere: AtomicBool,
    pub queued: AtomicBool,
    pub retry_errors: bool,
}

/// Runs a gate to its end, or until it is stopped.
pub(super) async fn conduct(
    gates: &Gates,
    record: GateRecord,
    orders: &Orders,
    told: &watch::Sender<Progress>,
    mut stop: watch::Receiver<bool>,
) {
    let (id, term) = (record.id, gates.control().term_here());
    let mut document: Document = match serde_json::from_str(&record.document) {
        Ok(document) => document,
        Err(error) => {
            tracing::error!(gate = %id, %error, "a gate's record cannot be read; it is left alone");
            return;
        }
    };
    let place = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => None,
        place = Arc::clone(&gates.inner.places).acquire_owned() => Some(place),
    };
    let ended = match &place {
        Some(_) => {
            orders.queued.store(false, Ordering::Release);
            ask(gates, &record, &document, orders.retry_errors, told, stop).await
        }
        None => Ok(None),
    };
    drop(place);
    document.progress = told.borrow().clone();
    document.progress.eta_ms = None;
    let at = gates.inner.options.clock.now();
    let bare = |why: String| End::bare(at, why);
    let ended = match ended {
        Ok(Some(report)) => judge(gates, &record, &document, &report, term).await,
        Ok(None) => Ok(None),
        Err(why) => Err(why),
    };
    let status = match ended {
        Ok(Some(end)) => {
            document.end = Some(end);
            GateStatus::Finished
        }
        Ok(None) if orders.cancelled.load(Ordering::Acquire) => {
            document.end = Some(bare(CANCELLED.to_owned()));
            GateStatus::Cancelled
        }
        Ok(None) => return,
        Err(why) => {
            tracing::error!(gate = %id, error = %why, "a gate failed; `pinrail gate resume` takes it up again");
            document.end = Some(bare(why));
            GateStatus::Failed
        }
    };
    // Who is told by the store that it was stopped only adds how far it came.
    let from = match orders.cancelled_elsewhere.load(Ordering::Acquire) {
        true => GateStatus::Cancelled,
        false => GateStatus::Running,
    };
    let change = GateChange { id, from, to: status, document: json(&document), fence: term };
    match gates.control().gate_store().gate_update(change).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::info!(gate = %id, "another replica leads, or ended the gate; how it ended here is dropped")
        }
        Err(error) => {
            let error = chain(&error);
            tracing::error!(gate = %id, %error, "how a gate ended cannot be kept; the next start ends it again");
        }
    }
}

/// Asks until there is a report; none when it was stopped before.
async fn ask(
    gates: &Gates,
    record: &GateRecord,
    document: &Document,
    retry_errors: bool,
    told: &watch::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Option<Report>, String> {
    let options = &gates.inner.options;
    let open = options.control.runs().end_open_gate(record.id).await.map_err(|error| chain(&error))?;
    if open > 0 {
        tracing::info!(gate = %record.id, runs = open, "ended the runs that were cut off");
    }
    let job = job(gates, record, document, retry_errors).await?;
    let means = Means {
        models: Arc::clone(&options.models),
        store: options.control.gate_store(),
        clock: Arc::clone(&options.clock),
        python: options.python.clone(),
    };
    match run::run(Arc::new(job), means, told, stop).await {
        Ok(Ended::Judged(report)) => Ok(Some(*report)),
        Ok(Ended::Stopped) => Ok(None),
        Err(failed) => Err(chain(&failed)),
    }
}

async fn job(
    gates: &Gates,
    record: &GateRecord,
    document: &Document,
    retry_errors: bool,
) -> Result<Job, String> {
    let held = gates.held(&document.settings.suites).await.map_err(|refused| chain(&refused))?;
    let candidate = gates.contestant(record.candidate).await.map_err(|refused| chain(&refused))?;
    let incumbent = match record.incumbent {
        Some(release) => Some(gates.contestant(release).await.map_err(|refused| chain(&refused))?),
        None => None,
    };
    Ok(Job {
        gate: record.id,
        agent: record.agent.clone(),
        candidate,
        incumbent,
        settings: document.settings.clone(),
        held,
        spent_nano_usd: document.progress.spent_nano_usd,
        retry_errors,
    })
}

/// Puts a gate's verdict into the ledger, with all that it rests on; none where that isn't this replica's to do any more.
async fn judge(
    gates: &Gates,
    record: &GateRecord,
    document: &Document,
    report: &Report,
    term: Option<Term>,
) -> Result<Option<End>, String> {
    let known = gates.control().gate_store().gate_get(record.id).await.map_err(|error| chain(&error))?;
    if known.is_none_or(|known| known.status != GateStatus::Running) {
        return Ok(None);
    }
    let at = gates.inner.options.clock.now();
    let about = About {
        agent: record.agent.clone(),
        gate: record.id,
        at,
        source: Source::Run,
        judge: document.settings.judge.as_ref().map(|judge| judge.release),
        url: None,
    };
    let settings = &document.settings;
    let by = By { actor: settings.by.clone(), reason: settings.reason.clone(), idempotency: None, term };
    let kept = match gates.keep(by, &about, report).await {
        Ok(kept) => kept,
        Err(KeepFailed::Commit(CommitError::Fenced(newest))) => {
            tracing::info!(gate = %record.id, %newest, "another replica leads, and ends the gate");
            return Ok(None);
        }
        Err(error) => return Err(chain(&error)),
    };
    tracing::info!(gate = %record.id, verdict = report.verdict.as_str(), why = report.why, "a gate ended");
    let (why, verdict) = (report.why.clone(), Some(report.verdict));
    Ok(Some(End { at, why, verdict, report: Some(kept.report), statement: Some(kept.statement) }))
}
