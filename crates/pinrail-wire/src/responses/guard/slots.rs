//! The calls of a stream, and what becomes of each.

use serde_json::Value;

use super::message_id;
use crate::guard::{Called, Rule, Verdict};
use crate::responses::canned::message;
use crate::responses::item::Call;

/// The calls in the order in which they began.
#[derive(Default)]
pub(super) struct Slots {
    list: Vec<Slot>,
    /// Calls dropped by their tool's name, that nobody was told of yet.
    untold: Vec<usize>,
}

#[derive(Default)]
struct Slot {
    /// Where its item stands in the output.
    output_index: Option<u64>,
    item_id: String,
    called: Called,
    fate: Fate,
    /// Its item came whole.
    whole: bool,
    /// The message in its place, once it is written.
    message: Option<Value>,
}

/// What becomes of a call.
#[derive(Default)]
enum Fate {
    /// Its name isn't known.
    #[default]
    Unknown,
    Passes,
    Asked,
    /// The client is told this.
    Dropped(String),
}

impl Slots {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether it isn't known of a call if it passes.
    pub fn is_open(&self) -> bool {
        self.list.iter().any(|slot| slot.is_open())
    }

    /// Finds a call by any of its names; its own id weighs most, then its item's id. Calls of two ids are two calls,
    /// whatever else they have in common.
    pub fn of(&self, output_index: Option<u64>, item_id: &str, call_id: &str) -> Option<usize> {
        let is_other =
            |slot: &Slot| !call_id.is_empty() && !slot.called.id.is_empty() && slot.called.id != call_id;
        let by =
            |same: &dyn Fn(&Slot) -> bool| self.list.iter().position(|slot| same(slot) && !is_other(slot));
        let by_call = || by(&|slot| !call_id.is_empty() && slot.called.id == call_id);
        let by_item = || by(&|slot| !item_id.is_empty() && slot.item_id == item_id);
        let by_place = || by(&|slot| output_index.is_some() && slot.output_index == output_index);
        by_call().or_else(by_item).or_else(by_place)
    }

    /// Notes a call as its item has it; `done` says that the item is over, and if it came whole.
    pub fn note(
        &mut self,
        output_index: Option<u64>,
        item_id: &str,
        call: &Call<'_>,
        done: Option<bool>,
        rule: &dyn Fn(&str) -> Rule,
    ) {
        let at = self.of(output_index, item_id, &call.id).unwrap_or_else(|| {
            self.list.push(Slot { output_index, item_id: item_id.to_owned(), ..Slot::default() });
            self.list.len() - 1
        });
        let slot = &mut self.list[at];
        if slot.called.id.is_empty() {
            slot.called.id = call.id.to_string();
        }
        if let Some(whole) = done {
            slot.whole |= whole;
            // What clients act on is the item in the end, not its pieces.
            if !call.arguments.is_empty() && !matches!(slot.fate, Fate::Passes) {
                slot.called.arguments = call.arguments.to_string();
            }
        }
        // A call that passed doesn't become another one.
        let renamed = !call.name.is_empty() && slot.called.name != call.name;
        if renamed && matches!(slot.fate, Fate::Unknown | Fate::Passes) {
            slot.called.name = call.name.to_string();
            self.decide(at, rule);
        }
    }

    /// Adds a piece of a call's arguments.
    pub fn grow(&mut self, at: usize, piece: &str) {
        let slot = &mut self.list[at];
        if !matches!(slot.fate, Fate::Passes) {
            slot.called.arguments.push_str(piece);
        }
    }

    /// The calls to be asked about, now that the answer is over. A call without a name is ruled on as such; one that
    /// didn't come whole isn't asked about, and the client is told `half`.
    pub fn asked(&mut self, rule: &dyn Fn(&str) -> Rule, half: &str) -> (Vec<usize>, Vec<Called>) {
        for at in 0..self.list.len() {
            if matches!(self.list[at].fate, Fate::Unknown) {
                self.decide(at, rule);
            }
        }
        for slot in self.list.iter_mut().filter(|slot| slot.is_open() && !slot.whole) {
            slot.fate = Fate::Dropped(half.to_owned());
        }
        let open = self.list.iter().enumerate().filter(|(_, slot)| slot.is_open());
        open.map(|(at, slot)| (at, slot.called.clone())).unzip()
    }

    pub fn settle(&mut self, at: usize, verdict: Verdict) {
        self.list[at].fate = match verdict {
            Ok(()) => Fate::Passes,
            Err(told) => Fate::Dropped(told),
        };
    }

    /// Drops all calls of which it isn't known if they pass.
    pub fn settle_open(&mut self, told: &str) {
        for slot in self.list.iter_mut().filter(|slot| slot.is_open()) {
            slot.fate = Fate::Dropped(told.to_owned());
        }
    }

    /// What the client is told of a call that doesn't pass; none where it does.
    pub fn dropped_told(&self, at: usize) -> Option<String> {
        match &self.list[at].fate {
            Fate::Dropped(told) => Some(told.clone()),
            Fate::Unknown | Fate::Passes | Fate::Asked => None,
        }
    }

    /// Whether the message in the call's place is written.
    pub fn is_told(&self, at: usize) -> bool {
        self.list[at].message.is_some()
    }

    /// Makes the message in a call's place: its id, its place and its text. `said` says that a text came before.
    pub fn tell(&mut self, at: usize, told: &str, said: bool) -> (String, u64, String) {
        let slot = &mut self.list[at];
        let id = message_id(&slot.called.id, at);
        let text = text_behind(said, told);
        slot.message = Some(message(&id, "completed", Some(&text)));
        (id, slot.output_index.unwrap_or(0), text)
    }

    /// The message that stands in a call's place; none where it passes.
    pub fn message(&mut self, at: usize, said: bool) -> Option<Value> {
        let told = self.dropped_told(at)?;
        if !self.is_told(at) {
            self.tell(at, &told, said);
        }
        self.list[at].message.clone()
    }

    pub fn dropped(&mut self) -> Vec<Called> {
        std::mem::take(&mut self.untold).into_iter().map(|at| self.list[at].called.clone()).collect()
    }

    fn decide(&mut self, at: usize, rule: &dyn Fn(&str) -> Rule) {
        let slot = &mut self.list[at];
        slot.fate = match rule(&slot.called.name) {
            Rule::Pass => Fate::Passes,
            Rule::Ask => Fate::Asked,
            Rule::Drop(told) => {
                self.untold.push(at);
                Fate::Dropped(told)
            }
        };
    }
}

impl Slot {
    fn is_open(&self) -> bool {
        matches!(self.fate, Fate::Unknown | Fate::Asked)
    }
}

/// A text of ours, apart from what was said before it.
pub(super) fn text_behind(said: bool, told: &str) -> String {
    if said { format!("\n\n{told}") } else { told.to_owned() }
}
