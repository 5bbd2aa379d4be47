//! `POST|GET /api/v1/runs`, `GET /api/v1/runs/{id}`, `GET|POST …/{id}/events`, `POST …/{id}/finish|scores|resume`.

use std::collections::BTreeMap;

use pinrail_domain::id::{AgentName, DeploymentId, Epoch, EventSeq, ReleaseId, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Event, Outcome, Recorded, Stamp, Summary};
use pinrail_domain::release::Manifest;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dial::InForce;

/// A run to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRun {
    pub agent: AgentName,
    /// Else the header `x-pinrail-tenant`, else the key's only tenant, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The run that this one is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// Whether it waits for a worker.
    #[serde(default)]
    pub queued: bool,
}

/// A run that was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    pub run: RunId,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub epoch: Epoch,
    pub status: String,
    pub stamp: Stamp,
    /// What the dial takes away; none where everything is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<InForce>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: RunId,
    pub stamp: Stamp,
    pub summary: Summary,
}

/// A page of runs: `GET /api/v1/runs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Runs<R = Run> {
    /// Newest first. Where a text is looked for, perhaps fewer than a page holds, or none, and still a `next`.
    pub items: Vec<R>,
    /// Pass as `before` for the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How far this page looked; only where a text is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
}

/// How far a page of a search looked: it reads runs one by one, and no more than it can in a fifth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// Runs whose journals were looked at.
    pub runs: u64,
    /// When the oldest of them began; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<Timestamp>,
    /// Those with a journal so long that only its first 8 MiB were looked at, without finding the text there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_part: u64,
}

/// Events to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendEvents<E = CallersEvent> {
    /// Append only if the run's next event has this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seq: Option<EventSeq>,
    pub events: Vec<E>,
}

/// An event that callers append. The others, Pinrail writes itself. A field that isn't known is refused: what is
/// spelt wrong would else be lost for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum CallersEvent {
    /// A worker took the queued run.
    Started {},
    ToolCall {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        arguments: Value,
    },
    ToolResult {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        error: bool,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// Whatever else the caller wants on record.
    Note {
        name: String,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        data: Value,
    },
    Paused {
        why: String,
    },
    Resumed {},
}

/// A run after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunChanged {
    pub run: RunId,
    pub summary: Summary,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRun {
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How good a run was: `POST …/{id}/scores`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreRun {
    pub scores: Vec<NewScore>,
}

/// One score. The newest of a name counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewScore {
    pub name: String,
    /// From 0 (as bad as can be) to 1.
    pub value: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// What a worker needs to go on with a run: the stamped release and what happened so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResumed {
    pub run: RunId,
    pub stamp: Stamp,
    pub summary: Summary,
    pub manifest: Manifest,
    /// The system prompt's template text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The tool definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
    /// The first page of events.
    pub events: Vec<Recorded>,
    /// Where to read on with `GET …/events?from=`, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_from: Option<EventSeq>,
}

/// A page of events: `GET …/{id}/events?from=&limit=&wait_ms=`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Events {
    pub run: RunId,
    pub events: Vec<Recorded>,
    /// Pass as `from` for what follows.
    pub next: EventSeq,
    pub status: String,
}

impl From<CallersEvent> for Event {
    fn from(event: CallersEvent) -> Event {
        match event {
            CallersEvent::Started {} => Event::Started,
            CallersEvent::ToolCall { name, id, arguments } => Event::ToolCall { name, id, arguments },
            CallersEvent::ToolResult { name, id, error, result } => {
                Event::ToolResult { name, id, error, result }
            }
            CallersEvent::Note { name, data } => Event::Note { name, data },
            CallersEvent::Paused { why } => Event::Paused { why },
            CallersEvent::Resumed {} => Event::Resumed,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
