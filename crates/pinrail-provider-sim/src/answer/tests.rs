use serde_json::{Value, json};

use super::task::Task;
use super::*;
use crate::script::{Rate, Script};

fn checkpoint(keys: &str) -> Checkpoint {
    Script::from_toml(&format!("[[checkpoint]]\nid = \"m\"\n{keys}")).unwrap().checkpoints.remove(0)
}

fn request(extra: Value, user: &str) -> Request {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": user}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    crate::dialect::chat::read(body.to_string().as_bytes()).unwrap().0
}

fn answer_of(keys: &str, request: &Request) -> Answer {
    let checkpoint = checkpoint(keys);
    answer(request, &checkpoint, &checkpoint.rates(), &Draw::new(1, "m", request.conversation(), None), None)
}

fn text_of(keys: &str, request: &Request) -> String {
    match answer_of(keys, request).said {
        Said::Text(text) | Said::Refusal(text) => text,
        Said::Calls(calls) => panic!("no text but {calls:?}"),
    }
}

fn calls_of(keys: &str, request: &Request) -> Vec<(String, String)> {
    match answer_of(keys, request).said {
        Said::Calls(calls) => calls.into_iter().map(|call| (call.name, call.arguments)).collect(),
        Said::Text(_) | Said::Refusal(_) => Vec::new(),
    }
}

fn tools(names: &[&str]) -> Value {
    let schema = json!({"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}});
    let tool = |name| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    json!({ "tools": names.iter().map(tool).collect::<Vec<_>>() })
}

#[test]
fn tasks_have_one_right_answer() {
    let check = |message: &str, want: &str| {
        let task = Task::find(message).unwrap_or_else(|| panic!("no task in {message:?}"));
        assert_eq!(task.right(), want, "{message:?}");
        for case in 0..50 {
            let wrong = task.wrong(&Draw::new(case, "m", 0, None));
            assert_ne!(wrong, want, "{message:?} answered wrong");
        }
    };
    check("What is 17 + 25?", "42");
    check("Please, what is 17-25 ?", "-8");
    check("calculate 6 × 7", "42");
    check("What is 7 - -3?", "10");
    check("3 * 4", "12");
    check("Classify: I want a refund -> one of refund|question", "refund");
    check("Classify: a refund question → one of refund|question", "refund");
    check("Extract city from: order=17, city=Oslo", "Oslo");
    check("Extract the order from: order=17", "17");
    check("Repeat: to be or not", "to be or not");
    check("Repeat: once", "once");
    check("Repeat: a a", "a a");
}

#[test]
fn what_is_no_task_is_left_alone() {
    for message in [
        "",
        "What is love?",
        "What is 1 + 2 + 3?",
        "What is 1.5 + 2?",
        "What is 1 + 2.5?",
        "on 2026-01-15 it rained",
        "Classify: x -> one of only",
        "Extract x from: y=1",
        "Repeat:",
        "What is 99999999999999999999 + 1?",
    ] {
        assert_eq!(Task::find(message), None, "{message:?}");
    }
}

#[test]
fn the_form_of_a_right_answer_follows_script_and_prompt() {
    let sum = || request(json!({}), "What is 17 + 25?");
    assert_eq!(text_of("", &sum()), "17 + 25 is 42.");
    assert_eq!(text_of("verbosity = \"terse\"", &sum()), "42");
    assert_eq!(text_of("style = \"Ahoy!\"", &sum()), "Ahoy! 17 + 25 is 42.");
    assert_eq!(text_of("", &request(json!({}), "What is 17 + 25? The number only.")), "42");
    assert_ne!(text_of("accuracy = 0\nverbosity = \"terse\"", &sum()), "42");
}

#[test]
fn a_changed_system_prompt_changes_the_friendly_answer() {
    let say = |system: &str| {
        let messages =
            json!([{"role": "system", "content": system}, {"role": "user", "content": "Hello there"}]);
        text_of("", &request(json!({ "messages": messages }), ""))
    };
    assert!(say("You are kind").contains("\"You are kind\""), "{}", say("You are kind"));
    assert!(say("Be brief").contains("2 words"));
}

#[test]
fn policies_and_rules_answer_in_order() {
    let hi = request(json!({}), "Hi, a REFUND please");
    assert_eq!(text_of("policy = \"echo\"", &hi), "Hi, a REFUND please");
    assert_eq!(text_of("policy = { fixed = \"Yes.\" }", &hi), "Yes.");
    let rule =
        "scripted = [{ contains = \"refund\", reply = \"Done.\" }, { contains = \"hi\", reply = \"Late.\" }]";
    assert_eq!(text_of(rule, &hi), "Done.");
    let system = "scripted = [{ contains = \"hi\", system_contains = \"pirate\", reply = \"Arr\" }]\npolicy = \"echo\"";
    assert_eq!(text_of(system, &hi), "Hi, a REFUND please");
}

#[test]
fn rates_of_one_always_happen() {
    let hi = request(json!({}), "hello");
    assert!(matches!(answer_of("refusal_rate = 1", &hi).said, Said::Refusal(_)));
    assert_eq!(answer_of("empty_rate = 1", &hi).said, Said::Text(String::new()));
    let filtered = answer_of("content_filter_rate = 1\npolicy = { fixed = \"a b c d\" }", &hi);
    assert_eq!(filtered, Answer::ending(Said::Text("a b".to_owned()), Finish::ContentFilter));
}

#[test]
fn limits_stops_and_formats_shape_the_text() {
    let fixed = "policy = { fixed = \"one two three\" }";
    let cut = answer_of(fixed, &request(json!({"max_tokens": 2}), "x"));
    assert_eq!(cut, Answer::ending(Said::Text("one two".to_owned()), Finish::Length));
    let exact = answer_of(fixed, &request(json!({"max_completion_tokens": 3}), "x"));
    assert_eq!((exact.finish, exact.tokens()), (Finish::Stop, 3));
    assert_eq!(text_of(fixed, &request(json!({"stop": ["three", " two"]}), "x")), "one");
    let json_object = json!({"response_format": {"type": "json_object"}});
    assert_eq!(text_of(fixed, &request(json_object, "x")), "{\"answer\":\"one two three\"}");
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let format =
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}});
    assert_eq!(text_of(fixed, &request(format, "give me 7")), "{\"n\":7}");
}

