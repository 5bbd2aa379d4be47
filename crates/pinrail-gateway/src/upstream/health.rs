//! How the models of each provider do, by how their attempts end; and the breakers and budgets that follow from it.
//!
//! Health is kept per provider and pinned snapshot, since one model of a provider may be overloaded while the others
//! answer; the budget of retries is the provider's. All of it is in memory and begins anew with the process. A call takes
//! two short locks, once when an attempt begins and once when it ended; nobody else is waited for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::{Clock, Ticks, Timestamp};

use super::breaker::{Breaker, Outcome, Pass, Settings, Shut, State};
use super::budget::Budget;
use super::retry::mix;

mod shown;

pub use shown::{LastFailure, ModelHealth, ProviderHealth, Standing};

/// The health of all providers called so far. Readers take no lock.
pub struct Healths {
    clock: Arc<dyn Clock>,
    map: ArcSwap<HashMap<ProviderName, Arc<Provider>>>,
}

/// A provider, and its models that were asked.
struct Provider {
    retries: Arc<Retries>,
    models: ArcSwap<HashMap<String, Arc<Health>>>,
}

/// What a provider spends on retries.
struct Retries {
    /// None before the first call.
    budget: Mutex<Option<Budget>>,
    spent: AtomicU64,
    refused: AtomicU64,
}

/// How one model of a provider does.
pub struct Health {
    clock: Arc<dyn Clock>,
    retries: Arc<Retries>,
    inner: Mutex<Inner>,
}

struct Inner {
    breaker: Breaker,
    /// Since when the breaker stands as it does.
    since: Timestamp,
    /// Those of the newest attempt.
    settings: Settings,
    calls: u64,
    failed: u64,
    last_call: Timestamp,
    last_failure: Option<LastFailure>,
    /// Until when the provider asked to be left alone.
    rests_until: Ticks,
    first_bytes: Newest,
}

/// The waits for the first byte of the newest attempts, in microseconds.
#[derive(Default)]
struct Newest {
    us: Vec<u64>,
    next: usize,
}

/// An attempt under way. Dropped before its end, it says nothing of the provider: the client left.
pub struct Attempt {
    health: Arc<Health>,
    settings: Settings,
    pass: Pass,
    began: Ticks,
    told: bool,
}

/// The longest that a model is spared because its provider asked for it. Providers that count by the day say hours.
pub const REST_MAX: Duration = Duration::from_secs(60);
/// Models of one provider that are remembered. Releases in use name a few.
const MODELS_MAX: usize = 1_000;
/// Waits that quantiles are taken of.
const NEWEST_MAX: usize = 256;

impl Healths {
    pub fn new(clock: Arc<dyn Clock>) -> Healths {
        Healths { clock, map: ArcSwap::default() }
    }

    /// The health of a provider's model.
    pub fn of(&self, provider: &ProviderName, snapshot: &str) -> Arc<Health> {
        let known = self.map.load();
        if let Some(health) = known.get(provider).and_then(|provider| provider.known(snapshot)) {
            return health;
        }
        let provider = known.get(provider).cloned().unwrap_or_else(|| {
            self.map.rcu(|map| {
                let mut map = HashMap::clone(map);
                map.entry(provider.clone()).or_insert_with(|| Arc::new(Provider::new()));
                map
            });
            Arc::clone(&self.map.load()[provider])
        });
        provider.model(snapshot, &self.clock)
    }
}

impl Provider {
    fn new() -> Provider {
        let retries =
            Retries { budget: Mutex::default(), spent: AtomicU64::default(), refused: AtomicU64::default() };
        Provider { retries: Arc::new(retries), models: ArcSwap::default() }
    }

    fn known(&self, snapshot: &str) -> Option<Arc<Health>> {
        self.models.load().get(snapshot).cloned()
    }

    fn model(&self, snapshot: &str, clock: &Arc<dyn Clock>) -> Arc<Health> {
        let fresh = Arc::new(Health::new(clock, &self.retries));
        self.models.rcu(|models| {
            let mut models = match models.len() < MODELS_MAX {
                true => HashMap::clone(models),
                // So many are no releases in use: who is called next begins anew.
                false => HashMap::new(),
            };
            models.entry(snapshot.to_owned()).or_insert_with(|| Arc::clone(&fresh));
            models
        });
        self.known(snapshot).unwrap_or(fresh)
    }
}

impl Health {
    fn new(clock: &Arc<dyn Clock>, retries: &Arc<Retries>) -> Health {
        let (now, ticks) = (clock.now(), clock.ticks());
        let inner = Inner {
            breaker: Breaker::default(),
            since: now,
            settings: Settings::default(),
            calls: 0,
            failed: 0,
            last_call: now,
            last_failure: None,
            rests_until: ticks,
            first_bytes: Newest::default(),
        };
        Health { clock: Arc::clone(clock), retries: Arc::clone(retries), inner: Mutex::new(inner) }
    }

