//! The typed events of a streamed response, numbered in their order.

use bytes::Bytes;
use serde_json::{Value, json};

use super::item::items;
use super::read::Wish;
use super::write::{begun, response};
use crate::answer::Finish;
use crate::dialect::{Event, Spoken, logprobs, named};
use crate::failure::Failure;
use crate::tokens;

/// Events under way to a client, with the number of the next.
struct Events {
    events: Vec<Event>,
}

/// Makes the events of a stream.
pub fn events(wish: &Wish, spoken: &Spoken) -> Vec<Event> {
    let mut events = Events { events: Vec::new() };
    let begun = begun(wish, spoken);
    events.add(0, "response.created", json!({ "response": begun }));
    events.add(0, "response.in_progress", json!({ "response": begun }));
    for (at, item) in items(wish, spoken).into_iter().enumerate() {
        events.item(at, &item, spoken);
    }
    let end = match spoken.answer.finish {
        Finish::Stop | Finish::ToolCalls => "response.completed",
        Finish::Length | Finish::ContentFilter => "response.incomplete",
    };
    events.add(0, end, json!({ "response": response(wish, spoken) }));
    events.events
}

/// Makes the event that ends a stream which failed after so many events.
pub fn failed(wish: &Wish, spoken: &Spoken, failure: &Failure, events_sent: usize) -> Bytes {
    let mut response = begun(wish, spoken);
    response["status"] = json!("failed");
    let code = if failure.status.as_u16() == 429 { "rate_limit_exceeded" } else { "server_error" };
    response["error"] = json!({ "code": code, "message": failure.message });
    typed("response.failed", events_sent, json!({ "response": response }))
}

impl Events {
    fn add(&mut self, tokens: u32, kind: &str, body: Value) {
        let bytes = typed(kind, self.events.len(), body);
        self.events.push(Event { bytes, tokens });
    }

    fn item(&mut self, at: usize, item: &Value, spoken: &Spoken) {
        let mut started = item.clone();
        for (key, empty) in [("content", json!([])), ("summary", json!([])), ("arguments", json!(""))] {
            if started.get(key).is_some() {
                started[key] = empty;
            }
        }
        let is_call = item["type"] == "function_call";
        if item.get("status").is_some() {
            started["status"] = json!("in_progress");
        }
        // A call's name is a token of its own.
        self.add(
            u32::from(is_call),
            "response.output_item.added",
            json!({ "output_index": at, "item": started }),
        );
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let mut thought_unseen = 0;
        if is_call {
            self.arguments(at, item, &text(&item["arguments"]));
        } else if let Some(part) = item["content"].get(0) {
            self.part(at, item, part, spoken);
        } else if let Some(part) = item["summary"].get(0) {
            self.summary(at, item, part, &text(&part["text"]));
        } else {
            thought_unseen = u32::try_from(spoken.usage.thought).unwrap_or(u32::MAX);
        }
        self.add(thought_unseen, "response.output_item.done", json!({ "output_index": at, "item": item }));
    }

    fn arguments(&mut self, at: usize, item: &Value, arguments: &str) {
        let place = json!({ "item_id": item["id"], "output_index": at });
        for piece in tokens::pieces(arguments) {
            self.add(1, "response.function_call_arguments.delta", with(&place, json!({ "delta": piece })));
        }
        let done = json!({ "name": item["name"], "arguments": arguments });
        self.add(0, "response.function_call_arguments.done", with(&place, done));
    }

    fn part(&mut self, at: usize, item: &Value, part: &Value, spoken: &Spoken) {
        let place = json!({ "item_id": item["id"], "output_index": at, "content_index": 0 });
        let (key, name) = if part["type"] == "refusal" {
            ("refusal", "response.refusal")
        } else {
            ("text", "response.output_text")
        };
        let whole = part[key].as_str().unwrap_or("");
        let mut empty = part.clone();
        empty[key] = json!("");
        let told = spoken.told.as_ref().filter(|_| key == "text");
        if key == "text" {
            empty["logprobs"] = json!([]);
        }
        self.add(0, "response.content_part.added", with(&place, json!({ "part": empty })));
        for (piece_at, piece) in tokens::pieces(whole).into_iter().enumerate() {
            let mut delta = json!({ "delta": piece });
            if key == "text" {
                delta["logprobs"] =
                    told.map_or_else(|| json!([]), |told| json!(logprobs::of(told, piece, piece_at == 0)));
            }
            self.add(1, &format!("{name}.delta"), with(&place, delta));
        }
        let mut done = json!({ key: whole });
        if key == "text" {
            done["logprobs"] = part["logprobs"].clone();
        }
        self.add(0, &format!("{name}.done"), with(&place, done));
        self.add(0, "response.content_part.done", with(&place, json!({ "part": part })));
    }

    fn summary(&mut self, at: usize, item: &Value, part: &Value, whole: &str) {
        let place = json!({ "item_id": item["id"], "output_index": at, "summary_index": 0 });
        let empty = json!({ "part": { "type": "summary_text", "text": "" } });
        self.add(0, "response.reasoning_summary_part.added", with(&place, empty));
        for piece in tokens::pieces(whole) {
            self.add(1, "response.reasoning_summary_text.delta", with(&place, json!({ "delta": piece })));
        }
        self.add(0, "response.reasoning_summary_text.done", with(&place, json!({ "text": whole })));
        self.add(0, "response.reasoning_summary_part.done", with(&place, json!({ "part": part })));
    }
}

fn typed(kind: &str, number: usize, mut body: Value) -> Bytes {
    body["type"] = json!(kind);
    body["sequence_number"] = json!(number);
    named(kind, &body)
}

fn with(place: &Value, more: Value) -> Value {
    let mut both = place.clone();
    for (key, value) in more.as_object().into_iter().flatten() {
        both[key] = value.clone();
    }
    both
}
