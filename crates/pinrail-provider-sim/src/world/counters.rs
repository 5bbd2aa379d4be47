//! What the simulator counts, for tests and for people who watch.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything counted since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// By the id that requests named, aliases included.
    pub models: BTreeMap<String, ModelCount>,
    /// Requests by the checkpoint that answered.
    pub served: BTreeMap<String, u64>,
    /// Requests for a model that the script doesn't have.
    pub model_not_found: u64,
    /// Requests turned away for lack of room.
    pub overloaded: u64,
    /// Requests being answered now.
    pub in_flight: usize,
    /// Of those, requests that hang or stall now.
    pub hanging: usize,
}

/// What happened to the requests for one model id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelCount {
    pub requests: u64,
    /// Answers sent to their end, wrong ones and garbage included.
    pub completed: u64,
    /// The client went away before the end.
    pub cancelled: u64,
    /// Injected errors.
    pub errors: u64,
    /// Injected garbage.
    pub garbage: u64,
    /// Streams cut by the simulator.
    pub cut: u64,
    /// Requests that were left hanging or stalled, however they ended.
    pub hung: u64,
}

impl Counters {
    /// Finds the counts of a model; the caller makes sure that the script has it, so the map stays bounded.
    pub fn model(&mut self, id: &str) -> &mut ModelCount {
        if !self.models.contains_key(id) {
            self.models.insert(id.to_owned(), ModelCount::default());
        }
        self.models.get_mut(id).expect("it was just put in")
    }
}
