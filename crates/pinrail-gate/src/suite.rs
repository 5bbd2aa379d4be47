//! A suite: cases of one kind, whole, as it is stored and named by its digest.
//!
//! Nothing in here refers to a file, holds a template or has a default left to fill in: reading a suite's files does all
//! of that, so that the digest names everything that a case asks and how its answers are judged. Stored: never rename a
//! field; what is absent is left out, so that adding a field changes no digest that exists.

use std::collections::BTreeMap;

use pinrail_domain::canonical::{self, NotCanonical};
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A set of cases, the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The suite format, [`FORMAT`].
    pub pinrail_suite: u32,
    pub name: String,
    pub kind: SuiteKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub cases: Vec<Case>,
}

/// The suite format that this code writes and reads.
pub const FORMAT: u32 = 1;

/// One thing to ask, and what a good answer is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What the templates were filled with; also the variables of the release's prompt, and what scripts see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Value>,
    /// At least one; each is asked after the answer to the one before it.
    pub turns: Vec<Turn>,
    /// Further fields of the request, such as `tools`, `tool_choice` or `response_format`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request: BTreeMap<String, Value>,
    /// What the agent's tools say when they are called: the first that fits answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_results: Vec<ToolResult>,
    /// Of the last answer, and of the whole conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asserts: Vec<Assertion>,
    /// The score from which on the case counts as passed; none: every assertion must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// JavaScript that turns the answer's text into what is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// One answer of the candidate that fails here fails the gate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub must_pass: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
}

/// What is said to the agent in one go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Chat messages in OpenAI's form, added to the conversation as they are.
    pub messages: Vec<Value>,
    /// Of the answer to this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asserts: Vec<Assertion>,
}

/// What a tool says in a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolResult {
    pub name: String,
    /// Arguments that the call must have; none: whatever they are.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// What the tool says: a text as it is, else its JSON.
    pub result: Value,
}

/// One thing that an answer must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    #[serde(rename = "type")]
    pub kind: AssertKind,
    /// The `not-` form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub value: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// None: 1. With 0 it is reported and counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The name under which its score is also summed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// JavaScript that turns the answer's text into what this assertion judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// What scripts see as `context.config`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Of an `assert-set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asserts: Vec<Assertion>,
}

/// The kinds of assertions, named as promptfoo names them; `tool-calls` is Pinrail's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertKind {
    #[default]
    Equals,
    Contains,
    Icontains,
    ContainsAny,
    ContainsAll,
    IcontainsAny,
    IcontainsAll,
    StartsWith,
    Regex,
    IsJson,
    ContainsJson,
    Levenshtein,
    Latency,
    Cost,
    FinishReason,
    IsRefusal,
    IsValidOpenaiToolsCall,
    #[serde(rename = "tool-call-f1")]
    ToolCallF1,
    /// The calls that the agent made, by name and arguments.
    ToolCalls,
    WordCount,
    Javascript,
    Python,
    LlmRubric,
    Factuality,
    Similar,
    AssertSet,
}

impl Suite {
    /// The digest that names the suite: of its canonical JSON.
    pub fn digest(&self) -> Result<Digest, NotCanonical> {
        canonical::digest(self)
    }
}

impl Case {
    /// What names the case in whatever suite it stands: all that is asked and how it is judged, and neither its
    /// description nor its metadata.
    pub fn digest(&self) -> Result<Digest, NotCanonical> {
        let bare = Case { description: String::new(), metadata: BTreeMap::new(), ..self.clone() };
        canonical::digest(&bare)
    }
}
