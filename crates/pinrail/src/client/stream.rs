//! Server-sent events, followed line by line.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::time::Duration;

use ureq::BodyReader;
use ureq::http::{Method, header};

use super::{Client, ClientError};

/// A stream of events that is followed.
pub struct Events {
    lines: BufReader<BodyReader<'static>>,
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    /// What to say after a break, so that nothing is missed; empty where the event has none.
    pub id: String,
    pub data: String,
}

/// The server shows every 15 s that it is alive: twice that, and a margin, means that it isn't.
const SILENCE: Duration = Duration::from_secs(40);
/// The longest line: some hundred changes with all their agents.
const LINE_BYTES_MAX: u64 = 16 << 20;

impl Client {
    /// Follows a stream; `last` is the id of the last event that was seen.
    pub fn follow(&self, path: &str, last: Option<&str>) -> Result<Events, ClientError> {
        let (uri, mut request) = self.request(&Method::GET, path)?;
        if let Some(headers) = request.headers_mut() {
            headers.insert(header::ACCEPT, header::HeaderValue::from_static("text/event-stream"));
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let bad = |_| ClientError::BadAddress { url: uri.clone(), why: "it is not a URL" };
        let request = request.body(()).map_err(bad)?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(None)
            .timeout_per_read(Some(SILENCE))
            .build();
        let unreachable =
            |source| ClientError::Unreachable { base: self.base.clone(), source: Box::new(source) };
        let response = self.agent.run(request).map_err(unreachable)?;
        if !response.status().is_success() {
            let refused = self.read::<serde::de::IgnoredAny>(response);
            return Err(refused.expect_err("an answer that isn't a success is an error"));
        }
        Ok(Events { lines: BufReader::new(response.into_body().into_reader()) })
    }
}

impl Events {
    /// The next event; none at the end of the stream.
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        next(&mut self.lines)
    }
}

/// Reads as far as the next event that has data.
fn next(lines: &mut impl io::BufRead) -> io::Result<Option<Event>> {
    let mut event = Event::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        // An event that broke off in the middle is none.
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\r', '\n']);
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if text.is_empty() && !event.data.is_empty() => return Ok(Some(event)),
            "event" => event.name = value.to_owned(),
            "id" => event.id = value.to_owned(),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            // Comments, and how long to wait: nothing that matters here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_signs_of_life_are_not() {
        let text = "retry: 1000\nevent: epoch\nid: 3\ndata: {\"epoch\":3}\n\n: still here\n\nid: 4\r\ndata: a\r\ndata: b\r\n\r\ndata: cut";
        let mut lines = io::Cursor::new(text);
        let mut read = || next(&mut lines).unwrap().map(|event| (event.name, event.id, event.data));
        let event =
            |name: &str, id: &str, data: &str| Some((name.to_owned(), id.to_owned(), data.to_owned()));
        assert_eq!(read(), event("epoch", "3", "{\"epoch\":3}"));
        assert_eq!(read(), event("", "4", "a\nb"));
        assert_eq!(read(), None);
    }
}
