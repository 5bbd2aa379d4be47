//! The naive model that copies whole states: what every reader of state must see, worked out in the plainest way.
//!
//! It is the reference that the rule, the index, the stores and the simulator are held to, and shares nothing with
//! them but the ledger's fold. After each step it replays all operations from nothing for every reader and keeps the
//! result: so a view as of a moment is a look at the copy made then, and can't be led astray by what came later.
//!
//! Numbers decide what happens ([`Step::from_number`]), so a seed, or a test's shrinking list, replays. Whoever drives
//! it with the model's own places calls [`Model::play`]; a store's test lets [`Model::decide`] say what to do, does it,
//! and tells what came of it ([`Model::wrote`], [`Model::appended`]).

use std::collections::{BTreeMap, BTreeSet};

use super::view::{GROUND, Hidden, Ranges};
use super::{Moment, Op, Operation, StateKey};
use crate::assign::Salt;
use crate::deploy::{self, Open, TakeBack, Traffic};
use crate::id::{AgentName, DeploymentId, SegmentName, StateSeq};
use crate::ledger::{Actor, Body, Draft, Entry};
use crate::model::Identity;
use crate::share::Share;
use crate::time::Timestamp;
use crate::world::World;

mod setting;

pub use self::setting::{setup, spaces};

/// Something that happens to state. The numbers pick among what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Write { author: u16, space: u8, key: u8, op: Op },
    OpenIngest,
    OpenRelease { agent: u8, now: bool },
    Commit { which: u16 },
    RollBack { which: u16, keep_state: bool, cascade: Option<u64> },
}

/// What a step comes to in the world as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Write {
        deployment: DeploymentId,
        space: usize,
        key: StateKey,
        op: Op,
    },
    /// Entries to append together.
    Append(Vec<Body>),
    /// Refused: nothing happens.
    Nothing,
}

/// What a reader sees: the visible put of each key, by the space's number and the key.
pub type Shown = BTreeMap<(usize, StateKey), StateSeq>;

/// All that happened, and a copy of what everybody saw after each step.
#[derive(Clone, Debug)]
pub struct Model {
    pub world: World,
    pub entries: Vec<Entry>,
    /// All operations in sequence order, each with its space's number.
    pub operations: Vec<(usize, Operation)>,
    now: Facts,
    copies: BTreeMap<Moment, Copy>,
}

/// What counts at a moment, as the ledger tells it.
#[derive(Clone, Debug, Default)]
struct Facts {
    committed: BTreeSet<DeploymentId>,
    aborted: BTreeSet<DeploymentId>,
    retracted: BTreeSet<DeploymentId>,
    /// What a cascade took along, and from which deployment it was derived.
    derived: BTreeMap<StateSeq, DeploymentId>,
}

#[derive(Clone, Debug, Default)]
struct Copy {
    facts: Facts,
    shown: BTreeMap<Option<DeploymentId>, Shown>,
}

impl Step {
    /// The step that a random number stands for; small numbers stand for plain steps.
    #[must_use]
    pub fn from_number(number: u64) -> Step {
        let which = (number >> 32) as u16;
        match number % 16 {
            0..=8 => Step::Write {
                author: which,
                space: (number >> 8) as u8,
                key: (number >> 16) as u8,
                op: if (number >> 24) % 4 == 3 { Op::Delete } else { Op::Put },
            },
            9 | 10 => Step::OpenIngest,
            11 => Step::OpenRelease { agent: (number >> 8) as u8, now: (number >> 16).is_multiple_of(3) },
            12 | 13 => Step::Commit { which },
            _ => Step::RollBack {
                which,
                keep_state: (number >> 8).is_multiple_of(4),
                cascade: (number >> 16).is_multiple_of(2).then_some(number),
            },
        }
    }
}

impl Default for Model {
    fn default() -> Model {
        Model::new()
    }
}

