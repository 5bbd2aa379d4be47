//! The journal's store: runs, their events and the bindings of their sessions.
//!
//! A start writes the `plan` event, the run's summary and the session's binding as one step (I3), so there is
//! no run without a stamp and no binding without a run. Events are appended at an expected place or not at
//! all. Summaries are computed by `pinrail_domain::journal::Summary`, never by SQL.

use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, EventSeq, ReleaseId, RunId, SessionId, TenantId};
use pinrail_domain::journal::collect::RunDay;
use pinrail_domain::journal::{Event, Illegal, Needle, Outcome, Recorded, RunStatus, Stamp, Summary};
use pinrail_domain::time::{Day, Timestamp};

use crate::{Answer, ReplicaId, StoreError};

/// One write of a batch.
#[derive(Clone, Debug)]
pub enum Write {
    Start(Box<Start>),
    Append(Append),
}

/// A run's beginning.
#[derive(Clone, Debug)]
pub struct Start {
    pub stamp: Stamp,
    pub at: Timestamp,
    pub queued: bool,
    /// Events after `plan` that are known already.
    pub events: Vec<(Timestamp, Event)>,
    /// Binds the stamp's session (which there must be) to the stamp's deployment.
    pub bind: Option<Bind>,
    /// Begin only if the stamp's epoch is the ledger's: no pointer has moved since it was decided.
    pub current: bool,
    pub answer: Option<Answer>,
}

/// A session's binding to the stamp's deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The binding that the decision saw. The write fails when the session is bound to anything else than
    /// this or the stamp's own deployment.
    pub replaces: Option<DeploymentId>,
}

/// Further events of a run.
#[derive(Clone, Debug)]
pub struct Append {
    pub run: RunId,
    /// The place the caller expects the first event to get; none means "wherever it ends".
    pub expected: Option<EventSeq>,
    /// At least one.
    pub events: Vec<(Timestamp, Event)>,
    /// Binds a further session to the run's deployment, whatever it was bound to: who goes on from what the run answered.
    pub follows: Option<Box<Follow>>,
    pub answer: Option<Answer>,
}

/// A further session of the run's agent and tenant, and the run's deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Follow {
    pub session: SessionKey,
    pub deployment: DeploymentId,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub summary: Summary,
}

/// Why a write did nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    #[error("run {0} exists")]
    Exists(RunId),
    #[error("the session is bound to deployment {0}")]
    Bound(DeploymentId),
    /// Pointers moved since it was decided: decide again.
    #[error("the epoch is {epoch} by now")]
    Stale { epoch: Epoch },
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("the run's next event is {next}")]
    Moved { next: EventSeq },
    #[error("the run would have more than {EVENTS_PER_RUN_MAX} events")]
    TooManyEvents,
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error("the idempotency key was used before")]
    Answered(Box<Answer>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run that loops forever must stop somewhere; the longest real agent runs have some thousand steps.
///
/// A `finished` event has room beyond it, so a run that is full can still end and its deployment drain.
pub const EVENTS_PER_RUN_MAX: u64 = 100_000;

/// A run, without its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub stamp: Stamp,
    pub summary: Summary,
}

/// Which session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub agent: AgentName,
    pub tenant: TenantId,
    pub session: SessionId,
}

/// Which runs. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    pub agent: Option<AgentName>,
    pub release: Option<ReleaseId>,
    pub deployment: Option<DeploymentId>,
    pub status: Option<RunStatus>,
    /// How it ended: only finished runs have one.
    pub outcome: Option<Outcome>,
    pub session: Option<SessionId>,
    /// Only runs of these tenants (I11).
    pub tenants: Option<Vec<TenantId>>,
    pub single: Option<bool>,
    /// Whether the run answers a copy of a live request.
    pub shadow: Option<bool>,
    /// Whether a gate asks in it: those runs, and no others, are in the ground.
    pub gate: Option<bool>,
    /// Begun by this replica.
    pub replica: Option<ReplicaId>,
    /// Started at or after.
    pub since: Option<Timestamp>,
    /// Started before.
    pub until: Option<Timestamp>,
}

