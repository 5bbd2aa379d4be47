//! `/api/v1/state/…`: state as operators look at it, space by space. A space is written `memory/AGENT/SESSION`,
//! `context/NAME` or `vectors/NAME@EMBEDDER`.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::release::Embedder;
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Moment, Op, Origin, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::state::moment;

/// `GET /api/v1/state/spaces`: one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    pub tenant: TenantId,
    pub space: String,
    /// Puts and deletes that are kept, hidden ones included.
    pub puts: u64,
    pub deletes: u64,
    /// Records that everybody sees.
    pub visible: u64,
    pub newest: StateSeq,
    /// The deployments that wrote there; 0 is the ground.
    pub deployments: Vec<DeploymentId>,
}

/// `GET /api/v1/state/records`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Records {
    pub tenant: TenantId,
    pub space: String,
    /// What was looked at: as `as_of` it gives the same again.
    #[serde(with = "moment")]
    pub moment: Moment,
    pub items: Vec<Record>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub seq: StateSeq,
    pub key: StateKey,
    pub op: Op,
    pub at: Timestamp,
    pub ledger: LedgerSeq,
    pub deployment: DeploymentId,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
    /// Absent for a delete, and where the content was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// How long the vector is, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dims: Option<usize>,
    /// Whether its content was erased, and the ledger entry that says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_by: Option<LedgerSeq>,
    /// Why the view doesn't show it; absent where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
    pub digest: Digest,
}

/// `GET /api/v1/state/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceVerification {
    pub tenant: TenantId,
    pub space: String,
    pub at: Timestamp,
    pub whole: bool,
    pub records: u64,
    /// Records whose content was erased, as a proof in the ledger says.
    pub erased: u64,
    pub damaged: u64,
    /// The first damaged records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Damage>,
}

/// A record that isn't what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    pub seq: StateSeq,
    pub key: String,
    pub what: String,
}

/// `GET /api/v1/state/map`: which agents use which spaces, and who depends on whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    pub agents: Vec<AgentName>,
    pub spaces: Vec<Place>,
    pub uses: Vec<Used>,
    pub depends: Vec<Depends>,
}

/// A space on the map, or several that are drawn as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What the map's other parts call it: `memory/support/*`; with the tenant before it where each space is drawn.
    pub id: String,
    pub space: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// How many spaces, of how many tenants, stand behind it.
    pub spaces: u64,
    pub tenants: u64,
}

/// An agent uses a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub agent: AgentName,
    pub place: String,
    pub reads: u64,
    pub writes: u64,
    pub last_at: Timestamp,
}

/// An agent read what another writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depends {
    pub reader: AgentName,
    pub writer: AgentName,
    pub through: Vec<String>,
    pub reads: u64,
    pub last_at: Timestamp,
}

/// The first line of `GET /api/v1/state/export`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHead {
    /// The form's version: 1.
    pub pinrail_space: u32,
    pub tenant: TenantId,
    pub space: String,
    #[serde(with = "moment")]
    pub moment: Moment,
    /// Of vectors: the contract of the embedder (I12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<Embedder>,
    pub records: u64,
}

/// A line of an export.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportLine {
    pub key: StateKey,
    /// Absent where the content was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    pub seq: StateSeq,
    pub at: Timestamp,
    pub deployment: DeploymentId,
    pub origin: Origin,
    pub digest: Digest,
}

/// The last line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportTail {
    /// How many lines lie between the first and this one.
    pub lines: u64,
    /// SHA-256 over all lines before this one, line ends included.
    pub sha256: Digest,
}

/// `POST /api/v1/state/import`: some records into an open data job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRecords {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Of vectors without `@EMBEDDER`: the index of `embedder`.
    pub space: String,
    /// The open data job.
    pub deployment: DeploymentId,
    /// Of vectors: what they were made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<Embedder>,
    pub records: Vec<ImportRecord>,
}

/// A record to take in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportRecord {
    pub key: StateKey,
    pub value: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

/// The answer to an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub tenant: TenantId,
    pub space: String,
    pub written: u64,
    /// Records that the job had written before.
    pub there: u64,
}
