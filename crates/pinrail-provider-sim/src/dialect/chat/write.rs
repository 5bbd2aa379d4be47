//! Answers in the chat dialect: the whole completion, and the chunks of a stream. Thoughts are counted, never shown.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Call, Finish, Said};
use crate::dialect::{Event, Spoken, Usage, data, logprobs};
use crate::tokens;

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'a str,
    choices: Value,
    /// Missing unless the client asked for usage; then null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

/// Makes the body of an answer that isn't streamed.
pub fn completion(spoken: &Spoken) -> Value {
    let answer = &spoken.answer;
    let (text, refusal, calls) = match &answer.said {
        Said::Text(text) => (Some(text), None, None),
        Said::Refusal(text) => (None, Some(text), None),
        Said::Calls(calls) => (None, None, Some(calls)),
    };
    let mut message = json!({ "role": "assistant", "content": text, "refusal": refusal, "annotations": [] });
    if let Some(calls) = calls {
        message["tool_calls"] = calls.iter().map(|one| call(one, &one.arguments)).collect();
    }
    let text = text.map_or("", |text| text.as_str());
    json!({
        "id": spoken.id("chatcmpl-", "completion"), "object": "chat.completion", "created": spoken.created,
        "model": spoken.model, "system_fingerprint": spoken.fingerprint, "service_tier": "default",
        "usage": usage_value(spoken.usage),
        "choices": [{
            "index": 0, "message": message, "logprobs": told(spoken, text, true), "finish_reason": word(answer.finish),
        }],
    })
}

/// Makes the events of a stream: role, one delta per token, finish reason, usage when asked for, and `[DONE]`.
pub fn events(spoken: &Spoken, include_usage: bool) -> Vec<Event> {
    let id = spoken.id("chatcmpl-", "completion");
    let chunk = |choices: Value, last_usage: Option<Value>| {
        data(&Chunk {
            id: &id,
            object: "chat.completion.chunk",
            created: spoken.created,
            model: &spoken.model,
            system_fingerprint: &spoken.fingerprint,
            choices,
            usage: include_usage.then(|| last_usage.unwrap_or(Value::Null)),
        })
    };
    let delta = |delta: Value| chunk(choice(delta, None, Value::Null), None);
    let role = |content: Value, refusal: Value| {
        Event::at_once(delta(json!({ "role": "assistant", "content": content, "refusal": refusal })))
    };
    let mut events = Vec::new();
    match &spoken.answer.said {
        Said::Text(text) => {
            events.push(role(json!(""), Value::Null));
            events.extend(tokens::pieces(text).into_iter().enumerate().map(|(at, piece)| {
                let told = told(spoken, piece, at == 0);
                Event::token(chunk(choice(json!({ "content": piece }), None, told), None))
            }));
        }
        Said::Refusal(text) => {
            events.push(role(Value::Null, json!("")));
            let piece = |piece| Event::token(delta(json!({ "refusal": piece })));
            events.extend(tokens::pieces(text).into_iter().map(piece));
        }
        Said::Calls(calls) => {
            events.push(role(Value::Null, Value::Null));
            for (index, one) in calls.iter().enumerate() {
                let mut start = call(one, "");
                start["index"] = json!(index);
                events.push(Event::token(delta(json!({ "tool_calls": [start] }))));
                events.extend(tokens::pieces(&one.arguments).into_iter().map(|piece| {
                    let part = json!({ "index": index, "function": { "arguments": piece } });
                    Event::token(delta(json!({ "tool_calls": [part] })))
                }));
            }
        }
    }
    let end = choice(json!({}), Some(word(spoken.answer.finish)), Value::Null);
    events.push(Event::at_once(chunk(end, None)));
    if include_usage {
        events.push(Event::at_once(chunk(json!([]), Some(usage_value(spoken.usage)))));
    }
    events.push(Event::at_once(Bytes::from_static(b"data: [DONE]\n\n")));
    // What is thought takes its time before the first token, unseen.
    if let Some(first) = events.get_mut(1) {
        first.tokens += u32::try_from(spoken.usage.thought).unwrap_or(u32::MAX);
    }
    events
}

fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

fn choice(delta: Value, finish: Option<&str>, logprobs: Value) -> Value {
    json!([{ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish }])
}

fn told(spoken: &Spoken, text: &str, is_start: bool) -> Value {
    spoken
        .told
        .as_ref()
        .map_or(Value::Null, |told| json!({ "content": logprobs::of(told, text, is_start), "refusal": null }))
}

fn call(call: &Call, arguments: &str) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

fn usage_value(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt, "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thought, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}
