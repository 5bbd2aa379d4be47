//! Runs: how one gets its stamp, what may be added to it, and how it is read.
//!
//! A run is planned on one snapshot: resolve, stamp, and (for a new session) bind, in one journal write (I3).
//! From then on only the stamp counts: joining, resuming and sub-agents read it and never the pointers (I2).
//! When two calls bind one session at the same moment, the first one wins and the second resolves again.
//!
//! Several replicas over one store keep that together: what one begins the others can join, which therefore read it from the store
//! at each use ([`live`]); sessions are asked there before a candidate's share decides ([`sessions`]); stamps that somebody waits for
//! are refused by the store when they were decided before the newest flip; and what others write is followed ([`tail`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use pinrail_domain::agent::{AgentSpec, Bodies};
use pinrail_domain::begin::{Alternatives, BeginError, Begun, Call};
use pinrail_domain::id::{AgentName, DeploymentId, Epoch, ProviderName, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Event, Outcome, RunStatus, Stamp};
use pinrail_domain::model::{Catalogue, Lifecycle};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Contract;
use pinrail_domain::routes::{NoRoute, Question, Via};
use pinrail_domain::tier::{Demands, StampDurability, Tier};
use pinrail_domain::time::{Clock, Entropy, Timestamp};
use pinrail_store::journal::{Append, Bind, Follow, Run, SessionKey, Start, Write, WriteError};
use pinrail_store::{Answer, Store, StoreError};
use tokio::sync::watch;

use crate::contracts::Contracts;
use crate::follow::Freshness;
use crate::observe::Observer;
use crate::traffic::Traffic;
use crate::{Inner, OpenError, Snapshot};

mod api;
pub mod collect;
mod gate;
mod live;
mod others;
pub(crate) mod reaper;
mod recorder;
mod search;
mod sessions;
mod shadow;
mod spool;
pub(crate) mod tail;
mod touched;

pub use api::{
    ATTRIBUTES_BYTES_MAX, AppendRefused, Create, CreateRefused, Created, EVENT_BYTES_MAX,
    EVENTS_PER_APPEND_MAX, NewScore, Resumed, RunChange, SCORE_COMMENT_BYTES_MAX, SCORES_MAX,
};
pub use gate::GateRunRefused;
pub use others::STALE_MS_MAX;
pub use recorder::{JournalSeen, QUEUE_MAX};
pub use search::REACH;
pub use shadow::ShadowCounts;
pub use spool::{ForeignSpool, Spool, SpoolError};
pub use touched::{RunRead, Touched};

#[cfg(test)]
pub(crate) use live::OPEN_MAX;
use live::{LiveRun, LiveRuns};
use others::Others;
use recorder::{Listeners, Recorder, Unclaimed};
use sessions::Sessions;
use shadow::Shadows;

/// The runs. Lives as long as the control plane.
pub struct Runs {
    parts: Parts,
    sessions: Arc<Sessions>,
    live: Arc<LiveRuns>,
    recorder: Recorder,
    shadows: Shadows,
    /// None where this process has the store for itself.
    others: Option<Others>,
}

/// What runs are built from.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub contracts: Arc<Contracts>,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub observer: Arc<Observer>,
    pub traffic: Arc<Traffic>,
    pub freshness: Arc<Freshness>,
    pub stale_ms_max: u64,
    /// Used only where the store is shared, and so may be away while this process isn't.
    pub spool: Option<Arc<dyn Spool>>,
}

/// Who wants a run.
struct Wish<'a> {
    agent: &'a str,
    tenant: TenantId,
    session: Option<SessionId>,
    attributes: BTreeMap<String, String>,
    parent: Option<&'a LiveRun>,
    single: bool,
    /// Nothing begins: no session is bound.
    peek: bool,
}

/// A stamp, and what must be written with it.
struct Planned {
    stamp: Arc<Stamp>,
    at: Timestamp,
    bind: Option<Bind>,
}

/// What answers a run's calls, and how.
struct Served {
    contract: Arc<Contract>,
    provider: Arc<ProviderSpec>,
    epoch: Epoch,
    demands: Demands,
    bodies: Bodies,
    alternatives: Alternatives,
}

