//! The calls of a stream.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::event::{Owned, is_done, may_begin_a_block};
use super::whole::stopped_otherwise;
use super::{CALL, told_of, with_field};
use crate::guard::{Called, Rule, Verdict};
use crate::json::Str;
use crate::messages::canned::write_event;
use crate::messages::observe::{Block, is_empty_object, read_object, text_of};
use crate::sse::{EventTooLong, Splitter};

/// Watches the calls of a stream.
pub struct StreamGuard {
    splitter: Splitter,
    rule: Box<dyn Fn(&str) -> Rule + Send>,
    /// Where the provider's next block would stand.
    next: u64,
    /// The provider's indexes of the blocks that are left out.
    gone: BTreeSet<u64>,
    /// A call passed.
    passed: bool,
    /// What is to be told of calls that don't pass.
    told: Vec<String>,
    holding: Option<Holding>,
    held_bytes: usize,
    /// Events behind the end of an answer whose calls are asked about.
    behind: Vec<Owned>,
    dropped: Vec<Call>,
}

/// What waits since the first call that is to be asked about.
#[derive(Default)]
struct Holding {
    asked: Vec<Call>,
    /// With the provider's index of the block that each is a part of.
    events: Vec<(Option<u64>, Owned)>,
    /// The answer has ended, and so the calls are whole.
    ended: Option<Ended>,
}

struct Ended {
    asking: Vec<Called>,
    ending: Owned,
}

/// A call as it comes in.
struct Call {
    index: u64,
    called: Called,
    /// The arguments at its beginning; those that follow in pieces take their place.
    input: String,
}

/// What of an event's data says whether it passes.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    partial_json: Option<Str<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
}

/// Bytes held of one answer: the longest that models give today, cut into events of a few characters each.
const HELD_BYTES_MAX: usize = 64 << 20;

/// Bytes of arguments kept of a call that was dropped, which nobody is asked about.
const DROPPED_BYTES_MAX: usize = 1 << 16;

impl StreamGuard {
    #[must_use]
    pub fn new(event_bytes_max: usize, rule: Box<dyn Fn(&str) -> Rule + Send>) -> StreamGuard {
        StreamGuard {
            splitter: Splitter::new(event_bytes_max),
            rule,
            next: 0,
            gone: BTreeSet::new(),
            passed: false,
            told: Vec::new(),
            holding: None,
            held_bytes: 0,
            behind: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Takes the next bytes and gives what to pass on now; whole events alone.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream should be ended with an error. What is held counts as one event of its own limit.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, EventTooLong> {
        let (mut events, mut out) = (Vec::new(), Vec::with_capacity(chunk.len()));
        let is_plain = self.is_plain();
        let fed = self.splitter.feed(chunk, |event| {
            if is_plain && events.is_empty() && !event.data.as_deref().is_some_and(may_begin_a_block) {
                out.extend_from_slice(event.raw);
            } else {
                events.push(Owned::of(&event));
            }
        });
        for event in events {
            self.take(event, &mut out);
        }
        fed?;
        if self.held_bytes > HELD_BYTES_MAX {
            return Err(EventTooLong { event_bytes_max: HELD_BYTES_MAX });
        }
        Ok(Bytes::from(out))
    }

    /// The calls that somebody is to be asked about; [`StreamGuard::answer`] takes what was said of each.
    #[must_use]
    pub fn asking(&self) -> Option<&[Called]> {
        Some(&self.holding.as_ref()?.ended.as_ref()?.asking)
    }

    /// Goes on with what was said of the calls that were asked about.
    pub fn answer(&mut self, verdicts: Vec<Verdict>) -> Bytes {
        let mut out = Vec::new();
        if self.asking().is_none() {
            return Bytes::new();
        }
        let Some(Holding { asked, events, ended }) = self.holding.take() else { return Bytes::new() };
        self.held_bytes = 0;
        let mut verdicts = verdicts.into_iter();
        for call in asked {
            let refused = || Err("The call was not decided about, and so not made.".to_owned());
            match verdicts.next().unwrap_or_else(refused) {
                Ok(()) => self.passed = true,
                Err(told) => {
                    self.gone.insert(call.index);
                    self.told.push(told);
                }
            }
        }
        for (index, event) in events {
            self.write(index, &event, &mut out);
        }
        if let Some(Ended { ending, .. }) = ended {
            self.close(&ending, &mut out);
        }
        for event in std::mem::take(&mut self.behind) {
            self.take(event, &mut out);
        }
        Bytes::from(out)
    }

    /// Ends the stream: a call that was held and not asked about is dropped, as half a call is worth nothing.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(mut rest) = self.splitter.rest().map(|event| Owned::of(&event)) {
            let is_whole = |data: &Vec<u8>| read_object::<Head<'_>>(data).is_ok() || is_done(data);
            if rest.data.as_ref().is_some_and(is_whole) {
                rest.raw.extend_from_slice(b"\n\n");
                self.take(rest, &mut out);
            }
        }
        while let Some(asking) = self.asking() {
            let undecided = asking.iter().map(|_| Err("The answer ended too early.".to_owned())).collect();
            out.extend_from_slice(&self.answer(undecided));
        }
        self.abandon(&mut out);
        Bytes::from(out)
    }

