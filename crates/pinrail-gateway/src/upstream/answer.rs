//! Asks a provider until it answers or the attempts are used up.
//!
//! What comes back is an answer of which nothing has reached the client yet: whole, or a stream whose first chunk
//! is there. A stream is committed to only then, so one that ends before its first byte is still made again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::response::Parts;
use http::{Method, Request, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use pinrail_wire::parse_error;
use tokio::time::{Instant, timeout, timeout_at};

use super::rest::{Broken, Rest};
use super::target::Target;
use super::{ConnectTimedOut, Credential, Upstream, retry};
use crate::failure::{Failure, chain};
use crate::limits::Limits;
use crate::trail::Trail;

/// What a provider answered.
pub enum Answer {
    Whole { head: Parts, body: Bytes },
    Stream { head: Parts, first: Bytes, rest: Rest },
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
}

/// Bytes of an error's text that a journal's `model_retry` repeats.
const WHY_BYTES_MAX: usize = 300;

impl Question<'_> {
    /// Asks; journals every attempt that another one follows.
    pub async fn ask(&self, trail: &mut Trail) -> Result<Answer, Failure> {
        let (run, call) = (trail.begun.stamp.run, trail.begun.call);
        let body = self.upstream.body(&self.target, self.body.clone())?;
        let attempts = u32::from(self.upstream.spec.retries_max) + 1;
        let mut attempt = 1;
        loop {
            let last = attempt == attempts;
            let outcome = self.attempt(&body, trail).await;
            let (why, wait) = match &outcome {
                Ok(Answer::Stream { .. }) => return outcome.map_err(Missed::into_failure),
                Ok(Answer::Whole { head, body }) => match self.worth_another(head, body) {
                    Some(why) if !last => {
                        let longest = self.limits.retry_after_max;
                        (why, retry::wait(Some(&head.headers), run, call, attempt, longest))
                    }
                    Some(_) | None => return outcome.map_err(Missed::into_failure),
                },
                Err(missed) if missed.again && !last => {
                    (missed.why.clone(), retry::wait(None, run, call, attempt, Duration::MAX))
                }
                Err(_) => return outcome.map_err(Missed::into_failure),
            };
            let Some(wait) = wait else { return outcome.map_err(Missed::into_failure) };
            trail.retry(attempt, why);
            drop(outcome);
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, body: &Bytes, trail: &mut Trail) -> Result<Answer, Missed> {
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
        let response = timeout_at(deadline, self.upstream.client.request(self.request(body))).await;
        let response = response.map_err(|_| late())?.map_err(|error| self.unsent(&error))?;
        let (head, body) = response.into_parts();
        let mut rest = Rest::new(body);
        if !(head.status.is_success() && is_event_stream(&head.headers)) {
            trail.first_byte();
            let body = self.whole(rest).await?;
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
                return Ok(Answer::Stream { head, first, rest });
            }
        }
    }

    fn request(&self, body: &Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.upstream.uri(&self.target);
        *request.headers_mut() = self.headers.clone();
        request
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

    /// Why an error answer is worth another attempt, if it is.
    fn worth_another(&self, head: &Parts, body: &[u8]) -> Option<String> {
        if head.status.is_success() {
            return None;
        }
        let error = parse_error(body);
        let worth = retry::may_help(head.status, &head.headers, error.as_ref());
        worth.then(|| {
            let said = error.map_or_else(String::new, |error| format!(": {}", error.message));
            let text = format!("status {}{said}", head.status.as_u16());
            let clean = self.credential.redactor.redact(&text);
            clean[..clean.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
        })
    }

    fn unsent(&self, error: &hyper_util::client::legacy::Error) -> Missed {
        let why = chain(error, &self.credential.redactor);
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

/// Whether an answer is a stream of events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes()).trim_ascii_start();
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<ConnectTimedOut>())
}
