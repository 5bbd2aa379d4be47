//! The state as it was when a deployment opened, and the proof that a rollback brought it back.
//!
//! A [`Manifest`] names, per space, how many records were visible and a digest over them. Later [`compare`] holds
//! three things against each other: that line, what is visible *as of then* when it is worked out again today, and
//! what is visible now. What is visible now must be what was visible then, plus what others committed since, minus
//! what others ended since; every record in which the two sets differ is accounted for by the rule, or named.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Moment, Space, StateKey};
use crate::digest::Digest;
use crate::id::{AgentName, DeploymentId, SegmentName, StateSeq};

mod compare;
mod facts;

pub use self::compare::{Account, DISCREPANCIES_MAX, Discrepancy, Facts, Tally, Verdict, compare};
pub use self::facts::Histories;

/// What was there when a deployment opened. Stored as an artifact: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub deployment: DeploymentId,
    /// Everything below is as of here.
    pub at: Moment,
    pub pointers: Vec<Served>,
    /// Spaces in which something was visible, by tenant, layer and name.
    pub spaces: Vec<Line>,
}

/// What an agent's segment served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    pub agent: AgentName,
    pub segment: SegmentName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<DeploymentId>,
}

/// What was visible in a space to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub space: Space,
    pub count: u64,
    /// What [`SetDigest`] gives.
    pub digest: Digest,
    /// Of an index of vectors: questions whose answers must come out the same, byte for byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
}

/// A question to an index of vectors, and what its answer came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Whose vector is asked for.
    pub key: StateKey,
    /// The record that holds it.
    pub seq: StateSeq,
    /// Over the keys, places and scores of the nearest, in their order.
    pub digest: Digest,
}

/// A visible record, as far as proof needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub seq: StateSeq,
    pub deployment: DeploymentId,
    /// The record's digest as it is stored.
    pub digest: Digest,
    /// Whether recomputing gives that digest: `Record::is_whole`.
    pub is_whole: bool,
}

/// A digest over a set of records: SHA-256 over each one's place (eight bytes, big-endian) and digest (32 bytes), in
/// sequence order. Stored in manifests: never change the form.
#[derive(Clone, Debug, Default)]
pub struct SetDigest {
    hash: Sha256,
    count: u64,
    last: StateSeq,
}

impl Manifest {
    /// The line of a space; an empty one where nothing was visible there.
    #[must_use]
    pub fn line(&self, space: &Space) -> Line {
        let empty = || SetDigest::new().line(space.clone());
        self.spaces.iter().find(|line| line.space == *space).cloned().unwrap_or_else(empty)
    }
}

impl SetDigest {
    /// Of the empty set.
    #[must_use]
    pub fn new() -> SetDigest {
        SetDigest::default()
    }

    /// Of all of these, in sequence order.
    #[must_use]
    pub fn of(members: &[Member]) -> SetDigest {
        let mut set = SetDigest::new();
        members.iter().for_each(|member| set.add(member.seq, &member.digest));
        set
    }

    /// Adds the next record; records come in sequence order.
    pub fn add(&mut self, seq: StateSeq, digest: &Digest) {
        assert!(seq > self.last, "record {seq} after {}", self.last);
        self.hash.update(seq.0.to_be_bytes());
        self.hash.update(digest.as_bytes());
        self.count += 1;
        self.last = seq;
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    /// What a manifest says of a space with these records.
    #[must_use]
    pub fn line(&self, space: Space) -> Line {
        Line { space, count: self.count, digest: self.digest(), probes: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
