//! Tests that stand in files, and scripts.

use serde_json::json;

use super::{cases, faults, read_with};

#[test]
fn a_row_of_csv_is_a_test() {
    let csv = "\u{feff}input,other,__expected,__expected2,__description,__metric,__threshold,__metadata:area,__metadata:tags[],__prefix,__config:__expected2:threshold\n\
               \"2 + 2?\",x,equals: 4,similar(0.7):four,sum,math,0.5,numbers,\"a, b\\,c\",Q: ,0.9\n\
               hi,,\"Note: hello, you\",,,,,,,,\n\
               hi {{ other }},y,\"not-contains-any: a,b\",javascript: output.length < 3,,,,,,,\n";
    let all = cases("tests: file://t.csv", &[("t.csv", csv)]);
    assert_eq!(
        all[0],
        json!({
            "description": "sum",
            "vars": { "input": "2 + 2?", "other": "x" },
            "turns": [{ "messages": [{ "role": "user", "content": "Q: 2 + 2?" }] }],
            "asserts": [
                { "type": "equals", "value": "4", "metric": "math" },
                { "type": "similar", "value": "four", "threshold": 0.9, "metric": "math" },
            ],
            "threshold": 0.5,
            "metadata": { "area": "numbers", "tags": ["a", "b,c"] },
        })
    );
    assert_eq!(all[1]["asserts"], json!([{ "type": "equals", "value": "Note: hello, you" }]));
    assert_eq!(all[2]["turns"][0]["messages"][0]["content"], "hi y");
    assert_eq!(
        all[2]["asserts"],
        json!([
            { "type": "contains-any", "not": true, "value": ["a", "b"] },
            { "type": "javascript", "value": "output.length < 3" },
        ])
    );
}

#[test]
fn a_column_that_would_be_something_else_is_refused() {
    let check = |csv: &str, expected: &str| {
        let told = faults("tests: t.csv", &[("t.csv", csv)]);
        assert!(told.contains(expected), "{csv}: {told}");
    };
    check("a,a\n1,2\n", "t.csv:1: has the column `a` twice");
    check("input,_expected\n1,2\n", "did you mean `__expected`, with two underscores?");
    check("input,__expcted\n1,2\n", "did you mean `__expected`?");
    check("input,__metadata\n1,2\n", "write `__metadata:category`");
    check("input,__threshold\n1,high\n", "t.csv:2: has `high` in `__threshold`, which is no number");
    check("input,__config:__expected:weight\n1,2\n", "it must be `__config:__expectedN:threshold`");
    check("a,b\n1\n", "t.csv:2: is not CSV");
    check(
        "input,__expected\nq,contain:x\n",
        "t.csv:2: [0].assert[0].type is `contain`, which is no assertion; did you mean `contains`?",
    );
    check("input,__expected\nq,bleu(0.4):x\n", "`levenshtein` or `similar` compares texts");
    check("input,__expected\nq,latency\n", "needs a `threshold`");
}

#[test]
fn tests_come_from_lists_that_mix_files_and_tests() {
    let files = [
        ("more/b.yaml", "- vars: {input: b1}\n- file://more/c.jsonl"),
        ("more/a.yaml", "vars: {input: a}"),
        ("more/c.jsonl", "{\"vars\": {\"input\": \"c1\"}}\n\n{\"vars\": {\"input\": \"c2\"}}\n"),
        ("d.json", "[{\"vars\": {\"input\": \"d\"}}]"),
    ];
    let all = cases("tests: ['more/*.yaml', {vars: {input: here}}, file://d.json]", &files);
    let asked: Vec<_> =
        all.as_array().unwrap().iter().map(|case| case["vars"]["input"].as_str().unwrap()).collect();
    assert_eq!(asked, ["a", "b1", "c1", "c2", "here", "d"]);
    let read = read_with("tests: more/*.yaml", &files).unwrap();
    assert_eq!(read.files, ["suite.yaml", "more/a.yaml", "more/b.yaml", "more/c.jsonl"]);
}

