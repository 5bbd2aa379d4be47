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
//! An acknowledgement says "I act on this epoch and on nothing older", so the same one twice is a heartbeat.
//!
//! A process that has its store for itself keeps members in memory ([`local`]): a server that starts has none, and whoever still
//! believes to be one is told to register again. Replicas share them through the store ([`shared`]), whose clock judges all leases:
//! whatever one replica is told, all know, and it outlives each of them. What epochs were about every process reads off the ledger
//! by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, Epoch, Generation, LedgerSeq, MemberName};
use pinrail_domain::ledger::Entry;
use pinrail_domain::member::{Change, MemberId, MemberKind, Part};
use pinrail_domain::time::{Clock, Entropy, Ticks, Timestamp};
use pinrail_domain::world::World;
use pinrail_store::{Store, StoreError};
use tokio::sync::watch;

use crate::commit::Idempotency;
use crate::keys::Caller;

mod flips;
pub(crate) mod gateway;
mod local;
mod registry;
mod report;
mod shared;

pub use report::{Answer, EpochReport, MemberAck, Took};

use local::Local;
use shared::Shared;

/// The members of this installation, as this process knows them. Lives as long as the control plane.
pub struct Members {
    /// The epochs, and the members where no other process has any.
    local: Local,
    /// The members where replicas share them.
    shared: Option<Shared>,
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
    #[error(transparent)]
    Store(#[from] Unasked),
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
    #[error(transparent)]
    Store(#[from] Unasked),
}

/// Why a member's write isn't let through.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitRefused {
    #[error(transparent)]
    Fenced(#[from] Fenced),
    #[error(transparent)]
    Store(#[from] Unasked),
}

/// The store that holds the members of all replicas didn't answer. Two are equal that say the same.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the members can't be looked up")]
pub struct Unasked(#[from] pub StoreError);

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
    /// Begins with this process's own gateway. `past` are the newest changes of the ledger, oldest first.
    pub(crate) fn open(
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        epoch: Epoch,
        past: impl IntoIterator<Item = Change>,
    ) -> Members {
        let shared = store.is_shared().then(|| Shared::new(Arc::clone(store)));
        let local = Local::open(Arc::clone(clock), Arc::clone(entropy), epoch, past);
        if shared.is_none() {
            local.enter_itself(epoch);
        }
        Members { local, shared }
    }

    /// Gives a lease. The member begins at the current epoch.
    pub async fn register(
        &self,
        caller: &Caller,
        wish: Register,
        idempotency: Option<Idempotency>,
    ) -> Result<Registered, RegisterRefused> {
        match &self.shared {
            None => self.local.register(caller, wish, idempotency),
            Some(shared) => shared.register(self.local.new_id(), caller, wish, idempotency).await,
        }
    }

    /// Takes an acknowledgement, which renews the lease.
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        id: MemberId,
        generation: Option<Generation>,
        epoch: Epoch,
    ) -> Result<Renewed, AckRefused> {
        match &self.shared {
            None => self.local.acknowledge(caller, id, generation, epoch),
            Some(shared) => shared.acknowledge(caller, id, generation, epoch).await,
        }
    }

    /// Lets a write of a member through, or says why not.
    pub async fn admit(
        &self,
        caller: &Caller,
        id: MemberId,
        generation: Option<Generation>,
    ) -> Result<(), AdmitRefused> {
        match &self.shared {
            None => Ok(self.local.admit(caller, id, generation)?),
            Some(shared) => shared.admit(caller, id, generation).await,
        }
    }

    /// Ends a member's lease at its own wish, or at an admin's. Returns its name.
    pub async fn leave(&self, caller: &Caller, id: MemberId) -> Result<Option<MemberName>, StoreError> {
        match &self.shared {
            None => Ok(self.local.leave(caller, id)),
            Some(shared) => shared.leave(caller, id).await,
        }
    }

    /// Changes whenever somebody enters, acknowledges or leaves.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.local.changes()
    }

    /// All members, by name; those that lapsed for an hour.
    pub async fn list(&self) -> Result<Vec<Shown>, StoreError> {
        match &self.shared {
            None => Ok(self.local.list()),
            Some(shared) => shared.list().await,
        }
    }

    /// What changed after an epoch, as far as it is kept; nothing before where none is named.
    #[must_use]
    pub fn since(&self, after: Option<Epoch>) -> Since {
        self.local.since(after)
    }

    /// Who acknowledged an epoch and how fast; none where it is no longer kept, or, without other replicas, wasn't flipped
    /// by this process.
    pub async fn report(&self, epoch: Epoch) -> Result<Option<EpochReport>, StoreError> {
        match &self.shared {
            None => Ok(self.local.report(epoch)),
            Some(shared) => match self.local.change(epoch) {
                Some(change) => shared.report(change).await,
                None => Ok(None),
            },
        }
    }

    /// The newest epoch that a deployment's opening, promotion, weight or rollback led to, while it is kept.
    #[must_use]
    pub fn epoch_of(&self, deployment: DeploymentId) -> Option<Epoch> {
        self.local.epoch_of(deployment)
    }

    /// How long the acknowledgements of the newest flips took, in microseconds, sorted, and how many flips those were.
    pub(crate) async fn newest_acknowledgements(
        &self,
        flips_max: usize,
    ) -> Result<(Vec<u64>, usize), StoreError> {
        match &self.shared {
            None => Ok(self.local.newest_acknowledgements(flips_max)),
            Some(shared) => shared.newest_acknowledgements(flips_max).await,
        }
    }

    /// Notes that the snapshot was swapped just now. `entries` led to it; `world` is the world after them.
    pub(crate) fn flipped(&self, entries: &[Entry], world: &World) {
        self.local.flipped(entries, world);
    }

    /// Notes that other replicas may have told the store of members.
    pub(crate) fn moved(&self) {
        self.local.moved();
    }
}

impl PartialEq for Unasked {
    fn eq(&self, other: &Unasked) -> bool {
        self.0.to_string() == other.0.to_string()
    }
}

impl Eq for Unasked {}

impl Register {
    /// How long the lease is to last, if it may.
    fn lease(&self) -> Result<u64, RegisterRefused> {
        let lease_ms = self.lease_ms.unwrap_or(LEASE_MS_DEFAULT);
        let may = (LEASE_MS_MIN..=LEASE_MS_MAX).contains(&lease_ms);
        if may { Ok(lease_ms) } else { Err(RegisterRefused::Lease(lease_ms)) }
    }
}

impl Since {
    /// All that the changes touch.
    #[must_use]
    pub fn changed(&self) -> BTreeSet<Part> {
        self.changes.iter().flat_map(|change| change.changed.iter().copied()).collect()
    }
}

/// How often a member with such a lease should acknowledge.
#[must_use]
pub fn ack_every_ms(lease_ms: u64) -> u64 {
    lease_ms / ACKS_PER_LEASE
}

fn after(now: Ticks, ms: u64) -> Ticks {
    Ticks(now.0.saturating_add(ms.saturating_mul(1_000_000)))
}

fn ms_since(now: Ticks, earlier: Ticks) -> u64 {
    now.us_since(earlier) / 1_000
}
