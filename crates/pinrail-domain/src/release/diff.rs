//! What changes between two releases: model, parameters, prompt, tools, state contract.
//!
//! Two sides are the same where their canonical JSON is: `1` is `1.0`, and the order of keys and of tools
//! says nothing. So two releases with one id never differ, and a [`Diff`] can be empty although the ids
//! differ, when only the spelling of an artifact does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::id::{McpServerName, ProviderName, ReleaseId, ToolName};
use crate::release::{
    ContextContract, Contract, Embedder, Fallback, Manifest, MemoryContract, ModelPin, PromptMode,
    StateContract,
};

mod schema;
mod text;

pub use schema::{PathChange, same_json, tools as diff_tools};
pub use text::{CONTEXT_LINES, CONTEXT_WORDS, Grain, LINES_MAX, Op, Run, TextDiff, WORDS_MAX};

/// What changes from one release to another. The API sends it: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    pub from: ReleaseId,
    pub to: ReleaseId,
    #[serde(default, skip_serializing_if = "ModelDiff::is_empty")]
    pub model: ModelDiff,
    #[serde(default, skip_serializing_if = "PromptDiff::is_empty")]
    pub prompt: PromptDiff,
    #[serde(default, skip_serializing_if = "ToolsDiff::is_empty")]
    pub tools: ToolsDiff,
    #[serde(default, skip_serializing_if = "StateDiff::is_empty")]
    pub state: StateDiff,
}

/// One value on both sides; a side that doesn't have it is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct Change<T> {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<T>,
}

/// Which model answers, and with which parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelDiff {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Change<ProviderName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Change<String>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Change<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Change<Digest>>,
    /// The models that may answer in the pinned one's place; a side that lists none is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Change<Vec<Fallback>>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lossy_added: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lossy_removed: BTreeSet<String>,
}

/// The system prompt and who puts it in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptDiff {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Change<PromptMode>>,
    /// The artifact's digest; no prompt and an empty prompt are two things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Change<Digest>>,
    /// The text, word by word; there when `system` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextDiff>,
}

/// The tools by name, and which of them change the world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolsDiff {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub added: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<String>,
    /// Where each changed tool's definition differs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, Vec<PathChange>>,
    /// The pins of MCP servers, by their digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mcp: BTreeMap<McpServerName, Change<Digest>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub side_effects_added: BTreeSet<ToolName>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub side_effects_removed: BTreeSet<ToolName>,
}

/// What shape of state the releases read and write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateDiff {
    /// The embedder per space: vectors of two embedders can't be compared (I12).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, Change<Embedder>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Change<MemoryContract>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Change<ContextContract>>,
}

/// Says what changes from `a` to `b`.
#[must_use]
pub fn diff(a: &Contract, b: &Contract) -> Diff {
    let (from, to): (&Manifest, &Manifest) = (&a.manifest, &b.manifest);
    let mut tools = schema::tools(a.tools.as_deref(), b.tools.as_deref());
    tools.mcp = pins(a, b, &mut tools.changed);
    let (had, has) = (&from.tools.side_effects, &to.tools.side_effects);
    tools.side_effects_added = has.difference(had).cloned().collect();
    tools.side_effects_removed = had.difference(has).cloned().collect();
    Diff {
        from: a.id,
        to: b.id,
        model: model(&from.model, &to.model),
        prompt: prompt(a, b),
        tools,
        state: state(&from.state, &to.state),
    }
}

