//! The gateway as its embedder sees it, and what all calls share.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode, Uri};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::journal::FaultOf;
use pinrail_domain::key::Tenants;
use pinrail_domain::model::Catalogue;
use pinrail_domain::time::Clock;
use pinrail_wire::Dialect;
use tokio::sync::mpsc;

use crate::body::Body;
use crate::call;
use crate::connect::{Connect, Net};
use crate::count_tokens;
use crate::embeddings::{self, Asking};
use crate::failure::{BUSY, Failure};
use crate::limits::Limits;
use crate::models;
use crate::places::Places;
use crate::port::{Fate, Runs, Secrets};
use crate::prepared::PreparedReleases;
use crate::shadow::{self, Copies};
use crate::telemetry::{Began, Parent, Refusal, Telemetry};
use crate::trail::Write;
use crate::upstream::Upstreams;
use crate::upstream::health::{Healths, ProviderHealth};

/// What a gateway is made of.
pub struct Options {
    pub runs: Arc<dyn Runs>,
    pub secrets: Arc<dyn Secrets>,
    pub clock: Arc<dyn Clock>,
    /// Prices, and which served names are the pinned model's; what is put in here holds from the next call on.
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    /// Where `sim:` leads, up to and with `/v1`; none where no simulated provider runs.
    pub sim_base: Option<Uri>,
    pub limits: Limits,
    /// Hears what calls come to: [`crate::telemetry::Silent`], where nobody wants to.
    pub telemetry: Arc<dyn Telemetry>,
}

/// The data plane: a cheap handle, all clones of which share one state.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

/// What all calls share.
pub struct Shared {
    pub runs: Arc<dyn Runs>,
    pub secrets: Arc<dyn Secrets>,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    pub limits: Limits,
    pub releases: PreparedReleases,
    pub upstreams: Upstreams,
    pub healths: Healths,
    pub places: Places,
    pub copies: Copies,
    /// Which embedders must be asked for their dimensions.
    pub dimensions: Asking,
    pub telemetry: Arc<dyn Telemetry>,
    /// Answers that are being streamed.
    pub streams: AtomicUsize,
    /// The task that writes the journals of calls that were dropped.
    late: mpsc::Sender<Write>,
}

/// A call that is dropped leaves at most the writing of its request and that of its end.
const WRITES_PER_CALL_MAX: usize = 2;
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
const EMBEDDINGS: &str = "/v1/embeddings";
const MODELS: &str = "/v1/models";
/// Anthropic's clients send it with every call.
const ANTHROPIC_VERSION: &str = "anthropic-version";

impl Gateway {
    /// Starts a gateway, and the task that writes the journals of clients that left. The task ends when the last
    /// clone and the last answer are gone.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn new(options: Options) -> Gateway {
        Gateway::with_connect(options, Arc::new(Net::new()))
    }

    /// Does as [`Gateway::new`], with another way to reach providers.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn with_connect(options: Options, connect: Arc<dyn Connect>) -> Gateway {
        let Options { runs, secrets, clock, catalogue, sim_base, limits, telemetry } = options;
        let calls_max = limits.calls_max.max(1) + limits.copies_at_once;
        let (late, mut writes) = mpsc::channel::<Write>(calls_max * WRITES_PER_CALL_MAX);
        let (copies, waiting) = Copies::new(&limits);
        tokio::spawn(async move {
            while let Some(write) = writes.recv().await {
                write.await;
            }
        });
        let upstreams = Upstreams::new(connect, sim_base, Arc::clone(&secrets), Arc::clone(&clock));
        let shared = Shared {
            runs,
            secrets,
            healths: Healths::new(Arc::clone(&clock)),
            clock,
            catalogue,
            limits,
            releases: PreparedReleases::new(limits.releases_max),
            upstreams,
            places: Places::new(limits.calls_max, limits.bodies_bytes_max),
            copies,
            dimensions: Asking::default(),
            telemetry,
            streams: AtomicUsize::new(0),
            late,
        };
        let shared = Arc::new(shared);
        shadow::start(&shared, waiting);
        Gateway { shared }
    }

    /// Answers a request under `/v1` on behalf of a caller who may act for `tenants`.
    pub async fn handle<B>(&self, request: Request<B>, tenants: &Tenants) -> Response<Body>
    where
        B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let dialect = dialect(request.uri().path(), request.headers());
        let began = self.began(request.headers());
        let answered = self.route(request, tenants, dialect).await;
        answered.unwrap_or_else(|failure| {
            let Failure { fault, code, status, .. } = failure;
            let refusal = Refusal { dialect, fault, code, status: status.as_u16(), began };
            self.shared.telemetry.refused(&refusal);
            refuse(failure, dialect)
        })
    }

    /// How many calls are under way; a call ends when its journal is written.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.shared.places.taken()
    }

    /// How many answers are being streamed.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.streams.load(Ordering::Relaxed)
    }

    /// Waits until no call is under way. Stop the listener first.
    pub async fn drained(&self) {
        self.shared.places.empty().await;
    }

    /// How many copies of live calls wait for a candidate or are under way.
    #[must_use]
    pub fn copies(&self) -> usize {
        self.shared.copies.count()
    }

    /// Makes no more copies, drops those that wait and gives those under way a moment to end.
    pub async fn stop_copies(&self) {
        self.shared.copies.stop().await;
    }

    /// How the providers do that were called since the process began.
    #[must_use]
    pub fn health(&self) -> Vec<ProviderHealth> {
        self.shared.healths.shown()
    }

    /// Notes a call's beginning, for the case that it gets no run; none where calls aren't traced.
    fn began(&self, headers: &HeaderMap) -> Option<Began> {
        let Shared { telemetry, clock, .. } = &*self.shared;
        let began = || Began { parent: Parent::read(headers), at: clock.now(), ticks: clock.ticks() };
        telemetry.traces().then(began)
    }

    async fn route<B>(
        &self,
        request: Request<B>,
        tenants: &Tenants,
        dialect: Dialect,
    ) -> Result<Response<Body>, Failure>
    where
        B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let shared = &self.shared;
        let path = request.uri().path();
        let known =
            [CHAT, RESPONSES, MESSAGES, COUNT_TOKENS, EMBEDDINGS].into_iter().find(|known| *known == path);
        match (known, request.method()) {
            (Some(COUNT_TOKENS), &Method::POST) => count_tokens::count(shared, request, tenants).await,
            (Some(EMBEDDINGS), &Method::POST) => embeddings::embed(shared, request, tenants).await,
            (Some(_), &Method::POST) => call::complete(shared, request, tenants, dialect).await,
            (Some(known), method) => Err(wrong_method(method, known, "POST")),
            (None, method) => match path.strip_prefix(MODELS) {
                Some("") if is_read(method) => Ok(models::list(&*shared.runs, dialect)),
                Some(rest) if rest.starts_with('/') && is_read(method) => {
                    models::show(&*shared.runs, &rest[1..], dialect)
                }
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    Err(wrong_method(method, MODELS, "GET"))
                }
                Some(_) | None => Err(unknown(method, path)),
            },
        }
    }
}

