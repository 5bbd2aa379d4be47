//! Copies of live calls: what a candidate is asked, what is journaled of it, and that live calls never wait (I13).

use std::time::Duration;

use pinrail_domain::agent::Bodies;
use pinrail_domain::begin::{Fate, NoShadow};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::{Compared, Event, Outcome};
use pinrail_gateway::Limits;
use pinrail_wire::Dialect;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::said::{ALL, api, ask, calling, hello, speaking};
use crate::world::{
    CANDIDATES, KEY, SNAPSHOT, Setup, World, chat, completion, event, raw, text, usage_event, with,
};

fn shadowed() -> Setup {
    Setup { shadow: true, ..Setup::default() }
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> World {
    let mut limits = Limits::default();
    change(&mut limits);
    Setup { limits, ..shadowed() }.build()
}

fn compared(world: &World) -> Compared {
    let events = world.runs.copied.lock().unwrap();
    let found = events.iter().find_map(|event| {
        let Event::Compared(compared) = event else { return None };
        Some(Compared::clone(compared))
    });
    found.expect("the answers were compared")
}

fn is_compared(fate: Fate) -> bool {
    matches!(fate, Fate::Compared { cost } if cost.nano > 0)
}

async fn live_answer(world: &mut World, request: Value, answer: &str) {
    let (response, ()) = world
        .call(with(chat(request), "idempotency-key", "k-1"), async |mut provider| {
            provider.accept().await.answer("200 OK", &[], answer).await;
        })
        .await;
    assert_eq!(text(response).await, answer);
}

#[tokio::test(start_paused = true)]
async fn the_candidate_answers_the_request_as_it_came() {
    let mut world = Setup { system: Some("Hello {{ name }}."), ..shadowed() }.build();
    let variables = json!({ "variables": { "name": "Ada" } });
    live_answer(&mut world, json!({ "pinrail": variables, "temperature": 0.5 }), &completion(SNAPSHOT)).await;
    let mut asked = world.candidate.accept().await;
    assert_eq!(asked.body["model"], CANDIDATES);
    assert_eq!(asked.body["temperature"], 0.5);
    let messages = json!([
        { "role": "system", "content": "Hello Ada." },
        { "role": "user", "content": "hi" },
    ]);
    assert_eq!((&asked.body["messages"], asked.body.get("pinrail")), (&messages, None));
    assert!(asked.head.contains(KEY) && !asked.head.contains("idempotency-key"), "{}", asked.head);
    asked.answer("200 OK", &[], &completion(CANDIDATES).replace("hello", "goodbye")).await;
    let fates = world.fates(2).await;
    assert!(fates[0] == Fate::Queued && is_compared(fates[1]), "{fates:?}");
    assert_eq!(world.copied().await, ["model_request", "model_response", "compared", "finished"]);
    let compared = compared(&world);
    assert_eq!((compared.divergence, compared.text, compared.tools), (1.0, Some(0.0), None));
    assert_eq!((compared.characters, compared.call), ([7, 5], 1));
    assert!(compared.cost_nano_usd.is_some_and(|[candidate, live]| candidate == live && live > 0));
    // The live run knows nothing of it.
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn streams_are_compared_where_no_text_is_journaled() {
    let mut world = Setup { bodies: Bodies::Off, ..shadowed() }.build();
    let pieces = [event("good ", None), event("day", Some("stop")), usage_event(), "data: [DONE]\n\n".into()];
    let (response, ()) = world
        .call(chat(json!({ "stream": true })), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            for piece in &pieces {
                connection.chunk(piece).await;
            }
            connection.end_stream().await;
        })
        .await;
    assert!(text(response).await.contains("good "));
    let mut asked = world.candidate.accept().await;
    assert_eq!(asked.body["stream"], true);
    asked.begin_stream().await;
    asked.chunk(&event("Good", None).replace(SNAPSHOT, CANDIDATES)).await;
    asked.chunk(&event("  day", Some("length"))).await;
    asked.chunk("data: [DONE]\n\n").await;
    asked.end_stream().await;
    world.fates(2).await;
    assert_eq!(world.copied().await, ["model_request", "model_response", "compared", "finished"]);
    let compared = compared(&world);
    assert_eq!((compared.text, compared.finish), (Some(1.0), true));
    let said = format!("{:?}", world.runs.copied.lock().unwrap());
    assert!(!said.contains("day"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn tools_are_compared_and_never_executed() {
    let mut world = shadowed().build();
    let answer = |arguments: &str| {
        let call = json!({ "id": "c", "type": "function", "function": { "name": "refund", "arguments": arguments } });
        let message = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
        json!({ "model": SNAPSHOT, "choices": [{ "index": 0, "message": message, "finish_reason": "tool_calls" }] })
            .to_string()
    };
    live_answer(&mut world, json!({}), &answer(r#"{"to":"Ada","sum":1}"#)).await;
    let mut asked = world.candidate.accept().await;
    asked
        .answer("200 OK", &[], &answer(r#"{ "sum": 1.0, "to": "Bob" }"#).replace(SNAPSHOT, CANDIDATES))
        .await;
    world.fates(2).await;
    assert_eq!(world.copied().await[2], "compared");
    assert_eq!((compared(&world).tools, compared(&world).text), (Some(0.5), None));
    // One request, one answer: nothing goes back to the candidate.
    assert!(!world.candidate.was_asked());
}

/// I13: with a candidate that hangs, live calls take no time at all, and what finds no room is dropped and counted.
#[tokio::test(start_paused = true)]
async fn a_hanging_candidate_is_never_waited_for() {
    let mut world = with_limits(|limits| {
        (limits.copies_max, limits.copies_at_once) = (2, 1);
    });
    let mut provider = world.provider();
    let began = Instant::now();
    let mut hanging = None;
    for n in 0..6 {
        let live = async {
            provider.accept().await.answer("200 OK", &["connection: close"], &completion(SNAPSHOT)).await;
        };
        let (response, ()) = tokio::join!(world.gateway.handle(chat(json!({})), &world.tenants), live);
        assert_eq!(text(response).await, completion(SNAPSHOT), "call {n}");
        if n == 0 {
            hanging = Some(world.candidate.accept().await);
        }
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    let fates = world.fates(6).await;
    assert_eq!(fates, [[Fate::Queued; 3], [Fate::Dropped; 3]].concat());
    assert_eq!(world.gateway.copies(), 3);
    for event in world.journal().await {
        if let Event::ModelResponse(response) = event {
            assert_eq!((response.last_byte_us, response.status), (0, 200));
        }
    }
    // When Pinrail stops, what waits is dropped, and what is under way gets a moment.
    world.gateway.stop_copies().await;
    assert_eq!(began.elapsed(), Limits::default().copies_stop_wait);
    assert_eq!(world.copied().await, ["model_request", "model_failed", "finished"]);
    assert!(matches!(world.fates(7).await[6], Fate::Failed { .. }));
    drop(hanging);
    // No more copies are made.
    let live = async {
        provider.accept().await.answer("200 OK", &["connection: close"], &completion(SNAPSHOT)).await;
    };
    let (response, ()) = tokio::join!(world.gateway.handle(chat(json!({})), &world.tenants), live);
    assert_eq!(response.status(), 200);
    assert_eq!(world.fates(8).await[7], Fate::Dropped);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_takes_too_long_is_given_up() {
    let mut world = with_limits(|limits| limits.copy_wait = Duration::from_secs(3));
    live_answer(&mut world, json!({}), &completion(SNAPSHOT)).await;
    let began = Instant::now();
    let _hanging = world.candidate.accept().await;
    assert!(matches!(world.fates(2).await[1], Fate::Failed { .. }));
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    assert_eq!(world.copied().await, ["model_request", "model_failed", "finished"]);
    let finished = Event::Finished { outcome: Outcome::Cancelled, why: Some("copy_given_up".into()) };
    assert_eq!(world.runs.copied.lock().unwrap().last(), Some(&finished));
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_fails_is_counted_and_not_compared() {
    async fn check(status: &str, body: &str) {
        let mut world = shadowed().build();
        live_answer(&mut world, json!({}), &completion(SNAPSHOT)).await;
        let refused = [format!("x-should-retry: {}", false)];
        world.candidate.accept().await.answer(status, &[&refused[0]], body).await;
        let fates = world.fates(2).await;
        assert!(matches!(fates[1], Fate::Failed { .. }), "{status}: {fates:?}");
        assert!(!world.copied().await.contains(&"compared"), "{status}");
    }
    check("400 Bad Request", r#"{"error":{"message":"bad"}}"#).await;
    check("503 Busy", "").await;
    check("200 OK", "not JSON").await;
}

#[tokio::test(start_paused = true)]
async fn only_whole_answers_are_copied() {
    async fn check(status: &str, body: &str) {
        let mut world = shadowed().build();
        let (response, ()) = world
            .call(chat(json!({})), async |mut provider| {
                provider.accept().await.answer(status, &["x-should-retry: false"], body).await;
            })
            .await;
        drop(text(response).await);
        world.kinds().await;
        assert_eq!((world.gateway.copies(), world.fates(0).await), (0, vec![]), "{status}");
    }
    check("400 Bad Request", r#"{"error":{"message":"bad"}}"#).await;
    check("500 Oops", "").await;
    check("200 OK", "not JSON").await;
}

#[tokio::test(start_paused = true)]
async fn what_the_control_plane_refuses_is_not_asked() {
    let mut world = shadowed().build();
    *world.runs.no_shadow.lock().unwrap() = Some(NoShadow::NotCandidate(DeploymentId(4)));
    live_answer(&mut world, json!({}), &completion(SNAPSHOT)).await;
    assert_eq!(world.fates(2).await, [Fate::Queued, Fate::Refused]);
    assert!(world.copied().await.is_empty() && !world.candidate.was_asked());
}

#[tokio::test(start_paused = true)]
async fn copies_hold_no_more_bytes_than_they_may() {
    let mut world = with_limits(|limits| limits.copies_bytes_max = 1_000);
    let long = json!({ "model": "support", "messages": [{ "role": "user", "content": "x".repeat(2_000) }] });
    let (response, ()) = world
        .call(raw(long.to_string()), async |mut provider| {
            provider.accept().await.answer("200 OK", &[], &completion(SNAPSHOT)).await;
        })
        .await;
    assert_eq!(text(response).await, completion(SNAPSHOT));
    assert_eq!(world.fates(1).await, [Fate::Dropped]);
    assert_eq!(world.gateway.copies(), 0);
}

#[tokio::test(start_paused = true)]
async fn answers_of_two_vendors_that_say_alike_are_alike() {
    async fn check(live: Dialect, candidate: Dialect, tools: &[&str]) {
        let case = format!("{} and {} {tools:?}", live.word(), candidate.word());
        let answer = |of: Dialect| if tools.is_empty() { hello(of) } else { calling(of, tools) };
        let mut world = Setup { shadow: true, ..speaking(live) }.build();
        *world.runs.candidate_speaks.lock().unwrap() = Some(api(candidate));
        let (got, ()) = world
            .call(ask(Dialect::Chat, "hi", json!({})), async |mut provider| {
                let mut connection = provider.accept().await;
                connection.answer("200 OK", &[], &answer(live).to_string()).await;
            })
            .await;
        assert_eq!(got.status(), 200, "{case}");
        let mut asked = world.candidate.accept().await;
        asked.answer("200 OK", &[], &answer(candidate).to_string()).await;
        world.fates(2).await;
        assert!(world.copied().await.contains(&"compared"), "{case}");
        let compared = compared(&world);
        assert_eq!((compared.divergence, compared.finish, compared.refusal), (0.0, false, false), "{case}");
    }
    for live in ALL {
        for candidate in ALL {
            check(live, candidate, &[]).await;
            check(live, candidate, &["refund"]).await;
        }
    }
}
