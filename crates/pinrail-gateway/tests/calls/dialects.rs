//! Every client's dialect with every provider's.

use std::time::Duration;

use http::StatusCode;
use pinrail_domain::journal::{Ending, Event, ModelResponse, Outcome};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::{ProviderSpec, Timeouts};
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::said::{
    ALL, Said, api, ask, calling, data, error, error_event, events, hello, speaking, streaming,
};
use crate::simulated::simulated;
use crate::world::{Connection, SNAPSHOT, Setup, World, next, text, whole};

const SCRIPT: &str = r#"
[[checkpoint]]
id = "sim-1-2026-01-15"
scripted = [{ contains = "refund", tool = { name = "refund", arguments = { cents = 5 } } }]
"#;
const TOOLS: &str = r#"[{"type":"function","function":{"name":"refund","description":"Pays back.",
    "parameters":{"type":"object","properties":{"cents":{"type":"integer"}},"required":["cents"]}}}]"#;

fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    ALL.into_iter().flat_map(|client| ALL.into_iter().map(move |provider| (client, provider)))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The last answer in the journal, and how its run ended.
async fn ended(world: &World) -> (ModelResponse, Event) {
    let journal = world.journal().await;
    let [.., Event::ModelResponse(response), finished] = &journal[..] else { panic!("{journal:?}") };
    ((**response).clone(), finished.clone())
}

