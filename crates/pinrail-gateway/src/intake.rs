//! Takes in a request's body: bounded in bytes, depth and time.

use std::error::Error;
use std::pin::pin;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;
use pinrail_wire::json::check_depth;

use crate::failure::Failure;
use crate::limits::Limits;
use crate::places::Place;

/// Reads a body that holds JSON. What its headers already rule out is refused before a byte is read.
pub async fn read<B>(
    headers: &HeaderMap,
    body: B,
    limits: &Limits,
    place: &mut Place,
) -> Result<Bytes, Failure>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
    if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let encoding = String::from_utf8_lossy(&encoding[..encoding.len().min(32)]);
        let message = format!("the body is encoded as `{encoding}`; send it as plain JSON");
        return Err(Failure::client(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", message));
    }
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.unwrap_or(0).max(body.size_hint().lower()) > limits.body_bytes_max as u64 {
        return Err(too_large(limits));
    }
    let bytes =
        tokio::time::timeout(limits.body_wait, collect(body, limits, place)).await.map_err(|_| {
            let message =
                format!("the body did not come within {} s; send it again", limits.body_wait.as_secs());
            Failure::client(StatusCode::REQUEST_TIMEOUT, "body_timeout", message).retry_after(1)
        })??;
    check_depth(&bytes, limits.json_depth_max)
        .map_err(|error| Failure::bad_request("json_too_deep", error.to_string()))?;
    Ok(bytes)
}

async fn collect<B>(body: B, limits: &Limits, place: &mut Place) -> Result<Bytes, Failure>
where
    B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("the body broke off: {}", error.into());
            Failure::bad_request("body_broken", message)
        })?;
        let Ok(mut data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.remaining() > limits.body_bytes_max {
            return Err(too_large(limits));
        }
        if !place.hold(data.remaining()) {
            let what = "the memory for request bodies, in bytes,";
            return Err(Failure::busy(what, limits.bodies_bytes_max as u64));
        }
        // A body in one piece, as most are, is not copied.
        if first.is_empty() && all.is_empty() {
            first = data.copy_to_bytes(data.remaining());
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            while data.has_remaining() {
                let part = data.chunk();
                all.extend_from_slice(part);
                let bytes = part.len();
                data.advance(bytes);
            }
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_large(limits: &Limits) -> Failure {
    let message = format!("the body is larger than the {} bytes allowed; send less", limits.body_bytes_max);
    Failure::client(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}
