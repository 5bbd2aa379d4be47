//! The dial: where it stands, and how it is turned.

use pinrail_api::dial::{DialSetting, InForce, ToolInForce};
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::dial::{DialRefused, Dialled, Place, Position, Setting, ToolRule};
use pinrail_domain::id::ToolName;

use crate::api::agents::no_agent;
use crate::problem;

pub mod get;
pub mod put;

/// What the dial leaves of a caller's calls, with what it says of one tool more.
pub fn in_force(dialled: Option<&Dialled>, tool: Option<&ToolName>) -> InForce {
    let Some(dialled) = dialled else {
        let allowed = |tool: &ToolName| ToolInForce {
            tool: tool.clone(),
            rule: ToolRule::Allowed,
            rule_with_side_effects: ToolRule::Allowed,
            place: None,
            reason: None,
        };
        let tools = tool.map(allowed).into_iter().collect();
        return InForce { position: Position::Full, place: None, reason: None, tools };
    };
    let one = |tool: &ToolName| {
        let by = dialled.why_tool(tool.as_str());
        ToolInForce {
            tool: tool.clone(),
            rule: dialled.tool(tool.as_str(), false),
            rule_with_side_effects: dialled.tool(tool.as_str(), true),
            place: by.map(|(place, _)| place.to_string()),
            reason: by.map(|(_, setting)| setting.reason.clone()),
        }
    };
    let more = tool.filter(|tool| !dialled.tools.contains_key(*tool));
    InForce {
        position: dialled.position,
        place: dialled.by.as_ref().map(|(place, _)| place.to_string()),
        reason: dialled.by.as_ref().map(|(_, setting)| setting.reason.clone()),
        tools: dialled.tools.keys().chain(more).map(one).collect(),
    }
}

/// A setting as the API shows it.
pub fn shown(place: &Place, setting: &Setting, recorded: bool) -> DialSetting {
    DialSetting {
        place: place.clone(),
        position: setting.position,
        release: setting.release,
        text: setting.text.clone(),
        since: setting.since,
        seq: recorded.then_some(setting.seq),
        by: setting.by.clone(),
        reason: setting.reason.clone(),
        recorded,
    }
}

fn refused(refused: DialRefused) -> Problem {
    let detail = problem::chain(&refused);
    let bad = |next_step: &str| Problem::new(Code::BadDial, detail.clone()).next_step(next_step);
    match refused {
        DialRefused::NoAgent(agent) => no_agent(&agent),
        DialRefused::NoSegment { agent, .. } => problem::not_found(
            detail.trim_start_matches("there is no "),
            &format!("`pinrail agent show {agent}` lists its segments (GET /api/v1/agents/{agent})"),
        ),
        DialRefused::SegmentAlone(_) => bad("name its agent as well (`place.agent`)"),
        DialRefused::NotForTools(_) => bad("turn a tool's dial to full, supervised or off"),
        DialRefused::NotAt { .. } => bad("leave it out, or turn the dial to that position"),
        DialRefused::TextTooLong(_) => bad("shorten the text"),
        DialRefused::TooMany(_) => {
            bad("`pinrail dial show` lists them (GET /api/v1/dial); turn those that aren't needed to full")
        }
        DialRefused::NoFallback { agent, .. } => bad(&format!(
            "name a release that was promoted, with --release; or turn it to canned: `pinrail dial set {agent} canned` \
             (PUT /api/v1/dial)"
        )),
        DialRefused::OnlyPeopleTurnUp { .. } => bad("have a person turn it up"),
    }
}
