//! A release: the behavioural contract of one agent, immutable and named by its own content (I1).
//!
//! The id is the SHA-256 of the manifest's canonical JSON, and depends on nothing else: not on the
//! agent, the machine, the time or the store. Absent optional parts are left out of the JSON, so adding
//! an optional part to the format later changes no id that exists. Stored: never rename a field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, NotCanonical};
use crate::digest::Digest;
use crate::id::{McpServerName, ReleaseId, ToolName};
use crate::mcp::{Pin, PinnedTool};

pub mod diff;
mod model;

pub use model::{FALLBACKS_MAX, Fallback, LOSSY_MAX, ModelId, ModelPin};

/// What a release pins. Its canonical JSON is what the release id names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The manifest format, [`FORMAT`].
    pub pinrail: u32,
    pub model: ModelPin,
    #[serde(default, skip_serializing_if = "PromptPin::is_empty")]
    pub prompt: PromptPin,
    #[serde(default, skip_serializing_if = "ToolPin::is_empty")]
    pub tools: ToolPin,
    #[serde(default, skip_serializing_if = "StateContract::is_empty")]
    pub state: StateContract,
}

/// The manifest format this code writes and reads.
pub const FORMAT: u32 = 1;

/// The system prompt and who puts it in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptPin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Digest>,
    #[serde(default, skip_serializing_if = "PromptMode::is_managed")]
    pub mode: PromptMode,
}

/// Who puts prompt and tools into the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptMode {
    /// Pinrail puts them in.
    #[default]
    Managed,
    /// The caller sends them and they must match the pin.
    Verify,
}

/// The tools that the model may call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolPin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Digest>,
    /// Tools that change the world.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub side_effects: BTreeSet<ToolName>,
    /// Tools of MCP servers: the pin of each server, an artifact.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp: BTreeMap<McpServerName, Digest>,
}

/// What shape of state the release reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateContract {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, Embedder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryContract>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextContract>,
}

/// What makes two vectors comparable (I12): all of it, as the same dimensions don't make the same space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedder {
    /// The embedding model.
    pub embedder: String,
    pub dims: u32,
    pub metric: Metric,
    /// Who runs the model; may name a provider of `pinrail.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Where it answers, if the same model differs by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The model's revision: a commit, a date, a digest of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How token vectors became one: `mean`, `cls`, `last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<String>,
    /// What was done to the length: `l2`, `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<String>,
    /// What is put before each text, such as `query: `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// How the distance between two vectors is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Cosine,
    Dot,
    Euclidean,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryContract {
    pub schema: String,
}

/// The protocol of shared context that the release writes, and those it can read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextContract {
    pub protocol: u32,
    pub accepts: BTreeSet<u32>,
}

/// Why a manifest can't become a release.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    #[error("manifest format {0} is not one this version reads (it reads {FORMAT})")]
    Format(u32),
    #[error("{0}.snapshot must be 1 to {SNAPSHOT_BYTES_MAX} printable ASCII characters without spaces")]
    Snapshot(String),
    #[error("{place}.params.{name} is set by Pinrail itself; remove it from the release")]
    ReservedParam { place: String, name: String },
    #[error("{place}.params holds {count} entries; at most {PARAMS_MAX} are allowed")]
    TooManyParams { place: String, count: usize },
    #[error("model.fallbacks holds {0} models; at most {FALLBACKS_MAX} are allowed")]
    TooManyFallbacks(usize),
    #[error("model.fallbacks[{0}] names a model of the release for the second time")]
    FallbackTwice(usize),
    #[error("model.lossy holds {0} names; at most {LOSSY_MAX} are allowed")]
    TooManyLossy(usize),
    #[error("model.lossy: `{0}` is no name of a feature; one is written like `messages.image` or `top_k`")]
    Lossy(String),
    #[error("tools.side_effects names `{0}`, which is neither in the tool schema nor in a pin")]
    UnknownSideEffect(ToolName),
    #[error("state.context.accepts must hold its own protocol {0}")]
    OwnProtocol(u32),
    #[error("state.vectors.{0}: dims must be 1 to {DIMS_MAX}")]
    Dims(String),
    #[error("the manifest has no canonical form")]
    Canonical(#[from] NotCanonical),
}

