//! What a run may see and call: the pinned tools of its release, less what is in quarantine and what the dial takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_domain::dial::{Dialled, ToolRule};
use pinrail_domain::drift::{Finding, Sign, Subject};
use pinrail_domain::id::{McpServerName, ReleaseId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::release::Contract;
use pinrail_domain::world::World;
use serde_json::{Value, json};

use super::Mcp;
use super::rpc::Fault;
use crate::problem::chain;

/// A run's release, and what stands between it and its tools now.
pub struct Allowed {
    pub contract: Arc<Contract>,
    pub dial: Option<Dialled>,
    quarantined: Quarantined,
}

/// The tools that open findings speak of, by server and name.
pub type Quarantined = BTreeMap<(McpServerName, String), Arc<Finding>>;

impl Mcp {
    /// What a run's release pins, and what is left of it now. Fails closed: a pin that can't be read serves nothing.
    pub(crate) async fn allowed(&self, stamp: &Stamp) -> Result<Allowed, Fault> {
        let control = &self.inner.control;
        let contract = control.contracts().get(stamp.release).await.map_err(|error| {
            let what =
                format!("what release {} pins cannot be read: {}", stamp.release.short(), chain(&error));
            tracing::error!(release = %stamp.release, error = %chain(&error), "an MCP client gets no tools");
            Fault::refused("pin_unreadable", what, "look at the store with `pinrail doctor`")
        })?;
        let snapshot = control.snapshot();
        let dial = snapshot.routes.dialled_run(stamp);
        Ok(Allowed { contract, dial, quarantined: quarantined(&snapshot.world, stamp.release) })
    }
}

impl Allowed {
    /// The definitions to serve, by server and name.
    pub fn definitions(&self) -> Vec<Value> {
        let pins = self.contract.pins.iter();
        let tools = pins.flat_map(|(server, pin)| pin.tools.iter().map(move |tool| (server, tool)));
        let served = tools.filter(|(server, tool)| {
            let name = tool.name.as_str();
            self.finding(server, name).is_none() && self.rule(name) != ToolRule::Withheld
        });
        served.map(|(_, tool)| json!(tool)).collect()
    }

    /// What the dial says of a tool's call.
    pub fn rule(&self, tool: &str) -> ToolRule {
        let has_side_effects = self.contract.has_side_effects(tool);
        self.dial.as_ref().map_or(ToolRule::Allowed, |dial| dial.tool(tool, has_side_effects))
    }

    /// The finding that keeps a tool in quarantine.
    pub fn finding(&self, server: &McpServerName, tool: &str) -> Option<&Arc<Finding>> {
        self.quarantined.get(&(server.clone(), tool.to_owned()))
    }

    /// The finding that speaks of a tool that the release doesn't pin: one that was added behind a pin.
    pub fn finding_of_added(&self, tool: &str) -> Option<&Arc<Finding>> {
        self.quarantined.iter().find(|((_, name), _)| name == tool).map(|(_, finding)| finding)
    }
}

/// The tools of a release that open findings speak of: changed, added or gone. Each with the oldest such finding.
pub fn quarantined(world: &World, release: ReleaseId) -> Quarantined {
    let mut tools = BTreeMap::new();
    for finding in world.findings_of(release) {
        let Sign::Tools { changed, added, removed, identity: _ } = &finding.sign else { continue };
        let Subject::Tools { server, pin: _ } = &finding.subject else { continue };
        let Some(finding) = world.findings.get(&finding.seq) else { continue };
        for tool in changed.iter().chain(added).chain(removed) {
            tools.entry((server.clone(), tool.clone())).or_insert_with(|| Arc::clone(finding));
        }
    }
    tools
}