impl Model {
    /// A world with agents and releases ([`setup`]) in which nothing is deployed.
    #[must_use]
    pub fn new() -> Model {
        let mut model = Model {
            world: World::default(),
            entries: Vec::new(),
            operations: Vec::new(),
            now: Facts::default(),
            copies: BTreeMap::new(),
        };
        model.copy();
        setup().into_iter().for_each(|body| model.append(body));
        model
    }

    /// What the step comes to now.
    #[must_use]
    pub fn decide(&self, step: &Step) -> Act {
        match step {
            Step::Write { author, space, key, op } => Act::Write {
                deployment: DeploymentId(u64::from(*author) % self.world.next_deployment().0),
                space: usize::from(*space) % spaces().len(),
                key: StateKey::new(&format!("key-{}", key % KEYS)).expect("a short name"),
                op: *op,
            },
            Step::OpenIngest => {
                let next = self.world.next_deployment();
                let name = format!("job-{next}").parse().expect("a short name");
                let opened = deploy::open_ingest(&self.world, &name, Salt(next.0));
                opened.map_or(Act::Nothing, |(_, body)| Act::Append(vec![body]))
            }
            Step::OpenRelease { agent, now } => self.open_release(*agent, *now),
            Step::Commit { which } => {
                let candidate = self.world.deployments.values().filter(|d| !self.is_decided(d.id));
                let Some(id) = pick(candidate.map(|d| d.id), *which) else { return Act::Nothing };
                deploy::promote(
                    &self.world,
                    id,
                    &deploy::Grounds::ASKED,
                    true,
                    pinned,
                    crate::time::Timestamp(0),
                )
                .map_or(Act::Nothing, Act::Append)
            }
            Step::RollBack { which, keep_state, cascade } => {
                let left = self.world.deployments.keys().filter(|id| !self.is_taken_back(**id));
                let Some(id) = pick(left.copied(), *which) else { return Act::Nothing };
                let what = TakeBack {
                    keep_state: *keep_state,
                    derived: self.derived(*keep_state, *cascade),
                    ..TakeBack::default()
                };
                deploy::roll_back(&self.world, id, &what).map_or(Act::Nothing, |body| Act::Append(vec![body]))
            }
        }
    }

    /// Decides and does a step, with places of the model's own.
    pub fn play(&mut self, step: &Step) -> Act {
        let act = self.decide(step);
        match act.clone() {
            Act::Write { deployment, space, key, op } => {
                let seq = self.moment().state.next();
                self.wrote(space, Operation { seq, ledger: self.world.head.seq, deployment, key, op });
            }
            Act::Append(bodies) => bodies.into_iter().for_each(|body| self.append(body)),
            Act::Nothing => {}
        }
        act
    }

    /// Takes in what was written, in sequence order.
    pub fn wrote(&mut self, space: usize, operation: Operation) {
        self.operations.push((space, operation));
        self.copy();
    }

