//! Conversations: turns, tools, variables.

use super::*;

fn calls(calls: &[(&str, &str, Value)]) -> Result<Reply, AskFailed> {
    let tool_calls: Vec<ToolCall> = calls
        .iter()
        .map(|(id, name, arguments)| ToolCall {
            id: Some((*id).to_owned()),
            name: (*name).to_owned(),
            arguments: arguments.to_string(),
        })
        .collect();
    let listed = tool_calls.iter().map(|call| {
        json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
    });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": listed.collect::<Vec<_>>() });
    Ok(Reply { message, tool_calls, is_pin: true, latency_ms: 250.0, ..Reply::default() })
}

fn script(name: &str, arguments: Value, result: Value) -> ToolResult {
    ToolResult { name: name.to_owned(), arguments, result }
}

fn roles(asked: &Asked) -> Vec<&str> {
    asked.body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect()
}

/// One answer of the candidate alone to one case.
async fn alone(
    case: Case,
    answer: impl Fn(&Asked) -> Result<Reply, AskFailed> + Send + Sync + 'static,
) -> Bench {
    let mut bench = Bench::new(vec![case], answer).await;
    bench.job.incumbent = None;
    bench.job.settings.repeats = 1;
    bench.job.settings.repeats_max = 1;
    bench.report().await;
    bench
}

#[tokio::test(start_paused = true)]
async fn calls_of_tools_are_answered_by_the_script() {
    let mut weather = case("what is the weather?");
    weather.tool_results = vec![
        script("weather", json!({ "city": "Rome" }), json!("rain")),
        script("weather", Value::Null, json!({ "sky": "clear" })),
    ];
    weather.request = BTreeMap::from([("temperature".to_owned(), json!(0))]);
    weather.vars = BTreeMap::from([("name".to_owned(), json!("Ada"))]);
    let bench = alone(weather, |asked| match asked.number {
        0 => {
            calls(&[("a", "weather", json!({ "city": "Oslo" })), ("b", "weather", json!({ "city": "Rome" }))])
        }
        1 => calls(&[("c", "weather", json!({ "city": "Rome" }))]),
        _ => says("good: take an umbrella"),
    })
    .await;
    let asked = bench.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(roles(&asked[1]), ["user", "assistant", "tool", "tool"]);
    let messages = &asked[1].body["messages"];
    assert_eq!(messages[2], json!({ "role": "tool", "tool_call_id": "a", "content": "{\"sky\":\"clear\"}" }));
    assert_eq!(messages[3], json!({ "role": "tool", "tool_call_id": "b", "content": "rain" }));
    assert_eq!(
        (&asked[0].body["temperature"], &asked[0].body["pinrail"]),
        (&json!(0), &json!({ "variables": { "name": "Ada" } }))
    );
    let rows = bench.rows().await;
    let answer = &rows[0].answers[0];
    assert_eq!((answer.text.as_str(), answer.tool_calls.len()), ("good: take an umbrella", 3));
    assert_eq!((answer.latency_ms, answer.cost_nano_usd), (500.0, Some(1_000)));
    assert!(matches!(&rows[0].outcome, Outcome::Scored(score) if score.pass));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_script_ends_the_turn() {
    let bench = alone(case("refund me"), |_| calls(&[("a", "refund", json!({ "order": 7 }))])).await;
    assert_eq!(bench.count(), 1);
    let rows = bench.rows().await;
    assert_eq!(rows[0].answers[0].tool_calls[0].name, "refund");
    assert!(!is_error(&rows[0]), "{rows:?}");
}

#[tokio::test(start_paused = true)]
async fn turns_follow_each_other_and_leave_no_call_open() {
    let mut case = case("refund me");
    case.turns.push(Turn { messages: vec![json!({ "role": "user", "content": "well?" })], asserts: vec![] });
    let bench = alone(case, |asked| match asked.said() {
        "well?" => says("good"),
        _ => calls(&[("a", "refund", json!({}))]),
    })
    .await;
    let asked = bench.asked();
    assert_eq!(roles(&asked[1]), ["user", "assistant", "tool", "user"]);
    assert_eq!(asked[1].body["messages"][2]["tool_call_id"], "a");
    let rows = bench.rows().await;
    assert_eq!(rows[0].answers.len(), 2);
    assert_eq!(rows[0].answers[1].text, "good");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_in_circles_is_judged_as_it_is() {
    let mut circles = case("look it up");
    circles.tool_results = vec![script("look", Value::Null, json!("nothing"))];
    let bench = alone(circles, |_| calls(&[("a", "look", json!({}))])).await;
    assert_eq!(bench.count(), 16);
    assert!(matches!(&bench.rows().await[0].outcome, Outcome::Scored(score) if !score.pass));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_breaks_keeps_what_was_said() {
    let mut case = case("one");
    case.turns.push(Turn { messages: vec![json!({ "role": "user", "content": "two" })], asserts: vec![] });
    let bench = alone(case, |asked| match asked.said() {
        "one" => says("good"),
        _ => Err(AskFailed::Lasting("too long".to_owned())),
    })
    .await;
    let rows = bench.rows().await;
    assert_eq!(rows[0].outcome, Outcome::Error { why: "too long".to_owned() });
    assert_eq!((rows[0].answers[0].text.as_str(), rows[0].answers.len()), ("good", 2));
    assert_eq!(*bench.fake.ended.lock().unwrap(), [false]);
}
