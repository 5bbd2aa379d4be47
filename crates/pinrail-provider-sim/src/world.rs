//! Who answers: requests are counted, aliases move, checkpoints are swapped, and rates change while the server runs.
//!
//! For each request, in this order: 1. an alias's due steps happen, each once, in the script's order; 2. the alias's
//! target, or the named checkpoint itself, is asked; 3. that checkpoint's `replaced_by` happens when due; 4. the
//! replacement, if any, answers. A move by hand stays until a later step of the script is due.

pub mod counters;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::limits::OCCURRENCES_MAX;
use crate::script::{Alias, Checkpoint, ErrorStatus, Rate, Rates, Script, Swap};
use counters::Counters;

/// The moment of a request: by the clock that can't be set, and by the one that `created` shows.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: Instant,
    pub unix_seconds: u64,
}

/// Seconds of a day.
pub const DAY_SECONDS: u64 = 86_400;

/// The mutable state behind the endpoints; one lock guards it, never held across a wait.
pub struct World {
    started: Now,
    aliases: BTreeMap<String, AliasState>,
    checkpoints: BTreeMap<String, CheckpointState>,
    repeats: HashMap<(String, u64), u64>,
    pub counters: Counters,
}

/// The decision of who answers one request, and how.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What the answer's `model` field shows.
    pub shown: String,
    pub checkpoint: Arc<Checkpoint>,
    /// What the answer's `system_fingerprint` shows.
    pub fingerprint: String,
    pub rates: Rates,
    pub error_statuses: Vec<ErrorStatus>,
    /// How often this checkpoint was sent this conversation before.
    pub repeat: u64,
}

/// A model id in the model list.
pub struct Listed {
    pub id: String,
    pub created: u64,
}

/// Why a change by hand was refused: the name that nothing has.
#[derive(Debug, thiserror::Error)]
pub enum UnknownName {
    #[error("no alias is called `{0}`; see `aliases` in GET /sim/state")]
    Alias(String),
    #[error("no checkpoint is called `{0}`; see `checkpoints` in GET /sim/state")]
    Checkpoint(String),
    #[error("`{0}` is not a rate; use one of {names}", names = Rates::NAMES.join(", "))]
    Rate(String),
}

/// How long the script has been playing, by both clocks.
#[derive(Clone, Copy)]
struct Elapsed {
    time: Duration,
    days: u64,
}

struct AliasState {
    alias: Alias,
    target: String,
    requests: u64,
    /// Which of the alias's steps have happened.
    done: Vec<bool>,
}

struct CheckpointState {
    checkpoint: Arc<Checkpoint>,
    rates: Rates,
    error_statuses: Vec<ErrorStatus>,
    requests: u64,
    answered_by: String,
}

impl World {
    /// Starts from a script, at the moment from which `after_seconds` counts.
    pub fn new(script: &Script, started: Now) -> Self {
        let alias_state = |alias: &Alias| AliasState {
            alias: alias.clone(),
            target: alias.checkpoint.clone(),
            requests: 0,
            done: vec![false; alias.rotate.len()],
        };
        let checkpoint_state = |checkpoint: &Checkpoint| CheckpointState {
            checkpoint: Arc::new(checkpoint.clone()),
            rates: checkpoint.rates(),
            error_statuses: checkpoint.error_statuses.clone(),
            requests: 0,
            answered_by: checkpoint.id.clone(),
        };
        Self {
            started,
            aliases: script.aliases.iter().map(|alias| (alias.id.clone(), alias_state(alias))).collect(),
            checkpoints: script
                .checkpoints
                .iter()
                .map(|one| (one.id.clone(), checkpoint_state(one)))
                .collect(),
            repeats: HashMap::new(),
            counters: Counters::default(),
        }
    }

    /// Counts a request for this model and decides who answers it; nobody when the id is unknown.
    pub fn serve(&mut self, model: &str, conversation: u64, now: Now) -> Option<Serving> {
        let elapsed = Elapsed::between(self.started, now);
        let (asked, alias) = match self.aliases.get_mut(model) {
            Some(state) => (state.next_target(elapsed), Some(state.alias.clone())),
            None => (model.to_owned(), None),
        };
        let state = self.checkpoints.get_mut(&asked)?;
        state.requests += 1;
        if let Some(swap) = &state.checkpoint.replaced_by
            && is_due(swap, state.requests, elapsed)
        {
            state.answered_by = swap.to.clone();
        }
        let answered_by = state.answered_by.clone();
        let repeat = self.count_repeat(&answered_by, conversation);
        let state = self.checkpoints.get(&answered_by).expect("a checked script swaps to known checkpoints");
        self.counters.model(model).requests += 1;
        *self.counters.served.entry(answered_by).or_default() += 1;
        let shown_as = alias.as_ref().filter(|alias| alias.mask_fingerprint).map(|alias| &alias.checkpoint);
        let fingerprint =
            &self.checkpoints.get(shown_as.unwrap_or(&state.checkpoint.id))?.checkpoint.fingerprint;
        Some(Serving {
            shown: if alias.is_some_and(|alias| alias.mask) { model.to_owned() } else { asked },
            fingerprint: fingerprint.clone(),
            checkpoint: Arc::clone(&state.checkpoint),
            rates: state.rates,
            error_statuses: state.error_statuses.clone(),
            repeat,
        })
    }

