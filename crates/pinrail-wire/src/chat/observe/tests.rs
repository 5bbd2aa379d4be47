use super::*;
use crate::answer::{TOOL_CALL_BYTES_MAX, TOOL_CALLS_MAX};

#[test]
fn a_text_answer() {
    let got = observe_answer(include_bytes!("../../../tests/fixtures/answer.json")).unwrap();
    let want = Observed {
        id: Some("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT".to_owned()),
        served_model: Some("gpt-4o-2024-08-06".to_owned()),
        fingerprint: Some("fp_44709d6fcb".to_owned()),
        usage: Some(Usage {
            prompt_tokens: 19,
            completion_tokens: 10,
            total_tokens: 29,
            cached_prompt_tokens: 4,
            reasoning_tokens: 2,
        }),
        finish_reason: Some("stop".to_owned()),
        text_chars: 40,
        choices: 1,
        ..Observed::default()
    };
    assert_eq!(got, want);
}

#[test]
fn an_answer_with_tool_calls() {
    let got = observe_answer(include_bytes!("../../../tests/fixtures/answer_tools.json")).unwrap();
    let calls: Vec<_> = got
        .tool_calls
        .iter()
        .map(|c| (c.index, c.id.as_str(), c.name.as_str(), c.arguments.as_str()))
        .collect();
    assert_eq!(calls, [(0, "call_a", "get_weather", r#"{"city":"Oslo"}"#), (1, "call_b", "get_time", "{}")]);
    assert_eq!((got.finish_reason.as_deref(), got.fingerprint), (Some("tool_calls"), None));
    assert_eq!(got.usage.unwrap().total_tokens, 99);
}

#[test]
fn refusals() {
    let check = |choice: &str, want: bool| {
        let got = observe_answer(format!(r#"{{"choices":[{choice}]}}"#).as_bytes()).unwrap();
        assert_eq!(got.refusal, want, "{choice}");
    };
    check(r#"{"message":{"content":null,"refusal":"I can't"},"finish_reason":"stop"}"#, true);
    check(r#"{"message":{"content":"","refusal":null},"finish_reason":"content_filter"}"#, true);
    check(r#"{"message":{"content":"a","refusal":""},"finish_reason":"stop"}"#, false);
    check(r#"{"message":{"content":"a"}},{"index":1,"message":{"refusal":"no"}}"#, true);
}

#[test]
fn shapes_of_other_providers() {
    let check = |body: &str, chars: u64, total: Option<u64>, choices: u32| {
        let got = observe_answer(body.as_bytes()).unwrap();
        assert_eq!(
            (got.text_chars, got.usage.map(|u| u.total_tokens), got.choices),
            (chars, total, choices),
            "{body}"
        );
    };
    check(
        r#"{"choices":[{"message":{"content":[{"type":"text","text":"ab"},{"type":"image"}]}}]}"#,
        2,
        None,
        1,
    );
    check(r#"{"choices":[{"message":{"content":{"x":1}}}]}"#, 0, None, 1);
    check(
        r#"{"choices":[{"message":{"content":7}}],"usage":{"prompt_tokens":3.0,"completion_tokens":4}}"#,
        0,
        Some(7),
        1,
    );
    check(r#"{"choices":[],"usage":{"prompt_tokens":null},"model":"","error":null}"#, 0, Some(0), 0);
    check(r#"{"choices":[{"index":4000000000,"message":{"content":"abc"}}]}"#, 0, None, 1);
    check("{}", 0, None, 0);
    let object = br#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g"}}]}}]}"#;
    let calls = observe_answer(object).unwrap().tool_calls;
    assert_eq!((calls[0].arguments.as_str(), calls[1].name.as_str()), (r#"{"a":1}"#, "g"));
}

#[test]
fn what_is_no_answer() {
    let provider = |body: &[u8]| match observe_answer(body) {
        Err(AnswerError::Provider(error)) => Some(error.message),
        Err(AnswerError::Unreadable { .. }) => None,
        Ok(observed) => panic!("{observed:?}"),
    };
    assert_eq!(provider(b"<html>"), None);
    assert_eq!(provider(b"[\"id\",\"model\",null,[],null,null]"), None);
    assert_eq!(provider(br#"{"error":{"message":"m"}}"#).as_deref(), Some("m"));
    assert_eq!(provider(br#"{"object":"error","message":"m"}"#).as_deref(), Some("m"));
    assert_eq!(provider(br#"[{"error":{"message":"m"}}]"#).as_deref(), Some("m"));
}

#[test]
fn tool_calls_are_bounded() {
    let call = |n: usize| format!(r#"{{"id":"c{n}","function":{{"name":"f","arguments":"{{}}"}}}}"#);
    let calls: Vec<_> = (0..=TOOL_CALLS_MAX).map(call).collect();
    let body = format!(r#"{{"choices":[{{"message":{{"tool_calls":[{}]}}}}]}}"#, calls.join(","));
    let got = observe_answer(body.as_bytes()).unwrap();
    assert_eq!((got.tool_calls.len(), got.tool_calls_cut), (TOOL_CALLS_MAX, true));
    let long = "é".repeat(TOOL_CALL_BYTES_MAX);
    let body = format!(
        r#"{{"choices":[{{"message":{{"tool_calls":[{{"function":{{"arguments":"{long}"}}}}]}}}}]}}"#
    );
    let got = observe_answer(body.as_bytes()).unwrap();
    assert_eq!((got.tool_calls[0].arguments.len(), got.tool_calls_cut), (TOOL_CALL_BYTES_MAX, true));
}
