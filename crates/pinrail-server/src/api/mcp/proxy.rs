//! `POST|GET|DELETE /mcp/{agent}`: the MCP proxy, as streamable HTTP.
//!
//! A POST carries one JSON-RPC message and is answered by one; a GET follows `notifications/tools/list_changed`; a
//! DELETE ends the session. `initialize` begins a session, in the run that `x-pinrail-run` names or in one of its own.
//! A client that keeps no session may name its run with every request instead.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, HOST, HeaderName, ORIGIN};
use http::{HeaderValue, StatusCode};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::runs::Create;
use pinrail_domain::id::{AgentName, LedgerSeq, RunId, SessionId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::key::Tenants;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

use crate::api::runs::post::refused;
use crate::api::watch::EVENT_STREAM;
use crate::call::{Call, bad_name};
use crate::mcp::rpc::{self, Fault, Message};
use crate::mcp::session::{Full, SESSIONS_MAX, Session, SessionKey, Unknown};
use crate::mcp::{Mcp, PROTOCOLS, greet};
use crate::problem;
use crate::reply::{self, Answer, with_type};
use crate::state_call::RUN;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL: HeaderName = HeaderName::from_static("mcp-protocol-version");
const CONVERSATION: HeaderName = HeaderName::from_static("x-pinrail-session");

/// Takes a message.
pub async fn post(call: Call) -> Answer {
    refuse_other_pages(&call)?;
    let agent: AgentName = call.param("agent")?;
    let message = match call.json::<Value>().map(Message::read)? {
        Ok(message) => message,
        Err(fault) => return reply::json(&rpc::error(None, fault)),
    };
    match message {
        Message::Request { id, method, params } if method == "initialize" => {
            begin(&call, &agent, id, &params).await
        }
        Message::Request { id, method, params } => {
            check_protocol(&call)?;
            let whose = whose(&call, &agent).await?;
            let answered = whose.ask(&call.state.mcp, &id, &method, params).await;
            reply::json(&rpc::answer(id, answered))
        }
        Message::Notification { method, params } => {
            if method == "notifications/cancelled"
                && let Some(session) = session(&call, &agent).await?
            {
                session.cancel(&params.get("requestId").map(Value::to_string).unwrap_or_default());
            }
            Ok(accepted())
        }
        Message::Response => Ok(accepted()),
    }
}

/// Ends a session, and the run that it began.
pub async fn delete(call: Call) -> Answer {
    refuse_other_pages(&call)?;
    let agent: AgentName = call.param("agent")?;
    let session = session(&call, &agent).await?.ok_or_else(nothing_named)?;
    let mcp = &call.state.mcp;
    if let Some(session) = mcp.sessions().take(session.id()) {
        let ended = mcp.end(&session, "its client ended the session").await;
        ended.map_err(|error| problem::store(&error))?;
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Follows what becomes of the tools that the session may see.
pub async fn follow(call: Call) -> Answer {
    refuse_other_pages(&call)?;
    let agent: AgentName = call.param("agent")?;
    let session = session(&call, &agent).await?.ok_or_else(nothing_named)?;
    if call.state.is_draining() {
        return Err(
            Problem::new(Code::NotReady, "the server is shutting down").next_step("connect again later")
        );
    }
    let place = call.state.watchers.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Code::LimitReached, "too many follow streams already")
            .next_step("list the tools now and then")
    })?;
    let mut follower = Follower {
        mcp: call.state.mcp.clone(),
        heads: call.control().heads(),
        draining: call.state.draining.subscribe(),
        keep_alive: call.state.limits.keep_alive,
        session,
        known: None,
        _place: place,
    };
    follower.known = follower.served().await;
    let events = stream::unfold(follower, |mut follower| async move {
        let text = follower.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), follower))
    });
    let mut response = with_type(EVENT_STREAM, Body::from_stream(events));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Whose request it is: a session's, or one that names its run itself.
enum Whose {
    Session(Arc<Session>),
    Run(Arc<Stamp>),
}

