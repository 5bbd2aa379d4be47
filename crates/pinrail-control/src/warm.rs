//! The warm set: whether what serves, what is being proven and what a rollback may return to can be called.
//!
//! What probes found is held in memory beside the store's copy, so that asking, and choosing where a rollback leads, waits
//! for nothing (I7). The caller makes the probes ([`Control::probes_wanted`]) and says what came of them
//! ([`Control::keep_probe`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pinrail_domain::digest::Digest;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, ReleaseId, SegmentName};
use pinrail_domain::model::{Lifecycle, Served};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::ModelPin;
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::{self, Callable, Probe, Probed};
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::sightings::{Sighting, SightingKind};

use crate::readiness::Surroundings;
use crate::{Control, errors};

/// A release that serves, is being proven, or that a rollback may return to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmRelease {
    pub agent: AgentName,
    pub segment: SegmentName,
    pub release: ReleaseId,
    pub deployment: DeploymentId,
    /// How many rollbacks away it is: 0 is active; none of a candidate.
    pub steps_back: Option<u32>,
    pub provider: ProviderName,
    pub snapshot: String,
    pub callable: Callable,
    /// Why it can't be called, or what isn't known.
    pub why: Option<String>,
    /// The newest probe.
    pub probed: Option<Probed>,
    /// When its model ends, as far as the catalogue knows.
    pub retires: Option<Timestamp>,
}

/// A model to probe: one for all the releases that would ask the same.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Digest,
    pub model: ModelPin,
    pub provider: Arc<ProviderSpec>,
    pub last: Option<Probed>,
}

/// What probes found, newest per key.
#[derive(Default)]
pub(crate) struct Probes(ArcSwap<BTreeMap<Digest, Probed>>);

/// Probes of models that nobody probes any more are forgotten after a month.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;

impl Probes {
    /// Takes in what the store holds, by whomever, where it is no older than what is known. What can't be read is looked at again.
    pub(crate) fn take_in(&self, sightings: &[Sighting]) {
        let probes = sightings.iter().filter_map(|sighting| {
            let key: Digest = sighting.subject.parse().ok()?;
            let probed: Probed = serde_json::from_str(&sighting.document).ok()?;
            Some((key, probed))
        });
        let stored: Vec<_> = probes.collect();
        self.0.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            for (key, probed) in &stored {
                if after.get(key).is_none_or(|known| known.last.at <= probed.last.at) {
                    after.insert(*key, probed.clone());
                }
            }
            after
        });
    }

    fn of(&self, key: &Digest) -> Option<Probed> {
        self.0.load().get(key).cloned()
    }

    fn add(&self, key: Digest, probe: &Probe) -> Probed {
        let probed = Probed::then(self.0.load().get(&key), probe.clone());
        self.0.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            after.insert(key, probed.clone());
            after
        });
        probed
    }
}

