//! A control plane to test: the in-memory store behind a gate, a manual clock, counted randomness.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::begin::{BeginError, Begun, Call};
use pinrail_domain::deploy::{Open, TakeBack, Traffic};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, DeploymentId, EventSeq, LedgerSeq, ReleaseId, RunId, SegmentName, TenantId,
};
use pinrail_domain::journal::collect::RunDay;
use pinrail_domain::journal::{Event, Outcome, Recorded, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::ledger::{Actor, Entry, Head};
use pinrail_domain::model::{Catalogue, Layers};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::share::Share;
use pinrail_domain::tier::Tier;
use pinrail_domain::time::{Clock, Day, Entropy, Ticks, Timestamp};
use pinrail_store::journal::{
    CollectError, Found, OpenRuns, Run, RunFilter, Search, SessionKey, Write, WriteError, Written,
};
use pinrail_store::memory::{Memory, Strike};
use pinrail_store::{Answer, AnswerKey, Answers, Artifacts, Journal, Ledger, StoreError, ledger};
use serde_json::json;
use tokio::sync::watch;

use crate::publish::Publish;
use crate::runs::{Create, CreateRefused, Created};
use crate::{By, Control, Idempotency, Options, Recovered};

mod approvals;
mod deliveries;
mod gates;
mod sightings;
mod state;
mod watches;

/// 2026-11-20, long before any date in the catalogue below.
pub const START: Timestamp = Timestamp(1_795_132_800_000);
/// When `retiring-2026-01-01` is gone.
pub const RETIRED: Timestamp = Timestamp(1_830_297_600_000);
pub const AGENTS: [&str; 2] = ["planner", "executor"];

const MODELS: &str = r#"
version = 1
as_of = "2026-11-20"
[[providers.house.groups]]
source = "the tests"
as_of = "2026-11-20"
models = [
  { id = "m1-2026-01-01", identity = "pinned" },
  { id = "m2-2026-01-01", identity = "pinned" },
  { id = "m3-2026-01-01", identity = "pinned" },
  { id = "retiring-2026-01-01", identity = "pinned", retires = "2028-01-01" },
  { id = "moving", identity = "floating" },
]
"#;

pub struct ManualClock(pub AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn ticks(&self) -> Ticks {
        Ticks(self.0.load(Ordering::SeqCst) * 1_000_000)
    }
}

/// Never the same bytes twice, always the same in the same order.
pub struct Counted(AtomicU64);

impl Counted {
    pub fn new() -> Counted {
        Counted(AtomicU64::new(0))
    }
}

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let drawn = Digest::of(&self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()).hex();
        bytes.iter_mut().zip(drawn.bytes().cycle()).for_each(|(byte, drawn)| *byte = drawn);
    }
}

/// While it is shut, what was written is not acknowledged.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    fn new() -> Gate {
        Gate(watch::channel(true).0)
    }

    pub fn shut(&self) {
        self.0.send_replace(false);
    }

    pub fn unlock(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.expect("the gate holds the sender");
    }
}

/// The in-memory store, with gates.
pub struct Gated {
    pub memory: Memory,
    pub ledger: Gate,
    pub journal: Gate,
    /// While it is shut, nobody hears whether a key has its answer.
    pub answers: Gate,
    pub state: Gate,
    /// While it is shut, nobody reads a space's operations.
    pub operations: Gate,
    /// How many batches of state were appended, and how many of ledger entries.
    pub state_appends: AtomicU64,
    pub ledger_appends: AtomicU64,
    tamper: Mutex<Option<Tamper>>,
    unreadable: AtomicBool,
    no_answers: AtomicBool,
    /// How many batches of journal writes came, and how long the longest was.
    pub batches: AtomicU64,
    pub longest: AtomicU64,
}

/// Changes what is read of the ledger.
pub type Tamper = Arc<dyn Fn(&mut Vec<Entry>) + Send + Sync>;

impl Gated {
    pub fn tamper(&self, tamper: Option<Tamper>) {
        *self.tamper.lock().unwrap() = tamper;
    }

