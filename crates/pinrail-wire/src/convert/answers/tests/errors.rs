use serde_json::Value;

use super::super::*;
use super::{about, stream};
use Dialect::{Chat, Messages, Responses};

#[test]
fn errors_stay_recognisable() {
    let check = |from: Dialect, status: u16, body: &str, to: Dialect, want: (u16, &str, Option<&str>)| {
        let (status, out) = error(from, status, body.as_bytes(), to);
        let out: Value = serde_json::from_slice(&out).unwrap();
        let told = &out["error"];
        assert_eq!((status, told["type"].as_str().unwrap(), told["code"].as_str()), want, "{body}: {out}");
        assert_eq!(out["type"] == "error", to == Messages, "{out}");
        assert!(told["message"].as_str().unwrap().contains("why"), "{out}");
    };
    let claude = |kind: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"why"}},"request_id":"r"}}"#)
    };
    let invalid = "invalid_request_error";
    let openai = |status: u16, kind: &str, want: (u16, &str, Option<&str>)| {
        check(Messages, status, &claude(kind), Chat, want);
        check(Messages, status, &claude(kind), Responses, want);
    };
    openai(400, invalid, (400, invalid, None));
    openai(401, "authentication_error", (401, invalid, Some("invalid_api_key")));
    openai(402, "billing_error", (429, "insufficient_quota", Some("insufficient_quota")));
    openai(403, "permission_error", (403, "permission_error", None));
    openai(404, "not_found_error", (404, invalid, Some("model_not_found")));
    openai(413, "request_too_large", (413, invalid, Some("request_too_large")));
    openai(429, "rate_limit_error", (429, "rate_limit_error", Some("rate_limit_exceeded")));
    openai(500, "api_error", (500, "server_error", None));
    openai(504, "timeout_error", (504, "server_error", Some("timeout")));
    openai(529, "overloaded_error", (503, "server_error", Some("overloaded")));
    let long = claude(invalid).replace("why", "prompt is too long: 210000 tokens > 200000 maximum, why");
    check(Messages, 400, &long, Chat, (400, invalid, Some("context_length_exceeded")));

    let gpt = |kind: &str, code: &str| {
        format!(r#"{{"error":{{"message":"why","type":"{kind}","param":null,"code":{code}}}}}"#)
    };
    let anthropic = |status: u16, kind: &str, code: &str, want: (u16, &str)| {
        for from in [Chat, Responses] {
            check(from, status, &gpt(kind, code), Messages, (want.0, want.1, None));
        }
    };
    anthropic(400, invalid, "null", (400, invalid));
    anthropic(400, invalid, r#""context_length_exceeded""#, (400, invalid));
    anthropic(400, invalid, r#""content_policy_violation""#, (400, invalid));
    anthropic(401, invalid, r#""invalid_api_key""#, (401, "authentication_error"));
    anthropic(403, "request_forbidden", "null", (403, "permission_error"));
    anthropic(404, invalid, r#""model_not_found""#, (404, "not_found_error"));
    anthropic(409, invalid, "null", (409, "conflict_error"));
    anthropic(422, invalid, "null", (422, invalid));
    anthropic(429, "requests", r#""rate_limit_exceeded""#, (429, "rate_limit_error"));
    anthropic(429, "insufficient_quota", r#""insufficient_quota""#, (402, "billing_error"));
    anthropic(500, "server_error", "null", (500, "api_error"));
    anthropic(502, "BadGateway", "502", (502, "api_error"));
    anthropic(503, "server_error", r#""overloaded""#, (529, "overloaded_error"));
    check(Chat, 502, "<h1>why</h1>", Messages, (502, "api_error", None));
    check(Messages, 503, "why", Chat, (503, "server_error", Some("overloaded")));
    check(Chat, 400, &gpt(invalid, r#""x""#), Responses, (400, invalid, Some("x")));
}

#[test]
fn a_long_prompt_is_told_in_the_words_that_clients_look_for() {
    let body = r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error"}}"#;
    let (_, out) = error(Chat, 400, body.as_bytes(), Messages);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("prompt is too long: This model's maximum context length is 8192 tokens"), "{out}");
    let (status, out) = error(Chat, 500, b"", Messages);
    assert_eq!(status, 500);
    assert!(String::from_utf8(out).unwrap().contains("status 500"));
}

#[test]
fn an_error_in_a_stream_is_told_in_the_clients_form() {
    let check = |from: Dialect, event: &str, to: Dialect, want: &[&str]| {
        let event = format!("{event}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"more\"}}}}]}}\n\n");
        let (out, failed) = stream(from, [event.as_bytes()], to, &Lossy::default());
        let out = String::from_utf8(out).unwrap();
        assert_eq!(failed, None);
        assert!(want.iter().all(|want| out.contains(want)), "{out}");
        assert!(!out.contains("more") && !out.contains("[DONE]"), "{out}");
    };
    let overloaded = r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    check(Messages, overloaded, Chat, &["data: {\"error\":{\"code\":\"overloaded\"", "\"Overloaded\""]);
    check(
        Messages,
        overloaded,
        Responses,
        &["event: error\n", "event: response.failed\n", "\"status\":\"failed\"", "\"code\":\"overloaded\""],
    );
    let limit = r#"data: {"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}"#;
    check(Chat, limit, Messages, &["event: error\ndata: ", "\"type\":\"rate_limit_error\"", "\"slow\""]);
    let event =
        r#"data: {"type":"error","code":"server_error","message":"broke","param":null,"sequence_number":3}"#;
    check(Responses, event, Messages, &["\"type\":\"api_error\"", "\"broke\""]);
    let failed = super::fixture("responses_failed").stream;
    check(Responses, failed.trim_end(), Chat, &["rate_limit_exceeded", "Rate limit reached."]);
    let _ = about();
}
