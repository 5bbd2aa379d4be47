//! The control plane: what happens when somebody publishes, deploys, rolls back or runs something.
//!
//! Decisions are `pinrail-domain`'s; this crate gathers what they need, commits what they return through one
//! point ([`commit`]) and keeps the snapshot that readers use. It knows no HTTP and no SQL. Start reading at
//! [`Control`], then [`commit`] (how the world changes), [`runs`] (how a run gets its stamp) and [`state`] (what runs remember).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use pinrail_domain::id::{Epoch, LedgerSeq};
use pinrail_domain::ledger::Head;
use pinrail_domain::model::{Catalogue, Layers};
use pinrail_domain::routes::Routes;
use pinrail_domain::time::{Clock, Entropy};
use pinrail_domain::world::World;
use pinrail_store::Store;
use tokio::sync::{Mutex, watch};

pub mod agents;
mod append;
pub mod approvals;
pub mod catalogue;
pub mod commit;
pub mod contracts;
pub mod deploy;
pub mod dial;
pub mod drift;
pub mod drill;
mod elsewhere;
pub mod errors;
mod explain;
pub mod follow;
pub mod gates;
pub mod keys;
pub mod leader;
pub mod ledger;
pub mod lists;
pub mod mcp;
pub mod members;
pub mod observe;
pub mod open;
pub mod outbound;
pub mod pairs;
pub mod proof;
pub mod publish;
pub mod readiness;
pub mod retire;
pub mod rollouts;
pub mod runs;
mod sightings;
pub mod state;
mod tasks;
pub mod traffic;
pub mod warm;
pub mod webhooks;

pub use commit::{By, CommitError, Committed, Idempotency};
pub use open::{OpenError, Recovered};

use contracts::Contracts;
use members::Members;
use runs::Runs;
use state::States;

/// What the control plane is built from.
pub struct Options {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// What is known about models beside what the ledger says.
    pub catalogue: Layers,
    /// Where indexes of vectors are kept between starts; none builds them anew each time.
    pub vectors_folder: Option<PathBuf>,
    /// Where turns of the dial are kept that the store doesn't take; none forgets them when the process ends.
    pub notebook: Option<Arc<dyn dial::Notebook>>,
    /// Where journal writes wait while a shared store is away; none keeps some of them in memory.
    pub spool: Option<Arc<dyn runs::Spool>>,
    /// How old what is shown may be, where others write, before critical agents get no runs; in milliseconds, as a rule
    /// [`runs::STALE_MS_MAX`].
    pub stale_ms_max: u64,
    /// Whether this process may lead. One that may not conducts, probes and delivers nothing, also where it has the store for
    /// itself: for a copy of a store that another installation lives from.
    pub leads: bool,
}

/// The control plane. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    catalogue: catalogue::Known,
    sightings: sightings::Sightings,
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Held while one change is decided and appended, so that decisions don't race each other.
    committing: Arc<Mutex<()>>,
    /// The ledger may hold an entry that isn't shown yet: an append failed, and so did looking.
    behind: AtomicBool,
    epoch: watch::Sender<Epoch>,
    /// The last entry that is shown.
    heads: watch::Sender<LedgerSeq>,
    leader: leader::Leader,
    freshness: Arc<follow::Freshness>,
    contracts: Arc<Contracts>,
    members: Members,
    runs: Runs,
    states: Arc<States>,
    /// Held alone while a data job commits, so that nothing is written in its name afterwards.
    jobs: Arc<tokio::sync::RwLock<()>>,
    /// How long rollbacks of this process took, from the call to the flip.
    flips: deploy::Flips,
    collector: state::collect::Collector,
    retention: runs::collect::Retention,
    drills: drill::Drills,
    observer: Arc<observe::Observer>,
    traffic: Arc<traffic::Traffic>,
    rollouts: rollouts::Rollouts,
    webhooks: webhooks::Webhooks,
    /// Counts the calls that were asked about for the first time, and the decisions.
    approvals: watch::Sender<u64>,
    told: approvals::Told,
    /// Turns of the dial that the ledger doesn't hold yet.
    unrecorded: dial::Unrecorded,
}

/// Everything that readers see, as of one ledger entry; replaced as a whole.
#[derive(Debug)]
pub struct Snapshot {
    pub world: World,
    pub routes: Routes,
}

impl Snapshot {
    fn of(world: World) -> Snapshot {
        let routes = Routes::of(&world);
        Snapshot { world, routes }
    }
}

impl Control {
    /// What is true now. The snapshot stays whole however long it is held.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.snapshot.load_full()
    }

    /// The runs: stamping, journaling, reading.
    #[must_use]
    pub fn runs(&self) -> &Runs {
        &self.inner.runs
    }

    /// State: memory, shared context, vectors.
    #[must_use]
    pub fn states(&self) -> &States {
        &self.inner.states
    }

    /// What is known about models now.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.catalogue.now()
    }

    /// The releases' contracts, loaded as needed.
    #[must_use]
    pub fn contracts(&self) -> &Contracts {
        &self.inner.contracts
    }

    /// The members: leases, acknowledgements, fencing.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.inner.members
    }

    /// Follows the epoch.
    #[must_use]
    pub fn epochs(&self) -> watch::Receiver<Epoch> {
        self.inner.epoch.subscribe()
    }

    /// Follows the ledger: the last entry that is shown.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<LedgerSeq> {
        self.inner.heads.subscribe()
    }

    /// Writes what is queued; call when no more requests come.
    pub async fn drain(&self) {
        self.inner.runs.drain().await;
        members::gateway::leave(&self.inner).await;
    }

    /// Draws what nobody can guess.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    fn head(&self) -> Head {
        self.inner.snapshot.load().world.head
    }
}

#[cfg(test)]
mod tests;
