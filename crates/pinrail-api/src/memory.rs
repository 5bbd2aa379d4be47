//! `POST|GET /api/v1/memory/{agent}/{session}`, `GET …/replay`, `DELETE …/{key}`.

use pinrail_domain::id::{DeploymentId, RunId, StateSeq};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Moment, Op, Origin, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::{WrittenBy, moment};

/// Turns to remember.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remember {
    /// As in [`WrittenBy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// With a run: it was told all of these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// 1 to 1000, in order.
    pub turns: Vec<NewTurn>,
}

/// A turn, as model APIs write messages: `role`, `content`, and what else belongs to it (`name`, `tool_calls`, …).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTurn {
    /// Who said it: `user`, `assistant`, `tool`, or a word of the caller's.
    pub role: String,
    #[serde(default)]
    pub content: Value,
    /// A later turn with the same key takes this one's place; without one, the turn gets a key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StateKey>,
    /// Whether the run was told it, rather than concluded it. When absent: what the role `user` said was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<bool>,
    /// The records that it was derived from, by their `seq`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Turns that were remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub turns: Vec<Place>,
    /// Shows them: pass as `as_of`.
    #[serde(with = "moment")]
    pub moment: Moment,
    /// Where what the writer concluded belongs; 0 is the ground.
    pub deployment: DeploymentId,
}

/// Where a turn is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub key: StateKey,
    pub seq: StateSeq,
}

/// What a reader remembers of a session, or with `history=true` everything that was ever remembered of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    #[serde(with = "moment")]
    pub moment: Moment,
    /// Turns that the reader sees in all; absent in a history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Whether there are more: earlier ones, or in a history and a replay later ones.
    pub more: bool,
    /// Where to read on: as `before`, or in a history and a replay as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<StateSeq>,
    /// In the order in which they were said.
    pub turns: Vec<Turn>,
}

/// A turn. Its own fields, `role` and `content` first, stand beside ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub seq: StateSeq,
    pub key: StateKey,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    pub deployment: DeploymentId,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
    /// Only in a history, where deletes show too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// Only in a history: why the reader doesn't see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
    /// Its content was erased by right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    #[serde(flatten)]
    pub said: Map<String, Value>,
}

/// A turn that was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    pub key: StateKey,
    /// The delete.
    pub seq: StateSeq,
    #[serde(with = "moment")]
    pub moment: Moment,
    /// A rollback of this deployment brings the turn back; 0 is the ground.
    pub deployment: DeploymentId,
}

/// Names that a turn's own fields can't have: they are ours in answers.
pub const RESERVED: [&str; 8] = ["seq", "at", "run", "deployment", "origin", "op", "hidden", "erased"];

impl Remember {
    #[must_use]
    pub fn by(&self) -> WrittenBy {
        WrittenBy { run: self.run, deployment: self.deployment, external: self.external }
    }
}
