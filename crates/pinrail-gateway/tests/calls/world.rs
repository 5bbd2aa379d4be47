//! A gateway with nothing real around it: runs in memory, a provider that the test plays itself, time that stands
//! still until nothing else is left to do.

use std::error::Error;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use pinrail_domain::agent::{AgentSpec, Bodies};
use pinrail_domain::begin::{Alternatives, BeginError, Begun, Call, CopyOf, Fate, NoShadow, Ruled, Wanted};
use pinrail_domain::dial::{Ruling, Standing};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, DeploymentId, Epoch, ProviderName, ReleaseId, RunId, SegmentName, SessionId,
};
use pinrail_domain::identity::IdentitySpec;
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::model::Catalogue;
use pinrail_domain::provider::{Api, ProviderSpec};
use pinrail_domain::release::{Contract, Manifest};
use pinrail_domain::routes::{Target, Via};
use pinrail_domain::time::{Clock, Ticks, Timestamp};
use pinrail_gateway::connect::{Connect, Link};
use pinrail_gateway::port::{Runs, Secrets};
use pinrail_gateway::telemetry::{Silent, Telemetry};
use pinrail_gateway::{Body, Gateway, Limits, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;

pub const KEY: &str = "sk-test-hunter22hunter22";
pub const SNAPSHOT: &str = "gpt-4o-2024-08-06";
/// The candidate's snapshot.
pub const CANDIDATES: &str = "gpt-4o-2024-11-20";
/// Who answers copies.
pub const CANDIDATE: Target =
    Target { deployment: DeploymentId(4), release: ReleaseId(Digest::from_bytes([7; 32])) };
/// The time in the ids of runs that answer copies: after all others.
const SHADOW_RUNS: u64 = 1_900_000_000_000;

/// What a test wants different.
pub struct Setup {
    pub manifest: Value,
    pub system: Option<&'static str>,
    pub tools: Option<&'static str>,
    pub bodies: Bodies,
    pub spec: ProviderSpec,
    pub limits: Limits,
    pub tenants: Tenants,
    pub secret: Option<&'static str>,
    /// How providers are reached; none has the test play them.
    pub connect: Option<Arc<dyn Connect>>,
    pub sim_base: Option<Uri>,
    /// Whether a candidate answers a copy of every call.
    pub shadow: bool,
    /// What the dial leaves of every call.
    pub dial: Option<Standing>,
    /// Where sessions and tenants are read from.
    pub identity: Option<IdentitySpec>,
    /// Who hears of calls.
    pub telemetry: Arc<dyn Telemetry>,
}

/// A gateway under test and all that it touches.
pub struct World {
    pub gateway: Gateway,
    pub runs: Arc<FakeRuns>,
    pub tenants: Tenants,
    /// Where the candidate's provider listens.
    pub candidate: Provider,
    connections: mpsc::UnboundedReceiver<DuplexStream>,
}

/// Runs in memory.
pub struct FakeRuns {
    contract: Arc<Contract>,
    pub provider: Mutex<Arc<ProviderSpec>>,
    bodies: Bodies,
    pub calls: Mutex<Vec<Call>>,
    pub journal: Mutex<Vec<Event>>,
    pub recorded: Mutex<usize>,
    /// Closed by a test, it lets `record` wait.
    pub open: Semaphore,
    /// Closed by a test, it lets `begin` wait.
    pub beginning: Semaphore,
    pub refusal: Mutex<Option<BeginError>>,
    shadow: bool,
    /// What the candidate's provider speaks; none for what the live one does.
    pub candidate_speaks: Mutex<Option<Api>>,
    /// What the runs that answer copies left.
    pub copied: Mutex<Vec<Event>>,
    pub no_shadow: Mutex<Option<NoShadow>>,
    pub fates: Mutex<Vec<Fate>>,
    fated: Notify,
    dial: Option<Arc<Standing>>,
    pub alternatives: Mutex<Alternatives>,
    /// What is said of calls that need approval, and which they were.
    pub ruled: Mutex<Ruled>,
    pub wanted: Mutex<Vec<Wanted>>,
    spec: Arc<AgentSpec>,
    /// The sessions that were bound to answers.
    pub followed: Mutex<Vec<SessionId>>,
}

/// One connection, seen from the provider.
pub struct Connection {
    io: DuplexStream,
    pub head: String,
    pub body: Value,
}

struct Memory {
    live: mpsc::UnboundedSender<DuplexStream>,
    candidate: mpsc::UnboundedSender<DuplexStream>,
}

struct Secret(Option<&'static str>);

struct PausedClock(Instant);

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            manifest: json!({"pinrail": 1, "model": {"provider": "openai", "snapshot": SNAPSHOT}}),
            system: None,
            tools: None,
            bodies: Bodies::Full,
            spec: ProviderSpec {
                base_url: "http://provider.test/v1".into(),
                key_env: Some("OPENAI_API_KEY".into()),
                catalogue: "openai".into(),
                ..ProviderSpec::simulated()
            },
            limits: Limits::default(),
            tenants: Tenants::All,
            secret: Some(KEY),
            connect: None,
            sim_base: None,
            shadow: false,
            dial: None,
            identity: None,
            telemetry: Arc::new(Silent),
        }
    }
}

