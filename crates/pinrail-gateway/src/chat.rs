//! `POST /v1/chat/completions`: one request in, one answer or stream out.
//!
//! In this order: take a place · read and bound the body · learn who calls · begin or join the run, which stamps
//! it (I3) · apply the release · ask the provider · pass its answer on and journal it. From the stamp on every
//! answer, errors too, carries the run's headers, and everything that happens is journaled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, StatusCode};
use pinrail_domain::journal::{Ending, FaultOf};
use pinrail_domain::key::Tenants;
use pinrail_wire::chat::{ChatRequest, observe_answer_text};
use pinrail_wire::redact::Redactor;
use pinrail_wire::{AnswerError, Gathered, Observed, parse_error};
use serde_json::Value;

use crate::beginning::Beginning;
use crate::body::Body;
use crate::body::stream::{Passage, Stream};
use crate::enforce::{self, Rules};
use crate::failure::{FAULT, Failure, chain, fault_value};
use crate::gateway::{Shared, refuse};
use crate::identity::Identity;
use crate::intake;
use crate::port::Begun;
use crate::prepared::{Applied, Prepared, PromptError, Unapplied, Unusable};
use crate::shadow::Original;
use crate::stamped;
use crate::trail::{Ended, Trail};
use crate::upstream::answer::{Answer, Question};
use crate::upstream::target::{Endpoint, Target};
use crate::upstream::{Credential, Upstream, headers};

/// Bytes of an answer that makes no sense, as far as the error repeats them.
const NONSENSE_BYTES_MAX: usize = 120;
/// Bytes of a provider's error text that the journal keeps beside the run's outcome.
const WHY_BYTES_MAX: usize = 500;

/// A call whose run has begun, with all that it takes to ask the provider.
pub struct Ready {
    upstream: Arc<Upstream>,
    credential: Arc<Credential>,
    body: Bytes,
    stream: bool,
    strip_usage: bool,
    /// What the dial holds the answer to; none for most calls.
    rules: Option<Rules>,
}

/// Answers the call.
pub async fn complete<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    tenants: &Tenants,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let arrived = shared.clock.ticks();
    let limits = &shared.limits;
    let place = shared.places.take();
    let mut place =
        place.ok_or_else(|| Failure::busy("the number of calls at once", limits.calls_max as u64))?;
    let (head, body) = request.into_parts();
    let bytes = intake::read(&head.headers, body, limits, &mut place).await?;
    let request = ChatRequest::parse(&bytes).map_err(|error| unreadable(&error))?;
    let Identity { call, variables } = Identity::read(&head.headers, &request, tenants, limits)?;
    let mut trail = Beginning::new(shared, call, arrived, place).await?;
    let begun = Arc::clone(&trail.begun);

    if let Some(text) = begun.dial.as_ref().and_then(|standing| standing.canned.as_deref()) {
        let mut response = enforce::canned(shared, trail, &request, text).await;
        stamped::put(response.headers_mut(), &begun);
        return Ok(response);
    }
    let ready = ready(shared, &mut trail, &request, &variables);
    drop(request);
    if let Some(target) = begun.shadow {
        let headers = headers::of_copy(&head.headers);
        trail.copy_later(Original { target, request: bytes.clone(), variables, headers });
    }
    // What the provider gets is a body of its own; the client's need not wait with us for the answer.
    drop(bytes);
    let outcome = match ready {
        Ok(ready) => ask(shared, &head.headers, ready, trail).await,
        Err(failure) => Err((failure, trail)),
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err((failure, trail)) => {
            trail.fail(&failure).await;
            refuse(failure)
        }
    };
    stamped::put(response.headers_mut(), &begun);
    Ok(response)
}

