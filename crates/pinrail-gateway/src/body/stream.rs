//! Passes a provider's stream on, observes it on the way, and journals how it ended.
//!
//! Everything happens when the client's connection asks for more: a slow client slows the provider down, and a
//! client that leaves drops this, which closes the connection to the provider. Chunks are passed on as they came, or, where
//! client and provider speak different dialects, event by event as they are converted.
//!
//! How it ends:
//! - the answer was complete: end, however the provider then behaved, and a second later even if it stays silent;
//! - the provider sent an error event: end, the event was passed on;
//! - it stopped, stood still or sent an endless event before that: an error event in the client's form, end;
//! - the client left: the journal says `cancelled`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use pinrail_domain::agent::Bodies;
use pinrail_domain::digest::Digest;
use pinrail_domain::journal::{Body, Ending};
use pinrail_wire::convert::{StreamConverter, answer_id};
use pinrail_wire::dialect::{StreamObserver, Told};
use pinrail_wire::sse::EventTooLong;
use pinrail_wire::{Dialect, Finished, Limits};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::idle::Idle;
use crate::enforce::{Guarded, Rules};
use crate::failure::chain;
use crate::trail::{Ended, Journaling, Trail};
use crate::upstream::Credential;
use crate::upstream::rest::Rest;

/// A stream under way.
pub struct Stream {
    phase: Phase,
}

/// How a stream is passed on.
pub struct Passage {
    /// The dialects of client and provider.
    pub client: Dialect,
    pub provider: Dialect,
    /// The usage was asked for by us and is not for the client.
    pub strip_usage: bool,
    pub event_bytes_max: usize,
    /// How long the provider may say nothing.
    pub idle: Duration,
    /// The status that the provider answered with.
    pub status: u16,
    pub credential: Arc<Credential>,
    /// What the dial holds the answer to; none for most calls.
    pub rules: Option<Rules>,
    /// Says the stream in the client's dialect; none where it is the provider's.
    pub converter: Option<Box<StreamConverter>>,
}

enum Phase {
    Flowing(Box<Flow>),
    /// The last bytes for the client, then the journal.
    Ending {
        tail: Bytes,
        journaling: Journaling,
    },
    Over,
}

struct Flow {
    /// The chunk that was waited for before the answer began.
    first: Bytes,
    /// None once the flow has ended.
    open: Option<Open>,
}

struct Open {
    rest: Rest,
    observer: StreamObserver,
    sum: Option<Sum>,
    idle: Idle,
    idle_longest: Duration,
    status: u16,
    trail: Trail,
    credential: Arc<Credential>,
    /// Holds tool calls back where the dial wants that; none for most calls.
    guarded: Option<Box<Guarded>>,
    client: Dialect,
    converter: Option<Box<StreamConverter>>,
}

/// The digest of what was passed on.
#[derive(Default)]
struct Sum {
    hasher: Sha256,
    bytes: u64,
}

/// Why a flow stops.
enum Stop {
    Eof,
    Idle,
    Transport(String),
    EventTooLong(EventTooLong),
    /// The client's dialect has no words for what came.
    Unconvertible(String),
    ClientLeft,
}

/// Bytes of a provider's error text that the journal keeps beside the run's outcome.
const WHY_BYTES_MAX: usize = 500;

/// How long the end of a stream may follow its last event. Providers send both together; one that doesn't must not keep
/// the client waiting for what it has already, and a moment's wait keeps the connection for the next call.
const END_WAIT: Duration = Duration::from_secs(1);

impl Stream {
    /// Begins with the first chunk, which has come already.
    pub fn new(first: Bytes, rest: Rest, passage: Passage, mut trail: Trail) -> Stream {
        trail.streams();
        let Passage {
            client,
            provider,
            strip_usage,
            event_bytes_max,
            idle,
            status,
            credential,
            rules,
            converter,
        } = passage;
        let guarded = rules.map(|rules| Box::new(Guarded::new(rules, provider, event_bytes_max)));
        let limits = Limits { event_bytes_max, text_bytes_max: trail.text_bytes_max() };
        let sum = match trail.begun.bodies {
            Bodies::Digest => Some(Sum::default()),
            Bodies::Full | Bodies::Off => None,
        };
        let open = Open {
            rest,
            observer: provider.observer(strip_usage, limits),
            sum,
            idle: Idle::new(idle),
            idle_longest: idle,
            status,
            trail,
            credential,
            guarded,
            client,
            converter,
        };
        Stream { phase: Phase::Flowing(Box::new(Flow { first, open: Some(open) })) }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// The next bytes for the client; none at the end, when the journal has them.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.phase {
                Phase::Flowing(flow) => match ready!(flow.poll_next(cx)) {
                    Ok(bytes) => return Poll::Ready(Some(bytes)),
                    Err(stop) => {
                        let (tail, journaling) =
                            flow.end(stop).expect("a flow ends once: its phase ends with it");
                        self.phase = Phase::Ending { tail, journaling };
                    }
                },
                Phase::Ending { tail, .. } if !tail.is_empty() => {
                    return Poll::Ready(Some(std::mem::take(tail)));
                }
                Phase::Ending { journaling, .. } => {
                    ready!(Pin::new(journaling).poll(cx));
                    self.phase = Phase::Over;
                }
                Phase::Over => return Poll::Ready(None),
            }
        }
    }
}

