use std::collections::BTreeMap;

use pinrail_domain::gate::SuiteKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Fault, Files, Folder, Memory, ReadSuite, read};

mod cases;
mod faults;
mod files;

/// Reads `suite.yaml` with other files beside it.
fn read_with(suite: &str, more: &[(&str, &str)]) -> Result<ReadSuite, Vec<Fault>> {
    read("suite.yaml", Some(SuiteKind::Success), &memory(suite, more))
}

fn memory(suite: &str, more: &[(&str, &str)]) -> Memory {
    let all = more.iter().copied().chain([("suite.yaml", suite)]);
    Memory(all.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).collect::<BTreeMap<_, _>>())
}

/// The cases of a suite as JSON; a suite that can't be read fails the test.
fn cases(suite: &str, more: &[(&str, &str)]) -> Value {
    let read = read_with(suite, more).unwrap_or_else(|faults| panic!("{suite}\n{}", lines(&faults)));
    serde_json::to_value(&read.suite.cases).unwrap()
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

/// What is said of a suite that can't be read.
fn faults(suite: &str, more: &[(&str, &str)]) -> String {
    read_with(suite, more)
        .map_or_else(|faults| lines(&faults), |read| panic!("{suite} is read: {:?}", read.suite))
}

#[test]
fn the_digest_names_what_is_asked_and_not_how_it_is_written() {
    let digest = |suite: &str, more: &[(&str, &str)]| {
        read_with(suite, more).unwrap_or_else(|faults| panic!("{suite}\n{}", lines(&faults))).digest
    };
    let base = digest(
        "tests:\n- vars: {a: x, b: y}\n  assert:\n  - {type: contains-any, value: [p, q]}\n- vars: {input: two}\nprompts: '{{a}}{{b}}{{input}}'\n\
         defaultTest: {vars: {a: '', b: '', input: ''}}",
        &[],
    );
    let check_same = |suite: &str, more: &[(&str, &str)]| assert_eq!(digest(suite, more), base, "{suite}");
    // Order of fields, style, quotes, a list written as one text.
    check_same(
        "defaultTest:\n  vars:\n    input: ''\n    b: ''\n    a: ''\nprompts: ['{{a}}{{b}}{{input}}']\ntests:\n  - assert:\n      - value: 'p, q'\n        type: contains-any\n    vars:\n      b: y\n      a: \"x\"\n  - vars: {input: two}\nname: suite",
        &[],
    );
    // Files instead of lists.
    check_same(
        "prompts: file://p.txt\ntests: [file://one.yaml, two.jsonl]\ndefaultTest: file://d.json",
        &[
            ("p.txt", "{{a}}{{b}}{{input}}"),
            ("one.yaml", "vars: {a: x, b: y}\nassert: [{type: contains-any, value: [p, q]}]"),
            ("two.jsonl", "{\"vars\": {\"input\": \"two\"}}\n"),
            ("d.json", "{\"vars\": {\"a\": \"\", \"b\": \"\", \"input\": \"\"}}"),
        ],
    );
    // A case that is there twice is there once.
    check_same(
        "prompts: '{{a}}{{b}}{{input}}'\ntests: [one.csv, {vars: {input: two}}, {vars: {input: two}, description: again}]\ndefaultTest: {vars: {a: '', b: '', input: ''}}",
        &[("one.csv", "a,b,__expected\nx,y,\"contains-any: p, q\"\n")],
    );
    let other = [
        "name: other\ntests: [{vars: {input: two}}]",
        "tests: [{vars: {input: two}}]",
        "tests: [{vars: {input: two}, threshold: 0.5}]",
        "tests: [{vars: {input: two}, must_pass: true}]",
        "description: d\ntests: [{vars: {input: two}}]",
        "kind: success\ntests: [{vars: {input: two}, assert: [{type: equals, value: a}]}]",
    ];
    let mut digests: Vec<_> = other.iter().map(|suite| digest(suite, &[])).chain([base]).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), other.len() + 1);
}

#[test]
fn what_is_stored_is_the_canonical_text_that_the_digest_names() {
    let read = read_with("tests: [{vars: {input: 1.0}}]", &[]).unwrap();
    assert_eq!(read.digest, read.suite.digest().unwrap());
    let text = String::from_utf8(read.bytes.clone()).unwrap();
    assert_eq!(
        text,
        r#"{"cases":[{"turns":[{"messages":[{"content":"1","role":"user"}]}],"vars":{"input":1}}],"kind":"success","name":"suite","pinrail_suite":1}"#
    );
    let back: crate::suite::Suite = serde_json::from_slice(&read.bytes).unwrap();
    assert_eq!(back.digest().unwrap(), read.digest);
}

