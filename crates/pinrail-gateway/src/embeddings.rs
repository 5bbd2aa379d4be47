//! `POST /v1/embeddings`: the release's embedder answers, whatever the client asks for, so that vectors and queries can't
//! part company (I12).
//!
//! `model` names the agent, or the agent and one of its vector spaces (`support/kb`); a release with one embedder needs no
//! space. The call belongs to a run like any other. An answer whose vectors aren't as wide as the release says doesn't reach
//! the client: vectors of two models in one index can't be told apart later.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::HeaderMap;
use http::response::Parts;
use http::{Request, Response, StatusCode};
use pinrail_domain::begin::Alternative;
use pinrail_domain::id::ReleaseId;
use pinrail_domain::journal::Ending;
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::{Api, ProviderSpec};
use pinrail_domain::release::Embedder;
use pinrail_wire::embeddings::{Edit, Embedded, EmbeddingsRequest, observe_embeddings};
use pinrail_wire::{AnswerError, Dialect, Gathered, Observed, Usage, parse_error};

use crate::beginning::Beginning;
use crate::body::Body;
use crate::call::{self, fault_of, nonsense, passed_on, redirected};
use crate::failure::{FAULT, Failure, fault_value};
use crate::gateway::{Shared, refuse};
use crate::identity::Identity;
use crate::intake;
use crate::port::Begun;
use crate::stamped;
use crate::telemetry::Parent;
use crate::trail::{Ended, Trail};
use crate::upstream::answer::{Answer, Question};
use crate::upstream::target::{Endpoint, Target};
use crate::upstream::{Credential, headers};

/// The embedders that must be asked for their release's dimensions: some models give as many as they are asked for, and
/// others refuse to be asked.
#[derive(Default)]
pub struct Asking(ArcSwap<BTreeMap<(ReleaseId, String), ()>>);

/// Embedders remembered; one more than that is found out anew.
const ASKING_MAX: usize = 4_096;

/// Answers the call.
pub async fn embed<B>(
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
    let taken_in = shared.clock.ticks();
    let request = EmbeddingsRequest::parse(&bytes).map_err(|error| call::unreadable(&error))?;
    let (agent, space) = match request.model().split_once('/') {
        Some((agent, space)) => (agent, Some(space)),
        None => (request.model(), None),
    };
    let Identity { call, .. } = Identity::of(&head.headers, &request, agent, tenants, shared)?;
    let mut trail = Beginning::new(shared, call, arrived, place).await?;
    trail.taken_in(Dialect::Chat, taken_in, Parent::read(&head.headers).as_ref());
    trail.seen.embeds = true;
    let begun = Arc::clone(&trail.begun);
    let outcome = match pinned(&begun, space) {
        Ok((space, embedder)) => {
            let wanted = Wanted { space, embedder, request: &request };
            ask(shared, &head.headers, &wanted, &mut trail).await
        }
        Err(failure) => Err(failure),
    };
    let mut response = match outcome {
        Ok((ended, response)) => {
            trail.embedded(ended.0, ended.1).await;
            response
        }
        Err(failure) => {
            trail.fail(&failure).await;
            refuse(failure, Dialect::Chat)
        }
    };
    stamped::put(response.headers_mut(), &begun);
    Ok(response)
}

/// Which embedder is wanted, for what.
struct Wanted<'a> {
    space: &'a str,
    embedder: &'a Embedder,
    request: &'a EmbeddingsRequest<'a>,
}

