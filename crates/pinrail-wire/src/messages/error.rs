//! Errors in the form of messages: their kind follows from the status, as Anthropic's API reference lists it.

use serde::Serialize;

use crate::dialect::Told;
use crate::json;

#[derive(Serialize)]
struct Envelope<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Body<'e>,
}

/// `code` and `param` are no members of Anthropic's; its clients show what else is in an error.
#[derive(Serialize)]
struct Body<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'e str>,
}

/// Writes the body of an error answer.
#[must_use]
pub fn error_body(told: &Told<'_>) -> Vec<u8> {
    let Told { status, message, kind: _, code, param } = *told;
    json::to_vec(&Envelope { kind: "error", error: Body { kind: kind(status), message, code, param } })
}

/// Writes the event that ends a stream which can't be ended properly.
///
/// `mid_event` says that the client has already got the beginning of an event (see `Finished::mid_event`). The bytes
/// then end the line that was begun, without making an empty one of it, and close that event as a `ping`: clients pass
/// over those, where half of any other event would be an error of its own, told in place of this one.
#[must_use]
pub fn stream_error_event(told: &Told<'_>, mid_event: bool) -> Vec<u8> {
    let closing: &[u8] = if mid_event { b":\nevent: ping\n\n" } else { b"" };
    let mut event = [closing, b"event: error\ndata: "].concat();
    event.extend_from_slice(&error_body(told));
    event.extend_from_slice(b"\n\n");
    event
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::parse_error;
    use crate::messages::StreamObserver;
    use crate::{Ending, Limits};

    const TOLD: Told<'_> = Told {
        status: 404,
        message: "a \"b\"\n",
        kind: "invalid_request_error",
        code: Some("agent_unknown"),
        param: Some("model"),
    };

    #[test]
    fn what_is_written_can_be_read() {
        let body = error_body(&TOLD);
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"type":"error","error":{"type":"not_found_error","message":"a \"b\"\n","code":"agent_unknown","param":"model"}}"#
        );
        let read = parse_error(&body).unwrap();
        assert_eq!((read.message.as_str(), read.kind.as_deref()), (TOLD.message, Some("not_found_error")));
        assert_eq!(read.code.as_deref(), Some("agent_unknown"));
        let bare = error_body(&Told { status: 502, code: None, param: None, ..TOLD });
        let bare = String::from_utf8(bare).unwrap();
        assert_eq!(bare, r#"{"type":"error","error":{"type":"api_error","message":"a \"b\"\n"}}"#);
    }

    #[test]
    fn the_kind_follows_from_the_status() {
        let check = |status: u16, want: &str| assert_eq!(kind(status), want, "{status}");
        check(400, "invalid_request_error");
        check(401, "authentication_error");
        check(402, "billing_error");
        check(403, "permission_error");
        check(404, "not_found_error");
        check(413, "request_too_large");
        check(422, "invalid_request_error");
        check(429, "rate_limit_error");
        check(500, "api_error");
        check(502, "api_error");
        check(503, "overloaded_error");
        check(504, "timeout_error");
        check(529, "overloaded_error");
    }

    #[test]
    fn a_cut_stream_ends_with_an_error_that_is_read_for_itself() {
        let stream = include_str!("../../tests/fixtures/messages/stream_tools.txt");
        for cut in 0..stream.len() {
            let limits = Limits { event_bytes_max: 1 << 16, text_bytes_max: 0 };
            let mut observer = StreamObserver::new(limits);
            observer.feed(stream[..cut].to_owned().into()).unwrap();
            let mid_event = observer.finish().mid_event;
            let mut whole = stream.as_bytes()[..cut].to_vec();
            whole.extend_from_slice(&stream_error_event(&TOLD, mid_event));

            let mut events = Vec::new();
            let mut splitter = crate::sse::Splitter::new(1 << 16);
            splitter
                .feed(&whole, |event| {
                    events.push((event.name.map(<[u8]>::to_vec), event.data.map(|d| d.to_vec())))
                })
                .unwrap();
            let (name, data) = events.pop().unwrap();
            assert_eq!(name.as_deref(), Some(&b"error"[..]), "cut at {cut}");
            assert_eq!(data.unwrap(), error_body(&TOLD), "cut at {cut}");
            // What a client doesn't pass over can be read.
            for (name, data) in events.iter().filter(|(name, _)| name.as_deref() != Some(b"ping")) {
                let data = data.as_deref().unwrap();
                assert!(serde_json::from_slice::<serde_json::Value>(data).is_ok(), "cut at {cut}: {name:?}");
            }
            let mut observer = StreamObserver::new(limits);
            observer.feed(whole.into()).unwrap();
            assert_eq!(observer.finish().ending, Ending::ErrorEvent(TOLD.message.to_owned()), "cut at {cut}");
        }
    }
}
