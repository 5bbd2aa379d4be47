//! `POST /api/v1/runs/{run}/events`.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::{AppendEvents, CallersEvent};
use pinrail_domain::journal::Event;
use serde_json::value::RawValue;

use super::{changed, id, refused};
use crate::call::Call;
use crate::reply::Answer;

pub async fn append(call: Call) -> Answer {
    let run = id(&call)?;
    let AppendEvents::<Box<RawValue>> { expected_seq, events } = call.json()?;
    let events = understood(&events)?;
    let (tenants, idempotency) = (call.tenants()?, call.idempotency()?);
    let appended = call.control().runs().append(run, &tenants, expected_seq, events, idempotency).await;
    changed(appended.map_err(|error| refused(run, error))?)
}

/// The events, or the first one that callers can't append.
fn understood(events: &[Box<RawValue>]) -> Result<Vec<Event>, Problem> {
    let understood = events.iter().enumerate().map(|(index, event)| {
        let event = serde_json::from_str::<CallersEvent>(event.get());
        event.map(Event::from).map_err(|error| bad_event(index, &error))
    });
    understood.collect()
}

fn bad_event(index: usize, error: &serde_json::Error) -> Problem {
    let what = error.to_string();
    // The place is one within the event: it would be taken for one within the body.
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = what.strip_suffix(&place).unwrap_or(&what);
    Problem::new(Code::BadEvents, format!("events[{index}]: {what}"))
        .next_step(
            "callers append started, tool_call, tool_result, note, paused and resumed, with the fields that \
             docs/api.md names; `pinrail run finish RUN --outcome ok` ends a run (POST /api/v1/runs/RUN/finish)",
        )
        .fact("index", index)
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
            (json!({ "events": [{ "type": "dance" }] }), "bad_events"),
            (json!({ "events": [{ "type": "parked", "why": "w" }] }), "bad_events"),
            (json!({ "events": [{ "name": "n" }] }), "bad_events"),
            (json!({ "events": [1] }), "bad_events"),
            (json!({ "events": {} }), "bad_request"),
            (json!({ "events": [{ "type": "resumed" }] }), "run_state"),
            (json!({ "event": [] }), "bad_request"),
        ] {
            bench.post(&path, body).await.problem(code);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_callers_cannot_append_is_told_what_they_can() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = format!("/api/v1/runs/{}/events", bench.run("acme").await);
        let check = async |event: serde_json::Value, says: &str| {
            let note = json!({ "type": "note", "name": "n" });
            let problem = bench.post(&path, json!({ "events": [note, event] })).await.problem("bad_events");
            assert_eq!(problem["index"], 1, "{problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.starts_with("events[1]: ") && detail.contains(says), "{detail}");
            assert!(!detail.contains("model_request") && !detail.contains("column"), "{detail}");
        };
        // A field that is spelt wrong would be lost for good.
        check(json!({ "type": "note", "name": "n", "dta": 1 }), "unknown field `dta`").await;
        check(json!({ "type": "started", "by": "w" }), "unknown field `by`").await;
        check(json!({ "type": "paused" }), "missing field `why`").await;
        check(json!({ "type": "dance" }), "unknown variant `dance`, expected one of `started`").await;
        check(json!({ "type": "finished", "outcome": "ok" }), "unknown variant `finished`").await;
        // All or none.
        let events = bench.get(&path).await.ok();
        assert_eq!(events["next"], 1);
        let none = bench.post(&path, json!({ "events": [] })).await.problem("bad_events");
        assert!(none["next_step"].as_str().unwrap().contains("at least one"), "{none}");
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
