//! `POST|GET /api/v1/members`, `POST …/{id}/ack`, `DELETE …/{id}`, `GET /api/v1/watch`, `GET /api/v1/epochs/{epoch}`.

use std::collections::BTreeSet;

use pinrail_domain::id::{Epoch, Generation, LedgerSeq, MemberName};
use pinrail_domain::member::{Change, MemberId, MemberKind, Part};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A gateway or worker that wants to be a member. The same name again takes the place of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterMember {
    pub name: MemberName,
    pub kind: MemberKind,
    /// How long the lease lasts without being renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// A member with its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    pub member: MemberId,
    pub generation: Generation,
    /// What it begins at: it counts as acknowledged.
    pub epoch: Epoch,
    pub lease_ms: u64,
    /// How often to acknowledge, so that one lost request doesn't cost the lease.
    pub ack_every_ms: u64,
    /// Where to follow the epoch.
    pub watch: String,
}

/// An acknowledgement: the member acts on this epoch and on nothing older any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    pub epoch: Epoch,
    /// The member's own; a later one of the same name then isn't mistaken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
}

/// The lease after an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub member: MemberId,
    /// The current epoch: where it is above the acknowledged one, the member is behind.
    pub epoch: Epoch,
    pub lease_ms: u64,
}

/// A member as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub member: MemberId,
    pub name: MemberName,
    pub kind: MemberKind,
    pub generation: Generation,
    /// The newest epoch that it acknowledged.
    pub acknowledged: Epoch,
    /// `fresh`, `behind` or `lapsed`.
    pub state: String,
    /// Epochs that it hasn't acknowledged.
    pub behind: u64,
    /// For how long it has been behind, or lapsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Whether what it writes is refused now.
    pub fenced: bool,
    /// Absent for the server's own gateway, which needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// What is left of the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_left_ms: Option<u64>,
    pub registered_at: Timestamp,
}

/// A member left, and its lease is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLeft {
    pub member: MemberId,
    pub name: MemberName,
}

/// The data of an `epoch` event of `GET /api/v1/watch`; the event's id is the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEvent {
    pub epoch: Epoch,
    /// The newest ledger entry.
    pub seq: LedgerSeq,
    /// When the newest change was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What changed since the event before, or since `after`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub changed: BTreeSet<Part>,
    /// The ledger entries that did it, oldest first. Keys that are limited to tenants don't see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// There were more changes than are listed, or this server never had the epoch that was named: drop everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Who acknowledged an epoch, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochReport {
    pub epoch: Epoch,
    pub change: Change,
    /// When this server's snapshot was swapped.
    pub flipped_at: Timestamp,
    /// Members that held a lease at the flip.
    pub expected: u64,
    pub acknowledged: u64,
    /// Whether nothing is awaited any more: all acknowledged, left, or are fenced.
    pub settled: bool,
    /// From the flip to the acknowledgement, over the members that gave one; this server's own gateway, which takes part
    /// in the flip itself, isn't counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
    pub members: Vec<MemberAck>,
}

/// How long acknowledgements took, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// A member's answer to an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAck {
    pub member: MemberId,
    pub name: MemberName,
    pub generation: Generation,
    #[serde(flatten)]
    pub answer: Answer,
}

/// What a member made of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    Acknowledged {
        took_us: u64,
    },
    /// Not yet; its lease runs for so long still.
    Missing {
        lease_left_ms: u64,
    },
    /// It didn't answer within its lease after the flip: what it writes is refused.
    Fenced,
    /// It said goodbye.
    Left,
    /// It registered again, and so began anew at a later epoch.
    Replaced,
}