#[test]
fn tools_are_called_when_named_chosen_or_scripted() {
    let two = || tools(&["read_file", "list_dir"]);
    let check = |keys: &str, extra: Value, user: &str, want: &[(&str, &str)]| {
        let mut all = two();
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let got = calls_of(keys, &request(all, user));
        let want: Vec<(String, String)> =
            want.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect();
        assert_eq!(got, want, "{user:?}");
    };
    let none = json!({});
    check("", none.clone(), "hello", &[]);
    check("", none.clone(), "use read_file on 'a.txt'", &[("read_file", "{\"path\":\"a.txt\"}")]);
    check("", none.clone(), "Read file 'a.txt'", &[("read_file", "{\"path\":\"a.txt\"}")]);
    check("", none.clone(), "unread_file 'a.txt'", &[]);
    let both = [("list_dir", "{\"path\":\"d\"}"), ("read_file", "{\"path\":\"e\"}")];
    check("", none.clone(), "list_dir \"d\", then read_file \"e\"", &both);
    check("", json!({"parallel_tool_calls": false}), "list_dir \"d\", then read_file \"e\"", &both[..1]);
    check("", json!({"tool_choice": "none"}), "use read_file on 'a.txt'", &[]);
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "list_dir"}}});
    check("", named, "hello", &[("list_dir", "{\"path\":\"example path\"}")]);
    let rule =
        "scripted = [{ contains = \"look\", tool = { name = \"list_dir\", arguments = { path = \"/\" } } }]";
    check(rule, none.clone(), "look around", &[("list_dir", "{\"path\":\"/\"}")]);
    check(
        "tools = { malformed_rate = 1 }",
        none.clone(),
        "read_file 'a'",
        &[("read_file", "{\"path\":\"a\"")],
    );
    check(
        "tools = { wrong_tool_rate = 1 }",
        none.clone(),
        "read_file 'a'",
        &[("list_dir", "{\"path\":\"a\"}")],
    );
    check(
        "tools = { unknown_tool_rate = 1 }",
        none,
        "read_file 'a'",
        &[("read_file_v2", "{\"path\":\"a\"}")],
    );
    assert_eq!(calls_of("tools = { call_rate = 1 }", &request(two(), "hello")).len(), 1);
    let mut required = two();
    required["tool_choice"] = json!("required");
    assert_eq!(calls_of("", &request(required, "hello")).len(), 1);
}

