//! A server at an address: streamable HTTP.
//!
//! Each message is a POST; its answer comes as JSON or as a stream of events. After the handshake a GET follows what
//! the server says by itself, where it offers that. Redirects are not followed: a server that moved is another one
//! until somebody says so. Where a session is gone (404), the connection ends, and whoever uses it makes a new one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pinrail_wire::redact::Redactor;
use pinrail_wire::sse::Splitter;
use rmcp::model::{JsonRpcMessage, RequestId, ServerJsonRpcMessage, ServerResult};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::MESSAGE_BYTES_MAX;
use crate::decode::{Decoder, broken};
use crate::wire::{INBOX, NotSent, Outgoing};

/// An address, and what is known of the session there.
pub struct HttpOut {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    session: Mutex<Session>,
    decoder: Decoder,
    inbox: Mutex<Option<mpsc::Sender<ServerJsonRpcMessage>>>,
    /// Answers that are being read, and what is followed; they end with the connection.
    readers: Mutex<JoinSet<()>>,
    follows: AtomicBool,
    redactor: Redactor,
}

#[derive(Clone, Default)]
struct Session {
    id: Option<HeaderValue>,
    protocol: Option<HeaderValue>,
}

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// How long the goodbye may take.
const END_WAIT: Duration = Duration::from_secs(2);
/// What is shown of a refusal.
const REFUSAL_BYTES_MAX: usize = 4_096;
/// A stream that ended is asked for again after this; polls notice changes meanwhile.
const FOLLOW_PAUSE: Duration = Duration::from_secs(10);

/// Sets a connection up; the first message makes it.
pub fn open(
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
) -> (HttpOut, mpsc::Receiver<ServerJsonRpcMessage>) {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(Arc::new(rustls::crypto::ring::default_provider()))
        .expect("ring supports TLS 1.2 and 1.3")
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(tcp);
    let (sender, inbox) = mpsc::channel(INBOX);
    let redactor = Redactor::new(headers.iter().filter_map(|(_, value)| value.to_str().ok()));
    let out = HttpOut {
        client: Client::builder(TokioExecutor::new()).build(connector),
        url,
        headers,
        timeout,
        session: Mutex::default(),
        decoder: Decoder::default(),
        inbox: Mutex::new(Some(sender)),
        readers: Mutex::default(),
        follows: AtomicBool::new(false),
        redactor,
    };
    (out, inbox)
}

impl HttpOut {
    /// Posts a message. Ready once the server has begun to answer; the answer itself comes to the inbox.
    pub async fn send(self: &Arc<Self>, outgoing: Outgoing) -> Result<(), NotSent> {
        let Outgoing { bytes, id, is_initialized } = outgoing;
        let request = self.request(Method::POST, Full::from(bytes))?;
        let response = self.ask(request).await?;
        if let Some(session) = response.headers().get(SESSION_ID) {
            self.session.lock().unwrap_or_else(PoisonError::into_inner).id = Some(session.clone());
        }
        let status = response.status();
        if !status.is_success() {
            if status == StatusCode::NOT_FOUND && self.session().id.is_some() {
                self.end();
            }
            let said = tokio::time::timeout(END_WAIT, refusal(response)).await;
            let said = said.unwrap_or_else(|_| format!("the server answers {status}"));
            // Some servers repeat what they were sent (I15).
            return Err(NotSent(self.redactor.redact(&said).into_owned()));
        }
        if is_initialized {
            self.follow();
        }
        let Some(id) = id else { return Ok(()) };
        let this = Arc::clone(self);
        self.spawn(async move {
            let answered = this.read(response, &id).await;
            if let Err(why) = answered {
                this.deliver(broken(id, why)).await;
            }
        });
        Ok(())
    }

    /// Says goodbye, where there is a session to end.
    pub async fn close(&self) {
        self.end();
        if self.session().id.is_some()
            && let Ok(request) = self.request(Method::DELETE, Full::default())
        {
            tokio::time::timeout(END_WAIT, self.client.request(request)).await.ok();
        }
    }

