//! What people are shown of servers, pins and quarantine.

use pinrail_api::mcp::{McpFinding, McpPin, McpState, McpStatus};
use pinrail_control::mcp::pins_in_use;
use pinrail_domain::drift::{Finding, Subject};
use pinrail_domain::id::McpServerName;

use super::Mcp;

impl Mcp {
    /// Every server with settings or pins, as it is now.
    pub(crate) fn status(&self) -> McpStatus {
        let snapshot = self.inner.control.snapshot();
        let world = &snapshot.world;
        let mut used = pins_in_use(world, self.inner.sessions.releases());
        let mut servers = Vec::new();
        let names: std::collections::BTreeSet<&McpServerName> = world.mcp_servers.keys().collect();
        for server in names {
            let upstream = self.upstreams().get(server).cloned();
            let seen = upstream.as_ref().map(|upstream| upstream.seen()).unwrap_or_default();
            let connected = upstream.as_ref().is_some_and(|upstream| upstream.is_connected());
            let pins = used
                .remove(server)
                .unwrap_or_default()
                .into_iter()
                .map(|(pin, releases)| McpPin { pin, releases: releases.into_iter().collect() });
            let findings = world.findings.values().filter(|finding| is_of(finding, server));
            servers.push(McpState {
                server: server.clone(),
                connected,
                identity: seen.identity.map(|identity| identity.to_string()),
                protocol: seen.protocol,
                tools: seen.tools.as_ref().map(|pin| pin.tools.len()),
                live: seen.tools.as_ref().and_then(|pin| pin.digest().ok()),
                checked_at: seen.checked_at,
                error: seen.error,
                pins: pins.collect(),
                findings: findings.map(|finding| shown(finding)).collect(),
            });
        }
        McpStatus { servers, sessions: self.inner.sessions.count() }
    }
}

fn is_of(finding: &Finding, server: &McpServerName) -> bool {
    match &finding.subject {
        Subject::Tools { server: named, .. } => named == server,
        Subject::Model { .. } => false,
    }
}

fn shown(finding: &Finding) -> McpFinding {
    McpFinding {
        finding: finding.seq,
        at: finding.at,
        subject: finding.subject.clone(),
        sign: finding.sign.clone(),
        what: finding.what.clone(),
        evidence: finding.evidence,
    }
}