impl Control {
    /// Every release that serves, is being proven, or that a rollback may return to, of one agent or of all: by agent and
    /// segment, the candidate first, then the active one and those before it.
    #[must_use]
    pub fn warm_set(&self, around: &Surroundings, of: Option<&AgentName>) -> Vec<WarmRelease> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let mut all = Vec::new();
        for agent in world.agents.keys().filter(|agent| of.is_none_or(|of| of == *agent)) {
            let candidates = candidates(world, agent);
            let warm = world
                .warm(agent)
                .into_iter()
                .map(|warm| (warm.segment, warm.deployment, warm.release, Some(warm.steps_back)));
            let mut places: Vec<_> = candidates.into_iter().chain(warm).collect();
            places.sort_by(|one, other| (&one.0, one.3).cmp(&(&other.0, other.3)));
            for (segment, deployment, release, steps_back) in places {
                let Some(pin) = world.releases.get(&release).map(|release| &release.manifest.model) else {
                    continue;
                };
                let (callable, why) = self.callable(world, around, release);
                all.push(WarmRelease {
                    agent: agent.clone(),
                    segment,
                    release,
                    deployment,
                    steps_back,
                    provider: pin.provider.clone(),
                    snapshot: pin.snapshot.clone(),
                    callable,
                    why,
                    probed: self.probed(pin),
                    retires: self.retires(world, pin),
                });
            }
        }
        all
    }

    /// Whether a release can be called, as far as is known here and now, and why not. Waits for nothing.
    #[must_use]
    pub fn callable(
        &self,
        world: &World,
        around: &Surroundings,
        release: ReleaseId,
    ) -> (Callable, Option<String>) {
        let Some(release) = world.releases.get(&release) else {
            return (Callable::Refused, Some("there is no such release".to_owned()));
        };
        let pin = &release.manifest.model;
        let Some(provider) = world.providers.get(&pin.provider) else {
            return (Callable::Refused, Some(format!("provider {} is not registered", pin.provider)));
        };
        if around.keyless_providers.contains(&pin.provider) {
            let why = format!("the key of provider {} is not set where the server runs", pin.provider);
            return (Callable::Refused, Some(why));
        }
        let now = self.inner.clock.now();
        if let Lifecycle::Retired { .. } = self.catalogue().lifecycle(&provider.catalogue, &pin.snapshot, now)
        {
            return (Callable::Gone, Some(format!("{} has retired model {}", pin.provider, pin.snapshot)));
        }
        let Some(probed) = self.probed(pin) else {
            return (Callable::Unknown, None);
        };
        let said = probed.last.failed.as_ref().map(|failed| {
            let status = failed.status.map(|status| format!(" with {status}")).unwrap_or_default();
            let times = if probed.in_a_row > 1 {
                format!(", {} times in a row", probed.in_a_row)
            } else {
                String::new()
            };
            format!("a probe of {} at {} failed{status}{times}: {}", pin.snapshot, pin.provider, failed.why)
        });
        (probed.callable(), said)
    }

    /// Why a rollback shouldn't lead to a release, where that is certain: the model is gone or was retired, the release was,
    /// or nothing here may call it. A provider that fails just now is no reason.
    #[must_use]
    pub(crate) fn trouble(&self, world: &World, around: &Surroundings, release: ReleaseId) -> Option<String> {
        if let Some(at) = world.releases.get(&release).and_then(|release| release.retired) {
            return Some(format!("release {} was retired at {}", release.short(), at.rfc3339()));
        }
        match self.callable(world, around, release) {
            (Callable::Gone | Callable::Refused, why) => why,
            (Callable::Yes | Callable::Unknown | Callable::Failing, _) => None,
        }
    }

    /// The models to probe: each once for the releases that would ask the same. Retired releases aren't probed.
    #[must_use]
    pub fn probes_wanted(&self, of: Option<&AgentName>) -> Vec<Wanted> {
        let snapshot = self.snapshot();
        let world = &snapshot.world;
        let mut wanted = BTreeMap::new();
        for agent in world.agents.keys().filter(|agent| of.is_none_or(|of| of == *agent)) {
            let warm = world.warm(agent).into_iter().map(|warm| warm.release);
            let releases = candidates(world, agent).into_iter().map(|place| place.2).chain(warm);
            for release in releases.filter_map(|release| world.releases.get(&release)) {
                let models = release.retired.is_none().then(|| release.manifest.model.each_alone());
                for model in models.into_iter().flatten() {
                    let (Some(provider), Ok(key)) = (world.providers.get(&model.provider), warm::key(&model))
                    else {
                        continue;
                    };
                    let (provider, last) = (Arc::clone(provider), self.inner.sightings.probes.of(&key));
                    wanted.insert(key, Wanted { key, model, provider, last });
                }
            }
        }
        wanted.into_values().collect()
    }

    /// Keeps what a probe came to. A model that is gone, or that answers as another, is a finding.
    pub async fn keep_probe(&self, wanted: &Wanted, probe: Probe) -> Probed {
        let Wanted { key, model, provider, last: _ } = wanted;
        let probed = self.inner.sightings.probes.add(*key, &probe);
        let document = serde_json::to_string(&probed).expect("a probe is plain data");
        let (subject, at) = (key.to_string(), probe.at);
        let kept = Sighting { kind: SightingKind::Probe, subject, at, document };
        if let Err(error) = self.inner.store.sighting_put(kept).await {
            tracing::warn!(%error, "a probe's result was not stored; it is known until the server ends");
        }
        let subject = Subject::Model { provider: model.provider.clone(), snapshot: model.snapshot.clone() };
        if let Some(said) = probed.is_gone() {
            let what = format!(
                "{} answers that it has no model {}: {said}; nothing that pins it can be called",
                model.provider, model.snapshot
            );
            self.note_drift(&subject, &Sign::Gone { said: said.to_owned() }, &what).await;
        }
        if let Some(served) = &probe.served {
            let catalogue = self.catalogue();
            match catalogue.served_matches(&provider.catalogue, &model.snapshot, served) {
                Served::Different => {
                    let what =
                        format!("{} answered a probe of {} as {served}", model.provider, model.snapshot);
                    self.note_drift(&subject, &Sign::Served { served: served.clone() }, &what).await;
                }
                Served::Same | Served::SameCheckpoint { .. } | Served::Unsaid => {}
            }
        }
        probed
    }

    /// Forgets probes of models that nobody has probed for a month.
    pub async fn forget_old_probes(&self) -> Result<u64, StoreError> {
        let before = Timestamp(self.inner.clock.now().0.saturating_sub(KEPT_MS));
        self.inner.store.sighting_forget(SightingKind::Probe, before).await
    }

    pub(crate) async fn note_drift(&self, subject: &Subject, sign: &Sign, what: &str) {
        if let Err(error) = self.find_drift(subject, sign, what, None).await {
            tracing::warn!(
                error = errors::chain(&error),
                what,
                "a finding could not be kept; the next look finds it again"
            );
        }
    }

    fn probed(&self, pin: &ModelPin) -> Option<Probed> {
        self.inner.sightings.probes.of(&warm::key(pin).ok()?)
    }

    fn retires(&self, world: &World, pin: &ModelPin) -> Option<Timestamp> {
        let part = &world.providers.get(&pin.provider)?.catalogue;
        match self.catalogue().lifecycle(part, &pin.snapshot, self.inner.clock.now()) {
            Lifecycle::RetiringSoon { at, .. } | Lifecycle::Retired { at } => Some(at),
            Lifecycle::Deprecated { retires, .. } => retires,
            Lifecycle::Active | Lifecycle::Unlisted => None,
        }
    }
}

/// Where an agent's candidates are, with their releases.
fn candidates(world: &World, agent: &AgentName) -> Vec<(SegmentName, DeploymentId, ReleaseId, Option<u32>)> {
    let own = world.pointers.iter().filter(|((owner, _), _)| owner == agent);
    let candidates = own.filter_map(|((_, segment), pointer)| {
        let deployment = world.deployments.get(&pointer.candidate?)?;
        Some((segment.clone(), deployment.id, *deployment.releases.get(agent)?, None))
    });
    candidates.collect()
}
