//! What is kept of a watch between looks. Stored: never rename.

use std::collections::BTreeMap;

use pinrail_domain::drift::border::hunt::Hunt;
use pinrail_domain::drift::border::{Mode, Tally};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How far the watch over one model is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// How it is asked; none before the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What the field is called that limits answers to one token; most call it `max_tokens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_field: Option<String>,
    /// The border prompts in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// Prompts that no longer told anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worn: Vec<String>,
    /// The search for prompts, while there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hunt: Option<Hunt>,
    /// The model never ties: there is nothing to watch it by. The day on which it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind_until: Option<u32>,
    #[serde(default)]
    pub spent: Spent,
    /// Only days from here on count: the day of the last all-clear.
    #[serde(default)]
    pub from: u32,
    /// The last day that was judged.
    #[serde(default)]
    pub judged: u32,
    /// The open finding that this watch made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<LedgerSeq>,
    /// The last look of the schedule, as days and looks since 1970.
    #[serde(default)]
    pub slot: u64,
    /// Until then the provider is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_look: Option<Timestamp>,
    /// Why the last look didn't get all that it wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What a day has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    pub day: u32,
    /// Tokens of answers, counted before they are asked for: what a crash leaves uncertain counts as spent.
    pub tokens: u32,
    /// Tokens of questions, as the provider counts them.
    #[serde(default)]
    pub input_tokens: u64,
    pub calls: u32,
    #[serde(default)]
    pub failed: u32,
}

/// A day's answers as they are kept: by prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayDocument {
    pub mode: Mode,
    pub tallies: BTreeMap<String, Tally>,
}

impl Document {
    /// Reads a document; what can't be read is started anew, since it is only a watch.
    pub fn read(text: Option<&str>) -> Document {
        let read = text.map(serde_json::from_str::<Document>).transpose();
        read.unwrap_or_else(|error| {
            tracing::warn!(%error, "a watch can't be read; it starts anew");
            None
        })
        .unwrap_or_default()
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("a document is plain data")
    }
}