/// Applies the release.
pub fn ready(
    shared: &Arc<Shared>,
    trail: &mut Trail,
    request: &ChatRequest<'_>,
    variables: &BTreeMap<String, Value>,
) -> Result<Ready, Failure> {
    let begun = Arc::clone(&trail.begun);
    let Begun { contract, provider, stamp, .. } = &*begun;
    let part = provider.catalogue.as_str();
    let prepared: Arc<Prepared> = shared
        .releases
        .get(contract, &shared.catalogue.load(), part, &shared.limits)
        .map_err(|unusable| release_unusable(&unusable))?;
    let upstream = shared.upstreams.get(&stamp.provider, provider)?;
    let credential = upstream.credential(&*shared.secrets)?;
    let is_withheld = |name: &str| enforce::is_withheld(&begun, name);
    let withheld: Option<&dyn Fn(&str) -> bool> =
        if begun.dial.is_some() { Some(&is_withheld) } else { None };
    let Applied { body, withheld } = prepared.apply(request, variables, withheld).map_err(unapplied)?;
    trail.dialled(withheld);
    let rules = Rules::of(shared, &begun, &prepared);
    trail.price = prepared.price;
    let (stream, strip_usage) = (request.stream(), request.stream() && !request.include_usage());
    Ok(Ready { upstream, credential, body: Bytes::from(body), stream, strip_usage, rules })
}

/// Asks the provider and turns what it says into the answer; gives the trail back when there is none.
pub async fn ask(
    shared: &Arc<Shared>,
    from: &http::HeaderMap,
    ready: Ready,
    mut trail: Trail,
) -> Result<Response<Body>, (Failure, Trail)> {
    let Ready { upstream, credential, body, stream, strip_usage, rules } = ready;
    trail.sending(stream, &body, &credential).await;
    let begun = Arc::clone(&trail.begun);
    let model = upstream.model_name(&begun.stamp.snapshot);
    let question = Question {
        upstream: &upstream,
        credential: &credential,
        target: Target { endpoint: Endpoint::Chat, model, stream },
        headers: headers::outgoing(from, &credential, Endpoint::Chat),
        body,
        limits: &shared.limits,
        health: &shared.healths.of(&begun.stamp.provider, &begun.stamp.snapshot),
        clock: &*shared.clock,
        others: false,
    };
    match question.ask(&mut trail).await.outcome {
        Err(failure) => Err((failure, trail)),
        Ok(Answer::Stream { .. }) if !stream => {
            let message = "the provider answered with a stream where a whole answer was asked for";
            Err((nonsense(message.to_owned()), trail))
        }
        Ok(Answer::Stream { head, first, rest }) => {
            let passage = Passage {
                strip_usage,
                event_bytes_max: shared.limits.event_bytes_max,
                idle: upstream.idle(),
                status: head.status.as_u16(),
                credential: Arc::clone(&credential),
                rules,
            };
            let stream = Stream::new(first, rest, passage, trail);
            Ok(passed_on(head, Body::stream(stream), &credential))
        }
        Ok(Answer::Whole { head, body }) => whole(head, body, &credential, trail, rules).await,
    }
}

/// Passes on an answer that is no stream, unchanged but for tool calls that the dial holds back.
async fn whole(
    head: Parts,
    body: Bytes,
    credential: &Credential,
    mut trail: Trail,
    rules: Option<Rules>,
) -> Result<Response<Body>, (Failure, Trail)> {
    if head.status.is_redirection() {
        return Err((redirected(head.status), trail));
    }
    let (observed, text, error) = if head.status.is_success() {
        match observe_answer_text(&body, trail.compared_bytes_max()) {
            Ok((observed, text)) if observed.choices > 0 => (observed, text, None),
            Ok(_) => return Err((nonsense("the provider's answer has no choices".to_owned()), trail)),
            Err(AnswerError::Unreadable { source }) => {
                let start = String::from_utf8_lossy(&body[..body.len().min(NONSENSE_BYTES_MAX)]);
                let message =
                    format!("the provider's answer is no chat completion ({source}); it begins `{start}`");
                let message = credential.redactor.redact(&message).into_owned();
                return Err((nonsense(message).quoting(), trail));
            }
            Err(AnswerError::Provider(error)) => {
                (Observed::default(), Gathered::default(), Some(error.message))
            }
        }
    } else {
        let said =
            parse_error(&body).map_or_else(|| format!("status {}", head.status.as_u16()), |e| e.message);
        (Observed::default(), Gathered::default(), Some(said))
    };
    let failed = error.is_some();
    let mut allowed = None;
    if let Some(rules) = rules.filter(|_| !failed) {
        let (body, ruled) = rules.whole(&body).await;
        trail.ruled(ruled);
        allowed = body;
    }
    let ended = Ended {
        status: head.status.as_u16(),
        ending: if failed { Ending::Error } else { Ending::Complete },
        observed,
        text,
        body: trail.keep(&body, credential),
        why: error.map(|text| {
            let clean = credential.redactor.redact(&text);
            clean[..clean.floor_char_boundary(WHY_BYTES_MAX)].to_owned()
        }),
    };
    trail.answered(ended).await;
    let fault = failed.then(|| fault_of(head.status));
    // Unchanged, with one exception: a provider that repeats the key in its error doesn't get it through (I15).
    let body = match failed && credential.is_in(&body) {
        true => Bytes::from(credential.redactor.redact(&String::from_utf8_lossy(&body)).into_owned()),
        false => allowed.unwrap_or(body),
    };
    let mut response = passed_on(head, Body::whole(body), credential);
    if let Some(fault) = fault {
        response.headers_mut().insert(FAULT, fault_value(fault));
    }
    Ok(response)
}

