//! What a run's events add up to, and which event may follow which.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Ending, Event, Outcome};
use crate::id::EventSeq;
use crate::time::Timestamp;

/// A run's state and totals: the fold over its events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The place of the next event.
    pub next: EventSeq,
    pub started_at: Timestamp,
    pub last_at: Timestamp,
    /// Model calls made.
    pub calls: u32,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_nano_usd: u64,
    /// Whether something else than the pin answered at least once.
    pub drifted: bool,
    /// How far the answer is from the live run's; only where the run answers a copy, and did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<f64>,
}

/// Where a run is in its life. Stored as this number: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Queued = 0,
    Running = 1,
    Paused = 2,
    Parked = 3,
    Finished = 4,
}

/// An event that may not follow the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {status} takes no `{event}` event")]
pub struct Illegal {
    pub status: RunStatus,
    pub event: &'static str,
}

impl Summary {
    /// The summary of a run that has its `plan` event and no other.
    #[must_use]
    pub fn planned(at: Timestamp, queued: bool) -> Summary {
        Summary {
            status: if queued { RunStatus::Queued } else { RunStatus::Running },
            outcome: None,
            next: EventSeq(1),
            started_at: at,
            last_at: at,
            calls: 0,
            input_tokens: 0,
            output_tokens: 0,
            cost_nano_usd: 0,
            drifted: false,
            divergence: None,
        }
    }

    /// Takes in the next event. On an error nothing changes.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), Illegal> {
        self.status = self.status.after(event).ok_or(Illegal { status: self.status, event: event.kind() })?;
        self.next = self.next.next();
        self.last_at = self.last_at.max(at);
        match event {
            Event::ModelRequest { .. } => self.calls = self.calls.saturating_add(1),
            Event::ModelResponse(response) => {
                let usage = response.usage.unwrap_or_default();
                self.input_tokens = self.input_tokens.saturating_add(usage.input_tokens);
                self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
                self.cost_nano_usd =
                    self.cost_nano_usd.saturating_add(response.cost_nano_usd.unwrap_or_default());
            }
            Event::Drift { .. } => self.drifted = true,
            Event::Compared(compared) => self.divergence = Some(compared.divergence),
            Event::Finished { outcome, .. } => self.outcome = Some(*outcome),
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRetry { .. }
            | Event::ModelFailed { .. }
            | Event::ToolCall { .. }
            | Event::ToolResult { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Note { .. }
            | Event::Score { .. }
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Compensated { .. } => {}
        }
        Ok(())
    }
}

impl RunStatus {
    pub const ALL: [RunStatus; 5] =
        [RunStatus::Queued, RunStatus::Running, RunStatus::Paused, RunStatus::Parked, RunStatus::Finished];

    /// Whether the run still needs its deployment.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            RunStatus::Queued | RunStatus::Running | RunStatus::Paused | RunStatus::Parked => true,
            RunStatus::Finished => false,
        }
    }

    /// The status after `event`; none where it may not come.
    fn after(self, event: &Event) -> Option<RunStatus> {
        use RunStatus::{Finished, Parked, Paused, Queued, Running};
        match (self, event) {
            (_, Event::Plan { .. }) => None,
            // A client acts on a tool call after the answer that has it, and so after a run that was this one answer.
            (
                status,
                Event::Compensated { .. }
                | Event::Score { .. }
                | Event::ToolRuled { .. }
                | Event::ApprovalDecided { .. },
            ) => Some(status),
            (Finished, _) => None,
            (_, Event::Finished { .. }) => Some(Finished),
            (_, Event::Parked { .. }) => Some(Parked),
            (Queued, Event::Started) | (Paused | Parked, Event::Resumed) => Some(Running),
            (Running | Parked, Event::Started)
            | (Queued | Running, Event::Resumed)
            | (Paused, Event::Started) => None,
            (Running, Event::Paused { .. }) => Some(Paused),
            (Queued | Paused | Parked, Event::Paused { .. }) => None,
            (Queued | Paused | Parked, Event::ModelRequest { .. }) => None,
            // What was under way when the run was paused or parked may still come in.
            (
                status,
                Event::ModelRequest { .. }
                | Event::ModelRetry { .. }
                | Event::ModelResponse(_)
                | Event::ModelFailed { .. }
                | Event::Drift { .. }
                | Event::ToolCall { .. }
                | Event::ToolResult { .. }
                | Event::Dialled { .. }
                | Event::Compared(_)
                | Event::Note { .. },
            ) => Some(status),
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Paused => "paused",
            RunStatus::Parked => "parked",
            RunStatus::Finished => "finished",
        })
    }
}

/// A word that names no run status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no run status `{0}`; they are queued, running, paused, parked, finished")]
pub struct NoSuchStatus(pub String);

impl FromStr for RunStatus {
    type Err = NoSuchStatus;

    fn from_str(text: &str) -> Result<RunStatus, NoSuchStatus> {
        let found = RunStatus::ALL.into_iter().find(|status| status.to_string() == text);
        found.ok_or_else(|| NoSuchStatus(text.to_owned()))
    }
}

impl Ending {
    /// How a run of one call ends with this ending.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Ending::Complete => Outcome::Ok,
            Ending::Cut | Ending::Error => Outcome::Error,
            Ending::Cancelled => Outcome::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_takes_nothing_more() {
        let mut summary = Summary::planned(Timestamp(5), false);
        summary.apply(Timestamp(6), &Event::Finished { outcome: Outcome::Ok, why: None }).unwrap();
        let before = summary.clone();
        for event in [Event::Started, Event::Resumed, Event::Paused { why: String::new() }] {
            assert!(summary.apply(Timestamp(7), &event).is_err());
        }
        assert_eq!(summary, before);
    }

    #[test]
    fn the_life_of_a_run_is_what_the_table_says() {
        use RunStatus::{Finished, Parked, Paused, Queued, Running};
        let pause = || Event::Paused { why: "lunch".into() };
        let park = || Event::Parked { why: "gone".into() };
        let check = |from: RunStatus, event: Event, expected: Option<RunStatus>| {
            assert_eq!(from.after(&event), expected, "{from} + {}", event.kind());
        };
        check(Queued, Event::Started, Some(Running));
        check(Queued, park(), Some(Parked));
        check(Queued, pause(), None);
        check(Running, Event::Started, None);
        check(Running, pause(), Some(Paused));
        check(Running, Event::Resumed, None);
        check(Paused, Event::Resumed, Some(Running));
        check(Paused, Event::ModelRequest { call: 1, stream: false, dropped: Vec::new(), body: None }, None);
        check(Parked, Event::Resumed, Some(Running));
        let compensated = || Event::Compensated {
            deployment: crate::id::DeploymentId(2),
            event: crate::id::EventSeq(1),
            id: "2".into(),
            reason: String::new(),
        };
        check(Finished, compensated(), Some(Finished));
        check(Paused, compensated(), Some(Paused));
        check(Parked, Event::Finished { outcome: Outcome::Error, why: None }, Some(Finished));
        for status in RunStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
    }

    #[test]
    fn time_never_runs_backwards_in_a_summary() {
        let mut summary = Summary::planned(Timestamp(100), false);
        summary
            .apply(Timestamp(40), &Event::Note { name: "n".into(), data: serde_json::Value::Null })
            .unwrap();
        assert_eq!(summary.last_at, Timestamp(100));
    }
}