/// Which of the runs to look for: those that match the filter and say the text.
#[derive(Clone, Debug)]
pub struct Search {
    pub filter: RunFilter,
    pub text: Needle,
    pub reach: Reach,
}

/// How far one search looks before it says what it has. Nothing is indexed for it, so all that it looks at is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Runs looked at; at least one is.
    pub runs_max: u64,
    /// Bytes of journal read: no further run is begun beyond it.
    pub bytes_max: u64,
    /// Bytes of one run's journal: what comes after them isn't looked at.
    pub run_bytes_max: u64,
}

/// What a search found, and how far it looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Newest id first.
    pub runs: Vec<Run>,
    /// Runs that match the filter and were looked at.
    pub looked_at: u64,
    /// Those of them whose journal is longer than what was read of it, and didn't say the text until there.
    pub in_part: u64,
    /// The last run looked at, and when it began: pass it as `before` to go on.
    pub last: Option<(RunId, Timestamp)>,
    /// Older runs match the filter and weren't looked at.
    pub more: bool,
}

/// Why a day's journals weren't dropped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CollectError {
    #[error("no entry of the ledger says that the journals of {0} are dropped")]
    NotEntered(Day),
    #[error("{open} of the runs of {day} are open")]
    Open { day: Day, open: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many of a deployment's runs are still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenRuns {
    pub queued: u64,
    pub running: u64,
    pub paused: u64,
    pub parked: u64,
}

impl Write {
    /// The run that it is about.
    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Write::Start(start) => start.stamp.run,
            Write::Append(append) => append.run,
        }
    }

    /// The answer to keep with the write.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Write::Start(start) => start.answer.as_ref(),
            Write::Append(append) => append.answer.as_ref(),
        }
    }

    /// Panics where the caller broke the contract: a binding without a session, an append of nothing.
    pub fn assert_whole(&self) {
        match self {
            Write::Start(start) => {
                let bound = start.bind.is_none() || start.stamp.session.is_some();
                assert!(bound, "{} binds a session that it doesn't have", start.stamp.run);
            }
            Write::Append(append) => {
                assert!(!append.events.is_empty(), "an append to {} holds no event", append.run);
            }
        }
    }
}

impl Start {
    /// The run's summary with all the events that come with the start.
    pub fn summary(&self) -> Result<Summary, WriteError> {
        fold(Summary::planned(self.at, self.queued), &self.events)
    }

    /// Event 0.
    #[must_use]
    pub fn plan(&self) -> Recorded {
        let event = Event::Plan { stamp: Box::new(self.stamp.clone()), queued: self.queued };
        Recorded { seq: EventSeq(0), at: self.at, event }
    }

    /// Checks the stamp's epoch, where that is asked for, against the ledger's.
    pub fn check_epoch(&self, epoch: Epoch) -> Result<(), WriteError> {
        if self.current && self.stamp.epoch != epoch { Err(WriteError::Stale { epoch }) } else { Ok(()) }
    }

    /// Checks the write's binding, if it has one, against what the session is bound to now.
    pub fn check_binding(&self, bound: Option<DeploymentId>) -> Result<(), WriteError> {
        match (self.bind, bound) {
            (Some(bind), Some(bound)) if bound != self.stamp.deployment && Some(bound) != bind.replaces => {
                Err(WriteError::Bound(bound))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }
}

impl Append {
    /// The run's summary after these events, which start at the returned place.
    pub fn follow(&self, summary: &Summary) -> Result<(EventSeq, Summary), WriteError> {
        let next = summary.next;
        if self.expected.is_some_and(|expected| expected != next) {
            return Err(WriteError::Moved { next });
        }
        Ok((next, fold(summary.clone(), &self.events)?))
    }
}

impl SessionKey {
    /// The session of a run; none when the run has none.
    #[must_use]
    pub fn of(stamp: &Stamp) -> Option<SessionKey> {
        let session = stamp.session.clone()?;
        Some(SessionKey { agent: stamp.agent.clone(), tenant: stamp.tenant.clone(), session })
    }
}

impl Reach {
    /// Everything, however long that takes.
    pub const ALL: Reach = Reach { runs_max: u64::MAX, bytes_max: u64::MAX, run_bytes_max: u64::MAX };
}

impl OpenRuns {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.queued + self.running + self.paused + self.parked
    }

    /// Counts `runs` more with this status; finished ones aren't open.
    pub fn add(&mut self, status: RunStatus, runs: u64) {
        match status {
            RunStatus::Queued => self.queued += runs,
            RunStatus::Running => self.running += runs,
            RunStatus::Paused => self.paused += runs,
            RunStatus::Parked => self.parked += runs,
            RunStatus::Finished => {}
        }
    }
}

/// Keeps runs.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Carries out the writes in order and returns a result for each. One that fails leaves the others
    /// alone. Durable on return (I9), all together, so many writes cost one sync.
    ///
    /// Within a write the answer's key is looked at first, then the run, then the epoch, then the expected place, then the
    /// session's binding, then whether the events fit ([`EVENTS_PER_RUN_MAX`]) and are legal.
    ///
    /// The writes are shared, so that whoever tries again what a store failed at keeps them without a copy.
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>>;

