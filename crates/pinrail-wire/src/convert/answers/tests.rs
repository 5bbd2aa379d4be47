mod errors;
mod fold;
mod properties;

use serde_json::json;

use super::*;
use fold::fold;

struct Fixture {
    name: &'static str,
    from: Dialect,
    whole: &'static str,
    stream: &'static str,
}

const ALL: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

macro_rules! fixtures {
    ($($from:ident: $($name:literal)*;)*) => {
        const FIXTURES: &[Fixture] = &[$($(Fixture {
            name: $name,
            from: Dialect::$from,
            whole: include_str!(concat!("../../../tests/fixtures/convert_answers/", $name, ".json")),
            stream: include_str!(concat!("../../../tests/fixtures/convert_answers/", $name, ".sse")),
        }),*),*];
    };
}

// Written from the vendors' published API references.
fixtures! {
    Chat: "chat_audio" "chat_citations" "chat_custom_tool" "chat_filter" "chat_length" "chat_logprobs" "chat_refusal" "chat_text"
        "chat_thinking" "chat_thinking_sealed" "chat_tools";
    Responses: "responses_custom_tool" "responses_failed" "responses_filtered" "responses_image" "responses_incomplete" "responses_logprobs"
        "responses_parts" "responses_reasoning" "responses_reasoning_raw" "responses_reasoning_silent" "responses_refusal"
        "responses_text" "responses_tools" "responses_web_search";
    Messages: "messages_code_execution" "messages_context_full" "messages_document_citations" "messages_empty"
        "messages_max_tokens" "messages_pause" "messages_refusal" "messages_refusal_unexplained" "messages_stop_sequence"
        "messages_text" "messages_thinking" "messages_thinking_omitted" "messages_tools" "messages_web_search";
}

fn about() -> About<'static> {
    let request = br#"{"model":"support","metadata":{"a":"b"},"tools":[{"type":"function","name":"now"}]}"#;
    About { id: "run-7", created: 7, model: "support", include_usage: true, request }
}

fn converter(from: Dialect, to: Dialect, lossy: &Lossy) -> StreamConverter {
    StreamConverter::new(from, to, &about(), lossy, 1 << 20)
}

/// Converts a stream that comes in these chunks; the error is that of the conversion.
fn stream<'a>(
    from: Dialect,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    to: Dialect,
    lossy: &Lossy,
) -> (Vec<u8>, Option<StreamError>) {
    let mut converter = converter(from, to, lossy);
    let (mut out, mut failed) = (Vec::new(), None);
    for chunk in chunks {
        match converter.feed(chunk) {
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(error) => failed = Some(error),
        }
    }
    out.extend_from_slice(&converter.finish());
    (out, failed)
}

fn others(from: Dialect) -> impl Iterator<Item = Dialect> {
    ALL.into_iter().filter(move |to| *to != from)
}

fn fixture(name: &str) -> &'static Fixture {
    FIXTURES.iter().find(|fixture| fixture.name == name).expect(name)
}

#[test]
fn an_answer_and_its_stream_agree() {
    for Fixture { name, from, whole, stream: events } in
        FIXTURES.iter().filter(|f| f.name != "responses_failed")
    {
        for to in others(*from) {
            let whole = answer(*from, whole.as_bytes(), to, &about(), &Lossy::default());
            let (out, failed) = stream(*from, [events.as_bytes()], to, &Lossy::default());
            match (whole, failed) {
                (Ok(whole), None) => {
                    let whole: Value = serde_json::from_slice(&whole).unwrap();
                    assert_eq!(fold(to, &out), fold::plain(to, whole), "{name} to {to:?}");
                }
                (Err(whole), Some(StreamError::Unconvertible(event))) => {
                    assert_eq!(whole.feature, event.feature, "{name} to {to:?}");
                }
                (whole, failed) => panic!("{name} to {to:?}: {whole:?} and {failed:?}"),
            }
        }
    }
}

#[test]
fn a_stream_gives_the_same_wherever_it_is_split() {
    for Fixture { name, from, stream: events, .. } in FIXTURES {
        for to in others(*from) {
            let whole = stream(*from, [events.as_bytes()], to, &Lossy::default());
            let bytes = stream(*from, events.as_bytes().chunks(1), to, &Lossy::default());
            assert!(whole == bytes, "{name} to {to:?}");
        }
    }
    for name in ["chat_text", "messages_stop_sequence"] {
        let Fixture { from, stream: events, .. } = fixture(name);
        let whole = stream(*from, [events.as_bytes()], Dialect::Responses, &Lossy::default());
        for at in 0..events.len() {
            let (first, rest) = events.as_bytes().split_at(at);
            assert!(
                stream(*from, [first, rest], Dialect::Responses, &Lossy::default()) == whole,
                "{name} at {at}"
            );
        }
    }
}

