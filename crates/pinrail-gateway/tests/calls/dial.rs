//! What the dial takes away from a call.

use std::sync::Arc;

use http::StatusCode;
use pinrail_domain::begin::{BeginError, Ruled};
use pinrail_domain::dial::{
    Caller, DialSpec, Dialled, Halted, Place, Position, Ruling, Setting, Settings, Standing,
};
use pinrail_domain::id::{AgentName, ApprovalId, LedgerSeq, SegmentName, TenantId};
use pinrail_domain::journal::{Event, Outcome};
use pinrail_domain::ledger::Actor;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::Timestamp;
use pinrail_wire::Dialect;
use serde_json::{Value, json};

use crate::said::{ALL, Said, api, ask, calling as calling_in, data, events, streaming};
use crate::world::{SNAPSHOT, Setup, chat, completion, event, text, usage_event, whole};

const TOOLS: &str =
    r#"[{"type":"function","function":{"name":"refund"}},{"type":"function","function":{"name":"search"}}]"#;

/// What settings leave of the calls of the agent `support`.
fn standing(settings: &[(&str, Position)], spec: Option<&DialSpec>) -> Standing {
    let (agent, segment) = (AgentName::new("support").unwrap(), SegmentName::default_segment());
    let settings: Settings = settings
        .iter()
        .map(|(tool, position)| {
            let tool = (!tool.is_empty()).then(|| tool.parse().unwrap());
            let place = Place { agent: Some(agent.clone()), tool, ..Place::default() };
            let setting = Setting {
                position: *position,
                release: None,
                text: None,
                since: Timestamp(0),
                seq: LedgerSeq(1),
                by: Actor::Open,
                reason: "incident 7".to_owned(),
            };
            (place, Arc::new(setting))
        })
        .collect();
    let tenant = TenantId::shared();
    let caller = Caller { agent: &agent, segment: &segment, tenant: &tenant };
    Standing::of(Dialled::of(&settings, caller).unwrap(), &segment, spec)
}

fn at(position: Position) -> Setup {
    Setup { tools: Some(TOOLS), dial: Some(standing(&[("", position)], None)), ..Setup::default() }.pin(
        "tools",
        "side_effects",
        json!(["refund"]),
    )
}

