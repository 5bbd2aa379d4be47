//! Counts from outside: a metrics server is asked while a rollout with such a guardrail is under way.
//!
//! Both arms are asked for the same time: since the current step was entered or resumed, as the shares are the same since
//! then. What gives no number is trouble of the source, never a breach, and nothing moves forward on it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use pinrail_domain::deployment::Deployment;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::rollout::observed::Sourced;
use pinrail_domain::rollout::{Guardrail, Rollout};
use pinrail_domain::share::Share;
use pinrail_domain::stats::Arms;
use pinrail_domain::world::World;

use super::under_way;
use crate::{Control, Inner, tasks};

/// Asks metrics servers.
#[async_trait]
pub trait MetricsSource: Send + Sync {
    /// The sum of an instant query's values, or why there is none, in a sentence without secrets (I15). `token_env` names
    /// the environment variable with the bearer token. Gives up by itself after some seconds.
    async fn sum(&self, url: &str, query: &str, token_env: Option<&str>) -> Result<f64, String>;
}

/// Metrics servers learn something new every 15 seconds or more rarely.
const EVERY: Duration = Duration::from_secs(15);
/// From when on a step is asked about: a rate needs two scrapes.
const SINCE_MS_MIN: u64 = 30_000;

impl Control {
    /// Asks the metrics servers that guardrails name, until the control plane is gone.
    pub fn ask_metrics(&self, source: Arc<dyn MetricsSource>) {
        tasks::spawn(ask(Arc::downgrade(&self.inner), source));
    }
}

async fn ask(inner: Weak<Inner>, source: Arc<dyn MetricsSource>) {
    while let Some(inner) = inner.upgrade() {
        inner.ask_once(&*source).await;
        drop(inner);
        tokio::time::sleep(EVERY).await;
    }
}

impl Inner {
    /// Asks for every guardrail of every rollout that serves anybody.
    pub(crate) async fn ask_once(&self, source: &dyn MetricsSource) {
        let snapshot = self.snapshot.load_full();
        self.observer.follow(&snapshot.world);
        for deployment in under_way(&snapshot.world) {
            let Some(rollout) = deployment.rollout.as_deref() else { continue };
            if rollout.weights_now().largest() == Share::NONE {
                continue;
            }
            let since_ms = self.clock.now().ms_since(rollout.since);
            for (place, guardrail) in rollout.plan.guardrails.iter().enumerate() {
                if guardrail.prometheus.is_some() {
                    let asked = Question { world: &snapshot.world, deployment, guardrail, since_ms };
                    let sourced = asked.ask(source).await.unwrap_or_else(Sourced::Trouble);
                    self.observer.sourced(deployment.id, rollout, place, sourced);
                }
            }
        }
    }
}

impl super::Observer {
    /// Takes in what a source said, unless the rollout has moved on since it was asked.
    fn sourced(&self, id: DeploymentId, asked: &Rollout, place: usize, sourced: Sourced) {
        let mut followed = self.lock();
        let Some(followed) = followed.get_mut(&id) else { return };
        if followed.observed.rollout().generation != asked.generation {
            return;
        }
        followed.sourced.insert(place, sourced);
        followed.version += 1;
        self.changed.send_modify(|batches| *batches += 1);
    }
}

struct Question<'a> {
    world: &'a World,
    deployment: &'a Deployment,
    guardrail: &'a Guardrail,
    since_ms: u64,
}

impl Question<'_> {
    async fn ask(&self, source: &dyn MetricsSource) -> Result<Sourced, String> {
        if self.since_ms < SINCE_MS_MIN {
            return Err("the step began less than 30 s ago, so there is nothing to ask for yet".to_owned());
        }
        let incumbent = self.world.pointer(&self.guardrail.agent, &self.deployment.segment).active;
        let incumbent = incumbent.and_then(|id| self.world.deployments.get(&id));
        let incumbent = incumbent.ok_or("nothing is active that the candidate could be compared with")?;
        let candidate = self.arm(self.deployment, source).await?;
        let incumbent = self.arm(incumbent, source).await?;
        let arms = |of: fn((u64, u64)) -> u64| Arms { candidate: of(candidate), incumbent: of(incumbent) };
        Ok(Sourced::Counts { bad: arms(|(bad, _)| bad), total: arms(|(_, total)| total) })
    }

    /// How many bad ones, of how many.
    async fn arm(&self, arm: &Deployment, source: &dyn MetricsSource) -> Result<(u64, u64), String> {
        let Some(asked) = &self.guardrail.prometheus else { return Err("it names no source".to_owned()) };
        let release = arm.releases.get(&self.guardrail.agent);
        let release = release.ok_or_else(|| format!("deployment {} has no such agent", arm.id))?;
        let since = (self.since_ms / 1_000).to_string();
        let filled = |query: &str| {
            query
                .replace("$deployment", &arm.id.to_string())
                .replace("$release", &release.to_string())
                .replace("$agent", self.guardrail.agent.as_str())
                .replace("$since", &since)
        };
        let count = async |field: &str, query: &str| {
            let sum = source.sum(&asked.url, &filled(query), asked.token_env.as_deref()).await;
            let sum = sum.and_then(|sum| match sum {
                sum if sum.is_finite() && sum >= 0.0 => Ok(sum),
                sum => Err(format!("{sum} is no count")),
            });
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates at the end"
            )]
            sum.map(|sum| sum.round() as u64)
                .map_err(|why| format!("`{field}` of deployment {}: {why}", arm.id))
        };
        Ok((count("bad", &asked.bad).await?, count("total", &asked.total).await?))
    }
}