impl Setup {
    /// Sets a part of the manifest by its JSON pointer's last two steps.
    pub fn pin(mut self, part: &str, key: &str, value: Value) -> Setup {
        self.manifest[part][key] = value;
        self
    }

    pub fn build(self) -> World {
        let manifest: Manifest = serde_json::from_value(self.manifest).unwrap();
        let contract = Contract {
            id: ReleaseId(Digest::of(b"release")),
            manifest: Arc::new(manifest),
            system: self.system.map(Arc::from),
            tools: self.tools.map(Arc::from),
            pins: Default::default(),
        };
        let runs = Arc::new(FakeRuns {
            contract: Arc::new(contract),
            provider: Mutex::new(Arc::new(self.spec)),
            bodies: self.bodies,
            calls: Mutex::default(),
            journal: Mutex::default(),
            recorded: Mutex::default(),
            open: Semaphore::new(1_000),
            beginning: Semaphore::new(1_000),
            refusal: Mutex::default(),
            shadow: self.shadow,
            candidate_speaks: Mutex::default(),
            copied: Mutex::default(),
            no_shadow: Mutex::default(),
            fates: Mutex::default(),
            fated: Notify::new(),
            dial: self.dial.map(Arc::new),
            alternatives: Mutex::default(),
            ruled: Mutex::new(Ruled {
                ruling: Ruling::Withheld,
                approval: None,
                expires_at: None,
                why: None,
            }),
            wanted: Mutex::default(),
            spec: Arc::new(AgentSpec { identity: self.identity.clone(), ..AgentSpec::default() }),
            followed: Mutex::default(),
        });
        let (live, connections) = mpsc::unbounded_channel();
        let (candidate, candidates) = mpsc::unbounded_channel();
        let memory = || Arc::new(Memory { live, candidate });
        let options = Options {
            runs: runs.clone(),
            secrets: Arc::new(Secret(self.secret)),
            clock: Arc::new(PausedClock(Instant::now())),
            catalogue: Arc::new(arc_swap::ArcSwap::from_pointee(Catalogue::embedded().clone())),
            sim_base: self.sim_base,
            limits: self.limits,
            telemetry: self.telemetry,
        };
        let gateway = Gateway::with_connect(options, self.connect.unwrap_or_else(|| memory()));
        World { gateway, runs, tenants: self.tenants, candidate: Provider(candidates), connections }
    }
}

impl World {
    pub fn new() -> World {
        Setup::default().build()
    }

