//! One model call, in whichever dialect: one request in, one answer or stream out.
//!
//! In this order: take a place · read and bound the body · learn who calls · begin or join the run, which stamps
//! it (I3) · say it in the provider's dialect and apply the release · ask the provider, and where it is in trouble the
//! next that the release or the provider's settings allow · pass the answer on in the client's dialect and journal it.
//! From the stamp on every answer, errors too, carries the run's headers, and everything that happens is journaled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Request, Response, StatusCode};
use pinrail_domain::begin::Alternative;
use pinrail_domain::id::ProviderName;
use pinrail_domain::journal::{Ending, FaultOf};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::{Api, ProviderSpec};
use pinrail_wire::convert::{self, About};
use pinrail_wire::redact::Redactor;
use pinrail_wire::{AnswerError, Dialect, Gathered, Observed, dialect, parse_error};
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
use crate::prepared::{Applied, Prepared, PromptError, Unapplied, Unusable, Wanted};
use crate::shadow::Original;
use crate::stamped;
use crate::trail::{Ended, Trail};
use crate::upstream::answer::{Answer, Asked as Outcome, Question, is_of_the_endpoint};
use crate::upstream::target::{Endpoint, Target};
use crate::upstream::{Credential, Upstream, headers};

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Bytes of an answer that makes no sense, as far as the error repeats them.
const NONSENSE_BYTES_MAX: usize = 120;
/// Bytes of a provider's error text that the journal keeps beside the run's outcome.
const WHY_BYTES_MAX: usize = 500;

/// A request as it came, before any release was applied to it.
#[derive(Clone)]
pub struct Asked {
    pub dialect: Dialect,
    pub body: Bytes,
    pub variables: BTreeMap<String, Value>,
}

/// A call whose run has begun, with all that it takes to ask the provider.
pub struct Ready {
    upstream: Arc<Upstream>,
    credential: Arc<Credential>,
    /// The dialects of client and provider.
    client: Dialect,
    provider: Dialect,
    /// Who is asked, and for which model.
    name: ProviderName,
    snapshot: String,
    body: Bytes,
    stream: bool,
    strip_usage: bool,
    /// What the dial holds the answer to; none for most calls.
    rules: Option<Rules>,
    /// The release sets what Anthropic's newer API refuses.
    older_api: bool,
    /// What turns the provider's answer into the client's dialect; none where they are the same.
    conversion: Option<Box<Conversion>>,
}

/// How an answer gets into the client's dialect.
pub struct Conversion {
    prepared: Arc<Prepared>,
    /// Ours, where the client's dialect has another form of ids.
    id: String,
    /// Unix seconds.
    created: u64,
    include_usage: bool,
    /// As the client sent it; some dialects' answers repeat parts of it.
    request: Bytes,
    /// What the request lost, by the release's leave.
    dropped: Vec<&'static str>,
}

/// Answers the call.
pub async fn complete<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    tenants: &Tenants,
    dialect: Dialect,
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
    let body = intake::read(&head.headers, body, limits, &mut place).await?;
    let request = dialect.parse(&body).map_err(|error| unreadable(&error))?;
    let Identity { call, variables, follows } = Identity::read(&head.headers, &request, tenants, shared)?;
    let mut trail = Beginning::new(shared, call, arrived, place).await?;
    if follows {
        trail.be_followed();
    }
    let begun = Arc::clone(&trail.begun);

    if let Some(text) = begun.dial.as_ref().and_then(|standing| standing.canned.as_deref()) {
        let mut response = enforce::canned(shared, trail, &request, text).await;
        stamped::put(response.headers_mut(), &begun);
        return Ok(response);
    }
    let asked = Asked { dialect, body: body.clone(), variables };
    let first = ready(shared, &mut trail, &request, &asked, None);
    drop(request);
    drop(body);
    if let Some(target) = begun.shadow {
        let headers = headers::of_copy(&head.headers);
        trail.copy_later(Original { target, asked: asked.clone(), headers });
    }
    // What the provider gets is a body of its own: where nobody else may be asked, the client's need not wait with us.
    let asked = (!begun.alternatives.as_slice().is_empty()).then_some(asked);
    let outcome = ask(shared, &head.headers, first, asked, trail).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err((failure, trail)) => {
            trail.fail(&failure).await;
            refuse(failure, dialect)
        }
    };
    stamped::put(response.headers_mut(), &begun);
    Ok(response)
}

