//! `GET /api/v1/deployments/{deployment}/report?verify=`: what a deployment came to, and how its rollback went.

use pinrail_api::deployments::blast::Report;
use pinrail_api::problem::Problem;
use pinrail_control::deploy::report::DeploymentReport;
use pinrail_domain::dial;
use pinrail_domain::id::DeploymentId;
use serde::Deserialize;

use super::blast_radius::{effects, reach};
use super::get::drained;
use super::rollback::hides;
use super::verify::proof;
use super::{id, no_deployment, shown};
use crate::api::epochs;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    verify: bool,
}

pub async fn show(call: Call) -> Answer {
    let Query { verify } = call.query()?;
    reply::json(&report(&call, id(&call)?, verify).await?)
}

/// What a deployment came to.
pub async fn report(call: &Call, id: DeploymentId, verify: bool) -> Result<Report, Problem> {
    let control = call.control();
    let report = control.report(id).await.map_err(|error| problem::store(&error))?;
    let DeploymentReport { drain, flip_us, layers, hidden, touched, counts, effects: done, cut } =
        report.ok_or_else(|| no_deployment(id))?;
    let verification = if verify { Some(proof(control, id).await?) } else { None };
    let members = control.members();
    let acknowledged = match members.epoch_of(id) {
        Some(epoch) => members.report(epoch).await.map_err(|error| problem::store(&error))?,
        None => None,
    };
    let snapshot = control.snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    let shown = shown(&snapshot.world, deployment);
    Ok(Report {
        deployment: id,
        kind: shown.kind,
        state: shown.state,
        ingest: shown.ingest,
        opened_at: shown.opened_at,
        rolled_back: shown.rolled_back,
        flip_us,
        acknowledged: acknowledged.map(epochs::shown),
        drain: drained(call, id, drain).await.map_err(|error| problem::store(&error))?,
        hidden,
        layers: layers.into_iter().map(|(layer, of)| (layer, hides(of))).collect(),
        derived: touched.into_iter().map(|(layer, touched)| (layer, touched.derived)).collect(),
        reach: reach(counts),
        side_effects: effects(done),
        verification,
        stranded: dial::stranded(&snapshot.world, deployment),
        cut,
    })
}
