//! Scripts and answers that want to do harm: none ends the process, hangs it, or counts.

use proptest::prelude::*;

use super::Is::Cannot;
use super::*;

#[tokio::test]
async fn scripts_that_take_too_much_are_stopped() {
    for (code, why) in [
        ("while (true) {}\nreturn 1", "too many steps"),
        ("for (;;) { try { while (true) {} } catch (e) {} }\nreturn 1", "too many steps"),
        ("const a = [];\nfor (;;) a.push(new Array(1000).fill('x'));", "memory"),
        ("'x'.repeat(2 ** 29)", "memory"),
        ("const f = () => f() + 1;\nreturn f();", "too deep"),
        ("/^(a+)+$/.test('a'.repeat(40) + '!')", "too many steps"),
        ("new Promise(() => {})", "never comes"),
        (
            "new Promise((done) => { const again = () => Promise.resolve().then(again); again(); })",
            "never comes",
        ),
        ("'x'.repeat(2 ** 21)", "1 MiB"),
        ("JSON.parse('['.repeat(2 ** 22))", "too deep"),
        ("eval('('.repeat(2 ** 20))", "too deep"),
        ("const f = async () => { await f(); }; f()", "too deep"),
        ("let s = 'x'; for (;;) s = s + s + 'y';\nreturn 1", "string too long"),
        ("[...(function* () { for (;;) yield 1; })()].length", "memory"),
        ("({ toJSON() { for (;;); } })", "too many steps"),
        ("Promise.prototype.then = () => { for (;;); };\nreturn Promise.resolve(true)", "too many steps"),
    ] {
        let got = judge(assertion("javascript", json!(code)), says("a")).await;
        let said = got.expect_err(code).to_string();
        assert!(said.contains(why), "{code}: {said}");
    }
    check("regex", json!("^(a+)+$"), &format!("{}!", "a".repeat(40)), Cannot).await;
}

#[tokio::test]
async fn what_scripts_change_in_the_language_changes_no_result() {
    let returns = "return { pass: true, score: 1, reason: '' }";
    for code in [
        "JSON.stringify = () => { throw 1 };",
        "const a = [];\ntry { for (;;) a.push(new Array(1000).fill('x')); } catch (e) { a.length = 0; }",
        "const a = [];\ntry { for (;;) a.push({ p: new Proxy({}, {}), r: /x/, d: new Date(), f: () => a }); } catch (e) {}",
    ] {
        check("javascript", json!(format!("{code}\n{returns}")), "a", Is::Pass).await;
    }
    check("javascript", json!("throw { get message() { for (;;); } };\nreturn true"), "a", Cannot).await;
    check(
        "javascript",
        json!("({ pass: true, score: 1, reason: output.slice(0, 1) })"),
        "\u{1f600}",
        Is::Scored(true, 1.0),
    )
    .await;
    let mut half = case(vec![assertion("equals", json!("\u{fffd}\\ud800"))]);
    half.transform = Some(r"output.slice(0, 1) + '\\ud800'".to_owned());
    expect("half a character", Is::Pass, &score(&half, &[says("\u{1f600}")], &[], &Told::default()).await);
}

#[tokio::test]
async fn one_script_leaves_nothing_for_the_next() {
    check(
        "javascript",
        json!("Array.prototype.evil = 1; globalThis.left = 1; true\n;return true"),
        "a",
        Is::Pass,
    )
    .await;
    check("javascript", json!("[].evil === undefined && typeof left === 'undefined'"), "a", Is::Pass).await;
}

#[tokio::test]
async fn deep_and_long_answers_are_judged_in_bounded_work() {
    let deep = "[".repeat(100_000);
    check("is-json", Value::Null, &deep, Is::Fail).await;
    check("contains-json", Value::Null, &"{".repeat(100_000), Is::Fail).await;
    check("contains-json", Value::Null, &r#"{"a":"#.repeat(50_000), Is::Fail).await;
    check("javascript", json!("output.length === 300000"), &"é".repeat(300_000), Is::Pass).await;
    check("javascript", json!("JSON.parse(output)"), &deep, Cannot).await;
    let pattern = json!({ "type": "string", "pattern": "^(a+)+$" });
    let got = judge(assertion("is-json", pattern), says(&format!("\"{}!\"", "a".repeat(60)))).await;
    assert!(got.is_ok_and(|score| !score.pass));
}

fn kinds() -> Vec<Assertion> {
    [
        ("equals", json!({ "a": 1 })),
        ("contains", json!("a")),
        ("icontains", json!("İ")),
        ("contains-any", json!("a, \"b\"")),
        ("icontains-all", json!(["ß", 1])),
        ("starts-with", json!("{")),
        ("regex", json!("[a-z]+\\d")),
        ("is-json", json!({ "type": "object" })),
        ("contains-json", json!({ "required": ["a"] })),
        ("levenshtein", json!("{\"a\": 1}")),
        ("finish-reason", json!("stop")),
        ("is-refusal", Value::Null),
        ("tool-call-f1", json!("a")),
        ("tool-calls", json!([{ "name": "a", "arguments": { "x": { "$regex": "a" } } }])),
        ("word-count", json!({ "min": 1 })),
        ("javascript", json!("output.length > 1")),
        ("similar", json!("abc")),
        ("is-valid-openai-tools-call", Value::Null),
    ]
    .map(|(kind, value)| assertion(kind, value))
    .into()
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        r#"[{}\[\]",:a1 \\\n]{0,60}"#,
        r"(I can't|I'm sorry|no|İ|ß|𝒳|\u{feff}| ){0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_panics_on_any_answer(text in texts(), name in texts(), arguments in texts(), not: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let call = ToolCall { name, arguments, id: None };
        let answer = Answer { tool_calls: vec![call], ..says(&text) };
        let tools = [json!({ "name": "a", "inputSchema": { "type": "object" } })];
        for assertion in kinds() {
            let case = case(vec![Assertion { not, ..assertion.clone() }]);
            let got = runtime.block_on(score(&case, std::slice::from_ref(&answer), &tools, &Told::default()));
            let got = got.map_err(|why| TestCaseError::fail(format!("{:?}: {why}", assertion.kind)))?;
            prop_assert!((0.0..=1.0).contains(&got.score));
        }
    }

    #[test]
    fn nothing_panics_on_any_judge(said in texts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let said: &'static str = Box::leak(said.into_boxed_str());
        for kind in ["llm-rubric", "factuality"] {
            let aides = Told { judge: Mutex::new(vec![said, said]), ..Told::default() };
            let case = case(vec![assertion(kind, json!("x"))]);
            let _ = runtime.block_on(score(&case, &[says("a")], &[], &aides));
        }
    }
}
