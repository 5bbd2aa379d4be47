use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn params(list: &[(&str, &str)]) -> Vec<(String, Box<RawValue>)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect()
}

/// Rewrites a request that begins with `"model":"m"` and gives what follows the model.
fn rewritten(rest: &str, edit: &Edit<'_>) -> String {
    let comma = if rest.is_empty() { "" } else { "," };
    let body = format!(r#"{{"model":"m"{comma}{rest}}}"#);
    let out = ResponsesRequest::parse(body.as_bytes()).unwrap().rewrite(&Edit { model: "M", ..*edit });
    let out = String::from_utf8(out).unwrap();
    serde_json::from_str::<Value>(&out).expect("what is written is JSON");
    let rest = out.strip_prefix(r#"{"model":"M""#).unwrap().strip_suffix('}').unwrap();
    rest.strip_prefix(',').unwrap_or(rest).to_owned()
}

#[test]
fn the_fixture_is_rewritten_whole() {
    let request =
        ResponsesRequest::parse(include_bytes!("../../../tests/fixtures/responses/request.json")).unwrap();
    let (tools, params) = (
        raw(r#"[{"type":"function","name":"new"}]"#),
        params(&[("temperature", "0.2"), ("reasoning", r#"{"effort":"low"}"#), ("top_p", "0.9")]),
    );
    let edit = Edit {
        model: "gpt-5.4-2026-03-05",
        params: &params,
        system: Some("Be \"good\"."),
        tools: Some(&tools),
        include_usage: true,
        ..Edit::default()
    };
    let want = concat!(
        r#"{"model":"gpt-5.4-2026-03-05","instructions":"Be \"good\".","previous_response_id":"resp_0","input":["#,
        r#"{"role": "user", "content": [{"type": "input_text", "text": "What's in this \u0022image\u0022?"}, {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}]},"#,
        r#"{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA=="},"#,
        r#"{"type": "function_call", "call_id": "call_1", "name": "get_order", "arguments": "{\"id\":1}"},"#,
        r#"{"type": "function_call_output", "call_id": "call_1", "output": "{\"state\":\"sent\"}"},"#,
        r#"{"id": "msg_1"}],"#,
        r#""temperature":0.2,"reasoning":{"effort":"low"},"stream":true,"stream_options":{"include_obfuscation": false},"#,
        r#""tools":[{"type":"function","name":"new"}],"metadata":{"team":"a"},"user":"u-7","#,
        r#""x_future":[1e3, {"\u00e9": null}],"top_p":0.9}"#,
    );
    assert_eq!(String::from_utf8(request.rewrite(&edit)).unwrap(), want);
}

#[test]
fn the_release_prompt_becomes_the_instructions() {
    let items = r#""input":[{"role":"system","content":"c"}, {"role":"user","content":"u"},{"type":"message","role":"developer","content":"d"}]"#;
    let check = |system: Option<&str>, keep_client_system: bool, sent: &str, want: &str| {
        assert_eq!(rewritten(sent, &Edit { system, keep_client_system, ..Edit::default() }), want, "{sent}");
    };
    let both = format!(r#""instructions":"i",{items}"#);
    let users = r#""input":[{"role":"user","content":"u"}]"#;
    check(None, false, &both, &both);
    check(Some("r"), false, &both, &format!(r#""instructions":"r",{users}"#));
    check(Some("r"), false, items, &format!(r#"{users},"instructions":"r""#));
    check(Some("r"), true, &both, &format!(r#""instructions":"r\n\ni",{items}"#));
    check(Some("r"), true, items, &format!(r#"{items},"instructions":"r""#));
    check(Some(""), false, &both, users);
    check(Some(""), true, &both, &both);
    check(Some("r"), false, r#""instructions":null,"input":"hi""#, r#""instructions":"r","input":"hi""#);
    check(Some("a\u{1}\n"), false, "", r#""instructions":"a\u0001\n""#);
    check(
        Some("r"),
        false,
        r#""input":[ {"role":"user"} ]"#,
        r#""input":[ {"role":"user"} ],"instructions":"r""#,
    );
}

#[test]
fn params_override_and_add() {
    let check = |sent: &str, ours: &[(&str, &str)], want: &str| {
        let params = params(ours);
        assert_eq!(rewritten(sent, &Edit { params: &params, ..Edit::default() }), want);
    };
    check(r#""top_p":1"#, &[], r#""top_p":1"#);
    check(r#""top_p":1"#, &[("top_p", "0.50")], r#""top_p":0.50"#);
    check(r#""top_p":null"#, &[("top_p", "0.5")], r#""top_p":0.5"#);
    check(
        r#""text":{"verbosity":"high","format":{"type":"text"}}"#,
        &[("text", r#"{"verbosity":"low"}"#)],
        r#""text":{"verbosity":"low"}"#,
    );
    check(r#""max_output_tokens":9"#, &[("max_output_tokens", "5")], r#""max_output_tokens":5"#);
    let reserved: Vec<_> = PARAMS_RESERVED.iter().map(|name| (*name, "1")).collect();
    check(r#""stream":false"#, &reserved, r#""stream":false"#);
}

#[test]
fn tools_are_replaced_or_removed() {
    let check = |sent: &str, tools: Option<&str>, want: &str| {
        let (tools, params) = (tools.map(raw), params(&[("parallel_tool_calls", "false")]));
        let edit = Edit { tools: tools.as_deref(), params: &params, ..Edit::default() };
        assert_eq!(rewritten(sent, &edit), want);
    };
    let sent = r#""tools":[1],"tool_choice":"auto""#;
    check(sent, None, r#""tools":[1],"tool_choice":"auto","parallel_tool_calls":false"#);
    check(sent, Some("[2]"), r#""tools":[2],"tool_choice":"auto","parallel_tool_calls":false"#);
    check("", Some("[2]"), r#""parallel_tool_calls":false,"tools":[2]"#);
    check(r#""tools":[1],"tool_choice":"auto","parallel_tool_calls":true,"n":1"#, Some("[ ]"), r#""n":1"#);
    check("", Some("[]"), "");
    let adds = r#""input":[{"type":"additional_tools","role":"developer","tools":[1]},{"role":"user"}]"#;
    check(adds, None, &format!(r#"{adds},"parallel_tool_calls":false"#));
    check(adds, Some("[]"), r#""input":[{"role":"user"}]"#);
    let edit = Edit { free_choice: true, ..Edit::default() };
    assert_eq!(
        rewritten(r#""tool_choice":{"type":"function","name":"a"}"#, &edit),
        r#""tool_choice":"auto""#
    );
    assert_eq!(rewritten("", &edit), "");
}

#[test]
fn a_stored_prompt_has_no_place_beside_a_managed_one() {
    let check = |body: &str, edit: Edit<'_>, want: Option<&str>| {
        assert_eq!(ResponsesRequest::parse(body.as_bytes()).unwrap().conflicts(&edit), want, "{body}");
    };
    let prompt = r#"{"model":"m","prompt":{"id":"pmpt_1"}}"#;
    let tools = raw("[]");
    check(prompt, Edit { system: Some("s"), ..Edit::default() }, Some("prompt"));
    check(prompt, Edit { tools: Some(&tools), ..Edit::default() }, Some("prompt"));
    check(prompt, Edit::default(), None);
    check(r#"{"model":"m","prompt":null}"#, Edit { system: Some("s"), ..Edit::default() }, None);
}

#[test]
fn metadata_for_us_goes_no_further() {
    let check = |sent: &str, want: &str| assert_eq!(rewritten(sent, &Edit::default()), want);
    check(r#""metadata":{ "a" : "b" }"#, r#""metadata":{ "a" : "b" }"#);
    check(r#""metadata":{"pinrail_run":"r","a":"b","pinrail_":""}"#, r#""metadata":{"a":"b"}"#);
    check(r#""metadata":{"pinrail_run":"r"},"n":1"#, r#""n":1"#);
    check(r#""metadata":null"#, r#""metadata":null"#);
    check(r#""pinrail":{"run":"r"},"n":1"#, r#""n":1"#);
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
        items in prop::collection::vec(("(user|assistant|developer)", any_value()), 0..4),
        managed: bool,
    ) {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
        let item = |(role, value): &(String, String)| format!("{{ \"x\" : {value}, \"role\":\"{role}\"}}");
        let all: Vec<String> = items.iter().map(item).collect();
        let kept: Vec<String> = items.iter().filter(|(role, _)| !managed || role != "developer").map(item).collect();
        let edit = Edit { system: managed.then_some("s"), ..Edit::default() };
        let input = |items: &[String]| format!("\"input\":[{}]", items.join(","));
        let with = |first: String| [vec![first], fields.clone()].concat();
        let out = rewritten(&with(input(&all)).join(","), &edit);
        let mut want = with(input(&kept));
        want.extend(managed.then(|| r#""instructions":"s""#.to_owned()));
        prop_assert_eq!(out, want.join(","));
    }
}
