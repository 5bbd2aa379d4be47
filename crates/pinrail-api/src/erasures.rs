//! `POST /api/v1/erasures`: what a person or a tenant said is removed for good.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, LedgerSeq, RunId, SessionId, TenantId};
use serde::{Deserialize, Serialize};

/// An erasure to carry out. Without a session and an attribute, all of the tenant's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionOf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<Attribute>,
    /// Say what would be erased, and erase nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Why, for the ledger. A dry run needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionOf {
    pub agent: AgentName,
    pub session: SessionId,
}

/// An attribute that runs are stamped with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// What was erased, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The ledger entry; absent for a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<LedgerSeq>,
    /// The list of what was erased, an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Digest>,
    pub records: u64,
    pub runs: u64,
    pub spaces: Vec<ErasedSpace>,
    /// Runs that are still open: what they go on to write is not erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_runs: Vec<RunId>,
    /// Records that name an erased one as a parent and stay.
    pub derived: u64,
}

/// How many records of a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedSpace {
    pub space: String,
    pub records: u64,
}
