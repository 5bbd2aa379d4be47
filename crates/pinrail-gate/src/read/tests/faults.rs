//! What is told of files that can't be used.

use pinrail_domain::gate::SuiteKind;

use super::{faults, lines, memory, read};

const ONE: &str = "tests: [{vars: {input: q}}]\n";

fn check(suite: &str, expected: &str) {
    let told = faults(suite, &[]);
    assert!(told.contains(expected), "{suite}\n{told}");
}

#[test]
fn a_key_that_is_not_known_is_told_with_what_to_do() {
    check("test: []", "suite.yaml:1:1: test is not a key that Pinrail knows; did you mean `tests`?");
    check(
        "tests:\n- vars: {input: q}\n  asserts: []",
        "suite.yaml:3:3: tests[0].asserts is not a key that Pinrail knows; did you mean `assert`?",
    );
    check(
        "tests:\n- {vars: {input: q}, assert: [{type: contains, value: x, wieght: 2}]}",
        "tests[0].assert[0].wieght is not a key that Pinrail knows; did you mean `weight`?",
    );
    check(
        &format!("{ONE}providers: [openai:gpt-4o]"),
        "providers has no place in a suite: the release says which model answers",
    );
    check(
        &format!("{ONE}evaluateOptions: {{repeat: 3}}"),
        "repeats, concurrency and calls_per_minute are in [gate] of agent.toml",
    );
    check(&format!("{ONE}outputPath: x"), "`pinrail gate show` writes results");
    check(&format!("{ONE}redteam: {{}}"), "list them as tests of kind safety");
    check(
        "tests: [{vars: {input: q}, provider: x}]",
        "tests[0].provider has no place in a suite: the release answers",
    );
    check(
        "tests: [{vars: {input: q}, options: {provider: x}}]",
        "the judge is `judge` in [gate] of agent.toml",
    );
    check(
        "tests: [{vars: {input: q}, options: {storeOutputAs: x}}]",
        "a conversation of several turns is `turns`",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: llm-rubric, value: x, rubricPrompt: y}]}]",
        "the rubric is the `value`",
    );
    check(
        "tests: [{vars: {input: q}, request: {model: x}}]",
        "tests[0].request.model cannot be set here: the release says which model answers",
    );
}

#[test]
fn a_type_that_there_is_not_is_told_with_the_nearest() {
    check(
        "tests: [{vars: {input: q}, assert: [{type: contain, value: x}]}]",
        "tests[0].assert[0].type is `contain`, which is no assertion; did you mean `contains`?",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: not-contain, value: x}]}]",
        "did you mean `not-contains`?",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: zzz}]}]",
        "which is no assertion; there are equals, contains,",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: rouge-n, value: x}]}]",
        "is `rouge-n`, which Pinrail doesn't have: `levenshtein` or `similar` compares texts",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: model-graded-closedqa, value: x}]}]",
        "`llm-rubric` with the criterion",
    );
    check("tests: [{vars: {input: q}, assert: [{type: not-moderation}]}]", "in a suite of kind safety");
    check("tests: [{vars: {input: q}, assert: [{type: 'promptfoo:redteam:pii'}]}]", "`llm-rubric` can ask");
    check("tests: [{vars: {input: q}, assert: [{value: x}]}]", "tests[0].assert[0] has no `type`");
    check(
        "tests: [{vars: {input: q}, assert: [{type: not-assert-set, assert: []}]}]",
        "negate the assertions in it",
    );
}