fn calling(tools: &[(&str, &str)]) -> String {
    let calls: Vec<Value> = tools
        .iter()
        .map(|(name, arguments)| {
            json!({ "id": name, "type": "function", "function": { "name": name, "arguments": arguments } })
        })
        .collect();
    let mut answer: Value = serde_json::from_str(&completion(SNAPSHOT)).unwrap();
    answer["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "tool_calls": calls });
    answer["choices"][0]["finish_reason"] = json!("tool_calls");
    answer.to_string()
}

fn piece(call: Value) -> String {
    let choice = json!({ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null });
    format!("data: {}\n\n", json!({ "id": "c", "model": SNAPSHOT, "choices": [choice] }))
}

async fn body(response: http::Response<pinrail_gateway::Body>) -> Value {
    serde_json::from_slice(whole(response).await.body()).unwrap()
}

fn waiting() -> Ruled {
    Ruled {
        ruling: Ruling::NeedsApproval,
        approval: Some(ApprovalId::from_parts(1, 1)),
        expires_at: Some(Timestamp(1_800_000_000_000)),
        why: Some("the dial".to_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn read_only_withholds_tools_from_the_request_and_from_the_answer() {
    let mut world = at(Position::ReadOnly).build();
    let request = chat(json!({ "tool_choice": { "type": "function", "function": { "name": "refund" } } }));
    let (response, sent) = world
        .call(request, async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &calling(&[("refund", "{}"), ("search", "{}")])).await;
            connection.body.clone()
        })
        .await;
    assert_eq!(sent["tools"], json!([{ "type": "function", "function": { "name": "search" } }]));
    assert_eq!(sent["tool_choice"], "auto");
    assert_eq!(response.headers()["x-pinrail-dial"], "read_only");
    let answer = body(response).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(message["tool_calls"][0]["function"]["name"], "search");
    let told = message["content"].as_str().unwrap();
    assert!(told.contains("`refund` was not called") && told.contains("(incident 7)"), "{told}");
    let journal = world.journal().await;
    let kinds: Vec<_> = journal.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["dialled", "model_request", "model_response", "tool_ruled", "finished"]);
    assert!(matches!(&journal[0], Event::Dialled { withheld, .. } if withheld == &["refund"]));
    assert!(
        matches!(&journal[3], Event::ToolRuled { name, ruling: Ruling::Withheld, .. } if name == "refund")
    );
}

#[tokio::test(start_paused = true)]
async fn a_withheld_call_never_leaves_a_stream() {
    let mut world = at(Position::ReadOnly).build();
    let (response, ()) = world
        .call(chat(json!({ "stream": true })), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(&event("well", None)).await;
            let function = json!({ "name": "refund", "arguments": "" });
            connection.chunk(&piece(json!({ "index": 0, "id": "x", "function": function }))).await;
            connection
                .chunk(&piece(json!({ "index": 0, "function": { "arguments": "{\"cents\":5}" } })))
                .await;
            connection.chunk(&event("", Some("tool_calls"))).await;
            connection.chunk(&usage_event()).await;
            connection.chunk("data: [DONE]\n\n").await;
            connection.end_stream().await;
        })
        .await;
    assert_eq!(response.headers()["x-pinrail-dial"], "read_only");
    let text = text(response).await;
    assert!(text.starts_with(&event("well", None)), "{text}");
    assert!(!text.contains("cents") && !text.contains("tool_calls"), "{text}");
    assert!(text.contains("`refund` was not called") && text.contains(r#""finish_reason":"stop""#), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(world.kinds().await, ["dialled", "model_request", "model_response", "tool_ruled", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn supervised_calls_wait_for_a_person_unless_the_clients_ask() {
    let answer = || calling(&[("search", "{}"), ("refund", r#"{"cents":5}"#)]);
    let ask = async |setup: Setup, ruled: Ruled| {
        let mut world = setup.build();
        *world.runs.ruled.lock().unwrap() = ruled;
        let (response, sent) = world
            .call(chat(json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("200 OK", &[], &answer()).await;
                connection.body.clone()
            })
            .await;
        assert_eq!(sent["tools"].as_array().unwrap().len(), 2, "the model is offered all");
        let wanted = world.runs.wanted.lock().unwrap().len();
        (body(response).await["choices"][0].clone(), wanted, world.kinds().await)
    };
    let (choice, wanted, kinds) = ask(at(Position::Supervised), waiting()).await;
    let told = choice["message"]["content"].as_str().unwrap();
    assert!(told.contains("waits for a person's approval as appr_"), "{told}");
    assert_eq!((choice["message"]["tool_calls"].as_array().unwrap().len(), wanted), (1, 1));
    assert_eq!(kinds, ["dialled", "model_request", "model_response", "tool_ruled", "finished"]);
    let allowed = Ruled { ruling: Ruling::Allowed, ..waiting() };
    let (choice, ..) = ask(at(Position::Supervised), allowed).await;
    assert_eq!(choice["message"]["tool_calls"].as_array().unwrap().len(), 2);
    let spec = DialSpec { clients_authorize: true, ..DialSpec::default() };
    let setup = Setup {
        dial: Some(standing(&[("", Position::Supervised)], Some(&spec))),
        ..at(Position::Supervised)
    };
    let (choice, wanted, _) = ask(setup, waiting()).await;
    assert_eq!((choice["message"]["tool_calls"].as_array().unwrap().len(), wanted), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_approved_call_goes_through_a_stream_whole() {
    let mut world = at(Position::Supervised).build();
    *world.runs.ruled.lock().unwrap() = Ruled { ruling: Ruling::Allowed, ..waiting() };
    let (response, ()) = world
        .call(chat(json!({ "stream": true })), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            let function = json!({ "name": "refund", "arguments": "{\"cents\"" });
            connection.chunk(&piece(json!({ "index": 0, "id": "x", "function": function }))).await;
            connection.chunk(&piece(json!({ "index": 0, "function": { "arguments": ":5}" } }))).await;
            connection.chunk(&event("", Some("tool_calls"))).await;
            connection.chunk("data: [DONE]\n\n").await;
            connection.end_stream().await;
        })
        .await;
    let text = text(response).await;
    assert!(text.contains(r#"{\"cents\":5}"#) && text.contains(r#""finish_reason":"tool_calls""#), "{text}");
    assert_eq!(world.runs.wanted.lock().unwrap()[0].arguments, "{\"cents\":5}");
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_tools_are_withheld_too() {
    let dial = standing(&[("mail", Position::Off)], None);
    let mut world = Setup { dial: Some(dial), ..Setup::default() }.build();
    let mail = json!({ "type": "function", "function": { "name": "mail" } });
    let request = chat(json!({ "tools": [mail], "tool_choice": "required" }));
    let (response, sent) = world
        .call(request, async |mut provider| {
            let mut connection = provider.accept().await;
            connection.answer("200 OK", &[], &completion(SNAPSHOT)).await;
            connection.body.clone()
        })
        .await;
    assert_eq!((sent.get("tools"), sent.get("tool_choice")), (None, None));
    assert_eq!(response.headers().get("x-pinrail-dial"), None);
    assert_eq!(whole(response).await.body(), &completion(SNAPSHOT), "what calls nothing stays as it is");
    assert_eq!(world.kinds().await, ["dialled", "model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn canned_answers_in_the_clients_format_and_asks_nobody() {
    let spec = DialSpec { canned: Some("back at noon".to_owned()), ..DialSpec::default() };
    let setup = || Setup { dial: Some(standing(&[("", Position::Canned)], Some(&spec))), ..Setup::default() };
    let mut world = setup().build();
    let (response, answer) = world.refused(chat(json!({}))).await;
    assert_eq!(
        (response.status(), &response.headers()["x-pinrail-dial"]),
        (StatusCode::OK, &"canned".parse().unwrap())
    );
    assert!(response.headers().contains_key("x-pinrail-run"));
    assert_eq!(answer["choices"][0]["message"]["content"], "back at noon");
    assert_eq!((&answer["model"], &answer["usage"]["total_tokens"]), (&json!("support"), &json!(0)));
    let journal = world.journal().await;
    let kinds: Vec<_> = journal.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["dialled", "model_response", "finished"]);
    assert!(matches!(&journal[1], Event::ModelResponse(said) if said.canned && said.usage.is_none()));
    assert!(matches!(&journal[2], Event::Finished { outcome: Outcome::Ok, .. }));
    let world = setup().build();
    let request = chat(json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let response = world.gateway.handle(request, &world.tenants).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = text(response).await;
    assert!(text.contains("back at noon") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn off_says_when_to_come_back() {
    let mut world = Setup::default().build();
    let halted = Halted {
        agent: "support".parse().unwrap(),
        segment: SegmentName::default_segment(),
        position: Position::Off,
        place: "agent support".to_owned(),
        reason: "incident 7".to_owned(),
        why: None,
        retry_after_s: 90,
    };
    *world.runs.refusal.lock().unwrap() = Some(BeginError::Dialled(Box::new(halted)));
    let (response, answer) = world.refused(chat(json!({}))).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&response.headers()["retry-after"], &response.headers()["x-pinrail-dial"]),
        (&"90".parse().unwrap(), &"off".parse().unwrap())
    );
    assert_eq!(answer["error"]["code"], "dialled");
}

/// Asks in the client's dialect a provider that calls these tools; what the client got, and which tools were offered.
async fn in_dialects(
    setup: Setup,
    ruled: Option<Ruled>,
    (client, provider, stream): (Dialect, Dialect, bool),
    tools: &[&str],
) -> (Said, Vec<String>, Vec<&'static str>) {
    let spec = ProviderSpec { apis: vec![api(provider)], ..setup.spec };
    let mut world = Setup { spec, ..setup }.build();
    if let Some(ruled) = ruled {
        *world.runs.ruled.lock().unwrap() = ruled;
    }
    let fields = if stream { streaming(client) } else { json!({}) };
    let answer = calling_in(provider, tools);
    let (response, sent) = world
        .call(ask(client, "hi", fields), async |mut theirs| {
            let mut connection = theirs.accept().await;
            if stream {
                connection.begin_stream().await;
                for event in events(provider, &answer) {
                    connection.chunk(&event).await;
                }
                connection.end_stream().await;
            } else {
                connection.answer("200 OK", &[], &answer.to_string()).await;
            }
            connection.body.clone()
        })
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    let got = text(response).await;
    let said = match stream {
        true => Said::streamed(client, &got),
        false => Said::whole(client, &serde_json::from_str(&got).unwrap()),
    };
    let offered = sent["tools"].as_array().unwrap().iter().map(|tool| {
        let name = if provider == Dialect::Chat { &tool["function"]["name"] } else { &tool["name"] };
        name.as_str().unwrap().to_owned()
    });
    (said, offered.collect(), world.kinds().await)
}

fn combinations() -> impl Iterator<Item = (Dialect, Dialect, bool)> {
    let pairs = ALL.into_iter().flat_map(|client| ALL.into_iter().map(move |provider| (client, provider)));
    pairs.flat_map(|(client, provider)| [(client, provider, false), (client, provider, true)])
}

#[tokio::test(start_paused = true)]
async fn tools_are_withheld_in_every_dialect() {
    for case in combinations() {
        let setup = || at(Position::ReadOnly);
        let (said, offered, kinds) = in_dialects(setup(), None, case, &["refund", "search"]).await;
        assert_eq!(offered, ["search"], "{case:?}");
        assert_eq!(said.calls, [("search".to_owned(), json!({"cents": 5}))], "{case:?}");
        assert!(said.text.contains("`refund` was not called"), "{case:?}: {said:?}");
        assert_eq!(
            kinds,
            ["dialled", "model_request", "model_response", "tool_ruled", "finished"],
            "{case:?}"
        );
        let (said, ..) = in_dialects(setup(), None, case, &["refund"]).await;
        assert!(said.calls.is_empty() && said.text.contains("(incident 7)"), "{case:?}: {said:?}");
        let finish = match case.0 {
            Dialect::Chat => "stop",
            Dialect::Responses => "completed",
            Dialect::Messages => "end_turn",
        };
        assert_eq!(said.finish, finish, "{case:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_person_in_every_dialect() {
    for case in combinations() {
        let setup = || at(Position::Supervised);
        let allowed = Ruled { ruling: Ruling::Allowed, ..waiting() };
        let (said, offered, _) = in_dialects(setup(), Some(allowed), case, &["search", "refund"]).await;
        assert_eq!(offered, ["refund", "search"], "{case:?}");
        let names: Vec<_> = said.calls.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["search", "refund"], "{case:?}");
        let (said, ..) = in_dialects(setup(), Some(waiting()), case, &["search", "refund"]).await;
        assert_eq!(said.calls.len(), 1, "{case:?}");
        assert!(said.text.contains("waits for a person's approval as appr_"), "{case:?}: {said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn canned_answers_come_in_every_dialect() {
    let spec = DialSpec { canned: Some("back at noon".to_owned()), ..DialSpec::default() };
    for (client, provider, stream) in combinations() {
        let setup =
            Setup { dial: Some(standing(&[("", Position::Canned)], Some(&spec))), ..Setup::default() };
        let theirs = ProviderSpec { apis: vec![api(provider)], ..setup.spec };
        let world = Setup { spec: theirs, ..setup }.build();
        let fields = if stream { streaming(client) } else { json!({}) };
        let got = text(world.gateway.handle(ask(client, "hi", fields), &world.tenants).await).await;
        let said = match stream {
            true => Said::streamed(client, &got),
            false => Said::whole(client, &serde_json::from_str(&got).unwrap()),
        };
        assert_eq!((said.text.as_str(), said.model.as_str()), ("back at noon", "support"), "{got}");
        assert!(!stream || !data(&got).is_empty());
        assert_eq!(world.kinds().await, ["dialled", "model_response", "finished"]);
    }
}
