//! The world: agents, releases, deployments, pointers, holds and keys, as a fold over the ledger.
//!
//! [`World::apply`] is the only way anything here changes. It checks each entry against the world
//! before it, so an impossible ledger is found at the entry that makes it impossible. What *may* happen is
//! decided before an entry is written, in [`crate::deploy`] and its neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::agent::AgentSpec;
use crate::deployment::{Deployment, Pointer};
use crate::dial::Settings;
use crate::digest::Digest;
use crate::drift::Finding;
use crate::gate::Judged;
use crate::id::{
    AgentName, DeploymentId, Epoch, LedgerSeq, McpServerName, ProviderName, ReleaseId, SegmentName, StateSeq,
    TenantId, WebhookName,
};
use crate::journal::collect::Dropped;
use crate::key::{Key, KeyId};
use crate::ledger::{Body, Broken, Entry, Head};
use crate::mcp::McpServerSpec;
use crate::provider::ProviderSpec;
use crate::release::Manifest;
use crate::state::Moment;
use crate::state::view::Commits;
use crate::time::Timestamp;
use crate::webhook::{Webhook, WebhookSpec};

mod deployments;
mod gates;
mod rollouts;
pub mod watched;

/// Everything the control plane knows. Cheap to copy: copies share each part until one of them changes it.
#[derive(Clone, Debug)]
pub struct World {
    pub head: Head,
    /// The hash of the first entry, by which this ledger is told from every other; none while it has no entry.
    pub origin: Option<Digest>,
    pub epoch: Epoch,
    pub providers: Shared<BTreeMap<ProviderName, Arc<ProviderSpec>>>,
    pub agents: Shared<BTreeMap<AgentName, Arc<AgentSpec>>>,
    pub releases: Shared<BTreeMap<ReleaseId, Arc<Release>>>,
    pub deployments: Shared<BTreeMap<DeploymentId, Arc<Deployment>>>,
    pub pointers: Shared<BTreeMap<PointerKey, Pointer>>,
    /// Which deployments' state counts, and since when.
    pub commits: Arc<Commits>,
    /// Records up to here, of deployments that were taken back, were removed. What can't be read as of then any more
    /// because of that lies before its ledger entry: [`World::lost`].
    pub floor: Moment,
    /// The deployments whose records were removed, each up to which record.
    pub collected: Shared<BTreeMap<DeploymentId, StateSeq>>,
    /// Which journals were dropped.
    pub journals: Dropped,
    /// Every erasure, oldest first.
    pub erasures: Shared<Vec<Erasure>>,
    /// Keys that work; a revoked key is gone from here.
    pub keys: Shared<BTreeMap<KeyId, Arc<Key>>>,
    /// Whether any key was ever made: then the server never counts as open again.
    pub keyed: bool,
    pub webhooks: Shared<BTreeMap<WebhookName, Arc<Webhook>>>,
    /// How gates ended, oldest first.
    pub gates: Shared<BTreeMap<AgentName, Vec<Arc<Judged>>>>,
    /// Where the dial isn't at `full`.
    pub dials: Shared<Settings>,
    /// What drifted and isn't dealt with.
    pub findings: Shared<BTreeMap<LedgerSeq, Arc<Finding>>>,
    pub mcp_servers: Shared<BTreeMap<McpServerName, Arc<McpServerSpec>>>,
    /// What was learnt about models since this build.
    pub catalogue: Option<CatalogueUpdate>,
}

/// A part of the world that copies share until one of them changes it: so a change costs what it touches, and
/// not all that was ever published.
#[derive(Clone, Debug, Default)]
pub struct Shared<T>(Arc<T>);

/// Which pointer.
pub type PointerKey = (AgentName, SegmentName);

/// A release as the world knows it.
#[derive(Clone, Debug)]
pub struct Release {
    pub id: ReleaseId,
    pub manifest: Arc<Manifest>,
    /// The agents it was created for: the same content may serve several.
    pub agents: BTreeSet<AgentName>,
    pub identity: String,
    pub model_override: Option<String>,
    pub created_at: Timestamp,
    pub seq: LedgerSeq,
    /// The entries that are about it alone: created, for each agent, and retired. Oldest first.
    pub entries: Vec<LedgerSeq>,
    /// Since when nobody may deploy it.
    pub retired: Option<Timestamp>,
}

/// What was learnt about models since this build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueUpdate {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    /// Laid over what Pinrail brings, an artifact.
    pub catalogue: Digest,
    pub source: String,
}

/// A person's or a tenant's content was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The entry that says so.
    pub seq: LedgerSeq,
    pub hash: Digest,
    pub tenant: TenantId,
    pub subject: Option<String>,
    pub records: u64,
    pub runs: u64,
    /// The list of what was erased, an artifact.
    pub proof: Digest,
}

