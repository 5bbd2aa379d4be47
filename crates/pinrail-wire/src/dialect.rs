//! The dialects that clients and providers speak, and one way to handle a call in any of them.
//!
//! Each dialect has a module with the same parts: a request that is read, rewritten and compared; an observer of answers
//! and of streams; a guard that holds tool calls back; errors and canned answers in its form. Here they meet.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::answer::{AnswerError, Finished, Gathered, Limits, Observed};
use crate::edit::Edit;
use crate::guard::{Called, Rule, Verdict};
use crate::pin::{Mismatch, Pin};
use crate::request::RequestError;
use crate::sse::EventTooLong;
use crate::{chat, messages, responses};

/// A wire format of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// One request, borrowed from its body.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    Chat(chat::ChatRequest<'a>),
    Responses(responses::ResponsesRequest<'a>),
    Messages(messages::MessagesRequest<'a>),
}

/// Takes a provider's chunks, gives what to pass on, and notes what the answer was.
#[derive(Debug)]
pub enum StreamObserver {
    Chat(chat::StreamObserver),
    Responses(responses::StreamObserver),
    Messages(messages::StreamObserver),
}

/// Holds tool calls of a stream back.
pub enum StreamGuard {
    Chat(chat::StreamGuard),
    Responses(responses::StreamGuard),
    Messages(messages::StreamGuard),
}

/// A whole answer that calls tools.
pub enum Calls {
    Chat(chat::Calls),
    Responses(responses::Calls),
    Messages(messages::Calls),
}

/// An answer that no provider gave: a fixed text.
#[derive(Clone, Copy, Debug)]
pub struct Canned<'a> {
    /// What makes the answer's id unique; each dialect puts its own prefix before it.
    pub id: &'a str,
    /// Unix seconds.
    pub created: u64,
    /// As the client named it.
    pub model: &'a str,
    pub text: &'a str,
}

/// An error that a client is told, in parts; each dialect has its own form for them.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The status of the answer, by which some dialects name the error's kind.
    pub status: u16,
    pub message: &'a str,
    /// Whose fault it is, as OpenAI's `type` says it: `invalid_request_error`, `pinrail_error`, `provider_error`.
    pub kind: &'a str,
    pub code: Option<&'a str>,
    pub param: Option<&'a str>,
}

