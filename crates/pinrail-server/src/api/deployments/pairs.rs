//! `GET /api/v1/deployments/{deployment}/pairs?before=&limit=&worst=`: what a candidate answered to copies.

use pinrail_api::Page;
use pinrail_api::deployments::pairs::{Copies, Pair, Pairs, Side, ToolAsked};
use pinrail_api::problem::Problem;
use pinrail_control::Control;
use pinrail_control::pairs::{Order, Pair as Found};
use pinrail_control::runs::ShadowCounts;
use pinrail_domain::id::{DeploymentId, RunId};
use pinrail_domain::journal::{Body, ModelResponse, RunStatus};
use pinrail_store::journal::Run;
use pinrail_wire::AnswerError;
use pinrail_wire::chat::observe_answer_text;
use serde::Deserialize;

use super::{id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    worst: bool,
    before: Option<RunId>,
    limit: Option<usize>,
}

/// Bytes of a text that a list shows: enough to see what it is about.
const LISTED_BYTES_MAX: usize = 500;

pub async fn list(call: Call) -> Answer {
    let Query { worst, before, limit } = call.query()?;
    reply::json(&pairs(&call, id(&call)?, worst, before, call.page(limit)?).await?)
}

/// A page of the pairs: the worst, or the newest before one.
pub async fn pairs(
    call: &Call,
    id: DeploymentId,
    worst: bool,
    before: Option<RunId>,
    limit: usize,
) -> Result<Pairs, Problem> {
    let control = call.control();
    if !control.snapshot().world.deployments.contains_key(&id) {
        return Err(no_deployment(id));
    }
    let (order, read) = match worst {
        // What is worst of all changes with every pair: there is no next page.
        true => (Order::Worst, limit),
        false => (Order::Newest { before }, limit + 1),
    };
    let found = control.pairs(id, &call.tenants()?, order, read).await;
    let found = found.map_err(|error| problem::store(&error))?;
    let items = found.into_iter().map(|pair| shown(pair, LISTED_BYTES_MAX)).collect();
    let Page { items, next } = Page::cut(items, limit, |pair: &Pair| pair.run.to_string());
    Ok(Pairs { items, next, copies: copies(control, id) })
}

/// A pair, with up to so many bytes of each text.
pub fn shown(found: Found, text_bytes_max: usize) -> Pair {
    let Found { run, compared, candidate, failed, live, served } = found;
    let ended = run.summary.status == RunStatus::Finished;
    let failed = failed.filter(|_| compared.is_none() && ended);
    Pair {
        run: run.stamp.run,
        at: run.summary.started_at,
        agent: run.stamp.agent.clone(),
        tenant: run.stamp.tenant.clone(),
        status: run.summary.status,
        compared,
        failed,
        candidate: side(&run, candidate, text_bytes_max),
        live: live.map(|live| side(&live, served, text_bytes_max)),
    }
}

fn side(run: &Run, answer: Option<ModelResponse>, text_bytes_max: usize) -> Side {
    let answer = answer.unwrap_or_default();
    let (text, truncated, tool_calls) = said(&answer, text_bytes_max);
    let ModelResponse { finish_reason, refusal, last_byte_us, cost_nano_usd, status, .. } = answer;
    Side {
        run: run.stamp.run,
        deployment: run.stamp.deployment,
        release: run.stamp.release,
        text,
        truncated,
        tool_calls,
        finish_reason,
        refusal,
        // Where nothing was answered, nothing took any time.
        last_byte_us: (status > 0).then_some(last_byte_us),
        cost_nano_usd,
    }
}

/// The text, whether there was more of it, and the calls of tools, as far as the journal has them.
fn said(answer: &ModelResponse, text_bytes_max: usize) -> (Option<String>, bool, Vec<ToolAsked>) {
    let named = || answer.tool_calls.iter().map(|name| ToolAsked { name: name.clone(), arguments: None });
    let Some(Body::Text { text: body, truncated }) = &answer.body else {
        return (None, false, named().collect());
    };
    match observe_answer_text(body.as_bytes(), text_bytes_max) {
        Ok((observed, text)) => {
            let calls = observed.tool_calls.into_iter();
            let calls = calls.map(|call| ToolAsked { name: call.name, arguments: Some(call.arguments) });
            (Some(text.text), *truncated || text.cut, calls.collect())
        }
        // A body that was cut is no JSON any more; as it is, it still says something.
        Err(AnswerError::Unreadable { .. } | AnswerError::Provider(_)) => {
            let kept = &body[..body.floor_char_boundary(text_bytes_max)];
            (Some(kept.to_owned()), *truncated || kept.len() < body.len(), named().collect())
        }
    }
}

fn copies(control: &Control, id: DeploymentId) -> Copies {
    let ShadowCounts { queued, dropped, refused, failed, compared } = control.shadow_counts(id);
    Copies { queued, dropped, refused, failed, compared, spent: control.shadow_spent(id) }
}

#[cfg(test)]
mod tests;
