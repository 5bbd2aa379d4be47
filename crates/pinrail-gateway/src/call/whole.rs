//! Passes on an answer that is no stream: it is known whole before the client gets a byte of it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};
use pinrail_domain::journal::Ending;
use pinrail_wire::{AnswerError, Dialect, Gathered, Observed, convert, parse_error};

use super::Conversion;
use super::told::{fault_of, nonsense, redirected, unconvertible_answer};
use crate::body::Body;
use crate::enforce::Rules;
use crate::failure::{FAULT, Failure, fault_value};
use crate::gateway::refuse;
use crate::trail::{Ended, Trail};
use crate::upstream::{Credential, headers};

/// Bytes of an answer that makes no sense, as far as the error repeats them.
const NONSENSE_BYTES_MAX: usize = 120;
/// Bytes of a provider's error text that the journal keeps beside the run's outcome.
const WHY_BYTES_MAX: usize = 500;

/// How an answer that is no stream is passed on.
pub struct Whole {
    pub client: Dialect,
    pub provider: Dialect,
    pub credential: Arc<Credential>,
    pub rules: Option<Rules>,
    pub conversion: Option<Box<Conversion>>,
}

impl Whole {
    /// Passes the answer on: in the client's dialect, without tool calls that the dial holds back, and otherwise unchanged.
    pub async fn pass(
        self,
        mut head: Parts,
        body: Bytes,
        mut trail: Trail,
    ) -> Result<Response<Body>, (Failure, Trail)> {
        if head.status.is_redirection() {
            return Err((redirected(head.status), trail));
        }
        let (mut observed, text, error) = match self.read(&head, &body, trail.text_gathered_max()) {
            Ok(read) => read,
            Err(failure) => return Err((failure, trail)),
        };
        let failed = error.is_some();
        let credential = Arc::clone(&self.credential);
        let status = head.status;
        let mut passed = body.clone();
        if let Some(rules) = self.rules.clone().filter(|_| !failed) {
            let (allowed, ruled) = rules.whole(self.provider, &body).await;
            trail.ruled(ruled);
            passed = allowed.unwrap_or(passed);
        }
        let mut lost = None;
        if let Some(conversion) = &self.conversion {
            let about = conversion.about(&trail.begun);
            observed.id = Some(convert::answer_id(observed.id.as_deref(), self.client, about.id));
            if failed {
                let (code, told) = convert::error(self.provider, status.as_u16(), &passed, self.client);
                // An error in an answer of status 200 stays an error.
                head.status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
                passed = Bytes::from(told);
            } else {
                match convert::answer(
                    self.provider,
                    &passed,
                    self.client,
                    &about,
                    conversion.prepared.lossy(),
                ) {
                    Ok(converted) => passed = Bytes::from(converted),
                    Err(why) => lost = Some(why.to_string()),
                }
            }
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let why = error.or_else(|| lost.clone());
        let ended = Ended {
            status: status.as_u16(),
            ending: if why.is_some() { Ending::Error } else { Ending::Complete },
            observed,
            text,
            body: trail.keep(&body, &credential),
            why: why.map(|text| {
                let clean = credential.redactor.redact(&text);
                clean[..clean.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
            }),
        };
        trail.answered(ended).await;
        if let Some(why) = lost {
            return Ok(refuse(unconvertible_answer(&why), self.client));
        }
        let fault = failed.then(|| fault_of(status));
        if failed {
            passed = credential.clean(passed);
        }
        let mut response = passed_on(head, Body::whole(passed), &credential);
        if let Some(fault) = fault {
            response.headers_mut().insert(FAULT, fault_value(fault));
        }
        Ok(response)
    }

    /// What the answer is, and the error where it is one.
    fn read(
        &self,
        head: &Parts,
        body: &Bytes,
        text_bytes_max: usize,
    ) -> Result<(Observed, Gathered, Option<String>), Failure> {
        if !head.status.is_success() {
            let said =
                parse_error(body).map_or_else(|| format!("status {}", head.status.as_u16()), |e| e.message);
            return Ok((Observed::default(), Gathered::default(), Some(said)));
        }
        match self.provider.observe(body, text_bytes_max) {
            Ok((observed, text)) if observed.choices > 0 => Ok((observed, text, None)),
            Ok(_) => Err(nonsense(format!("the provider's answer has no {}", said_in(self.provider)))),
            Err(AnswerError::Unreadable { source }) => {
                let start = String::from_utf8_lossy(&body[..body.len().min(NONSENSE_BYTES_MAX)]);
                let message = format!(
                    "the provider's answer is none in the dialect `{}` ({source}); it begins `{start}`",
                    self.provider.word()
                );
                let message = self.credential.redactor.redact(&message).into_owned();
                Err(nonsense(message).quoting())
            }
            Err(AnswerError::Provider(error)) => {
                Ok((Observed::default(), Gathered::default(), Some(error.message)))
            }
        }
    }
}

/// The provider's status and headers with the body for the client.
pub fn passed_on(mut head: Parts, body: Body, credential: &Credential) -> Response<Body> {
    headers::strip(&mut head.headers, credential);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// Where a dialect's answers say what they say.
fn said_in(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "choices",
        Dialect::Responses => "output",
        Dialect::Messages => "content",
    }
}
