//! `/runs/{run}`: one run, event by event; `/runs/{run}/compare/{other}`: two of them.

use pinrail_api::problem::Problem;
use pinrail_control::runs::Touched as Found;
use pinrail_dashboard::compare::{Compare, EVENTS_MAX, Side};
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::run::{EVENTS_PER_PAGE, ReadSeen, RunPage, Touched, WriteSeen};
use pinrail_domain::deploy;
use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::journal::Recorded;
use pinrail_domain::state::Op;
use pinrail_store::journal::Run;
use serde::Deserialize;

use super::form;
use super::links::opens;
use crate::api::runs::shown;
use crate::call::Call;
use crate::problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    from: EventSeq,
}

pub async fn show(call: Call) -> Result<RunPage, Problem> {
    let id: RunId = call.param("run")?;
    let Query { from } = form::query(&call)?;
    let (run, mut events) = look(&call, id, from, EVENTS_PER_PAGE + 1).await?;
    let next = events.get(EVENTS_PER_PAGE).map(|first| first.seq);
    events.truncate(EVENTS_PER_PAGE);
    let found = call.control().touched_by(&run).await.map_err(|error| problem::store(&error))?;
    let world = &call.control().snapshot().world;
    let deployment = world.deployments.get(&run.stamp.deployment).filter(|_| opens(&call, Nav::Deployments));
    let deployment_state = deployment.map(|known| deploy::state(world, known).to_owned());
    Ok(RunPage { run: shown(run), deployment_state, events, from, next, state: touched(found) })
}

pub async fn compare(call: Call) -> Result<Compare, Problem> {
    let Query { from } = form::query(&call)?;
    let side = async |name: &str| {
        let (run, events) = look(&call, call.param(name)?, from, EVENTS_MAX).await?;
        Ok::<_, Problem>(Side { run: shown(run), events })
    };
    Ok(Compare { a: side("run").await?, b: side("other").await? })
}

/// A run of the caller's tenants, with some of its events (I11).
async fn look(call: &Call, id: RunId, from: EventSeq, limit: usize) -> Result<(Run, Vec<Recorded>), Problem> {
    let (runs, tenants) = (call.control().runs(), call.tenants()?);
    let run = runs.get(id, &tenants).await.map_err(|error| problem::store(&error))?;
    let run = run.ok_or_else(|| call.no_run(id))?;
    let events = runs.events(id, &tenants, from, limit).await.map_err(|error| problem::store(&error))?;
    Ok((run, events.ok_or_else(|| call.no_run(id))?))
}

fn touched(found: Found) -> Touched {
    let reads = found.reads.into_iter().map(|read| ReadSeen {
        layer: read.space.layer,
        space: read.space.to_string(),
        at: read.at.to_string(),
        records: read.records,
        tainted: read.tainted.into_iter().collect(),
    });
    let writes = found.writes.into_iter().map(|(space, operation)| WriteSeen {
        layer: space.layer,
        space: space.to_string(),
        seq: operation.seq,
        key: operation.key.as_str().to_owned(),
        deleted: operation.op == Op::Delete,
        deployment: operation.deployment,
    });
    Touched { reads: reads.collect(), writes: writes.collect(), cut: found.cut }
}

#[cfg(test)]
mod tests;