/// The error of an answer or of a stream's last event: its kind, code, param and message.
fn told(client: Dialect, value: &Value) -> [String; 4] {
    let error = if value["error"].is_object() { &value["error"] } else { value };
    assert_eq!(
        client == Dialect::Messages,
        value["type"] == "error" && value["error"].is_object(),
        "{value}"
    );
    ["type", "code", "param", "message"].map(|name| error[name].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn every_client_gets_from_every_provider_what_it_said() {
    async fn check(client: Dialect, provider: Dialect, stream: bool, refund: bool) {
        let case = format!("{} to {}, stream {stream}, tool {refund}", client.word(), provider.word());
        let spec = ProviderSpec { apis: vec![api(provider)], ..ProviderSpec::simulated() };
        let world = simulated(SCRIPT, Setup { spec, tools: Some(TOOLS), ..Setup::default() }).await;
        let fields = if stream { streaming(client) } else { json!({}) };
        let words = if refund { "I want a refund" } else { "What is 17 + 25?" };
        let answer = world.gateway.handle(ask(client, words, fields), &Tenants::All).await;
        let head = answer.headers().clone();
        assert_eq!(answer.status(), StatusCode::OK, "{case}: {}", text(answer).await);
        for name in ["x-pinrail-run", "x-pinrail-release", "x-pinrail-deployment", "x-pinrail-epoch"] {
            assert!(head.contains_key(name), "{case}: {name}");
        }
        let kind = if stream { "text/event-stream" } else { "application/json" };
        assert!(head["content-type"].to_str().unwrap().starts_with(kind), "{case}");
        let body = text(answer).await;
        let said = if stream { Said::streamed(client, &body) } else { Said::whole(client, &json(&body)) };
        let calls = if refund { vec![("refund".to_owned(), json!({"cents": 5}))] } else { Vec::new() };
        assert_eq!(said.calls, calls, "{case}: {body}");
        assert_eq!(said.text.contains("42"), !refund, "{case}: {body}");
        let finish = match (client, refund) {
            (Dialect::Chat, false) => "stop",
            (Dialect::Chat, true) => "tool_calls",
            (Dialect::Responses, _) => "completed",
            (Dialect::Messages, false) => "end_turn",
            (Dialect::Messages, true) => "tool_use",
        };
        assert_eq!(
            (said.finish.as_str(), said.model.as_str()),
            (finish, "sim-1-2026-01-15"),
            "{case}: {body}"
        );
        let (response, finished) = ended(&world).await;
        let usage = response.usage.unwrap();
        assert!(usage.input_tokens > 0 && usage.output_tokens > 0, "{case}: {usage:?}");
        assert_eq!(
            (said.input_tokens, said.output_tokens),
            (usage.input_tokens, usage.output_tokens),
            "{case}: {body}"
        );
        assert_eq!(response.served_model.as_deref(), Some("sim-1-2026-01-15"), "{case}");
        assert_eq!((response.ending, response.empty), (Ending::Complete, false), "{case}");
        assert_eq!(response.tool_calls.len(), usize::from(refund), "{case}");
        assert_eq!(finished, Event::Finished { outcome: Outcome::Ok, why: None }, "{case}");
    }
    for (client, provider) in pairs() {
        for (stream, refund) in [(false, false), (true, false), (false, true), (true, true)] {
            check(client, provider, stream, refund).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_speak_the_same_bytes_pass_as_they_are() {
    async fn check(client: Dialect, spaced: &str) {
        let mut world = speaking(client).build();
        let body = spaced.replace("MODEL", "support");
        let path = ask(client, "hi", json!({})).uri().clone();
        let request = http::Request::post(path).body(http_body_util::Full::new(body.into())).unwrap();
        let mut answer = hello(client);
        answer["from_the_future"] = json!({"x": [1.50, "é"]});
        let answer = format!(" {}\n", serde_json::to_string_pretty(&answer).unwrap());
        let (got, sent) = world
            .call(request, async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("200 OK", &[], &answer).await;
                connection.body.clone()
            })
            .await;
        assert_eq!(sent, json(&spaced.replace("MODEL", SNAPSHOT)));
        assert_eq!(text(got).await, answer);
        let mut world = speaking(client).build();
        let mut pieces = events(client, &hello(client));
        pieces
            .insert(1, "event: from_the_future\ndata: {\"type\": \"from_the_future\",  \"x\": 1}\n\n".into());
        let (got, ()) = stream(&mut world, client, &pieces, true).await;
        assert_eq!(got, pieces.concat());
    }
    let future = r#""from_the_future": {"y": [1, 2.50]}"#;
    let turns = r#""messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "odd": 1}]}]"#;
    check(Dialect::Messages, &format!(r#"{{"model": "MODEL", "max_tokens": 9, {turns}, {future}}}"#)).await;
    let turns = r#""input": [{"type": "item_reference", "id": "x", "odd": 1}]"#;
    check(Dialect::Responses, &format!(r#"{{"model": "MODEL", {turns}, {future}}}"#)).await;
}

/// Has a provider stream these pieces, and reads what the client gets; `proper` whether the stream ends as streams do.
async fn stream(world: &mut World, client: Dialect, pieces: &[String], proper: bool) -> (String, ()) {
    let (response, mut connection) = world
        .call(ask(client, "hi", streaming(client)), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(&pieces[0]).await;
            connection
        })
        .await;
    let rest = async {
        for piece in &pieces[1..] {
            connection.chunk(piece).await;
        }
        if proper {
            connection.end_stream().await;
        }
        drop(connection);
    };
    tokio::join!(text(response), rest)
}

#[tokio::test(start_paused = true)]
async fn fields_that_cannot_be_said_are_refused_unless_the_release_loses_them() {
    async fn check(client: Dialect, provider: Dialect, fields: Value, param: &str, feature: &str) {
        let case = format!("{} to {}: {fields}", client.word(), provider.word());
        let mut world = speaking(provider).build();
        let request = ask(client, "hi", fields.clone());
        let (head, body) =
            world.call(request, async |mut provider| assert!(!provider.was_asked())).await.0.into_parts();
        let body = json(&text(http::Response::from_parts(head.clone(), body)).await);
        let [kind, code, at, message] = told(client, &body);
        assert_eq!(
            (head.status, code.as_str(), at.as_str()),
            (StatusCode::BAD_REQUEST, "unconvertible_request", param),
            "{case}: {body}"
        );
        assert_eq!(kind, "invalid_request_error", "{case}");
        assert!(message.contains(feature), "{case}: {message}");
        assert!(head.headers.contains_key("x-pinrail-run"), "{case}");
        assert_eq!(world.kinds().await, ["model_failed", "finished"], "{case}");

        let mut world = speaking(provider).pin("model", "lossy", json!([feature])).build();
        let (answer, sent) = world
            .call(ask(client, "hi", fields.clone()), async |mut theirs| {
                let mut connection = theirs.accept().await;
                connection.answer("200 OK", &[], &hello(provider).to_string()).await;
                connection.body.clone()
            })
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{case}: {}", text(answer).await);
        assert_eq!(Said::whole(client, &json(&text(answer).await)).text, "hello", "{case}");
        let name = param.split(['.', '[']).next().unwrap();
        assert!(sent.get(name).is_none(), "{case}: {sent}");
    }
    use Dialect::{Chat, Messages, Responses};
    check(Chat, Messages, json!({"seed": 7}), "seed", "seed").await;
    check(Chat, Responses, json!({"seed": 7}), "seed", "seed").await;
    check(Chat, Messages, json!({"n": 2}), "n", "n").await;
    check(Chat, Messages, json!({"from_the_future": 1}), "from_the_future", "unknown_fields").await;
    check(Responses, Messages, json!({"previous_response_id": "r"}), "previous_response_id", "stored_state")
        .await;
    check(Responses, Chat, json!({"background": true}), "background", "background").await;
    check(Messages, Chat, json!({"top_k": 3}), "top_k", "top_k").await;
    check(Messages, Responses, json!({"top_k": 3}), "top_k", "top_k").await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_said_are_refused_and_journaled() {
    async fn check(client: Dialect, provider: Dialect, answer: Value, feature: &str) {
        let case = format!("{} to {}", client.word(), provider.word());
        let ask_it = async |setup: Setup| {
            let mut world = setup.build();
            let (got, ()) = world
                .call(ask(client, "hi", json!({})), async |mut provider| {
                    provider.accept().await.answer("200 OK", &[], &answer.to_string()).await;
                })
                .await;
            let (response, finished) = ended(&world).await;
            (whole(got).await, response, finished)
        };
        let (got, response, finished) = ask_it(speaking(provider)).await;
        let body: Value = serde_json::from_slice(got.body()).unwrap();
        let [_, code, _, message] = told(client, &body);
        assert_eq!((got.status().as_u16(), code.as_str()), (502, "unconvertible_answer"), "{case}: {body}");
        assert!(message.contains(feature), "{case}: {message}");
        assert_eq!(got.headers()["x-pinrail-fault"], "pinrail", "{case}");
        assert!(got.headers().contains_key("x-pinrail-run"), "{case}");
        assert_eq!((response.status, response.ending), (200, Ending::Error), "{case}");
        assert_eq!(response.usage.unwrap().output_tokens, 2, "{case}");
        assert!(matches!(finished, Event::Finished { outcome: Outcome::Error, why: Some(_) }), "{case}");
        let (got, response, _) = ask_it(speaking(provider).pin("model", "lossy", json!([feature]))).await;
        assert_eq!((got.status().as_u16(), response.ending), (200, Ending::Complete), "{case}");
    }
    let mut answer = hello(Dialect::Messages);
    answer["stop_reason"] = json!("pause_turn");
    check(Dialect::Chat, Dialect::Messages, answer.clone(), "server_tools").await;
    check(Dialect::Responses, Dialect::Messages, answer, "server_tools").await;
    let mut answer = hello(Dialect::Chat);
    answer["choices"][0]["message"]["audio"] =
        json!({"id": "a", "data": "", "expires_at": 1, "transcript": ""});
    check(Dialect::Messages, Dialect::Chat, answer, "audio").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_go_on_gives_what_came_before_and_then_the_error() {
    async fn check(client: Dialect) {
        let mut answer = hello(Dialect::Messages);
        answer["stop_reason"] = json!("pause_turn");
        let pieces = events(Dialect::Messages, &answer);
        // In one piece with what comes before it, too.
        for joined in [false, true] {
            let pieces = if joined { vec![pieces.concat()] } else { pieces.clone() };
            let mut world = speaking(Dialect::Messages).build();
            let (got, ()) = stream(&mut world, client, &pieces, true).await;
            let events = data(&got);
            assert!(got.contains("\"h\"") && got.contains("\"o\""), "{got}");
            let [_, code, _, message] = told(client, events.last().unwrap());
            assert_eq!(code, "unconvertible_answer", "{got}");
            assert!(message.contains("server_tools"), "{message}");
            let (response, finished) = ended(&world).await;
            assert_eq!(response.ending, Ending::Error);
            assert!(response.usage.is_some());
            assert!(matches!(finished, Event::Finished { outcome: Outcome::Error, why: Some(_) }));
        }
    }
    check(Dialect::Chat).await;
    check(Dialect::Responses).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_ends_with_an_error_in_the_clients_form() {
    async fn check(client: Dialect, provider: Dialect, kept: usize, proper: bool) {
        let case = format!("{} to {}, {kept} events", client.word(), provider.word());
        let mut world = speaking(provider).build();
        let mut pieces = events(provider, &hello(provider));
        pieces.truncate(kept);
        let (got, ()) = stream(&mut world, client, &pieces, proper).await;
        let events = data(&got);
        let [kind, code, _, message] = told(client, events.last().unwrap());
        assert_eq!(code, "provider_stream_cut", "{case}: {got}");
        assert!(message.contains("ask again"), "{case}: {message}");
        if client == Dialect::Messages {
            assert_eq!(kind, "api_error", "{case}");
        }
        let (response, finished) = ended(&world).await;
        assert_eq!((response.ending, response.status), (Ending::Cut, 200), "{case}");
        assert!(matches!(finished, Event::Finished { outcome: Outcome::Error, why: Some(_) }), "{case}");
    }
    for (client, provider) in pairs() {
        for kept in [1, 4] {
            check(client, provider, kept, true).await;
            check(client, provider, kept, false).await;
        }
    }
}

/// A stream of which the client has got the first events.
async fn begun(
    world: &mut World,
    client: Dialect,
    provider: Dialect,
) -> (http::Response<pinrail_gateway::Body>, Connection) {
    let first = events(provider, &hello(provider))[..5].concat();
    let (mut response, connection) = world
        .call(ask(client, "hi", streaming(client)), async |mut theirs| {
            let mut connection = theirs.accept().await;
            connection.begin_stream().await;
            connection.chunk(&first).await;
            connection
        })
        .await;
    let got = next(&mut response).await.unwrap();
    assert!(got.contains("\"h\""), "{got}");
    (response, connection)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stands_still_or_fails_or_is_left_frees_the_provider() {
    for (client, provider) in pairs() {
        let case = format!("{} to {}", client.word(), provider.word());
        let timeouts = Timeouts { idle_ms: 2_000, ..Timeouts::default() };
        let setup = || {
            let setup = speaking(provider);
            Setup { spec: ProviderSpec { timeouts, ..setup.spec }, ..setup }
        };
        // It stands still.
        let mut world = setup().build();
        let (response, mut connection) = begun(&mut world, client, provider).await;
        let got = text(response).await;
        let [_, code, _, message] = told(client, data(&got).last().unwrap());
        assert_eq!(code, "provider_idle_timeout", "{case}: {got}");
        assert!(message.contains("2000 ms"), "{case}");
        connection.closed().await;
        assert_eq!(ended(&world).await.0.ending, Ending::Cut, "{case}");

        // It fails.
        let mut world = setup().build();
        let (response, mut connection) = begun(&mut world, client, provider).await;
        connection.chunk(&error_event(provider)).await;
        connection.end_stream().await;
        let got = text(response).await;
        assert!(got.contains("overloaded") && !got.contains("[DONE]"), "{case}: {got}");
        let last = data(&got).pop().unwrap();
        match client {
            Dialect::Chat => assert!(last["error"]["message"].is_string(), "{case}: {got}"),
            Dialect::Responses => {
                assert!(last["type"] == "error" || last["type"] == "response.failed", "{case}: {got}")
            }
            Dialect::Messages => assert!(last["error"]["type"].is_string(), "{case}: {got}"),
        }
        let (response, finished) = ended(&world).await;
        assert_eq!(response.ending, Ending::Error, "{case}");
        let why = Some("overloaded".to_owned());
        assert_eq!(finished, Event::Finished { outcome: Outcome::Error, why }, "{case}");

        // The client leaves.
        let mut world = setup().build();
        let (response, mut connection) = begun(&mut world, client, provider).await;
        drop(response);
        connection.closed().await;
        let (response, finished) = ended(&world).await;
        assert_eq!(response.ending, Ending::Cancelled, "{case}");
        assert!(matches!(finished, Event::Finished { outcome: Outcome::Cancelled, .. }), "{case}");
    }
    tokio::time::advance(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn error_answers_come_in_the_clients_form() {
    async fn check(client: Dialect, provider: Dialect, status: &str, headers: &[&str], kind: &str) {
        let case = format!("{} to {}: {status}", client.word(), provider.word());
        for stream in [false, true] {
            let setup = speaking(provider);
            let mut world = Setup { spec: ProviderSpec { retries_max: 0, ..setup.spec }, ..setup }.build();
            let fields = if stream { streaming(client) } else { json!({}) };
            let (got, ()) = world
                .call(ask(client, "hi", fields), async |mut theirs| {
                    let body = error(provider, kind, "not now").to_string();
                    theirs.accept().await.answer(status, headers, &body).await;
                })
                .await;
            let got = whole(got).await;
            let body: Value = serde_json::from_slice(got.body()).unwrap();
            assert_eq!(told(client, &body)[3], "not now", "{case}: {body}");
            assert_eq!(got.headers()["x-pinrail-fault"], "provider", "{case}");
            assert_eq!(got.headers()["content-type"], "application/json", "{case}");
            if status.starts_with("429") {
                assert_eq!(
                    (got.status().as_u16(), &got.headers()["retry-after"]),
                    (429, &"30".parse().unwrap())
                );
            }
            // 529 is Anthropic's own: others know it as 503.
            if status.starts_with("529") {
                let theirs = if client == Dialect::Messages || client == provider { 529 } else { 503 };
                assert_eq!(got.status().as_u16(), theirs, "{case}");
            }
            if client == Dialect::Messages && provider != client {
                let kind = if status.starts_with("429") { "rate_limit_error" } else { "overloaded_error" };
                assert_eq!(told(client, &body)[0], kind, "{case}");
            }
            let (response, _) = ended(&world).await;
            assert_eq!(response.status.to_string(), status[..3], "{case}");
            assert_eq!(response.ending, Ending::Error, "{case}");
        }
    }
    for (client, provider) in pairs() {
        let limited = if provider == Dialect::Messages { "rate_limit_error" } else { "rate_limit_exceeded" };
        check(client, provider, "429 Too Many", &["retry-after: 30"], limited).await;
    }
    for client in ALL {
        check(client, Dialect::Messages, "529 Overloaded", &[], "overloaded_error").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_reaches_every_provider_in_its_form() {
    const MCP: &str = r#"[{"name":"refund","description":"Pays back.",
        "inputSchema":{"type":"object","properties":{"cents":{"type":"integer"}},"required":["cents"]}}]"#;
    async fn check(client: Dialect, provider: Dialect, tools: &'static str) {
        let case = format!("{} to {}: {tools}", client.word(), provider.word());
        let params = match provider {
            Dialect::Chat => json!({"max_completion_tokens": 77, "temperature": 0.5}),
            Dialect::Responses => json!({"max_output_tokens": 77, "temperature": 0.5}),
            Dialect::Messages => json!({"max_tokens": 77, "temperature": 0.5}),
        };
        let setup = Setup { system: Some("Be kind."), tools: Some(tools), ..speaking(provider) };
        let mut world = setup.pin("model", "params", params.clone()).build();
        let (got, sent) = world
            .call(ask(client, "hi", json!({"temperature": 0.9})), async |mut theirs| {
                let mut connection = theirs.accept().await;
                connection.answer("200 OK", &[], &calling(provider, &["refund"]).to_string()).await;
                connection.body.clone()
            })
            .await;
        assert_eq!(got.status(), StatusCode::OK, "{case}");
        for (name, value) in params.as_object().unwrap() {
            assert_eq!(&sent[name], value, "{case}: {sent}");
        }
        assert_eq!(sent["model"], SNAPSHOT, "{case}");
        let schema =
            json!({"type": "object", "properties": {"cents": {"type": "integer"}}, "required": ["cents"]});
        let tool = &sent["tools"][0];
        let (system, name, taken) = match provider {
            Dialect::Chat => {
                (&sent["messages"][0]["content"], &tool["function"]["name"], &tool["function"]["parameters"])
            }
            Dialect::Responses => (&sent["instructions"], &tool["name"], &tool["parameters"]),
            Dialect::Messages => (&sent["system"], &tool["name"], &tool["input_schema"]),
        };
        assert_eq!((name, taken), (&json!("refund"), &schema), "{case}: {sent}");
        assert!(system.to_string().contains("Be kind."), "{case}: {sent}");
        let said = Said::whole(client, &json(&text(got).await));
        assert_eq!(said.calls, [("refund".to_owned(), json!({"cents": 5}))], "{case}");
    }
    for (client, provider) in pairs() {
        check(client, provider, TOOLS).await;
        check(client, provider, MCP).await;
    }
}

#[tokio::test(start_paused = true)]
async fn verify_compares_across_dialects() {
    for (client, provider) in pairs() {
        let case = format!("{} to {}", client.word(), provider.word());
        let setup = || {
            Setup { system: Some("Be kind."), ..speaking(provider) }.pin("prompt", "mode", json!("verify"))
        };
        let fields = |system: &str| match client {
            Dialect::Chat => {
                json!({"messages": [{"role": "system", "content": system}, {"role": "user", "content": "hi"}]})
            }
            Dialect::Responses => json!({"instructions": system}),
            Dialect::Messages => json!({"system": system}),
        };
        let mut world = setup().build();
        let (got, ()) = world
            .call(ask(client, "hi", fields("Be kind.")), async |mut theirs| {
                theirs.accept().await.answer("200 OK", &[], &hello(provider).to_string()).await;
            })
            .await;
        assert_eq!(got.status(), StatusCode::OK, "{case}: {}", text(got).await);
        let (got, body) = setup().build().refused(ask(client, "hi", fields("Be rude."))).await;
        assert_eq!(
            (got.status().as_u16(), told(client, &body)[1].as_str()),
            (409, "release_mismatch"),
            "{case}: {body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_lets_something_else_answer_is_refused() {
    async fn check(client: Dialect, setup: Setup, fields: Value, param: &str) {
        let (got, body) = setup.build().refused(ask(client, "hi", fields)).await;
        let [_, code, at, _] = told(client, &body);
        assert_eq!(
            (got.status().as_u16(), code.as_str(), at.as_str()),
            (409, "release_mismatch", param),
            "{body}"
        );
    }
    let fallbacks = json!({"fallbacks": [{"model": "claude-x"}]});
    check(Dialect::Messages, speaking(Dialect::Messages), fallbacks, "fallbacks").await;
    let managed = Setup { system: Some("Be kind."), ..speaking(Dialect::Responses) };
    check(Dialect::Responses, managed, json!({"prompt": {"id": "pmpt_1"}}), "prompt").await;
}

#[tokio::test]
async fn agents_are_listed_in_the_clients_form() {
    let world = World::new();
    let get = async |path: &str, anthropic: bool| {
        let mut request =
            http::Request::get(path).body(http_body_util::Full::<bytes::Bytes>::default()).unwrap();
        if anthropic {
            request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
        }
        let got = world.gateway.handle(request, &Tenants::All).await;
        (got.status().as_u16(), json(&text(got).await))
    };
    let (_, list) = get("/v1/models", false).await;
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("support")));
    assert_eq!(get("/v1/models/support", false).await.1["object"], "model");
    let (status, unknown) = get("/v1/models/nobody", false).await;
    assert_eq!((status, &unknown["error"]["code"]), (404, &json!("model_not_found")));
    let (_, list) = get("/v1/models", true).await;
    assert_eq!((&list["has_more"], &list["data"][0]["id"]), (&json!(false), &json!("support")));
    let (_, one) = get("/v1/models/support", true).await;
    assert_eq!((&one["type"], &one["created_at"]), (&json!("model"), &json!("2023-11-14T22:13:20Z")));
    let (status, unknown) = get("/v1/models/nobody", true).await;
    assert_eq!((status, &unknown["error"]["type"]), (404, &json!("not_found_error")));
}