    /// Takes the content out of the events that the runs have now, as [`Event::without_content`] says, for good;
    /// returns how many of the runs had content. Runs that don't exist are passed over. The arguments of calls that wait
    /// for an approval, or did, go with them.
    ///
    /// The one exception to "append-only" (I8), and the ledger says that it happened. Stamps, places, times and
    /// summaries stay. A failure may leave the first of the runs erased and the rest not: ask again. Answers that
    /// were kept for idempotency keys are not looked at: they expire by themselves.
    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError>;

    /// How many runs each day has, oldest first, of the days from [`FIRST_DAY`] until before `until`; days without runs are left out.
    /// A day is that of the ids.
    ///
    /// [`FIRST_DAY`]: pinrail_domain::journal::collect::FIRST_DAY
    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError>;

    /// Drops the runs of a day for good, with their journals and the arguments of approvals that were asked for in them; returns how
    /// many runs went. Sessions stay bound, and what the runs wrote into state stays.
    ///
    /// Only where an entry of the ledger says so (I8), and nothing of a day on which a run is open. A failure may leave
    /// a part of the day's runs dropped: ask again.
    async fn run_collect(&self, day: Day) -> Result<u64, CollectError>;

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError>;

    /// Those of the runs that exist, in any order.
    async fn run_get_many(&self, runs: &[RunId]) -> Result<Vec<Run>, StoreError> {
        let mut found = Vec::with_capacity(runs.len());
        for run in runs {
            found.extend(self.run_get(*run).await?);
        }
        Ok(found)
    }

    /// Up to `limit` events from `from` on, in order; empty for a run that doesn't exist.
    async fn run_events(&self, run: RunId, from: EventSeq, limit: usize)
    -> Result<Vec<Recorded>, StoreError>;

    /// Up to `limit` matching runs, newest id first, older than `before` if given.
    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError>;

    /// Up to `limit` runs that say a text, newest id first, older than `before` if given, within the search's reach.
    ///
    /// Looks at the matching runs one by one, at their stamps and their events in order, and stops at the limit or at
    /// the end of its reach, whichever comes first. Which bytes a store counts is its own affair; what it finds isn't.
    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError>;

    /// A deployment's open runs, exactly.
    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError>;

    /// All open runs of all deployments, exactly.
    async fn run_open_total(&self) -> Result<u64, StoreError>;

    /// What a session is bound to.
    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError>;

    /// The `limit` most recently written bindings, newest first.
    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError>;
}

fn fold(mut summary: Summary, events: &[(Timestamp, Event)]) -> Result<Summary, WriteError> {
    let ends = matches!(events.last(), Some((_, Event::Finished { .. })));
    let counted = events.len() as u64 - u64::from(ends);
    if summary.next.0 + counted > EVENTS_PER_RUN_MAX {
        return Err(WriteError::TooManyEvents);
    }
    for (at, event) in events {
        summary.apply(*at, event)?;
    }
    Ok(summary)
}
