//! `POST /api/v1/deployments`.

use std::collections::BTreeMap;

use pinrail_api::deployments::OpenDeployment;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::deploy::DeployRefused;
use pinrail_domain::deploy::{IngestRefused, Open, OpenRefused, Traffic};
use pinrail_domain::id::{IngestName, SegmentName};
use pinrail_domain::world::World;

use super::{flip, held};
use crate::api::agents::no_agent;
use crate::api::providers::no_provider;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn open(call: Call) -> Answer {
    let mut wish: OpenDeployment = call.json()?;
    let reason = std::mem::take(&mut wish.reason);
    if let Some(name) = wish.ingest.clone() {
        return open_ingest(&call, &name, &wish, reason).await;
    }
    let wish = understood(&call.control().snapshot().world, wish)?;
    let done = call.control().deploy(call.by(reason)?, &wish).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    flip(&call, done).await
}

async fn open_ingest(call: &Call, name: &IngestName, wish: &OpenDeployment, reason: String) -> Answer {
    let OpenDeployment { releases, ingest: _, segment, now, weight, reason: _, lift_hold } = wish;
    if !releases.is_empty() || segment.is_some() || *now || weight.is_some() || *lift_hold {
        return Err(Problem::new(
            Code::BadRequest,
            "a data job moves no traffic, so it takes no release, segment, weight or hold",
        )
        .next_step("`pinrail deploy open --ingest NAME` ({\"ingest\": \"NAME\"}) opens one"));
    }
    let done = call.control().open_ingest(call.by(reason)?, name).await;
    let done = done.map_err(|error| problem::commit(error, ingest_refused))?;
    flip(call, done).await
}

fn ingest_refused(refused: IngestRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        IngestRefused::Open { name, deployment } => Problem::new(Code::IngestOpen, detail)
            .next_step(format!(
                "go on with it, or end it: `pinrail deployment commit {deployment}` or `pinrail deployment rollback \
                 {deployment} --reason …` (POST /api/v1/deployments/{deployment}/commit|rollback)"
            ))
            .fact("ingest", name.as_str())
            .fact("deployment", deployment.0),
        IngestRefused::TooMany => Problem::new(Code::LimitReached, detail)
            .next_step("end those that nobody works on: `pinrail deployment list` (GET /api/v1/deployments)"),
    }
}

fn understood(world: &World, wish: OpenDeployment) -> Result<Open, Problem> {
    let OpenDeployment { releases, ingest: _, segment, now, weight, reason: _, lift_hold } = wish;
    let traffic = match (now, weight) {
        (true, None) => Traffic::Now,
        (false, Some(weight)) => Traffic::Canary(weight),
        (true, Some(_)) | (false, None) => {
            return Err(Problem::new(
                Code::BadRequest,
                "a deployment takes exactly one of `now` and `weight`",
            )
            .next_step("--now (\"now\": true) is all traffic, --weight 5% (\"weight\": 500) a canary"));
        }
    };
    let mut resolved = BTreeMap::new();
    for (agent, text) in releases {
        if !world.agents.contains_key(&agent) {
            return Err(no_agent(&agent));
        }
        let release = named(world, &text, Some(&agent))?;
        resolved.insert(agent, release);
    }
    let segment = segment.unwrap_or_else(SegmentName::default_segment);
    Ok(Open { releases: resolved, segment, traffic, lift_hold })
}