#[test]
fn a_value_that_cannot_be_is_told_by_its_key() {
    check("tests: [{vars: {input: q}, assert: [{type: contains}]}]", "needs a `value`");
    check("tests: [{vars: {input: q}, assert: [{type: latency}]}]", "needs a `threshold`, in milliseconds");
    check("tests: [{vars: {input: q}, assert: [{type: assert-set, assert: []}]}]", "needs `assert`");
    check(
        "tests: [{vars: {input: q}, assert: [{type: contains, value: [a]}]}]",
        "tests[0].assert[0].value must be a text",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: is-json, value: '{a'}]}]",
        "holds a schema that cannot be read",
    );
    check("tests: [{vars: {input: q}, assert: [{type: is-refusal, value: x}]}]", "has no use for a value");
    check(
        "tests: [{vars: {input: q}, assert: [{type: contains, value: x, config: {a: 1}}]}]",
        "has a `config`, which goes with `javascript`",
    );
    check(
        "tests: [{vars: {input: q}, assert: [{type: tool-calls, value: f, config: {order: yes}}]}]",
        "`tool-calls` knows `order`",
    );
    check(
        "tests: [{vars: {input: q}, expected_calls: [{arguments: {}}]}]",
        "tests[0].expected_calls must be calls such as",
    );
    check("tests: [{vars: {input: q}, threshold: -1}]", "tests[0].threshold is -1; it must not be below 0");
    check("tests: [{vars: {input: q}, threshold: high}]", "tests[0].threshold must be a number, not a text");
    check(
        "tests: [{vars: {input: q}, must_pass: 1}]",
        "tests[0].must_pass must be true or false, not a number",
    );
    check(
        "tests: [{vars: {input: q}, assert: {type: contains}}]",
        "tests[0].assert must be a list, not a map",
    );
    check("tests: [[{vars: {input: q}}]]", "tests[0] is a list in a list");
    check("tests: [3]", "tests[0] must be a map of keys, not a number");
    check("tests: []", "tests gives no case: list at least one test");
    check("{}", "suite.yaml:1:1: tests is missing");
    check("", "suite.yaml: must be a map of keys, not nothing");
    check("scenarios: [{tests: []}]\ntests: []", "scenarios[0].config is missing");
    check("tests: [{vars: {input: 12345678901234567890}}]", "cannot be stored");
}

#[test]
fn a_template_that_cannot_be_filled_names_what_is_missing() {
    check(
        "prompts: 'Hi {{ name }}'\ntests: [{vars: {nam: x}}]",
        "suite.yaml:1:1: prompts uses `name`, which the test's vars don't have",
    );
    check("prompts: 'Hi {{ name'\ntests: [{vars: {name: x}}]", "prompts is no template that can be filled");
    check("tests: [{vars: {input: '{{ b }}', b: '{{ input }}'}}]", "uses itself, by way of b, input");
    check(
        "tests: [{vars: {input: q}, assert: [{type: contains, value: '{{ x }}'}]}]",
        "tests[0].assert[0].value uses `x`",
    );
    check(
        "prompts: '{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}'
tests: [{vars: {x: y}}]",
        "takes more than 1000000 steps",
    );
    check(
        "tests: [{vars: {context: x}}]",
        "asks nothing: give the suite `prompts`, the test `turns`, or exactly one of the vars input",
    );
    check("tests: [{vars: {input: x, question: y}}]", "it has input and question");
}

#[test]
fn what_cannot_be_asked_is_told() {
    check("prompts: [a, b]\ntests: [{vars: {x: y}}]", "prompts lists 2 prompts; a suite has one");
    check(
        "prompts: [{role: wizard, content: x}]\ntests: [{vars: {x: y}}]",
        "whose role is none of user, assistant",
    );
    check("tests: [{turns: []}]", "tests[0].turns must hold at least one turn");
    check("tests: [{turns: [{}]}]", "tests[0].turns[0] says nothing");
    check("tests: [{turns: [{user: a, messages: []}]}]", "it is one or the other");
    check("tests: [{turns: [{assistant: a}]}]", "`messages` may put words into its mouth");
    check("tests: [{turns: [a], options: {prefix: b}}]", "write it into the turns");
    check(
        "tests: [{vars: {input: q}, tool_results: [{name: f}]}]",
        "tests[0].tool_results[0] has no `result`",
    );
    check("tests: [{vars: {input: q}, tool_results: [{name: f, output: 1}]}]", "it is called `result`");
}

#[test]
fn a_reference_must_name_a_template() {
    check(
        "assertionTemplates: {polite: {type: is-refusal}}\ntests: [{vars: {input: q}, assert: [{$ref: '#/assertionTemplates/polit'}]}]",
        "did you mean `#/assertionTemplates/polite`?",
    );
    check(
        "assertionTemplates: {a: {$ref: '#/assertionTemplates/a'}}\ntests: [{vars: {input: q}, assert: [{$ref: '#/assertionTemplates/a'}]}]",
        "which is no `#/assertionTemplates/NAME`",
    );
}

