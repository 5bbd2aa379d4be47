//! The dial: a graduated kill switch with fixed positions, from everything on to everything off.
//!
//! A setting stands at a [`Place`]: an agent, a segment of one, a tenant, a tool, or several of these together; a place
//! that names nothing is everywhere. What a call may do is what all settings at its places leave of it, the most
//! restrictive wins: [`Dialled::of`]. Guardrails only turn a dial down; turning it up is for people: [`turn`].
//!
//! Every place where a dial is enforced (the gateway, the MCP proxy, `tools/authorize`) asks [`Dialled`] and nothing
//! else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{AgentName, DeploymentId, LedgerSeq, ReleaseId, SegmentName, TenantId, ToolName};
use crate::ledger::Actor;
use crate::rollout::quantity::Span;
use crate::time::Timestamp;

mod acts;
mod fallback;
#[cfg(test)]
mod tests;

pub use acts::{DialRefused, Turn, turn};
pub use fallback::{NoFallback, Stranded, fallback, stranded};

/// How much is left on; each position takes away what the one before it takes, and more. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Everything is on.
    #[default]
    Full,
    /// A call of a tool with side effects needs a person's approval.
    Supervised,
    /// Tools with side effects are withheld and refused.
    ReadOnly,
    /// The segment's fallback release answers.
    Fallback,
    /// A fixed text answers.
    Canned,
    /// Nothing answers.
    Off,
}

/// What a setting applies to: whatever fits all that is named. Nothing named: everything. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Of that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<SegmentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
}

/// How the dial stands at a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    pub position: Position,
    /// Who answers at `fallback`; none: what the agent's settings say, else the release before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// What is said at `canned`; none: what the agent's settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub since: Timestamp,
    pub seq: LedgerSeq,
    pub by: Actor,
    pub reason: String,
}

/// Every place where the dial isn't at `full`.
pub type Settings = BTreeMap<Place, Arc<Setting>>;

/// An agent's part in its dial: what answers when the model may not. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialSpec {
    /// The release that answers at `fallback`; none: the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<ReleaseId>,
    /// The text that answers at `canned`; none: [`CANNED_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canned: Option<String>,
    /// What `Retry-After` says at `off`; none: [`RETRY_AFTER_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
    /// How long a call waits for its approval; none: [`APPROVAL_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_expires: Option<Span>,
    /// Whether the agent's clients ask `tools/authorize` before they call a tool with side effects. Answers that call one
    /// then pass at `supervised`; else Pinrail holds them back itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clients_authorize: bool,
    /// What differs in a segment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<SegmentName, Reply>,
}

/// What answers in a segment in the model's place; none: as everywhere. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<ReleaseId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canned: Option<String>,
}

/// What the dial leaves of a call: the most restrictive of all settings at its places.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialled {
    pub position: Position,
    /// The setting that decided, and where it stands; none at `full`.
    pub by: Option<(Place, Arc<Setting>)>,
    /// Tools with a setting of their own, each with the most restrictive one.
    pub tools: BTreeMap<ToolName, (Place, Arc<Setting>)>,
}

/// What the dial leaves of a run's calls, with what its agent's settings say about that.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub dialled: Dialled,
    /// What is said at `canned`.
    pub canned: Option<String>,
    /// See [`DialSpec::clients_authorize`].
    pub clients_authorize: bool,
}

/// What was decided about one tool call. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    Allowed,
    /// It waits for a person.
    NeedsApproval,
    /// A person said no.
    Denied,
    /// The dial, or the release, doesn't let it be called at all.
    Withheld,
}

/// Who calls, for the dial.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub agent: &'a AgentName,
    pub segment: &'a SegmentName,
    pub tenant: &'a TenantId,
}

/// What may become of a tool's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolRule {
    Allowed,
    /// Once a person has approved this one call.
    NeedsApproval,
    /// The model isn't offered it, and a call of it is refused.
    Withheld,
}

/// Why the dial lets a call not through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dial of {place} stands at {position} ({reason}){}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub struct Halted {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub position: Position,
    /// Where the setting stands, in words.
    pub place: String,
    /// What was said when it was turned.
    pub reason: String,
    /// What else keeps the call from being answered.
    pub why: Option<String>,
    pub retry_after_s: u64,
}

