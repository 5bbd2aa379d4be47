//! Calls to providers outside of runs: lists of models, probes, single questions, embeddings.
//!
//! They are addressed, proven and connected as the calls of runs are, but nothing of them is journaled, retried or counted.
//! What comes back holds no secret (I15).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Response, Uri};
use http_body_util::{BodyExt, Limited};
use pinrail_domain::provider::{Api, Format, ProviderSpec};
use pinrail_domain::time::Clock;
use pinrail_wire::Dialect;
use pinrail_wire::convert::{self, About};
use serde::Deserialize;

use crate::connect::Connect;
use crate::failure::chain;
use crate::port::Secrets;
use crate::upstream::rest::Rest;
use crate::upstream::target::Target;
use crate::upstream::{Credential, Unsent, Upstream, Upstreams, headers, said};

pub use crate::upstream::target::Endpoint;
pub use pinrail_wire::convert::{FEATURES, Lossy};

/// Calls providers. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Direct {
    inner: Arc<Inner>,
}

struct Inner {
    upstreams: Upstreams,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    /// The providers called last, the latest at the end.
    known: ArcSwap<Vec<Arc<Upstream>>>,
}

/// How long an answer may take and how large it may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub within: Duration,
    pub bytes_max: usize,
}

/// A provider's answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub status: u16,
    /// Seconds after which the provider wants to be asked again.
    pub retry_after_s: Option<u64>,
    pub body: Bytes,
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// It wasn't sent: what it needs isn't here.
    #[error("{0}")]
    Here(String),
    /// It wasn't sent: the provider's dialect has no place for something in it.
    #[error("{0}")]
    Uncarried(String),
    /// The provider can't be reached, didn't answer in time, or makes no sense.
    #[error("{0}")]
    There(String),
}

/// More providers than any server has, so that one whose settings change often doesn't pile up connections.
const KNOWN_MAX: usize = 64;

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    model: String,
}

