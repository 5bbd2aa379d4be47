//! What is still to come of a provider's stream, in the dialect it was asked in.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::eventstream::{Corrupt, Frames};

/// A provider's answer as it comes.
pub struct Rest {
    incoming: Incoming,
    /// Reads what comes in Amazon's frames.
    frames: Option<Box<Frames>>,
}

/// Why an answer goes on no further.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Connection(hyper::Error),
    #[error("what came is no event stream")]
    Frames(#[source] Corrupt),
}

const FRAMES: &[u8] = b"application/vnd.amazon.eventstream";

impl Rest {
    /// Begins with an answer's head. Frames become server-sent events, and the head says so.
    pub fn new(head: &mut Parts, incoming: Incoming) -> Rest {
        let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let framed = kind.get(..FRAMES.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(FRAMES));
        if framed {
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        }
        Rest { incoming, frames: framed.then(Box::default) }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
            let Some(frames) = &mut this.frames else {
                return Poll::Ready(frame.map(|frame| frame.map_err(Broken::Connection)));
            };
            let frame = match frame {
                Some(frame) => frame.map_err(Broken::Connection)?,
                None => {
                    frames.end().map_err(Broken::Frames)?;
                    return Poll::Ready(None);
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            let events = frames.feed(&data).map_err(Broken::Frames)?;
            if !events.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(events))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // An answer may end within a frame, which is an error.
        self.frames.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.frames {
            Some(_) => SizeHint::default(),
            None => self.incoming.size_hint(),
        }
    }
}
