//! What the gateway tells of its calls, so that others can count and trace them. Nothing here waits (I13).
//!
//! Of a call, everything is gathered on its way in [`Seen`] and told once, when it ended; an attempt at a provider is told
//! when that attempt ended. A gateway that nobody listens to ([`Silent`]) reads the clock a few times more and that is all.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use pinrail_domain::id::ProviderName;
use pinrail_domain::journal::{Ending, Event, FaultOf, ModelResponse, Outcome};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_wire::Dialect;

use crate::port::{Begun, Fate};

mod context;

pub use context::{Parent, SpanId, TRACEPARENT, TRACESTATE, Trace, TraceId};

/// Hears what the gateway's calls come to. Implementations never wait: they count, and hand over or drop (I13).
pub trait Telemetry: Send + Sync {
    /// Whether calls may be traced at all: then their beginnings are noted.
    fn traces(&self) -> bool {
        false
    }

    /// The call's place in a trace, where this call is recorded; none leaves the client's own trace as it is.
    fn trace(&self, parent: Option<&Parent>) -> Option<Trace> {
        let _ = parent;
        None
    }

    /// Draws the id of a span below a call's.
    fn span_id(&self) -> SpanId {
        SpanId::default()
    }

    /// The bytes of requests and answers that traces keep; none keep any.
    fn content_bytes_max(&self) -> usize {
        0
    }

    /// A request was refused before it had a run.
    fn refused(&self, refusal: &Refusal) {
        let _ = refusal;
    }

    /// A run's stamp had to be waited for.
    fn stamp_waited(&self, us: u64) {
        let _ = us;
    }

    /// An attempt at a provider ended.
    fn attempted(&self, tried: &Tried) {
        let _ = tried;
    }

    /// Something became of a copy of a live call.
    fn copied(&self, fate: Fate) {
        let _ = fate;
    }

    /// A call ended.
    fn ended(&self, call: &Ended<'_>) {
        let _ = call;
    }
}

/// Hears nothing.
pub struct Silent;

impl Telemetry for Silent {}

/// A request that was refused before it had a run.
#[derive(Debug)]
pub struct Refusal {
    pub dialect: Dialect,
    pub fault: FaultOf,
    pub code: &'static str,
    pub status: u16,
    /// None where no call is traced.
    pub began: Option<Began>,
}

/// When a call began, and in whose trace.
#[derive(Clone, Debug)]
pub struct Began {
    pub parent: Option<Parent>,
    pub at: Timestamp,
    pub ticks: Ticks,
}

/// A call that ended.
pub struct Ended<'a> {
    pub begun: &'a Begun,
    pub seen: &'a Seen,
    pub at: Timestamp,
    pub ticks: Ticks,
    pub outcome: Outcome,
    /// What the call leaves in its run's journal, as far as it isn't there yet.
    pub events: &'a [(Timestamp, Event)],
    /// Attempts that failed before the one that counts.
    pub retries: u32,
    /// Whether an endpoint in the pinned one's place was asked last.
    pub elsewhere: bool,
}

/// What is noted of a call on its way.
#[derive(Debug)]
pub struct Seen {
    pub dialect: Dialect,
    pub arrived: Ticks,
    /// Microseconds in which others were waited for: the client's body, providers, and pauses between attempts.
    pub waited_us: u64,
    /// What the gateway itself added until the answer could be passed on, in microseconds; none without an answer.
    pub overhead_us: Option<u64>,
    pub embeds: bool,
    pub streams: bool,
    /// None for a call that isn't traced.
    pub trace: Option<Trace>,
    pub tried: Vec<Tried>,
    /// The request's body and the answer's text, where traces keep them, secrets removed.
    pub request: Option<Bytes>,
    pub answer: Option<String>,
}

/// An attempt at a provider.
#[derive(Clone, Debug)]
pub struct Tried {
    pub provider: ProviderName,
    pub began: Ticks,
    pub first_byte: Option<Ticks>,
    pub ended: Option<Ticks>,
    pub how: Attempted,
    /// What the provider answered with, where it answered.
    pub status: Option<u16>,
    /// None for a call that isn't traced.
    pub traced: Option<Traced>,
}

/// What traces say of an attempt beside what is counted.
#[derive(Clone, Debug)]
pub struct Traced {
    pub span: SpanId,
    pub spec: Arc<ProviderSpec>,
    pub snapshot: String,
    /// Where the provider listens, without its path.
    pub address: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempted {
    Ok,
    /// The provider had too much to do: 429, or a quota.
    RateLimited,
    ServerError,
    /// A status that says the request was at fault.
    ClientError,
    Timeout,
    Unreachable,
    /// The connection ended, or broke, before the answer did.
    Closed,
    /// A stream said that it ends with an error.
    ErrorEvent,
    /// The client left.
    Cancelled,
    Other,
}

impl Ended<'_> {
    /// The answer, where there was one.
    #[must_use]
    pub fn answer(&self) -> Option<&ModelResponse> {
        let answers = self.events.iter().rev();
        answers
            .filter_map(
                |(_, event)| if let Event::ModelResponse(answer) = event { Some(&**answer) } else { None },
            )
            .next()
    }
}