#[test]
fn a_cut_stream_ends_between_events_and_without_an_end() {
    for Fixture { name, from, stream: events, .. } in FIXTURES {
        for to in others(*from) {
            let (full, failed) = stream(*from, [events.as_bytes()], to, &Lossy::default());
            let ends =
                ["[DONE]", "message_stop", "response.completed", "response.incomplete", "response.failed"];
            let cuts = events.match_indices("\n\n").map(|(at, _)| at - 1);
            // A chat stream may stop behind its finish reason, and the others end with one event.
            for at in
                cuts.filter(|at| !events[..*at].contains(r#"finish_reason": "#) || *from != Dialect::Chat)
            {
                let mut converter = converter(*from, to, &Lossy::default());
                let Ok(out) = converter.feed(&events.as_bytes()[..at]) else {
                    assert!(failed.is_some(), "{name}");
                    continue;
                };
                let mut out = out.to_vec();
                out.extend_from_slice(&converter.finish());
                assert!(out.is_empty() || out.ends_with(b"\n\n"), "{name} to {to:?}");
                assert!(full.starts_with(&out), "{name} to {to:?}");
                let text = String::from_utf8(out).unwrap();
                assert!(!ends.iter().any(|end| text.contains(end)), "{name} to {to:?} at {at}: {text}");
                assert!(!converter.is_over());
            }
        }
    }
}

#[test]
fn every_delta_passes_at_once() {
    for (name, to) in [
        ("chat_text", Dialect::Messages),
        ("chat_thinking", Dialect::Responses),
        ("messages_thinking", Dialect::Chat),
        ("messages_tools", Dialect::Responses),
        ("responses_reasoning", Dialect::Messages),
        ("responses_text", Dialect::Chat),
    ] {
        let Fixture { from, stream: events, .. } = fixture(name);
        let mut converter = converter(*from, to, &Lossy::default());
        for event in events.split_inclusive("\n\n") {
            let out = converter.feed(event.as_bytes()).unwrap();
            let is_delta = ["_delta\"", ".delta\"", "\"content\": \"H", "reasoning_content"];
            let silent = event.contains("\"partial_json\": \"\"") || event.contains("message_delta");
            if is_delta.iter().any(|sign| event.contains(sign)) && !silent {
                assert!(!out.is_empty(), "{name}: {event}");
            }
        }
        assert!(converter.is_over(), "{name}");
    }
}

fn check_becomes(name: &str, to: Dialect, at: &str, want: Value) {
    let Fixture { from, whole, .. } = fixture(name);
    let out = answer(*from, whole.as_bytes(), to, &about(), &Lossy::default()).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out.pointer(at).unwrap_or(&Value::Null), &want, "{name} to {to:?} at {at}: {out:#}");
}

#[test]
fn what_frame_and_stop_reason_become() {
    use Dialect::{Chat, Messages, Responses};
    use check_becomes as check;
    check("messages_text", Chat, "/id", json!("chatcmpl-01XFDUDYJgAACzvnptvVoYEL"));
    check("messages_text", Chat, "/model", json!("claude-sonnet-4-6"));
    check("messages_text", Chat, "/created", json!(7));
    check("messages_text", Chat, "/usage/prompt_tokens", json!(2101));
    check("messages_text", Chat, "/usage/prompt_tokens_details/cached_tokens", json!(2051));
    check("messages_text", Chat, "/usage/completion_tokens_details/reasoning_tokens", json!(41));
    check("messages_text", Responses, "/metadata", json!({ "a": "b" }));
    check("messages_text", Responses, "/tools/0/name", json!("now"));
    check("messages_text", Responses, "/usage/total_tokens", json!(2190));
    check("chat_text", Messages, "/usage/input_tokens", json!(93));
    check("chat_text", Messages, "/usage/cache_read_input_tokens", json!(1024));
    check("chat_text", Responses, "/created_at", json!(1_741_569_952));
    check("chat_text", Responses, "/output/0/content/0/text", json!("Hello! How can I assist you today? ☂"));
    // Stop reasons.
    check("chat_text", Messages, "/stop_reason", json!("end_turn"));
    check("chat_length", Messages, "/stop_reason", json!("max_tokens"));
    check("chat_filter", Messages, "/stop_reason", json!("refusal"));
    check("chat_tools", Messages, "/stop_reason", json!("tool_use"));
    check("chat_length", Responses, "/incomplete_details/reason", json!("max_output_tokens"));
    check("chat_filter", Responses, "/incomplete_details/reason", json!("content_filter"));
    check("responses_incomplete", Chat, "/choices/0/finish_reason", json!("length"));
    check("responses_filtered", Messages, "/stop_reason", json!("refusal"));
    check("responses_tools", Chat, "/choices/0/finish_reason", json!("tool_calls"));
    check("messages_stop_sequence", Chat, "/choices/0/finish_reason", json!("stop"));
    check("messages_context_full", Chat, "/choices/0/finish_reason", json!("length"));
    check("messages_max_tokens", Responses, "/status", json!("incomplete"));
    check("messages_max_tokens", Responses, "/output/0/status", json!("incomplete"));
    check("messages_refusal", Chat, "/choices/0/finish_reason", json!("content_filter"));
}

#[test]
fn what_the_blocks_of_an_answer_become() {
    use Dialect::{Chat, Messages, Responses};
    use check_becomes as check;
    // Refusals.
    check("messages_refusal", Chat, "/choices/0/message/refusal", json!("This request was declined."));
    check("messages_refusal", Responses, "/output/0/content/1/type", json!("refusal"));
    check("chat_refusal", Messages, "/stop_reason", json!("refusal"));
    let refusal = "I'm sorry, I cannot assist with that request.";
    check("chat_refusal", Messages, "/stop_details/explanation", json!(refusal));
    check("chat_refusal", Responses, "/output/0/content/0/refusal", json!(refusal));
    // Calls.
    check("messages_tools", Chat, "/choices/0/message/tool_calls/1/function/arguments", json!("{}"));
    check("messages_tools", Responses, "/output/1/call_id", json!("toolu_01T1x1fJ34qAmk2tNTrN7Up6"));
    check("chat_tools", Messages, "/content/1/input", json!({ "city": "Paris", "days": 2 }));
    check("chat_tools", Messages, "/content/3/id", json!("pinrail-id-functions_2enow_3a2"));
    check("responses_tools", Messages, "/content/1/id", json!("call_unDk"));
    check("chat_custom_tool", Responses, "/output/0/input", json!("print(\"a\")\n"));
    check("responses_custom_tool", Chat, "/choices/0/message/tool_calls/0/custom/name", json!("run"));
    // Thinking.
    check("chat_thinking", Messages, "/content/0/thinking", json!("The user greets me. Greet back."));
    check("chat_thinking_sealed", Messages, "/content/0/signature", json!("c2lnbmF0dXJl"));
    check("chat_thinking_sealed", Messages, "/content/1/type", json!("redacted_thinking"));
    check(
        "messages_thinking",
        Chat,
        "/choices/0/message/reasoning_content",
        json!("Let me see: 27 * 453.\n\nAnd once more."),
    );
    check("messages_thinking", Chat, "/choices/0/message/reasoning_details/2/signature", json!("EqRxyz=="));
    check("messages_thinking", Responses, "/output/0/summary/0/text", json!("Let me see: 27 * 453."));
    let sealed = "pinrail-reasoning-v1.rs_6876cf.gAAAAABo_encrypted.content-1";
    check("responses_reasoning", Messages, "/content/0/signature", json!(sealed));
    check("responses_reasoning", Messages, "/content/0/thinking", json!("Weigh it.\n\nDecide."));
    check(
        "responses_reasoning_raw",
        Chat,
        "/choices/0/message/reasoning_content",
        json!("We need to answer."),
    );
    check("responses_reasoning_silent", Messages, "/content/0/type", json!("text"));
    // Citations, counted in characters.
    let url = "/choices/0/message/annotations/0/url_citation";
    check("messages_web_search", Chat, &format!("{url}/start_index"), json!(10));
    check("messages_web_search", Chat, &format!("{url}/end_index"), json!(18));
    check("messages_web_search", Responses, "/output/0/content/1/annotations/0/end_index", json!(8));
    check("chat_citations", Messages, "/content/0/citations/0/url", json!("https://example.com/a"));
    check("responses_web_search", Chat, &format!("{url}/start_index"), json!(7));
    // Probabilities.
    check("chat_logprobs", Responses, "/output/0/content/0/logprobs/1/token", json!("!"));
    check("responses_logprobs", Chat, "/choices/0/logprobs/content/0/token", json!("Hi"));
}

#[test]
fn numbers_in_arguments_stay_as_the_model_wrote_them() {
    let Fixture { from, whole, .. } = fixture("messages_tools");
    let big = whole.replace("12345678901234567890", "1234567890123456789012.50");
    let out = answer(*from, big.as_bytes(), Dialect::Chat, &about(), &Lossy::default()).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    let arguments = out.pointer("/choices/0/message/tool_calls/0/function/arguments").unwrap();
    assert!(arguments.as_str().unwrap().contains("1234567890123456789012.50"), "{arguments}");
    let back = answer(Dialect::Chat, out.to_string().as_bytes(), *from, &about(), &Lossy::default()).unwrap();
    assert!(String::from_utf8(back).unwrap().contains("1234567890123456789012.50"));
}

#[test]
fn what_has_no_place_is_named_or_left_out() {
    let check = |name: &str, to: Dialect, feature: &'static str, path: &str| {
        let Fixture { from, whole, stream: events, .. } = fixture(name);
        let told = answer(*from, whole.as_bytes(), to, &about(), &Lossy::default()).unwrap_err();
        assert_eq!((told.feature, told.path.as_str()), (feature, path), "{name} to {to:?}");
        assert!(told.to_string().contains(&format!("lossy = [\"{feature}\"]")), "{told}");
        let lossy = Lossy::new([feature]).unwrap();
        assert!(answer(*from, whole.as_bytes(), to, &about(), &lossy).is_ok(), "{name} to {to:?}");
        let (_, failed) = stream(*from, [events.as_bytes()], to, &lossy);
        assert_eq!(failed, None, "{name} to {to:?}");
    };
    use Dialect::{Chat, Messages, Responses};
    check("chat_audio", Messages, "audio", "choices[0].message.audio");
    check("chat_custom_tool", Messages, "custom_tools", "the call of run");
    check("responses_custom_tool", Messages, "custom_tools", "the call of run");
    check("chat_logprobs", Messages, "logprobs", "logprobs");
    check("responses_image", Chat, "images", "output[0]");
    check("responses_logprobs", Messages, "logprobs", "logprobs");
    check("messages_code_execution", Chat, "server_tools", "content[0]");
    check("messages_document_citations", Responses, "citations", "content[0].citations");
    check("messages_pause", Chat, "server_tools", "stop_reason");
    let two = r#"{"choices":[{"index":0,"message":{"content":"a"}},{"index":1,"message":{"content":"b"}}]}"#;
    let told = answer(Chat, two.as_bytes(), Messages, &about(), &Lossy::default()).unwrap_err();
    assert_eq!((told.feature, told.path.as_str()), ("n", "choices[1]"));
    let wrong = r#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#;
    let told = answer(Chat, wrong.as_bytes(), Messages, &about(), &Lossy::default()).unwrap_err();
    assert_eq!(told.feature, "tool_arguments");
    assert!(answer(Chat, wrong.as_bytes(), Responses, &about(), &Lossy::default()).is_ok());
    for body in ["", "[]", "{}", "<html>"] {
        let told = answer(Messages, body.as_bytes(), Chat, &about(), &Lossy::default()).unwrap_err();
        assert_eq!(told.feature, MALFORMED, "{body}");
    }
}

