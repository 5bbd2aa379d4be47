//! What the journal keeps of a tool's call: as much as the agent's policy says.

use pinrail_control::runs::EVENT_BYTES_MAX;
use pinrail_domain::agent::Bodies;
use pinrail_domain::digest::Digest;
use serde_json::{Value, json};

/// Room for an event's other fields.
const BESIDES: usize = 4 << 10;

/// Arguments or a result as they are kept. What is too long for an event is kept as its digest.
pub fn kept(value: &Value, bodies: Bodies) -> Value {
    let text = value.to_string();
    let digest = || json!({ "digest": Digest::of(text.as_bytes()), "bytes": text.len() });
    match bodies {
        Bodies::Off => Value::Null,
        Bodies::Digest => digest(),
        Bodies::Full if text.len() + BESIDES > EVENT_BYTES_MAX => digest(),
        Bodies::Full => value.clone(),
    }
}