/// The longest known id is a Bedrock ARN of about 150 characters.
pub const SNAPSHOT_BYTES_MAX: usize = 256;
/// The largest public API has about 40 request fields.
pub const PARAMS_MAX: usize = 64;
/// The widest embedding model in the catalogues has 12 288.
pub const DIMS_MAX: u32 = 65_536;
/// Request fields that a parameter may not set, because a pin already does or the caller owns them.
const RESERVED_PARAMS: [&str; 6] = ["model", "messages", "tools", "stream", "metadata", "n"];

impl Manifest {
    /// The release's id.
    pub fn id(&self) -> Result<ReleaseId, NotCanonical> {
        canonical::digest(self).map(ReleaseId)
    }

    /// The bytes that the id names.
    pub fn canonical_bytes(&self) -> Result<Vec<u8>, NotCanonical> {
        canonical::to_vec(self)
    }

    /// Checks all that can be checked without the artifacts.
    pub fn check(&self) -> Result<(), BadManifest> {
        if self.pinrail != FORMAT {
            return Err(BadManifest::Format(self.pinrail));
        }
        self.model.check()?;
        if let Some(context) = &self.state.context
            && !context.accepts.contains(&context.protocol)
        {
            return Err(BadManifest::OwnProtocol(context.protocol));
        }
        let bad_dims = |(_, embedder): &(&String, &Embedder)| !(1..=DIMS_MAX).contains(&embedder.dims);
        if let Some((space, _)) = self.state.vectors.iter().find(bad_dims) {
            return Err(BadManifest::Dims(space.clone()));
        }
        canonical::to_vec(self)?;
        Ok(())
    }

    /// The artifacts that the release cannot run without.
    pub fn artifacts(&self) -> impl Iterator<Item = Digest> + '_ {
        let files = self.prompt.system.iter().chain(self.tools.schema.iter());
        files.chain(self.tools.mcp.values()).copied()
    }
}

impl Embedder {
    /// What names the embedder: the digest of its canonical JSON.
    pub fn id(&self) -> Result<Digest, NotCanonical> {
        canonical::digest(self)
    }
}

impl PromptPin {
    fn is_empty(&self) -> bool {
        *self == PromptPin::default()
    }
}

impl PromptMode {
    fn is_managed(&self) -> bool {
        *self == PromptMode::Managed
    }
}

impl ToolPin {
    fn is_empty(&self) -> bool {
        *self == ToolPin::default()
    }
}

impl StateContract {
    fn is_empty(&self) -> bool {
        *self == StateContract::default()
    }
}

/// A release with its artifacts at hand: all that is needed to apply it to a request.
#[derive(Clone, Debug)]
pub struct Contract {
    pub id: ReleaseId,
    pub manifest: Arc<Manifest>,
    /// The system prompt's template text.
    pub system: Option<Arc<str>>,
    /// The tool definitions, an OpenAI-shaped JSON array: those of the schema, then those of the pins.
    pub tools: Option<Arc<str>>,
    /// The tools of MCP servers, as they are pinned.
    pub pins: BTreeMap<McpServerName, Arc<Pin>>,
}

impl Contract {
    /// Whether a call of the tool changes the world: the one answer for the gateway, the MCP proxy and approvals.
    ///
    /// It does where `tools.side_effects` names it. A tool of an MCP server does, too, unless its annotations say that
    /// it only reads; but once the list names any tool of that server, a person has sorted them all and the list alone
    /// decides.
    #[must_use]
    pub fn has_side_effects(&self, tool: &str) -> bool {
        let listed = &self.manifest.tools.side_effects;
        if listed.iter().any(|name| name.as_str() == tool) {
            return true;
        }
        let pinned = self.pins.values().find_map(|pin| Some((pin, pin.tool(tool)?)));
        pinned.is_some_and(|(pin, tool)| !pin.is_sorted_by(listed) && !tool.only_reads())
    }

    /// The tools that change the world.
    #[must_use]
    pub fn side_effects(&self) -> BTreeSet<ToolName> {
        let pinned = self.pins.values().flat_map(|pin| &pin.tools).map(|tool| &tool.name);
        let pinned = pinned.filter(|name| self.has_side_effects(name.as_str()));
        self.manifest.tools.side_effects.iter().chain(pinned).cloned().collect()
    }

    /// The server whose pin has the tool, with the tool.
    #[must_use]
    pub fn pinned_tool(&self, tool: &str) -> Option<(&McpServerName, &Arc<Pin>, &PinnedTool)> {
        self.pins.iter().find_map(|(server, pin)| Some((server, pin, pin.tool(tool)?)))
    }
}

#[cfg(test)]
mod tests;
