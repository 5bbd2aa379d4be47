//! What callers of the run API do: create, append, finish, resume, read. Every read and write names the
//! tenants its caller may act for; a run of another tenant does not exist for it (I11).

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_domain::agent::{ATTRIBUTE_BYTES_MAX, ATTRIBUTES_MAX};
use pinrail_domain::begin::BeginError;
use pinrail_domain::id::{AgentName, EventSeq, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Event, Illegal, Outcome, Recorded, RunStatus, Stamp, Summary};
use pinrail_domain::key::Tenants;
use pinrail_domain::release::Contract;
use pinrail_domain::rollout::spec::is_score_name;
use pinrail_domain::tier::StampDurability;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::{Append, Run, RunFilter, Write, WriteError, Written};
use pinrail_store::{Answer, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::live::{LiveRun, OPEN_MAX};
use super::{Runs, StartFailed, Wish};
use crate::commit::Idempotency;

/// A run to create.
#[derive(Clone, Debug)]
pub struct Create {
    pub agent: AgentName,
    pub tenant: TenantId,
    pub session: Option<SessionId>,
    pub attributes: BTreeMap<String, String>,
    pub parent: Option<RunId>,
    /// Whether it waits for a worker.
    pub queued: bool,
}

/// A run that was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    pub stamp: Stamp,
    pub status: RunStatus,
    /// Whether an earlier request with this idempotency key made it.
    #[serde(skip)]
    pub replayed: bool,
}

/// Why a run isn't created.
#[derive(Debug, thiserror::Error)]
pub enum CreateRefused {
    #[error("a run has at most {ATTRIBUTES_MAX} attributes of at most {ATTRIBUTE_BYTES_MAX} bytes each")]
    Attributes,
    #[error("there is no parent run {0}")]
    NoParent(RunId),
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a change to a run led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunChange {
    pub run: RunId,
    pub summary: Summary,
    /// Whether an earlier request with this idempotency key made it.
    #[serde(skip)]
    pub replayed: bool,
}

/// How good somebody finds a run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewScore {
    pub name: String,
    /// From 0 to 1.
    pub value: f64,
    pub comment: Option<String>,
}