impl Dialect {
    /// The dialect's name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
        }
    }

    /// Reads a body; call [`crate::json::check_depth`] on it before.
    ///
    /// # Errors
    /// [`RequestError`], which names the field and what was expected.
    pub fn parse(self, body: &[u8]) -> Result<Request<'_>, RequestError> {
        Ok(match self {
            Dialect::Chat => Request::Chat(chat::ChatRequest::parse(body)?),
            Dialect::Responses => Request::Responses(responses::ResponsesRequest::parse(body)?),
            Dialect::Messages => Request::Messages(messages::MessagesRequest::parse(body)?),
        })
    }

    /// Observes a whole answer, and gathers up to `text_bytes_max` bytes of its text.
    ///
    /// # Errors
    /// [`AnswerError`] when the body can't be read, or is an error in spite of its status.
    pub fn observe(self, body: &[u8], text_bytes_max: usize) -> Result<(Observed, Gathered), AnswerError> {
        match self {
            Dialect::Chat => chat::observe_answer_text(body, text_bytes_max),
            Dialect::Responses => responses::observe_answer_text(body, text_bytes_max),
            Dialect::Messages => messages::observe_answer_text(body, text_bytes_max),
        }
    }

    /// Makes an observer of a stream; `strip_usage` when the usage was asked for by us and not by the client.
    #[must_use]
    pub fn observer(self, strip_usage: bool, limits: Limits) -> StreamObserver {
        match self {
            Dialect::Chat => StreamObserver::Chat(chat::StreamObserver::new(strip_usage, limits)),
            Dialect::Responses => StreamObserver::Responses(responses::StreamObserver::new(limits)),
            Dialect::Messages => StreamObserver::Messages(messages::StreamObserver::new(limits)),
        }
    }

    /// Makes a guard of a stream.
    #[must_use]
    pub fn guard(self, event_bytes_max: usize, rule: Box<dyn Fn(&str) -> Rule + Send>) -> StreamGuard {
        match self {
            Dialect::Chat => StreamGuard::Chat(chat::StreamGuard::new(event_bytes_max, rule)),
            Dialect::Responses => StreamGuard::Responses(responses::StreamGuard::new(event_bytes_max, rule)),
            Dialect::Messages => StreamGuard::Messages(messages::StreamGuard::new(event_bytes_max, rule)),
        }
    }

    /// The calls of a whole answer; none where it has none.
    #[must_use]
    pub fn calls(self, body: &[u8]) -> Option<Calls> {
        match self {
            Dialect::Chat => chat::Calls::of(body).map(Calls::Chat),
            Dialect::Responses => responses::Calls::of(body).map(Calls::Responses),
            Dialect::Messages => messages::Calls::of(body).map(Calls::Messages),
        }
    }

    /// Writes a fixed text as a whole answer.
    #[must_use]
    pub fn canned(self, canned: &Canned<'_>) -> Vec<u8> {
        match self {
            Dialect::Chat => chat::canned(canned),
            Dialect::Responses => responses::canned(canned),
            Dialect::Messages => messages::canned(canned),
        }
    }

    /// Writes a fixed text as a stream of events; `include_usage` as chat clients ask for it.
    #[must_use]
    pub fn canned_stream(self, canned: &Canned<'_>, include_usage: bool) -> Vec<u8> {
        match self {
            Dialect::Chat => chat::canned_stream(canned, include_usage),
            Dialect::Responses => responses::canned_stream(canned),
            Dialect::Messages => messages::canned_stream(canned),
        }
    }

    /// Writes the body of an error answer.
    #[must_use]
    pub fn error_body(self, told: &Told<'_>) -> Vec<u8> {
        match self {
            Dialect::Chat | Dialect::Responses => {
                chat::error_body(told.message, told.kind, told.code, told.param)
            }
            Dialect::Messages => messages::error_body(told),
        }
    }

    /// Writes the event that ends a stream which can't be ended properly.
    ///
    /// `mid_event` says that the client has already got the beginning of an event (see [`Finished::mid_event`]); the
    /// bytes then begin by closing that event, so that this one is read for itself.
    #[must_use]
    pub fn stream_error_event(self, told: &Told<'_>, mid_event: bool) -> Vec<u8> {
        match self {
            Dialect::Chat => chat::stream_error_event(told.message, told.kind, told.code, mid_event),
            Dialect::Responses => responses::stream_error_event(told, mid_event),
            Dialect::Messages => messages::stream_error_event(told, mid_event),
        }
    }

    /// Whether a parameter of this name is never a release's to set: it has its own way, or isn't its business.
    #[must_use]
    pub fn is_reserved(self, param: &str) -> bool {
        match self {
            Dialect::Chat => chat::PARAMS_RESERVED.contains(&param),
            Dialect::Responses => responses::PARAMS_RESERVED.contains(&param),
            Dialect::Messages => messages::PARAMS_RESERVED.contains(&param),
        }
    }
}

impl<'a> Request<'a> {
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Request::Chat(_) => Dialect::Chat,
            Request::Responses(_) => Dialect::Responses,
            Request::Messages(_) => Dialect::Messages,
        }
    }

    #[must_use]
    pub fn model(&self) -> &str {
        match self {
            Request::Chat(request) => request.model(),
            Request::Responses(request) => request.model(),
            Request::Messages(request) => request.model(),
        }
    }

    #[must_use]
    pub fn stream(&self) -> bool {
        match self {
            Request::Chat(request) => request.stream(),
            Request::Responses(request) => request.stream(),
            Request::Messages(request) => request.stream(),
        }
    }

    /// Says whether the client of a chat stream asked for the chunk with the usage at its end; others always get it.
    #[must_use]
    pub fn include_usage(&self) -> bool {
        match self {
            Request::Chat(request) => request.include_usage(),
            Request::Responses(_) | Request::Messages(_) => true,
        }
    }

    /// Gives any top-level field as it stood in the body.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a RawValue> {
        match self {
            Request::Chat(request) => request.param(name),
            Request::Responses(request) => request.param(name),
            Request::Messages(request) => request.param(name),
        }
    }

    /// Gives a value of the `metadata` object, when it is a string.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<Cow<'a, str>> {
        match self {
            Request::Chat(request) => request.metadata(key),
            Request::Responses(request) => request.metadata(key),
            Request::Messages(request) => request.metadata(key),
        }
    }

    /// Gives the client's tools as they stood in the body.
    #[must_use]
    pub fn tools(&self) -> Option<&'a RawValue> {
        self.param("tools")
    }

    /// Names a field of the client that can't stand beside what the release sets; the request is then to be refused.
    #[must_use]
    pub fn conflicts(&self, edit: &Edit<'_>) -> Option<&'static str> {
        match self {
            Request::Responses(request) => request.conflicts(edit),
            // It lets the provider answer with another model than the pinned one.
            Request::Messages(request) => request.param("fallbacks").map(|_| "fallbacks"),
            Request::Chat(_) => None,
        }
    }

    /// Writes the request as `edit` wants it.
    #[must_use]
    pub fn rewrite(&self, edit: &Edit<'_>) -> Vec<u8> {
        match self {
            Request::Chat(request) => request.rewrite(edit),
            Request::Responses(request) => request.rewrite(edit),
            Request::Messages(request) => request.rewrite(edit),
        }
    }

    /// Lists how the request differs from the pin; nothing means that it may go.
    #[must_use]
    pub fn verify(&self, pin: &Pin<'_>) -> Vec<Mismatch> {
        match self {
            Request::Chat(request) => request.verify(pin),
            Request::Responses(request) => request.verify(pin),
            Request::Messages(request) => request.verify(pin),
        }
    }
}

