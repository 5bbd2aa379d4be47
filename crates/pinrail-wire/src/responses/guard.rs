//! Holds tool calls of an answer back until it is known whether the client may act on them.
//!
//! The caller says of each tool, by its name, whether calls of it pass, are dropped, or are to be asked about one by one
//! ([`Rule`]). What a call is, `Item::call` says. Whole answers: [`Calls`]. Streams: [`StreamGuard`]. Conditions:
//! - A call passes or is dropped when its item begins, since its name stands there; one whose name comes later is held until
//!   then. Calls that are asked about are held until the answer ends, and everything behind the first of them
//!   waits with it, since clients count on the order of items. An answer without a call that is asked about isn't held.
//! - A call that is left out leaves its place to a message that tells of it, so the other items keep their places. The
//!   `output` of whole answers and of the events that carry one is changed in the same way.
//! - Everything else passes byte for byte. Once something was left out, the numbers of later events follow on from
//!   those that went out, and nothing else in them changes.
//! - What can't be read can't be looked through, and doesn't pass.

mod output;
mod slots;

pub use output::Calls;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::output::{Splice, replaced, spliced};
use self::slots::Slots;
use super::canned::{MESSAGE_EVENTS, message_events, write_event};
use super::item::Item;
use super::observe::read;
use crate::guard::{Called, Rule, Verdict};
use crate::json::Str;
use crate::sse::{Event, EventTooLong, Splitter};

/// Watches the calls of a stream.
pub struct StreamGuard {
    splitter: Splitter,
    rule: Box<dyn Fn(&str) -> Rule + Send>,
    slots: Slots,
    /// A text went out before.
    said: bool,
    /// What is added to the numbers of events.
    shift: i64,
    /// The first call that nothing is known of yet, and all behind it.
    held: Vec<Block>,
    held_bytes: usize,
    asking: Option<Asking>,
    /// What came after the end of the answer, while its calls are asked about.
    behind: Vec<Block>,
}

/// Calls that are asked about, and where they stand.
struct Asking {
    slots: Vec<usize>,
    calls: Vec<Called>,
}

/// One event as it came.
struct Block {
    raw: Vec<u8>,
    name: Option<String>,
    data: Option<Vec<u8>>,
}

/// The data of an event, as far as it is looked at.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    output_index: Option<u64>,
    #[serde(borrow)]
    item_id: Option<Str<'a>>,
    #[serde(borrow)]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<Item<'a>>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// How far an event brings the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Underway,
    Ended,
    /// It ended as something that nobody should act on.
    Failed,
}

/// Most bytes that are held for one answer; longer than any that a person is asked about.
const HELD_BYTES_MAX: usize = 16 << 20;

const ENDED_EARLY: &str = "The answer ended too early, and the call was not made.";
const TOO_LONG: &str = "The answer is too long to be held, and the call was not made.";
const UNDECIDED: &str = "The call was not decided about, and so not made.";

impl StreamGuard {
    #[must_use]
    pub fn new(event_bytes_max: usize, rule: Box<dyn Fn(&str) -> Rule + Send>) -> StreamGuard {
        StreamGuard {
            splitter: Splitter::new(event_bytes_max),
            rule,
            slots: Slots::default(),
            said: false,
            shift: 0,
            held: Vec::new(),
            held_bytes: 0,
            asking: None,
            behind: Vec::new(),
        }
    }

