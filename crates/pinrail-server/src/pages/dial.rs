//! `/dial`: where it stands, who waits for a person, and turning it.

use pinrail_api::dial::SetDial;
use pinrail_api::problem::Problem;
use pinrail_dashboard::confirm::{Choice, Confirm, Field, Kind};
use pinrail_dashboard::dial::{Dial, Row, Wish, meanings, says};
use pinrail_dashboard::page::Nav;
use pinrail_domain::approval::ApprovalState;
use pinrail_domain::dial::{Caller, Place, Position};
use pinrail_domain::id::{AgentName, ApprovalId, SegmentName, TenantId, ToolName};
use serde::Deserialize;

use super::form::query;
use super::{done, typed};
use crate::api;
use crate::api::approvals::list as approvals;
use crate::api::dial::get::Query as Asked;
use crate::call::Call;
use crate::reply::Answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    segment: Option<SegmentName>,
    tenant: Option<TenantId>,
    tool: Option<ToolName>,
    after: Option<AgentName>,
    before: Option<ApprovalId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Where {
    agent: Option<AgentName>,
    segment: Option<SegmentName>,
    tenant: Option<TenantId>,
    tool: Option<ToolName>,
    position: Option<Position>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    agent: Option<AgentName>,
    segment: Option<SegmentName>,
    tenant: Option<TenantId>,
    tool: Option<ToolName>,
    position: Position,
    release: Option<String>,
    text: Option<String>,
    #[serde(default)]
    reason: String,
}

/// Agents of a page.
const AGENTS: usize = 50;
/// Calls that wait, of a page.
const WAITING: usize = 50;
/// Calls that wait no more.
const DECIDED: usize = 10;

