//! The tasks that deliver: one for each webhook that there is, begun and ended as webhooks come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::id::LedgerSeq;
use pinrail_store::StoreError;
use pinrail_store::deliveries::Outlet;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::follow::Follower;
use super::outlet;
use crate::leader::Standing;
use crate::outbound::Outbound;
use crate::{Control, Inner, errors, tasks};

/// The delivery to all webhooks. It ends when this is dropped, or when the control plane is gone.
pub struct Deliverer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How long a stop waits for what is being sent. What is cut is sent again after the next start.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// Pause before a task that panicked begins again.
const PANIC_PAUSE: Duration = Duration::from_secs(5);

impl Control {
    /// Begins to deliver to all webhooks that there are and will be. Call it once. Needs a tokio runtime.
    #[must_use]
    pub fn deliver_webhooks(&self, outbound: Arc<dyn Outbound>) -> Deliverer {
        let (stop, stopped) = watch::channel(false);
        let tasks = Tasks {
            inner: Arc::downgrade(&self.inner),
            outbound,
            heads: self.inner.heads.subscribe(),
            standing: self.inner.leader.follow(),
            stop: stopped,
            followers: JoinSet::new(),
            running: BTreeMap::new(),
        };
        Deliverer { stop, task: tasks::spawn(tasks.keep()) }
    }
}

impl Deliverer {
    /// Sends nothing more, and waits a little for what is being sent.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the delivery to webhooks ended badly");
        }
    }
}

struct Tasks {
    inner: Weak<Inner>,
    outbound: Arc<dyn Outbound>,
    heads: watch::Receiver<LedgerSeq>,
    standing: watch::Receiver<Standing>,
    stop: watch::Receiver<bool>,
    followers: JoinSet<()>,
    running: BTreeMap<Outlet, AbortHandle>,
}

impl Tasks {
    async fn keep(mut self) {
        let mut to_tidy = true;
        loop {
            self.heads.borrow_and_update();
            let leads = self.standing.borrow_and_update().leads();
            let Some(inner) = self.inner.upgrade() else { return };
            to_tidy |= self.match_webhooks(&inner, leads);
            if to_tidy && leads {
                match tidy(&inner).await {
                    Ok(()) => to_tidy = false,
                    // It only takes room; the next change tries again.
                    Err(error) => {
                        let error = errors::chain(&error);
                        tracing::warn!(error, "what is left of removed webhooks could not be forgotten");
                    }
                }
            }
            drop(inner);
            let mut stop = self.stop.clone();
            let ended = tokio::select! {
                changed = self.heads.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                changed = self.standing.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                _ = stop.wait_for(|stop| *stop) => None,
                Some(ended) = self.followers.join_next() => Some(ended),
            };
            match ended {
                Some(ended) => self.ended(ended).await,
                None => return self.end().await,
            }
        }
    }

    /// Begins and ends tasks as there are webhooks and this replica leads; tells whether any ended.
    fn match_webhooks(&mut self, inner: &Arc<Inner>, leads: bool) -> bool {
        let wanted = if leads { wanted(inner) } else { BTreeSet::new() };
        let before = self.running.len();
        self.running.retain(|outlet, task| {
            let stays = wanted.contains(outlet) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        let gone = self.running.len() < before;
        for outlet in wanted {
            self.running.entry(outlet).or_insert_with_key(|outlet| {
                let follower = Follower {
                    inner: Arc::downgrade(inner),
                    outlet: outlet.clone(),
                    outbound: Arc::clone(&self.outbound),
                    heads: inner.heads.subscribe(),
                    nudges: inner.webhooks.nudges.subscribe(),
                    stop: self.stop.clone(),
                };
                self.followers.spawn(follower.run())
            });
        }
        gone
    }

    async fn ended(&self, ended: Result<(), tokio::task::JoinError>) {
        let Err(error) = ended else { return };
        if error.is_panic() {
            tracing::error!(%error, "a webhook's task panicked; it begins again");
            tokio::time::sleep(PANIC_PAUSE).await;
        }
    }

    async fn end(mut self) {
        let all_ended = async { while self.followers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAIT, all_ended).await.is_err() {
            tracing::info!("events that were being sent were cut; they are sent again after the next start");
        }
    }
}

fn wanted(inner: &Inner) -> BTreeSet<Outlet> {
    let snapshot = inner.snapshot.load();
    snapshot.world.webhooks.iter().map(|(name, webhook)| outlet(name, webhook)).collect()
}

/// Forgets what is kept of webhooks that were removed.
async fn tidy(inner: &Arc<Inner>) -> Result<(), StoreError> {
    let (wanted, shown) = (wanted(inner), inner.snapshot.load().world.head.seq);
    inner.webhooks.progress().retain(|outlet, _| wanted.contains(outlet));
    let kept = inner.store.delivery_outlets().await?;
    // One of an entry that isn't shown yet is no leftover.
    for outlet in kept.iter().filter(|outlet| outlet.since <= shown && !wanted.contains(*outlet)) {
        inner.store.delivery_forget(outlet).await?;
    }
    Ok(())
}
