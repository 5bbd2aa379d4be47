//! Which of several replicas leads: conducts rollouts, delivers webhooks, probes, tidies up.
//!
//! The store decides. A task asks it again and again ([`Replicas::lead`](pinrail_store::Replicas::lead)) and says what it
//! learnt; what only the leader does waits for that before each round ([`Control::until_leading`]). A round that is under way when
//! leadership goes to another may overlap with the other's first one. What moves the world names its term, and is refused when
//! there is a newer one; the rest is harmless twice. A store that one process has for itself makes it the leader for good,
//! unless it was told never to lead: then nobody does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::time::Ticks;
use pinrail_store::replicas::Replica;
use pinrail_store::{ReplicaId, Store, StoreError, Term};
use tokio::sync::watch;

use crate::{Control, Inner, errors, tasks};

/// Knows whether this replica leads.
pub(crate) struct Leader {
    standing: watch::Sender<Standing>,
    /// It isn't to lead, whoever else does.
    never: bool,
    led: Mutex<Option<Led>>,
    /// This process is about to end: it doesn't stand any more.
    resigned: AtomicBool,
    /// What a copy of another store left open was ended, while this replica led.
    pub(crate) reaped_copies: AtomicBool,
}

/// How long this replica has led without a break, as far as its questions show.
#[derive(Clone, Copy)]
struct Led {
    term: Term,
    since: Ticks,
    /// When the last question was asked that the store answered with yes.
    confirmed: Ticks,
}

/// Who leads, as far as this replica knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The store is this process's own.
    Alone,
    /// This replica does.
    Leads(Term),
    /// Another does, or nobody, or it isn't known.
    Follows,
}

/// How often the store is asked: how long nobody leads after a leader died is this and a lost connection's notice.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Who hasn't asked for so long was stopped, or had no answer: what it led before doesn't count. In microseconds, some missed
/// questions long.
const BREAK_US: u64 = 5_000_000;

impl Leader {
    pub(crate) fn new(store: &dyn Store, leads: bool) -> Leader {
        let standing = if store.is_shared() || !leads { Standing::Follows } else { Standing::Alone };
        Leader {
            standing: watch::Sender::new(standing),
            never: !leads,
            led: Mutex::default(),
            resigned: AtomicBool::new(false),
            reaped_copies: AtomicBool::new(false),
        }
    }

    /// The term to name in what only the leader may do.
    pub(crate) fn term(&self) -> Option<Term> {
        match *self.standing.borrow() {
            Standing::Leads(term) => Some(term),
            // A term that never was: whoever isn't the leader can't act for it.
            Standing::Follows => Some(Term(0)),
            Standing::Alone => None,
        }
    }

    /// Follows who leads.
    pub(crate) fn follow(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// For how many milliseconds this replica has led, and could reach the store, without a break; none where it doesn't lead,
    /// or hasn't asked lately.
    pub(crate) fn led_ms(&self, now: Ticks) -> u64 {
        match *self.led() {
            Some(led) if now.us_since(led.confirmed) <= BREAK_US => led.confirmed.us_since(led.since) / 1_000,
            Some(_) | None => 0,
        }
    }

    /// The store said, to a question that was asked then, that this replica leads.
    fn leads(&self, term: Term, asked: Ticks, now: Ticks) {
        let mut led = self.led();
        let known = led.filter(|led| led.term == term && asked.us_since(led.confirmed) <= BREAK_US);
        *led = Some(Led { term, since: known.map_or(now, |known| known.since), confirmed: asked });
        drop(led);
        self.is(Standing::Leads(term));
    }

    fn follows(&self) {
        *self.led() = None;
        self.is(Standing::Follows);
    }

    fn led(&self) -> MutexGuard<'_, Option<Led>> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_resigned(&self) -> bool {
        self.resigned.load(Ordering::Acquire)
    }