/// Asks the embedder's provider; says how it ended, with the number of vectors, and what the client gets.
async fn ask(
    shared: &Arc<Shared>,
    from: &HeaderMap,
    wanted: &Wanted<'_>,
    trail: &mut Trail,
) -> Result<((Ended, u32), Response<Body>), Failure> {
    let Wanted { space, embedder, request } = wanted;
    let begun = Arc::clone(&trail.begun);
    check_dimensions(wanted)?;
    let endpoint = endpoint(shared, &begun, embedder)?;
    let upstream = shared.upstreams.get(&endpoint.provider, &endpoint.spec)?;
    let credential = upstream.credential(&*shared.secrets)?;
    let (name, provider) = (embedder.embedder.clone(), endpoint.provider.clone());
    trail.price = shared.catalogue.load().price(&endpoint.spec.catalogue, &name);
    trail.asks(endpoint);
    let key = (begun.contract.id, (*space).to_owned());
    let mut dimensions = shared.dimensions.must_ask(&key).then_some(embedder.dims);
    let mut paid = None;
    loop {
        let edit = Edit { model: upstream.model_name(&name), dimensions, prefix: embedder.prefix.as_deref() };
        let body = request.rewrite(&edit).map_err(|error| call::unreadable(&error))?;
        let body = Bytes::from(body);
        trail.sending(false, &[], &body, &credential).await;
        let question = Question {
            upstream: &upstream,
            credential: &credential,
            target: Target { endpoint: Endpoint::Embeddings, model: edit.model, stream: false },
            headers: headers::outgoing(from, &credential, Endpoint::Embeddings),
            body,
            limits: &shared.limits,
            health: &shared.healths.of(&provider, &name),
            clock: &*shared.clock,
            others: false,
        };
        let Answer::Whole { head, body } = question.ask(trail).await.outcome? else {
            return Err(nonsense(
                "the provider answered with a stream to a request for embeddings".to_owned(),
            ));
        };
        if head.status.is_redirection() {
            return Err(redirected(head.status));
        }
        let (embedded, error) = read(head.status, &body)?;
        paid = sum(paid, embedded.usage);
        let wide = embedded.dimensions.unwrap_or_default();
        let failed = error.is_some();
        let differs = !failed && wide != embedder.dims;
        if differs && dimensions.is_none() && request.dimensions().is_none() {
            dimensions = Some(embedder.dims);
            continue;
        }
        if !failed && !differs && dimensions.is_some() {
            shared.dimensions.note(key);
        }
        let refused = differs.then(|| too_wide(space, embedder, wide));
        let why = error.or_else(|| refused.as_ref().map(|failure| failure.message.clone()));
        let ended = Ended {
            status: head.status.as_u16(),
            ending: if why.is_some() { Ending::Error } else { Ending::Complete },
            observed: Observed { served_model: embedded.served_model, usage: paid, ..Observed::default() },
            text: Gathered::default(),
            body: trail.keep(&body, &credential),
            why: why.map(|text| credential.redactor.redact(&text).into_owned()),
        };
        let response = match refused {
            Some(failure) => refuse(failure, Dialect::Chat),
            None => passed(head, body, failed, &credential),
        };
        return Ok(((ended, embedded.vectors), response));
    }
}

/// A client may ask for as many dimensions as are pinned.
fn check_dimensions(wanted: &Wanted<'_>) -> Result<(), Failure> {
    let Wanted { space, embedder, request } = wanted;
    let Some(sent) = request.dimensions().filter(|sent| *sent != embedder.dims) else { return Ok(()) };
    let message = format!(
        "the request wants {sent} dimensions, and the release pins {} for `{space}`; leave `dimensions` out, or deploy a \
         release of this",
        embedder.dims
    );
    Err(Failure::client(StatusCode::CONFLICT, "release_mismatch", message).about("dimensions"))
}

/// The provider's answer as it is, secrets removed.
fn passed(head: Parts, body: Bytes, failed: bool, credential: &Credential) -> Response<Body> {
    let fault = failed.then(|| fault_of(head.status));
    let mut response = passed_on(head, Body::whole(credential.clean(body)), credential);
    if let Some(fault) = fault {
        response.headers_mut().insert(FAULT, fault_value(fault));
    }
    response
}

