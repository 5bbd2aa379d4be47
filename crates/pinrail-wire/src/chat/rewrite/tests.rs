use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn params(list: &[(&str, &str)]) -> Vec<(String, Box<RawValue>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect()
}

/// Rewrites a request that begins with `"model":"m","messages":[…],` and gives what follows the model.
fn rewritten(messages: &str, rest: &str, edit: &Edit<'_>) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    let body = format!(r#"{{"model":"m","messages":{messages}{comma}{rest}}}"#);
    let out = ChatRequest::parse(body.as_bytes()).unwrap().rewrite(&Edit { model: "M", ..*edit });
    let out = String::from_utf8(out).unwrap();
    serde_json::from_str::<Value>(&out).expect("what is written is JSON");
    out.strip_prefix(r#"{"model":"M","messages":"#).unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn the_fixture_is_rewritten_whole() {
    let request = ChatRequest::parse(include_bytes!("../../../tests/fixtures/request.json")).unwrap();
    let (tools, params) = (
        raw(r#"[{"type":"function","function":{"name":"new"}}]"#),
        params(&[("temperature", "0.2"), ("seed", "7")]),
    );
    let edit = Edit {
        model: "gpt-4o-2024-08-06",
        params: &params,
        system: Some("Be \"good\"."),
        keep_client_system: false,
        tools: Some(&tools),
        include_usage: true,
        ..Edit::default()
    };
    let want = concat!(
        r#"{"model":"gpt-4o-2024-08-06","messages":[{"role":"system","content":"Be \"good\"."},"#,
        r#"{"role": "user", "content": [{"type": "text", "text": "What's in this \u0022image\u0022?"}, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},"#,
        r#"{"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_order", "arguments": "{\"id\":1}"}}]},"#,
        r#"{"role": "tool", "tool_call_id": "call_1", "content": "{\"state\":\"sent\"}"}],"#,
        r#""temperature":0.2,"logit_bias":{"50256": -100},"stream":true,"#,
        r#""stream_options":{"include_obfuscation":false,"include_usage":true},"#,
        r#""tools":[{"type":"function","function":{"name":"new"}}],"tool_choice":"auto","metadata":{"team":"a"},"user":"u-7","#,
        r#""x_future":[1e3, {"\u00e9": null}],"seed":7}"#,
    );
    assert_eq!(String::from_utf8(request.rewrite(&edit)).unwrap(), want);
}

#[test]
fn messages_get_the_release_prompt() {
    let client = r#"[{"role":"system","content":"c"}, {"role":"user","content":"u"},{"role":"developer","content":"d"}]"#;
    let check = |system: Option<&str>, keep_client_system: bool, messages: &str, want: &str| {
        assert_eq!(rewritten(messages, "", &Edit { system, keep_client_system, ..Edit::default() }), want);
    };
    check(None, false, client, client);
    check(Some("r"), false, client, r#"[{"role":"system","content":"r"},{"role":"user","content":"u"}]"#);
    check(
        Some("r"),
        true,
        client,
        r#"[{"role":"system","content":"r"},{"role":"system","content":"c"},{"role":"user","content":"u"},{"role":"developer","content":"d"}]"#,
    );
    check(Some(""), false, client, r#"[{"role":"user","content":"u"}]"#);
    check(Some("a\u{1}\n"), false, "[]", r#"[{"role":"system","content":"a\u0001\n"}]"#);
}

#[test]
fn params_override_and_add() {
    let check = |sent: &str, ours: &[(&str, &str)], want: &str| {
        let params = params(ours);
        assert_eq!(rewritten("[]", sent, &Edit { params: &params, ..Edit::default() }), format!("[]{want}"));
    };
    check(r#""top_p":1"#, &[], r#","top_p":1"#);
    check(r#""top_p":1"#, &[("top_p", "0.50")], r#","top_p":0.50"#);
    check(r#""top_p":null"#, &[("top_p", "0.5")], r#","top_p":0.5"#);
    check("", &[("seed", "1"), ("stop", r#"["x"]"#)], r#","seed":1,"stop":["x"]"#);
    check(r#""max_completion_tokens":9,"n":1"#, &[("max_tokens", "5")], r#","n":1,"max_tokens":5"#);
    check(r#""max_tokens":9"#, &[("max_completion_tokens", "5")], r#","max_completion_tokens":5"#);
    check(
        r#""stream":false"#,
        &[("stream", "true"), ("model", "\"x\""), ("messages", "1")],
        r#","stream":false"#,
    );
    check(r#""a\"b":1"#, &[], r#","a\"b":1"#);
}

#[test]
fn tools_are_replaced_or_removed() {
    let check = |sent: &str, tools: Option<&str>, want: &str| {
        let (tools, params) = (tools.map(raw), params(&[("parallel_tool_calls", "false")]));
        let edit = Edit { tools: tools.as_deref(), params: &params, ..Edit::default() };
        assert_eq!(rewritten("[]", sent, &edit), format!("[]{want}"));
    };
    check(
        r#""tools":[1],"tool_choice":"auto""#,
        None,
        r#","tools":[1],"tool_choice":"auto","parallel_tool_calls":false"#,
    );
    check(
        r#""tools":[1],"tool_choice":"auto""#,
        Some("[2]"),
        r#","tools":[2],"tool_choice":"auto","parallel_tool_calls":false"#,
    );
    check(
        r#""functions":[1],"function_call":"auto""#,
        Some("[2]"),
        r#","parallel_tool_calls":false,"tools":[2]"#,
    );
    check(r#""tools":[1],"tool_choice":"auto","parallel_tool_calls":true,"n":1"#, Some("[ ]"), r#","n":1"#);
    check("", Some("[]"), "");
}

#[test]
fn usage_is_asked_for_in_streams_only() {
    let check = |sent: &str, want: &str| {
        assert_eq!(
            rewritten("[]", sent, &Edit { include_usage: true, ..Edit::default() }),
            format!("[],{want}")
        );
    };
    check(r#""stream":false"#, r#""stream":false"#);
    check(r#""stream":true"#, r#""stream":true,"stream_options":{"include_usage":true}"#);
    check(
        r#""stream_options":null,"stream":true"#,
        r#""stream_options":{"include_usage":true},"stream":true"#,
    );
    check(
        r#""stream":true,"stream_options":{"include_usage":false,"x":[ ]}"#,
        r#""stream":true,"stream_options":{"x":[ ],"include_usage":true}"#,
    );
    check(
        r#""stream":true,"stream_options":{ "include_usage" : true }"#,
        r#""stream":true,"stream_options":{ "include_usage" : true }"#,
    );
}

#[test]
fn metadata_for_us_goes_no_further() {
    let check = |sent: &str, want: &str| {
        assert_eq!(rewritten("[]", sent, &Edit::default()), format!("[]{want}"));
    };
    check(r#""metadata":{ "a" : "b" }"#, r#","metadata":{ "a" : "b" }"#);
    check(r#""metadata":{"pinrail_run":"r","a":"b","pinrail_":""}"#, r#","metadata":{"a":"b"}"#);
    check(r#""metadata":{"pinrail_run":"r"},"n":1"#, r#","n":1"#);
    check(r#""metadata":null"#, r#","metadata":null"#);
    check(r#""metadata":{}"#, r#","metadata":{}"#);
    check(r#""pinrail":{"run":"r"},"n":1"#, r#","n":1"#);
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
        messages in prop::collection::vec(("(user|assistant|tool)", any_value()), 0..4),
        managed: bool,
    ) {
        let quoted = |name: &str| Value::from(name).to_string();
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        let messages: Vec<String> = messages.iter()
            .map(|(role, value)| format!("{{ \"x\" : {value}, \"role\":\"{role}\"}}")).collect();
        let edit = Edit { system: managed.then_some("s"), ..Edit::default() };
        let out = rewritten(&format!("[{}]", messages.join(",")), &fields.join(","), &edit);
        let system = managed.then(|| r#"{"role":"system","content":"s"}"#.to_owned());
        let messages: Vec<String> = system.into_iter().chain(messages).collect();
        let mut want = format!("[{}]", messages.join(","));
        for field in fields {
            want.push(',');
            want.push_str(&field);
        }
        prop_assert_eq!(out, want);
    }
}