/// Says the request in the dialect of the pinned endpoint, or of one in its place, and applies the release.
pub fn ready(
    shared: &Arc<Shared>,
    trail: &mut Trail,
    request: &dialect::Request<'_>,
    asked: &Asked,
    instead: Option<&Alternative>,
) -> Result<Ready, Failure> {
    let begun = Arc::clone(&trail.begun);
    let Begun { contract, stamp, .. } = &*begun;
    let (name, spec, snapshot, params) = match instead {
        None => (&stamp.provider, &begun.provider, &stamp.snapshot, &contract.manifest.model.params),
        Some(to) => (&to.provider, &to.spec, &to.snapshot, to.params(contract)),
    };
    let provider = dialect_of(spec.api_for(api_of(asked.dialect)));
    let wanted = Wanted {
        contract,
        params,
        dialect: provider,
        written_for: written_for(spec, instead, &begun),
        provider: name,
        snapshot,
        part: &spec.catalogue,
    };
    let prepared = shared.releases.get(&wanted, &shared.catalogue.load(), &shared.limits);
    let prepared: Arc<Prepared> = prepared.map_err(|unusable| release_unusable(&unusable))?;
    let upstream = shared.upstreams.get(name, spec)?;
    let credential = upstream.credential(&*shared.secrets)?;
    let is_withheld = |name: &str| enforce::is_withheld(&begun, name);
    let withheld: Option<&dyn Fn(&str) -> bool> =
        if begun.dial.is_some() { Some(&is_withheld) } else { None };
    let model = upstream.model_name(snapshot);
    let (applied, conversion) = if provider == asked.dialect {
        (prepared.apply(request, model, &asked.variables, withheld), None)
    } else {
        let converted = convert::request(asked.dialect, &asked.body, provider, prepared.lossy());
        let converted = converted.map_err(|refused| unconvertible(&refused, asked.dialect, provider))?;
        let said = provider.parse(&converted.body).expect("what is converted can be read in its dialect");
        let conversion = Conversion {
            prepared: Arc::clone(&prepared),
            id: stamp.run.to_string(),
            created: shared.clock.now().0 / 1_000,
            include_usage: request.include_usage(),
            request: asked.body.clone(),
            dropped: converted.dropped,
        };
        (prepared.apply(&said, model, &asked.variables, withheld), Some(Box::new(conversion)))
    };
    let Applied { body, withheld } = applied.map_err(unapplied)?;
    if instead.is_none() {
        trail.dialled(withheld);
    }
    let rules = Rules::of(shared, &begun, &prepared);
    trail.price = prepared.price;
    let stream = request.stream();
    Ok(Ready {
        upstream,
        credential,
        client: asked.dialect,
        provider,
        name: name.clone(),
        snapshot: snapshot.to_owned(),
        body: Bytes::from(body),
        stream,
        // A converter needs the usage, and writes it where the client asked for it.
        strip_usage: stream && conversion.is_none() && !request.include_usage(),
        rules,
        older_api: prepared.older_api,
        conversion,
    })
}

/// Asks the provider, and while it is in trouble those that may answer in its place, and turns what is said into the
/// answer; gives the trail back when there is none. `asked` is what the others are asked; none where there are none.
pub async fn ask(
    shared: &Arc<Shared>,
    from: &HeaderMap,
    first: Result<Ready, Failure>,
    asked: Option<Asked>,
    mut trail: Trail,
) -> Result<Response<Body>, (Failure, Trail)> {
    let begun = Arc::clone(&trail.begun);
    let mut others = begun.alternatives.as_slice().iter();
    let mut ready = match first {
        Ok(ready) => ready,
        Err(failure) => {
            let elsewhere = is_of_the_endpoint(&failure).then(|| failure.message.clone());
            match next(shared, &mut trail, asked.as_ref(), &mut others, elsewhere) {
                Some(ready) => ready,
                None => return Err((failure, trail)),
            }
        }
    };
    trail.sending(ready.stream, ready.dropped(), &ready.body, &ready.credential).await;
    loop {
        let more = asked.is_some() && !others.as_slice().is_empty();
        let Outcome { outcome, elsewhere } = ready.ask(shared, from, more, &mut trail).await;
        match (next(shared, &mut trail, asked.as_ref(), &mut others, elsewhere), outcome) {
            (Some(next), _) => ready = next,
            (None, Ok(answer)) => return ready.pass_on(shared, answer, trail).await,
            (None, Err(failure)) => return Err((failure, trail)),
        }
    }
}

