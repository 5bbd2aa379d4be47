//! The pre-deployment snapshot: what was visible when a deployment was opened, recorded in the background.
//!
//! The moment is the opening entry: all records that were appended before it, as the ledger stood with it. That view
//! never changes afterwards, so the manifest may be worked out while writers go on, and after a restart as well. It
//! is read from the store alone, page by page; no lock that a writer takes is held.
//!
//! Whose manifest is missing follows from the world: each candidate's and open data job's, and those of the
//! [`RECENT`] newest deployments, as far as their moment isn't below the floor of `pinrail gc`. Lines of spaces where
//! nothing changed since the manifest before are taken from there.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::Body;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::manifest::{Line, Manifest, Served, SetDigest};
use pinrail_domain::state::view::{Commits, View};
use pinrail_domain::state::{Moment, Space};
use pinrail_domain::webhook::concerns::active_at;
use pinrail_domain::world::World;
use pinrail_store::state::SpaceFilter;
use pinrail_store::{Store, StoreError};

use super::probes;
use crate::{By, CommitError, Control, Inner, leader};

/// Whose manifests are made up for when they are missing, whatever became of them.
pub const RECENT: usize = 16;
/// Deployments are opened in bursts; a moment's patience makes one pass of them.
const SETTLE: Duration = Duration::from_millis(100);
/// Pause after a failure, before the next attempt.
const RETRY: Duration = Duration::from_secs(5);
/// Operations, and spaces, read at once.
const PAGE: usize = 5_000;

/// The last manifest's lines, for spaces in which nothing changed since.
#[derive(Default)]
struct Before {
    at: Moment,
    lines: HashMap<Space, (StateSeq, Line)>,
}

/// Records missing manifests until the control plane is gone.
pub(crate) async fn keep(control: Weak<Inner>) {
    let Some(mut epochs) = control.upgrade().map(|inner| inner.epoch.subscribe()) else { return };
    let mut before = Before::default();
    loop {
        if !leader::until_leading(&control).await {
            return;
        }
        let pause = match control.upgrade() {
            None => return,
            Some(inner) => match record_missing(&Control { inner }, &mut before).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(%error, "a manifest could not be recorded; trying again");
                    Some(RETRY)
                }
            },
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None if epochs.changed().await.is_err() => return,
            None => tokio::time::sleep(SETTLE).await,
        }
    }
}

async fn record_missing(control: &Control, before: &mut Before) -> Result<(), CommitError<Infallible>> {
    let snapshot = control.snapshot();
    for id in missing(&snapshot.world) {
        let snapshot = control.snapshot();
        let Some(deployment) = snapshot.world.deployments.get(&id) else { continue };
        let manifest = take(control, deployment, &snapshot.world, before).await;
        let manifest = manifest.map_err(CommitError::Store)?;
        let bytes = serde_json::to_vec(&manifest).expect("a manifest is plain data");
        let digest = control.inner.store.artifact_put(&bytes).await.map_err(CommitError::Store)?;
        let decide = |world: &World| {
            let recorded = world.deployments.get(&id).is_none_or(|known| known.manifest.is_some());
            let body = Body::ManifestRecorded { deployment: id, manifest: digest };
            Ok((if recorded { Vec::new() } else { vec![body] }, ()))
        };
        let by = By::system("the state when the deployment was opened");
        control.commit(by, decide, |_, ()| ()).await?;
    }
    Ok(())
}

/// The deployments whose manifest is wanted and not there, oldest first.
pub(super) fn missing(world: &World) -> Vec<DeploymentId> {
    let recent: BTreeSet<DeploymentId> = world.deployments.keys().rev().take(RECENT).copied().collect();
    let is_wanted = |deployment: &Deployment| match deployment.status {
        Status::Candidate { .. } => true,
        Status::Promoted { .. } | Status::RolledBack { .. } => recent.contains(&deployment.id),
    };
    let known = world.deployments.values().filter(|deployment| deployment.manifest.is_none());
    let there = known.filter(|deployment| deployment.opened_seq >= world.floor.ledger);
    there.filter(|deployment| is_wanted(deployment)).map(|deployment| deployment.id).collect()
}