struct Follower {
    mcp: Mcp,
    heads: watch::Receiver<LedgerSeq>,
    draining: watch::Receiver<bool>,
    keep_alive: std::time::Duration,
    session: Arc<Session>,
    /// The tools as they were served last.
    known: Option<Vec<Value>>,
    _place: OwnedSemaphorePermit,
}

impl Whose {
    async fn ask(
        &self,
        mcp: &Mcp,
        id: &Value,
        method: &str,
        params: Map<String, Value>,
    ) -> Result<Value, Fault> {
        match self {
            Whose::Run(stamp) => mcp.answer(stamp, id, method, params, &Notify::new()).await,
            Whose::Session(session) => {
                let under_way = session.begin_call(id.to_string()).ok_or_else(|| {
                    let what = "too many requests are under way in this session, or one of this id is";
                    Fault::new(rpc::INVALID_REQUEST, what)
                })?;
                mcp.answer(&session.stamp, id, method, params, &under_way.cancelled).await
            }
        }
    }
}

impl Follower {
    /// The next piece of the stream; none when the server stops or the session is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            let silent = tokio::select! {
                moved = self.heads.changed() => {
                    moved.ok()?;
                    false
                }
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = tokio::time::sleep(self.keep_alive) => true,
            };
            if !self.mcp.is_open(&self.session).await {
                return None;
            }
            if silent {
                return Some(": still here\n\n".to_owned());
            }
            let served = self.served().await;
            if served != self.known {
                self.known = served;
                let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                return Some(format!("event: message\ndata: {changed}\n\n"));
            }
        }
    }

    async fn served(&self) -> Option<Vec<Value>> {
        let allowed = self.mcp.allowed(&self.session.stamp).await.ok()?;
        Some(allowed.definitions())
    }
}

async fn begin(call: &Call, agent: &AgentName, id: Value, params: &Map<String, Value>) -> Answer {
    let mcp = &call.state.mcp;
    let (stamp, owns_run) = match named_run(call)? {
        Some(run) => (run_of(call, agent, run).await?, false),
        None => (own_run(call, agent).await?, true),
    };
    let greeting = greet(params, &stamp, &call.state.version);
    let caller = call.caller().id();
    let key = SessionKey::draw(stamp.run, owns_run, &caller, call.control().entropy());
    let session = Arc::new(Session::new(key, caller, stamp, call.state.clock.ticks()));
    let refused = match greeting {
        Ok(greeting) => match mcp.sessions().add(Arc::clone(&session)) {
            Ok(()) => {
                mcp.note_use(&session).await;
                let mut response = reply::json(&rpc::answer(id, Ok(greeting)))?;
                let value = HeaderValue::try_from(session.id()).expect("a session's id is a header's value");
                response.headers_mut().insert(SESSION_ID, value);
                let run =
                    HeaderValue::try_from(session.stamp.run.to_string()).expect("an id is a header's value");
                response.headers_mut().insert(RUN, run);
                return Ok(response);
            }
            Err(Full) => Err(full()),
        },
        Err(fault) => reply::json(&rpc::answer(id, Err(fault))),
    };
    if owns_run && let Err(error) = mcp.end(&session, "its session never began").await {
        // Its client knows nothing of it; whoever lists open runs sees it.
        tracing::debug!(run = %session.stamp.run, %error, "a run stays open whose session never began");
    }
    refused
}

/// The run that the request names, as the gateway's clients do (I2: its stamp decides, not what is active now).
async fn run_of(call: &Call, agent: &AgentName, run: RunId) -> Result<Arc<Stamp>, Problem> {
    let tenants = call.tenants()?;
    let stamp = call.control().runs().stamp(run, &tenants).await.map_err(|error| problem::store(&error))?;
    let stamp = stamp.ok_or_else(|| call.no_run(run))?; // I11
    if stamp.agent == *agent {
        return Ok(stamp);
    }
    let detail = format!("run {run} belongs to agent `{}`", stamp.agent);
    Err(Problem::new(Code::RunState, detail)
        .next_step("name a run of the agent in the address, or none to begin one")
        .fact("run", run.to_string()))
}

