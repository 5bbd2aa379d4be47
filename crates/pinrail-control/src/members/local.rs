//! Members kept in memory, where a process has its store for itself.
//!
//! Leases are counted on the clock that never goes back. The server's own gateway reads the snapshot itself: it is a member without
//! a lease and acknowledges with the swap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::id::{DeploymentId, Epoch, Generation, MemberName};
use pinrail_domain::key::Scope;
use pinrail_domain::ledger::Entry;
use pinrail_domain::member::{Change, MemberId, MemberKind};
use pinrail_domain::time::{Clock, Entropy};
use pinrail_domain::world::World;
use tokio::sync::watch;

use super::flips::Flips;
use super::registry::{Lease, Member, Registry};
use super::report::{self, EpochReport};
use super::{
    AckRefused, Fenced, LAPSED_KEPT_MS, MEMBERS_MAX, Register, RegisterRefused, Registered, Renewed, Shown,
    Since, after,
};
use crate::commit::Idempotency;
use crate::keys::Caller;

/// Members and epochs in memory.
pub(super) struct Local {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    kept: Mutex<Kept>,
    /// Rises whenever somebody enters, acknowledges or leaves.
    moved: watch::Sender<u64>,
}

/// Members and flips change together, so that each acknowledgement finds its flip.
struct Kept {
    registry: Registry,
    flips: Flips,
}

impl Local {
    /// Begins without members. `past` are the newest changes of the ledger, oldest first.
    pub fn open(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        epoch: Epoch,
        past: impl IntoIterator<Item = Change>,
    ) -> Local {
        let kept = Mutex::new(Kept { registry: Registry::default(), flips: Flips::new(epoch, past) });
        Local { clock, entropy, kept, moved: watch::Sender::new(0) }
    }

    /// Makes this server's own gateway a member.
    pub fn enter_itself(&self, epoch: Epoch) {
        self.lock().registry.enter(Member {
            id: self.new_id(),
            name: MemberName::new("self").expect("a good name"),
            kind: MemberKind::Gateway,
            owner: None,
            generation: Generation(1),
            acknowledged: epoch,
            began: epoch,
            lease: Lease::Process,
            registered_at: self.clock.now(),
            idempotency: None,
        });
    }

    pub fn new_id(&self) -> MemberId {
        let mut random = [0; 8];
        self.entropy.fill(&mut random);
        MemberId(u64::from_le_bytes(random))
    }

    /// Gives a lease. The member begins at the current epoch.
    pub fn register(
        &self,
        caller: &Caller,
        wish: Register,
        idempotency: Option<Idempotency>,
    ) -> Result<Registered, RegisterRefused> {
        let lease_ms = wish.lease()?;
        let (now, owner) = (self.clock.ticks(), caller.id());
        let Kept { registry, flips } = &mut *self.lock();
        let before = registry.named(&owner, &wish.name).cloned();
        if let Some(before) = &before
            && let (Some(said), Some(known)) = (&idempotency, &before.idempotency)
            && said.key == known.key
        {
            return if said.request == known.request {
                Ok(before.again())
            } else {
                Err(RegisterRefused::KeyReused)
            };
        }
        registry.forget_lapsed(now, LAPSED_KEPT_MS);
        if before.is_none() && !registry.make_room(now, MEMBERS_MAX) {
            return Err(RegisterRefused::TooMany);
        }
        let (id, generation) = match &before {
            Some(before) => {
                flips.replaced(before, now);
                (before.id, before.generation.next())
            }
            None => (self.new_id(), Generation(1)),
        };
        let epoch = flips.epoch();
        registry.enter(Member {
            id,
            name: wish.name,
            kind: wish.kind,
            owner: Some(owner),
            generation,
            acknowledged: epoch,
            began: epoch,
            lease: Lease::Until { ends: after(now, lease_ms), ms: lease_ms },
            registered_at: self.clock.now(),
            idempotency,
        });
        self.moved.send_modify(|moves| *moves += 1);
        Ok(Registered { member: id, generation, epoch, lease_ms, replayed: false })
    }

