//! `POST /api/v1/deployments/{deployment}/rollback`. Only the reason can be missing: nothing else blocks it (I7).

use pinrail_api::deployments::Because;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::deploy::{RollBackRefused, TakeBack};

use super::{flip, id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn roll_back(call: Call) -> Answer {
    let id = id(&call)?;
    let Because { reason, lift_hold } = call.json()?;
    if lift_hold {
        return Err(Problem::new(Code::BadRequest, "a rollback sets a hold, so it cannot lift one")
            .next_step("leave `lift_hold` out"));
    }
    if reason.trim().is_empty() {
        return Err(Problem::new(
            Code::BadRequest,
            "a rollback needs a reason: whoever lifts the hold must know why",
        )
        .next_step(format!("`pinrail deployment rollback {id} --reason …` ({{\"reason\": \"…\"}})")));
    }
    let done = call.control().roll_back(call.by(reason)?, id, TakeBack::default()).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    flip(&call, done).await
}

fn refused(refused: RollBackRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        RollBackRefused::NoDeployment(id) => no_deployment(id),
        RollBackRefused::TooManyDerived { records, .. } => Problem::new(Code::TooLarge, detail)
            .next_step(
                "roll back without the cascade, and roll back the deployments that hold the derived records",
            )
            .fact("records", records),
        RollBackRefused::AlreadyRolledBack { id, why: _ } => Problem::new(Code::AlreadyRolledBack, detail)
            .next_step(
                "nothing needs to be done; `pinrail deployment list` shows every state (GET \
             /api/v1/deployments)",
            )
            .fact("deployment", id.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_rollback_flips_back_and_holds() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await.ok();
        for (body, code) in [
            (json!({}), "bad_request"),
            (json!({ "reason": "  " }), "bad_request"),
            (json!({ "reason": "x", "lift_hold": true }), "bad_request"),
        ] {
            let problem = bench.post("/api/v1/deployments/2/rollback", body).await.problem(code);
            assert!(problem["next_step"].is_string(), "{problem}");
        }
        let run = bench.run("acme").await;
        let flip = bench.roll_back(2).await.ok();
        assert_eq!((&flip["active"]["support"], &flip["open_runs"]["running"]), (&json!(1), &json!(1)));
        bench.roll_back(2).await.problem("already_rolled_back");
        bench.roll_back(9).await.problem("not_found");
        // The run goes on with what it started with (I2).
        let resumed = bench.send("POST", &format!("/api/v1/runs/{run}/resume"), &[], None).await.ok();
        assert_eq!(resumed["stamp"]["deployment"], 2);
        let wish = json!({ "releases": { "support": id }, "now": true });
        let held = bench.open_deployment(wish).await.problem("held");
        assert_eq!(held["rolled_back"], 2);
        let next = held["next_step"].as_str().unwrap();
        assert!(next.contains("`pinrail hold lift support --segment default --reason …`"), "{next}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_epoch_is_on_every_answer() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let before: u64 = bench.get("/healthz").await.header("x-pinrail-epoch").unwrap().parse().unwrap();
        let answer = bench.roll_back(1).await;
        assert_eq!(answer.header("x-pinrail-epoch"), Some(&*(before + 1).to_string()));
        assert!(bench.get("/nowhere").await.header("x-pinrail-epoch").is_some());
    }
}
