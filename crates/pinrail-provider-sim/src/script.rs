//! The script: which models there are, how each behaves, and when one is swapped for another.
//!
//! `builtin.toml` is the commented example; `docs/simulated-provider.md` is the reference. Unknown keys are errors,
//! since a misspelt rate that silently stays zero would make a test pass for the wrong reason.

mod checks;
mod rate;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use checks::check_statuses;
pub use rate::{Rate, Rates};

/// A whole script, checked: every id that it names exists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// When given, requests must bring it as a bearer token; otherwise any key and none will do.
    #[serde(default)]
    pub api_key: Option<String>,
    #[serde(default, rename = "checkpoint")]
    pub checkpoints: Vec<Checkpoint>,
    #[serde(default, rename = "alias")]
    pub aliases: Vec<Alias>,
}

/// One model snapshot and how it behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub id: String,
    /// Answers carry it as `system_fingerprint`. Missing: derived from the id.
    #[serde(default)]
    pub fingerprint: String,
    /// Unix seconds, as the model list shows it.
    #[serde(default)]
    pub created: u64,
    /// Share of checkable tasks answered right.
    #[serde(default = "Rate::always")]
    pub accuracy: Rate,
    #[serde(default)]
    pub refusal_rate: Rate,
    #[serde(default)]
    pub empty_rate: Rate,
    #[serde(default)]
    pub content_filter_rate: Rate,
    #[serde(default)]
    pub error_rate: Rate,
    #[serde(default)]
    pub garbage_rate: Rate,
    #[serde(default)]
    pub hang_rate: Rate,
    #[serde(default)]
    pub cut_stream_rate: Rate,
    #[serde(default)]
    pub stall_rate: Rate,
    #[serde(default)]
    pub stream_error_rate: Rate,
    /// What an injected error is, by weight. Missing: always 500.
    #[serde(default)]
    pub error_statuses: Vec<ErrorStatus>,
    #[serde(default)]
    pub latency: Latency,
    #[serde(default)]
    pub verbosity: Verbosity,
    /// Put in front of prose answers, so that people see who speaks.
    #[serde(default)]
    pub style: Option<String>,
    /// Lets a repeated conversation get another answer also at temperature 0.
    #[serde(default)]
    pub sampling: bool,
    #[serde(default)]
    pub policy: Policy,
    /// Whether it tells the probabilities of its tokens when asked for `logprobs`; if not, it refuses.
    #[serde(default)]
    pub logprobs: bool,
    /// How much its next tokens' logits differ from day to day though nothing was changed (standard deviation).
    #[serde(default)]
    pub wobble: f64,
    /// Another checkpoint that it was made from: its next tokens' logits are that one's and a little.
    #[serde(default)]
    pub sibling_of: Option<String>,
    /// How little: the standard deviation of the difference. 0 is the same in all but the id.
    #[serde(default)]
    pub distance: f64,
    /// Rules tried in order before the policy.
    #[serde(default)]
    pub scripted: Vec<Scripted>,
    #[serde(default)]
    pub tools: ToolHabits,
    /// A silent swap: from then on `to` answers under this unchanged id. Not followed further from `to`.
    #[serde(default)]
    pub replaced_by: Option<Swap>,
}

/// A second name for a checkpoint, which may move.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub id: String,
    pub checkpoint: String,
    /// Answers show the alias instead of the checkpoint that answered, so that only the fingerprint tells.
    #[serde(default)]
    pub mask: bool,
    /// Answers also show the fingerprint of `checkpoint`, whoever answers, so that nothing but the answers tells.
    #[serde(default)]
    pub mask_fingerprint: bool,
    /// Each step happens once, when it is due.
    #[serde(default)]
    pub rotate: Vec<Swap>,
}

/// When another checkpoint takes over: exactly one of the three conditions is given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Due at the n-th request (the first is 1) to the alias or checkpoint that holds this swap.
    #[serde(default)]
    pub at_request: Option<u64>,
    /// Due at the first request this long after the simulator's start or reset.
    #[serde(default)]
    pub after_seconds: Option<u64>,
    /// Due at the first request so many days after that, by the clock that `created` shows.
    #[serde(default)]
    pub after_days: Option<u64>,
    pub to: String,
}

/// One kind of injected error and how often it is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorStatus {
    pub status: u16,
    #[serde(default = "one")]
    pub weight: u32,
    /// Sent as `retry-after`.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

/// How long answers take; all zero unless told.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    pub first_ms: u64,
    pub per_token_ms: u64,
    /// Spread: 0.2 draws each answer's pace evenly from 80 % to 120 % of the above.
    pub jitter: Rate,
    /// Share of answers that are slower by `tail_factor`.
    pub tail_rate: Rate,
    pub tail_factor: u32,
}

/// How much a checkpoint says around an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verbosity {
    /// The bare answer.
    Terse,
    #[default]
    Normal,
    Chatty,
}