    /// Takes the next bytes and gives what to pass on now; whole events alone.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream should be ended with an error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, EventTooLong> {
        let mut blocks = Vec::new();
        let fed = self.splitter.feed(chunk, |event| blocks.push(Block::of(&event)));
        let mut out = Vec::new();
        for block in blocks {
            self.take(block, &mut out);
        }
        fed.map(|()| Bytes::from(out))
    }

    /// The calls that somebody is to be asked about; [`StreamGuard::answer`] takes what was said of each.
    #[must_use]
    pub fn asking(&self) -> Option<&[Called]> {
        self.asking.as_ref().map(|asking| &asking.calls[..])
    }

    /// Goes on with what was said of the calls that were asked about.
    pub fn answer(&mut self, verdicts: Vec<Verdict>) -> Bytes {
        let mut out = Vec::new();
        let Some(Asking { slots, calls: _ }) = self.asking.take() else { return Bytes::new() };
        let mut verdicts = verdicts.into_iter();
        for slot in slots {
            self.slots.settle(slot, verdicts.next().unwrap_or_else(|| Err(UNDECIDED.to_owned())));
        }
        self.release(&mut out);
        for block in std::mem::take(&mut self.behind) {
            self.take(block, &mut out);
        }
        Bytes::from(out)
    }

    /// Ends the stream: what was held is dropped, as half a call is worth nothing.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(mut block) = self.splitter.rest().map(|event| Block::of(&event)) {
            let whole = block.data.as_ref().is_some_and(|data| {
                data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<&RawValue>(data).is_ok()
            });
            if whole {
                block.raw.extend_from_slice(b"\n\n");
                self.take(block, &mut out);
            }
        }
        while let Some(asking) = &self.asking {
            let undecided = asking.calls.iter().map(|_| Err(ENDED_EARLY.to_owned())).collect();
            out.extend_from_slice(&self.answer(undecided));
        }
        Bytes::from(out)
    }

    /// The calls that were dropped by their tool's name alone, each told once.
    pub fn dropped(&mut self) -> Vec<Called> {
        self.slots.dropped()
    }

    fn take(&mut self, block: Block, out: &mut Vec<u8>) {
        if self.asking.is_some() {
            return self.behind.push(block);
        }
        // Comments keep a connection alive also while something is held.
        let Some(data) = &block.data else { return out.extend_from_slice(&block.raw) };
        if self.slots.is_empty() && !mentions_calls(data) {
            self.said |= memchr::memmem::find(data, b"output_text.delta").is_some();
            return out.extend_from_slice(&block.raw);
        }
        if data.trim_ascii() == b"[DONE]" {
            return self.pass_or_hold(block, out);
        }
        let Ok(read) = read::<Data<'_>>(data) else { return };
        let stage = read.stage(block.name());
        self.learn(&read, block.name(), stage);
        if stage == Stage::Underway {
            return self.pass_or_hold(block, out);
        }
        if stage == Stage::Failed {
            self.slots.settle_open(ENDED_EARLY);
        }
        let (slots, calls) = self.slots.asked(&*self.rule, ENDED_EARLY);
        if !slots.is_empty() {
            self.asking = Some(Asking { slots, calls });
            return self.held.push(block);
        }
        self.release(out);
        self.emit(&block, out);
    }

    fn pass_or_hold(&mut self, block: Block, out: &mut Vec<u8>) {
        if !self.slots.is_open() {
            self.release(out);
            return self.emit(&block, out);
        }
        self.held_bytes += block.raw.len();
        self.held.push(block);
        if self.held_bytes > HELD_BYTES_MAX {
            self.slots.settle_open(TOO_LONG);
            self.release(out);
        }
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.held_bytes = 0;
        for block in std::mem::take(&mut self.held) {
            self.emit(&block, out);
        }
    }

    /// Notes what an event says of calls.
    fn learn(&mut self, read: &Data<'_>, name: &str, stage: Stage) {
        let kind = read.kind(name);
        if let Some(item) = &read.item
            && let Some(call) = item.call()
        {
            let done = (kind == "response.output_item.done").then(|| !item.is_incomplete());
            self.slots.note(read.output_index, &item.id(), &call, done, &*self.rule);
        }
        if kind.ends_with("_call_arguments.delta") || kind.ends_with("_call_input.delta") {
            let piece = read.delta.map(super::item::text).unwrap_or_default();
            if let Some(slot) = self.slots.of(read.output_index, read.item_id(), "") {
                self.slots.grow(slot, &piece);
            }
        }
        if let Some(output) = read.output() {
            output::each_call(output, |at, item_id, call, whole| {
                let done = (stage != Stage::Underway).then_some(whole);
                self.slots.note(Some(at), item_id, call, done, &*self.rule);
            });
        }
    }

    /// Writes an event as it may go out.
    fn emit(&mut self, block: &Block, out: &mut Vec<u8>) {
        let parsed = block.data.as_ref().filter(|_| !self.slots.is_empty());
        let Some((data, Ok(read))) = parsed.map(|data| (data, read::<Data<'_>>(data))) else {
            return out.extend_from_slice(&block.raw);
        };
        let kind = read.kind(block.name());
        let number = read.sequence_number.and_then(|raw| raw.get().parse::<i64>().ok());
        if let Some(slot) = self.slot_of(&read, kind)
            && let Some(told) = self.slots.dropped_told(slot)
        {
            return self.tell(slot, &told, number, out);
        }
        self.said |= kind == "response.output_text.delta";
        let mut splices = Vec::new();
        if let (Some(number), true) = (number, self.shift != 0)
            && let Some(raw) = read.sequence_number
        {
            splices.push(Splice::new(data, raw, (number + self.shift).to_string().into_bytes()));
        }
        if let Some(output) = read.output() {
            let (slots, said) = (&mut self.slots, self.said);
            let new = replaced(output, |at, item_id, call| {
                let slot = slots.of(Some(at), item_id, &call.id)?;
                slots.message(slot, said)
            });
            splices.extend(new.map(|new| Splice::new(data, output, new)));
        }
        if splices.is_empty() {
            return out.extend_from_slice(&block.raw);
        }
        block.write(&spliced(data, splices), out);
    }

    /// Finds the call that an event is of.
    fn slot_of(&self, read: &Data<'_>, kind: &str) -> Option<usize> {
        if let Some(item) = &read.item {
            let call = item.call()?;
            return self.slots.of(read.output_index, &item.id(), &call.id);
        }
        let index = read.output_index.filter(|_| kind.contains("_call"));
        self.slots.of(index, read.item_id(), "")
    }

    /// Writes the message that stands in a call's place, at the first of the call's events; the others go.
    fn tell(&mut self, slot: usize, told: &str, number: Option<i64>, out: &mut Vec<u8>) {
        let counted = i64::from(number.is_some());
        if self.slots.is_told(slot) {
            self.shift -= counted;
            return;
        }
        let (id, output_index, text) = self.slots.tell(slot, told, self.said);
        self.said = true;
        let first = u64::try_from(number.unwrap_or(0) + self.shift).unwrap_or(0);
        for (number, event) in (first..).zip(message_events(&id, output_index, &text)) {
            write_event(out, event, number);
        }
        let events = i64::try_from(MESSAGE_EVENTS).expect("a handful");
        self.shift += events - counted;
    }
}