/// A position that isn't there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no position of the dial: it has full, supervised, read_only, fallback, canned and off")]
pub struct NoSuchPosition(pub String);

/// What `Retry-After` says at `off`.
pub const RETRY_AFTER_DEFAULT: Span = Span::minutes(1);
/// How long a tool call waits for its approval.
pub const APPROVAL_DEFAULT: Span = Span::hours(1);
/// What is said at `canned` by agents that have no text of their own.
pub const CANNED_DEFAULT: &str = "This assistant is paused at the moment. Please try again later.";
/// A fixed reply is a few sentences.
pub const CANNED_BYTES_MAX: usize = 4_000;
/// Each setting may be looked at for every call, so there are not many.
pub const SETTINGS_MAX: usize = 1_000;

impl Position {
    /// From everything on to everything off.
    pub const ALL: [Position; 6] = [
        Position::Full,
        Position::Supervised,
        Position::ReadOnly,
        Position::Fallback,
        Position::Canned,
        Position::Off,
    ];

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Position::Full => "full",
            Position::Supervised => "supervised",
            Position::ReadOnly => "read_only",
            Position::Fallback => "fallback",
            Position::Canned => "canned",
            Position::Off => "off",
        }
    }
}

impl Place {
    /// An agent, all of it.
    #[must_use]
    pub fn agent(agent: &AgentName) -> Place {
        Place { agent: Some(agent.clone()), ..Place::default() }
    }

    /// Whether a call of this caller is at the place, whatever the tool.
    #[must_use]
    pub fn holds(&self, caller: Caller<'_>) -> bool {
        fn fits<T: PartialEq>(named: Option<&T>, actual: &T) -> bool {
            named.is_none_or(|named| named == actual)
        }
        fits(self.agent.as_ref(), caller.agent)
            && fits(self.segment.as_ref(), caller.segment)
            && fits(self.tenant.as_ref(), caller.tenant)
    }
}

impl Dialled {
    /// What the settings leave of a caller's calls; none: everything. Without settings that takes no time.
    #[must_use]
    pub fn of(settings: &Settings, caller: Caller<'_>) -> Option<Dialled> {
        let mut dialled: Option<Dialled> = None;
        for (place, setting) in settings.iter().filter(|(place, _)| place.holds(caller)) {
            let dialled = dialled.get_or_insert_with(Dialled::full);
            let this = (place.clone(), Arc::clone(setting));
            match &place.tool {
                Some(tool) => {
                    let known = dialled.tools.get(tool).map(|(_, known)| known.position);
                    if known.is_none_or(|known| known < setting.position) {
                        dialled.tools.insert(tool.clone(), this);
                    }
                }
                None if dialled.position < setting.position => {
                    dialled.position = setting.position;
                    dialled.by = Some(this);
                }
                None => {}
            }
        }
        dialled
    }

    /// What may become of a call of a tool.
    #[must_use]
    pub fn tool(&self, name: &str, has_side_effects: bool) -> ToolRule {
        let everywhere = match (self.position, has_side_effects) {
            (Position::Canned | Position::Off, _) | (Position::ReadOnly, true) => ToolRule::Withheld,
            // What answers then may do what it may: the position takes the other release away, and its tools with it.
            (Position::Fallback, true) => ToolRule::Withheld,
            (Position::Supervised, true) => ToolRule::NeedsApproval,
            (Position::Full | Position::Supervised | Position::ReadOnly | Position::Fallback, _) => {
                ToolRule::Allowed
            }
        };
        let own = self.tools.get(name).map_or(ToolRule::Allowed, |(_, setting)| match setting.position {
            Position::Full => ToolRule::Allowed,
            Position::Supervised => ToolRule::NeedsApproval,
            Position::ReadOnly | Position::Fallback | Position::Canned | Position::Off => ToolRule::Withheld,
        });
        everywhere.stricter(own)
    }

    /// The setting that keeps a tool from being called freely, for a sentence to the caller.
    #[must_use]
    pub fn why_tool(&self, name: &str) -> Option<&(Place, Arc<Setting>)> {
        let own = self.tools.get(name);
        let all = self.by.as_ref();
        match (own, all) {
            (Some(own), Some(all)) => Some(if own.1.position >= all.1.position { own } else { all }),
            (own, all) => own.or(all),
        }
    }

