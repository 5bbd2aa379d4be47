//! Deployments: opened, widened, proven, promoted, taken back, shown.

use pinrail_api::deployments::{Conflict, Conflicts, Flip, Kind, OpenRuns, RolledBack};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::{Flipped, conflicts};
use pinrail_domain::deploy;
use pinrail_domain::deployment::{Deployment, Hold, Status};
use pinrail_domain::gate::{Missing, Unmet};
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::world::World;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub mod approve;
pub mod blast_radius;
pub mod commit;
pub mod compensate;
pub mod freeze;
pub mod gate;
pub mod get;
pub mod history;
pub mod list;
pub mod manifest;
pub mod override_gate;
pub mod pair;
pub mod pairs;
pub mod post;
pub mod promote;
pub mod report;
pub mod resume;
pub mod rollback;
pub mod rollout;
pub mod timeline;
pub mod verify;
pub mod weight;

/// Says what a change led to. The change is made, so a count that fails doesn't fail the answer (I7).
async fn flip(call: &Call, done: Committed<Flipped>) -> Answer {
    reply::changed(done.replayed, &flipped(call, done).await)
}

async fn flipped(call: &Call, done: Committed<Flipped>) -> Flip {
    let Flipped {
        deployment,
        state,
        segment,
        epoch,
        seq,
        active,
        ingest,
        conflicts,
        passed_over,
        uncallable,
    } = done.value;
    let drain = call.control().drain_of(deployment).await;
    if let Err(error) = &drain {
        tracing::warn!(error = %problem::chain(error), %deployment, "the open runs cannot be counted");
    }
    Flip {
        deployment,
        state,
        ingest,
        segment,
        epoch,
        seq,
        active,
        took_us: done.took_us,
        open_runs_unknown: drain.is_err(),
        open_runs: drain.map(|drain| open_runs(drain.open)).unwrap_or_default(),
        conflicts: Some(conflicts).filter(|found| !found.is_empty()).map(in_conflict),
        taken_along: None,
        passed_over: passed_over.into_iter().map(passed).collect(),
        uncallable,
    }
}

fn passed(over: pinrail_control::deploy::PassedOver) -> pinrail_api::deployments::back::PassedOver {
    let pinrail_control::deploy::PassedOver { agent, deployment, release, why } = over;
    pinrail_api::deployments::back::PassedOver { agent, deployment, release, why }
}

fn in_conflict(found: conflicts::Conflicts) -> Conflicts {
    let shown = found.shown.into_iter().map(|conflicts::InSpace { space, conflict }| {
        let pinrail_domain::state::index::Conflict { key, own, theirs, their_deployment, wins } = conflict;
        Conflict { space, key, own, theirs, their_deployment, wins }
    });
    Conflicts { count: found.count, shown: shown.collect() }
}

/// The deployment that the path names.
fn id(call: &Call) -> Result<DeploymentId, Problem> {
    call.param("deployment").map(DeploymentId)
}

fn open_runs(open: pinrail_store::journal::OpenRuns) -> OpenRuns {
    let pinrail_store::journal::OpenRuns { queued, running, paused, parked } = open;
    OpenRuns { queued, running, paused, parked }
}

fn shown(world: &World, deployment: &Deployment) -> pinrail_api::deployments::Deployment {
    let (mut weight, mut promoted_at, mut rolled_back) = (None, None, None);
    match &deployment.status {
        // A data job has no traffic.
        Status::Candidate { weight: share, .. } => {
            weight = Some(*share).filter(|_| deployment.ingest.is_none())
        }
        Status::Promoted { at, seq: _ } => promoted_at = Some(*at),
        Status::RolledBack { at, seq: _, why, was_promoted, kept_state } => {
            let (was_promoted, kept_state) = (*was_promoted, *kept_state);
            rolled_back = Some(RolledBack { at: *at, why: why.clone(), was_promoted, kept_state });
        }
    }
    pinrail_api::deployments::Deployment {
        deployment: deployment.id,
        kind: kind(deployment),
        state: deploy::state(world, deployment).to_owned(),
        ingest: deployment.ingest.clone(),
        releases: deployment.releases.clone(),
        segment: deployment.segment.clone(),
        reason: deployment.reason.clone(),
        opened_at: deployment.opened_at,
        weight,
        promoted_at,
        rolled_back,
        replaced: deployment.replaced.clone(),
        manifest: deployment.manifest,
        drain: None,
        conflicts: None,
        rollout: deployment.rollout.as_deref().map(|rollout| rollout::short(rollout, None)),
        gate: deployment.gate.clone(),
        overrides: deployment.waivers.clone(),
        gate_missing: Vec::new(),
    }
}

fn kind(deployment: &Deployment) -> Kind {
    if deployment.ingest.is_some() { Kind::Ingest } else { Kind::Release }
}

/// How a deployment is taken back, for a next step.
pub fn roll_back_command(id: DeploymentId) -> String {
    format!("`pinrail deployment rollback {id} --reason …` (POST /api/v1/deployments/{id}/rollback)")
}

pub fn no_deployment(id: DeploymentId) -> Problem {
    problem::not_found(
        format!("deployment {id}"),
        "list them: `pinrail deployment list` (GET /api/v1/deployments)",
    )
}

/// What the gate has against a promotion, with the way to meet it.
fn gate_missing(detail: String, id: Option<DeploymentId>, missing: &[Missing]) -> Problem {
    let agent = missing.first().map_or("AGENT", |missing| missing.agent.as_str());
    let no_suite =
        missing.iter().flat_map(|missing| &missing.unmet).any(|unmet| matches!(unmet, Unmet::NoSuite { .. }));
    let mut next = String::new();
    if no_suite {
        next.push_str(&format!(
            "put suites of every kind into agents/{agent}/evals/ and run `pinrail apply`; then "
        ));
    }
    match id {
        Some(id) => next.push_str(&format!(
            "run the gate: `pinrail gate run {id}` (POST /api/v1/gates {{\"deployment\": {id}}}); or do without it: `pinrail \
             gate override {id} --reason 'why'` (POST /api/v1/deployments/{id}/override)"
        )),
        None => next.push_str(
            "open it as a candidate, without --now, run its gate, `pinrail gate run DEPLOYMENT` (POST /api/v1/gates), and \
             promote it",
        ),
    }
    let missing = serde_json::to_value(missing).unwrap_or_default();
    let problem = Problem::new(Code::GateMissing, detail).next_step(next).fact("missing", missing);
    match id {
        Some(id) => problem.fact("deployment", id.0),
        None => problem,
    }
}

fn held(detail: String, agent: &AgentName, segment: &SegmentName, hold: &Hold) -> Problem {
    Problem::new(Code::Held, detail)
        .next_step(format!(
            "when the cause is mended: `pinrail hold lift {agent} --segment {segment} --reason …` (POST \
             /api/v1/holds/lift), or the same command with --lift-hold (\"lift_hold\": true)"
        ))
        .fact("agent", agent.as_str())
        .fact("segment", segment.as_str())
        .fact("rolled_back", hold.deployment.0)
}

pub(super) fn not_a_candidate(detail: String, id: DeploymentId, state: &'static str) -> Problem {
    Problem::new(Code::NotACandidate, detail)
        .next_step(
            "open a new deployment: `pinrail deploy AGENT=RELEASE --weight 5%` (POST /api/v1/deployments)",
        )
        .fact("deployment", id.0)
        .fact("state", state)
}
