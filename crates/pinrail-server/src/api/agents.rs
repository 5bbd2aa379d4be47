//! Agents and their settings.

use pinrail_api::problem::{Code, Problem};
use pinrail_control::CommitError;
use pinrail_control::agents::{AgentRefused, Change};
use pinrail_domain::id::AgentName;
use serde::Deserialize;

use crate::problem;

pub mod bump;
pub mod delete;
pub mod explain;
pub mod get;
pub mod list;
pub mod put;

/// The query of a `PUT` or `DELETE`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[serde(default)]
    pub reason: String,
}

/// The query of a list in the order of names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    pub after: Option<String>,
    pub limit: Option<usize>,
}

/// What a put or delete did, in a word.
pub fn word(change: Change) -> String {
    match change {
        Change::Created => "created",
        Change::Updated => "updated",
        Change::Unchanged => "unchanged",
        Change::Removed => "removed",
    }
    .to_owned()
}

pub fn no_agent(agent: &AgentName) -> Problem {
    problem::not_found(
        format!("agent `{agent}`"),
        &format!("create it: agents/{agent}/agent.toml and `pinrail apply` (PUT /api/v1/agents/{agent})"),
    )
}

/// Why an agent stays as it is.
fn refused(error: CommitError<AgentRefused>) -> Problem {
    problem::commit(error, |refused| {
        let detail = problem::chain(&refused);
        match refused {
            AgentRefused::Bad(_) => Problem::new(Code::BadAgent, detail)
                .next_step("correct agent.toml and run `pinrail apply`, or send the settings again"),
            AgentRefused::SegmentInUse { segment, deployment } => Problem::new(Code::InUse, detail)
                .next_step(format!(
                    "keep the segment, or take back what it serves: {}",
                    super::deployments::roll_back_command(deployment)
                ))
                .fact("segment", segment.as_str())
                .fact("deployment", deployment.0),
            AgentRefused::NoAgent(agent) => no_agent(&agent),
            AgentRefused::Deployed { agent: _, segment, deployment } => Problem::new(Code::InUse, detail)
                .next_step(format!(
                    "roll it back first: {}",
                    super::deployments::roll_back_command(deployment)
                ))
                .fact("segment", segment.as_str())
                .fact("deployment", deployment.0),
            AgentRefused::TooMany => Problem::new(Code::LimitReached, detail).next_step(
                "remove agents that nothing serves: `pinrail apply --prune` (DELETE /api/v1/agents/AGENT)",
            ),
        }
    })
}
