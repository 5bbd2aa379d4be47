//! The store's promises: one trait per aggregate, the in-memory reference that defines them, and the
//! conformance suite that every backend passes.
//!
//! Nothing here decides what may happen (that is `pinrail-domain`) or knows SQL. Start reading at [`Store`],
//! then [`ledger`], [`journal`] and [`state`]; [`replicas`] for what several processes over one store need.
//!
//! What every backend promises: an operation that returned `Ok` survives a crash and power loss (I9);
//! one that returned an error changed nothing, except that after [`StoreError::Unavailable`] nobody knows (the
//! acknowledgement may have been lost); a batch's effects on one run appear in the batch's order.

use std::sync::Arc;

pub mod answers;
pub mod approvals;
pub mod artifacts;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod deliveries;
pub mod gates;
pub mod journal;
pub mod ledger;
pub mod members;
pub mod memory;
pub mod replicas;
pub mod sightings;
pub mod state;
pub mod transfer;
pub mod watches;

pub use answers::{Answer, AnswerKey, Answers};
pub use approvals::Approvals;
pub use artifacts::Artifacts;
pub use deliveries::Deliveries;
pub use gates::Gates;
pub use journal::Journal;
pub use ledger::Ledger;
pub use members::Members;
pub use memory::Memory;
pub use replicas::{ReplicaId, Replicas, Term};
pub use sightings::Sightings;
pub use state::State;
pub use watches::Watches;

/// Everything that Pinrail keeps.
pub trait Store:
    Artifacts
    + Ledger
    + Journal
    + State
    + Answers
    + Deliveries
    + Gates
    + Approvals
    + Sightings
    + Watches
    + Replicas
    + Members
{
}

impl<
    T: Artifacts
        + Ledger
        + Journal
        + State
        + Answers
        + Deliveries
        + Gates
        + Approvals
        + Sightings
        + Watches
        + Replicas
        + Members,
> Store for T
{
}

/// Why a store couldn't do its work. What was asked for has not happened, unless it is [`Unavailable`].
///
/// [`Unavailable`]: StoreError::Unavailable
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the store's size limit; writing works again when there is room.
    #[error("the store is full")]
    Full(#[source] Cause),
    #[error("the store is read-only")]
    ReadOnly(#[source] Cause),
    /// It can't be reached or doesn't answer; trying again may help. Whether it did what was asked is not known:
    /// look before doing it again.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// What was read is not what was written.
    #[error("the store holds damaged data: {0}")]
    Damaged(String),
}

/// The backend's own error, shared by all the writes of a batch that it failed.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Named places where the crash tests stop the process. The real probe does nothing.
pub trait Probe: Send + Sync {
    fn at(&self, point: &'static str);
}

/// A probe that does nothing.
pub struct NoProbe;

impl Probe for NoProbe {
    fn at(&self, _point: &'static str) {}
}
