//! One request to one replica, and what may be believed of its answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What came of a request.
#[derive(Clone, Debug)]
pub enum Said {
    /// It was done, and this is what the server says of it.
    Done(Value),
    /// It was refused, with a reason.
    Refused { status: u16, code: String },
    /// No answer, or half of one: perhaps it was done.
    Lost,
    /// An answer that no server may give: a success without what was asked for, or a refusal without a reason.
    Untrue(String),
}

/// A request, to be sent to any replica, and again with the same key.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: Option<String>,
    session: Option<String>,
}

/// How long an answer may take. A replica that waits for a database that is gone answers well before.
const ANSWER: Duration = Duration::from_secs(20);

impl Ask {
    pub fn get(path: impl Into<String>) -> Ask {
        Ask { method: "GET", path: path.into(), body: None, key: None, session: None }
    }

    /// Does something once, however often it is sent.
    pub fn once(key: impl Into<String>, path: impl Into<String>, body: Value) -> Ask {
        Ask { method: "POST", path: path.into(), body: Some(body), key: Some(key.into()), session: None }
    }

    pub fn put(key: impl Into<String>, path: impl Into<String>, body: Value) -> Ask {
        Ask { method: "PUT", ..Ask::once(key, path, body) }
    }

    /// A question to a model, within a conversation.
    pub fn chat(agent: &str, session: &str) -> Ask {
        let body = serde_json::json!({ "model": agent, "messages": [{ "role": "user", "content": "Who are you?" }] });
        let session = Some(session.to_owned());
        Ask { method: "POST", path: "/v1/chat/completions".to_owned(), body: Some(body), key: None, session }
    }

    /// Sends it to the replica on a port.
    pub async fn send(&self, port: u16) -> Said {
        self.send_within(port, ANSWER).await
    }

    /// The same, for as long as a client waits that can ask another replica.
    pub async fn send_within(&self, port: u16, patience: Duration) -> Said {
        match tokio::time::timeout(patience, self.exchange(port)).await {
            Ok(Ok((status, truthful, body))) => judge(&self.path, status, truthful, &body),
            Ok(Err(_)) | Err(_) => Said::Lost,
        }
    }

    async fn exchange(&self, port: u16) -> anyhow::Result<(u16, bool, Bytes)> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(&self.path).header("host", "127.0.0.1");
        for (name, value) in [("idempotency-key", &self.key), ("x-pinrail-session", &self.session)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let request =
            request.header("content-type", "application/json").body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let is_json = kind.is_some_and(|kind| kind.contains("json"));
        Ok((status, is_json, answer.into_body().collect().await?.to_bytes()))
    }
}

fn judge(path: &str, status: u16, is_json: bool, body: &[u8]) -> Said {
    let untrue = |why: &str| {
        let body: String = String::from_utf8_lossy(body).chars().take(200).collect();
        Said::Untrue(format!("{path} was answered {status} {why}: {body}"))
    };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return untrue("with something that is no JSON");
    };
    if !is_json {
        return untrue("with JSON that isn't called so");
    }
    if (200..300).contains(&status) {
        return match path.starts_with("/v1/") && value["choices"][0]["message"]["content"].as_str().is_none()
        {
            true => untrue("without an answer"),
            false => Said::Done(value),
        };
    }
    // Problems say `code`; errors of the model APIs say it in their own place.
    let code = value["code"].as_str().or_else(|| value["error"]["code"].as_str());
    match code {
        Some(code) if status >= 400 => Said::Refused { status, code: code.to_owned() },
        Some(_) | None => untrue("without a reason"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_true_is_believed() {
        let problem = br#"{"code":"store_unavailable"}"#;
        assert!(matches!(judge("/api/v1/runs", 200, true, b"{}"), Said::Done(_)));
        assert!(matches!(judge("/api/v1/runs", 503, true, problem), Said::Refused { status: 503, .. }));
        assert!(matches!(judge("/api/v1/runs", 503, true, b"{}"), Said::Untrue(_)));
        assert!(matches!(judge("/api/v1/runs", 200, true, b""), Said::Untrue(_)));
        assert!(matches!(judge("/api/v1/runs", 503, false, problem), Said::Untrue(_)));
        assert!(matches!(judge("/v1/chat/completions", 200, true, b"{}"), Said::Untrue(_)));
    }
}
