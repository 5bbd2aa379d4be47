use super::*;

const BODY: &[u8] = include_bytes!("../../../tests/fixtures/request.json");

#[test]
fn a_full_request_is_read() {
    let request = ChatRequest::parse(BODY).unwrap();
    assert_eq!(request.model(), "support");
    assert!(request.stream());
    assert!(!request.include_usage());
    assert_eq!(request.user(), Some("u-7"));
    assert_eq!(request.metadata("pinrail_session").as_deref(), Some("s-1"));
    assert_eq!(request.metadata("none"), None);
    let roles: Vec<_> = request.messages().iter().map(|message| message.role.as_ref()).collect();
    assert_eq!(roles, ["developer", "system", "user", "assistant", "tool"]);
    let system = request.system_text().unwrap();
    assert_eq!(system.as_deref(), Some("You answer questions about orders.\nBe brief.\nBe kind."));
    assert_eq!(request.param("temperature").unwrap().get(), "1.0");
    assert_eq!(request.param("x_future").unwrap().get(), "[1e3, {\"\\u00e9\": null}]");
    assert!(request.tools().unwrap().get().contains("get_order"));
    assert_eq!(request.fields().len(), 11);
}

#[test]
fn refusals_name_the_field_and_what_was_expected() {
    let check = |body: &str, param: Option<&str>, says: &str| {
        let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.param(), param, "{body}");
        assert!(error.to_string().contains(says), "{body} gave: {error}");
    };
    check("", None, "not JSON");
    check("{\"model\":", None, "not JSON");
    check("{} {}", None, "not JSON");
    check("[]", None, "must be a JSON object");
    check("\"x\"", None, "must be a JSON object");
    check("{}", Some("model"), "`model` is missing; it must be a string");
    check(r#"{"model":null}"#, Some("model"), "missing");
    check(r#"{"model":7}"#, Some("model"), "`model` must be a string");
    check(r#"{"model":"m"}"#, Some("messages"), "missing");
    check(r#"{"model":"m","messages":{}}"#, Some("messages"), "an array");
    check(r#"{"model":"m","messages":["hi"]}"#, Some("messages[0]"), "`role`");
    check(r#"{"model":"m","messages":[["system"]]}"#, Some("messages[0]"), "`role`");
    check(r#"{"model":"m","messages":[{"role":"user"},{"role":1}]}"#, Some("messages[1]"), "`role`");
    check(
        r#"{"model":"m","messages":[{"role":"user","r\u006fle":"system"}]}"#,
        Some("messages[0]"),
        "one `role`",
    );
    check(r#"{"model":"m","messages":[],"stream":"yes"}"#, Some("stream"), "true or false");
    check(r#"{"model":"m","messages":[],"stream_options":1}"#, Some("stream_options"), "an object");
    check(
        r#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#,
        Some("stream_options.include_usage"),
        "true or false",
    );
    check(r#"{"model":"m","messages":[],"user":1}"#, Some("user"), "a string");
    check(r#"{"model":"m","messages":[],"metadata":[]}"#, Some("metadata"), "an object");
    check(
        r#"{"model":"m","messages":[],"metadata":{"pinrail_run":1}}"#,
        Some("metadata.pinrail_run"),
        "a string",
    );
    check(r#"{"model":"m","messages":[],"metadata":{"a":"","a":""}}"#, Some("metadata.a"), "twice");
    check(r#"{"model":"m","x":1,"messages":[],"x":2}"#, Some("x"), "twice");
    check(r#"{"model":"m","messages":[],"mod\u0065l":"n"}"#, Some("model"), "twice");
    let many: String = (0..300).map(|n| format!("\"f{n}\":0,")).collect();
    check(&format!("{{{many}\"model\":\"m\",\"messages\":[]}}"), None, "more than 256 fields");
    let error = ChatRequest::parse(b"{\"model\":\"\xff\"}").unwrap_err();
    assert_eq!(error, RequestError::NotUtf8 { at: 10 });
}

#[test]
fn nulls_are_absent() {
    let body = br#"{"model":"m","messages":[],"stream":null,"stream_options":null,"user":null,"metadata":null,"tools":null}"#;
    let request = ChatRequest::parse(body).unwrap();
    assert!(!request.stream() && !request.include_usage());
    assert_eq!((request.user(), request.metadata("a")), (None, None));
    assert!(request.tools().is_none());
}

#[test]
fn system_text_of_each_form() {
    let check = |messages: &str, want: Result<Option<&str>, &str>| {
        let body = format!(r#"{{"model":"m","messages":{messages}}}"#);
        let request = ChatRequest::parse(body.as_bytes()).unwrap();
        let got = request.system_text();
        let got = got.as_ref().map(Option::as_deref).map_err(|error| error.param().unwrap());
        assert_eq!(got, want, "{messages}");
    };
    check("[]", Ok(None));
    check(r#"[{"role":"user","content":"a"},{"role":"system","content":"b"}]"#, Ok(None));
    check(r#"[ {"content":"a\n\u00e9","role":"system"} , {"role":"user"} ]"#, Ok(Some("a\né")));
    check(r#"[{"role":"system","content":[]}]"#, Ok(Some("")));
    check(r#"[{"role":"system","content":null}]"#, Err("messages[0].content"));
    check(r#"[{"role":"system"}]"#, Err("messages[0].content"));
    check(r#"[{"role":"system","content":"a"},{"role":"system","content":7}]"#, Err("messages[1].content"));
    check(r#"[{"role":"system","content":[{"type":"image_url"}]}]"#, Err("messages[0].content"));
}
