//! One webhook's task: follows the ledger from the webhook's place and sends what its settings want.
//!
//! What becomes of an entry, first rule that fits:
//! 1. not wanted: passed over;
//! 2. taken (2xx): delivered;
//! 3. refused for good, or tried [`ATTEMPTS_MAX`] times: a dead letter, kept in one step with the place;
//! 4. something missing on this side (the variable of the secret): waits and never becomes a dead letter, since its
//!    receiver wasn't asked;
//! 5. else it is tried again: after 1 s, 2 s, 4 s … up to [`PAUSE_MAX`], each pause cut by up to a half at random so that
//!    receivers that come back aren't run over, and no sooner than the receiver asks ([`RETRY_AFTER_MAX`] at most).
//!
//! A change of the webhook's settings, and an event that reached the receiver by other means (a test), end the pause and
//! begin the count anew.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Entry;
use pinrail_domain::time::Entropy;
use pinrail_domain::webhook::Webhook;
use pinrail_domain::webhook::concerns::Concerns;
use pinrail_store::StoreError;
use pinrail_store::deliveries::{DeadLetter, Outlet};
use tokio::sync::watch;

use super::{Delivered, Progress, Trouble, event};
use crate::outbound::{Address, Fault, Message, Outbound, SendError};
use crate::{Inner, errors};

/// Attempts for one event: with the pauses between them about two hours, longer than most outages.
pub const ATTEMPTS_MAX: u32 = 15;
/// The pause after the first attempt; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: who comes back is told within half an hour.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 60);
/// The longest that a receiver may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Entries read at once.
const PAGE: usize = 100;
/// Pause after the store failed, before it is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// One webhook's task.
pub(super) struct Follower {
    pub inner: Weak<Inner>,
    pub outlet: Outlet,
    pub outbound: Arc<dyn Outbound>,
    pub heads: watch::Receiver<LedgerSeq>,
    pub nudges: watch::Receiver<u64>,
    pub stop: watch::Receiver<bool>,
}

/// The webhook is gone, or the control plane is, or it stops: there is nothing more to do.
struct Over;

/// What became of an entry.
enum Fate {
    PassedOver,
    Delivered,
    Dead(DeadLetter),
}

/// How long to wait after an attempt that failed: `attempts` were made. Two random bytes cut it by up to a half.
#[must_use]
pub fn backoff(attempts: u32, random: [u8; 2], asked: Option<Duration>) -> Duration {
    let doubled = PAUSE * (1 << attempts.saturating_sub(1).min(20));
    let half = doubled.min(PAUSE_MAX) / 2;
    let jitter = half * u32::from(u16::from_le_bytes(random)) / u32::from(u16::MAX);
    (half + jitter).max(asked.unwrap_or_default().min(RETRY_AFTER_MAX))
}

impl Follower {
    /// Delivers until there is no webhook, no control plane, or somebody stops it.
    pub(super) async fn run(mut self) {
        let Ok(mut at) = self.begin().await else { return };
        while let Ok(next) = self.go_on(at).await {
            at = next;
        }
    }

    /// Where it goes on: after the last entry that it is done with.
    async fn begin(&mut self) -> Result<LedgerSeq, Over> {
        loop {
            let inner = self.inner()?;
            let asked = inner.store.delivery_cursor(&self.outlet).await;
            drop(inner);
            match asked {
                Ok(cursor) => {
                    let cursor = cursor.unwrap_or(self.outlet.since);
                    self.note(|progress| progress.cursor = cursor)?;
                    return Ok(cursor);
                }
                Err(error) => self.store_failed(&error).await?,
            }
        }
    }

    /// Delivers a page of entries after `at`, or waits for the first; gives the last that it is done with.
    async fn go_on(&mut self, at: LedgerSeq) -> Result<LedgerSeq, Over> {
        self.heads.borrow_and_update();
        let inner = self.inner()?;
        let shown = inner.snapshot.load().world.head.seq;
        if shown <= at {
            drop(inner);
            return self.changed().await.map(|()| at);
        }
        let read = inner.store.ledger_read(at, PAGE).await;
        drop(inner);
        let entries = match read {
            Ok(entries) => entries,
            Err(error) => return self.store_failed(&error).await.map(|()| at),
        };
        let (mut done, mut to_keep) = (at, false);
        // What isn't shown yet comes with the next head.
        for entry in entries.iter().filter(|entry| entry.seq <= shown) {
            if *self.stop.borrow() {
                return Err(Over);
            }
            let fate = self.deliver(entry).await?;
            done = entry.seq;
            to_keep = match fate {
                Fate::PassedOver => true,
                Fate::Delivered => self.keep(done, None).await.map(|()| false)?,
                Fate::Dead(letter) => self.keep(done, Some(letter)).await.map(|()| false)?,
            };
        }
        // What was passed over is kept once for the page: passed over again, it would cost only the reading.
        if to_keep {
            self.keep(done, None).await?;
        }
        Ok(done)
    }

