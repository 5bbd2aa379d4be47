//! Turns Amazon's event-stream frames into server-sent events of the `messages` dialect.
//!
//! A frame of type `chunk` holds one of Anthropic's events in base64; an exception becomes Anthropic's `error` event. Every
//! frame's checksums are compared. Frames of other types are passed over: they are for what came later than we did.
//! Source: "Event stream encoding" in the AWS API references, `InvokeModelWithResponseStream` in that of Amazon Bedrock.

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, Bytes, BytesMut};
use serde::Deserialize;

use super::said::{error_event, kind_of};

/// Frames as they come, in pieces of any size.
#[derive(Default)]
pub struct Frames {
    waiting: BytesMut,
}

/// Why frames can't be read on.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    #[error("a frame says it is {0} bytes long; at most {FRAME_BYTES_MAX} are read")]
    Long(usize),
    #[error("a frame is damaged")]
    Damaged(#[source] aws_smithy_eventstream::error::Error),
    #[error("a frame holds no event")]
    NoEvent,
    #[error("it ended within a frame")]
    Cut,
}

/// Amazon's own limit of a frame's payload is 16 MiB, of its headers 128 KiB.
const FRAME_BYTES_MAX: usize = (16 << 20) + (128 << 10) + 16;
/// The length of a frame comes first.
const LENGTH_BYTES: usize = 4;

#[derive(Deserialize)]
struct Chunk {
    bytes: String,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(alias = "Message", alias = "originalMessage", default)]
    message: String,
}

impl Frames {
    /// Takes the next piece; gives the events that are whole now.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Bytes, Corrupt> {
        self.waiting.extend_from_slice(piece);
        let mut out = Vec::new();
        while let Some(length) = self.waiting.get(..LENGTH_BYTES) {
            let length = u32::from_be_bytes(length.try_into().expect("four bytes were taken")) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(Corrupt::Long(length));
            }
            if self.waiting.len() < length {
                break;
            }
            let mut frame = &self.waiting[..length];
            let message = read_message_from(&mut frame).map_err(Corrupt::Damaged)?;
            event(&message, &mut out)?;
            self.waiting.advance(length);
        }
        Ok(Bytes::from(out))
    }

    /// Says whether the stream may end here.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.waiting.is_empty() { Ok(()) } else { Err(Corrupt::Cut) }
    }
}

fn event(message: &Message, out: &mut Vec<u8>) -> Result<(), Corrupt> {
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name);
        header.and_then(|header| header.value().as_string().ok()).map(|text| text.as_str())
    };
    match header(":message-type") {
        Some("event") if header(":event-type") == Some("chunk") => chunk(message.payload(), out),
        Some("exception") => {
            let said = serde_json::from_slice::<Exception>(message.payload()).map(|said| said.message);
            let name = header(":exception-type").unwrap_or_default();
            out.extend_from_slice(&error_event(kind_of(name), &said.unwrap_or_else(|_| name.to_owned())));
            Ok(())
        }
        Some("error") => {
            let name = header(":error-code").unwrap_or_default();
            let said = header(":error-message").unwrap_or(name);
            out.extend_from_slice(&error_event(kind_of(name), said));
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

fn chunk(payload: &[u8], out: &mut Vec<u8>) -> Result<(), Corrupt> {
    let chunk: Chunk = serde_json::from_slice(payload).map_err(|_| Corrupt::NoEvent)?;
    let data = STANDARD.decode(chunk.bytes).map_err(|_| Corrupt::NoEvent)?;
    let kind: Kind<'_> = serde_json::from_slice(&data).map_err(|_| Corrupt::NoEvent)?;
    if kind.kind.contains(['\n', '\r']) {
        return Err(Corrupt::NoEvent);
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // In JSON a raw line break stands only where any white space may.
    out.extend(data.iter().map(|&byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }));
    out.extend_from_slice(b"\n\n");
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    /// A frame as Amazon sends it.
    pub fn frame(headers: &[(&'static str, &'static str)], payload: &[u8]) -> Vec<u8> {
        let mut message = Message::new(Bytes::copy_from_slice(payload));
        for (name, value) in headers {
            message = message.add_header(Header::new(*name, HeaderValue::String((*value).into())));
        }
        let mut out = Vec::new();
        write_message_to(&message, &mut out).unwrap();
        out
    }

    pub fn chunk_frame(event: &str) -> Vec<u8> {
        let payload = format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, STANDARD.encode(event));
        frame(&[(":message-type", "event"), (":event-type", "chunk")], payload.as_bytes())
    }

    fn stream() -> (Vec<u8>, String) {
        let start = r#"{"type":"message_start","message":{"id":"msg_1"}}"#;
        let delta = "{\"type\":\"content_block_delta\",\n\"delta\":{\"text\":\"gr\u{fc}\u{df}e\"}}";
        let thrown = frame(
            &[(":message-type", "exception"), (":exception-type", "throttlingException")],
            br#"{"message":"Too many \"requests\""}"#,
        );
        let other = frame(&[(":message-type", "event"), (":event-type", "later")], b"{}");
        let failed = frame(
            &[(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "oh")],
            b"",
        );
        let bytes = [chunk_frame(start), other, chunk_frame(delta), thrown, failed].concat();
        let want = format!(
            "event: message_start\ndata: {start}\n\nevent: content_block_delta\ndata: {}\n\n{}{}",
            delta.replace('\n', " "),
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Too many \\\"requests\\\"\"}}\n\n",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oh\"}}\n\n",
        );
        (bytes, want)
    }

    fn fed<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> String {
        let mut frames = Frames::default();
        let mut got = Vec::new();
        for piece in pieces {
            got.extend_from_slice(&frames.feed(piece).unwrap());
        }
        frames.end().unwrap();
        String::from_utf8(got).unwrap()
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let (bytes, want) = stream();
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(fed([left, right].into_iter()), want, "split at {at}");
        }
        assert_eq!(fed(bytes.chunks(1)), want);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_events(sizes in prop::collection::vec(1_usize..80, 1..60)) {
            let (bytes, want) = stream();
            let mut rest = &bytes[..];
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            prop_assert_eq!(fed(pieces.into_iter()), want);
        }

        #[test]
        fn a_damaged_frame_is_never_passed_on(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let whole = chunk_frame(r#"{"type":"ping"}"#);
            let mut bytes = whole.clone();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let mut frames = Frames::default();
            // A length that grew waits for more; everything else is noticed.
            if let Ok(out) = frames.feed(&bytes) {
                prop_assert!(out.is_empty() && frames.end().is_err());
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        let event = [(":message-type", "event"), (":event-type", "chunk")];
        for payload in ["", "{}", r#"{"bytes":"%"}"#, r#"{"bytes":"e30="}"#] {
            let fed = Frames::default().feed(&frame(&event, payload.as_bytes()));
            assert!(matches!(fed, Err(Corrupt::NoEvent)), "{payload}");
        }
        assert!(matches!(Frames::default().feed(b"\xff\xff\xff\xff"), Err(Corrupt::Long(_))));
        assert!(matches!(Frames::default().feed(&[0; 16]), Err(Corrupt::Damaged(_))));
        let mut frames = Frames::default();
        frames.feed(&chunk_frame(r#"{"type":"ping"}"#)[..20]).unwrap();
        assert!(matches!(frames.end(), Err(Corrupt::Cut)));
    }
}
