//! `GET /api/v1/readiness`: could everything be taken back right now?

use pinrail_api::readiness::{Indicator, Met, Readiness};
use pinrail_control::readiness::{self, Surroundings};

use super::warm;
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    reply::json(&value(&call).await)
}

/// Every indicator, as it is now.
pub async fn value(call: &Call) -> Readiness {
    let called = super::providers::health::called(&call.state);
    let around = Surroundings { called, ..call.surroundings() };
    let indicators = call.control().readiness(&around).await;
    let missed = |indicator: &readiness::Indicator| indicator.seen.met == readiness::Met::No;
    Readiness {
        ready: !indicators.iter().any(missed),
        epoch: call.control().snapshot().world.epoch,
        indicators: indicators.into_iter().map(shown).collect(),
        warm: call.control().warm_set(&around, None).into_iter().map(warm::shown).collect(),
    }
}

fn shown(indicator: readiness::Indicator) -> Indicator {
    let readiness::Indicator { name, objective, seen } = indicator;
    let readiness::Seen { observed, met, why, next_step } = seen;
    let met = match met {
        readiness::Met::Yes => Met::Yes,
        readiness::Met::No => Met::No,
        readiness::Met::Unknown => Met::Unknown,
    };
    Indicator { name: name.to_owned(), objective: objective.to_owned(), observed, met, why, next_step }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn readiness_names_what_is_amiss_and_what_to_do() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let shown = bench.get("/api/v1/readiness").await.ok();
        assert_eq!(shown["ready"], false);
        let target = &shown["indicators"][0];
        assert_eq!((&target["name"], &target["met"]), (&json!("rollback target"), &json!("no")));
        assert!(target["next_step"].is_string());
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await.ok();
        let shown = bench.get("/api/v1/readiness").await.ok();
        assert_eq!(
            (&shown["ready"], &shown["indicators"][0]["met"]),
            (&json!(true), &json!("yes")),
            "{shown}"
        );
    }
}
