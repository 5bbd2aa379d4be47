//! A run's journal: what happened, in order, append-only (I2, I3, I8).
//!
//! Event 0 is [`Event::Plan`] and carries the stamp: nothing later can change it. A run's [`Summary`] is a
//! fold over its events; every store keeps it beside the events, computed by this code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dial::{Position, Ruling};
use crate::digest::Digest;
use crate::id::{
    AgentName, ApprovalId, DeploymentId, Epoch, EventSeq, GateId, ProviderName, ReleaseId, RunId,
    SegmentName, SessionId, TenantId,
};
use crate::ledger::Actor;
use crate::routes::Via;
use crate::time::Timestamp;

pub mod collect;
pub mod summary;
pub mod text;

pub use summary::{Illegal, RunStatus, Summary};
pub use text::Needle;

/// What a run is bound to for life. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    pub run: RunId,
    pub agent: AgentName,
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The run is one gateway call and ends with its answer; else its caller finishes it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub single: bool,
    /// The live run of whose request this one answers a copy: nobody is served by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<RunId>,
    /// The gate that asks: the run is in no deployment, and nobody is served by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateId>,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub segment: SegmentName,
    pub epoch: Epoch,
    pub via: Via,
    pub provider: ProviderName,
    pub snapshot: String,
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub seq: EventSeq,
    pub at: Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The stamp; always and only event 0.
    Plan {
        #[serde(flatten)]
        stamp: Box<Stamp>,
        /// Whether the run waits for a worker; a `started` event follows when one takes it.
        #[serde(default, skip_serializing_if = "is_false")]
        queued: bool,
    },
    Started,
    ModelRequest {
        call: u32,
        stream: bool,
        /// What was left out on the way to another dialect, by the release's leave.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Body>,
    },
    /// An attempt failed before its first byte and another follows, there or elsewhere.
    ModelRetry {
        call: u32,
        attempt: u32,
        why: String,
    },
    ModelResponse(Box<ModelResponse>),
    /// The provider couldn't be asked, or didn't answer.
    ModelFailed {
        call: u32,
        fault: FaultOf,
        code: String,
        why: String,
    },
    /// The provider says that something else answered than what is pinned.
    Drift {
        call: u32,
        /// What was asked for: the pinned snapshot, or that of the model which answered in its place.
        pinned: String,
        served: String,
        /// Who was asked, where it isn't the stamp's provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider: Option<ProviderName>,
    },
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
        #[serde(default, skip_serializing_if = "is_false")]
        error: bool,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// The dial took something away from the call.
    Dialled {
        call: u32,
        position: Position,
        /// Where the setting stands, in words.
        place: String,
        /// The tools that the model wasn't offered.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        withheld: Vec<String>,
    },
    /// What was decided about a tool call that the model or the caller wants made.
    ToolRuled {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The model call in whose answer it stands; none where the caller asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<u32>,
        ruling: Ruling,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A person decided about a tool call. May follow the end.
    ApprovalDecided {
        approval: ApprovalId,
        name: String,
        approved: bool,
        by: Actor,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Whatever else the caller wants on record.
    Note {
        name: String,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        data: Value,
    },
    /// How good somebody finds the run; may follow the end.
    Score {
        name: String,
        /// From 0 to 1.
        value: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        comment: Option<String>,
    },
    /// How far the answer is from the live run's; only in runs that answer a copy.
    Compared(Box<Compared>),
    Paused {
        why: String,
    },
    /// The run goes on after a pause or a park, on the stamp it always had.
    Resumed,
    /// The run can't go on: what it is bound to is gone.
    Parked {
        why: String,
    },
    Finished {
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The tool call at place `event` was reported for compensation, since `deployment` is bad, and the receiver took it.
    /// May follow the end.
    Compensated {
        deployment: DeploymentId,
        event: EventSeq,
        /// What the receiver knows the report by.
        id: String,
        /// Why somebody had it sent.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
}

/// A provider's answer, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelResponse {
    pub call: u32,
    pub status: u16,
    pub ending: Ending,
    /// Who answered, where it isn't the stamp's provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// The model that was asked, where it isn't the stamp's snapshot but one that the release lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub refusal: bool,
    /// Nobody was asked: the dial's text answered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub canned: bool,
    /// Neither a text nor a tool call nor a refusal is in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty: bool,
    /// How many vectors an embedder gave; none where a model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// From the request's arrival to the answer's first byte, in microseconds.
    pub first_byte_us: u64,
    pub last_byte_us: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
}

/// A candidate's answer beside the live one to the same request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub live: RunId,
    /// The live run's call, from 1.
    #[serde(default = "first_call", skip_serializing_if = "is_first_call")]
    pub call: u32,
    /// 0 is the same, 1 has nothing in common.
    pub divergence: f64,
    /// Of the texts, normalised: 1 is the same; none where neither answer has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<f64>,
    /// Of the tool calls, by name and arguments: 1 is the same; none where neither answer calls a tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<f64>,
    /// The finish reasons differ.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finish: bool,
    /// One of the two refuses, the other doesn't.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refusal: bool,
    /// One of the two said more than is compared.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// Characters of the text, candidate's and live.
    pub characters: [u64; 2],
    /// From the request's arrival to the last byte in microseconds, candidate's and live.
    pub last_byte_us: [u64; 2],
    /// Candidate's and live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<[u64; 2]>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Whole.
    #[default]
    Complete,
    /// The provider stopped in the middle.
    Cut,
    /// The client went away.
    Cancelled,
    /// The provider answered with an error.
    Error,
}

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    #[serde(default)]
    pub cached_input_tokens: u64,
}