/// The provider's status and headers with the body for the client.
fn passed_on(mut head: Parts, body: Body, credential: &Credential) -> Response<Body> {
    headers::strip(&mut head.headers, credential);
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// Whose fault a provider's error is. The key and the model id are Pinrail's to set, the request is the client's.
fn fault_of(status: StatusCode) -> FaultOf {
    match status.as_u16() {
        401..=404 => FaultOf::Pinrail,
        408 | 409 | 429 => FaultOf::Provider,
        400..=499 => FaultOf::Client,
        _ => FaultOf::Provider,
    }
}

/// A redirect must not reach the client, who would send its key and its prompt to another host.
fn redirected(status: StatusCode) -> Failure {
    let message = format!(
        "the provider answers with a redirect (status {}); set its base_url to where it leads and `pinrail apply`",
        status.as_u16()
    );
    Failure::pinrail(StatusCode::BAD_GATEWAY, "provider_redirects", message)
}

fn nonsense(message: String) -> Failure {
    let message = format!("{message}; try again, and look at the provider's base_url when it stays so");
    Failure::provider(StatusCode::BAD_GATEWAY, "provider_nonsense", message).retry_after(1)
}

fn unreadable(error: &pinrail_wire::RequestError) -> Failure {
    let failure = Failure::bad_request("invalid_request", error.to_string());
    match error.param() {
        Some(param) => failure.about(param.to_owned()),
        None => failure,
    }
}

fn release_unusable(unusable: &Unusable) -> Failure {
    let why = chain(unusable, &Redactor::default());
    let message = format!("the release cannot be applied: {why}; deploy a release without that fault");
    Failure::pinrail(StatusCode::INTERNAL_SERVER_ERROR, "release_unusable", message)
}

fn unapplied(why: Unapplied) -> Failure {
    let prompt = |code, message: String| Failure::bad_request(code, message).about("pinrail.variables");
    match why {
        Unapplied::Prompt(PromptError::Missing { variable }) => {
            let message = format!(
                "the release's system prompt needs the variable `{variable}`; send it in `pinrail.variables` or as \
                 `metadata.pinrail_var_{variable}`"
            );
            Failure::bad_request("missing_variable", message)
                .about(Cow::Owned(format!("pinrail.variables.{variable}")))
        }
        Unapplied::Prompt(PromptError::TooLong { bytes_max }) => prompt(
            "prompt_too_long",
            format!(
                "with these variables the system prompt is longer than {bytes_max} bytes; send shorter ones"
            ),
        ),
        Unapplied::Prompt(PromptError::TooMuchWork { fuel }) => prompt(
            "prompt_too_costly",
            format!(
                "with these variables the system prompt takes more than {fuel} steps; send shorter lists"
            ),
        ),
        Unapplied::Prompt(PromptError::Unfit { why }) => prompt(
            "variable_unfit",
            format!(
                "the variables do not fit the release's system prompt ({why}); send them in the form it uses"
            ),
        ),
        Unapplied::Mismatch(list) => {
            let param = list.first().map(|mismatch| mismatch.field.clone()).unwrap_or_default();
            let all: Vec<String> = list.iter().map(ToString::to_string).collect();
            let message = format!(
                "the request is not what the release pins: {}; send what is pinned, or deploy a release of this",
                all.join("; ")
            );
            Failure::client(StatusCode::CONFLICT, "release_mismatch", message).about(param).quoting()
        }
    }
}
