//! The fixed upstream that every proxy is measured on: 694 bytes of answer, or 36 chunks of a stream. A request with
//! tools is answered with calls of two of them, also of one that it doesn't offer.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::process;

/// Content chunks of a stream, the first and last included.
pub const CHUNKS: usize = 36;
/// The tools that it calls: one that reads and one that acts.
pub const LOOKS: &str = "look_up";
pub const ACTS: &str = "issue_refund";
/// What comes before a chunk's own time.
pub const OWN_TIME: &str = "\"system_fingerprint\":\"own_us=";
/// What comes before the pause between two chunks in a request, in milliseconds: a field that proxies pass on.
pub const PAUSE_KEY: &str = ",\"seed\":";
/// A stream with this pause says nothing after its first chunk.
pub const HOLD_MS: u64 = 3_600_000;
/// Before the first chunk, and between two of a request that names no pause: the timer's resolution.
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of the whole answer.
const ANSWER_BYTES: usize = 694;

/// Answers until it is killed.
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let (whole, calling) = (answer(), calling());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (whole, calling) = (whole.clone(), calling.clone());
        let service = service_fn(move |request| reply(request, whole.clone(), calling.clone()));
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that hangs up ends its connection and nothing else.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn reply(
    request: Request<Incoming>,
    whole: Bytes,
    calling: Bytes,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let calls = memchr::memmem::find(&body, b"\"tools\":[").is_some();
    let (kind, body) = if streams {
        let asked_us = process::unix_us();
        let pause = pause(&body);
        // A pause before each chunk: a model's tokens come one by one, and each is a write of its own.
        let frames = futures_util::stream::unfold(0, move |n| async move {
            tokio::time::sleep(if n == 0 { PAUSE } else { pause }).await;
            let chunk = match n {
                0..CHUNKS => chunk(n, calls, asked_us),
                CHUNKS => Bytes::from_static(b"data: [DONE]\n\n"),
                _ => return None,
            };
            Some((Ok(Frame::data(chunk)), n + 1))
        });
        ("text/event-stream", StreamBody::new(frames).boxed())
    } else {
        ("application/json", Full::new(if calls { calling } else { whole }).boxed())
    };
    let response = Response::builder().header("content-type", kind).body(body);
    Ok(response.expect("fixed headers are valid"))
}

/// The pause that the request names.
fn pause(body: &[u8]) -> Duration {
    let at = memchr::memmem::find(body, PAUSE_KEY.as_bytes()).map(|at| at + PAUSE_KEY.len());
    let digits = at.and_then(|at| body[at..].split(|byte| !byte.is_ascii_digit()).next());
    let ms = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    ms.map_or(PAUSE, Duration::from_millis)
}

fn answer() -> Bytes {
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"sim-1-2026-01-15","system_fingerprint":"fp_1","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = r#"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":64,"total_tokens":106}}"#;
    Bytes::from(format!("{head}{}{tail}", "x".repeat(ANSWER_BYTES - head.len() - tail.len())))
}

/// An answer of about the same length that calls both tools.
fn calling() -> Bytes {
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"sim-1-2026-01-15","system_fingerprint":"fp_1","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = format!(
        r#"","tool_calls":[{},{}]}},"logprobs":null,"finish_reason":"tool_calls"}}],"usage":{{"prompt_tokens":42,"completion_tokens":64,"total_tokens":106}}}}"#,
        call("call_1", LOOKS),
        call("call_2", ACTS)
    );
    Bytes::from(format!("{head}{}{tail}", "x".repeat(ANSWER_BYTES.saturating_sub(head.len() + tail.len()))))
}

fn call(id: &str, tool: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"function","function":{{"name":"{tool}","arguments":"{{\"order\":812}}"}}}}"#
    )
}

/// The pieces of the calls that a stream ends with: each call's name and then its arguments.
fn piece(n: usize) -> Option<String> {
    let from = CHUNKS - 5;
    let index = n.checked_sub(from)? / 2;
    let tool = *[LOOKS, ACTS].get(index)?;
    let inside = match (n - from).is_multiple_of(2) {
        true => format!(
            r#""id":"call_{}","type":"function","function":{{"name":"{tool}","arguments":""}}"#,
            index + 1
        ),
        false => r#""function":{"arguments":"{\"order\":812}"}"#.to_owned(),
    };
    Some(format!(r#"{{"tool_calls":[{{"index":{index},{inside}}}]}}"#))
}

/// A content chunk, or where `calls` a piece of a call at the end. Its fingerprint says how long the upstream itself has taken so far, in microseconds: what a
/// client waited beyond that, the way took.
fn chunk(n: usize, calls: bool, asked_us: u64) -> Bytes {
    let (delta, finish) = match (n + 1 < CHUNKS, piece(n).filter(|_| calls)) {
        (true, Some(piece)) => (piece, "null"),
        (true, None) => (r#"{"content":"word "}"#.to_owned(), "null"),
        (false, _) => ("{}".to_owned(), if calls { r#""tool_calls""# } else { r#""stop""# }),
    };
    let own_us = process::unix_us().saturating_sub(asked_us);
    Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\
         \"model\":\"sim-1-2026-01-15\",{OWN_TIME}{own_us}\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
    ))
}
