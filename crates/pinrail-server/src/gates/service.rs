//! The gates of this server: started, followed, stopped, and taken up again after a restart.
//!
//! A gate that runs is a task of its own, which waits until fewer than [`AT_ONCE`] others run. What it has is in the store,
//! so a server that is killed goes on with it at its next start; one that is shut down stops asking first. Of several
//! replicas the leader runs all gates: what the others are asked to start, stop or resume they write into the store, where it finds
//! it ([`Gates::conduct_by_itself`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pinrail_control::leader::Standing;
use pinrail_control::{By, Control};
use pinrail_domain::id::GateId;
use pinrail_domain::time::Clock;
use pinrail_gate::ask::Models;
use pinrail_gate::run::document::{Document, End, Progress};
use pinrail_gate::run::{self, Estimate};
use pinrail_gate::statement::SigningKey;
use pinrail_gate::verdict::Held;
use pinrail_store::StoreError;
use pinrail_store::gates::{GateChange, GateFilter, GateRecord, GateStatus};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::conduct::{self, CANCELLED, Orders};
use super::start::{Pair, Plan, StartRefused, Wish};
use crate::problem::chain;

/// What gates are run with.
pub struct Options {
    pub control: Control,
    pub models: Arc<dyn Models>,
    pub clock: Arc<dyn Clock>,
    /// The Python that assertions may run; none: they may not.
    pub python: Option<String>,
    /// What statements are signed with; none: they aren't.
    pub signing_key: Option<SigningKey>,
}

/// The gates of this server. Cheap to clone; all clones are the same ones.
#[derive(Clone)]
pub struct Gates {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub options: Options,
    running: Mutex<BTreeMap<GateId, Running>>,
    tasks: Mutex<JoinSet<()>>,
    pub places: Arc<Semaphore>,
    /// Counts up whenever a gate begins or is over.
    changed: watch::Sender<u64>,
    /// Held while gates are started, so that nothing is started twice.
    starting: tokio::sync::Mutex<()>,
    /// True once the server goes down: nothing is begun any more.
    pub stopping: watch::Sender<bool>,
}

/// A gate that runs or waits for its place.
#[derive(Clone)]
struct Running {
    pair: Pair,
    told: watch::Receiver<Progress>,
    /// True when it is over.
    over: watch::Receiver<bool>,
    stop: watch::Sender<bool>,
    orders: Arc<Orders>,
}

/// A gate as it is now.
#[derive(Clone, Debug)]
pub struct Looked {
    pub record: GateRecord,
    pub document: Document,
    /// It waits until fewer gates run.
    pub queued: bool,
}

/// A gate that was started, or would be.
pub struct Started {
    /// None where nothing was started.
    pub gate: Option<GateId>,
    pub agent: pinrail_domain::id::AgentName,
    pub candidate: pinrail_domain::id::ReleaseId,
    pub incumbent: Option<pinrail_domain::id::ReleaseId>,
    pub settings: run::Settings,
    pub estimate: Estimate,
}

