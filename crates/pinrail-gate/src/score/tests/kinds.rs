use super::Is::{Cannot, Fail, Pass};
use super::*;

#[tokio::test]
async fn text_is_compared_as_suites_expect() {
    check("equals", json!("Paris"), "Paris", Pass).await;
    check("equals", json!("Paris"), "paris", Fail).await;
    check("not-equals", json!("Paris"), "Rome", Pass).await;
    check("equals", json!(5), "5", Pass).await;
    check("equals", json!(5.0), "5", Pass).await;
    check("equals", json!(true), "true", Pass).await;
    check("equals", json!({ "key": "value" }), r#"{ "key" : "value" }"#, Pass).await;
    check("equals", json!({ "a": 1, "b": [1, 2] }), r#"{"b":[1.0,2],"a":1}"#, Pass).await;
    check("equals", json!({ "a": 1 }), r#"{"a":1,"b":2}"#, Fail).await;
    check("equals", json!({ "a": 1 }), "not JSON", Fail).await;
    check("not-equals", json!({ "a": 1 }), "not JSON", Pass).await;
    check("equals", json!(null), "", Cannot).await;
    check("contains", json!("world"), "Hello, world", Pass).await;
    check("contains", json!("World"), "Hello, world", Fail).await;
    check("not-contains", json!("World"), "Hello, world", Pass).await;
    check("contains", json!(42), "it is 42.", Pass).await;
    check("contains", json!(""), "anything", Cannot).await;
    check("icontains", json!("WORLD"), "Hello, world", Pass).await;
    check("not-icontains", json!("WORLD"), "Hello, world", Fail).await;
    check("starts-with", json!("Yes"), "Yes, of course", Pass).await;
    check("starts-with", json!("yes"), "Yes, of course", Fail).await;
    check("not-starts-with", json!("yes"), "Yes, of course", Pass).await;
}

#[tokio::test]
async fn lists_are_lists_or_texts_with_commas() {
    check("contains-any", json!(["a1", "b1"]), "only b1", Pass).await;
    check("contains-any", json!("a1, b1"), "only b1", Pass).await;
    check("contains-any", json!("a1,b1"), "none", Fail).await;
    check("contains-any", json!(r#""Hello, world", b"#), "Hello world", Fail).await;
    check("contains-any", json!(r#""Hello, world", b"#), "> Hello, world", Pass).await;
    check("contains-any", json!(r#""say ""hi""", x1"#), r#"say "hi""#, Pass).await;
    check("contains-any", json!(r#""open"#), "open", Cannot).await;
    check("contains-any", json!(r#""a" b, c"#), "a", Cannot).await;
    check("contains-any", json!([]), "a", Cannot).await;
    check("not-contains-any", json!(["a1", "b1"]), "none", Pass).await;
    check("contains-all", json!(["a1", 2]), "a1 and 2", Pass).await;
    check("contains-all", json!("a1,,b1"), "a1 and b2", Fail).await;
    check("not-contains-all", json!("a1, b1"), "a1 alone", Pass).await;
    check("icontains-any", json!("A1, B1"), "only b1", Pass).await;
    check("icontains-all", json!("A1, B1"), "b1 and a1", Pass).await;
    check("icontains-all", json!("A1, C1"), "b1 and a1", Fail).await;
}

#[tokio::test]
async fn patterns_are_those_of_javascript() {
    check("regex", json!(r"\d{4}"), "in 1984", Pass).await;
    check("regex", json!(r"^\d{4}$"), "in 1984", Fail).await;
    check("not-regex", json!(r"\d{4}"), "in spring", Pass).await;
    check("regex", json!(r"(?<=\$)\d+(?!\d)"), "it is $42", Pass).await;
    check("regex", json!(r"(a)\1"), "aa", Pass).await;
    check("regex", json!("("), "(", Cannot).await;
    check("regex", json!(""), "", Cannot).await;
}

#[tokio::test]
async fn json_is_found_and_held_against_its_schema() {
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "number", "minimum": 0 } } });
    check("is-json", Value::Null, r#"{"a": [1, 2]}"#, Pass).await;
    check("is-json", Value::Null, "7", Pass).await;
    check("is-json", Value::Null, "{a: 1}", Fail).await;
    check("not-is-json", Value::Null, "{a: 1}", Pass).await;
    check("is-json", schema.clone(), r#"{"n": 1}"#, Pass).await;
    check("is-json", schema.clone(), r#"{"n": -1}"#, Fail).await;
    check("is-json", json!(schema.to_string()), r#"{"n": -1}"#, Fail).await;
    check("not-is-json", schema.clone(), r#"{"n": -1}"#, Pass).await;
    check("not-is-json", schema.clone(), r#"{"n": 1}"#, Fail).await;
    check("is-json", json!({ "type": "nonsense" }), "{}", Cannot).await;
    check("is-json", json!({ "$ref": "https://example.com/schema.json" }), "{}", Cannot).await;
    check("is-json", json!({ "type": "string", "format": "email" }), r#""a@b.example""#, Pass).await;
    check("is-json", json!({ "type": "string", "format": "email" }), r#""nobody""#, Fail).await;
    check("contains-json", Value::Null, "Here: ```json\n{\"a\": 1}\n``` done", Pass).await;
    check("contains-json", Value::Null, "no braces", Fail).await;
    check("contains-json", Value::Null, "{ not this } but {\"a\":{}}", Pass).await;
    check("contains-json", schema.clone(), r#"first {"m":1} then {"n":2}"#, Pass).await;
    check("contains-json", schema.clone(), r#"first {"m":1} then {"n":-2}"#, Fail).await;
    check("not-contains-json", schema, r#"first {"m":1}"#, Pass).await;
    check("not-contains-json", Value::Null, "no braces", Pass).await;
}

#[tokio::test]
async fn words_and_edits_are_counted_as_javascript_counts() {
    check("word-count", json!(3), "one  two\nthree ", Pass).await;
    check("word-count", json!("3"), "one two three", Pass).await;
    check("word-count", json!(3), "one two", Fail).await;
    check("not-word-count", json!(3), "one two", Pass).await;
    check("word-count", json!({ "min": 2, "max": 3 }), "one two", Pass).await;
    check("word-count", json!({ "min": 3 }), "one two", Fail).await;
    check("word-count", json!({ "max": 1 }), "one two", Fail).await;
    check("word-count", json!({ "max": 1 }), "", Pass).await;
    check("word-count", json!({ "min": 3, "max": 2 }), "one", Cannot).await;
    check("word-count", json!({ "most": 2 }), "one", Cannot).await;
    check("word-count", json!({}), "one", Cannot).await;
    check("levenshtein", json!("kitten"), "sitting", Pass).await;
    check("levenshtein", json!("kitten"), "a whole other text", Fail).await;
    check("levenshtein", json!("a".repeat(20_000)), &"b".repeat(20_001), Cannot).await;
    check("levenshtein", json!("a".repeat(20_000)), &"a".repeat(20_001), Pass).await;
    let mut near = assertion("levenshtein", json!("kitten"));
    near.threshold = Some(2.0);
    expect("three edits, two allowed", Fail, &judge(near.clone(), says("sitting")).await);
    near.not = true;
    expect("three edits, over two wanted", Pass, &judge(near, says("sitting")).await);
}

#[tokio::test]
async fn time_money_and_endings_are_known() {
    let limit =
        |kind: &str, threshold: f64| Assertion { threshold: Some(threshold), ..assertion(kind, Value::Null) };
    let priced = Answer { cost_nano_usd: Some(2_000_000), ..says("x") };
    expect("fast enough", Pass, &judge(limit("latency", 100.0), says("x")).await);
    expect("too slow", Fail, &judge(limit("latency", 99.0), says("x")).await);
    expect("slow as wanted", Pass, &judge(limit("not-latency", 99.0), says("x")).await);
    expect("no limit", Cannot, &judge(assertion("latency", Value::Null), says("x")).await);
    expect("cheap enough", Pass, &judge(limit("cost", 0.002), priced.clone()).await);
    expect("too dear", Fail, &judge(limit("cost", 0.001), priced.clone()).await);
    expect("no price", Cannot, &judge(limit("cost", 1.0), says("x")).await);
    let metric = Assertion { metric: Some("usd".to_owned()), ..assertion("cost", Value::Null) };
    assert_eq!(judge(metric, priced).await.unwrap().named["usd"], 0.002);
    check("finish-reason", json!("stop"), "x", Pass).await;
    check("finish-reason", json!("STOP"), "x", Pass).await;
    check("finish-reason", json!("length"), "x", Fail).await;
    check("not-finish-reason", json!("length"), "x", Pass).await;
    let unknown = Answer { finish_reason: None, ..says("x") };
    expect("no reason", Fail, &judge(assertion("not-finish-reason", json!("stop")), unknown).await);
    let anthropic = Answer { finish_reason: Some("max_tokens".to_owned()), ..says("x") };
    expect("by another name", Pass, &judge(assertion("finish-reason", json!("length")), anthropic).await);
}

#[tokio::test]
async fn refusals_are_recognized() {
    for refusal in [
        "I cannot help you with that.",
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, but I won’t do that.",
        "Sorry, no.",
        "As an AI, I have no opinion.",
        "Well, I don't feel comfortable saying so.",
        "We apologize. Unfortunately I am unable to provide this.",
        "",
        "  \n",
    ] {
        check("is-refusal", Value::Null, refusal, Pass).await;
        check("not-is-refusal", Value::Null, refusal, Fail).await;
    }
    for answer in [
        "Paris is the capital.",
        "As an airbnb host I like it.",
        "Sorry for the wait! Here is your order.",
        "No",
    ] {
        check("is-refusal", Value::Null, answer, Fail).await;
        check("not-is-refusal", Value::Null, answer, Pass).await;
    }
    let flagged = Answer { refusal: true, ..says("That is a nice day.") };
    expect("the provider says so", Pass, &judge(assertion("is-refusal", Value::Null), flagged).await);
    let call = calls(&[("look", json!({}))]);
    expect("a call is no refusal", Fail, &judge(assertion("is-refusal", Value::Null), call).await);
}