impl StreamObserver {
    /// Takes the next chunk and gives the bytes to pass on now, perhaps none.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream is no longer observed and should be ended with an error.
    pub fn feed(&mut self, chunk: Bytes) -> Result<Bytes, EventTooLong> {
        match self {
            StreamObserver::Chat(observer) => observer.feed(chunk),
            StreamObserver::Responses(observer) => observer.feed(chunk),
            StreamObserver::Messages(observer) => observer.feed(chunk),
        }
    }

    /// Says whether the provider's own end of the stream has come, so that nothing more is to be waited for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            StreamObserver::Chat(observer) => observer.is_done(),
            StreamObserver::Responses(observer) => observer.is_done(),
            StreamObserver::Messages(observer) => observer.is_done(),
        }
    }

    /// Ends the observation, whether the provider, the client or a timeout ended the stream.
    #[must_use]
    pub fn finish(self) -> Finished {
        match self {
            StreamObserver::Chat(observer) => observer.finish(),
            StreamObserver::Responses(observer) => observer.finish(),
            StreamObserver::Messages(observer) => observer.finish(),
        }
    }
}

impl StreamGuard {
    /// Takes the next bytes and gives what to pass on now; whole events alone.
    ///
    /// # Errors
    /// [`EventTooLong`]: the stream should be ended with an error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Bytes, EventTooLong> {
        match self {
            StreamGuard::Chat(guard) => guard.feed(chunk),
            StreamGuard::Responses(guard) => guard.feed(chunk),
            StreamGuard::Messages(guard) => guard.feed(chunk),
        }
    }

    /// The calls that somebody is to be asked about; [`StreamGuard::answer`] takes what was said of each.
    #[must_use]
    pub fn asking(&self) -> Option<&[Called]> {
        match self {
            StreamGuard::Chat(guard) => guard.asking(),
            StreamGuard::Responses(guard) => guard.asking(),
            StreamGuard::Messages(guard) => guard.asking(),
        }
    }

    /// Goes on with what was said of the calls that were asked about.
    pub fn answer(&mut self, verdicts: Vec<Verdict>) -> Bytes {
        match self {
            StreamGuard::Chat(guard) => guard.answer(verdicts),
            StreamGuard::Responses(guard) => guard.answer(verdicts),
            StreamGuard::Messages(guard) => guard.answer(verdicts),
        }
    }

    /// Ends the stream: what was held is dropped, as half a call is worth nothing.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        match self {
            StreamGuard::Chat(guard) => guard.finish(),
            StreamGuard::Responses(guard) => guard.finish(),
            StreamGuard::Messages(guard) => guard.finish(),
        }
    }

    /// The calls that were dropped by their tool's name alone, each told once.
    pub fn dropped(&mut self) -> Vec<Called> {
        match self {
            StreamGuard::Chat(guard) => guard.dropped(),
            StreamGuard::Responses(guard) => guard.dropped(),
            StreamGuard::Messages(guard) => guard.dropped(),
        }
    }
}

impl Calls {
    /// The calls, in their order.
    #[must_use]
    pub fn list(&self) -> Vec<&Called> {
        match self {
            Calls::Chat(calls) => calls.iter().collect(),
            Calls::Responses(calls) => calls.iter().collect(),
            Calls::Messages(calls) => calls.iter().collect(),
        }
    }

    /// The answer without the calls that don't pass, by a verdict for each; none when all pass.
    #[must_use]
    pub fn without(self, verdicts: &[Verdict]) -> Option<Vec<u8>> {
        match self {
            Calls::Chat(calls) => calls.without(verdicts),
            Calls::Responses(calls) => calls.without(verdicts),
            Calls::Messages(calls) => calls.without(verdicts),
        }
    }
}
