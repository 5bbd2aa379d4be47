//! Calls by agent, segment and deployment.
//!
//! A set of the three is counted on its own while there is room ([`LABEL_SETS_MAX`]) and, at a scrape, while a pointer names its
//! deployment. What a deployment counted that no pointer names any more moves to the set with the deployment `other`, once:
//! so sums over all deployments never go back, and a deployment that returns begins anew at zero, as a process does that
//! starts. Calls for whose set there is no room count as `other` in all three, and are counted as folded.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use pinrail_domain::journal::{Ending, Event, FaultOf, Outcome, Usage};
use pinrail_domain::meter::{CALL_US, Meter};
use pinrail_gateway::telemetry::Ended;

use super::page::{Page, number};
use super::table;

/// The deployments that pointers name now.
pub type Current = BTreeSet<DeploymentId>;

/// Calls, counted.
pub struct Calls {
    sets: ArcSwap<HashMap<Key, Arc<Set>>>,
    /// Where there is no room.
    other: Set,
    folded: AtomicU64,
    /// Sets that were taken off the map: a call may still hold one.
    leaving: Mutex<Vec<(Key, Arc<Set>)>>,
}

/// None for the deployments that no pointer names any more.
type Key = (AgentName, SegmentName, Option<DeploymentId>);

/// What is counted of one set.
struct Set {
    outcomes: [AtomicU64; How::ALL.len()],
    duration: Meter,
    first_byte: Meter,
    tokens: [AtomicU64; TOKENS.len()],
    cost_nano_usd: AtomicU64,
    retries: AtomicU64,
    fallbacks: AtomicU64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Ok,
    /// The dial's text answered.
    Canned,
    /// The provider ended its answer in the middle.
    Cut,
    /// The client left.
    Cancelled,
    ClientError,
    ProviderError,
    PinrailError,
}

/// Sets of agent, segment and deployment. Each is some sixty series, so all of them are some thirty thousand.
pub const LABEL_SETS_MAX: usize = 500;

const OTHER: &str = "other";
const TOKENS: [&str; 3] = ["input", "cached_input", "output"];
const NANO: f64 = 1e9;

impl How {
    pub const ALL: [How; 7] = [
        How::Ok,
        How::Canned,
        How::Cut,
        How::Cancelled,
        How::ClientError,
        How::ProviderError,
        How::PinrailError,
    ];

    /// How a call ended.
    #[must_use]
    pub fn of(call: &Ended<'_>) -> How {
        let told = call.events.iter().rev().find_map(|(_, event)| How::told(event));
        told.unwrap_or(match call.outcome {
            Outcome::Ok => How::Ok,
            Outcome::Cancelled => How::Cancelled,
            Outcome::Error => How::PinrailError,
        })
    }

    /// The outcome as metrics and traces name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            How::Ok => "ok",
            How::Canned => "canned",
            How::Cut => "cut",
            How::Cancelled => "cancelled",
            How::ClientError => "client_error",
            How::ProviderError => "provider_error",
            How::PinrailError => "pinrail_error",
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of a journal's many events, two say how a call ended"
    )]
    fn told(event: &Event) -> Option<How> {
        match event {
            Event::ModelResponse(answer) => Some(match answer.ending {
                Ending::Complete if answer.canned => How::Canned,
                Ending::Complete => How::Ok,
                Ending::Cut => How::Cut,
                Ending::Cancelled => How::Cancelled,
                Ending::Error if matches!(answer.status, 400 | 405..=407 | 410..=428 | 430..=499) => {
                    How::ClientError
                }
                Ending::Error => How::ProviderError,
            }),
            Event::ModelFailed { code, .. } if code == "cancelled" => Some(How::Cancelled),
            Event::ModelFailed { fault, .. } => Some(match fault {
                FaultOf::Client => How::ClientError,
                FaultOf::Pinrail => How::PinrailError,
                FaultOf::Provider => How::ProviderError,
            }),
            _ => None,
        }
    }
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            sets: ArcSwap::default(),
            other: Set::new(),
            folded: AtomicU64::new(0),
            leaving: Mutex::default(),
        }
    }
}

impl Calls {
    /// Counts a call that ended.
    pub fn ended(&self, call: &Ended<'_>) {
        let stamp = &call.begun.stamp;
        let key = (stamp.agent.clone(), stamp.segment.clone(), Some(stamp.deployment));
        let known = self.sets.load();
        match known.get(&key) {
            Some(set) => set.add(call),
            None => match self.begin(key) {
                Some(set) => set.add(call),
                None => {
                    self.folded.fetch_add(1, Ordering::Relaxed);
                    self.other.add(call);
                }
            },
        }
    }

    /// A set of its own for the key, if there is room.
    fn begin(&self, key: Key) -> Option<Arc<Set>> {
        let fresh = Arc::new(Set::new());
        self.sets.rcu(|sets| {
            if sets.len() >= LABEL_SETS_MAX || sets.contains_key(&key) {
                return Arc::clone(sets);
            }
            let mut sets = HashMap::clone(sets);
            sets.insert(key.clone(), Arc::clone(&fresh));
            Arc::new(sets)
        });
        self.sets.load().get(&key).cloned()
    }

