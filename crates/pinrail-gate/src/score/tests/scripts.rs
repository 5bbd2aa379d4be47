use super::Is::{Cannot, Fail, Pass, Scored};
use super::*;

#[tokio::test]
async fn javascript_says_yes_or_no_or_how_much() {
    let js = |code: &str| json!(code);
    check("javascript", js("output.includes('x')"), "a x", Pass).await;
    check("javascript", js("output.includes('x');\n"), "a x", Pass).await;
    check("javascript", js("output.includes('x')"), "a", Fail).await;
    check("not-javascript", js("output.includes('x')"), "a", Pass).await;
    check("javascript", js("const n = output.length; n > 1"), "abc", Pass).await;
    check("javascript", js("const s = output; s === 'a;b'"), "a;b", Pass).await;
    check("javascript", js("let f = (x) => { return x; }; f(output) === 'a';"), "a", Pass).await;
    check("javascript", js("const x = 1"), "a", Cannot).await;
    check("javascript", js("const n = output.length;\nreturn n === 3;"), "abc", Pass).await;
    check("javascript", js("output.length / 10"), "abcde", Scored(true, 0.5)).await;
    check("not-javascript", js("output.length / 10"), "abcde", Scored(false, 0.5)).await;
    check("javascript", js("0"), "a", Scored(false, 0.0)).await;
    check("javascript", js("7"), "a", Pass).await;
    check("javascript", js("0 / 0"), "a", Fail).await;
    check("javascript", js("'yes'"), "a", Fail).await;
    check("javascript", js("undefined"), "a", Fail).await;
    check("javascript", js("({ pass: false, score: 0.25, reason: 'hm' })"), "a", Scored(false, 0.25)).await;
    check("javascript", js("({ pass: true, score: 1 })"), "a", Fail).await;
    check("javascript", js("context.vars.name === 'Ada' && context.prompt === 'How much?'"), "a", Pass).await;
    check("javascript", js("context.providerResponse.finishReason === 'stop'"), "a", Pass).await;
    check("javascript", js("console.log(output); return true;\n "), "a", Fail).await;
    check("javascript", js("console.log(output);\nreturn true"), "a", Pass).await;
    check("javascript", js(""), "a", Cannot).await;
    let config = Assertion {
        config: json!({ "min": 2 }),
        ..assertion("javascript", js("output.length >= context.config.min"))
    };
    expect("config", Pass, &judge(config, says("ab")).await);
    let half = Assertion { threshold: Some(0.6), ..assertion("javascript", js("output.length / 10")) };
    expect("threshold", Scored(false, 0.5), &judge(half, says("abcde")).await);
}

#[tokio::test]
async fn javascript_may_be_a_module_or_promise_something() {
    let modules = [
        "module.exports = (output, context) => output.length > 1;",
        "const long = (x) => x.length > 1;\nmodule.exports = { long };",
        "module.exports = async function (output) {\n  return { pass: output.length > 1, score: 1, reason: '' };\n};",
        "export default (output) => output.length > 1;",
        "exports.default = (output) => output.length > 1;",
    ];
    for module in modules {
        check("javascript", json!(module), "ab", Pass).await;
    }
    check("javascript", json!("module.exports = 5;"), "ab", Cannot).await;
    check("javascript", json!("const fs = require('fs');\nmodule.exports = () => true;"), "ab", Cannot).await;
    check("javascript", json!("import fs from 'fs';\nexport default () => true;"), "ab", Cannot).await;
    check("javascript", json!("Promise.resolve(output === 'ab')"), "ab", Pass).await;
    check("javascript", json!("(async () => { await null; return 0.5; })()"), "ab", Scored(true, 0.5)).await;
    check("javascript", json!("Promise.reject(new TypeError('no'))"), "ab", Fail).await;
}

