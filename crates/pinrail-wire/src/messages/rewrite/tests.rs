use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn params(list: &[(&str, &str)]) -> Vec<(String, Box<RawValue>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect()
}

/// Rewrites a request of these fields and gives them as they are written, without the model.
fn rewritten(fields: &str, edit: &Edit<'_>) -> String {
    let body = format!(r#"{{"model":"m",{fields}}}"#);
    let out = MessagesRequest::parse(body.as_bytes()).unwrap().rewrite(&Edit { model: "M", ..*edit });
    let out = String::from_utf8(out).unwrap();
    serde_json::from_str::<Value>(&out).expect("what is written is JSON");
    out.strip_prefix(r#"{"model":"M","#).unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn the_fixture_is_rewritten_whole() {
    let body = include_bytes!("../../../tests/fixtures/messages/request.json");
    let request = MessagesRequest::parse(body).unwrap();
    let (tools, params) = (
        raw(r#"[{"name":"new","input_schema":{}}]"#),
        params(&[("temperature", "0.2"), ("top_k", "7"), ("metadata", "{}")]),
    );
    let edit = Edit {
        model: "claude-opus-4-6",
        params: &params,
        system: Some("Be \"good\"."),
        tools: Some(&tools),
        free_choice: true,
        include_usage: true,
        ..Edit::default()
    };
    let want = concat!(
        r#"{"model":"claude-opus-4-6","max_tokens":1024,"system":"Be \"good\".","messages":["#,
        r#"{"role": "user", "content": [{"type": "text", "text": "What's in this \u0022image\u0022?"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},"#,
        r#"{"role": "assistant", "content": [{"type": "thinking", "thinking": "An order.", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk+/w=="}, {"type": "tool_use", "id": "toolu_1", "name": "get_order", "input": {"id": 1.0}}]},"#,
        r#"{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "{\"state\":\"sent\"}", "is_error": false}]}],"#,
        r#""temperature":0.2,"tools":[{"name":"new","input_schema":{}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"#,
        r#""stream":true,"metadata":{"user_id":"u-7"},"x_future":[1e3, {"\u00e9": null}],"top_k":7}"#,
    );
    assert_eq!(String::from_utf8(request.rewrite(&edit)).unwrap(), want);
}

#[test]
fn the_release_prompt_takes_its_place() {
    let check = |sent: &str, system: Option<&str>, keep_client_system: bool, want: &str| {
        let edit = Edit { system, keep_client_system, ..Edit::default() };
        assert_eq!(rewritten(sent, &edit), want, "{sent} {system:?} {keep_client_system}");
    };
    let text = r#""system":"c\u0022","messages":[]"#;
    check(text, None, false, text);
    check(text, Some("r"), false, r#""system":"r","messages":[]"#);
    check(text, Some("r"), true, r#""system":"r\n\nc\"","messages":[]"#);
    check(text, Some(""), false, r#""messages":[]"#);
    check(text, Some(""), true, text);
    let blocks =
        r#""messages":[],"system":[ {"type":"text","text":"c", "cache_control":{"type":"ephemeral"}}]"#;
    check(blocks, None, false, blocks);
    check(blocks, Some("r\n"), false, r#""messages":[],"system":"r\n""#);
    check(
        blocks,
        Some("r\n"),
        true,
        r#""messages":[],"system":[{"type":"text","text":"r\n"},{"type":"text","text":"c", "cache_control":{"type":"ephemeral"}}]"#,
    );
    check(blocks, Some(""), false, r#""messages":[]"#);
    check(r#""messages":[]"#, Some("r"), true, r#""messages":[],"system":"r""#);
    check(r#""messages":[]"#, Some(""), false, r#""messages":[]"#);
    check(r#""messages":[],"system":null"#, Some("r"), true, r#""messages":[],"system":"r""#);
    check(r#""messages":[],"system":"""#, Some("r"), true, r#""messages":[],"system":"r""#);
    let midway = r#""messages":[{"role":"user"}, {"role":"system","content":"c"},{"role":"assistant"}]"#;
    check(midway, None, false, midway);
    check(midway, Some("r"), true, &format!(r#"{midway},"system":"r""#));
    check(midway, Some(""), false, r#""messages":[{"role":"user"},{"role":"assistant"}]"#);
}

#[test]
fn params_override_and_add() {
    let check = |sent: &str, ours: &[(&str, &str)], want: &str| {
        let params = params(ours);
        let edit = Edit { params: &params, ..Edit::default() };
        assert_eq!(rewritten(&format!(r#""messages":[]{sent}"#), &edit), format!(r#""messages":[]{want}"#));
    };
    check(r#","top_p":1"#, &[], r#","top_p":1"#);
    check(r#","max_tokens":9"#, &[("max_tokens", "5")], r#","max_tokens":5"#);
    check(
        "",
        &[("max_tokens", "5"), ("thinking", r#"{"type":"adaptive"}"#)],
        r#","max_tokens":5,"thinking":{"type":"adaptive"}"#,
    );
    check(
        r#","stream":false"#,
        &[
            ("stream", "true"),
            ("model", "\"x\""),
            ("messages", "1"),
            ("system", "1"),
            ("tools", "1"),
            ("metadata", "1"),
        ],
        r#","stream":false"#,
    );
}

#[test]
fn tools_are_replaced_or_removed() {
    let check = |sent: &str, tools: Option<&str>, free_choice: bool, want: &str| {
        let (tools, params) = (tools.map(raw), params(&[("tool_choice", r#"{"type":"any"}"#)]));
        let edit = Edit { tools: tools.as_deref(), params: &params, free_choice, ..Edit::default() };
        assert_eq!(rewritten(&format!(r#""messages":[]{sent}"#), &edit), format!(r#""messages":[]{want}"#));
    };
    let sent = r#","tools":[1],"tool_choice":{"type":"tool","name":"x","disable_parallel_tool_use":true}"#;
    check(sent, None, false, r#","tools":[1],"tool_choice":{"type":"any"}"#);
    check(sent, Some("[2]"), false, r#","tools":[2],"tool_choice":{"type":"any"}"#);
    check(sent, Some("[ ]"), false, "");
    check(sent, None, true, r#","tools":[1],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#);
    check("", Some("[2]"), true, r#","tools":[2]"#);
    check("", Some("[]"), false, "");
    check(r#","tool_choice":"any""#, None, true, r#","tool_choice":{"type":"auto"}"#);
}

#[test]
fn what_is_for_us_goes_no_further() {
    let check = |sent: &str, want: &str| {
        let got = rewritten(&format!(r#""messages":[]{sent}"#), &Edit::default());
        assert_eq!(got, format!(r#""messages":[]{want}"#));
    };
    check(r#","metadata":{ "user_id" : "b" }"#, r#","metadata":{ "user_id" : "b" }"#);
    check(r#","metadata":{"pinrail_run":"r","user_id":"b"}"#, r#","metadata":{"user_id":"b"}"#);
    check(r#","metadata":{"pinrail_run":"r"},"top_k":1"#, r#","top_k":1"#);
    check(r#","metadata":null"#, r#","metadata":null"#);
    check(r#","pinrail":{"run":"r"},"top_k":1"#, r#","top_k":1"#);
}

/// The requests of the fixtures, each with one feature.
macro_rules! requests {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../tests/fixtures/messages/requests/", $name, ".json")))),*]
    };
}

#[test]
fn every_feature_passes_untouched() {
    let all = requests!("text" "tools_parallel" "thinking" "images" "documents" "server_tools" "cache" "structured");
    for (feature, body) in all {
        let request = MessagesRequest::parse(body.as_bytes()).unwrap();
        // Between the top-level fields there is no space; all that is inside them is as it was.
        let fields = request.fields().iter().map(|(name, value)| format!("\"{name}\":{}", value.get()));
        let same = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        let rewrite = |edit: &Edit<'_>| String::from_utf8(request.rewrite(edit)).unwrap();
        assert_eq!(rewrite(&Edit { model: "m", ..Edit::default() }), same, "{feature}");
        // And where a release edits, that alone is another.
        let params = params(&[("max_tokens", "7")]);
        let written = rewrite(&Edit { model: "M", params: &params, system: Some("r"), ..Edit::default() });
        let written = MessagesRequest::parse(written.as_bytes()).unwrap();
        for (name, value) in request.fields() {
            if name != "model" && name != "max_tokens" {
                assert_eq!(written.param(name).unwrap().get(), value.get(), "{feature}: {name}");
            }
        }
        assert_eq!((written.model(), written.param("max_tokens").unwrap().get()), ("M", "7"));
        assert_eq!(written.system_text().unwrap().as_deref(), Some("r"));
    }
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1.50e+3".to_owned()),
        Just("[ 1 ,\t{\"a\": \"\\u00e9\\/\"} ]".to_owned()),
        Just("{ }".to_owned()),
        "[a-z\\[\\]{},: é]{0,12}".prop_map(|text| format!("\"{text}\"")),
        any::<i32>().prop_map(|number| number.to_string()),
    ]
}

proptest! {
    #[test]
    fn unknown_fields_pass_byte_for_byte(
        fields in prop::collection::btree_map("x_[a-z\"é ]{0,5}", any_value(), 0..8),
        messages in prop::collection::vec(("(user|assistant)", any_value()), 0..4),
        managed: bool,
    ) {
        let quoted = |name: &str| Value::from(name).to_string();
        let messages: Vec<String> = messages.iter()
            .map(|(role, value)| format!("{{ \"x\" : {value}, \"role\":\"{role}\"}}")).collect();
        let mut sent = format!("\"messages\":[{}]", messages.join(","));
        for (name, value) in &fields {
            sent.push_str(&format!(",{}:{value}", quoted(name)));
        }
        let out = rewritten(&sent, &Edit { system: managed.then_some("s"), ..Edit::default() });
        let system = if managed { ",\"system\":\"s\"" } else { "" };
        prop_assert_eq!(out, format!("{sent}{system}"));
    }
}
