//! The event that tells a client of a stream what went wrong. Error bodies are those of chat completions.

use serde::Serialize;

use crate::dialect::Told;
use crate::json;

/// An error event, with its fields in the order of the API reference.
#[derive(Serialize)]
struct Event<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: Option<&'e str>,
    message: &'e str,
    param: Option<&'e str>,
    sequence_number: u32,
}

/// The number of an event that comes after all others, whose numbers nobody counted.
///
/// Clients that pass over what they have seen compare numbers, and it fits where they take it for 32 bits.
const LAST: u32 = i32::MAX.unsigned_abs();

/// Writes the event that ends a stream which can't be ended properly.
///
/// `mid_event` says that the client has already got the beginning of an event (see `Finished::mid_event`); the
/// bytes then begin by closing that event, so that this one is read for itself.
#[must_use]
pub fn stream_error_event(told: &Told<'_>, mid_event: bool) -> Vec<u8> {
    let Told { status: _, message, kind, code, param } = *told;
    let code = Some(code.unwrap_or(kind));
    let body = json::to_vec(&Event { kind: "error", code, message, param, sequence_number: LAST });
    let before = if mid_event { &b"\n\n"[..] } else { b"" };
    [before, b"event: error\ndata: ", &body, b"\n\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::parse_error;

    #[test]
    fn what_is_written_can_be_read() {
        let told =
            |code| Told { status: 502, message: "cut\nshort", kind: "provider_error", code, param: None };
        let event = String::from_utf8(stream_error_event(&told(Some("cut")), false)).unwrap();
        assert_eq!(
            event,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"cut\",\"message\":\"cut\\nshort\",\"param\":null,\"sequence_number\":2147483647}\n\n"
        );
        let event = String::from_utf8(stream_error_event(&told(None), true)).unwrap();
        let body = event
            .strip_prefix("\n\nevent: error\ndata: ")
            .and_then(|rest| rest.strip_suffix("\n\n"))
            .unwrap();
        let read = parse_error(body.as_bytes()).unwrap();
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("cut\nshort", Some("provider_error")));
    }
}
