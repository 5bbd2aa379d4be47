//! The names and numbers that identify things. Each is a type of its own, checked where it is made.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;

/// A text that breaks the rules of its kind of name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct BadName {
    pub kind: &'static str,
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(text: &str) -> Result<Self, BadName> {
                if $accepts(text) { Ok(Self(text.into())) } else { Err(BadName { kind: $kind, rule: $rule }) }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// An agent, as callers name it in `model`.
    AgentName, "agent name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// A segment of an agent's traffic.
    SegmentName, "segment name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// A model provider, as `pinrail.toml` names it.
    ProviderName, "provider name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// An MCP server, as `pinrail.toml` names it.
    McpServerName, "MCP server name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// A data job, as `deploy open --ingest` names it.
    IngestName, "ingest name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// A webhook, as `pinrail.toml` names it.
    WebhookName, "webhook name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// A collection of shared context or of vectors, as releases and callers name it.
    CollectionName, "space name", is_slug, "1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
name!(
    /// Whose data it is. Callers that know no tenants share [`TenantId::shared`].
    TenantId, "tenant", is_token, "1 to 128 printable ASCII characters without spaces");
name!(
    /// A conversation. The caller chooses it; it means something only within one agent and tenant.
    SessionId, "session", is_token, "1 to 128 printable ASCII characters without spaces");
name!(
    /// A tool's name as the model sees it.
    ToolName, "tool name", is_token, "1 to 128 printable ASCII characters without spaces");
name!(
    /// A gateway or worker, as its operator names it: a host or a pod, for example.
    MemberName, "member name", is_token, "1 to 128 printable ASCII characters without spaces");
name!(
    /// What a caller sends as `Idempotency-Key`.
    IdempotencyKey, "idempotency key", is_token, "1 to 128 printable ASCII characters without spaces");

impl SegmentName {
    /// The last segment of every agent: all traffic that matched no other.
    pub const DEFAULT: &'static str = "default";

    #[must_use]
    pub fn default_segment() -> SegmentName {
        SegmentName(Self::DEFAULT.into())
    }
}

impl TenantId {
    /// The tenant of callers that name none.
    #[must_use]
    pub fn shared() -> TenantId {
        TenantId("default".into())
    }
}

fn is_slug(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first
        && text.len() <= 64
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A deployment: the transaction id that stamps every run. 0 is the ground, which is always visible.
    DeploymentId);
number!(
    /// Rises by one with every pointer, commit-status or dial change.
    Epoch);
number!(
    /// A ledger entry's place; the first entry is 1, so 0 is "before everything".
    LedgerSeq);
number!(
    /// An event's place in its run's journal; the `plan` event is 0.
    EventSeq);
number!(
    /// How often a member has registered: rises by one each time, so that what an earlier one of the same name still
    /// sends is told apart.
    Generation);
number!(
    /// A record's place in the order of all state; the first is 1, so 0 is "before everything".
    StateSeq);

/// A release: the digest of its manifest's canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub Digest);

impl ReleaseId {
    #[must_use]
    pub fn short(&self) -> String {
        self.0.short()
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReleaseId({})", self.short())
    }
}

macro_rules! timed {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $(#[$nodoc:meta])* $not:ident, $refusal:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        $(#[$nodoc])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error($refusal)]
        pub struct $not;

        impl $name {
            const PREFIX: &'static str = $prefix;

            /// Makes an id from a time in Unix milliseconds and 80 random bits.
            #[must_use]
            pub fn from_parts(ms: u64, random: u128) -> $name {
                $name(ulid::Ulid::from_parts(ms, random).0)
            }

            /// The time it was made at, in Unix milliseconds, by the clock of whoever made it.
            #[must_use]
            pub fn made_at_ms(self) -> u64 {
                ulid::Ulid(self.0).timestamp_ms()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; ulid::ULID_LEN];
                let text = ulid::Ulid(self.0).array_to_str(&mut buffer);
                text.make_ascii_lowercase();
                f.write_str(Self::PREFIX)?;
                f.write_str(text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = $not;

            fn from_str(text: &str) -> Result<Self, $not> {
                let body = text.strip_prefix(Self::PREFIX).ok_or($not)?;
                let id = $name(ulid::Ulid::from_string(body).map_err(|_| $not)?.0);
                // The alphabet has synonyms (upper case, I for 1): one id has one spelling.
                if id.to_string() == text { Ok(id) } else { Err($not) }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

timed!(
    /// One run: a ULID, so ids sort by the time they were made; written `run_` and 26 characters.
    RunId, "run_",
    /// A text that is not a run id.
    NotARunId, "not a run id: expected `run_` and 26 characters");
timed!(
    /// One gate: an eval of a candidate against its incumbent. A ULID, written `gate_` and 26 characters.
    GateId, "gate_",
    /// A text that is not a gate's id.
    NotAGateId, "not a gate's id: expected `gate_` and 26 characters");

timed!(
    /// One tool call that waits for a person. A ULID, written `appr_` and 26 characters.
    ApprovalId, "appr_",
    /// A text that is not an approval's id.
    NotAnApprovalId, "not an approval's id: expected `appr_` and 26 characters");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_where_they_are_made() {
        for good in ["a", "support", "0.x_y-z", &"a".repeat(64)] {
            assert_eq!(AgentName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", ".a", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(AgentName::new(bad).is_err(), "{bad}");
        }
        for bad in ["", "a b", "\n", "ä", &"x".repeat(129)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_id_has_one_spelling_and_sorts_by_time() {
        let early = RunId::from_parts(1_000, u128::MAX);
        let late = RunId::from_parts(1_001, 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!((early.made_at_ms(), late.made_at_ms()), (1_000, 1_001));
        for bad in ["", "run_", &late.to_string().to_uppercase(), "run_zzzzzzzzzzzzzzzzzzzzzzzzzz"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
        assert!(late.to_string().replace("run_0", "run_o").parse::<RunId>().is_err());
    }
}
