//! Attributes of spans and log records.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

/// An attribute that is a text.
pub fn text(key: &str, value: &str) -> KeyValue {
    with(key, Value::StringValue(value.to_owned()))
}

/// An attribute that is a number.
pub fn number(key: &str, value: u64) -> KeyValue {
    with(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// An attribute that is a list of texts.
pub fn texts(key: &str, values: &[&str]) -> KeyValue {
    let values = values.iter().map(|value| any(Value::StringValue((*value).to_owned()))).collect();
    with(key, Value::ArrayValue(ArrayValue { values }))
}

/// An attribute.
pub fn with(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

/// A value on its own.
pub fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