#[tokio::test]
async fn a_script_that_throws_at_the_answer_fails_and_one_at_fault_cannot_judge() {
    check("javascript", json!("JSON.parse(output).n > 3"), r#"{"n": 4}"#, Pass).await;
    check("javascript", json!("JSON.parse(output).n > 3"), "not JSON", Fail).await;
    check("not-javascript", json!("JSON.parse(output).n > 3"), "not JSON", Fail).await;
    check("javascript", json!("JSON.parse(output).a.b.c"), "{}", Fail).await;
    check("javascript", json!("output..x"), "a", Cannot).await;
    check("javascript", json!("nothing.like(this)"), "a", Cannot).await;
    check("javascript", json!("process.env.HOME"), "a", Cannot).await;
    check("javascript", json!("require('fs')"), "a", Cannot).await;
    check("javascript", json!("fetch('http://localhost')"), "a", Cannot).await;
    check("javascript", json!("import('fs')"), "a", Cannot).await;
}

#[tokio::test]
async fn scripts_name_scores() {
    let code = "({ pass: true, score: 1, reason: 'r', namedScores: { tone: 0.5 } })";
    let score = judge(assertion("javascript", json!(code)), says("a")).await.unwrap();
    assert_eq!(score.named["tone"], 0.5);
    assert_eq!(score.parts[0].why, "r");
}

#[tokio::test]
async fn tool_calls_are_what_scripts_see_of_an_answer_without_text() {
    let code = "output[0].function.name === 'add' && JSON.parse(output[0].function.arguments).n === 1";
    let got = judge(assertion("javascript", json!(code)), calls(&[("add", json!({ "n": 1 }))])).await;
    expect("the calls", Pass, &got);
    let both = Answer { text: "wait".to_owned(), ..calls(&[("add", json!({}))]) };
    let code = "output.content === 'wait' && output.tool_calls.length === 1";
    expect("the message", Pass, &judge(assertion("javascript", json!(code)), both).await);
}

#[tokio::test]
async fn no_python_runs_where_it_is_not_allowed() {
    let got = judge(assertion("python", json!("True")), says("a")).await;
    assert!(got.unwrap_err().to_string().contains("[gate] python"));
}

/// Judges by Python; says so where there is none.
async fn check_python(code: &str, threshold: Option<f64>, output: &str, is: Is) {
    let path = "/usr/bin/python3";
    if !std::path::Path::new(path).exists() {
        println!("SKIPPED: there is no {path}, so that nothing is known of python assertions");
        return;
    }
    let aides = Told { python: Some("python3".to_owned()), ..Told::default() };
    let assertion = Assertion { threshold, ..assertion("python", json!(code)) };
    expect(code, is, &score(&case(vec![assertion]), &[says(output)], &[], &aides).await);
}

#[tokio::test]
async fn python_says_the_same_in_its_own_way() {
    check_python("'x' in output", None, "a x", Pass).await;
    check_python("'x' in output", None, "a", Fail).await;
    check_python("len(output) / 10", None, "abcde", Scored(true, 0.5)).await;
    check_python("len(output) / 10", Some(0.6), "abcde", Scored(false, 0.5)).await;
    check_python("n = len(output)\nif n > 2:\n\treturn True\nreturn False", None, "abc", Pass).await;
    check_python(
        "def get_assert(output, context):\n    return context['vars']['name'] == 'Ada'",
        None,
        "a",
        Pass,
    )
    .await;
    check_python("async def get_assert(output, context):\n    return True", None, "a", Pass).await;
    check_python("{'pass': True, 'score': 0.5, 'reason': 'ok'}", None, "a", Scored(true, 0.5)).await;
    check_python("{'pass_': True, 'score': 0.5, 'reason': 'ok'}", Some(0.6), "a", Scored(false, 0.5)).await;
    check_python("'true'", None, "a", Pass).await;
    check_python("print('{\"value\": true}') or False", None, "a", Fail).await;
    check_python("json.loads(output)['n'] > 3", None, "not JSON", Fail).await;
    check_python("nothing", None, "a", Cannot).await;
    check_python("1 +", None, "a", Cannot).await;
    check_python("__import__('not_there')", None, "a", Cannot).await;
    check_python("[0] * (1 << 40)", None, "a", Cannot).await;
    check_python("'x' * (2 << 20)", None, "a", Cannot).await;
    check_python("__import__('os')._exit(3)", None, "a", Cannot).await;
    // I15
    check_python(
        "sorted(k for k in __import__('os').environ if k not in ('PATH', 'LC_CTYPE')) == []",
        None,
        "a",
        Pass,
    )
    .await;
    check_python("__import__('os').listdir('.') == []", None, "a", Pass).await;
}
