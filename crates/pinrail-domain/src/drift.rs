//! Drift: what is pinned changed, though nobody deployed.
//!
//! A [`Finding`] says so in the ledger, and stays open until a person clears it. What an agent does about one is in its
//! settings: [`DriftAction`]. What follows from one is decided in [`find`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dial::Position;
use crate::digest::Digest;
use crate::id::{AgentName, LedgerSeq, McpServerName, ProviderName, ReleaseId};
use crate::time::Timestamp;
use crate::world::World;

mod acts;
pub mod border;

pub use acts::{DriftRefused, clear, find};

/// What was pinned and isn't so any more. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A model, as releases pin it.
    Model { provider: ProviderName, snapshot: String },
    /// A server's tools, as releases pin them: the digest is that of the pin.
    Tools { server: McpServerName, pin: Digest },
}

/// How it shows. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sign {
    /// The provider says that another model answered.
    Served { served: String },
    /// Border prompts are answered otherwise than on quiet days.
    Border {
        /// The first of the days, in days since 1970-01-01 UTC.
        since_day: u64,
        days: u32,
        /// How far the answers moved: 0 is not at all, 1 is all the way.
        shift: f64,
        /// The same in standard deviations of quiet days.
        sigma: f64,
    },
    /// The provider's own list of models says otherwise than the catalogue, or has the model no more.
    Listed { was: String, is: String },
    /// The provider answers that it has no such model.
    Gone { said: String },
    /// The server lists other tools than the pin.
    Tools {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<String>,
        /// The server says that it is another, or another version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
    },
}

/// A finding that is open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The entry that says so: what names the finding.
    pub seq: LedgerSeq,
    pub at: Timestamp,
    pub subject: Subject,
    pub sign: Sign,
    /// One sentence for people.
    pub what: String,
    /// More of it, an artifact: the tools as they are, for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
}

/// An agent's part in drift. Stored: never rename a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftSpec {
    #[serde(default)]
    pub on_finding: DriftAction,
}

/// What happens when something that an agent pins has drifted. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftAction {
    /// People are told.
    #[default]
    Alert,
    /// And the agent's rollouts stop until somebody resumes them.
    Freeze,
    /// And the agent's dial is turned down to this position.
    Dial(Position),
}

/// More open findings than this only repeat each other.
pub const FINDINGS_MAX: usize = 1_000;

impl Sign {
    /// Whether the other says the same of the same thing, however strong: then it is no news.
    #[must_use]
    pub fn is_as(&self, other: &Sign) -> bool {
        match (self, other) {
            (Sign::Border { .. }, Sign::Border { .. }) | (Sign::Gone { .. }, Sign::Gone { .. }) => true,
            (one, other) => one == other,
        }
    }
}

impl World {
    /// The open findings about something that the release pins, oldest first.
    pub fn findings_of(&self, release: ReleaseId) -> impl Iterator<Item = &Finding> {
        let manifest = self.releases.get(&release).map(|release| &*release.manifest);
        self.findings.values().map(|finding| &**finding).filter(move |finding| match &finding.subject {
            Subject::Model { provider, snapshot } => {
                manifest.is_some_and(|manifest| manifest.model.names(provider, snapshot))
            }
            Subject::Tools { server, pin } => {
                manifest.is_some_and(|manifest| manifest.tools.mcp.get(server) == Some(pin))
            }
        })
    }

    /// The agents that something drifted under: those with a pointer at a release that pins it.
    #[must_use]
    pub fn agents_on(&self, subject: &Subject) -> Vec<AgentName> {
        let pins = |release: &ReleaseId| {
            let Some(release) = self.releases.get(release) else { return false };
            match subject {
                Subject::Model { provider, snapshot } => release.manifest.model.names(provider, snapshot),
                Subject::Tools { server, pin } => release.manifest.tools.mcp.get(server) == Some(pin),
            }
        };
        let mut agents: Vec<AgentName> = Vec::new();
        for ((agent, _), pointer) in self.pointers.iter() {
            let pointed = [pointer.active, pointer.candidate].into_iter().flatten();
            let mut releases = pointed.filter_map(|id| self.deployments.get(&id)?.releases.get(agent));
            if releases.any(pins) && agents.last() != Some(agent) {
                agents.push(agent.clone());
            }
        }
        agents
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Model { provider, snapshot } => write!(f, "model {snapshot} of {provider}"),
            Subject::Tools { server, pin } => write!(f, "tools of {server} as pinned in {}", pin.short()),
        }
    }
}
