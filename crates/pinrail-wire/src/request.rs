//! What all dialects' requests have in common: one JSON object, read as its top-level fields, values untouched.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{FIELDS_MAX, Fields, Str};

/// Says what is wrong with a request, by the name of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is not UTF-8 text at byte {at}")]
    NotUtf8 { at: usize },
    #[error("the body is not JSON: {reason}")]
    NotJson { reason: String },
    #[error("the body must be a JSON object")]
    NotAnObject,
    #[error("{} has more than {fields_max} fields", in_field(.field.as_deref()))]
    TooManyFields { field: Option<String>, fields_max: usize },
    #[error("`{field}` is given twice")]
    Duplicate { field: String },
    #[error("`{field}` is missing; it must be {expected}")]
    Missing { field: String, expected: &'static str },
    #[error("`{field}` must be {expected}")]
    Wrong { field: String, expected: &'static str },
}

impl RequestError {
    /// Names the field at fault, for the `param` of an error answer.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            RequestError::NotUtf8 { .. } | RequestError::NotJson { .. } | RequestError::NotAnObject => None,
            RequestError::TooManyFields { field, .. } => field.as_deref(),
            RequestError::Duplicate { field }
            | RequestError::Missing { field, .. }
            | RequestError::Wrong { field, .. } => Some(field),
        }
    }
}

/// Prefix of the `metadata` keys that speak to Pinrail and never go upstream.
pub(crate) const METADATA_PREFIX: &str = "pinrail_";

/// The top-level field that speaks to Pinrail and never goes upstream.
pub(crate) const OWN_FIELD: &str = "pinrail";

/// Reads a body's top-level fields; call [`crate::json::check_depth`] on it before.
pub(crate) fn fields(body: &[u8]) -> Result<Fields<'_>, RequestError> {
    let text =
        std::str::from_utf8(body).map_err(|error| RequestError::NotUtf8 { at: error.valid_up_to() })?;
    let fields = Fields::read(text).map_err(|error| {
        if error.is_data() {
            RequestError::NotAnObject
        } else {
            RequestError::NotJson { reason: error.to_string() }
        }
    })?;
    check_fields(&fields, None)?;
    Ok(fields)
}

/// Reads `metadata`, whose keys that speak to Pinrail must be texts.
pub(crate) fn metadata(value: &RawValue) -> Result<Fields<'_>, RequestError> {
    let metadata = object("metadata", value)?;
    for (key, value) in &metadata.list {
        if key.starts_with(METADATA_PREFIX) {
            string(&format!("metadata.{key}"), value)?;
        }
    }
    Ok(metadata)
}

fn in_field(field: Option<&str>) -> String {
    field.map_or_else(|| "the body".to_owned(), |name| format!("`{name}`"))
}

pub(crate) fn missing(field: &str, expected: &'static str) -> RequestError {
    RequestError::Missing { field: field.to_owned(), expected }
}

pub(crate) fn wrong(field: &str, expected: &'static str) -> RequestError {
    RequestError::Wrong { field: field.to_owned(), expected }
}

pub(crate) fn string<'a>(field: &str, value: &'a RawValue) -> Result<Cow<'a, str>, RequestError> {
    serde_json::from_str(value.get()).map(|Str(text)| text).map_err(|_| wrong(field, "a string"))
}

pub(crate) fn flag(field: &str, value: &RawValue) -> Result<bool, RequestError> {
    match value.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(field, "true or false")),
    }
}

pub(crate) fn object<'a>(field: &str, value: &'a RawValue) -> Result<Fields<'a>, RequestError> {
    let fields = Fields::read(value.get()).map_err(|_| wrong(field, "an object"))?;
    check_fields(&fields, Some(field))?;
    Ok(fields)
}

fn check_fields(fields: &Fields<'_>, of: Option<&str>) -> Result<(), RequestError> {
    if fields.overflow {
        return Err(RequestError::TooManyFields { field: of.map(str::to_owned), fields_max: FIELDS_MAX });
    }
    match fields.duplicate() {
        Some(key) => {
            let field = of.map_or_else(|| key.to_owned(), |of| format!("{of}.{key}"));
            Err(RequestError::Duplicate { field })
        }
        None => Ok(()),
    }
}
