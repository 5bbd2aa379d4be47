//! Members that several replicas share: leases, acknowledgements, and when each epoch began, all on the store's one clock.
//!
//! A member is registered, heard and judged at any replica. Its lease is one stretch of time: from its registration to when it was
//! last heard and `lease_ms` more, or to its end where that comes first; a lease that lapsed is never renewed, but the same name
//! may register again, as the next generation. So who had to acknowledge an epoch is read off the rows later: those that had
//! registered before it, and whose lease reached its beginning. A flip writes nothing of members.
//!
//! Acknowledgements may be lost in a crash of the store: the next heartbeat says the same again.
//!
//! A process that has its store for itself keeps its members in memory and never asks here.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, Generation, IdempotencyKey, MemberName};
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_domain::time::Timestamp;

use crate::StoreError;

/// Somebody who wants to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What it is called where its owner has no member of this name.
    pub id: MemberId,
    /// Who registers it; none for the gateway of a replica.
    pub owner: Option<String>,
    pub name: MemberName,
    pub kind: MemberKind,
    pub lease_ms: u64,
    /// The key and the digest of the request.
    pub idempotency: Option<(IdempotencyKey, Digest)>,
    /// Members with an owner that may be, those that lapsed included; of these the oldest makes room.
    pub members_max: usize,
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

/// Why nobody is registered.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RegisterError {
    /// This idempotency key registered it with another request.
    #[error("the idempotency key was used for a different request")]
    KeyReused,
    #[error("all members there may be hold a lease")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An acknowledgement: its member acts on this epoch and on nothing older.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub member: MemberId,
    pub owner: Option<String>,
    /// Only if it is this one.
    pub generation: Option<Generation>,
    pub epoch: Epoch,
}

/// What became of an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The lease begins anew. The newest epoch may be above the one that was acknowledged.
    Renewed { epoch: Epoch, lease_ms: u64 },
    /// Such an epoch hasn't been.
    Ahead { epoch: Epoch },
    /// It is another generation's, or its lease has lapsed: the member as it is.
    Refused(Box<Member>),
    /// The owner has no such member.
    Unknown,
}

/// A member as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub member: MemberId,
    pub owner: Option<String>,
    pub name: MemberName,
    pub kind: MemberKind,
    pub generation: Generation,
    pub acknowledged: Epoch,
    /// The newest there is.
    pub epoch: Epoch,
    pub lease_ms: u64,
    pub lease: Lease,
    /// For how long an epoch has waited for it.
    pub behind_ms: Option<u64>,
    pub registered_at: Timestamp,
}

/// What is left of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    Runs { left_ms: u64 },
    Lapsed { for_ms: u64 },
}

/// Who ends a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaver {
    /// Whoever registered it; none for a replica and its own gateway.
    Owner(Option<String>),
    /// Somebody who may end everybody's, but that of a replica which is there.
    Anybody,
}

/// How an epoch was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAcks {
    pub flipped_at: Timestamp,
    /// All that had to acknowledge it, by name.
    pub members: Vec<EpochAck>,
}

/// What a member made of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochAck {
    pub member: MemberId,
    pub name: MemberName,
    pub generation: Generation,
    pub answer: Answer,
}

/// A member's answer to an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Acknowledged {
        took_us: u64,
    },
    /// Not yet; its lease runs for so long still.
    Missing {
        lease_left_ms: u64,
    },
    /// It didn't answer within its lease: what it writes is refused.
    Fenced,
    /// It said goodbye.
    Left,
    /// It registered again, and so began anew at a later epoch.
    Replaced,
}

/// What a row says of an answer: the rule that every backend shares.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// From the flip to the first acknowledgement of it or of a later one.
    pub took_us: Option<u64>,
    /// When it left or was replaced.
    pub ended: Option<(End, u64)>,
    /// When its lease lapses, or did.
    pub lapses_us: u64,
    /// Since when an epoch has waited for it.
    pub behind_since_us: Option<u64>,
    pub lease_us: u64,
    pub now_us: u64,
}

/// How a lease was ended. Stored: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left = 0,
    Replaced = 1,
}

/// Keeps members that replicas share.
#[async_trait]
pub trait Members: Send + Sync {
    /// Gives a lease, at the newest epoch. The owner's member of this name is replaced by its next generation.
    async fn member_register(&self, _wish: Wish) -> Result<Registered, RegisterError> {
        Err(not_shared().into())
    }

    /// Takes acknowledgements in; says what became of each. Where the lease runs it begins anew.
    async fn members_acknowledge(&self, _acks: &[Ack]) -> Result<Vec<Heard>, StoreError> {
        Err(not_shared())
    }

    /// A member of any owner.
    async fn member_get(&self, _member: MemberId) -> Result<Option<Member>, StoreError> {
        Err(not_shared())
    }

    /// All members but those that lapsed longer ago than `lapsed_ms`.
    async fn member_list(&self, _lapsed_ms: u64) -> Result<Vec<Member>, StoreError> {
        Err(not_shared())
    }

    /// Ends a lease, if this one may; gives the member's name.
    async fn member_leave(&self, _member: MemberId, _by: &Leaver) -> Result<Option<MemberName>, StoreError> {
        Err(not_shared())
    }

    /// Who acknowledged an epoch and how fast; none where it is no longer kept.
    async fn epoch_acks(&self, _epoch: Epoch) -> Result<Option<EpochAcks>, StoreError> {
        Err(not_shared())
    }

    /// How long the acknowledgements of the newest flips took, in microseconds, sorted, and how many flips those were.
    async fn newest_acks(&self, _flips_max: usize) -> Result<(Vec<u64>, usize), StoreError> {
        Err(not_shared())
    }
}

impl Member {
    /// Whether it acts on this epoch still: its lease runs, and no epoch has waited for it longer than that lasts.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(self.lease, Lease::Runs { .. }) && self.behind_ms.is_none_or(|ms| ms <= self.lease_ms)
    }
}

impl Answer {
    #[must_use]
    pub fn of(facts: Facts) -> Answer {
        let Facts { took_us, ended, lapses_us, behind_since_us, lease_us, now_us } = facts;
        match (took_us, ended) {
            (Some(took_us), _) => Answer::Acknowledged { took_us },
            (None, Some((_, at_us))) if at_us > lapses_us => Answer::Fenced,
            (None, Some((End::Left, _))) => Answer::Left,
            (None, Some((End::Replaced, _))) => Answer::Replaced,
            (None, None) if now_us > lapses_us => Answer::Fenced,
            (None, None) if behind_since_us.is_some_and(|since| now_us.saturating_sub(since) > lease_us) => {
                Answer::Fenced
            }
            (None, None) => Answer::Missing { lease_left_ms: (lapses_us - now_us) / 1_000 },
        }
    }
}

impl Lease {
    #[must_use]
    pub fn of(now_us: u64, lapses_us: u64) -> Lease {
        match now_us > lapses_us {
            true => Lease::Lapsed { for_ms: (now_us - lapses_us) / 1_000 },
            false => Lease::Runs { left_ms: (lapses_us - now_us) / 1_000 },
        }
    }
}

fn not_shared() -> StoreError {
    let why = "members are kept by the process that has this store for itself";
    StoreError::Unavailable(std::sync::Arc::new(std::io::Error::other(why)))
}
