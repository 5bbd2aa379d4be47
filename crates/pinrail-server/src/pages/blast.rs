//! `/deployments/{deployment}/blast-radius`, `…/blast-radius.csv`, `…/compensate`.

use axum::body::Body;
use http::HeaderValue;
use http::header::CONTENT_DISPOSITION;
use pinrail_api::deployments::blast::{AffectedRun, Compensate, Effects};
use pinrail_api::problem::Problem;
use pinrail_control::deploy::blast::{Blast as Found, Done};
use pinrail_dashboard::blast::{Blast, csv};
use pinrail_dashboard::compensation::{self, Compensation};
use pinrail_dashboard::confirm::{Confirm, Field, Kind};
use pinrail_dashboard::page::{self, Nav};
use pinrail_domain::id::{DeploymentId, RunId};
use serde::Deserialize;

use super::{form, serve, typed};
use crate::api::deployments::{blast_radius, compensate as report};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

mod graph;

#[cfg(test)]
mod tests;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<RunId>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    again: bool,
    #[serde(default)]
    reason: String,
}

/// Runs whose journals are read for their calls: a page must not take minutes.
const CALLERS_MAX: usize = 2_000;
/// Affected runs on one page.
const RUNS: usize = 50;

pub async fn show(call: Call) -> Result<Blast, Problem> {
    let id: DeploymentId = call.param("deployment").map(DeploymentId)?;
    let Query { after, limit } = form::query(&call)?;
    let limit = call.page(Some(limit.unwrap_or(RUNS)))?;
    let found = blast_radius::of(&call, id).await?;
    let mut radius = blast_radius::page(call.control(), &found, after, limit).await?;
    let (calls, is_cut) = calls(&call, &found).await?;
    if is_cut {
        radius.cut.push(format!("only the first {CALLERS_MAX} affected runs were asked for their calls"));
    }
    let mut effects = Effects::default();
    for (_, done) in &calls {
        effects.unreported += done.unreported;
        for effect in &done.effects {
            effects.calls += 1;
            effects.compensated += u64::from(effect.compensated_at.is_some());
            *effects.tools.entry(effect.tool.clone()).or_default() += 1;
        }
    }
    let flow = found.flow();
    Ok(Blast { radius, effects, graph: graph::of(&found, &flow, &calls), beyond: flow.beyond })
}

/// Every affected run and call, as a table that a spreadsheet reads.
pub async fn export(call: Call) -> Answer {
    let id: DeploymentId = call.param("deployment").map(DeploymentId)?;
    let found = blast_radius::of(&call, id).await?;
    let mut runs: Vec<AffectedRun> = Vec::with_capacity(found.runs.len());
    for affected in found.runs.values() {
        let done = call.control().side_effects(affected).await.map_err(|error| problem::store(&error))?;
        runs.push(blast_radius::affected_run(&found, affected, done));
    }
    let mut response = reply::with_type("text/csv; charset=utf-8", Body::from(csv(&runs)));
    let name = format!("attachment; filename=\"blast-radius-{id}.csv\"");
    let name = HeaderValue::from_str(&name).expect("a number is visible ASCII");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

pub async fn confirm_compensate(call: Call) -> Result<Confirm, Problem> {
    let id: DeploymentId = call.param("deployment").map(DeploymentId)?;
    let planned = Compensate { dry_run: true, ..Compensate::default() };
    let planned = report::run(&call, id, planned).await?;
    let shell = serve::shell(&call.state, call.caller.as_ref(), &call.head);
    let count = |n, one, many| pinrail_dashboard::ui::count(n, one, many);
    let mut says = vec![format!(
        "The agents’ webhooks are told of {} that the rollback of deployment {id} can’t take back, so that somebody undoes them there. \
         Each report has the same id whenever it is sent. The reason is told with it, and journaled with it in its run; the ledger is not \
         written.",
        count(planned.would_send, "call", "calls")
    )];
    if planned.skipped > 0 {
        says.push(format!("{} delivered before.", count(planned.skipped, "report was", "reports were")));
    }
    if planned.no_address > 0 {
        let calls = count(planned.no_address, "call is", "calls are");
        says.push(format!(
            "{calls} of agents that name no address, and nobody is told: agent.toml says where reports go, under [compensation]."
        ));
    }
    let again = Field {
        name: "again",
        label: "Also what was delivered before".to_owned(),
        hint: "Under the same ids: a receiver that keeps them drops what it has seen.".to_owned(),
        kind: Kind::Check { checked: false },
    };
    Ok(Confirm {
        nav: Nav::Deployments,
        title: format!("Report the calls of deployment {id}"),
        says,
        preview: compensation::table(&planned, &shell),
        fields: if planned.skipped > 0 { vec![again] } else { Vec::new() },
        action: format!("/deployments/{id}/compensate"),
        button: match planned.would_send {
            0 => "Look again whether any can be reported".to_owned(),
            calls => format!("Report {}", count(calls, "call", "calls")),
        },
        destructive: true,
        reason_needed: true,
        back: format!("/deployments/{id}/blast-radius"),
    })
}

/// Reports the calls. What became of each is in runs' journals, not in the ledger, so it is told at once.
pub async fn compensate(call: Call) -> Answer {
    let id: DeploymentId = call.param("deployment").map(DeploymentId)?;
    let Wish { again, reason } = typed(&call)?;
    let done = report::run(&call, id, Compensate { dry_run: false, again, reason }).await?;
    let shell = serve::shell(&call.state, call.caller.as_ref(), &call.head);
    let html = page::document(&Compensation { done }, &shell);
    Ok(reply::with_type("text/html; charset=utf-8", Body::from(html)))
}

/// What the affected runs did to the world, and whether some weren't asked.
async fn calls(call: &Call, found: &Found) -> Result<(Vec<(RunId, Done)>, bool), Problem> {
    let mut calls = Vec::new();
    for (run, affected) in found.runs.iter().take(CALLERS_MAX) {
        let done = call.control().side_effects(affected).await.map_err(|error| problem::store(&error))?;
        if !done.effects.is_empty() || done.unreported > 0 {
            calls.push((*run, done));
        }
    }
    Ok((calls, found.runs.len() > CALLERS_MAX))
}
