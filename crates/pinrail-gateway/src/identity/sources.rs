//! What clients say of sessions and tenants in their own ways, by the agent's settings.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::HeaderMap;
use percent_encoding::percent_decode_str;
use pinrail_domain::id::TenantId;
use pinrail_domain::identity::Source;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Says, shown};
use crate::failure::Failure;

/// The first source that says something, and what it says.
pub fn first<'s, 'a>(
    sources: &'s [Source],
    headers: &HeaderMap,
    request: &impl Says<'a>,
) -> Result<Option<(&'s Source, String)>, Failure> {
    for source in sources {
        let said = match source {
            Source::User => text(request, request.user_at())?,
            Source::SafetyIdentifier => text(request, "safety_identifier")?,
            Source::PromptCacheKey => text(request, "prompt_cache_key")?,
            Source::PreviousResponseId => text(request, "previous_response_id")?,
            Source::Conversation => conversation(request),
            Source::Metadata(key) => text(request, &format!("metadata.{key}"))?,
            Source::Baggage(key) => baggage(headers, key),
            Source::Header(name) => {
                headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            }
        };
        if let Some(said) = said.map(|said| said.trim().to_owned()).filter(|said| !said.is_empty()) {
            return Ok(Some((source, said)));
        }
    }
    Ok(None)
}

/// A tenant, which must be named as tenants are.
pub fn tenant(from: &Source, value: &str) -> Result<TenantId, Failure> {
    value.parse().map_err(|bad| {
        let message = format!("`{from}` names the tenant, and `{}` is {bad}", shown(value));
        Failure::bad_request("invalid_identity", message).about(from.to_string())
    })
}

/// The text at a place of the body: a top-level field, or one of `metadata`.
fn text<'a>(request: &impl Says<'a>, place: &str) -> Result<Option<String>, Failure> {
    let found = match place.strip_prefix("metadata.") {
        None => request.field(place),
        Some(key) => {
            let Some(metadata) = request.field("metadata") else { return Ok(None) };
            let fields: BTreeMap<Cow<'a, str>, &'a RawValue> =
                serde_json::from_str(metadata.get()).expect("the request's reader found an object");
            fields.get(key).copied().filter(|value| value.get() != "null")
        }
    };
    let read = |value: &RawValue| {
        serde_json::from_str(value.get()).map_err(|_| {
            let message = format!("`{place}` must be a string");
            Failure::bad_request("invalid_request", message).about(place.to_owned())
        })
    };
    found.map(read).transpose()
}

/// `conversation` is an id, or an object with one.
fn conversation<'a>(request: &impl Says<'a>) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Conversation {
        Id(String),
        Object { id: String },
    }
    match serde_json::from_str(request.field("conversation")?.get()).ok()? {
        Conversation::Id(id) | Conversation::Object { id } => Some(id),
    }
}

/// A member of `baggage`: `key=value;properties`, separated by commas, values percent-encoded (W3C Baggage, 3.3).
fn baggage(headers: &HeaderMap, key: &str) -> Option<String> {
    let lists = headers.get_all("baggage").iter().filter_map(|value| value.to_str().ok());
    let mut members = lists.flat_map(|list| list.split(','));
    members.find_map(|member| {
        let (name, rest) = member.split_once('=')?;
        let value = rest.split(';').next().unwrap_or_default().trim();
        (name.trim() == key).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
    })
}
