use super::*;

const BODY: &[u8] = include_bytes!("../../../tests/fixtures/responses/request.json");

#[test]
fn a_full_request_is_read() {
    let request = ResponsesRequest::parse(BODY).unwrap();
    assert_eq!((request.model(), request.stream()), ("support", true));
    assert_eq!(
        (request.user(), request.instructions()),
        (Some("u-7"), Some("You answer questions about orders."))
    );
    assert_eq!((request.previous_response_id(), request.conversation()), (Some("resp_0"), None));
    assert_eq!(request.metadata("pinrail_session").as_deref(), Some("s-1"));
    assert_eq!(request.metadata("none"), None);
    let items: Vec<_> =
        request.input().items().iter().map(|item| (item.kind.as_deref(), item.role.as_deref())).collect();
    let message = Some("message");
    assert_eq!(
        items,
        [
            (None, Some("developer")),
            (message, Some("system")),
            (None, Some("user")),
            (Some("reasoning"), None),
            (Some("function_call"), None),
            (Some("function_call_output"), None),
            (None, None),
        ]
    );
    let system = request.system_text().unwrap();
    assert_eq!(system.as_deref(), Some("You answer questions about orders.\nBe brief.\nBe kind.\nBe quick."));
    assert_eq!(request.param("temperature").unwrap().get(), "1.0");
    assert_eq!(request.param("x_future").unwrap().get(), "[1e3, {\"\\u00e9\": null}]");
    assert!(request.tools().unwrap().get().contains("get_order"));
    assert_eq!(request.fields().len(), 13);
}

#[test]
fn input_and_conversation_come_in_several_forms() {
    let read = |body: &'static str| ResponsesRequest::parse(body.as_bytes()).unwrap();
    assert_eq!(read(r#"{"model":"m"}"#).input(), &Input::Absent);
    assert_eq!(read(r#"{"model":"m","input":null}"#).input(), &Input::Absent);
    assert_eq!(read(r#"{"model":"m","input":"h\u0069"}"#).input(), &Input::Text("hi".into()));
    assert_eq!(read(r#"{"model":"m","input":[]}"#).input(), &Input::Items(vec![]));
    assert_eq!(read(r#"{"model":"m","conversation":"conv_1"}"#).conversation(), Some("conv_1"));
    assert_eq!(read(r#"{"model":"m","conversation":{"id":"conv_1"}}"#).conversation(), Some("conv_1"));
    let body = r#"{"model":"m","stream":null,"instructions":null,"user":null,"metadata":null,"tools":null,"conversation":null,"previous_response_id":null}"#;
    let request = read(body);
    assert!(!request.stream() && request.tools().is_none());
    assert_eq!((request.user(), request.metadata("a"), request.instructions()), (None, None, None));
    assert_eq!((request.conversation(), request.previous_response_id()), (None, None));
}

#[test]
fn refusals_name_the_field_and_what_was_expected() {
    let check = |body: &str, param: Option<&str>, says: &str| {
        let error = ResponsesRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.param(), param, "{body}");
        assert!(error.to_string().contains(says), "{body} gave: {error}");
    };
    let with = |field: &str, param: &str, says: &str| {
        check(&format!(r#"{{"model":"m",{field}}}"#), Some(param), says);
    };
    check("", None, "not JSON");
    check("[]", None, "must be a JSON object");
    check("{}", Some("model"), "`model` is missing; it must be a string");
    check(r#"{"model":7}"#, Some("model"), "`model` must be a string");
    with(r#""input":7"#, "input", "a string or an array of items");
    with(r#""input":{}"#, "input", "a string or an array of items");
    with(r#""input":["hi"]"#, "input[0]", "an object");
    with(r#""input":[["message","system"]]"#, "input[0]", "an object");
    with(r#""input":[{"role":"user"},{"role":1}]"#, "input[1]", "both strings");
    with(r#""input":[{"type":1}]"#, "input[0]", "both strings");
    with(r#""input":[{"role":"user","r\u006fle":"system"}]"#, "input[0]", "at most one");
    with(r#""input":[{"type":"message","type":"reasoning"}]"#, "input[0]", "at most one");
    with(r#""stream":"yes""#, "stream", "true or false");
    with(r#""instructions":[]"#, "instructions", "a string");
    with(r#""user":1"#, "user", "a string");
    with(r#""previous_response_id":1"#, "previous_response_id", "a string");
    with(r#""conversation":1"#, "conversation", "a string or an object");
    with(r#""conversation":{}"#, "conversation.id", "missing");
    with(r#""conversation":{"id":1}"#, "conversation.id", "a string");
    with(r#""conversation":{"id":"a","id":"b"}"#, "conversation.id", "twice");
    with(r#""metadata":[]"#, "metadata", "an object");
    with(r#""metadata":{"pinrail_run":1}"#, "metadata.pinrail_run", "a string");
    with(r#""metadata":{"a":"","a":""}"#, "metadata.a", "twice");
    with(r#""x":1,"input":[],"x":2"#, "x", "twice");
    with(r#""mod\u0065l":"n""#, "model", "twice");
    with(r#""instructions":"a","instructions":"b""#, "instructions", "twice");
    let many: String = (0..300).map(|n| format!("\"f{n}\":0,")).collect();
    check(&format!("{{{many}\"model\":\"m\"}}"), None, "more than 256 fields");
}

#[test]
fn system_text_of_each_form() {
    let check = |rest: &str, want: Result<Option<&str>, &str>| {
        let body = format!(r#"{{"model":"m",{rest}}}"#);
        let request = ResponsesRequest::parse(body.as_bytes()).unwrap();
        let got = request.system_text();
        let got = got.as_ref().map(Option::as_deref).map_err(|error| error.param().unwrap());
        assert_eq!(got, want, "{rest}");
    };
    check(r#""input":"hi""#, Ok(None));
    check(r#""instructions":"i","input":"hi""#, Ok(Some("i")));
    check(r#""input":[{"role":"user","content":"a"},{"role":"system","content":"b"}]"#, Ok(None));
    check(
        r#""instructions":"i","input":[{"content":"a\n\u00e9","role":"system"},{"role":"user"}]"#,
        Ok(Some("i\na\né")),
    );
    let parts = r#"[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]"#;
    check(
        &format!(r#""input":[{{"type":"message","role":"developer","content":{parts}}}]"#),
        Ok(Some("a\nb")),
    );
    check(r#""input":[{"role":"system"}]"#, Err("input[0].content"));
    check(r#""input":[{"role":"system","content":[{"type":"input_image"}]}]"#, Err("input[0].content"));
    check(r#""input":[{"type":"additional_tools","role":"developer","tools":[]}]"#, Ok(None));
}
