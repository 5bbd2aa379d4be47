//! The fixed upstream that every proxy is measured on: 694 bytes of answer, or 36 chunks of a stream.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Content chunks of a stream, the first and last included.
pub const CHUNKS: usize = 36;
/// Bytes of the whole answer.
const ANSWER_BYTES: usize = 694;

/// Answers until it is killed.
pub async fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let (whole, chunks) = (answer(), chunks());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (whole, chunks) = (whole.clone(), chunks.clone());
        let service = service_fn(move |request| reply(request, whole.clone(), chunks.clone()));
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
    chunks: Vec<Bytes>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let (kind, body) = if streams {
        // One chunk a poll: each is a write of its own, as a model's tokens are.
        let frames = futures_util::stream::unfold(chunks.into_iter(), |mut left| async {
            tokio::task::yield_now().await;
            left.next().map(|chunk| (Ok(Frame::data(chunk)), left))
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

fn chunks() -> Vec<Bytes> {
    let chunk = |n: usize| {
        let (delta, finish) =
            if n + 1 < CHUNKS { (r#"{"content":"word "}"#, "null") } else { ("{}", r#""stop""#) };
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\
             \"model\":\"sim-1-2026-01-15\",\"system_fingerprint\":\"fp_1\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut chunks: Vec<Bytes> = (0..CHUNKS).map(|n| Bytes::from(chunk(n))).collect();
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    chunks
}
