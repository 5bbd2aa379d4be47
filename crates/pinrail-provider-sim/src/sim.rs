//! The simulator as its embedder sees it, and the guards that count what is under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::time::Instant;

use crate::dialect::responses::Store;
use crate::endpoints;
use crate::failure::Failure;
use crate::limits::{BODY_BYTES_MAX, HANGING_MAX, IN_FLIGHT_MAX};
use crate::request;
use crate::script::Script;
use crate::world::counters::{Counters, ModelCount};
use crate::world::{Now, Serving, World};

/// Gives the present time in whole seconds since 1970 for the `created` fields.
pub type UnixSeconds = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A simulated provider: a cheap handle, all clones of which share one state.
#[derive(Clone)]
pub struct Sim {
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    seed: u64,
    unix_seconds: UnixSeconds,
    world: Mutex<World>,
    responses: Mutex<Store>,
}

/// A request under way. Dropped without [`InFlight::finish`], it counts as cancelled by the client.
pub struct InFlight {
    sim: Sim,
    model: String,
    finished: bool,
}

/// A request that hangs, counted until it is dropped.
pub struct Hanging {
    sim: Sim,
}

impl Sim {
    /// Starts a simulator in memory; [`Self::router`] makes it reachable.
    pub fn new(script: Script, seed: u64, unix_seconds: UnixSeconds) -> Self {
        let started = Now { at: Instant::now(), unix_seconds: unix_seconds() };
        let world = Mutex::new(World::new(&script, started));
        let responses = Mutex::default();
        Self { shared: Arc::new(Shared { script, seed, unix_seconds, world, responses }) }
    }

    /// Gives the HTTP surface: the provider's endpoints, the control surface under `/sim`, and a page that explains.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(endpoints::page::show))
            .route("/v1/chat/completions", post(endpoints::chat::complete))
            .route("/v1/messages", post(endpoints::messages::create))
            .route("/v1/messages/count_tokens", post(endpoints::messages::count_tokens))
            .route("/v1/responses", post(endpoints::responses::create))
            .route("/v1/responses/{id}", get(endpoints::responses::show).delete(endpoints::responses::delete))
            .route("/v1/embeddings", post(endpoints::embeddings::embed))
            .route("/v1/models", get(endpoints::models::list))
            .route("/v1/models/{*id}", get(endpoints::models::show))
            .route("/sim/state", get(endpoints::control::state))
            .route("/sim/rotate", post(endpoints::control::rotate))
            .route("/sim/faults", post(endpoints::control::faults))
            .route("/sim/reset", post(endpoints::control::reset))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(map_response(say_what_it_is))
            .with_state(self.clone())
    }

    /// Gives what was counted since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.world().counters.clone()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.shared.seed
    }

    pub(crate) fn script(&self) -> &Script {
        &self.shared.script
    }

    pub(crate) fn unix_seconds(&self) -> u64 {
        (self.shared.unix_seconds)()
    }

    pub(crate) fn now(&self) -> Now {
        Now { at: Instant::now(), unix_seconds: self.unix_seconds() }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // Nothing panics between two related changes of the world, so a poisoned one is still whole.
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the kept responses. Never held together with [`Self::world`].
    pub(crate) fn responses(&self) -> MutexGuard<'_, Store> {
        // Nothing panics between two related changes of the store, so a poisoned one is still whole.
        self.shared.responses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request with the script's key pass, as a bearer token or in Anthropic's header; without such a key in the
    /// script, every request.
    pub(crate) fn check_key(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(key) = &self.shared.script.api_key else { return Ok(()) };
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let bearer = headers.get(header::AUTHORIZATION).and_then(text);
        let bearer = bearer.as_deref().and_then(|value| value.strip_prefix("Bearer "));
        if bearer == Some(key) || headers.get("x-api-key").and_then(text).as_ref() == Some(key) {
            Ok(())
        } else {
            Err(Failure::wrong_key())
        }
    }

    /// Counts a request for an answer and decides who answers it.
    pub(crate) fn admit(&self, request: &request::Request) -> Result<(Serving, InFlight), Failure> {
        self.admit_to(&request.model, request.conversation())
    }

    /// Counts a request for a model, whatever it asks, and decides who answers it.
    pub(crate) fn admit_to(&self, model: &str, conversation: u64) -> Result<(Serving, InFlight), Failure> {
        let now = self.now();
        let mut world = self.world();
        if world.counters.in_flight >= IN_FLIGHT_MAX {
            world.counters.overloaded += 1;
            return Err(Failure::overloaded("requests at once"));
        }
        let Some(serving) = world.serve(model, conversation, now) else {
            world.counters.model_not_found += 1;
            return Err(Failure::model_not_found(model));
        };
        world.counters.in_flight += 1;
        Ok((serving, InFlight { sim: self.clone(), model: model.to_owned(), finished: false }))
    }

    /// Takes one of the places for hanging requests.
    pub(crate) fn hang(&self) -> Result<Hanging, Failure> {
        let mut world = self.world();
        if world.counters.hanging >= HANGING_MAX {
            world.counters.overloaded += 1;
            return Err(Failure::overloaded("hanging requests"));
        }
        world.counters.hanging += 1;
        Ok(Hanging { sim: self.clone() })
    }
}

impl InFlight {
    /// Notes something about the request while it goes on.
    pub fn note(&self, how: impl FnOnce(&mut ModelCount)) {
        how(self.sim.world().counters.model(&self.model));
    }

    /// Ends the request in the way that the closure counts.
    pub fn finish(mut self, how: impl FnOnce(&mut ModelCount)) {
        self.finished = true;
        self.note(how);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut world = self.sim.world();
        world.counters.in_flight -= 1;
        if !self.finished {
            world.counters.model(&self.model).cancelled += 1;
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.sim.world().counters.hanging -= 1;
    }
}

async fn say_what_it_is(mut response: Response) -> Response {
    response.headers_mut().insert("x-pinrail-sim", HeaderValue::from_static("1"));
    response
}

async fn no_such_path(State(sim): State<Sim>, request: Request) -> Response {
    let what = format!(
        "Unknown request URL: {} {}; GET / lists what there is",
        request.method(),
        request.uri().path()
    );
    let failure = Failure::no_such_route(StatusCode::NOT_FOUND, what);
    endpoints::refuse(&sim, request.headers(), failure)
}

async fn no_such_method(State(sim): State<Sim>, request: Request) -> Response {
    let what =
        format!("Not allowed to {} {}; GET / lists what there is", request.method(), request.uri().path());
    let failure = Failure::no_such_route(StatusCode::METHOD_NOT_ALLOWED, what);
    endpoints::refuse(&sim, request.headers(), failure)
}
