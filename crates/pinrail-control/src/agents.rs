//! Agents and providers: made equal to what the caller says, and only where they differ.

use pinrail_domain::agent::{AgentSpec, BadAgent};
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, SegmentName};
use pinrail_domain::journal::RunStatus;
use pinrail_domain::ledger::Body;
use pinrail_domain::provider::{BadProvider, ProviderSpec};
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::RunFilter;
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
    #[error("its failover `{0}` is no provider that there is")]
    NoFailover(ProviderName),
    #[error("its failover names the provider itself")]
    FailoverToItself,
    #[error("provider `{provider}` is the failover of `{of}`")]
    Failover { provider: ProviderName, of: ProviderName },
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
            if spec.failover.contains(provider) {
                return Err(ProviderRefused::FailoverToItself);
            }
            if let Some(missing) = spec.failover.iter().find(|other| !world.providers.contains_key(*other)) {
                return Err(ProviderRefused::NoFailover(missing.clone()));
            }
            let bodies = match change {
                Change::Unchanged => Vec::new(),
                Change::Created | Change::Updated | Change::Removed => {
                    vec![Body::ProviderPut { provider: provider.clone(), spec: Box::new(spec.clone()) }]
                }
            };
            Ok((bodies, change))
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Removes a provider that nothing needs: no pointer, no rollback of what is active, no open run.
    pub async fn provider_remove(
        &self,
        by: By,
        provider: &ProviderName,
    ) -> Result<Committed<Change>, CommitError<ProviderRefused>> {
        let in_use =
            |(agent, deployment)| ProviderRefused::InUse { provider: provider.clone(), agent, deployment };
        // Runs begin only where a pointer or an open run leads, so that none can come after this look.
        let run = self.open_run_needs(provider).await.map_err(CommitError::Store)?;
        let decide = |world: &World| {
            if !world.providers.contains_key(provider) {
                return Err(ProviderRefused::NoProvider(provider.clone()));
            }
            let of = world.providers.iter().find(|(_, spec)| spec.failover.contains(provider));
            if let Some((of, _)) = of {
                return Err(ProviderRefused::Failover { provider: provider.clone(), of: of.clone() });
            }
            match pointer_needs(world, provider).or_else(|| run.clone()) {
                Some(user) => Err(in_use(user)),
                None => Ok((vec![Body::ProviderRemoved { provider: provider.clone() }], Change::Removed)),
            }
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// An agent with a run that is open and that only the provider can answer, with the run's deployment.
    async fn open_run_needs(
        &self,
        provider: &ProviderName,
    ) -> Result<Option<(AgentName, DeploymentId)>, StoreError> {
        self.inner.runs.settled().await;
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        for deployment in world.deployments.values() {
            let mut agents = deployment.releases.keys();
            if !agents.any(|agent| names(world, deployment.id, agent, provider))
                || self.inner.store.run_open(deployment.id).await?.total() == 0
            {
                continue;
            }
            for agent in deployment.releases.keys() {
                if names(world, deployment.id, agent, provider) && self.has_open(agent, deployment.id).await?
                {
                    return Ok(Some((agent.clone(), deployment.id)));
                }
            }
        }
        Ok(None)
    }

    async fn has_open(&self, agent: &AgentName, deployment: DeploymentId) -> Result<bool, StoreError> {
        for status in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let filter = RunFilter {
                agent: Some(agent.clone()),
                deployment: Some(deployment),
                status: Some(status),
                ..RunFilter::default()
            };
            if !self.inner.store.run_list(&filter, None, 1).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

pub(crate) fn kind_of_change(same_as_before: Option<bool>) -> Change {
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

/// An agent with a pointer that needs the provider: for its candidate, for what is active, or for what a
/// rollback of that returns to.
fn pointer_needs(world: &World, provider: &ProviderName) -> Option<(AgentName, DeploymentId)> {
    world.pointers.iter().find_map(|((agent, _), pointer)| {
        let active = pointer.active.and_then(|id| world.deployments.get(&id));
        let beneath = active.and_then(|active| world.fallback(agent, active));
        let needed = [pointer.candidate, pointer.active, beneath].into_iter().flatten();
        let mut needed = needed.filter(|id| names(world, *id, agent, provider));
        needed.next().map(|id| (agent.clone(), id))
    })
}

/// Whether the provider answers the agent in a deployment, or may.
fn names(world: &World, deployment: DeploymentId, agent: &AgentName, provider: &ProviderName) -> bool {
    let deployment = world.deployments.get(&deployment);
    let release = deployment.and_then(|deployment| deployment.releases.get(agent));
    let release = release.and_then(|release| world.releases.get(release));
    release.is_some_and(|release| release.manifest.model.models().any(|model| model.provider == provider))
}
