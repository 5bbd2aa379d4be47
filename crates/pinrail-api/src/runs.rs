//! `POST|GET /api/v1/runs`, `GET /api/v1/runs/{id}`, `GET|POST …/{id}/events`, `POST …/{id}/finish|resume`.

use std::collections::BTreeMap;

use pinrail_domain::id::{AgentName, DeploymentId, Epoch, EventSeq, ReleaseId, RunId, SessionId, TenantId};
use pinrail_domain::journal::{Event, Outcome, Recorded, Stamp, Summary};
use pinrail_domain::release::Manifest;
use serde::{Deserialize, Serialize};

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
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: RunId,
    pub stamp: Stamp,
    pub summary: Summary,
}

/// Events to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendEvents {
    /// Append only if the run's next event has this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seq: Option<EventSeq>,
    pub events: Vec<Event>,
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
    pub tools: Option<serde_json::Value>,
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
