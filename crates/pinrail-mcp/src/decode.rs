//! A server's messages: read as the official crate reads them, but for results, which stay the JSON that they are.

use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::model::{
    CustomResult, ErrorData, InitializeResult, JsonRpcError, JsonRpcMessage, JsonRpcResponse, RequestId,
    ServerJsonRpcMessage, ServerResult,
};
use serde_json::Value;

/// Reads the messages of one connection.
#[derive(Default)]
pub struct Decoder {
    /// The first result answers `initialize`, the only one whose shape the handshake needs.
    greeted: AtomicBool,
}

impl Decoder {
    /// A message, or in words why it is none.
    pub fn message(&self, bytes: &[u8]) -> Result<ServerJsonRpcMessage, String> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
        let fault = |error: serde_json::Error| format!("it is no JSON-RPC message: {error}");
        let Value::Object(mut fields) = value else { return Err("it is no JSON-RPC message".to_owned()) };
        if fields.contains_key("method") || !fields.contains_key("result") {
            return serde_json::from_value(Value::Object(fields)).map_err(fault);
        }
        let id: RequestId = serde_json::from_value(fields.remove("id").unwrap_or_default()).map_err(fault)?;
        let result = fields.remove("result").unwrap_or_default();
        let result = if self.greeted.swap(true, Ordering::Relaxed) {
            ServerResult::CustomResult(CustomResult(result))
        } else {
            let greeting: InitializeResult = serde_json::from_value(result).map_err(fault)?;
            ServerResult::InitializeResult(greeting)
        };
        Ok(JsonRpcMessage::Response(JsonRpcResponse { jsonrpc: Default::default(), id, result }))
    }
}

/// An error in the place of an answer that never came.
pub fn broken(id: RequestId, why: String) -> ServerJsonRpcMessage {
    let code = rmcp::model::ErrorCode(BROKEN);
    let error = ErrorData { code, message: why.into(), data: None };
    JsonRpcMessage::Error(JsonRpcError { jsonrpc: Default::default(), id: Some(id), error })
}

/// The code of [`broken`], of those that the protocol leaves to implementations.
pub const BROKEN: i32 = -32_099;
