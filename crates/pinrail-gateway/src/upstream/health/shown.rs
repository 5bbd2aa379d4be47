//! The health of providers as it is shown.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use pinrail_domain::id::ProviderName;
use pinrail_domain::time::{Ticks, Timestamp};

use super::super::breaker::{Counts, State};
use super::{Health, Healths, Newest};

/// How a provider does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderHealth {
    pub provider: ProviderName,
    /// Retries made, and those that the budget had none left for, since the process began.
    pub retries: u64,
    pub retries_refused: u64,
    /// By snapshot.
    pub models: Vec<ModelHealth>,
}

/// How one of its models does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelHealth {
    pub snapshot: String,
    pub standing: Standing,
    pub since: Timestamp,
    /// How long until the next attempt goes through, where none does now.
    pub next_in_ms: Option<u64>,
    pub failed_in_a_row: u32,
    /// Attempts of the breaker's window by how they ended.
    pub window: Counts,
    pub window_ms: u64,
    /// Attempts, and those that failed, since the process began.
    pub calls: u64,
    pub failed: u64,
    pub last_call: Timestamp,
    pub last_failure: Option<LastFailure>,
    /// How much longer calls that may go elsewhere go there, because the provider asked for it.
    pub rests_ms: Option<u64>,
    /// From an attempt's beginning to its first byte, over the newest attempts: half of them, and 99 of 100.
    pub first_byte_us: Option<[u64; 2]>,
}

/// What failed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    pub at: Timestamp,
    /// Secrets removed.
    pub why: String,
}

/// How the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Closed,
    Open,
    HalfOpen,
}

impl Standing {
    pub fn of(state: State) -> Standing {
        match state {
            State::Closed => Standing::Closed,
            State::Open { .. } => Standing::Open,
            State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }
}

impl Healths {
    /// How all providers do that were called, by name.
    pub fn shown(&self) -> Vec<ProviderHealth> {
        let now = self.clock.ticks();
        let map = self.map.load();
        let mut all: Vec<ProviderHealth> = map
            .iter()
            .map(|(name, provider)| {
                let models = provider.models.load();
                let mut models: Vec<ModelHealth> =
                    models.iter().map(|(snapshot, health)| health.shown(snapshot, now)).collect();
                models.sort_by(|one, other| one.snapshot.cmp(&other.snapshot));
                ProviderHealth {
                    provider: name.clone(),
                    retries: provider.retries.spent.load(Ordering::Relaxed),
                    retries_refused: provider.retries.refused.load(Ordering::Relaxed),
                    models,
                }
            })
            .collect();
        all.sort_by(|one, other| one.provider.cmp(&other.provider));
        all
    }
}

impl Health {
    fn shown(&self, snapshot: &str, now: Ticks) -> ModelHealth {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (breaker, settings) = (&inner.breaker, &inner.settings);
        let ms_until = |until: Ticks| until.us_since(now).div_ceil(1_000);
        let rests_ms = ms_until(inner.rests_until);
        ModelHealth {
            snapshot: snapshot.to_owned(),
            standing: Standing::of(breaker.state()),
            since: inner.since,
            next_in_ms: breaker.shut(settings, now).map(|shut| ms_until(shut.until)),
            failed_in_a_row: breaker.failed_in_a_row(),
            window: breaker.counts(settings, now),
            window_ms: settings.window_ms,
            calls: inner.calls,
            failed: inner.failed,
            last_call: inner.last_call,
            last_failure: inner.last_failure.clone(),
            rests_ms: (rests_ms > 0).then_some(rests_ms),
            first_byte_us: inner.first_bytes.quantiles(),
        }
    }
}

impl Newest {
    /// The median and the 99th percentile, by the nearest rank.
    fn quantiles(&self) -> Option<[u64; 2]> {
        let mut us = self.us.clone();
        us.sort_unstable();
        let rank = |percent: usize| us.get((us.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some([rank(50)?, rank(99)?])
    }
}