    /// Takes in what was appended to the ledger. Panics where the entry can't follow.
    pub fn appended(&mut self, entry: &Entry) {
        self.world.apply(entry).expect("the ledger goes on where the model's ends");
        self.entries.push(entry.clone());
        match &entry.body {
            Body::DeploymentPromoted { deployment, .. } => {
                self.now.committed.insert(*deployment);
            }
            Body::DeploymentRolledBack { deployment, keep_state, derived, .. } => {
                let Facts { committed, aborted, retracted, derived: taken } = &mut self.now;
                if *keep_state && committed.contains(deployment) {
                    // Only pointers moved.
                } else if committed.remove(deployment) {
                    retracted.insert(*deployment);
                } else {
                    aborted.insert(*deployment);
                }
                let hit = self.operations.iter().map(|(_, operation)| operation.seq);
                for seq in hit.filter(|seq| derived.contains(*seq)) {
                    taken.entry(seq).or_insert(*deployment);
                }
            }
            // Nothing of this changes what anybody sees.
            Body::ProviderPut { .. }
            | Body::ProviderRemoved { .. }
            | Body::AgentPut { .. }
            | Body::AgentRemoved { .. }
            | Body::ReleaseCreated { .. }
            | Body::DeploymentOpened { .. }
            | Body::ManifestRecorded { .. }
            | Body::StateCollected { .. }
            | Body::JournalCollected { .. }
            | Body::StateErased { .. }
            | Body::RolloutStep { .. }
            | Body::RolloutStopped { .. }
            | Body::RolloutResumed { .. }
            | Body::RolloutApproved { .. }
            | Body::GateRecorded { .. }
            | Body::GateJudged { .. }
            | Body::GateOverridden { .. }
            | Body::GateOverrideSeconded { .. }
            | Body::WeightSet { .. }
            | Body::HoldLifted { .. }
            | Body::KeyCreated { .. }
            | Body::KeyRevoked { .. }
            | Body::WebhookPut { .. }
            | Body::WebhookRemoved { .. }
            | Body::DialSet { .. }
            | Body::DriftFound { .. }
            | Body::DriftCleared { .. }
            | Body::CatalogueUpdated { .. }
            | Body::ReleaseRetired { .. }
            | Body::McpServerPut { .. }
            | Body::McpServerRemoved { .. } => {}
        }
        self.copy();
    }

