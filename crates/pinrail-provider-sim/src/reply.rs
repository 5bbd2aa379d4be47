//! Answers in OpenAI's format: the whole completion, and the chunks of a stream.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Call, Said};
use crate::border::Next;
use crate::tokens;

/// What every part of one answer repeats.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub fingerprint: String,
}

/// The probabilities that a request wants to be told.
pub struct Told {
    /// How many alternatives per token.
    pub top: usize,
    /// Those of the first token, unless it was sure.
    pub next: Option<Next>,
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
pub fn completion(head: &Head, answer: &Answer, usage: Usage, told: Option<&Told>) -> Value {
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
            "index": 0, "message": message, "logprobs": logprobs(told, text.map_or("", |text| text.as_str())),
            "finish_reason": answer.finish.as_str(),
        }],
    })
}

/// Makes the events of a stream: role, one delta per token, finish reason, usage when asked for, and `[DONE]`.
pub fn events(head: &Head, answer: &Answer, usage: Option<Usage>, told: Option<&Told>) -> Vec<Bytes> {
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
    let delta = |delta: Value| chunk(choice(delta, None, Value::Null), None);
    let mut events = Vec::new();
    match &answer.said {
        Said::Text(text) => {
            events.push(delta(json!({ "role": "assistant", "content": "", "refusal": null })));
            events.extend(tokens::pieces(text).into_iter().enumerate().map(|(at, piece)| {
                // Only the first token of an answer may have alternatives.
                let sure = told.map(|told| Told { top: told.top, next: None });
                let told = if at == 0 { told } else { sure.as_ref() };
                chunk(choice(json!({ "content": piece }), None, logprobs(told, piece)), None)
            }));
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
    events.push(chunk(choice(json!({}), Some(answer.finish.as_str()), Value::Null), None));
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

fn choice(delta: Value, finish: Option<&str>, logprobs: Value) -> Value {
    json!([{ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish }])
}

/// Tells the probability of each token of a text. Only the first can have had alternatives; all others are sure.
fn logprobs(told: Option<&Told>, text: &str) -> Value {
    let Some(told) = told else { return Value::Null };
    let one = |token: &str, chance: f64| json!({ "token": token, "logprob": chance.max(f64::MIN_POSITIVE).ln(), "bytes": token.as_bytes() });
    let sure = |token: &str| vec![(token.to_owned(), 1.0)];
    let content = tokens::pieces(text).into_iter().enumerate().map(|(at, piece)| {
        let known = told.next.as_ref().filter(|next| at == 0 && next.said.starts_with(piece));
        let all = known.map_or_else(|| sure(piece), |next| next.chances.clone());
        let own = all.iter().find(|(token, _)| token == piece).map_or(1.0, |(_, chance)| *chance);
        let mut said = one(piece, own);
        said["top_logprobs"] = all.iter().take(told.top).map(|(token, chance)| one(token, *chance)).collect();
        said
    });
    json!({ "content": content.collect::<Vec<Value>>(), "refusal": null })
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
