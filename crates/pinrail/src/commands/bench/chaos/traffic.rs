//! Who uses the replicas meanwhile: workers that make runs, journal and remember; an operator that opens deployments,
//! promotes them and takes them back; an observer that looks who leads.
//!
//! Each asks until it has an answer, with the same idempotency key and at another replica, as real clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::process;
use super::super::stats::dice::Dice;
use super::ask::{Ask, Said};
use super::fleet::{self, Naps, Replica};
use super::record::{Fate, Record, Rollback, Run, Turn};

/// What all of them share.
pub struct World {
    pub record: Record,
    pub ports: Vec<u16>,
    pub names: Vec<String>,
    /// When each of them was stopped.
    naps: Vec<Arc<Naps>>,
    pub seed: u64,
    /// Nothing new begins while this is set.
    rest: AtomicBool,
    stop: AtomicBool,
    /// Things that are under way.
    busy: AtomicU64,
}

pub const AGENT: &str = "chaos";
/// Workers that each do one thing at a time.
const WORKERS: usize = 6;
/// Runs of one session.
const RUNS_PER_SESSION: u64 = 4;
/// How long a client asks before it gives up and remembers that it doesn't know.
const PATIENCE: Duration = Duration::from_secs(45);
/// What a client waits for one replica before it asks another, as someone behind a balancer does: far more than anything takes while all is
/// well. So a replica that is stopped is one that the others do the work of, and not the end of all work.
const TURNS_AWAY: Duration = Duration::from_secs(2);
/// Between two looks, and before a rollback is asked for again.
const LOOK: Duration = Duration::from_millis(100);
/// Names of replicas that are kept of one rollback, the last ones.
const ASKED_MAX: usize = 8;
/// A canary's share, in hundredths of a percent.
const WEIGHT: u32 = 5_000;

impl World {
    /// A world of these replicas, which may be asked but not touched.
    pub fn new(seed: u64, replicas: &[Replica]) -> World {
        World {
            record: Record::default(),
            ports: replicas.iter().map(|replica| replica.port).collect(),
            names: replicas.iter().map(|replica| replica.name.clone()).collect(),
            naps: replicas.iter().map(Replica::naps).collect(),
            seed,
            rest: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            busy: AtomicU64::new(0),
        }
    }

    /// Starts everybody.
    pub fn populate(self: &Arc<World>) -> JoinSet<()> {
        let mut everybody = JoinSet::new();
        for worker in 0..WORKERS {
            everybody.spawn(Arc::clone(self).work(worker));
        }
        everybody.spawn(Arc::clone(self).operate());
        everybody.spawn(Arc::clone(self).observe());
        everybody
    }

