//! `POST /api/v1/vectors/{space}/upsert|search|count|delete`, `GET /api/v1/vectors/{space}`,
//! `PUT /api/v1/vectors/{space}/canaries`, `POST …/canaries/check`.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, RunId, StateSeq};
use pinrail_domain::release::Embedder;
use pinrail_domain::state::{Origin, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Vectors to keep. Names its writer as every write of state does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpsertVectors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Whose vectors they are; else what the run's release pins, else the space's only embedder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<WhichEmbedder>,
    /// 1 to 1000.
    pub records: Vec<VectorRecord>,
}

/// An embedder, by its whole contract or by its digest or the first digits of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WhichEmbedder {
    Id(String),
    Contract(Box<Embedder>),
}

/// A vector under its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorRecord {
    pub key: StateKey,
    pub vector: Components,
    /// A JSON object; filters look at its fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The records that it was derived from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
}

/// A vector: numbers, or little-endian 32-bit floats in base64, as embedding APIs give them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Components {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Vectors that were kept: records `first` to `last`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorsWritten {
    pub space: String,
    pub embedder: Digest,
    pub records: usize,
    pub first: StateSeq,
    pub last: StateSeq,
    pub deployment: DeploymentId,
}

/// A question. Names its reader as every read of state does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchVectors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<WhichEmbedder>,
    pub vector: Components,
    /// How many results, 1 to 1000; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<usize>,
    /// What the payload must hold: `{"lang": "en"}`, `{"year": {"gte": 2020}}`, `{"or": [...]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    /// Leaves out what scores less. Higher is always better: for euclidean, scores are distances with a minus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f32>,
    /// Compare with everything that is visible, whatever indexes there are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// Whether results carry their vectors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_vectors: bool,
}

/// The answer, best first; the same score is ordered by key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorsFound {
    pub space: String,
    pub embedder: Digest,
    /// Pass as `as_of` to ask the same again, whatever was written since.
    pub moment: String,
    pub results: Vec<VectorFound>,
    /// How many vectors the reader sees, and how many of them the filter lets through.
    pub visible: usize,
    pub matching: usize,
    /// Whether it is certain that nothing better was missed.
    pub exact: bool,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorFound {
    pub key: StateKey,
    pub score: f32,
    pub payload: Value,
    pub seq: StateSeq,
    pub deployment: DeploymentId,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

/// What to count. Names its reader as every read of state does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountVectors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<WhichEmbedder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
}

/// How many vectors a reader sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorsCounted {
    pub space: String,
    pub embedder: Digest,
    pub moment: String,
    pub count: usize,
}

/// Keys to delete, in every embedder's index where the writer sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteVectors {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// 1 to 1000.
    pub keys: Vec<StateKey>,
}

/// Keys that were deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorsDeleted {
    pub space: String,
    /// How many records ended; a key that the writer didn't see ended none.
    pub ended: usize,
    pub deployment: DeploymentId,
}

/// A space of vectors, embedder by embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorSpace {
    pub space: String,
    /// Keys of the space in this view, whichever embedder has them.
    pub keys: usize,
    pub embedders: Vec<EmbedderShown>,
}

/// How far one embedder is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmbedderShown {
    pub embedder: Digest,
    pub contract: Embedder,
    /// Keys that it has embedded.
    pub keys: usize,
    /// `keys` of all the space's, from 0 to 1.
    pub coverage: f64,
    /// What is in memory; none while nobody searches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexShown>,
    /// Texts that are embedded again at every release, and how the last time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<CanariesShown>,
}

/// What of an index is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexShown {
    /// Records loaded, of how many.
    pub loaded: usize,
    pub of: usize,
    pub bytes: usize,
    /// Graphs, and the vectors in them; the rest is scanned.
    pub graphs: usize,
    pub in_graphs: usize,
    pub building: bool,
}

/// The canary texts of an embedder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanariesShown {
    pub texts: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CanaryCheck>,
}

/// Texts with the vectors that the embedder gave them, to compare with later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCanaries {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<WhichEmbedder>,
    /// 1 to 100.
    pub canaries: Vec<Canary>,
}

/// A text and its vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    pub text: String,
    pub vector: Components,
}

/// The canary texts, embedded again now, in any order; none asks the provider that the embedder's contract names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckCanaries {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedder: Option<WhichEmbedder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canaries: Option<Vec<Canary>>,
}

/// Whether an embedder is still the one that filled the space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanaryCheck {
    pub at: Timestamp,
    pub verdict: CanaryVerdict,
    /// The smallest cosine between a text's vector then and now.
    pub worst: f64,
    pub worst_text: String,
    /// The least cosine of an embedder that is the same.
    pub least: f64,
    pub texts: usize,
}

/// Same or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryVerdict {
    Same,
    /// Something else answers under the same name: what it embeds doesn't belong into the space.
    Swapped,
}

/// The canary texts of an embedder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canaries {
    pub space: String,
    pub embedder: Digest,
    pub texts: Vec<String>,
}