/// The next endpoint that may answer, where the last one said why somebody else should.
fn next<'a>(
    shared: &Arc<Shared>,
    trail: &mut Trail,
    asked: Option<&Asked>,
    others: &mut impl Iterator<Item = &'a Alternative>,
    elsewhere: Option<String>,
) -> Option<Ready> {
    let (mut why, asked) = (elsewhere?, asked?);
    for to in others {
        let request = asked.dialect.parse(&asked.body).expect("it was read before");
        match ready(shared, trail, &request, asked, Some(to)) {
            Ok(ready) => {
                trail.elsewhere(to, &why);
                return Some(ready);
            }
            // Such as a key that is missing there: others may have theirs.
            Err(failure) => {
                trail.retry(format!("{} can't be asked: {}", to.provider, failure.message));
                why = failure.message;
            }
        }
    }
    None
}

impl Ready {
    /// What the request lost on the way to the provider's dialect.
    fn dropped(&self) -> &[&'static str] {
        self.conversion.as_ref().map_or(&[], |conversion| &conversion.dropped)
    }

    async fn ask(&self, shared: &Shared, from: &HeaderMap, others: bool, trail: &mut Trail) -> Outcome {
        let endpoint = Endpoint::from(api_of(self.provider));
        let question = Question {
            upstream: &self.upstream,
            credential: &self.credential,
            target: Target { endpoint, model: self.upstream.model_name(&self.snapshot), stream: self.stream },
            headers: self.headers(from, endpoint),
            body: self.body.clone(),
            limits: &shared.limits,
            health: &shared.healths.of(&self.name, &self.snapshot),
            clock: &*shared.clock,
            others,
        };
        question.ask(trail).await
    }

    fn headers(&self, from: &HeaderMap, endpoint: Endpoint) -> HeaderMap {
        let mut headers = headers::outgoing(from, &self.credential, endpoint);
        if self.older_api {
            headers::older_api(&mut headers, &self.credential);
        }
        headers
    }

    async fn pass_on(
        self,
        shared: &Shared,
        answer: Answer,
        trail: Trail,
    ) -> Result<Response<Body>, (Failure, Trail)> {
        let dropped = self.dropped().to_vec();
        let Ready { upstream, credential, client, provider, stream, strip_usage, rules, conversion, .. } =
            self;
        match answer {
            Answer::Stream { .. } if !stream => {
                let message = "the provider answered with a stream where a whole answer was asked for";
                Err((nonsense(message.to_owned()), trail))
            }
            Answer::Stream { mut head, first, rest } => {
                if conversion.is_some() {
                    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
                }
                let passage = Passage {
                    client,
                    provider,
                    strip_usage,
                    event_bytes_max: shared.limits.event_bytes_max,
                    idle: upstream.idle(),
                    status: head.status.as_u16(),
                    credential: Arc::clone(&credential),
                    rules,
                    converter: conversion.map(|conversion| {
                        conversion.stream(provider, client, &trail.begun, shared.limits.event_bytes_max)
                    }),
                };
                let stream = Stream::new(first, rest, passage, trail);
                let mut response = passed_on(head, Body::stream(stream), &credential);
                stamped::put_dropped(response.headers_mut(), &dropped);
                Ok(response)
            }
            Answer::Whole { head, body } => {
                let whole = Whole { client, provider, credential, rules, conversion };
                let mut response = whole.pass(head, body, trail).await?;
                stamped::put_dropped(response.headers_mut(), &dropped);
                Ok(response)
            }
        }
    }
}

/// The dialect that the parameters are written for: the first of the provider that the release names beside them.
fn written_for(spec: &ProviderSpec, instead: Option<&Alternative>, begun: &Begun) -> Dialect {
    let own = instead.and_then(|to| begun.contract.manifest.model.fallbacks.get(to.listed?)?.params.as_ref());
    match own {
        Some(_) => dialect_of(spec.spoken()[0]),
        None => dialect_of(begun.provider.spoken()[0]),
    }
}

/// How an answer that is no stream is passed on.
struct Whole {
    client: Dialect,
    provider: Dialect,
    credential: Arc<Credential>,
    rules: Option<Rules>,
    conversion: Option<Box<Conversion>>,
}

