//! Asks a provider until it answers or the attempts are used up.
//!
//! What comes back is an answer of which nothing has reached the client yet: whole, or a stream whose first chunk
//! is there. A stream is committed to only then, so one that ends before its first byte is still made again.
//!
//! One endpoint is asked here, and each attempt says how that endpoint does (`health`): an attempt that the breaker keeps
//! away isn't made, one that the budget has no retry for isn't repeated. Where another endpoint may do better,
//! [`Asked::elsewhere`] says why; whether there is one is the caller's to know.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::response::Parts;
use http_body::Body as _;
use http_body_util::BodyExt;
use pinrail_domain::time::Clock;
use pinrail_wire::{ProviderError, parse_error};
use tokio::time::{Instant, timeout, timeout_at};

use super::breaker::Shut;
use super::health::{Attempt, Health};
use super::rest::{Broken, Rest};
use super::target::Target;
use super::{ConnectTimedOut, Credential, Letter, Unsent, Upstream, retry, said};
use crate::failure::{Failure, chain};
use crate::limits::Limits;
use crate::telemetry::Attempted;
use crate::trail::Trail;

/// What a provider answered.
pub enum Answer {
    Whole { head: Parts, body: Bytes },
    Stream { head: Parts, first: Bytes, rest: Rest },
}

/// What became of asking an endpoint.
pub struct Asked {
    pub outcome: Result<Answer, Failure>,
    /// Why another endpoint may answer where this one didn't, secrets removed; none where the answer is one, or would be
    /// the same everywhere.
    pub elsewhere: Option<String>,
}

/// Why an attempt brought no answer.
struct Missed {
    code: &'static str,
    status: StatusCode,
    /// Secrets removed.
    why: String,
    /// Whether another attempt may help.
    again: bool,
}

/// A request that can be sent more than once.
pub struct Question<'a> {
    pub upstream: &'a Upstream,
    pub credential: &'a Arc<Credential>,
    pub target: Target<'a>,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub limits: &'a Limits,
    /// How the model does that is asked.
    pub health: &'a Arc<Health>,
    pub clock: &'a dyn Clock,
    /// Whether somebody else is asked should this endpoint not answer: then it isn't asked at all while it rests.
    pub others: bool,
}

/// An attempt that ended, and what is to be made of it.
struct Ended {
    outcome: Result<Answer, Missed>,
    /// Why another attempt at the same endpoint may help.
    again: Option<String>,
    /// Why another endpoint may.
    elsewhere: Option<String>,
    /// How long the provider asks to be left alone.
    asked: Option<Duration>,
}

/// Bytes of an error's text that a journal's `model_retry` repeats.
const WHY_BYTES_MAX: usize = 300;

