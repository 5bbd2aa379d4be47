//! What may be wrong with a place that names a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A rule. Its id is stored in baselines and in comments: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The id is no longer served.
    RetiredModel,
    /// The provider may point the id at another checkpoint.
    FloatingModel,
    /// The id ends soon.
    RetiringModel,
    /// Nothing says whether the id can move.
    UnknownModel,
    /// A comment asks for something to be ignored, and gives no reason or no rule that exists.
    BadIgnore,
    /// A comment asks for something to be ignored that isn't there.
    UnusedIgnore,
    /// The id is pinned: nothing is wrong. Listed when an inventory is asked for.
    PinnedModel,
}

/// How bad a finding is, in the words of SARIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Note,
    Warning,
    Error,
}

impl Rule {
    pub const ALL: [Rule; 7] = [
        Rule::RetiredModel,
        Rule::FloatingModel,
        Rule::RetiringModel,
        Rule::UnknownModel,
        Rule::BadIgnore,
        Rule::UnusedIgnore,
        Rule::PinnedModel,
    ];

    /// The id of the rule: `floating-model`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Rule::RetiredModel => "retired-model",
            Rule::FloatingModel => "floating-model",
            Rule::RetiringModel => "retiring-model",
            Rule::UnknownModel => "unknown-model",
            Rule::BadIgnore => "bad-ignore",
            Rule::UnusedIgnore => "unused-ignore",
            Rule::PinnedModel => "pinned-model",
        }
    }

    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Rule::RetiredModel => Level::Error,
            Rule::FloatingModel | Rule::RetiringModel | Rule::BadIgnore => Level::Warning,
            Rule::UnknownModel | Rule::UnusedIgnore | Rule::PinnedModel => Level::Note,
        }
    }

    /// The rule in a few words.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Rule::RetiredModel => "The model is no longer served",
            Rule::FloatingModel => "The model can change without a deployment",
            Rule::RetiringModel => "The model will soon no longer be served",
            Rule::UnknownModel => "Nobody knows whether the model can change",
            Rule::BadIgnore => "A comment that ignores a finding gives no reason or names no rule",
            Rule::UnusedIgnore => "A comment ignores a finding that isn't there",
            Rule::PinnedModel => "The model is pinned",
        }
    }

    /// What is wrong, why that matters and what to do.
    #[must_use]
    pub fn full(self) -> &'static str {
        match self {
            Rule::RetiredModel => {
                "The provider has shut this model down, so calls that name it fail or are answered by another model. \
                 Name one that is served."
            }
            Rule::FloatingModel => {
                "The provider may point this id at another checkpoint at any time, so the behaviour of the program \
                 changes when nobody deployed. Name a dated snapshot."
            }
            Rule::RetiringModel => {
                "The provider has announced the day after which this model is no longer served. Move to another one \
                 before that day, and prove it with evals first."
            }
            Rule::UnknownModel => {
                "The catalogue doesn't say whether this id always means the same checkpoint, and its shape proves \
                 nothing. Name a pinned id, or state what you know in a catalogue of your own."
            }
            Rule::BadIgnore => {
                "A comment `pinrail: ignore RULE -- REASON` counts only with a reason and with rules that exist, so that \
                 whoever reads it later can judge whether it still holds."
            }
            Rule::UnusedIgnore => {
                "The comment ignores a rule that finds nothing there any more. Remove it, or it will hide something else."
            }
            Rule::PinnedModel => {
                "The id always means the same checkpoint. Listed for an inventory of the models in use."
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = String;

    /// Reads `floating-model`, or shorter `floating`.
    fn from_str(text: &str) -> Result<Rule, String> {
        let named = |rule: &Rule| {
            let id = rule.id();
            text == id || id.strip_suffix("-model") == Some(text)
        };
        Rule::ALL.into_iter().find(named).ok_or_else(|| {
            let all = Rule::ALL.map(Rule::id).join(", ");
            format!("there is no rule `{text}`; there are {all}")
        })
    }
}
