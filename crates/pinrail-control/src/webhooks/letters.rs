//! What people do by hand: send a test, look at dead letters, send them again.

use pinrail_domain::id::{LedgerSeq, WebhookName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::webhook::concerns::Concerns;
use pinrail_store::StoreError;
use pinrail_store::deliveries::{DeadLetter, Outlet};

use super::{event, outlet};
use crate::Control;
use crate::outbound::{Address, Message, Outbound, Receipt, SendError};

/// How a test went.
#[derive(Debug)]
pub struct Tested {
    /// The event's id.
    pub id: String,
    pub result: Result<Receipt, SendError>,
    pub took_us: u64,
}

/// What became of a dead letter that was sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    pub seq: LedgerSeq,
    /// Why it stays a dead letter; none: it was delivered and is one no more.
    pub why: Option<String>,
}

/// What became of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResentAll {
    pub letters: Vec<Resent>,
    /// Dead letters that there are still, tried or not.
    pub left: u64,
}

/// Why nothing was sent again.
#[derive(Debug, thiserror::Error)]
pub enum ResendError {
    #[error("there is no webhook `{0}`")]
    NoWebhook(WebhookName),
    #[error("webhook `{webhook}` has no dead letter of ledger entry {seq}")]
    NoLetter { webhook: WebhookName, seq: LedgerSeq },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Dead letters sent again by one request: the rest is for the next.
pub const RESEND_MAX: usize = 500;
/// Failures in a row after which the rest is left: the receiver isn't back yet.
const FAILURES_MAX: usize = 3;

impl Control {
    /// Sends an event of no meaning now, once, whatever waits; none where there is no such webhook.
    pub async fn webhook_test(
        &self,
        name: &WebhookName,
        actor: &Actor,
        outbound: &dyn Outbound,
    ) -> Option<Tested> {
        let webhook = self.snapshot().world.webhooks.get(name).cloned()?;
        let mut random = [0; 8];
        self.inner.entropy.fill(&mut random);
        let id = format!("test-{:016x}", u64::from_le_bytes(random));
        let at = self.inner.clock.now();
        let message = Message { body: event::of_test(&id, name, actor, at), id: id.clone(), at };
        let start = self.inner.clock.ticks();
        let result = outbound.send(&Address::from(&webhook.spec), &message).await;
        let took_us = self.inner.clock.ticks().us_since(start);
        if result.is_ok() {
            self.inner.webhooks.nudge();
        }
        Some(Tested { id, result, took_us })
    }

    /// Up to `limit` dead letters of entries after `after`, in the ledger's order; none where there is no such webhook.
    pub async fn dead_letters(
        &self,
        name: &WebhookName,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Option<Vec<DeadLetter>>, StoreError> {
        let Some(outlet) = self.outlet(name) else { return Ok(None) };
        self.inner.store.dead_letter_list(&outlet, after, limit).await.map(Some)
    }

    /// Sends a dead letter again, once. Delivered, it is one no more.
    pub async fn dead_letter_resend(
        &self,
        name: &WebhookName,
        seq: LedgerSeq,
        outbound: &dyn Outbound,
    ) -> Result<Resent, ResendError> {
        let outlet = self.outlet(name).ok_or_else(|| ResendError::NoWebhook(name.clone()))?;
        let letter = self.inner.store.dead_letter_get(&outlet, seq).await?;
        let letter = letter.ok_or_else(|| ResendError::NoLetter { webhook: name.clone(), seq })?;
        self.resend(&outlet, letter, outbound).await
    }

    /// Sends the dead letters again, oldest first, each once; stops when the receiver takes none.
    pub async fn dead_letters_resend(
        &self,
        name: &WebhookName,
        outbound: &dyn Outbound,
    ) -> Result<ResentAll, ResendError> {
        let outlet = self.outlet(name).ok_or_else(|| ResendError::NoWebhook(name.clone()))?;
        let letters = self.inner.store.dead_letter_list(&outlet, LedgerSeq(0), RESEND_MAX).await?;
        let mut all = ResentAll::default();
        let mut failures = 0;
        for letter in letters {
            let resent = self.resend(&outlet, letter, outbound).await?;
            failures = if resent.why.is_some() { failures + 1 } else { 0 };
            all.letters.push(resent);
            if failures >= FAILURES_MAX {
                break;
            }
        }
        all.left = self.inner.store.dead_letter_count(&outlet).await?;
        Ok(all)
    }

    async fn resend(
        &self,
        outlet: &Outlet,
        letter: DeadLetter,
        outbound: &dyn Outbound,
    ) -> Result<Resent, ResendError> {
        let store = &self.inner.store;
        let seq = letter.seq;
        let before = LedgerSeq(seq.0.saturating_sub(1));
        let entry = store.ledger_read(before, 1).await?.into_iter().find(|entry| entry.seq == seq);
        let entry = entry.ok_or_else(|| StoreError::Damaged(format!("ledger entry {seq}: it is missing")))?;
        let snapshot = self.snapshot();
        let webhook = snapshot.world.webhooks.get(&outlet.webhook);
        let webhook = webhook.ok_or_else(|| ResendError::NoWebhook(outlet.webhook.clone()))?;
        let concerns = Concerns::of(&entry.body, &snapshot.world);
        let body = event::of_entry(&entry, &concerns, &snapshot.world);
        let message = Message { id: event::id(seq), at: self.inner.clock.now(), body };
        match outbound.send(&Address::from(&webhook.spec), &message).await {
            Ok(_) => {
                store.dead_letter_delete(outlet, seq).await?;
                self.inner.webhooks.nudge();
                Ok(Resent { seq, why: None })
            }
            Err(error) => {
                let (attempts, at) = (letter.attempts.saturating_add(1), self.inner.clock.now());
                let letter = DeadLetter { attempts, why: error.what.clone(), at, ..letter };
                store.dead_letter_put(outlet, letter).await?;
                Ok(Resent { seq, why: Some(error.what) })
            }
        }
    }

    fn outlet(&self, name: &WebhookName) -> Option<Outlet> {
        self.snapshot().world.webhooks.get(name).map(|webhook| outlet(name, webhook))
    }
}