/// Why a gate isn't stopped or taken up again.
#[derive(Debug, thiserror::Error)]
pub enum ActRefused {
    #[error("there is no {0}")]
    NoGate(GateId),
    #[error("{id} is {}", status.as_str())]
    Over { id: GateId, status: GateStatus },
    #[error(transparent)]
    Start(#[from] StartRefused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gates that ask at once: each has its own concurrency, and more would only fight for the providers' limits.
const AT_ONCE: usize = 2;
/// Gates that run or wait: as many as anybody can look through.
const RUNNING_MAX: usize = 64;
/// How soon the leader finds what another replica was asked for.
const LOOK_AROUND: Duration = Duration::from_secs(1);
/// Gates read at once at start-up.
const PAGE: usize = 100;

impl Gates {
    #[must_use]
    pub fn new(options: Options) -> Gates {
        let inner = Inner {
            options,
            running: Mutex::default(),
            tasks: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            changed: watch::Sender::new(0),
            starting: tokio::sync::Mutex::default(),
            stopping: watch::Sender::new(false),
        };
        Gates { inner: Arc::new(inner) }
    }

    /// Starts the gates that a wish comes to; with `dry_run` it only says what they would take. The same idempotency key
    /// starts them once.
    pub async fn start(
        &self,
        by: &By,
        wish: &Wish,
        dry_run: bool,
    ) -> Result<(Vec<Started>, bool), StartRefused> {
        let _turn = self.inner.starting.lock().await;
        if let Some(made) = self.control().gates_made(by).await.map_err(StartRefused::Commit)? {
            return Ok((self.made(&made).await?, true));
        }
        let plans = self.plan(wish, by).await?;
        if dry_run {
            return Ok((plans.into_iter().map(|plan| started(None, plan)).collect(), false));
        }
        {
            let running = self.running();
            if running.len() + plans.len() > RUNNING_MAX {
                return Err(StartRefused::Full(running.len()));
            }
            for plan in &plans {
                let same = |running: &Running| running.pair == plan.pair;
                if let Some((id, _)) = running.iter().find(|(_, running)| same(running)) {
                    return Err(StartRefused::Running(*id));
                }
            }
        }
        self.check_elsewhere(&plans).await?;
        let records: Vec<GateRecord> = plans.iter().map(|plan| self.record(plan)).collect();
        let made = self.control().gates_make(by, records.clone()).await.map_err(StartRefused::Commit)?;
        if made.replayed {
            return Ok((self.made(&made.value).await?, true));
        }
        if self.conducts() {
            for record in &records {
                self.begin(record.clone(), false);
            }
        }
        let ids = records.into_iter().map(|record| Some(record.id));
        Ok((ids.zip(plans).map(|(id, plan)| started(id, plan)).collect(), false))
    }

    /// Takes up the gates that ran when the server ended, if this replica leads; returns how many.
    pub async fn take_up(&self) -> Result<usize, StoreError> {
        self.inner.stopping.send_replace(false);
        if self.conducts() { self.begin_stored().await } else { Ok(0) }
    }

    /// Begins what the store says is running and isn't here.
    async fn begin_stored(&self) -> Result<usize, StoreError> {
        let filter = GateFilter { status: Some(GateStatus::Running), ..GateFilter::default() };
        let (mut before, mut count) = (None, 0);
        loop {
            let page = self.control().gate_store().gate_list(&filter, before, PAGE).await?;
            before = page.last().map(|gate| gate.id);
            let is_last = page.len() < PAGE;
            for record in page {
                if !self.running().contains_key(&record.id) {
                    let again =
                        serde_json::from_str(&record.document).is_ok_and(|read: Document| read.retry_errors);
                    self.begin(record, again);
                    count += 1;
                }
            }
            if is_last {
                return Ok(count);
            }
        }
    }

    /// Stops a gate; what it has is kept. Returns when it has stopped here, or when the store says so to whoever runs it, or would
    /// have begun to.
    pub async fn cancel(&self, id: GateId) -> Result<Looked, ActRefused> {
        let running = self.running().get(&id).cloned();
        if let Some(running) = running {
            running.orders.cancelled.store(true, Ordering::Release);
            running.stop.send_replace(true);
            let mut over = running.over.clone();
            // An error says that its task is gone, which is what was waited for.
            let _ = over.wait_for(|over| *over).await;
        }
        let mut looked = self.look(id).await?.ok_or(ActRefused::NoGate(id))?;
        if looked.record.status == GateStatus::Running {
            looked = self.cancel_elsewhere(looked).await?;
        }
        match looked.record.status {
            GateStatus::Cancelled => Ok(looked),
            status @ (GateStatus::Finished | GateStatus::Failed | GateStatus::Running) => {
                Err(ActRefused::Over { id, status })
            }
        }
    }

    /// Takes a gate up that was stopped or failed, and asks again for what ended in errors.
    pub async fn resume(&self, id: GateId) -> Result<Looked, ActRefused> {
        if self.running().contains_key(&id) {
            return self.look(id).await?.ok_or(ActRefused::NoGate(id));
        }
        let mut looked = self.look(id).await?.ok_or(ActRefused::NoGate(id))?;
        let from = match looked.record.status {
            from @ (GateStatus::Cancelled | GateStatus::Failed) => from,
            status @ (GateStatus::Finished | GateStatus::Running) => {
                return Err(ActRefused::Over { id, status });
            }
        };
        let count = self.running().len();
        if count >= RUNNING_MAX {
            return Err(StartRefused::Full(count).into());
        }
        looked.document.end = None;
        looked.document.retry_errors = true;
        looked.record.document = json(&looked.document);
        looked.record.status = GateStatus::Running;
        let document = looked.record.document.clone();
        let change = GateChange { id, from, to: GateStatus::Running, document, fence: None };
        if !self.control().gate_store().gate_update(change).await? {
            let status = self.look(id).await?.ok_or(ActRefused::NoGate(id))?.record.status;
            return Err(ActRefused::Over { id, status });
        }
        if self.conducts() {
            self.begin(looked.record, true);
        }
        self.look(id).await?.ok_or(ActRefused::NoGate(id))
    }

    /// A gate as it is now; none where there is none.
    pub async fn look(&self, id: GateId) -> Result<Option<Looked>, StoreError> {
        let record = self.control().gate_store().gate_get(id).await?;
        record.map(|record| self.looked(record)).transpose()
    }

    /// Gates as they are now, newest first.
    pub async fn list(
        &self,
        filter: &GateFilter,
        before: Option<GateId>,
        limit: usize,
    ) -> Result<Vec<Looked>, StoreError> {
        let records = self.control().gate_store().gate_list(filter, before, limit).await?;
        records.into_iter().map(|record| self.looked(record)).collect()
    }

    /// The suites that a gate asks, whole.
    pub async fn suites(&self, of: &Looked) -> Result<Vec<Held>, StartRefused> {
        self.held(&of.document.settings.suites).await
    }

    /// Follows a gate that runs: its progress, and whether it is over. None where it doesn't run.
    #[must_use]
    pub fn follow(&self, id: GateId) -> Option<(watch::Receiver<Progress>, watch::Receiver<bool>)> {
        self.running().get(&id).map(|running| (running.told.clone(), running.over.clone()))
    }

    /// Tells whenever a gate begins or is over. How far it is shows in the journal.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Stops asking and waits until what is under way is kept or dropped; the next start takes all of it up.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        // Whoever is starting one has begun it when this turn comes.
        drop(self.inner.starting.lock().await);
        for running in self.running().values() {
            running.stop.send_replace(true);
        }
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    pub(super) fn control(&self) -> &Control {
        &self.inner.options.control
    }

    /// Whether gates run in this process: of several replicas, in the leader's.
    fn conducts(&self) -> bool {
        self.control().standing_here().leads()
    }

    /// Refuses what another replica runs or is to run already.
    async fn check_elsewhere(&self, plans: &[Plan]) -> Result<(), StartRefused> {
        if self.control().standing_here() == Standing::Alone {
            return Ok(());
        }
        let filter = GateFilter { status: Some(GateStatus::Running), ..GateFilter::default() };
        let running = self.control().gate_store().gate_list(&filter, None, RUNNING_MAX).await;
        let running = running.map_err(StartRefused::Store)?;
        if running.len() + plans.len() > RUNNING_MAX {
            return Err(StartRefused::Full(running.len()));
        }
        let pairs = running.iter().map(|record| (record.id, pair_of(record)));
        match pairs.into_iter().find(|(_, pair)| plans.iter().any(|plan| plan.pair == *pair)) {
            Some((id, _)) => Err(StartRefused::Running(id)),
            None => Ok(()),
        }
    }

    /// Writes down that a gate is stopped; whoever runs it finds it.
    async fn cancel_elsewhere(&self, mut looked: Looked) -> Result<Looked, StoreError> {
        let at = self.inner.options.clock.now();
        looked.document.end = Some(End::bare(at, CANCELLED.to_owned()));
        looked.record.status = GateStatus::Cancelled;
        looked.record.document = json(&looked.document);
        let (id, document) = (looked.record.id, looked.record.document.clone());
        let change =
            GateChange { id, from: GateStatus::Running, to: GateStatus::Cancelled, document, fence: None };
        if self.control().gate_store().gate_update(change).await? {
            return Ok(looked);
        }
        // Somebody was faster.
        Ok(self.look(id).await?.unwrap_or(looked))
    }

    /// Runs, while this replica leads, the gates that any replica was asked to start, and stops those that any was asked to
    /// stop. Where there are no others, gates begin where they are asked for, and nothing is to be looked for.
    pub fn conduct_by_itself(&self) {
        if self.control().standing_here() == Standing::Alone {
            return;
        }
        let gates = self.clone();
        let mut stopping = self.inner.stopping.subscribe();
        tokio::spawn(async move {
            while !*stopping.borrow() {
                tokio::select! {
                    () = gates.control().until_leading() => {}
                    _ = stopping.changed() => return,
                }
                if let Err(error) = gates.look_around().await {
                    tracing::warn!(error = %chain(&error), "gates can't be looked for; trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AROUND) => {}
                    _ = stopping.changed() => return,
                }
                if !gates.conducts() {
                    gates.leave();
                }
            }
        });
    }

    async fn look_around(&self) -> Result<(), StoreError> {
        self.begin_stored().await?;
        let here: Vec<GateId> = self.running().keys().copied().collect();
        for id in here {
            let kept = self.control().gate_store().gate_get(id).await?;
            if kept.is_some_and(|record| record.status == GateStatus::Cancelled)
                && let Some(running) = self.running().get(&id)
            {
                running.orders.cancelled_elsewhere.store(true, Ordering::Release);
                running.orders.cancelled.store(true, Ordering::Release);
                running.stop.send_replace(true);
            }
        }
        Ok(())
    }

    /// Stops asking: another replica leads, and goes on with what is in the store.
    fn leave(&self) {
        for running in self.running().values() {
            running.stop.send_replace(true);
        }
    }

    /// Has a gate run as a task of its own; while the server goes down, the next start does.
    fn begin(&self, record: GateRecord, retry_errors: bool) {
        if *self.inner.stopping.borrow() {
            return;
        }
        let (told, stop, over) =
            (watch::Sender::new(progress_of(&record)), watch::Sender::new(false), watch::Sender::new(false));
        let orders = Arc::new(Orders {
            cancelled: AtomicBool::new(false),
            cancelled_elsewhere: AtomicBool::new(false),
            queued: AtomicBool::new(true),
            retry_errors,
        });
        let running = Running {
            pair: pair_of(&record),
            told: told.subscribe(),
            over: over.subscribe(),
            stop: stop.clone(),
            orders: Arc::clone(&orders),
        };
        let id = record.id;
        self.running().insert(id, running);
        self.inner.changed.send_modify(|changed| *changed += 1);
        let gates = self.clone();
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            conduct::conduct(&gates, record, &orders, &told, stop.subscribe()).await;
            gates.running().remove(&id);
            over.send_replace(true);
            gates.inner.changed.send_modify(|changed| *changed += 1);
        });
    }

    fn record(&self, plan: &Plan) -> GateRecord {
        let Plan { pair, settings, estimate } = plan;
        let progress = Progress { total: estimate.answers, repeats: settings.repeats, ..Progress::default() };
        let document = Document { settings: settings.clone(), progress, end: None, retry_errors: false };
        GateRecord {
            id: self.control().new_gate_id(),
            agent: pair.agent.clone(),
            deployment: pair.deployment,
            candidate: pair.candidate,
            incumbent: pair.incumbent,
            created_at: self.inner.options.clock.now(),
            status: GateStatus::Running,
            document: json(&document),
        }
    }

    /// Gates that an earlier request made.
    async fn made(&self, ids: &[GateId]) -> Result<Vec<Started>, StartRefused> {
        let mut made = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(Looked { record, document, .. }) = self.look(*id).await? else { continue };
            let estimate = Estimate {
                answers: document.progress.total,
                budget_nano_usd: document.settings.budget_nano_usd,
                ..Estimate::default()
            };
            made.push(Started {
                gate: Some(*id),
                agent: record.agent,
                candidate: record.candidate,
                incumbent: record.incumbent,
                settings: document.settings,
                estimate,
            });
        }
        Ok(made)
    }

