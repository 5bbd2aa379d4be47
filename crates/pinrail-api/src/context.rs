//! `PUT|GET|DELETE /api/v1/context/{space}/{key}`, `GET /api/v1/context/{space}`, `POST|GET …/messages`, `POST …/resync`,
//! `GET …/watch`.

use std::collections::BTreeSet;

use pinrail_domain::id::{AgentName, DeploymentId, RunId, StateSeq};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Moment, Op, Origin, StateKey};
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::state::{WrittenBy, moment};

/// A value to put.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutContext {
    /// As in [`WrittenBy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Any JSON.
    pub value: Box<RawValue>,
    /// Else the one that the run's release writes, or 1. A run may write any that its release accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    /// Write only over this version, 0 for a key without a value; also as `If-Match`, or `If-None-Match: *`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<StateSeq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
}

/// A value that was put, or deleted. The answer's `ETag` is its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextChanged {
    pub key: StateKey,
    /// The put or delete itself.
    pub version: StateSeq,
    #[serde(with = "moment")]
    pub moment: Moment,
    /// Where it belongs; 0 is the ground.
    pub deployment: DeploymentId,
    /// Of a put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
}

/// A value as somebody sees it. In lists without `value`; in histories with `op` and the reason why it is hidden.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContextValue {
    /// When it was looked at: of a single value.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "moment::option")]
    pub moment: Option<Moment>,
    pub key: StateKey,
    pub version: StateSeq,
    /// Absent where the value was erased, and for a delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// The reader doesn't accept the protocol, so it isn't given the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaccepted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    pub deployment: DeploymentId,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Hidden>,
}

/// Keys of a space in their order, or with `history=true` the versions of one key, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContextList {
    #[serde(with = "moment")]
    pub moment: Moment,
    pub items: Vec<ContextValue>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// As in [`WrittenBy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// What it is about, in a word of the agents' own.
    pub kind: String,
    /// The agent that it is for; all, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AgentName>,
    /// Any JSON.
    pub body: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSent {
    pub seq: StateSeq,
    #[serde(with = "moment")]
    pub moment: Moment,
    pub deployment: DeploymentId,
    pub protocol: u32,
}

/// A message as somebody sees it. One in a protocol that the reader doesn't accept shows `seq`, `at` and `protocol` alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    pub seq: StateSeq,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unaccepted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The agent whose run sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AgentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AgentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<StateSeq>,
}

/// Messages, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Messages {
    #[serde(with = "moment")]
    pub moment: Moment,
    pub items: Vec<Message>,
    /// Pass as `after` for what follows.
    pub next: StateSeq,
    /// Whether there is more already.
    pub more: bool,
    /// How to get what the reader doesn't accept in a protocol that it does; only where there is such a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Resync>,
}

/// How to ask for a resync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resync {
    pub method: String,
    pub path: String,
    pub accepts: BTreeSet<u32>,
}

/// Asks the writers to write again in a protocol that the reader accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskResync {
    /// As in [`WrittenBy`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// Only this key; all that the reader needs, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StateKey>,
    /// Else what the run's release accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<BTreeSet<u32>>,
}

/// A key that shows nothing any more: the data of the events `hidden` and `delete`. A message is named by its `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextGone {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<StateKey>,
    /// The key's version, or the message's `seq`, that is gone.
    pub version: StateSeq,
    pub hidden: Hidden,
}

/// The kind of a request for a resync.
pub const RESYNC_REQUESTED: &str = "resync_requested";

macro_rules! written_by {
    ($($request:ident),*) => {
        $(impl $request {
            #[must_use]
            pub fn by(&self) -> WrittenBy {
                WrittenBy { run: self.run, deployment: self.deployment, external: self.external }
            }
        })*
    };
}

written_by!(PutContext, SendMessage, AskResync);
