//! `agent.toml`: everything about an agent that is not in a release.

use pinrail_domain::agent::{AgentSpec, BadAgent, Compensation, JournalPolicy, Segment};

use super::dial;
use super::section::Section;
use super::suites::{self, Suites};

/// Reads an agent's settings; `suites` are the files of its `evals` folder. Fallbacks that are named by their first digits
/// aren't in them yet.
pub fn read(file: &Section<'_>, suites: &Suites) -> Option<(AgentSpec, Vec<dial::Named>)> {
    let mut fallbacks = Vec::new();
    let spec = AgentSpec {
        tier: file.get("tier").unwrap_or_default(),
        description: file.get("description").unwrap_or_default(),
        segments: file.list("segments", segment),
        journal: file
            .table("journal", |journal| {
                Some(JournalPolicy { bodies: journal.get("bodies").unwrap_or_default() })
            })
            .unwrap_or_default(),
        compensation: file.table("compensation", |section| {
            Some(Compensation { url: section.need("url")?, secret_env: section.get("secret_env") })
        }),
        rollout: file.get("rollout"),
        gate: suites::gate(file, suites),
        dial: dial::read(file, &mut fallbacks).map(Box::new),
        drift: file.get("drift"),
        warm: file.get("warm"),
        identity: file.get("identity"),
    };
    if let Err(bad) = spec.check() {
        let key = match &bad {
            BadAgent::CompensationUrl | BadAgent::CompensationSecret => "compensation",
            BadAgent::Rollout(_) => "rollout",
            BadAgent::Gate(_) => "gate",
            BadAgent::DialSegment(_) => "dial",
            BadAgent::Identity(_) => "identity",
            BadAgent::DefaultListed
            | BadAgent::Duplicate(_)
            | BadAgent::NoCondition(_)
            | BadAgent::NoValue { .. }
            | BadAgent::TooMany { .. } => "segments",
        };
        file.refuse(key, &format!("cannot be used: {bad}"));
    }
    Some((spec, fallbacks))
}

fn segment(section: &Section<'_>) -> Option<Segment> {
    let tenants = section.get("tenants").unwrap_or_default();
    let attributes = section.get("attributes").unwrap_or_default();
    Some(Segment { name: section.need("name")?, tenants, attributes })
}
