//! Errors in the form of chat completions.

use serde::Serialize;

use crate::json;

#[derive(Serialize)]
struct Envelope<'e> {
    error: Body<'e>,
}

#[derive(Serialize)]
struct Body<'e> {
    message: &'e str,
    #[serde(rename = "type")]
    kind: &'e str,
    param: Option<&'e str>,
    code: Option<&'e str>,
}

/// Writes the body of an error answer.
#[must_use]
pub fn error_body(message: &str, kind: &str, code: Option<&str>, param: Option<&str>) -> Vec<u8> {
    json::to_vec(&Envelope { error: Body { message, kind, param, code } })
}

/// Writes the event that ends a stream which can't be ended properly.
///
/// `mid_event` says that the client has already got the beginning of an event (see `Finished::mid_event`); the
/// bytes then begin by closing that event, so that this one is read for itself.
#[must_use]
pub fn stream_error_event(message: &str, kind: &str, code: Option<&str>, mid_event: bool) -> Vec<u8> {
    let mut event = if mid_event { b"\n\ndata: ".to_vec() } else { b"data: ".to_vec() };
    event.extend_from_slice(&error_body(message, kind, code, None));
    event.extend_from_slice(b"\n\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::parse_error;

    #[test]
    fn what_is_written_can_be_read() {
        let body = error_body("a \"b\"\n", "invalid_request_error", Some("c"), Some("model"));
        assert_eq!(
            String::from_utf8(body.clone()).unwrap(),
            r#"{"error":{"message":"a \"b\"\n","type":"invalid_request_error","param":"model","code":"c"}}"#
        );
        let read = parse_error(&body).unwrap();
        assert_eq!((read.message.as_str(), read.code.as_deref()), ("a \"b\"\n", Some("c")));
        let event = stream_error_event("cut\nshort", "provider_error", None, true);
        let text = String::from_utf8(event).unwrap();
        let body = text.strip_prefix("\n\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        assert_eq!(parse_error(body.as_bytes()).unwrap().message, "cut\nshort");
    }
}
