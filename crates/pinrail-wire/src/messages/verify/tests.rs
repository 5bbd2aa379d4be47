use serde_json::value::RawValue;

use super::*;
use crate::pin::PinnedTools;

const TOOLS: &str =
    r#"[{"name":"a","input_schema":{"x":1,"y":[1,2]}},{"type":"web_search_20250305","name":"b"}]"#;

/// Checks which fields are refused in a request of this system, these messages and further fields.
fn check(system: &str, messages: &str, rest: &str, want: &[&str]) {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let tools = PinnedTools::new(&raw(TOOLS)).unwrap();
    let params = [("temperature", "0.2"), ("max_tokens", "800"), ("stream", "true")]
        .map(|(name, value)| (name.to_owned(), raw(value)));
    let pin = Pin { system: Some("Be good.\nBe brief."), tools: Some(&tools), params: &params };
    let body = format!(r#"{{"model":"m","system":{system},"messages":[{messages}],{rest}}}"#);
    let found = MessagesRequest::parse(body.as_bytes()).unwrap().verify(&pin);
    let fields: Vec<_> = found.iter().map(|mismatch| mismatch.field.as_str()).collect();
    assert_eq!(fields, want, "{body}: {found:?}");
}

const SYSTEM: &str = r#""Be good.\nBe brief.""#;
const USER: &str = r#"{"role":"user","content":"hi"}"#;
const SAME_TOOLS: &str = r#""tools":[{"name":"b","type":"web_search_20250305"},{"input_schema":{"y":[1.0,2],"x":1},"name":"\u0061"}]"#;

#[test]
fn equal_requests_pass_in_any_spelling() {
    check(SYSTEM, USER, SAME_TOOLS, &[]);
    let blocks = r#"[{"type":"text","text":"Be good."},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}]"#;
    check(blocks, "", SAME_TOOLS, &[]);
    check(SYSTEM, USER, &format!(r#"{SAME_TOOLS},"temperature":2e-1,"max_tokens":null,"stream":false"#), &[]);
}

#[test]
fn differences_are_named() {
    check("null", USER, SAME_TOOLS, &["system"]);
    check("\"Be good.\"", USER, SAME_TOOLS, &["system"]);
    check("[7]", USER, SAME_TOOLS, &["system"]);
    let later = format!(r#"{USER},{{"role":"system","content":"x"}}"#);
    check(SYSTEM, &later, SAME_TOOLS, &["messages[1].role"]);
    check(SYSTEM, USER, r#""top_k":1"#, &["tools[a]", "tools[b]"]);
    check(
        SYSTEM,
        USER,
        &format!(r#"{SAME_TOOLS},"temperature":0.3,"max_tokens":1"#),
        &["temperature", "max_tokens"],
    );
}

#[test]
fn what_is_not_pinned_is_not_compared() {
    let request = br#"{"model":"m","messages":[{"role":"system"}],"system":"x","tools":[1],"top_k":1}"#;
    assert_eq!(MessagesRequest::parse(request).unwrap().verify(&Pin::default()), []);
}
