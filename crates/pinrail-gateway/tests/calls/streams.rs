//! Streams: passed on as they come, ended truthfully.

use std::time::Duration;

use http::Response;
use pinrail_domain::agent::Bodies;
use pinrail_domain::journal::{Ending, Event, ModelResponse, Outcome};
use pinrail_gateway::{Body, Limits};
use serde_json::{Value, json};

use crate::world::{Connection, Setup, World, chat, event, next, text, usage_event};

const DONE: &str = "data: [DONE]\n\n";

/// Begins a stream whose first chunk is `first`.
async fn streaming(world: &mut World, fields: Value, first: &str) -> (Response<Body>, Connection) {
    let mut all = json!({"stream": true});
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    world
        .call(chat(all), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(first).await;
            connection
        })
        .await
}

async fn ended(world: &World) -> (ModelResponse, Event) {
    let journal = world.journal().await;
    let [.., Event::ModelResponse(response), finished] = &journal[..] else { panic!("{journal:?}") };
    ((**response).clone(), finished.clone())
}

#[tokio::test(start_paused = true)]
async fn each_chunk_reaches_the_client_before_the_next_is_sent() {
    let mut world = World::new();
    let (mut response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    assert_eq!(connection.body["stream_options"]["include_usage"], true);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().contains_key("x-pinrail-run"));
    assert_eq!(next(&mut response).await, Some(event("a", None)));
    for (content, finish) in [("b", None), ("c", None), ("", Some("stop"))] {
        connection.chunk(&event(content, finish)).await;
        assert_eq!(next(&mut response).await, Some(event(content, finish)));
    }
    // The usage was asked for by us, so the client doesn't see it.
    connection.chunk(&usage_event()).await;
    connection.chunk(DONE).await;
    assert_eq!(next(&mut response).await.as_deref(), Some(DONE));
    connection.end_stream().await;
    assert_eq!(next(&mut response).await, None);

    let (said, finished) = ended(&world).await;
    assert_eq!((said.ending, said.usage.unwrap().output_tokens), (Ending::Complete, 2));
    assert_eq!(said.cost_nano_usd, Some(10 * 2_500 + 2 * 10_000));
    assert_eq!(finished, Event::Finished { outcome: Outcome::Ok, why: None });
    let Some(pinrail_domain::journal::Body::Text { text, truncated: false }) = said.body else { panic!() };
    let kept: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(kept["choices"][0]["message"]["content"], "abc");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_usage_gets_every_byte_as_it_was_split() {
    let mut world = Setup { bodies: Bodies::Digest, ..Setup::default() }.build();
    let whole = [event("hé", None), event("", Some("stop")), usage_event(), DONE.into()].concat();
    let options = json!({"stream_options": {"include_usage": true}});
    let (first, rest) = whole.split_at(7);
    let (mut response, mut connection) = streaming(&mut world, options, first).await;
    let mut got = next(&mut response).await.unwrap();
    assert_eq!(got, first);
    for piece in rest.as_bytes().chunks(29) {
        // Characters are two bytes at most, so the pieces are sent as Latin-1 text would be: byte by byte.
        let piece = std::str::from_utf8(piece).expect("this split leaves the é whole");
        connection.chunk(piece).await;
        let passed = next(&mut response).await.unwrap();
        assert_eq!(passed, piece);
        got.push_str(&passed);
    }
    connection.end_stream().await;
    assert_eq!(next(&mut response).await, None);
    assert_eq!(got, whole);
    let (said, _) = ended(&world).await;
    let digest = pinrail_domain::digest::Digest::of(whole.as_bytes());
    let kept = pinrail_domain::journal::Body::Digest { digest, bytes: whole.len() as u64 };
    assert_eq!((said.body, said.ending), (Some(kept), Ending::Complete));
}

#[tokio::test(start_paused = true)]
async fn odd_splits_give_the_same_stream_without_the_usage() {
    let parts = [event("hi", None), event("", Some("stop")), usage_event(), DONE.into()];
    let want = [&parts[0], &parts[1], &parts[3]].map(String::as_str).concat();
    let whole = parts.concat();
    for size in [1, 2, 3, 7, 50, 1_000] {
        let mut world = World::new();
        let mut pieces = whole.as_bytes().chunks(size).map(|piece| std::str::from_utf8(piece).unwrap());
        let (response, mut connection) = streaming(&mut world, json!({}), pieces.next().unwrap()).await;
        let rest = async {
            for piece in pieces {
                connection.chunk(piece).await;
            }
            connection.end_stream().await;
        };
        let (got, ()) = tokio::join!(text(response), rest);
        assert_eq!(got, want, "pieces of {size}");
        assert_eq!(ended(&world).await.0.usage.unwrap().input_tokens, 10, "pieces of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_ends_with_an_error_event() {
    async fn check(pieces: &[&str], proper_end: bool, code: &str) {
        let mut world = World::new();
        let (response, mut connection) = streaming(&mut world, json!({}), pieces[0]).await;
        for piece in &pieces[1..] {
            connection.chunk(piece).await;
        }
        if proper_end {
            connection.end_stream().await;
        }
        drop(connection);
        let got = text(response).await;
        let last = got.trim_end().rsplit("\n\n").next().unwrap();
        let error: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(error["error"]["code"], code, "{got}");
        let (said, finished) = ended(&world).await;
        assert_eq!(said.ending, Ending::Cut);
        assert!(matches!(finished, Event::Finished { outcome: Outcome::Error, why: Some(_) }));
    }
    check(&[&event("a", None)], false, "provider_stream_cut").await;
    check(&[&event("a", None)], true, "provider_stream_cut").await;
    check(&[&event("a", None), "data: {\"cho"], false, "provider_stream_cut").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stands_still_ends_and_frees_the_provider() {
    let mut world = World::new();
    let (mut response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    assert_eq!(next(&mut response).await, Some(event("a", None)));
    // A client that doesn't ask for a long time is no fault of the provider.
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let (waited, last) = {
        let begun = tokio::time::Instant::now();
        let last = next(&mut response).await.unwrap();
        (begun.elapsed(), last)
    };
    assert!(waited >= Duration::from_secs(60) && waited < Duration::from_secs(61), "{waited:?}");
    assert!(last.contains("provider_idle_timeout") && last.contains("60000 ms"), "{last}");
    assert_eq!(next(&mut response).await, None);
    connection.closed().await;
    assert_eq!(ended(&world).await.0.ending, Ending::Cut);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_come_keep_a_stream_alive() {
    let mut world = World::new();
    let (mut response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    next(&mut response).await.unwrap();
    for _ in 0..5 {
        let later = async {
            tokio::time::sleep(Duration::from_secs(59)).await;
            connection.chunk(&event("b", None)).await;
        };
        let (got, ()) = tokio::join!(next(&mut response), later);
        assert_eq!(got, Some(event("b", None)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_the_provider() {
    let mut world = World::new();
    let (mut response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    next(&mut response).await.unwrap();
    assert_eq!(world.gateway.calls(), 1);
    drop(response);
    connection.closed().await;
    let (said, finished) = ended(&world).await;
    assert_eq!((said.ending, said.status), (Ending::Cancelled, 200));
    assert_eq!(finished, Event::Finished { outcome: Outcome::Cancelled, why: None });
    assert_eq!(world.gateway.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_after_the_end_has_had_a_complete_answer() {
    let mut world = World::new();
    let whole = [event("a", Some("stop")), DONE.into()].concat();
    let (mut response, _connection) = streaming(&mut world, json!({}), &whole).await;
    assert_eq!(next(&mut response).await, Some(whole));
    drop(response);
    assert_eq!(ended(&world).await.0.ending, Ending::Complete);
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_a_client_that_left_waits_for_room() {
    let mut world = World::new();
    let (response, _connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    let full = world.runs.open.acquire_many(1_000).await.unwrap();
    drop(response);
    tokio::task::yield_now().await;
    assert_eq!((world.gateway.calls(), world.runs.journal.lock().unwrap().len()), (1, 0));
    drop(full);
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_at_the_very_end_is_journaled_all_the_same() {
    let mut world = World::new();
    let whole = [event("a", Some("stop")), DONE.into()].concat();
    let (mut response, mut connection) = streaming(&mut world, json!({}), &whole).await;
    connection.end_stream().await;
    next(&mut response).await.unwrap();
    let runs = world.runs.clone();
    let full = runs.open.acquire_many(1_000).await.unwrap();
    // The stream is over and its journal waits for room when the client goes.
    tokio::select! {
        biased;
        _ = next(&mut response) => panic!("the journal has no room"),
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    drop(response);
    drop(full);
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_event_of_the_provider_passes_and_is_the_end() {
    let mut world = World::new();
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let (response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    connection.chunk(error).await;
    connection.end_stream().await;
    assert_eq!(text(response).await, [&event("a", None), error].concat());
    let (said, finished) = ended(&world).await;
    assert_eq!(said.ending, Ending::Error);
    assert_eq!(finished, Event::Finished { outcome: Outcome::Error, why: Some("overloaded".into()) });
}

#[tokio::test(start_paused = true)]
async fn an_endless_event_is_cut_off() {
    let limits = Limits { event_bytes_max: 1_000, ..Limits::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    let (response, mut connection) = streaming(&mut world, json!({}), &event("a", None)).await;
    connection.chunk(&format!("data: {}", "x".repeat(1_000))).await;
    let got = text(response).await;
    assert!(got.contains("provider_event_too_long") && got.contains("1000 bytes"), "{got}");
    connection.closed().await;
    assert_eq!(ended(&world).await.0.ending, Ending::Cut);
}

#[tokio::test(start_paused = true)]
async fn a_stream_nobody_asked_for_is_nonsense() {
    let mut world = World::new();
    let (answer, _connection) = world
        .call(chat(json!({})), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(&event("a", None)).await;
            connection
        })
        .await;
    assert_eq!(answer.status(), 502);
    assert!(text(answer).await.contains("provider_nonsense"));
}