    /// The calls that were dropped by their tool's name alone, each told once.
    pub fn dropped(&mut self) -> Vec<Called> {
        std::mem::take(&mut self.dropped).iter().map(Call::whole).collect()
    }

    fn take(&mut self, event: Owned, out: &mut Vec<u8>) {
        let Some(data) = &event.data else { return out.extend_from_slice(&event.raw) };
        if self.is_plain() && !may_begin_a_block(data) {
            return out.extend_from_slice(&event.raw);
        }
        if is_done(data) {
            return if self.asking().is_some() { self.wait(event) } else { self.end(event, out) };
        }
        // What can't be read can't be looked through.
        let Ok(head) = read_object::<Head<'_>>(data) else { return };
        let kind = text_of(&head.kind).or_else(|| std::str::from_utf8(event.name.as_deref()?).ok());
        let kind = kind.unwrap_or_default();
        if kind == "ping" {
            return out.extend_from_slice(&event.raw);
        }
        if self.asking().is_some() {
            return self.wait(event);
        }
        let stops = head.delta.as_ref().is_some_and(|delta| delta.stop_reason.is_some());
        if let Some(block) = head.content_block {
            let index = head.index.unwrap_or(self.next);
            let Ok(block) = read_object::<Block<'_>>(block.get().as_bytes()) else { return };
            if self.begin(index, &block) {
                self.pass(Some(index), event, out);
            }
        } else if kind == "message_stop" || stops {
            self.end(event, out);
        } else if kind == "error" {
            self.abandon(out);
            out.extend_from_slice(&event.raw);
        } else {
            let index = head.index;
            if let (Some(index), Some(Delta { partial_json: Some(Str(piece)), .. })) = (index, &head.delta) {
                self.grow(index, piece);
            }
            self.pass(index, event, out);
        }
    }

    /// Says whether nothing is held or left out so far, so that only the beginning of a block is of interest.
    fn is_plain(&self) -> bool {
        self.holding.is_none() && self.gone.is_empty()
    }

    /// Puts an event behind the answer that waits for what is said of its calls.
    fn wait(&mut self, event: Owned) {
        self.held_bytes += event.bytes();
        self.behind.push(event);
    }

    /// Begins a block; says whether it passes or is held.
    fn begin(&mut self, index: u64, block: &Block<'_>) -> bool {
        self.next = self.next.max(index.saturating_add(1));
        self.gone.remove(&index);
        if block.kind() != Some(CALL) {
            return true;
        }
        let called = block.called();
        let rule = (self.rule)(&called.name);
        let input = block.input().filter(|input| !is_empty_object(input)).unwrap_or_default().to_owned();
        let call = Call { index, called, input };
        match rule {
            Rule::Pass => self.passed = true,
            Rule::Ask => self.holding.get_or_insert_default().asked.push(call),
            Rule::Drop(told) => {
                self.gone.insert(index);
                self.told.push(told);
                self.dropped.push(call);
                return false;
            }
        }
        true
    }

