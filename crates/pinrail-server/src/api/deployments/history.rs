//! `GET /api/v1/deployments/{deployment}/history`: how a rollout's guardrails moved.

use pinrail_api::deployments::history::{Course, History, Source};
use pinrail_api::problem::Problem;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::rollout::Guardrail;
use pinrail_domain::rollout::acts::RolloutRefused;
use pinrail_domain::rollout::history::Point;
use pinrail_domain::rollout::spec::{Measure, Unit};
use pinrail_domain::rollout::told::slack_at;

use super::{id, no_deployment, rollout};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&history(&call, id(&call)?).await?)
}

/// How the guardrails of a deployment's rollout moved.
pub async fn history(call: &Call, id: DeploymentId) -> Result<History, Problem> {
    let watched = call.control().history(id).await.map_err(|error| problem::store(&error))?;
    let snapshot = call.control().snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let (Some(watched), Some(of)) = (watched, deployment.rollout.as_deref()) else {
        return Err(rollout::refused(RolloutRefused::ByHand { id }));
    };
    let slack = slack_at(&of.plan, of.step);
    Ok(History {
        deployment: id,
        complete: watched.complete,
        source: if watched.from_ledger { Source::Ledger } else { Source::Observed },
        guardrails: watched.history.courses().map(|(of, points)| course(of, points, slack)).collect(),
    })
}

fn course(of: &Guardrail, points: &[Point], slack: f64) -> Course {
    let unit = match of.metric.unit() {
        Unit::Share => "share",
        Unit::Score => "score",
        Unit::Milliseconds => "ms",
        Unit::Tokens => "tokens",
        Unit::Usd => "usd",
    };
    let harm = match of.metric.measure() {
        Measure::Rate | Measure::Mean => "difference",
        Measure::Quantile => "ratio",
    };
    Course {
        guardrail: of.name.clone(),
        agent: of.agent.clone(),
        metric: of.metric.clone(),
        unit: unit.to_owned(),
        direction: of.direction,
        quantile: of.quantile,
        margin: of.margin,
        harm: harm.to_owned(),
        slack,
        points: points.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    /// Waits until so many runs of a rollout are in.
    async fn observed(bench: &Bench, path: &str, runs: u64) {
        loop {
            let rollout = bench.get(&format!("{path}/rollout")).await.ok();
            let ended = |arm: &str| rollout["runs"][arm].as_u64().unwrap();
            if rollout["complete"] == true && ended("candidate") + ended("incumbent") == runs {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollouts_guardrails_have_a_course_and_their_ends_stay() {
        let bench = Bench::open().await;
        let id = bench
            .roll_out(json!({
                "steps": [{ "canary": { "percent": 50, "min_runs": 1000 } }],
                "guardrails": [{ "metric": "error_rate", "margin": "2%" }, { "metric": "latency" }],
            }))
            .await;
        let path = format!("/api/v1/deployments/{id}");
        let (mut counted, mut runs) = (Vec::new(), 0);
        for _ in 0..4 {
            for _ in 0..8 {
                let run = bench.run("acme").await;
                bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
            }
            runs += 8;
            observed(&bench, &path, runs).await;
            let history = bench.get(&format!("{path}/history")).await.ok();
            counted.push(history["guardrails"][0]["points"].as_array().unwrap().len());
        }
        assert!(counted.is_sorted() && counted[0] >= 1 && counted[3] > counted[0], "{counted:?}");
        let history = bench.get(&format!("{path}/history")).await.ok();
        assert_eq!((&history["source"], &history["complete"]), (&json!("observed"), &json!(true)));
        let [errors, latency] = [0, 1].map(|place| &history["guardrails"][place]);
        assert_eq!(
            (&errors["unit"], &errors["harm"], &errors["margin"]),
            (&json!("share"), &json!("difference"), &json!("2%"))
        );
        assert_eq!((&latency["unit"], &latency["harm"]), (&json!("ms"), &json!("ratio")));
        let samples = &errors["points"].as_array().unwrap().last().unwrap()["samples"];
        assert!(samples["candidate"].as_u64().unwrap() + samples["incumbent"].as_u64().unwrap() > 8);
        bench.roll_back(id).await.ok();
        let after = bench.get(&format!("{path}/history")).await.ok();
        assert_eq!((&after["guardrails"], &after["source"]), (&history["guardrails"], &json!("observed")));
        bench.get("/api/v1/deployments/1/history").await.problem("rollout_state");
        bench.get("/api/v1/deployments/99/history").await.problem("not_found");
    }
}
