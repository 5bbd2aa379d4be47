//! `GET /api/v1/traffic?agent=`: what agents served in the last hour, from memory.

use pinrail_api::traffic::{Counts, Errors, Line, Part, Traffic};
use pinrail_control::Control;
use pinrail_domain::id::AgentName;
use pinrail_domain::time::Timestamp;
use pinrail_domain::traffic::{Hour, Lately};
use serde::Deserialize;

use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
}

pub async fn show(call: Call) -> Answer {
    let Query { agent } = call.query()?;
    reply::json(&traffic(call.control(), agent.as_ref(), call.state.clock.now()))
}

/// What was served lately, by one agent or by all.
pub fn traffic(control: &Control, agent: Option<&AgentName>, now: Timestamp) -> Traffic {
    let Lately { since, complete, dropped, lines } = control.traffic(agent);
    let line = |((agent, segment), of): (_, std::collections::BTreeMap<_, Hour>)| {
        let all = of.values().fold(Hour::quiet(now), |sum, hour| sum.and(hour));
        let part = |(deployment, hour): (_, Hour)| Part { deployment, counts: counts(&hour, since) };
        Line { agent, segment, counts: counts(&all, since), deployments: of.into_iter().map(part).collect() }
    };
    Traffic { at: now, since, complete, dropped, lines: lines.into_iter().map(line).collect() }
}

fn counts(hour: &Hour, since: Timestamp) -> Counts {
    let errors = hour.errors();
    Counts {
        runs_per_minute: hour.runs_per_minute(since),
        errors: Errors { errors: errors.errors, ended: errors.ended, rate: errors.rate() },
        minutes: hour.begun(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn what_was_served_lately_is_counted_by_agent_segment_and_deployment() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        assert_eq!(bench.get("/api/v1/traffic").await.ok()["lines"], json!([]));
        let mut changed = bench.control.traffic_changed();
        let run = bench.run("acme").await;
        bench.run("acme").await;
        bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "error" })).await.ok();
        changed.changed().await.unwrap();
        bench.control.recall_traffic();
        let traffic = loop {
            changed.changed().await.unwrap();
            let traffic = bench.get("/api/v1/traffic").await.ok();
            if traffic["complete"] == true {
                break traffic;
            }
        };
        let line = &traffic["lines"][0];
        assert_eq!((&line["agent"], &line["segment"]), (&json!("support"), &json!("default")));
        assert_eq!(line["errors"], json!({ "errors": 1, "ended": 1, "rate": 1.0 }));
        assert_eq!((&line["minutes"][59], line["minutes"].as_array().unwrap().len()), (&json!(2), 60));
        assert_eq!((&line["deployments"][0]["deployment"], &traffic["dropped"]), (&json!(1), &json!(null)));
        assert_eq!(bench.get("/api/v1/traffic?agent=other").await.ok()["lines"], json!([]));
        assert_eq!(bench.get("/api/v1/traffic?agent=support").await.ok()["lines"][0]["minutes"][59], 2);
        bench.get("/api/v1/traffic?agents=x").await.problem("bad_request");
    }
}
