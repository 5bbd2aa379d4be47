//! Probes the warm set: one cheap call of each model, on a schedule and when asked for.
//!
//! A probe is no run: nothing of it is journaled, counted by guardrails, or shown to an agent. Models are probed a few at a
//! time; how they are spread over time is [`pinrail_domain::warm::due`]'s to say. A provider whose key isn't set here isn't
//! called.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pinrail_control::Control;
use pinrail_control::warm::Wanted;
use pinrail_domain::id::AgentName;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_domain::warm::{Failed, Fault, Probe, WHY_BYTES_MAX, due, fault};
use pinrail_wire::chat::{
    TokenLimit, observe_answer, other_limit, probe_request, ran_out_of_tokens, token_limit,
};
use pinrail_wire::redact::Redactor;
use pinrail_wire::{ProviderError, parse_error};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Calls models outside of runs.
#[async_trait]
pub trait DirectCalls: Send + Sync {
    /// Sends a chat request's body as it is, and gives the answer as it comes.
    async fn chat(&self, provider: &ProviderSpec, body: Vec<u8>) -> Result<Answered, NotAnswered>;
}

/// A provider's answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why no answer came, without a secret in it (I15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAnswered {
    /// It wasn't sent: what it needs isn't here.
    Here(String),
    /// The provider can't be reached, or didn't answer in time.
    There(String),
}

/// What probes are made with.
pub struct Options {
    pub control: Control,
    pub calls: Arc<dyn DirectCalls>,
    pub clock: Arc<dyn Clock>,
    /// How often each model is probed.
    pub every_ms: u64,
}

/// Probes the warm set. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Warm {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    places: Arc<Semaphore>,
    tasks: Mutex<JoinSet<()>>,
    stopping: watch::Sender<bool>,
}

/// How often a model is probed unless pinrail.toml says otherwise: a release that is gone is known within the hour, for
/// some twenty tokens.
pub const EVERY_MS: u64 = 3_600_000;
/// Less often, a probe says nothing about now; more often, it is a load test.
pub const EVERY_MS_MAX: u64 = 7 * 24 * 3_600_000;
pub const EVERY_MS_MIN: u64 = 60_000;
/// Probes at once: they are not urgent, and a provider that hangs holds only its own.
const AT_ONCE: usize = 4;
/// The longest sleep of the schedule: a clock that was set, or a machine that slept, is noticed within it.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often old probes are forgotten.
const FORGET_EVERY_MS: u64 = 24 * 3_600_000;

impl Warm {
    #[must_use]
    pub fn new(options: Options) -> Warm {
        let inner = Inner {
            options,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: Mutex::default(),
            stopping: watch::Sender::new(false),
        };
        Warm { inner: Arc::new(inner) }
    }

    /// Probes every model of the warm set now, of one agent or of all; returns how many were called.
    pub async fn probe_now(&self, of: Option<&AgentName>) -> u64 {
        self.probe_all(self.inner.options.control.probes_wanted(of)).await
    }

    /// Probes as the schedule says, until it is stopped.
    pub fn probe_by_itself(&self) {
        let warm = self.clone();
        let mut tasks = self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(async move { warm.keep_probing().await });
    }

