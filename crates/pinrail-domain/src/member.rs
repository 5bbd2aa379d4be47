//! Members: gateways and workers that hold a lease and acknowledge epochs, and what a new epoch is about.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{AgentName, DeploymentId, Epoch, LedgerSeq};
use crate::ledger::{Body, Entry};
use crate::time::Timestamp;
use crate::world::World;

/// One member, as the server that it registered with names it; written `mem_` and 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A text that is not a member id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a member id: expected `mem_` and 16 hex digits")]
pub struct NotAMemberId;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// Decides where requests go.
    Gateway,
    /// Runs agents, and may cache their state.
    Worker,
}

/// A part of what members may have cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Which deployment serves, or what share a candidate has.
    Pointers,
    /// Whose state counts: what was read of memory, vectors or shared context may be hidden now, or more may be seen.
    Commits,
    /// An agent's settings.
    Agents,
    /// The dial: what of a run's calls is still allowed.
    Dials,
}

/// A ledger entry that raised the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub epoch: Epoch,
    /// The ledger entry.
    pub seq: LedgerSeq,
    /// The entry's time.
    pub at: Timestamp,
    /// The entry's type.
    pub kind: Cow<'static, str>,
    pub changed: BTreeSet<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// The agents that it concerns.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub agents: BTreeSet<AgentName>,
}

impl Change {
    /// What an entry changed for members; none when it leaves the epoch as it was. `world` is the world after it, or
    /// after later ones.
    #[must_use]
    pub fn of(entry: &Entry, epoch: Epoch, world: &World) -> Option<Change> {
        if !entry.body.raises_epoch() {
            return None;
        }
        let deployment = deployment(&entry.body);
        let opened = deployment.and_then(|id| world.deployments.get(&id));
        let mut agents: BTreeSet<AgentName> =
            opened.iter().flat_map(|deployment| deployment.releases.keys().cloned()).collect();
        agents.extend(agent(&entry.body).cloned());
        let mut changed = parts(&entry.body);
        if opened.is_some_and(|deployment| deployment.ingest.is_some()) {
            // A data job stands at no pointer.
            changed.remove(&Part::Pointers);
        }
        let kind = Cow::Borrowed(entry.body.kind());
        Some(Change { epoch, seq: entry.seq, at: entry.at, kind, changed, deployment, agents })
    }
}

fn parts(body: &Body) -> BTreeSet<Part> {
    match body {
        Body::AgentPut { .. } => [Part::Agents].into(),
        Body::AgentRemoved { .. } => [Part::Agents, Part::Pointers].into(),
        Body::DeploymentOpened { .. }
        | Body::RolloutStep { .. }
        | Body::RolloutResumed { .. }
        | Body::WeightSet { .. } => [Part::Pointers].into(),
        Body::DeploymentRolledBack { keep_state: true, .. } => [Part::Pointers].into(),
        Body::DeploymentPromoted { .. } | Body::DeploymentRolledBack { .. } => {
            [Part::Pointers, Part::Commits].into()
        }
        Body::DialSet { .. } => [Part::Dials].into(),
        Body::ProviderPut { .. }
        | Body::ProviderRemoved { .. }
        | Body::ReleaseCreated { .. }
        | Body::ManifestRecorded { .. }
        | Body::StateCollected { .. }
        | Body::JournalCollected { .. }
        | Body::StateErased { .. }
        | Body::HoldLifted { .. }
        | Body::RolloutStopped { .. }
        | Body::RolloutApproved { .. }
        | Body::GateRecorded { .. }
        | Body::GateJudged { .. }
        | Body::GateOverridden { .. }
        | Body::GateOverrideSeconded { .. }
        | Body::KeyCreated { .. }
        | Body::KeyRevoked { .. }
        | Body::WebhookPut { .. }
        | Body::WebhookRemoved { .. }
        | Body::DriftFound { .. }
        | Body::DriftCleared { .. }
        | Body::CatalogueUpdated { .. }
        | Body::ReleaseRetired { .. }
        | Body::McpServerPut { .. }
        | Body::McpServerRemoved { .. } => BTreeSet::new(),
    }
}

