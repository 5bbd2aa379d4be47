//! `PUT|GET|DELETE /api/v1/agents/{agent}`, `GET /api/v1/agents`, and the same under `/providers`.
//!
//! The body of a `PUT` is the `AgentSpec` or `ProviderSpec` itself; the reason of a `PUT` or `DELETE` is the query
//! parameter `reason`.

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::explain::Demand;
use pinrail_domain::id::{AgentName, ProviderName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::tier::Tier;
use serde::{Deserialize, Serialize};

use crate::provider_health::ProviderHealth;

/// An agent and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub agent: AgentName,
    pub spec: AgentSpec,
}

/// A provider and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    pub provider: ProviderName,
    pub spec: ProviderSpec,
    /// How it does; absent where nobody called it since the server began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<ProviderHealth>,
}

/// What an agent's tier demands of it: `GET /api/v1/agents/{agent}/explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub agent: AgentName,
    pub tier: Tier,
    /// Whether nothing is missing.
    pub met: bool,
    pub demands: Vec<Demand>,
}

/// What a put or delete did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// `created`, `updated`, `unchanged` or `removed`.
    pub change: String,
    /// What looks wrong about an agent's new rollout plan. It is put all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl Changed {
    /// A change about which there are no doubts.
    #[must_use]
    pub fn of(change: String) -> Changed {
        Changed { change, doubts: Vec::new() }
    }
}
