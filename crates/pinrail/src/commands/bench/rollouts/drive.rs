//! Plays the clients of one rollout after another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::story;
use crate::output::talk;

/// A candidate, how much traffic its rollout gets, and how that should end.
pub struct Candidate {
    pub name: &'static str,
    pub model: &'static str,
    pub sessions: usize,
    pub expected: Ended,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Promoted,
    RolledBack,
    /// It stands and waits for a person.
    Asks,
    /// The sessions were over first.
    Undecided,
}

/// One rollout.
pub struct Outcome {
    pub ended: Ended,
    /// Sessions until then.
    pub sessions: u64,
    /// Runs that the candidate answered.
    pub candidate_runs: u64,
}

/// Clients at once: enough to keep one core busy.
const CLIENTS: usize = 8;
/// How often the rollout is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The controller's pause, its look and the journal's delay, with room: then what was observed was acted on.
const SETTLE: Duration = Duration::from_secs(2);
/// The shortest deadline that there is, and a look more.
const DEADLINE: Duration = Duration::from_secs(63);

impl Ended {
    pub fn word(self) -> &'static str {
        match self {
            Ended::Promoted => "promoted",
            Ended::RolledBack => "rolled back",
            Ended::Asks => "asks",
            Ended::Undecided => "undecided",
        }
    }
}

/// A client of the server.
pub struct Drive {
    http: ureq::Agent,
    base: String,
    sim: u16,
}

/// A rollout under way.
struct Play {
    agent: String,
    deployment: u64,
    sessions: usize,
}

impl Drive {
    pub fn new(port: u16, sim: u16) -> anyhow::Result<Drive> {
        let http = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let drive = Drive { http, base: format!("http://127.0.0.1:{port}"), sim };
        let provider =
            json!({ "base_url": format!("http://127.0.0.1:{}/v1", drive.sim), "catalogue": "sim" });
        drive.put("providers/bench", &provider)?;
        Ok(drive)
    }