    fn looked(&self, record: GateRecord) -> Result<Looked, StoreError> {
        let mut document: Document = serde_json::from_str(&record.document)
            .map_err(|error| StoreError::Damaged(format!("{}: {error}", record.id)))?;
        let mut queued = false;
        if let Some(running) = self.running().get(&record.id) {
            document.progress = running.told.borrow().clone();
            queued = running.orders.queued.load(Ordering::Acquire);
        }
        Ok(Looked { record, document, queued })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<GateId, Running>> {
        // Nothing that holds it can fail half-way.
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn json(document: &Document) -> String {
    serde_json::to_string(document).expect("a document is plain data")
}

fn progress_of(record: &GateRecord) -> Progress {
    serde_json::from_str::<Document>(&record.document).map(|document| document.progress).unwrap_or_default()
}

fn started(gate: Option<GateId>, plan: Plan) -> Started {
    let Plan { pair, settings, estimate } = plan;
    let super::start::Pair { agent, deployment: _, candidate, incumbent } = pair;
    Started { gate, agent, candidate, incumbent, settings, estimate }
}

/// What a gate compares, and for whom.
fn pair_of(record: &GateRecord) -> Pair {
    let GateRecord { agent, deployment, candidate, incumbent, .. } = record;
    Pair { agent: agent.clone(), deployment: *deployment, candidate: *candidate, incumbent: *incumbent }
}

#[cfg(test)]
mod tests;
