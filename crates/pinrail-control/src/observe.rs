//! What is observed of rollouts under way: the journal, folded as it is written.
//!
//! The journal's writer hands over each batch after the store took it, by a queue that it never waits for (I13), where a
//! rollout is under way. A task of the observer folds batches into [`Observed`], one per rollout. What
//! isn't in the batches is read from the store in the background ([`mend`]): everything after a start or when a rollout
//! begins to be followed, single runs when a write's outcome was unknown, and everything again when the queue overflowed.
//! Until that is done, facts aren't complete, and the controller moves nothing forward on them. Both ways may bring the same
//! event: each has its place, and the fold takes each place once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{DeploymentId, EventSeq, ReleaseId, RunId};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::rollout::observed::{Observed, Sourced, Taken, Tools};
use pinrail_domain::rollout::{Facts, History};
use pinrail_domain::routes::Via;
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_domain::world::World;
use pinrail_store::Store;
use pinrail_store::journal::{Run, Write, WriteError, Written};
use tokio::sync::{mpsc, watch};

use crate::contracts::{ContractError, Contracts};
use crate::{Snapshot, errors, publish, tasks};

mod ask;
mod history;
mod mend;

pub use ask::MetricsSource;

/// Follows the journal for the rollouts under way.
pub struct Observer {
    store: Arc<dyn Store>,
    contracts: Arc<Contracts>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    clock: Arc<dyn Clock>,
    followed: Mutex<BTreeMap<DeploymentId, Followed>>,
    /// What guardrails showed of the rollouts that ended last, the newest last.
    over: Mutex<VecDeque<(DeploymentId, History)>>,
    /// Whether any rollout is followed.
    follows: AtomicBool,
    batches: mpsc::Sender<Arc<Batch>>,
    /// A batch found no room in the queue.
    overflowed: AtomicBool,
    /// The tools of releases that runs of followed rollouts have.
    tools: Mutex<HashMap<ReleaseId, Arc<Tools>>>,
    changed: watch::Sender<u64>,
}

/// Writes that the store took, or may have taken, in its order.
pub(crate) struct Batch {
    pub writes: Arc<Vec<Write>>,
    pub places: Vec<Place>,
}

/// Where in its run's journal a write's first event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    At(EventSeq),
    /// The store didn't say what became of it.
    Doubtful,
    /// It did nothing.
    Nowhere,
}

/// One rollout.
struct Followed {
    observed: Observed,
    opened_at: Timestamp,
    /// Whether the store's runs were listed since it is followed.
    listed: bool,
    /// Runs of which the store may know more.
    missing: BTreeSet<RunId>,
    /// Somebody reads them.
    mending: bool,
    sourced: BTreeMap<usize, Sourced>,
    /// What guardrails showed, look by look.
    history: History,
    replay: history::Replay,
    /// Rises with whatever changes the facts.
    version: u64,
    /// The facts of a version: a look costs more than it changes when nothing happens.
    facts: Option<(u64, Facts)>,
}

/// Batches on their way. Each holds at most some thousand writes, which the writer had in memory anyway.
const BATCHES_MAX: usize = 64;
/// Releases whose tools are remembered; when there are more, all are read again.
const TOOLS_MAX: usize = 1_000;
/// Runs to be read at once; when more are missing, all are listed again.
const MISSING_MAX: usize = 400_000;

impl Observer {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        contracts: Arc<Contracts>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Observer> {
        let (batches, queued) = mpsc::channel(BATCHES_MAX);
        let observer = Arc::new(Observer {
            store,
            contracts,
            snapshot,
            clock,
            followed: Mutex::default(),
            over: Mutex::default(),
            follows: AtomicBool::new(false),
            batches,
            overflowed: AtomicBool::new(false),
            tools: Mutex::default(),
            changed: watch::channel(0).0,
        });
        tasks::spawn(listen(Arc::downgrade(&observer), queued));
        observer
    }

    /// What is known of a rollout now.
    pub(crate) fn facts(&self, id: DeploymentId) -> Facts {
        let (version, gathered, sourced, complete) = {
            let followed = self.lock();
            let Some(followed) = followed.get(&id) else { return Facts::default() };
            let complete = followed.is_complete();
            if let Some((version, facts)) = &followed.facts
                && *version == followed.version
            {
                return Facts { complete, ..facts.clone() };
            }
            (followed.version, followed.observed.gather(), followed.sourced.clone(), complete)
        };
        // Judged while nobody waits for the lock, and with the runtime told: with many values it takes milliseconds, for
        // which requests on this thread must not wait (I13).
        let facts = tasks::compute_here(|| gathered.facts(&sourced));
        if let Some(followed) = self.lock().get_mut(&id)
            && followed.facts.as_ref().is_none_or(|(kept, _)| *kept < version)
        {
            followed.facts = Some((version, facts.clone()));
            if complete {
                followed.history.saw(self.clock.now(), &facts.findings);
            }
        }
        Facts { complete, ..facts }
    }