    /// Adds a piece to the arguments of a call that is asked about or dropped.
    fn grow(&mut self, index: u64, piece: &str) {
        let of_index = |call: &&mut Call| call.index == index;
        if self.gone.contains(&index) {
            if let Some(call) = self.dropped.iter_mut().rev().find(of_index) {
                let room = DROPPED_BYTES_MAX.saturating_sub(call.called.arguments.len());
                call.called.arguments.push_str(&piece[..piece.floor_char_boundary(room)]);
            }
        } else if let Some(holding) = &mut self.holding
            && let Some(call) = holding.asked.iter_mut().rev().find(of_index)
        {
            call.called.arguments.push_str(piece);
        }
    }

    /// Passes an event on, or holds it where one before it is held.
    fn pass(&mut self, index: Option<u64>, event: Owned, out: &mut Vec<u8>) {
        match &mut self.holding {
            Some(_) if index.is_some_and(|index| self.gone.contains(&index)) => {}
            Some(holding) => {
                self.held_bytes += event.bytes();
                holding.events.push((index, event));
            }
            None => self.write(index, &event, out),
        }
    }

    /// Writes an event whose block is not left out, counted anew where others before it are.
    fn write(&self, index: Option<u64>, event: &Owned, out: &mut Vec<u8>) {
        let Some(index) = index else { return out.extend_from_slice(&event.raw) };
        if self.gone.contains(&index) {
            return;
        }
        match self.gone.range(..index).count() as u64 {
            0 => out.extend_from_slice(&event.raw),
            before => event.write_with(out, |data| with_field(data, "index", &(index - before).to_string())),
        }
    }

    /// Ends the answer: calls that are to be asked about are, and else the rest is told.
    fn end(&mut self, event: Owned, out: &mut Vec<u8>) {
        match &mut self.holding {
            Some(holding) => {
                let asking = holding.asked.iter().map(Call::whole).collect();
                holding.ended = Some(Ended { asking, ending: event });
            }
            None => self.close(&event, out),
        }
    }

    fn close(&mut self, ending: &Owned, out: &mut Vec<u8>) {
        if let Some(told) = told_of(&std::mem::take(&mut self.told)) {
            let index = self.next - self.gone.len() as u64;
            let block = json!({ "type": "text", "text": "" });
            let delta = json!({ "type": "text_delta", "text": told });
            write_event(
                out,
                &json!({ "type": "content_block_start", "index": index, "content_block": block }),
            );
            write_event(out, &json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            write_event(out, &json!({ "type": "content_block_stop", "index": index }));
            self.next += 1;
        }
        if self.gone.is_empty() || self.passed {
            return out.extend_from_slice(&ending.raw);
        }
        ending.write_with(out, |data| {
            #[derive(Deserialize)]
            struct Ending<'a> {
                #[serde(borrow)]
                delta: &'a RawValue,
            }
            let Ending { delta } = read_object(data.as_bytes()).ok()?;
            with_field(data, "delta", &stopped_otherwise(delta.get())?)
        });
    }

    /// Gives up the calls that nobody can be asked about any more, and passes on what was held behind them.
    fn abandon(&mut self, out: &mut Vec<u8>) {
        let Some(Holding { asked, events, ended: _ }) = self.holding.take() else { return };
        self.held_bytes = 0;
        self.gone.extend(asked.iter().map(|call| call.index));
        for (index, event) in events {
            self.write(index, &event, out);
        }
    }
}

impl Call {
    /// The call with all its arguments; an empty object where none came.
    fn whole(&self) -> Called {
        let mut called = self.called.clone();
        if called.arguments.is_empty() {
            called.arguments.push_str(if self.input.is_empty() { "{}" } else { &self.input });
        }
        called
    }
}