    /// The newest moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let state = self.operations.last().map(|(_, operation)| operation.seq).unwrap_or_default();
        Moment { state, ledger: self.world.head.seq }
    }

    /// Every moment of which there is a copy, oldest first.
    pub fn moments(&self) -> impl DoubleEndedIterator<Item = Moment> + '_ {
        self.copies.keys().copied()
    }

    /// All whose views may differ: everybody, the ground, each deployment.
    #[must_use]
    pub fn readers(&self) -> Vec<Option<DeploymentId>> {
        let deployments = self.world.deployments.keys().copied();
        [None, Some(GROUND)].into_iter().chain(deployments.map(Some)).collect()
    }

    /// What a reader saw at one of [`Model::moments`].
    #[must_use]
    pub fn shown(&self, own: Option<DeploymentId>, at: Moment) -> &Shown {
        let shown = &self.copies[&at].shown;
        // A deployment that wasn't there yet would have seen what everybody saw.
        shown.get(&own).unwrap_or(&shown[&None])
    }

    /// Whether `why` is true of an operation for a reader at one of [`Model::moments`]; `None` claims that it is visible.
    #[must_use]
    pub fn justifies(
        &self,
        own: Option<DeploymentId>,
        at: Moment,
        (space, operation): &(usize, Operation),
        why: Option<&Hidden>,
    ) -> bool {
        let Copy { facts, .. } = &self.copies[&at];
        let Operation { seq, ledger, deployment, key, op } = operation;
        let came = *seq <= at.state && *ledger <= at.ledger;
        let is_others = own != Some(*deployment);
        let counts = came && facts.count(own, operation);
        let ended = |by: StateSeq, with: Op| {
            let end = self.operations.iter().find(|(_, end)| end.seq == by);
            end.is_some_and(|(of, end)| {
                let comes_later = of == space && end.key == *key && end.seq > *seq && end.seq <= at.state;
                comes_later && end.op == with && facts.count(own, end)
            })
        };
        let is_put = *op == Op::Put;
        match why {
            None => self.shown(own, at).get(&(*space, key.clone())) == Some(seq),
            Some(Hidden::AfterAsOf) => !came,
            Some(Hidden::Uncommitted { deployment: named }) => {
                let is_open = ![&facts.committed, &facts.aborted, &facts.retracted]
                    .iter()
                    .any(|set| set.contains(named));
                came && is_others && named == deployment && *named != GROUND && is_open
            }
            Some(Hidden::Aborted { deployment: named }) => {
                came && is_others && named == deployment && facts.aborted.contains(named)
            }
            Some(Hidden::Retracted { deployment: named }) => {
                came && is_others && named == deployment && facts.retracted.contains(named)
            }
            Some(Hidden::Derived { from }) => came && is_others && facts.derived.get(seq) == Some(from),
            Some(Hidden::Superseded { by }) => counts && is_put && ended(*by, Op::Put),
            Some(Hidden::Deleted { by }) => counts && is_put && ended(*by, Op::Delete),
            Some(Hidden::Delete) => counts && !is_put,
        }
    }

    fn append(&mut self, body: Body) {
        let at = Timestamp(1_700_000_000_000 + self.world.head.seq.0);
        let draft = Draft { at, actor: Actor::System, reason: String::new(), body };
        let entry = self.world.head.seal(draft).expect("what is decided has a canonical form");
        self.appended(&entry);
    }

    /// Replays everything from nothing, for everybody.
    fn copy(&mut self) {
        let mut shown = BTreeMap::new();
        for own in self.readers() {
            let mut seen = Shown::new();
            for (space, operation) in &self.operations {
                if self.now.count(own, operation) {
                    let key = (*space, operation.key.clone());
                    match operation.op {
                        Op::Put => seen.insert(key, operation.seq),
                        Op::Delete => seen.remove(&key),
                    };
                }
            }
            shown.insert(own, seen);
        }
        self.copies.insert(self.moment(), Copy { facts: self.now.clone(), shown });
    }

    fn is_decided(&self, id: DeploymentId) -> bool {
        self.now.committed.contains(&id) || self.is_taken_back(id)
    }

    fn is_taken_back(&self, id: DeploymentId) -> bool {
        self.now.aborted.contains(&id) || self.now.retracted.contains(&id)
    }

    fn open_release(&self, agent: u8, now: bool) -> Act {
        let agents: Vec<&AgentName> = self.world.agents.keys().collect();
        let agent = agents[usize::from(agent) % agents.len()].clone();
        let segment = SegmentName::default_segment();
        let active = self.world.pointer(&agent, &segment).active;
        let running = active.and_then(|id| self.world.deployments[&id].releases.get(&agent));
        let release = *self.world.releases.keys().find(|id| Some(*id) != running).expect("there are two");
        let traffic = if now { Traffic::Now } else { Traffic::Canary(Share::NONE) };
        let open = Open { releases: [(agent, release)].into(), segment, traffic, lift_hold: true };
        let salt = Salt(self.world.next_deployment().0);
        deploy::open(&self.world, &open, salt, pinned, crate::time::Timestamp(0))
            .map_or(Act::Nothing, |(_, bodies)| Act::Append(bodies))
    }

    /// Some quarter of all records, whosever they are.
    fn derived(&self, keep_state: bool, cascade: Option<u64>) -> Ranges {
        let Some(seed) = cascade.filter(|_| !keep_state) else { return Ranges::default() };
        let seqs = self.operations.iter().map(|(_, operation)| operation.seq);
        let hash = |seq: &StateSeq| xxhash_rust::xxh3::xxh3_64_with_seed(&seq.0.to_le_bytes(), seed);
        Ranges::of(seqs.filter(|seq| hash(seq).is_multiple_of(4)))
    }
}

impl Facts {
    fn count(&self, own: Option<DeploymentId>, operation: &Operation) -> bool {
        let deployment = operation.deployment;
        let is_committed = deployment == GROUND || self.committed.contains(&deployment);
        own == Some(deployment) || is_committed && !self.derived.contains_key(&operation.seq)
    }
}

/// Few, so that deployments meet on them.
const KEYS: u8 = 4;

fn pick(mut among: impl Iterator<Item = DeploymentId> + Clone, which: u16) -> Option<DeploymentId> {
    let count = among.clone().count();
    (count > 0).then(|| among.nth(usize::from(which) % count)).flatten()
}

fn pinned(_: crate::release::ModelId<'_>) -> Identity {
    Identity::Pinned { why: "dated".to_owned() }
}

#[cfg(test)]
mod tests;
