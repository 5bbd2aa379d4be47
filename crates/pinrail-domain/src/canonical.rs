//! Canonical JSON (RFC 8785): one text for one value, so that a digest names content and not spelling.

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;

/// A value that two correct RFC 8785 implementations could write differently, or that is no JSON.
#[derive(Debug, thiserror::Error)]
pub enum NotCanonical {
    #[error(
        "the number {0} would be written as an integer beyond 2^53, which readers cannot tell from its neighbours"
    )]
    UnsafeInteger(String),
    #[error("the value is not JSON")]
    NotJson(#[source] serde_json::Error),
}

/// The canonical bytes of `value`.
///
/// Numbers that would be written as integers beyond 2^53 are refused: RFC 8785 reads every number as an
/// IEEE double, so they would silently collide. From 1e21 on the form has an exponent and reads back alike.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    let value = serde_json::to_value(value).map_err(NotCanonical::NotJson)?;
    refuse_unsafe_integers(&value)?;
    serde_json_canonicalizer::to_vec(&value).map_err(NotCanonical::NotJson)
}

/// The digest of the canonical bytes of `value`.
pub fn digest<T: Serialize>(value: &T) -> Result<Digest, NotCanonical> {
    to_vec(value).map(|bytes| Digest::of(&bytes))
}

/// 2^53 - 1, the largest integer that I-JSON (RFC 7493) calls interoperable.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

fn refuse_unsafe_integers(value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => {
            let magnitude = match (number.as_u64(), number.as_i64()) {
                (Some(positive), _) => positive,
                (None, Some(negative)) => negative.unsigned_abs(),
                (None, None) => float_written_as_integer(number.as_f64().unwrap_or_default()),
            };
            if magnitude > SAFE_INTEGER_MAX {
                return Err(NotCanonical::UnsafeInteger(number.to_string()));
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(refuse_unsafe_integers),
        Value::Object(fields) => fields.values().try_for_each(refuse_unsafe_integers),
    }
}

/// The magnitude of a float that the canonical form writes without a point or exponent; else 0.
fn float_written_as_integer(float: f64) -> u64 {
    let magnitude = float.abs();
    // 2^64 and more saturates, which is beyond the limit all the same.
    if magnitude.fract() == 0.0 && magnitude < 1e21 { magnitude as u64 } else { 0 }
}

#[cfg(test)]
mod tests;
