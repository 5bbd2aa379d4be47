//! Journal writes that wait on this machine while a store that others share is away.
//!
//! What nobody waits for (stamps and events of agents below tier `critical`) is tried again until the store takes it. A store on
//! another machine may be away for longer than memory lasts, or than this process lives. So when some thousand writes wait, or
//! when the process stops, they go to a spool, in their order, and from there to the store when it is back, or at the next start.
//!
//! Each is written once. How far the spool was carried out is kept beside it after each chunk, so after a crash only the first
//! chunk may be in the store already; those writes, and the ones that were tried before they were spooled, are looked for first, and
//! written only where nothing came in between (`recorder/again.rs`).
//!
//! Each record names the ledger that it is about, by the hash of its first entry. A process that was started with another database
//! neither plays what is spooled there nor loses it: it doesn't open.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Append, Bind, Follow, SessionKey, Start, Write};
use serde::{Deserialize, Serialize};

use crate::{Snapshot, tasks};

/// Keeps records in a row, on this machine. Every call may take as long as a disk does.
pub trait Spool: Send + Sync {
    /// How many records there are.
    fn left(&self) -> u64;

    /// Adds records at the end: all of them, durably, or none.
    fn push(&self, records: &[Vec<u8>]) -> Result<(), SpoolError>;

    /// Up to `limit` records, the oldest first, after the first `skip`.
    fn read(&self, skip: u64, limit: usize) -> io::Result<Vec<Vec<u8>>>;

    /// Forgets the oldest records, durably.
    fn forget(&self, records: u64) -> io::Result<()>;
}

/// Why a spool takes nothing.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the spool holds {bytes_max} bytes, and no more")]
    Full { bytes_max: u64 },
    #[error("the spool cannot be written")]
    Io(#[from] io::Error),
}

/// What is spooled is of another database than the one that was opened. It stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what is spooled here (journal writes: {writes}) is for another database, whose ledger begins with entry {theirs}"
)]
pub struct ForeignSpool {
    /// How many writes are spooled in all.
    pub writes: u64,
    /// The hash of the first entry of the ledger that they are about, and of the one that was opened.
    pub theirs: Digest,
    pub ours: Option<Digest>,
}

/// The spool as the journal's writer uses it.
pub(super) struct Spooled {
    spool: Arc<dyn Spool>,
    /// Says which ledger this is.
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Whose writes are in it: what comes of them later goes there, too.
    runs: HashSet<RunId>,
    left: Arc<AtomicU64>,
    /// The next chunk may be in the store already.
    doubtful: bool,
}

/// A write of the spool.
pub(super) struct Waiting {
    pub write: Write,
    /// The store may have it.
    pub doubtful: bool,
}

/// A record. Kept in a file: never rename a field.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The hash of the first entry of the ledger that it is about. Not there in what was spooled before that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ledger: Option<Digest>,
    /// The store was asked to take it, and didn't say whether it did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    tried: bool,
    write: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Start {
        stamp: Box<Stamp>,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        queued: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<(Timestamp, Event)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bind: Option<Binding>,
    },
    Append {
        run: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<EventSeq>,
        events: Vec<(Timestamp, Event)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        follows: Option<Following>,
    },
}

#[derive(Serialize, Deserialize)]
struct Binding {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<DeploymentId>,
}

#[derive(Serialize, Deserialize)]
struct Following {
    agent: pinrail_domain::id::AgentName,
    tenant: pinrail_domain::id::TenantId,
    session: pinrail_domain::id::SessionId,
    deployment: DeploymentId,
}

/// Writes carried out at once: after a crash so many are looked for one by one.
pub(super) const CHUNK: usize = 1_000;

impl Spooled {
    /// Looks at what an earlier process left; `left` is kept up to date with how many writes wait.
    pub(super) async fn open(
        spool: Arc<dyn Spool>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        left: Arc<AtomicU64>,
    ) -> Result<Spooled, ForeignSpool> {
        let mut spooled = Spooled { spool, snapshot, runs: HashSet::new(), left, doubtful: true };
        let total = spooled.count();
        let mut read = 0;
        while read < total {
            match spooled.read(read, CHUNK).await {
                Ok(records) if records.is_empty() => break,
                Ok(records) => {
                    read += records.len() as u64;
                    let waiting = spooled.decode(&records)?;
                    spooled.runs.extend(waiting.iter().map(|waiting| waiting.write.run()));
                }
                Err(error) => {
                    tracing::error!(%error, "the spool of journal writes can't be read; trying again later");
                    break;
                }
            }
        }
        if total > 0 {
            tracing::warn!(
                writes = total,
                "an earlier process spooled journal writes; they are written first"
            );
        }
        Ok(spooled)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spool.left() == 0
    }

    /// Whose writes wait here, and how many those are.
    pub(super) fn waiting(&self) -> (&HashSet<RunId>, u64) {
        (&self.runs, self.spool.left())
    }