    fn is(&self, mut standing: Standing) {
        let changed = self.standing.send_if_modified(|known| {
            // Under the standing's lock, so that no answer to an earlier question comes after the resignation.
            if self.has_resigned() {
                standing = Standing::Follows;
            }
            let changed = *known != standing;
            *known = standing;
            changed
        });
        match standing {
            Standing::Leads(term) if changed => tracing::info!(%term, "this replica leads"),
            Standing::Follows if changed => tracing::info!("this replica doesn't lead any more"),
            Standing::Leads(_) | Standing::Follows | Standing::Alone => {}
        }
    }
}

impl Standing {
    #[must_use]
    pub fn leads(self) -> bool {
        matches!(self, Standing::Alone | Standing::Leads(_))
    }
}

impl Control {
    /// Whether several processes may share the store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.store.is_shared()
    }

    /// This process among those.
    #[must_use]
    pub fn replica(&self) -> ReplicaId {
        self.inner.store.replica()
    }

    /// The processes that share the store.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        self.inner.store.replica_list().await
    }

    /// Who leads, as far as this replica knows.
    #[must_use]
    pub fn standing_here(&self) -> Standing {
        *self.inner.leader.standing.borrow()
    }

    /// The term to name in what only the leader may do: none where the store is this process's own, and one that never was
    /// where another leads.
    #[must_use]
    pub fn term_here(&self) -> Option<Term> {
        self.inner.leader.term()
    }

    /// Follows who leads, as far as this replica knows.
    #[must_use]
    pub fn standing_changes(&self) -> watch::Receiver<Standing> {
        self.inner.leader.follow()
    }

    /// Whether this process is never to lead.
    #[must_use]
    pub fn never_leads(&self) -> bool {
        self.inner.leader.never
    }

    /// Waits until this replica leads: what one process of an installation does begins each of its rounds with it.
    pub async fn until_leading(&self) {
        let mut standing = self.inner.leader.standing.subscribe();
        // The sender lives as long as this control plane.
        let _ = standing.wait_for(|standing| standing.leads()).await;
    }

    /// Leads no more, so that another replica can at once, and doesn't stand again: for an orderly end.
    pub async fn resign(&self) {
        if self.inner.store.is_shared() {
            self.inner.leader.resigned.store(true, Ordering::Release);
            self.inner.leader.follows();
            resign(&self.inner).await;
        }
    }
}

/// Waits until this replica leads; false when the control plane is gone.
pub(crate) async fn until_leading(control: &Weak<Inner>) -> bool {
    let Some(mut standing) = control.upgrade().map(|inner| inner.leader.standing.subscribe()) else {
        return false;
    };
    standing.wait_for(|standing| standing.leads()).await.is_ok()
}

/// Stands for leadership, where the store is shared and this process may lead.
pub(crate) fn stand(inner: &Arc<Inner>) {
    if inner.store.is_shared() && !inner.leader.never {
        tasks::spawn(ask_again(Arc::downgrade(inner)));
    }
}

async fn ask_again(control: Weak<Inner>) {
    loop {
        let Some(inner) = control.upgrade() else { return };
        if inner.leader.has_resigned() {
            return;
        }
        ask(&inner).await;
        drop(inner);
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn resign(inner: &Inner) {
    if let Err(error) = inner.store.resign().await {
        tracing::debug!(error = %errors::chain(&error), "the leadership ends with the connection");
    }
}

/// Asks the store once.
pub(crate) async fn ask(inner: &Inner) {
    if inner.leader.has_resigned() {
        return;
    }
    let asked = inner.clock.ticks();
    let led: Result<Option<Term>, StoreError> = inner.store.lead().await;
    match led {
        // Asked for just before the resignation, and given after it.
        Ok(Some(_)) if inner.leader.has_resigned() => resign(inner).await,
        Ok(Some(term)) => inner.leader.leads(term, asked, inner.clock.ticks()),
        Ok(None) => inner.leader.follows(),
        Err(error) => {
            tracing::debug!(error = %errors::chain(&error), "the store doesn't say who leads");
            inner.leader.follows();
        }
    }
}
