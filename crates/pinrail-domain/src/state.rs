//! State that belongs to deployments: memory, shared context and vectors, by one mechanism.
//!
//! Everything written is an [`Operation`] on a key of a [`Space`]: a put or a delete, stamped with the deployment
//! that made it and placed in one sequence for all of the store. Nothing is overwritten. What a reader sees is
//! decided by one rule ([`view`]): **replay, in sequence order, the operations that count for this reader; the last
//! one on a key wins**. So a later operation on a key is an *end* of every earlier one, and ends only for those
//! readers for whom it counts: delete → rollback → delete needs nothing special.
//!
//! Start reading at [`view`] (what counts for whom), then [`index`] (the rule kept up to date for one space).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canonical;
use crate::digest::Digest;
use crate::id::{
    AgentName, BadName, CollectionName, DeploymentId, LedgerSeq, RunId, SessionId, StateSeq, TenantId,
};
use crate::time::Timestamp;

pub mod bits;
pub mod collect;
pub mod derive;
pub mod index;
pub mod manifest;
pub mod model;
pub mod view;

/// A layer of state that deployments version. Stored as this number: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Memory = 1,
    Context = 2,
    Vectors = 3,
}

/// One named collection of one tenant in a layer (I11).
///
/// Its name says what it is: `AGENT/SESSION` in memory, `NAME` in shared context, `NAME@EMBEDDER` in vectors, with
/// the first 12 hex digits of the embedder's digest, since vectors of two embedders are never compared (I12).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Space {
    pub tenant: TenantId,
    pub layer: Layer,
    pub name: SpaceName,
}

/// A space's name within its tenant and layer: 1 to 256 printable ASCII characters without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceName(std::sync::Arc<str>);

/// What an operation is about within its space: 1 to 512 bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(std::sync::Arc<str>);

/// A point in the world's history: everything up to these two places, inclusive.
///
/// Records and ledger entries are in one order: each record carries the ledger's head at its own append.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// The last record.
    pub state: StateSeq,
    /// The last ledger entry.
    pub ledger: LedgerSeq,
}

/// Where a record comes from. Stored as this number: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An agent concluded it: it belongs to its run's deployment.
    Run = 0,
    /// A fact from outside, such as what the user said: it lies on the ground and survives every rollback.
    External = 1,
    /// A data job wrote it: it belongs to an ingest deployment.
    Ingest = 2,
}

/// What an operation does to its key. Stored as this number: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    Put = 0,
    Delete = 1,
}

/// Who writes: every operation of one write has the same author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub deployment: DeploymentId,
    pub origin: Origin,
    /// None for a data job or an operator's own write.
    pub run: Option<RunId>,
    /// The run's agent, for the map of who writes where.
    pub agent: Option<AgentName>,
}

/// An operation in its place, as far as visibility needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub seq: StateSeq,
    /// The ledger's head when it was appended.
    pub ledger: LedgerSeq,
    pub deployment: DeploymentId,
    pub key: StateKey,
    pub op: Op,
}

/// An operation with all that is kept of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub space: Space,
    pub operation: Operation,
    pub at: Timestamp,
    pub origin: Origin,
    pub run: Option<RunId>,
    /// The records that it was derived from.
    pub parents: Vec<StateSeq>,
    pub content: Content,
    /// The digest of the content, kept when the content is erased.
    pub content_digest: Digest,
    /// [`digest`] as it was computed before the append.
    pub digest: Digest,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A delete says nothing.
    Nothing,
    Value(Value),
    /// Erased by right; the ledger says when and why.
    Erased,
}

/// A put's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Makes the digest prove nothing to whoever guesses at erased content: erased with it.
    pub salt: Salt,
    /// Compact JSON.
    pub json: String,
    pub vector: Option<Vec<f32>>,
}

/// Random bytes beside a value.
pub type Salt = [u8; 16];

/// The longest name: an agent, a slash and a session are 193 characters.
pub const SPACE_NAME_BYTES_MAX: usize = 256;
/// Longer than a URL that people type; content belongs into the value.
pub const KEY_BYTES_MAX: usize = 512;
/// A value is a turn, a fact or a passage, not a document.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// A conclusion rests on a few records; one that rests on more can name a record that sums them up.
pub const PARENTS_MAX: usize = 64;

impl Layer {
    pub const ALL: [Layer; 3] = [Layer::Memory, Layer::Context, Layer::Vectors];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Memory => "memory",
            Layer::Context => "context",
            Layer::Vectors => "vectors",
        }
    }
}

impl Space {
    /// The memory of one session of an agent.
    #[must_use]
    pub fn memory(tenant: TenantId, agent: &AgentName, session: &SessionId) -> Space {
        Space { tenant, layer: Layer::Memory, name: SpaceName(format!("{agent}/{session}").into()) }
    }

