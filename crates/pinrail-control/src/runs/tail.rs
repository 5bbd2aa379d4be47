//! What other replicas write to the journal, as far as this one must know.
//!
//! A task reads which runs they touched since it last looked, and those runs as they are now, and hands them to the guardrails, to
//! the counters of traffic, to the open runs kept in memory and to the sessions. It looks a few times a second where a rollout is
//! watched, else once, and without news more rarely. Nothing waits for it (I13). Each of its readers takes the same run any
//! number of times, so reading twice does no harm. Where the store doesn't know any more what was between, it says so (a *gap*), and
//! everybody looks at everything.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::replicas::{News, Reached};
use tokio::sync::watch;

use crate::{Inner, errors, tasks};

/// How far the others' journals were read.
pub(crate) struct Tail {
    reached: Reached,
    /// When the open runs were counted last.
    counted_at: Timestamp,
}

/// Runs read at once.
const PAGE: usize = 1_000;
/// Pages per look: an avalanche must not keep the store from others for long.
const PAGES_MAX: usize = 20;
/// How often it looks where a rollout is watched: a breach is found that much later.
const WATCHED: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_secs(1);
/// Without news, every so many times only: what a lost notice costs.
const QUIET_LOOKS: u32 = 4;
/// How often the open runs of all replicas are counted, in milliseconds: the count only guards a limit.
const COUNT_MS: u64 = 30_000;

impl Tail {
    /// Begins where the others' journals are now. To be made before anything is read from the journal.
    pub(crate) fn new(reached: Reached) -> Tail {
        Tail { reached, counted_at: Timestamp(0) }
    }

    /// Reads on from here, where others write, until the control plane is gone.
    pub(crate) fn start(self, inner: &Arc<Inner>) {
        if !inner.store.is_shared() {
            return;
        }
        let news = inner.store.news();
        tasks::spawn(follow(self, Arc::downgrade(inner), news));
    }

    /// Takes in what others wrote since the last look, as far as one look goes.
    pub(crate) async fn look(&mut self, inner: &Inner) -> Result<(), StoreError> {
        for _ in 0..PAGES_MAX {
            if !self.page(inner).await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes in a page; false when that was all.
    async fn page(&mut self, inner: &Inner) -> Result<bool, StoreError> {
        let touched = inner.store.runs_touched(&self.reached, PAGE).await?;
        if touched.runs.is_empty() && !touched.gap {
            self.reached = touched.reached;
            return Ok(touched.more);
        }
        let seen: HashMap<_, _> = touched.runs.iter().map(|run| (*run, inner.runs.live.seen(*run))).collect();
        let runs = inner.store.run_get_many(&touched.runs).await?;
        // What was stamped in an epoch that isn't shown here yet can't be judged before it is.
        let newest = runs.iter().map(|run| run.stamp.epoch).max();
        if let Some(epoch) = newest {
            inner.runs.reach(epoch).await?;
        }
        inner.runs.live.touched(&runs, &seen);
        inner.runs.sessions.touched(&runs, touched.gap, inner.clock.now());
        inner.traffic.touched(&runs, touched.gap);
        inner.observer.touched(&runs, touched.gap);
        inner.runs.recorder.told();
        self.reached = touched.reached;
        Ok(touched.more)
    }

    /// Counts the open runs of all replicas now and then.
    async fn count(&mut self, inner: &Inner) -> Result<(), StoreError> {
        let now = inner.clock.now();
        if now.ms_since(self.counted_at) >= COUNT_MS || now < self.counted_at {
            self.counted_at = now;
            inner.runs.live.recounted(inner.store.run_open_total().await?);
        }
        Ok(())
    }
}

async fn follow(mut tail: Tail, control: Weak<Inner>, mut news: watch::Receiver<News>) {
    let (mut seen, mut quiet, mut failing) = (None, 0, false);
    loop {
        let pause = match control.upgrade() {
            Some(inner) if inner.observer.is_wanted() => WATCHED,
            Some(_) => IDLE,
            None => return,
        };
        tokio::time::sleep(pause).await;
        let Some(inner) = control.upgrade() else { return };
        inner.runs.sessions.forget_again(inner.clock.now());
        let journal = Some(news.borrow_and_update().journal);
        quiet += 1;
        if journal == seen && quiet < QUIET_LOOKS && !failing {
            continue;
        }
        let looked = match tail.look(&inner).await {
            Ok(()) => tail.count(&inner).await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(()) => (seen, quiet, failing) = (journal, 0, false),
            Err(error) if !failing => {
                failing = true;
                let error = errors::chain(&error);
                tracing::warn!(error, "what other replicas journal can't be read; trying again");
            }
            Err(_) => {}
        }
    }
}