    /// Lists checkpoints and aliases by id; an alias was created when its present target was.
    pub fn list(&self) -> Vec<Listed> {
        let created = |id: &str| self.checkpoints.get(id).map_or(0, |state| state.checkpoint.created);
        let own = self.checkpoints.keys().map(|id| Listed { id: id.clone(), created: created(id) });
        let aliases =
            self.aliases.iter().map(|(id, alias)| Listed { id: id.clone(), created: created(&alias.target) });
        let mut all: Vec<Listed> = own.chain(aliases).collect();
        all.sort_by(|left, right| left.id.cmp(&right.id));
        all
    }

    /// Points an alias to another checkpoint.
    pub fn rotate(&mut self, alias: &str, to: &str) -> Result<(), UnknownName> {
        if !self.checkpoints.contains_key(to) {
            return Err(UnknownName::Checkpoint(to.to_owned()));
        }
        let state = self.aliases.get_mut(alias).ok_or_else(|| UnknownName::Alias(alias.to_owned()))?;
        to.clone_into(&mut state.target);
        Ok(())
    }

    /// Changes rates of one checkpoint, or of all. All of the change happens or none.
    pub fn change_rates(
        &mut self,
        checkpoint: Option<&str>,
        rates: &BTreeMap<String, Rate>,
        statuses: Option<&[ErrorStatus]>,
    ) -> Result<(), UnknownName> {
        if let Some(name) = rates.keys().find(|name| !Rates::NAMES.contains(&name.as_str())) {
            return Err(UnknownName::Rate(name.clone()));
        }
        if let Some(id) = checkpoint.filter(|id| !self.checkpoints.contains_key(*id)) {
            return Err(UnknownName::Checkpoint(id.to_owned()));
        }
        let meant = |id: &str| checkpoint.is_none_or(|wanted| wanted == id);
        for (_, state) in self.checkpoints.iter_mut().filter(|(id, _)| meant(id)) {
            for (name, rate) in rates {
                *state.rates.named(name).expect("the names were checked above") = *rate;
            }
            if let Some(statuses) = statuses {
                state.error_statuses = statuses.to_vec();
            }
        }
        Ok(())
    }

    /// Goes back to the script; what is still being answered stays counted as such.
    pub fn reset(&mut self, script: &Script, now: Now) {
        let counters = Counters {
            in_flight: self.counters.in_flight,
            hanging: self.counters.hanging,
            ..Counters::default()
        };
        *self = Self { counters, ..Self::new(script, now) };
    }

    /// Describes everything for `GET /sim/state`.
    pub fn describe(&self, seed: u64) -> Value {
        let alias = |state: &AliasState| json!({ "target": state.target, "requests": state.requests });
        let checkpoint = |state: &CheckpointState| {
            json!({
                "fingerprint": state.checkpoint.fingerprint, "requests": state.requests,
                "answered_by": state.answered_by, "rates": state.rates, "error_statuses": state.error_statuses,
            })
        };
        let mut state =
            serde_json::to_value(&self.counters).expect("counters have string keys and numbers only");
        state["seed"] = json!(seed);
        state["aliases"] = self.aliases.iter().map(|(id, one)| (id.clone(), alias(one))).collect();
        state["checkpoints"] =
            self.checkpoints.iter().map(|(id, one)| (id.clone(), checkpoint(one))).collect();
        state
    }

    fn count_repeat(&mut self, checkpoint: &str, conversation: u64) -> u64 {
        if self.repeats.len() >= OCCURRENCES_MAX {
            self.repeats.clear();
        }
        let count = self.repeats.entry((checkpoint.to_owned(), conversation)).or_default();
        *count += 1;
        *count - 1
    }
}

impl Elapsed {
    fn between(started: Now, now: Now) -> Self {
        Self {
            time: now.at.duration_since(started.at),
            days: now.unix_seconds.saturating_sub(started.unix_seconds) / DAY_SECONDS,
        }
    }
}

impl AliasState {
    fn next_target(&mut self, elapsed: Elapsed) -> String {
        self.requests += 1;
        for (swap, done) in self.alias.rotate.iter().zip(&mut self.done) {
            if !*done && is_due(swap, self.requests, elapsed) {
                *done = true;
                self.target = swap.to.clone();
            }
        }
        self.target.clone()
    }
}

fn is_due(swap: &Swap, requests: u64, elapsed: Elapsed) -> bool {
    swap.at_request.is_some_and(|at| requests >= at)
        || swap.after_seconds.is_some_and(|after| elapsed.time >= Duration::from_secs(after))
        || swap.after_days.is_some_and(|after| elapsed.days >= after)
}