    /// A space of shared context.
    #[must_use]
    pub fn context(tenant: TenantId, name: &CollectionName) -> Space {
        Space { tenant, layer: Layer::Context, name: SpaceName(name.as_str().into()) }
    }

    /// The index of a vector space for one embedder.
    #[must_use]
    pub fn vectors(tenant: TenantId, name: &CollectionName, embedder: Digest) -> Space {
        Space {
            tenant,
            layer: Layer::Vectors,
            name: SpaceName(format!("{name}@{}", embedder.short()).into()),
        }
    }
}

impl Value {
    /// The digest of the content: salt, JSON and the vector's bytes, each with its length before it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let vector = self.vector.as_deref().map(vector_bytes).unwrap_or_default();
        let mut bytes = Vec::with_capacity(self.salt.len() + self.json.len() + vector.len() + 16);
        bytes.extend_from_slice(&self.salt);
        for part in [self.json.as_bytes(), &vector] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Digest::of(&bytes)
    }
}

impl Content {
    /// What [`Record::content_digest`] must be; none where the content was erased.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Content::Nothing => Some(Digest::ZERO),
            Content::Value(value) => Some(value.digest()),
            Content::Erased => None,
        }
    }
}

impl Record {
    /// Recomputes the digests from what the record holds now; true when they are what they were.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let content_fits = self.content.digest().is_none_or(|digest| digest == self.content_digest);
        let Operation { deployment, key, op, .. } = &self.operation;
        let author = Author { deployment: *deployment, origin: self.origin, run: self.run, agent: None };
        content_fits
            && digest(&self.space, key, *op, &author, &self.parents, self.content_digest) == self.digest
    }
}

/// A record's digest: everything but its place in the sequence, which the store gives it.
#[must_use]
pub fn digest(
    space: &Space,
    key: &StateKey,
    op: Op,
    author: &Author,
    parents: &[StateSeq],
    content: Digest,
) -> Digest {
    #[derive(Serialize)]
    struct Hashed<'a> {
        space: &'a Space,
        key: &'a StateKey,
        op: Op,
        deployment: DeploymentId,
        origin: Origin,
        run: Option<RunId>,
        parents: &'a [StateSeq],
        content: Digest,
    }
    let Author { deployment, origin, run, agent: _ } = author;
    let hashed =
        Hashed { space, key, op, deployment: *deployment, origin: *origin, run: *run, parents, content };
    canonical::digest(&hashed).expect("names and small numbers have a canonical form")
}

/// A vector as it is stored: little-endian, four bytes a component.
#[must_use]
pub fn vector_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}

/// The vector that [`vector_bytes`] wrote; none where the bytes don't come from there.
#[must_use]
pub fn vector_from(bytes: &[u8]) -> Option<Vec<f32>> {
    let (components, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// A text that is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a moment: expected the last record and the last ledger entry, such as 1200.87")]
pub struct NotAMoment;

/// `STATE.LEDGER`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.state, self.ledger)
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Moment, NotAMoment> {
        let number = |text: &str| {
            let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
            is_plain.then(|| text.parse::<u64>().ok()).flatten().ok_or(NotAMoment)
        };
        let (state, ledger) = text.split_once('.').ok_or(NotAMoment)?;
        Ok(Moment { state: StateSeq(number(state)?), ledger: LedgerSeq(number(ledger)?) })
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layer {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Layer, BadName> {
        let found = Layer::ALL.into_iter().find(|layer| layer.as_str() == text);
        found.ok_or(BadName { kind: "layer", rule: "memory, context or vectors" })
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.layer, self.name)
    }
}

impl SpaceName {
    pub fn new(text: &str) -> Result<SpaceName, BadName> {
        let fits =
            (1..=SPACE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        let rule = "1 to 256 printable ASCII characters without spaces";
        if fits { Ok(SpaceName(text.into())) } else { Err(BadName { kind: "space name", rule }) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl StateKey {
    pub fn new(text: &str) -> Result<StateKey, BadName> {
        let fits = (1..=KEY_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        let rule = "1 to 512 bytes of text without control characters";
        if fits { Ok(StateKey(text.into())) } else { Err(BadName { kind: "key", rule }) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! as_text {
    ($name:ident) => {
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

            fn from_str(text: &str) -> Result<$name, BadName> {
                $name::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $name::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(SpaceName);
as_text!(StateKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_it_is_written() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let expected =
                expected.map(|(state, ledger)| Moment { state: StateSeq(state), ledger: LedgerSeq(ledger) });
            assert_eq!(text.parse().ok(), expected, "{text}");
            assert_eq!(expected.map_or(text.to_owned(), |moment| moment.to_string()), text);
        };
        check("0.0", Some((0, 0)));
        check("1200.87", Some((1200, 87)));
        check("18446744073709551615.1", Some((u64::MAX, 1)));
        for bad in ["", ".", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", " 1.2", "18446744073709551616.1"] {
            check(bad, None);
        }
    }
}
