//! `POST /api/v1/runs/{run}/scores`.

use pinrail_api::runs::{NewScore, ScoreRun};
use pinrail_control::runs;

use super::{changed, id, refused};
use crate::call::Call;
use crate::reply::Answer;

pub async fn score(call: Call) -> Answer {
    let run = id(&call)?;
    let ScoreRun { scores } = call.json()?;
    let (tenants, idempotency) = (call.tenants()?, call.idempotency()?);
    let given = |NewScore { name, value, comment }| runs::NewScore { name, value, comment };
    let scores = scores.into_iter().map(given).collect();
    let scored = call.control().runs().score(run, &tenants, scores, idempotency).await;
    changed(scored.map_err(|error| refused(run, error))?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_run_is_scored_also_after_its_end_and_once_per_key() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = format!("/api/v1/runs/{}", bench.run("acme").await);
        bench.post(&format!("{run}/finish"), json!({ "outcome": "ok" })).await.ok();
        let body = json!({ "scores": [
            { "name": "helpful", "value": 0.25, "comment": "too long" },
            { "name": "on-topic", "value": 1 },
        ] });
        let (path, headers) = (format!("{run}/scores"), [("idempotency-key", "s1")]);
        let first = bench.send("POST", &path, &headers, Some(&body)).await.ok();
        let again = bench.send("POST", &path, &headers, Some(&body)).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((&first["summary"]["status"], &first["summary"]["next"]), (&json!("finished"), &json!(4)));
        let events = bench.get(&format!("{run}/events?from=2")).await.ok()["events"].clone();
        let kinds: Vec<&Value> = events.as_array().unwrap().iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, ["score", "score"]);
        assert_eq!((&events[0]["name"], &events[0]["value"]), (&json!("helpful"), &json!(0.25)));
        // The end was counted once.
        assert_eq!(bench.control.runs().live_open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_score_is_refused_whole() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = format!("/api/v1/runs/{}/scores", bench.run("acme").await);
        let fine = json!({ "name": "helpful", "value": 1.0 });
        for scores in [
            json!([]),
            json!([fine, { "name": "helpful", "value": 1.5 }]),
            json!([{ "name": "helpful", "value": -0.1 }]),
            json!([{ "name": "how helpful", "value": 0.5 }]),
            json!([{ "name": "", "value": 0.5 }]),
            json!([{ "name": "helpful", "value": 0.5, "comment": "x".repeat(5_000) }]),
            json!(vec![fine.clone(); 101]),
        ] {
            let problem = bench.post(&path, json!({ "scores": scores })).await.problem("bad_events");
            assert!(problem["next_step"].as_str().unwrap().contains("pinrail run score"), "{problem}");
        }
        bench.post(&path, json!({ "scores": [{ "name": "helpful" }] })).await.problem("bad_request");
        let missing = "/api/v1/runs/run_00000000000000000000000000/scores";
        bench.post(missing, json!({ "scores": [fine] })).await.problem("not_found");
        assert_eq!(bench.get(&path.replace("scores", "events")).await.ok()["next"], 1);
    }
}