    /// Sends a request and lets the test play the provider meanwhile.
    pub async fn call<F: Future>(
        &mut self,
        request: Request<Full<Bytes>>,
        provider: impl FnOnce(Provider) -> F,
    ) -> (Response<Body>, F::Output) {
        let (sender, unused) = mpsc::unbounded_channel();
        drop(sender);
        let connections = std::mem::replace(&mut self.connections, unused);
        let gateway = self.gateway.clone();
        let tenants = self.tenants.clone();
        tokio::join!(gateway.handle(request, &tenants), provider(Provider(connections)))
    }

    /// The provider's listening side, for several calls.
    pub fn provider(&mut self) -> Provider {
        let (_, unused) = mpsc::unbounded_channel();
        Provider(std::mem::replace(&mut self.connections, unused))
    }

    /// What became of the copies, once that many things did.
    pub async fn fates(&self, count: usize) -> Vec<Fate> {
        loop {
            let fated = self.runs.fated.notified();
            let fates = self.runs.fates.lock().unwrap().clone();
            if fates.len() >= count {
                return fates;
            }
            fated.await;
        }
    }

    /// The kinds of events that copies left, once none is under way.
    pub async fn copied(&self) -> Vec<&'static str> {
        while self.gateway.copies() > 0 {
            tokio::task::yield_now().await;
        }
        self.runs.copied.lock().unwrap().iter().map(Event::kind).collect()
    }

    /// Sends a request that must not reach the provider.
    pub async fn refused(&mut self, request: Request<Full<Bytes>>) -> (Response<Bytes>, Value) {
        let response = whole(self.gateway.handle(request, &self.tenants).await).await;
        assert!(self.connections.try_recv().is_err(), "the provider was asked");
        let body = serde_json::from_slice(response.body()).unwrap();
        (response, body)
    }

    /// The journal, once every call has ended.
    pub async fn journal(&self) -> Vec<Event> {
        self.gateway.drained().await;
        self.runs.journal.lock().unwrap().clone()
    }

    /// The kinds of events in the journal, once every call has ended.
    pub async fn kinds(&self) -> Vec<&'static str> {
        self.journal().await.iter().map(Event::kind).collect()
    }
}

/// The provider's listening side.
pub struct Provider(mpsc::UnboundedReceiver<DuplexStream>);

impl Provider {
    /// Takes the next connection and reads its first request.
    pub async fn accept(&mut self) -> Connection {
        let io = self.0.recv().await.expect("the gateway is there");
        let mut connection = Connection { io, head: String::new(), body: Value::Null };
        connection.next_request().await;
        connection
    }

    /// Takes the next connection and reads the head of its first request, whose body stays where it is.
    pub async fn accept_head(&mut self) -> Connection {
        let io = self.0.recv().await.expect("the gateway is there");
        let mut connection = Connection { io, head: String::new(), body: Value::Null };
        connection.next_head().await;
        connection
    }

    /// Refuses the next connection before it says anything.
    pub async fn refuse(&mut self) {
        drop(self.0.recv().await.expect("the gateway is there"));
    }

    /// Whether the gateway has asked for one more connection.
    pub fn was_asked(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

impl Connection {
    async fn next_head(&mut self) {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.io.read_u8().await.expect("a request comes"));
        }
        self.head = String::from_utf8(bytes).unwrap();
    }

    pub async fn next_request(&mut self) {
        self.next_head().await;
        let length = self
            .head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        self.io.read_exact(&mut body).await.unwrap();
        self.body = serde_json::from_slice(&body).unwrap();
    }

