//! W3C Trace Context: where a call stands in a trace that may have begun elsewhere.
//!
//! A `traceparent` that breaks its rules counts as not there, and `tracestate` with it: version `00` has exactly its four
//! parts, a later version may have more behind a dash, `ff` is none, ids are small hexadecimal letters and not all zeros.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Says which span a request comes from.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems on the way say about it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longer than the 512 characters that everyone must pass on, and than anyone sends.
const STATE_BYTES_MAX: usize = 1_024;
const PARTS_BYTES: usize = 55;

/// A trace's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// The span that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub id: TraceId,
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
    pub state: Option<HeaderValue>,
}

/// A call's place in a trace that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub id: TraceId,
    /// The call's own span.
    pub span: SpanId,
    pub parent: Option<SpanId>,
    pub state: Option<HeaderValue>,
}

impl Parent {
    /// The span that the headers name; none where they name none, or not properly.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Parent> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let value = all.next()?;
        if all.next().is_some() {
            return None;
        }
        let text = value.to_str().ok()?;
        let (version, rest) = (text.get(..2)?, text.get(PARTS_BYTES..)?);
        let version = byte(version)?;
        let ends_well = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
        if !ends_well || !dashes {
            return None;
        }
        let mut parent =
            Parent { id: TraceId::default(), span: SpanId::default(), sampled: false, state: None };
        bytes(text.get(3..35)?, &mut parent.id.0)?;
        bytes(text.get(36..52)?, &mut parent.span.0)?;
        parent.sampled = byte(text.get(53..55)?)? & 1 == 1;
        if parent.id == TraceId::default() || parent.span == SpanId::default() {
            return None;
        }
        parent.state = state(headers);
        Some(parent)
    }
}

impl Trace {
    /// The header that names `span` as the one that a request comes from.
    #[must_use]
    pub fn traceparent(&self, span: SpanId) -> HeaderValue {
        HeaderValue::try_from(format!("00-{}-{span}-01", self.id)).expect("hexadecimal is visible ASCII")
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What tracing systems say, several headers as one list.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let all: Option<Vec<&str>> =
        headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    let all = all?.join(",");
    if all.is_empty() || all.len() > STATE_BYTES_MAX { None } else { HeaderValue::try_from(all).ok() }
}

fn bytes(text: &str, into: &mut [u8]) -> Option<()> {
    for (place, to) in into.iter_mut().enumerate() {
        *to = byte(text.get(2 * place..2 * place + 2)?)?;
    }
    Some(())
}

fn byte(text: &str) -> Option<u8> {
    let small = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(small).then(|| u8::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_parent_is_read_or_ignored() {
        let check = |value: &str, sampled: Option<bool>| {
            let read = Parent::read(&headers(&[("traceparent", value)]));
            assert_eq!(read.map(|parent| parent.sampled), sampled, "{value}");
        };
        check(GOOD, Some(true));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(false));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", Some(true));
        check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what-comes", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1", None);
        check("00-1", None);
        check("", None);
        assert_eq!(Parent::read(&headers(&[("traceparent", GOOD), ("traceparent", GOOD)])), None);
        assert_eq!(Parent::read(&headers(&[("tracestate", "a=1")])), None);
    }

    #[test]
    fn states_are_one_list() {
        let check = |states: &[&str], expected: Option<&str>| {
            let mut list = vec![("traceparent", GOOD)];
            list.extend(states.iter().map(|state| ("tracestate", *state)));
            let read = Parent::read(&headers(&list)).unwrap().state;
            assert_eq!(read.as_ref().map(|state| state.to_str().unwrap()), expected);
        };
        check(&[], None);
        check(&["a=1,b=2"], Some("a=1,b=2"));
        check(&["a=1", "b=2"], Some("a=1,b=2"));
        check(&[&"x".repeat(STATE_BYTES_MAX + 1)], None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id: [u8; 16], span: [u8; 8]) {
            prop_assume!(id != [0; 16] && span != [0; 8]);
            let trace = Trace { id: TraceId(id), span: SpanId(span), parent: None, state: None };
            let written = trace.traceparent(trace.span);
            let read = Parent::read(&headers(&[("traceparent", written.to_str().unwrap())])).unwrap();
            prop_assert_eq!((read.id, read.span, read.sampled), (trace.id, trace.span, true));
        }

        #[test]
        fn nothing_that_is_sent_breaks_it(value in "[ -~]{0,80}") {
            let _ = Parent::read(&headers(&[("traceparent", &value)]));
        }
    }
}