    /// What the last look worked out, while the rollout is under way.
    pub(crate) fn known(&self, id: DeploymentId) -> Option<Facts> {
        let followed = self.lock();
        let (_, facts) = followed.get(&id)?.facts.as_ref()?;
        Some(facts.clone())
    }

    /// Rises whenever something was observed.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in which rollouts are under way, and where they stand.
    pub(crate) fn follow(self: &Arc<Self>, world: &World) {
        let under_way: BTreeMap<DeploymentId, &Deployment> =
            under_way(world).map(|deployment| (deployment.id, deployment)).collect();
        let mut followed = self.lock();
        self.keep_history(followed.extract_if(.., |id, _| !under_way.contains_key(id)));
        for (id, deployment) in under_way {
            match followed.get_mut(&id) {
                Some(followed) => followed.moved(deployment),
                None => {
                    if let Some(new) = Followed::new(deployment) {
                        followed.insert(id, new);
                    }
                }
            }
        }
        // Said before the store is read: what is written from here on comes by the queue too.
        self.follows.store(!followed.is_empty(), Ordering::SeqCst);
        self.mend(&mut followed);
    }

    /// Whether batches are wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.follows.load(Ordering::SeqCst)
    }

    /// Takes in a batch; the journal's writer never waits here (I13).
    pub(crate) fn written(&self, batch: Arc<Batch>) {
        if self.batches.try_send(batch).is_err() {
            self.overflowed.store(true, Ordering::SeqCst);
        }
    }

    /// Takes in runs that other replicas wrote: what they did is read from the store, as after a start. With a `gap` in what is known
    /// of the others, all runs are looked at again.
    pub(crate) fn touched(self: &Arc<Self>, runs: &[Run], gap: bool) {
        if !self.is_wanted() {
            return;
        }
        self.follow(&self.snapshot.load_full().world);
        let mut followed = self.lock();
        for followed in followed.values_mut() {
            followed.listed &= !gap;
            runs.iter().for_each(|run| followed.touched(run));
        }
        self.mend(&mut followed);
    }

    async fn take(self: &Arc<Self>, batch: &Batch) {
        let overflowed = self.overflowed.swap(false, Ordering::SeqCst);
        // Stamps in the batch were made on this world or an older one.
        self.follow(&self.snapshot.load_full().world);
        let tools = self.tools_of_starts(batch).await;
        let mut followed = self.lock();
        let mut changed = false;
        for followed in followed.values_mut() {
            followed.listed &= !overflowed;
            let before = followed.version;
            for (write, place) in batch.writes.iter().zip(&batch.places) {
                followed.take(write, *place, &tools);
            }
            changed |= followed.version != before;
        }
        self.mend(&mut followed);
        drop(followed);
        if changed {
            self.changed.send_modify(|batches| *batches += 1);
        }
    }

    /// The tools of the releases that the batch's runs start with, as far as anybody asks.
    async fn tools_of_starts(&self, batch: &Batch) -> HashMap<ReleaseId, Arc<Tools>> {
        let mut releases = BTreeSet::new();
        {
            let followed = self.lock();
            for write in batch.writes.iter() {
                let Write::Start(start) = write else { continue };
                if followed.values().any(|followed| followed.observed.concerns(&start.stamp)) {
                    releases.insert(start.stamp.release);
                }
            }
        }
        let mut known = HashMap::new();
        for release in releases {
            // What can't be loaded now is tried again with the run.
            if let Ok(tools) = self.tools(release).await {
                known.insert(release, tools);
            }
        }
        known
    }

    /// The names of a release's tools.
    pub(crate) async fn tools(&self, release: ReleaseId) -> Result<Arc<Tools>, ContractError> {
        let known = |tools: &HashMap<ReleaseId, Arc<Tools>>| tools.get(&release).map(Arc::clone);
        if let Some(tools) = known(&self.tools.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(tools);
        }
        let contract = self.contracts.get(release).await?;
        // A release whose tools are no list of tools was never published.
        let names = contract.tools.as_ref().and_then(|text| publish::tool_names(text.as_bytes()).ok());
        let tools: Arc<Tools> = Arc::new(names.map(|names| names.into_iter().collect()));
        let mut kept = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= TOOLS_MAX {
            kept.clear();
        }
        kept.insert(release, Arc::clone(&tools));
        Ok(tools)
    }

    /// Has read what is missing, where nobody does yet.
    fn mend(self: &Arc<Self>, followed: &mut BTreeMap<DeploymentId, Followed>) {
        for (id, followed) in followed.iter_mut() {
            if !followed.mending && !followed.is_complete() {
                followed.mending = true;
                tasks::spawn(mend::mend(Arc::downgrade(self), *id));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Where the events of a write are, from what the store said.
    pub(crate) fn of(write: &Write, result: &Result<Written, WriteError>) -> Place {
        match (result, write) {
            (Ok(_), Write::Start(_)) => Place::At(EventSeq(0)),
            (Ok(written), Write::Append(append)) => {
                Place::At(EventSeq(written.summary.next.0.saturating_sub(append.events.len() as u64)))
            }
            (Err(WriteError::Store(_) | WriteError::Exists(_)), _) => Place::Doubtful,
            (Err(_), _) => Place::Nowhere,
        }
    }
}

impl Followed {
    fn new(deployment: &Deployment) -> Option<Followed> {
        let observed = Observed::new(deployment)?;
        Some(Followed {
            history: History::new(&observed.rollout().plan),
            replay: history::Replay::default(),
            observed,
            opened_at: deployment.opened_at,
            listed: false,
            missing: BTreeSet::new(),
            mending: false,
            sourced: BTreeMap::new(),
            version: 0,
            facts: None,
        })
    }

    fn is_complete(&self) -> bool {
        self.listed && self.missing.is_empty() && !self.mending
    }

    /// Takes in where the rollout stands, unless something newer is known.
    fn moved(&mut self, deployment: &Deployment) {
        if let Some(rollout) = &deployment.rollout
            && rollout.generation > self.observed.rollout().generation
        {
            if rollout.since != self.observed.rollout().since {
                // It was said of another step.
                self.sourced.clear();
            }
            self.observed.moved(rollout);
            self.version += 1;
        }
    }

    fn take(&mut self, write: &Write, place: Place, tools: &HashMap<ReleaseId, Arc<Tools>>) {
        match (write, place) {
            (_, Place::Nowhere) => {}
            (write, Place::Doubtful) => self.lacks(match write {
                Write::Start(start) => start.stamp.run,
                Write::Append(append) => append.run,
            }),
            (Write::Start(start), Place::At(_)) => {
                let run = start.stamp.run;
                if !self.observed.concerns(&start.stamp) {
                    return;
                }
                let Some(tools) = tools.get(&start.stamp.release) else { return self.lacks(run) };
                match self.began(&start.stamp, tools) {
                    Taken::New | Taken::Known => self.events(run, EventSeq(1), &start.events),
                    // Its parent began before it, so that is known unless it doesn't matter.
                    Taken::NeedsParent(_) if self.is_complete() => {}
                    Taken::NeedsParent(_) => self.lacks(run),
                    Taken::Ignored | Taken::Gap(_) => {}
                }
            }
            (Write::Append(append), Place::At(first)) => {
                match self.observed.next(append.run) {
                    Some(_) => self.events(append.run, first, &append.events),
                    // It may be one that is about to be read, and was read before this.
                    None if !self.is_complete() => self.lacks(append.run),
                    None => {}
                }
            }
        }
    }

    fn touched(&mut self, Run { stamp, summary }: &Run) {
        if !self.observed.concerns(stamp) || self.observed.next(stamp.run) == Some(summary.next) {
            return;
        }
        // A sub-agent's run counts with the one that began it, which may have been written by yet another replica.
        if let (Via::Parent, Some(parent)) = (stamp.via, stamp.parent)
            && self.observed.next(parent).is_none()
        {
            self.lacks(parent);
        }
        self.lacks(stamp.run);
    }

    fn began(&mut self, stamp: &Stamp, tools: &Arc<Tools>) -> Taken {
        let taken = self.observed.began(stamp, tools);
        self.version += u64::from(taken == Taken::New);
        taken
    }

    fn events(&mut self, run: RunId, first: EventSeq, events: &[(Timestamp, Event)]) {
        for (place, (at, event)) in (first.0..).zip(events) {
            self.replay.reached(*at);
            match self.observed.take(run, EventSeq(place), event) {
                Taken::New => self.version += 1,
                Taken::Gap(_) => return self.lacks(run),
                Taken::Known | Taken::Ignored | Taken::NeedsParent(_) => {}
            }
        }
    }

    fn lacks(&mut self, run: RunId) {
        if self.missing.len() >= MISSING_MAX {
            self.listed = false;
            self.missing.clear();
        }
        self.missing.insert(run);
    }
}

/// Ends with the journal's writer, or with the control plane.
async fn listen(observer: std::sync::Weak<Observer>, mut batches: mpsc::Receiver<Arc<Batch>>) {
    while let Some(batch) = batches.recv().await {
        let Some(observer) = observer.upgrade() else { return };
        observer.take(&batch).await;
    }
}

/// The candidates that are rolled out, by id.
pub(crate) fn under_way(world: &World) -> impl Iterator<Item = &Deployment> {
    let candidates = world.deployments.values().filter(|deployment| match deployment.status {
        Status::Candidate { .. } => deployment.rollout.is_some(),
        Status::Promoted { .. } | Status::RolledBack { .. } => false,
    });
    candidates.map(|deployment| &**deployment)
}

/// Says why something couldn't be read; it is tried again.
fn unread(id: DeploymentId, error: &(dyn std::error::Error + 'static)) {
    let error = errors::chain(error);
    tracing::warn!(deployment = %id, error, "what runs did in a rollout cannot be read; trying again");
}
