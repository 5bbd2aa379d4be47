//! Members: gateways and workers that hold a lease, follow the epoch and acknowledge it.
//!
//! What a member may still do, in this order:
//! 1. Its lease runs from its registration or its last acknowledgement. Once it has lapsed, the member is *fenced*: what
//!    it writes is refused until it registers again.
//! 2. A flip gives it as long as its lease lasts to acknowledge. A member that renews its lease but doesn't follow is
//!    fenced as well, until it acknowledges the newest epoch. Several flips: the oldest one that it hasn't
//!    acknowledged counts.
//! 3. The same name registered again (by the same key) keeps its id and gets the next generation; an acknowledgement
//!    or a write of the one before, where it names its generation, is refused.
//!
//! Leases are kept in memory and counted on the clock that never goes back: a server that starts has no members, and
//! whoever still believes to be one is told to register again. An acknowledgement says "I act on this epoch and on nothing
//! older", so the same one twice is a heartbeat. The server's own gateway reads the snapshot itself: it is a member
//! without a lease and acknowledges with the swap.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::id::{Epoch, Generation, LedgerSeq, MemberName};
use pinrail_domain::key::Scope;
use pinrail_domain::ledger::Entry;
use pinrail_domain::member::{Change, MemberId, MemberKind};
use pinrail_domain::time::{Clock, Entropy, Ticks, Timestamp};
use pinrail_domain::world::World;
use tokio::sync::watch;

use crate::commit::Idempotency;
use crate::keys::Caller;

mod flips;
mod registry;
mod report;

pub use report::{Answer, EpochReport, MemberAck, Took};

use flips::Flips;
use registry::{Lease, Member, Registry};

/// The members of this server. Lives as long as the control plane.
pub struct Members {
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

/// Somebody who wants to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub name: MemberName,
    pub kind: MemberKind,
    pub lease_ms: Option<u64>,
}

/// A member that was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub member: MemberId,
    pub generation: Generation,
    /// What it begins at: it counts as acknowledged.
    pub epoch: Epoch,
    pub lease_ms: u64,
    /// Whether an earlier request with this idempotency key did it.
    pub replayed: bool,
}

/// A lease that was renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// The current epoch, which may be above the acknowledged one.
    pub epoch: Epoch,
    pub lease_ms: u64,
}

/// A member as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub member: MemberId,
    pub name: MemberName,
    pub kind: MemberKind,
    pub generation: Generation,
    pub acknowledged: Epoch,
    pub state: State,
    pub fenced: bool,
    /// None for the server's own gateway.
    pub lease_ms: Option<u64>,
    pub lease_left_ms: Option<u64>,
    pub registered_at: Timestamp,
}

/// How a member follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Fresh,
    Behind { epochs: u64, for_ms: u64 },
    Lapsed { for_ms: u64 },
}

/// What changed after an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub epoch: Epoch,
    /// The ledger entry that raised the epoch to this.
    pub seq: LedgerSeq,
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// There is more than `changes`, which is not kept any more, or the epoch asked for was never here: whoever knows
    /// it must drop everything.
    pub more: bool,
}

/// Why nobody is registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterRefused {
    #[error("a lease lasts {LEASE_MS_MIN} to {LEASE_MS_MAX} ms, not {0}")]
    Lease(u64),
    #[error("{MEMBERS_MAX} members hold a lease; no more can")]
    TooMany,
    #[error("this idempotency key was used for a different request")]
    KeyReused,
}

/// Why a member doesn't count any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// Never registered, forgotten, another key's, or of a server that was started anew since.
    #[error("{0} is no member of this server")]
    Unknown(MemberId),
    #[error("the lease of {name} ({member}) lapsed {for_ms} ms ago")]
    Lapsed { member: MemberId, name: MemberName, for_ms: u64 },
    #[error("{name} ({member}) registered again and is at generation {current}, not {said}")]
    Replaced { member: MemberId, name: MemberName, said: Generation, current: Generation },
    #[error(
        "{name} ({member}) has acknowledged epoch {acknowledged} and not {epoch}, for {for_ms} ms, which is longer \
         than its lease"
    )]
    Behind { member: MemberId, name: MemberName, acknowledged: Epoch, epoch: Epoch, for_ms: u64 },
}

/// Why an acknowledgement isn't taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckRefused {
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error("epoch {said} has not been here yet: the newest is {epoch}")]
    Ahead { said: Epoch, epoch: Epoch },
}

