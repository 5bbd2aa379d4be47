//! JSON-RPC 2.0, as far as the proxy speaks it.

use serde_json::{Map, Value, json};

/// A message that came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Request {
        id: Value,
        method: String,
        params: Map<String, Value>,
    },
    Notification {
        method: String,
        params: Map<String, Value>,
    },
    /// The proxy asks nothing, so nothing is answered.
    Response,
}

/// An error in answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: i64,
    pub message: String,
    pub data: Option<Value>,
}

pub const INVALID_REQUEST: i64 = -32_600;
pub const METHOD_NOT_FOUND: i64 = -32_601;
pub const INVALID_PARAMS: i64 = -32_602;
/// Pinrail refuses; `data.code` says why.
pub const REFUSED: i64 = -32_010;
/// The server behind the proxy didn't do its part; `data.code` says which.
pub const UPSTREAM: i64 = -32_011;

impl Message {
    /// Reads a message.
    pub fn read(value: Value) -> Result<Message, Fault> {
        let invalid = |what: &str| Fault::new(INVALID_REQUEST, what);
        let Value::Object(mut fields) = value else {
            return Err(invalid("the body is not one JSON-RPC message; batches are not taken"));
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("jsonrpc must be \"2.0\""));
        }
        let id = fields.remove("id");
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Err(invalid("method must be a string")),
            None if fields.contains_key("result") || fields.contains_key("error") => {
                return Ok(Message::Response);
            }
            None => return Err(invalid("method is missing")),
        };
        let params = match fields.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(invalid("params must be an object")),
        };
        match id {
            None => Ok(Message::Notification { method, params }),
            Some(id @ (Value::String(_) | Value::Number(_))) => Ok(Message::Request { id, method, params }),
            Some(_) => Err(invalid("id must be a string or a number")),
        }
    }
}

impl Fault {
    pub fn new(code: i64, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), data: None }
    }

    /// A refusal with a code for programs and a next step for people.
    pub fn refused(code: &'static str, message: String, next_step: &str) -> Fault {
        Fault::typed(REFUSED, code, message, next_step)
    }

    /// A failure of the server behind the proxy.
    pub fn upstream(code: &'static str, message: String, next_step: &str) -> Fault {
        Fault::typed(UPSTREAM, code, message, next_step)
    }

    /// What `data.code` says, where it says something.
    pub fn word(&self) -> Option<&str> {
        self.data.as_ref()?.get("code")?.as_str()
    }

    /// Adds a fact for programs.
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Fault {
        if let Some(Value::Object(data)) = &mut self.data {
            data.insert(name.to_owned(), value.into());
        }
        self
    }

    fn typed(code: i64, word: &'static str, message: String, next_step: &str) -> Fault {
        Fault { code, message, data: Some(json!({ "code": word, "next_step": next_step })) }
    }
}

/// A request's answer on the wire.
pub fn answer(id: Value, answered: Result<Value, Fault>) -> Value {
    match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(fault) => error(Some(id), fault),
    }
}

/// An error on the wire; one that no request can be named for has no id.
pub fn error(id: Option<Value>, fault: Fault) -> Value {
    let Fault { code, message, data } = fault;
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_or_refused() {
        let check = |text: &str, expected: &str| {
            let read = Message::read(serde_json::from_str(text).unwrap());
            let shown = match read {
                Ok(Message::Request { id, method, .. }) => format!("{method} {id}"),
                Ok(Message::Notification { method, .. }) => method,
                Ok(Message::Response) => "response".to_owned(),
                Err(fault) => fault.message,
            };
            assert!(shown.contains(expected), "{text}: {shown}");
        };
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "ping 1");
        check(r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}"#, "ping \"a\"");
        check(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, "notifications/initialized");
        check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response");
        check(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batches");
        check(r#"{"id":1,"method":"ping"}"#, "jsonrpc");
        check(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "id must be");
        check(r#"{"jsonrpc":"2.0","id":1}"#, "method is missing");
        check(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, "params");
    }
}