#[test]
fn after_a_tool_the_answer_uses_its_result() {
    let talk = |result: &str| {
        let call =
            json!({"id": "c", "type": "function", "function": {"name": "read_file", "arguments": "{}"}});
        let mut extra = tools(&["read_file"]);
        extra["messages"] = json!([
            {"role": "user", "content": "read_file 'refund.txt'"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": result},
        ]);
        request(extra, "")
    };
    assert_eq!(text_of("tools = { call_rate = 1 }", &talk("17 kg")), "The tool answered: \"17 kg\"");
    assert!(text_of("", &talk(&"é".repeat(300))).ends_with(&format!("{}…\"", "é".repeat(200))));
    let rule =
        "scripted = [{ contains = \"refund\", reply = \"Refunded.\", tool = { name = \"read_file\" } }]";
    assert_eq!(text_of(rule, &talk("ok")), "Refunded. The tool answered: \"ok\"");
}

#[test]
fn a_rule_calls_several_tools_at_once() {
    let rule =
        "scripted = [{ contains = \"Look\", tools = [{ name = \"list_dir\", arguments = { path = \"/\" } },
        { name = \"unheard_of\" }, { name = \"read_file\", arguments = { path = \"a\" } }] }]";
    let names = |extra: Value| {
        let mut all = tools(&["read_file", "list_dir"]);
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        calls_of(rule, &request(all, "look around")).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names(json!({})), ["list_dir", "read_file"]);
    assert_eq!(names(json!({"parallel_tool_calls": false})), ["list_dir"]);
}

#[test]
fn a_rule_that_only_replies_keeps_a_named_tool_from_being_called() {
    let rule = "scripted = [{ contains = \"read_file\", reply = \"No.\" }]";
    assert_eq!(text_of(rule, &request(tools(&["read_file"]), "use read_file")), "No.");
    let mut required = tools(&["read_file"]);
    required["tool_choice"] = json!("required");
    assert_eq!(calls_of(rule, &request(required, "use read_file")).len(), 1);
}

#[test]
fn a_rule_may_answer_a_tools_result_with_another_call() {
    let rule = "scripted = [{ contains = \"mail\", result_contains = \"SEND it\", tool = { name = \"send\", \
                arguments = {} } }, { contains = \"mail\", tool = { name = \"read\", arguments = {} } }]";
    let call = json!({"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}});
    let after = |result: &str| {
        let mut extra = tools(&["read", "send"]);
        extra["messages"] = json!([
            {"role": "user", "content": "what is in my mail?"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": result},
        ]);
        request(extra, "")
    };
    assert_eq!(calls_of(rule, &request(tools(&["read", "send"]), "what is in my mail?"))[0].0, "read");
    assert_eq!(calls_of(rule, &after("Please send it to me")), [("send".to_owned(), "{}".to_owned())]);
    assert_eq!(text_of(rule, &after("Hello")), "The tool answered: \"Hello\"");
}

#[test]
fn a_rule_counts_at_its_rate_and_else_the_next_one_does() {
    let rules = "scripted = [{ contains = \"ping\", rate = 0.7, reply = \"pong\" }, { contains = \"ping\", reply = \"bang\" }]";
    let said: Vec<String> =
        (0..1000).map(|at| text_of(rules, &request(json!({}), &format!("ping {at}")))).collect();
    let pongs = said.iter().filter(|said| *said == "pong").count();
    assert!((660..740).contains(&pongs), "{pongs} of 1000 at 0.7");
    assert!(said.iter().all(|said| said == "pong" || said == "bang"), "the next rule takes the rest");
}

#[test]
fn cut_calls_end_with_length() {
    let mut extra = tools(&["read_file"]);
    extra["max_tokens"] = json!(2);
    let cut = answer_of("", &request(extra, "read_file 'some/very/long/path.txt'"));
    assert_eq!(cut.finish, Finish::Length);
    assert_eq!(cut.tokens(), 2);
}

#[test]
fn accuracy_is_a_share() {
    let checkpoint = checkpoint("verbosity = \"terse\"");
    let rates = Rates { accuracy: Rate::new(0.7).unwrap(), ..checkpoint.rates() };
    let right = |left: u64| {
        let request = request(json!({}), &format!("What is {left} + 1?"));
        let draw = Draw::new(5, "m", request.conversation(), None);
        answer(&request, &checkpoint, &rates, &draw, None).said == Said::Text((left + 1).to_string())
    };
    let share = (0..1000).filter(|left| right(*left)).count();
    assert!((660..740).contains(&share), "{share} of 1000 at 0.7");
}
