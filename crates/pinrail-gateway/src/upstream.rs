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
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::{Format, Http, NO_PROXY, ProviderSpec, SIM_URL};
use pinrail_domain::time::Clock;
use pinrail_wire::redact::Redactor;

use crate::connect::{BadAuthorities, Connect, Link, Proxy, Via, Way, authorities};
use crate::failure::{Failure, chain};
use crate::port::Secrets;

mod address;
pub mod answer;
mod breaker;
mod budget;
mod credential;
mod eventstream;
mod google;
pub mod headers;
pub mod health;
pub mod kept;
mod letter;
mod reshape;
pub mod rest;
pub mod retry;
pub mod said;
mod sigv4;
pub mod target;

pub use breaker::Counts;
pub use credential::Credential;
pub use letter::Letter;

use address::Addresses;
use credential::{Proof, Variables};
use google::NoToken;
use kept::Kept;
use rest::Rest;
use sigv4::Unsignable;

/// One provider, ready to be called.
pub struct Upstream {
    pub spec: Arc<ProviderSpec>,
    pub client: Client<Connector, Full<Bytes>>,
    addresses: Addresses,
    clock: Arc<dyn Clock>,
    variables: Variables,
    credential: ArcSwapOption<Credential>,
    /// For a proxy that reads the requests.
    proxy_authorization: Option<HeaderValue>,
}

/// Why a request didn't get out, or no answer came.
#[derive(Debug, thiserror::Error)]
pub enum Unsent {
    #[error(transparent)]
    Client(hyper_util::client::legacy::Error),
    #[error("no access token was granted")]
    Token(#[source] NoToken),
    #[error(transparent)]
    Signature(Unsignable),
}

/// The providers called so far. Readers take no lock.
pub struct Upstreams {
    connect: Arc<dyn Connect>,
    sim_base: Option<Uri>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
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
    pub fn new(
        connect: Arc<dyn Connect>,
        sim_base: Option<Uri>,
        secrets: Arc<dyn Secrets>,
        clock: Arc<dyn Clock>,
    ) -> Upstreams {
        Upstreams { connect, sim_base, secrets, clock, map: ArcSwap::default() }
    }

