//! Opening: fold the ledger into the world, and close what a crash left half done.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use pinrail_domain::id::{LedgerSeq, RunId};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::member::Change;
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_domain::world::{Corrupt, World};
use pinrail_store::journal::{Append, RunFilter, Write, WriteError};
use pinrail_store::{Store, StoreError};
use tokio::sync::{Mutex, watch};

use crate::append::READ_ENTRIES;
use crate::catalogue::Known;
use crate::contracts::Contracts;
use crate::members::{EPOCHS_KEPT, Members};
use crate::observe::Observer;
use crate::runs::reaper::cut_off;
use crate::runs::tail::Tail;
use crate::runs::{ForeignSpool, QUEUE_MAX, Runs};
use crate::sightings::Sightings;
use crate::state::States;
use crate::traffic::Traffic;
use crate::{Control, Inner, Options, Snapshot, tasks};

/// What opening found and mended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub entries: u64,
    /// Gateway calls that were under way when the process ended, and are closed as failed now.
    pub calls_closed: u64,
}

/// Why the control plane can't open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    #[error("the ledger cannot be followed")]
    Corrupt(#[from] Corrupt),
    #[error("a call that was cut off cannot be closed")]
    Close(#[source] WriteError),
    #[error(transparent)]
    Spool(#[from] ForeignSpool),
}

/// What became of the calls that were cut off.
#[derive(Default)]
struct CutOff {
    closed: u64,
    /// The store couldn't be written: these wait in the journal's queue until it can.
    left: Vec<RunId>,
}

/// Runs closed per batch.
const CLOSE_RUNS: usize = 500;
/// Calls that may wait to be closed: half of the journal's queue, so that new ones have room. More than a gateway
/// takes at once were never cut off together.
const LEFT_MAX: usize = QUEUE_MAX / 2;
/// Idempotency answers are kept for a week: longer than any client retries.
const ANSWERS_KEPT_MS: u64 = 7 * 24 * 3_600_000;
/// How often old answers are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

impl Control {
    /// Reads the whole ledger, checks its chain, closes what was cut off and starts the journal's writer.
    /// Needs a tokio runtime.
    pub async fn open(options: Options) -> Result<(Control, Recovered), OpenError> {
        // Asked before anything is read: from here on it is heard of what others write.
        let tail = Tail::new(options.store.reached().await?);
        let (world, past) = read_world(&*options.store).await?;
        let entries = world.head.seq.0;
        let CutOff { closed, left } = close_cut_off_calls(&*options.store, &*options.clock).await?;
        let inner = Inner::open(options, world, past).await?;
        go_on(&inner, tail);
        close_later(&inner, left).await;
        Ok((Control { inner }, Recovered { entries, calls_closed: closed }))
    }
}

impl Inner {
    /// Puts everything together over a world that was read.
    async fn open(options: Options, world: World, past: VecDeque<Change>) -> Result<Arc<Inner>, OpenError> {
        let Options { store, clock, entropy, catalogue, vectors_folder, notebook, stale_ms_max, .. } =
            options;
        let unrecorded = crate::dial::Unrecorded::open(notebook, &world);
        let catalogue = Known::open(&*store, catalogue, &world).await;
        let sightings = Sightings::read(&*store).await;
        let (epoch, heads) = (watch::Sender::new(world.epoch), watch::Sender::new(world.head.seq));
        let members = Members::open(&store, &clock, &entropy, world.epoch, past);
        let snapshot = Arc::new(ArcSwap::from_pointee(unrecorded.lock().shown(Snapshot::of(world))));
        let contracts = Arc::new(Contracts::new(Arc::clone(&store), Arc::clone(&snapshot)));
        let observer = observer(&store, &contracts, &snapshot, &clock);
        let traffic = Traffic::start(&*clock, store.is_shared());
        let freshness = Arc::new(crate::follow::Freshness::new(store.is_shared(), Arc::clone(&clock)));
        let runs = Runs::open(crate::runs::Parts {
            observer: Arc::clone(&observer),
            traffic: Arc::clone(&traffic),
            store: Arc::clone(&store),
            snapshot: Arc::clone(&snapshot),
            contracts: Arc::clone(&contracts),
            catalogue: catalogue.handle(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            freshness: Arc::clone(&freshness),
            stale_ms_max,
            spool: options.spool,
        })
        .await?;
        let (jobs, leader) = (Arc::default(), crate::leader::Leader::new(&*store, options.leads));
        Ok(Arc::new_cyclic(|inner| {
            let states = States::open(crate::state::Parts {
                inner: Weak::clone(inner),
                vectors_folder,
                store: Arc::clone(&store),
                snapshot: Arc::clone(&snapshot),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                jobs: Arc::clone(&jobs),
            });
            Inner {
                store,
                clock,
                entropy,
                catalogue,
                sightings,
                snapshot,
                committing: Arc::new(Mutex::new(())),
                behind: AtomicBool::new(false),
                epoch,
                heads,
                leader,
                freshness,
                contracts,
                members,
                runs,
                states,
                jobs,
                flips: crate::deploy::Flips::default(),
                collector: crate::state::collect::Collector::default(),
                retention: crate::runs::collect::Retention::default(),
                drills: crate::drill::Drills::default(),
                observer,
                traffic,
                rollouts: crate::rollouts::Rollouts::default(),
                webhooks: crate::webhooks::Webhooks::default(),
                approvals: watch::Sender::new(0),
                told: crate::approvals::Told::default(),
                unrecorded,
            }
        }))
    }
}

/// Starts what goes on by itself, and what an earlier process left half done.
fn go_on(inner: &Arc<Inner>, tail: Tail) {
    inner.runs.belong_to(Arc::downgrade(inner));
    tail.start(inner);
    crate::runs::reaper::start(inner);
    crate::leader::stand(inner);
    crate::follow::start(inner);
    crate::elsewhere::start(inner);
    crate::sightings::start(inner);
    crate::members::gateway::start(inner);
    crate::dial::follow(inner);
    crate::state::collect::go_on(inner);
    tasks::spawn(crate::state::erase::go_on(Arc::clone(inner)));
    tasks::spawn(forget_old(Arc::downgrade(inner)));
    tasks::spawn(crate::catalogue::follow(Arc::downgrade(inner)));
    tasks::spawn(load_live_releases(Arc::clone(inner)));
    tasks::spawn(crate::proof::manifests::keep(Arc::downgrade(inner)));
}

fn observer(
    store: &Arc<dyn Store>,
    contracts: &Arc<Contracts>,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    clock: &Arc<dyn Clock>,
) -> Arc<Observer> {
    Observer::start(Arc::clone(store), Arc::clone(contracts), Arc::clone(snapshot), Arc::clone(clock))
}

/// Queues the ends of calls that couldn't be closed yet.
async fn close_later(inner: &Inner, left: Vec<RunId>) {
    for run in left {
        inner.runs.record(run, vec![(inner.clock.now(), cut_off())]).await;
    }
}

/// Loads what pointers name, so that no first call waits for the store, and what can't be loaded is said now.
async fn load_live_releases(control: Arc<Inner>) {
    for release in control.snapshot.load_full().world.live_releases() {
        if let Err(error) = control.contracts.get(release).await {
            tracing::error!(release = %release.short(), %error, "a release that serves traffic cannot be loaded");
        }
    }
}

/// Forgets answers that nobody will ask for again, and arguments that nobody can decide about any more, now and then,
/// until the control plane is gone.
async fn forget_old(control: Weak<Inner>) {
    while crate::leader::until_leading(&control).await
        && let Some(inner) = control.upgrade()
    {
        let now = inner.clock.now();
        if let Err(error) = inner.store.approvals_forget(now).await {
            // They aren't shown either way; the next round tries again.
            tracing::warn!(%error, "arguments of expired approvals could not be forgotten");
        }
        let horizon = Timestamp(now.0.saturating_sub(ANSWERS_KEPT_MS));
        if let Err(error) = inner.store.answers_expire(horizon).await {
            // They only take room; the next round tries again.
            tracing::warn!(%error, "old idempotency answers could not be forgotten");
        }
        drop(inner);
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// The world, and its newest changes of the epoch.
async fn read_world(store: &dyn Store) -> Result<(World, VecDeque<Change>), OpenError> {
    let mut world = World::default();
    let mut changes = VecDeque::new();
    loop {
        let entries = store.ledger_read(world.head.seq, READ_ENTRIES).await?;
        if entries.is_empty() {
            return Ok((world, changes));
        }
        for entry in &entries {
            world.apply(entry)?;
            changes.extend(Change::of(entry, world.epoch, &world));
            if changes.len() > EPOCHS_KEPT {
                changes.pop_front();
            }
        }
        debug_assert!(world.head.seq > LedgerSeq(0));
    }
}

/// A gateway call that was a run of its own can't go on after a restart: its client is gone. Where others write, calls that are
/// open may be theirs: there the leader ends what the dead left ([`reaper`](crate::runs::reaper)).
async fn close_cut_off_calls(store: &dyn Store, clock: &dyn Clock) -> Result<CutOff, OpenError> {
    if store.is_shared() {
        return Ok(CutOff::default());
    }
    let filter = RunFilter { status: Some(RunStatus::Running), single: Some(true), ..RunFilter::default() };
    let mut cut_off_calls = CutOff::default();
    loop {
        let runs = store.run_list(&filter, None, CLOSE_RUNS).await?;
        if runs.is_empty() {
            return Ok(cut_off_calls);
        }
        let writes = runs.iter().map(|run| {
            Write::Append(Append {
                run: run.stamp.run,
                expected: Some(run.summary.next),
                events: vec![(clock.now(), cut_off())],
                follows: None,
                answer: None,
            })
        });
        for written in store.journal_write(Arc::new(writes.collect())).await {
            match written {
                Ok(_) => cut_off_calls.closed += 1,
                Err(WriteError::Store(error @ (StoreError::Full(_) | StoreError::ReadOnly(_)))) => {
                    let left = store.run_list(&filter, None, LEFT_MAX).await?;
                    cut_off_calls.left = left.into_iter().map(|run| run.stamp.run).collect();
                    let calls = cut_off_calls.left.len();
                    tracing::warn!(%error, calls, "calls that were cut off wait to be closed");
                    return Ok(cut_off_calls);
                }
                Err(error) => return Err(OpenError::Close(error)),
            }
        }
    }
}
