//! The wire formats: how each reads a request and writes an answer, a stream and a refusal. What is said lies elsewhere
//! ([`crate::answer`]), and is the same in all of them.

pub mod chat;
pub mod logprobs;
pub mod messages;
pub mod responses;
mod strict;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::answer::Answer;
use crate::border::Next;
use crate::draw::Draw;
use crate::failure::Failure;
use crate::request::Request;
use crate::sim::Sim;

/// One wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's responses.
    Responses,
}

/// A request that was read, and what its dialect alone must know to write the answer.
pub struct Asked {
    pub request: Request,
    pub wish: Wish,
}

/// What an answer's form depends on, beside the dialect.
pub enum Wish {
    Chat { include_usage: bool },
    Messages { thought_shown: bool },
    Responses(Box<responses::Wish>),
}

/// An answer and all that is told about it.
pub struct Spoken {
    pub answer: Answer,
    pub usage: Usage,
    pub told: Option<Told>,
    pub created: u64,
    pub model: String,
    pub fingerprint: String,
    /// The luck that identifiers are made from.
    pub fate: Draw,
    /// What thoughts are sealed with.
    pub seed: u64,
}

/// The probabilities that a request wants to be told.
pub struct Told {
    /// How many alternatives per token.
    pub top: usize,
    /// Those of the first token, unless it was sure.
    pub next: Option<Next>,
}

/// Token counts. The parts of the prompt that a cache took or gave only differ from 0 where the request marks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: usize,
    pub completion: usize,
    /// Of the completion, what was thought.
    pub thought: usize,
    /// Of the prompt, what the cache took in.
    pub cache_written: usize,
    /// Of the prompt, what the cache gave.
    pub cache_read: usize,
}

/// One event of a stream, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub bytes: Bytes,
    /// How many tokens the model makes for it, which takes their time.
    pub tokens: u32,
}

impl Dialect {
    /// Reads a request.
    ///
    /// # Errors
    /// A refusal with the dialect's own message; [`Self::refuse`] gives it the form.
    pub fn read(self, sim: &Sim, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Failure> {
        match self {
            Self::Chat => {
                let (request, include_usage) = chat::read(body)?;
                Ok(Asked { request, wish: Wish::Chat { include_usage } })
            }
            Self::Messages => {
                let version = messages::read_version(headers)?;
                let (request, thought_shown) = messages::read(body, version, sim.seed())?;
                Ok(Asked { request, wish: Wish::Messages { thought_shown } })
            }
            Self::Responses => {
                let (request, wish) = responses::read(body, sim)?;
                Ok(Asked { request, wish: Wish::Responses(Box::new(wish)) })
            }
        }
    }

    /// Writes a refusal.
    pub fn refuse(self, failure: Failure, request_id: &str) -> Response {
        match self {
            Self::Chat | Self::Responses => failure.into_response(),
            Self::Messages => messages::refuse(&failure, request_id),
        }
    }

    /// Names the header that carries the request's id.
    pub fn request_id_header(self) -> &'static str {
        match self {
            Self::Chat | Self::Responses => "x-request-id",
            Self::Messages => "request-id",
        }
    }

    /// Gives an event that breaks off in the middle of its JSON.
    pub fn broken_event(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Chat => b"data: {\"id\": \"chatcmpl-\", \"choices\": [{\"del\n\n",
            Self::Messages => {
                b"event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"ind\n\n"
            }
            Self::Responses => {
                b"event: response.output_text.delta\ndata: {\"type\": \"response.output_te\n\n"
            }
        })
    }
}

impl Wish {
    /// Writes a whole answer.
    pub fn whole(&self, spoken: &Spoken) -> Value {
        match self {
            Self::Chat { .. } => chat::completion(spoken),
            Self::Messages { thought_shown } => messages::message(spoken, *thought_shown),
            Self::Responses(wish) => responses::response(wish, spoken),
        }
    }

    /// Writes the events of a stream.
    pub fn events(&self, spoken: &Spoken) -> Vec<Event> {
        match self {
            Self::Chat { include_usage } => chat::events(spoken, *include_usage),
            Self::Messages { thought_shown } => messages::events(spoken, *thought_shown),
            Self::Responses(wish) => responses::events(wish, spoken),
        }
    }

    /// Writes the event that ends a stream which failed half-way, the last of the events so far given.
    pub fn failed(&self, spoken: &Spoken, failure: &Failure, events_sent: usize) -> Bytes {
        match self {
            Self::Chat { .. } => data(&failure.openai()),
            Self::Messages { .. } => named("error", &messages::error_body(failure, &spoken.request_id())),
            Self::Responses(wish) => responses::failed(wish, spoken, failure, events_sent),
        }
    }
}

impl Spoken {
    /// Gives the id of the request.
    pub fn request_id(&self) -> String {
        request_id(&self.fate)
    }

    /// Makes an identifier for one thing in the answer.
    pub fn id(&self, prefix: &str, what: &str) -> String {
        format!("{prefix}{}", self.fate.hex(what))
    }
}

impl Event {
    /// Makes an event that takes no time.
    pub fn at_once(bytes: Bytes) -> Self {
        Self { bytes, tokens: 0 }
    }

    /// Makes an event that is one token.
    pub fn token(bytes: Bytes) -> Self {
        Self { bytes, tokens: 1 }
    }
}

/// Makes a request's id from its luck.
pub fn request_id(luck: &Draw) -> String {
    format!("req_{}", luck.hex("request"))
}

/// Writes an event without a name.
pub fn data(value: &impl serde::Serialize) -> Bytes {
    event("data: ", value)
}

/// Writes an event with its name.
pub fn named(name: &str, value: &Value) -> Bytes {
    event(&format!("event: {name}\ndata: "), value)
}

fn event(before: &str, value: &impl serde::Serialize) -> Bytes {
    let mut bytes = before.as_bytes().to_vec();
    serde_json::to_writer(&mut bytes, value)
        .expect("an event has string keys only and a vector takes all bytes");
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}
