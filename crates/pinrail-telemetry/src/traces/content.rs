//! Requests and answers as spans keep them, where somebody wants that: messages with their text, within bounds.

use pinrail_gateway::telemetry::Seen;
use serde_json::{Value, json};

/// The request's messages, the newest that fit; none where the request isn't kept, or has none.
pub fn input(seen: &Seen, bytes_max: usize) -> Option<String> {
    let body: Value = serde_json::from_slice(seen.request.as_ref()?).ok()?;
    let said = body.get("messages").or_else(|| body.get("input"))?;
    let mut messages: Vec<Value> = match said {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        Value::Array(items) => items.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    if let Some(system) = body.get("system").or_else(|| body.get("instructions")).filter(|it| it.is_string())
    {
        messages.insert(0, json!({"role": "system", "content": system}));
    }
    let mut left = bytes_max;
    let mut kept = Vec::new();
    for message in messages.iter().rev() {
        if left == 0 {
            break;
        }
        kept.push(shown(message, &mut left));
    }
    kept.reverse();
    Some(Value::Array(kept).to_string())
}

/// The answer as one message; none where it isn't kept.
pub fn output(seen: &Seen, finish_reason: Option<&str>) -> Option<String> {
    let answer = seen.answer.as_deref()?;
    let message = json!({
        "role": "assistant",
        "parts": [{"type": "text", "content": answer}],
        "finish_reason": finish_reason.unwrap_or_default(),
    });
    Some(Value::Array(vec![message]).to_string())
}

/// A message with its texts, of which `left` more bytes are kept.
fn shown(message: &Value, left: &mut usize) -> Value {
    let role = message.get("role").and_then(Value::as_str).unwrap_or("user");
    let mut cut = |text: &str| {
        let kept = &text[..text.floor_char_boundary(*left)];
        // What is older than a text that was cut would make no sense without its end.
        *left = if kept.len() < text.len() { 0 } else { *left - kept.len() };
        json!({"type": "text", "content": kept})
    };
    let parts: Vec<Value> = match message.get("content") {
        Some(Value::String(text)) => vec![cut(text)],
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match part.get("text").and_then(Value::as_str) {
                Some(text) => cut(text),
                // An image or a tool's result: that it was there is all that is kept of it.
                None => json!({"type": part.get("type").cloned().unwrap_or_default()}),
            })
            .collect(),
        Some(_) | None => Vec::new(),
    };
    json!({"role": role, "parts": parts})
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pinrail_domain::time::Ticks;
    use pinrail_wire::Dialect;

    use super::*;

    #[test]
    fn messages_are_kept_newest_first_within_the_bound() {
        let check = |body: Value, bytes_max: usize, expected: Option<Value>| {
            let mut seen = Seen::new(Dialect::Chat, Ticks(0));
            seen.request = Some(Bytes::from(body.to_string()));
            let got = input(&seen, bytes_max).map(|text| serde_json::from_str::<Value>(&text).unwrap());
            assert_eq!(got, expected, "{body}");
        };
        let text =
            |role: &str, text: &str| json!({"role": role, "parts": [{"type": "text", "content": text}]});
        let two = json!({"messages": [{"role": "system", "content": "be nice"}, {"role": "user", "content": "hällo"}]});
        check(two.clone(), 100, Some(json!([text("system", "be nice"), text("user", "hällo")])));
        check(two.clone(), 8, Some(json!([text("system", "be"), text("user", "hällo")])));
        check(two, 2, Some(json!([text("user", "h")])));
        check(json!({"input": "hello"}), 100, Some(json!([text("user", "hello")])));
        let parts =
            json!([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]);
        check(
            json!({"messages": [{"role": "user", "content": parts}]}),
            100,
            Some(
                json!([{"role": "user", "parts": [{"type": "text", "content": "look"}, {"type": "image_url"}]}]),
            ),
        );
        check(json!({"messages": 7}), 100, None);
    }
}
