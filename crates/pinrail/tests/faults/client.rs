//! Speaks HTTP to a server that may be killed at any moment.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};
use ureq::{Agent, BodyReader};

/// A client of one server. Clones share connections.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    address: String,
    token: Option<String>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// An answer of which the head is here and the rest may come.
pub struct Stream {
    pub status: u16,
    pub headers: HeaderMap,
    lines: BufReader<BodyReader<'static>>,
}

/// The connection ended before the answer did.
#[derive(Debug)]
pub struct Broken;

/// Ends a test that would hang otherwise; nothing decides by it.
const HANGS: Duration = Duration::from_secs(120);

impl Client {
    /// A client for `host:port`.
    pub fn new(address: &str) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(HANGS))
            .build();
        Client { agent: config.new_agent(), address: address.to_owned(), token: None }
    }

    /// `host:port` of the server.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn with_token(&self, token: &str) -> Client {
        Client { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request and reads its answer to the end.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Broken> {
        let bytes = body.map(|body| ("application/json", body.to_string().into_bytes()));
        let Stream { status, headers, mut lines } = self.open(method, path, headers, bytes)?;
        let mut body = Vec::new();
        lines.read_to_end(&mut body).map_err(|_| Broken)?;
        Ok(Answer { status, headers, body })
    }

    /// Sends a request and reads its answer's head.
    pub fn stream(&self, path: &str, body: &Value) -> Result<Stream, Broken> {
        self.open("POST", path, &[], Some(("application/json", body.to_string().into_bytes())))
    }

    /// What a `GET` that must work shows.
    pub fn get(&self, path: &str) -> Value {
        self.send("GET", path, &[], None).expect("the server answers").ok()
    }

    /// What a `POST` that must work answers.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", path, &[], Some(body)).expect("the server answers").ok()
    }

    /// What a `PUT` that must work answers.
    pub fn put(&self, path: &str, body: &Value) -> Value {
        self.send("PUT", path, &[], Some(body)).expect("the server answers").ok()
    }

    /// Stores an artifact and gives its digest.
    pub fn artifact(&self, bytes: &[u8]) -> Result<Answer, Broken> {
        let body = ("application/octet-stream", bytes.to_vec());
        let Stream { status, headers, mut lines } =
            self.open("POST", "/api/v1/artifacts", &[], Some(body))?;
        let mut body = Vec::new();
        lines.read_to_end(&mut body).map_err(|_| Broken)?;
        Ok(Answer { status, headers, body })
    }

    /// All items of a list, page by page.
    pub fn all(&self, path: &str, cursor: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut page = self.get(&format!("{path}{mark}limit=1000"));
        loop {
            items.extend(page["items"].as_array().expect("a page has items").iter().cloned());
            let Some(next) = page["next"].as_str().map(str::to_owned) else { return items };
            page = self.get(&format!("{path}{mark}limit=1000&{cursor}={next}"));
        }
    }

    /// Sends bytes as they are, on a connection of their own, and reads until the server closes it.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(HANGS)).unwrap();
        // The server may refuse before it has read all.
        let _ = stream.write_all(bytes);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let text = String::from_utf8_lossy(&all);
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.as_bytes().to_vec()).unwrap_or_default();
        Answer { status, headers: HeaderMap::new(), body }
    }

    fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Stream, Broken> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = match body {
            Some((kind, bytes)) => {
                self.agent.run(request.header("content-type", kind).body(bytes).expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let (head, body) = response.map_err(|_| Broken)?.into_parts();
        let lines = BufReader::new(body.into_reader());
        Ok(Stream { status: head.status.as_u16(), headers: head.headers, lines })
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!("{} and no JSON: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The JSON of an answer that must be good.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The code of a refusal, of the API's form or of the gateway's.
    pub fn code(&self) -> String {
        let body = self.json();
        let code = body["code"].as_str().or_else(|| body["error"]["code"].as_str());
        code.unwrap_or_else(|| panic!("no code in {body}")).to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn is_replayed(&self) -> bool {
        self.header("idempotency-replayed") == Some("true")
    }
}

impl Stream {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no header {name}"));
        value.to_str().expect("visible ASCII")
    }

    /// The next line that says something; none at the end of an answer.
    pub fn line(&mut self) -> Result<Option<String>, Broken> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).map_err(|_| Broken)? == 0 {
                return Ok(None);
            }
            if !line.trim().is_empty() {
                return Ok(Some(line.trim().to_owned()));
            }
        }
    }

    /// All that still comes.
    pub fn rest(mut self) -> Result<String, Broken> {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).map_err(|_| Broken)?;
        Ok(text)
    }
}
