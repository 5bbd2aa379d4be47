//! A fixed text as an answer, whole or as a stream.

use serde_json::{Value, json};

use crate::dialect::Canned;

/// The id of an answer begins so.
const ID_PREFIX: &str = "resp_";

/// The id of a message begins so.
pub(super) const MESSAGE_ID_PREFIX: &str = "msg_";

/// The whole answer.
#[must_use]
pub fn canned(canned: &Canned<'_>) -> Vec<u8> {
    let item = message(&message_id(canned), "completed", Some(canned.text));
    response(canned, "completed", &json!([item])).to_string().into_bytes()
}

/// The answer as a stream of events.
#[must_use]
pub fn canned_stream(canned: &Canned<'_>) -> Vec<u8> {
    let begun = response(canned, "in_progress", &json!([]));
    let mut events = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
    ];
    let id = message_id(canned);
    events.extend(message_events(&id, 0, canned.text));
    let item = message(&id, "completed", Some(canned.text));
    let whole = response(canned, "completed", &json!([item]));
    events.push(json!({ "type": "response.completed", "response": whole }));
    let mut out = Vec::new();
    for (number, event) in (0..).zip(events) {
        write_event(&mut out, event, number);
    }
    out
}

/// The message of a text, as an item of an answer; without a text it has no content yet.
pub(super) fn message(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({ "id": id, "type": "message", "status": status, "role": "assistant", "content": content })
}

/// The events of a message of one text, without their numbers.
pub(super) fn message_events(id: &str, output_index: u64, text: &str) -> [Value; MESSAGE_EVENTS] {
    let of_item =
        |kind: &str, item: Value| json!({ "type": kind, "output_index": output_index, "item": item });
    let of_part =
        |kind: &str| json!({ "type": kind, "item_id": id, "output_index": output_index, "content_index": 0 });
    let with = |mut event: Value, fields: [(&str, Value); 1]| {
        for (key, value) in fields {
            event[key] = value;
        }
        event
    };
    let mut delta = with(of_part("response.output_text.delta"), [("delta", json!(text))]);
    let mut done = with(of_part("response.output_text.done"), [("text", json!(text))]);
    for event in [&mut delta, &mut done] {
        event["logprobs"] = json!([]);
    }
    [
        of_item("response.output_item.added", message(id, "in_progress", None)),
        with(of_part("response.content_part.added"), [("part", part(""))]),
        delta,
        done,
        with(of_part("response.content_part.done"), [("part", part(text))]),
        of_item("response.output_item.done", message(id, "completed", Some(text))),
    ]
}

/// How many events one message has.
pub(super) const MESSAGE_EVENTS: usize = 6;

/// Writes an event with its number.
pub(super) fn write_event(out: &mut Vec<u8>, mut event: Value, number: u64) {
    event["sequence_number"] = json!(number);
    let kind = event["type"].as_str().unwrap_or_default();
    out.extend_from_slice(format!("event: {kind}\ndata: {event}\n\n").as_bytes());
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn message_id(canned: &Canned<'_>) -> String {
    format!("{MESSAGE_ID_PREFIX}{}", canned.id)
}

fn response(canned: &Canned<'_>, status: &str, output: &Value) -> Value {
    let Canned { id, created, model, text: _ } = canned;
    let usage = json!({
        "input_tokens": 0,
        "input_tokens_details": { "cached_tokens": 0, "cache_write_tokens": 0 },
        "output_tokens": 0,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 0,
    });
    let usage = if status == "completed" { usage } else { Value::Null };
    json!({
        "id": format!("{ID_PREFIX}{id}"),
        "object": "response",
        "created_at": created,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "temperature": null,
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "usage": usage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::responses::{StreamObserver, observe_answer_text};
    use crate::{Ending, Limits};

    #[test]
    fn it_reads_as_any_other_answer() {
        let answer = Canned { id: "1", created: 7, model: "support", text: "back \"soon\"\n" };
        let (observed, gathered) = observe_answer_text(&canned(&answer), 99).unwrap();
        assert_eq!(gathered.text, answer.text);
        assert_eq!((observed.served_model.as_deref(), observed.choices), (Some("support"), 1));
        let mut observer = StreamObserver::new(Limits { event_bytes_max: 9_999, text_bytes_max: 99 });
        observer.feed(canned_stream(&answer).into()).unwrap();
        let finished = observer.finish();
        assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, answer.text));
        assert_eq!(finished.observed, observed);
        assert_eq!(observed.finish_reason.as_deref(), Some("stop"));
    }

    #[test]
    fn its_events_have_names_and_are_counted() {
        let answer = Canned { id: "1", created: 7, model: "support", text: "hi" };
        let stream = String::from_utf8(canned_stream(&answer)).unwrap();
        let events: Vec<&str> = stream.split_terminator("\n\n").collect();
        assert_eq!(events.len(), MESSAGE_EVENTS + 3);
        for (at, event) in events.iter().enumerate() {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
            assert_eq!(data["sequence_number"], at);
        }
    }
}