impl Block {
    fn of(event: &Event<'_>) -> Block {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Block {
            raw: event.raw.to_vec(),
            name: event.name.map(text),
            data: event.data.as_ref().map(|data| data.to_vec()),
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Writes the event with other data.
    fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        if let Some(name) = &self.name {
            out.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        for line in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
}

impl<'a> Data<'a> {
    /// What the event is: its data's type, or its name where that has none.
    fn kind<'k>(&'k self, name: &'k str) -> &'k str {
        self.kind.as_ref().map_or(name, |Str(kind)| kind)
    }

    fn item_id(&self) -> &str {
        self.item_id.as_ref().map_or("", |Str(id)| id)
    }

    fn output(&self) -> Option<&'a RawValue> {
        let output = self.response.as_ref()?.output?;
        output.get().starts_with('[').then_some(output)
    }

    fn stage(&self, name: &str) -> Stage {
        match self.kind(name) {
            "response.completed" | "response.incomplete" => Stage::Ended,
            "response.failed" | "response.cancelled" | "error" => Stage::Failed,
            kind if self.error.is_some() && !kind.starts_with("response.") => Stage::Failed,
            _ => Stage::Underway,
        }
    }
}

/// Whether something may speak of calls, also where a letter is written as an escape.
fn mentions_calls(data: &[u8]) -> bool {
    let find = |needle: &[u8]| memchr::memmem::find(data, needle).is_some();
    find(b"_call") || find(b"mcp_approval") || find(b"\\u00")
}

/// A message's id, made of that of the call in whose place it stands.
fn message_id(call_id: &str, at: usize) -> String {
    let plain: Cow<'_, str> = call_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let prefix = super::canned::MESSAGE_ID_PREFIX;
    if plain.is_empty() { format!("{prefix}{at}") } else { format!("{prefix}{plain}") }
}

#[cfg(test)]
mod tests;
