use serde_json::value::RawValue;

use super::*;

const TOOLS: &str =
    r#"[{"type":"function","name":"a","parameters":{"x":1,"y":[1,2]}},{"type":"custom","name":"b"}]"#;
const SAME_TOOLS: &str = r#""tools":[{"name":"b","type":"custom"},{"type":"function","parameters":{"y":[1.0,2],"x":1},"name":"\u0061"}]"#;

/// Checks which fields are refused in a request of these fields.
fn check(rest: &str, want: &[&str]) {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let tools = PinnedTools::new(&raw(TOOLS)).unwrap();
    let params = [("temperature", "0.2"), ("text", r#"{"verbosity":"low"}"#), ("background", "true")]
        .map(|(name, value)| (name.to_owned(), raw(value)));
    let pin = Pin { system: Some("Be good.\nBe brief."), tools: Some(&tools), params: &params };
    let body = format!(r#"{{"model":"m",{rest}}}"#);
    let found = ResponsesRequest::parse(body.as_bytes()).unwrap().verify(&pin);
    let fields: Vec<_> = found.iter().map(|mismatch| mismatch.field.as_str()).collect();
    assert_eq!(fields, want, "{rest}: {found:?}");
}

const SYSTEM: &str = r#""instructions":"Be good.\nBe brief.""#;

#[test]
fn equal_requests_pass_in_any_spelling() {
    check(&format!("{SYSTEM},{SAME_TOOLS}"), &[]);
    check(
        &format!(
            r#""instructions":"Be good.","input":[{{"role":"developer","content":"Be brief."}},{{"role":"user","content":"hi"}}],{SAME_TOOLS}"#
        ),
        &[],
    );
    check(
        &format!(
            r#""input":[{{"type":"message","role":"system","content":[{{"type":"input_text","text":"Be good."}},{{"type":"input_text","text":"Be brief."}}]}}],{SAME_TOOLS}"#
        ),
        &[],
    );
    check(
        &format!(
            r#"{SYSTEM},{SAME_TOOLS},"temperature":2e-1,"text":{{ "verbosity":"low"}},"background":false,"top_p":1"#
        ),
        &[],
    );
}

#[test]
fn differences_are_named() {
    check(SAME_TOOLS, &["instructions"]);
    check(&format!(r#""instructions":"Be good.\nBe brief. ",{SAME_TOOLS}"#), &["instructions"]);
    check(
        &format!(r#"{SYSTEM},"input":[{{"role":"system","content":"more"}}],{SAME_TOOLS}"#),
        &["instructions"],
    );
    check(
        &format!(r#"{SYSTEM},"input":[{{"role":"system","content":7}}],{SAME_TOOLS}"#),
        &["input[0].content"],
    );
    check(
        &format!(r#"{SYSTEM},"input":[{{"role":"user"}},{{"role":"developer","content":"x"}}],{SAME_TOOLS}"#),
        &["input[1].role"],
    );
    check(SYSTEM, &["tools[a]", "tools[b]"]);
    check(&format!("{SYSTEM},\"tools\":{}", TOOLS.replace("[1,2]", "[2,1]")), &["tools[a]"]);
    check(
        &format!("{SYSTEM},\"tools\":{}", TOOLS.replacen('[', r#"[{"type":"custom","name":"c"},"#, 1)),
        &["tools[c]"],
    );
    check(
        &format!(
            r#"{SYSTEM},{SAME_TOOLS},"input":[{{"type":"additional_tools","role":"developer","tools":[]}}]"#
        ),
        &["input[0]"],
    );
    check(&format!(r#"{SYSTEM},{SAME_TOOLS},"prompt":{{"id":"pmpt_1"}}"#), &["prompt"]);
    check(
        &format!(
            r#"{SYSTEM},{SAME_TOOLS},"temperature":0.3,"text":{{"verbosity":"low","format":{{"type":"text"}}}}"#
        ),
        &["temperature", "text"],
    );
}

#[test]
fn what_is_not_pinned_is_not_compared() {
    let body = br#"{"model":"m","instructions":"x","tools":[1],"prompt":{"id":"p"},"input":[{"role":"user"},{"role":"system"}]}"#;
    assert_eq!(ResponsesRequest::parse(body).unwrap().verify(&Pin::default()), []);
}
