use super::*;

fn observe(body: &str) -> (Observed, String) {
    let (observed, gathered) = observe_answer_text(body.as_bytes(), 1 << 16).unwrap();
    assert!(!gathered.cut);
    (observed, gathered.text)
}

/// Reads a fixture's answer.
macro_rules! answer {
    ($name:literal) => {
        observe(include_str!(concat!("../../../tests/fixtures/messages/answers/", $name, ".json")))
    };
}

#[test]
fn a_text_is_observed() {
    let (observed, text) = answer!("text");
    assert_eq!(text, "Hi! My name is José.");
    let want = Observed {
        id: Some("msg_013Zva2CMHLNnjNjJKqJ2EF".to_owned()),
        served_model: Some("claude-sonnet-4-5-20250929".to_owned()),
        usage: Some(Usage {
            prompt_tokens: 3_195,
            completion_tokens: 503,
            total_tokens: 3_698,
            cached_prompt_tokens: 1_000,
            reasoning_tokens: 0,
        }),
        finish_reason: Some("end_turn".to_owned()),
        text_chars: 20,
        choices: 1,
        ..Observed::default()
    };
    assert_eq!(observed, want);
}

#[test]
fn each_feature_is_observed() {
    let check = |(observed, text): (Observed, String), reason: &str, said: &str| {
        assert_eq!((observed.finish_reason.as_deref(), text.as_str()), (Some(reason), said));
        assert_eq!(observed.text_chars, said.chars().count() as u64);
        assert_eq!((observed.refusal, observed.choices), (reason == "refusal", 1));
        observed
    };
    let calls = check(answer!("tools_parallel"), "tool_use", "I look.").tool_calls;
    let calls: Vec<_> = calls.iter().map(|c| (c.index, &*c.id, &*c.name, &*c.arguments)).collect();
    let want = [(0, "toolu_01A", "get_weather", r#"{"city": "Oslo"}"#), (1, "toolu_01B", "get_time", "{}")];
    assert_eq!(calls, want);
    let thinking = check(answer!("thinking"), "end_turn", "12,231");
    assert_eq!(thinking.usage.unwrap().reasoning_tokens, 97);
    check(answer!("citations"), "end_turn", "By the report, the grass is green.");
    assert_eq!(check(answer!("web_search"), "end_turn", "In Oslo it snows.").tool_calls, []);
    check(answer!("structured"), "stop_sequence", "{\"n\":7}");
    check(answer!("refusal"), "refusal", "");
    let cut = check(answer!("max_tokens"), "max_tokens", "Once upon").usage.unwrap();
    assert_eq!((cut.prompt_tokens, cut.total_tokens), (9, 11));
    check(answer!("pause_turn"), "pause_turn", "");
}

#[test]
fn what_is_no_answer_is_told() {
    let error = include_bytes!("../../../tests/fixtures/messages/answers/error.json");
    let told = observe_answer(error).unwrap_err().to_string();
    assert_eq!(told, "the provider answered with an error: The requested resource could not be found.");
    for body in ["", "[]", "<html>", "{\"id\":", "7"] {
        let error = observe_answer(body.as_bytes()).unwrap_err();
        assert!(matches!(error, AnswerError::Unreadable { .. }), "{body}: {error}");
    }
}
