//! What files become.

use serde_json::{Value, json};

use super::{cases, read_with};

/// The one case of a suite.
fn case(suite: &str) -> Value {
    let all = cases(suite, &[]);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    all[0].clone()
}

fn said(suite: &str, more: &[(&str, &str)]) -> Vec<String> {
    let all = cases(suite, more);
    let texts = all.as_array().unwrap().iter().map(|case| {
        let turns = case["turns"].as_array().unwrap();
        turns
            .iter()
            .map(|turn| turn["messages"][0]["content"].as_str().unwrap())
            .collect::<Vec<_>>()
            .join("|")
    });
    texts.collect()
}

#[test]
fn a_prompt_is_filled_with_variables_or_is_one() {
    let check = |suite: &str, expected: &[&str]| assert_eq!(said(suite, &[]), expected, "{suite}");
    check("tests: [{vars: {input: hi}}]", &["hi"]);
    check("tests: [{vars: {question: hi, context: c}}]", &["hi"]);
    check("tests: [{vars: {prompt: hi, input: c}}]", &["hi"]);
    check("prompts: ['Say {{ x }}.']\ntests: [{vars: {x: 1}}]", &["Say 1."]);
    check("prompts: [{raw: 'Say {{ x }}.', label: l}]\ntests: [{vars: {x: 1.0}}]", &["Say 1."]);
    check("prompts: \"a\\n\"\ntests: [{vars: {x: 1}}]", &["a\n"]);
    check("prompts: '{{ x }}'\ntests: [{vars: {x: {b: [1], a: null}}}]", &[r#"{"a":null,"b":[1]}"#]);
    check(
        "prompts: '{{ x | dump }} {{ (y | load).z }}'\ntests: [{vars: {x: 'q\"', y: '{\"z\": 2}'}}]",
        &["\"q\\\"\" 2"],
    );
    check(
        "prompts: '{% for x in xs %}{{ x.n }},{% endfor %}'\ntests: [{vars: {xs: [{n: 1}, {n: 2}]}}]",
        &["1,2,"],
    );
    check("prompts: '{% if x %}a{% else %}b{% endif %}'\ntests: [{vars: {y: 1}}]", &["b"]);
    check("prompts: \"{{ x | default('d') }}\"\ntests: [{vars: {y: 1}}]", &["d"]);
    check("prompts: '{% raw %}{{ x }}{% endraw %}'\ntests: [{vars: {y: 1}}]", &["{{ x }}"]);
    check("tests: [{vars: {input: hi}, options: {prefix: '<', suffix: '>'}}]", &["<hi>"]);
}

#[test]
fn a_prompt_of_messages_is_sent_as_messages() {
    let expected = json!([{ "role": "assistant", "content": "hm" }, { "role": "user", "content": "a\"b" }]);
    let check = |prompts: &str, more: &[(&str, &str)]| {
        let all = cases(&format!("prompts: {prompts}\ntests: [{{vars: {{x: 'a\"b'}}}}]"), more);
        assert_eq!(all[0]["turns"][0]["messages"], expected, "{prompts}");
    };
    check("[{role: assistant, content: hm}, {role: user, content: '{{ x }}'}]", &[]);
    let json = r#"[{"role": "assistant", "content": "hm"}, {"role": "user", "content": "{{ x }}"}]"#;
    check("file://p.json", &[("p.json", json)]);
    check("p.json", &[("p.json", json)]);
    check(
        "file://p.yaml",
        &[("p.yaml", "- role: assistant\n  content: hm\n- {role: user, content: '{{ x }}'}")],
    );
    // A template around the messages is filled first.
    let loops = r#"[{% for t in ["hm"] %}{"role": "assistant", "content": "{{ t }}"},{% endfor %}{"role": "user", "content": {{ x | dump }}}]"#;
    check("file://p.j2", &[("p.j2", loops)]);
    let system = read_with("prompts: [{role: system, content: s}]\ntests: [{vars: {a: b}}]", &[]).unwrap();
    assert!(system.warnings[0].contains("the release's own prompt is sent as well"), "{:?}", system.warnings);
}

#[test]
fn lists_of_texts_are_multiplied_out() {
    let check = |vars: &str, expected: &[&str]| {
        assert_eq!(
            said(&format!("prompts: '{{{{a}}}}-{{{{b}}}}'\ntests: [{{vars: {vars}}}]"), &[]),
            expected,
            "{vars}"
        );
    };
    check("{a: [x, y], b: [p, q]}", &["x-p", "x-q", "y-p", "y-q"]);
    check("{b: [p, q], a: [x, y]}", &["x-p", "x-q", "y-p", "y-q"]);
    check("{a: [1, 2], b: p}", &["[1,2]-p"]);
    check("{a: [x, 2], b: p}", &["x-p", "2-p"]);
    check("{a: [], b: p}", &["[]-p"]);
    let kept =
        "prompts: '{{a}}'\ndefaultTest: {options: {disableVarExpansion: true}}\ntests: [{vars: {a: [x, y]}}]";
    assert_eq!(said(kept, &[]), [r#"["x","y"]"#]);
    let files = said(
        "prompts: '{{d}}'\ntests: [{vars: {d: 'file://d/*.txt'}}]",
        &[("d/2.txt", " two {{ not }}\n"), ("d/1.txt", "one")],
    );
    assert_eq!(files, ["one", "two {{ not }}"]);
}

#[test]
fn variables_may_use_each_other() {
    let check = |vars: &str, expected: &str| {
        assert_eq!(
            said(&format!("prompts: '{{{{a}}}}'\ntests: [{{vars: {vars}}}]"), &[]),
            [expected],
            "{vars}"
        );
    };
    check("{a: '{{ b }}!', b: '{{ c }}?', c: d}", "d?!");
    check("{a: \"{{ o.p }}\", o: {p: 1}}", "1");
    let in_files = |vars: &str, expected: &str| {
        let suite = format!("prompts: '{{{{a}}}}'\ntests: [{{vars: {vars}}}]");
        let more = [("v.yaml", "a: from a file"), ("w.json", "{\"a\": \"from another\"}")];
        assert_eq!(said(&suite, &more), [expected], "{vars}");
    };
    in_files("file://v.yaml", "from a file");
    in_files("[v.yaml, file://w.json]", "from another");
}

#[test]
fn defaults_are_laid_under_tests() {
    let suite = "
prompts: '{{a}}{{b}}'
defaultTest:
  vars: {a: 1, b: 2}
  assert: [{type: contains, value: d}]
  threshold: 0.5
  metadata: {team: x, area: y}
  options: {transform: output.trim()}
  must_pass: true
tests:
- vars: {b: 3}
  assert: [{type: contains, value: t}]
  threshold: 0.9
  metadata: {area: z}
- options: {disableDefaultAsserts: true, transform: null}
  must_pass: false
  assert: [{type: regex, value: x}]
";
    let all = cases(suite, &[]);
    assert_eq!(all[0]["turns"][0]["messages"][0]["content"], "13");
    assert_eq!(
        all[0]["asserts"],
        json!([{ "type": "contains", "value": "d" }, { "type": "contains", "value": "t" }])
    );
    assert_eq!(all[0]["threshold"], 0.9);
    assert_eq!(all[0]["metadata"], json!({ "team": "x", "area": "z" }));
    assert_eq!(all[0]["transform"], "output.trim()");
    assert_eq!(all[0]["must_pass"], true);
    assert_eq!(all[1]["asserts"], json!([{ "type": "regex", "value": "x" }]));
    assert_eq!(all[1]["must_pass"], Value::Null);
    assert_eq!(all[1]["threshold"], 0.5);
}

#[test]
fn a_scenario_asks_each_test_with_each_set() {
    let suite = "
prompts: '{{language}}: {{text}}{{n}}'
defaultTest: {vars: {n: '!'}, assert: [{type: contains, value: d}]}
scenarios:
- description: greetings
  config:
  - {vars: {language: de, greeting: Hallo}, assert: [{type: contains, value: c}]}
  - {vars: {language: fr, greeting: Salut}}
  tests:
  - {vars: {text: hello}, assert: [{type: contains, value: '{{ greeting }}'}]}
  - description: shout
    vars: {text: [hey, ho], n: '?'}
";
    let asked = said(suite, &[]);
    assert_eq!(asked, ["de: hello!", "de: hey?", "de: ho?", "fr: hello!", "fr: hey?", "fr: ho?"]);
    let all = cases(suite, &[]);
    let values = |index: usize| {
        let asserts = all[index]["asserts"].as_array().unwrap();
        asserts.iter().map(|one| one["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(0), ["d", "c", "Hallo"]);
    assert_eq!(values(3), ["d", "Salut"]);
    assert_eq!(all[0]["description"], "greetings");
    assert_eq!(all[1]["description"], "shout");
}

#[test]
fn values_of_assertions_have_one_form() {
    let check = |assert: &str, expected: Value| {
        let suite = format!("tests: [{{vars: {{input: q, n: 5, s: 'a, b'}}, assert: [{assert}]}}]");
        assert_eq!(case(&suite)["asserts"][0], expected, "{assert}");
    };
    check("{type: equals, value: '{{ n }}'}", json!({ "type": "equals", "value": "5" }));
    check("{type: equals, value: 5}", json!({ "type": "equals", "value": "5" }));
    check("{type: equals, value: {a: '{{ n }}'}}", json!({ "type": "equals", "value": { "a": "{{ n }}" } }));
    check(
        "{type: not-contains, value: x, weight: 2}",
        json!({ "type": "contains", "not": true, "value": "x", "weight": 2.0 }),
    );
    check("{type: contains, value: x, weight: 1}", json!({ "type": "contains", "value": "x" }));
    check("{type: contains-all, value: '{{ s }}'}", json!({ "type": "contains-all", "value": ["a", "b"] }));
    check(
        "{type: icontains-any, value: 'a, \"b, c\"'}",
        json!({ "type": "icontains-any", "value": ["a", "b, c"] }),
    );
    check(
        "{type: contains-any, value: ['{{ n }}', 6]}",
        json!({ "type": "contains-any", "value": ["5", "6"] }),
    );
    check("{type: is-json}", json!({ "type": "is-json" }));
    check(
        "{type: is-json, value: 'type: object'}",
        json!({ "type": "is-json", "value": { "type": "object" } }),
    );
    check("{type: latency, threshold: 500}", json!({ "type": "latency", "threshold": 500.0 }));
    check("{type: word-count, value: {max: 9}}", json!({ "type": "word-count", "value": { "max": 9 } }));
    check("{type: word-count, value: '{{ n }}'}", json!({ "type": "word-count", "value": 5 }));
    check(
        "{type: similar, value: [a, b], threshold: 0.8, metric: 'm{{ n }}'}",
        json!({ "type": "similar", "value": ["a", "b"], "threshold": 0.8, "metric": "m5" }),
    );
    check(
        "{type: javascript, value: 'output == {{ n }}', config: {a: 1}}",
        json!({ "type": "javascript", "value": "output == 5", "config": { "a": 1 } }),
    );
    check(
        "{type: tool-calls, value: [f, {name: g, arguments: {n: '{{ n }}', m: 'x{{ n }}'}}], config: {order: same}}",
        json!({ "type": "tool-calls", "value": [{ "name": "f" }, { "name": "g", "arguments": { "n": 5, "m": "x5" } }], "config": { "order": "same" } }),
    );
    check(
        "{type: assert-set, threshold: 0.5, assert: [{type: contains, value: '{{ n }}'}, {type: cost, threshold: 0.01}]}",
        json!({ "type": "assert-set", "threshold": 0.5, "asserts": [{ "type": "contains", "value": "5" }, { "type": "cost", "threshold": 0.01 }] }),
    );
    check("{type: llm-rubric, value: 'is {{ n }}'}", json!({ "type": "llm-rubric", "value": "is 5" }));
    check("{type: factuality, value: 'x'}", json!({ "type": "factuality", "value": "x" }));
}

#[test]
fn assertions_may_be_written_once() {
    let suite = "
assertionTemplates:
  polite: {type: not-icontains, value: damn}
  both: {type: assert-set, assert: [{$ref: '#/assertionTemplates/polite'}, {type: contains, value: '{{ input }}'}]}
tests:
- vars: {input: hi}
  assert: [{$ref: '#/assertionTemplates/both'}]
";
    let polite = json!({ "type": "icontains", "not": true, "value": "damn" });
    assert_eq!(
        case(suite)["asserts"],
        json!([{ "type": "assert-set", "asserts": [polite, { "type": "contains", "value": "hi" }] }])
    );
}

#[test]
fn a_conversation_has_turns_tools_and_calls() {
    let suite = "
tests:
- description: refund of {{ order }}
  vars: {order: 7, tools: [{type: function, function: {name: look_up}}]}
  request: {tools: '{{ tools }}', tool_choice: auto}
  tool_results:
  - {name: look_up, arguments: {order: '{{ order }}'}, result: {paid: true}}
  - {name: look_up, result: not found}
  turns:
  - Where is order {{ order }}?
  - user: Refund it.
    assert: [{type: icontains, value: refund}]
  - messages: [{role: user, content: [{type: text, text: 'thanks {{ order }}'}]}]
  expected_calls: [{name: look_up, arguments: {order: '{{ order }}'}}]
  must_pass: true
";
    assert_eq!(
        case(suite),
        json!({
            "description": "refund of 7",
            "vars": { "order": 7, "tools": [{ "type": "function", "function": { "name": "look_up" } }] },
            "turns": [
                { "messages": [{ "role": "user", "content": "Where is order 7?" }] },
                { "messages": [{ "role": "user", "content": "Refund it." }], "asserts": [{ "type": "icontains", "value": "refund" }] },
                { "messages": [{ "role": "user", "content": [{ "type": "text", "text": "thanks 7" }] }] },
            ],
            "request": { "tools": [{ "type": "function", "function": { "name": "look_up" } }], "tool_choice": "auto" },
            "tool_results": [
                { "name": "look_up", "arguments": { "order": 7 }, "result": { "paid": true } },
                { "name": "look_up", "result": "not found" },
            ],
            "asserts": [{ "type": "tool-calls", "value": [{ "name": "look_up", "arguments": { "order": 7 } }] }],
            "must_pass": true,
        })
    );
}

#[test]
fn yaml_is_read_as_yaml_1_2() {
    let vars = |vars: &str| {
        case(&format!("prompts: p\ntests:\n- vars:\n    a: &x {{k: 1, l: [&y z, *y]}}\n    {vars}"))["vars"]["v"].clone()
    };
    let check = |text: &str, expected: Value| assert_eq!(vars(&format!("v: {text}")), expected, "{text}");
    check("no", json!("no"));
    check("2026-01-01", json!("2026-01-01"));
    check("007", json!(7));
    check("0x1F", json!(31));
    check("-1.5e3", json!(-1500.0));
    check("1_000", json!("1_000"));
    check("1.2.3", json!("1.2.3"));
    check("+12", json!(12));
    check("'12'", json!("12"));
    check("!!str 12", json!("12"));
    check("*x", json!({ "k": 1, "l": ["z", "z"] }));
    check("{<<: *x, k: 2}", json!({ "k": 2, "l": ["z", "z"] }));
    check("~", Value::Null);
    check("True", json!(true));
    check("{1: a, true: b}", json!({ "1": "a", "true": "b" }));
}