impl Direct {
    #[must_use]
    pub fn new(
        connect: Arc<dyn Connect>,
        sim_base: Option<Uri>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Direct {
        let upstreams = Upstreams::new(connect, sim_base, Arc::clone(&secrets), Arc::clone(&clock));
        Direct { inner: Arc::new(Inner { upstreams, secrets, clock, known: ArcSwap::default() }) }
    }

    /// Asks for one page of a provider's list of models.
    pub async fn models(&self, spec: &ProviderSpec, query: &str, bounds: Bounds) -> Result<Heard, Unheard> {
        let (upstream, credential) = self.ready(spec)?;
        // Anthropic's list wants what its messages want.
        let endpoint = if spec.format == Format::Anthropic { Endpoint::Messages } else { Endpoint::Chat };
        let headers = headers::outgoing(&HeaderMap::new(), &credential, endpoint);
        let asked = async {
            let none = || {
                Unheard::Here(format!("format `{}` has no list of models that is read", spec.format.word()))
            };
            let answer = upstream.models(query, headers, &credential).await.ok_or_else(none)?;
            heard(answer, spec.format, endpoint, &credential, bounds).await
        };
        in_time(asked, bounds).await
    }

    /// Asks one endpoint; the body is in its dialect.
    pub async fn ask(
        &self,
        spec: &ProviderSpec,
        endpoint: Endpoint,
        body: Vec<u8>,
        bounds: Bounds,
    ) -> Result<Heard, Unheard> {
        let (upstream, credential) = self.ready(spec)?;
        let headers = headers::outgoing(&HeaderMap::new(), &credential, endpoint);
        let body = Bytes::from(body);
        let named: Named =
            serde_json::from_slice(&body).map_err(|_| Unheard::Here("no JSON object".to_owned()))?;
        let target = Target { endpoint, model: upstream.model_name(&named.model), stream: false };
        let letter =
            upstream.letter(&target, &headers, &body).map_err(|failure| Unheard::Here(failure.message))?;
        let asked = async {
            let answer = upstream.send(&letter, &headers, &credential).await;
            heard(answer, spec.format, endpoint, &credential, bounds).await
        };
        in_time(asked, bounds).await
    }

    /// Asks a chat request in whichever dialect the provider speaks, and gives a good answer as chat's.
    ///
    /// What of the request can't be carried is left out where `lossy` names it, and refused otherwise.
    pub async fn chat(
        &self,
        spec: &ProviderSpec,
        body: Vec<u8>,
        lossy: &Lossy,
        bounds: Bounds,
    ) -> Result<Heard, Unheard> {
        let api = spec.api_for(Api::Chat);
        let dialect = match api {
            Api::Chat => return self.ask(spec, Endpoint::Chat, body, bounds).await,
            Api::Responses => Dialect::Responses,
            Api::Messages => Dialect::Messages,
        };
        let converted = convert::request(Dialect::Chat, &body, dialect, lossy);
        let converted = converted.map_err(|refused| Unheard::Uncarried(refused.to_string()))?;
        let mut heard = self.ask(spec, api.into(), converted.body, bounds).await?;
        if (200..300).contains(&heard.status) {
            let about = About {
                id: "direct",
                created: self.inner.clock.now().0 / 1_000,
                model: "",
                include_usage: false,
                request: &body,
            };
            let answer = convert::answer(dialect, &heard.body, Dialect::Chat, &about, lossy);
            heard.body = Bytes::from(answer.map_err(|error| Unheard::There(error.to_string()))?);
        }
        Ok(heard)
    }

    fn ready(&self, spec: &ProviderSpec) -> Result<(Arc<Upstream>, Arc<Credential>), Unheard> {
        let here = |failure: crate::failure::Failure| Unheard::Here(failure.message);
        let upstream = self.upstream(spec).map_err(here)?;
        let credential = upstream.credential(&*self.inner.secrets).map_err(here)?;
        Ok((upstream, credential))
    }

    fn upstream(&self, spec: &ProviderSpec) -> Result<Arc<Upstream>, crate::failure::Failure> {
        let known = self.inner.known.load();
        if let Some(known) = known.iter().find(|known| *known.spec == *spec) {
            return Ok(Arc::clone(known));
        }
        let upstream = Arc::new(self.inner.upstreams.set_up(&spec.catalogue, &Arc::new(spec.clone()))?);
        self.inner.known.rcu(|known| {
            let kept = known.iter().skip((known.len() + 1).saturating_sub(KNOWN_MAX));
            kept.chain([&upstream]).map(Arc::clone).collect::<Vec<_>>()
        });
        Ok(upstream)
    }
}

/// Reads an answer, up to its bound.
async fn heard(
    answer: Result<Response<Rest>, Unsent>,
    format: Format,
    endpoint: Endpoint,
    credential: &Credential,
    bounds: Bounds,
) -> Result<Heard, Unheard> {
    let answer = answer.map_err(|unsent| {
        let why = chain(&unsent, &credential.redactor);
        match unsent {
            Unsent::Client(_) | Unsent::Token(_) => Unheard::There(why),
            Unsent::Signature(_) => Unheard::Here(why),
        }
    })?;
    let (mut head, rest) = answer.into_parts();
    let body = Limited::new(rest, bounds.bytes_max).collect().await;
    let body = body.map_err(|error| Unheard::There(chain(&*error, &credential.redactor)))?.to_bytes();
    let mut body = said::whole(format, endpoint, &mut head, body);
    if credential.is_in(&body) {
        body = Bytes::from(credential.redactor.redact(&String::from_utf8_lossy(&body)).into_owned());
    }
    let after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Ok(Heard { status: head.status.as_u16(), retry_after_s: after, body })
}

async fn in_time(
    asked: impl Future<Output = Result<Heard, Unheard>>,
    bounds: Bounds,
) -> Result<Heard, Unheard> {
    let late = || Unheard::There(format!("no answer within {} ms", bounds.within.as_millis()));
    tokio::time::timeout(bounds.within, asked).await.unwrap_or_else(|_| Err(late()))
}