#[test]
fn every_kind_is_named_as_it_is_stored() {
    for (name, kind) in super::assertion::KINDS {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(name));
    }
}

#[test]
fn the_first_hundred_faults_are_told_and_the_rest_counted() {
    let tests: String = (0..150).map(|n| format!("- {{vars: {{input: a{n}}}, asert: []}}\n")).collect();
    let told = read_with(&format!("tests:\n{tests}"), &[]).unwrap_err();
    assert_eq!(told.len(), super::FAULTS_MAX + 1);
    assert!(told.last().unwrap().what.contains("faults more"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_written_breaks_the_reader(text in "(?s).{0,200}") {
        let _ = read_with(&text, &[]);
        let _ = read_with("tests: t.csv", &[("t.csv", &text)]);
        let _ = read_with("tests: t.jsonl", &[("t.jsonl", &text)]);
        let _ = read_with("prompts: p.txt\ntests: [{vars: {a: b}}]", &[("p.txt", &text)]);
    }

    #[test]
    fn nothing_like_a_suite_breaks_the_reader(parts in proptest::collection::vec(piece(), 0..24)) {
        let _ = read_with(&parts.concat(), &[("a.js", "x"), ("t.csv", "a,__expected\n1,2\n")]);
    }

    #[test]
    fn a_value_in_an_assertion_never_breaks_the_reader(kind in 0..26_usize, value in value()) {
        let (name, _) = super::assertion::KINDS[kind];
        let suite = json!({ "tests": [{ "vars": { "input": value }, "assert": [{ "type": name, "value": value, "config": value, "assert": value }] }] });
        let _ = read("suite.json", Some(SuiteKind::Safety), &Memory(BTreeMap::from([("suite.json".to_owned(), suite.to_string().into_bytes())])));
    }
}

fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "tests:\n",
        "- ",
        "  ",
        "\n",
        "vars: ",
        "{",
        "}",
        "[",
        "]",
        "assert:\n",
        "type: ",
        "contains",
        "value: ",
        "'",
        "\"",
        "{{ a }}",
        "{% if a %}",
        "{% for x in a %}",
        "|\n",
        ">\n",
        "&x ",
        "*x",
        "<<: ",
        "? ",
        ": ",
        ",",
        "#",
        "---\n",
        "!t ",
        "file://a.js",
        "file://t.csv",
        "prompts: ",
        "defaultTest:\n",
        "scenarios:\n",
        "config:\n",
        "a",
        "1e400",
        "0x1F",
        "~",
        "\t",
        "turns:\n",
        "user: ",
        "tool_results:\n",
        "request:\n",
        "$ref: ",
        "\u{feff}",
        "%YAML 1.2\n",
    ])
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter_map("finite", |number| serde_json::Number::from_f64(number).map(Value::Number)),
        "[ -~]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_$]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn a_folder_gives_what_is_in_the_project_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    let base = project.join("agents/[a]/evals");
    std::fs::create_dir_all(base.join("more")).unwrap();
    std::fs::write(dir.path().join("secret.txt"), "s").unwrap();
    std::fs::write(project.join("shared.txt"), "shared").unwrap();
    for name in ["b.yaml", "a.yaml", "more/c.yaml", ".hidden.yaml"] {
        std::fs::write(base.join(name), name).unwrap();
    }
    let folder = Folder::new(&base, &project).unwrap();
    assert_eq!(folder.read("more/c.yaml").unwrap(), b"more/c.yaml");
    assert_eq!(folder.read("../../../shared.txt").unwrap(), b"shared");
    assert_eq!(folder.glob("*.yaml").unwrap(), ["a.yaml", "b.yaml"]);
    assert_eq!(folder.glob("**/*.yaml").unwrap(), ["a.yaml", "b.yaml", "more/c.yaml"]);
    assert_eq!(folder.glob("./more/*").unwrap(), ["./more/c.yaml"]);
    for outside in ["../../../../secret.txt", "/etc/passwd", "more/../../../../../secret.txt"] {
        assert!(folder.read(outside).unwrap_err().to_string().contains("outside"), "{outside}");
    }
    assert!(folder.glob("../../../../*").is_err());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.path().join("secret.txt"), base.join("link.txt")).unwrap();
        assert!(folder.read("link.txt").unwrap_err().to_string().contains("outside"));
    }
    assert!(folder.read("more").is_err());
}
