use serde_json::value::RawValue;

use super::*;

const TOOLS: &str = r#"[{"type":"function","function":{"name":"a","parameters":{"x":1,"y":[1,2]}}},{"type":"function","function":{"name":"b"}}]"#;

fn verify(body: &str) -> Vec<String> {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let tools = PinnedTools::new(&raw(TOOLS)).unwrap();
    let params =
        [("temperature", "0.2"), ("max_tokens", "800")].map(|(name, value)| (name.to_owned(), raw(value)));
    let pin = Pin { system: Some("Be good.\nBe brief."), tools: Some(&tools), params: &params };
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    request.verify(&pin).iter().map(ToString::to_string).collect()
}

/// Checks which fields are refused in a request of these messages and further fields.
fn check(messages: &str, rest: &str, want: &[&str]) {
    let found = verify(&format!(r#"{{"model":"m","messages":[{messages}],{rest}}}"#));
    let fields: Vec<_> = found.iter().map(|text| text.split('`').nth(1).unwrap()).collect();
    assert_eq!(fields, want, "{messages} {rest}: {found:?}");
}

const SYSTEM: &str = r#"{"role":"system","content":"Be good.\nBe brief."}"#;
const SAME_TOOLS: &str = r#""tools":[{"function":{"name":"b"},"type":"function"},{"type":"function","function":{"parameters":{"y":[1.0,2],"x":1},"name":"\u0061"}}]"#;

#[test]
fn equal_requests_pass_in_any_spelling() {
    check(SYSTEM, SAME_TOOLS, &[]);
    check(
        r#"{"role":"developer","content":[{"type":"text","text":"Be good."},{"type":"text","text":"Be brief."}]},{"role":"user","content":"hi"}"#,
        SAME_TOOLS,
        &[],
    );
    check(SYSTEM, &format!(r#"{SAME_TOOLS},"temperature":2e-1,"max_tokens":null,"top_p":1"#), &[]);
    check(SYSTEM, &format!(r#"{SAME_TOOLS},"max_completion_tokens":800"#), &[]);
}

#[test]
fn differences_are_named() {
    check("", SAME_TOOLS, &["messages"]);
    check(r#"{"role":"system","content":"Be good.\nBe brief. "}"#, SAME_TOOLS, &["messages"]);
    check(r#"{"role":"system","content":7}"#, SAME_TOOLS, &["messages[0].content"]);
    check(
        &format!(r#"{SYSTEM},{{"role":"user"}},{{"role":"system","content":"x"}}"#),
        SAME_TOOLS,
        &["messages[2].role"],
    );
    check(SYSTEM, r#""n":1"#, &["tools[a]", "tools[b]"]);
    check(SYSTEM, r#""tools":7"#, &["tools"]);
    check(SYSTEM, &TOOLS.replace("[1,2]", "[2,1]").replacen('[', r#""tools":["#, 1), &["tools[a]"]);
    check(SYSTEM, &TOOLS.replacen('[', r#""tools":[{"name":"c"},"#, 1), &["tools[c]"]);
    check(
        SYSTEM,
        &TOOLS.replacen('[', r#""tools":[{"type":"function","function":{"name":"b"}},"#, 1),
        &["tools[b]"],
    );
    check(SYSTEM, &format!(r#"{SAME_TOOLS},"functions":[]"#), &["functions"]);
    check(
        SYSTEM,
        &format!(r#"{SAME_TOOLS},"temperature":0.3,"max_completion_tokens":1"#),
        &["temperature", "max_completion_tokens"],
    );
}

#[test]
fn what_is_shown_is_short_and_shows_the_place() {
    let long = "x".repeat(5_000);
    let found = verify(&format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"Be good.\nBe brief!{long}"}}],{SAME_TOOLS}}}"#
    ));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("Be brief.` (18 characters)") && found[0].contains("Be brief!xxx"),
        "{}",
        found[0]
    );
    assert!(found[0].len() < 300, "{}", found[0]);
    let many: Vec<_> = (0..500).map(|n| format!(r#"{{"name":"t{n}"}}"#)).collect();
    let found = verify(&format!(r#"{{"model":"m","messages":[{SYSTEM}],"tools":[{}]}}"#, many.join(",")));
    assert_eq!(found.len(), MISMATCHES_MAX);
}

#[test]
fn what_is_not_pinned_is_not_compared() {
    let request = br#"{"model":"m","messages":[{"role":"system","content":"x"}],"tools":[1],"seed":1}"#;
    assert_eq!(ChatRequest::parse(request).unwrap().verify(&Pin::default()), []);
}
