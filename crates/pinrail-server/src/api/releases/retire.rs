//! `POST /api/v1/releases/{release}/retire`: refused, with every reason, while anything needs the release.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::releases::{Retire, Retired};
use pinrail_control::Committed;
use pinrail_domain::retire::{Need, RetireRefused};

use super::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn retire(call: Call) -> Answer {
    let done = run(&call, call.json_or_default()?).await?;
    let pinrail_control::retire::Retired { release, at } = done.value;
    reply::changed(done.replayed, &Retired { release, short: release.short(), at })
}

/// Retires the release that the path names.
pub async fn run(call: &Call, wish: Retire) -> Result<Committed<pinrail_control::retire::Retired>, Problem> {
    let snapshot = call.control().snapshot();
    let release = named(&snapshot.world, call.text("release"), None)?;
    let Retire { reason } = wish;
    let done = call.control().retire(call.by(reason)?, release).await;
    done.map_err(|error| problem::commit(error, refused))
}

fn refused(refused: RetireRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        RetireRefused::NoRelease(id) => problem::not_found(
            format!("release {id}"),
            "list them: `pinrail release list` (GET /api/v1/releases)",
        ),
        RetireRefused::Needed { release: _, needs } => {
            let next = needs.first().map(next_step).unwrap_or_default();
            Problem::new(Code::InUse, detail)
                .next_step(next)
                .fact("needs", serde_json::to_value(&needs).expect("needs are plain data"))
        }
    }
}

/// What to do about a need.
fn next_step(need: &Need) -> String {
    match need {
        Need::Active { agent, .. } => format!(
            "deploy another release first: `pinrail deploy {agent}=RELEASE` (POST /api/v1/deployments)"
        ),
        Need::Candidate { deployment, .. } => format!(
            "take the candidate back: `pinrail deployment rollback {deployment} --reason …` (POST \
             /api/v1/deployments/{deployment}/rollback)"
        ),
        Need::Warm { agent, .. } => format!(
            "wait until newer releases have taken its place, or keep fewer warm: `warm` in agents/{agent}/agent.toml and \
             `pinrail apply` (PUT /api/v1/agents/{agent})"
        ),
        Need::Fallback { agent } => format!(
            "name another in agents/{agent}/agent.toml and run `pinrail apply` (PUT /api/v1/agents/{agent})"
        ),
        Need::Dial { .. } => "turn the dial there first: `pinrail dial set` (PUT /api/v1/dial)".to_owned(),
        Need::Judge { of, .. } => format!(
            "name another judge in agents/{of}/agent.toml and run `pinrail apply` (PUT /api/v1/agents/{of})"
        ),
        Need::Runs { deployment, .. } => format!(
            "wait until they are over: `pinrail run list --deployment {deployment}` shows them (GET \
             /api/v1/runs?deployment={deployment})"
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_release_is_retired_once_nothing_needs_it_and_never_deployed_again() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.put("/api/v1/agents/support", json!({ "warm": 1 })).await.ok();
        let first =
            bench.get("/api/v1/releases").await.ok()["items"][0]["release"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/releases/{}/retire", &first[7..19]);
        let why = json!({ "reason": "old" });
        let problem = bench.post(&path, why.clone()).await.problem("in_use");
        assert_eq!(
            problem["needs"][0],
            json!({ "needs": "active", "agent": "support", "segment": "default", "deployment": 1 })
        );
        let run = bench.run("acme").await;
        for snapshot in ["sim-large-2026-04-01", "sim-large-2026-05-01"] {
            let release = bench.release(snapshot).await;
            bench.open_deployment(json!({ "releases": { "support": release }, "now": true })).await.ok();
            let problem = bench.post(&path, why.clone()).await.problem("in_use");
            assert!(
                problem["detail"].as_str().unwrap().contains("1 runs are open in deployment 1"),
                "{problem}"
            );
        }
        let needs = |problem: &serde_json::Value| problem["needs"].as_array().unwrap().len();
        let problem = bench.post(&path, why.clone()).await.problem("in_use");
        assert_eq!(needs(&problem), 1, "no warm set holds it any more: {problem}");
        bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
        let retired = bench.post(&path, why.clone()).await.ok();
        assert_eq!(retired["release"], first);
        assert_eq!(bench.post(&path, why).await.ok()["at"], retired["at"], "once is enough");
        let shown = bench.get(&format!("/api/v1/releases/{first}")).await.ok();
        assert_eq!(shown["retired"], retired["at"]);
        let again = json!({ "releases": { "support": first }, "now": true });
        let problem = bench.open_deployment(again).await.problem("retired");
        assert_eq!(problem["release"], first);
        bench.post("/api/v1/releases/000000000000/retire", json!({})).await.problem("not_found");
    }
}
