//! The proxy against a scripted server on loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::StatusCode;
use pinrail_control::By;
use pinrail_domain::dial::{Place, Position, Turn};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::testing::{Answered, Bench, manifest};

mod agree;
mod faults;
mod proxy;
mod replicas;
mod watch;

/// A server that does what a test says.
pub struct Scripted {
    script: Mutex<Script>,
    /// What it was called with, and what it was told.
    heard: Mutex<Vec<Value>>,
    /// A call that hangs is let go by this.
    pub go: Notify,
    /// Tells that a call came.
    pub came: Notify,
}

#[derive(Clone)]
pub struct Script {
    pub tools: Vec<Value>,
    pub version: String,
    pub mood: Mood,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Well,
    /// `tools/list` is answered with something else.
    Garbage,
    /// Each page leads to another one.
    Endless,
    /// Calls wait.
    Hangs,
    /// Calls break off in the middle.
    Dies,
    /// Everything is refused.
    Away,
}

/// A bench with an agent whose release pins the scripted server.
pub struct Stage {
    pub bench: Bench,
    pub scripted: Arc<Scripted>,
    pub pin: String,
    pub deployment: u64,
}

pub fn tool(name: &str, description: &str) -> Value {
    json!({
        "name": name, "description": description,
        "inputSchema": { "type": "object", "properties": { "text": { "type": "string" } } },
    })
}

pub fn reading(name: &str) -> Value {
    let mut tool = tool(name, "Reads");
    tool["annotations"] = json!({ "readOnlyHint": true });
    tool
}

impl Scripted {
    pub async fn start(tools: Vec<Value>) -> (Arc<Scripted>, String) {
        let script = Script { tools, version: "1.0.0".into(), mood: Mood::Well };
        let scripted = Arc::new(Scripted {
            script: Mutex::new(script),
            heard: Mutex::default(),
            go: Notify::new(),
            came: Notify::new(),
        });
        let router = Router::new().route("/mcp", any(answer)).with_state(Arc::clone(&scripted));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (scripted, url)
    }

    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    pub fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|message| message["method"] == method).cloned().collect()
    }
}

async fn answer(State(scripted): State<Arc<Scripted>>, request: http::Request<axum::body::Body>) -> Response {
    if request.method() != http::Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap();
    scripted.heard.lock().unwrap().push(message.clone());
    let Script { tools, version, mood } = scripted.script.lock().unwrap().clone();
    if mood == Mood::Away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Some(id) = message.get("id").cloned() else { return StatusCode::ACCEPTED.into_response() };
    let result = match message["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18", "capabilities": { "tools": {} },
            "serverInfo": { "name": "scripted", "version": version },
        }),
        "tools/list" => match mood {
            Mood::Garbage => json!("what tools?"),
            Mood::Endless => json!({ "tools": [], "nextCursor": "again" }),
            Mood::Well | Mood::Hangs | Mood::Dies | Mood::Away => json!({ "tools": tools }),
        },
        _ => {
            scripted.came.notify_one();
            match mood {
                Mood::Hangs => scripted.go.notified().await,
                Mood::Dies => {
                    let head = [("content-type", "text/event-stream")];
                    return (head, ": on its way\n\n").into_response();
                }
                Mood::Well | Mood::Garbage | Mood::Endless | Mood::Away => {}
            }
            let name = message["params"]["name"].as_str().unwrap();
            match name {
                "refuses" => {
                    let error = json!({ "code": -32050, "message": "not today", "data": { "why": "rain" } });
                    return axum::Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response();
                }
                "fails" => json!({ "content": [{ "type": "text", "text": "broken" }], "isError": true }),
                _ => {
                    json!({ "content": [{ "type": "text", "text": format!("{name} done") }], "_meta": { "kept": 1 } })
                }
            }
        }
    };
    axum::Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

impl Stage {
    pub async fn set(tools: Vec<Value>) -> Stage {
        Stage::with(tools, json!({})).await
    }

    /// The tools, and what else the release says of its own.
    pub async fn with(tools: Vec<Value>, own: Value) -> Stage {
        Stage::over(Bench::open().await, tools, own).await
    }

    /// The same at each of several replicas; the first leads.
    pub async fn crew(count: usize, tools: Vec<Value>) -> Vec<Stage> {
        let mut crew = vec![Stage::over(Bench::leading().await, tools, json!({})).await];
        while crew.len() < count {
            let bench = crew[0].bench.beside().await;
            let Stage { bench: _, scripted, pin, deployment } = &crew[0];
            crew.push(Stage {
                bench,
                scripted: Arc::clone(scripted),
                pin: pin.clone(),
                deployment: *deployment,
            });
        }
        crew
    }

