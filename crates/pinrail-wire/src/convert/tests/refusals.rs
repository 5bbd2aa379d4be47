use std::collections::BTreeSet;

use super::*;
use Dialect::{Chat, Messages, Responses};

/// A request of each dialect that says hi, with more fields before.
fn body(dialect: Dialect, fields: &str) -> String {
    let (key, inner) = match dialect {
        Dialect::Chat => ("messages", r#"[{"role":"user","content":"hi"}]"#),
        Dialect::Responses => ("input", r#""hi""#),
        Dialect::Messages => ("messages", r#"[{"role":"user","content":"hi"}]"#),
    };
    let given = serde_json::from_str::<serde_json::Value>(&format!("{{{fields}}}")).unwrap();
    if given.get(key).is_some() {
        return format!("{{{fields}}}");
    }
    let comma = if fields.is_empty() { "" } else { "," };
    format!(r#"{{{fields}{comma}"{key}":{inner}}}"#)
}

fn carry(from: Dialect, to: Dialect, fields: &str, lossy: &[&str]) -> Result<Converted, Refused> {
    request(from, body(from, fields).as_bytes(), to, &Lossy::new(lossy.iter().copied()).unwrap())
}

/// Cases of one kind each, and the features that they were about.
struct Cases {
    seen: BTreeSet<&'static str>,
}

/// The dialects that aren't chat.
const OTHERS: &[Dialect] = &[Responses, Messages];

/// The dialects of OpenAI.
const OPENAI: &[Dialect] = &[Chat, Responses];

impl Cases {
    fn check(&mut self, from: Dialect, to: &[Dialect], fields: &str, path: &str, feature: &'static str) {
        for to in to.iter().copied() {
            let what = format!("{fields} from {} to {}", from.word(), to.word());
            let refused = carry(from, to, fields, &[]).expect_err(&what);
            let told: Vec<_> =
                refused.fields.iter().map(|field| (field.path.as_str(), field.feature)).collect();
            assert_eq!(told, [(path, feature)], "{what}");
            let converted = carry(from, to, fields, &[feature]).expect(&what);
            assert_eq!(converted.dropped, [feature], "{what}");
            let _: serde_json::Value = serde_json::from_slice(&converted.body).expect(&what);
        }
        self.seen.insert(feature);
    }
}

#[test]
fn what_has_no_counterpart_is_refused_by_its_path_or_dropped_by_leave() {
    let mut cases = Cases { seen: BTreeSet::new() };
    a_chats_fields(&mut cases);
    what_is_said_in_chat(&mut cases);
    a_responses_fields(&mut cases);
    items_of_responses(&mut cases);
    a_messages_fields(&mut cases);
    what_is_said_in_messages(&mut cases);

    // It is a matter of the model whether it takes instructions in the middle, so this one is never refused.
    let middle = r#""messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]"#;
    let moved = carry(Chat, Messages, middle, &["system_position"]).unwrap();
    assert_eq!(moved.dropped, ["system_position"]);
    assert!(String::from_utf8(moved.body).unwrap().contains(r#""system":"b""#));
    cases.seen.insert("system_position");

    let all: BTreeSet<_> = FEATURES.iter().map(|feature| feature.name).collect();
    assert_eq!(cases.seen, all, "every feature has a case");
}

fn a_chats_fields(cases: &mut Cases) {
    cases.check(Chat, OTHERS, r#""n":2"#, "n", "n");
    cases.check(Chat, OTHERS, r#""logprobs":true"#, "logprobs", "logprobs");
    cases.check(Chat, OTHERS, r#""logit_bias":{"50256":-100}"#, "logit_bias", "logit_bias");
    cases.check(Chat, OTHERS, r#""seed":7"#, "seed", "seed");
    cases.check(Chat, OTHERS, r#""frequency_penalty":0.5"#, "frequency_penalty", "penalties");
    cases.check(Chat, OTHERS, r#""presence_penalty":0.5"#, "presence_penalty", "penalties");
    cases.check(Chat, OTHERS, r#""prediction":{"type":"content","content":"a"}"#, "prediction", "prediction");
    cases.check(Chat, OTHERS, r#""web_search_options":{}"#, "web_search_options", "web_search");
    cases.check(Chat, OTHERS, r#""modalities":["text","audio"]"#, "modalities[1]", "audio");
    cases.check(Chat, OTHERS, r#""audio":{"voice":"alloy","format":"wav"}"#, "audio", "audio");
    cases.check(
        Chat,
        OTHERS,
        r#""moderation":{"model":"omni-moderation-latest"}"#,
        "moderation",
        "moderation",
    );
    cases.check(Chat, OTHERS, r#""functions":[{"name":"look"}]"#, "functions", "functions");
    cases.check(Chat, OTHERS, r#""min_p":0.1"#, "min_p", "unknown_fields");
    cases.check(Chat, &[Messages], r#""store":true"#, "store", "store");
    cases.check(Chat, &[Messages], r#""verbosity":"low""#, "verbosity", "verbosity");
    cases.check(Chat, &[Messages], r#""service_tier":"flex""#, "service_tier", "service_tier");
    cases.check(Chat, &[Messages], r#""temperature":1.5"#, "temperature", "temperature");
    cases.check(
        Chat,
        &[Messages],
        r#""response_format":{"type":"json_object"}"#,
        "response_format",
        "json_object",
    );
    cases.check(
        Chat,
        &[Messages],
        r#""response_format":{"type":"json_schema","json_schema":{"name":"a","description":"b","schema":{}}}"#,
        "response_format.json_schema.description",
        "schema_description",
    );
    cases.check(Chat, &[Responses], r#""stop":"END""#, "stop", "stop");
    cases.check(Chat, &[Messages], r#""stop":["END","\n"]"#, "stop", "stop");
    cases.check(Chat, &[Responses], r#""top_k":5"#, "top_k", "top_k");
    cases.check(
        Chat,
        &[Messages],
        r#""tools":[{"type":"custom","custom":{"name":"sql"}}]"#,
        "tools[0]",
        "custom_tools",
    );
    cases.check(
        Chat,
        &[Messages],
        r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"look"}}]}}"#,
        "tool_choice",
        "allowed_tools",
    );
    cases.check(
        Chat,
        &[Messages],
        r#""reasoning_effort":"high","tool_choice":"required""#,
        "reasoning_effort",
        "thinking",
    );
}

fn what_is_said_in_chat(cases: &mut Cases) {
    let said = |part: &str| {
        format!(r#""messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{part}]}}]"#)
    };
    let audio = r#"{"type":"input_audio","input_audio":{"data":"aGk=","format":"wav"}}"#;
    cases.check(Chat, OTHERS, &said(audio), "messages[0].content[1].input_audio", "audio");
    cases.check(Chat, OTHERS, &said(r#"{"type":"hologram"}"#), "messages[0].content[1]", "unknown_fields");
    let file = r#"{"type":"file","file":{"file_data":"aGk=","filename":"a.bin"}}"#;
    cases.check(Chat, OTHERS, &said(file), "messages[0].content[1].file.file_data", "files");
    cases.check(
        Chat,
        &[Messages],
        &said(r#"{"type":"file","file":{"file_id":"file-1"}}"#),
        "messages[0].content[1]",
        "files",
    );
    let image = r#"{"type":"image_url","image_url":{"url":"data:image/svg+xml,<svg/>"}}"#;
    cases.check(Chat, &[Messages], &said(image), "messages[0].content[1]", "images");
    cases.check(
        Chat,
        OTHERS,
        r#""messages":[{"role":"user","name":"ann","content":"a"}]"#,
        "messages[0].name",
        "names",
    );
    let function =
        r#""messages":[{"role":"user","content":"a"},{"role":"function","name":"look","content":"b"}]"#;
    cases.check(Chat, OTHERS, function, "messages[1]", "functions");
    let prefill = r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#;
    cases.check(Chat, &[Messages], prefill, "messages[1]", "prefill");
    cases.check(Messages, OPENAI, prefill, "messages[1]", "prefill");
    let broken = r#""messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\":"}}]},{"role":"tool","tool_call_id":"c1","content":"b"}]"#;
    cases.check(Chat, &[Messages], broken, "messages[1].tool_calls[0]", "tool_arguments");
    let thought = r#""messages":[{"role":"user","content":"a"},{"role":"assistant","reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"b"}]"#;
    cases.check(Chat, OTHERS, thought, "messages[1].reasoning_content", "thinking");
}

fn a_responses_fields(cases: &mut Cases) {
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""previous_response_id":"resp_1""#,
        "previous_response_id",
        "stored_state",
    );
    cases.check(Responses, &[Chat, Messages], r#""conversation":"conv_1""#, "conversation", "stored_state");
    cases.check(Responses, &[Chat, Messages], r#""prompt":{"id":"pmpt_1"}"#, "prompt", "stored_state");
    cases.check(Responses, &[Chat, Messages], r#""background":true"#, "background", "background");
    cases.check(Responses, &[Chat, Messages], r#""truncation":"auto""#, "truncation", "truncation");
    cases.check(Responses, &[Chat, Messages], r#""max_tool_calls":3"#, "max_tool_calls", "server_tools");
    cases.check(Responses, &[Chat, Messages], r#""top_logprobs":3"#, "top_logprobs", "logprobs");
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""include":["message.output_text.logprobs"]"#,
        "include[0]",
        "logprobs",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""include":["file_search_call.results"]"#,
        "include[0]",
        "server_tools",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""tools":[{"type":"web_search"}]"#,
        "tools[0]",
        "server_tools",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""tool_choice":{"type":"file_search"}"#,
        "tool_choice",
        "server_tools",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""tools":[{"type":"function","name":"look","parameters":{},"strict":false,"defer_loading":true}]"#,
        "tools[0].defer_loading",
        "tool_options",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""reasoning":{"effort":"low","mode":"pro"}"#,
        "reasoning.mode",
        "reasoning_mode",
    );
    cases.check(
        Responses,
        &[Chat],
        r#""reasoning":{"summary":"auto"}"#,
        "reasoning.summary",
        "reasoning_summary",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        r#""context_management":[{"type":"compaction"}]"#,
        "context_management",
        "context_management",
    );
}

fn items_of_responses(cases: &mut Cases) {
    let item = |item: &str| format!(r#""input":[{{"role":"user","content":"a"}},{item}]"#);
    cases.check(
        Responses,
        &[Chat, Messages],
        &item(r#"{"type":"item_reference","id":"msg_1"}"#),
        "input[1]",
        "stored_state",
    );
    cases.check(
        Responses,
        &[Chat, Messages],
        &item(r#"{"type":"web_search_call","id":"ws_1"}"#),
        "input[1]",
        "server_tools",
    );
    let image = r#"{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}"#;
    cases.check(Responses, &[Chat, Messages], &item(image), "input[1].content[0].file_id", "files");
    let file = r#"{"role":"user","content":[{"type":"input_file","file_url":"https://a.example/b.pdf"}]}"#;
    cases.check(Responses, &[Chat], &item(file), "input[1].content[0]", "files");
    let cited = r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"b","annotations":[{"type":"url_citation"}]}]},{"role":"user","content":"c"}"#;
    cases.check(Responses, &[Chat, Messages], &item(cited), "input[1].content[0].annotations", "citations");
    let free = r#"{"type":"custom_tool_call","call_id":"c1","name":"sql","input":"select 1"},{"type":"custom_tool_call_output","call_id":"c1","output":"1"}"#;
    cases.check(Responses, &[Messages], &item(free), "input[1]", "custom_tools");
    let sealed = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},{"type":"function_call","call_id":"c1","name":"look","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"1"}"#;
    cases.check(Responses, &[Chat, Messages], &item(sealed), "input[1]", "thinking");
}

fn a_messages_fields(cases: &mut Cases) {
    cases.check(Messages, OPENAI, r#""top_k":5"#, "top_k", "top_k");
    cases.check(Messages, OPENAI, r#""container":"c""#, "container", "stored_state");
    cases.check(Messages, OPENAI, r#""inference_geo":"eu""#, "inference_geo", "inference_geo");
    cases.check(Messages, OPENAI, r#""user_profile_id":"p""#, "user_profile_id", "user_profile");
    cases.check(Messages, OPENAI, r#""speed":"fast""#, "speed", "service_tier");
    cases.check(
        Messages,
        OPENAI,
        r#""context_management":{"edits":[]}"#,
        "context_management",
        "context_management",
    );
    cases.check(Messages, OPENAI, r#""mcp_servers":[{"type":"url"}]"#, "mcp_servers", "server_tools");
    cases.check(
        Messages,
        OPENAI,
        r#""tools":[{"type":"web_search_20260318","name":"web_search"}]"#,
        "tools[0]",
        "server_tools",
    );
    cases.check(
        Messages,
        OPENAI,
        r#""tools":[{"name":"look","input_schema":{"type":"object"},"input_examples":[{}]}]"#,
        "tools[0].input_examples",
        "tool_options",
    );
    cases.check(Messages, &[Responses], r#""stop_sequences":["END"]"#, "stop_sequences", "stop");
    cases.check(
        Messages,
        OPENAI,
        r#""thinking":{"type":"between_tools"}"#,
        "thinking.type",
        "reasoning_mode",
    );
}

fn what_is_said_in_messages(cases: &mut Cases) {
    let said = |block: &str| {
        format!(r#""messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{block}]}}]"#)
    };
    let found = r#"{"type":"search_result","source":"a","title":"b","content":[]}"#;
    cases.check(Messages, OPENAI, &said(found), "messages[0].content[1]", "search_results");
    let uploaded = r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#;
    cases.check(Messages, OPENAI, &said(uploaded), "messages[0].content[1].source", "files");
    let cited = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a"},"citations":{"enabled":true}}"#;
    cases.check(Messages, OPENAI, &said(cited), "messages[0].content[1].citations", "citations");
    cases.check(
        Messages,
        OPENAI,
        &said(r#"{"type":"container_upload","file_id":"f"}"#),
        "messages[0].content[1]",
        "stored_state",
    );
    let link = r#"{"type":"document","source":{"type":"url","url":"https://a.example/b.pdf"}}"#;
    cases.check(Messages, &[Chat], &said(link), "messages[0].content[1]", "files");
    let shot = r#"{"type":"tool_result","tool_use_id":"t1","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]}"#;
    cases.check(Messages, &[Chat], &said(shot), "messages[0].content[1].content[0]", "images");
    let signed = r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQB"},{"type":"tool_use","id":"t1","name":"look","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"}]}]"#;
    cases.check(Messages, OPENAI, signed, "messages[1].content[0]", "thinking");
}

#[test]
fn hints_fall_without_a_word() {
    let check = |from: Dialect, to: Dialect, fields: &str| {
        let with = carry(from, to, fields, &[]).unwrap_or_else(|refused| panic!("{fields}: {refused}"));
        let without = carry(from, to, "", &[]).unwrap();
        assert_eq!(with, without, "{fields} from {} to {}", from.word(), to.word());
    };
    for to in [Responses, Messages] {
        check(
            Chat,
            to,
            r#""n":1,"logprobs":false,"frequency_penalty":0,"presence_penalty":0.0,"logit_bias":{}"#,
        );
        check(Chat, to, r#""seed":null,"stop":null,"tools":null,"stream_options":{"include_usage":true}"#);
        check(Chat, to, r#""modalities":["text"],"response_format":{"type":"text"},"store":false"#);
        check(Chat, to, r#""pinrail":{"session":"s"},"metadata":{"pinrail_session":"s"}"#);
    }
    check(Chat, Messages, r#""prompt_cache_key":"k","verbosity":"medium","metadata":{"a":"b"}"#);
    for to in [Chat, Messages] {
        check(
            Responses,
            to,
            r#""store":true,"background":false,"truncation":"disabled","include":["reasoning.encrypted_content"]"#,
        );
        check(Responses, to, r#""text":{"format":{"type":"text"}},"top_logprobs":0,"pinrail":{}"#);
        check(Responses, to, r#""input":[{"role":"user","content":"hi","id":"msg_1","status":"completed"}]"#);
        check(
            Responses,
            to,
            r#""input":[{"role":"user","content":"hi"},{"type":"reasoning","id":"rs_1","summary":[]}]"#,
        );
    }
    for to in [Chat, Responses] {
        check(Messages, to, r#""cache_control":{"type":"ephemeral"},"speed":"standard","diagnostics":{}"#);
        check(
            Messages,
            to,
            r#""messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]"#,
        );
        check(Messages, to, r#""metadata":{"pinrail_session":"s"},"pinrail":{}"#);
    }
    // What was thought before the user spoke again is of no use to anybody.
    let body = br#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQB"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]}"#;
    assert!(request(Messages, body, Responses, &Lossy::default()).is_ok());
}

#[test]
fn what_its_own_dialect_forbids_is_told_and_never_lost() {
    let check = |from: Dialect, fields: &str, path: &str| {
        for to in ALL.into_iter().filter(|to| *to != from) {
            let every: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
            let refused = carry(from, to, fields, &every).expect_err(fields);
            assert!(refused.fields.iter().all(|field| field.feature == MALFORMED), "{fields}: {refused}");
            assert_eq!(refused.param(), Some(path), "{fields}");
            assert!(refused.to_string().ends_with("Correct the request"), "{refused}");
        }
    };
    check(Chat, r#""messages":"hi""#, "messages");
    check(Chat, r#""messages":[1]"#, "messages[0]");
    check(Chat, r#""messages":[{"content":"a"}]"#, "messages[0].role");
    check(Chat, r#""messages":[{"role":"king","content":"a"}]"#, "messages[0].role");
    check(Chat, r#""messages":[{"role":"user","role":"system","content":"a"}]"#, "messages[0].role");
    check(Chat, r#""messages":[{"role":"user","content":7}]"#, "messages[0].content");
    check(Chat, r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0].text");
    check(
        Chat,
        r#""messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"x"}]}]"#,
        "messages[0].tool_calls[0].type",
    );
    check(Chat, r#""messages":[{"role":"tool","content":"a"}]"#, "messages[0].tool_call_id");
    check(Chat, r#""temperature":"hot""#, "temperature");
    check(Chat, r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name");
    check(Chat, r#""tool_choice":"maybe""#, "tool_choice");
    check(Responses, r#""input":7"#, "input");
    check(Responses, r#""input":[{"type":"function_call","name":"a","arguments":"{}"}]"#, "input[0].call_id");
    check(Responses, r#""text":"json""#, "text");
    check(Messages, r#""messages":[{"role":"user"}]"#, "messages[0].content");
    check(Messages, r#""messages":[{"role":"tool","content":"a"}]"#, "messages[0].role");
    check(Messages, r#""tool_choice":{"type":"maybe"}"#, "tool_choice.type");
    check(Messages, r#""system":7"#, "system");
    check(Messages, r#""output_config":{"format":{"type":"yaml","schema":{}}}"#, "output_config.format.type");
    check(
        Chat,
        r#""messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://a.example"}}]}]"#,
        "messages[0].content[0]",
    );
    check(
        Responses,
        r#""input":[{"role":"assistant","content":[{"type":"input_image","image_url":"https://a.example"}]}]"#,
        "input[0].content[0]",
    );
    check(
        Messages,
        r#""messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"b","input":{}}]}]"#,
        "messages[0].content[0]",
    );
}

#[test]
fn a_clients_note_to_itself_falls_without_a_word() {
    let said = |note: &str| {
        format!(
            r#""messages":[{{"role":"user","content":"a"}},{{"role":"assistant"{note},"tool_calls":[{{"id":"c1","type":"function"{note},"function":{{"name":"look","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"c1","content":"b"}}]"#
        )
    };
    for to in [Responses, Messages] {
        let noted = carry(Chat, to, &said(r#","provider_specific_fields":{"refusal":null}"#), &[]);
        assert_eq!(noted.unwrap(), carry(Chat, to, &said(""), &[]).unwrap());
    }
}
