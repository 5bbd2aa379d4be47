//! What the store was made to hold: the independent reference that everything else is compared with.
//!
//! It takes in every effect at the moment of the effect, from what was handed to the store and not from what the store
//! says that it holds, and forgets nothing. What it says about visibility it works out in the plainest way: a copy of
//! what counts is kept for every ledger entry, and a view is a replay of all operations from the first one on.
//!
//! What it finds wrong at an effect itself (an entry that doesn't follow, a binding that ignores what counts) it keeps
//! as a fault, which the world looks at after every step.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::approval::{Approval, Decision, Use};
use pinrail_domain::deployment::{GateVerdict, Pointer, Status};
use pinrail_domain::dial::{Caller, Position};
use pinrail_domain::id::{
    AgentName, ApprovalId, DeploymentId, Epoch, EventSeq, LedgerSeq, RunId, SegmentName, StateSeq,
};
use pinrail_domain::journal::{Event, Recorded, RunStatus, Stamp, Summary};
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::routes::Via;
use pinrail_domain::state::{Content, Moment, Op, Operation, Record, Space, StateKey};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::journal::{self, SessionKey, Start};
use pinrail_store::state::{Appended, Batch, Put};

use crate::checks::segment_of;
use crate::dials::Dials;
use crate::setting::{CRITICAL, SETTING};

/// Everything that is true, and every copy of what counted.
pub(crate) struct Truth {
    pub entries: Vec<Entry>,
    /// The world after each entry, the empty one first.
    pub worlds: Vec<World>,
    /// What counted after each entry.
    counted: Vec<Counted>,
    pub runs: BTreeMap<RunId, TrueRun>,
    pub bindings: BTreeMap<SessionKey, DeploymentId>,
    pub records: Vec<Record>,
    pub approvals: BTreeMap<ApprovalId, TrueApproval>,
    /// How often what carries a tag happened.
    tags: BTreeMap<String, u32>,
    pub faults: Vec<String>,
    pub touched: Touched,
}

/// A run as it must be.
pub(crate) struct TrueRun {
    pub stamp: Stamp,
    pub events: Vec<Recorded>,
    pub status: RunStatus,
}

/// An approval as it must be.
pub(crate) struct TrueApproval {
    /// The run that asked first, and its own id of the call.
    pub run: RunId,
    pub call: Option<String>,
    expires_at: Timestamp,
    pub approved: Option<bool>,
    pub used: Option<Use>,
}

/// What changed since the last comparison.
#[derive(Default)]
pub(crate) struct Touched {
    pub ledger: bool,
    pub state: bool,
    pub runs: BTreeSet<RunId>,
}

/// What counts after a ledger entry.
#[derive(Clone, Default)]
struct Counted {
    committed: BTreeSet<DeploymentId>,
    /// Single records that a cascade took along.
    taken: BTreeSet<StateSeq>,
    dials: Dials,
}

impl Truth {
    pub(crate) fn new() -> Truth {
        Truth {
            entries: Vec::new(),
            worlds: vec![World::default()],
            counted: vec![Counted::default()],
            runs: BTreeMap::new(),
            bindings: BTreeMap::new(),
            records: Vec::new(),
            approvals: BTreeMap::new(),
            tags: BTreeMap::new(),
            faults: Vec::new(),
            touched: Touched::default(),
        }
    }

    pub(crate) fn world(&self) -> &World {
        self.worlds.last().expect("the empty world is there from the start")
    }

    pub(crate) fn head(&self) -> LedgerSeq {
        LedgerSeq(self.entries.len() as u64)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { state: StateSeq(self.records.len() as u64), ledger: self.head() }
    }

    /// How often what carries the tag happened.
    pub(crate) fn times(&self, tag: &str) -> u32 {
        self.tags.get(tag).copied().unwrap_or_default()
    }

    /// The worlds of an epoch: entries that don't raise it make several.
    pub(crate) fn worlds_of(&self, epoch: Epoch) -> impl Iterator<Item = &World> {
        self.worlds.iter().filter(move |world| world.epoch == epoch)
    }

    /// Every world from an entry on.
    pub(crate) fn worlds_since(&self, seq: LedgerSeq) -> impl Iterator<Item = &World> {
        self.worlds[seq.0 as usize..].iter()
    }

    /// Where the ledger says that the dial stands now.
    pub(crate) fn dials(&self) -> &Dials {
        self.dials_at(self.head())
    }

    pub(crate) fn dials_at(&self, seq: LedgerSeq) -> &Dials {
        &self.counted[seq.0 as usize].dials
    }

