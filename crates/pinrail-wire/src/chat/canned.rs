//! A fixed text as an answer, whole or as a stream.

use serde_json::{Value, json};

use crate::dialect::Canned;

/// The id of an answer begins so.
const ID_PREFIX: &str = "chatcmpl-";

/// The whole answer.
#[must_use]
pub fn canned(canned: &Canned<'_>) -> Vec<u8> {
    let message = json!({ "role": "assistant", "content": canned.text, "refusal": null });
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
    body(canned, "chat.completion", &json!([choice]), Some(usage())).to_string().into_bytes()
}

/// The answer as a stream of events, with the usage at its end where the client asked for it.
#[must_use]
pub fn canned_stream(canned: &Canned<'_>, include_usage: bool) -> Vec<u8> {
    let null = include_usage.then_some(Value::Null);
    let chunk = |delta: Value, finish: Value, usage: Option<Value>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        body(canned, "chat.completion.chunk", &json!([choice]), usage)
    };
    let mut events = vec![
        chunk(json!({ "role": "assistant", "content": "" }), Value::Null, null.clone()),
        chunk(json!({ "content": canned.text }), Value::Null, null.clone()),
        chunk(json!({}), json!("stop"), null),
    ];
    if include_usage {
        events.push(body(canned, "chat.completion.chunk", &json!([]), Some(usage())));
    }
    let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    text.push_str("data: [DONE]\n\n");
    text.into_bytes()
}

fn body(canned: &Canned<'_>, object: &str, choices: &Value, usage: Option<Value>) -> Value {
    let Canned { id, created, model, text: _ } = canned;
    let id = format!("{ID_PREFIX}{id}");
    let mut body =
        json!({ "id": id, "object": object, "created": created, "model": model, "choices": choices });
    if let Some(usage) = usage {
        body["usage"] = usage;
    }
    body
}

fn usage() -> Value {
    json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{StreamObserver, observe_answer_text};
    use crate::{Ending, Limits};

    #[test]
    fn it_reads_as_any_other_answer() {
        let answer = Canned { id: "1", created: 7, model: "support", text: "back \"soon\"\n" };
        let (observed, gathered) = observe_answer_text(&canned(&answer), 99).unwrap();
        assert_eq!(gathered.text, answer.text);
        assert_eq!((observed.served_model.as_deref(), observed.choices), (Some("support"), 1));
        for include_usage in [false, true] {
            let limits = Limits { event_bytes_max: 9_999, text_bytes_max: 99 };
            let mut observer = StreamObserver::new(false, limits);
            observer.feed(canned_stream(&answer, include_usage).into()).unwrap();
            let finished = observer.finish();
            assert_eq!((finished.ending, finished.text.text.as_str()), (Ending::Done, answer.text));
            assert_eq!(finished.observed.finish_reason.as_deref(), Some("stop"));
            assert_eq!(finished.observed.usage.is_some(), include_usage);
        }
    }
}