/// A session rebinds at most once per flip; more than a few in one call means something is wrong.
const PLAN_ATTEMPTS_MAX: usize = 8;
/// How long the store may take to say what became of a run that is known here.
const READ: Duration = Duration::from_secs(1);
/// How long a run is waited for that another replica may be about to write, in pauses between looks: a stamp that nobody waits for
/// lies in memory for 20 ms and takes a commit more.
const YOUNG_LOOKS_MS: [u64; 6] = [5, 10, 20, 40, 80, 160];
/// Runs that were begun so long ago aren't waited for, in milliseconds; clocks may differ by as much.
const YOUNG_MS: u64 = 2_000;

impl Runs {
    pub(crate) async fn open(parts: Parts) -> Result<Runs, OpenError> {
        let is_shared = parts.store.is_shared();
        let others = is_shared
            .then(|| Others::new(Arc::clone(&parts.freshness), Arc::clone(&parts.clock), parts.stale_ms_max));
        let snapshot = is_shared.then(|| Arc::clone(&parts.snapshot));
        let sessions = Arc::new(Sessions::load(Arc::clone(&parts.store), snapshot).await?);
        let replica = is_shared.then(|| parts.store.replica());
        let live = Arc::new(LiveRuns::new(parts.store.run_open_total().await?, replica));
        let listeners = Listeners {
            live: Arc::clone(&live),
            sessions: Arc::clone(&sessions),
            observer: Arc::clone(&parts.observer),
            traffic: Arc::clone(&parts.traffic),
            clock: Arc::clone(&parts.clock),
            changed: Arc::new(watch::Sender::new(0)),
        };
        let spool = parts.spool.clone().filter(|_| is_shared);
        let recorder = Recorder::start(Arc::clone(&parts.store), listeners, spool, &parts.snapshot).await?;
        Ok(Runs { parts, sessions, live, recorder, shadows: Shadows::default(), others })
    }

    /// Learns whose runs these are.
    pub(crate) fn belong_to(&self, inner: Weak<Inner>) {
        if let Some(others) = &self.others {
            others.belong_to(inner);
        }
    }

    /// Begins a run that is one gateway call, or joins the run that the call names.
    pub async fn begin(&self, call: Call) -> Result<Begun, BeginError> {
        self.fresh(&call.agent).await?;
        match call.run {
            Some(run) => self.join(run, &call).await,
            None => self.begin_single(call).await,
        }
    }

    /// Looks up what a call would get, and begins nothing.
    pub async fn peek(&self, call: Call) -> Result<Begun, BeginError> {
        if let Some(run) = call.run {
            let live = self.joinable(run, &call).await?;
            let served = self.served(&live.stamp).await?;
            return Ok(self.begun(served, Arc::clone(&live.stamp), 0));
        }
        let Call { agent, tenant, run: _, session, attributes } = call;
        let wish =
            Wish { agent: &agent, tenant, session, attributes, parent: None, single: true, peek: true };
        let Planned { stamp, .. } = self.plan(&wish).await?;
        if let Some(why) = self.pin_gone(&stamp) {
            return Err(BeginError::PinGone { run: stamp.run, why });
        }
        let served = self.served(&stamp).await?;
        Ok(self.begun(served, stamp, 0))
    }

