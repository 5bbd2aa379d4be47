//! `GET /api/v1/gates/{gate}/watch?done=&wait_ms=`: follows a gate, question by question.
//!
//! The answer comes when the gate has other than `done` answers, when it is over, when the time is up, or when the server
//! shuts down. When too many wait already, it comes at once. Of a gate that runs at another replica the store is asked, which
//! says how far it is when it is over.

use std::time::Duration;

use pinrail_api::problem::{Code, Problem};
use pinrail_domain::id::GateId;
use pinrail_store::gates::GateStatus;
use serde::Deserialize;
use tokio::time::Instant;

use super::{id, look, shown};
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The answers that the caller knows of.
    done: Option<u64>,
    #[serde(default)]
    wait_ms: u64,
}

pub async fn follow(call: Call) -> Answer {
    let id = id(&call)?;
    let Query { done, wait_ms } = call.query()?;
    let (longest, wait) = (call.state.limits.poll_wait_max, Duration::from_millis(wait_ms));
    if wait > longest {
        let detail = format!("wait_ms is {wait_ms}; at most {} are allowed", longest.as_millis());
        return Err(Problem::new(Code::BadRequest, detail).next_step("wait for less, and ask again"));
    }
    let followed = call.state.gates.follow(id);
    let place = call.state.pollers.clone().try_acquire_owned().ok();
    let deadline = Instant::now() + wait;
    if followed.is_none() && place.is_some() {
        elsewhere(&call, id, done, deadline).await?;
    } else if let (Some((mut told, mut over)), Some(_)) = (followed, &place) {
        let mut draining = call.state.draining.subscribe();
        // An error says that the gate's task is gone: then it is over.
        tokio::select! {
            _ = told.wait_for(|progress| done.is_none_or(|done| progress.done != done)) => {}
            _ = over.wait_for(|over| *over) => {}
            _ = draining.wait_for(|draining| *draining) => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
    reply::json(&shown(look(&call, id).await?))
}

/// Waits for a gate that doesn't run here, until it does.
async fn elsewhere(call: &Call, id: GateId, done: Option<u64>, deadline: Instant) -> Result<(), Problem> {
    let mut draining = call.state.draining.subscribe();
    loop {
        let looked = look(call, id).await?;
        let is_told = done.is_none_or(|done| looked.document.progress.done != done);
        if is_told || looked.record.status != GateStatus::Running || call.state.gates.follow(id).is_some() {
            return Ok(());
        }
        tokio::select! {
            () = call.control().may_have_changed_elsewhere() => {}
            _ = draining.wait_for(|draining| *draining) => return Ok(()),
            () = tokio::time::sleep_until(deadline) => return Ok(()),
        }
    }
}
