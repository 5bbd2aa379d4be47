//! Asks the demo's server over HTTP, as any user's program would.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// The agent of the demo.
pub const AGENT: &str = "support";
/// Whose customers most of them are.
pub const TENANT: &str = "acme";
/// No answer of a server on the same machine takes this long.
const ANSWER: Duration = Duration::from_secs(60);

/// A client. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
}

/// An answer of the gateway, whatever it says.
pub struct Answer {
    pub status: StatusCode,
    pub deployment: u64,
    /// What stands in `x-pinrail-dial`.
    pub dial: Option<String>,
    pub retry_after: Option<String>,
    /// The answer's `model`: who really answered.
    pub served: String,
    pub text: String,
    /// The message as it came, with its tool calls.
    pub message: Value,
    pub body: Value,
}

/// A tool that the model wants to be called.
pub struct Call {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// Who calls the gateway.
#[derive(Clone, Copy, Default)]
pub struct Caller<'a> {
    pub session: Option<&'a str>,
    pub run: Option<&'a str>,
    pub tenant: Option<&'a str>,
}

impl Api {
    pub fn new(base: &str) -> Api {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER))
            .build()
            .new_agent();
        Api { agent, base: base.to_owned() }
    }

    /// Reads from the control API.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        understood(path, self.agent.get(self.url(path)).header("x-pinrail-tenant", TENANT).call()?)
    }

    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        understood(path, self.agent.post(self.url(path)).header("x-pinrail-tenant", TENANT).send_json(body)?)
    }

    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        understood(path, self.agent.put(self.url(path)).header("x-pinrail-tenant", TENANT).send_json(body)?)
    }

    /// Posts what may be refused: the status and the body, whatever they are.
    pub fn try_post(&self, path: &str, body: &Value) -> anyhow::Result<(StatusCode, Value)> {
        let mut answer = self.agent.post(self.url(path)).send_json(body)?;
        Ok((answer.status(), answer.body_mut().read_json()?))
    }

    /// Asks the agent, with the messages of a conversation.
    pub fn chat(&self, who: Caller<'_>, messages: &Value) -> anyhow::Result<Answer> {
        let url = format!("{}/v1/chat/completions", self.base);
        let mut request = self.agent.post(url).header("x-pinrail-tenant", who.tenant.unwrap_or(TENANT));
        for (name, value) in [("x-pinrail-session", who.session), ("x-pinrail-run", who.run)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut response = request.send_json(json!({ "model": AGENT, "messages": messages }))?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let deployment = header("x-pinrail-deployment").and_then(|id| id.parse().ok()).unwrap_or_default();
        let (dial, retry_after) = (header("x-pinrail-dial"), header("retry-after"));
        let status = response.status();
        let body: Value = response.body_mut().read_json().context("the gateway's answer is no JSON")?;
        let message = body["choices"][0]["message"].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (served, said) = (text(&body["model"]), text(&message["content"]));
        Ok(Answer { status, deployment, dial, retry_after, served, text: said, message, body })
    }

    /// A text's vector, by the embedder that the release pins.
    pub fn embed(&self, text: &str) -> anyhow::Result<Value> {
        let url = format!("{}/v1/embeddings", self.base);
        let body = json!({ "model": AGENT, "input": text });
        let answer = self.agent.post(url).header("x-pinrail-tenant", TENANT).send_json(body)?;
        Ok(understood("/v1/embeddings", answer)?["data"][0]["embedding"].take())
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.base)
    }
}

impl Answer {
    pub fn is_good(&self) -> bool {
        self.status.is_success()
    }

    /// The tools that it wants to be called.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.message["tool_calls"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        calls
            .map(|call| Call {
                id: text(&call["id"]),
                name: text(&call["function"]["name"]),
                arguments: serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or_default())
                    .unwrap_or(Value::Null),
            })
            .collect()
    }
}

/// The body of an answer that is a success; what the server says against it is the error otherwise.
fn understood(path: &str, mut answer: Response<Body>) -> anyhow::Result<Value> {
    let status = answer.status();
    let body: Value = answer.body_mut().read_json().with_context(|| format!("{path} answered no JSON"))?;
    let why = || body["detail"].as_str().or(body["error"]["message"].as_str()).unwrap_or_default();
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {}", why());
    Ok(body)
}