    /// Where it stood after each entry from one on.
    pub(crate) fn dials_since(&self, seq: LedgerSeq) -> impl Iterator<Item = &Dials> {
        self.counted[seq.0 as usize..].iter().map(|counted| &counted.dials)
    }

    /// Approvals that nobody has decided.
    pub(crate) fn approvals_pending(&self) -> Vec<ApprovalId> {
        let pending = self.approvals.iter().filter(|(_, approval)| approval.approved.is_none());
        pending.map(|(id, _)| *id).collect()
    }

    /// Approvals of calls that may be made.
    pub(crate) fn approvals_approved(&self) -> impl Iterator<Item = &TrueApproval> {
        self.approvals.values().filter(|approval| approval.approved == Some(true) && approval.used.is_none())
    }

    /// Whether the deployment's writes counted for everybody after an entry.
    pub(crate) fn is_committed(&self, deployment: DeploymentId, at: LedgerSeq) -> bool {
        self.counted[at.0 as usize].committed.contains(&deployment)
    }

    /// What a reader must see in a space at a moment: the newest counting operation of each key, where it is a put; in
    /// sequence order.
    pub(crate) fn shown(&self, space: &Space, own: Option<DeploymentId>, at: Moment) -> Vec<StateSeq> {
        let counted = &self.counted[at.ledger.0 as usize];
        let mut seen: BTreeMap<&StateKey, StateSeq> = BTreeMap::new();
        for record in self.records.iter().take(at.state.0 as usize).filter(|record| record.space == *space) {
            let operation = &record.operation;
            let deployment = operation.deployment;
            let is_committed = deployment.0 == 0 || counted.committed.contains(&deployment);
            let counts = operation.ledger <= at.ledger
                && (own == Some(deployment) || is_committed && !counted.taken.contains(&operation.seq));
            match operation.op {
                Op::Put if counts => seen.insert(&operation.key, operation.seq),
                Op::Delete if counts => seen.remove(&operation.key),
                Op::Put | Op::Delete => None,
            };
        }
        let mut shown: Vec<StateSeq> = seen.into_values().collect();
        shown.sort_unstable();
        shown
    }

    pub(crate) fn record(&self, seq: StateSeq) -> Option<&Record> {
        self.records.get(usize::try_from(seq.0.checked_sub(1)?).ok()?)
    }

    /// All spaces that hold something.
    pub(crate) fn spaces(&self) -> BTreeSet<&Space> {
        self.records.iter().map(|record| &record.space).collect()
    }

    /// All whose views may differ: everybody, and each deployment's own runs.
    pub(crate) fn readers(&self) -> Vec<Option<DeploymentId>> {
        std::iter::once(None).chain(self.world().deployments.keys().copied().map(Some)).collect()
    }

    pub(crate) fn appended(&mut self, entries: &[Entry]) {
        self.touched.ledger = true;
        if let Some(first) = entries.first() {
            *self.tags.entry(first.reason.clone()).or_default() += 1;
        }
        let rolls_back = |entry: &Entry| matches!(entry.body, Body::DeploymentRolledBack { .. });
        if entries.len() != 1 && entries.iter().any(rolls_back) {
            self.faults.push(format!("I5: a rollback came with {} entries", entries.len()));
        }
        for entry in entries {
            self.check_gate(entry);
            let mut world = self.world().clone();
            if let Err(error) = world.apply(entry) {
                self.faults.push(format!("I8: entry {} cannot follow: {error}", entry.seq));
                return;
            }
            let counted = self.counted.last().expect("one per world").clone().after(&entry.body);
            self.entries.push(entry.clone());
            self.worlds.push(world);
            self.counted.push(counted);
        }
    }

    /// What the critical agent is promoted to has passed the newest gate of exactly it against what ran until then (I14).
    #[allow(clippy::wildcard_enum_match_arm, reason = "of the many kinds of entries, one is of a gate")]
    fn check_gate(&mut self, entry: &Entry) {
        let Body::DeploymentPromoted { deployment, .. } = &entry.body else { return };
        let agent = &SETTING.agents[CRITICAL];
        let world = self.world();
        let Some(opened) = world.deployments.get(deployment) else { return };
        let Some(release) = opened.releases.get(agent).copied() else { return };
        let runs = |segment: &SegmentName| {
            let active = world.pointer(agent, segment).active?;
            world.deployments[&active].releases.get(agent).copied()
        };
        let own = world.pointer(agent, &opened.segment).active.is_some();
        let before = if own { runs(&opened.segment) } else { runs(&SegmentName::default_segment()) };
        // The setting's own first deployment is older than any gate.
        if before == Some(release) || entry.seq.0 <= SETTING.ledger.len() as u64 {
            return;
        }
        let about = self.entries.iter().rev().find_map(|earlier| match &earlier.body {
            Body::GateJudged { agent: of, judgement, .. } if of == agent => {
                (judgement.candidate == release && judgement.incumbent == before).then_some(judgement.verdict)
            }
            _ => None,
        });
        if about != Some(GateVerdict::Pass) {
            self.faults.push(format!(
                "I14: entry {} promotes {deployment}, and the newest gate of it said {about:?}",
                entry.seq
            ));
        }
    }

