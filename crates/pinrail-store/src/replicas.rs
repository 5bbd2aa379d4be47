//! Several processes over one store: who they are, who leads, and what the others wrote.
//!
//! A process that has the store open is a *replica*. What only one of them may do at a time (conducting rollouts,
//! delivering webhooks, closing what a dead replica left open) the *leader* does, for a *term*: a number that rises
//! whenever leadership begins anew. An append to the ledger that names its term is refused once there is a newer one, so a
//! leader that slept can't act on old news.
//!
//! Every method has an answer for a store that one process has for itself: it leads, and there are no others.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use pinrail_domain::id::RunId;
use pinrail_domain::time::Timestamp;
use tokio::sync::watch;

use crate::StoreError;

/// A process that has the store open. Given anew at each opening, never twice. Zero is nobody: a store that isn't shared, also after it
/// was copied into one that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

/// A leader's time in office. Rises with every new leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// A replica, as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub id: ReplicaId,
    /// What people call it: several ids may have had it, one after the other.
    pub name: String,
    pub started_at: Timestamp,
    /// How long ago it was heard of, by the store's own clock.
    pub silent_ms: u64,
    pub leads: Option<Lead>,
}

/// A lead that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    pub term: Term,
    /// By the store's own clock.
    pub since: Timestamp,
}

/// What was written, by anybody: rising numbers, and hints only. Whoever sees one rise looks for himself; one may rise
/// without cause, and a store that lost touch with the others makes all of them rise when it has it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub ledger: u64,
    pub state: u64,
    pub journal: u64,
    /// Approvals, gates, members.
    pub rest: u64,
}

/// How far each replica's journal batches are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached(pub BTreeMap<ReplicaId, u64>);

/// Runs that others wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Each once, however often it was written.
    pub runs: Vec<RunId>,
    /// Pass it on to read further.
    pub reached: Reached,
    /// There is more to read now.
    pub more: bool,
    /// Something between is not known any more: whoever must know all looks at everything.
    pub gap: bool,
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Knows the replicas.
#[async_trait]
pub trait Replicas: Send + Sync {
    /// Whether others may write to the store meanwhile.
    fn is_shared(&self) -> bool {
        false
    }

    /// This process. Another one after it lost touch for so long that the others gave it up.
    fn replica(&self) -> ReplicaId {
        ReplicaId::default()
    }

    /// Follows what is written. A store that isn't shared never says anything.
    fn news(&self) -> watch::Receiver<News> {
        watch::channel(News::default()).1
    }

    /// Leads, or goes on leading, if nobody else does; gives the term. To be asked again and again: leadership ends with
    /// the connection that holds it.
    async fn lead(&self) -> Result<Option<Term>, StoreError> {
        Ok(Some(Term::default()))
    }

    /// Leads no more, so that another can at once.
    async fn resign(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// All replicas that are known, this one included, by id.
    async fn replica_list(&self) -> Result<Vec<Replica>, StoreError> {
        Ok(Vec::new())
    }

    /// Gives a replica up that is still silent, for at least so long by the store's own clock; it takes another id if it comes
    /// back. Returns whether it did: one that isn't known, or was heard of meanwhile, is left alone.
    async fn replica_forget(&self, _replica: ReplicaId, _silent_ms: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Where the others' journals are now: what they write from here on is found by [`Replicas::runs_touched`].
    async fn reached(&self) -> Result<Reached, StoreError> {
        Ok(Reached::default())
    }

    /// The runs that other replicas wrote after `after`, about `limit` of them.
    async fn runs_touched(&self, after: &Reached, _limit: usize) -> Result<Touched, StoreError> {
        Ok(Touched { reached: after.clone(), ..Touched::default() })
    }
}