fn refused(refused: DeployRefused) -> Problem {
    let detail = problem::chain(&refused);
    let refused = match refused {
        DeployRefused::Contract(error) => return problem::contract(error),
        DeployRefused::Refused(refused) => refused,
    };
    match refused {
        OpenRefused::AgentCount(_) => Problem::new(Code::BadRequest, detail)
            .next_step("name them: `pinrail deploy AGENT=RELEASE …` (`releases`: {\"AGENT\": \"RELEASE\"})"),
        OpenRefused::NoAgent(agent) => no_agent(&agent),
        OpenRefused::NoSegment { agent, segment: _ } => Problem::new(Code::NotFound, detail).next_step(
            format!(
                "add the segment to agents/{agent}/agent.toml and run `pinrail apply` (PUT \
                 /api/v1/agents/{agent}), or leave --segment out"
            ),
        ),
        OpenRefused::NoRelease { agent, release: _ } => Problem::new(Code::NotFound, detail)
            .next_step(format!(
                "list its releases: `pinrail release list --agent {agent}` (GET \
                 /api/v1/releases?agent={agent})"
            )),
        OpenRefused::NoProvider { release: _, provider } => no_provider(&provider),
        OpenRefused::Model(refused) => problem::model(&refused),
        OpenRefused::CandidateInTheWay { agent, segment, candidate } => {
            Problem::new(Code::CandidateExists, detail)
                .next_step(format!(
                    "first promote it, `pinrail deployment promote {candidate}`, or take it back, `pinrail deployment \
                     rollback {candidate} --reason …` (POST /api/v1/deployments/{candidate}/promote|rollback)"
                ))
                .fact("agent", agent.as_str())
                .fact("segment", segment.as_str())
                .fact("candidate", candidate.0)
        }
        OpenRefused::AlreadyActive { segment, active } => Problem::new(Code::AlreadyActive, detail)
            .next_step("nothing needs to be done; `pinrail pointers` shows what every segment serves \
             (GET /api/v1/pointers)")
            .fact("segment", segment.as_str())
            .fact("active", active.0),
        OpenRefused::Held { agent, segment, hold } => held(detail, &agent, &segment, &hold),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_deployment_flips_the_pointer_at_once_or_takes_a_share() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let first = bench.release("sim-large-2026-03-01").await;
        let short = &first["sha256:".len()..][..10];
        let flip = bench.open_deployment(json!({ "releases": { "support": short }, "now": true })).await.ok();
        assert_eq!((&flip["state"], &flip["active"]), (&json!("active"), &json!({ "support": 1 })));
        assert_eq!(flip["open_runs"]["running"], 0);

        let second = bench.release("sim-large-2026-04-01").await;
        let canary = json!({ "releases": { "support": second }, "weight": 500 });
        let flip = bench.open_deployment(canary.clone()).await.ok();
        assert_eq!((&flip["state"], &flip["active"]), (&json!("candidate"), &json!({ "support": 1 })));
        let problem = bench.open_deployment(canary).await.problem("candidate_exists");
        assert_eq!(problem["candidate"], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_that_makes_no_sense_is_refused() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let id = bench.release("sim-large-2026-03-01").await;
        for (wish, code) in [
            (json!({ "releases": { "support": id } }), "bad_request"),
            (json!({ "releases": { "support": id }, "now": true, "weight": 1 }), "bad_request"),
            (json!({ "releases": { "support": id }, "weight": 10_001 }), "bad_request"),
            (json!({ "releases": {}, "now": true }), "bad_request"),
            (json!({ "releases": { "other": id }, "now": true }), "not_found"),
            (json!({ "releases": { "support": "abcdef" }, "now": true }), "not_found"),
            (json!({ "releases": { "support": "latest" }, "now": true }), "bad_name"),
            (json!({ "releases": { "support": id }, "now": true, "segment": "gold" }), "not_found"),
            (json!({ "releases": { "support": id }, "now": true, "weigth": 3 }), "bad_request"),
        ] {
            bench.open_deployment(wish).await.problem(code);
        }
        bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await.ok();
        bench
            .open_deployment(json!({ "releases": { "support": id }, "now": true }))
            .await
            .problem("already_active");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_key_opens_one_deployment() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let id = bench.release("sim-large-2026-03-01").await;
        let wish = json!({ "releases": { "support": id }, "now": true });
        let headers = [("idempotency-key", "deploy-1")];
        let first = bench.send("POST", "/api/v1/deployments", &headers, Some(&wish)).await;
        let second = bench.send("POST", "/api/v1/deployments", &headers, Some(&wish)).await;
        assert_eq!(
            (first.header("idempotency-replayed"), second.header("idempotency-replayed")),
            (None, Some("true"))
        );
        let (first, second) = (first.ok(), second.ok());
        assert_eq!((&first["deployment"], &first["seq"]), (&second["deployment"], &second["seq"]));
        let other = json!({ "releases": { "support": id }, "weight": 1 });
        let reused = bench.send("POST", "/api/v1/deployments", &headers, Some(&other)).await;
        reused.problem("idempotency_key_reused");
    }
}