    pub(crate) fn started(&mut self, start: &Start) {
        let stamp = &start.stamp;
        self.touched.runs.insert(stamp.run);
        if self.runs.contains_key(&stamp.run) {
            self.faults.push(format!("I2: {} was begun twice", stamp.run));
            return;
        }
        self.check_route(stamp);
        if let (Some(key), Some(_)) = (SessionKey::of(stamp), start.bind) {
            let bound = self.bindings.insert(key, stamp.deployment);
            self.check_rebinding(stamp, bound);
        }
        if let Some(op) = stamp.attributes.get("op") {
            *self.tags.entry(op.clone()).or_default() += 1;
        }
        let mut run =
            TrueRun { stamp: stamp.clone(), events: vec![start.plan()], status: RunStatus::Running };
        run.status = Summary::planned(start.at, start.queued).status;
        self.runs.insert(stamp.run, run);
        self.extend(stamp.run, &start.events);
    }

    pub(crate) fn extended(&mut self, append: &journal::Append) {
        self.touched.runs.insert(append.run);
        if !self.runs.contains_key(&append.run) {
            self.faults.push(format!("I3: an event of {}, which was never begun", append.run));
        }
        self.extend(append.run, &append.events);
    }

    pub(crate) fn wrote(&mut self, batch: &Batch, appended: Appended) {
        self.touched.state = true;
        let first = StateSeq(self.records.len() as u64 + 1);
        if appended.first != first || appended.ledger != self.head() {
            self.faults.push(format!(
                "I8: a batch got {appended:?}, where record {first} at entry {} comes next",
                self.head()
            ));
        }
        for (put, seq) in batch.puts.iter().zip(first.0..) {
            if let Content::Value(value) = &put.content {
                *self.tags.entry(value.json.clone()).or_default() += 1;
            }
            self.records.push(record_of(batch, put, StateSeq(seq), self.head()));
        }
    }

    pub(crate) fn asked(&mut self, approval: &Approval) {
        let Approval { run, call, expires_at, .. } = approval.clone();
        let new = TrueApproval { run, call, expires_at, approved: None, used: None };
        if self.approvals.insert(approval.id, new).is_some() {
            self.faults.push(format!("{} was asked for twice", approval.id));
        }
    }

    /// A person decides once, and in time.
    pub(crate) fn decided(&mut self, id: ApprovalId, decision: &Decision, expires_at: Timestamp) {
        *self.tags.entry(decision.reason.clone()).or_default() += 1;
        let known = self.approvals.get_mut(&id);
        match known {
            Some(known) if known.approved.is_none() && decision.at < known.expires_at => {
                known.approved = Some(decision.approved);
                known.expires_at = known.expires_at.max(expires_at);
            }
            Some(_) => self.faults.push(format!("{id} was decided twice or too late: {decision:?}")),
            None => self.faults.push(format!("{id} was decided and never asked for")),
        }
    }

    /// An approved call is made once, and in time.
    pub(crate) fn used(&mut self, id: ApprovalId, by: Use) {
        match self.approvals.get_mut(&id) {
            Some(known)
                if known.used.is_none() && known.approved == Some(true) && by.at < known.expires_at =>
            {
                known.used = Some(by);
            }
            Some(_) | None => self.faults.push(format!("{id} was used by {by:?}, and may not be")),
        }
    }

    fn extend(&mut self, run: RunId, events: &[(pinrail_domain::time::Timestamp, Event)]) {
        let Some(kept) = self.runs.get_mut(&run) else { return };
        for (at, event) in events {
            if let Event::Note { name, .. } = event {
                *self.tags.entry(name.clone()).or_default() += 1;
            }
            let mut summary = Summary::planned(*at, false);
            summary.status = kept.status;
            if let Err(illegal) = summary.apply(*at, event) {
                self.faults.push(format!("I8: {run} took an event that cannot follow: {illegal}"));
            }
            kept.status = summary.status;
            let seq = EventSeq(kept.events.len() as u64);
            kept.events.push(Recorded { seq, at: *at, event: event.clone() });
        }
    }

