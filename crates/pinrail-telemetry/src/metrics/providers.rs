//! Attempts by provider. Providers beyond [`PROVIDERS_MAX`] count as one, `other`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use pinrail_domain::id::ProviderName;
use pinrail_domain::meter::{CALL_US, Meter};
use pinrail_gateway::telemetry::{Attempted, Tried};

use super::page::Page;
use super::table;

/// Attempts, counted.
pub struct Providers {
    known: ArcSwap<HashMap<ProviderName, Arc<Attempts>>>,
    other: Attempts,
}

struct Attempts {
    outcomes: [AtomicU64; Attempted::ALL.len()],
    duration: Meter,
    first_byte: Meter,
}

/// Providers that are counted on their own; installations have a few, some of them several accounts of each.
pub const PROVIDERS_MAX: usize = 100;

const OTHER: &str = "other";

impl Default for Providers {
    fn default() -> Providers {
        Providers { known: ArcSwap::default(), other: Attempts::new() }
    }
}

impl Providers {
    /// Counts an attempt that ended.
    pub fn attempted(&self, tried: &Tried) {
        if let Some(known) = self.known.load().get(&tried.provider) {
            return known.add(tried);
        }
        let fresh = Arc::new(Attempts::new());
        self.known.rcu(|known| {
            if known.len() >= PROVIDERS_MAX || known.contains_key(&tried.provider) {
                return Arc::clone(known);
            }
            let mut known = HashMap::clone(known);
            known.insert(tried.provider.clone(), Arc::clone(&fresh));
            Arc::new(known)
        });
        match self.known.load().get(&tried.provider) {
            Some(known) => known.add(tried),
            None => self.other.add(tried),
        }
    }

    /// Puts everything on a page.
    pub fn gather(&self, page: &mut Page) {
        let known = self.known.load();
        let mut sorted: Vec<_> = known.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, attempts) in sorted {
            attempts.gather(page, name.as_str());
        }
        if self.other.duration.read().count() > 0 {
            self.other.gather(page, OTHER);
        }
    }
}

impl Attempts {
    fn new() -> Attempts {
        Attempts {
            outcomes: Default::default(),
            duration: Meter::new(CALL_US),
            first_byte: Meter::new(CALL_US),
        }
    }

    fn add(&self, tried: &Tried) {
        self.outcomes[tried.how as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(ended) = tried.ended {
            self.duration.add(ended.us_since(tried.began));
        }
        if let Some(first_byte) = tried.first_byte {
            self.first_byte.add(first_byte.us_since(tried.began));
        }
    }

    fn gather(&self, page: &mut Page, name: &str) {
        for (how, count) in Attempted::ALL.iter().zip(&self.outcomes) {
            page.count(&table::PROVIDER_ATTEMPTS, &[name, how.word()], count.load(Ordering::Relaxed));
        }
        page.durations(&table::PROVIDER_DURATION, &[name], &self.duration.read());
        page.durations(&table::PROVIDER_FIRST_BYTE, &[name], &self.first_byte.read());
    }
}
