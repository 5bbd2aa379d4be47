//! Tool calls that wait for a person: listed, shown, decided. Those of tenants that the caller may not act for do not
//! exist (I11).

use pinrail_api::approvals::{Approval, Decide};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::approvals::DecideRefused;
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub mod approve;
pub mod deny;
pub mod get;
pub mod list;

fn shown(approval: pinrail_domain::approval::Approval, now: Timestamp) -> Approval {
    Approval {
        approval: approval.id,
        state: approval.state(now),
        run: approval.run,
        agent: approval.agent,
        segment: approval.segment,
        tenant: approval.tenant,
        session: approval.session,
        deployment: approval.deployment,
        release: approval.release,
        tool: approval.tool,
        call: approval.call,
        arguments: approval.arguments,
        truncated: approval.truncated,
        arguments_digest: approval.digest,
        why: approval.why,
        asked_at: approval.asked_at,
        expires_at: approval.expires_at,
        decision: approval.decision,
        used: approval.used,
    }
}

async fn decide(call: Call, approved: bool) -> Answer {
    let Decide { reason } = call.json_or_default()?;
    let done = run(&call, approved, reason).await?;
    reply::changed(done.replayed, &done.value)
}

/// Decides the call that the path names.
pub async fn run(call: &Call, approved: bool, reason: String) -> Result<Committed<Approval>, Problem> {
    let id: ApprovalId = call.param("approval")?;
    let (by, tenants) = (call.by(reason)?, call.tenants()?);
    let done = call.control().decide_approval(by, id, &tenants, approved).await.map_err(refused)?;
    let Committed { value, replayed, seq, took_us } = done;
    Ok(Committed { value: shown(value, call.state.clock.now()), replayed, seq, took_us })
}

fn no_approval(id: ApprovalId) -> Problem {
    problem::not_found(
        format!("approval {id}"),
        "list those that wait: `pinrail approval list` (GET /api/v1/approvals)",
    )
}

fn refused(refused: DecideRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        DecideRefused::NoApproval(id) => no_approval(id),
        DecideRefused::Refused(_) => Problem::new(Code::Decided, detail).next_step(
            "an approval is decided once and in time; the call may be asked for again: `pinrail approval list` (GET \
             /api/v1/approvals)",
        ),
        DecideRefused::ReasonTooLong(_) => {
            Problem::new(Code::BadRequest, detail).next_step("shorten the reason and send the request again")
        }
        DecideRefused::KeyReused => problem::key_reused(),
        DecideRefused::Store(error) => problem::store(&error),
    }
}
