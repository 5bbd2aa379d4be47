use super::Is::{Cannot, Fail, Pass, Scored};
use super::*;

async fn check_calls(value: Value, config: Value, made: &[(&str, Value)], is: Is) {
    let assertion = Assertion { config: config.clone(), ..assertion("tool-calls", value.clone()) };
    expect(&format!("{value} with {config} on {made:?}"), is, &judge(assertion, calls(made)).await);
}

#[tokio::test]
async fn calls_are_matched_by_name_and_arguments() {
    let refund = |amount: Value| ("refund", json!({ "order": "A1", "amount": amount }));
    let look = || ("look_up", json!({ "order": "A1" }));
    let want = json!([{ "name": "refund", "arguments": { "order": "A1", "amount": 5 } }]);
    check_calls(want.clone(), Value::Null, &[refund(json!(5))], Pass).await;
    check_calls(want.clone(), Value::Null, &[refund(json!(5.0))], Pass).await;
    check_calls(want.clone(), Value::Null, &[refund(json!("5"))], Scored(false, 0.0)).await;
    check_calls(want.clone(), Value::Null, &[], Scored(false, 0.0)).await;
    check_calls(want.clone(), Value::Null, &[refund(json!(5)), look()], Scored(false, 2.0 / 3.0)).await;
    check_calls(want.clone(), json!({ "extra": true }), &[refund(json!(5)), look()], Pass).await;
    check_calls(json!(["refund", "look_up"]), Value::Null, &[look(), refund(json!(9))], Pass).await;
    check_calls(
        json!(["refund", "look_up"]),
        json!({ "order": "same" }),
        &[look(), refund(json!(9))],
        Scored(false, 0.5),
    )
    .await;
    check_calls(json!([]), Value::Null, &[], Pass).await;
    check_calls(json!([]), Value::Null, &[look()], Scored(false, 0.0)).await;
    check_calls(json!("refund"), Value::Null, &[look()], Cannot).await;
    check_calls(json!([{ "name": "x", "args": {} }]), Value::Null, &[look()], Cannot).await;
    check_calls(want, json!({ "ordre": "same" }), &[look()], Cannot).await;
}

#[tokio::test]
async fn matchers_loosen_arguments() {
    let with = |arguments: Value| json!([{ "name": "f", "arguments": arguments }]);
    let f = |arguments: Value| vec![("f", arguments)];
    check_calls(with(json!({ "a": { "$any": [1, "one"] } })), Value::Null, &f(json!({ "a": "one" })), Pass)
        .await;
    check_calls(with(json!({ "a": { "$any": [1, "one"] } })), Value::Null, &f(json!({ "a": 2 })), Fail).await;
    check_calls(with(json!({ "a": { "$optional": 1 } })), Value::Null, &f(json!({})), Pass).await;
    check_calls(with(json!({ "a": { "$optional": 1 } })), Value::Null, &f(json!({ "a": 2 })), Fail).await;
    check_calls(
        with(json!({ "a": { "$optional": { "$any": [1, 2] } } })),
        Value::Null,
        &f(json!({ "a": 2 })),
        Pass,
    )
    .await;
    check_calls(with(json!({ "a": { "$regex": "^\\d+$" } })), Value::Null, &f(json!({ "a": "12" })), Pass)
        .await;
    check_calls(with(json!({ "a": { "$regex": "^\\d+$" } })), Value::Null, &f(json!({ "a": "1x" })), Fail)
        .await;
    check_calls(with(json!({ "a": { "$regex": "(" } })), Value::Null, &f(json!({ "a": "1x" })), Cannot).await;
    check_calls(
        with(json!({ "a": [{ "b": { "$any": [1] } }] })),
        Value::Null,
        &f(json!({ "a": [{ "b": 1 }] })),
        Pass,
    )
    .await;
    check_calls(with(json!({ "a": 1 })), Value::Null, &f(json!({ "a": 1, "b": 2 })), Fail).await;
}

#[tokio::test]
async fn the_best_pairing_counts_and_differences_are_named() {
    let any = |choices: Value| json!({ "name": "f", "arguments": { "a": { "$any": choices } } });
    let made = [("f", json!({ "a": 1 })), ("f", json!({ "a": 2 }))];
    check_calls(json!([any(json!([1, 2])), any(json!([1]))]), Value::Null, &made, Pass).await;
    let wrong = assertion("tool-calls", json!([{ "name": "f", "arguments": { "a": 1, "b": { "c": 2 } } }]));
    let why = judge(wrong, calls(&[("f", json!({ "a": 1, "b": { "c": 3 } }))])).await.unwrap().why;
    assert!(why.contains("f.b.c is 3, not 2"), "{why}");
    let negated = assertion("not-tool-calls", json!(["f"]));
    expect("negated", Scored(false, 0.0), &judge(negated.clone(), calls(&[("f", json!({}))])).await);
    expect("negated", Pass, &judge(negated, calls(&[("g", json!({}))])).await);
}

#[tokio::test]
async fn names_of_called_tools_are_scored() {
    let cases = [
        (json!(["a", "b"]), vec!["a", "b", "a"], Pass),
        (json!("a, b"), vec!["b", "a"], Pass),
        (json!("a, b"), vec!["a"], Scored(false, 2.0 / 3.0)),
        (json!("a"), vec!["b"], Scored(false, 0.0)),
        (json!("a"), vec![], Scored(false, 0.0)),
        (json!(" ,"), vec!["a"], Cannot),
        (json!({}), vec!["a"], Cannot),
    ];
    for (value, made, is) in cases {
        let made: Vec<(&str, Value)> = made.into_iter().map(|name| (name, json!({}))).collect();
        let got = judge(assertion("tool-call-f1", value.clone()), calls(&made)).await;
        expect(&format!("{value} on {made:?}"), is, &got);
    }
    let lenient = Assertion { threshold: Some(0.6), ..assertion("tool-call-f1", json!("a, b")) };
    expect("lenient", Scored(true, 2.0 / 3.0), &judge(lenient, calls(&[("a", json!({}))])).await);
}

#[tokio::test]
async fn calls_are_valid_by_the_tools_of_release_and_case() {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
    let openai = json!({ "type": "function", "function": { "name": "add", "parameters": schema } });
    let mcp = json!({ "name": "sub", "inputSchema": schema });
    let mut case = case(vec![assertion("is-valid-openai-tools-call", Value::Null)]);
    let none = score(&case, &[calls(&[("add", json!({ "n": 1 }))])], &[], &Told::default()).await;
    expect("no tools are known", Cannot, &none);
    case.request.insert("tools".to_owned(), json!([openai]));
    for (call, is) in [
        (calls(&[("add", json!({ "n": 1 }))]), Pass),
        (calls(&[("sub", json!({ "n": 1 })), ("add", json!({ "n": 2 }))]), Pass),
        (calls(&[("add", json!({ "n": 1 })), ("sub", json!({ "n": "1" }))]), Fail),
        (calls(&[("mul", json!({ "n": 1 }))]), Fail),
        (calls(&[("add", json!("{broken"))]), Fail),
        (says("no call"), Fail),
    ] {
        let got =
            score(&case, std::slice::from_ref(&call), std::slice::from_ref(&mcp), &Told::default()).await;
        expect(&format!("{:?}", call.tool_calls), is, &got);
    }
}
