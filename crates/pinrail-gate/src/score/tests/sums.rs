use super::*;

fn weighed(kind: &str, value: &str, weight: f64) -> Assertion {
    Assertion { weight: Some(weight), ..assertion(kind, json!(value)) }
}

async fn sum(case: &Case) -> Score {
    score(case, &[says("one two")], &[], &Told::default()).await.unwrap()
}

#[tokio::test]
async fn the_score_is_the_weighted_mean_and_all_must_pass() {
    let nothing = sum(&case(vec![])).await;
    assert!(nothing.pass && nothing.score == 1.0);
    let both = case(vec![weighed("contains", "one", 3.0), weighed("contains", "three", 1.0)]);
    let score = sum(&both).await;
    assert!(!score.pass && score.score == 0.75);
    assert_eq!(score.why, "contains: the answer should contain “three”");
    let enough = Case { threshold: Some(0.7), ..both.clone() };
    let score = sum(&enough).await;
    assert!(score.pass && score.why.is_empty() && !score.parts[1].pass);
    let missed = sum(&Case { threshold: Some(0.8), ..both }).await;
    assert!(!missed.pass && missed.why.starts_with("the score 0.75 is below 0.8; contains: "));
}

#[tokio::test]
async fn what_has_no_weight_is_only_reported() {
    let score = sum(&case(vec![weighed("contains", "three", 0.0), weighed("contains", "one", 1.0)])).await;
    assert!(score.pass && score.score == 1.0 && !score.parts[0].pass);
    let broken = sum(&case(vec![weighed("regex", "(", 0.0), weighed("contains", "one", 1.0)])).await;
    assert!(broken.pass && broken.parts[0].why.contains("can't be judged"));
}

#[tokio::test]
async fn metrics_are_weighted_means_of_their_own() {
    let named = |kind: &str, value: &str, weight: f64| Assertion {
        metric: Some("words".to_owned()),
        ..weighed(kind, value, weight)
    };
    let set = Assertion {
        kind: AssertKind::AssertSet,
        asserts: vec![named("contains", "three", 1.0), named("contains", "two", 1.0)],
        threshold: Some(0.5),
        ..Assertion::default()
    };
    let score = sum(&case(vec![named("contains", "one", 2.0), set])).await;
    assert!(score.pass && (score.score - 2.5 / 3.0).abs() < 1e-9);
    assert_eq!(score.named["words"], 0.75);
    assert_eq!(
        score.parts.iter().map(|part| part.kind.as_str()).collect::<Vec<_>>(),
        ["contains", "assert-set", "contains", "contains"]
    );
    let reported = sum(&case(vec![named("contains", "one", 0.0)])).await;
    assert_eq!(reported.named["words"], 1.0);
}

#[tokio::test]
async fn turns_are_judged_by_their_own_answers() {
    let mut two = case(vec![
        assertion("contains", json!("second")),
        Assertion { threshold: Some(200.0), ..assertion("latency", Value::Null) },
    ]);
    two.turns[0].asserts.push(assertion("contains", json!("first")));
    two.turns
        .push(Turn { messages: vec![json!({ "role": "user", "content": "and?" })], asserts: Vec::new() });
    two.asserts.push(assertion("tool-call-f1", json!("look, buy")));
    let mut first = calls(&[("look", json!({}))]);
    first.text = "first".to_owned();
    first.finish_reason = Some("stop".to_owned());
    let mut second = calls(&[("buy", json!({}))]);
    second.text = "second".to_owned();
    second.finish_reason = Some("stop".to_owned());
    let score = score(&two, &[first.clone(), second], &[], &Told::default()).await.unwrap();
    assert!(score.pass, "{}", score.why);
    assert_eq!(score.parts.iter().map(|part| part.turn).collect::<Vec<_>>(), [Some(1), None, None, None]);
    let short = super::score(&two, &[first], &[], &Told::default()).await;
    assert_eq!(short, Err(CannotScore::Script("there is no answer to turn 2".to_owned())));
}

#[tokio::test]
async fn transforms_make_what_is_judged() {
    let mut whole = case(vec![assertion("equals", json!("TWO"))]);
    whole.transform = Some("output.split(' ')[1].toUpperCase()".to_owned());
    assert!(sum(&whole).await.pass);
    whole.asserts[0].transform = Some("output + '!'".to_owned());
    whole.asserts[0].value = json!("TWO!");
    assert!(sum(&whole).await.pass);
    whole.transform = Some("({ words: output.split(' ') })".to_owned());
    whole.asserts =
        vec![assertion("is-json", Value::Null), assertion("javascript", json!("output.words.length === 2"))];
    assert!(sum(&whole).await.pass);
    whole.transform = Some("JSON.parse(output).answer".to_owned());
    whole.asserts = vec![assertion("not-contains", json!("x")), assertion("finish-reason", json!("stop"))];
    let score = sum(&whole).await;
    assert!(!score.pass && !score.parts[0].pass && score.parts[1].pass, "{score:?}");
    assert!(score.why.contains("the transform failed on the answer: SyntaxError"), "{}", score.why);
    whole.transform = Some("nonsense(output)".to_owned());
    assert!(super::score(&whole, &[says("x")], &[], &Told::default()).await.is_err());
}
