//! A server that is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pinrail_domain::mcp::{BadPin, Identity, Pin, TOOLS_MAX};
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, CustomRequest, Implementation, ProtocolVersion,
    ServerResult,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RunningService};
use rmcp::{RoleClient, ServiceError};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::decode::BROKEN;
use crate::reach::Reach;
use crate::stdio::LastWords;
use crate::wire::{Out, Wire};
use crate::{PAGES_MAX, http_transport, stdio};

/// A server that is connected. It is disconnected when dropped.
pub struct Live {
    service: RunningService<RoleClient, Handler>,
    identity: Identity,
    protocol: String,
    timeout: Duration,
    closed: Arc<AtomicBool>,
    changed: watch::Receiver<u64>,
    last_words: Option<LastWords>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{program}` cannot be started")]
    Start {
        program: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("the server did not answer within {0} ms")]
    Slow(u128),
    #[error("the server and Pinrail did not come to terms: {0}")]
    Handshake(String),
    #[error("the server does not say who it is")]
    Nameless,
}

/// Why the tools aren't known.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("tools/list failed")]
    Asked(#[source] CallError),
    #[error("the answer to tools/list is not a list of tools")]
    NoList,
    #[error("tools/list has more than {PAGES_MAX} pages or {TOOLS_MAX} tools")]
    Endless,
    #[error("the tools cannot be pinned")]
    Unpinnable(#[from] BadPin),
}

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server's own answer.
    #[error("the server answers with error {code}: {message}")]
    Refused { code: i32, message: String, data: Option<Value> },
    #[error("the server did not answer within {0} ms")]
    Timeout(u128),
    #[error("the call was cancelled")]
    Cancelled,
    /// Whether the server got the request isn't known.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// What a server may say to us: that its tools changed. Everything else is declined by the official crate's defaults.
#[derive(Clone)]
struct Handler {
    changed: watch::Sender<u64>,
}

/// The newest protocol version with a handshake: every server of today answers it.
const PROTOCOL: ProtocolVersion = ProtocolVersion::LATEST_WITH_INITIALIZE;

impl Live {
    /// Connects to a server and greets it.
    pub async fn connect(reach: &Reach) -> Result<Live, ConnectError> {
        let closed = Arc::new(AtomicBool::new(false));
        let (out, inbox, last_words) = match reach {
            Reach::Http { url, headers, timeout } => {
                let (out, inbox) = http_transport::open(url.clone(), headers.clone(), *timeout);
                (Out::Http(Arc::new(out)), inbox, None)
            }
            Reach::Program { command, env, timeout: _ } => {
                let started = stdio::start(command, env);
                let (out, inbox, last_words) = started.map_err(|cause| ConnectError::Start {
                    program: command.first().cloned().unwrap_or_default(),
                    cause,
                })?;
                (Out::Program(Arc::new(out)), inbox, Some(last_words))
            }
        };
        let wire = Wire::new(out, inbox, Arc::clone(&closed));
        let (sender, changed) = watch::channel(0);
        let greeting = rmcp::serve_client(Handler { changed: sender }, wire);
        let service = match tokio::time::timeout(reach.timeout(), greeting).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => {
                let said = last_words.and_then(|words: LastWords| words.get());
                let said = said.map(|said| format!("; its last words: {said}")).unwrap_or_default();
                return Err(ConnectError::Handshake(format!("{error}{said}")));
            }
            Err(_) => return Err(ConnectError::Slow(reach.timeout().as_millis())),
        };
        let info = service.peer().peer_info().ok_or(ConnectError::Nameless)?;
        let server = info.server_info.as_ref().ok_or(ConnectError::Nameless)?;
        let identity = Identity {
            name: server.name.clone(),
            title: server.title.clone(),
            version: server.version.clone(),
        };
        let protocol = info.protocol_version.to_string();
        let timeout = reach.timeout();
        Ok(Live { service, identity, protocol, timeout, closed, changed, last_words })
    }

    /// Who the server says that it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The protocol version that both speak.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Rises when the server says that its tools changed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.service.is_closed()
    }

    /// The server's tools now, in the form of a pin.
    pub async fn tools(&self) -> Result<Pin, ListError> {
        let mut tools = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let params = cursor.take().map(|cursor| json!({ "cursor": cursor }));
            let page =
                self.ask("tools/list", params, std::future::pending()).await.map_err(ListError::Asked)?;
            let Some(Value::Array(listed)) = page.get("tools") else { return Err(ListError::NoList) };
            if tools.len() + listed.len() > TOOLS_MAX {
                return Err(ListError::Endless);
            }
            tools.extend(listed.iter().cloned());
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(Pin::of(self.identity.clone(), &tools)?),
            }
        }
        Err(ListError::Endless)
    }

    /// Calls a tool. What comes back is the result as the server wrote it, errors of the tool itself included.
    ///
    /// Ends early, and tells the server so, when `cancelled` is ready.
    pub async fn call(
        &self,
        tool: &str,
        arguments: Option<Map<String, Value>>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Value, CallError> {
        let mut params = Map::new();
        params.insert("name".to_owned(), Value::from(tool));
        if let Some(arguments) = arguments {
            params.insert("arguments".to_owned(), Value::Object(arguments));
        }
        self.ask("tools/call", Some(Value::Object(params)), cancelled).await
    }

    /// Ends the connection, and the program where there is one.
    pub async fn close(self) {
        self.service.cancel().await.ok();
    }

    async fn ask(
        &self,
        method: &str,
        params: Option<Value>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Value, CallError> {
        let request = ClientRequest::CustomRequest(CustomRequest::new(method, params));
        let options = PeerRequestOptions::with_timeout(self.timeout);
        let handle = self.service.peer().send_cancellable_request(request, options).await;
        let handle = handle.map_err(|error| self.failed(error))?;
        let (peer, id) = (handle.peer.clone(), handle.id.clone());
        let answered = tokio::select! {
            answered = handle.await_response() => answered,
            () = cancelled => {
                let why = Some("the client cancelled the call".to_owned());
                let params = rmcp::model::CancelledNotificationParam::new(Some(id), why);
                // A server that is gone needs no word.
                peer.notify_cancelled(params).await.ok();
                return Err(CallError::Cancelled);
            }
        };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the decoder makes every result but the first a custom one"
        )]
        match answered.map_err(|error| self.failed(error))? {
            ServerResult::CustomResult(result) => Ok(result.0),
            other => Err(CallError::Broken(format!("an answer that nobody asked for: {other:?}"))),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the official crate's list of errors is open")]
    fn failed(&self, error: ServiceError) -> CallError {
        match error {
            ServiceError::McpError(error) if error.code.0 == BROKEN => {
                CallError::Broken(error.message.into_owned())
            }
            ServiceError::McpError(error) => CallError::Refused {
                code: error.code.0,
                message: error.message.into_owned(),
                data: error.data,
            },
            ServiceError::Timeout { timeout } => CallError::Timeout(timeout.as_millis()),
            ServiceError::TransportSend(error) => CallError::Broken(error.error.to_string()),
            ServiceError::TransportClosed => {
                let said = self.last_words.as_ref().and_then(LastWords::get);
                let said = said.map(|said| format!("; its last words: {said}")).unwrap_or_default();
                CallError::Broken(format!("the server ended it{said}"))
            }
            other => CallError::Broken(other.to_string()),
        }
    }
}

impl ClientHandler for Handler {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn get_info(&self) -> ClientConfig {
        let this = Implementation::new("pinrail", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), this).with_protocol_version(PROTOCOL)
    }
}