impl Whole {
    /// Passes the answer on: in the client's dialect, without tool calls that the dial holds back, and otherwise unchanged.
    async fn pass(
        self,
        mut head: Parts,
        body: Bytes,
        mut trail: Trail,
    ) -> Result<Response<Body>, (Failure, Trail)> {
        if head.status.is_redirection() {
            return Err((redirected(head.status), trail));
        }
        let (mut observed, text, error) = match self.read(&head, &body, trail.compared_bytes_max()) {
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

impl Conversion {
    fn about<'a>(&'a self, begun: &'a Begun) -> About<'a> {
        About {
            id: &self.id,
            created: self.created,
            model: &begun.stamp.snapshot,
            include_usage: self.include_usage,
            request: &self.request,
        }
    }

    fn stream(
        &self,
        from: Dialect,
        to: Dialect,
        begun: &Begun,
        event_bytes_max: usize,
    ) -> Box<convert::StreamConverter> {
        let lossy = self.prepared.lossy();
        Box::new(convert::StreamConverter::new(from, to, &self.about(begun), lossy, event_bytes_max))
    }
}

/// Where a dialect's answers say what they say.
fn said_in(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Chat => "choices",
        Dialect::Responses => "output",
        Dialect::Messages => "content",
    }
}

/// The dialect by the name that settings give it.
pub fn dialect_of(api: Api) -> Dialect {
    match api {
        Api::Chat => Dialect::Chat,
        Api::Responses => Dialect::Responses,
        Api::Messages => Dialect::Messages,
    }
}

pub fn api_of(dialect: Dialect) -> Api {
    match dialect {
        Dialect::Chat => Api::Chat,
        Dialect::Responses => Api::Responses,
        Dialect::Messages => Api::Messages,
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

/// Whose fault a provider's error is. The key and the model id are Pinrail's to set, the request is the client's.
pub fn fault_of(status: StatusCode) -> FaultOf {
    match status.as_u16() {
        401..=404 => FaultOf::Pinrail,
        408 | 409 | 429 => FaultOf::Provider,
        400..=499 => FaultOf::Client,
        _ => FaultOf::Provider,
    }
}

/// A redirect must not reach the client, who would send its key and its prompt to another host.
pub fn redirected(status: StatusCode) -> Failure {
    let message = format!(
        "the provider answers with a redirect (status {}); set its base_url to where it leads and `pinrail apply`",
        status.as_u16()
    );
    Failure::pinrail(StatusCode::BAD_GATEWAY, "provider_redirects", message)
}

pub fn nonsense(message: String) -> Failure {
    let message = format!("{message}; try again, and look at the provider's base_url when it stays so");
    Failure::provider(StatusCode::BAD_GATEWAY, "provider_nonsense", message).retry_after(1)
}

/// The model's answer holds something that the client's dialect has no words for.
fn unconvertible_answer(why: &str) -> Failure {
    let message = format!(
        "the provider's answer can't be given in the client's dialect: {why}; call with the provider's own, or list the \
         feature in the release's `model.lossy`"
    );
    Failure::pinrail(StatusCode::BAD_GATEWAY, "unconvertible_answer", message)
}

fn unconvertible(refused: &convert::Refused, client: Dialect, provider: Dialect) -> Failure {
    let message = format!(
        "the release's provider speaks `{}`, and this `{}` request can't be said in it: {refused}",
        provider.word(),
        client.word()
    );
    let failure = Failure::bad_request("unconvertible_request", message).quoting();
    match refused.param() {
        Some(param) => failure.about(param.to_owned()),
        None => failure,
    }
}

pub fn unreadable(error: &pinrail_wire::RequestError) -> Failure {
    let failure = Failure::bad_request("invalid_request", error.to_string());
    match error.param() {
        Some(param) => failure.about(param.to_owned()),
        None => failure,
    }
}

pub fn release_unusable(unusable: &Unusable) -> Failure {
    let why = chain(unusable, &Redactor::default());
    let message = format!("the release cannot be applied: {why}; deploy a release without that fault");
    Failure::pinrail(StatusCode::INTERNAL_SERVER_ERROR, "release_unusable", message)
}

pub fn unapplied(why: Unapplied) -> Failure {
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
        Unapplied::Conflict(field) => {
            let message = format!(
                "`{field}` lets something else answer than what the release pins; leave it out, or deploy a release of this"
            );
            Failure::client(StatusCode::CONFLICT, "release_mismatch", message).about(field)
        }
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
