//! Live counters of what agents serve: fed by the journal's writer, read without the store.
//!
//! The writer hands over each batch after the store took it, by a queue that it never waits for; what finds no room is dropped and
//! counted (I13). One task folds batches into [`Traffic`](pinrail_domain::traffic::Traffic) and says that something changed. What was
//! written before the process began is read once, in the background, newest first ([`Control::recall_traffic`]); until
//! then the counters say that they aren't complete.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::id::AgentName;
use pinrail_domain::journal::{Event, RunStatus};
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_domain::traffic::{self, End, Lately};
use pinrail_store::journal::{Run, RunFilter, Write};
use pinrail_store::{Store, StoreError};
use tokio::sync::{mpsc, watch};

use crate::observe::{Batch, Place};
use crate::{Control, tasks};

/// Folds what is written into counters.
pub(crate) struct Traffic {
    fold: Mutex<traffic::Traffic>,
    batches: mpsc::Sender<Arc<Batch>>,
    /// Writes of batches that found no room in the queue.
    overflowed: AtomicU64,
    changed: watch::Sender<u64>,
}

/// Batches on their way. Each holds at most some thousand writes, which the writer had in memory anyway.
const BATCHES_MAX: usize = 64;
/// Runs of the last hour that are read after a start: a second or two of reading. Of busier agents the hour is shorter,
/// and says since when.
const RECALLED_MAX: usize = 50_000;
/// Open runs that are older than an hour and read after a start, so that their ends count for somebody.
const RECALLED_OPEN_MAX: usize = 10_000;
const PAGE_RUNS: usize = 500;
const HOUR_MS: u64 = 3_600_000;
/// How soon a store that failed is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// Counters change by time alone, too: what they show is a new hour every minute.
const MINUTE: Duration = Duration::from_secs(60);

impl Control {
    /// What agents served in the last hour, of one agent or of all. Reads nothing but memory.
    #[must_use]
    pub fn traffic(&self, agent: Option<&AgentName>) -> Lately {
        let traffic = &self.inner.traffic;
        let mut lately = traffic.lock().lately(self.inner.clock.now(), agent);
        lately.dropped += traffic.overflowed.load(Ordering::Relaxed);
        lately
    }

    /// Writes that the counters missed since the process began.
    #[must_use]
    pub fn traffic_dropped(&self) -> u64 {
        self.inner.traffic.overflowed.load(Ordering::Relaxed)
    }

    /// Rises when counters changed: many changes may be one rise.
    #[must_use]
    pub fn traffic_changed(&self) -> watch::Receiver<u64> {
        self.inner.traffic.changed.subscribe()
    }

    /// Reads the last hour's runs from the journal in the background.
    pub fn recall_traffic(&self) {
        tasks::spawn(recall(Arc::downgrade(&self.inner.traffic), Arc::clone(&self.inner.store)));
    }
}

impl Traffic {
    /// Begins to count what is written from now on. Nothing may be written before.
    pub fn start(clock: &dyn Clock, is_shared: bool) -> Arc<Traffic> {
        let (batches, queued) = mpsc::channel(BATCHES_MAX);
        let now = clock.now();
        let fold = if is_shared { traffic::Traffic::among_others(now) } else { traffic::Traffic::new(now) };
        let traffic = Arc::new(Traffic {
            fold: Mutex::new(fold),
            batches,
            overflowed: AtomicU64::new(0),
            changed: watch::channel(0).0,
        });
        tasks::spawn(listen(Arc::downgrade(&traffic), queued));
        traffic
    }

    /// Takes in a batch; the journal's writer never waits here (I13).
    pub fn written(&self, batch: Arc<Batch>) {
        let writes = batch.writes.len() as u64;
        if self.batches.try_send(batch).is_err() {
            self.overflowed.fetch_add(writes, Ordering::Relaxed);
        }
    }

    /// Takes in runs that other replicas wrote, as they are now. With a `gap`, some may never be seen.
    pub fn touched(&self, runs: &[Run], gap: bool) {
        let mut fold = self.lock();
        for Run { stamp, summary } in runs {
            let end = summary.outcome.map(|outcome| End { at: summary.last_at, outcome });
            fold.seen(stamp, summary.started_at, end);
        }
        fold.lost(u64::from(gap));
        drop(fold);
        self.told();
    }

    fn take(&self, batch: &Batch) {
        let mut fold = self.lock();
        for (write, place) in batch.writes.iter().zip(&batch.places) {
            match (place, write) {
                (Place::At(_), Write::Start(start)) => {
                    fold.began(&start.stamp, start.at, start.events.iter().find_map(end));
                }
                (Place::At(_), Write::Append(append)) => {
                    if let Some(end) = append.events.iter().find_map(end) {
                        fold.ended(append.run, end);
                    }
                }
                // It is tried again, and then it may have been there already.
                (Place::Doubtful, _) => fold.lost(1),
                (Place::Nowhere, _) => {}
            }
        }
    }

