//! Gates: started, followed, stopped, taken up again, and read.

use pinrail_api::gates::{Gate, GateEnd, GateEstimate, GateProgress, GateSettings};
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::id::GateId;
use pinrail_gate::run::document::{End, Progress, Settings};
use pinrail_gate::run::{Estimate, Judge};
use pinrail_store::gates::GateStatus;

use crate::call::Call;
use crate::gates::{ActRefused, Looked, StartRefused};
use crate::problem;

pub mod cancel;
pub mod get;
pub mod list;
pub mod post;
pub mod resume;
pub mod rows;
pub mod watch;

#[cfg(test)]
pub(crate) mod tests;

/// The gate that the path names.
pub fn id(call: &Call) -> Result<GateId, Problem> {
    call.param("gate")
}

pub async fn look(call: &Call, id: GateId) -> Result<Looked, Problem> {
    let looked = call.state.gates.look(id).await.map_err(|error| problem::store(&error))?;
    looked.ok_or_else(|| no_gate(id))
}

/// A gate as the API shows it.
pub fn shown(looked: Looked) -> Gate {
    let Looked { record, document, queued } = looked;
    Gate {
        gate: record.id,
        agent: record.agent,
        deployment: record.deployment,
        candidate: record.candidate,
        incumbent: record.incumbent,
        created_at: record.created_at,
        status: record.status.as_str().to_owned(),
        settings: settings(document.settings),
        progress: progress(document.progress, queued),
        ended: document.end.map(ended),
        report: None,
    }
}

fn settings(settings: Settings) -> GateSettings {
    let Settings {
        suites,
        repeats,
        repeats_max,
        alpha,
        budget_nano_usd,
        concurrency,
        calls_per_minute,
        reuse,
        judge,
        by,
        reason,
    } = settings;
    let judge = judge.map(|Judge { agent, release }| (agent, release));
    GateSettings {
        suites,
        repeats,
        repeats_max,
        alpha,
        budget_nano_usd,
        concurrency,
        calls_per_minute,
        reuse,
        judge,
        by,
        reason,
    }
}

fn progress(progress: Progress, queued: bool) -> GateProgress {
    let Progress {
        done,
        total,
        repeats,
        errors,
        refused,
        reused,
        retries,
        spent_nano_usd,
        projected_nano_usd,
        eta_ms,
        suite,
    } = progress;
    GateProgress {
        done,
        total,
        repeats,
        errors,
        refused,
        reused,
        retries,
        spent_nano_usd,
        projected_nano_usd,
        eta_ms,
        suite,
        queued,
    }
}

fn ended(end: End) -> GateEnd {
    let End { at, why, verdict, report, statement } = end;
    GateEnd { at, why, verdict, report, statement }
}

fn estimated(estimate: Estimate) -> GateEstimate {
    let Estimate {
        cases,
        answers,
        calls,
        input_tokens,
        output_tokens,
        cost_nano_usd,
        budget_nano_usd,
        time_ms,
    } = estimate;
    GateEstimate {
        cases,
        answers,
        calls,
        input_tokens,
        output_tokens,
        cost_nano_usd,
        budget_nano_usd,
        time_ms,
    }
}

fn no_gate(id: GateId) -> Problem {
    problem::not_found(id, "list them: `pinrail gate list` (GET /api/v1/gates)")
}

/// Why a gate isn't stopped or taken up, with the way on.
fn act_refused(refused: ActRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        ActRefused::NoGate(id) => no_gate(id),
        ActRefused::Over { id, status } => {
            let next_step = match status {
                GateStatus::Running => {
                    format!("look again: `pinrail gate show {id}` (GET /api/v1/gates/{id})")
                }
                GateStatus::Finished => format!(
                    "see its verdict, `pinrail gate show {id}` (GET /api/v1/gates/{id}); or judge anew, with its answers: \
                     `pinrail gate run … --reuse` (POST /api/v1/gates {{\"reuse\": true}})"
                ),
                GateStatus::Failed | GateStatus::Cancelled => {
                    format!("to go on with it: `pinrail gate resume {id}` (POST /api/v1/gates/{id}/resume)")
                }
            };
            Problem::new(Code::GateState, detail)
                .next_step(next_step)
                .fact("gate", id.to_string())
                .fact("gate_status", status.as_str())
        }
        ActRefused::Start(refused) => start_refused(refused),
        ActRefused::Store(error) => problem::store(&error),
    }
}

