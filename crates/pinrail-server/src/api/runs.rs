//! Runs: made, followed, added to, ended. A run of a tenant that the caller may not see does not exist (I11).

use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::RunChanged;
use pinrail_control::runs::{AppendRefused, RunChange};
use pinrail_domain::id::RunId;
use pinrail_store::journal::WriteError;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub mod append;
pub mod authorize;
pub mod events;
pub mod finish;
pub mod get;
pub mod list;
pub mod post;
pub mod resume;
pub mod scores;

/// The run that the path names.
fn id(call: &Call) -> Result<RunId, Problem> {
    call.param("run")
}

/// A run as the API shows it.
pub fn shown(run: pinrail_store::journal::Run) -> pinrail_api::runs::Run {
    pinrail_api::runs::Run { run: run.stamp.run, stamp: run.stamp, summary: run.summary }
}

fn changed(change: RunChange) -> Answer {
    let RunChange { run, summary, replayed } = change;
    reply::changed(replayed, &RunChanged { run, summary })
}

/// Why events aren't appended, or a run doesn't go on.
fn refused(run: RunId, refused: AppendRefused) -> Problem {
    let detail = problem::chain(&refused);
    let bad_events = |next_step: &str| Problem::new(Code::BadEvents, detail.clone()).next_step(next_step);
    match refused {
        AppendRefused::NoRun(run) => problem::no_run(run, None),
        AppendRefused::Count(0) => bad_events("put at least one event into `events`"),
        AppendRefused::Count(_) => bad_events("send the events in several appends"),
        AppendRefused::TooLong { index, bytes } => bad_events(
            "store what is long as an artifact (POST /api/v1/artifacts) and put its digest into the event",
        )
        .fact("index", index)
        .fact("bytes", bytes),
        AppendRefused::Scores(_) | AppendRefused::BadScore { .. } => bad_events(
            "send 1 to 100 scores, each with a `name` and a `value` from 0 to 1: `pinrail run score RUN helpful=0.8` \
             (POST /api/v1/runs/RUN/scores)",
        ),
        AppendRefused::NotYours(kind) => bad_events(
            "append tool_call, tool_result or note: a run of one gateway call begins and ends with that call",
        )
        .fact("event", kind),
        AppendRefused::Moved { expected: _, next } => problem::sequence_moved(detail, next.0),
        AppendRefused::Illegal(illegal) | AppendRefused::Write(WriteError::Illegal(illegal)) => {
            problem::run_state(detail, run, illegal.status)
        }
        AppendRefused::KeyReused => problem::key_reused(),
        AppendRefused::PinGone { run, why: _ } => pin_gone(detail, run),
        AppendRefused::Contract(error) => problem::contract(error),
        AppendRefused::Contended(_) => Problem::new(Code::Contended, detail)
            .next_step("send the request again, with the same Idempotency-Key"),
        AppendRefused::Write(error) => problem::write(error),
    }
}

fn pin_gone(detail: String, run: RunId) -> Problem {
    Problem::new(Code::PinGone, detail)
        .next_step(
            "no other model answers in its place: put a release with a model that is served in front of the agent, \
             `pinrail deploy AGENT=RELEASE --now` (POST /api/v1/deployments), and begin a new run",
        )
        .fact("run", run.to_string())
}
