//! What a deployment's page does, when its form was sent. Each act is the API's own.

use pinrail_api::deployments::back::RollBack;
use pinrail_api::deployments::{Because, Promote, SetWeight};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::share::Share;
use serde::Deserialize;

use super::super::{done, typed};
use super::id;
use crate::api::{deployments as api, holds};
use crate::call::Call;
use crate::reply::Answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promoted {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    lift_hold: bool,
    /// The rollout isn't through, and it is promoted all the same, for the reason that is given.
    #[serde(default)]
    overridden: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighed {
    /// In percent.
    weight: f64,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TakenBack {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    keep_state: bool,
    #[serde(default)]
    cascade: bool,
    #[serde(default)]
    callable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifted {
    agent: AgentName,
    segment: SegmentName,
    #[serde(default)]
    reason: String,
}

pub async fn promote(call: Call) -> Answer {
    let Promoted { reason, lift_hold, overridden } = typed(&call)?;
    let overridden = overridden.then(|| reason.clone());
    let wish = Promote { reason, lift_hold, overridden };
    let id = id(&call)?;
    back_to(id, api::promote::promoted(&call, id, wish).await)
}

pub async fn commit(call: Call) -> Answer {
    let (id, why) = (id(&call)?, because(&call)?);
    back_to(id, api::commit::committed(&call, id, why).await)
}

pub async fn freeze(call: Call) -> Answer {
    let (id, why) = (id(&call)?, because(&call)?);
    back_to(id, api::freeze::frozen(&call, id, why).await)
}

pub async fn resume(call: Call) -> Answer {
    let (id, why) = (id(&call)?, because(&call)?);
    back_to(id, api::resume::resumed(&call, id, why).await)
}

pub async fn approve(call: Call) -> Answer {
    let (id, why) = (id(&call)?, because(&call)?);
    back_to(id, api::approve::approved(&call, id, why).await)
}

pub async fn weight(call: Call) -> Answer {
    let Weighed { weight, reason } = typed(&call)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share out of bounds is refused below"
    )]
    let bps = (weight * 100.0).round().max(0.0) as u64;
    let weight = Share::from_bps(bps).map_err(|error| {
        Problem::new(Code::BadRequest, error.to_string()).next_step("choose a share from 0 to 100 percent")
    })?;
    let id = id(&call)?;
    back_to(id, api::weight::weighted(&call, id, SetWeight { weight, reason }).await)
}

pub async fn roll_back(call: Call) -> Answer {
    let TakenBack { reason, keep_state, cascade, callable } = typed(&call)?;
    let wish = RollBack { reason, keep_state, cascade, callable, dry_run: false };
    let id = id(&call)?;
    back_to(id, api::rollback::taken_back(&call, id, wish).await.map(|(done, _)| done))
}

pub async fn lift(call: Call) -> Answer {
    let Lifted { agent, segment, reason } = typed(&call)?;
    let (lifted, _) = holds::lifted(&call, agent, Some(segment), reason).await?;
    done(&format!("/deployments/{}", id(&call)?), Some(lifted.seq))
}

fn because(call: &Call) -> Result<Because, Problem> {
    let Reason { reason } = typed(call)?;
    Ok(Because { reason })
}

/// Shows the deployment, with the entry that was made.
fn back_to(id: DeploymentId, act: Result<Committed<Flipped>, Problem>) -> Answer {
    done(&format!("/deployments/{id}"), Some(act?.value.seq))
}
