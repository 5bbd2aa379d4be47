//! `POST` and `GET /api/v1/readiness/drill`.

use pinrail_api::drills::{Drill as Shown, DrillStep, HoldDrill};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::drill::{Drill, DrillError};
use pinrail_domain::deploy::{IngestRefused, RollBackRefused};

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// The last drill.
pub async fn show(call: Call) -> Answer {
    let none = || {
        problem::not_found(
            "drill yet",
            "hold one: `pinrail readiness --drill` (POST /api/v1/readiness/drill)",
        )
    };
    reply::json(&last(&call).await?.ok_or_else(none)?)
}

/// The last drill, if one was ever held.
pub async fn last(call: &Call) -> Result<Option<Shown>, Problem> {
    let last = call.control().last_drill().await.map_err(|error| problem::store(&error))?;
    Ok(last.map(shown))
}

/// Holds one. A repetition under the same idempotency key is another drill: it changes nothing that lasts.
pub async fn hold(call: Call) -> Answer {
    let HoldDrill { reason } = call.json_or_default()?;
    reply::json(&run(&call, reason).await?)
}

/// Holds a drill.
pub async fn run(call: &Call, reason: String) -> Result<Shown, Problem> {
    let reason = if reason.is_empty() { "a drill".to_owned() } else { reason };
    let drill = call.control().drill(&call.by(reason)?).await.map_err(failed)?;
    Ok(shown(drill))
}

fn failed(error: DrillError) -> Problem {
    let detail = problem::chain(&error);
    match error {
        DrillError::Open(error) => problem::commit(error, |refused| {
            match refused {
            IngestRefused::Open { .. } | IngestRefused::TooMany => Problem::new(Code::LimitReached, detail)
                .next_step("commit or roll back data jobs that are done: `pinrail deployment list` (GET /api/v1/deployments)"),
        }
        }),
        DrillError::RollBack(error) => problem::commit(error, |refused| match refused {
            RollBackRefused::NoDeployment(_)
            | RollBackRefused::AlreadyRolledBack { .. }
            | RollBackRefused::TooManyDerived { .. } => Problem::new(Code::Contended, detail)
                .next_step("somebody else rolled the drill back; hold another"),
        }),
        DrillError::Author(_) => Problem::new(Code::Contended, detail)
            .next_step("somebody else ended the drill's data job; hold another drill"),
        DrillError::Write(_) => Problem::new(Code::StoreUnavailable, detail)
            .next_step("look at the store with `pinrail doctor`, then hold another drill"),
        DrillError::Store(error) => problem::store(&error),
    }
}

fn shown(drill: Drill) -> Shown {
    Shown {
        went_well: drill.went_well(),
        at: drill.at,
        deployment: drill.deployment,
        steps: drill
            .steps
            .into_iter()
            .map(|step| DrillStep { name: step.name, took_us: step.took_us })
            .collect(),
        consistent_us: drill.consistent_us,
        records: drill.records,
        faults: drill.faults,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_drill_is_held_and_remembered() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.get("/api/v1/readiness/drill").await.problem("not_found");
        let pointers = bench.get("/api/v1/pointers").await.ok()["pointers"].clone();
        let drill = bench.post("/api/v1/readiness/drill", json!({})).await.ok();
        assert_eq!((&drill["went_well"], &drill["records"]), (&json!(true), &json!(192)));
        assert_eq!(bench.get("/api/v1/readiness/drill").await.ok(), drill);
        assert_eq!(bench.get("/api/v1/pointers").await.ok()["pointers"], pointers);
        let job = &bench.get(&format!("/api/v1/deployments/{}", drill["deployment"])).await.ok();
        assert!(job["state"] == "rolled back" || job["status"]["status"] == "rolled_back", "{job}");
    }
}