    /// Why a call isn't let through, for its caller; none where nothing stands in its way but tools.
    #[must_use]
    pub fn halted(&self, caller: Caller<'_>, spec: Option<&DialSpec>, why: Option<String>) -> Option<Halted> {
        let (place, setting) = self.by.as_ref()?;
        let retry_after = spec.map_or(RETRY_AFTER_DEFAULT, DialSpec::retry_after);
        Some(Halted {
            agent: caller.agent.clone(),
            segment: caller.segment.clone(),
            position: setting.position,
            place: place.to_string(),
            reason: setting.reason.clone(),
            why,
            retry_after_s: retry_after.ms.div_ceil(1_000),
        })
    }

    fn full() -> Dialled {
        Dialled { position: Position::Full, by: None, tools: BTreeMap::new() }
    }
}

impl Standing {
    /// What the dial leaves of the calls of one caller.
    #[must_use]
    pub fn of(dialled: Dialled, segment: &SegmentName, spec: Option<&DialSpec>) -> Standing {
        let canned = (dialled.position == Position::Canned).then(|| {
            let said = dialled.by.as_ref().and_then(|(_, setting)| setting.text.clone());
            said.unwrap_or_else(|| spec.map_or(CANNED_DEFAULT, |spec| spec.canned(segment)).to_owned())
        });
        Standing { dialled, canned, clients_authorize: spec.is_some_and(|spec| spec.clients_authorize) }
    }
}

impl Ruling {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ruling::Allowed => "allowed",
            Ruling::NeedsApproval => "needs_approval",
            Ruling::Denied => "denied",
            Ruling::Withheld => "withheld",
        }
    }
}

impl ToolRule {
    fn stricter(self, other: ToolRule) -> ToolRule {
        match (self, other) {
            (ToolRule::Withheld, _) | (_, ToolRule::Withheld) => ToolRule::Withheld,
            (ToolRule::NeedsApproval, _) | (_, ToolRule::NeedsApproval) => ToolRule::NeedsApproval,
            (ToolRule::Allowed, ToolRule::Allowed) => ToolRule::Allowed,
        }
    }
}

impl DialSpec {
    /// The text that answers at `canned` in a segment.
    #[must_use]
    pub fn canned(&self, segment: &SegmentName) -> &str {
        let own = self.segments.get(segment).and_then(|reply| reply.canned.as_deref());
        own.or(self.canned.as_deref()).unwrap_or(CANNED_DEFAULT)
    }

    /// The release that answers at `fallback` in a segment, if the settings name one.
    #[must_use]
    pub fn fallback(&self, segment: &SegmentName) -> Option<ReleaseId> {
        self.segments.get(segment).and_then(|reply| reply.fallback).or(self.fallback)
    }

    /// Every release that the settings name, whatever the segment.
    pub fn fallbacks(&self) -> impl Iterator<Item = ReleaseId> {
        self.fallback.into_iter().chain(self.segments.values().filter_map(|reply| reply.fallback))
    }

    #[must_use]
    pub fn retry_after(&self) -> Span {
        self.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)
    }

    #[must_use]
    pub fn approval_expires(&self) -> Span {
        self.approval_expires.unwrap_or(APPROVAL_DEFAULT)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Position {
    type Err = NoSuchPosition;

    fn from_str(text: &str) -> Result<Position, NoSuchPosition> {
        let found = Position::ALL.into_iter().find(|position| position.word() == text);
        found.ok_or_else(|| NoSuchPosition(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { agent, segment, tenant, tool } = self;
        let mut parts = Vec::new();
        parts.extend(tool.iter().map(|tool| format!("tool {tool}")));
        parts.extend(agent.iter().map(|agent| format!("agent {agent}")));
        parts.extend(segment.iter().map(|segment| format!("segment {segment}")));
        parts.extend(tenant.iter().map(|tenant| format!("tenant {tenant}")));
        match parts.is_empty() {
            true => f.write_str("everything"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ToolRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToolRule::Allowed => "allowed",
            ToolRule::NeedsApproval => "needs approval",
            ToolRule::Withheld => "withheld",
        })
    }
}

/// Who answers at `fallback`, bound as any other run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answerer {
    pub deployment: DeploymentId,
    pub release: ReleaseId,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
