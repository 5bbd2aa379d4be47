//! One model call, in whichever dialect: one request in, one answer or stream out.
//!
//! In this order: take a place · read and bound the body · learn who calls · begin or join the run, which stamps
//! it (I3) · say it in the provider's dialect and apply the release · ask the provider, and where it is in trouble the
//! next that the release or the provider's settings allow · pass the answer on in the client's dialect and journal it.
//! From the stamp on every answer, errors too, carries the run's headers, and everything that happens is journaled.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use pinrail_domain::begin::Alternative;
use pinrail_domain::id::ProviderName;
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::{Api, ProviderSpec};
use pinrail_wire::convert::{self, About};
use pinrail_wire::{Dialect, dialect};
use serde_json::Value;
use tracing::Instrument as _;

use crate::beginning::Beginning;
use crate::body::Body;
use crate::body::stream::{Passage, Stream};
use crate::enforce::{self, Rules};
use crate::failure::Failure;
use crate::gateway::{Shared, refuse};
use crate::identity::Identity;
use crate::intake;
use crate::port::Begun;
use crate::prepared::{Applied, Prepared, Wanted};
use crate::shadow::Original;
use crate::stamped;
use crate::telemetry::Parent;
use crate::trail::Trail;
use crate::upstream::answer::{Answer, Asked as Outcome, Question, is_of_the_endpoint};
use crate::upstream::target::{Endpoint, Target};
use crate::upstream::{Credential, Upstream, headers};

mod told;
mod whole;

pub use told::{fault_of, nonsense, redirected, release_unusable, unapplied, unreadable};
pub use whole::passed_on;

use told::unconvertible;
use whole::Whole;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

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
    let taken_in = shared.clock.ticks();
    let request = dialect.parse(&body).map_err(|error| unreadable(&error))?;
    let Identity { call, variables, follows } = Identity::read(&head.headers, &request, tenants, shared)?;
    let mut trail = Beginning::new(shared, call, arrived, place).await?;
    if follows {
        trail.be_followed();
    }
    trail.taken_in(dialect, taken_in, Parent::read(&head.headers).as_ref());
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
    let span = trail.seen.log_span();
    let outcome = ask(shared, &head.headers, first, asked, trail).instrument(span).await;
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
    trail.keep_request(&ready.body, &ready.credential);
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