async fn own_run(call: &Call, agent: &AgentName) -> Result<Arc<Stamp>, Problem> {
    let tenant = call.tenant(None)?;
    let session = call.header(&CONVERSATION)?.map(str::parse::<SessionId>).transpose();
    let session = session.map_err(|error| bad_name(format!("header {CONVERSATION}: {error}")))?;
    let own = Tenants::Only([tenant.clone()].into());
    let create = Create {
        agent: agent.clone(),
        tenant,
        session,
        attributes: Default::default(),
        parent: None,
        queued: false,
    };
    let created = call.control().runs().create(create, &own, None).await.map_err(refused)?;
    Ok(Arc::new(created.stamp))
}

async fn whose(call: &Call, agent: &AgentName) -> Result<Whose, Problem> {
    let Some(session) = session(call, agent).await? else {
        let run = named_run(call)?.ok_or_else(nothing_named)?;
        return Ok(Whose::Run(run_of(call, agent, run).await?));
    };
    match named_run(call)? {
        Some(run) if run != session.stamp.run => {
            let detail = format!("the session belongs to run {}, not to {run}", session.stamp.run);
            Err(Problem::new(Code::RunState, detail)
                .next_step("initialize a session for that run")
                .fact("run", run.to_string()))
        }
        Some(_) | None => Ok(Whose::Session(session)),
    }
}

fn named_run(call: &Call) -> Result<Option<RunId>, Problem> {
    let named = call.header(&RUN)?.filter(|text| !text.is_empty());
    named.map(|text| text.parse().map_err(|error| bad_name(format!("header {RUN}: {error}")))).transpose()
}

/// The session that the request names; none where it names none.
async fn session(call: &Call, agent: &AgentName) -> Result<Option<Arc<Session>>, Problem> {
    let Some(id) = call.header(&SESSION_ID)?.filter(|id| !id.is_empty()) else { return Ok(None) };
    match call.state.mcp.session(id, call.caller(), agent).await {
        Ok(Some(session)) => Ok(Some(session)),
        Ok(None) => {
            Err(problem::not_found("such MCP session", "send `initialize` again without mcp-session-id"))
        }
        Err(Unknown::Full) => Err(full()),
        Err(Unknown::Store(error)) => Err(problem::store(&error)),
    }
}

fn full() -> Problem {
    Problem::new(Code::LimitReached, format!("{SESSIONS_MAX} sessions are open"))
        .next_step("end sessions that are done (DELETE), or try again later")
}

fn nothing_named() -> Problem {
    Problem::new(Code::BadRequest, format!("neither {SESSION_ID} nor {RUN} says whose request it is"))
        .next_step("send `initialize` first, and the mcp-session-id of its answer with every further request")
}

fn check_protocol(call: &Call) -> Result<(), Problem> {
    match call.header(&PROTOCOL)? {
        Some(version) if !PROTOCOLS.contains(&version) => {
            let shown = &version[..version.floor_char_boundary(40)];
            let detail = format!("protocol version {shown} is not spoken here");
            Err(Problem::new(Code::BadRequest, detail)
                .next_step(format!("speak one of {}, as `initialize` settles it", PROTOCOLS.join(", "))))
        }
        Some(_) | None => Ok(()),
    }
}

/// A web page of another origin may not speak to the proxy, with or without a key: names that lead elsewhere tomorrow
/// (DNS rebinding) would let it.
fn refuse_other_pages(call: &Call) -> Result<(), Problem> {
    let headers = &call.head.headers;
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let from = origin.split_once("://").map_or(origin, |(_, host)| host);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| call.head.uri.authority().map(http::uri::Authority::as_str));
    if Some(from) == host {
        return Ok(());
    }
    let shown = &origin[..origin.floor_char_boundary(100)];
    Err(Problem::new(Code::Forbidden, format!("origin `{shown}` is not this server's"))
        .next_step("call it from a program, or from a page of its own address"))
}

fn accepted() -> Response {
    empty(StatusCode::ACCEPTED)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