/// Why events aren't appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendRefused {
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("an append holds 1 to {EVENTS_PER_APPEND_MAX} events; this one holds {0}")]
    Count(usize),
    #[error("an event is at most {EVENT_BYTES_MAX} bytes of JSON; event {index} has {bytes}")]
    TooLong { index: usize, bytes: usize },
    #[error("a call holds 1 to {SCORES_MAX} scores; this one holds {0}")]
    Scores(usize),
    #[error("score {index}: {why}")]
    BadScore { index: usize, why: &'static str },
    #[error("`{0}` events are written by Pinrail itself")]
    NotYours(&'static str),
    /// The caller's picture of the run is old: read on from `next` and decide again.
    #[error("the run's next event is {next}, not {expected}")]
    Moved { expected: EventSeq, next: EventSeq },
    #[error(transparent)]
    Illegal(#[from] Illegal),
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    #[error("run {run} cannot go on: {why}")]
    PinGone { run: RunId, why: String },
    #[error("its release cannot be loaded")]
    Contract(#[source] crate::contracts::ContractError),
    /// Others kept appending; trying again may help.
    #[error("run {0} changed {APPEND_ATTEMPTS_MAX} times meanwhile")]
    Contended(RunId),
    #[error(transparent)]
    Write(WriteError),
}

/// A run to go on with: its contract and all that happened so far.
#[derive(Clone, Debug)]
pub struct Resumed {
    pub run: Run,
    pub contract: Arc<Contract>,
}

/// Events of one append: a worker that saves them up saves up some hundred.
pub const EVENTS_PER_APPEND_MAX: usize = 1_000;
/// A tool's result can be a whole document.
pub const EVENT_BYTES_MAX: usize = 256 << 10;
/// Appends to one run rarely race; each lost attempt means that another one got through.
const APPEND_ATTEMPTS_MAX: usize = 8;
/// Scores of one call: somebody who judges a run looks at some dozens of things.
pub const SCORES_MAX: usize = 100;
/// A comment says why, in a paragraph.
pub const SCORE_COMMENT_BYTES_MAX: usize = 4_000;
/// All attributes of a run together.
pub const ATTRIBUTES_BYTES_MAX: usize = 2 * ATTRIBUTES_MAX * ATTRIBUTE_BYTES_MAX;

impl Created {
    fn again(answer: &Answer, idempotency: Option<&Idempotency>) -> Result<Created, CreateRefused> {
        let made: Created = replay(answer, idempotency).ok_or(CreateRefused::KeyReused)?;
        Ok(Created { replayed: true, ..made })
    }
}

impl RunChange {
    fn again(answer: &Answer, idempotency: Option<&Idempotency>) -> Result<RunChange, AppendRefused> {
        let made: RunChange = replay(answer, idempotency).ok_or(AppendRefused::KeyReused)?;
        Ok(RunChange { replayed: true, ..made })
    }
}

impl Runs {
    /// Creates a run that its caller appends to and finishes. The stamp is durable on return.
    pub async fn create(
        &self,
        create: Create,
        tenants: &Tenants,
        idempotency: Option<Idempotency>,
    ) -> Result<Created, CreateRefused> {
        let fits = |text: &String| text.len() <= ATTRIBUTE_BYTES_MAX;
        let Create { agent, tenant, session, attributes, parent, queued } = create;
        if attributes.len() > ATTRIBUTES_MAX
            || !attributes.iter().all(|(name, value)| fits(name) && fits(value))
        {
            return Err(CreateRefused::Attributes);
        }
        if let Some(answer) = self.earlier(idempotency.as_ref()).await? {
            return Created::again(&answer, idempotency.as_ref());
        }
        if self.live.open() >= OPEN_MAX {
            return Err(BeginError::Busy { what: "the number of open runs", limit: OPEN_MAX }.into());
        }
        self.fresh(agent.as_str()).await?;
        let parent = match parent {
            Some(id) => {
                let visible = self.visible(id, tenants).await?;
                Some(
                    visible
                        .filter(|parent| parent.stamp.tenant == tenant)
                        .ok_or(CreateRefused::NoParent(id))?,
                )
            }
            None => None,
        };
        let parent = parent.as_deref();
        let wish =
            Wish { agent: agent.as_str(), tenant, session, attributes, parent, single: false, peek: false };
        let planned = self.plan(&wish).await?;
        if let Some(why) = self.pin_gone(&planned.stamp) {
            return Err(BeginError::PinGone { run: planned.stamp.run, why }.into());
        }
        let status = if queued { RunStatus::Queued } else { RunStatus::Running };
        let created = |stamp: &Stamp| Created { stamp: stamp.clone(), status, replayed: false };
        let answer = |stamp: &Stamp| Some(self.answer(idempotency.as_ref()?, &created(stamp)));
        match self.start_durably(&wish, planned, queued, answer).await {
            Ok(started) => Ok(created(&started.stamp)),
            Err(StartFailed::Write(WriteError::Answered(answer))) => {
                Created::again(&answer, idempotency.as_ref())
            }
            Err(StartFailed::Write(error)) => Err(error.into()),
            Err(StartFailed::Plan(error)) => Err(error.into()),
        }
    }

    /// Appends the caller's events, at the expected place if it names one. Durable on return.
    pub async fn append(
        &self,
        run: RunId,
        tenants: &Tenants,
        expected: Option<EventSeq>,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
    ) -> Result<RunChange, AppendRefused> {
        check_callers(&events)?;
        self.write(run, tenants, expected, events, idempotency).await
    }

    /// Says how good a run was, while it goes on or long after its end. The newest score of a name counts.
    pub async fn score(
        &self,
        run: RunId,
        tenants: &Tenants,
        scores: Vec<NewScore>,
        idempotency: Option<Idempotency>,
    ) -> Result<RunChange, AppendRefused> {
        check_scores(&scores)?;
        let event = |NewScore { name, value, comment }| Event::Score { name, value, comment };
        self.write(run, tenants, None, scores.into_iter().map(event).collect(), idempotency).await
    }

    /// Finishes a run.
    pub async fn finish(
        &self,
        run: RunId,
        tenants: &Tenants,
        outcome: Outcome,
        why: Option<String>,
        idempotency: Option<Idempotency>,
    ) -> Result<RunChange, AppendRefused> {
        self.write(run, tenants, None, vec![Event::Finished { outcome, why }], idempotency).await
    }

    /// Hands back what a worker needs to go on, whatever was rolled back since (I2). A paused or parked run is
    /// running again; one whose pin is gone is parked and says why.
    pub async fn resume(&self, run: RunId, tenants: &Tenants) -> Result<Resumed, AppendRefused> {
        let live = self.visible(run, tenants).await.map_err(store)?.ok_or(AppendRefused::NoRun(run))?;
        if live.stamp.single {
            return Err(Illegal { status: live.status(), event: "resumed" }.into());
        }
        if let Some(why) = self.pin_gone(&live.stamp).filter(|_| live.status().is_open()) {
            self.park(&live, &why).await.map_err(AppendRefused::Write)?;
            return Err(AppendRefused::PinGone { run, why });
        }
        let event = match live.status() {
            RunStatus::Queued => Some(Event::Started),
            RunStatus::Paused | RunStatus::Parked => Some(Event::Resumed),
            RunStatus::Running => None,
            RunStatus::Finished => {
                return Err(Illegal { status: RunStatus::Finished, event: "resumed" }.into());
            }
        };
        if let Some(event) = event {
            self.write(run, tenants, None, vec![event], None).await?;
        }
        let contract = self.parts.contracts.get(live.stamp.release).await;
        let contract = contract.map_err(AppendRefused::Contract)?;
        let stored = self.parts.store.run_get(run).await.map_err(store)?;
        Ok(Resumed { run: stored.ok_or(AppendRefused::NoRun(run))?, contract })
    }

    /// A run's stamp, if the caller may see the run: from memory where it was used lately.
    pub async fn stamp(&self, run: RunId, tenants: &Tenants) -> Result<Option<Arc<Stamp>>, StoreError> {
        let found = self.live(run).await?.filter(|live| tenants.contain(&live.stamp.tenant));
        Ok(found.map(|live| Arc::clone(&live.stamp)))
    }

    /// A run's stamp and where it is in its life, if the caller may see the run.
    pub async fn status(
        &self,
        run: RunId,
        tenants: &Tenants,
    ) -> Result<Option<(Arc<Stamp>, RunStatus)>, StoreError> {
        let found = self.live(run).await?.filter(|live| tenants.contain(&live.stamp.tenant));
        Ok(found.map(|live| (Arc::clone(&live.stamp), live.status())))
    }

    /// Journals what was decided about a tool call: on disk on return where the agent's tier wants stamps so.
    pub(crate) async fn ruled(&self, stamp: &Stamp, event: Event) -> Result<(), WriteError> {
        let events = vec![(self.parts.clock.now(), event)];
        let append = Append { run: stamp.run, expected: None, events, answer: None, follows: None };
        let snapshot = self.parts.snapshot.load_full();
        let tier = snapshot.world.agents.get(&stamp.agent).map(|spec| spec.tier).unwrap_or_default();
        match tier.demands().stamp {
            StampDurability::Soon => {
                self.recorder.soon(Write::Append(append)).await;
                Ok(())
            }
            StampDurability::BeforeCall => self.recorder.durably(Write::Append(append)).await.map(drop),
        }
    }

    /// A run, if the caller may see it.
    pub async fn get(&self, run: RunId, tenants: &Tenants) -> Result<Option<Run>, StoreError> {
        let found = self.stored(run).await?;
        Ok(found.filter(|found| tenants.contain(&found.stamp.tenant)))
    }

    /// Events of a run that the caller may see; none where there is no such run.
    pub async fn events(
        &self,
        run: RunId,
        tenants: &Tenants,
        from: EventSeq,
        limit: usize,
    ) -> Result<Option<Vec<Recorded>>, StoreError> {
        match self.get(run, tenants).await? {
            Some(_) => self.parts.store.run_events(run, from, limit).await.map(Some),
            None => Ok(None),
        }
    }

    /// Matching runs of the caller's tenants, newest first.
    pub async fn list(
        &self,
        tenants: &Tenants,
        filter: RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.parts.store.run_list(&of_tenants(tenants, filter), before, limit).await
    }

    /// Changes whenever something was journaled: what followers of a run wait for.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.recorder.changes()
    }

    /// Journals that a call's compensation was delivered. Durable on return.
    pub(crate) async fn compensated(&self, run: RunId, event: Event) -> Result<(), WriteError> {
        let events = vec![(self.parts.clock.now(), event)];
        let append = Append { run, expected: None, events, answer: None, follows: None };
        self.recorder.durably(Write::Append(append)).await.map(drop)
    }

    pub(super) async fn park(&self, live: &LiveRun, why: &str) -> Result<(), WriteError> {
        if live.status() == RunStatus::Parked {
            return Ok(());
        }
        let events = vec![(self.parts.clock.now(), Event::Parked { why: why.to_owned() })];
        let append = Append { run: live.stamp.run, expected: None, events, answer: None, follows: None };
        self.recorder.durably(Write::Append(append)).await.map(drop)
    }

    async fn write(
        &self,
        run: RunId,
        tenants: &Tenants,
        expected: Option<EventSeq>,
        events: Vec<Event>,
        idempotency: Option<Idempotency>,
    ) -> Result<RunChange, AppendRefused> {
        check_lengths(&events)?;
        let live = self.visible(run, tenants).await.map_err(store)?.ok_or(AppendRefused::NoRun(run))?;
        if let Some(answer) = self.earlier(idempotency.as_ref()).await.map_err(store)? {
            return RunChange::again(&answer, idempotency.as_ref());
        }
        if let Some(event) = events.iter().find(|event| live.stamp.single && moves_run(event)) {
            return Err(AppendRefused::NotYours(event.kind()));
        }
        let written = self.write_anew(run, expected, events, idempotency.as_ref()).await;
        let (Err(AppendRefused::Moved { .. } | AppendRefused::Illegal(_)), Some(_)) =
            (&written, &idempotency)
        else {
            return written;
        };
        // It may be this very request, sent twice, that moved the run since we looked.
        match self.earlier(idempotency.as_ref()).await.map_err(store)? {
            Some(answer) => RunChange::again(&answer, idempotency.as_ref()),
            None => written,
        }
    }

    async fn write_anew(
        &self,
        run: RunId,
        expected: Option<EventSeq>,
        events: Vec<Event>,
        idempotency: Option<&Idempotency>,
    ) -> Result<RunChange, AppendRefused> {
        let now = self.parts.clock.now();
        let events: Vec<_> = events.into_iter().map(|event| (now, event)).collect();
        for _ in 0..APPEND_ATTEMPTS_MAX {
            let (at, answer) = match idempotency {
                Some(idempotency) => self.predict(run, expected, &events, idempotency).await?,
                None => (expected, None),
            };
            let append = Append { run, expected: at, events: events.clone(), answer, follows: None };
            match self.recorder.durably(Write::Append(append)).await {
                Ok(Written { summary }) => return Ok(RunChange { run, summary, replayed: false }),
                Err(WriteError::Answered(answer)) => return RunChange::again(&answer, idempotency),
                Err(WriteError::Moved { next }) => {
                    if let Some(expected) = expected {
                        return Err(AppendRefused::Moved { expected, next });
                    }
                }
                Err(WriteError::Illegal(illegal)) => return Err(illegal.into()),
                Err(error) => return Err(AppendRefused::Write(error)),
            }
        }
        Err(AppendRefused::Contended(run))
    }

    /// The answer that the append will have, and the place where it must happen for that to be true: an answer
    /// is stored in the same transaction as its effect, so it must be known before.
    async fn predict(
        &self,
        run: RunId,
        expected: Option<EventSeq>,
        events: &[(Timestamp, Event)],
        idempotency: &Idempotency,
    ) -> Result<(Option<EventSeq>, Option<Answer>), AppendRefused> {
        let stored = self.parts.store.run_get(run).await.map_err(store)?;
        let mut summary = stored.ok_or(AppendRefused::NoRun(run))?.summary;
        let at = expected.unwrap_or(summary.next);
        if at != summary.next {
            return Err(AppendRefused::Moved { expected: at, next: summary.next });
        }
        for (when, event) in events {
            summary.apply(*when, event)?;
        }
        Ok((Some(at), Some(self.answer(idempotency, &RunChange { run, summary, replayed: false }))))
    }

    async fn visible(&self, run: RunId, tenants: &Tenants) -> Result<Option<Arc<LiveRun>>, WriteError> {
        Ok(self.live(run).await?.filter(|live| tenants.contain(&live.stamp.tenant)))
    }

    async fn earlier(&self, idempotency: Option<&Idempotency>) -> Result<Option<Answer>, WriteError> {
        match idempotency {
            Some(idempotency) => Ok(self.parts.store.answer_get(&idempotency.key).await?),
            None => Ok(None),
        }
    }

    fn answer<T: Serialize>(&self, idempotency: &Idempotency, value: &T) -> Answer {
        Answer {
            key: idempotency.key.clone(),
            request: idempotency.request,
            status: 200,
            body: serde_json::to_string(value).expect("an outcome is plain data"),
            at: self.parts.clock.now(),
        }
    }
}

/// The filter as far as the caller may see (I11).
pub(super) fn of_tenants(tenants: &Tenants, mut filter: RunFilter) -> RunFilter {
    filter.tenants = match (tenants, filter.tenants) {
        (Tenants::All, asked) => asked,
        (Tenants::Only(own), None) => Some(own.iter().cloned().collect()),
        (Tenants::Only(own), Some(asked)) => Some(asked.into_iter().filter(|t| own.contains(t)).collect()),
    };
    filter
}

fn check_callers(events: &[Event]) -> Result<(), AppendRefused> {
    if events.is_empty() || events.len() > EVENTS_PER_APPEND_MAX {
        return Err(AppendRefused::Count(events.len()));
    }
    match events.iter().find(|event| !event.is_the_callers()) {
        Some(event) => Err(AppendRefused::NotYours(event.kind())),
        None => Ok(()),
    }
}

fn check_scores(scores: &[NewScore]) -> Result<(), AppendRefused> {
    if scores.is_empty() || scores.len() > SCORES_MAX {
        return Err(AppendRefused::Scores(scores.len()));
    }
    for (index, NewScore { name, value, comment }) in scores.iter().enumerate() {
        let bad = |why| Err(AppendRefused::BadScore { index, why });
        if !is_score_name(name) {
            return bad("a name is 1 to 64 of letters, digits, `_`, `-` and `.`");
        }
        if !(0.0..=1.0).contains(value) {
            return bad("a value is a number from 0 to 1");
        }
        if comment.as_ref().is_some_and(|comment| comment.len() > SCORE_COMMENT_BYTES_MAX) {
            return bad("a comment is at most 4000 bytes long");
        }
    }
    Ok(())
}

fn check_lengths(events: &[Event]) -> Result<(), AppendRefused> {
    for (index, event) in events.iter().enumerate() {
        let bytes = serde_json::to_vec(event).expect("an event is plain data").len();
        if bytes > EVENT_BYTES_MAX {
            return Err(AppendRefused::TooLong { index, bytes });
        }
    }
    Ok(())
}

/// Whether the event says where the run is in its life: in a run of one call, only the gateway knows that.
fn moves_run(event: &Event) -> bool {
    match event {
        Event::Plan { .. }
        | Event::Started
        | Event::Paused { .. }
        | Event::Resumed
        | Event::Parked { .. }
        | Event::Finished { .. } => true,
        Event::ModelRequest { .. }
        | Event::ModelRetry { .. }
        | Event::ModelResponse(_)
        | Event::ModelFailed { .. }
        | Event::Drift { .. }
        | Event::ToolCall { .. }
        | Event::ToolResult { .. }
        | Event::Dialled { .. }
        | Event::ToolRuled { .. }
        | Event::ApprovalDecided { .. }
        | Event::Note { .. }
        | Event::Score { .. }
        | Event::Compared(_)
        | Event::Compensated { .. } => false,
    }
}

fn replay<T: for<'de> Deserialize<'de>>(answer: &Answer, idempotency: Option<&Idempotency>) -> Option<T> {
    let same = idempotency.is_some_and(|idempotency| idempotency.request == answer.request);
    same.then(|| serde_json::from_str(&answer.body).ok()).flatten()
}

fn store(error: impl Into<WriteError>) -> AppendRefused {
    AppendRefused::Write(error.into())
}