#[test]
fn what_assertions_name_is_taken_in() {
    let value = |kind: &str, named: &str, files: &[(&str, &str)]| {
        let suite = format!("tests: [{{vars: {{input: q}}, assert: [{{type: {kind}, value: '{named}'}}]}}]");
        cases(&suite, files)[0]["asserts"][0]["value"].clone()
    };
    assert_eq!(
        value("is-json", "file://s.json", &[("s.json", r#"{"type": "object"}"#)]),
        json!({ "type": "object" })
    );
    assert_eq!(value("is-json", "file://s.yaml", &[("s.yaml", "type: object")]), json!({ "type": "object" }));
    assert_eq!(value("equals", "file://t.txt", &[("t.txt", "a {{ b }}\n")]), "a {{ b }}");
    let common = "module.exports = (output, context) => output.length > 3;\n";
    assert_eq!(value("javascript", "file://c.js", &[("c.js", common)]), common);
    let both = "exports.short = (output) => output.length < 3;\nexports.long = (output) => true;\n";
    assert_eq!(
        value("javascript", "file://c.cjs:short", &[("c.cjs", both)]),
        format!("{both}module.exports = module.exports.short;\n")
    );
    let modern = "export function short(output) {\n  return true;\n}\nexport default (output) => false;\n";
    assert_eq!(
        value("javascript", "file://c.mjs", &[("c.mjs", modern)]),
        "function short(output) {\n  return true;\n}\nmodule.exports = (output) => false;\nmodule.exports.short = short;\n"
    );
    let python = "import json\n\ndef get_assert(output, context):\n    return True\n";
    assert_eq!(value("python", "file://c.py", &[("c.py", python)]), python);
    assert_eq!(
        value("python", "file://c.py:short", &[("c.py", "def short(output, context):\n    return True\n")]),
        "def short(output, context):\n    return True\n\n\ndef get_assert(output, context):\n    return short(output, context)\n"
    );
    let list =
        "tests: [{vars: {input: q}, assert: [{type: contains-any, value: ['file://t.txt', '{{ input }}']}]}]";
    assert_eq!(cases(list, &[("t.txt", "{{ x }}")])[0]["asserts"][0]["value"], json!(["{{ x }}", "q"]));
    let transform = "tests: [{vars: {input: q}, options: {transform: 'file://t.js'}}]";
    assert_eq!(cases(transform, &[("t.js", common)])[0]["transform"], common);
}

#[test]
fn files_that_would_have_to_be_run_are_refused() {
    let check = |suite: &str, expected: &str| {
        let files = [
            ("t.js", "const x = require('fs');\nmodule.exports = x;"),
            ("e.js", "const x = 1;\n"),
            ("p.py", "def other(output, context):\n    return True\n"),
            ("many.txt", "a\n---\nb"),
            ("t.bin", "\u{0}"),
        ];
        let told = faults(suite, &files);
        assert!(told.contains(expected), "{suite}: {told}");
    };
    check(
        "tests: file://t.js",
        "tests names t.js, which is a program; a suite runs no code while it is read",
    );
    check("tests: t.py:make", "names t.py:make, which holds no tests");
    check("tests: t.xlsx", "is a spreadsheet: save it as CSV");
    check("tests: https://docs.google.com/spreadsheets/d/1", "a suite is made of files: fetch it");
    check("tests: 'none/*.yaml'", "names none/*.yaml, which fits no file");
    check("tests: none.yaml", "names none.yaml, which cannot be read: there is no such file");
    check("prompts: file://p.py\ntests: [{vars: {a: b}}]", "is a program");
    check("prompts: file://many.txt\ntests: [{vars: {a: b}}]", "holds several prompts, parted by `---`");
    check("tests: [{vars: {input: file://t.js}}]", "tests[0].vars.input names t.js; a suite runs no code");
    let assert = |value: &str| format!("tests: [{{vars: {{input: q}}, assert: [{value}]}}]");
    check(&assert("{type: javascript, value: file://t.js}"), "takes other modules in");
    check(&assert("{type: javascript, value: file://e.js}"), "exports nothing");
    check(&assert("{type: javascript, value: file://p.py}"), "is Python where JavaScript is needed");
    check(&assert("{type: javascript, value: file://p.ts}"), "is TypeScript");
    check(&assert("{type: python, value: file://p.py}"), "defines no `get_assert(output, context)`");
    check(&assert("{type: python, value: 'file://p.py:mine'}"), "defines no `mine(output, context)`");
    check(&assert("{type: equals, value: file://t.js}"), "a suite runs no code");
    check(&assert("{type: javascript, value: 'package:x:y'}"), "names a package");
}