    async fn over(bench: Bench, tools: Vec<Value>, own: Value) -> Stage {
        bench.provider("sim").await;
        bench.put("/api/v1/agents/support", json!({ "journal": { "bodies": "full" } })).await.ok();
        let (scripted, url) = Scripted::start(tools.clone()).await;
        bench.put("/api/v1/mcp/servers/scripted", json!({ "url": url, "timeout": "5s" })).await.ok();
        let pin = pinned(&bench, &tools).await;
        let mut stage = Stage { bench, scripted, pin, deployment: 0 };
        stage.deploy(own).await;
        stage
    }

    /// Puts a release with the pin in front of all traffic.
    pub async fn deploy(&mut self, own: Value) {
        let wish = json!({ "agent": "support", "manifest": self.manifest(own) });
        let release = self.bench.post("/api/v1/releases", wish).await.ok()["release"].clone();
        let wish = json!({ "releases": { "support": release }, "now": true });
        self.deployment = self.bench.open_deployment(wish).await.ok()["deployment"].as_u64().unwrap();
    }

    pub fn manifest(&self, own: Value) -> Value {
        let mut manifest = manifest("sim-large-2026-03-01");
        manifest["tools"] = own;
        manifest["tools"]["mcp"] = json!({ "scripted": self.pin });
        manifest
    }

    /// Begins a session; returns its headers' values: session and run.
    pub async fn begin(&self, headers: &[(&str, &str)]) -> (String, String) {
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let message = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let answered = self.bench.send("POST", "/mcp/support", headers, Some(&message)).await;
        assert_eq!(answered.ok()["result"]["protocolVersion"], "2025-06-18");
        let header = |name: &str| answered.header(name).unwrap().to_owned();
        (header("mcp-session-id"), header("x-pinrail-run"))
    }

    pub async fn ask(&self, session: &str, method: &str, params: Value) -> Value {
        self.ask_as(session, json!(1), method, params).await.ok()
    }

    pub async fn ask_as(&self, session: &str, id: Value, method: &str, params: Value) -> Answered {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.bench.send("POST", "/mcp/support", &[("mcp-session-id", session)], Some(&message)).await
    }

    pub async fn call(&self, session: &str, tool: &str) -> Value {
        self.ask(session, "tools/call", json!({ "name": tool, "arguments": { "text": "hello" } })).await
    }

    /// The names that a session is served.
    pub async fn listed(&self, session: &str) -> Vec<String> {
        let answered = self.ask(session, "tools/list", json!({})).await;
        let tools = answered["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answered}")).clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn turn_dial(&self, position: Position) {
        let place = Place::agent(&"support".parse().unwrap());
        let turn = Turn { place, position, release: None, text: None };
        self.bench.control.turn_dial(By::system("an incident"), &turn).await.unwrap();
    }

    /// A poll, as the watcher makes it.
    pub async fn poll(&self) {
        let upstream = self.bench.state.mcp.upstream(&"scripted".parse().unwrap()).unwrap();
        self.bench.state.mcp.check(&upstream, &[]).await.ok();
    }

    /// What the run's journal says of tools: kind, name, and whether it failed.
    pub async fn journal(&self, run: &str) -> Vec<Value> {
        let events = self.bench.get(&format!("/api/v1/runs/{run}/events")).await.ok();
        let events = events["items"].as_array().or(events["events"].as_array()).unwrap().clone();
        events.into_iter().filter(|event| event["type"] != "plan").collect()
    }
}

/// Stores a pin of these tools; returns its digest.
pub async fn pinned(bench: &Bench, tools: &[Value]) -> String {
    let identity =
        pinrail_domain::mcp::Identity { name: "scripted".into(), title: None, version: "1.0.0".into() };
    let pin = pinrail_domain::mcp::Pin::of(identity, tools).unwrap();
    let stored = bench.post_bytes("/api/v1/artifacts", &pin.to_vec().unwrap()).await.ok();
    stored["digest"].as_str().unwrap().to_owned()
}

/// The code of a refusal.
pub fn word(answered: &Value) -> &str {
    answered["error"]["data"]["code"].as_str().unwrap_or_else(|| panic!("no refusal: {answered}"))
}
