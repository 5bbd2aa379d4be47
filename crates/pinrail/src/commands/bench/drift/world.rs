//! A world with one agent, one model and a clock of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use pinrail_control::publish::Publish;
use pinrail_control::{By, Control, Options};
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::drift::border::Verdict;
use pinrail_domain::id::{AgentName, ProviderName, SegmentName};
use pinrail_domain::model::Layers;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::time::{Clock, Ticks, Timestamp};
use pinrail_provider_sim::{Script, Sim};
use pinrail_server::drift::{self, AskFailed, Drift, Questions};
use pinrail_store::Memory;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::system::OsEntropy;

/// How a model answers.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub logprobs: bool,
    /// Noise from day to day, in logits.
    pub wobble: f64,
    pub error_rate: f64,
}

/// What became of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The day on which a finding was opened.
    pub found: Option<u32>,
    /// Days that were judged.
    pub judged: u32,
    /// Tokens of answers, in all.
    pub answers: u64,
}

/// The server's parts around a simulated provider.
pub struct World {
    pub control: Control,
    pub drift: Drift,
    clock: Arc<Days>,
}

/// A clock that goes when it is told to.
pub struct Days(AtomicU64);

/// Asks the simulated provider in this process.
struct InProcess(Router);

/// Some midnight.
const START_MS: u64 = 1_800_057_600_000;
const DAY_MS: u64 = 86_400_000;
/// Looks of the clock a day: more than the schedule has.
const LOOKS: u64 = 8;
const SNAPSHOT: &str = "watched-2026-01-15";

impl Clock for Days {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn ticks(&self) -> Ticks {
        Ticks(self.0.load(Ordering::Relaxed) * 1_000_000)
    }
}

#[async_trait]
impl Questions for InProcess {
    async fn ask(&self, _: &ProviderSpec, body: &Value) -> Result<Value, AskFailed> {
        let failed = |error: String| AskFailed::Failed(error);
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .map_err(|error| failed(error.to_string()))?;
        let Ok(response) = self.0.clone().oneshot(request).await;
        let status = response.status();
        let body =
            response.into_body().collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| failed(error.to_string())),
            StatusCode::TOO_MANY_REQUESTS => {
                Err(AskFailed::Busy { why: "429".to_owned(), retry_after_ms: None })
            }
            status if status.is_client_error() => {
                Err(AskFailed::Refused(String::from_utf8_lossy(&body).into_owned()))
            }
            status => Err(failed(status.to_string())),
        }
    }
}

impl World {
    /// A world with a model that is swapped on a day for a sibling so many logits away.
    pub async fn open(seed: u64, asked: Asked, swap: Option<(u32, f64)>) -> anyhow::Result<World> {
        let clock = Arc::new(Days(AtomicU64::new(START_MS)));
        let script = Script::from_toml(&script(asked, swap))?;
        let time = Arc::clone(&clock);
        let sim = Sim::new(script, seed, Arc::new(move || time.now().0 / 1_000));
        let options = Options {
            store: Arc::new(Memory::new()),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            catalogue: Layers::embedded(None),
            vectors_folder: None,
            notebook: None,
            spool: None,
            stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
            leads: true,
        };
        let (control, _) = Control::open(options).await?;
        deploy(&control).await?;
        let drift = Drift::new(drift::Options {
            control: control.clone(),
            questions: Arc::new(InProcess(sim.router())),
            clock: Arc::clone(&clock) as _,
            settings: drift::Settings::DEFAULT,
        });
        Ok(World { control, drift, clock })
    }

    /// Lets days pass until there is a finding or they are over.
    pub async fn live(&self, days: u32) -> anyhow::Result<Fate> {
        let mut answers = 0;
        let mut found = None;
        for day in 0..days {
            for look in 0..LOOKS {
                let now = START_MS + u64::from(day) * DAY_MS + look * (DAY_MS / LOOKS) + DAY_MS / LOOKS - 1;
                self.clock.0.store(now, Ordering::Relaxed);
                self.drift.look_at_due().await?;
            }
            let spent = self.spent().await?;
            let most = self.drift.settings().tokens_per_day;
            anyhow::ensure!(spent <= most, "{spent} tokens on day {day}; {most} are allowed");
            answers += u64::from(spent);
            if !self.control.snapshot().world.findings.is_empty() {
                found = Some(day);
                break;
            }
        }
        let shown = self.drift.list().await?.pop();
        let judged = shown.map_or(0, |shown| {
            let is_judged = |verdict: &Verdict| !matches!(verdict, Verdict::Calibrating { .. });
            shown.judged.days.iter().filter(|(_, verdict)| is_judged(verdict)).count()
        });
        Ok(Fate { found, judged: u32::try_from(judged)?, answers })
    }
}

impl World {
    /// What today has cost so far.
    async fn spent(&self) -> anyhow::Result<u32> {
        let watches = self.control.watch_store().watch_list().await?;
        let (_, document) = watches.first().ok_or_else(|| anyhow::anyhow!("the model isn't watched"))?;
        let document: Value = serde_json::from_str(document)?;
        Ok(u32::try_from(document["spent"]["tokens"].as_u64().unwrap_or(0))?)
    }
}

async fn deploy(control: &Control) -> anyhow::Result<()> {
    let by = || By::system("bench");
    let agent = AgentName::new("watched")?;
    control.provider_put(by(), &ProviderName::new("sim")?, &ProviderSpec::simulated()).await?;
    control.agent_put(by(), &agent, &toml::from_str("")?).await?;
    let manifest: Manifest = serde_json::from_value(
        json!({ "pinrail": 1, "model": { "provider": "sim", "snapshot": SNAPSHOT } }),
    )?;
    let publish = Publish { agent: agent.clone(), manifest, model_override: None };
    let release = control.publish(by(), publish).await?.value.release;
    let wish = Open {
        releases: BTreeMap::from([(agent, release)]),
        segment: SegmentName::default_segment(),
        traffic: Traffic::Now,
        lift_hold: false,
    };
    control.deploy(by(), &wish).await?;
    Ok(())
}

fn script(asked: Asked, swap: Option<(u32, f64)>) -> String {
    let Asked { logprobs, wobble, error_rate } = asked;
    let habits = format!("logprobs = {logprobs}\nwobble = {wobble:?}\nerror_rate = {error_rate:?}\n");
    let mut script = format!("[[checkpoint]]\nid = \"old\"\n{habits}");
    let mut rotate = String::new();
    if let Some((day, distance)) = swap {
        script.push_str(&format!(
            "[[checkpoint]]\nid = \"new\"\nsibling_of = \"old\"\ndistance = {distance:?}\n{habits}"
        ));
        rotate = format!("rotate = [{{ after_days = {day}, to = \"new\" }}]\n");
    }
    script.push_str(&format!(
        "[[alias]]\nid = \"{SNAPSHOT}\"\ncheckpoint = \"old\"\nmask = true\nmask_fingerprint = true\n{rotate}"
    ));
    script
}
