//! `POST /api/v1/deployments`.

use std::collections::BTreeMap;

use pinrail_api::deployments::OpenDeployment;
use pinrail_api::deployments::rollout::{Outlined, WantedRollout};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_control::deploy::DeployRefused;
use pinrail_domain::deploy::{IngestRefused, Open, OpenRefused, Traffic};
use pinrail_domain::id::{AgentName, IngestName, ReleaseId, SegmentName};
use pinrail_domain::rollout::RolloutSpec;
use pinrail_domain::share::Share;

use super::{flip, gate_missing, held};
use crate::api::agents::no_agent;
use crate::api::providers::no_provider;
use crate::api::releases::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn open(call: Call) -> Answer {
    let mut wish: OpenDeployment = call.json()?;
    let reason = std::mem::take(&mut wish.reason);
    if let Some(name) = wish.ingest.clone() {
        return open_ingest(&call, &name, &wish, reason).await;
    }
    let dry_run = wish.dry_run;
    let wish = understood(call.control(), wish)?;
    if dry_run {
        return outline(&call, wish).await;
    }
    let done = call.control().deploy(call.by(reason)?, &wish).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    flip(&call, done).await
}

/// Says what would happen, and what a rollout would take.
async fn outline(call: &Call, wish: Open) -> Answer {
    call.control().deploy_refused(&wish).await.map_err(refused)?;
    let Open { releases, segment, traffic, lift_hold: _ } = wish;
    let (word, plan) = match traffic {
        Traffic::Canary(_) => ("canary", None),
        Traffic::Now => ("now", None),
        Traffic::Rollout(plan) => ("rollout", Some(*plan)),
    };
    let outline = match plan {
        Some(plan) => {
            let outlined = call.control().outline(releases.keys(), &segment, plan).await;
            Some(outlined.map_err(|error| problem::store(&error))?)
        }
        None => None,
    };
    reply::json(&Outlined { releases, segment, traffic: word.to_owned(), outline })
}

