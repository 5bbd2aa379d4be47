//! Errors that several endpoints share, and how a problem becomes an answer.
//!
//! What only one operation can refuse is mapped in that operation's file. A problem's detail joins the whole chain
//! of causes; the next step is something to do.

use std::error::Error;

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::CommitError;
use pinrail_control::contracts::ContractError;
use pinrail_domain::dial::Halted;
use pinrail_domain::id::{LedgerSeq, RunId};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::tier::ModelRefused;
use pinrail_store::StoreError;
use pinrail_store::journal::WriteError;

/// The content type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Writes a problem as an answer.
pub fn response(problem: &Problem) -> Response {
    let body = serde_json::to_vec(problem).expect("a problem is plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(problem.status).expect("a code's status is an HTTP status");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    match problem.status {
        401 => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pinrail\""));
        }
        429 | 503 => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    if let Some(allow) = problem.facts.get("allow").and_then(|allow| allow.as_str())
        && let Ok(allow) = HeaderValue::from_str(allow)
    {
        headers.insert(ALLOW, allow);
    }
    response
}

/// An error with its whole chain of causes on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // A transparent error repeats its cause.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// The problem of a thing that isn't there.
pub fn not_found(what: impl std::fmt::Display, next_step: &str) -> Problem {
    Problem::new(Code::NotFound, format!("there is no {what}")).next_step(next_step)
}

/// What a refused or failed commit means to its caller.
pub fn commit<E: Error + 'static>(error: CommitError<E>, refused: impl FnOnce(E) -> Problem) -> Problem {
    let detail = chain(&error);
    match error {
        CommitError::Refused(error) => refused(error),
        CommitError::KeyReused => key_reused(),
        CommitError::ReasonTooLong(_) => {
            Problem::new(Code::BadRequest, detail).next_step("shorten the reason and send the request again")
        }
        CommitError::Canonical(_) => Problem::new(Code::BadRequest, detail)
            .next_step("remove numbers that JSON cannot carry exactly, such as integers beyond 2^53"),
        CommitError::Corrupt(_) => {
            tracing::error!(error = %detail, "the ledger cannot be followed");
            Problem::new(Code::StoreDamaged, detail)
                .next_step("run `pinrail ledger verify` on the server's machine")
        }
        CommitError::Contended | CommitError::Fenced(_) => Problem::new(Code::Contended, detail)
            .next_step("send the request again, with the same Idempotency-Key"),
        CommitError::Store(error) => store(&error),
    }
}

/// What a store's failure means to a caller. Logged here, since nobody above can do more about it.
pub fn store(error: &StoreError) -> Problem {
    let detail = chain(error);
    tracing::error!(error = %detail, "the store failed");
    let (code, next_step) = match error {
        StoreError::Full(_) => {
            (Code::StoreFull, "free disk space on the server's machine; `pinrail doctor` shows it")
        }
        StoreError::ReadOnly(_) => {
            (Code::StoreUnavailable, "make the server's data folder writable; `pinrail doctor` checks it")
        }
        StoreError::Unavailable(_) => {
            (Code::StoreUnavailable, "send the request again; if it keeps failing, run `pinrail doctor`")
        }
        StoreError::Damaged(_) => {
            (Code::StoreDamaged, "run `pinrail ledger verify`, and restore from a backup")
        }
    };
    Problem::new(code, detail).next_step(next_step)
}

/// What it means that this replica hasn't heard of the others for too long.
pub fn stale(detail: String, ms: u64) -> Problem {
    Problem::new(Code::Stale, detail)
        .next_step(
            "send it again: another replica may answer; `pinrail doctor` (GET /readyz) says what this one lacks",
        )
        .fact("stale_ms", ms)
}

/// What a refused or failed journal write means to a caller. Whoever appends to a run that was there before says
/// itself what an illegal event means ([`run_state`]).
pub fn write(error: WriteError) -> Problem {
    let detail = chain(&error);
    match error {
        WriteError::Exists(_) => {
            tracing::error!(error = %detail, "a new run's id was taken");
            Problem::new(Code::Internal, detail).next_step("send the request again")
        }
        WriteError::Bound(_) | WriteError::Stale { .. } => Problem::new(Code::Contended, detail)
            .next_step("send the request again, with the same Idempotency-Key"),
        WriteError::Illegal(_) => {
            tracing::error!(error = %detail, "a new run took not even its first events");
            Problem::new(Code::Internal, detail).next_step("send the request again, and report the log line")
        }
        WriteError::NoRun(run) => no_run(run, None),
        WriteError::Moved { next } => sequence_moved(detail, next.0),
        WriteError::TooManyEvents => {
            Problem::new(Code::LimitReached, detail).next_step("finish this run and go on in a new one")
        }
        WriteError::Answered(_) => key_reused(),
        WriteError::Store(error) => store(&error),
    }
}