    pub fn fail(&self, writes: usize, strike: Strike) {
        self.memory.fail_next(writes, strike, &unplugged());
    }

    /// Refuses the next writes for want of room.
    pub fn fill(&self, writes: usize) {
        let full = StoreError::Full(Arc::new(std::io::Error::other("no room")));
        self.memory.fail_next(writes, Strike::BeforeEffect, &full);
    }

    /// Makes answers unreadable, or readable again.
    pub fn without_answers(&self, without: bool) {
        self.no_answers.store(without, Ordering::SeqCst);
    }

    /// Makes the ledger unreadable, or readable again.
    pub fn unreadable(&self, unreadable: bool) {
        self.unreadable.store(unreadable, Ordering::SeqCst);
    }
}

#[async_trait]
impl Artifacts for Gated {
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.memory.artifact_put(bytes).await
    }

    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.artifact_get(digest).await
    }
}

#[async_trait]
impl Ledger for Gated {
    async fn ledger_head(&self) -> Result<Head, StoreError> {
        self.memory.ledger_head().await
    }

    async fn ledger_append(&self, append: ledger::Append) -> Result<(), ledger::AppendError> {
        self.ledger_appends.fetch_add(1, Ordering::SeqCst);
        let result = self.memory.ledger_append(append).await;
        self.ledger.pass().await;
        result
    }

    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(unplugged());
        }
        let tamper = self.tamper.lock().unwrap().clone();
        let Some(tamper) = tamper else { return self.memory.ledger_read(after, limit).await };
        let mut entries = self.memory.ledger_read(LedgerSeq(0), usize::MAX).await?;
        tamper(&mut entries);
        Ok(entries.into_iter().filter(|entry| entry.seq > after).take(limit).collect())
    }
}

/// One process has it.
impl pinrail_store::Replicas for Gated {}

impl pinrail_store::Members for Gated {}

#[async_trait]
impl Journal for Gated {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.longest.fetch_max(writes.len() as u64, Ordering::SeqCst);
        let results = self.memory.journal_write(writes).await;
        self.journal.pass().await;
        results
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        self.memory.run_get(run).await
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.memory.run_events(run, from, limit).await
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.memory.run_list(filter, before, limit).await
    }

    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        self.memory.run_search(search, before, limit).await
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        self.memory.run_open(deployment).await
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        self.memory.run_erase(runs).await
    }

    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError> {
        self.memory.run_days(until).await
    }

    async fn run_collect(&self, day: Day) -> Result<u64, CollectError> {
        self.memory.run_collect(day).await
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        self.memory.run_open_total().await
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        self.memory.session_get(key).await
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        self.memory.sessions_recent(limit).await
    }
}

#[async_trait]
impl Answers for Gated {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError> {
        if self.no_answers.load(Ordering::SeqCst) {
            return Err(unplugged());
        }
        let answer = self.memory.answer_get(key).await;
        self.answers.pass().await;
        answer
    }

    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.memory.answers_expire(before).await
    }
}

/// A control plane and all that its tests turn.
pub struct Bench {
    pub store: Arc<Gated>,
    pub clock: Arc<ManualClock>,
    pub entropy: Arc<Counted>,
    pub control: Control,
}

impl Bench {
    /// An empty one.
    pub async fn empty() -> Bench {
        let store = Arc::new(Gated {
            memory: Memory::new(),
            ledger: Gate::new(),
            journal: Gate::new(),
            answers: Gate::new(),
            state: Gate::new(),
            operations: Gate::new(),
            state_appends: AtomicU64::new(0),
            ledger_appends: AtomicU64::new(0),
            tamper: Mutex::default(),
            unreadable: AtomicBool::new(false),
            no_answers: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            longest: AtomicU64::new(0),
        });
        let clock = Arc::new(ManualClock(AtomicU64::new(START.0)));
        let entropy = Arc::new(Counted(AtomicU64::new(0)));
        let control = open(&store, &clock, &entropy).await.unwrap().0;
        Bench { store, clock, entropy, control }
    }