impl Question<'_> {
    /// Asks; journals every attempt that another one follows.
    pub async fn ask(&self, trail: &mut Trail) -> Asked {
        let began = self.clock.ticks();
        let asked = self.ask_until(trail).await;
        trail.seen.waited_us += self.clock.ticks().us_since(began);
        asked
    }

    async fn ask_until(&self, trail: &mut Trail) -> Asked {
        let (run, call) = (trail.begun.stamp.run, trail.begun.call);
        let spec = &*self.upstream.spec;
        let letter = match self.upstream.letter(&self.target, &self.headers, &self.body) {
            Ok(letter) => letter,
            Err(failure) => {
                let elsewhere = is_of_the_endpoint(&failure).then(|| failure.message.clone());
                return Asked { outcome: Err(failure), elsewhere };
            }
        };
        if let Some(rests) = self.health.rests().filter(|_| self.others) {
            return Asked::rests(rests);
        }
        self.health.called(spec);
        let longest = self.limits.retry_after_max;
        let mut attempt = 1;
        let mut admitted = match self.health.admit(&spec.breaker) {
            Ok(admitted) => admitted,
            Err((shut, last)) => return self.kept_away(shut, last),
        };
        loop {
            let mut ended = self.attempted(&letter, admitted, trail).await;
            let last = attempt > u32::from(spec.retries_max);
            let Some(why) = ended.again.take().filter(|_| !last) else { return ended.into() };
            let Some(wait) = retry::wait(ended.asked, run, call, attempt, longest) else {
                return ended.into();
            };
            if !self.health.may_retry(spec) {
                return ended.into();
            }
            tokio::time::sleep(wait).await;
            admitted = match self.health.admit(&spec.breaker) {
                Ok(admitted) => admitted,
                Err(_) => return ended.into(),
            };
            trail.retry(why);
            attempt += 1;
        }
    }

    /// Makes an attempt, and tells how the endpoint did.
    async fn attempted(&self, letter: &Letter, mut admitted: Attempt, trail: &mut Trail) -> Ended {
        trail.tries(&letter.uri);
        let outcome = self.attempt(letter, &mut admitted, trail).await;
        match &outcome {
            // How it ends is for the trail to see.
            Ok(Answer::Stream { head, .. }) => trail.answers_with(head.status.as_u16()),
            Ok(Answer::Whole { head, .. }) => {
                let status = head.status.as_u16();
                trail.answers_with(status);
                trail.tried(Attempted::of_status(status));
            }
            Err(missed) => trail.tried(Attempted::of_code(missed.code)),
        }
        let mut ended = Ended { outcome, again: None, elsewhere: None, asked: None };
        match &ended.outcome {
            Ok(Answer::Stream { .. }) => {
                admitted.began();
                // How it ends is for the trail to see.
                trail.attempt = Some(admitted);
            }
            Ok(Answer::Whole { head, .. }) if head.status.is_success() => admitted.well(),
            Ok(Answer::Whole { head, body }) => {
                let error = parse_error(body);
                let why = || self.said(head.status, error.as_ref());
                ended.asked = retry::asked(&head.headers, self.clock.now());
                ended.again = retry::may_help(head.status, &head.headers, error.as_ref()).then(why);
                ended.elsewhere = retry::elsewhere_may_help(head.status).then(why);
                if head.status == StatusCode::TOO_MANY_REQUESTS
                    && let Some(asked) = ended.asked
                {
                    self.health.rest(asked);
                }
                match retry::is_trouble(head.status) {
                    true => admitted.failed(&why(), ended.asked),
                    false => admitted.well(),
                }
            }
            Err(missed) if missed.again => {
                ended.again = Some(missed.why.clone());
                ended.elsewhere = Some(missed.why.clone());
                admitted.failed(&missed.why, None);
            }
            Err(_) => admitted.well(),
        }
        ended
    }

    /// The answer to a call that the breaker keeps away.
    fn kept_away(&self, shut: Shut, last: Option<String>) -> Asked {
        let seconds = shut.until.us_since(self.clock.ticks()).div_ceil(1_000_000).max(1);
        let last = last.map(|why| format!(" (the last time: {why})")).unwrap_or_default();
        let why = format!("the provider failed too often and is left alone for a moment{last}");
        let message = format!("{why}; try again in {seconds} s");
        let failure = Failure::provider(StatusCode::SERVICE_UNAVAILABLE, "provider_circuit_open", message)
            .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX));
        Asked { outcome: Err(failure), elsewhere: Some(why) }
    }

    async fn attempt(
        &self,
        letter: &Letter,
        admitted: &mut Attempt,
        trail: &mut Trail,
    ) -> Result<Answer, Missed> {
        let first_byte = self.upstream.first_byte();
        let deadline = Instant::now() + first_byte;
        let late = || {
            let why = format!("the provider sent nothing for {} ms", first_byte.as_millis());
            Missed {
                code: "provider_first_byte_timeout",
                status: StatusCode::GATEWAY_TIMEOUT,
                why,
                again: true,
            }
        };
        let traced = trail.seen.outgoing(&self.headers);
        let headers = traced.as_ref().unwrap_or(&self.headers);
        let response = timeout_at(deadline, self.upstream.send(letter, headers, self.credential)).await;
        let response = response.map_err(|_| late())?.map_err(|error| self.unsent(&error))?;
        let (mut head, mut rest) = response.into_parts();
        if !(head.status.is_success() && is_event_stream(&head.headers)) {
            trail.first_byte();
            admitted.first_byte();
            let body = self.whole(rest).await?;
            let body = said::whole(self.upstream.spec.format, self.target.endpoint, &mut head, body);
            return Ok(Answer::Whole { head, body });
        }
        loop {
            let frame = timeout_at(deadline, rest.frame()).await.map_err(|_| late())?;
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(self.broken(&error)),
                None => {
                    return Err(Missed::closed(
                        "the provider ended its stream before the first byte".to_owned(),
                    ));
                }
            };
            if let Ok(first) = frame.into_data()
                && !first.is_empty()
            {
                trail.first_byte();
                admitted.first_byte();
                return Ok(Answer::Stream { head, first, rest });
            }
        }
    }

    /// Reads an answer that is no stream, up to its bound.
    async fn whole(&self, mut body: Rest) -> Result<Bytes, Missed> {
        let bytes_max = self.limits.answer_bytes_max;
        let too_large = || Missed {
            code: "provider_answer_too_large",
            status: StatusCode::BAD_GATEWAY,
            why: format!("the provider's answer is longer than {bytes_max} bytes"),
            again: false,
        };
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        loop {
            let frame = timeout(self.upstream.idle(), body.frame()).await.map_err(|_| Missed {
                code: "provider_idle_timeout",
                status: StatusCode::GATEWAY_TIMEOUT,
                why: format!("the provider stopped for {} ms", self.upstream.idle().as_millis()),
                again: true,
            })?;
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|error| self.broken(&error))?.into_data() else { continue };
            if first.len() + more.len() + data.len() > bytes_max {
                return Err(too_large());
            }
            if first.is_empty() {
                first = data;
            } else {
                more.extend_from_slice(&data);
            }
        }
        // Most answers come in one piece, which is then not copied.
        Ok(if more.is_empty() { first } else { Bytes::from([&first[..], &more[..]].concat()) })
    }

    /// What an error answer says, secrets removed.
    fn said(&self, status: StatusCode, error: Option<&ProviderError>) -> String {
        let said = error.map_or_else(String::new, |error| format!(": {}", error.message));
        let text = format!("status {}{said}", status.as_u16());
        let clean = self.credential.redactor.redact(&text);
        clean[..clean.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
    }

    fn unsent(&self, unsent: &Unsent) -> Missed {
        let why = chain(unsent, &self.credential.redactor);
        let error = match unsent {
            Unsent::Client(error) => error,
            Unsent::Token(no_token) => {
                let again = no_token.may_pass();
                let status = if again { StatusCode::BAD_GATEWAY } else { StatusCode::SERVICE_UNAVAILABLE };
                return Missed { code: "provider_token_refused", status, why, again };
            }
            Unsent::Signature(_) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                return Missed { code: "provider_key_invalid", status, why, again: false };
            }
        };
        if !error.is_connect() {
            return Missed::closed(format!("the provider closed the connection without an answer ({why})"));
        }
        let (code, status) = if timed_out(error) {
            ("provider_connect_timeout", StatusCode::GATEWAY_TIMEOUT)
        } else {
            ("provider_unreachable", StatusCode::BAD_GATEWAY)
        };
        Missed { code, status, why: format!("the provider cannot be reached ({why})"), again: true }
    }

    fn broken(&self, error: &Broken) -> Missed {
        let why = chain(error, &self.credential.redactor);
        Missed::closed(format!("the connection to the provider broke ({why})"))
    }
}

