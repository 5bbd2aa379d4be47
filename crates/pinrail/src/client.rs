//! Asks a Pinrail server, one request at a time.
//!
//! Every mutating call carries a fresh `Idempotency-Key`. A connection that breaks after the request went out may
//! have done its work, so the call is sent once more with the same key: the server then gives the first answer again.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader};
use std::time::Duration;

use pinrail_api::Page;
use pinrail_api::problem::Problem;
use pinrail_domain::id::TenantId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use ureq::http::{Method, Request, Response, header, request};
use ureq::{Agent, Body};

use crate::config::Secret;

mod download;
mod stream;

/// A server to ask.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<Secret>,
    /// The tenant that requests are for, where one is named.
    tenant: Option<TenantId>,
}

/// An answer: what it means, and its JSON exactly as it came.
#[derive(Debug)]
pub struct Reply<T> {
    pub value: T,
    pub raw: Box<RawValue>,
    /// The server's clock, from the header `date`.
    pub date: Option<String>,
    /// An earlier request with the same idempotency key did it.
    pub replayed: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the server address `{url}` cannot be used: {why}")]
    BadAddress { url: String, why: &'static str },
    #[error("the key in PINRAIL_KEY holds characters that no key has")]
    BadKey,
    #[error("cannot reach a Pinrail server at {base}")]
    Unreachable { base: String, source: Box<ureq::Error> },
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    #[error("{base} answered {status} with something that is not Pinrail's: {excerpt}")]
    NotPinrail { base: String, status: u16, excerpt: String },
}

/// A query string, built one pair at a time.
#[derive(Default)]
pub struct Query(String);

/// How long a connection may take: the server is near or not there.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take; the longest wait that the server grants a follower is well below.
const ANSWER: Duration = Duration::from_secs(90);
/// How long an answer may take that the server works on while it comes: millions of records are read for some.
const WORK: Duration = Duration::from_secs(3_600);
/// The longest answer: a page of runs with full bodies.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// What of a foreign answer is shown.
const EXCERPT_CHARS: usize = 200;
/// Pages read for one question. A list that goes on longer has a server that counts wrong.
const PAGES_MAX: usize = 10_000;

impl Client {
    /// A client for a server's address, which must be `http://` or `https://`.
    pub fn new(base: &str, key: Option<Secret>) -> Result<Client, ClientError> {
        let bad = |why| ClientError::BadAddress { url: base.to_owned(), why };
        let rest = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        let host = rest.ok_or_else(|| bad("it must start with http:// or https://"))?;
        if host.is_empty() || host.contains(['@', '?', '#', ' ']) {
            return Err(bad("it must be a host, a port and perhaps a path"));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .user_agent(concat!("pinrail/", env!("CARGO_PKG_VERSION")));
        if ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local)) {
            config = config.proxy(None);
        }
        Ok(Client { agent: config.build().new_agent(), base: base.to_owned(), key, tenant: None })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same server, asked for this tenant.
    #[must_use]
    pub fn for_tenant(&self, tenant: Option<&TenantId>) -> Client {
        Client { tenant: tenant.cloned().or_else(|| self.tenant.clone()), ..self.clone() }
    }

    /// Reads.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>, ClientError> {
        self.call(Method::GET, path, None)
    }

    /// Reads what isn't JSON, or is wanted as it is.
    pub fn text(&self, path: &str) -> Result<String, ClientError> {
        let unreachable =
            |source| ClientError::Unreachable { base: self.base.clone(), source: Box::new(source) };
        let mut response = self.send(&Method::GET, path, None, None)?.map_err(unreachable)?;
        if !response.status().is_success() {
            self.read::<serde_json::Value>(response)?;
            return Ok(String::new());
        }
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(unreachable)
    }

