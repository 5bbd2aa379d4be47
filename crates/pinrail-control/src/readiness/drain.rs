//! Runs that go on with what no longer serves.

use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{DeploymentId, RunId};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};

use super::{Seen, span};
use crate::Control;

/// A run that is at work for an hour after its release was taken away is one that somebody should look at.
const LINGER_MS_MAX: u64 = 3_600_000;
/// Deployments looked at, the newest first. What is older and still has runs shows with those that are looked at sooner.
const DEPLOYMENTS_MAX: usize = 1_000;
/// Open runs of a state looked at to find the oldest.
const RUNS_MAX: usize = 1_000;

/// A deployment that no longer serves, with runs.
struct Draining {
    deployment: DeploymentId,
    state: &'static str,
    runs: u64,
    oldest: Option<(RunId, RunStatus)>,
    /// For how long the oldest run has gone on since the deployment stopped serving.
    lingers_ms: u64,
}

pub async fn look(control: &Control) -> Seen {
    let draining = match draining(control).await {
        Ok(draining) => draining,
        Err(error) => return Seen::unknown(format!("the open runs cannot be counted: {error}")),
    };
    let runs: u64 = draining.iter().map(|draining| draining.runs).sum();
    let why: Vec<String> =
        draining.iter().filter(|d| d.lingers_ms > LINGER_MS_MAX).map(Draining::tell).collect();
    let observed = match draining.len() {
        0 => "everything that no longer serves is drained".to_owned(),
        1 => draining[0].tell(),
        many => format!("{many} deployments still drain: {runs} runs open"),
    };
    if why.is_empty() {
        return Seen::met(observed);
    }
    let observed =
        format!("{} of {} draining deployments linger: {runs} runs open", why.len(), draining.len());
    Seen::missed(
        observed,
        why,
        "look at the runs, `pinrail run show RUN`, and end those that nobody works on: `pinrail run finish RUN --outcome \
         cancelled`",
    )
}

impl Draining {
    fn tell(&self) -> String {
        let Draining { deployment, state, runs, oldest, lingers_ms } = self;
        let runs = if *runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
        let oldest = oldest
            .map(|(run, status)| format!(", the oldest {run} ({status}) for {}", span(*lingers_ms)))
            .unwrap_or_default();
        format!("deployment {deployment} ({state}) has {runs}{oldest}")
    }
}

async fn draining(control: &Control) -> Result<Vec<Draining>, StoreError> {
    // A stamp may be on its way to the store; it counts.
    control.runs().settled().await;
    let (snapshot, now) = (control.snapshot(), control.inner.clock.now());
    let world = &snapshot.world;
    let mut all = Vec::new();
    let gone = world.deployments.values().rev().filter(|deployment| no_longer_serves(world, deployment));
    for deployment in gone.take(DEPLOYMENTS_MAX) {
        let runs = control.inner.store.run_open(deployment.id).await?.total();
        if runs == 0 {
            continue;
        }
        let oldest = oldest(control, deployment.id).await?;
        let stopped = stopped_at(world, deployment);
        let since = oldest.as_ref().map_or(stopped, |run| run.summary.started_at.max(stopped));
        all.push(Draining {
            deployment: deployment.id,
            state: pinrail_domain::deploy::state(world, deployment),
            runs,
            oldest: oldest.map(|run| (run.stamp.run, run.summary.status)),
            lingers_ms: now.ms_since(since),
        });
    }
    Ok(all)
}

/// Whether new runs get something else. A data job has no runs.
fn no_longer_serves(world: &World, deployment: &Deployment) -> bool {
    let active = |agent| world.pointer(agent, &deployment.segment).active == Some(deployment.id);
    match &deployment.status {
        Status::Candidate { .. } => false,
        Status::RolledBack { .. } => deployment.ingest.is_none(),
        Status::Promoted { .. } if deployment.ingest.is_some() => false,
        Status::Promoted { .. } => !deployment.releases.keys().any(active),
    }
}

/// When a deployment that no longer serves stopped.
fn stopped_at(world: &World, deployment: &Deployment) -> Timestamp {
    match &deployment.status {
        Status::Candidate { .. } => deployment.opened_at,
        Status::RolledBack { at, .. } => *at,
        Status::Promoted { at, .. } => superseded_at(world, deployment).unwrap_or(*at),
    }
}

/// When the last one that took its place was promoted.
fn superseded_at(world: &World, deployment: &Deployment) -> Option<Timestamp> {
    let later = world.deployments.range(deployment.id.next()..).map(|(_, later)| later);
    let successors = later.filter(|later| later.replaced.values().any(|id| *id == Some(deployment.id)));
    successors
        .filter_map(|later| match later.status {
            Status::Promoted { at, .. } => Some(at),
            Status::Candidate { .. } | Status::RolledBack { .. } => None,
        })
        .max()
}

async fn oldest(control: &Control, deployment: DeploymentId) -> Result<Option<Run>, StoreError> {
    let mut oldest: Option<Run> = None;
    for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
        let filter = RunFilter { deployment: Some(deployment), status: Some(status), ..RunFilter::default() };
        let runs = control.inner.store.run_list(&filter, None, RUNS_MAX).await?;
        oldest = runs.into_iter().chain(oldest).min_by_key(|run| run.stamp.run);
    }
    Ok(oldest)
}