/// A request's or answer's body, as the agent's policy keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Text { text: String, truncated: bool },
    Digest { digest: Digest, bytes: u64 },
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultOf {
    Client,
    Pinrail,
    Provider,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Error,
    Cancelled,
}

impl Outcome {
    pub const ALL: [Outcome; 3] = [Outcome::Ok, Outcome::Error, Outcome::Cancelled];

    /// The outcome as it is stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl Event {
    /// The `type` tag.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Plan { .. } => "plan",
            Event::Started => "started",
            Event::ModelRequest { .. } => "model_request",
            Event::ModelRetry { .. } => "model_retry",
            Event::ModelResponse(_) => "model_response",
            Event::ModelFailed { .. } => "model_failed",
            Event::Drift { .. } => "drift",
            Event::ToolCall { .. } => "tool_call",
            Event::ToolResult { .. } => "tool_result",
            Event::Dialled { .. } => "dialled",
            Event::ToolRuled { .. } => "tool_ruled",
            Event::ApprovalDecided { .. } => "approval_decided",
            Event::Note { .. } => "note",
            Event::Score { .. } => "score",
            Event::Compared(_) => "compared",
            Event::Paused { .. } => "paused",
            Event::Resumed => "resumed",
            Event::Parked { .. } => "parked",
            Event::Finished { .. } => "finished",
            Event::Compensated { .. } => "compensated",
        }
    }

    /// The event without what was said in it, for whoever has a right to have that forgotten.
    ///
    /// Bodies become digests and lengths; a tool's arguments and results and a note's data go. What stays says that
    /// it happened, to which tool, when and how it ended: kinds, names, numbers, and why a run paused, parked, failed
    /// or finished. The stamp stays as a whole, attributes and session included: it is what the run is bound to
    /// (I2), and the journal's order and counts are as they were (I8).
    #[must_use]
    pub fn without_content(self) -> Event {
        match self {
            Event::ModelRequest { call, stream, dropped, body } => {
                Event::ModelRequest { call, stream, dropped, body: body.map(Body::without_text) }
            }
            Event::ModelResponse(mut response) => {
                response.body = response.body.map(Body::without_text);
                Event::ModelResponse(response)
            }
            Event::ToolCall { name, id, arguments: _ } => {
                Event::ToolCall { name, id, arguments: Value::Null }
            }
            Event::ToolResult { name, id, error, result: _ } => {
                Event::ToolResult { name, id, error, result: Value::Null }
            }
            Event::Score { name, value, comment: _ } => Event::Score { name, value, comment: None },
            Event::Note { name, data: _ } => Event::Note { name, data: Value::Null },
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRetry { .. }
            | Event::ModelFailed { .. }
            | Event::Drift { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Compared(_)
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Finished { .. }
            | Event::Compensated { .. } => self,
        }
    }

    /// Whether a caller of the run API may append it; the rest only Pinrail itself writes.
    #[must_use]
    pub fn is_the_callers(&self) -> bool {
        match self {
            Event::Started
            | Event::ToolCall { .. }
            | Event::ToolResult { .. }
            | Event::Note { .. }
            | Event::Paused { .. }
            | Event::Resumed => true,
            Event::Plan { .. }
            | Event::ModelRequest { .. }
            | Event::ModelRetry { .. }
            | Event::ModelResponse(_)
            | Event::ModelFailed { .. }
            | Event::Drift { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Score { .. }
            | Event::Compared(_)
            | Event::Parked { .. }
            | Event::Finished { .. }
            | Event::Compensated { .. } => false,
        }
    }
}

impl Body {
    /// The digest and the length of a text; a digest stays what it is.
    fn without_text(self) -> Body {
        match self {
            Body::Text { text, truncated: _ } => {
                Body::Digest { digest: Digest::of(text.as_bytes()), bytes: text.len() as u64 }
            }
            Body::Digest { .. } => self,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn first_call() -> u32 {
    1
}

fn is_first_call(call: &u32) -> bool {
    *call == first_call()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_said_goes_and_what_happened_stays() {
        let check = |event: Event, expected: Event| {
            assert_eq!(event.without_content(), expected);
            assert_eq!(expected.clone().without_content(), expected, "there is nothing more to take");
        };
        let same = |event: Event| check(event.clone(), event);
        let text = || Body::Text { text: "my name is Ada".into(), truncated: true };
        let digest = || Body::Digest { digest: Digest::of(b"my name is Ada"), bytes: 14 };
        let request = |body| Event::ModelRequest { call: 1, stream: true, dropped: Vec::new(), body };
        check(request(Some(text())), request(Some(digest())));
        same(request(None));
        let response =
            |body| Event::ModelResponse(Box::new(ModelResponse { body, ..ModelResponse::default() }));
        check(response(Some(text())), response(Some(digest())));
        let call = |arguments| Event::ToolCall { name: "refund".into(), id: Some("t1".into()), arguments };
        check(call(json!({ "to": "Ada" })), call(Value::Null));
        let result = |result| Event::ToolResult { name: "refund".into(), id: None, error: true, result };
        check(result(json!("Ada is paid")), result(Value::Null));
        let note = |data| Event::Note { name: "mood".into(), data };
        check(note(json!(["Ada"])), note(Value::Null));
        same(Event::Paused { why: "lunch".into() });
        same(Event::Finished { outcome: Outcome::Ok, why: Some("done".into()) });
    }
}
