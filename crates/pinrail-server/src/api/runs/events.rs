//! `GET /api/v1/runs/{run}/events?from=&limit=&wait_ms=`: a page of the journal, or a wait for what comes.
//!
//! A wait ends with the first event at or after `from`, with the run's end, with its time, or with the server's
//! shutdown. When too many wait already, the answer comes at once, as if `wait_ms` were 0.

use std::time::Duration;

use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::Events;
use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::key::Tenants;
use serde::Deserialize;
use tokio::time::Instant;

use super::id;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    from: EventSeq,
    limit: Option<usize>,
    #[serde(default)]
    wait_ms: u64,
}

pub async fn read(call: Call) -> Answer {
    let run = id(&call)?;
    let Query { from, limit, wait_ms } = call.query()?;
    let (limit, tenants) = (call.page(limit)?, call.tenants()?);
    let longest = call.state.limits.poll_wait_max;
    let wait = Duration::from_millis(wait_ms);
    if wait > longest {
        let longest = longest.as_millis();
        return Err(Problem::new(
            Code::BadRequest,
            format!("wait_ms is {wait_ms}; at most {longest} are allowed"),
        )
        .next_step("wait for less, and ask again with `from` set to `next`"));
    }
    // Listening begins before the first look, so that nothing written in between is missed.
    let mut changes = call.control().runs().changes();
    let mut draining = call.state.draining.subscribe();
    let (mut page, mut over) = look(&call, run, &tenants, from, limit).await?;
    let place = if page.events.is_empty() && !over && wait_ms > 0 {
        call.state.pollers.clone().try_acquire_owned().ok()
    } else {
        None
    };
    let deadline = Instant::now() + wait;
    while place.is_some() && page.events.is_empty() && !over {
        tokio::select! {
            written = changes.changed() => if written.is_err() { break },
            _ = draining.wait_for(|draining| *draining) => break,
            () = tokio::time::sleep_until(deadline) => break,
        }
        (page, over) = look(&call, run, &tenants, from, limit).await?;
        if page.events.is_empty() && !over {
            let pause = Instant::now() + call.state.limits.poll_pause;
            tokio::time::sleep_until(pause.min(deadline)).await;
        }
    }
    reply::json(&page)
}

/// What is there now, and whether nothing more will come.
async fn look(
    call: &Call,
    run: RunId,
    tenants: &Tenants,
    from: EventSeq,
    limit: usize,
) -> Result<(Events, bool), Problem> {
    let runs = call.control().runs();
    // The status is read first: events that are missing from a finished run would never come.
    let found = runs.get(run, tenants).await.map_err(|error| problem::store(&error))?;
    let status = found.ok_or_else(|| call.no_run(run))?.summary.status;
    let events = runs.events(run, tenants, from, limit).await.map_err(|error| problem::store(&error))?;
    let events = events.ok_or_else(|| call.no_run(run))?;
    let next = events.last().map_or(from, |last| last.seq.next());
    Ok((Events { run, events, next, status: status.to_string() }, !status.is_open()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_journal_is_read_page_by_page() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        let note = json!({ "events": [{ "type": "note", "name": "n" }, { "type": "note", "name": "m" }] });
        bench.post(&format!("/api/v1/runs/{run}/events"), note).await.ok();
        let first = bench.get(&format!("/api/v1/runs/{run}/events?limit=2")).await.ok();
        assert_eq!((&first["events"][0]["type"], &first["next"]), (&json!("plan"), &json!(2))); // I3
        let second = bench.get(&format!("/api/v1/runs/{run}/events?from=2")).await.ok();
        assert_eq!((&second["events"][0]["name"], &second["next"]), (&json!("m"), &json!(3)));
        let end = bench.get(&format!("/api/v1/runs/{run}/events?from=3")).await.ok();
        assert_eq!(
            (&end["events"], &end["next"], &end["status"]),
            (&json!([]), &json!(3), &json!("running"))
        );
        for bad in ["from=x", "wait_ms=30001", "limit=0"] {
            bench.get(&format!("/api/v1/runs/{run}/events?{bad}")).await.problem("bad_request");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_waits_for_the_next_event() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let (run, other) = (bench.run("acme").await, bench.run("acme").await);
        let path = format!("/api/v1/runs/{run}/events?from=1&wait_ms=30000");
        let waiting = tokio::spawn({
            let bench = bench.clone();
            async move { bench.get(&path).await.ok() }
        });
        let note = json!({ "events": [{ "type": "note", "name": "n" }] });
        bench.post(&format!("/api/v1/runs/{other}/events"), note.clone()).await.ok();
        bench.post(&format!("/api/v1/runs/{run}/events"), note).await.ok();
        let page = waiting.await.unwrap();
        assert_eq!((&page["events"][0]["name"], &page["next"]), (&json!("n"), &json!(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_time_the_run_or_the_server() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        let path = format!("/api/v1/runs/{run}/events?from=1&wait_ms=30000");
        assert_eq!(bench.get(&path).await.ok()["events"], json!([]));
        bench.state.draining.send_replace(true);
        assert_eq!(bench.get(&path).await.ok()["events"], json!([]));
        bench.post(&format!("/api/v1/runs/{run}/finish"), json!({ "outcome": "ok" })).await.ok();
        let page = bench.get(&format!("/api/v1/runs/{run}/events?from=2&wait_ms=30000")).await.ok();
        assert_eq!((&page["events"], &page["status"]), (&json!([]), &json!("finished")));
    }
}