    /// An agent's settings.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<Arc<AgentSpec>> {
        self.parts.snapshot.load().routes.agent(name).map(|(_, route)| Arc::clone(&route.spec))
    }

    /// A provider's settings.
    #[must_use]
    pub fn provider(&self, name: &ProviderName) -> Option<Arc<ProviderSpec>> {
        self.parts.snapshot.load().world.providers.get(name).cloned()
    }

    /// Journals events of a run whose begin succeeded. Waits only while the queue is full.
    pub async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>) {
        let write = Write::Append(Append { run, expected: None, events, answer: None, follows: None });
        self.recorder.soon(write).await;
    }

    /// Journals events of a run, and binds a session to its deployment: who goes on from what the run answered stays
    /// where that was said.
    pub async fn record_followed(&self, stamp: &Stamp, events: Vec<(Timestamp, Event)>, session: SessionId) {
        let (agent, tenant) = (stamp.agent.clone(), stamp.tenant.clone());
        let session = SessionKey { agent, tenant, session };
        let follow = Follow { session, deployment: stamp.deployment };
        self.sessions.follow(&follow);
        let write =
            Append { run: stamp.run, expected: None, events, follows: Some(Box::new(follow)), answer: None };
        self.recorder.soon(Write::Append(write)).await;
    }

    /// The agents that can be called, with the time (Unix seconds) each got its first release.
    #[must_use]
    pub fn agents(&self) -> Vec<(AgentName, u64)> {
        let world = &self.parts.snapshot.load().world;
        let mut first: BTreeMap<&AgentName, u64> = BTreeMap::new();
        for release in world.releases.values() {
            for agent in release.agents.iter().filter(|agent| world.agents.contains_key(*agent)) {
                let seconds = release.created_at.0 / 1_000;
                first
                    .entry(agent)
                    .and_modify(|earliest| *earliest = seconds.min(*earliest))
                    .or_insert(seconds);
            }
        }
        first.into_iter().map(|(agent, seconds)| (agent.clone(), seconds)).collect()
    }

    /// Writes what is queued.
    pub async fn drain(&self) {
        self.recorder.drain().await;
    }

    /// How many journal writes wait on this machine for the store to be back.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        self.recorder.spooled()
    }

    /// How many runs were begun from a snapshot that may have been old, since this process began.
    #[must_use]
    pub fn begun_on_old_news(&self) -> u64 {
        self.others.as_ref().map_or(0, Others::on_old_news)
    }

    /// The store's last failure to write the journal, while it lasts: the server isn't ready then.
    #[must_use]
    pub fn journal_trouble(&self) -> Option<String> {
        self.recorder.trouble()
    }

    /// The journal's queue now, and what its writer did since the process began.
    #[must_use]
    pub fn journal_seen(&self) -> JournalSeen {
        self.recorder.seen()
    }

    /// Why no call gets a run here now; none while some agent's would.
    ///
    /// A store that doesn't take the journal alone is no reason: below tier `critical` stamps wait for it. It is one once there is
    /// no room left to wait in, or where what is shown is too old for every agent that there is.
    #[must_use]
    pub fn refuse_everybody(&self) -> Option<String> {
        let JournalSeen { queued, limit, trouble, .. } = self.journal_seen();
        if trouble && queued >= limit {
            let what = format!(
                "the journal cannot be written, and {limit} writes wait for it: there is no room left"
            );
            return Some(what);
        }
        let others = self.others.as_ref()?;
        let agents = &self.parts.snapshot.load().world.agents;
        let waits = |tier: Tier| tier.demands().stamp == StampDurability::BeforeCall;
        let all_wait = !agents.is_empty() && agents.values().all(|spec| waits(spec.tier));
        (all_wait && others.is_stale())
            .then(|| "what is shown may be old, and every agent's tier refuses calls then".to_owned())
    }

    async fn begin_single(&self, call: Call) -> Result<Begun, BeginError> {
        let Call { agent, tenant, run: _, session, attributes } = call;
        let wish =
            Wish { agent: &agent, tenant, session, attributes, parent: None, single: true, peek: false };
        let planned = self.plan(&wish).await?;
        let mut stamp = Arc::clone(&planned.stamp);
        if let Some(why) = self.pin_gone(&stamp) {
            let finished = Event::Finished { outcome: Outcome::Error, why: Some(why.clone()) };
            let events = vec![(planned.at, finished)];
            self.recorder.soon(planned.start(false, events, None)).await;
            return Err(BeginError::PinGone { run: stamp.run, why });
        }
        let mut served = self.served(&stamp).await?;
        match served.demands.stamp {
            // Nothing waits from here on, so a caller that goes away leaves no run open.
            StampDurability::Soon => self.recorder.try_soon(planned.start(false, Vec::new(), None))?,
            StampDurability::BeforeCall => {
                let started = self.start_durably(&wish, planned, false, |_| None).await;
                let started = started.map_err(StartFailed::begin)?;
                if started.stamp.deployment != stamp.deployment {
                    served = self.served(&started.stamp).await?;
                }
                stamp = started.stamp;
                started.unclaimed.claim();
            }
        }
        Ok(self.begun(served, stamp, 1))
    }

    /// Writes a planned run's start; plans again when another call or replica bound the session first.
    async fn start_durably(
        &self,
        wish: &Wish<'_>,
        mut planned: Planned,
        queued: bool,
        answer: impl Fn(&Stamp) -> Option<Answer>,
    ) -> Result<Started<'_>, StartFailed> {
        for _ in 0..PLAN_ATTEMPTS_MAX {
            let stamp = Arc::clone(&planned.stamp);
            let unclaimed = self.recorder.unclaimed(stamp.run, planned.at);
            let unclaimed = if wish.single { unclaimed } else { unclaimed.claimed() };
            let current =
                self.others.is_some() && self.durability(&stamp.agent) == StampDurability::BeforeCall;
            let start = planned.start(queued, Vec::new(), answer(&stamp)).current(current);
            match self.recorder.durably(start).await {
                Ok(_) => return Ok(Started { stamp, unclaimed }),
                // It may be written all the same, and then it is ended.
                Err(error @ WriteError::Store(_)) => return Err(StartFailed::Write(error)),
                Err(WriteError::Bound(bound)) => {
                    unclaimed.claim();
                    self.sessions.learn(&stamp, bound);
                    planned = self.plan(wish).await.map_err(StartFailed::Plan)?;
                }
                Err(WriteError::Stale { epoch }) => {
                    unclaimed.claim();
                    self.reach(epoch).await.map_err(|error| StartFailed::Write(error.into()))?;
                    planned = self.plan(wish).await.map_err(StartFailed::Plan)?;
                }
                Err(error) => {
                    unclaimed.claim();
                    return Err(StartFailed::Write(error));
                }
            }
        }
        Err(StartFailed::Plan(contended()))
    }

    /// A run that takes calls of this caller.
    async fn joinable(&self, run: RunId, call: &Call) -> Result<Arc<LiveRun>, BeginError> {
        let live = self.live(run).await.map_err(|error| BeginError::Journal(Arc::new(error)))?;
        let live = live.ok_or(BeginError::NoRun(run))?;
        let stamp = &live.stamp;
        if stamp.tenant != call.tenant {
            return Err(BeginError::NoRun(run)); // I11
        }
        if stamp.agent.as_str() != call.agent {
            return Err(BeginError::OtherAgent { run, agent: stamp.agent.clone() });
        }
        if call.session.is_some() && call.session != stamp.session {
            return Err(BeginError::OtherSession { run });
        }
        if stamp.single {
            // It ends with its answer, which may be under way still: nobody else's call belongs to it.
            return Err(BeginError::NotRunning { run, status: RunStatus::Finished });
        }
        if !live.is_running() {
            return Err(BeginError::NotRunning { run, status: live.status() });
        }
        Ok(live)
    }

    async fn join(&self, run: RunId, call: &Call) -> Result<Begun, BeginError> {
        let live = self.joinable(run, call).await?;
        let stamp = &live.stamp;
        if let Some(halted) = self.parts.snapshot.load().routes.halts(stamp) {
            return Err(Box::new(halted).into());
        }
        if let Some(why) = self.pin_gone(stamp) {
            self.park(&live, &why).await.map_err(journal_error)?;
            return Err(BeginError::PinGone { run, why });
        }
        let served = self.served(stamp).await?;
        Ok(self.begun(served, Arc::clone(stamp), live.next_call()))
    }

    /// The run as far as calls need it, from memory or from the store.
    async fn live(&self, run: RunId) -> Result<Option<Arc<LiveRun>>, StoreError> {
        for _ in 0..PLAN_ATTEMPTS_MAX {
            let known = self.live.get(run);
            if self.others.is_none() && known.is_some() {
                return Ok(known);
            }
            let seen = self.live.seen(run);
            let stored = match self.read_or_known(run, known).await? {
                Ok(Some(stored)) => stored,
                Ok(None) => return Ok(None),
                Err(known) => return Ok(Some(known)),
            };
            if let Some(live) = self.live.keep(stored, seen) {
                return Ok(Some(live));
            }
        }
        // It changes faster than it can be read: what was read last is as good as any.
        Ok(self.stored(run).await?.map(|stored| self.live.aside(stored)))
    }

    /// The run as the store has it. While that is away, what the run was when it was used last will do (the error), except for
    /// agents for which nothing may be done on old news.
    async fn read_or_known(
        &self,
        run: RunId,
        known: Option<Arc<LiveRun>>,
    ) -> Result<Result<Option<Run>, Arc<LiveRun>>, StoreError> {
        let goes_on = |live: &Arc<LiveRun>| self.durability(&live.stamp.agent) == StampDurability::Soon;
        let Some(known) = known.filter(goes_on) else { return self.stored(run).await.map(Ok) };
        if self.recorder.trouble().is_some() {
            return Ok(Err(known));
        }
        match tokio::time::timeout(READ, self.stored(run)).await {
            Ok(Ok(stored)) => Ok(Ok(stored)),
            Ok(Err(_)) | Err(_) => Ok(Err(known)),
        }
    }

    /// The run as the store has it, its stamp included that is still on its way there.
    async fn stored(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        if let Some(stored) = self.parts.store.run_get(run).await? {
            return Ok(Some(stored));
        }
        self.recorder.settled().await;
        let mut stored = self.parts.store.run_get(run).await?;
        let is_young = run.made_at_ms().abs_diff(self.parts.clock.now().0) <= YOUNG_MS;
        if self.others.is_some() && is_young {
            for pause_ms in YOUNG_LOOKS_MS {
                if stored.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                stored = self.parts.store.run_get(run).await?;
            }
        }
        Ok(stored)
    }

    /// When the stamps of an agent must be on disk.
    fn durability(&self, agent: &AgentName) -> StampDurability {
        self.durability_of(agent.as_str())
    }

    fn durability_of(&self, agent: &str) -> StampDurability {
        let snapshot = self.parts.snapshot.load();
        let tier = snapshot.routes.agent(agent).map(|(_, route)| route.spec.tier);
        tier.unwrap_or_default().demands().stamp
    }

    /// Makes sure that an agent's runs aren't stamped from what is too old.
    async fn fresh(&self, agent: &str) -> Result<(), BeginError> {
        match &self.others {
            Some(others) => others.fresh(self.durability_of(agent)).await,
            None => Ok(()),
        }
    }

    /// How old what is shown is, in milliseconds, where that is too old to decide what a run of this agent may do now.
    pub(crate) async fn too_stale(&self, agent: &AgentName) -> Option<u64> {
        let others = self.others.as_ref()?;
        let stamp = self.durability(agent);
        let ms = others.stale(stamp).await?;
        match stamp {
            StampDurability::BeforeCall => Some(ms),
            StampDurability::Soon => None,
        }
    }

    /// Makes sure that what an epoch brought is shown.
    async fn reach(&self, epoch: Epoch) -> Result<(), StoreError> {
        match &self.others {
            Some(others) if self.parts.snapshot.load().world.epoch < epoch => others.renew().await,
            Some(_) | None => Ok(()),
        }
    }

    /// Waits until what was begun or recorded before is in the store.
    pub(crate) async fn settled(&self) {
        self.recorder.settled().await;
    }

    /// What answers a run's calls now. It looks at a snapshot that is no older than the stamp's.
    async fn served(&self, stamp: &Stamp) -> Result<Served, BeginError> {
        let broken = |cause: Arc<dyn std::error::Error + Send + Sync>| BeginError::Release {
            deployment: stamp.deployment,
            cause,
        };
        let contract = self.parts.contracts.get(stamp.release).await;
        let contract = contract.map_err(|error| broken(Arc::new(error)))?;
        let snapshot = self.parts.snapshot.load();
        let providers = &snapshot.world.providers;
        let provider = providers.get(&stamp.provider).cloned();
        let provider = provider.ok_or_else(|| broken(Arc::new(NoProvider(stamp.provider.to_string()))))?;
        // What proves a candidate must be the candidate's own model.
        let listed = stamp.gate.is_none() && stamp.shadow.is_none();
        let find = |name: &ProviderName| providers.get(name).cloned();
        let alternatives = Alternatives::of(&contract.manifest.model, &provider, listed, find);
        let spec = snapshot.routes.agent(stamp.agent.as_str()).map(|(_, route)| &route.spec);
        Ok(Served {
            contract,
            provider,
            alternatives,
            epoch: snapshot.world.epoch,
            demands: spec.map(|spec| spec.tier).unwrap_or_default().demands(),
            // Of an agent that was removed, nobody says any more what may be kept.
            bodies: spec.map_or(Bodies::Off, |spec| spec.journal.bodies),
        })
    }

    /// Resolves and stamps; binds the session in memory, and says what the store must bind.
    async fn plan(&self, wish: &Wish<'_>) -> Result<Planned, BeginError> {
        let at = self.parts.clock.now();
        let run = self.new_run_id(at);
        for _ in 0..PLAN_ATTEMPTS_MAX {
            let snapshot = self.parts.snapshot.load_full();
            if let Some(planned) = self.plan_on(&snapshot, wish, run, at).await? {
                return Ok(planned);
            }
        }
        Err(contended())
    }

    /// Plans on one snapshot; none when somebody bound the session meanwhile.
    async fn plan_on(
        &self,
        snapshot: &Snapshot,
        wish: &Wish<'_>,
        run: RunId,
        at: Timestamp,
    ) -> Result<Option<Planned>, BeginError> {
        let Wish { agent, tenant, session, attributes, parent, single, peek } = wish;
        let found = snapshot.routes.agent(agent);
        let (name, route) = found.ok_or_else(|| BeginError::NoAgent((*agent).to_owned()))?;
        let key = session.as_ref().map(|session| SessionKey {
            agent: name.clone(),
            tenant: tenant.clone(),
            session: session.clone(),
        });
        let matters = route.has_candidate(tenant, attributes);
        let mut bound = match &key {
            Some(key) => self.bound(key, matters).await?,
            None => None,
        };
        // A call without a session is a unit of its own.
        let unit = session.as_ref().map_or_else(|| run.to_string(), SessionId::to_string);
        let inherited = parent.and_then(|parent| inheritance(snapshot, parent));
        let question = |bound| Question { tenant, attributes, unit: &unit, bound, parent: inherited };
        let mut decision = snapshot.routes.resolve(agent, question(bound)).map_err(no_route)?;
        if let (Some(key), Some(seen), Via::Bucket(_)) = (&key, bound, decision.via)
            && self.others.is_some()
        {
            bound = self.renewed(key, seen).await?;
            decision = snapshot.routes.resolve(agent, question(bound)).map_err(no_route)?;
        }
        let bind = match &key {
            // An inherited deployment is the parent's, and a fallback the dial's: not the session's own choice.
            Some(key) if !peek && !matches!(decision.via, Via::Parent | Via::Dial) => {
                match self.sessions.bind(key, bound, decision.target.deployment) {
                    Ok(bind) => bind,
                    Err(sessions::Lost) => return Ok(None),
                }
            }
            Some(_) | None => None,
        };
        let release = &snapshot.world.releases[&decision.target.release];
        let stamp = Stamp {
            run,
            agent: name.clone(),
            tenant: tenant.clone(),
            session: session.clone(),
            parent: parent.map(|parent| parent.stamp.run),
            attributes: attributes.clone(),
            single: *single,
            shadow: None,
            gate: None,
            deployment: decision.target.deployment,
            release: decision.target.release,
            segment: decision.segment.clone(),
            epoch: snapshot.routes.epoch,
            via: decision.via,
            provider: release.manifest.model.provider.clone(),
            snapshot: release.manifest.model.snapshot.clone(),
        };
        Ok(Some(Planned { stamp: Arc::new(stamp), at, bind }))
    }

    /// What a session is bound to. While the store is away, what isn't known here is not bound, except where nothing may be done on
    /// old news.
    async fn bound(&self, key: &SessionKey, matters: bool) -> Result<Option<DeploymentId>, BeginError> {
        let asks = matters && !self.goes_on_alone(key);
        match self.sessions.bound(key, asks).await {
            Ok(bound) => Ok(bound),
            Err(error) => self.unknown(key, None, error),
        }
    }

    /// What a session is bound to by now whose binding here doesn't count any more.
    async fn renewed(
        &self,
        key: &SessionKey,
        seen: DeploymentId,
    ) -> Result<Option<DeploymentId>, BeginError> {
        if self.goes_on_alone(key) {
            return Ok(Some(seen));
        }
        match self.sessions.renewed(key, seen).await {
            Ok(bound) => Ok(bound),
            Err(error) => self.unknown(key, Some(seen), error),
        }
    }

    /// Whether the store needn't be asked, as it is away and the agent's tier goes on without it.
    fn goes_on_alone(&self, key: &SessionKey) -> bool {
        self.others.is_some()
            && self.durability(&key.agent) == StampDurability::Soon
            && self.recorder.trouble().is_some()
    }

    fn unknown(
        &self,
        key: &SessionKey,
        seen: Option<DeploymentId>,
        error: sessions::Unknown,
    ) -> Result<Option<DeploymentId>, BeginError> {
        match self.durability(&key.agent) {
            StampDurability::Soon if self.others.is_some() => Ok(seen),
            StampDurability::Soon | StampDurability::BeforeCall => Err(BeginError::Journal(Arc::new(error))),
        }
    }

    fn begun(&self, served: Served, stamp: Arc<Stamp>, call: u32) -> Begun {
        let Served { contract, provider, epoch, demands: _, bodies, alternatives } = served;
        let snapshot = self.parts.snapshot.load();
        let dial = snapshot.routes.standing(&stamp).map(Arc::new);
        let shadow = snapshot.routes.shadow(&stamp);
        Begun { stamp, call, epoch, contract, provider, bodies, dial, shadow, alternatives }
    }

    fn new_run_id(&self, at: Timestamp) -> RunId {
        let mut random = [0; 16];
        self.parts.entropy.fill(&mut random[..10]);
        RunId::from_parts(at.0, u128::from_le_bytes(random))
    }

    /// Why the stamped model can't answer any more, by the catalogue's dates.
    fn pin_gone(&self, stamp: &Stamp) -> Option<String> {
        let snapshot = self.parts.snapshot.load();
        let catalogue = &snapshot.world.providers.get(&stamp.provider)?.catalogue;
        match self.parts.catalogue.load().lifecycle(catalogue, &stamp.snapshot, self.parts.clock.now()) {
            Lifecycle::Retired { .. } => Some(format!(
                "the catalogue says that {} retired model `{}`; deploy a release with another pin",
                stamp.provider, stamp.snapshot
            )),
            Lifecycle::Active
            | Lifecycle::Deprecated { .. }
            | Lifecycle::RetiringSoon { .. }
            | Lifecycle::Unlisted => None,
        }
    }
}