    /// The stamp names what its epoch's pointers name, or what its parent runs on (I3).
    fn check_route(&mut self, stamp: &Stamp) {
        let points = |world: &World| {
            let pointers = [stamp.segment.clone(), SegmentName::default_segment()];
            let pointers = pointers.map(|segment| world.pointer(&stamp.agent, &segment));
            pointers.iter().any(|pointer| points_at(pointer, stamp.deployment))
        };
        let parent = stamp.parent.and_then(|parent| self.runs.get(&parent));
        let follows = match stamp.via {
            Via::Parent => parent.is_some_and(|parent| parent.stamp.deployment == stamp.deployment),
            // A gate asks what is deployed nowhere.
            Via::Gate => stamp.deployment == DeploymentId(0),
            // Whatever was promoted and still counts may answer in its place.
            Via::Dial => self.worlds_of(stamp.epoch).any(|world| {
                let deployment = world.deployments.get(&stamp.deployment);
                deployment.is_some_and(|deployment| matches!(deployment.status, Status::Promoted { .. }))
            }),
            Via::Active | Via::Bucket(_) | Via::Session | Via::Shadow => {
                self.worlds_of(stamp.epoch).any(points)
            }
        };
        let releases = self.world().deployments.get(&stamp.deployment).map(|deployment| &deployment.releases);
        let release = releases.and_then(|releases| releases.get(&stamp.agent));
        if !follows || release != Some(&stamp.release) {
            self.faults.push(format!("I3: no route of epoch {} leads to {stamp:?}", stamp.epoch));
        }
        self.check_not_off(stamp);
    }

    /// Nobody begins where the ledger says that the dial is off.
    fn check_not_off(&mut self, stamp: &Stamp) {
        let segment = segment_of(&stamp.tenant);
        let caller = Caller { agent: &stamp.agent, segment: &segment, tenant: &stamp.tenant };
        let of_epoch = self.worlds.iter().zip(&self.counted).filter(|(world, _)| world.epoch == stamp.epoch);
        let mut positions = of_epoch.map(|(_, counted)| counted.dials.position(caller));
        if positions.all(|position| position == Position::Off) {
            self.faults.push(format!("the dial was off in epoch {}, and {stamp:?} began", stamp.epoch));
        }
    }

    /// A session leaves its deployment only where that serves it no more.
    fn check_rebinding(&mut self, stamp: &Stamp, bound: Option<DeploymentId>) {
        let Some(bound) = bound.filter(|bound| *bound != stamp.deployment) else { return };
        let serves = |world: &World| points_at(&pointer_of(world, &stamp.agent, &stamp.segment), bound);
        if self.worlds_of(stamp.epoch).all(serves) {
            self.faults.push(format!(
                "a session left deployment {bound}, which served it in epoch {}, with {stamp:?}",
                stamp.epoch
            ));
        }
    }
}

impl Counted {
    fn after(mut self, body: &Body) -> Counted {
        self.dials.turn(body);
        match body {
            Body::DeploymentPromoted { deployment, .. } => {
                self.committed.insert(*deployment);
            }
            Body::DeploymentRolledBack { deployment, keep_state, derived, .. } => {
                if !keep_state {
                    self.committed.remove(deployment);
                }
                let taken = derived.ranges().iter().flat_map(|(first, last)| first.0..=last.0);
                self.taken.extend(taken.map(StateSeq));
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
        self
    }
}

/// The record that a put becomes.
fn record_of(batch: &Batch, put: &Put, seq: StateSeq, ledger: LedgerSeq) -> Record {
    let Batch { author, at, .. } = batch;
    let Put { space, key, op, parents, content, content_digest, digest } = put.clone();
    Record {
        space,
        operation: Operation { seq, ledger, deployment: author.deployment, key, op },
        at: *at,
        origin: author.origin,
        run: author.run,
        parents,
        content,
        content_digest,
        digest,
    }
}

fn points_at(pointer: &Pointer, deployment: DeploymentId) -> bool {
    [pointer.active, pointer.candidate].contains(&Some(deployment))
}

/// What serves a segment: where nothing was ever promoted, what is active in `default`, and the candidate there too
/// unless it has one of its own.
fn pointer_of(world: &World, agent: &AgentName, segment: &SegmentName) -> Pointer {
    let own = world.pointer(agent, segment);
    if own.active.is_some() {
        return own;
    }
    let default = world.pointer(agent, &SegmentName::default_segment());
    Pointer { candidate: own.candidate.or(default.candidate), ..default }
}