/// What a checkpoint says when no rule matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Solves the task families that [`crate::Task`] knows, otherwise answers in a fixed friendly form.
    #[default]
    Task,
    /// Says the last user message again.
    Echo,
    /// Always says the same.
    Fixed(String),
}

/// A rule: when the last user message contains this, say that or call tools. Its words are kept in lower case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// Looked for in the last user message, whatever the case.
    pub contains: String,
    /// When given, the system prompt must contain this too, so that a changed prompt changes behaviour.
    #[serde(default)]
    pub system_contains: Option<String>,
    /// When given, the rule is for answers to a tool's result that contains this, and may call after it.
    #[serde(default)]
    pub result_contains: Option<String>,
    /// Share of answers in which the rule counts; in the others it is as if it weren't there.
    #[serde(default = "Rate::always")]
    pub rate: Rate,
    /// Said at once, or after the tool's result when the rule calls one.
    #[serde(default)]
    pub reply: Option<String>,
    /// Called when the request offers it.
    #[serde(default)]
    pub tool: Option<ScriptedTool>,
    /// Called in one answer, those that the request offers; instead of `tool`.
    #[serde(default)]
    pub tools: Vec<ScriptedTool>,
}

/// The tool call of a rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptedTool {
    pub name: String,
    /// Missing: generated from the tool's schema.
    #[serde(default)]
    pub arguments: Option<serde_json::Map<String, serde_json::Value>>,
}

/// How a checkpoint handles tools that a request offers.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolHabits {
    /// Probability of a call when the last message is the user's and names no tool.
    #[serde(default)]
    pub call_rate: Rate,
    /// Share of calls that go to another of the offered tools.
    #[serde(default)]
    pub wrong_tool_rate: Rate,
    /// Share of calls to a name that wasn't offered.
    #[serde(default)]
    pub unknown_tool_rate: Rate,
    /// Share of calls whose arguments are not JSON.
    #[serde(default)]
    pub malformed_rate: Rate,
}

/// Why a script can't be used. The message says where, what, and what to do.
#[derive(Debug, Error)]
pub enum ScriptError {
    #[error("script line {line}: {problem}; see docs/simulated-provider.md for the keys")]
    Syntax { line: usize, problem: String },
    #[error("script key `{key}`: {problem}; {next}")]
    Invalid { key: String, problem: String, next: String },
}

impl Script {
    /// Reads and checks a script.
    ///
    /// # Errors
    /// `Syntax` when the text isn't the TOML of a script, with the line; `Invalid` when a value makes no sense.
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let mut script: Self = toml::from_str(text).map_err(|error| {
            let before = &text.as_bytes()[..error.span().map_or(0, |span| span.start.min(text.len()))];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            ScriptError::Syntax { line, problem: error.message().to_owned() }
        })?;
        for checkpoint in &mut script.checkpoints {
            checkpoint.scripted.iter_mut().for_each(Scripted::lower);
            if checkpoint.fingerprint.is_empty() {
                let hash = xxhash_rust::xxh3::xxh3_64(checkpoint.id.as_bytes());
                checkpoint.fingerprint = format!("fp_{:010x}", hash >> 24);
            }
        }
        checks::check(&script)?;
        Ok(script)
    }

    /// Gives the script that `pinrail sim` and `pinrail up` use when the user brings none.
    pub fn builtin() -> Self {
        Self::from_toml(Self::builtin_text()).expect("a test holds the builtin script to be valid")
    }

    /// Gives the builtin script's text, a commented example to start from.
    pub fn builtin_text() -> &'static str {
        include_str!("builtin.toml")
    }
}

impl Default for Latency {
    fn default() -> Self {
        let never = Rate::default();
        Self { first_ms: 0, per_token_ms: 0, jitter: never, tail_rate: never, tail_factor: 1 }
    }
}

impl Checkpoint {
    /// Gives the rates as the script has them; the control surface may change them later.
    pub fn rates(&self) -> Rates {
        Rates {
            accuracy: self.accuracy,
            refusal_rate: self.refusal_rate,
            empty_rate: self.empty_rate,
            content_filter_rate: self.content_filter_rate,
            error_rate: self.error_rate,
            garbage_rate: self.garbage_rate,
            hang_rate: self.hang_rate,
            cut_stream_rate: self.cut_stream_rate,
            stall_rate: self.stall_rate,
            stream_error_rate: self.stream_error_rate,
        }
    }
}

impl Scripted {
    /// Gives the calls of the rule, in order.
    pub fn calls(&self) -> impl Iterator<Item = &ScriptedTool> {
        self.tool.iter().chain(&self.tools)
    }

    fn lower(&mut self) {
        self.contains = self.contains.to_lowercase();
        for words in [&mut self.system_contains, &mut self.result_contains] {
            *words = words.take().map(|words| words.to_lowercase());
        }
    }
}

fn one() -> u32 {
    1
}