impl Asked {
    /// An endpoint that asked to be left alone isn't asked where somebody else is.
    fn rests(still: Duration) -> Asked {
        let seconds = still.as_secs_f64().ceil();
        let why = format!("the provider asked to be left alone for another {seconds} s");
        let message = format!("{why}; try again then");
        let failure = Failure::provider(StatusCode::TOO_MANY_REQUESTS, "provider_rests", message)
            .retry_after(u32::try_from(still.as_secs() + 1).unwrap_or(u32::MAX));
        Asked { outcome: Err(failure), elsewhere: Some(why) }
    }
}

impl From<Ended> for Asked {
    fn from(Ended { outcome, elsewhere, .. }: Ended) -> Asked {
        Asked { outcome: outcome.map_err(Missed::into_failure), elsewhere }
    }
}

impl Missed {
    fn closed(why: String) -> Missed {
        Missed { code: "provider_closed", status: StatusCode::BAD_GATEWAY, why, again: true }
    }

    fn into_failure(self) -> Failure {
        let Missed { code, status, why, again } = self;
        if again {
            Failure::provider(status, code, format!("{why}; try again in a moment")).retry_after(1)
        } else {
            Failure::provider(status, code, why)
        }
    }
}

/// Whether another endpoint may be asked where this one couldn't even be set up: its key or its address is at fault.
pub fn is_of_the_endpoint(failure: &Failure) -> bool {
    ["provider_key_missing", "provider_key_invalid", "provider_unavailable"].contains(&failure.code)
}

/// Whether an answer is a stream of events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes()).trim_ascii_start();
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<ConnectTimedOut>())
}
