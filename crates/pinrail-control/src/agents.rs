//! Agents and providers: made equal to what the caller says, and only where they differ.

use std::collections::BTreeMap;

use pinrail_domain::agent::{AgentSpec, BadAgent};
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, SegmentName};
use pinrail_domain::ledger::Body;
use pinrail_domain::provider::{BadProvider, ProviderSpec};
use pinrail_domain::world::World;
use serde::{Deserialize, Serialize};

use crate::{By, CommitError, Committed, Control};

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Created,
    Updated,
    Unchanged,
    Removed,
}

/// Why an agent stays as it is.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum AgentRefused {
    #[error(transparent)]
    Bad(#[from] BadAgent),
    #[error("segment `{segment}` is still served by deployment {deployment}")]
    SegmentInUse { segment: SegmentName, deployment: DeploymentId },
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("agent `{agent}` still has deployment {deployment} in segment `{segment}`")]
    Deployed { agent: AgentName, segment: SegmentName, deployment: DeploymentId },
    #[error("there are {AGENTS_MAX} agents already")]
    TooMany,
}

/// Why a provider stays as it is.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ProviderRefused {
    #[error(transparent)]
    Bad(#[from] BadProvider),
    #[error("there is no provider `{0}`")]
    NoProvider(ProviderName),
    #[error("provider `{provider}` is still used by deployment {deployment} of agent `{agent}`")]
    InUse { provider: ProviderName, agent: AgentName, deployment: DeploymentId },
    #[error("there are {PROVIDERS_MAX} providers already")]
    TooMany,
}

/// The snapshot that every request reads holds all agents.
pub const AGENTS_MAX: usize = 10_000;
/// Each provider keeps a pool of connections.
pub const PROVIDERS_MAX: usize = 1_000;

impl Control {
    /// Makes an agent's settings what `spec` says.
    pub async fn agent_put(
        &self,
        by: By,
        agent: &AgentName,
        spec: &AgentSpec,
    ) -> Result<Committed<Change>, CommitError<AgentRefused>> {
        spec.check().map_err(|bad| CommitError::Refused(bad.into()))?;
        let decide = |world: &World| {
            let before = world.agents.get(agent);
            let change = kind_of_change(before.map(|before| **before == *spec));
            if before.is_none() && world.agents.len() >= AGENTS_MAX {
                return Err(AgentRefused::TooMany);
            }
            if let Some((segment, deployment)) =
                serving(world, agent).find(|(segment, _)| !spec.has_segment(segment))
            {
                return Err(AgentRefused::SegmentInUse { segment: segment.clone(), deployment });
            }
            let bodies = match change {
                Change::Unchanged => Vec::new(),
                Change::Created | Change::Updated | Change::Removed => {
                    vec![Body::AgentPut { agent: agent.clone(), spec: spec.clone() }]
                }
            };
            Ok((bodies, change))
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Removes an agent that nothing serves.
    pub async fn agent_remove(
        &self,
        by: By,
        agent: &AgentName,
    ) -> Result<Committed<Change>, CommitError<AgentRefused>> {
        let decide = |world: &World| {
            if !world.agents.contains_key(agent) {
                return Err(AgentRefused::NoAgent(agent.clone()));
            }
            match serving(world, agent).next() {
                Some((segment, deployment)) => {
                    let (agent, segment) = (agent.clone(), segment.clone());
                    Err(AgentRefused::Deployed { agent, segment, deployment })
                }
                None => Ok((vec![Body::AgentRemoved { agent: agent.clone() }], Change::Removed)),
            }
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Makes a provider's settings what `spec` says.
    pub async fn provider_put(
        &self,
        by: By,
        provider: &ProviderName,
        spec: &ProviderSpec,
    ) -> Result<Committed<Change>, CommitError<ProviderRefused>> {
        spec.check().map_err(|bad| CommitError::Refused(bad.into()))?;
        let decide = |world: &World| {
            let before = world.providers.get(provider);
            let change = kind_of_change(before.map(|before| **before == *spec));
            if before.is_none() && world.providers.len() >= PROVIDERS_MAX {
                return Err(ProviderRefused::TooMany);
            }
            let bodies = match change {
                Change::Unchanged => Vec::new(),
                Change::Created | Change::Updated | Change::Removed => {
                    vec![Body::ProviderPut { provider: provider.clone(), spec: spec.clone() }]
                }
            };
            Ok((bodies, change))
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Removes a provider that no served release names.
    pub async fn provider_remove(
        &self,
        by: By,
        provider: &ProviderName,
    ) -> Result<Committed<Change>, CommitError<ProviderRefused>> {
        let decide = |world: &World| {
            if !world.providers.contains_key(provider) {
                return Err(ProviderRefused::NoProvider(provider.clone()));
            }
            match user_of(world, provider) {
                Some((agent, deployment)) => {
                    Err(ProviderRefused::InUse { provider: provider.clone(), agent, deployment })
                }
                None => Ok((vec![Body::ProviderRemoved { provider: provider.clone() }], Change::Removed)),
            }
        };
        self.commit(by, decide, |_, change| change).await
    }
}

fn kind_of_change(same_as_before: Option<bool>) -> Change {
    match same_as_before {
        None => Change::Created,
        Some(false) => Change::Updated,
        Some(true) => Change::Unchanged,
    }
}

/// The agent's segments that a deployment serves, with the deployment.
fn serving<'a>(
    world: &'a World,
    agent: &'a AgentName,
) -> impl Iterator<Item = (&'a SegmentName, DeploymentId)> {
    world
        .pointers
        .iter()
        .filter(move |((owner, _), _)| owner == agent)
        .filter_map(|((_, segment), pointer)| Some((segment, pointer.candidate.or(pointer.active)?)))
}

fn user_of(world: &World, provider: &ProviderName) -> Option<(AgentName, DeploymentId)> {
    let by_agent: BTreeMap<_, _> =
        world.agents.keys().flat_map(|agent| serving(world, agent).map(move |(_, id)| (id, agent))).collect();
    by_agent.into_iter().find_map(|(id, agent)| {
        let release = world.deployments.get(&id)?.releases.get(agent)?;
        let uses = world.releases.get(release)?.manifest.model.provider == *provider;
        uses.then(|| (agent.clone(), id))
    })
}
