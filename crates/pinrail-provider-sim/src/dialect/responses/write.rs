//! The response object: what the request asked for, its state, the items, and the usage.

use serde_json::{Map, Value, json};

use super::item::items;
use super::read::Wish;
use crate::answer::Finish;
use crate::dialect::{Spoken, Usage};

/// Makes the body of an answer, or the end of a stream.
pub fn response(wish: &Wish, spoken: &Spoken) -> Value {
    let reason = match spoken.answer.finish {
        Finish::Stop | Finish::ToolCalls => None,
        Finish::Length => Some("max_output_tokens"),
        Finish::ContentFilter => Some("content_filter"),
    };
    let mut response = begun(wish, spoken);
    response["status"] = json!(if reason.is_some() { "incomplete" } else { "completed" });
    response["incomplete_details"] = reason.map_or(Value::Null, |reason| json!({ "reason": reason }));
    response["completed_at"] = if reason.is_some() { Value::Null } else { json!(spoken.created) };
    response["output"] = json!(items(wish, spoken));
    response["usage"] = usage(spoken.usage);
    response
}

/// Makes the response as it is when its stream begins.
pub fn begun(wish: &Wish, spoken: &Spoken) -> Value {
    let mut response = Map::new();
    for (key, unless_asked) in [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({ "effort": null, "summary": null })),
        ("safety_identifier", Value::Null),
        ("temperature", json!(1.0)),
        ("text", json!({ "format": { "type": "text" } })),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_logprobs", json!(0)),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
        ("user", Value::Null),
    ] {
        let asked = wish.asked.get(key).filter(|value| !value.is_null());
        response.insert(key.to_owned(), asked.cloned().unwrap_or(unless_asked));
    }
    let own = json!({
        "id": spoken.id("resp_", "completion"), "object": "response", "created_at": spoken.created,
        "status": "in_progress", "background": false, "completed_at": null, "error": null, "incomplete_details": null,
        "model": spoken.model, "output": [], "service_tier": "default", "store": wish.store, "usage": null,
    });
    response.extend(own.as_object().cloned().unwrap_or_default());
    Value::Object(response)
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": { "cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_written },
        "output_tokens": usage.completion, "output_tokens_details": { "reasoning_tokens": usage.thought },
        "total_tokens": usage.prompt + usage.completion,
    })
}
