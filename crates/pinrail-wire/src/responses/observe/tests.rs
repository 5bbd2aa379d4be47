use super::*;
use crate::answer::{TOOL_CALL_BYTES_MAX, TOOL_CALLS_MAX};

fn observe(body: &str) -> Observed {
    observe_answer_text(body.as_bytes(), 0).unwrap_or_else(|error| panic!("{body}: {error}")).0
}

fn answer(status: &str, output: &str) -> String {
    format!(r#"{{"id":"resp_1","status":{status},"output":[{output}]}}"#)
}

#[test]
fn how_an_answer_ended_is_told_in_the_words_of_chat() {
    let check = |status: &str, output: &str, want: (Option<&str>, bool)| {
        let got = observe(&answer(status, output));
        assert_eq!((got.finish_reason.as_deref(), got.refusal), want, "{status} {output}");
    };
    let incomplete = |reason: &str| format!(r#""incomplete","incomplete_details":{reason}"#);
    let call = r#"{"type":"function_call","call_id":"c","name":"look","arguments":"{}"}"#;
    let text = r#"{"type":"message","content":[{"type":"output_text","text":"hi"}]}"#;
    check(r#""completed""#, text, (Some("stop"), false));
    check(r#""completed""#, &format!("{text},{call}"), (Some("tool_calls"), false));
    check(r#""completed""#, r#"{"type":"web_search_call"}"#, (Some("stop"), false));
    check(&incomplete(r#"{"reason":"max_output_tokens"}"#), text, (Some("length"), false));
    check(&incomplete(r#"{"reason":"content_filter"}"#), "", (Some("content_filter"), true));
    check(&incomplete(r#"{"reason":"steered"}"#), text, (Some("steered"), false));
    check(&incomplete("null"), text, (Some("incomplete"), false));
    check(r#""cancelled""#, text, (Some("cancelled"), false));
    check("null", text, (None, false));
    let refusal = r#"{"type":"message","content":[{"type":"refusal","refusal":"I can't"}]}"#;
    check(r#""completed""#, refusal, (Some("stop"), true));
    check(r#""completed""#, &refusal.replace("I can't", ""), (Some("stop"), false));
}

#[test]
fn what_has_no_text_is_not_always_empty() {
    let check = |status: &str, output: &str, want: bool| {
        let got = observe(&answer(status, output));
        assert_eq!((got.beyond_text, got.text_chars), (want, 0), "{status} {output}");
    };
    check(r#""queued""#, "", true);
    check(r#""in_progress""#, "", true);
    check(r#""completed""#, r#"{"type":"image_generation_call","result":"iVBORw0KGgo="}"#, true);
    check(r#""completed""#, "", false);
    check(r#""completed""#, r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]}"#, false);
}

#[test]
fn shapes_of_other_providers() {
    let check = |body: &str, chars: u64, total: Option<u64>| {
        let got = observe(body);
        assert_eq!((got.text_chars, got.usage.map(|u| u.total_tokens)), (chars, total), "{body}");
    };
    check(&answer("null", r#"{"type":"message","content":"abc"}"#), 3, None);
    check(
        &answer("null", r#"{"type":"message","content":[{"type":"output_text","text":7},{"x":1}]}"#),
        0,
        None,
    );
    check(&answer("null", r#"{"type":"new_kind","content":[{"type":"output_text","text":"abc"}]}"#), 0, None);
    check(
        r#"{"output":[],"usage":{"input_tokens":3.0,"output_tokens":4},"model":"","error":null}"#,
        0,
        Some(7),
    );
    check(r#"{"output":7,"usage":{"input_tokens":null}}"#, 0, Some(0));
    check("{}", 0, None);
}

#[test]
fn what_is_no_answer() {
    let provider = |body: &[u8]| match observe_answer_text(body, 0) {
        Err(AnswerError::Provider(error)) => Some(error.message),
        Err(AnswerError::Unreadable { .. }) => None,
        Ok((observed, _)) => panic!("{observed:?}"),
    };
    assert_eq!(provider(b"<html>"), None);
    assert_eq!(provider(b"[\"id\",\"model\"]"), None);
    assert_eq!(provider(br#"{"error":{"message":"m"}}"#).as_deref(), Some("m"));
    assert_eq!(provider(br#"[{"error":{"message":"m"}}]"#).as_deref(), Some("m"));
    let failed = br#"{"status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#;
    assert_eq!(provider(failed).as_deref(), Some("m"));
    let unnamed = br#"{"status":"failed","error":null,"output":[]}"#;
    assert_eq!(provider(unnamed).as_deref(), Some("the answer failed, and no reason is given"));
}

#[test]
fn tool_calls_are_bounded() {
    let call =
        |n: usize| format!(r#"{{"type":"function_call","call_id":"c{n}","name":"f","arguments":"{{}}"}}"#);
    let calls: Vec<_> = (0..=TOOL_CALLS_MAX).map(call).collect();
    let got = observe(&answer("null", &calls.join(",")));
    assert_eq!((got.tool_calls.len(), got.tool_calls_cut), (TOOL_CALLS_MAX, true));
    let long = "é".repeat(TOOL_CALL_BYTES_MAX);
    let got = observe(&answer("null", &format!(r#"{{"type":"custom_tool_call","input":"{long}"}}"#)));
    assert_eq!((got.tool_calls[0].arguments.len(), got.tool_calls_cut), (TOOL_CALL_BYTES_MAX, true));
}