/// The embedder that a space's vectors are of.
fn pinned<'a>(begun: &'a Begun, space: Option<&'a str>) -> Result<(&'a str, &'a Embedder), Failure> {
    let pinned = &begun.contract.manifest.state.vectors;
    let names = || pinned.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let agent = &begun.stamp.agent;
    let unknown =
        |message| Err(Failure::client(StatusCode::NOT_FOUND, "model_not_found", message).about("model"));
    let mut all = pinned.iter();
    match (space, all.next(), all.next()) {
        (_, None, _) => unknown(format!(
            "the release of `{agent}` pins no embedder; add one to its release.toml (`[state] vectors.NAME = …`) and deploy it"
        )),
        (Some(space), _, _) => match pinned.get_key_value(space) {
            Some((space, embedder)) => Ok((space, embedder)),
            None => {
                let shown = &space[..space.floor_char_boundary(64)];
                unknown(format!("the release of `{agent}` has no vectors `{shown}`; it has {}", names()))
            }
        },
        (None, Some((space, embedder)), None) => Ok((space, embedder)),
        (None, Some((_, first)), Some(_)) => {
            // Spaces may share an embedder, and then it doesn't matter whose it is.
            let same = |other: &Embedder| Embedder { metric: first.metric, ..other.clone() } == *first;
            let (space, embedder) = pinned.iter().next().expect("there is a first");
            if pinned.values().all(same) {
                return Ok((space, embedder));
            }
            let message = format!(
                "the release of `{agent}` pins several embedders; name one as `model`: `{agent}/SPACE`, with SPACE one of {}",
                names()
            );
            Err(Failure::bad_request("space_missing", message).about("model"))
        }
    }
}

/// Where the embedder answers: at the provider that its contract names, or at the model's own.
fn endpoint(shared: &Shared, begun: &Begun, embedder: &Embedder) -> Result<Alternative, Failure> {
    let (provider, spec): (_, Arc<ProviderSpec>) = match &embedder.provider {
        None => (begun.stamp.provider.clone(), Arc::clone(&begun.provider)),
        Some(name) => {
            let known = name.parse().ok().and_then(|name| Some((shared.runs.provider(&name)?, name)));
            let (spec, name) = known.ok_or_else(|| {
                let message = format!(
                    "the embedder's provider `{name}` is not registered; add it to pinrail.toml and `pinrail apply`"
                );
                Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message)
            })?;
            (name, spec)
        }
    };
    if !(spec.speaks(Api::Chat) || spec.speaks(Api::Responses)) {
        let message = format!(
            "provider `{provider}` offers no embeddings; name the embedder's provider in the release (`provider = …` beside \
             its `embedder`)"
        );
        return Err(Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message));
    }
    Ok(Alternative { provider, spec, snapshot: embedder.embedder.clone(), listed: None })
}

fn read(status: StatusCode, body: &[u8]) -> Result<(Embedded, Option<String>), Failure> {
    if !status.is_success() {
        let said =
            parse_error(body).map_or_else(|| format!("status {}", status.as_u16()), |error| error.message);
        return Ok((Embedded::default(), Some(said)));
    }
    match observe_embeddings(body) {
        Ok(embedded) if embedded.vectors > 0 => Ok((embedded, None)),
        Ok(_) => Err(nonsense("the provider's answer has no embeddings".to_owned())),
        Err(AnswerError::Provider(error)) => Ok((Embedded::default(), Some(error.message))),
        Err(AnswerError::Unreadable { source }) => {
            Err(nonsense(format!("the provider's answer is no list of embeddings ({source})")))
        }
    }
}

/// What all attempts took together.
fn sum(before: Option<Usage>, more: Option<Usage>) -> Option<Usage> {
    let (Some(before), Some(more)) = (before, more) else { return before.or(more) };
    Some(Usage {
        prompt_tokens: before.prompt_tokens + more.prompt_tokens,
        total_tokens: before.total_tokens + more.total_tokens,
        ..more
    })
}

fn too_wide(space: &str, embedder: &Embedder, wide: u32) -> Failure {
    let message = format!(
        "`{}` gave vectors of {wide} dimensions, and the release pins {} for `{space}`: another model answers under its name; \
         correct the provider's settings, or deploy a release of this",
        embedder.embedder, embedder.dims
    );
    Failure::provider(StatusCode::BAD_GATEWAY, "embedder_differs", message)
}

impl Asking {
    fn must_ask(&self, key: &(ReleaseId, String)) -> bool {
        self.0.load().contains_key(key)
    }

    fn note(&self, key: (ReleaseId, String)) {
        if self.must_ask(&key) {
            return;
        }
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            if known.len() >= ASKING_MAX {
                known.clear();
            }
            known.insert(key.clone(), ());
            known
        });
    }
}
