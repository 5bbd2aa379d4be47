//! The items of an answer: reasoning, a message, or function calls.

use serde_json::{Value, json};

use super::history::SEAL_PREFIX;
use super::read::Wish;
use crate::answer::{Call, Finish, Said};
use crate::dialect::{Spoken, logprobs};
use crate::thought::seal;

/// Writes all items of an answer.
pub fn items(wish: &Wish, spoken: &Spoken) -> Vec<Value> {
    let answer = &spoken.answer;
    let is_cut = matches!(answer.finish, Finish::Length | Finish::ContentFilter);
    let status = if is_cut { "incomplete" } else { "completed" };
    let mut items: Vec<Value> = Vec::new();
    if let Some(thought) = &answer.thought {
        let summary = wish.summary.then(|| json!({ "type": "summary_text", "text": thought }));
        items.push(json!({
            "id": spoken.id("rs_", "reasoning"), "type": "reasoning", "summary": Vec::from_iter(summary),
            "encrypted_content": format!("{SEAL_PREFIX}{}", seal(spoken.seed, thought)),
        }));
    }
    let message = |content: Value| {
        json!({
            "id": spoken.id("msg_", "message"), "type": "message", "status": status, "role": "assistant",
            "content": [content],
        })
    };
    match &answer.said {
        Said::Text(text) if text.is_empty() && is_cut => {}
        Said::Text(text) => items.push(message(output_text(spoken, text))),
        Said::Refusal(text) => items.push(message(json!({ "type": "refusal", "refusal": text }))),
        Said::Calls(calls) => {
            items.extend(calls.iter().enumerate().map(|(at, call)| function_call(spoken, at, call, status)));
        }
    }
    items
}

/// Writes a text part.
fn output_text(spoken: &Spoken, text: &str) -> Value {
    let logprobs = spoken.told.as_ref().map_or_else(Vec::new, |told| logprobs::of(told, text, true));
    json!({ "type": "output_text", "annotations": [], "logprobs": logprobs, "text": text })
}

fn function_call(spoken: &Spoken, at: usize, call: &Call, status: &str) -> Value {
    json!({
        "id": spoken.id("fc_", &format!("function call {at}")), "type": "function_call", "status": status,
        "arguments": call.arguments, "call_id": call.id, "name": call.name,
    })
}
