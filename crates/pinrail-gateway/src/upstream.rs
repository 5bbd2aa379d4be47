//! A provider as something to send to: address, key, connections, waits.
//!
//! Connections are kept per provider and used again. A provider whose settings change gets new ones; calls under
//! way end on the old.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::header::HeaderValue;
use http::{StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::{ProviderSpec, SIM_URL};
use pinrail_wire::redact::Redactor;

use crate::connect::{Connect, Link};
use crate::failure::Failure;
use crate::port::Secrets;

mod address;
pub mod answer;
mod breaker;
mod budget;
pub mod headers;
pub mod health;
mod reshape;
pub mod rest;
pub mod retry;
pub mod target;

use address::Addresses;
pub use breaker::Counts;
use reshape::Reshape;
use target::Target;

/// One provider, ready to be called.
pub struct Upstream {
    pub spec: Arc<ProviderSpec>,
    pub client: Client<Connector, Full<Bytes>>,
    addresses: Addresses,
    credential: ArcSwapOption<Credential>,
}

/// A provider's key, as it is sent and as it is looked for in texts.
#[derive(Default)]
pub struct Credential {
    secret: String,
    /// None for a provider that asks for no key.
    pub authorization: Option<HeaderValue>,
    pub redactor: Redactor,
}

/// The providers called so far. Readers take no lock.
pub struct Upstreams {
    connect: Arc<dyn Connect>,
    sim_base: Option<Uri>,
    map: ArcSwap<HashMap<ProviderName, Arc<Upstream>>>,
}

/// Makes the client's connections within the provider's time.
#[derive(Clone)]
pub struct Connector {
    connect: Arc<dyn Connect>,
    within: Duration,
}

/// Says that no connection came about in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", .0.as_millis())]
pub struct ConnectTimedOut(pub Duration);

/// Idle connections kept per provider: as many as calls commonly run at once; more are closed after use.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// Providers close idle connections after 60 s and more; ours must go first, or calls meet a closed one.
const IDLE_CONNECTION_LIFE: Duration = Duration::from_secs(50);

/// How often an HTTP/2 connection in use is asked whether it lives: one that died takes many calls with it.
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const H2_PING_ANSWER: Duration = Duration::from_secs(10);

impl Upstreams {
    pub fn new(connect: Arc<dyn Connect>, sim_base: Option<Uri>) -> Upstreams {
        Upstreams { connect, sim_base, map: ArcSwap::default() }
    }

    /// The provider, set up now if it wasn't or if its settings changed.
    pub fn get(&self, name: &ProviderName, spec: &Arc<ProviderSpec>) -> Result<Arc<Upstream>, Failure> {
        let known = self.map.load().get(name).map(Arc::clone);
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.spec, spec) || known.spec == *spec) {
            return Ok(known);
        }
        let upstream = Arc::new(self.set_up(name, spec)?);
        self.map.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.insert(name.clone(), Arc::clone(&upstream));
            map
        });
        Ok(upstream)
    }

    fn set_up(&self, name: &ProviderName, spec: &Arc<ProviderSpec>) -> Result<Upstream, Failure> {
        let base = match (spec.base_url.as_str(), &self.sim_base) {
            (SIM_URL, Some(base)) => base.to_string(),
            (SIM_URL, None) => {
                let message = format!(
                    "provider `{name}` is the simulated one, which does not run here; give it a base_url of `pinrail sim`"
                );
                return Err(Failure::pinrail(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "provider_unavailable",
                    message,
                ));
            }
            (url, _) => url.to_owned(),
        };
        let addresses = Addresses::below(&base).ok_or_else(|| {
            let message =
                format!("provider `{name}` has a base_url that is no URL; correct it and `pinrail apply`");
            Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message)
        })?;
        let within = Duration::from_millis(spec.timeouts.connect_ms);
        let connector = Connector { connect: Arc::clone(&self.connect), within };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_LIFE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http2_keep_alive_interval(H2_PING_EVERY)
            .http2_keep_alive_timeout(H2_PING_ANSWER)
            .build(connector);
        Ok(Upstream { spec: Arc::clone(spec), client, addresses, credential: ArcSwapOption::empty() })
    }
}

impl Upstream {
    /// What the provider calls a pinned snapshot.
    pub fn model_name<'a>(&'a self, snapshot: &'a str) -> &'a str {
        self.spec.model_name(snapshot)
    }

    /// Where a target is.
    pub fn uri(&self, target: &Target<'_>) -> Uri {
        self.addresses.of(target)
    }

    /// The body as the provider takes it: under its own name of the model.
    pub fn body(&self, target: &Target<'_>, body: Bytes) -> Result<Bytes, Failure> {
        if self.spec.models.is_empty() {
            return Ok(body);
        }
        let reshape = Reshape { model: Some(target.model), ..Reshape::default() };
        reshape.apply(&body).ok_or_else(|| {
            let message = "the request's body is no JSON object";
            Failure::bad_request("invalid_request", message)
        })
    }

    /// The provider's key as it is now; prepared again only when it changed.
    pub fn credential(&self, secrets: &dyn Secrets) -> Result<Arc<Credential>, Failure> {
        let Some(variable) = &self.spec.key_env else {
            return Ok(self.credential.load_full().unwrap_or_else(|| {
                let none = Arc::new(Credential::default());
                self.credential.store(Some(Arc::clone(&none)));
                none
            }));
        };
        let unusable = |code, what: &str| {
            let message = format!(
                "the provider's key is {what}: set the environment variable {variable} where Pinrail runs, and restart it"
            );
            Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, code, message)
        };
        let secret = secrets.secret(variable).ok_or_else(|| unusable("provider_key_missing", "missing"))?;
        if let Some(known) = self.credential.load_full().filter(|known| known.secret == secret) {
            return Ok(known);
        }
        let key = secret.trim();
        if key.is_empty() {
            return Err(unusable("provider_key_missing", "empty"));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| unusable("provider_key_invalid", "no text that fits into a header"))?;
        authorization.set_sensitive(true);
        let redactor = Redactor::new([key]);
        let credential = Arc::new(Credential { authorization: Some(authorization), redactor, secret });
        self.credential.store(Some(Arc::clone(&credential)));
        Ok(credential)
    }

    pub fn first_byte(&self) -> Duration {
        Duration::from_millis(self.spec.timeouts.first_byte_ms)
    }

    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.spec.timeouts.idle_ms)
    }
}

impl Credential {
    /// Whether `text` holds the key itself.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let key = self.secret.trim().as_bytes();
        !key.is_empty() && text.windows(key.len()).any(|window| window == key)
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Link;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connect, within) = (Arc::clone(&self.connect), self.within);
        Box::pin(async move {
            match tokio::time::timeout(within, connect.connect(to)).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectTimedOut(within).into()),
            }
        })
    }
}
