//! Where an agent's sessions and tenants are read from, in the requests of clients that know nothing of Pinrail.
//!
//! What names Pinrail's own words (`x-pinrail-session`, `pinrail.session`, `metadata.pinrail_session`) wins. Without that the
//! agent's sources are asked in their order, and the first that says something counts. A session is named
//! `SOURCE:VALUE`, so that two sources never mean the same by chance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An agent's sources. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySpec {
    /// Where sessions are read from.
    #[serde(default = "sessions_default")]
    pub session: Vec<Source>,
    /// Where tenants are read from; the value must be a tenant's name as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenant: Vec<Source>,
}

/// A place of a request that clients fill in anyway. Stored, by its text: never rename.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// `user` of OpenAI's dialects, `metadata.user_id` of Anthropic's.
    User,
    /// OpenAI's `safety_identifier`.
    SafetyIdentifier,
    /// OpenAI's `prompt_cache_key`.
    PromptCacheKey,
    /// OpenAI's responses go on from an earlier one; all of them stay where the first was answered.
    PreviousResponseId,
    /// OpenAI's `conversation`, by its id.
    Conversation,
    /// A key of the body's `metadata`.
    Metadata(String),
    /// A key of the header `baggage` (W3C Baggage).
    Baggage(String),
    /// A header.
    Header(String),
}

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentity {
    #[error(
        "`{0}` is no source; there are user, safety_identifier, prompt_cache_key, previous_response_id, conversation, \
         metadata.KEY, baggage.KEY and header.NAME"
    )]
    Unknown(String),
    #[error("`{0}` carries secrets or names things of Pinrail's own; use another header")]
    Header(String),
    #[error("`{0}` says which answer a call goes on from, and no tenant")]
    NoTenant(Source),
    #[error("{list} lists `{source_name}` twice")]
    Twice { list: &'static str, source_name: Source },
    #[error("{list} has {got} sources; at most {SOURCES_MAX} are asked")]
    TooMany { list: &'static str, got: usize },
}

/// Sources that are asked in turn, on every call.
pub const SOURCES_MAX: usize = 8;
/// The longest key or header name: OpenAI's limit for keys of `metadata`.
pub const KEY_BYTES_MAX: usize = 64;

/// Headers whose values are nobody's to keep (I15).
const SECRET: [&str; 6] =
    ["authorization", "api-key", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"];
const OURS: &str = "x-pinrail-";

impl Default for IdentitySpec {
    fn default() -> IdentitySpec {
        IdentitySpec { session: sessions_default(), tenant: Vec::new() }
    }
}

fn sessions_default() -> Vec<Source> {
    vec![Source::User]
}

impl IdentitySpec {
    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadIdentity> {
        for (list, sources) in [("identity.session", &self.session), ("identity.tenant", &self.tenant)] {
            if sources.len() > SOURCES_MAX {
                return Err(BadIdentity::TooMany { list, got: sources.len() });
            }
            for (index, source) in sources.iter().enumerate() {
                if sources[..index].contains(source) {
                    return Err(BadIdentity::Twice { list, source_name: source.clone() });
                }
            }
        }
        let chains = |source: &&Source| **source == Source::PreviousResponseId;
        match self.tenant.iter().find(chains) {
            Some(source) => Err(BadIdentity::NoTenant(source.clone())),
            None => Ok(()),
        }
    }

    /// Whether a session goes on from answers.
    #[must_use]
    pub fn follows_answers(&self) -> bool {
        self.session.contains(&Source::PreviousResponseId)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::User => to.write_str("user"),
            Source::SafetyIdentifier => to.write_str("safety_identifier"),
            Source::PromptCacheKey => to.write_str("prompt_cache_key"),
            Source::PreviousResponseId => to.write_str("previous_response_id"),
            Source::Conversation => to.write_str("conversation"),
            Source::Metadata(key) => write!(to, "metadata.{key}"),
            Source::Baggage(key) => write!(to, "baggage.{key}"),
            Source::Header(name) => write!(to, "header.{name}"),
        }
    }
}

impl FromStr for Source {
    type Err = BadIdentity;

    fn from_str(text: &str) -> Result<Source, BadIdentity> {
        let unknown = || BadIdentity::Unknown(text[..text.floor_char_boundary(KEY_BYTES_MAX)].to_owned());
        let key = |key: &str| {
            let fits =
                !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(|b| b.is_ascii_graphic());
            if fits { Ok(key.to_owned()) } else { Err(unknown()) }
        };
        Ok(match (text, text.split_once('.')) {
            ("user", _) => Source::User,
            ("safety_identifier", _) => Source::SafetyIdentifier,
            ("prompt_cache_key", _) => Source::PromptCacheKey,
            ("previous_response_id", _) => Source::PreviousResponseId,
            ("conversation", _) => Source::Conversation,
            (_, Some(("metadata", name))) => Source::Metadata(key(name)?),
            (_, Some(("baggage", name))) => Source::Baggage(key(name)?),
            (_, Some(("header", name))) => {
                let name = key(name)?.to_ascii_lowercase();
                if SECRET.contains(&name.as_str()) || name.starts_with(OURS) {
                    return Err(BadIdentity::Header(name));
                }
                Source::Header(name)
            }
            (_, _) => return Err(unknown()),
        })
    }
}

impl TryFrom<String> for Source {
    type Error = BadIdentity;

    fn try_from(text: String) -> Result<Source, BadIdentity> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_they_are_read() {
        for text in [
            "user",
            "safety_identifier",
            "prompt_cache_key",
            "previous_response_id",
            "conversation",
            "metadata.session.id",
            "baggage.session.id",
            "header.x-session-id",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        assert_eq!("header.X-Session".parse::<Source>().unwrap(), Source::Header("x-session".into()));
    }

    #[test]
    fn what_can_be_no_source_is_refused() {
        let check = |text: &str, part: &str| {
            let refused = text.parse::<Source>().unwrap_err().to_string();
            assert!(refused.contains(part), "{text}: {refused}");
        };
        check("sessions", "is no source");
        check("metadata.", "is no source");
        check("metadata.a b", "is no source");
        // I15: what authenticates somebody would be kept as their session.
        check("header.Authorization", "secrets");
        check("header.x-api-key", "secrets");
        check("header.x-pinrail-run", "Pinrail's own");
    }

    #[test]
    fn lists_are_short_and_say_each_thing_once() {
        let spec = |session: &[&str], tenant: &[&str]| IdentitySpec {
            session: session.iter().map(|text| text.parse().unwrap()).collect(),
            tenant: tenant.iter().map(|text| text.parse().unwrap()).collect(),
        };
        assert_eq!(IdentitySpec::default().check(), Ok(()));
        assert!(spec(&["previous_response_id", "user"], &["baggage.tenant"]).follows_answers());
        assert!(matches!(spec(&["user", "user"], &[]).check(), Err(BadIdentity::Twice { .. })));
        assert!(matches!(spec(&[], &["previous_response_id"]).check(), Err(BadIdentity::NoTenant(_))));
        let many: Vec<String> = (0..9).map(|n| format!("metadata.k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(spec(&many, &[]).check(), Err(BadIdentity::TooMany { got: 9, .. })));
    }
}