    /// Whether writes of this run wait here.
    pub(super) fn holds(&self, run: RunId) -> bool {
        self.runs.contains(&run)
    }

    /// Adds writes, all of them or none.
    pub(super) async fn push(&mut self, writes: &[Write], tried: bool) -> Result<(), SpoolError> {
        let ledger = self.origin();
        let records: Vec<_> = writes.iter().map(|write| encode(write, tried, ledger)).collect();
        let spool = Arc::clone(&self.spool);
        tasks::compute(move || spool.push(&records)).await?;
        self.runs.extend(writes.iter().map(Write::run));
        self.count();
        Ok(())
    }

    /// The oldest writes, and how many records they are.
    pub(super) async fn next(&self) -> io::Result<(Vec<Waiting>, u64)> {
        let records = self.read(0, CHUNK).await?;
        let count = records.len() as u64;
        let mut waiting = self.decode(&records).map_err(io::Error::other)?;
        waiting.iter_mut().for_each(|waiting| waiting.doubtful |= self.doubtful);
        Ok((waiting, count))
    }

    /// The oldest records were carried out.
    pub(super) async fn done(&mut self, records: u64) -> io::Result<()> {
        let spool = Arc::clone(&self.spool);
        tasks::compute(move || spool.forget(records)).await?;
        self.doubtful = false;
        if self.count() == 0 {
            self.runs = HashSet::new();
        }
        Ok(())
    }

    /// Nobody knows what became of the oldest writes.
    pub(super) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// What records say; those that make no sense are left out. All of them are of this ledger, or none is told.
    fn decode(&self, records: &[Vec<u8>]) -> Result<Vec<Waiting>, ForeignSpool> {
        let ours = self.origin();
        let mut waiting = Vec::with_capacity(records.len());
        for record in records.iter().filter_map(|record| understood(record)) {
            match record.ledger {
                Some(theirs) if Some(theirs) != ours => {
                    return Err(ForeignSpool { writes: self.spool.left(), theirs, ours });
                }
                Some(_) | None => waiting.push(decode(record)),
            }
        }
        Ok(waiting)
    }

    /// Which ledger this is.
    fn origin(&self) -> Option<Digest> {
        self.snapshot.load().world.origin
    }

    async fn read(&self, skip: u64, limit: usize) -> io::Result<Vec<Vec<u8>>> {
        let spool = Arc::clone(&self.spool);
        tasks::compute(move || spool.read(skip, limit)).await
    }

    fn count(&self) -> u64 {
        let left = self.spool.left();
        self.left.store(left, Ordering::Relaxed);
        left
    }
}

fn encode(write: &Write, tried: bool, ledger: Option<Digest>) -> Vec<u8> {
    let what = match write {
        Write::Start(start) => {
            // Somebody waits for a start that must be current, or answers a key: those aren't spooled.
            let Start { stamp, at, queued, events, bind, current: _, answer: _ } = &**start;
            What::Start {
                stamp: Box::new(stamp.clone()),
                at: *at,
                queued: *queued,
                events: events.clone(),
                bind: bind.map(|Bind { replaces }| Binding { replaces }),
            }
        }
        Write::Append(Append { run, expected, events, follows, answer: _ }) => {
            let follows = follows.as_ref().map(|follow| {
                let Follow { session: SessionKey { agent, tenant, session }, deployment } = &**follow;
                let (agent, tenant, session) = (agent.clone(), tenant.clone(), session.clone());
                Following { agent, tenant, session, deployment: *deployment }
            });
            What::Append { run: *run, expected: *expected, events: events.clone(), follows }
        }
    };
    serde_json::to_vec(&Record { ledger, tried, write: what }).expect("journal writes are plain data")
}

/// A record; none where it makes no sense, which is said.
fn understood(record: &[u8]) -> Option<Record> {
    let record = serde_json::from_slice(record);
    record
        .inspect_err(|error| {
            tracing::error!(%error, "a spooled journal write can't be understood and is dropped");
        })
        .ok()
}

/// A record's write.
fn decode(record: Record) -> Waiting {
    let Record { ledger: _, tried, write: what } = record;
    let write = match what {
        What::Start { stamp, at, queued, events, bind } => {
            let bind = bind.map(|Binding { replaces }| Bind { replaces });
            let stamp = *stamp;
            Write::Start(Box::new(Start { stamp, at, queued, events, bind, current: false, answer: None }))
        }
        What::Append { run, expected, events, follows } => {
            let follows = follows.map(|Following { agent, tenant, session, deployment }| {
                Box::new(Follow { session: SessionKey { agent, tenant, session }, deployment })
            });
            Write::Append(Append { run, expected, events, follows, answer: None })
        }
    };
    Waiting { write, doubtful: tried }
}
