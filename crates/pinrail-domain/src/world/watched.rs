//! The fold's part for what is watched: the dial, drift, MCP servers, the catalogue, retired releases.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CatalogueUpdate, World};
use crate::dial::{Position, Setting};
use crate::drift::Finding;
use crate::id::{AgentName, DeploymentId, ReleaseId, SegmentName};
use crate::ledger::{Body, Entry};

/// A release that a rollback could return to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    pub segment: SegmentName,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    /// How many rollbacks away it is: 0 is active.
    pub steps_back: u32,
}

impl World {
    /// What an agent serves and the last releases before that, per segment, newest first: its warm set. A release that
    /// was rolled back is not in it, and each release is in it once per segment.
    #[must_use]
    pub fn warm(&self, agent: &AgentName) -> Vec<Warm> {
        let keep = self.agents.get(agent).map_or(0, |spec| spec.warm());
        let mut warm = Vec::new();
        for ((_, segment), pointer) in self.pointers.iter().filter(|((owner, _), _)| owner == agent) {
            let mut next = pointer.active;
            let mut seen: BTreeMap<ReleaseId, u32> = BTreeMap::new();
            while let Some(deployment) = next.and_then(|id| self.deployments.get(&id)) {
                next = self.fallback(agent, deployment);
                let Some(release) = deployment.releases.get(agent) else { continue };
                let steps_back = seen.len() as u32;
                if steps_back > keep {
                    break;
                }
                if seen.insert(*release, steps_back).is_none() {
                    let (segment, deployment) = (segment.clone(), deployment.id);
                    warm.push(Warm { segment, deployment, release: *release, steps_back });
                }
            }
        }
        warm
    }

    /// Takes in an entry of something watched. Panics for an entry of anything else.
    #[allow(clippy::wildcard_enum_match_arm, reason = "only entries of what is watched are handed here")]
    pub(super) fn watch(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::DialSet { place, position: Position::Full, .. } => {
                self.dials.remove(place).ok_or("the dial stands at full there")?;
            }
            Body::DialSet { place, position, release, text } => {
                let setting = Setting {
                    position: *position,
                    release: *release,
                    text: text.clone(),
                    since: entry.at,
                    seq: entry.seq,
                    by: entry.actor.clone(),
                    reason: entry.reason.clone(),
                };
                self.dials.insert(place.clone(), Arc::new(setting));
            }
            Body::DriftFound { subject, sign, what, evidence } => {
                let finding = Finding {
                    seq: entry.seq,
                    at: entry.at,
                    subject: subject.clone(),
                    sign: sign.clone(),
                    what: what.clone(),
                    evidence: *evidence,
                };
                self.findings.insert(entry.seq, Arc::new(finding));
            }
            Body::DriftCleared { finding } => {
                self.findings.remove(finding).ok_or("no such finding is open")?;
            }
            Body::CatalogueUpdated { catalogue, source, .. } => {
                let (catalogue, source) = (*catalogue, source.clone());
                self.catalogue = Some(CatalogueUpdate { seq: entry.seq, at: entry.at, catalogue, source });
            }
            Body::ReleaseRetired { release } => {
                if self.is_live(*release) {
                    return Err("a pointer needs the release".to_owned());
                }
                let release = self.releases.get_mut(release).ok_or("no such release")?;
                let release = Arc::make_mut(release);
                release.retired = Some(entry.at);
                release.entries.push(entry.seq);
            }
            Body::McpServerPut { server, spec } => {
                self.mcp_servers.insert(server.clone(), Arc::new(spec.clone()));
            }
            Body::McpServerRemoved { server } => {
                self.mcp_servers.remove(server).ok_or("no such MCP server")?;
            }
            _ => panic!("entry {} is of nothing watched", entry.seq),
        }
        Ok(())
    }
}