pub async fn show(call: Call) -> Result<Dial, Problem> {
    let Query { agent, segment, tenant, tool, after, before } = query(&call)?;
    let wish = Wish {
        agent: agent.as_ref().map(ToString::to_string).unwrap_or_default(),
        segment: segment.as_ref().map(ToString::to_string).unwrap_or_default(),
        tenant: tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
        tool: tool.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    if let Some(agent) = agent.as_ref().filter(|agent| !has_agent(&call, agent)) {
        return Err(api::agents::no_agent(agent));
    }
    let dial = api::dial::get::value(&call, Asked { agent, segment, tenant, tool })?;
    let (rows, next) = rows(&call, after.as_ref());
    let pending = approvals::Query {
        state: Some(ApprovalState::Pending.as_str().to_owned()),
        before,
        limit: Some(WAITING),
        ..approvals::Query::default()
    };
    let waiting = approvals::value(&call, pending).await?;
    let newest = approvals::Query { limit: Some(DECIDED), ..approvals::Query::default() };
    let mut decided = approvals::value(&call, newest).await?.items;
    decided.retain(|approval| approval.state != ApprovalState::Pending);
    Ok(Dial {
        epoch: dial.epoch,
        rows,
        next,
        settings: dial.settings,
        wish,
        in_force: dial.in_force,
        more_waiting: waiting.next.and_then(|next| next.parse().ok()),
        waiting: waiting.items,
        decided,
    })
}

fn has_agent(call: &Call, agent: &AgentName) -> bool {
    call.control().snapshot().world.agents.contains_key(agent)
}

/// What is in force for each agent's segments, whatever the tenant.
fn rows(call: &Call, after: Option<&AgentName>) -> (Vec<Row>, Option<AgentName>) {
    let snapshot = call.control().snapshot();
    let unrecorded = call.control().dials_unrecorded();
    let agents = snapshot.world.agents.iter().filter(|(agent, _)| after.is_none_or(|after| *agent > after));
    let mut agents: Vec<_> = agents.take(AGENTS + 1).collect();
    let next = (agents.len() > AGENTS).then(|| agents[AGENTS - 1].0.clone());
    agents.truncate(AGENTS);
    let tenant = TenantId::shared();
    let mut rows = Vec::new();
    for (agent, spec) in agents {
        let own = spec.segments.iter().map(|segment| segment.name.clone());
        for segment in own.chain([SegmentName::default_segment()]) {
            let caller = Caller { agent, segment: &segment, tenant: &tenant };
            let dialled = snapshot.routes.dialled(caller);
            let by = dialled.as_ref().and_then(|dialled| dialled.by.as_ref());
            let by = by.map(|(place, setting)| api::dial::shown(place, setting, !unrecorded.contains(place)));
            let position = dialled.map_or(Position::Full, |dialled| dialled.position);
            rows.push(Row { agent: agent.clone(), segment, position, by });
        }
    }
    (rows, next)
}

pub async fn confirm_turn(call: Call) -> Result<Confirm, Problem> {
    let Where { agent, segment, tenant, tool, position } = query(&call)?;
    let place = Place { agent, segment, tenant, tool };
    if let Some(agent) = place.agent.as_ref().filter(|agent| !has_agent(&call, agent)) {
        return Err(api::agents::no_agent(agent));
    }
    let snapshot = call.control().snapshot();
    let stands = snapshot.routes.dials().get(&place);
    let now = stands.map_or(Position::Full, |setting| setting.position);
    let chosen = position.unwrap_or(now);
    let mut says = vec![match stands {
        Some(setting) if !setting.reason.is_empty() => {
            format!("The dial of {place} stands at {now}, because: {}", setting.reason)
        }
        Some(_) | None => format!("The dial of {place} stands at {now}."),
    }];
    says.push("The turn is in force at once, in this server and in every member with the next epoch. Where several settings hold, the most restrictive wins.".to_owned());
    Ok(Confirm {
        nav: Nav::Dial,
        title: format!("Turn the dial of {place}"),
        says,
        preview: meanings(),
        fields: fields(&place, chosen),
        action: "/dial/turn".to_owned(),
        button: "Turn the dial".to_owned(),
        destructive: chosen > now,
        reason_needed: true,
        back: "/dial".to_owned(),
    })
}

fn fields(place: &Place, chosen: Position) -> Vec<Field> {
    let Place { agent, segment, tenant, tool } = place;
    let is_for = |position: &Position| match position {
        Position::Full | Position::Supervised | Position::Off => true,
        Position::ReadOnly | Position::Fallback | Position::Canned => tool.is_none(),
    };
    let choice = |position: Position| Choice {
        value: position.to_string(),
        label: format!("{position}: {}", says(position)),
        chosen: position == chosen,
    };
    let options = Position::ALL.into_iter().filter(is_for).map(choice).collect();
    let field = |name, label: &str, hint: &str, kind| Field {
        name,
        label: label.to_owned(),
        hint: hint.to_owned(),
        kind,
    };
    let hidden =
        |name, value: Option<String>| field(name, "", "", Kind::Hidden { value: value.unwrap_or_default() });
    let text = || Kind::Text { value: String::new(), needed: false };
    let mut fields = vec![
        hidden("agent", agent.as_ref().map(ToString::to_string)),
        hidden("segment", segment.as_ref().map(ToString::to_string)),
        hidden("tenant", tenant.as_ref().map(ToString::to_string)),
        hidden("tool", tool.as_ref().map(ToString::to_string)),
        field("position", "Position", "", Kind::Choice { options }),
    ];
    if tool.is_none() {
        let release = "Only at fallback: who answers, by 6 or more digits of its id. Empty: what the agent’s settings say, else the release before.";
        fields.push(field("release", "Release", release, text()));
        let said = "Only at canned: what is said. Empty: what the agent’s settings say.";
        fields.push(field("text", "Text", said, text()));
    }
    fields
}

pub async fn turn(call: Call) -> Answer {
    let Wanted { agent, segment, tenant, tool, position, release, text, reason } = typed(&call)?;
    let place = Place { agent, segment, tenant, tool };
    let wish = SetDial { place, position, release, text, reason };
    let turned = api::dial::put::run(&call, wish).await?;
    done("/dial", turned.seq)
}

#[cfg(test)]
mod tests;
