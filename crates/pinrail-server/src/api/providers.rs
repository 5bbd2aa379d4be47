//! Model providers and their settings. Keys are named here, never held (I15).

use pinrail_api::problem::{Code, Problem};
use pinrail_control::CommitError;
use pinrail_control::agents::ProviderRefused;
use pinrail_domain::id::ProviderName;

use crate::problem;

pub mod delete;
pub mod get;
pub mod health;
pub mod list;
pub mod put;

use super::agents::{After, Reason, word};

pub fn no_provider(provider: &ProviderName) -> Problem {
    let next_step = format!(
        "name it in pinrail.toml ([providers.{provider}]) and run `pinrail apply` (PUT \
         /api/v1/providers/{provider})"
    );
    problem::not_found(format!("provider `{provider}`"), &next_step)
}

/// Why a provider stays as it is.
fn refused(error: CommitError<ProviderRefused>) -> Problem {
    problem::commit(error, |refused| {
        let detail = problem::chain(&refused);
        match refused {
            ProviderRefused::Bad(_) => {
                Problem::new(Code::BadProvider, detail).next_step("correct [providers.…] in \
                 pinrail.toml and run `pinrail apply`, or send the settings again")
            }
            ProviderRefused::NoProvider(provider) => no_provider(&provider),
            ProviderRefused::InUse { provider: _, agent, deployment } => Problem::new(Code::InUse, detail)
                .next_step(format!(
                    "first give `{agent}` a release that names another provider: `pinrail deploy {agent}=RELEASE --now` \
                     (POST /api/v1/deployments)"
                ))
                .fact("agent", agent.as_str())
                .fact("deployment", deployment.0),
            ProviderRefused::NoFailover(_) | ProviderRefused::FailoverToItself => {
                Problem::new(Code::BadProvider, detail).next_step(
                    "name another provider that serves the same snapshots ([providers.…] failover in pinrail.toml) and \
                     run `pinrail apply`, or put that one first (PUT /api/v1/providers/PROVIDER)",
                )
            }
            ProviderRefused::Failover { provider: _, of } => Problem::new(Code::InUse, detail)
                .next_step(format!(
                    "first take it out of [providers.{of}] failover in pinrail.toml and run `pinrail apply` (PUT \
                     /api/v1/providers/{of})"
                ))
                .fact("provider", of.as_str()),
            ProviderRefused::TooMany => {
                Problem::new(Code::LimitReached, detail).next_step("remove providers that no release \
                 names: `pinrail apply --prune` (DELETE /api/v1/providers/PROVIDER)")
            }
        }
    })
}
