//! What differs between a pin and what the server lists now.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Identity, Pin, PinnedTool};
use crate::drift::Sign;
use crate::id::ToolName;
use crate::release::diff::same_json;

/// What differs. Two definitions are the same where their canonical JSON is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Tools of the pin that are other ones now, with the fields that differ.
    pub changed: BTreeMap<ToolName, Vec<String>>,
    /// Tools that the pin doesn't have.
    pub added: Vec<ToolName>,
    /// Tools that only the pin has.
    pub removed: Vec<ToolName>,
    /// What the server says of itself now, if that is something else.
    pub identity: Option<String>,
}

/// More names than this make no sentence clearer.
const NAMES_MAX: usize = 5;

impl Pin {
    /// What differs in `live`.
    #[must_use]
    pub fn differences(&self, live: &Pin) -> Differences {
        let mut found = Differences::default();
        for tool in &self.tools {
            match live.tool(tool.name.as_str()) {
                None => found.removed.push(tool.name.clone()),
                Some(now) => {
                    let fields = fields(tool, now);
                    if !fields.is_empty() {
                        found.changed.insert(tool.name.clone(), fields);
                    }
                }
            }
        }
        let is_new = |tool: &&PinnedTool| self.tool(tool.name.as_str()).is_none();
        found.added = live.tools.iter().filter(is_new).map(|tool| tool.name.clone()).collect();
        found.identity = (self.server != live.server).then(|| live.server.to_string());
        found
    }
}

impl Differences {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Differences::default()
    }

    /// The same as a finding says it; none where nothing differs.
    #[must_use]
    pub fn sign(&self) -> Option<Sign> {
        let names = |tools: &[ToolName]| tools.iter().map(ToString::to_string).collect();
        (!self.is_empty()).then(|| Sign::Tools {
            changed: self.changed.keys().map(ToString::to_string).collect(),
            added: names(&self.added),
            removed: names(&self.removed),
            identity: self.identity.clone(),
        })
    }

    /// One sentence for people.
    #[must_use]
    pub fn sentence(&self, server: &str) -> String {
        let mut parts = Vec::new();
        if !self.changed.is_empty() {
            let changed: Vec<String> =
                self.changed.iter().map(|(name, fields)| format!("{name} ({})", fields.join(", "))).collect();
            parts.push(format!("changed {}", listed(&changed)));
        }
        for (word, tools) in [("added", &self.added), ("removed", &self.removed)] {
            if !tools.is_empty() {
                let names: Vec<String> = tools.iter().map(ToString::to_string).collect();
                parts.push(format!("{word} {}", listed(&names)));
            }
        }
        if let Some(identity) = &self.identity {
            parts.push(format!("says that it is {identity}"));
        }
        format!("MCP server {server} {}", parts.join("; "))
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(title) = &self.title {
            write!(f, " ({title})")?;
        }
        write!(f, " {}", self.version)
    }
}

/// The fields of a tool that differ, in the protocol's spelling.
fn fields(pinned: &PinnedTool, now: &PinnedTool) -> Vec<String> {
    let schema = |one: Option<&_>, other: Option<&_>| match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => same_json(one, other),
        (None, Some(_)) | (Some(_), None) => false,
    };
    let same = [
        ("title", pinned.title == now.title),
        ("description", pinned.description == now.description),
        ("inputSchema", schema(Some(&pinned.input_schema), Some(&now.input_schema))),
        ("outputSchema", schema(pinned.output_schema.as_ref(), now.output_schema.as_ref())),
        ("annotations", schema(pinned.annotations.as_ref(), now.annotations.as_ref())),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name.to_owned()).collect()
}

fn listed(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMES_MAX)].join(", ");
    if names.len() > NAMES_MAX {
        write!(text, " and {} more", names.len() - NAMES_MAX).expect("a string takes all");
    }
    text
}