fn deployment(body: &Body) -> Option<DeploymentId> {
    match body {
        Body::DeploymentOpened { deployment, .. }
        | Body::DeploymentPromoted { deployment, .. }
        | Body::RolloutStep { deployment, .. }
        | Body::RolloutStopped { deployment, .. }
        | Body::RolloutResumed { deployment, .. }
        | Body::RolloutApproved { deployment, .. }
        | Body::GateRecorded { deployment, .. }
        | Body::GateOverridden { deployment, .. }
        | Body::GateOverrideSeconded { deployment, .. }
        | Body::DeploymentRolledBack { deployment, .. }
        | Body::WeightSet { deployment, .. }
        | Body::ManifestRecorded { deployment, .. } => Some(*deployment),
        Body::ProviderPut { .. }
        | Body::ProviderRemoved { .. }
        | Body::AgentPut { .. }
        | Body::AgentRemoved { .. }
        | Body::ReleaseCreated { .. }
        | Body::GateJudged { .. }
        | Body::StateCollected { .. }
        | Body::JournalCollected { .. }
        | Body::StateErased { .. }
        | Body::HoldLifted { .. }
        | Body::KeyCreated { .. }
        | Body::KeyRevoked { .. }
        | Body::WebhookPut { .. }
        | Body::WebhookRemoved { .. }
        | Body::DialSet { .. }
        | Body::DriftFound { .. }
        | Body::DriftCleared { .. }
        | Body::CatalogueUpdated { .. }
        | Body::ReleaseRetired { .. }
        | Body::McpServerPut { .. }
        | Body::McpServerRemoved { .. } => None,
    }
}

fn agent(body: &Body) -> Option<&AgentName> {
    match body {
        Body::AgentPut { agent, .. }
        | Body::AgentRemoved { agent }
        | Body::ReleaseCreated { agent, .. }
        | Body::GateJudged { agent, .. }
        | Body::HoldLifted { agent, .. } => Some(agent),
        Body::DialSet { place, .. } => place.agent.as_ref(),
        Body::ProviderPut { .. }
        | Body::ProviderRemoved { .. }
        | Body::DeploymentOpened { .. }
        | Body::DeploymentPromoted { .. }
        | Body::DeploymentRolledBack { .. }
        | Body::RolloutStep { .. }
        | Body::RolloutStopped { .. }
        | Body::RolloutResumed { .. }
        | Body::RolloutApproved { .. }
        | Body::GateRecorded { .. }
        | Body::GateOverridden { .. }
        | Body::GateOverrideSeconded { .. }
        | Body::ManifestRecorded { .. }
        | Body::StateCollected { .. }
        | Body::JournalCollected { .. }
        | Body::StateErased { .. }
        | Body::WeightSet { .. }
        | Body::KeyCreated { .. }
        | Body::KeyRevoked { .. }
        | Body::WebhookPut { .. }
        | Body::WebhookRemoved { .. }
        | Body::DriftFound { .. }
        | Body::DriftCleared { .. }
        | Body::CatalogueUpdated { .. }
        | Body::ReleaseRetired { .. }
        | Body::McpServerPut { .. }
        | Body::McpServerRemoved { .. } => None,
    }
}

impl MemberId {
    const PREFIX: &'static str = "mem_";
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:016x}", Self::PREFIX, self.0)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MemberId {
    type Err = NotAMemberId;

    fn from_str(text: &str) -> Result<Self, NotAMemberId> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NotAMemberId)?;
        let id = MemberId(u64::from_str_radix(digits, 16).map_err(|_| NotAMemberId)?);
        // Upper case, a sign, fewer digits: one member has one spelling.
        if id.to_string() == text { Ok(id) } else { Err(NotAMemberId) }
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberKind::Gateway => "gateway",
            MemberKind::Worker => "worker",
        })
    }
}

impl FromStr for MemberKind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "gateway" => Ok(MemberKind::Gateway),
            "worker" => Ok(MemberKind::Worker),
            _ => Err("a member is a gateway or a worker"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Pointers => "pointers",
            Part::Commits => "commits",
            Part::Agents => "agents",
            Part::Dials => "dials",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_id_has_one_spelling() {
        let id = MemberId(0xab);
        assert_eq!(id.to_string(), "mem_00000000000000ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "mem_", "mem_ab", "mem_00000000000000AB", "mem_+0000000000000ab", "run_00000000000000ab"]
        {
            assert_eq!(bad.parse::<MemberId>(), Err(NotAMemberId), "{bad}");
        }
    }
}
