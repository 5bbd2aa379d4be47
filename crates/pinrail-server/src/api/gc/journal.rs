//! `GET` and `POST /api/v1/gc/journal`.

use std::time::Duration;

use pinrail_api::gc::{Collect, DayCollected, DayKept, Dropping as Shown, JournalCollection};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::runs::collect::{Dropping, JournalCollection as Planned};

use super::Query;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// What a collection would drop now, and how far an earlier one is.
pub async fn show(call: Call) -> Answer {
    let Query { older_than_ms, wait_ms } = call.query()?;
    let mut dropping = call.control().dropping();
    let wait = Duration::from_millis(wait_ms).min(call.state.limits.poll_wait_max);
    // Whether it ended or not: the answer says so.
    let _ = tokio::time::timeout(wait, dropping.wait_for(|dropping| !dropping.running)).await;
    let planned = plan(&call, older_than_ms).await?;
    reply::json(&shown(&call, planned))
}

pub async fn collect(call: Call) -> Answer {
    let Collect { older_than_ms, dry_run, reason } = call.json_or_default()?;
    if dry_run {
        let planned = plan(&call, older_than_ms).await?;
        return reply::json(&shown(&call, planned));
    }
    let kept_ms = kept(&call, older_than_ms)?;
    let reason = if reason.is_empty() { "retention of journals".to_owned() } else { reason };
    let done = call.control().collect_journals(call.by(reason)?, kept_ms).await;
    let done = done.map_err(|error| problem::commit(error, |never| match never {}))?;
    reply::changed(done.replayed, &shown(&call, done.value))
}

async fn plan(call: &Call, older_than_ms: Option<u64>) -> Result<Planned, Problem> {
    let kept_ms = kept(call, older_than_ms)?;
    call.control().journals_plan(kept_ms).await.map_err(|error| problem::store(&error))
}

/// How long journals are kept: nobody drops anything without having said so.
fn kept(call: &Call, older_than_ms: Option<u64>) -> Result<u64, Problem> {
    let detail = "nobody said how long journals are kept: without that they are kept for good";
    older_than_ms.or_else(|| call.control().journals_kept_ms()).ok_or_else(|| {
        Problem::new(Code::BadRequest, detail).next_step(
            "say it here, `pinrail gc journal --older-than 90d` (older_than_ms), or for good in pinrail.toml: `[journal] keep = \"90d\"`",
        )
    })
}

fn shown(call: &Call, planned: Planned) -> JournalCollection {
    let Planned { plan, kept_ms, seq } = planned;
    let Dropping { running, days, done, runs, trouble } = call.control().dropping().borrow().clone();
    let collect = plan.collect.iter().map(|day| DayCollected { day: day.day, runs: day.runs });
    let keep = plan.keep.iter().map(|kept| DayKept {
        day: kept.day,
        runs: kept.runs,
        because: kept.why.to_string(),
        why: kept.why,
    });
    JournalCollection {
        seq,
        older_than_ms: kept_ms,
        by_itself: call.control().journals_kept_ms().is_some(),
        kept_from: plan.kept_from,
        runs: plan.runs(),
        collect: collect.collect(),
        keep: keep.collect(),
        dropping: Shown { running, days, done, runs, trouble },
    }
}

#[cfg(test)]
mod tests;