async fn open_ingest(call: &Call, name: &IngestName, wish: &OpenDeployment, reason: String) -> Answer {
    let OpenDeployment { releases, ingest: _, segment, now, weight, rollout, reason: _, lift_hold, dry_run } =
        wish;
    let moves = *now || weight.is_some() || rollout.is_some() || *lift_hold || *dry_run;
    if !releases.is_empty() || segment.is_some() || moves {
        return Err(Problem::new(
            Code::BadRequest,
            "a data job moves no traffic, so it takes no release, segment, weight, rollout or hold, and has no dry run",
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

fn understood(control: &Control, wish: OpenDeployment) -> Result<Open, Problem> {
    let OpenDeployment {
        releases,
        ingest: _,
        segment,
        now,
        weight,
        rollout,
        reason: _,
        lift_hold,
        dry_run: _,
    } = wish;
    let wanted = match (now, weight, rollout) {
        (true, None, None | Some(WantedRollout::Agents(false))) => Wanted::Now,
        (false, Some(weight), None | Some(WantedRollout::Agents(false))) => Wanted::Canary(weight),
        (false, None, None | Some(WantedRollout::Agents(true))) => Wanted::Rollout(None),
        (false, None, Some(WantedRollout::Own(plan))) => Wanted::Rollout(Some(plan)),
        (true, Some(_), _)
        | (true, None, Some(WantedRollout::Agents(true) | WantedRollout::Own(_)))
        | (false, Some(_), Some(WantedRollout::Agents(true) | WantedRollout::Own(_)))
        | (false, None, Some(WantedRollout::Agents(false))) => {
            return Err(Problem::new(
                Code::BadRequest,
                "a deployment takes one of `now`, `weight` and `rollout`; none of them is the agents' rollout",
            )
            .next_step(
                "--now (\"now\": true) is all traffic, --weight 5% (\"weight\": 500) a canary by hand, --plan FILE \
                 (\"rollout\": {…}) a rollout with a plan of its own",
            ));
        }
    };
    let mut resolved = BTreeMap::new();
    let snapshot = control.snapshot();
    let world = &snapshot.world;
    for (agent, text) in releases {
        if !world.agents.contains_key(&agent) {
            return Err(no_agent(&agent));
        }
        let release = named(world, &text, Some(&agent))?;
        resolved.insert(agent, release);
    }
    let segment = segment.unwrap_or_else(SegmentName::default_segment);
    let traffic = match wanted {
        Wanted::Now => Traffic::Now,
        Wanted::Canary(weight) => Traffic::Canary(weight),
        Wanted::Rollout(plan) => rollout_of(control, &resolved, &segment, plan.as_deref())?,
    };
    Ok(Open { releases: resolved, segment, traffic, lift_hold })
}

/// How traffic is asked for.
enum Wanted {
    Now,
    Canary(Share),
    /// With a plan of its own, or the agents'.
    Rollout(Option<Box<RolloutSpec>>),
}

fn rollout_of(
    control: &Control,
    releases: &BTreeMap<AgentName, ReleaseId>,
    segment: &SegmentName,
    plan: Option<&RolloutSpec>,
) -> Result<Traffic, Problem> {
    let plan = match plan {
        None => control.plan_for(releases.keys(), segment),
        Some(settings) => control.plan_of(releases.keys(), segment, settings).map_err(|bad| {
            Problem::new(Code::BadAgent, format!("rollout: {bad}")).next_step(
                "correct the plan (--plan FILE, \"rollout\"); docs/rollouts.md says what it may hold",
            )
        })?,
    };
    if let Some(agent) = control.unserved(releases.keys(), segment) {
        return Err(Problem::new(
            Code::NothingActive,
            format!("nothing is active for {agent} in segment {segment}, so there is nothing to compare a candidate with"),
        )
        .next_step(format!(
            "put the first one in front of all traffic: `pinrail deploy {agent}=RELEASE --now` (POST /api/v1/deployments \
             with \"now\": true)"
        ))
        .fact("agent", agent.as_str())
        .fact("segment", segment.as_str()));
    }
    let plan = plan.ok_or_else(|| refused(OpenRefused::AgentCount(0).into()))?;
    Ok(Traffic::Rollout(Box::new(plan)))
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
        OpenRefused::Retired { agent, release, at: _ } => Problem::new(Code::Retired, detail)
            .next_step(format!(
                "deploy another: `pinrail release list --agent {agent}` (GET /api/v1/releases?agent={agent})"
            ))
            .fact("release", release.to_string()),
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
        OpenRefused::Gate(missing) => gate_missing(detail, None, &missing),
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
            (json!({ "releases": { "support": id } }), "nothing_active"),
            (json!({ "releases": { "support": id }, "rollout": true }), "nothing_active"),
            (json!({ "releases": { "support": id }, "rollout": true, "now": true }), "bad_request"),
            (json!({ "releases": { "support": id }, "rollout": {}, "weight": 1 }), "bad_request"),
            (json!({ "releases": { "support": id }, "rollout": false }), "bad_request"),
            (json!({ "releases": { "support": id }, "rollout": { "stepps": [] } }), "bad_request"),
            (json!({ "releases": { "support": id }, "rollout": { "steps": [] } }), "bad_agent"),
            (json!({ "ingest": "docs", "rollout": true }), "bad_request"),
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
    async fn where_something_is_active_a_rollout_is_what_one_gets() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let id = bench.release("sim-large-2026-04-01").await;
        let before = bench.get("/api/v1/ledger").await.ok();
        let wish = json!({ "releases": { "support": id }, "dry_run": true });
        let outlined = bench.open_deployment(wish).await.ok();
        assert_eq!(outlined["traffic"], "rollout");
        let steps = outlined["outline"]["steps"].as_array().unwrap();
        assert_eq!((&steps[0]["what"], steps.len()), (&json!("canary 5%"), 3));
        assert!(
            outlined["outline"]["doubts"][0].as_str().unwrap().contains("no run in the last"),
            "{outlined}"
        );
        assert_eq!(bench.get("/api/v1/ledger").await.ok(), before, "a dry run leaves nothing behind");
        let flip = bench.open_deployment(json!({ "releases": { "support": id } })).await.ok();
        assert_eq!(flip["state"], "candidate");
        let shown = bench.get("/api/v1/deployments/2").await.ok();
        assert_eq!((&shown["rollout"]["step"], &shown["rollout"]["what"]), (&json!(1), &json!("canary 5%")));
        assert!(
            shown["rollout"]["sentence"].as_str().unwrap().starts_with("Step 1 of 3, canary 5%"),
            "{shown}"
        );
        let dry = json!({ "releases": { "support": id }, "dry_run": true });
        bench.open_deployment(dry).await.problem("candidate_exists");
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