impl Flow {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Stop>> {
        let Some(open) = &mut self.open else { return Poll::Ready(Err(Stop::Eof)) };
        loop {
            if let Some(asking) = open.guarded.as_mut().and_then(|guarded| guarded.asking.as_mut()) {
                let ruled = ready!(asking.as_mut().poll(cx));
                let guarded = open.guarded.as_mut().expect("it asked just now");
                let pass = guarded.answer(&ruled);
                match open.pass(pass) {
                    Ok(pass) if pass.is_empty() => continue,
                    done => return Poll::Ready(done),
                }
            }
            let chunk = if self.first.is_empty() {
                match open.poll_chunk(cx) {
                    Poll::Ready(Ok(chunk)) => chunk,
                    Poll::Ready(Err(stop)) => return Poll::Ready(Err(stop)),
                    Poll::Pending => return Poll::Pending,
                }
            } else {
                std::mem::take(&mut self.first)
            };
            let taken = open.take(chunk);
            if open.observer.is_done() {
                open.idle.shorten(END_WAIT);
            }
            match taken {
                Ok(pass) if pass.is_empty() => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Ends the flow, once: the connection to the provider goes, what is known is journaled.
    fn end(&mut self, stop: Stop) -> Option<(Bytes, Journaling)> {
        let Open {
            rest,
            observer,
            sum,
            idle_longest,
            status,
            mut trail,
            credential,
            guarded,
            client,
            converter,
            idle: _,
        } = self.open.take()?;
        drop(rest);
        let mut finished = observer.finish();
        if let Some(mut guarded) = guarded {
            guarded.end(&mut finished);
            trail.ruled(guarded.decided());
        }
        let stop = match converter {
            Some(converter) => {
                let (id, ours) = (finished.observed.id.as_deref(), trail.begun.stamp.run.to_string());
                finished.observed.id = Some(answer_id(id, client, &ours));
                convert_rest(*converter, &mut finished, stop)
            }
            None => stop,
        };
        let (ending, error) = judge(&finished, &stop, idle_longest);
        let mut tail = finished.forward.clone();
        let mut why = error.as_ref().map(|(_, message)| message.clone());
        if let Some((code, message)) = error {
            let kind =
                if matches!(stop, Stop::Unconvertible(_)) { "pinrail_error" } else { "provider_error" };
            let told = Told { status: 502, message: &message, kind, code: Some(code), param: None };
            let event = client.stream_error_event(&told, finished.mid_event);
            let forward = if tail.is_empty() { Vec::new() } else { tail.to_vec() };
            tail = Bytes::from([forward, event].concat());
        }
        if let pinrail_wire::Ending::ErrorEvent(text) = &finished.ending {
            let clean = credential.redactor.redact(text);
            why = Some(clean[..clean.floor_char_boundary(WHY_BYTES_MAX)].to_owned());
        }
        let body = kept(&finished, sum, &trail, &credential);
        let Finished { observed, text, .. } = finished;
        let ended = Ended { status, ending, observed, text, body, why };
        Some((tail, trail.answered(ended)))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The journal's writing goes to the gateway's task when it is dropped.
        drop(self.end(Stop::ClientLeft));
    }
}

impl Open {
    /// Takes a chunk of the provider's and gives what of it the client gets now, perhaps nothing.
    fn take(&mut self, chunk: Bytes) -> Result<Bytes, Stop> {
        let mut pass = self.observer.feed(chunk).map_err(Stop::EventTooLong)?;
        if let Some(guarded) = &mut self.guarded {
            pass = guarded.guard.feed(&pass).map_err(Stop::EventTooLong)?;
            guarded.ask();
        }
        self.pass(pass)
    }

    /// Says it in the client's dialect, and notes what goes to the client.
    fn pass(&mut self, mut pass: Bytes) -> Result<Bytes, Stop> {
        if let Some(converter) = &mut self.converter
            && !pass.is_empty()
        {
            pass = converter.feed(&pass).map_err(|why| Stop::Unconvertible(why.to_string()))?;
        }
        if let Some(sum) = &mut self.sum {
            sum.add(&pass);
        }
        Ok(pass)
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Stop>> {
        loop {
            match Pin::new(&mut self.rest).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.came();
                    // Trailers say nothing that a client of this format reads.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Ok(data));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let why = chain(&error, &self.credential.redactor);
                    return Poll::Ready(Err(Stop::Transport(why)));
                }
                Poll::Ready(None) => return Poll::Ready(Err(Stop::Eof)),
                Poll::Pending => {
                    ready!(self.idle.poll_waiting(cx));
                    return Poll::Ready(Err(Stop::Idle));
                }
            }
        }
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

/// Says the rest of a stream in the client's dialect; gives why it ends.
fn convert_rest(mut converter: StreamConverter, finished: &mut Finished, stop: Stop) -> Stop {
    // A converter passes whole events on.
    finished.mid_event = false;
    let rest = std::mem::take(&mut finished.forward);
    let (said, stop) = match (converter.feed(&rest), stop) {
        // What came before the event at fault is the client's all the same.
        (Err(_), stop @ Stop::Unconvertible(_)) => (Bytes::new(), stop),
        (Err(why), _) => (Bytes::new(), Stop::Unconvertible(why.to_string())),
        (Ok(said), stop) => (said, stop),
    };
    finished.forward = Bytes::from([&said[..], &converter.finish()].concat());
    stop
}

/// How the answer ended, and the error that the client is to be told.
fn judge(finished: &Finished, stop: &Stop, idle: Duration) -> (Ending, Option<(&'static str, String)>) {
    let cut = |code, what: String| {
        (Ending::Cut, Some((code, format!("{what}; the answer is not complete: ask again"))))
    };
    match (&finished.ending, stop) {
        (pinrail_wire::Ending::ErrorEvent(_), _) => (Ending::Error, None),
        (_, Stop::EventTooLong(error)) => cut("provider_event_too_long", error.to_string()),
        (_, Stop::Unconvertible(why)) => {
            let message = format!(
                "the answer can't be given in the client's dialect: {why}; call with the provider's own, or list the \
                 feature in the release's `model.lossy`"
            );
            (Ending::Error, Some(("unconvertible_answer", message)))
        }
        (pinrail_wire::Ending::Done, _) => (Ending::Complete, None),
        (pinrail_wire::Ending::Cut, Stop::ClientLeft) => (Ending::Cancelled, None),
        (pinrail_wire::Ending::Cut, Stop::Eof) => {
            cut("provider_stream_cut", "the provider ended its stream in the middle".to_owned())
        }
        (pinrail_wire::Ending::Cut, Stop::Transport(why)) => {
            cut("provider_stream_cut", format!("the connection to the provider broke ({why})"))
        }
        (pinrail_wire::Ending::Cut, Stop::Idle) => {
            cut("provider_idle_timeout", format!("the provider sent nothing for {} ms", idle.as_millis()))
        }
    }
}

/// The answer as the agent's policy keeps it: for `full`, as the whole answer that the stream amounts to.
fn kept(finished: &Finished, sum: Option<Sum>, trail: &Trail, credential: &Credential) -> Option<Body> {
    match trail.begun.bodies {
        Bodies::Off => None,
        Bodies::Digest => sum.map(|sum| {
            let digest = Digest::from_bytes(sum.hasher.finalize().into());
            Body::Digest { digest, bytes: sum.bytes }
        }),
        Bodies::Full => {
            let observed = &finished.observed;
            let calls = observed.tool_calls.iter().map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                json!({"id": call.id, "type": "function", "function": function})
            });
            let mut message = json!({"role": "assistant", "content": finished.text.text});
            if !observed.tool_calls.is_empty() {
                message["tool_calls"] = calls.collect();
            }
            let choice = json!({"index": 0, "message": message, "finish_reason": observed.finish_reason});
            let whole = json!({"model": observed.served_model, "choices": [choice]}).to_string();
            match trail.keep(whole.as_bytes(), credential) {
                Some(Body::Text { text, truncated }) => {
                    let truncated = truncated || finished.text.cut || observed.tool_calls_cut;
                    Some(Body::Text { text, truncated })
                }
                other @ (Some(Body::Digest { .. }) | None) => other,
            }
        }
    }
}
