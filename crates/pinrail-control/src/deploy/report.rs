//! What a deployment came to, and how a rollback of it went.

use std::collections::BTreeMap;

use pinrail_domain::deployment::Status;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::state::Layer;
use pinrail_store::StoreError;

use super::Drain;
use super::blast::{Blast, Counts, Touched};
use super::take_back::Hides;
use crate::Control;

/// A deployment's report; what a rollback hid is in it once there was one.
pub struct DeploymentReport {
    pub drain: Drain,
    /// Call to flip, in microseconds; none where there was no rollback, or another process did it.
    pub flip_us: Option<u64>,
    /// What the rollback hides, by layer; what the deployment wrote, while it isn't rolled back.
    pub layers: BTreeMap<Layer, Hides>,
    /// Whether those records are hidden.
    pub hidden: bool,
    pub touched: BTreeMap<Layer, Touched>,
    pub counts: Counts,
    pub effects: Effects,
    pub cut: Vec<String>,
}

/// Calls of tools that change the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub calls: u64,
    pub compensated: u64,
    /// Asked for by models through the gateway; nobody journaled whether they were made.
    pub unreported: u64,
    /// By tool.
    pub tools: BTreeMap<String, u64>,
}

impl Control {
    /// A deployment's report; none where there is no such deployment.
    pub async fn report(&self, id: DeploymentId) -> Result<Option<DeploymentReport>, StoreError> {
        let Some(blast) = self.blast(id).await? else { return Ok(None) };
        let snapshot = self.snapshot();
        let Some(deployment) = snapshot.world.deployments.get(&id) else { return Ok(None) };
        let hidden = match deployment.status {
            Status::RolledBack { kept_state, .. } => !kept_state,
            Status::Candidate { .. } | Status::Promoted { .. } => false,
        };
        let effects = self.effects(&blast).await?;
        Ok(Some(DeploymentReport {
            drain: self.drain_of(id).await?,
            flip_us: self.flip_us(id),
            layers: self.hides(id).await?,
            hidden,
            touched: blast.layers,
            counts: blast.counts,
            effects,
            cut: blast.cut,
        }))
    }

    /// Counts the side effects of all affected runs.
    async fn effects(&self, blast: &Blast) -> Result<Effects, StoreError> {
        let mut effects = Effects::default();
        for affected in blast.runs.values() {
            let done = self.side_effects(affected).await?;
            effects.unreported += done.unreported;
            for effect in done.effects {
                effects.calls += 1;
                effects.compensated += u64::from(effect.compensated_at.is_some());
                *effects.tools.entry(effect.tool).or_default() += 1;
            }
        }
        Ok(effects)
    }

    /// What the deployment wrote, and what a cascade of it took along.
    async fn hides(&self, id: DeploymentId) -> Result<BTreeMap<Layer, Hides>, StoreError> {
        let mut layers = self.written_by(id).await?;
        let commits = std::sync::Arc::clone(&self.snapshot().world.commits);
        for cascade in commits.cascades().iter().filter(|cascade| cascade.from == id) {
            for (first, last) in cascade.records.ranges() {
                let seqs: Vec<_> = (first.0..=last.0).map(pinrail_domain::id::StateSeq).collect();
                for page in seqs.chunks(1_000) {
                    for record in self.inner.store.state_records(page).await? {
                        layers.entry(record.space.layer).or_default().taken_along += 1;
                    }
                }
            }
        }
        Ok(layers)
    }
}