    /// Nothing more comes to the inbox, which ends the connection.
    fn end(&self) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn spawn(&self, reading: impl Future<Output = ()> + Send + 'static) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.try_join_next().is_some() {}
        readers.spawn(reading);
    }

    fn request(&self, method: Method, body: Full<Bytes>) -> Result<Request<Full<Bytes>>, NotSent> {
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let accepts =
            if method == Method::GET { "text/event-stream" } else { "application/json, text/event-stream" };
        headers.insert(ACCEPT, HeaderValue::from_static(accepts));
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let Session { id, protocol } = self.session();
        headers.extend(id.map(|id| (SESSION_ID, id)));
        headers.extend(protocol.map(|protocol| (PROTOCOL, protocol)));
        Ok(request)
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NotSent> {
        let asked = tokio::time::timeout(self.timeout, self.client.request(request)).await;
        let asked =
            asked.map_err(|_| NotSent(format!("no answer within {} ms", self.timeout.as_millis())))?;
        asked.map_err(|error| NotSent(chain(&error)))
    }

    /// Reads the answer to a request, up to the message that answers it.
    async fn read(&self, response: Response<Incoming>, id: &RequestId) -> Result<(), String> {
        if !is_stream(&response) {
            let body = Limited::new(response.into_body(), MESSAGE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| chain(&*error))?.to_bytes();
            let message = self.decoder.message(&body)?;
            self.deliver(message).await;
            return Ok(());
        }
        match self.events(response, Some(id)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server ended its stream without an answer".to_owned()),
            Err(why) => Err(why),
        }
    }

    /// Delivers a stream's messages; true once the request was answered.
    async fn events(&self, response: Response<Incoming>, id: Option<&RequestId>) -> Result<bool, String> {
        let mut splitter = Splitter::new(MESSAGE_BYTES_MAX);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| chain(&error))?;
            let Ok(chunk) = frame.into_data() else { continue };
            let mut messages = Vec::new();
            let fed = splitter.feed(&chunk, |event| {
                messages.extend(event.data.filter(|data| !data.is_empty()).map(|data| data.into_owned()));
            });
            fed.map_err(|error| error.to_string())?;
            for bytes in messages {
                let message = self.decoder.message(&bytes)?;
                let answers = id.is_some_and(|id| answers(&message, id));
                self.deliver(message).await;
                if answers {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn deliver(&self, message: ServerJsonRpcMessage) {
        if let JsonRpcMessage::Response(response) = &message
            && let ServerResult::InitializeResult(greeting) = &response.result
        {
            let protocol = HeaderValue::from_str(greeting.protocol_version.as_str()).ok();
            self.session.lock().unwrap_or_else(PoisonError::into_inner).protocol = protocol;
        }
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(inbox) = inbox {
            // Whoever doesn't listen any more has closed the connection.
            inbox.send(message).await.ok();
        }
    }

    /// Follows what the server says by itself, for as long as it offers that.
    fn follow(self: &Arc<Self>) {
        if self.follows.swap(true, Ordering::Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        self.spawn(async move {
            loop {
                let Ok(request) = this.request(Method::GET, Full::default()) else { return };
                match this.ask(request).await {
                    Ok(response) if response.status().is_success() && is_stream(&response) => {
                        this.events(response, None).await.ok();
                    }
                    Ok(_) => return,
                    Err(_) => {}
                }
                tokio::time::sleep(FOLLOW_PAUSE).await;
            }
        });
    }
}

fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().starts_with("text/event-stream")
}

fn answers(message: &ServerJsonRpcMessage, id: &RequestId) -> bool {
    match message {
        JsonRpcMessage::Response(response) => response.id == *id,
        JsonRpcMessage::Error(error) => error.id.as_ref() == Some(id),
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => false,
    }
}

/// What a server says when it refuses.
async fn refusal(response: Response<Incoming>) -> String {
    let status = response.status();
    if status.is_redirection() {
        return format!("the server answers {status}; redirects are not followed");
    }
    let body = Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect().await;
    let text =
        body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    let text: String = text.chars().filter(|c| !c.is_control()).take(300).collect();
    if text.is_empty() {
        format!("the server answers {status}")
    } else {
        format!("the server answers {status}: {text}")
    }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