/// Why an entry can't follow: the ledger is not what Pinrail wrote.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    #[error(transparent)]
    Chain(#[from] Broken),
    #[error("ledger entry {seq} ({kind}) contradicts the entries before it: {what}")]
    Contradiction { seq: LedgerSeq, kind: &'static str, what: String },
}

impl Erasure {
    /// What an erasure's entry says. Panics for an entry of anything else.
    fn of(entry: &Entry) -> Erasure {
        let Body::StateErased { tenant, subject, records, runs, proof } = &entry.body else {
            panic!("entry {} is no erasure", entry.seq)
        };
        Erasure {
            seq: entry.seq,
            hash: entry.hash,
            tenant: tenant.clone(),
            subject: subject.clone(),
            records: *records,
            runs: *runs,
            proof: *proof,
        }
    }
}

impl Default for World {
    fn default() -> Self {
        World {
            head: Head::START,
            origin: None,
            epoch: Epoch(0),
            providers: Shared::default(),
            agents: Shared::default(),
            releases: Shared::default(),
            deployments: Shared::default(),
            pointers: Shared::default(),
            commits: Arc::default(),
            floor: Moment::default(),
            collected: Shared::default(),
            journals: Dropped::default(),
            erasures: Shared::default(),
            keys: Shared::default(),
            keyed: false,
            webhooks: Shared::default(),
            gates: Shared::default(),
            dials: Shared::default(),
            findings: Shared::default(),
            mcp_servers: Shared::default(),
            catalogue: None,
        }
    }
}

impl World {
    /// Folds one entry in. On an error the world is unchanged.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let head = self.head.follow(entry)?;
        self.apply_body(entry).map_err(|what| Corrupt::Contradiction {
            seq: entry.seq,
            kind: entry.body.kind(),
            what,
        })?;
        self.head = head;
        self.origin.get_or_insert(entry.hash);
        if entry.body.raises_epoch() {
            self.epoch = self.epoch.next();
        }
        Ok(())
    }

    /// The pointer of (agent, segment); an empty one where nothing was ever deployed.
    #[must_use]
    pub fn pointer(&self, agent: &AgentName, segment: &SegmentName) -> Pointer {
        self.pointers.get(&(agent.clone(), segment.clone())).cloned().unwrap_or_default()
    }

    /// The segments that a deployment of `agent` in `segment` serves: that one, and, from `default`, all that have no
    /// deployment of their own.
    #[must_use]
    pub fn segments_reached(&self, agent: &AgentName, segment: &SegmentName) -> Vec<SegmentName> {
        let mut reached = vec![segment.clone()];
        if segment.as_str() == SegmentName::DEFAULT {
            let others = self.agents.get(agent).into_iter().flat_map(|spec| &spec.segments);
            let others = others.map(|other| &other.name).filter(|other| {
                let own = self.pointers.get(&(agent.clone(), (*other).clone()));
                own.is_none_or(|own| own.active.is_none() && own.candidate.is_none())
            });
            reached.extend(others.cloned());
        }
        reached
    }

    /// The id that the next deployment gets. 0 is the ground.
    #[must_use]
    pub fn next_deployment(&self) -> DeploymentId {
        self.deployments.last_key_value().map_or(DeploymentId(1), |(id, _)| id.next())
    }

    /// The newest deployment before `from` at `agent`'s pointer that still counts: where a rollback returns to.
    #[must_use]
    pub fn fallback(&self, agent: &AgentName, from: &Deployment) -> Option<DeploymentId> {
        let mut previous = from.replaced.get(agent).copied().flatten();
        while let Some(deployment) = previous.and_then(|id| self.deployments.get(&id)) {
            if !deployment.is_rolled_back() {
                return Some(deployment.id);
            }
            previous = deployment.replaced.get(agent).copied().flatten();
        }
        None
    }

    /// A deployment whose records were removed and that counted for `own`, or for everybody, right before the ledger
    /// entry after `at`: then that view can't be had any more.
    #[must_use]
    pub fn lost(&self, own: Option<DeploymentId>, at: LedgerSeq) -> Option<DeploymentId> {
        let counted = |id: &&DeploymentId| own == Some(**id) || self.commits.is_committed(**id, at);
        self.collected.keys().find(counted).copied()
    }

    /// The deployments that rollbacks of `from` lead `agent` to, one after the other, newest first.
    pub fn fallbacks<'a>(
        &'a self,
        agent: &'a AgentName,
        from: &Deployment,
    ) -> impl Iterator<Item = &'a Deployment> + 'a {
        let deployment = |id| self.deployments.get(&id).map(|deployment| &**deployment);
        let first = self.fallback(agent, from).and_then(deployment);
        std::iter::successors(first, move |from| self.fallback(agent, from).and_then(deployment))
    }

    /// Whether anything still points at the release.
    #[must_use]
    pub fn is_live(&self, release: ReleaseId) -> bool {
        self.pointed_at().any(|pointed| pointed == release)
    }

    /// The releases that something still points at, in an order that chance has no part in.
    #[must_use]
    pub fn live_releases(&self) -> BTreeSet<ReleaseId> {
        self.pointed_at().collect()
    }

    fn pointed_at(&self) -> impl Iterator<Item = ReleaseId> + '_ {
        self.pointers.iter().flat_map(move |((agent, _), pointer)| {
            let deployments = [pointer.active, pointer.candidate].into_iter().flatten();
            deployments.filter_map(move |id| self.deployments.get(&id)?.releases.get(agent).copied())
        })
    }

    fn apply_body(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::ProviderPut { provider, spec } => {
                self.providers.insert(provider.clone(), Arc::new((**spec).clone()));
            }
            Body::ProviderRemoved { provider } => {
                self.providers.remove(provider).ok_or("no such provider")?;
            }
            Body::AgentPut { agent, spec } => {
                self.agents.insert(agent.clone(), Arc::new(spec.clone()));
            }
            Body::AgentRemoved { agent } => {
                self.agents.remove(agent).ok_or("no such agent")?;
                self.pointers.retain(|(owner, _), _| owner != agent);
            }
            Body::ReleaseCreated { release, agent, manifest, identity, model_override } => {
                self.create_release(entry, *release, agent, manifest, identity, model_override.as_ref())?;
            }
            Body::DeploymentOpened { .. } => self.open(entry)?,
            Body::DeploymentPromoted { deployment, overridden: _, evidence } => {
                self.promote(entry, *deployment)?;
                self.keep_evidence(*deployment, evidence.as_deref());
            }
            Body::DeploymentRolledBack { deployment, evidence, .. } => {
                self.roll_back(entry)?;
                self.keep_evidence(*deployment, evidence.as_deref());
            }
            Body::RolloutStep { .. }
            | Body::RolloutStopped { .. }
            | Body::RolloutResumed { .. }
            | Body::RolloutApproved { .. } => self.move_rollout(entry)?,
            Body::GateRecorded { .. }
            | Body::GateJudged { .. }
            | Body::GateOverridden { .. }
            | Body::GateOverrideSeconded { .. } => self.take_in_gate(entry)?,
            Body::ManifestRecorded { deployment, manifest } => {
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                if deployment.manifest.is_some() {
                    return Err("its manifest is recorded".to_owned());
                }
                Arc::make_mut(deployment).manifest = Some(*manifest);
            }
            Body::StateCollected { deployments, floor, .. } => self.collect(deployments, *floor)?,
            Body::JournalCollected { before, .. } => self.journals.raise(*before, entry.seq),
            Body::StateErased { .. } => self.erasures.push(Erasure::of(entry)),
            Body::WeightSet { deployment, weight } => self.set_weight(*deployment, *weight)?,
            Body::HoldLifted { agent, segment } => {
                let pointer = self.pointers.get_mut(&(agent.clone(), segment.clone()));
                pointer.and_then(|pointer| pointer.hold.take()).ok_or("no hold there")?;
            }
            Body::KeyCreated { key } => self.create_key(key)?,
            Body::KeyRevoked { key } => {
                self.keys.remove(key).ok_or("no such key")?;
            }
            Body::WebhookPut { webhook, spec } => self.put_webhook(entry, webhook, spec),
            Body::WebhookRemoved { webhook } => {
                self.webhooks.remove(webhook).ok_or("no such webhook")?;
            }
            Body::DialSet { .. }
            | Body::DriftFound { .. }
            | Body::DriftCleared { .. }
            | Body::CatalogueUpdated { .. }
            | Body::ReleaseRetired { .. }
            | Body::McpServerPut { .. }
            | Body::McpServerRemoved { .. } => self.watch(entry)?,
        }
        Ok(())
    }

    fn create_key(&mut self, key: &Key) -> Result<(), String> {
        if self.keys.contains_key(&key.id) {
            return Err("the key exists".to_owned());
        }
        self.keys.insert(key.id.clone(), Arc::new(key.clone()));
        self.keyed = true;
        Ok(())
    }

    fn put_webhook(&mut self, entry: &Entry, name: &WebhookName, spec: &WebhookSpec) {
        let since = self.webhooks.get(name).map_or(entry.seq, |before| before.since);
        self.webhooks.insert(name.clone(), Arc::new(Webhook { spec: spec.clone(), since }));
    }

    fn create_release(
        &mut self,
        entry: &Entry,
        id: ReleaseId,
        agent: &AgentName,
        manifest: &Manifest,
        identity: &str,
        model_override: Option<&String>,
    ) -> Result<(), String> {
        // I1: an id that doesn't follow from the content is refused, whoever wrote it.
        if manifest.id().ok() != Some(id) {
            return Err("the release id is not the digest of its manifest".to_owned());
        }
        let release = self.releases.entry(id).or_insert_with(|| {
            Arc::new(Release {
                id,
                manifest: Arc::new(manifest.clone()),
                agents: BTreeSet::new(),
                identity: identity.to_owned(),
                model_override: None,
                created_at: entry.at,
                seq: entry.seq,
                entries: Vec::new(),
                retired: None,
            })
        });
        let release = Arc::make_mut(release);
        release.agents.insert(agent.clone());
        release.entries.push(entry.seq);
        if model_override.is_some() {
            release.model_override = model_override.cloned();
        }
        Ok(())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
pub(crate) mod tests;