/// Why no gate is started, with what to do about it.
fn start_refused(refused: StartRefused) -> Problem {
    let detail = problem::chain(&refused);
    let problem = |code, next: String| Problem::new(code, detail.clone()).next_step(next);
    match refused {
        StartRefused::NoDeployment(id) => super::deployments::no_deployment(id),
        StartRefused::Ingest(id) => problem(
            Code::WrongKind,
            format!("commit it: `pinrail deployment commit {id}` (POST /api/v1/deployments/{id}/commit)"),
        ),
        StartRefused::NotACandidate { id, state } => super::deployments::not_a_candidate(detail, id, state),
        StartRefused::NoAgent(agent) => super::agents::no_agent(&agent),
        StartRefused::Nothing(_) => problem(
            Code::AlreadyActive,
            "name another release to compare with: `pinrail gate run AGENT --candidate R --incumbent R` (POST \
             /api/v1/gates {\"agent\", \"candidate\", \"incumbent\"})"
                .to_owned(),
        ),
        StartRefused::NoSuites(agent) => problem(
            Code::NoSuites,
            format!(
                "put suites into agents/{agent}/evals/*.yaml and run `pinrail apply` (PUT /api/v1/agents/{agent} with \
                 gate.suites)"
            ),
        ),
        StartRefused::NoSuchSuite { agent, .. } => problem(
            Code::NoSuites,
            format!("`pinrail agent show {agent}` lists its suites (GET /api/v1/agents/{agent})"),
        ),
        StartRefused::BadSuite { .. } => problem(
            Code::BadSuite,
            "store it again: `pinrail apply` (POST /api/v1/artifacts); or leave it out with --suite (\"suites\")"
                .to_owned(),
        ),
        StartRefused::NoBudget => problem(
            Code::BadRequest,
            "give it one: `--budget 5` (\"budget\": 5), or gate.budget in the agent's settings".to_owned(),
        ),
        StartRefused::Settings(_) => {
            problem(Code::BadRequest, "correct it and send the request again".to_owned())
        }
        StartRefused::NoJudge { .. } => problem(
            Code::NoJudge,
            "set gate.judge in agent.toml to an agent whose active release is to judge, and run `pinrail apply` (PUT \
             /api/v1/agents/AGENT)"
                .to_owned(),
        ),
        StartRefused::TooMany(_) => problem(
            Code::TooLarge,
            "ask for fewer repeats (--repeats, \"repeats\"), or for some of the suites (--suite, \"suites\")".to_owned(),
        ),
        StartRefused::Running(id) => problem(
            Code::GateState,
            format!(
                "follow it: `pinrail gate show {id}` (GET /api/v1/gates/{id}/watch); or stop it: `pinrail gate cancel {id}` \
                 (POST /api/v1/gates/{id}/cancel)"
            ),
        )
        .fact("gate", id.to_string()),
        StartRefused::Full(_) => problem(
            Code::LimitReached,
            "wait until some have ended: `pinrail gate list --status running` (GET /api/v1/gates?status=running)"
                .to_owned(),
        ),
        StartRefused::Contract(_) => problem(
            Code::MissingArtifact,
            "store what is missing: `pinrail apply` (POST /api/v1/artifacts)".to_owned(),
        ),
        StartRefused::Store(error) => problem::store(&error),
        StartRefused::Commit(error) => problem::commit(error, |never| match never {}),
    }
}