/// The dialect that a client of this path speaks, also where it gets nothing but an error.
#[must_use]
pub fn dialect(path: &str, headers: &HeaderMap) -> Dialect {
    let below =
        |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below(MESSAGES) {
        Dialect::Messages
    } else if below(RESPONSES) {
        Dialect::Responses
    } else if below(MODELS) && headers.contains_key(ANTHROPIC_VERSION) {
        // Both vendors list models at the same path.
        Dialect::Messages
    } else {
        Dialect::Chat
    }
}

impl Shared {
    /// Counts what became of a copy for a deployment. Never waits (I13).
    pub fn copied(&self, deployment: DeploymentId, fate: Fate) {
        self.telemetry.copied(fate);
        self.runs.copied(deployment, fate);
    }

    /// Hands what a dropped call still has to write to the gateway's task.
    pub fn write_late(&self, write: Write) {
        if self.late.try_send(write).is_err() {
            // The queue has room for all calls, so the task is gone: the runtime is going down.
            tracing::error!("the journal of a call that was cut off is lost: the gateway's task is gone");
        }
    }
}

/// The answer to a call of this dialect that failed. What we or our operator must repair is logged, here and nowhere else.
pub fn refuse(failure: Failure, dialect: Dialect) -> Response<Body> {
    match failure.fault {
        // Under overload, a line for every refusal would make it worse.
        FaultOf::Pinrail if failure.code == BUSY => tracing::debug!("{}", failure.message),
        FaultOf::Pinrail => tracing::warn!(code = failure.code, "{}", failure.message),
        FaultOf::Client | FaultOf::Provider => {}
    }
    failure.into_response(dialect)
}

fn wrong_method(method: &Method, path: &str, allowed: &'static str) -> Failure {
    let message = format!("{path} takes no {method}; use {allowed}");
    Failure::client(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).about(allowed)
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn unknown(method: &Method, path: &str) -> Failure {
    let path = &path[..path.floor_char_boundary(128)];
    let stored = path.strip_prefix(RESPONSES).is_some_and(|rest| rest.starts_with('/'));
    let message = if stored {
        format!(
            "there is no {method} {path}: what a provider stores of answers isn't read through Pinrail; ask the provider \
             itself, or keep the answer that POST {RESPONSES} gave"
        )
    } else {
        format!(
            "there is no {method} {path}; there are POST {CHAT}, {RESPONSES}, {MESSAGES}, {COUNT_TOKENS} and \
             {EMBEDDINGS}, GET {MODELS} and GET {MODELS}/AGENT"
        )
    };
    Failure::client(StatusCode::NOT_FOUND, "unknown_path", message)
}
