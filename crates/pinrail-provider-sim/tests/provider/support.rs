//! A client of the router, and the joining of streamed chunks.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::StreamExt;
use pinrail_provider_sim::{Script, Sim, UnixSeconds};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

/// The builtin checkpoint that is right in 95 % of cases, and the one that is right in 80 %.
pub const GOOD: &str = "sim-1-2026-01-15";
pub const WORSE: &str = "sim-1-2026-06-01";

/// The time in all answers of these tests.
pub const NOW: u64 = 1_800_000_000;

pub struct Client {
    pub sim: Sim,
    router: Router,
    headers: Vec<(&'static str, String)>,
    /// Whether messages requests name a version of Anthropic's API, as they must.
    names_version: bool,
}

pub struct Reply {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

pub struct Streamed {
    body: BodyDataStream,
}

impl Client {
    pub fn builtin(seed: u64) -> Self {
        Self::of(Script::builtin(), seed)
    }

    pub fn scripted(script: &str, seed: u64) -> Self {
        Self::of(Script::from_toml(script).unwrap(), seed)
    }

    pub fn scripted_at(script: &str, seed: u64, clock: UnixSeconds) -> Self {
        Self::at(Script::from_toml(script).unwrap(), seed, clock)
    }

    fn of(script: Script, seed: u64) -> Self {
        Self::at(script, seed, Arc::new(|| NOW))
    }

    fn at(script: Script, seed: u64, clock: UnixSeconds) -> Self {
        let sim = Sim::new(script, seed, clock);
        Self { router: sim.router(), sim, headers: Vec::new(), names_version: true }
    }

    pub fn with_key(&self, key: &'static str) -> Self {
        self.with_header("authorization", &format!("Bearer {key}"))
    }

    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name, value.to_owned()));
        Self {
            sim: self.sim.clone(),
            router: self.router.clone(),
            headers,
            names_version: self.names_version,
        }
    }

    pub fn without_version(&self) -> Self {
        Self { names_version: false, ..self.with_header("x-test", "1") }
    }

    pub async fn ask(&self, model: &str, question: &str) -> Value {
        self.post("/v1/chat/completions", &chat(model, question)).await.json()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body.to_string().into_bytes()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Reply {
        let response = self.call(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub async fn stream(&self, path: &str, body: &Value) -> Streamed {
        let response = self.call("POST", path, body.to_string().into_bytes()).await;
        Streamed { body: response.into_body().into_data_stream() }
    }

    async fn call(&self, method: &str, path: &str, body: Vec<u8>) -> axum::response::Response {
        let mut request = Request::builder().method(method).uri(path);
        if path.starts_with("/v1/messages") && self.names_version {
            request = request.header("anthropic-version", "2023-06-01");
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }
}

impl Streamed {
    pub async fn next(&mut self) -> Option<Result<bytes::Bytes, axum::Error>> {
        self.body.next().await
    }

    /// Reads to the end; says whether it ended well.
    pub async fn rest(mut self) -> (String, bool) {
        let mut text = String::new();
        while let Some(item) = self.next().await {
            match item {
                Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Err(_) => return (text, false),
            }
        }
        (text, true)
    }
}

pub fn chat(model: &str, question: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": question}]})
}

pub fn text_of(completion: &Value) -> String {
    completion["choices"][0]["message"]["content"]
        .as_str()
        .unwrap_or_else(|| panic!("{completion}"))
        .to_owned()
}

/// Joins a stream as a client does: the message with its finish reason, and the usage.
pub fn join(stream: &str) -> (Value, Value) {
    let mut content = String::new();
    let mut calls: Vec<Value> = Vec::new();
    let (mut finish, mut usage, mut fingerprint) = (Value::Null, Value::Null, Value::Null);
    let events: Vec<&str> = stream.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"));
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        fingerprint = chunk["system_fingerprint"].clone();
        if !chunk["usage"].is_null() {
            usage = chunk["usage"].clone();
        }
        let Some(choice) = chunk["choices"].get(0) else { continue };
        content.push_str(choice["delta"]["content"].as_str().unwrap_or(""));
        for part in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = part["index"].as_u64().unwrap() as usize;
            if index == calls.len() {
                let mut start = part.clone();
                start.as_object_mut().unwrap().remove("index");
                calls.push(start);
            } else {
                let so_far = calls[index]["function"]["arguments"].as_str().unwrap().to_owned();
                let more = part["function"]["arguments"].as_str().unwrap();
                calls[index]["function"]["arguments"] = json!(so_far + more);
            }
        }
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
    }
    let joined = json!({"content": content, "tool_calls": calls, "finish_reason": finish, "system_fingerprint": fingerprint});
    (joined, usage)
}

/// Serves on a free port; sees a cut connection from the client's side and a leaving client from the server's.
pub async fn over_loopback() {
    let script =
        "[[checkpoint]]\nid = \"cut\"\ncut_stream_rate = 1\n[[checkpoint]]\nid = \"stall\"\nstall_rate = 1";
    let client = Client::scripted(script, 1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, client.sim.router()).into_future());
    let send = async |model: &str| {
        let mut body = chat(model, "hello");
        body["stream"] = json!(true);
        let body = body.to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all((head + &body).as_bytes()).await.unwrap();
        socket
    };
    let mut text = Vec::new();
    // The connection ends without the last chunk of the chunked encoding, whether by end of file or by reset.
    let _ = send("cut").await.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("x-pinrail-sim: 1") && text.contains("assistant"), "{text}");
    assert!(!text.ends_with("0\r\n\r\n") && !text.contains("[DONE]"), "{text}");
    let mut socket = send("stall").await;
    let mut byte = [0];
    socket.read_exact(&mut byte).await.unwrap();
    drop(socket);
    while client.sim.counters().models["stall"].cancelled == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.sim.counters().in_flight, 0);
    server.abort();
}

/// Splits a stream into its named events.
pub fn events(stream: &str) -> Vec<(String, Value)> {
    let blocks = stream.split("\n\n").filter(|block| !block.is_empty());
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {block}")))
    };
    blocks.map(event).collect()
}