    /// One with provider `p`, the agents `planner` and `executor` in this tier, and `m1` active for both:
    /// deployment 1.
    pub async fn new(tier: Tier) -> Bench {
        let bench = Bench::empty().await;
        bench.settle_in().await;
        // What was promoted before an agent became critical needed no gate.
        if tier != Tier::Standard {
            bench.put_agents(tier).await;
        }
        bench
    }

    /// Makes what [`Bench::new`] makes in an empty one.
    pub async fn settle_in(&self) {
        let provider = ProviderSpec { catalogue: "house".to_owned(), ..ProviderSpec::simulated() };
        self.control.provider_put(by("p"), &"p".parse().unwrap(), &provider).await.unwrap();
        self.put_agents(Tier::Standard).await;
        let one = self.deploy(&AGENTS, "m1-2026-01-01", Traffic::Now).await;
        assert_eq!(one, DeploymentId(1));
    }

    async fn put_agents(&self, tier: Tier) {
        for name in AGENTS {
            let spec = AgentSpec { tier, ..AgentSpec::default() };
            self.control.agent_put(by("a"), &agent(name), &spec).await.unwrap();
        }
    }

    /// Another control plane over the same store: a restart, or a replica.
    pub async fn another(&self) -> (Bench, Recovered) {
        self.reopened(None).await
    }

    /// Another one that keeps graphs of vectors in a folder.
    pub async fn another_in(&self, vectors_folder: &Path) -> Bench {
        self.reopened(Some(vectors_folder)).await.0
    }

    async fn reopened(&self, vectors_folder: Option<&Path>) -> (Bench, Recovered) {
        let (control, recovered) =
            open_in(&self.store, &self.clock, &self.entropy, vectors_folder).await.unwrap();
        let Bench { store, clock, entropy, control: _ } = self;
        let (store, clock, entropy) = (Arc::clone(store), Arc::clone(clock), Arc::clone(entropy));
        (Bench { store, clock, entropy, control }, recovered)
    }

    pub async fn release(&self, name: &str, snapshot: &str) -> ReleaseId {
        let publish = Publish { agent: agent(name), manifest: manifest(snapshot), model_override: None };
        self.control.publish(by("publish"), publish).await.unwrap().value.release
    }

    /// Deploys a model for agents.
    pub async fn deploy(&self, agents: &[&str], snapshot: &str, traffic: Traffic) -> DeploymentId {
        for name in agents {
            self.release(name, snapshot).await;
        }
        let wish = wish(agents, snapshot, traffic);
        self.control.deploy(by("deploy"), &wish).await.unwrap().value.deployment
    }

    pub async fn canary(&self, snapshot: &str, percent: &str) -> DeploymentId {
        self.deploy(&AGENTS, snapshot, Traffic::Canary(share(percent))).await
    }

    pub async fn roll_back(&self, id: DeploymentId) {
        self.control.roll_back(by("bad"), id, TakeBack::default()).await.unwrap();
    }

    pub async fn begin(&self, session: Option<&str>) -> Result<Begun, BeginError> {
        self.control.runs().begin(call(session)).await
    }

    /// Journals an answer that a session goes on from.
    pub async fn answer(&self, stamp: &Stamp, session: &str) {
        let finished = Event::Finished { outcome: Outcome::Ok, why: None };
        let events = vec![(self.clock.now(), finished)];
        self.control.runs().record_followed(stamp, events, session.parse().unwrap()).await;
    }

    pub async fn join(&self, run: RunId) -> Result<Begun, BeginError> {
        self.control.runs().begin(Call { run: Some(run), ..call(None) }).await
    }

    pub async fn create(&self, create: Create) -> Result<Created, CreateRefused> {
        self.control.runs().create(create, &Tenants::All, None).await
    }

    pub async fn created(&self, session: Option<&str>) -> RunId {
        self.create(creating(session)).await.unwrap().stamp.run
    }

    pub async fn finish(&self, run: RunId) -> Result<(), crate::runs::AppendRefused> {
        self.control.runs().finish(run, &Tenants::All, Outcome::Ok, None, None).await.map(drop)
    }

    /// Records the end of a gateway call.
    pub async fn end(&self, run: RunId) {
        let finished = Event::Finished { outcome: Outcome::Ok, why: None };
        self.control.runs().record(run, vec![(self.clock.now(), finished)]).await;
    }