    /// Reads all pages of a list; `cursor` is the parameter that takes a page's `next`.
    pub fn all<T: DeserializeOwned>(&self, path: &str, cursor: &str) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = Query::default().add(cursor, next.as_deref()).on(path);
            let page: Page<T> = self.get(&page)?.value;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// Reads an answer that comes line by line, one JSON value each, while the server works on it.
    pub fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        mut visit: impl FnMut(T),
    ) -> Result<(), ClientError> {
        let (uri, request) = self.request(&Method::GET, path)?;
        let bad = |_| ClientError::BadAddress { url: uri.clone(), why: "it is not a URL" };
        let request = request.body(()).map_err(bad)?;
        let request = self.agent.configure_request(request).timeout_global(Some(WORK)).build();
        let unreachable = |source: ureq::Error| ClientError::Unreachable {
            base: self.base.clone(),
            source: Box::new(source),
        };
        let mut response = self.agent.run(request).map_err(unreachable)?;
        if !response.status().is_success() {
            return self.read::<T>(response).map(drop);
        }
        let status = response.status().as_u16();
        for line in BufReader::new(response.body_mut().as_reader()).lines() {
            let line = line.map_err(|error| unreachable(error.into()))?;
            let value = serde_json::from_str(&line).map_err(|_| ClientError::NotPinrail {
                base: self.base.clone(),
                status,
                excerpt: line.chars().take(EXCERPT_CHARS).collect(),
            })?;
            visit(value);
        }
        Ok(())
    }

    /// Sends JSON.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Reply<T>, ClientError> {
        self.call(Method::POST, path, Some(json(body)))
    }

    /// Sends JSON that has an effect once, however often it is sent with this idempotency key.
    pub fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        json: Vec<u8>,
        key: &str,
    ) -> Result<Reply<T>, ClientError> {
        self.call_once(&Method::POST, path, Some(("application/json", json)), Some(key))
    }

    /// Puts JSON.
    pub fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Reply<T>, ClientError> {
        self.call(Method::PUT, path, Some(json(body)))
    }

    /// Sends bytes.
    pub fn post_bytes<T: DeserializeOwned>(&self, path: &str, bytes: &[u8]) -> Result<Reply<T>, ClientError> {
        let body = ("application/octet-stream", bytes.to_vec());
        self.call(Method::POST, path, Some(body))
    }

    /// Deletes.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<Reply<T>, ClientError> {
        self.call(Method::DELETE, path, None)
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
    ) -> Result<Reply<T>, ClientError> {
        let once = (method != Method::GET).then(idempotency_key);
        self.call_once(&method, path, body, once.as_deref())
    }

    fn call_once<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        once: Option<&str>,
    ) -> Result<Reply<T>, ClientError> {
        let mut answer = self.send(method, path, body.as_ref(), once)?;
        if matches!(&answer, Err(error) if is_reset(error)) {
            answer = self.send(method, path, body.as_ref(), once)?;
        }
        let unreachable =
            |source| ClientError::Unreachable { base: self.base.clone(), source: Box::new(source) };
        self.read(answer.map_err(unreachable)?)
    }

    /// Sends a request. The outer error is ours, the inner one the connection's.
    fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&(&'static str, Vec<u8>)>,
        once: Option<&str>,
    ) -> Result<Result<Response<Body>, ureq::Error>, ClientError> {
        let (uri, mut request) = self.request(method, path)?;
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        let bad = |_| ClientError::BadAddress { url: uri.clone(), why: "it is not a URL" };
        Ok(match body {
            Some((kind, bytes)) => {
                let request = request.header(header::CONTENT_TYPE, *kind).body(&bytes[..]).map_err(bad)?;
                self.agent.run(request)
            }
            None => self.agent.run(request.body(()).map_err(bad)?),
        })
    }

    /// A request's head, and where it goes.
    fn request(&self, method: &Method, path: &str) -> Result<(String, request::Builder), ClientError> {
        let uri = format!("{}{path}", self.base);
        let mut request =
            Request::builder().method(method).uri(&uri).header(header::ACCEPT, "application/json");
        if let Some(key) = &self.key {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
                .map_err(|_| ClientError::BadKey)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("x-pinrail-tenant", tenant.as_str());
        }
        Ok((uri, request))
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<Reply<T>, ClientError> {
        let status = response.status();
        let date =
            response.headers().get(header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let replayed = response.headers().contains_key("idempotency-replayed");
        let bytes = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|source| ClientError::Unreachable {
            base: self.base.clone(),
            source: Box::new(source),
        })?;
        let foreign = || ClientError::NotPinrail {
            base: self.base.clone(),
            status: status.as_u16(),
            excerpt: String::from_utf8_lossy(&bytes).chars().take(EXCERPT_CHARS).collect(),
        };
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&bytes).map_err(|_| foreign())?;
            return Err(ClientError::Refused(Box::new(problem)));
        }
        let raw: Box<RawValue> = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        let value = serde_json::from_str(raw.get()).map_err(|_| foreign())?;
        Ok(Reply { value, raw, date, replayed })
    }
}

