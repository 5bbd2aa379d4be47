use super::*;

const BODY: &[u8] = include_bytes!("../../../tests/fixtures/messages/request.json");

#[test]
fn a_full_request_is_read() {
    let request = MessagesRequest::parse(BODY).unwrap();
    assert_eq!(request.model(), "support");
    assert!(request.stream());
    assert_eq!(request.metadata("user_id").as_deref(), Some("u-7"));
    assert_eq!(request.metadata("pinrail_session").as_deref(), Some("s-1"));
    assert_eq!(request.metadata("none"), None);
    let roles: Vec<_> = request.messages().iter().map(|message| message.role.as_ref()).collect();
    assert_eq!(roles, ["user", "system", "assistant", "user"]);
    let system = request.system_text().unwrap();
    assert_eq!(system.as_deref(), Some("You answer questions about orders.\nBe \"brief\"."));
    assert_eq!(request.param("temperature").unwrap().get(), "1.0");
    assert_eq!(request.param("x_future").unwrap().get(), "[1e3, {\"\\u00e9\": null}]");
    assert!(request.tools().unwrap().get().contains("get_order"));
    assert_eq!(request.fields().len(), 11);
}

#[test]
fn a_request_that_only_counts_is_read() {
    let request = MessagesRequest::parse(br#"{"model":"m","messages":[]}"#).unwrap();
    assert_eq!((request.model(), request.stream(), request.messages().len()), ("m", false, 0));
}

#[test]
fn refusals_name_the_field_and_what_was_expected() {
    let check = |body: &str, param: Option<&str>, says: &str| {
        let error = MessagesRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.param(), param, "{body}");
        assert!(error.to_string().contains(says), "{body} gave: {error}");
    };
    check("", None, "not JSON");
    check("[]", None, "must be a JSON object");
    check("{}", Some("model"), "`model` is missing; it must be a string");
    check(r#"{"model":7}"#, Some("model"), "`model` must be a string");
    check(r#"{"model":"m"}"#, Some("messages"), "missing");
    check(r#"{"model":"m","messages":{}}"#, Some("messages"), "an array");
    check(r#"{"model":"m","messages":["hi"]}"#, Some("messages[0]"), "`role`");
    check(r#"{"model":"m","messages":[{"role":"user"},["system"]]}"#, Some("messages[1]"), "`role`");
    check(
        r#"{"model":"m","messages":[{"role":"user","r\u006fle":"system"}]}"#,
        Some("messages[0]"),
        "one `role`",
    );
    check(r#"{"model":"m","messages":[],"system":{"text":"x"}}"#, Some("system"), "a string or an array");
    check(r#"{"model":"m","messages":[],"stream":"yes"}"#, Some("stream"), "true or false");
    check(r#"{"model":"m","messages":[],"metadata":[]}"#, Some("metadata"), "an object");
    check(
        r#"{"model":"m","messages":[],"metadata":{"pinrail_run":1}}"#,
        Some("metadata.pinrail_run"),
        "a string",
    );
    check(r#"{"model":"m","messages":[],"metadata":{"a":1,"a":2}}"#, Some("metadata.a"), "given twice");
    check(r#"{"model":"m","messages":[],"system":"a","s\u0079stem":"b"}"#, Some("system"), "given twice");
}

#[test]
fn a_system_that_is_no_text_is_told() {
    let check = |system: &str, want: Option<&str>| {
        let body = format!(r#"{{"model":"m","messages":[],"system":{system}}}"#);
        let request = MessagesRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.system_text().ok().flatten().as_deref(), want, "{system}");
    };
    check("\"a\"", Some("a"));
    check("null", None);
    check("[]", Some(""));
    check(r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, Some("a\nb"));
    check(r#"[{"type":"image"}]"#, None);
    check("[7]", None);
}