    /// Begins an attempt, or says until when none goes through, and what failed last.
    pub fn admit(self: &Arc<Self>, settings: &Settings) -> Result<Attempt, (Shut, Option<String>)> {
        let now = self.clock.ticks();
        let mut inner = self.lock();
        inner.settings = *settings;
        match inner.turn(&*self.clock, |breaker| breaker.admit(settings, now)) {
            Ok(pass) => {
                inner.calls += 1;
                inner.last_call = self.clock.now();
                drop(inner);
                Ok(Attempt { health: Arc::clone(self), settings: *settings, pass, began: now, told: false })
            }
            Err(shut) => Err((shut, inner.last_failure.as_ref().map(|last| last.why.clone()))),
        }
    }

    /// Notes that a call is made: it brings retries.
    pub fn called(&self, spec: &ProviderSpec) {
        self.retries.with(spec, self.clock.ticks(), |budget, now| budget.called(&spec.retry_budget, now));
    }

    /// Takes a retry out of the provider's budget, if there is one.
    pub fn may_retry(&self, spec: &ProviderSpec) -> bool {
        let may = self.retries.with(spec, self.clock.ticks(), |b, now| b.take(&spec.retry_budget, now));
        let counter = if may { &self.retries.spent } else { &self.retries.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        may
    }

    /// Until when calls that may go elsewhere are to go there, because the provider asked for it; none where it didn't.
    pub fn rests(&self) -> Option<Duration> {
        let until = self.lock().rests_until;
        let us = until.us_since(self.clock.ticks());
        (us > 0).then(|| Duration::from_micros(us))
    }

    /// Notes that the provider asked to be left alone.
    pub fn rest(&self, asked: Duration) {
        let ns = u64::try_from(asked.min(REST_MAX).as_nanos()).expect("it is a minute at most");
        let until = Ticks(self.clock.ticks().0.saturating_add(ns));
        let mut inner = self.lock();
        inner.rests_until = inner.rests_until.max(until);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Changes the breaker, and notes when it turned.
    fn turn<T>(&mut self, clock: &dyn Clock, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let before = Standing::of(self.breaker.state());
        let done = change(&mut self.breaker);
        if Standing::of(self.breaker.state()) != before {
            self.since = clock.now();
        }
        done
    }
}

impl Attempt {
    /// The answer's first byte came.
    pub fn first_byte(&mut self) {
        let us = self.health.clock.ticks().us_since(self.began);
        self.health.lock().first_bytes.add(us);
    }

    /// A stream began: the provider is there again, whatever becomes of the stream.
    pub fn began(&self) {
        let mut inner = self.health.lock();
        if inner.breaker.state() != State::Closed {
            inner.turn(&*self.health.clock, |breaker| breaker.began(self.pass));
        }
    }

    /// The provider answered.
    pub fn well(mut self) {
        self.end(Outcome::Well, None);
    }

    /// The provider failed. `why` holds no secrets; `asked` is how long it asked to be left alone.
    pub fn failed(mut self, why: &str, asked: Option<Duration>) {
        self.end(Outcome::Failed { asked }, Some(why));
    }

    fn end(&mut self, outcome: Outcome, why: Option<&str>) {
        self.told = true;
        let Attempt { health, settings, pass, .. } = &*self;
        let now = health.clock.ticks();
        let mut inner = health.lock();
        // The ticks of two replicas differ, and so do the times that their breakers stay open.
        let seed = mix(now.0);
        inner.turn(&*health.clock, |breaker| breaker.ended(*pass, outcome, settings, now, seed));
        if let Some(why) = why {
            inner.failed += 1;
            inner.last_failure = Some(LastFailure { at: health.clock.now(), why: why.to_owned() });
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            let now = self.health.clock.ticks();
            self.health.lock().breaker.given_up(self.pass, now);
        }
    }
}

impl Retries {
    fn with<T>(&self, spec: &ProviderSpec, now: Ticks, act: impl FnOnce(&mut Budget, Ticks) -> T) -> T {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        act(budget.get_or_insert_with(|| Budget::new(&spec.retry_budget, now)), now)
    }
}

impl Newest {
    fn add(&mut self, us: u64) {
        if self.us.len() < NEWEST_MAX {
            self.us.push(us);
        } else {
            self.us[self.next] = us;
        }
        self.next = (self.next + 1) % NEWEST_MAX;
    }
}
