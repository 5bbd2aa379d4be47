//! `POST /api/v1/holds/lift`.

use pinrail_api::deployments::{HoldLifted, LiftHold};
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::id::{AgentName, SegmentName};

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn lift(call: Call) -> Answer {
    let LiftHold { agent, segment, reason } = call.json()?;
    let (lifted, replayed) = lifted(&call, agent, segment, reason).await?;
    reply::changed(replayed, &lifted)
}

/// Lifts a hold; and says whether that was done before, by the same request.
pub async fn lifted(
    call: &Call,
    agent: AgentName,
    segment: Option<SegmentName>,
    reason: String,
) -> Result<(HoldLifted, bool), Problem> {
    let segment = segment.unwrap_or_else(SegmentName::default_segment);
    let done = call.control().lift_hold(call.by(reason)?, &agent, &segment).await;
    let done = done.map_err(|error| {
        problem::commit(error, |refused| {
            Problem::new(Code::NotHeld, refused.to_string()).next_step(
                "`pinrail pointers` shows the holds (GET /api/v1/pointers); --segment names \
                 another segment than `default`",
            )
        })
    })?;
    Ok((HoldLifted { agent, segment, seq: done.value }, done.replayed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_lifted_once() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.roll_back(1).await.ok();
        let wish = json!({ "agent": "support", "reason": "mended" });
        assert_eq!(bench.post("/api/v1/holds/lift", wish.clone()).await.ok()["segment"], "default");
        bench.post("/api/v1/holds/lift", wish).await.problem("not_held");
    }
}