    /// Rolls each candidate out once per seed. The first seed's timelines are told.
    pub fn all(
        &self,
        candidates: &[Candidate],
        seeds: u64,
    ) -> anyhow::Result<BTreeMap<&'static str, Vec<Outcome>>> {
        let mut outcomes: BTreeMap<&'static str, Vec<Outcome>> = BTreeMap::new();
        let mut asking = Vec::new();
        for seed in 1..=seeds {
            for candidate in candidates {
                let play = self.open(candidate, seed)?;
                let (ended, sessions) = self.traffic(&play, candidate.expected == Ended::Asks)?;
                if candidate.expected == Ended::Asks {
                    asking.push((candidate, play, sessions));
                    continue;
                }
                self.tell(&play, candidate, seed)?;
                outcomes.entry(candidate.name).or_default().push(self.outcome(&play, ended, sessions)?);
            }
            talk(&format!("rollouts of seed {seed} of {seeds} are over"));
        }
        // Their deadlines run together.
        if !asking.is_empty() {
            talk("waiting for the deadline of those that hardly anybody used …");
            pause(DEADLINE);
        }
        for (n, (candidate, play, sessions)) in asking.into_iter().enumerate() {
            self.tell(&play, candidate, n as u64 + 1)?;
            let ended = self.ended(&play)?.unwrap_or(Ended::Undecided);
            outcomes.entry(candidate.name).or_default().push(self.outcome(&play, ended, sessions)?);
        }
        Ok(outcomes)
    }

    fn tell(&self, play: &Play, candidate: &Candidate, seed: u64) -> anyhow::Result<()> {
        if seed == 1 {
            let page = self.get(&format!("deployments/{}/timeline", play.deployment))?;
            talk(&story::timeline(candidate.name, play.deployment, &page)?);
        }
        Ok(())
    }

    fn outcome(&self, play: &Play, ended: Ended, sessions: u64) -> anyhow::Result<Outcome> {
        Ok(Outcome { ended, sessions, candidate_runs: self.candidate_runs(play)? })
    }

    /// Makes an agent with the incumbent in front of traffic, and opens the candidate's rollout.
    fn open(&self, candidate: &Candidate, seed: u64) -> anyhow::Result<Play> {
        let agent = format!("{}-{seed}", candidate.name);
        let deadline = if candidate.expected == Ended::Asks { "1m" } else { "1h" };
        let canary = |percent: u64, runs: u64, slack: f64| json!({ "canary": { "percent": percent, "min_runs": runs, "slack": slack, "deadline": deadline } });
        let settings = json!({
            "tier": "standard",
            "rollout": {
                "steps": [canary(10, 30, 4.0), canary(30, 60, 2.0), canary(50, 100, 1.0)],
                "guardrails": [
                    { "metric": "score:task", "margin": "5%" },
                    { "metric": "error_rate", "margin": "3%" },
                    { "metric": "empty_rate", "margin": "3%" },
                ],
            },
        });
        self.put(&format!("agents/{agent}"), &settings)?;
        let release = |model: &str| -> anyhow::Result<String> {
            let manifest = json!({ "pinrail": 1, "model": { "provider": "bench", "snapshot": model } });
            let made = self.post("releases", &json!({ "agent": agent, "manifest": manifest }))?;
            Ok(made["release"].as_str().context("a release has an id")?.to_owned())
        };
        let (now, new) = (release("now-2026-01-15")?, release(candidate.model)?);
        self.post("deployments", &json!({ "releases": { &agent: now }, "now": true }))?;
        let opened = self.post("deployments", &json!({ "releases": { &agent: new }, "rollout": true }))?;
        let deployment = opened["deployment"].as_u64().context("a deployment has an id")?;
        Ok(Play { agent, deployment, sessions: candidate.sessions })
    }

    /// Lets sessions come until the rollout is over or there are no more; gives how it ended, and how many there were.
    fn traffic(&self, play: &Play, all: bool) -> anyhow::Result<(Ended, u64)> {
        let (next, done, over) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let ended = std::thread::scope(|scope| -> anyhow::Result<Option<Ended>> {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    scope.spawn(|| -> anyhow::Result<()> {
                        loop {
                            let n = next.fetch_add(1, Ordering::Relaxed);
                            if n >= play.sessions || over.load(Ordering::Relaxed) {
                                return Ok(());
                            }
                            self.session(&play.agent, n)?;
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let mut ended = None;
            while ended.is_none() && clients.iter().any(|client| !client.is_finished()) {
                pause(LOOK);
                ended = self.ended(play)?;
            }
            over.store(!all, Ordering::Relaxed);
            for client in clients {
                client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            Ok(ended)
        })?;
        let sessions = done.load(Ordering::Relaxed);
        let Some(ended) = ended else {
            pause(SETTLE);
            return Ok((self.ended(play)?.unwrap_or(Ended::Undecided), sessions));
        };
        Ok((ended, sessions))
    }

    fn ended(&self, play: &Play) -> anyhow::Result<Option<Ended>> {
        let shown = self.get(&format!("deployments/{}", play.deployment))?;
        match shown["state"].as_str() {
            Some("active" | "superseded") => Ok(Some(Ended::Promoted)),
            Some("rolled back") => Ok(Some(Ended::RolledBack)),
            _ => {
                let rollout = self.get(&format!("deployments/{}/rollout", play.deployment))?;
                Ok((!rollout["stopped"].is_null()).then_some(Ended::Asks))
            }
        }
    }

    /// Two questions, and what the client thinks of the answers.
    fn session(&self, agent: &str, n: usize) -> anyhow::Result<()> {
        for turn in 0..2 {
            let (left, right) = (10 + n % 89, 10 + (n / 89 + turn * 7) % 89);
            let body = json!({
                "model": agent,
                "messages": [{ "role": "user", "content": format!("What is {left} + {right}?") }],
            });
            let url = format!("{}/v1/chat/completions", self.base);
            let session = format!("{agent}-{n}");
            let mut answer = self.http.post(url).header("x-pinrail-session", &session).send_json(body)?;
            let run =
                answer.headers().get("x-pinrail-run").and_then(|run| run.to_str().ok()).map(str::to_owned);
            let Some(run) = run.filter(|_| answer.status().is_success()) else { continue };
            let answer: Value = answer.body_mut().read_json()?;
            let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
            let is_right = text.contains(&(left + right).to_string());
            let score = json!({ "scores": [{ "name": "task", "value": f64::from(u8::from(is_right)) }] });
            self.post(&format!("runs/{run}/scores"), &score)?;
        }
        Ok(())
    }

    fn candidate_runs(&self, play: &Play) -> anyhow::Result<u64> {
        let (mut runs, mut before) = (0, String::new());
        loop {
            let page = self.get(&format!("runs?deployment={}&limit=500{before}", play.deployment))?;
            runs += page["items"].as_array().map_or(0, Vec::len) as u64;
            match page["next"].as_str() {
                Some(next) => before = format!("&before={next}"),
                None => return Ok(runs),
            }
        }
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut answer = self.http.get(format!("{}/api/v1/{path}", self.base)).call()?;
        understood(path, answer.status().is_success(), answer.body_mut().read_json()?)
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut answer = self.http.post(format!("{}/api/v1/{path}", self.base)).send_json(body)?;
        understood(path, answer.status().is_success(), answer.body_mut().read_json()?)
    }

    fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut answer = self.http.put(format!("{}/api/v1/{path}", self.base)).send_json(body)?;
        understood(path, answer.status().is_success(), answer.body_mut().read_json()?)
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark waits for real, on threads of its own")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

fn understood(path: &str, is_success: bool, answer: Value) -> anyhow::Result<Value> {
    anyhow::ensure!(is_success, "{path}: {answer}");
    Ok(answer)
}