/// The moment of a deployment's opening: what was there before its entry.
pub(crate) async fn opening(store: &dyn Store, deployment: &Deployment) -> Result<Moment, StoreError> {
    let ledger = deployment.opened_seq;
    let state = store.state_until(LedgerSeq(ledger.0.saturating_sub(1))).await?;
    Ok(Moment { state, ledger })
}

async fn take(
    control: &Control,
    deployment: &Deployment,
    world: &World,
    before: &mut Before,
) -> Result<Manifest, StoreError> {
    let store = &*control.inner.store;
    let at = opening(store, deployment).await?;
    let view = View { own: None, at, commits: Arc::clone(&world.commits) };
    let changed = changed_spaces(store, world, before.at.ledger, at.ledger).await?;
    let mut lines: HashMap<Space, (StateSeq, Line)> = HashMap::new();
    let mut after: Option<Space> = None;
    loop {
        let page = store.space_list(&SpaceFilter::default(), after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        for facts in page {
            let same = before.lines.get(&facts.space).filter(|(newest, _)| {
                before.at <= at
                    && *newest == facts.newest
                    && changed.as_ref().is_some_and(|c| !c.contains(&facts.space))
            });
            let kept = match same {
                Some(kept) => kept.clone(),
                None => {
                    let line = line(store, &facts.space, &view).await?;
                    let probes = match line.count {
                        0 => Vec::new(),
                        _ => probes::ask(&control.inner.states, &facts.space, at).await?,
                    };
                    (facts.newest, Line { probes, ..line })
                }
            };
            lines.insert(facts.space.clone(), kept);
            after = Some(facts.space);
        }
        if is_last {
            break;
        }
    }
    let mut spaces: Vec<Line> = lines.values().map(|(_, line)| line.clone()).collect();
    // A line is only good for later as long as nothing came to its space after the moment.
    lines.retain(|_, (newest, _)| *newest <= at.state);
    *before = Before { at, lines };
    spaces.retain(|line| line.count > 0);
    spaces.sort_by(|a, b| a.space.cmp(&b.space));
    Ok(Manifest { deployment: deployment.id, at, pointers: pointers(world, at.ledger), spaces })
}

/// The spaces where something began or ceased to count between two ledger entries; none when it may be any.
async fn changed_spaces(
    store: &dyn Store,
    world: &World,
    after: LedgerSeq,
    until: LedgerSeq,
) -> Result<Option<BTreeSet<Space>>, StoreError> {
    let within = |entry: Option<LedgerSeq>| entry.is_some_and(|entry| entry > after && entry <= until);
    let commits: &Commits = &world.commits;
    if commits.cascades().iter().any(|cascade| within(Some(cascade.at))) {
        return Ok(None);
    }
    let mut spaces = BTreeSet::new();
    for id in world.deployments.keys() {
        let span = commits.span(*id);
        if within(span.committed) || within(span.retracted) {
            spaces.extend(store.state_written(*id).await?.into_iter().map(|written| written.space));
        }
    }
    Ok(Some(spaces))
}

/// What a view shows of a space, from the store alone.
async fn line(store: &dyn Store, space: &Space, view: &View) -> Result<Line, StoreError> {
    let mut index = Index::load(&view.commits, []);
    'pages: loop {
        let page = store.state_operations(space, index.newest(), PAGE).await?;
        let is_last = page.len() < PAGE;
        for operation in page {
            if operation.seq > view.at.state {
                break 'pages;
            }
            index.apply(operation);
        }
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    let shown: Vec<StateSeq> = index.at(view).iter().map(|place| index.seq(place)).collect();
    drop(index);
    let mut set = SetDigest::new();
    for page in shown.chunks(PAGE) {
        for (seq, digest) in store.state_digests(page).await? {
            set.add(seq, &digest);
        }
        tokio::task::yield_now().await;
    }
    Ok(set.line(space.clone()))
}

/// What every agent's segments served right after a ledger entry, for the agents that there are.
fn pointers(world: &World, at: LedgerSeq) -> Vec<Served> {
    world
        .pointers
        .keys()
        .map(|(agent, segment)| {
            let (agent, segment) = (agent.clone(), segment.clone());
            let active = active_at(world, &agent, &segment, at);
            Served { agent, segment, active }
        })
        .collect()
}
