//! Holds tool calls of an answer back until it is known whether the client may act on them.
//!
//! The caller says of each tool, by its name, whether calls of it pass, are dropped, or are to be asked about one by one
//! ([`Rule`]). Whole answers: [`Calls`]. Streams: [`StreamGuard`]. Conditions:
//! - Text and all else pass as they come, byte for byte; only events that carry tool calls are written anew.
//! - A call's pieces are held until its arguments begin, since only then its name is whole. Calls that are asked about are
//!   held until their choice ends, and everything behind that end waits for the answer.
//! - What is left out is told in the answer's text. A choice that has no call left ends with `stop`, and the calls
//!   that pass are counted anew from 0.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::guard::{Called, Rule, Verdict};
use crate::sse::{Event, EventTooLong, Splitter};

/// A whole answer that calls tools.
pub struct Calls {
    answer: Value,
    calls: Vec<(Place, Called)>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    choice: usize,
    /// None: the one `function_call` of older clients.
    at: Option<usize>,
}

/// Watches the calls of a stream.
pub struct StreamGuard {
    splitter: Splitter,
    rule: Box<dyn Fn(&str) -> Rule + Send>,
    choices: BTreeMap<u64, Choice>,
    /// Id, model and so on of the events.
    head: Map<String, Value>,
    /// A text came before.
    said: bool,
    asking: Option<Asking>,
    /// Events behind the end of a choice whose calls are asked about.
    behind: Vec<Vec<u8>>,
    dropped: Vec<Called>,
}

/// The end of a choice that waits for what is said of its calls.
struct Asking {
    choice: u64,
    slots: Vec<u64>,
    calls: Vec<Called>,
    /// The event that ended it; none for the end of the stream.
    ending: Option<Value>,
    /// What comes after it.
    then: Option<Vec<u8>>,
}

#[derive(Default)]
struct Choice {
    slots: BTreeMap<u64, Slot>,
    last: Option<u64>,
    passed: u64,
    /// What is to be told of calls that were dropped.
    told: Vec<String>,
    ended: bool,
}

#[derive(Default)]
struct Slot {
    called: Called,
    fate: Fate,
    kind: Option<Value>,
    /// Its place among the calls that pass.
    out: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Unknown,
    Passes,
    Asked,
    Dropped,
}

/// The slot of the one `function_call` of older clients.
const LEGACY: u64 = u64::MAX;

impl Calls {
    /// The calls of an answer; none where it has none.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Calls> {
        if !mentions_calls(body) {
            return None;
        }
        let answer: Value = serde_json::from_slice(body).ok()?;
        let mut calls = Vec::new();
        for (choice, one) in answer["choices"].as_array()?.iter().enumerate() {
            let message = &one["message"];
            for (at, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
                calls.push((Place { choice, at: Some(at) }, called(call)));
            }
            if message["function_call"].is_object() {
                let call = json!({ "function": message["function_call"] });
                calls.push((Place { choice, at: None }, called(&call)));
            }
        }
        (!calls.is_empty()).then_some(Calls { answer, calls })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Called> {
        self.calls.iter().map(|(_, called)| called)
    }

    /// The answer without the calls that don't pass, by a verdict for each; none when all pass.
    #[must_use]
    pub fn without(mut self, verdicts: &[Verdict]) -> Option<Vec<u8>> {
        let refused: Vec<(Place, &String)> = self
            .calls
            .iter()
            .zip(verdicts)
            .filter_map(|((place, _), verdict)| Some((*place, verdict.as_ref().err()?)))
            .collect();
        if refused.is_empty() {
            return None;
        }
        for (index, choice) in self.answer["choices"].as_array_mut()?.iter_mut().enumerate() {
            let here: Vec<_> = refused.iter().filter(|(place, _)| place.choice == index).collect();
            if !here.is_empty() {
                let is_gone = |at| here.iter().any(|(place, _)| place.at == at);
                let told: Vec<&str> = here.iter().map(|(_, told)| told.as_str()).collect();
                rewrite(choice, is_gone, &told.join("\n\n"));
            }
        }
        Some(serde_json::to_vec(&self.answer).expect("a value is JSON"))
    }
}

