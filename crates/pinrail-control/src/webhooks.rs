//! Webhooks: other people's programs are told what the ledger says.
//!
//! The ledger is the outbox. Each webhook has a place in it, kept in the store and moved forward only after the entry
//! there was delivered, passed over, or made a dead letter; so nothing is lost in a crash, and what was sent right before
//! one is sent again, under the same id. Each webhook has a task of its own ([`follow`]) that sends one event at a time,
//! in the ledger's order: a receiver that is away delays nobody else. Nothing that commits or rolls back waits for any of
//! this (I7, I13): the tasks read what was committed, afterwards.
//!
//! Start reading at [`Control::webhook_put`], then [`deliverer`] (which tasks there are) and [`follow`] (what one does).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::id::{AgentName, LedgerSeq, WebhookName};
use pinrail_domain::ledger::Body;
use pinrail_domain::time::Timestamp;
use pinrail_domain::webhook::{BadWebhook, WEBHOOKS_MAX, Webhook, WebhookSpec};
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::deliveries::Outlet;
use tokio::sync::watch;

use crate::agents::{Change, kind_of_change};
use crate::{By, CommitError, Committed, Control};

pub mod deliverer;
mod event;
mod follow;
pub mod letters;

pub use event::EVENT_BYTES_MAX;
pub use follow::{ATTEMPTS_MAX, backoff};

/// A webhook and how its delivery goes.
#[derive(Clone, Debug)]
pub struct Status {
    pub name: WebhookName,
    pub webhook: Arc<Webhook>,
    /// The last entry that it is done with.
    pub cursor: LedgerSeq,
    /// Entries of the ledger after that, wanted or not.
    pub lag: u64,
    /// What this process delivered last.
    pub delivered: Option<Delivered>,
    /// What keeps it from going on; none while nothing does.
    pub trouble: Option<Trouble>,
    pub dead_letters: u64,
}

/// An entry that its receiver took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub seq: LedgerSeq,
    pub at: Timestamp,
}

/// What the last attempt failed of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The entry that can't be delivered now.
    pub seq: LedgerSeq,
    /// How often it was tried.
    pub attempts: u32,
    pub what: String,
    pub at: Timestamp,
    /// When it is tried again.
    pub next_at: Timestamp,
}

/// Why a webhook stays as it is.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum WebhookRefused {
    #[error(transparent)]
    Bad(#[from] BadWebhook),
    #[error("there is no agent `{0}` to tell of")]
    NoAgent(AgentName),
    #[error("there is no webhook `{0}`")]
    NoWebhook(WebhookName),
    #[error("there are {WEBHOOKS_MAX} webhooks already")]
    TooMany,
}

/// What the tasks and those who ask about them share.
pub(crate) struct Webhooks {
    progress: Mutex<BTreeMap<Outlet, Progress>>,
    /// Says that a receiver was reached by other means: who waits to try again tries now.
    nudges: watch::Sender<u64>,
}

/// How far a task is.
#[derive(Clone, Debug, Default)]
struct Progress {
    cursor: LedgerSeq,
    delivered: Option<Delivered>,
    trouble: Option<Trouble>,
}

impl Default for Webhooks {
    fn default() -> Webhooks {
        Webhooks { progress: Mutex::default(), nudges: watch::channel(0).0 }
    }
}

impl Webhooks {
    fn progress(&self) -> MutexGuard<'_, BTreeMap<Outlet, Progress>> {
        // Each change is one assignment, so what is there is whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nudge(&self) {
        self.nudges.send_modify(|count| *count += 1);
    }
}

impl Control {
    /// Makes a webhook's settings what `spec` says. A new one is told of what comes after it; a change counts for all
    /// that isn't delivered yet.
    pub async fn webhook_put(
        &self,
        by: By,
        name: &WebhookName,
        spec: &WebhookSpec,
    ) -> Result<Committed<Change>, CommitError<WebhookRefused>> {
        spec.check().map_err(|bad| CommitError::Refused(bad.into()))?;
        let decide = |world: &World| {
            let before = world.webhooks.get(name);
            let change = kind_of_change(before.map(|before| before.spec == *spec));
            if before.is_none() && world.webhooks.len() >= WEBHOOKS_MAX {
                return Err(WebhookRefused::TooMany);
            }
            if change == Change::Unchanged {
                return Ok((Vec::new(), change));
            }
            // An agent that was there when it was named may go later: then there is nothing to tell of it.
            match spec.agents.iter().find(|agent| !world.agents.contains_key(*agent)) {
                Some(agent) => Err(WebhookRefused::NoAgent(agent.clone())),
                None => Ok((vec![Body::WebhookPut { webhook: name.clone(), spec: spec.clone() }], change)),
            }
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Removes a webhook with its place and its dead letters.
    pub async fn webhook_remove(
        &self,
        by: By,
        name: &WebhookName,
    ) -> Result<Committed<Change>, CommitError<WebhookRefused>> {
        let decide = |world: &World| match world.webhooks.contains_key(name) {
            true => Ok((vec![Body::WebhookRemoved { webhook: name.clone() }], Change::Removed)),
            false => Err(WebhookRefused::NoWebhook(name.clone())),
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// A webhook and how its delivery goes; none where there is none of that name.
    pub async fn webhook(&self, name: &WebhookName) -> Result<Option<Status>, StoreError> {
        let snapshot = self.snapshot();
        let Some(webhook) = snapshot.world.webhooks.get(name).map(Arc::clone) else { return Ok(None) };
        let outlet = outlet(name, &webhook);
        let dead_letters = self.inner.store.dead_letter_count(&outlet).await?;
        let known = self.inner.webhooks.progress().get(&outlet).cloned();
        let progress = match known {
            Some(progress) => progress,
            None => Progress { cursor: self.cursor(&outlet).await?, ..Progress::default() },
        };
        let Progress { cursor, delivered, trouble } = progress;
        let lag = self.snapshot().world.head.seq.0.saturating_sub(cursor.0);
        Ok(Some(Status { name: name.clone(), webhook, cursor, lag, delivered, trouble, dead_letters }))
    }

    /// The last entry that an outlet is done with: at first the one that added it.
    async fn cursor(&self, outlet: &Outlet) -> Result<LedgerSeq, StoreError> {
        Ok(self.inner.store.delivery_cursor(outlet).await?.unwrap_or(outlet.since))
    }
}

fn outlet(name: &WebhookName, webhook: &Webhook) -> Outlet {
    Outlet { webhook: name.clone(), since: webhook.since }
}
