//! How bytes flow: split anywhere, no faster than the client reads, whatever either side does to its connection.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, Uri};
use pinrail_domain::journal::{Ending, Event, ModelResponse, Outcome};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::ProviderSpec;
use pinrail_gateway::connect::Net;
use pinrail_gateway::{Body, Limits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{
    Connection, SNAPSHOT, Setup, World, chat, completion, event, next, piece, text, usage_event, whole,
};

const DONE: &str = "data: [DONE]\n\n";

/// A stream as unusual as the format allows: lines that end in CRLF, in CR and in LF, comments, fields that nobody
/// knows, characters of two, three and four bytes, an event over two lines.
fn odd() -> String {
    let plain = [event("hé — 🚢", None), usage_event(), event("", Some("stop")), DONE.into()].concat();
    let crlf = plain.replacen('\n', "\r\n", 2);
    format!(": żegluga 🚢\r\n\r\nid: 7\nretry: 10\n{crlf}: the end\n\n")
}

fn asking(usage: bool) -> Value {
    if usage {
        json!({"stream": true, "stream_options": {"include_usage": true}})
    } else {
        json!({"stream": true})
    }
}

/// A stream whose provider has sent nothing but its head and `first`.
async fn begun(world: &mut World, usage: bool, first: &[u8]) -> (Response<Body>, Connection) {
    world
        .call(chat(asking(usage)), async |mut provider| {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.piece(first).await;
            connection
        })
        .await
}

async fn ended(world: &World) -> ModelResponse {
    let journal = world.journal().await;
    let said = journal.into_iter().find_map(|event| {
        let Event::ModelResponse(said) = event else { return None };
        Some(*said)
    });
    said.expect("there was an answer")
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_one_by_one_wherever_they_are_split() {
    let all = odd();
    let (first, rest) = all.as_bytes().split_first().unwrap();
    let mut world = World::new();
    let (mut response, mut connection) = begun(&mut world, true, &[*first]).await;
    assert_eq!(piece(&mut response).await.as_deref(), Some(&[*first][..]));
    for byte in rest {
        connection.piece(&[*byte]).await;
        assert_eq!(piece(&mut response).await.as_deref(), Some(&[*byte][..]));
    }
    connection.end_stream().await;
    assert_eq!(piece(&mut response).await, None);
    let said = ended(&world).await;
    assert_eq!((said.ending, said.usage.unwrap().output_tokens), (Ending::Complete, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_left_out_wherever_it_is_split() {
    let all = odd();
    let want = all.replacen(&usage_event(), "", 1);
    assert!(want.len() < all.len());
    for size in [1, 2, 3, 5, 11] {
        let mut world = World::new();
        let mut pieces = all.as_bytes().chunks(size);
        let (response, mut connection) = begun(&mut world, false, pieces.next().unwrap()).await;
        let rest = async {
            for piece in pieces {
                connection.piece(piece).await;
            }
            connection.end_stream().await;
        };
        let (got, ()) = tokio::join!(text(response), rest);
        assert_eq!(got, want, "pieces of {size}");
        assert_eq!(ended(&world).await.ending, Ending::Complete, "pieces of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_passes_as_soon_as_it_is_whole() {
    let mut world = World::new();
    let (first, second) = (event("a", None), event("b", None));
    let (mut response, mut connection) = begun(&mut world, false, first.as_bytes()).await;
    assert_eq!(next(&mut response).await, Some(first));
    let (begins, ends) = second.split_at(9);
    connection.chunk(begins).await;
    // The usage alone is ours to leave out, and this might become it; nothing else is waited for.
    assert!(tokio::time::timeout(Duration::from_secs(1), next(&mut response)).await.is_err());
    connection.chunk(ends).await;
    assert_eq!(next(&mut response).await, Some(second));
}

#[tokio::test(start_paused = true)]
async fn a_comment_passes_at_once_and_is_a_sign_of_life() {
    for usage in [true, false] {
        let mut world = World::new();
        let (mut response, mut connection) = begun(&mut world, usage, event("a", None).as_bytes()).await;
        next(&mut response).await.unwrap();
        for _ in 0..5 {
            let later = async {
                tokio::time::sleep(Duration::from_secs(59)).await;
                connection.chunk(": keep-alive\n\n").await;
            };
            let (got, ()) = tokio::join!(next(&mut response), later);
            assert_eq!(got.as_deref(), Some(": keep-alive\n\n"));
        }
        connection.chunk(DONE).await;
        connection.end_stream().await;
        assert!(text(response).await.ends_with(DONE));
        assert_eq!(ended(&world).await.ending, Ending::Complete);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_provider() {
    const CHUNK: usize = 64 << 10;
    // The pipe to the provider holds 1 MiB, as a socket would; what the gateway holds comes on top.
    const HELD_MAX: usize = 2 << 20;
    let mut world = World::new();
    let (mut response, mut connection) = begun(&mut world, true, event("a", None).as_bytes()).await;
    let chunk = event(&"x".repeat(CHUNK), None);
    let sent = connection.flood(chunk.as_bytes()).await;
    assert!(sent <= HELD_MAX, "{sent} bytes were taken from the provider and nobody reads");
    // Reading lets it go on, however long the pause was.
    tokio::time::advance(Duration::from_secs(600)).await;
    let mut got = 0;
    while got < sent {
        got += next(&mut response).await.unwrap().len();
    }
    assert_eq!(world.gateway.calls(), 1);
    drop(response);
    connection.closed().await;
    assert_eq!(ended(&world).await.ending, Ending::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_done_does_not_wait_for_its_connection() {
    let mut world = World::new();
    let all = [event("a", Some("stop")), DONE.into()].concat();
    let (mut response, mut connection) = begun(&mut world, false, all.as_bytes()).await;
    assert_eq!(next(&mut response).await, Some(all));
    let waited = tokio::time::Instant::now();
    assert_eq!(next(&mut response).await, None);
    assert!(waited.elapsed() < Duration::from_secs(2), "{:?}", waited.elapsed());
    connection.closed().await;
    assert_eq!(ended(&world).await.ending, Ending::Complete);
}

#[tokio::test(start_paused = true)]
async fn trailers_are_no_part_of_the_answer() {
    let mut world = World::new();
    let all = [event("a", Some("stop")), DONE.into()].concat();
    let (response, mut connection) = begun(&mut world, false, all.as_bytes()).await;
    connection.say("0\r\nx-checksum: 7\r\n\r\n").await;
    assert_eq!(text(response).await, all);
    assert_eq!(ended(&world).await.ending, Ending::Complete);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_before_the_request_is_read() {
    // More than the pipe to the provider holds.
    let long = "x".repeat(3 << 20);
    let mut world = World::new();
    let request = chat(json!({"messages": [{"role": "user", "content": long}]}));
    let refusal = r#"{"error":{"message":"too many tokens","type":"invalid_request_error"}}"#;
    let (answer, _connection) = world
        .call(request, async |mut provider| {
            let mut connection = provider.accept_head().await;
            connection.answer("413 Too Large", &["connection: close"], refusal).await;
            connection
        })
        .await;
    let answer = whole(answer).await;
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (413, refusal.as_bytes()));
    assert_eq!(world.kinds().await, ["model_request", "model_response", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_closes_after_each_answer_is_connected_to_anew() {
    let mut world = World::new();
    let mut provider = world.provider();
    for stream in [false, true, false] {
        let call = world.gateway.handle(chat(json!({"stream": stream})), &Tenants::All);
        let play = async {
            let mut connection = provider.accept().await;
            if stream {
                connection
                    .say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                    .await;
                connection.say(&[event("a", Some("stop")), DONE.into()].concat()).await;
            } else {
                connection.answer("200 OK", &["connection: close"], &completion(SNAPSHOT)).await;
            }
        };
        let (answer, ()) = tokio::join!(call, play);
        assert!(answer.headers().get("connection").is_none());
        let said = text(answer).await;
        assert!(said.ends_with(DONE) == stream, "{said}");
    }
    let endings = world.journal().await.into_iter().filter(|event| event.kind() == "model_retry").count();
    assert_eq!(endings, 0);
}

/// A gateway whose provider is a socket that the test plays.
async fn over_sockets() -> (World, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let _: Uri = base_url.parse().unwrap();
    let spec = ProviderSpec { base_url, ..Setup::default().spec };
    (Setup { spec, connect: Some(Arc::new(Net::new())), ..Setup::default() }.build(), listener)
}

async fn asked(listener: &TcpListener) -> TcpStream {
    let mut socket = listener.accept().await.unwrap().0;
    assert!(socket.read(&mut [0; 4_096]).await.unwrap() > 0);
    socket
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunked(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn a_provider_that_resets_its_connection_has_cut_its_stream() {
    let (world, listener) = over_sockets().await;
    let provider = async {
        let mut socket = asked(&listener).await;
        let begin = format!("{HEAD}{}", chunked(&event("a", None)));
        socket.write_all(begin.as_bytes()).await.unwrap();
        socket
    };
    let call = world.gateway.handle(chat(json!({"stream": true})), &Tenants::All);
    let (mut response, socket) = tokio::join!(call, provider);
    assert_eq!(next(&mut response).await, Some(event("a", None)));
    socket.set_zero_linger().unwrap();
    drop(socket);
    let rest = text(response).await;
    assert!(rest.contains("provider_stream_cut"), "{rest}");
    assert_eq!(ended(&world).await.ending, Ending::Cut);
}

#[tokio::test]
async fn a_provider_that_sends_no_more_but_listens_has_ended_its_stream() {
    for (last, ending) in [(DONE, Ending::Complete), ("", Ending::Cut)] {
        let (world, listener) = over_sockets().await;
        let provider = async {
            let mut socket = asked(&listener).await;
            // No length and no chunks: the end of the connection's bytes is the end of the body.
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let all = format!("{head}{}{last}", event("a", None));
            socket.write_all(all.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            socket
        };
        let call = world.gateway.handle(chat(json!({"stream": true})), &Tenants::All);
        let (response, _socket) = tokio::join!(call, provider);
        let said = text(response).await;
        assert_eq!(said.contains("provider_stream_cut"), ending == Ending::Cut, "{said}");
        assert_eq!(ended(&world).await.ending, ending);
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_provider_closed_is_no_failed_attempt() {
    let (world, listener) = over_sockets().await;
    let answer = |text: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        )
    };
    let provider = async {
        let mut socket = asked(&listener).await;
        socket.write_all(answer(&completion(SNAPSHOT)).as_bytes()).await.unwrap();
        socket
    };
    let call = world.gateway.handle(chat(json!({})), &Tenants::All);
    let (first, socket) = tokio::join!(call, provider);
    assert_eq!(text(first).await, completion(SNAPSHOT));
    drop(socket);
    // Whether the gateway has noticed by now or meets the end at its next request: a new connection serves it.
    let provider = async {
        let mut socket = asked(&listener).await;
        socket.write_all(answer(&completion(SNAPSHOT)).as_bytes()).await.unwrap();
        socket
    };
    let call = world.gateway.handle(chat(json!({})), &Tenants::All);
    let (second, _socket) = tokio::join!(call, provider);
    assert_eq!(second.status(), 200);
    let journal = world.journal().await;
    assert!(journal.iter().all(|event| event.kind() != "model_retry"), "{journal:?}");
    let finished = Event::Finished { outcome: Outcome::Ok, why: None };
    assert_eq!(journal.last(), Some(&finished));
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_no_room_while_its_answer_streams() {
    let limits = Limits { bodies_bytes_max: 10_000, ..Limits::default() };
    let mut world = Setup { limits, ..Setup::default() }.build();
    let mut provider = world.provider();
    let mut open = Vec::new();
    for _ in 0..4 {
        let long = json!({"stream": true, "messages": [{"role": "user", "content": "x".repeat(8_000)}]});
        let play = async {
            let mut connection = provider.accept().await;
            connection.begin_stream().await;
            connection.chunk(&event("a", None)).await;
            connection
        };
        let (response, connection) = tokio::join!(world.gateway.handle(chat(long), &Tenants::All), play);
        assert_eq!(response.status(), 200);
        open.push((response, connection));
    }
    assert_eq!(world.gateway.calls(), 4);
}
