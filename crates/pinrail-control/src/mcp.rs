//! MCP servers: their settings, and what the pins in use say of them.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, McpServerName, ReleaseId};
use pinrail_domain::ledger::Body;
use pinrail_domain::mcp::{BadMcpServer, McpServerSpec};
use pinrail_domain::world::World;

use crate::agents::{Change, kind_of_change};
use crate::{By, CommitError, Committed, Control};

mod sessions;

/// Why an MCP server stays as it is.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum McpServerRefused {
    #[error(transparent)]
    Bad(#[from] BadMcpServer),
    #[error("there is no MCP server `{0}`")]
    NoServer(McpServerName),
    #[error("MCP server `{server}` is still used by deployment {deployment} of agent `{agent}`")]
    InUse { server: McpServerName, agent: AgentName, deployment: DeploymentId },
    #[error("there are {MCP_SERVERS_MAX} MCP servers already")]
    TooMany,
}

/// Each is connected and asked all the time.
pub const MCP_SERVERS_MAX: usize = 200;

/// The releases that pin a server's tools in one way.
pub type Users = BTreeMap<Digest, BTreeSet<ReleaseId>>;

impl Control {
    /// Makes an MCP server's settings what `spec` says.
    pub async fn mcp_server_put(
        &self,
        by: By,
        server: &McpServerName,
        spec: &McpServerSpec,
    ) -> Result<Committed<Change>, CommitError<McpServerRefused>> {
        spec.check().map_err(|bad| CommitError::Refused(bad.into()))?;
        let decide = |world: &World| {
            let before = world.mcp_servers.get(server);
            let change = kind_of_change(before.map(|before| **before == *spec));
            if before.is_none() && world.mcp_servers.len() >= MCP_SERVERS_MAX {
                return Err(McpServerRefused::TooMany);
            }
            let bodies = match change {
                Change::Unchanged => Vec::new(),
                Change::Created | Change::Updated | Change::Removed => {
                    vec![Body::McpServerPut { server: server.clone(), spec: spec.clone() }]
                }
            };
            Ok((bodies, change))
        };
        self.commit(by, decide, |_, change| change).await
    }

    /// Removes an MCP server that no served release pins.
    pub async fn mcp_server_remove(
        &self,
        by: By,
        server: &McpServerName,
    ) -> Result<Committed<Change>, CommitError<McpServerRefused>> {
        let decide = |world: &World| {
            if !world.mcp_servers.contains_key(server) {
                return Err(McpServerRefused::NoServer(server.clone()));
            }
            match served(world).find(|(_, _, release)| pins(world, *release, server).is_some()) {
                Some((agent, deployment, _)) => {
                    let (server, agent) = (server.clone(), agent.clone());
                    Err(McpServerRefused::InUse { server, agent, deployment })
                }
                None => Ok((vec![Body::McpServerRemoved { server: server.clone() }], Change::Removed)),
            }
        };
        self.commit(by, decide, |_, change| change).await
    }
}

/// The pins of each server that traffic may meet: those of all releases that a pointer, or a rollback of it, leads to,
/// and those of `others`.
#[must_use]
pub fn pins_in_use(
    world: &World,
    others: impl IntoIterator<Item = ReleaseId>,
) -> BTreeMap<McpServerName, Users> {
    let mut used: BTreeMap<McpServerName, Users> = BTreeMap::new();
    let warm = world.agents.keys().flat_map(|agent| world.warm(agent)).map(|warm| warm.release);
    let releases: BTreeSet<ReleaseId> = world.live_releases().into_iter().chain(warm).chain(others).collect();
    for release in releases {
        let Some(known) = world.releases.get(&release) else { continue };
        for (server, pin) in &known.manifest.tools.mcp {
            used.entry(server.clone()).or_default().entry(*pin).or_default().insert(release);
        }
    }
    used
}

/// What every pointer leads to.
fn served(world: &World) -> impl Iterator<Item = (&AgentName, DeploymentId, ReleaseId)> {
    world.pointers.iter().flat_map(move |((agent, _), pointer)| {
        let deployments = [pointer.candidate, pointer.active].into_iter().flatten();
        deployments.filter_map(move |id| {
            let release = world.deployments.get(&id)?.releases.get(agent)?;
            Some((agent, id, *release))
        })
    })
}

fn pins(world: &World, release: ReleaseId, server: &McpServerName) -> Option<Digest> {
    world.releases.get(&release)?.manifest.tools.mcp.get(server).copied()
}
