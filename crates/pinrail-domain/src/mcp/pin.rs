//! A server's tools as a release pins them: the artifact whose digest the manifest holds.
//!
//! Pinned of a tool: `name`, `title`, `description`, `inputSchema`, `outputSchema`, `annotations`, each as the server
//! wrote it. Of the server: the name, title and version that it gives itself. Not pinned: `icons` (pictures for people),
//! `_meta` (notes between implementations) and `execution` (whether a call may be a task: Pinrail makes none). Whoever
//! reads a pin gets none of these either, so what isn't pinned never reaches a model. The protocol's version isn't
//! pinned: it is settled between two programs, and an upgrade of one of them changes no tool.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::canonical::{self, NotCanonical};
use crate::digest::Digest;
use crate::id::ToolName;

/// A server's tools, sorted by name. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The pin's format, [`PIN_FORMAT`].
    pub pinrail_mcp: u32,
    pub server: Identity,
    pub tools: Vec<PinnedTool>,
}

/// Who a server says that it is. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub version: String,
}

/// A tool as it is pinned, in the protocol's own spelling. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PinnedTool {
    pub name: ToolName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub input_schema: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map<String, Value>>,
}

/// Why a listing or an artifact is no pin.
#[derive(Debug, thiserror::Error)]
pub enum BadPin {
    #[error("it is not JSON in the shape of a pin")]
    Shape(#[source] serde_json::Error),
    #[error("its format is {0}, and this version reads {PIN_FORMAT}")]
    Format(u32),
    #[error("it holds {0} tools; at most {TOOLS_MAX} are taken")]
    TooMany(usize),
    #[error("tool {index} cannot be pinned: {what}")]
    Tool { index: usize, what: String },
    #[error("tool `{0}` is defined twice")]
    Twice(ToolName),
    #[error("tool `{name}` has {bytes} bytes of definition; at most {TOOL_BYTES_MAX} are taken")]
    TooLong { name: ToolName, bytes: usize },
    #[error("it has {0} bytes; at most {TOOLS_BYTES_MAX} are taken")]
    TooLarge(usize),
    #[error("it has no canonical form")]
    Canonical(#[from] NotCanonical),
}

/// The pin's format that this code writes and reads.
pub const PIN_FORMAT: u32 = 1;
/// As many as a release may have: no model takes more.
pub const TOOLS_MAX: usize = 1_000;
/// One tool's definition: a long description and a deep schema are some ten kilobytes.
pub const TOOL_BYTES_MAX: usize = 256 << 10;
/// All of a server's tools together.
pub const TOOLS_BYTES_MAX: usize = 4 << 20;
/// What a server calls itself is a name, not a text.
const IDENTITY_CHARS_MAX: usize = 256;

impl Pin {
    /// Pins what a server lists.
    pub fn of(server: Identity, listed: &[Value]) -> Result<Pin, BadPin> {
        let tools = listed.iter().enumerate().map(|(index, tool)| {
            PinnedTool::of(tool).map_err(|error| BadPin::Tool { index, what: error.to_string() })
        });
        let tools = tools.collect::<Result<Vec<_>, _>>()?;
        Pin { pinrail_mcp: PIN_FORMAT, server: server.cut(), tools }.checked()
    }

    /// Reads a pin: an artifact, or a file that people may have formatted.
    pub fn read(bytes: &[u8]) -> Result<Pin, BadPin> {
        if bytes.len() > 4 * TOOLS_BYTES_MAX {
            return Err(BadPin::TooLarge(bytes.len()));
        }
        let pin: Pin = serde_json::from_slice(bytes).map_err(BadPin::Shape)?;
        if pin.pinrail_mcp != PIN_FORMAT {
            return Err(BadPin::Format(pin.pinrail_mcp));
        }
        pin.checked()
    }

    /// The artifact's bytes.
    pub fn to_vec(&self) -> Result<Vec<u8>, NotCanonical> {
        canonical::to_vec(self)
    }

    /// What a manifest names the pin by.
    pub fn digest(&self) -> Result<Digest, NotCanonical> {
        canonical::digest(self)
    }

    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&PinnedTool> {
        let found = self.tools.binary_search_by(|tool| tool.name.as_str().cmp(name));
        found.ok().map(|place| &self.tools[place])
    }

    /// Whether the release's list of side effects speaks of this server: of one tool at least.
    ///
    /// Then a person has sorted the server's tools, and the list decides about each of them.
    #[must_use]
    pub fn is_sorted_by(&self, side_effects: &BTreeSet<ToolName>) -> bool {
        self.tools.iter().any(|tool| side_effects.contains(&tool.name))
    }

    fn checked(mut self) -> Result<Pin, BadPin> {
        if self.tools.len() > TOOLS_MAX {
            return Err(BadPin::TooMany(self.tools.len()));
        }
        self.tools.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        if let Some(pair) = self.tools.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(BadPin::Twice(pair[0].name.clone()));
        }
        for tool in &self.tools {
            let bytes = canonical::to_vec(tool)?.len();
            if bytes > TOOL_BYTES_MAX {
                return Err(BadPin::TooLong { name: tool.name.clone(), bytes });
            }
        }
        let bytes = self.to_vec()?.len();
        if bytes > TOOLS_BYTES_MAX { Err(BadPin::TooLarge(bytes)) } else { Ok(self) }
    }
}

impl Identity {
    fn cut(self) -> Identity {
        let cut = |text: String| text.chars().take(IDENTITY_CHARS_MAX).collect();
        Identity { name: cut(self.name), title: self.title.map(cut), version: cut(self.version) }
    }
}

impl PinnedTool {
    /// The pinned part of a tool that a server lists.
    fn of(listed: &Value) -> Result<PinnedTool, serde_json::Error> {
        const PINNED: [&str; 6] =
            ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];
        let field = |name: &&str| Some(((*name).to_owned(), listed.get(name)?.clone()));
        // A null is an absent field: implementations that write one mean the other.
        let fields = PINNED.iter().filter_map(field).filter(|(_, value)| !value.is_null());
        serde_json::from_value(Value::Object(fields.collect()))
    }

    /// What one tool's definition is told by.
    pub fn digest(&self) -> Result<Digest, NotCanonical> {
        canonical::digest(self)
    }

    /// The tool as model providers take it: what a model can be told of it.
    #[must_use]
    pub fn openai(&self) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(self.name));
        if let Some(description) = &self.description {
            function.insert("description".to_owned(), json!(description));
        }
        function.insert("parameters".to_owned(), Value::Object(self.input_schema.clone()));
        json!({ "type": "function", "function": function })
    }

    /// Whether the server says that the tool only reads. Without a word it doesn't (the protocol's own default).
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.hint("readOnlyHint").unwrap_or(false)
    }

    /// Whether the tool may destroy something, by its annotations and the protocol's defaults for them.
    #[must_use]
    pub fn may_destroy(&self) -> bool {
        !self.only_reads() && self.hint("destructiveHint").unwrap_or(true)
    }

    fn hint(&self, name: &str) -> Option<bool> {
        self.annotations.as_ref()?.get(name)?.as_bool()
    }
}
