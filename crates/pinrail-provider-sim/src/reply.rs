//! Answers in OpenAI's format: the whole completion, and the chunks of a stream.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Call, Said};
use crate::tokens;

/// What every part of one answer repeats.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub fingerprint: String,
}

/// Token counts; cached tokens are always 0, since the simulator has no cache.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub prompt: usize,
    pub completion: usize,
}

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

/// Makes the body of a non-streamed answer.
pub fn completion(head: &Head, answer: &Answer, usage: Usage) -> Value {
    let (text, refusal, calls) = match &answer.said {
        Said::Text(text) => (Some(text), None, None),
        Said::Refusal(text) => (None, Some(text), None),
        Said::Calls(calls) => (None, None, Some(calls)),
    };
    let mut message = json!({ "role": "assistant", "content": text, "refusal": refusal, "annotations": [] });
    if let Some(calls) = calls {
        message["tool_calls"] = calls.iter().map(|one| call(one, &one.arguments)).collect();
    }
    json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "system_fingerprint": head.fingerprint, "service_tier": "default", "usage": usage_value(usage),
        "choices": [{
            "index": 0, "message": message, "logprobs": null, "finish_reason": answer.finish.as_str(),
        }],
    })
}

/// Makes the events of a stream: role, one delta per token, finish reason, usage when asked for, and `[DONE]`.
pub fn events(head: &Head, answer: &Answer, usage: Option<Usage>) -> Vec<Bytes> {
    let chunk = |choices: Value, last_usage: Option<Value>| {
        let usage = usage.map(|_| last_usage.unwrap_or(Value::Null));
        event(&Chunk {
            id: &head.id,
            object: "chat.completion.chunk",
            created: head.created,
            model: &head.model,
            system_fingerprint: &head.fingerprint,
            choices,
            usage,
        })
    };
    let delta = |delta: Value| chunk(choice(delta, None), None);
    let mut events = Vec::new();
    match &answer.said {
        Said::Text(text) => {
            events.push(delta(json!({ "role": "assistant", "content": "", "refusal": null })));
            events.extend(tokens::pieces(text).into_iter().map(|piece| delta(json!({ "content": piece }))));
        }
        Said::Refusal(text) => {
            events.push(delta(json!({ "role": "assistant", "content": null, "refusal": "" })));
            events.extend(tokens::pieces(text).into_iter().map(|piece| delta(json!({ "refusal": piece }))));
        }
        Said::Calls(calls) => {
            events.push(delta(json!({ "role": "assistant", "content": null, "refusal": null })));
            for (index, one) in calls.iter().enumerate() {
                let mut start = call(one, "");
                start["index"] = json!(index);
                events.push(delta(json!({ "tool_calls": [start] })));
                events.extend(tokens::pieces(&one.arguments).into_iter().map(|piece| {
                    delta(json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] }))
                }));
            }
        }
    }
    events.push(chunk(choice(json!({}), Some(answer.finish.as_str())), None));
    if let Some(usage) = usage {
        events.push(chunk(json!([]), Some(usage_value(usage))));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

fn event(chunk: &Chunk<'_>) -> Bytes {
    let mut line = b"data: ".to_vec();
    serde_json::to_writer(&mut line, chunk)
        .expect("a chunk has string keys only and a vector takes all bytes");
    line.extend_from_slice(b"\n\n");
    line.into()
}

fn choice(delta: Value, finish: Option<&str>) -> Value {
    json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }])
}

fn call(call: &Call, arguments: &str) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

fn usage_value(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt, "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}