/// Takes calls out of a whole answer's choice and tells of it.
fn rewrite(choice: &mut Value, is_gone: impl Fn(Option<usize>) -> bool, told: &str) {
    let message = &mut choice["message"];
    if let Some(calls) = message["tool_calls"].as_array_mut() {
        let mut at = 0;
        calls.retain(|_| {
            at += 1;
            !is_gone(Some(at - 1))
        });
    }
    let Some(fields) = message.as_object_mut() else { return };
    if fields.get("tool_calls").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        fields.remove("tool_calls");
    }
    if is_gone(None) {
        fields.remove("function_call");
    }
    let calls_left = fields.contains_key("tool_calls") || fields.contains_key("function_call");
    let content = match fields.remove("content") {
        Some(Value::String(text)) if !text.is_empty() => Value::String(format!("{text}\n\n{told}")),
        Some(Value::Array(mut parts)) => {
            parts.push(json!({ "type": "text", "text": told }));
            Value::Array(parts)
        }
        Some(_) | None => Value::String(told.to_owned()),
    };
    fields.insert("content".to_owned(), content);
    if !calls_left && is_call_reason(&choice["finish_reason"]) {
        choice["finish_reason"] = json!("stop");
    }
}

impl StreamGuard {
    #[must_use]
    pub fn new(event_bytes_max: usize, rule: Box<dyn Fn(&str) -> Rule + Send>) -> StreamGuard {
        StreamGuard {
            splitter: Splitter::new(event_bytes_max),
            rule,
            choices: BTreeMap::new(),
            head: Map::new(),
            said: false,
            asking: None,
            behind: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Takes the next bytes and gives what to pass on now; whole events alone.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream should be ended with an error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, EventTooLong> {
        let mut events = Vec::new();
        let fed = self.splitter.feed(chunk, |event| events.push(owned(&event)));
        let mut out = Vec::new();
        for (raw, data) in events {
            self.take(raw, data.as_deref(), &mut out);
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
        let Some(Asking { choice, slots, calls: _, ending, then }) = self.asking.take() else {
            return Bytes::new();
        };
        let mut verdicts = verdicts.into_iter();
        for slot in slots {
            let refused = || Err("The call was not decided about, and so not made.".to_owned());
            match verdicts.next().unwrap_or_else(refused) {
                Ok(()) => self.pass(choice, slot, &mut out),
                Err(told) => self.choice(choice).told.push(told),
            }
        }
        self.close(choice, ending, &mut out);
        if let Some(raw) = then {
            self.end_all(raw, &mut out);
        }
        for raw in std::mem::take(&mut self.behind) {
            let data = data_of(&raw);
            self.take(raw, data.as_deref(), &mut out);
        }
        Bytes::from(out)
    }

    /// Ends the stream: what was held is dropped, as half a call is worth nothing.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(rest) = self.splitter.rest().map(|event| owned(&event)) {
            let whole = rest.1.as_ref().is_some_and(|data| {
                data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<Value>(data).is_ok()
            });
            if whole {
                self.take([&rest.0[..], b"\n\n"].concat(), rest.1.as_deref(), &mut out);
            }
        }
        while let Some(asking) = &self.asking {
            let undecided = asking.calls.iter().map(|_| Err("The answer ended too early.".to_owned()));
            let undecided = undecided.collect();
            out.extend_from_slice(&self.answer(undecided));
        }
        Bytes::from(out)
    }

    /// The calls that were dropped by their tool's name alone, each told once.
    pub fn dropped(&mut self) -> Vec<Called> {
        std::mem::take(&mut self.dropped)
    }

    fn take(&mut self, raw: Vec<u8>, data: Option<&[u8]>, out: &mut Vec<u8>) {
        if self.asking.is_some() {
            return self.behind.push(raw);
        }
        let Some(data) = data else { return out.extend_from_slice(&raw) };
        if data.trim_ascii() == b"[DONE]" {
            return self.end_all(raw, out);
        }
        if self.choices.is_empty() && !mentions_calls(data) {
            self.said |= says(data);
            return out.extend_from_slice(&raw);
        }
        // What can't be read can't be looked through.
        let Ok(Value::Object(mut event)) = serde_json::from_slice(data) else { return };
        self.note_head(&event);
        let Some(Value::Array(mut choices)) = event.remove("choices") else {
            return out.extend_from_slice(&raw);
        };
        if choices.is_empty() {
            return out.extend_from_slice(&raw);
        }
        let mut ended = Vec::new();
        choices.retain_mut(|one| self.look(one, &mut ended));
        let rest = (!choices.is_empty()).then(|| {
            let mut rest = event.clone();
            rest.insert("choices".to_owned(), Value::Array(choices));
            Value::Object(rest)
        });
        if let Some(rest) = rest {
            write(out, &rest);
        }
        for one in ended {
            let mut ending = event.clone();
            let index = one["index"].as_u64().unwrap_or(0);
            ending.insert("choices".to_owned(), Value::Array(vec![one]));
            let ending = Value::Object(ending);
            if self.asking.is_some() {
                // Another choice that ended in the same event has its turn when the first is answered.
                let mut later = Vec::new();
                write(&mut later, &ending);
                self.behind.push(later);
            } else {
                self.end(index, Some(ending), out);
            }
        }
    }

    /// Looks through a piece of a choice; says whether something of it is left to pass on now. One that ends a choice with
    /// calls is put aside.
    fn look(&mut self, one: &mut Value, ended: &mut Vec<Value>) -> bool {
        let index = one["index"].as_u64().unwrap_or(0);
        let had_calls =
            one["delta"].get("tool_calls").is_some() || one["delta"].get("function_call").is_some();
        if let Some(delta) = one.get_mut("delta").and_then(Value::as_object_mut) {
            self.said |= delta.get("content").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            if let Some(Value::Array(pieces)) = delta.remove("tool_calls") {
                let passing: Vec<Value> =
                    pieces.into_iter().filter_map(|piece| self.piece(index, None, piece)).collect();
                if !passing.is_empty() {
                    delta.insert("tool_calls".to_owned(), Value::Array(passing));
                }
            }
            if let Some(call) = delta.remove("function_call").filter(Value::is_object) {
                let piece = json!({ "function": call });
                if let Some(piece) = self.piece(index, Some(LEGACY), piece) {
                    delta.insert("function_call".to_owned(), piece["function"].clone());
                }
            }
        }
        if !one["finish_reason"].is_null() && self.choices.get(&index).is_some_and(|c| !c.slots.is_empty()) {
            ended.push(one.take());
            return false;
        }
        let empty = one["delta"].as_object().is_none_or(Map::is_empty) && one["finish_reason"].is_null();
        !(had_calls && empty)
    }

    /// Takes in a piece of a call; gives what of it passes now.
    fn piece(&mut self, index: u64, slot: Option<u64>, mut piece: Value) -> Option<Value> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let choice = self.choices.entry(index).or_default();
        let id = piece["id"].as_str().unwrap_or_default().to_owned();
        let slot = slot.or_else(|| piece["index"].as_u64()).unwrap_or_else(|| {
            let known = choice.slots.iter().find(|(_, slot)| !id.is_empty() && slot.called.id == id);
            let next = choice.slots.keys().filter(|key| **key != LEGACY).max().map_or(0, |key| key + 1);
            known.map(|(key, _)| *key).unwrap_or(if id.is_empty() {
                choice.last.unwrap_or(next)
            } else {
                next
            })
        });
        choice.last = Some(slot);
        let held = choice.slots.entry(slot).or_default();
        let body = if piece.get("custom").is_some() { "custom" } else { "function" };
        let key = if body == "custom" { "input" } else { "arguments" };
        let (name, arguments) = (text(&piece[body]["name"]), text(&piece[body][key]));
        if held.called.id.is_empty() {
            held.called.id = id;
        }
        if !piece["type"].is_null() {
            held.kind = Some(piece["type"].clone());
        }
        match held.fate {
            Fate::Unknown => {
                held.called.name.push_str(&name);
                held.called.arguments.push_str(&arguments);
                let known = !held.called.name.is_empty() && !held.called.arguments.is_empty();
                if known { self.decide(index, slot) } else { None }
            }
            Fate::Passes => {
                // A name that went on would make it another call.
                piece[body].as_object_mut().map(|body| body.remove("name"));
                if slot != LEGACY {
                    piece["index"] = json!(held.out);
                }
                Some(piece)
            }
            Fate::Asked => {
                held.called.name.push_str(&name);
                held.called.arguments.push_str(&arguments);
                None
            }
            Fate::Dropped => None,
        }
    }

