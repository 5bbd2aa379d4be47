//! Webhooks: who is told of what the ledger says.
//!
//! An entry is wanted by a webhook when both hold:
//! 1. one of its `events` matches the entry's kind; with no `events`, every kind but [`QUIET`] does;
//! 2. the entry concerns one of its `agents`; with no `agents`, whatever it concerns.
//!
//! What an entry concerns is read off its body by the names that the ledger gives to things everywhere
//! (`deployment`, `agent`, …: [`concerns`]), so that new kinds of entries need nothing here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::address;
use crate::agent::URL_BYTES_MAX;
use crate::id::{AgentName, LedgerSeq};
use crate::ledger::Body;
use crate::provider::is_env_name;

pub mod concerns;

/// A webhook's settings. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// `https://…`, or `http://…` on this machine.
    pub url: String,
    /// The environment variable that holds the secret that events are signed with (I15); none: not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// Kinds of ledger entries, in which `*` stands for any letters; none: all but [`QUIET`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Only what concerns one of these; none: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentName>,
}

/// A webhook as the world knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub spec: WebhookSpec,
    /// The entry that added it. It is told of what comes after that; removed and added again, it is another.
    pub since: LedgerSeq,
}

/// Why a webhook's settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhook {
    #[error("url must be https://HOST/…, or http:// on this machine, without a user name or a fragment")]
    Url,
    // What looks like a secret by mistake is not repeated (I15).
    #[error(
        "secret_env is not an environment variable's name; it must name one, never hold the secret itself"
    )]
    Secret,
    #[error("`{0}` is no pattern of ledger kinds: lower-case letters, `_`, and `*` for any letters")]
    Pattern(String),
    #[error("`{pattern}` matches no kind of ledger entry; there are {}", Body::kinds().join(", "))]
    NoKind { pattern: String },
    #[error("{what} is {got}; at most {max} are allowed")]
    TooMany { what: &'static str, got: usize, max: usize },
}

/// What a webhook without `events` isn't told of: Pinrail's own notes, one after each opening of a deployment.
pub const QUIET: [&str; 1] = ["manifest_recorded"];
/// Each has a task of its own and one connection at most: a team, its chat and its alarms are a handful.
pub const WEBHOOKS_MAX: usize = 50;
/// More patterns than there are kinds say nothing new.
pub const EVENTS_MAX: usize = 50;
/// Longer than any kind.
pub const PATTERN_BYTES_MAX: usize = 100;
/// Whoever wants to hear of more agents wants to hear of all.
pub const AGENTS_MAX: usize = 100;

impl WebhookSpec {
    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadWebhook> {
        let WebhookSpec { url, secret_env, events, agents } = self;
        at_most("the length of url in bytes", url.len(), URL_BYTES_MAX)?;
        if !address::is_safe(url) {
            return Err(BadWebhook::Url);
        }
        if secret_env.as_ref().is_some_and(|name| !is_env_name(name)) {
            return Err(BadWebhook::Secret);
        }
        at_most("the number of events", events.len(), EVENTS_MAX)?;
        at_most("the number of agents", agents.len(), AGENTS_MAX)?;
        for pattern in events {
            at_most("the length of an event's pattern in bytes", pattern.len(), PATTERN_BYTES_MAX)?;
            if pattern.is_empty() || !pattern.bytes().all(|b| b.is_ascii_lowercase() || b"_*".contains(&b)) {
                return Err(BadWebhook::Pattern(pattern.clone()));
            }
            if !Body::kinds().iter().any(|kind| matches(pattern, kind)) {
                return Err(BadWebhook::NoKind { pattern: pattern.clone() });
            }
        }
        Ok(())
    }

    /// Whether entries of a kind are wanted, as far as they concern the right agents.
    #[must_use]
    pub fn wants_kind(&self, kind: &str) -> bool {
        match self.events.is_empty() {
            true => !QUIET.contains(&kind),
            false => self.events.iter().any(|pattern| matches(pattern, kind)),
        }
    }

    /// Whether what concerns these agents is wanted.
    #[must_use]
    pub fn wants_agents(&self, concerned: &BTreeSet<AgentName>) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|agent| concerned.contains(agent))
    }
}

/// Whether `kind` is `pattern` with some letters for each `*`.
fn matches(pattern: &str, kind: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == kind };
    let Some(mut kind) = kind.strip_prefix(head) else { return false };
    // Every part but the last takes its first place: that leaves the most for the others.
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = kind.find(part) else { return false };
        kind = &kind[at + part.len()..];
        rest = after;
    }
    kind.ends_with(rest)
}

fn at_most(what: &'static str, got: usize, max: usize) -> Result<(), BadWebhook> {
    if got > max { Err(BadWebhook::TooMany { what, got, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