    /// Takes an acknowledgement, which renews the lease.
    pub fn acknowledge(
        &self,
        caller: &Caller,
        id: MemberId,
        generation: Option<Generation>,
        epoch: Epoch,
    ) -> Result<Renewed, AckRefused> {
        let now = self.clock.ticks();
        let Kept { registry, flips } = &mut *self.lock();
        let member = registry.own(&caller.id(), id).ok_or(Fenced::Unknown(id))?;
        member.check_generation(generation)?;
        member.check_lease(now)?;
        let newest = flips.epoch();
        if epoch > newest {
            return Err(AckRefused::Ahead { said: epoch, epoch: newest });
        }
        flips.acknowledged(member, epoch, now);
        member.acknowledged = member.acknowledged.max(epoch);
        let lease_ms = member.renew(now);
        self.moved.send_modify(|moves| *moves += 1);
        Ok(Renewed { epoch: newest, lease_ms })
    }

    /// Lets a write of a member through, or says why not.
    pub fn admit(&self, caller: &Caller, id: MemberId, generation: Option<Generation>) -> Result<(), Fenced> {
        let now = self.clock.ticks();
        let Kept { registry, flips } = &mut *self.lock();
        let member = registry.own(&caller.id(), id).ok_or(Fenced::Unknown(id))?;
        member.check_generation(generation)?;
        member.check_lease(now)?;
        member.check_epoch(flips, now)
    }

    /// Ends a member's lease at its own wish, or at an admin's. Returns its name.
    pub fn leave(&self, caller: &Caller, id: MemberId) -> Option<MemberName> {
        let now = self.clock.ticks();
        let Kept { registry, flips } = &mut *self.lock();
        let may = caller.may(Scope::Admin);
        let member = registry.remove(id, |owner| may || owner == caller.id())?;
        flips.left(&member, now);
        self.moved.send_modify(|moves| *moves += 1);
        Some(member.name)
    }

    /// Changes whenever somebody enters, acknowledges or leaves.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// All members, by name; those that lapsed for an hour.
    pub fn list(&self) -> Vec<Shown> {
        let now = self.clock.ticks();
        let Kept { registry, flips } = &mut *self.lock();
        registry.forget_lapsed(now, LAPSED_KEPT_MS);
        let mut shown: Vec<Shown> = registry.all().map(|member| member.shown(flips, now)).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name).then(a.member.cmp(&b.member)));
        shown
    }

    /// What changed after an epoch, as far as it is kept; nothing before where none is named.
    pub fn since(&self, after: Option<Epoch>) -> Since {
        self.lock().flips.since(after)
    }

    /// Who acknowledged an epoch and how fast; none where it is no longer kept, or wasn't flipped by this server.
    pub fn report(&self, epoch: Epoch) -> Option<EpochReport> {
        let now = self.clock.ticks();
        let kept = self.lock();
        report::of(kept.flips.flip(epoch)?, &kept.registry, &kept.flips, now)
    }

    /// The newest epoch that a deployment's opening, promotion, weight or rollback led to, while it is kept.
    pub fn epoch_of(&self, deployment: DeploymentId) -> Option<Epoch> {
        self.lock().flips.epoch_of(deployment)
    }

    /// What raised the epoch to this, while it is kept.
    pub fn change(&self, epoch: Epoch) -> Option<Change> {
        self.lock().flips.flip(epoch).map(|flip| flip.change.clone())
    }

    /// Notes that something changed elsewhere.
    pub fn moved(&self) {
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// How long the acknowledgements of the newest flips took, in microseconds, sorted, and how many flips those were.
    pub fn newest_acknowledgements(&self, flips_max: usize) -> (Vec<u64>, usize) {
        self.lock().flips.newest_acknowledgements(flips_max)
    }

    /// Notes that the snapshot was swapped just now. `entries` led to it; `world` is the world after them.
    pub fn flipped(&self, entries: &[Entry], world: &World) {
        let raising: Vec<&Entry> = entries.iter().filter(|entry| entry.body.raises_epoch()).collect();
        if raising.is_empty() {
            return;
        }
        let (now, at) = (self.clock.ticks(), self.clock.now());
        let Kept { registry, flips } = &mut *self.lock();
        for entry in raising {
            let change = Change::of(entry, flips.epoch().next(), world).expect("the entry raises the epoch");
            flips.flip_now(change, registry, now, at);
        }
        debug_assert_eq!(flips.epoch(), world.epoch);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