    /// Decides about a call whose name is known; gives it as far as it came, if it passes.
    fn decide(&mut self, index: u64, slot: u64) -> Option<Value> {
        let choice = self.choices.entry(index).or_default();
        let held = choice.slots.get_mut(&slot)?;
        match (self.rule)(&held.called.name) {
            Rule::Pass => {
                held.fate = Fate::Passes;
                held.out = choice.passed;
                choice.passed += 1;
                Some(held.whole(slot))
            }
            Rule::Ask => {
                held.fate = Fate::Asked;
                None
            }
            Rule::Drop(told) => {
                held.fate = Fate::Dropped;
                self.dropped.push(held.called.clone());
                choice.told.push(told);
                None
            }
        }
    }

    /// Ends a choice: calls that are to be asked about are, and the rest is told.
    fn end(&mut self, index: u64, ending: Option<Value>, out: &mut Vec<u8>) {
        let unknown: Vec<u64> = self.choice(index).of(Fate::Unknown);
        for slot in unknown {
            if let Some(piece) = self.decide(index, slot) {
                self.write_piece(index, slot, piece, out);
            }
        }
        let choice = self.choice(index);
        let slots = choice.of(Fate::Asked);
        if slots.is_empty() {
            return self.close(index, ending, out);
        }
        let calls = slots.iter().map(|slot| choice.slots[slot].called.clone()).collect();
        self.asking = Some(Asking { choice: index, slots, calls, ending, then: None });
    }

