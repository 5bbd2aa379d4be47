//! The output of an answer, with messages in the place of calls that don't pass.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::slots::text_behind;
use super::{Response, mentions_calls, message_id};
use crate::guard::{Called, Verdict};
use crate::json;
use crate::responses::canned::message;
use crate::responses::item::{Call, Item, Part};
use crate::responses::observe::read;

/// A whole answer that calls tools.
pub struct Calls {
    body: Vec<u8>,
    calls: Vec<Called>,
}

/// A part of a text that is to be written anew.
pub(super) struct Splice {
    from: usize,
    to: usize,
    new: Vec<u8>,
}

impl Calls {
    /// The calls of an answer; none where it has none.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Calls> {
        if !mentions_calls(body) {
            return None;
        }
        let mut calls = Vec::new();
        each_call(output(body)?, |_, _, call, _| calls.push(called(call)));
        (!calls.is_empty()).then(|| Calls { body: body.to_vec(), calls })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Called> {
        self.calls.iter()
    }

    /// The answer without the calls that don't pass, by a verdict for each; none when all pass.
    #[must_use]
    pub fn without(self, verdicts: &[Verdict]) -> Option<Vec<u8>> {
        let output = output(&self.body)?;
        let mut said = says(output);
        let mut verdicts = verdicts.iter();
        let new = replaced(output, |at, _, call| {
            let told = verdicts.next()?.as_ref().err()?;
            let at = usize::try_from(at).unwrap_or_default();
            let id = message_id(&call.id, at);
            let text = text_behind(std::mem::replace(&mut said, true), told);
            Some(message(&id, "completed", Some(&text)))
        })?;
        Some(spliced(&self.body, vec![Splice::new(&self.body, output, new)]))
    }
}

impl Splice {
    /// Puts `new` in the place of a value that was read from `text`.
    pub fn new(text: &[u8], value: &RawValue, new: Vec<u8>) -> Splice {
        let from = value.get().as_ptr() as usize - text.as_ptr() as usize;
        Splice { from, to: from + value.get().len(), new }
    }
}

/// The text with its parts written anew.
pub(super) fn spliced(text: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    splices.sort_unstable_by_key(|splice| splice.from);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for Splice { from, to, new } in splices {
        out.extend_from_slice(&text[at..from]);
        out.extend_from_slice(&new);
        at = to;
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// Gives each call of an output: its place, its item's id, and whether it came whole. An item that can't be read counts as a
/// call of a tool without a name.
pub(super) fn each_call(output: &RawValue, mut each: impl FnMut(u64, &str, &Call<'_>, bool)) {
    for (at, text) in (0..).zip(json::items(output.get())) {
        match serde_json::from_str::<Item<'_>>(text) {
            Ok(item) => {
                if let Some(call) = item.call() {
                    each(at, &item.id(), &call, !item.is_incomplete());
                }
            }
            Err(_) => each(at, "", &Call::default(), false),
        }
    }
}

/// The output with other items in the place of calls; none when nothing changes. `message` gives what stands in a call's
/// place, none where it stays, and is asked of the calls that [`each_call`] gives, in their order.
pub(super) fn replaced(
    output: &RawValue,
    mut message: impl FnMut(u64, &str, &Call<'_>) -> Option<Value>,
) -> Option<Vec<u8>> {
    let mut new = Vec::new();
    each_call(output, |at, item_id, call, _| {
        new.extend(message(at, item_id, call).map(|item| (at, item.to_string())));
    });
    if new.is_empty() {
        return None;
    }
    let mut out = vec![b'['];
    for (at, text) in (0_u64..).zip(json::items(output.get())) {
        if at > 0 {
            out.push(b',');
        }
        let other = new.iter().find(|(place, _)| *place == at);
        out.extend_from_slice(other.map_or(text, |(_, item)| item).as_bytes());
    }
    out.push(b']');
    Some(out)
}

fn called(call: &Call<'_>) -> Called {
    let Call { id, name, arguments } = call;
    Called { id: id.to_string(), name: name.to_string(), arguments: arguments.to_string() }
}

fn output(body: &[u8]) -> Option<&RawValue> {
    let Response { output } = read(body).ok()?;
    output.filter(|output| output.get().starts_with('['))
}

/// Whether an output has a text.
fn says(output: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Any<'a>(#[serde(borrow)] Vec<Item<'a>>);
    let Ok(Any(items)) = serde_json::from_str(output.get()) else { return false };
    let mut said = false;
    for item in items {
        item.parts(|part| said |= matches!(part, Part::Text(text) if !text.is_empty()));
    }
    said
}
