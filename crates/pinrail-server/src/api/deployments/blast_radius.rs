//! `GET /api/v1/deployments/{deployment}/blast-radius?after=&limit=`: who was misled by what it wrote, and what they did.

use std::ops::Bound::{Excluded, Unbounded};

use pinrail_api::deployments::blast::{AffectedRun, BlastRadius, Effects, Reach, SideEffect, Step, Touched};
use pinrail_api::problem::Problem;
use pinrail_control::Control;
use pinrail_control::deploy::blast::{self, Affected, Blast, Counts, Done, Why};
use pinrail_control::deploy::report;
use pinrail_domain::deploy;
use pinrail_domain::id::{DeploymentId, RunId};
use serde::Deserialize;

use super::{id, no_deployment};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<RunId>,
    limit: Option<usize>,
}

pub async fn show(call: Call) -> Answer {
    let id = id(&call)?;
    let Query { after, limit } = call.query()?;
    let limit = call.page(limit)?;
    let blast = of(&call, id).await?;
    reply::json(&page(call.control(), &blast, after, limit).await?)
}

/// Everything that the deployment touched.
pub(crate) async fn of(call: &Call, id: DeploymentId) -> Result<Blast, Problem> {
    let blast = call.control().blast(id).await.map_err(|error| problem::store(&error))?;
    blast.ok_or_else(|| no_deployment(id))
}

/// A page of it: the affected runs after this one.
pub(crate) async fn page(
    control: &Control,
    blast: &Blast,
    after: Option<RunId>,
    limit: usize,
) -> Result<BlastRadius, Problem> {
    let id = blast.deployment;
    let mut runs = Vec::new();
    let mut next = None;
    let mut page = blast.runs.range((after.map_or(Unbounded, Excluded), Unbounded)).peekable();
    while let Some((run, affected)) = page.next() {
        let done = control.side_effects(affected).await.map_err(|error| problem::store(&error))?;
        runs.push(affected_run(blast, affected, done));
        if runs.len() == limit {
            next = page.peek().map(|_| run.to_string());
            break;
        }
    }
    let snapshot = control.snapshot();
    let state = snapshot.world.deployments.get(&id).map(|known| deploy::state(&snapshot.world, known));
    Ok(BlastRadius {
        deployment: id,
        state: state.unwrap_or_default().to_owned(),
        layers: blast.layers.iter().map(|(layer, touched)| (*layer, of_layer(*touched))).collect(),
        reach: reach(blast.counts),
        runs,
        cut: blast.cut.clone(),
        next,
    })
}

pub(super) fn reach(counts: Counts) -> Reach {
    let Counts { own_runs, misled_runs, sessions, tenants } = counts;
    Reach { own_runs, misled_runs, sessions, tenants }
}

pub(super) fn effects(effects: report::Effects) -> Effects {
    let report::Effects { calls, compensated, unreported, tools } = effects;
    Effects { calls, compensated, unreported, tools }
}

fn of_layer(touched: blast::Touched) -> Touched {
    let blast::Touched { written, derived } = touched;
    Touched { written, derived }
}

pub(crate) fn affected_run(blast: &Blast, affected: &Affected, done: Done) -> AffectedRun {
    let Affected { stamp, status, why, wrote } = affected;
    let steps = blast.chain(*why).into_iter().map(|blast::Step { record, cause }| Step { record, cause });
    AffectedRun {
        run: stamp.run,
        agent: stamp.agent.clone(),
        tenant: stamp.tenant.clone(),
        session: stamp.session.clone(),
        deployment: stamp.deployment,
        status: status.to_string(),
        read: match why {
            Why::Own => None,
            Why::Misled(misled) => Some(*misled),
        },
        chain: steps.collect(),
        wrote: *wrote,
        side_effects: done.effects.into_iter().map(side_effect).collect(),
        unreported: done.unreported,
    }
}

fn side_effect(effect: blast::SideEffect) -> SideEffect {
    SideEffect {
        event: effect.event,
        tool: effect.tool,
        at: effect.at,
        call: effect.call,
        arguments_digest: effect.arguments_digest,
        arguments: effect.arguments,
        result: effect.result.map(str::to_owned),
        compensated_at: effect.compensated_at,
    }
}
