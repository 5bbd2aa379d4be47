//! The world: agents, releases, deployments, pointers, holds and keys, as a fold over the ledger.
//!
//! [`World::apply`] is the only way anything here changes. It checks each entry against the world
//! before it, so an impossible ledger is found at the entry that makes it impossible. What *may* happen is
//! decided before an entry is written, in [`crate::deploy`] and its neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::agent::AgentSpec;
use crate::deployment::{Deployment, Hold, Pointer, Status};
use crate::digest::Digest;
use crate::id::{
    AgentName, DeploymentId, Epoch, LedgerSeq, ProviderName, ReleaseId, SegmentName, StateSeq, TenantId,
    WebhookName,
};
use crate::key::{Key, KeyId};
use crate::ledger::{Body, Broken, Entry, Head};
use crate::provider::ProviderSpec;
use crate::release::Manifest;
use crate::rollout::progress::{Approval, Stopped};
use crate::rollout::{Evidence, Plan, Rollout, Weights};
use crate::share::Share;
use crate::state::Moment;
use crate::state::view::{Commits, Ranges};
use crate::time::Timestamp;
use crate::webhook::{Webhook, WebhookSpec};

/// Everything the control plane knows. Cheap to copy: copies share each part until one of them changes it.
#[derive(Clone, Debug)]
pub struct World {
    pub head: Head,
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
    /// Every erasure, oldest first.
    pub erasures: Shared<Vec<Erasure>>,
    /// Keys that work; a revoked key is gone from here.
    pub keys: Shared<BTreeMap<KeyId, Arc<Key>>>,
    /// Whether any key was ever made: then the server never counts as open again.
    pub keyed: bool,
    pub webhooks: Shared<BTreeMap<WebhookName, Arc<Webhook>>>,
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
            epoch: Epoch(0),
            providers: Shared::default(),
            agents: Shared::default(),
            releases: Shared::default(),
            deployments: Shared::default(),
            pointers: Shared::default(),
            commits: Arc::default(),
            floor: Moment::default(),
            collected: Shared::default(),
            erasures: Shared::default(),
            keys: Shared::default(),
            keyed: false,
            webhooks: Shared::default(),
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
                self.providers.insert(provider.clone(), Arc::new(spec.clone()));
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
            Body::DeploymentOpened { deployment, releases, segment, weight, salt, ingest, rollout } => {
                let opened = Deployment {
                    id: *deployment,
                    ingest: ingest.clone(),
                    releases: releases.clone(),
                    segment: segment.clone(),
                    salt: *salt,
                    opened_at: entry.at,
                    opened_seq: entry.seq,
                    reason: entry.reason.clone(),
                    status: Status::Candidate { weight: *weight, segments: BTreeMap::new() },
                    replaced: BTreeMap::new(),
                    manifest: None,
                    rollout: None,
                    gate: None,
                    evidence: None,
                };
                self.open(opened, *weight, rollout.as_deref())?;
            }
            Body::DeploymentPromoted { deployment, overridden: _, evidence } => {
                self.promote(entry, *deployment)?;
                self.keep_evidence(*deployment, evidence.as_ref());
            }
            Body::DeploymentRolledBack { deployment, keep_state, derived, evidence } => {
                self.roll_back(entry, *deployment, *keep_state, derived)?;
                self.keep_evidence(*deployment, evidence.as_ref());
            }
            Body::RolloutStep { deployment, generation, entered } => {
                let epoch = self.epoch.next();
                let weights = Weights { everywhere: entered.weight, segments: entered.segments.clone() };
                self.rollout(*deployment, *generation, |rollout| {
                    if entered.step >= rollout.plan.steps.len() {
                        return Err("the plan has no such step".to_owned());
                    }
                    rollout.enter(entered, entry.at, entry.seq, epoch);
                    Ok(())
                })?;
                self.weigh(*deployment, &weights)?;
                self.keep_evidence(*deployment, entered.evidence.as_ref());
            }
            Body::RolloutStopped { deployment, generation, why, evidence } => {
                self.rollout(*deployment, *generation, |rollout| {
                    rollout.stopped = Some(Stopped { at: entry.at, seq: entry.seq, why: why.clone() });
                    Ok(())
                })?;
                self.keep_evidence(*deployment, evidence.as_ref());
            }
            Body::RolloutResumed { deployment, generation } => {
                // Whoever set another weight meanwhile is done with that.
                let (mut weights, epoch) = (Weights::default(), self.epoch.next());
                self.rollout(*deployment, *generation, |rollout| {
                    rollout.stopped.take().ok_or("it isn't stopped")?;
                    (rollout.since, rollout.since_seq) = (entry.at, entry.seq);
                    weights = Weights::at_step(&rollout.plan, rollout.step);
                    rollout.reweigh(weights.clone(), epoch);
                    Ok(())
                })?;
                self.weigh(*deployment, &weights)?;
            }
            Body::RolloutApproved { deployment, generation, step } => {
                self.rollout(*deployment, *generation, |rollout| {
                    if rollout.step != *step {
                        return Err("another step is under way".to_owned());
                    }
                    rollout.approvals.push(Approval {
                        by: entry.actor.clone(),
                        at: entry.at,
                        seq: entry.seq,
                    });
                    Ok(())
                })?;
            }
            Body::GateRecorded { deployment, gate } => {
                self.candidate(*deployment)?;
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                Arc::make_mut(deployment).gate = Some(gate.clone());
            }
            Body::ManifestRecorded { deployment, manifest } => {
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                if deployment.manifest.is_some() {
                    return Err("its manifest is recorded".to_owned());
                }
                Arc::make_mut(deployment).manifest = Some(*manifest);
            }
            Body::StateCollected { deployments, floor, .. } => self.collect(deployments, *floor)?,
            Body::StateErased { .. } => self.erasures.push(Erasure::of(entry)),
            Body::WeightSet { deployment, weight } => {
                // What a segment had of its own is over: the new share holds everywhere.
                let weights = Weights::everywhere(*weight);
                let epoch = self.epoch.next();
                self.weigh(*deployment, &weights)?;
                let deployment = self.deployments.get_mut(deployment).ok_or("no such deployment")?;
                if let Some(rollout) = &mut Arc::make_mut(deployment).rollout {
                    rollout.generation += 1;
                    rollout.reweigh(weights, epoch);
                }
            }
            Body::HoldLifted { agent, segment } => {
                let pointer = self.pointers.get_mut(&(agent.clone(), segment.clone()));
                pointer.and_then(|pointer| pointer.hold.take()).ok_or("no hold there")?;
            }
            Body::KeyCreated { key } => {
                if self.keys.contains_key(&key.id) {
                    return Err("the key exists".to_owned());
                }
                self.keys.insert(key.id.clone(), Arc::new(key.clone()));
                self.keyed = true;
            }
            Body::KeyRevoked { key } => {
                self.keys.remove(key).ok_or("no such key")?;
            }
            Body::WebhookPut { webhook, spec } => self.put_webhook(entry, webhook, spec),
            Body::WebhookRemoved { webhook } => {
                self.webhooks.remove(webhook).ok_or("no such webhook")?;
            }
        }
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
            })
        });
        let release = Arc::make_mut(release);
        release.agents.insert(agent.clone());
        if model_override.is_some() {
            release.model_override = model_override.cloned();
        }
        Ok(())
    }

    fn open(&mut self, mut opened: Deployment, weight: Share, plan: Option<&Plan>) -> Result<(), String> {
        if opened.id != self.next_deployment() {
            return Err(format!("the next deployment is {}", self.next_deployment()));
        }
        if opened.ingest.is_some() != opened.releases.is_empty() {
            return Err("a deployment holds releases or is a data job".to_owned());
        }
        for (agent, release) in &opened.releases {
            if !self.agents.contains_key(agent) {
                return Err(format!("no such agent: {agent}"));
            }
            if !self.releases.get(release).is_some_and(|release| release.agents.contains(agent)) {
                return Err(format!("{agent} has no such release"));
            }
        }
        let keys = pointer_keys(&opened);
        for key in &keys {
            if self.pointers.get(key).is_some_and(|pointer| pointer.candidate.is_some()) {
                return Err(format!("{}/{} has a candidate", key.0, key.1));
            }
        }
        if let Some(plan) = plan {
            if opened.ingest.is_some() || plan.steps.is_empty() {
                return Err("a rollout has steps, and a data job has none".to_owned());
            }
            let rollout =
                Rollout::begun(plan.clone(), opened.opened_at, opened.opened_seq, self.epoch.next());
            let Weights { everywhere, segments } = rollout.weights_now().clone();
            if everywhere != weight {
                return Err("the weight is not that of the rollout's first step".to_owned());
            }
            opened.status = Status::Candidate { weight: everywhere, segments };
            opened.rollout = Some(Box::new(rollout));
        }
        for key in keys {
            let pointer = self.pointers.entry(key).or_default();
            pointer.candidate = Some(opened.id);
            pointer.weight = weight;
        }
        self.deployments.insert(opened.id, Arc::new(opened));
        Ok(())
    }

    fn candidate(&self, id: DeploymentId) -> Result<Arc<Deployment>, String> {
        let deployment = self.deployments.get(&id).ok_or("no such deployment")?;
        match deployment.status {
            Status::Candidate { .. } => Ok(Arc::clone(deployment)),
            Status::Promoted { .. } | Status::RolledBack { .. } => Err("it is no candidate".to_owned()),
        }
    }

    fn promote(&mut self, entry: &Entry, id: DeploymentId) -> Result<(), String> {
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        for key in pointer_keys(&deployment) {
            // An agent that was removed meanwhile has no pointer to move, and one that came back has another's.
            let pointer = self.pointers.get_mut(&key).filter(|pointer| pointer.candidate == Some(id));
            let Some(pointer) = pointer else { continue };
            deployment.replaced.insert(key.0, pointer.active);
            pointer.active = Some(id);
            pointer.candidate = None;
            pointer.weight = Share::NONE;
        }
        deployment.status = Status::Promoted { at: entry.at, seq: entry.seq };
        Arc::make_mut(&mut self.commits).commit(id, entry.seq);
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    fn roll_back(
        &mut self,
        entry: &Entry,
        id: DeploymentId,
        keep_state: bool,
        derived: &Ranges,
    ) -> Result<(), String> {
        let deployment = self.deployments.get(&id).ok_or("no such deployment")?;
        let was_promoted = match deployment.status {
            Status::Candidate { .. } => false,
            Status::Promoted { .. } => true,
            // Its pointers went back before; now its state goes too.
            Status::RolledBack { was_promoted, kept_state: true, .. } if !keep_state => was_promoted,
            Status::RolledBack { .. } => return Err("it is rolled back".to_owned()),
        };
        if !derived.is_sound() || keep_state && !derived.is_empty() {
            return Err("the derived records are no set".to_owned());
        }
        // What was never committed can't go on counting.
        let kept_state = keep_state && was_promoted;
        let mut deployment = Deployment::clone(deployment);
        let hold = Hold { deployment: id, since: entry.at, seq: entry.seq, why: entry.reason.clone() };
        for key in pointer_keys(&deployment) {
            let fallback = self.fallback(&key.0, &deployment);
            let Some(pointer) = self.pointers.get_mut(&key) else { continue };
            if pointer.candidate == Some(id) {
                pointer.candidate = None;
                pointer.weight = Share::NONE;
            } else if pointer.active == Some(id) {
                pointer.active = fallback;
            } else {
                continue;
            }
            pointer.hold = Some(hold.clone());
        }
        let (at, seq, why) = (entry.at, entry.seq, entry.reason.clone());
        deployment.status = Status::RolledBack { at, seq, why, was_promoted, kept_state };
        if !kept_state {
            Arc::make_mut(&mut self.commits).retract(id, seq, derived);
        }
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    fn collect(&mut self, deployments: &[DeploymentId], floor: Moment) -> Result<(), String> {
        for id in deployments {
            let deployment = self.deployments.get(id).ok_or("no such deployment")?;
            match deployment.status {
                Status::RolledBack { kept_state: false, .. } => {}
                Status::Candidate { .. } | Status::Promoted { .. } | Status::RolledBack { .. } => {
                    return Err(format!("the state of deployment {id} was not taken back"));
                }
            }
        }
        self.collected.extend(deployments.iter().map(|id| (*id, floor.state)));
        let Moment { state, ledger } = floor;
        self.floor = Moment { state: self.floor.state.max(state), ledger: self.floor.ledger.max(ledger) };
        Ok(())
    }

    /// Moves a rollout on; `generation` is the one that it has afterwards.
    fn rollout(
        &mut self,
        id: DeploymentId,
        generation: u64,
        change: impl FnOnce(&mut Rollout) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        let rollout = deployment.rollout.as_mut().ok_or("it has no rollout")?;
        if generation != rollout.generation + 1 {
            return Err(format!("the rollout is at generation {}", rollout.generation));
        }
        change(rollout)?;
        rollout.generation = generation;
        self.deployments.insert(id, Arc::new(deployment));
        Ok(())
    }

    fn keep_evidence(&mut self, id: DeploymentId, evidence: Option<&Box<Evidence>>) {
        if let Some((deployment, evidence)) = self.deployments.get_mut(&id).zip(evidence) {
            Arc::make_mut(deployment).evidence = Some(evidence.clone());
        }
    }

    fn weigh(&mut self, id: DeploymentId, weights: &Weights) -> Result<(), String> {
        let weight = weights.everywhere;
        let mut deployment = Arc::unwrap_or_clone(self.candidate(id)?);
        for key in pointer_keys(&deployment) {
            if let Some(pointer) = self.pointers.get_mut(&key).filter(|pointer| pointer.candidate == Some(id))
            {
                pointer.weight = weight;
            }
        }
        deployment.status = Status::Candidate { weight, segments: weights.segments.clone() };
        self.deployments.insert(id, Arc::new(deployment));
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

fn pointer_keys(deployment: &Deployment) -> Vec<PointerKey> {
    deployment.releases.keys().map(|agent| (agent.clone(), deployment.segment.clone())).collect()
}

#[cfg(test)]
pub(crate) mod tests;