    /// Begins nothing any more, and waits for what is under way to end or be dropped.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
    }

    async fn keep_probing(&self) {
        let Options { control, clock, every_ms, .. } = &self.inner.options;
        let (started, mut forgotten) = (clock.now(), Timestamp(0));
        let (mut heads, mut stopping) = (control.heads(), self.inner.stopping.subscribe());
        while !*stopping.borrow() {
            tokio::select! {
                () = control.until_leading() => {}
                _ = stopping.changed() => return,
            }
            let now = clock.now();
            let (ripe, later): (Vec<_>, Vec<_>) = control
                .probes_wanted(None)
                .into_iter()
                .map(|wanted| (due(&wanted.key, *every_ms, wanted.last.as_ref(), started), wanted))
                .partition(|(due, _)| *due <= now);
            let next = later.iter().map(|(due, _)| due.ms_since(now)).min();
            let ripe = ripe.into_iter().map(|(_, wanted)| wanted).collect::<Vec<_>>();
            if !ripe.is_empty() {
                tokio::select! {
                    _ = self.probe_all(ripe) => continue,
                    _ = stopping.changed() => return,
                }
            }
            if now.ms_since(forgotten) >= FORGET_EVERY_MS {
                forgotten = now;
                if let Err(error) = control.forget_old_probes().await {
                    tracing::debug!(%error, "old probes could not be forgotten; they only take room");
                }
            }
            let nap = next.map_or(LOOK_AGAIN, Duration::from_millis).min(LOOK_AGAIN);
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                moved = heads.changed() => if moved.is_err() { return },
                _ = stopping.changed() => return,
            }
        }
    }

    async fn probe_all(&self, wanted: Vec<Wanted>) -> u64 {
        let mut tasks = JoinSet::new();
        for wanted in wanted {
            let warm = self.clone();
            tasks.spawn(async move {
                let _place = warm.inner.places.acquire().await;
                warm.probe(&wanted).await
            });
        }
        tasks.join_all().await.into_iter().filter(|called| *called).count() as u64
    }

    /// Calls a model once; tells whether it was called.
    async fn probe(&self, wanted: &Wanted) -> bool {
        let Options { control, clock, calls, .. } = &self.inner.options;
        let model = &wanted.model;
        let mut limit = token_limit(&model.params);
        let mut latency_ms;
        let mut answer;
        loop {
            let started = clock.ticks();
            answer = calls.chat(&wanted.provider, probe_request(&model.snapshot, &model.params, limit)).await;
            latency_ms = clock.ticks().us_since(started) / 1_000;
            match spelled_otherwise(limit, &answer) {
                // The other spelling is tried once: of that one, no third is known.
                Some(other) if limit == token_limit(&model.params) => limit = other,
                Some(_) | None => break,
            }
        }
        let at = clock.now();
        let probe = match answer {
            Err(NotAnswered::Here(why)) => {
                tracing::debug!(provider = %model.provider, why, "a model was not probed");
                return false;
            }
            Err(NotAnswered::There(why)) => {
                let failed = Failed { fault: Fault::Outage, status: None, why: told(&why) };
                Probe { at, latency_ms: None, served: None, failed: Some(failed) }
            }
            Ok(answered) => judged(&answered, at, latency_ms),
        };
        control.keep_probe(wanted, probe).await;
        true
    }
}

fn spelled_otherwise(sent: TokenLimit, answer: &Result<Answered, NotAnswered>) -> Option<TokenLimit> {
    let answered = answer.as_ref().ok().filter(|answered| answered.status == 400)?;
    other_limit(sent, &parse_error(&answered.body)?.message)
}

/// What an answer says of its model.
fn judged(answered: &Answered, at: Timestamp, latency_ms: u64) -> Probe {
    let Answered { status, body } = answered;
    let good = |served| Probe { at, latency_ms: Some(latency_ms), served, failed: None };
    let bad = |fault, why: &str| {
        let failed = Failed { fault, status: Some(*status), why: told(why) };
        Probe { at, latency_ms: Some(latency_ms), served: None, failed: Some(failed) }
    };
    if (200..300).contains(status) {
        return match observe_answer(body) {
            Ok(observed) => good(observed.served_model.filter(|served| !served.is_empty())),
            Err(error) => bad(Fault::Outage, &format!("the answer is no chat completion: {error}")),
        };
    }
    let error = parse_error(body);
    let ProviderError { message, kind, code } =
        error.unwrap_or_else(|| ProviderError { message: String::new(), kind: None, code: None });
    if ran_out_of_tokens(&message) {
        return good(None);
    }
    let fault = fault(*status, code.as_deref().or(kind.as_deref()), &message);
    let why = if message.is_empty() { format!("status {status}, without a reason") } else { message };
    bad(fault, &why)
}

/// A provider's words, without what looks like a key, and cut.
fn told(why: &str) -> String {
    let why = Redactor::default().redact(why).into_owned();
    why[..why.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests;
