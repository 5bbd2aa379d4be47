//! A fixed text as an answer, whole or as a stream.

use serde_json::{Value, json};

use crate::dialect::Canned;

/// The id of an answer begins so.
const ID_PREFIX: &str = "msg_";

const END: &str = "end_turn";

/// The whole answer.
#[must_use]
pub fn canned(canned: &Canned<'_>) -> Vec<u8> {
    let content = json!([{ "type": "text", "text": canned.text, "citations": null }]);
    message(canned, &content, &json!(END)).to_string().into_bytes()
}

/// The answer as a stream of events.
#[must_use]
pub fn canned_stream(canned: &Canned<'_>) -> Vec<u8> {
    let block = json!({ "type": "text", "text": "", "citations": null });
    let text = json!({ "type": "text_delta", "text": canned.text });
    let end = json!({ "stop_reason": END, "stop_sequence": null });
    let events = [
        json!({ "type": "message_start", "message": message(canned, &json!([]), &Value::Null) }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": text }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 0 } }),
        json!({ "type": "message_stop" }),
    ];
    let mut stream = Vec::new();
    for event in &events {
        write_event(&mut stream, event);
    }
    stream
}

/// Writes an event under the name of its type.
pub(in crate::messages) fn write_event(out: &mut Vec<u8>, event: &Value) {
    let name = event["type"].as_str().expect("each event that we write has its type");
    out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
}

fn message(canned: &Canned<'_>, content: &Value, stop_reason: &Value) -> Value {
    let Canned { id, created: _, model, text: _ } = canned;
    json!({
        "id": format!("{ID_PREFIX}{id}"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{StreamObserver, observe_answer_text};
    use crate::{Ending, Limits};

    #[test]
    fn it_reads_as_any_other_answer() {
        let answer = Canned { id: "1", created: 7, model: "support", text: "back \"soon\"\n" };
        let (observed, gathered) = observe_answer_text(&canned(&answer), 99).unwrap();
        assert_eq!(gathered.text, answer.text);
        assert_eq!(
            (observed.id.as_deref(), observed.served_model.as_deref()),
            (Some("msg_1"), Some("support"))
        );
        let mut observer = StreamObserver::new(Limits { event_bytes_max: 9_999, text_bytes_max: 99 });
        observer.feed(canned_stream(&answer).into()).unwrap();
        let finished = observer.finish();
        assert_eq!((finished.ending, finished.text, finished.unreadable_events), (Ending::Done, gathered, 0));
        assert_eq!(finished.observed, observed);
    }
}
