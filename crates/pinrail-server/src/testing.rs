//! A server in memory for the endpoints' tests, and the words to talk to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use pinrail_api::status::MissingKey;
use pinrail_control::Control;
use pinrail_domain::begin::Call as ModelCall;
use pinrail_domain::id::{RunId, TenantId};
use pinrail_domain::journal::Event;
use pinrail_domain::model::Layers;
use pinrail_domain::time::{Clock, Entropy, Ticks, Timestamp};
use pinrail_gateway::ProviderHealth;
use pinrail_store::Memory;
use pinrail_telemetry::Telemetry;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use crate::api::watch::EVENT_STREAM;
use crate::drift::Drift;
use crate::gates::Gates;
use crate::limits::Limits;
use crate::mcp::{self, Mcp};
use crate::metrics::{Metrics, UnderWay};
use crate::state::State;
use crate::warm::Warm;
use crate::{drift, gates, openapi, pages, routes};

mod direct;
mod scripted;

pub use direct::Direct;
pub use scripted::Scripted;

/// A server without a listener, over the memory store.
#[derive(Clone)]
pub struct Bench {
    pub control: Control,
    pub memory: Arc<Memory>,
    pub state: Arc<State>,
    pub clock: Arc<TestClock>,
    /// What gates ask.
    pub models: Arc<Scripted>,
    /// What answers calls outside of runs.
    pub calls: Arc<Direct>,
    /// How the providers are said to do.
    pub healths: Arc<Mutex<Vec<ProviderHealth>>>,
    /// What calls are told to.
    pub telemetry: Telemetry,
    router: Router,
    lists: Arc<Lists>,
    bearer: Option<String>,
    tenant: Option<String>,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A stream of events that is followed.
pub struct Events(Body);

/// Goes on by a millisecond whenever it is looked at.
pub struct TestClock(AtomicU64);

/// No variable is set, but for one.
pub struct NoSecrets;

impl pinrail_gateway::port::Secrets for NoSecrets {
    fn secret(&self, env_name: &str) -> Option<String> {
        (env_name == "HOOK_SECRET").then(|| "a planted secret".to_owned())
    }
}

/// Providers whose list is what a test says.
#[derive(Default)]
pub struct Lists(std::sync::Mutex<Option<String>>);

#[async_trait::async_trait]
impl crate::ModelLists for Lists {
    async fn list(&self, _: &pinrail_domain::provider::ProviderSpec) -> Result<crate::lists::Pages, String> {
        let list = self.0.lock().unwrap().clone();
        let pages = |list: String| crate::lists::Pages { pages: vec![list.into_bytes()], whole: true };
        list.map(pages).ok_or_else(|| "it cannot be reached".to_owned())
    }
}

/// A provider that answers no question.
struct Silent;

#[async_trait::async_trait]
impl drift::Questions for Silent {
    async fn ask(
        &self,
        _: &pinrail_domain::provider::ProviderSpec,
        _: &Value,
    ) -> Result<Value, drift::AskFailed> {
        Err(drift::AskFailed::Failed("nobody answers".to_owned()))
    }
}

/// Counts, which is as unpredictable as a test needs.
pub struct Counting(AtomicU64);

impl TestClock {
    pub fn new() -> TestClock {
        TestClock(AtomicU64::new(1_800_000_000_000))
    }

    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Counting {
    pub fn new() -> Counting {
        Counting(AtomicU64::new(1))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn ticks(&self) -> Ticks {
        Ticks(self.0.fetch_add(1, Ordering::Relaxed) * 1_000_000)
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = n[place % n.len()] ^ u8::try_from(place).unwrap_or_default();
        }
    }
}

/// A manifest on the simulated provider.
pub fn manifest(snapshot: &str) -> Value {
    json!({ "pinrail": 1, "model": { "provider": "sim", "snapshot": snapshot } })
}

/// A token's public id.
pub fn id_of(token: &str) -> &str {
    token.split('_').nth(1).unwrap()
}

/// A control plane over a store.
pub async fn control(memory: &Arc<Memory>, clock: &Arc<TestClock>) -> Control {
    let options = pinrail_control::Options {
        store: Arc::clone(memory) as Arc<dyn pinrail_store::Store>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        entropy: Arc::new(Counting::new()),
        catalogue: Layers::embedded(None),
        vectors_folder: None,
        notebook: None,
        spool: None,
        stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
        leads: true,
    };
    Control::open(options).await.unwrap().0
}

/// Probes over scripted calls.
pub fn warm(control: &Control, clock: &Arc<TestClock>, calls: &Arc<Direct>) -> Warm {
    Warm::new(crate::warm::Options {
        control: control.clone(),
        calls: Arc::clone(calls) as _,
        clock: Arc::clone(clock) as _,
        every_ms: crate::warm::EVERY_MS,
    })
}

/// Gates over scripted models.
pub fn gate_options(control: &Control, clock: &Arc<TestClock>, models: &Arc<Scripted>) -> gates::Options {
    gates::Options {
        control: control.clone(),
        models: Arc::clone(models) as _,
        clock: Arc::clone(clock) as _,
        python: None,
        signing_key: None,
    }
}

/// A watch over models that nobody answers.
pub fn drift_options(control: &Control, clock: &Arc<TestClock>) -> drift::Options {
    drift::Options {
        control: control.clone(),
        questions: Arc::new(Silent),
        clock: Arc::clone(clock) as _,
        settings: drift::Settings::DEFAULT,
    }
}

/// An MCP proxy that may start no program.
pub fn mcp_options(control: &Control, clock: &Arc<TestClock>) -> mcp::Options {
    mcp::Options {
        control: control.clone(),
        clock: Arc::clone(clock) as _,
        secrets: Arc::new(NoSecrets),
        commands_allowed: Vec::new(),
    }
}

impl Bench {
    pub async fn open() -> Bench {
        Bench::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Bench {
        Bench::set_up(limits, false).await
    }

    /// A server whose metrics need no key.
    pub async fn with_open_metrics() -> Bench {
        Bench::set_up(Limits::default(), true).await
    }

    /// The first of several servers over one store; it leads.
    pub async fn leading() -> Bench {
        let (memory, clock) = (Memory::new().join("leading"), Arc::new(TestClock::new()));
        let bench = Bench::over(Arc::new(memory), clock, Limits::default(), false).await;
        bench.control.until_leading().await;
        bench
    }

    /// Another server over the same store.
    pub async fn beside(&self) -> Bench {
        let (memory, clock) = (self.memory.join("beside"), Arc::clone(&self.clock));
        Bench::over(Arc::new(memory), clock, Limits::default(), false).await
    }

    async fn set_up(limits: Limits, metrics_open: bool) -> Bench {
        Bench::over(Arc::new(Memory::new()), Arc::new(TestClock::new()), limits, metrics_open).await
    }

    async fn over(memory: Arc<Memory>, clock: Arc<TestClock>, limits: Limits, metrics_open: bool) -> Bench {
        let telemetry = Telemetry::default();
        let control = control(&memory, &clock).await;
        let lists = Arc::new(Lists::default());
        let missing = MissingKey { provider: "openai".to_owned(), key_env: "OPENAI_API_KEY".to_owned() };
        let models = Arc::new(Scripted::default());
        let gates = Gates::new(gate_options(&control, &clock, &models));
        let calls = Arc::new(Direct::default());
        let healths: Arc<Mutex<Vec<ProviderHealth>>> = Arc::default();
        let shown = Arc::clone(&healths);
        let state = Arc::new(State {
            control: control.clone(),
            gates,
            warm: warm(&control, &clock, &calls),
            drift: Drift::new(drift_options(&control, &clock)),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            limits,
            mcp: Mcp::new(mcp_options(&control, &clock)),
            version: "0.0.0-test".to_owned(),
            missing_keys: Arc::new(move || vec![missing.clone()]),
            health: Arc::new(move || shown.lock().unwrap().clone()),
            outbound: Arc::new(crate::Webhooks::new(Arc::new(NoSecrets))),
            lists: Arc::clone(&lists) as Arc<dyn crate::ModelLists>,
            draining: watch::Sender::new(false),
            pollers: Arc::new(Semaphore::new(limits.pollers_max)),
            watchers: Arc::new(Semaphore::new(limits.watchers_max)),
            epoch_watchers: Arc::new(Semaphore::new(limits.epoch_watchers_max)),
            sessions: pages::Sessions::new(None, control.entropy()),
            metrics: Metrics { open: metrics_open, ..Metrics::new(telemetry.clone()) },
            under_way: Arc::new(|| UnderWay { calls: 3, streams: 2, copies: 1 }),
            openapi: Bytes::from(openapi::document("0.0.0-test")),
        });
        let router = routes::router(Arc::clone(&state));
        Bench {
            control,
            memory,
            state,
            clock,
            models,
            calls,
            telemetry,
            router,
            lists,
            healths,
            bearer: None,
            tenant: None,
        }
    }

    /// The same server, asked with a key.
    pub fn as_key(&self, token: &str) -> Bench {
        Bench { bearer: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same server, asked for a tenant.
    pub fn for_tenant(&self, tenant: &str) -> Bench {
        Bench { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    /// What providers say of their models from now on.
    pub fn list_models(&self, body: &str) {
        *self.lists.0.lock().unwrap() = Some(body.to_owned());
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send("GET", path, &[], None).await
    }

    /// An answer that may break off.
    pub async fn try_get(&self, path: &str) -> Result<Answered, axum::Error> {
        self.raw(self.request("GET", path, &[]).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answered {
        self.send("POST", path, &[], Some(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answered {
        self.send("PUT", path, &[], Some(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.send("DELETE", path, &[], None).await
    }

    /// Sends a form as a browser does, with what every form sends along.
    pub async fn send_form(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answered {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            sent.insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let csrf = self.state.sessions.csrf(&sent, self.state.clock.now());
        let pairs =
            fields.iter().map(|(name, value)| format!("{name}={}", pinrail_dashboard::ui::url(value)));
        let body = pairs.chain([format!("csrf={csrf}")]).collect::<Vec<_>>().join("&");
        let request = self.request("POST", path, headers);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.raw(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    /// Signs in to the dashboard: the session's cookie.
    pub async fn sign_in(&self, key: &str) -> String {
        let signed = self.send_form("/login", &[], &[("key", key)]).await;
        assert_eq!(signed.status, 303, "{}", String::from_utf8_lossy(&signed.body));
        signed.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }

    pub async fn post_bytes(&self, path: &str, body: &[u8]) -> Answered {
        let request = self.request("POST", path, &[]).body(Body::from(body.to_vec())).unwrap();
        self.raw(request).await.unwrap()
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answered {
        let request = self.request(method, path, headers);
        let request = match body {
            Some(body) => {
                request.header("content-type", "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        self.raw(request.unwrap()).await.unwrap()
    }

    pub async fn raw(&self, request: Request<Body>) -> Result<Answered, axum::Error> {
        let response = self.router.clone().oneshot(pages::recognize(request)).await.unwrap();
        let (head, body) = response.into_parts();
        // A stream of events has no end to wait for.
        let endless = head.headers.get("content-type").is_some_and(|value| value == EVENT_STREAM);
        let body = if endless { Bytes::new() } else { body.collect().await?.to_bytes() };
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Begins to follow the epoch.
    pub async fn follow_epochs(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        Events(self.follow(path, headers).await)
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        let request =
            self.bearer.iter().fold(request, |request, bearer| request.header("authorization", bearer));
        let request =
            self.tenant.iter().fold(request, |request, tenant| request.header("x-pinrail-tenant", tenant));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    pub async fn provider(&self, name: &str) {
        let spec = json!({ "base_url": "sim:", "catalogue": "sim" });
        self.put(&format!("/api/v1/providers/{name}"), spec).await.ok();
    }

    /// The agent `support` and the provider `sim`.
    pub async fn agent_and_provider(&self) {
        self.provider("sim").await;
        self.put("/api/v1/agents/support", json!({})).await.ok();
    }

    /// Begins to follow a stream of events; returns its body.
    pub async fn follow(&self, path: &str, headers: &[(&str, &str)]) -> Body {
        let request = self.request("GET", path, headers).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(pages::recognize(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], EVENT_STREAM);
        response.into_body()
    }

    /// Deployment 1, serving; a canary; a run of each, of tenant `acme`. Both releases have this state contract.
    pub async fn with_canary(state: Value) -> (Bench, u64, String, String) {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let mut deployments = Vec::new();
        for (snapshot, how) in [
            ("sim-large-2026-03-01", json!({ "now": true })),
            ("sim-large-2026-04-01", json!({ "weight": 5000 })),
        ] {
            let mut manifest = manifest(snapshot);
            manifest["state"] = state.clone();
            let wish = json!({ "agent": "support", "manifest": manifest });
            let release = bench.post("/api/v1/releases", wish).await.ok()["release"].clone();
            let mut wish = json!({ "releases": { "support": release } });
            wish.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
            deployments.push(bench.open_deployment(wish).await.ok()["deployment"].as_u64().unwrap());
        }
        let good = bench.run_on(deployments[0], "acme").await;
        let bad = bench.run_on(deployments[1], "acme").await;
        (bench, deployments[1], good, bad)
    }

    /// A release of `support`; returns its id.
    pub async fn release(&self, snapshot: &str) -> String {
        let wish = json!({ "agent": "support", "manifest": manifest(snapshot) });
        self.post("/api/v1/releases", wish).await.ok()["release"].as_str().unwrap().to_owned()
    }

    pub async fn open_deployment(&self, wish: Value) -> Answered {
        self.post("/api/v1/deployments", wish).await
    }

    /// Agent, provider and release, serving all traffic; returns the deployment.
    pub async fn deploy_now(&self) -> u64 {
        self.agent_and_provider().await;
        let release = self.release("sim-large-2026-03-01").await;
        let wish = json!({ "releases": { "support": release }, "now": true });
        self.open_deployment(wish).await.ok()["deployment"].as_u64().unwrap()
    }

    /// Deployment 1, serving, and a candidate that follows this plan; returns the candidate's deployment.
    pub async fn roll_out(&self, plan: Value) -> u64 {
        self.deploy_now().await;
        let release = self.release("sim-large-2026-04-01").await;
        let wish = json!({ "releases": { "support": release }, "rollout": plan });
        self.open_deployment(wish).await.ok()["deployment"].as_u64().unwrap()
    }

    pub async fn roll_back(&self, deployment: u64) -> Answered {
        let because = json!({ "reason": "worse" });
        self.post(&format!("/api/v1/deployments/{deployment}/rollback"), because).await
    }

    /// A run of `support` for a tenant; returns its id.
    pub async fn run(&self, tenant: &str) -> String {
        let wish = json!({ "agent": "support", "tenant": tenant });
        self.post("/api/v1/runs", wish).await.ok()["run"].as_str().unwrap().to_owned()
    }

    /// A run of `support` for a tenant, in a session that falls on this deployment; returns its id.
    pub async fn run_on(&self, deployment: u64, tenant: &str) -> String {
        for n in 0..1_000 {
            let wish =
                json!({ "agent": "support", "tenant": tenant, "session": format!("{deployment}-{n}") });
            let made = self.post("/api/v1/runs", wish).await.ok();
            if made["deployment"] == deployment {
                return made["run"].as_str().unwrap().to_owned();
            }
        }
        panic!("no session falls on deployment {deployment}");
    }

    /// Ends a run that the gateway began, as its answer's end does.
    pub async fn finish_single(&self, run: RunId) {
        let end = Event::Finished { outcome: pinrail_domain::journal::Outcome::Ok, why: None };
        self.control.runs().record(run, vec![(Timestamp(0), end)]).await;
    }

    /// A run as the gateway begins one, with what is needed for it.
    pub async fn single_run(&self) -> RunId {
        self.deploy_now().await;
        let call = ModelCall {
            agent: "support".to_owned(),
            tenant: TenantId::shared(),
            run: None,
            session: None,
            attributes: Default::default(),
        };
        let run = self.control.runs().begin(call).await.unwrap().stamp.run;
        let mut flushes = self.control.runs().changes();
        while self.control.runs().get(run, &pinrail_domain::key::Tenants::All).await.unwrap().is_none() {
            flushes.changed().await.unwrap();
        }
        run
    }

    /// Waits until this replica shows all that the ledger holds.
    pub async fn caught_up(&self) {
        let head = pinrail_store::Ledger::ledger_head(&*self.memory).await.unwrap();
        let mut heads = self.control.heads();
        heads.wait_for(|shown| *shown >= head.seq).await.unwrap();
    }

    /// Journals a note that nobody waits for.
    pub async fn note(&self, run: RunId) {
        let note = Event::Note { name: "n".to_owned(), data: Value::Null };
        self.control.runs().record(run, vec![(Timestamp(0), note)]).await;
    }

    /// A key; returns its token. Makes an admin's key first where there is none.
    pub async fn key(&self, scopes: &[&str], tenants: Option<&[&str]>) -> String {
        use pinrail_domain::key::Tenants;
        let tenants = tenants.map_or(Tenants::All, |names| {
            Tenants::Only(names.iter().map(|name| name.parse().unwrap()).collect())
        });
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        let new = pinrail_control::keys::NewKey { name: "test".to_owned(), scopes, tenants };
        let by = pinrail_control::By::system("test");
        self.control.key_create(by, new).await.unwrap().1.unwrap().reveal()
    }
}

impl Events {
    /// The next piece of the stream; none at its end.
    pub async fn next(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    /// The data of the next piece, which must be an event of this epoch.
    pub async fn event(&mut self) -> Value {
        let text = self.next().await.unwrap();
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let data: Value = serde_json::from_str(line("data: ")).unwrap();
        assert_eq!((line("event: "), line("id: ")), ("epoch", &*data["epoch"].to_string()), "{text}");
        assert!(text.ends_with("\n\n"), "{text:?}");
        data
    }
}

impl Answered {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body of an answer that must be good.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The problem of an answer that must be one, with this code, and whole.
    #[track_caller]
    pub fn problem(&self, code: &str) -> Value {
        let body = self.json();
        assert_eq!(body["code"], code, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(body["status"], self.status);
        assert_eq!(body["type"], format!("urn:pinrail:problem:{code}"));
        let next_step = body["next_step"].as_str().unwrap_or_default();
        let placeholder = next_step.split('{').skip(1).any(|rest| rest.starts_with(char::is_alphabetic));
        assert!(!next_step.is_empty() && !placeholder, "no next step to take: {body}");
        body
    }
}
