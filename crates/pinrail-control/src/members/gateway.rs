//! This process's own gateway as a member, where replicas share them: named as the replica, with a lease of some seconds.
//!
//! It acknowledges an epoch when its snapshot is swapped, so the report of a rollback lists every replica with its time. A replica
//! that lost the store, or sleeps, lets its lease lapse like everybody else; back again, it registers as the next generation.
//! Whoever registers counts as having acknowledged the newest epoch, so it reads the ledger first, and leaves again where a flip
//! came in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pinrail_domain::id::{Epoch, Generation, MemberName};
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_store::StoreError;
use pinrail_store::members::{Ack, Heard, Leaver, RegisterError, Wish};
use tokio::sync::watch;

use super::shared::Shared;
use super::{ACKS_PER_LEASE, MEMBERS_MAX};
use crate::append::Behind;
use crate::{Inner, errors, follow, tasks};

/// What is known of it.
#[derive(Default)]
pub(super) struct Gateway {
    own: Mutex<Own>,
}

#[derive(Clone, Copy, Default)]
struct Own {
    member: Option<(MemberId, Generation)>,
    /// Another replica goes by its name, so it adds its number.
    numbered: bool,
    /// It said goodbye, for good.
    left: bool,
}

/// How long a replica may stay silent before its gateway counts no more: as long as its session may.
const LEASE_MS: u64 = 5_000;

/// Keeps it a member as long as there is a control plane.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.members.shared.is_some() {
        tasks::spawn(live(Arc::downgrade(inner), inner.epoch.subscribe()));
    }
}

/// Leaves, for an orderly end.
pub(crate) async fn leave(inner: &Inner) {
    let Some(shared) = &inner.members.shared else { return };
    let member = {
        let mut own = shared.gateway.lock();
        own.left = true;
        own.member.take()
    };
    if let Some((id, _)) = member
        && let Err(error) = shared.store.member_leave(id, &Leaver::Owner(None)).await
    {
        tracing::debug!(error = %errors::chain(&error), "this replica's gateway lets its lease lapse");
    }
}

async fn live(control: Weak<Inner>, mut epochs: watch::Receiver<Epoch>) {
    loop {
        let Some(inner) = control.upgrade() else { return };
        let Some(shared) = &inner.members.shared else { return };
        let own = *shared.gateway.lock();
        if own.left {
            return;
        }
        let epoch = *epochs.borrow_and_update();
        if let Err(error) = shared.follow(&inner, own, epoch).await {
            tracing::debug!(error = %errors::chain(&error), "this replica's gateway can't acknowledge; trying again");
        }
        drop(inner);
        tokio::select! {
            risen = epochs.changed() => if risen.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(LEASE_MS / ACKS_PER_LEASE)) => {}
        }
    }
}

impl Gateway {
    fn lock(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Acknowledges what is shown, and becomes a member again where it is none.
    async fn follow(&self, inner: &Arc<Inner>, own: Own, epoch: Epoch) -> Result<(), StoreError> {
        let Some((member, generation)) = own.member else { return self.enter(inner, own).await };
        let ack = Ack { member, owner: None, generation: Some(generation), epoch };
        match self.store.members_acknowledge(&[ack]).await?.pop() {
            Some(Heard::Refused(now)) if now.generation != generation => {
                self.enter(inner, Own { numbered: true, ..own }).await
            }
            Some(Heard::Refused(_) | Heard::Unknown) => self.enter(inner, own).await,
            // A store that was put back to an earlier day; the ledger's reader says so.
            Some(Heard::Ahead { .. }) => Ok(()),
            Some(Heard::Renewed { .. }) | None => Ok(()),
        }
    }

    async fn enter(&self, inner: &Arc<Inner>, own: Own) -> Result<(), StoreError> {
        follow::refresh(inner).await.map_err(|behind| match behind {
            Behind::Store(error) => error,
            Behind::Corrupt(corrupt) => StoreError::Damaged(errors::chain(&corrupt)),
        })?;
        let wish = Wish {
            id: inner.members.local.new_id(),
            owner: None,
            name: self.own_name(own.numbered).await?,
            kind: MemberKind::Gateway,
            lease_ms: LEASE_MS,
            idempotency: None,
            members_max: MEMBERS_MAX,
        };
        let registered = match self.store.member_register(wish).await {
            Ok(registered) => registered,
            Err(RegisterError::Store(error)) => return Err(error),
            // Neither is asked of a gateway.
            Err(RegisterError::KeyReused | RegisterError::TooMany) => return Ok(()),
        };
        // The flip wakes whoever waits here as soon as it is shown.
        let is_shown = inner.snapshot.load().world.epoch >= registered.epoch;
        let left = {
            let mut known = self.gateway.lock();
            known.numbered = own.numbered;
            known.member = is_shown.then_some((registered.member, registered.generation));
            known.left
        };
        if left || !is_shown {
            self.store.member_leave(registered.member, &Leaver::Owner(None)).await?;
        }
        Ok(())
    }

    /// The replica's name, which its operator gave it; with its number where that isn't a member's name, or is taken.
    async fn own_name(&self, numbered: bool) -> Result<MemberName, StoreError> {
        let me = self.store.replica();
        let replicas = self.store.replica_list().await?;
        let own = replicas.into_iter().find(|replica| replica.id == me).map(|replica| replica.name);
        let own = own.unwrap_or_else(|| "replica".to_owned());
        let name = if numbered { format!("{own}-{me}") } else { own };
        let fallback = || MemberName::new(&format!("replica-{me}")).expect("a short name without spaces");
        Ok(MemberName::new(&name).unwrap_or_else(|_| fallback()))
    }
}
