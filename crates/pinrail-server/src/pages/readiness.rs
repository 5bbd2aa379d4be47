//! `/readiness`: could everything be taken back right now; drills and probes.

use pinrail_api::agents::Provider;
use pinrail_api::problem::Problem;
use pinrail_dashboard::Html;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::readiness::{Asked, Known, Ready};
use pinrail_domain::deployment::Status;
use pinrail_domain::model::is_stale;

use super::form::Because;
use super::{done, typed};
use crate::api;
use crate::api::agents::After;
use crate::call::Call;
use crate::reply::Answer;

pub async fn show(call: Call) -> Result<Ready, Problem> {
    let readiness = api::readiness::value(&call).await;
    let drill = api::drills::last(&call).await?;
    let all = After { after: None, limit: Some(call.state.limits.page_max) };
    let missing = (call.state.missing_keys)();
    let asked = |provider: Provider| {
        let lacks = missing.iter().filter(|key| key.provider == provider.provider.as_str());
        Asked { missing: lacks.map(|key| key.key_env.clone()).collect(), provider }
    };
    let providers = api::providers::list::value(&call, all)?.items.into_iter().map(asked).collect();
    let as_of = call.control().catalogue().as_of();
    let snapshot = call.control().snapshot();
    let source = snapshot.world.catalogue.as_ref().map(|update| update.source.clone());
    let catalogue = Known { as_of, stale: is_stale(as_of, call.state.clock.now()), source };
    Ok(Ready { readiness, drill, providers, catalogue })
}

pub async fn confirm_drill(_: Call) -> Result<Confirm, Problem> {
    Ok(Confirm {
        nav: Nav::Readiness,
        title: "Hold a drill".to_owned(),
        says: vec![
            "It rehearses a rollback with state while everything serves: a data job writes to every layer in spaces that nobody else has, is rolled back, and every view must be what it was, record by record.".to_owned(),
            "No pointer moves and nobody’s data is touched; the epoch rises twice.".to_owned(),
        ],
        preview: Html::default(),
        fields: Vec::new(),
        action: "/readiness/drill".to_owned(),
        button: "Hold the drill".to_owned(),
        destructive: false,
        reason_needed: false,
        back: "/readiness".to_owned(),
    })
}

pub async fn drill(call: Call) -> Answer {
    let Because { reason } = typed(&call)?;
    let drill = api::drills::run(&call, reason).await?;
    let snapshot = call.control().snapshot();
    let job = snapshot.world.deployments.get(&drill.deployment);
    let taken_back = job.and_then(|job| match job.status {
        Status::RolledBack { seq, .. } => Some(seq),
        Status::Candidate { .. } | Status::Promoted { .. } => None,
    });
    done("/readiness", taken_back)
}

pub async fn confirm_probe(_: Call) -> Result<Confirm, Problem> {
    Ok(Confirm {
        nav: Nav::Readiness,
        title: "Probe the warm set".to_owned(),
        says: vec!["Each model of it is called once, now, with a ten-word prompt and at most one token of answer: about twenty tokens a model. It is no run, and no guardrail counts it.".to_owned()],
        preview: Html::default(),
        fields: Vec::new(),
        action: "/readiness/probe".to_owned(),
        button: "Probe now".to_owned(),
        destructive: false,
        reason_needed: false,
        back: "/readiness".to_owned(),
    })
}

pub async fn probe(call: Call) -> Answer {
    call.state.warm.probe_now(None).await;
    done("/readiness#warm", None)
}

#[cfg(test)]
mod tests;
