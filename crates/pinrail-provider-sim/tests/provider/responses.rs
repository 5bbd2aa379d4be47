//! OpenAI's responses dialect: the shape of answers and streams, reasoning, and going on from a kept response.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Client, GOOD, events};

fn ask(input: Value, extra: Value) -> Value {
    let mut body = json!({"model": GOOD, "input": input});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let schema = json!({"type": "object", "required": ["what"], "properties": {"what": {"type": "string"}}});
    json!([{"type": "function", "name": "look_up", "parameters": schema, "strict": null}])
}

#[tokio::test]
async fn a_response_has_openais_shape_and_a_stream_its_events() {
    let client = Client::builtin(7);
    let mut body = ask(json!("What is 17 + 25?"), json!({"metadata": {"a": "b"}, "temperature": 0}));
    let response = client.post("/v1/responses", &body).await.json();
    assert!(response["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(
        json!([
            response["object"],
            response["status"],
            response["model"],
            response["metadata"],
            response["temperature"]
        ]),
        json!(["response", "completed", GOOD, {"a": "b"}, 0])
    );
    let message = &response["output"][0];
    assert_eq!(
        json!([message["type"], message["role"], message["status"]]),
        json!(["message", "assistant", "completed"])
    );
    assert_eq!(message["content"][0]["text"], "17 + 25 is 42.");
    assert_eq!(response["usage"]["total_tokens"], 13);
    body["stream"] = json!(true);
    let events = events(&client.post("/v1/responses", &body).await.text());
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let delta = "response.output_text.delta";
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            delta,
            delta,
            delta,
            delta,
            delta,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (at, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(at)));
    }
    let text: String = events
        .iter()
        .filter(|(name, _)| name == delta)
        .map(|(_, data)| data["delta"].as_str().unwrap())
        .collect();
    assert_eq!(text, "17 + 25 is 42.");
    let last = &events.last().unwrap().1["response"];
    assert_eq!((&last["output"][0]["content"], &last["usage"]), (&message["content"], &response["usage"]));
}

#[tokio::test]
async fn calls_and_refusals_and_reasoning_are_streamed_by_their_own_events() {
    let client =
        Client::scripted("[[checkpoint]]\nid = \"m\"\n[[checkpoint]]\nid = \"no\"\nrefusal_rate = 1", 1);
    let check = async |model: &str, extra: Value, wanted: &[&str], last: &str| {
        let mut body = ask(json!("look_up 'the sea'"), extra);
        (body["model"], body["stream"]) = (json!(model), json!(true));
        let events = events(&client.post("/v1/responses", &body).await.text());
        for want in wanted {
            assert!(events.iter().any(|(name, _)| name == want), "{want}: {events:?}");
        }
        assert_eq!(events.last().unwrap().0, last);
        let done = events.iter().filter(|(name, _)| name == "response.output_item.done");
        let done: Vec<&Value> = done.map(|(_, data)| &data["item"]).collect();
        assert_eq!(json!(done), events.last().unwrap().1["response"]["output"]);
    };
    let call = ["response.function_call_arguments.delta", "response.function_call_arguments.done"];
    check("m", json!({"tools": tools()}), &call, "response.completed").await;
    check("no", json!({}), &["response.refusal.delta", "response.refusal.done"], "response.completed").await;
    let summary = [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
    ];
    check("m", json!({"reasoning": {"effort": "low", "summary": "auto"}}), &summary, "response.completed")
        .await;
    check("m", json!({"reasoning": {"effort": "low"}}), &[], "response.completed").await;
    check("m", json!({"max_output_tokens": 16}), &[], "response.incomplete").await;
}

#[tokio::test]
async fn reasoning_comes_back_unchanged_or_is_refused() {
    let client = Client::builtin(1);
    let extra = json!({"tools": tools(), "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "store": false});
    let question = json!({"role": "user", "content": "look_up 'the sea'"});
    let said = client.post("/v1/responses", &ask(json!([question]), extra.clone())).await.json();
    let output = said["output"].as_array().unwrap().clone();
    assert_eq!(
        (&output[0]["type"], &output[0]["summary"], &output[1]["type"]),
        (&json!("reasoning"), &json!([]), &json!("function_call"))
    );
    assert!(said["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    let mut input = vec![question];
    input.extend(output.clone());
    input.push(json!({"type": "function_call_output", "call_id": output[1]["call_id"], "output": "salty"}));
    let answer = client.post("/v1/responses", &ask(json!(input), extra.clone())).await.json();
    assert_eq!(answer["output"][1]["content"][0]["text"], "The tool answered: \"salty\"", "{answer}");
    input[1]["encrypted_content"] = json!("gAAAAABsomething");
    let refused = client.post("/v1/responses", &ask(json!(input), extra)).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_encrypted_content"))
    );
}

#[tokio::test]
async fn a_kept_response_is_gone_on_from_shown_and_deleted() {
    let client = Client::builtin(1);
    let first = client
        .post(
            "/v1/responses",
            &ask(json!("look_up 'the sea'"), json!({"tools": tools(), "instructions": "Be kind."})),
        )
        .await
        .json();
    let id = first["id"].as_str().unwrap();
    let result = json!([{"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "salty"}]);
    let second = client
        .post("/v1/responses", &ask(result.clone(), json!({"previous_response_id": id, "tools": tools()})))
        .await
        .json();
    assert_eq!(second["output"][0]["content"][0]["text"], "The tool answered: \"salty\"");
    // The same, told anew: the earlier instructions aren't carried over.
    let mut input = vec![json!({"role": "user", "content": "look_up 'the sea'"})];
    input.push(json!({"type": "item_reference", "id": first["output"][0]["id"]}));
    input.extend(result.as_array().unwrap().clone());
    let told = client.post("/v1/responses", &ask(json!(input), json!({"tools": tools()}))).await.json();
    assert_eq!(
        (&told["output"][0]["content"], &told["usage"]),
        (&second["output"][0]["content"], &second["usage"])
    );
    assert_eq!(client.get(&format!("/v1/responses/{id}")).await.json(), first);
    let deleted = client.send("DELETE", &format!("/v1/responses/{id}"), Vec::new()).await.json();
    assert_eq!(deleted, json!({"id": id, "object": "response", "deleted": true}));
    assert_eq!(client.get(&format!("/v1/responses/{id}")).await.status, StatusCode::NOT_FOUND);
    let gone = client.post("/v1/responses", &ask(json!("hi"), json!({"previous_response_id": id}))).await;
    assert_eq!(
        (gone.status, &gone.json()["error"]["code"]),
        (StatusCode::BAD_REQUEST, &json!("previous_response_not_found"))
    );
    let unkept = client.post("/v1/responses", &ask(json!("hi"), json!({"store": false}))).await.json();
    assert_eq!(
        client.get(&format!("/v1/responses/{}", unkept["id"].as_str().unwrap())).await.status,
        StatusCode::NOT_FOUND
    );
}