    fn told(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, traffic::Traffic> {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes in batches, and says so once for all that came together; ends with the control plane.
async fn listen(traffic: Weak<Traffic>, mut batches: mpsc::Receiver<Arc<Batch>>) {
    // Minutes that changed nothing but the time, since the last batch.
    let mut quiet = traffic::MINUTES;
    loop {
        let batch = tokio::select! {
            // Chance would make a simulated world unrepeatable.
            biased;
            batch = batches.recv() => match batch {
                Some(batch) => Some(batch),
                None => return,
            },
            () = tokio::time::sleep(MINUTE), if quiet < traffic::MINUTES => None,
        };
        let Some(traffic) = traffic.upgrade() else { return };
        quiet = if batch.is_some() { 0 } else { quiet + 1 };
        if let Some(batch) = batch {
            traffic.take(&batch);
        }
        while let Ok(batch) = batches.try_recv() {
            traffic.take(&batch);
        }
        traffic.told();
    }
}

/// Reads what was written before the process began, until it is done or the control plane is gone.
async fn recall(traffic: Weak<Traffic>, store: Arc<dyn Store>) {
    let Some(from) = traffic.upgrade().map(|traffic| traffic.lock().from()) else { return };
    let hour_ago = Timestamp(from.0.saturating_sub(HOUR_MS));
    let lately = RunFilter { since: Some(hour_ago), ..RunFilter::default() };
    let Some(oldest) = recall_all(&traffic, &*store, &lately, RECALLED_MAX).await else { return };
    for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
        let open = RunFilter { status: Some(status), until: Some(hour_ago), ..RunFilter::default() };
        if recall_all(&traffic, &*store, &open, RECALLED_OPEN_MAX).await.is_none() {
            return;
        }
    }
    if let Some(traffic) = traffic.upgrade() {
        traffic.lock().recalled_all(oldest.unwrap_or(hour_ago));
        traffic.told();
    }
}

/// Takes in the newest runs that a filter lets through. Gives since when all are known, where there are more than are read; and
/// nothing at all when the control plane is gone.
async fn recall_all(
    traffic: &Weak<Traffic>,
    store: &dyn Store,
    filter: &RunFilter,
    runs_max: usize,
) -> Option<Option<Timestamp>> {
    let (mut before, mut read) = (None, 0);
    while read < runs_max {
        let page = match store.run_list(filter, before, PAGE_RUNS).await {
            Ok(page) => page,
            Err(error) => {
                unread(&error);
                tokio::time::sleep(RETRY).await;
                traffic.upgrade()?;
                continue;
            }
        };
        let traffic = traffic.upgrade()?;
        let mut fold = traffic.lock();
        for Run { stamp, summary } in &page {
            // Its last event may be a score that came after the end; then the end seems later than it was.
            let end = summary.outcome.map(|outcome| End { at: summary.last_at, outcome });
            fold.recalled(stamp, summary.started_at, end);
        }
        drop(fold);
        read += page.len();
        let Some(last) = page.last().filter(|_| page.len() == PAGE_RUNS) else { return Some(None) };
        before = Some(last.stamp.run);
        if read >= runs_max {
            return Some(Some(last.summary.started_at));
        }
    }
    Some(None)
}

/// When and how a run ended, if this is its end.
fn end((at, event): &(Timestamp, Event)) -> Option<End> {
    match event {
        Event::Finished { outcome, why: _ } => Some(End { at: *at, outcome: *outcome }),
        Event::Plan { .. }
        | Event::Started
        | Event::ModelRequest { .. }
        | Event::ModelRetry { .. }
        | Event::ModelResponse(_)
        | Event::ModelFailed { .. }
        | Event::Drift { .. }
        | Event::ToolCall { .. }
        | Event::ToolResult { .. }
        | Event::Dialled { .. }
        | Event::ToolRuled { .. }
        | Event::ApprovalDecided { .. }
        | Event::Note { .. }
        | Event::Score { .. }
        | Event::Compared(_)
        | Event::Paused { .. }
        | Event::Resumed
        | Event::Parked { .. }
        | Event::Compensated { .. } => None,
    }
}

/// Says that the journal couldn't be read; it is tried again.
fn unread(error: &StoreError) {
    let error = crate::errors::chain(error);
    tracing::warn!(error, "the last hour's runs cannot be read for the counters of traffic; trying again");
}
