//! The fixed upstream that every proxy is measured on: 694 bytes of answer, or 36 chunks of a stream.

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
/// What comes before a chunk's own time.
pub const OWN_TIME: &str = "\"system_fingerprint\":\"own_us=";
/// Between two chunks: the timer's resolution, about a thousand tokens a second.
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of the whole answer.
const ANSWER_BYTES: usize = 694;

/// Answers until it is killed.
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let whole = answer();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let whole = whole.clone();
        let service = service_fn(move |request| reply(request, whole.clone()));
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
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let (kind, body) = if streams {
        let asked_us = process::unix_us();
        // A pause before each chunk: a model's tokens come one by one, and each is a write of its own.
        let frames = futures_util::stream::unfold(0, move |n| async move {
            tokio::time::sleep(PAUSE).await;
            let chunk = match n {
                0..CHUNKS => chunk(n, asked_us),
                CHUNKS => Bytes::from_static(b"data: [DONE]\n\n"),
                _ => return None,
            };
            Some((Ok(Frame::data(chunk)), n + 1))
        });
        ("text/event-stream", StreamBody::new(frames).boxed())
    } else {
        ("application/json", Full::new(whole).boxed())
    };
    let response = Response::builder().header("content-type", kind).body(body);
    Ok(response.expect("fixed headers are valid"))
}

fn answer() -> Bytes {
    let head = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"sim-1-2026-01-15","system_fingerprint":"fp_1","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let tail = r#"","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":64,"total_tokens":106}}"#;
    Bytes::from(format!("{head}{}{tail}", "x".repeat(ANSWER_BYTES - head.len() - tail.len())))
}

/// A content chunk. Its fingerprint says how long the upstream itself has taken so far, in microseconds: what a
/// client waited beyond that, the way took.
fn chunk(n: usize, asked_us: u64) -> Bytes {
    let (delta, finish) =
        if n + 1 < CHUNKS { (r#"{"content":"word "}"#, "null") } else { ("{}", r#""stop""#) };
    let own_us = process::unix_us().saturating_sub(asked_us);
    Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\
         \"model\":\"sim-1-2026-01-15\",{OWN_TIME}{own_us}\",\
         \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
    ))
}