/// What a release that can't be loaded means to a caller.
pub fn contract(error: ContractError) -> Problem {
    let detail = chain(&error);
    match error {
        ContractError::NoRelease(_) => {
            Problem::new(Code::NotFound, detail).next_step("list the releases: `pinrail release list` (GET /api/v1/releases)")
        }
        ContractError::Missing(_) => Problem::new(Code::MissingArtifact, detail)
            .next_step("store the artifact again: `pinrail release create AGENT` (POST /api/v1/artifacts with its bytes)"),
        ContractError::NotText(_) | ContractError::Tools { .. } => {
            Problem::new(Code::StoreDamaged, detail).next_step("restore the store from a backup")
        }
        ContractError::Store(error) => store(&error),
    }
}

/// Why a tier keeps a model out, with the pins that may have been meant.
pub fn model(refused: &ModelRefused) -> Problem {
    let next_step = match (refused.identity.pins().first(), refused.can_override) {
        (Some(pin), _) => format!("pin it: set model.snapshot to `{pin}` in release.toml"),
        (None, true) => "pin a dated model id, or say why this one may pass: `pinrail release create AGENT \
             --allow-unknown-model REASON` (\"model_override\" with the reason)"
            .to_owned(),
        (None, false) => format!("pin a dated model id, or give the agent a tier below {}", refused.tier),
    };
    Problem::new(Code::ModelRefused, refused.to_string())
        .next_step(next_step)
        .fact("tier", refused.tier.to_string())
        .fact("model", refused.snapshot.clone())
        .fact("identity", pinrail_control::publish::word(&refused.identity))
        .fact("pins", refused.identity.pins().to_vec())
        .fact("can_override", refused.can_override)
}

/// Also the answer for a run of a tenant that the caller may not see (I11).
/// `dropped` is the ledger entry by which it may be gone.
pub fn no_run(run: RunId, dropped: Option<LedgerSeq>) -> Problem {
    match dropped {
        None => not_found(format!("run {run}"), "list the runs: `pinrail run list` (GET /api/v1/runs)"),
        Some(seq) => {
            let after = seq.0.saturating_sub(1);
            Problem::new(Code::Collected, format!("run {run} isn't kept: journals of its day were dropped"))
                .next_step(format!(
                    "see what was dropped and why: `pinrail ledger show --after {after} --limit 1` (GET /api/v1/ledger)"
                ))
                .fact("ledger", seq.0)
        }
    }
}

pub fn key_reused() -> Problem {
    Problem::new(Code::KeyReused, "this Idempotency-Key was used for a different request")
        .next_step("send a fresh Idempotency-Key with a new request, the old one only with the same request")
}

pub fn sequence_moved(detail: String, next: u64) -> Problem {
    Problem::new(Code::SequenceMoved, detail)
        .next_step("read the events you missed, decide again, and append with expected_seq set to `next`")
        .fact("next", next)
}

/// The problem of a call that the dial doesn't let through.
pub fn dialled(detail: String, halted: &Halted) -> Problem {
    Problem::new(Code::Dialled, detail)
        .next_step("see where it stands, and who may turn it up: `pinrail dial show` (GET /api/v1/dial)")
        .fact("agent", halted.agent.as_str())
        .fact("segment", halted.segment.as_str())
        .fact("position", halted.position.word())
}

/// The problem of a run that is in the wrong place of its life, with the way on from there.
pub fn run_state(detail: String, run: RunId, status: RunStatus) -> Problem {
    let resume = format!("`pinrail run resume {run}` (POST /api/v1/runs/{run}/resume)");
    let next_step = match status {
        RunStatus::Queued => format!("start it first: {resume}"),
        RunStatus::Running => {
            format!("it runs already: look at what it did, `pinrail run show {run}` (GET /api/v1/runs/{run})")
        }
        RunStatus::Paused | RunStatus::Parked => format!("let it go on first: {resume}"),
        RunStatus::Finished => {
            "a finished run stays as it is: begin a new one, `pinrail run create AGENT` (POST /api/v1/runs)"
                .to_owned()
        }
    };
    Problem::new(Code::RunState, detail)
        .next_step(next_step)
        .fact("run", run.to_string())
        .fact("run_status", status.to_string())
}