    pub async fn stored(&self, run: RunId) -> Option<Run> {
        self.store.run_get(run).await.unwrap()
    }

    pub async fn kinds(&self, run: RunId) -> Vec<&'static str> {
        let events = self.store.run_events(run, EventSeq(0), 10_000).await.unwrap();
        events.iter().map(|recorded| recorded.event.kind()).collect()
    }
}

pub async fn open(
    store: &Arc<Gated>,
    clock: &Arc<ManualClock>,
    entropy: &Arc<Counted>,
) -> Result<(Control, Recovered), crate::OpenError> {
    open_in(store, clock, entropy, None).await
}

/// One that keeps graphs of vectors in a folder.
pub async fn open_in(
    store: &Arc<Gated>,
    clock: &Arc<ManualClock>,
    entropy: &Arc<Counted>,
    vectors_folder: Option<&Path>,
) -> Result<(Control, Recovered), crate::OpenError> {
    let (store, clock, entropy) = (Arc::clone(store), Arc::clone(clock), Arc::clone(entropy));
    let vectors_folder = vectors_folder.map(Path::to_owned);
    Control::open(Options {
        store,
        clock,
        entropy,
        catalogue: Layers::of(catalogue()),
        vectors_folder,
        notebook: None,
        spool: None,
        stale_ms_max: crate::runs::STALE_MS_MAX,
        leads: true,
    })
    .await
}

fn unplugged() -> StoreError {
    StoreError::Unavailable(Arc::new(std::io::Error::other("unplugged")))
}

/// The embedded catalogue with the tests' own models over it.
pub fn catalogue() -> Catalogue {
    Catalogue::overlaid(Catalogue::embedded().clone(), Catalogue::from_toml(MODELS).unwrap())
}

pub fn by(reason: &str) -> By {
    By { actor: Actor::Open, reason: reason.to_owned(), idempotency: None, term: None }
}

/// By a caller with an idempotency key; `request` stands for what is asked.
pub fn keyed(key: &str, request: &str) -> By {
    By { idempotency: Some(idempotency(key, request)), ..by("keyed") }
}

pub fn idempotency(key: &str, request: &str) -> Idempotency {
    let key = AnswerKey { caller: "open".to_owned(), key: key.parse().unwrap() };
    Idempotency { key, request: Digest::of(request.as_bytes()) }
}

pub fn agent(name: &str) -> AgentName {
    name.parse().unwrap()
}

pub fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub fn share(text: &str) -> Share {
    text.parse().unwrap()
}

pub fn manifest(snapshot: &str) -> Manifest {
    serde_json::from_value(json!({"pinrail": 1, "model": {"provider": "p", "snapshot": snapshot}})).unwrap()
}

pub fn wish(agents: &[&str], snapshot: &str, traffic: Traffic) -> Open {
    let release = manifest(snapshot).id().unwrap();
    Open {
        releases: agents.iter().map(|name| (agent(name), release)).collect(),
        segment: SegmentName::default_segment(),
        traffic,
        lift_hold: false,
    }
}

/// A call of the planner for tenant `acme`.
pub fn call(session: Option<&str>) -> Call {
    Call {
        agent: "planner".to_owned(),
        tenant: tenant("acme"),
        run: None,
        session: session.map(|session| session.parse().unwrap()),
        attributes: BTreeMap::new(),
    }
}

/// A run of the planner for tenant `acme`.
pub fn creating(session: Option<&str>) -> Create {
    Create {
        agent: agent("planner"),
        tenant: tenant("acme"),
        session: session.map(|session| session.parse().unwrap()),
        attributes: BTreeMap::new(),
        parent: None,
        queued: false,
    }
}

pub fn session_key(session: &str) -> SessionKey {
    SessionKey { agent: agent("planner"), tenant: tenant("acme"), session: session.parse().unwrap() }
}

pub fn note(name: &str) -> Event {
    Event::Note { name: name.to_owned(), data: serde_json::Value::Null }
}

/// Lets everything that can run do so.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