    /// Ends all choices at the end of the stream, one after the other, and passes that end on.
    fn end_all(&mut self, raw: Vec<u8>, out: &mut Vec<u8>) {
        let open: Vec<u64> =
            self.choices.iter().filter(|(_, choice)| !choice.ended).map(|(index, _)| *index).collect();
        for index in open {
            self.end(index, None, out);
            if let Some(asking) = &mut self.asking {
                asking.then = Some(raw);
                return;
            }
        }
        out.extend_from_slice(&raw);
    }

    fn close(&mut self, index: u64, ending: Option<Value>, out: &mut Vec<u8>) {
        let before = if self.said { "\n\n" } else { "" };
        let choice = self.choice(index);
        choice.ended = true;
        let told = std::mem::take(&mut choice.told);
        let none_passed = choice.passed == 0;
        if !told.is_empty() {
            let content = format!("{before}{}", told.join("\n\n"));
            let event = self.event(index, json!({ "content": content }), Value::Null);
            write(out, &event);
        }
        match ending {
            Some(mut ending) => {
                let reason = &mut ending["choices"][0]["finish_reason"];
                if none_passed && is_call_reason(reason) {
                    *reason = json!("stop");
                }
                write(out, &ending);
            }
            // A provider that forgot the end of its choice; ours has one, if something of it was taken out.
            None if !told.is_empty() => {
                let reason = json!(if none_passed { "stop" } else { "tool_calls" });
                let event = self.event(index, json!({}), reason);
                write(out, &event);
            }
            None => {}
        }
    }