    /// Sends an entry, if it is wanted, until it is known what becomes of it.
    async fn deliver(&mut self, entry: &Entry) -> Result<Fate, Over> {
        let mut attempts = 0;
        loop {
            let inner = self.inner()?;
            let webhook = self.webhook(&inner)?;
            let Some(message) = message(&inner, &webhook, entry) else { return Ok(Fate::PassedOver) };
            attempts += 1;
            let sent = self.outbound.send(&Address::from(&webhook.spec), &message).await;
            let at = inner.clock.now();
            let error = match sent {
                Ok(_) => {
                    let delivered = Delivered { seq: entry.seq, at };
                    self.note(|progress| {
                        progress.delivered = Some(delivered);
                        progress.trouble = None;
                    })?;
                    return Ok(Fate::Delivered);
                }
                Err(error) => error,
            };
            let Some(pause) = pause(attempts, &error, &*inner.entropy) else {
                let (webhook, seq) = (&self.outlet.webhook, entry.seq);
                tracing::warn!(%webhook, %seq, attempts, %error, "an event became a dead letter");
                self.note(|progress| progress.trouble = None)?;
                return Ok(Fate::Dead(DeadLetter { seq, attempts, why: error.what, at }));
            };
            drop(inner);
            let next_at = at.plus_ms(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
            self.in_trouble(Trouble { seq: entry.seq, attempts, what: error.what, at, next_at })?;
            if self.wait(pause, &webhook).await? {
                attempts = 0;
            }
        }
    }

    /// Waits, or less when something changed that makes another attempt worth while: then the answer is true.
    async fn wait(&mut self, pause: Duration, webhook: &Arc<Webhook>) -> Result<bool, Over> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Ok(false),
                _ = self.stop.wait_for(|stop| *stop) => return Err(Over),
                nudged = self.nudges.changed() => return nudged.map(|()| true).map_err(|_| Over),
                head = self.heads.changed() => head.map_err(|_| Over)?,
            }
            let inner = self.inner()?;
            if self.webhook(&inner)?.spec != webhook.spec {
                return Ok(true);
            }
        }
    }

    /// Keeps the place, and the dead letter with it, however long the store takes: what was delivered isn't sent again
    /// because of that.
    async fn keep(&mut self, cursor: LedgerSeq, dead: Option<DeadLetter>) -> Result<(), Over> {
        loop {
            let inner = self.inner()?;
            let kept = inner.store.delivery_advance(&self.outlet, cursor, dead.clone()).await;
            drop(inner);
            match kept {
                Ok(_) => return self.note(|progress| progress.cursor = cursor),
                Err(error) => self.store_failed(&error).await?,
            }
        }
    }

    async fn store_failed(&mut self, error: &StoreError) -> Result<(), Over> {
        let error = errors::chain(error);
        tracing::warn!(webhook = %self.outlet.webhook, error, "a webhook's delivery waits for the store");
        tokio::select! {
            () = tokio::time::sleep(STORE_PAUSE) => Ok(()),
            _ = self.stop.wait_for(|stop| *stop) => Err(Over),
        }
    }

    /// Waits for the ledger to grow.
    async fn changed(&mut self) -> Result<(), Over> {
        tokio::select! {
            changed = self.heads.changed() => changed.map_err(|_| Over),
            _ = self.stop.wait_for(|stop| *stop) => Err(Over),
        }
    }

    fn inner(&self) -> Result<Arc<Inner>, Over> {
        self.inner.upgrade().ok_or(Over)
    }

    /// The webhook as it is now.
    fn webhook(&self, inner: &Inner) -> Result<Arc<Webhook>, Over> {
        let snapshot = inner.snapshot.load();
        let known = snapshot.world.webhooks.get(&self.outlet.webhook);
        known.filter(|known| known.since == self.outlet.since).map(Arc::clone).ok_or(Over)
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) -> Result<(), Over> {
        let inner = self.inner()?;
        change(inner.webhooks.progress().entry(self.outlet.clone()).or_default());
        Ok(())
    }

    /// Notes what keeps it from going on. Said once for each entry, however often it is tried.
    fn in_trouble(&self, trouble: Trouble) -> Result<(), Over> {
        if trouble.attempts == 1 {
            let Trouble { seq, what, .. } = &trouble;
            tracing::warn!(webhook = %self.outlet.webhook, %seq, error = what, "an event was not taken; trying again");
        }
        self.note(|progress| progress.trouble = Some(trouble))
    }
}

/// An entry's event; none when the webhook doesn't want it.
fn message(inner: &Inner, webhook: &Webhook, entry: &Entry) -> Option<Message> {
    if !webhook.spec.wants_kind(entry.body.kind()) {
        return None;
    }
    let snapshot = inner.snapshot.load();
    let concerns = Concerns::of(&entry.body, &snapshot.world);
    webhook.spec.wants_agents(&concerns.agents).then(|| Message {
        id: event::id(entry.seq),
        at: inner.clock.now(),
        body: event::of_entry(entry, &concerns, &snapshot.world),
    })
}

/// How long to wait before the next attempt; none when there is none.
fn pause(attempts: u32, error: &SendError, entropy: &dyn Entropy) -> Option<Duration> {
    let mut random = [0; 2];
    entropy.fill(&mut random);
    match error.fault {
        Fault::Here => Some(backoff(attempts, random, None)),
        Fault::Later { after } if attempts < ATTEMPTS_MAX => Some(backoff(attempts, random, after)),
        Fault::Later { .. } | Fault::Refused => None,
    }
}
