//! Answers in the messages dialect: the whole message, and the events of a stream.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::answer::{Call, Finish, Said};
use crate::dialect::{Event, Spoken, named};
use crate::thought::seal;
use crate::tokens;

/// Makes the body of an answer that isn't streamed.
pub fn message(spoken: &Spoken, thought_shown: bool) -> Value {
    let answer = &spoken.answer;
    let mut content: Vec<Value> = Vec::new();
    if let Some(thought) = &answer.thought {
        let shown = if thought_shown { thought.as_str() } else { "" };
        content
            .push(json!({ "type": "thinking", "thinking": shown, "signature": seal(spoken.seed, thought) }));
    }
    match &answer.said {
        Said::Text(text) | Said::Refusal(text) if text.is_empty() => {}
        Said::Text(text) | Said::Refusal(text) => content.push(json!({ "type": "text", "text": text })),
        Said::Calls(calls) => content.extend(calls.iter().map(|call| {
            let mut block = tool_use(call);
            block["input"] = input(&call.arguments);
            block
        })),
    }
    let mut message = head(spoken);
    message["content"] = json!(content);
    for (key, value) in stop(spoken) {
        message[key] = value;
    }
    message
}

/// Makes the events of a stream.
pub fn events(spoken: &Spoken, thought_shown: bool) -> Vec<Event> {
    let mut start = head(spoken);
    start["usage"]["output_tokens"] = json!(1);
    let mut events = vec![at_once("message_start", &json!({ "message": start }))];
    let mut index = 0;
    if let Some(thought) = &spoken.answer.thought {
        let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
        let mut deltas: Vec<Event> = Vec::new();
        if thought_shown {
            let piece = |piece| token(index, &json!({ "type": "thinking_delta", "thinking": piece }));
            deltas.extend(tokens::pieces(thought).into_iter().map(piece));
        }
        let signature = json!({ "type": "signature_delta", "signature": seal(spoken.seed, thought) });
        let mut sealed = Event::at_once(delta(index, &signature));
        if !thought_shown {
            sealed.tokens = u32::try_from(spoken.usage.thought).unwrap_or(u32::MAX);
        }
        deltas.push(sealed);
        block_events(&mut events, index, &block, deltas);
        index += 1;
    }
    match &spoken.answer.said {
        Said::Text(text) | Said::Refusal(text) if text.is_empty() => {}
        Said::Text(text) | Said::Refusal(text) => {
            let piece = |piece| token(index, &json!({ "type": "text_delta", "text": piece }));
            let deltas = tokens::pieces(text).into_iter().map(piece).collect();
            block_events(&mut events, index, &json!({ "type": "text", "text": "" }), deltas);
        }
        Said::Calls(calls) => {
            for (at, call) in (index..).zip(calls) {
                let piece = |piece| token(at, &json!({ "type": "input_json_delta", "partial_json": piece }));
                // The call's name is a token of its own.
                let first = std::iter::once(piece(""));
                let deltas = first.chain(tokens::pieces(&call.arguments).into_iter().map(piece)).collect();
                block_events(&mut events, at, &tool_use(call), deltas);
            }
        }
    }
    events.insert(events.len().min(2), at_once("ping", &json!({})));
    let stop: Value = stop(spoken).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    events.push(at_once("message_delta", &json!({ "delta": stop, "usage": usage(spoken) })));
    events.push(at_once("message_stop", &json!({})));
    events
}

/// Gives a call's id in Anthropic's form.
pub fn tool_use_id(id: &str) -> String {
    id.strip_prefix("call_").map_or_else(|| id.to_owned(), |rest| format!("toolu_{rest}"))
}

fn block_events(events: &mut Vec<Event>, index: usize, block: &Value, deltas: Vec<Event>) {
    events.push(at_once("content_block_start", &json!({ "index": index, "content_block": block })));
    events.extend(deltas);
    events.push(at_once("content_block_stop", &json!({ "index": index })));
}

fn head(spoken: &Spoken) -> Value {
    json!({
        "id": format!("msg_{}", &spoken.fate.hex("completion")[..24]), "type": "message", "role": "assistant",
        "model": spoken.model, "content": [], "stop_reason": null, "stop_sequence": null, "stop_details": null,
        "usage": usage(spoken),
    })
}

/// A filter that cuts a text is a refusal in this dialect.
fn stop(spoken: &Spoken) -> [(&'static str, Value); 3] {
    let answer = &spoken.answer;
    let refused = matches!(answer.said, Said::Refusal(_)) || answer.finish == Finish::ContentFilter;
    let reason = match answer.finish {
        Finish::ToolCalls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::Stop | Finish::ContentFilter if refused => "refusal",
        Finish::Stop | Finish::ContentFilter if answer.stopped_by.is_some() => "stop_sequence",
        Finish::Stop | Finish::ContentFilter => "end_turn",
    };
    let details = if reason == "refusal" {
        json!({ "type": "refusal", "category": null, "explanation": null })
    } else {
        Value::Null
    };
    [("stop_reason", json!(reason)), ("stop_sequence", json!(answer.stopped_by)), ("stop_details", details)]
}

fn usage(spoken: &Spoken) -> Value {
    let usage = spoken.usage;
    json!({
        "input_tokens": usage.prompt - usage.cache_written - usage.cache_read, "output_tokens": usage.completion,
        "cache_creation_input_tokens": usage.cache_written, "cache_read_input_tokens": usage.cache_read,
        "output_tokens_details": { "thinking_tokens": usage.thought }, "service_tier": "standard",
    })
}

fn tool_use(call: &Call) -> Value {
    json!({ "type": "tool_use", "id": tool_use_id(&call.id), "name": call.name, "input": {} })
}

/// Gives arguments as an object; those that aren't JSON, since they were cut or malformed, as the API's documents tell
/// to hand them on.
fn input(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) | Err(_) => json!({ "INVALID_JSON": arguments }),
    }
}

fn token(index: usize, what: &Value) -> Event {
    Event::token(delta(index, what))
}

fn delta(index: usize, what: &Value) -> Bytes {
    typed("content_block_delta", &json!({ "index": index, "delta": what }))
}

fn at_once(kind: &str, body: &Value) -> Event {
    Event::at_once(typed(kind, body))
}

fn typed(kind: &str, body: &Value) -> Bytes {
    let mut body = body.clone();
    body["type"] = json!(kind);
    named(kind, &body)
}