    /// The provider, set up now if it wasn't or if its settings changed.
    pub fn get(&self, name: &ProviderName, spec: &Arc<ProviderSpec>) -> Result<Arc<Upstream>, Failure> {
        let known = self.map.load().get(name).map(Arc::clone);
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.spec, spec) || known.spec == *spec) {
            return Ok(known);
        }
        let upstream = Arc::new(self.set_up(name.as_str(), spec)?);
        self.map.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.insert(name.clone(), Arc::clone(&upstream));
            map
        });
        Ok(upstream)
    }

    /// Sets a provider up anew.
    pub fn set_up(&self, name: &str, spec: &Arc<ProviderSpec>) -> Result<Upstream, Failure> {
        let base = match (spec.base_url.as_str(), &self.sim_base) {
            (SIM_URL, Some(base)) => base.to_string(),
            (SIM_URL, None) => {
                let message = format!(
                    "provider `{name}` is the simulated one, which does not run here; give it a base_url of `pinrail sim`"
                );
                return Err(unavailable(message));
            }
            _ => spec.base().into_owned(),
        };
        let addresses = Addresses::of(spec, &base).ok_or_else(|| {
            unavailable(format!(
                "provider `{name}` has a base_url that is no URL; correct it and `pinrail apply`"
            ))
        })?;
        let connect = self.way(name, spec)?;
        let proxy_authorization = base.parse().ok().and_then(|base| connect.proxy_authorization(&base));
        let within = Duration::from_millis(spec.timeouts.connect_ms);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_LIFE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http2_keep_alive_interval(H2_PING_EVERY)
            .http2_keep_alive_timeout(H2_PING_ANSWER)
            .http2_only(spec.http == Http::Http2)
            .build(Connector { connect, within });
        Ok(Upstream {
            spec: Arc::clone(spec),
            client,
            addresses,
            clock: Arc::clone(&self.clock),
            variables: Variables::of(spec),
            credential: ArcSwapOption::empty(),
            proxy_authorization,
        })
    }

    /// How a provider is connected to.
    fn way(&self, name: &str, spec: &ProviderSpec) -> Result<Arc<dyn Connect>, Failure> {
        if spec.proxy.is_none() && spec.ca_pem.is_none() && spec.http == Http::Auto {
            return Ok(Arc::clone(&self.connect));
        }
        let fix = "correct it and `pinrail apply`";
        let proxy = match spec.proxy.as_deref() {
            None => Via::Environment,
            Some(NO_PROXY) => Via::Nothing,
            Some(at) => {
                let at = at.parse().map_err(|_| {
                    unavailable(format!("provider `{name}` has a proxy that is no address; {fix}"))
                })?;
                let login = spec.proxy_auth_env.as_deref();
                let authorization = login.map(|variable| self.login(name, variable)).transpose()?;
                Via::Proxy(Proxy { at, authorization })
            }
        };
        let unfit = |bad: BadAuthorities| {
            let why = chain(&bad, &Redactor::default());
            unavailable(format!("the certificates of provider `{name}` cannot be used: {why}; {fix}"))
        };
        let pem = spec.ca_pem.as_deref();
        let authorities = pem.map(authorities).transpose().map_err(unfit)?.unwrap_or_default();
        let own = self.connect.on(&Way { proxy, http: spec.http, authorities }).map_err(unfit)?;
        Ok(own.unwrap_or_else(|| Arc::clone(&self.connect)))
    }

    /// What a proxy is shown: `user:password` of a variable.
    fn login(&self, name: &str, variable: &str) -> Result<HeaderValue, Failure> {
        let login = self.secrets.secret(variable).filter(|login| login.trim().contains(':')).ok_or_else(|| {
            let message = format!(
                "the login of provider `{name}` at its proxy is missing: set the environment variable {variable} to \
                 user:password where Pinrail runs, and restart it"
            );
            Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_key_missing", message)
        })?;
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(login.trim())))
            .expect("base64 fits into a header");
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Upstream {
    /// What the provider calls a pinned snapshot.
    pub fn model_name<'a>(&'a self, snapshot: &'a str) -> &'a str {
        self.spec.model_name(snapshot)
    }

    /// The provider's secrets as they are now; prepared again only when they changed.
    pub fn credential(&self, secrets: &dyn Secrets) -> Result<Arc<Credential>, Failure> {
        if let Some(known) = self.credential.load_full().filter(|known| self.variables.hold(known, secrets)) {
            return Ok(known);
        }
        let credential = Arc::new(self.variables.credential(&self.spec, secrets)?);
        self.credential.store(Some(Arc::clone(&credential)));
        Ok(credential)
    }

    /// Sends a letter; the answer comes in the dialect of its endpoint.
    pub async fn send(
        &self,
        letter: &Letter,
        headers: &HeaderMap,
        credential: &Credential,
    ) -> Result<Response<Rest>, Unsent> {
        let mut request = Request::new(Full::new(letter.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = letter.uri.clone();
        *request.headers_mut() = headers.clone();
        self.answer_to(request, &letter.body, credential).await
    }

    /// Asks for a page of the list of models; none where the provider has no such list.
    pub async fn models(
        &self,
        query: &str,
        headers: HeaderMap,
        credential: &Credential,
    ) -> Option<Result<Response<Rest>, Unsent>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.addresses.models(query)?;
        *request.headers_mut() = headers;
        Some(self.answer_to(request, b"", credential).await)
    }

    /// Sends a request, and sends it anew where a kept connection turns out to have ended.
    async fn answer_to(
        &self,
        request: Request<Full<Bytes>>,
        body: &[u8],
        credential: &Credential,
    ) -> Result<Response<Rest>, Unsent> {
        let mut ended = 0;
        loop {
            let mut proven = request.clone();
            self.prove(&mut proven, body, credential).await?;
            match self.client.request(proven).await {
                Ok(answer) => {
                    Kept::note(answer.extensions());
                    let (mut head, body) = answer.into_parts();
                    let rest = Rest::new(&mut head, body);
                    return Ok(Response::from_parts(head, rest));
                }
                Err(error) if ended < kept::TIMES_MAX && Kept::ended(&error) => ended += 1,
                Err(error) => return Err(Unsent::Client(error)),
            }
        }
    }

    /// Adds what is made anew for each request: a signature, a granted token, what a proxy asks for.
    async fn prove(
        &self,
        request: &mut Request<Full<Bytes>>,
        body: &[u8],
        credential: &Credential,
    ) -> Result<(), Unsent> {
        if let Some(authorization) = &self.proxy_authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        if self.spec.format == Format::Bedrock {
            // It is in the body.
            request.headers_mut().remove(letter::BETA);
        }
        match &credential.proof {
            Proof::None => {}
            Proof::Aws(signer) => {
                signer.sign(request, body, self.clock.now()).map_err(Unsent::Signature)?;
            }
            Proof::Google(account) => {
                let token = account.token(&self.client, self.clock.now()).await.map_err(Unsent::Token)?;
                request.headers_mut().insert(AUTHORIZATION, token);
            }
        }
        Ok(())
    }

    pub fn first_byte(&self) -> Duration {
        Duration::from_millis(self.spec.timeouts.first_byte_ms)
    }

    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.spec.timeouts.idle_ms)
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

fn unavailable(message: String) -> Failure {
    Failure::pinrail(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", message)
}

#[cfg(test)]
mod tests;