impl ClientError {
    /// What went wrong, for programs: the server's code, or one of this program's own.
    pub fn code(&self) -> &str {
        match self {
            ClientError::Refused(problem) => code(problem),
            ClientError::Unreachable { .. } => "unreachable",
            ClientError::BadAddress { .. } => "bad_address",
            ClientError::BadKey => "bad_key",
            ClientError::NotPinrail { .. } => "not_pinrail",
        }
    }

    /// What failed, why, and what to do: for a person.
    pub fn describe(&self) -> String {
        let mut text = match self {
            ClientError::Unreachable { source, .. } => format!("error[{}]: {self}: {source}", self.code()),
            ClientError::Refused(_)
            | ClientError::BadAddress { .. }
            | ClientError::BadKey
            | ClientError::NotPinrail { .. } => format!("error[{}]: {self}", self.code()),
        };
        if let Some(next) = self.next_step() {
            let _ = write!(text, "\n  next: {next}");
        }
        text
    }

    /// What to do about it.
    pub fn next_step(&self) -> Option<String> {
        match self {
            ClientError::Refused(problem) => problem.next_step.clone(),
            ClientError::Unreachable { .. } => Some(
                "start one with `pinrail up`, or say where it is with --server or PINRAIL_URL".to_owned(),
            ),
            ClientError::NotPinrail { .. } => {
                Some("check the address in --server or PINRAIL_URL, and what stands in between".to_owned())
            }
            ClientError::BadAddress { .. } => Some("for example http://127.0.0.1:7070".to_owned()),
            ClientError::BadKey => Some("a key starts with `pr_`; `pinrail key create` makes one".to_owned()),
        }
    }
}

impl Query {
    /// Adds a pair, unless there is no value.
    #[must_use]
    pub fn add<V: ToString>(mut self, name: &str, value: Option<V>) -> Query {
        if let Some(value) = value {
            let mark = if self.0.is_empty() { '?' } else { '&' };
            let _ = write!(self.0, "{mark}{name}={}", escape(&value.to_string()));
        }
        self
    }

    /// The path with the query behind it.
    #[must_use]
    pub fn on(self, path: &str) -> String {
        let pairs = if path.contains('?') { self.0.replacen('?', "&", 1) } else { self.0 };
        format!("{path}{pairs}")
    }
}

/// A text as one segment of a path or one value of a query.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The code as the server spelt it, also one that this version doesn't know.
fn code(problem: &Problem) -> &str {
    problem.type_.strip_prefix("urn:pinrail:problem:").unwrap_or(problem.code.as_str())
}

fn json(body: &impl Serialize) -> (&'static str, Vec<u8>) {
    let bytes = serde_json::to_vec(body).expect("requests hold no maps with keys that are no text");
    ("application/json", bytes)
}

fn idempotency_key() -> String {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).expect("the operating system has random numbers");
    random.iter().fold(String::from("cli-"), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// Whether the connection broke after it was made, so that nobody knows if the request was worked on.
fn is_reset(error: &ureq::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error, ureq::Error::Io(io)
        if matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

#[cfg(test)]
mod tests;