#[test]
fn a_file_that_is_no_yaml_or_json_is_told_with_its_line() {
    let check = |suite: &str, expected: &str| {
        let told = faults(
            suite,
            &[
                ("b.json", "[\n{\"a\": 1,}]"),
                ("b.jsonl", "{}\n{\"a\": 1, \"a\": 2}\n"),
                ("d.json", "[{\"vars\": {\"input\": \"q\"}, \"x\": 1}]"),
            ],
        );
        assert!(told.contains(expected), "{suite}\n{told}");
    };
    check("tests: [\n  {", "suite.yaml:3:1: is not YAML");
    check("a: 1\na: 2", "suite.yaml:2:1: has the key `a` twice in one map");
    check("a: !env x", "has a tag");
    check("a: *b", "suite.yaml:1:");
    check("a: .nan", "is a number that JSON doesn't have");
    check("a: 1\n---\nb: 1", "holds a second document");
    check(&format!("a: {}1{}", "[".repeat(65), "]".repeat(65)), "is nested deeper than 64");
    check("tests: b.json", "b.json:2:");
    check("tests: b.jsonl", "b.jsonl:2:12: is not JSON that can be read: the key `a` is twice in one object");
    check("tests: d.json", "d.json: [0].x is not a key");
}

#[test]
fn aliases_cannot_make_a_file_larger_than_memory() {
    let mut suite = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        suite.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert!(faults(&suite, &[]).contains("aliases counted out"));
}

#[test]
fn all_faults_are_told_at_once() {
    let told = faults(
        "kind: sucess\nname: Bad Name\nprovider: x\ntests:\n- {vars: {input: q}, assert: [{type: bleu, value: x}, {type: contains}]}\n- t.yaml\n",
        &[("t.yaml", "- {vars: {input: q}, must_pass: maybe}\n")],
    );
    for expected in [
        "suite.yaml:1:1: kind is `sucess`; it must be success, regression or safety",
        "suite.yaml:2:1: name `Bad Name` is not 1 to 64 of",
        "suite.yaml:3:1: provider is not a key",
        "tests[0].assert[0].type is `bleu`",
        "tests[0].assert[1] needs a `value`",
        "t.yaml:1:22: [0].must_pass must be true or false",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn a_suite_says_its_kind_or_is_given_one() {
    let check = |suite: &str, wished: Option<SuiteKind>, expected: Result<SuiteKind, &str>| match (
        read("suite.yaml", wished, &memory(suite, &[])),
        expected,
    ) {
        (Ok(read), Ok(kind)) => assert_eq!(read.suite.kind, kind),
        (Err(told), Err(what)) => assert!(lines(&told).contains(what), "{}", lines(&told)),
        (read, expected) => panic!("{read:?} is not {expected:?}"),
    };
    check(ONE, None, Err("kind is missing: say success, regression or safety"));
    check(ONE, Some(SuiteKind::Safety), Ok(SuiteKind::Safety));
    check(&format!("{ONE}kind: safety"), None, Ok(SuiteKind::Safety));
    check(
        &format!("{ONE}kind: safety"),
        Some(SuiteKind::Success),
        Err("is not the kind that it was asked to have"),
    );
}

#[test]
fn too_much_is_refused_with_the_limit() {
    let check = |suite: &str, expected: &str| {
        let told = faults(suite, &[]);
        assert!(told.contains(expected), "{}", &told[..told.len().min(400)]);
    };
    let list = |name: &str| format!("{name}: [{}]", "x,".repeat(200));
    check(
        &format!("prompts: p\ntests: [{{vars: {{{}, {}}}}}]", list("a"), list("b")),
        "multiplies its lists of variables out to 40000 cases; a suite has at most 20000",
    );
    check(&format!("tests: [{{vars: {{input: {}}}}}]", "x".repeat(600_000)), "makes a case of 1200");
    let csv: String = (0..20_001).map(|n| format!("{n}\n")).collect();
    let told = faults("tests: t.csv", &[("t.csv", &format!("input\n{csv}"))]);
    assert!(told.contains("t.csv:20002: [20000] goes beyond 20000 cases"), "{told}");
}