#[test]
fn a_call_with_free_text_may_become_one_with_an_input() {
    for name in ["chat_custom_tool", "responses_custom_tool"] {
        let Fixture { from, whole, stream: events, .. } = fixture(name);
        let lossy = Lossy::new(["custom_tools"]).unwrap();
        let whole = answer(*from, whole.as_bytes(), Dialect::Messages, &about(), &lossy).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(whole["content"][0]["input"], json!({ "input": "print(\"a\")\n" }));
        let (out, _) = stream(*from, [events.as_bytes()], Dialect::Messages, &lossy);
        assert_eq!(fold(Dialect::Messages, &out), fold::plain(Dialect::Messages, whole), "{name}");
    }
}

#[test]
fn what_came_before_a_fault_is_still_given() {
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"audio\":{}}}]}\n\n";
    let (out, failed) = stream(Dialect::Chat, [events.as_bytes()], Dialect::Messages, &Lossy::default());
    assert!(String::from_utf8(out).unwrap().contains(r#""text":"Hi""#));
    assert!(matches!(failed, Some(StreamError::Unconvertible(told)) if told.feature == "audio"));
    let (_, failed) = stream(Dialect::Chat, [&b"data: {\n\n"[..]], Dialect::Messages, &Lossy::default());
    assert!(matches!(failed, Some(StreamError::Unconvertible(told)) if told.feature == MALFORMED));
    let mut short = StreamConverter::new(Dialect::Chat, Dialect::Messages, &about(), &Lossy::default(), 8);
    assert!(matches!(short.feed(b"data: 0123456789"), Err(StreamError::TooLong(_))));
}

#[test]
fn what_a_response_repeats_at_its_end_is_bounded() {
    let text = "x".repeat(1 << 19);
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let mut converter = converter(Dialect::Chat, Dialect::Responses, &Lossy::default());
    let fits = (0..40).take_while(|_| converter.feed(event.as_bytes()).is_ok()).count();
    assert_eq!(fits, GATHERED_BYTES_MAX >> 19);
    assert!(matches!(converter.feed(b""), Err(StreamError::Unconvertible(told)) if told.feature == TOO_LONG));
}