impl Planned {
    fn start(self, queued: bool, events: Vec<(Timestamp, Event)>, answer: Option<Answer>) -> Write {
        let stamp = Arc::unwrap_or_clone(self.stamp);
        let (at, bind) = (self.at, self.bind);
        Write::Start(Box::new(Start { stamp, at, queued, events, bind, current: false, answer }))
    }
}

/// A start that is refused when pointers moved meanwhile.
trait Current {
    fn current(self, current: bool) -> Self;
}

impl Current for Write {
    fn current(mut self, current: bool) -> Write {
        if let Write::Start(start) = &mut self {
            start.current = current;
        }
        self
    }
}

/// A run whose start is in the journal.
struct Started<'a> {
    stamp: Arc<Stamp>,
    unclaimed: Unclaimed<'a>,
}

/// Why a run's start isn't in the journal.
enum StartFailed {
    Plan(BeginError),
    Write(WriteError),
}

impl StartFailed {
    fn begin(self) -> BeginError {
        match self {
            StartFailed::Plan(error) => error,
            StartFailed::Write(error) => journal_error(error),
        }
    }
}

fn contended() -> BeginError {
    BeginError::Busy { what: "re-binding of one session", limit: PLAN_ATTEMPTS_MAX as u64 }
}

/// The deployment that a sub-agent gets from its parent: while the parent is open, whatever was rolled back since;
/// after it, only one that still counts, so that an old run's id can't bring a rolled-back deployment back.
fn inheritance(snapshot: &Snapshot, parent: &LiveRun) -> Option<DeploymentId> {
    let deployment = snapshot.routes.deployment(parent.stamp.deployment)?;
    (parent.status().is_open() || !deployment.is_rolled_back()).then_some(deployment.id)
}

#[derive(Debug, thiserror::Error)]
#[error("provider `{0}` is not registered any more")]
struct NoProvider(String);

fn no_route(no_route: NoRoute) -> BeginError {
    match no_route {
        NoRoute::NoAgent(agent) => BeginError::NoAgent(agent),
        NoRoute::NothingActive { agent, segment } => BeginError::NothingActive { agent, segment },
        NoRoute::Dialled(halted) => BeginError::Dialled(halted),
    }
}

fn journal_error(error: WriteError) -> BeginError {
    BeginError::Journal(Arc::new(error))
}

/// What tests and pages look at.
impl Runs {
    /// The deployment a session is bound to.
    pub async fn session(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        self.sessions.bound(key, true).await.map_err(|error| match error {
            sessions::Unknown::Store(error) => error,
            late @ sessions::Unknown::Late => StoreError::Unavailable(Arc::new(late)),
        })
    }

    /// How many runs are open, gateway calls included.
    #[must_use]
    pub fn live_open(&self) -> u64 {
        self.live.open()
    }
}