    pub async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
    }

    /// A whole answer with a status line such as `200 OK` and further header lines.
    pub async fn answer(&mut self, status: &str, headers: &[&str], body: &str) {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{lines}");
        self.say(&format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await;
    }

    pub async fn begin_stream(&mut self) {
        self.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
    }

    pub async fn chunk(&mut self, text: &str) {
        self.piece(text.as_bytes()).await;
    }

    /// A chunk of bytes that need not be text.
    pub async fn piece(&mut self, bytes: &[u8]) {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.io.write_all(&chunk).await.unwrap();
    }

    /// Sends for as long as somebody takes it; how many bytes of chunks that were.
    pub async fn flood(&mut self, chunk: &[u8]) -> usize {
        let mut sent = 0;
        let patience = std::time::Duration::from_secs(5);
        while tokio::time::timeout(patience, self.piece(chunk)).await.is_ok() {
            sent += chunk.len();
        }
        sent
    }

    pub async fn end_stream(&mut self) {
        self.say("0\r\n\r\n").await;
    }

    /// Waits until the gateway has closed the connection.
    pub async fn closed(&mut self) {
        while self.io.read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
    }
}

/// A chat request with these fields besides `model` and `messages`.
pub fn chat(fields: Value) -> Request<Full<Bytes>> {
    let mut body = json!({"model": "support", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    raw(body.to_string())
}

pub fn raw(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions").body(Full::new(body.into())).unwrap()
}

pub fn with(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

pub async fn whole(response: Response<Body>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

pub async fn text(response: Response<Body>) -> String {
    String::from_utf8(whole(response).await.into_body().to_vec()).unwrap()
}

/// The next piece of a streamed body.
pub async fn next(response: &mut Response<Body>) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

/// The next piece of a streamed body, as it came.
pub async fn piece(response: &mut Response<Body>) -> Option<Bytes> {
    Some(response.body_mut().frame().await?.unwrap().into_data().unwrap())
}

/// A completion as OpenAI sends it.
pub fn completion(model: &str) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": model, "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    })
    .to_string()
}

/// One event of a streamed completion.
pub fn event(content: &str, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": {"content": content}, "finish_reason": finish});
    format!("data: {}\n\n", json!({"id": "c", "model": SNAPSHOT, "choices": [choice]}))
}

pub fn usage_event() -> String {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12});
    format!("data: {}\n\n", json!({"id": "c", "model": SNAPSHOT, "choices": [], "usage": usage}))
}

#[async_trait]
impl Runs for FakeRuns {
    async fn begin(&self, call: Call) -> Result<Begun, BeginError> {
        let _open = self.beginning.acquire().await.unwrap();
        if let Some(refusal) = self.refusal.lock().unwrap().take() {
            return Err(refusal);
        }
        if call.agent != "support" {
            return Err(BeginError::NoAgent(call.agent));
        }
        let mut calls = self.calls.lock().unwrap();
        calls.push(call.clone());
        let stamp = Stamp {
            run: call.run.unwrap_or(RunId::from_parts(1_000, calls.len() as u128)),
            agent: AgentName::new("support").unwrap(),
            tenant: call.tenant,
            session: call.session,
            parent: None,
            attributes: call.attributes,
            single: call.run.is_none(),
            shadow: None,
            gate: None,
            deployment: DeploymentId(3),
            release: self.contract.id,
            segment: SegmentName::default_segment(),
            epoch: Epoch(8),
            via: Via::Active,
            provider: ProviderName::new("openai").unwrap(),
            snapshot: self.contract.manifest.model.snapshot.clone(),
        };
        Ok(Begun {
            stamp: Arc::new(stamp),
            call: 1,
            epoch: Epoch(9),
            contract: self.contract.clone(),
            provider: self.provider.lock().unwrap().clone(),
            bodies: self.bodies,
            dial: self.dial.clone(),
            shadow: self.shadow.then_some(CANDIDATE),
            alternatives: self.alternatives.lock().unwrap().clone(),
        })
    }

    async fn rule_tool(&self, wanted: Wanted) -> Ruled {
        let ruled = self.ruled.lock().unwrap().clone();
        self.wanted.lock().unwrap().push(wanted);
        ruled
    }