/// Which pins differ. What of their tools no model is told (titles, annotations, output schemas) joins `changed`; the
/// rest is in the tool definitions already.
fn pins(
    a: &Contract,
    b: &Contract,
    changed: &mut BTreeMap<String, Vec<PathChange>>,
) -> BTreeMap<McpServerName, Change<Digest>> {
    let (before, after) = (&a.manifest.tools.mcp, &b.manifest.tools.mcp);
    let servers: BTreeSet<&McpServerName> = before.keys().chain(after.keys()).collect();
    let mut found = BTreeMap::new();
    for server in servers.into_iter().filter(|server| before.get(*server) != after.get(*server)) {
        let (before, after) = (before.get(server).copied(), after.get(server).copied());
        found.insert(server.clone(), Change { before, after });
        let untold = |contract: &Contract| {
            let tools = contract.pins.get(server).map(|pin| pin.tools.clone()).unwrap_or_default();
            let mut tools = serde_json::to_value(tools).unwrap_or_default();
            for tool in tools.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                tool.retain(|field, _| field != "description" && field != "inputSchema");
            }
            tools.to_string()
        };
        for (tool, places) in schema::tools(Some(&untold(a)), Some(&untold(b))).changed {
            changed.entry(tool).or_default().extend(places);
        }
    }
    found
}

impl Diff {
    /// Whether both releases make an agent behave the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Diff { from: _, to: _, model, prompt, tools, state } = self;
        model.is_empty() && prompt.is_empty() && tools.is_empty() && state.is_empty()
    }
}

impl ModelDiff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == ModelDiff::default()
    }
}

impl PromptDiff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == PromptDiff::default()
    }
}

impl ToolsDiff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == ToolsDiff::default()
    }
}

impl StateDiff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == StateDiff::default()
    }
}

impl<T: Clone + PartialEq> Change<T> {
    fn between(before: Option<&T>, after: Option<&T>) -> Option<Change<T>> {
        (before != after).then(|| Change { before: before.cloned(), after: after.cloned() })
    }
}

fn model(a: &ModelPin, b: &ModelPin) -> ModelDiff {
    let params = by_key(&a.params, &b.params, |before, after| match (before, after) {
        (Some(before), Some(after)) => schema::same(before, after),
        (before, after) => before == after,
    });
    ModelDiff {
        provider: Change::between(Some(&a.provider), Some(&b.provider)),
        snapshot: Change::between(Some(&a.snapshot), Some(&b.snapshot)),
        params,
        weights: Change::between(a.weights.as_ref(), b.weights.as_ref()),
        fallbacks: fallbacks(&a.fallbacks, &b.fallbacks),
        lossy_added: b.lossy.difference(&a.lossy).cloned().collect(),
        lossy_removed: a.lossy.difference(&b.lossy).cloned().collect(),
    }
}

fn fallbacks(a: &[Fallback], b: &[Fallback]) -> Option<Change<Vec<Fallback>>> {
    let json = |side: &[Fallback]| serde_json::to_value(side).unwrap_or_default();
    let listed = |side: &[Fallback]| (!side.is_empty()).then(|| side.to_vec());
    (!schema::same(&json(a), &json(b))).then(|| Change { before: listed(a), after: listed(b) })
}

fn prompt(a: &Contract, b: &Contract) -> PromptDiff {
    let (from, to) = (&a.manifest.prompt, &b.manifest.prompt);
    let system = Change::between(from.system.as_ref(), to.system.as_ref());
    let text = |side: &Contract| side.system.clone().unwrap_or_default();
    PromptDiff {
        mode: Change::between(Some(&from.mode), Some(&to.mode)),
        text: system.is_some().then(|| TextDiff::between(&text(a), &text(b))),
        system,
    }
}

fn state(a: &StateContract, b: &StateContract) -> StateDiff {
    StateDiff {
        vectors: by_key(&a.vectors, &b.vectors, |before, after| before == after),
        memory: Change::between(a.memory.as_ref(), b.memory.as_ref()),
        context: Change::between(a.context.as_ref(), b.context.as_ref()),
    }
}

fn by_key<T: Clone>(
    a: &BTreeMap<String, T>,
    b: &BTreeMap<String, T>,
    same: impl Fn(Option<&T>, Option<&T>) -> bool,
) -> BTreeMap<String, Change<T>> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let changed = names.into_iter().filter(|name| !same(a.get(*name), b.get(*name)));
    changed
        .map(|name| (name.clone(), Change { before: a.get(name).cloned(), after: b.get(name).cloned() }))
        .collect()
}

/// Reads a field that is there, so that `null` is a value and only a missing field is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
