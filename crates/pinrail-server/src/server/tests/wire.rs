//! Model calls over real connections on both sides: what clients and providers may do to theirs.

use tokio::net::TcpListener;

use super::*;

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"sim-1-2026-06-01","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const EVENT: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é\"},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A server whose one agent is answered by a provider that the test plays.
async fn with_provider(limits: Limits) -> (Running, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = start_before(limits, Some(base.parse().unwrap())).await;
    server.set_up().await;
    (server, listener)
}

fn call(stream: bool) -> String {
    let options = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let body = format!(
        r#"{{"model":"support","messages":[{{"role":"user","content":"hi"}}]{}}}"#,
        if stream { options } else { "" }
    );
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Takes the gateway's connection and reads one request from it.
async fn asked(listener: &TcpListener) -> TcpStream {
    let mut socket = listener.accept().await.unwrap().0;
    request(&mut socket).await;
    socket
}

async fn request(socket: &mut TcpStream) {
    let head = until(socket, "\r\n\r\n").await.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    socket.read_exact(&mut vec![0; length.trim().parse().unwrap()]).await.unwrap();
}

async fn answer(socket: &mut TcpStream) {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}", ANSWER.len());
    socket.write_all(format!("{head}\r\n\r\n{ANSWER}").as_bytes()).await.unwrap();
}

/// Reads until the text ends so.
async fn until(socket: &mut TcpStream, end: &str) -> String {
    let mut said = Vec::new();
    while !said.ends_with(end.as_bytes()) {
        said.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:X}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn a_client_that_ends_its_side_has_left_unless_the_server_is_told_otherwise() {
    for half_close in [false, true] {
        let (server, listener) = with_provider(Limits { half_close, ..Limits::default() }).await;
        let mut client = server.connect().await;
        client.write_all(call(false).as_bytes()).await.unwrap();
        let mut provider = asked(&listener).await;
        client.shutdown().await.unwrap();
        if half_close {
            answer(&mut provider).await;
            let said = rest(&mut client).await;
            assert!(said.starts_with("HTTP/1.1 200") && said.ends_with(ANSWER), "{said}");
        } else {
            // The provider needs not go on for a client that is gone.
            assert_eq!(provider.read(&mut [0; 64]).await.unwrap_or(0), 0);
            assert_eq!(rest(&mut client).await, "");
        }
        assert_eq!(server.stop().await, Drained::default());
    }
}

#[tokio::test]
async fn each_byte_of_a_stream_goes_through_alone() {
    let (server, listener) = with_provider(Limits::default()).await;
    let mut client = server.connect().await;
    client.write_all(call(true).as_bytes()).await.unwrap();
    let mut provider = asked(&listener).await;
    provider.set_nodelay(true).unwrap();
    provider.write_all(STREAM.as_bytes()).await.unwrap();
    let all = [EVENT, DONE].concat();
    let mut headless = false;
    for byte in all.as_bytes() {
        provider.write_all(&chunk(&[*byte])).await.unwrap();
        if !headless {
            assert!(until(&mut client, "\r\n\r\n").await.contains("x-pinrail-run: "));
            headless = true;
        }
        let mut got = [0; 6];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got[..], chunk(&[*byte])[..]);
    }
    provider.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut client, "0\r\n\r\n").await, "0\r\n\r\n");
    // The connection goes on with the next request.
    assert_eq!(ask(&mut client, "GET", "/healthz", None).await["status"], "ok");
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let (server, listener) = with_provider(Limits::default()).await;
    let mut client = server.connect().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let all = [get("/v1/models"), call(false), get("/healthz"), call(false)].concat();
    client.write_all(all.as_bytes()).await.unwrap();
    assert_eq!(receive(&mut client).await.1["data"][0]["id"], "support");
    let mut provider = asked(&listener).await;
    answer(&mut provider).await;
    assert_eq!(receive(&mut client).await.1["choices"][0]["message"]["content"], "hello");
    assert_eq!(receive(&mut client).await.1["status"], "ok");
    request(&mut provider).await;
    answer(&mut provider).await;
    assert_eq!(receive(&mut client).await.1["choices"][0]["message"]["content"], "hello");
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte_and_an_answer_be_read_so() {
    let (server, listener) = with_provider(Limits::default()).await;
    let mut client = server.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in call(true).as_bytes() {
        client.write_all(&[*byte]).await.unwrap();
    }
    let mut provider = asked(&listener).await;
    let long = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"CONTENT\"}}]}\n\n"
        .replace("CONTENT", &"x".repeat(50_000));
    let events = 100;
    let sending = tokio::spawn({
        let long = long.clone();
        async move {
            provider.write_all(STREAM.as_bytes()).await.unwrap();
            for _ in 0..events {
                provider.write_all(&chunk(long.as_bytes())).await.unwrap();
            }
            provider.write_all(&chunk([EVENT, DONE].concat().as_bytes())).await.unwrap();
            provider.write_all(b"0\r\n\r\n").await.unwrap();
        }
    });
    let mut x = 0;
    let mut said = Vec::new();
    while !said.ends_with(b"0\r\n\r\n") {
        let mut part = [0; 1_000];
        let read = client.read(&mut part).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        x += part[..read].iter().filter(|byte| **byte == b'x').count();
        said.extend_from_slice(&part[..read]);
        said.drain(..said.len().saturating_sub(1_000));
    }
    sending.await.unwrap();
    // The headers hold some, too.
    assert!((events * 50_000..events * 50_000 + 1_000).contains(&x), "{x}");
}

#[tokio::test]
async fn other_methods_leave_the_connection_in_order() {
    let (server, _listener) = with_provider(Limits::default()).await;
    let mut client = server.connect().await;
    for (method, path, status) in [
        ("HEAD", "/v1/models", 200),
        ("HEAD", "/v1/models/support", 200),
        ("HEAD", "/v1/chat/completions", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
        ("HEAD", "/healthz", 200),
        ("OPTIONS", "/v1/models", 405),
        ("BREW", "/v1/models", 405),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        if method == "HEAD" {
            // A length, perhaps, and no body: what follows is the next answer.
            let head = until(&mut client, "\r\n\r\n").await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {head}");
        } else {
            assert_eq!(receive(&mut client).await.0, status, "{method} {path}");
        }
    }
    assert_eq!(ask(&mut client, "GET", "/healthz", None).await["status"], "ok");
}

#[tokio::test]
async fn a_stream_under_way_ends_before_the_server_does() {
    let (server, listener) = with_provider(Limits::default()).await;
    let mut client = server.connect().await;
    client.write_all(call(true).as_bytes()).await.unwrap();
    let mut provider = asked(&listener).await;
    provider.write_all(&[STREAM.as_bytes(), &chunk(EVENT.as_bytes())].concat()).await.unwrap();
    until(&mut client, EVENT).await;
    let Running { at, stop, mut ended, .. } = server;
    stop.send(()).unwrap();
    while TcpStream::connect(at).await.is_ok() {}
    assert!(futures_util::FutureExt::now_or_never(&mut ended).is_none());
    provider.write_all(&[&chunk(DONE.as_bytes())[..], b"0\r\n\r\n"].concat()).await.unwrap();
    assert!(rest(&mut client).await.contains("[DONE]"));
    assert_eq!(ended.await.unwrap().unwrap(), Drained::default());
}