    async fn peek(&self, call: Call) -> Result<Begun, BeginError> {
        self.begin(call).await
    }

    fn agent(&self, name: &str) -> Option<Arc<AgentSpec>> {
        (name == "support").then(|| Arc::clone(&self.spec))
    }

    async fn record_followed(&self, stamp: &Stamp, events: Vec<(Timestamp, Event)>, session: SessionId) {
        self.followed.lock().unwrap().push(session);
        self.record(stamp.run, events).await;
    }

    fn provider(&self, name: &ProviderName) -> Option<Arc<ProviderSpec>> {
        (name.as_str() == "openai").then(|| self.provider.lock().unwrap().clone())
    }

    async fn begin_shadow(&self, copy: CopyOf) -> Result<Begun, NoShadow> {
        if let Some(refusal) = self.no_shadow.lock().unwrap().clone() {
            return Err(refusal);
        }
        assert_eq!(copy.target, CANDIDATE);
        let run = RunId::from_parts(SHADOW_RUNS, copy.live.run.0);
        let mut manifest = Manifest::clone(&self.contract.manifest);
        manifest.model.snapshot = CANDIDATES.into();
        let stamp = Stamp {
            run,
            session: None,
            single: true,
            shadow: Some(copy.live.run),
            deployment: CANDIDATE.deployment,
            release: CANDIDATE.release,
            via: Via::Shadow,
            provider: ProviderName::new("candidate").unwrap(),
            snapshot: CANDIDATES.into(),
            ..Stamp::clone(&copy.live)
        };
        let contract = Contract {
            id: CANDIDATE.release,
            manifest: Arc::new(manifest),
            ..Contract::clone(&self.contract)
        };
        let base_url = "http://candidate.test/v1".into();
        let mut spec = ProviderSpec { base_url, ..ProviderSpec::clone(&self.provider.lock().unwrap()) };
        if let Some(api) = *self.candidate_speaks.lock().unwrap() {
            spec.apis = vec![api];
        }
        Ok(Begun {
            stamp: Arc::new(stamp),
            call: 1,
            epoch: Epoch(9),
            contract: Arc::new(contract),
            provider: Arc::new(spec),
            bodies: self.bodies,
            dial: None,
            shadow: None,
            alternatives: self.alternatives.lock().unwrap().clone(),
        })
    }

    fn copied(&self, deployment: DeploymentId, fate: Fate) {
        assert_eq!(deployment, CANDIDATE.deployment);
        self.fates.lock().unwrap().push(fate);
        self.fated.notify_waiters();
    }

    async fn record(&self, run: RunId, events: Vec<(Timestamp, Event)>) {
        let _open = self.open.acquire().await.unwrap();
        if run >= RunId::from_parts(SHADOW_RUNS, 0) {
            self.copied.lock().unwrap().extend(events.into_iter().map(|(_, event)| event));
            return;
        }
        *self.recorded.lock().unwrap() += 1;
        self.journal.lock().unwrap().extend(events.into_iter().map(|(_, event)| event));
    }

    fn agents(&self) -> Vec<(AgentName, u64)> {
        vec![(AgentName::new("support").unwrap(), 1_700_000_000)]
    }
}

#[async_trait]
impl Connect for Memory {
    async fn connect(&self, to: Uri) -> Result<Link, Box<dyn Error + Send + Sync>> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let listening = if to.host() == Some("candidate.test") { &self.candidate } else { &self.live };
        listening.send(theirs).map_err(|_| "the provider does not listen")?;
        Ok(Link::new(TokioIo::new(ours), false))
    }
}

impl Secrets for Secret {
    fn secret(&self, env_name: &str) -> Option<String> {
        self.0.filter(|_| env_name == "OPENAI_API_KEY").map(str::to_owned)
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }

    fn ticks(&self) -> Ticks {
        Ticks(u64::try_from(self.0.elapsed().as_nanos()).unwrap())
    }
}