    /// Puts everything on a page, and first makes one of the deployments that no pointer names any more.
    pub fn gather(&self, page: &mut Page, current: &Current) {
        self.fold(current);
        let sets = self.sets.load_full();
        let mut sorted: Vec<_> = sets.iter().collect();
        sorted.sort_by_key(|(key, _)| *key);
        for ((agent, segment, deployment), set) in sorted {
            let deployment = deployment.map_or_else(|| OTHER.to_owned(), |id| id.0.to_string());
            set.gather(page, [agent.as_str(), segment.as_str(), &deployment]);
        }
        let folded = self.folded.load(Ordering::Relaxed);
        if folded > 0 {
            self.other.gather(page, [OTHER; 3]);
        }
        page.count(&table::FOLDED, &[], folded);
        page.gauge(&table::LABEL_SETS, &[], number(sets.len() as u64));
        page.gauge(&table::LABEL_SETS_LIMIT, &[], number(LABEL_SETS_MAX as u64));
    }

    /// Moves what is counted for deployments that no pointer names to `other`.
    fn fold(&self, current: &Current) {
        let is_old = |key: &Key| key.2.is_some_and(|id| !current.contains(&id));
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let old: Vec<Key> = self.sets.load().keys().filter(|key| is_old(key)).cloned().collect();
        if !old.is_empty() {
            let before = self.sets.rcu(|sets| {
                let mut sets = HashMap::clone(sets);
                sets.retain(|key, _| !old.contains(key));
                sets
            });
            leaving.extend(old.iter().filter_map(|key| Some((key.clone(), Arc::clone(before.get(key)?)))));
        }
        for ((agent, segment, _), set) in &*leaving {
            let key = (agent.clone(), segment.clone(), None);
            let known = self.sets.load().get(&key).cloned();
            match known.or_else(|| self.begin(key)) {
                Some(other) => other.add_all(set),
                None => self.other.add_all(set),
            }
        }
        // A call that found it before it left adds to it yet, and is moved the next time.
        leaving.retain(|(_, set)| Arc::strong_count(set) > 1 || !set.is_empty());
    }
}

impl Set {
    fn new() -> Set {
        Set {
            outcomes: Default::default(),
            duration: Meter::new(CALL_US),
            first_byte: Meter::new(CALL_US),
            tokens: Default::default(),
            cost_nano_usd: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
        }
    }

    fn add(&self, call: &Ended<'_>) {
        let how = How::of(call);
        self.outcomes[how as usize].fetch_add(1, Ordering::Relaxed);
        self.duration.add(call.ticks.us_since(call.seen.arrived));
        if let Some(answer) = call.answer() {
            self.first_byte.add(answer.first_byte_us);
            let Usage { input_tokens, output_tokens, cached_input_tokens } = answer.usage.unwrap_or_default();
            for (count, tokens) in self.tokens.iter().zip([input_tokens, cached_input_tokens, output_tokens])
            {
                count.fetch_add(tokens, Ordering::Relaxed);
            }
            self.cost_nano_usd.fetch_add(answer.cost_nano_usd.unwrap_or_default(), Ordering::Relaxed);
        }
        self.retries.fetch_add(u64::from(call.retries), Ordering::Relaxed);
        self.fallbacks.fetch_add(u64::from(call.elsewhere), Ordering::Relaxed);
    }

    /// Takes over what another one counted, which counts nothing then.
    fn add_all(&self, other: &Set) {
        let ours = self.outcomes.iter().chain(&self.tokens).chain(self.single());
        let theirs = other.outcomes.iter().chain(&other.tokens).chain(other.single());
        for (to, from) in ours.zip(theirs) {
            to.fetch_add(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.duration.add_all(&other.duration.take());
        self.first_byte.add_all(&other.first_byte.take());
    }

    fn is_empty(&self) -> bool {
        self.outcomes.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }

    fn single(&self) -> [&AtomicU64; 3] {
        [&self.cost_nano_usd, &self.retries, &self.fallbacks]
    }

    fn gather(&self, page: &mut Page, [agent, segment, deployment]: [&str; 3]) {
        let labels = [agent, segment, deployment];
        for (how, count) in How::ALL.iter().zip(&self.outcomes) {
            let count = count.load(Ordering::Relaxed);
            page.count(&table::CALLS, &[agent, segment, deployment, how.word()], count);
        }
        page.durations(&table::CALL_DURATION, &labels, &self.duration.read());
        page.durations(&table::CALL_FIRST_BYTE, &labels, &self.first_byte.read());
        for (kind, count) in TOKENS.iter().zip(&self.tokens) {
            let count = count.load(Ordering::Relaxed);
            page.count(&table::CALL_TOKENS, &[agent, segment, deployment, kind], count);
        }
        let cost = number(self.cost_nano_usd.load(Ordering::Relaxed)) / NANO;
        page.amount(&table::CALL_COST, &labels, cost);
        page.count(&table::CALL_RETRIES, &labels, self.retries.load(Ordering::Relaxed));
        page.count(&table::CALL_FALLBACKS, &labels, self.fallbacks.load(Ordering::Relaxed));
    }
}