/// Every gateway and worker of a large installation. Each flip notes all of them. Tests fill it.
pub const MEMBERS_MAX: usize = if cfg!(test) { 20 } else { 1_000 };
/// Below a second, one lost packet and its retransmission would cost a healthy member its lease.
pub const LEASE_MS_MIN: u64 = 1_000;
/// A member that went silent can write what is stale for as long as its lease: nobody waits for a rollback to be
/// complete for more than five minutes.
pub const LEASE_MS_MAX: u64 = 300_000;
/// Three acknowledgements, five seconds apart.
pub const LEASE_MS_DEFAULT: u64 = 15_000;
/// Acknowledgements in a lease: two may get lost.
const ACKS_PER_LEASE: u64 = 3;
/// Flips whose acknowledgements are kept, and changes that a watcher who comes back is told: some days of busy
/// releasing, some megabytes with every member of [`MEMBERS_MAX`].
pub const EPOCHS_KEPT: usize = if cfg!(test) { 16 } else { 256 };
/// A member that lapsed is listed for an hour, so that whoever comes to look finds its name.
const LAPSED_KEPT_MS: u64 = 3_600_000;

impl Members {
    /// Begins with this server's own gateway. `past` are the newest changes of the ledger, oldest first.
    pub(crate) fn open(
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        epoch: Epoch,
        past: impl IntoIterator<Item = Change>,
    ) -> Members {
        let mut registry = Registry::default();
        registry.enter(Member {
            id: new_id(&*entropy),
            name: MemberName::new("self").expect("a good name"),
            kind: MemberKind::Gateway,
            owner: None,
            generation: Generation(1),
            acknowledged: epoch,
            began: epoch,
            lease: Lease::Process,
            registered_at: clock.now(),
            idempotency: None,
        });
        let kept = Mutex::new(Kept { registry, flips: Flips::new(epoch, past) });
        Members { clock, entropy, kept, moved: watch::Sender::new(0) }
    }

    /// Gives a lease. The member begins at the current epoch.
    pub fn register(
        &self,
        caller: &Caller,
        wish: Register,
        idempotency: Option<Idempotency>,
    ) -> Result<Registered, RegisterRefused> {
        let lease_ms = wish.lease_ms.unwrap_or(LEASE_MS_DEFAULT);
        if !(LEASE_MS_MIN..=LEASE_MS_MAX).contains(&lease_ms) {
            return Err(RegisterRefused::Lease(lease_ms));
        }
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
            None => (new_id(&*self.entropy), Generation(1)),
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
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// All members, by name; those that lapsed for an hour.
    #[must_use]
    pub fn list(&self) -> Vec<Shown> {
        let now = self.clock.ticks();
        let Kept { registry, flips } = &mut *self.lock();
        registry.forget_lapsed(now, LAPSED_KEPT_MS);
        let mut shown: Vec<Shown> = registry.all().map(|member| member.shown(flips, now)).collect();
        shown.sort_by(|a, b| a.name.cmp(&b.name).then(a.member.cmp(&b.member)));
        shown
    }

    /// What changed after an epoch, as far as it is kept; nothing before where none is named.
    #[must_use]
    pub fn since(&self, after: Option<Epoch>) -> Since {
        self.lock().flips.since(after)
    }

    /// Who acknowledged an epoch and how fast; none where it is no longer kept, or wasn't flipped by this server.
    #[must_use]
    pub fn report(&self, epoch: Epoch) -> Option<EpochReport> {
        let now = self.clock.ticks();
        let kept = self.lock();
        report::of(kept.flips.flip(epoch)?, &kept.registry, &kept.flips, now)
    }

    /// The newest epoch that a deployment's opening, promotion, weight or rollback led to, while it is kept.
    #[must_use]
    pub fn epoch_of(&self, deployment: pinrail_domain::id::DeploymentId) -> Option<Epoch> {
        self.lock().flips.epoch_of(deployment)
    }

    /// How long the acknowledgements of the newest flips took, in microseconds, sorted, and how many flips those were.
    pub(crate) fn newest_acknowledgements(&self, flips_max: usize) -> (Vec<u64>, usize) {
        self.lock().flips.newest_acknowledgements(flips_max)
    }

    /// Notes that the snapshot was swapped just now. `entries` led to it; `world` is the world after them.
    pub(crate) fn flipped(&self, entries: &[Entry], world: &World) {
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

impl Since {
    /// All that the changes touch.
    #[must_use]
    pub fn changed(&self) -> BTreeSet<pinrail_domain::member::Part> {
        self.changes.iter().flat_map(|change| change.changed.iter().copied()).collect()
    }
}

/// How often a member with such a lease should acknowledge.
#[must_use]
pub fn ack_every_ms(lease_ms: u64) -> u64 {
    lease_ms / ACKS_PER_LEASE
}

fn new_id(entropy: &dyn Entropy) -> MemberId {
    let mut random = [0; 8];
    entropy.fill(&mut random);
    MemberId(u64::from_le_bytes(random))
}

fn after(now: Ticks, ms: u64) -> Ticks {
    Ticks(now.0.saturating_add(ms.saturating_mul(1_000_000)))
}

fn ms_since(now: Ticks, earlier: Ticks) -> u64 {
    now.us_since(earlier) / 1_000
}

#[cfg(test)]
mod tests;
