use serde_json::value::RawValue;

use super::*;

const CHAT: &str = r#"[{"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"z":{},"a":{}}}}}]"#;
const RESPONSES: &str = r#"[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object","properties":{"z":{},"a":{}}},"strict":false}]"#;
const MESSAGES: &str = r#"[{"name":"look","description":"Looks.","input_schema":{"type":"object","properties":{"z":{},"a":{}}}}]"#;
const MCP: &str = r#"[{"name":"look","title":"Look","description":"Looks.","inputSchema":{"type":"object","properties":{"z":{},"a":{}}},"annotations":{"readOnlyHint":true}}]"#;

fn written(text: &str, to: Dialect) -> Result<String, ForeignTool> {
    let raw = RawValue::from_string(text.to_owned()).unwrap();
    tools(&raw, to).map(|tools| tools.get().to_owned())
}

#[test]
fn a_releases_tools_take_the_shape_of_its_provider() {
    for text in [CHAT, RESPONSES, MESSAGES, MCP] {
        assert_eq!(written(text, Dialect::Chat).unwrap(), CHAT, "{text}");
        assert_eq!(written(text, Dialect::Responses).unwrap(), RESPONSES, "{text}");
        assert_eq!(written(text, Dialect::Messages).unwrap(), MESSAGES, "{text}");
    }
}

#[test]
fn what_has_the_shape_already_stays_as_it_is() {
    let check = |text: &str, to: Dialect| assert_eq!(written(text, to).unwrap(), text);
    check("[ ]", Dialect::Chat);
    check(r#"[ {"type" : "function", "function":{"name":"a", "new": 1}} ]"#, Dialect::Chat);
    check(r#"[ {"type":"function","name":"a","new":1}, {"type":"web_search"} ]"#, Dialect::Responses);
    check(
        r#"[ {"name":"a","input_schema":{},"new":1},{"type":"web_search_20250305","name":"web_search"} ]"#,
        Dialect::Messages,
    );
    check(r#"[{"type":"mcp_toolset","mcp_server_name":"a"}]"#, Dialect::Messages);
    check(r#"[{"type":"builtin_function","function":{"name":"$web_search"}}]"#, Dialect::Chat);
    let mixed = format!(r#"[{{"type":"web_search" }},{}]"#, &CHAT[1..CHAT.len() - 1]);
    let want = format!(r#"[{{"type":"web_search" }},{}]"#, &RESPONSES[1..RESPONSES.len() - 1]);
    assert_eq!(written(&mixed, Dialect::Responses).unwrap(), want);
}

#[test]
fn a_tool_without_a_form_there_is_named() {
    let check = |text: &str, to: Dialect, tool: &str| {
        let error = written(text, to).unwrap_err();
        assert_eq!(error.tool, tool, "{text}: {error}");
    };
    check(r#"[{"type":"web_search_20250305","name":"web_search"}]"#, Dialect::Chat, "the tool `web_search`");
    check(r#"[{"type":"web_search_20250305","name":"search"}]"#, Dialect::Responses, "the tool `search`");
    check(r#"[{"type":"file_search","vector_store_ids":[]}]"#, Dialect::Messages, "the tool `file_search`");
    check(r#"[{"type":"file_search","vector_store_ids":[]}]"#, Dialect::Chat, "the tool `file_search`");
    check(r#"[{"type":"custom","custom":{"name":"sql"}}]"#, Dialect::Messages, "the tool `sql`");
    check(r#"[{"name":"a","input_schema":{},"defer_loading":true}]"#, Dialect::Chat, "the tool `a`");
    check("[7]", Dialect::Chat, "tools[0]");
    check(r#"[{"type":"function","function":{}}]"#, Dialect::Messages, "the tool `function`");
    check("{}", Dialect::Chat, "the tools");
}