    /// Lets what is under way end, and nothing new begin, until [`World::go_on`].
    pub async fn come_to_rest(&self) {
        self.rest.store(true, Ordering::SeqCst);
        while self.busy.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    pub fn go_on(&self) {
        self.rest.store(false, Ordering::SeqCst);
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Waits for permission to begin something. False: it is over.
    async fn may_begin(&self) -> bool {
        loop {
            if self.stop.load(Ordering::SeqCst) {
                return false;
            }
            self.busy.fetch_add(1, Ordering::SeqCst);
            if !self.rest.load(Ordering::SeqCst) {
                return true;
            }
            self.done();
            tokio::time::sleep(LOOK).await;
        }
    }

    fn done(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
    }

    fn deadline(&self) -> Instant {
        process::now() + PATIENCE
    }

    async fn insist(&self, ask: &Ask, first: usize) -> Said {
        let said = fleet::insist(ask, &self.ports, first, TURNS_AWAY, self.deadline()).await;
        self.record.count(&said);
        said
    }

    async fn work(self: Arc<World>, worker: usize) {
        let mut dice = Dice::new(self.seed ^ (worker as u64 + 1));
        for n in 0_u64.. {
            if !self.may_begin().await {
                return;
            }
            self.one_run(worker, n, &mut dice).await;
            self.done();
        }
    }

    /// A whole run: made, journaled, remembered from, asked beside, ended.
    async fn one_run(&self, worker: usize, n: u64, dice: &mut Dice) {
        let name = format!("{}-{worker}-{n}", self.seed);
        let session = format!("s-{worker}-{}", n / RUNS_PER_SESSION);
        let mut turn = worker + n as usize;
        let make = json!({ "agent": AGENT, "session": session });
        let made = match self.insist(&Ask::once(format!("{name}-run"), "/api/v1/runs", make), turn).await {
            Said::Done(made) => made,
            Said::Refused { .. } | Said::Lost | Said::Untrue(_) => return,
        };
        let (Some(run), Some(release), Some(deployment)) =
            (made["run"].as_str(), made["release"].as_str(), made["deployment"].as_u64())
        else {
            return self.record.violated(format!("a run was made without saying which: {made}"));
        };
        let known = Run { release: release.to_owned(), deployment, ..Run::default() };
        self.record.lock().runs.insert(run.to_owned(), known);
        for step in 0..2 {
            turn += 1;
            self.note(run, &format!("{name}-note-{step}"), turn).await;
        }
        self.remember(run, deployment, &session, &format!("{name}-turn"), turn + 1).await;
        if dice.happens(0.3) {
            let port = self.ports[turn % self.ports.len()];
            let said = Ask::chat(AGENT, &session).send_within(port, TURNS_AWAY).await;
            self.record.count(&said);
        }
        let end = Ask::once(
            format!("{name}-end"),
            format!("/api/v1/runs/{run}/finish"),
            json!({ "outcome": "ok" }),
        );
        let said = self.insist(&end, turn + 2).await;
        self.must_be_known(run, "finish", &said);
    }

    async fn note(&self, run: &str, text: &str, turn: usize) {
        let body = json!({ "events": [{ "type": "note", "name": text }] });
        let said = self.insist(&Ask::once(text, format!("/api/v1/runs/{run}/events"), body), turn).await;
        self.must_be_known(run, "append", &said);
        let mut record = self.record.lock();
        let Some(known) = record.runs.get_mut(run) else { return };
        known.verified = false;
        match said {
            Said::Done(_) => known.notes.push(text.to_owned()),
            Said::Refused { .. } | Said::Lost | Said::Untrue(_) => known.perhaps.push(text.to_owned()),
        }
    }

    async fn remember(&self, run: &str, deployment: u64, session: &str, text: &str, turn: usize) {
        let body = json!({ "run": run, "turns": [{ "role": "assistant", "content": text }] });
        let said =
            self.insist(&Ask::once(text, format!("/api/v1/memory/{AGENT}/{session}"), body), turn).await;
        self.must_be_known(run, "remember", &said);
        let acknowledged = match &said {
            Said::Done(answer) if answer["deployment"].as_u64() != Some(deployment) => {
                return self
                    .record
                    .violated(format!("{run} of deployment {deployment} wrote for another: {answer}"));
            }
            Said::Done(_) => true,
            Said::Refused { .. } | Said::Lost | Said::Untrue(_) => false,
        };
        let written = Turn { text: text.to_owned(), deployment, acknowledged };
        self.record.lock().turns.entry(session.to_owned()).or_default().push(written);
    }

    /// A replica that doesn't know a run which was acknowledged has lost it (I9).
    fn must_be_known(&self, run: &str, what: &str, said: &Said) {
        if let Said::Refused { status: 404, code } = said {
            self.record.violated(format!("{what}: {run} was acknowledged and is unknown ({code})"));
        }
    }

    async fn operate(self: Arc<World>) {
        let mut dice = Dice::new(self.seed ^ 0xdeed);
        for n in 0_u64.. {
            if !self.may_begin().await {
                return;
            }
            self.one_deployment(n, &mut dice).await;
            self.done();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A canary that is promoted or taken back; what was promoted is taken back sometimes, too.
    async fn one_deployment(&self, n: u64, dice: &mut Dice) {
        let turn = n as usize;
        let Some(release) = self.release(n, turn).await else { return };
        let wish = json!({ "releases": { AGENT: release }, "weight": WEIGHT, "lift_hold": true });
        let open = Ask::once(format!("{}-open-{n}", self.seed), "/api/v1/deployments", wish);
        let Said::Done(opened) = self.insist(&open, turn).await else { return };
        let Some(id) = opened["deployment"].as_u64() else {
            return self.record.violated(format!("a deployment was opened without saying which: {opened}"));
        };
        self.record.lock().deployments.insert(id, Fate::Candidate);
        tokio::time::sleep(Duration::from_millis(300 + (dice.part() * 500.0) as u64)).await;
        if dice.happens(0.5) {
            let promote = Ask::once(
                format!("{}-promote-{n}", self.seed),
                format!("/api/v1/deployments/{id}/promote"),
                json!({ "override": "chaos", "lift_hold": true }),
            );
            match self.insist(&promote, turn + 1).await {
                Said::Done(_) => self.fate(id, Fate::Promoted),
                Said::Refused { .. } => {}
                Said::Lost | Said::Untrue(_) => return self.fate(id, Fate::Unknown),
            }
            if dice.happens(0.5) {
                return;
            }
        }
        self.roll_back(id, n, turn + 2).await;
    }

    fn fate(&self, deployment: u64, fate: Fate) {
        self.record.lock().deployments.insert(deployment, fate);
    }

    /// Takes a deployment back, and notes how long it took until it was done (I7). What is waited at a replica that is stopped tells
    /// nothing of the others, so it is kept apart.
    async fn roll_back(&self, id: u64, n: u64, turn: usize) {
        let since = process::now();
        let ask = Ask::once(
            format!("{}-back-{n}", self.seed),
            format!("/api/v1/deployments/{id}/rollback"),
            json!({ "reason": "chaos" }),
        );
        let (mut tries, mut stopped, mut asked) = (0, Duration::ZERO, Vec::new());
        let said = loop {
            let whom = (turn + tries as usize) % self.ports.len();
            let sent = process::now();
            let said = ask.send_within(self.ports[whom], TURNS_AWAY).await;
            self.record.count(&said);
            tries += 1;
            if asked.last() != Some(&self.names[whom]) {
                asked.drain(..(asked.len() + 1).saturating_sub(ASKED_MAX));
                asked.push(self.names[whom].clone());
            }
            stopped += self.naps[whom].between(sent, process::now());
            let again = matches!(said, Said::Lost | Said::Refused { status: 500.., .. });
            if !again || since.elapsed() > PATIENCE {
                break said;
            }
            tokio::time::sleep(LOOK).await;
        };
        let done = matches!(said, Said::Done(_));
        match &said {
            Said::Done(_) => self.fate(id, Fate::RolledBack),
            Said::Refused { status, code } if *status < 500 => {
                self.record
                    .violated(format!("the rollback of deployment {id} was refused: {status} {code} (I7)"));
            }
            Said::Refused { .. } | Said::Lost | Said::Untrue(_) => self.fate(id, Fate::Unknown),
        }
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let took_ms = ms(since.elapsed().saturating_sub(stopped));
        let rollback = Rollback { took_ms, stopped_ms: ms(stopped), asked, tries, done };
        self.record.lock().rollbacks.push(rollback);
    }

    async fn release(&self, n: u64, turn: usize) -> Option<Value> {
        let params = json!({ "temperature": (n % 1_000) as f64 / 1_000.0 });
        let manifest = json!({
            "pinrail": 1,
            "model": { "provider": "sim", "snapshot": "sim-1-2026-01-15", "params": params },
        });
        let body = json!({ "agent": AGENT, "manifest": manifest });
        let ask = Ask::once(format!("{}-release-{n}", self.seed), "/api/v1/releases", body);
        match self.insist(&ask, turn).await {
            Said::Done(made) => Some(made["release"].clone()),
            Said::Refused { .. } | Said::Lost | Said::Untrue(_) => None,
        }
    }

    /// Makes the agent, and puts its first release in front of all traffic.
    pub async fn set_up(&self) -> anyhow::Result<()> {
        let agent = Ask::put(
            format!("{}-agent", self.seed),
            format!("/api/v1/agents/{AGENT}"),
            json!({ "tier": "throwaway" }),
        );
        let said = self.insist(&agent, 0).await;
        anyhow::ensure!(matches!(said, Said::Done(_)), "the agent can't be made: {said:?}");
        let first = self.release(999, 0).await;
        let wish = json!({ "releases": { AGENT: first }, "now": true });
        match self.insist(&Ask::once(format!("{}-first", self.seed), "/api/v1/deployments", wish), 0).await {
            Said::Done(opened) => {
                let id = opened["deployment"].as_u64().unwrap_or_default();
                self.fate(id, Fate::Promoted);
                Ok(())
            }
            said @ (Said::Refused { .. } | Said::Lost | Said::Untrue(_)) => {
                anyhow::bail!("the first deployment can't be opened: {said:?}")
            }
        }
    }

    /// Looks again and again who leads and which epoch each replica shows; never waits for anybody.
    async fn observe(self: Arc<World>) {
        while !self.stop.load(Ordering::SeqCst) {
            for (port, name) in self.ports.iter().zip(&self.names) {
                let look = async |path| match tokio::time::timeout(LOOK * 5, Ask::get(path).send(*port)).await
                {
                    Ok(Said::Done(value)) => value,
                    Ok(Said::Refused { .. } | Said::Lost | Said::Untrue(_)) | Err(_) => Value::Null,
                };
                for item in look("/api/v1/replicas").await["items"].as_array().into_iter().flatten() {
                    if let (Some(term), Some(id)) = (item["term"].as_u64(), item["id"].as_u64()) {
                        self.record.leads(term, id);
                    }
                }
                if let Some(epoch) = look("/api/v1/pointers").await["epoch"].as_u64() {
                    self.record.shows(name, epoch);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