    /// Passes a call on that was held.
    fn pass(&mut self, index: u64, slot: u64, out: &mut Vec<u8>) {
        let choice = self.choice(index);
        let place = choice.passed;
        choice.passed += 1;
        let Some(held) = choice.slots.get_mut(&slot) else { return };
        (held.fate, held.out) = (Fate::Passes, place);
        let piece = held.whole(slot);
        self.write_piece(index, slot, piece, out);
    }

    fn write_piece(&self, index: u64, slot: u64, piece: Value, out: &mut Vec<u8>) {
        let delta = match slot {
            LEGACY => json!({ "function_call": piece["function"] }),
            _ => json!({ "tool_calls": [piece] }),
        };
        write(out, &self.event(index, delta, Value::Null));
    }

    fn event(&self, index: u64, delta: Value, finish_reason: Value) -> Value {
        let mut event = self.head.clone();
        let choice = json!({ "index": index, "delta": delta, "finish_reason": finish_reason });
        event.insert("choices".to_owned(), json!([choice]));
        Value::Object(event)
    }

    fn note_head(&mut self, event: &Map<String, Value>) {
        for key in ["id", "object", "created", "model", "system_fingerprint"] {
            if let Some(value) = event.get(key) {
                self.head.entry(key).or_insert_with(|| value.clone());
            }
        }
    }

    fn choice(&mut self, index: u64) -> &mut Choice {
        self.choices.entry(index).or_default()
    }
}

impl Choice {
    fn of(&self, fate: Fate) -> Vec<u64> {
        self.slots.iter().filter(|(_, slot)| slot.fate == fate).map(|(key, _)| *key).collect()
    }
}

impl Slot {
    /// The call as far as it came, in one piece.
    fn whole(&self, slot: u64) -> Value {
        let Called { id, name, arguments } = &self.called;
        if slot == LEGACY {
            return json!({ "function": { "name": name, "arguments": arguments } });
        }
        let kind = self.kind.clone().unwrap_or_else(|| json!("function"));
        if kind == "custom" {
            let custom = json!({ "name": name, "input": arguments });
            return json!({ "index": self.out, "id": id, "type": kind, "custom": custom });
        }
        let function = json!({ "name": name, "arguments": arguments });
        json!({ "index": self.out, "id": id, "type": kind, "function": function })
    }
}

fn called(call: &Value) -> Called {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let (body, key) = if call["custom"].is_object() {
        (&call["custom"], "input")
    } else {
        (&call["function"], "arguments")
    };
    let arguments = if body[key].is_null() { String::new() } else { text(&body[key]) };
    let id = call["id"].as_str().unwrap_or_default().to_owned();
    Called { id, name: body["name"].as_str().unwrap_or_default().to_owned(), arguments }
}

fn is_call_reason(reason: &Value) -> bool {
    matches!(reason.as_str(), Some("tool_calls" | "function_call"))
}

fn mentions_calls(data: &[u8]) -> bool {
    // Also where a letter of the key is written as an escape.
    let find = |needle: &[u8]| memchr::memmem::find(data, needle).is_some();
    find(b"tool_calls") || find(b"function_call") || find(b"\\u00")
}

/// Whether an event carries text; wrong only about a line between two texts.
fn says(data: &[u8]) -> bool {
    memchr::memmem::find(data, b"\"content\":\"").is_some_and(|at| data.get(at + 11) != Some(&b'"'))
}

fn owned(event: &Event<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    (event.raw.to_vec(), event.data.as_ref().map(|data| data.to_vec()))
}

fn data_of(raw: &[u8]) -> Option<Vec<u8>> {
    let mut data = None;
    let mut splitter = Splitter::new(raw.len() + 2);
    // A block that ended with CR is only known to have ended with the next byte.
    let block = [raw, b"\n"].concat();
    splitter.feed(&block, |event| data = data.take().or(event.data.map(|data| data.to_vec()))).ok()?;
    data
}

fn write(out: &mut Vec<u8>, event: &Value) {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, event).expect("a value is JSON, and memory takes it");
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests;
