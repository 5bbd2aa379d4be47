//! `POST /api/v1/runs/{run}/events`.

use pinrail_api::runs::AppendEvents;

use super::{changed, id, refused};
use crate::call::Call;
use crate::reply::Answer;

pub async fn append(call: Call) -> Answer {
    let run = id(&call)?;
    let AppendEvents { expected_seq, events } = call.json()?;
    let (tenants, idempotency) = (call.tenants()?, call.idempotency()?);
    let appended = call.control().runs().append(run, &tenants, expected_seq, events, idempotency).await;
    changed(appended.map_err(refused)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn events_are_appended_where_the_caller_expects_or_not_at_all() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = format!("/api/v1/runs/{}/events", bench.run("acme").await);
        let note = |seq: u64| json!({ "expected_seq": seq, "events": [{ "type": "note", "name": "n" }] });
        assert_eq!(bench.post(&path, note(1)).await.ok()["summary"]["next"], 2);
        let problem = bench.post(&path, note(1)).await.problem("sequence_moved");
        assert_eq!(problem["next"], 2);
        for (body, code) in [
            (json!({ "events": [] }), "bad_events"),
            (json!({ "events": [{ "type": "finished", "outcome": "ok" }] }), "bad_events"),
            (json!({ "events": [{ "type": "note", "name": "x".repeat(300_000) }] }), "bad_events"),
            (json!({ "events": [{ "type": "dance" }] }), "bad_request"),
            (json!({ "events": [{ "type": "resumed" }] }), "run_state"),
            (json!({ "event": [] }), "bad_request"),
        ] {
            bench.post(&path, body).await.problem(code);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_key_appends_once() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = format!("/api/v1/runs/{}/events", bench.run("acme").await);
        let body = json!({ "events": [{ "type": "note", "name": "n" }] });
        let headers = [("idempotency-key", "a1")];
        let first = bench.send("POST", &path, &headers, Some(&body)).await;
        let second = bench.send("POST", &path, &headers, Some(&body)).await;
        assert_eq!(
            (first.header("idempotency-replayed"), second.header("idempotency-replayed")),
            (None, Some("true"))
        );
        assert_eq!(first.ok(), second.ok());
        assert_eq!(bench.post(&path, body).await.ok()["summary"]["next"], 3);
    }
}
