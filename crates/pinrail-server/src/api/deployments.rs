//! Deployments: opened, widened, promoted, taken back, shown.

use pinrail_api::deployments::{Flip, OpenRuns, RolledBack};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::deploy;
use pinrail_domain::deployment::{Deployment, Hold, Status};
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::world::World;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub mod get;
pub mod list;
pub mod post;
pub mod promote;
pub mod rollback;
pub mod weight;

/// Says what a change led to. The change is made, so a count that fails doesn't fail the answer (I7).
async fn flip(call: &Call, done: Committed<Flipped>) -> Answer {
    let Flipped { deployment, state, segment, epoch, seq, active } = done.value;
    let drain = call.control().drain_of(deployment).await;
    if let Err(error) = &drain {
        tracing::warn!(error = %problem::chain(error), %deployment, "the open runs cannot be counted");
    }
    reply::changed(
        done.replayed,
        &Flip {
            deployment,
            state,
            segment,
            epoch,
            seq,
            active,
            took_us: done.took_us,
            open_runs_unknown: drain.is_err(),
            open_runs: drain.map(|drain| open_runs(drain.open)).unwrap_or_default(),
        },
    )
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
        Status::Candidate { weight: share } => weight = Some(*share),
        Status::Promoted { at, seq: _ } => promoted_at = Some(*at),
        Status::RolledBack { at, seq: _, why, was_promoted, kept_state: _ } => {
            rolled_back = Some(RolledBack { at: *at, why: why.clone(), was_promoted: *was_promoted });
        }
    }
    pinrail_api::deployments::Deployment {
        deployment: deployment.id,
        state: deploy::state(world, deployment).to_owned(),
        releases: deployment.releases.clone(),
        segment: deployment.segment.clone(),
        reason: deployment.reason.clone(),
        opened_at: deployment.opened_at,
        weight,
        promoted_at,
        rolled_back,
        replaced: deployment.replaced.clone(),
        drain: None,
    }
}

/// How a deployment is taken back, for a next step.
pub fn roll_back_command(id: DeploymentId) -> String {
    format!("`pinrail deployment rollback {id} --reason …` (POST /api/v1/deployments/{id}/rollback)")
}

fn no_deployment(id: DeploymentId) -> Problem {
    problem::not_found(
        format!("deployment {id}"),
        "list them: `pinrail deployment list` (GET /api/v1/deployments)",
    )
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

fn not_a_candidate(detail: String, id: DeploymentId, state: &'static str) -> Problem {
    Problem::new(Code::NotACandidate, detail)
        .next_step(
            "open a new deployment: `pinrail deploy AGENT=RELEASE --weight 5%` (POST /api/v1/deployments)",
        )
        .fact("deployment", id.0)
        .fact("state", state)
}
