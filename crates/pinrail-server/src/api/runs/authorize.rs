//! `POST /api/v1/runs/{run}/tools/authorize`: whether a run may call a tool now.
//!
//! Where a person is asked, the answer may wait for the decision (`wait_ms`): it ends with the decision, with its time, or
//! with the server's shutdown. When too many wait already, it comes at once.

use std::time::Duration;

use pinrail_api::approvals::{AuthorizeTool, ToolAuthorized};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::approvals::{AuthorizeError, Authorized, ToolCall};
use pinrail_domain::dial::Ruling;
use pinrail_domain::id::RunId;
use tokio::time::Instant;

use super::id;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn authorize(call: Call) -> Answer {
    let run = id(&call)?;
    let AuthorizeTool { tool, arguments, id, wait_ms } = call.json()?;
    let (longest, wait) = (call.state.limits.poll_wait_max, Duration::from_millis(wait_ms));
    if wait > longest {
        let detail = format!("wait_ms is {wait_ms}; at most {} are allowed", longest.as_millis());
        return Err(Problem::new(Code::BadRequest, detail).next_step("wait for less, and ask again"));
    }
    let control = call.control();
    let stamp = control.authorizing(run, &call.tenants()?).await.map_err(|error| refused(run, error))?;
    let asked = ToolCall { tool: &tool, arguments: &arguments, id: id.as_deref(), side_effects: None };
    // Listening begins before the first look, so that no decision in between is missed.
    let mut changes = control.approval_changes();
    let mut draining = call.state.draining.subscribe();
    let mut authorized = control.authorize_tool(&stamp, asked).await.map_err(|error| refused(run, error))?;
    let place = (wait_ms > 0).then(|| call.state.pollers.clone().try_acquire_owned().ok()).flatten();
    let deadline = Instant::now() + wait;
    while place.is_some() && authorized.ruling == Ruling::NeedsApproval {
        tokio::select! {
            decided = changes.changed() => if decided.is_err() { break },
            () = control.may_have_changed_elsewhere() => {}
            _ = draining.wait_for(|draining| *draining) => break,
            () = tokio::time::sleep_until(deadline) => break,
        }
        authorized = control.authorize_tool(&stamp, asked).await.map_err(|error| refused(run, error))?;
    }
    let Authorized { ruling, approval, expires_at, why, position } = authorized;
    reply::json(&ToolAuthorized { decision: ruling, approval, expires_at, why, dial: position })
}

fn refused(run: RunId, refused: AuthorizeError) -> Problem {
    let detail = problem::chain(&refused);
    let bad = |next_step: &str| Problem::new(Code::BadRequest, detail.clone()).next_step(next_step);
    match refused {
        AuthorizeError::NoRun(run) => problem::no_run(run, None),
        AuthorizeError::NotRunning { run, status } => problem::run_state(detail, run, status),
        AuthorizeError::BadId => bad("send the id that the model gave the call, or none"),
        AuthorizeError::TooLong(_) => bad("call the tool with less, such as the digest of a stored artifact"),
        AuthorizeError::AnotherCall { .. } => Problem::new(Code::OtherCall, detail)
            .next_step("give each call an id of its own, and ask again with the same tool and arguments")
            .fact("run", run.to_string()),
        AuthorizeError::TooManyPending => Problem::new(Code::LimitReached, detail).next_step(
            "decide about some of them: `pinrail approval list` (GET /api/v1/approvals); do not make the call",
        ),
        AuthorizeError::Stale { ms } => problem::stale(detail, ms),
        AuthorizeError::Contract(error) => problem::contract(error),
        AuthorizeError::Store(error) => problem::store(&error),
        AuthorizeError::Journal(error) => problem::write(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_person_who_approves_it() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        let path = format!("/api/v1/runs/{run}/tools/authorize");
        let wish = json!({ "tool": "refund", "arguments": { "cents": 5 }, "id": "c1" });
        assert_eq!(bench.post(&path, wish.clone()).await.ok()["decision"], "allowed");
        let place = json!({ "place": { "tool": "refund" }, "position": "supervised", "reason": "odd" });
        bench.put("/api/v1/dial", place).await.ok();
        let asked = bench.post(&path, wish.clone()).await.ok();
        assert_eq!((&asked["decision"], &asked["dial"]), (&json!("needs_approval"), &json!("full")));
        assert_eq!(bench.get("/api/v1/status").await.ok()["approvals_pending"], 1);
        let listed = bench.get("/api/v1/approvals?state=pending&agent=support").await.ok();
        assert_eq!(listed["items"][0]["approval"], asked["approval"]);
        let approval = format!("/api/v1/approvals/{}", asked["approval"].as_str().unwrap());
        let waiting = {
            let (bench, path) = (bench.clone(), path.clone());
            let mut wish = wish.clone();
            wish["wait_ms"] = json!(30_000);
            tokio::spawn(async move { bench.post(&path, wish).await.ok() })
        };
        tokio::task::yield_now().await;
        let decided = bench.post(&format!("{approval}/approve"), json!({ "reason": "fine" })).await.ok();
        assert_eq!(decided["state"], "approved");
        assert_eq!(waiting.await.unwrap()["decision"], "allowed");
        bench.post(&format!("{approval}/deny"), json!({})).await.problem("decided");
        assert_eq!(bench.get(&approval).await.ok()["state"], "used");
        let other = json!({ "tool": "refund", "arguments": { "cents": 6 }, "id": "c1" });
        bench.post(&path, other).await.problem("other_call");
        bench.get("/api/v1/approvals?state=odd").await.problem("bad_request");
        let long = json!({ "tool": "x", "wait_ms": 40_000 });
        bench.post(&path, long).await.problem("bad_request");
    }
}
