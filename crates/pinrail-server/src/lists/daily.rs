//! Reads every provider's own list once a day, and says where it differs from what warm releases pin.
//!
//! A model that a list had and has no more, twice in a row, is a finding; so is another day of retirement than the catalogue's.
//! Neither changes what is known: that a person does, by `pinrail catalogue update`, which the finding names. A list that
//! couldn't be read, isn't whole, or is empty says nothing. A provider whose key isn't set here isn't asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinrail_control::Control;
use pinrail_control::lists::Seen;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{ModelLists, source_of_list};
use crate::problem::chain;
use crate::server::MissingKeys;

/// What lists are read with.
pub struct Options {
    pub control: Control,
    pub lists: Arc<dyn ModelLists>,
    pub clock: Arc<dyn Clock>,
    pub missing_keys: MissingKeys,
}

/// Reads lists daily. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Daily {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    task: Mutex<Option<JoinHandle<()>>>,
    stopping: watch::Sender<bool>,
}

const DAY_MS: u64 = 86_400_000;
/// What couldn't be read is tried again after an hour: a day would miss a day.
const RETRY_MS: u64 = 3_600_000;
/// The first reads come within this of the start, spread.
const FIRST_MS: u64 = 15 * 60_000;
/// How often the schedule is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Daily {
    #[must_use]
    pub fn new(options: Options) -> Daily {
        let inner = Inner { options, task: Mutex::default(), stopping: watch::Sender::new(false) };
        Daily { inner: Arc::new(inner) }
    }

    /// Reads as the schedule says, until it is stopped.
    pub fn read_by_itself(&self) {
        let daily = self.clone();
        let mut stopping = self.inner.stopping.subscribe();
        let task = tokio::spawn(async move {
            let started = daily.inner.options.clock.now();
            let mut tried = BTreeMap::new();
            while !*stopping.borrow() {
                tokio::select! {
                    () = daily.read_due(started, &mut tried) => {}
                    _ = stopping.changed() => return,
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    _ = stopping.changed() => return,
                }
            }
        });
        *self.inner.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Begins nothing any more, and drops what is under way.
    pub async fn stop(&self) {
        self.inner.stopping.send_replace(true);
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has said so; nothing else is to be done about it.
            let _ = task.await;
        }
    }

    async fn read_due(&self, started: Timestamp, tried: &mut BTreeMap<ProviderName, Timestamp>) {
        let Options { control, clock, missing_keys, .. } = &self.inner.options;
        control.until_leading().await;
        let keyless: Vec<String> = missing_keys().into_iter().map(|missing| missing.provider).collect();
        let providers = control.snapshot().world.providers.clone();
        for (name, spec) in providers.iter() {
            let now = clock.now();
            let last = tried.get(name).copied();
            let is_due = due(name, control.list_seen(name).as_ref(), last, started) <= now;
            if is_due && !keyless.iter().any(|keyless| keyless == name.as_str()) {
                tried.insert(name.clone(), now);
                self.read(name, spec).await;
            }
        }
    }

    /// Reads a provider's list now.
    pub async fn read(&self, name: &ProviderName, spec: &ProviderSpec) {
        let Options { control, lists, clock, .. } = &self.inner.options;
        let read = match lists.list(spec).await {
            Ok(pages) => source_of_list(spec, &pages).map_err(|error| chain(&error)),
            Err(why) => Err(why),
        };
        control.keep_list(name, clock.now(), read).await;
    }
}

/// When a list is due: a day after it was read, at the provider's own minute of the day, spread.
fn due(name: &ProviderName, seen: Option<&Seen>, tried: Option<Timestamp>, started: Timestamp) -> Timestamp {
    let digest = Digest::of(name.as_str().as_bytes());
    let part = u64::from(u16::from_le_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]));
    let spread = |ms: u64| ms * part / u64::from(u16::MAX);
    let first = started.plus_ms(spread(FIRST_MS));
    let again = match seen {
        None => tried.map(|at| at.plus_ms(RETRY_MS)),
        Some(Seen { at, failed: Some(_), .. }) => Some(at.plus_ms(RETRY_MS)),
        Some(Seen { at, failed: None, .. }) => Some(at.plus_ms(DAY_MS - spread(DAY_MS / 24))),
    };
    again.unwrap_or(first).max(first)
}