impl Attempted {
    pub const ALL: [Attempted; 10] = [
        Attempted::Ok,
        Attempted::RateLimited,
        Attempted::ServerError,
        Attempted::ClientError,
        Attempted::Timeout,
        Attempted::Unreachable,
        Attempted::Closed,
        Attempted::ErrorEvent,
        Attempted::Cancelled,
        Attempted::Other,
    ];

    /// The outcome as metrics and traces name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Attempted::Ok => "ok",
            Attempted::RateLimited => "rate_limited",
            Attempted::ServerError => "server_error",
            Attempted::ClientError => "client_error",
            Attempted::Timeout => "timeout",
            Attempted::Unreachable => "unreachable",
            Attempted::Closed => "closed",
            Attempted::ErrorEvent => "error_event",
            Attempted::Cancelled => "cancelled",
            Attempted::Other => "other",
        }
    }

    /// How an attempt ended whose answer has this status.
    #[must_use]
    pub fn of_status(status: u16) -> Attempted {
        match status {
            200..=299 => Attempted::Ok,
            429 => Attempted::RateLimited,
            408 => Attempted::Timeout,
            400..=499 => Attempted::ClientError,
            500..=599 => Attempted::ServerError,
            _ => Attempted::Other,
        }
    }

    /// How an attempt ended that failed with this code of ours.
    #[must_use]
    pub fn of_code(code: &str) -> Attempted {
        match code {
            "provider_first_byte_timeout" | "provider_idle_timeout" | "provider_connect_timeout" => {
                Attempted::Timeout
            }
            "provider_unreachable" => Attempted::Unreachable,
            "provider_closed" => Attempted::Closed,
            _ => Attempted::Other,
        }
    }

    /// How an attempt ended whose stream ended so.
    #[must_use]
    pub fn of_ending(ending: Ending) -> Attempted {
        match ending {
            Ending::Complete => Attempted::Ok,
            Ending::Cut => Attempted::Closed,
            Ending::Error => Attempted::ErrorEvent,
            Ending::Cancelled => Attempted::Cancelled,
        }
    }
}

impl Seen {
    /// Begins to note a call that arrived at `arrived`.
    #[must_use]
    pub fn new(dialect: Dialect, arrived: Ticks) -> Seen {
        Seen {
            dialect,
            arrived,
            waited_us: 0,
            overhead_us: None,
            embeds: false,
            streams: false,
            trace: None,
            tried: Vec::new(),
            request: None,
            answer: None,
        }
    }

    /// The answer can be passed on: what went by until here and wasn't waiting for others is ours.
    pub fn answers(&mut self, now: Ticks) {
        let us = now.us_since(self.arrived).saturating_sub(self.waited_us);
        self.overhead_us.get_or_insert(us);
    }

    /// The span that the log's lines about this call belong to; none for a call that isn't traced.
    #[must_use]
    pub fn log_span(&self) -> tracing::Span {
        match &self.trace {
            None => tracing::Span::none(),
            // At the highest level, so that no filter takes the trace away from the lines that it lets through.
            Some(trace) => tracing::error_span!("call", trace_id = %trace.id, span_id = %trace.span),
        }
    }

    /// The headers of the newest attempt's request: with our place in the trace, where the call is traced.
    #[must_use]
    pub fn outgoing(&self, headers: &HeaderMap) -> Option<HeaderMap> {
        let trace = self.trace.as_ref()?;
        let span = self.tried.last()?.traced.as_ref()?.span;
        let mut headers = headers.clone();
        headers.insert(TRACEPARENT, trace.traceparent(span));
        match &trace.state {
            Some(state) => headers.insert(TRACESTATE, HeaderValue::clone(state)),
            None => headers.remove(TRACESTATE),
        };
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_not_ours() {
        let mut seen = Seen::new(Dialect::Chat, Ticks(0));
        seen.waited_us = 900;
        seen.answers(Ticks(1_000_000));
        assert_eq!(seen.overhead_us, Some(100));
        // The first time counts.
        seen.answers(Ticks(9_000_000));
        assert_eq!(seen.overhead_us, Some(100));
    }

    #[test]
    fn every_attempt_ends_under_one_name() {
        let check = |how: Attempted, word: &str| assert_eq!(how.word(), word);
        check(Attempted::of_status(204), "ok");
        check(Attempted::of_status(429), "rate_limited");
        check(Attempted::of_status(529), "server_error");
        check(Attempted::of_status(404), "client_error");
        check(Attempted::of_status(301), "other");
        check(Attempted::of_code("provider_closed"), "closed");
        check(Attempted::of_code("provider_connect_timeout"), "timeout");
        check(Attempted::of_code("provider_key_invalid"), "other");
        check(Attempted::of_ending(Ending::Cut), "closed");
        let mut words: Vec<_> = Attempted::ALL.iter().map(|how| how.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Attempted::ALL.len());
    }
}
