//! The ledger: every control-plane change, append-only and hash-chained (I8).
//!
//! An entry's hash is the SHA-256 of the canonical JSON of the entry without its `hash`, and each entry
//! names the hash before it, so no entry can be changed, dropped, added or moved without breaking the
//! chain behind it. Today's world is a fold over the entries ([`crate::world`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::agent::AgentSpec;
use crate::assign::Salt;
use crate::canonical::{self, NotCanonical};
use crate::deployment::Gate;
use crate::dial::{Place, Position};
use crate::digest::Digest;
use crate::drift::{Sign, Subject};
use crate::gate::{Judgement, SuiteKind};
use crate::id::{
    AgentName, DeploymentId, GateId, IngestName, LedgerSeq, McpServerName, ProviderName, ReleaseId,
    SegmentName, TenantId, WebhookName,
};
use crate::key::{Key, KeyId};
use crate::mcp::McpServerSpec;
use crate::provider::ProviderSpec;
use crate::release::Manifest;
use crate::rollout::progress::Entered;
use crate::rollout::{Evidence, Plan, Stop};
use crate::share::Share;
use crate::state::Moment;
use crate::state::view::Ranges;
use crate::time::{Day, Timestamp};
use crate::webhook::WebhookSpec;

mod kinds;
mod words;

/// One change. Stored: never rename a field. A field that is added, anywhere in an entry, must be left out of the
/// JSON where it has its default, or the hashes of the entries before it change. A field that isn't known is refused when an entry is read, as the
/// hash couldn't vouch for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub seq: LedgerSeq,
    pub prev: Digest,
    pub at: Timestamp,
    pub actor: Actor,
    pub reason: String,
    pub body: Body,
    pub hash: Digest,
}

/// What an entry changes about which deployments' writes count: for stores that answer "what is visible" themselves. Folded in
/// order it gives the spans and cascades of `World::commits`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Counting<'a> {
    /// From this entry on the deployment's writes count for everybody.
    Commits(DeploymentId),
    /// They don't any more, and neither do `derived` records of others.
    Retracts {
        deployment: DeploymentId,
        /// Nothing is taken back of one that was committed before: only its pointers go.
        unless_committed: bool,
        derived: &'a Ranges,
    },
}

impl Counting<'_> {
    /// Whose writes it is about.
    #[must_use]
    pub fn deployment(&self) -> DeploymentId {
        match self {
            Counting::Commits(deployment) | Counting::Retracts { deployment, .. } => *deployment,
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", from = "StoredActor")]
pub enum Actor {
    /// The holder of a key.
    Key { id: KeyId, name: String },
    /// Anyone on this machine, while the server has no keys.
    Open,
    /// Pinrail itself, for example on its first start.
    System,
}

/// What changed. Stored: never rename or renumber.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "entries are handled one at a time, and a provider's are rare")]
pub enum Body {
    ProviderPut {
        provider: ProviderName,
        spec: Box<ProviderSpec>,
    },
    ProviderRemoved {
        provider: ProviderName,
    },
    AgentPut {
        agent: AgentName,
        spec: AgentSpec,
    },
    AgentRemoved {
        agent: AgentName,
    },
    ReleaseCreated {
        release: ReleaseId,
        agent: AgentName,
        manifest: Box<Manifest>,
        /// What the catalogue said of the model then: `pinned`, `floating` or `unknown`.
        identity: String,
        /// Why an unknown model was let into tier `critical`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model_override: Option<String>,
    },
    DeploymentOpened {
        deployment: DeploymentId,
        releases: BTreeMap<AgentName, ReleaseId>,
        segment: SegmentName,
        weight: Share,
        salt: Salt,
        /// The name of a data job: then the deployment holds no release and moves no pointer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ingest: Option<IngestName>,
        /// How it is proven; none: its weight is set by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rollout: Option<Box<Plan>>,
    },
    /// A release deployment was promoted, or an ingest deployment committed.
    DeploymentPromoted {
        deployment: DeploymentId,
        /// Why it was promoted before its rollout was through.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overridden: Option<String>,
        /// What was seen of its rollout.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Box<Evidence>>,
    },
    DeploymentRolledBack {
        deployment: DeploymentId,
        /// Only pointers moved: what it wrote counts as before.
        #[serde(default, skip_serializing_if = "is_false")]
        keep_state: bool,
        /// Records of others that were derived from its own and go with them.
        #[serde(default, skip_serializing_if = "Ranges::is_empty")]
        derived: Ranges,
        /// Where agents return to that don't return to the newest before it: that couldn't be called.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        to: BTreeMap<AgentName, DeploymentId>,
        /// What was seen of its rollout.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Box<Evidence>>,
    },
    /// A rollout entered a step: the candidate's shares change with it.
    RolloutStep {
        deployment: DeploymentId,
        generation: u64,
        entered: Box<Entered>,
    },
    /// A rollout stands still until somebody says how it goes on.
    RolloutStopped {
        deployment: DeploymentId,
        generation: u64,
        why: Stop,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Box<Evidence>>,
    },
    RolloutResumed {
        deployment: DeploymentId,
        generation: u64,
    },
    /// The entry's actor approved the step.
    RolloutApproved {
        deployment: DeploymentId,
        generation: u64,
        step: usize,
    },
    /// The verdict of an offline eval of a candidate.
    GateRecorded {
        deployment: DeploymentId,
        gate: Gate,
    },
    /// A gate ended.
    GateJudged {
        agent: AgentName,
        gate: GateId,
        judgement: Box<Judgement>,
    },
    /// The entry's actor says that a deployment may be promoted without these kinds of suites.
    GateOverridden {
        deployment: DeploymentId,
        kinds: Vec<SuiteKind>,
    },
    /// The entry's actor says so, too.
    GateOverrideSeconded {
        deployment: DeploymentId,
        overridden: LedgerSeq,
    },
    /// The state as it was when a deployment was opened, in an artifact.
    ManifestRecorded {
        deployment: DeploymentId,
        manifest: Digest,
    },
    /// Retracted data was removed for good: nothing at or before `floor` can be read as of then any more.
    StateCollected {
        deployments: Vec<DeploymentId>,
        records: u64,
        floor: Moment,
    },
    /// Journals were dropped for good: the runs of all days before, but for days on which a run was open still.
    JournalCollected {
        before: Day,
        runs: u64,
    },
    /// A person's or a tenant's content was removed for good; the records' places and digests stay.
    StateErased {
        tenant: TenantId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        records: u64,
        runs: u64,
        /// The digest of the list of what was erased, an artifact.
        proof: Digest,
    },
    WeightSet {
        deployment: DeploymentId,
        weight: Share,
    },
    HoldLifted {
        agent: AgentName,
        segment: SegmentName,
    },
    KeyCreated {
        key: Key,
    },
    KeyRevoked {
        key: KeyId,
    },
    WebhookPut {
        webhook: WebhookName,
        spec: WebhookSpec,
    },
    WebhookRemoved {
        webhook: WebhookName,
    },
    /// The dial was turned at a place; at `full` nothing stands there any more.
    DialSet {
        place: Place,
        position: Position,
        /// At `fallback`: who answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<ReleaseId>,
        /// At `canned`: what is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Something that is pinned changed behind its pin.
    DriftFound {
        subject: Subject,
        sign: Sign,
        /// One sentence for people.
        what: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Digest>,
    },
    /// The entry's actor says that a finding is dealt with.
    DriftCleared {
        finding: LedgerSeq,
    },
    /// What is known about models changed: the artifact is laid over what Pinrail brings.
    CatalogueUpdated {
        catalogue: Digest,
        /// Where it is from, in words.
        source: String,
        added: u64,
        changed: u64,
        removed: u64,
    },
    /// Nobody needs the release any more: it can't be deployed again.
    ReleaseRetired {
        release: ReleaseId,
    },
    McpServerPut {
        server: McpServerName,
        spec: McpServerSpec,
    },
    McpServerRemoved {
        server: McpServerName,
    },
}

impl Body {
    /// Whether members must learn of the change: the epoch rises with it.
    #[must_use]
    pub fn raises_epoch(&self) -> bool {
        match self {
            // An agent's segments decide who gets what, as pointers do.
            Body::AgentPut { .. }
            | Body::AgentRemoved { .. }
            | Body::DeploymentOpened { .. }
            | Body::DeploymentPromoted { .. }
            | Body::DeploymentRolledBack { .. }
            | Body::RolloutStep { .. }
            | Body::RolloutResumed { .. }
            | Body::WeightSet { .. }
            | Body::DialSet { .. } => true,
            Body::ProviderPut { .. }
            | Body::ProviderRemoved { .. }
            | Body::ReleaseCreated { .. }
            | Body::HoldLifted { .. }
            | Body::RolloutStopped { .. }
            | Body::RolloutApproved { .. }
            | Body::GateRecorded { .. }
            | Body::GateJudged { .. }
            | Body::GateOverridden { .. }
            | Body::GateOverrideSeconded { .. }
            | Body::ManifestRecorded { .. }
            | Body::StateCollected { .. }
            | Body::JournalCollected { .. }
            | Body::StateErased { .. }
            | Body::KeyCreated { .. }
            | Body::KeyRevoked { .. }
            | Body::WebhookPut { .. }
            | Body::WebhookRemoved { .. }
            | Body::DriftFound { .. }
            | Body::DriftCleared { .. }
            | Body::CatalogueUpdated { .. }
            | Body::ReleaseRetired { .. }
            | Body::McpServerPut { .. }
            | Body::McpServerRemoved { .. } => false,
        }
    }

    /// What the entry changes about which deployments' writes count.
    #[must_use]
    pub fn counting(&self) -> Option<Counting<'_>> {
        match self {
            Body::DeploymentPromoted { deployment, .. } => Some(Counting::Commits(*deployment)),
            Body::DeploymentRolledBack { deployment, keep_state, derived, .. } => {
                Some(Counting::Retracts { deployment: *deployment, unless_committed: *keep_state, derived })
            }
            Body::AgentPut { .. }
            | Body::AgentRemoved { .. }
            | Body::ProviderPut { .. }
            | Body::ProviderRemoved { .. }
            | Body::ReleaseCreated { .. }
            | Body::DeploymentOpened { .. }
            | Body::RolloutStep { .. }
            | Body::RolloutResumed { .. }
            | Body::WeightSet { .. }
            | Body::DialSet { .. }
            | Body::HoldLifted { .. }
            | Body::RolloutStopped { .. }
            | Body::RolloutApproved { .. }
            | Body::GateRecorded { .. }
            | Body::GateJudged { .. }
            | Body::GateOverridden { .. }
            | Body::GateOverrideSeconded { .. }
            | Body::ManifestRecorded { .. }
            | Body::StateCollected { .. }
            | Body::JournalCollected { .. }
            | Body::StateErased { .. }
            | Body::KeyCreated { .. }
            | Body::KeyRevoked { .. }
            | Body::WebhookPut { .. }
            | Body::WebhookRemoved { .. }
            | Body::DriftFound { .. }
            | Body::DriftCleared { .. }
            | Body::CatalogueUpdated { .. }
            | Body::ReleaseRetired { .. }
            | Body::McpServerPut { .. }
            | Body::McpServerRemoved { .. } => None,
        }
    }

    /// The `type` tag, for lists and filters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Body::ProviderPut { .. } => "provider_put",
            Body::ProviderRemoved { .. } => "provider_removed",
            Body::AgentPut { .. } => "agent_put",
            Body::AgentRemoved { .. } => "agent_removed",
            Body::ReleaseCreated { .. } => "release_created",
            Body::DeploymentOpened { .. } => "deployment_opened",
            Body::DeploymentPromoted { .. } => "deployment_promoted",
            Body::DeploymentRolledBack { .. } => "deployment_rolled_back",
            Body::ManifestRecorded { .. } => "manifest_recorded",
            Body::StateCollected { .. } => "state_collected",
            Body::JournalCollected { .. } => "journal_collected",
            Body::StateErased { .. } => "state_erased",
            Body::RolloutStep { .. } => "rollout_step",
            Body::RolloutStopped { .. } => "rollout_stopped",
            Body::RolloutResumed { .. } => "rollout_resumed",
            Body::RolloutApproved { .. } => "rollout_approved",
            Body::GateRecorded { .. } => "gate_recorded",
            Body::GateJudged { .. } => "gate_judged",
            Body::GateOverridden { .. } => "gate_overridden",
            Body::GateOverrideSeconded { .. } => "gate_override_seconded",
            Body::WeightSet { .. } => "weight_set",
            Body::HoldLifted { .. } => "hold_lifted",
            Body::KeyCreated { .. } => "key_created",
            Body::KeyRevoked { .. } => "key_revoked",
            Body::WebhookPut { .. } => "webhook_put",
            Body::WebhookRemoved { .. } => "webhook_removed",
            Body::DialSet { .. } => "dial_set",
            Body::DriftFound { .. } => "drift_found",
            Body::DriftCleared { .. } => "drift_cleared",
            Body::CatalogueUpdated { .. } => "catalogue_updated",
            Body::ReleaseRetired { .. } => "release_retired",
            Body::McpServerPut { .. } => "mcp_server_put",
            Body::McpServerRemoved { .. } => "mcp_server_removed",
        }
    }
}

/// A change that is decided but has no place in the chain yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub at: Timestamp,
    pub actor: Actor,
    pub reason: String,
    pub body: Body,
}

/// The chain's end: what the next entry builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: LedgerSeq,
    pub hash: Digest,
}

impl Head {
    /// Before the first entry.
    pub const START: Head = Head { seq: LedgerSeq(0), hash: Digest::ZERO };

    /// Gives `draft` the next place in the chain.
    pub fn seal(self, draft: Draft) -> Result<Entry, NotCanonical> {
        let Draft { at, actor, reason, body } = draft;
        let mut entry =
            Entry { seq: self.seq.next(), prev: self.hash, at, actor, reason, body, hash: Digest::ZERO };
        entry.hash = entry.compute_hash()?;
        Ok(entry)
    }

    /// Checks that `entry` is the one right after this head, and returns the new head.
    pub fn follow(self, entry: &Entry) -> Result<Head, Broken> {
        let fault = if entry.seq != self.seq.next() {
            Fault::Sequence { expected: self.seq.next() }
        } else if entry.prev != self.hash {
            Fault::Previous { expected: self.hash }
        } else {
            match entry.compute_hash() {
                Ok(hash) if hash == entry.hash => return Ok(Head { seq: entry.seq, hash }),
                Ok(hash) => Fault::Hash { expected: hash },
                Err(_) => Fault::NotCanonical,
            }
        };
        Err(Broken { seq: entry.seq, fault })
    }
}

impl Entry {
    /// The hash of everything but `hash`.
    pub fn compute_hash(&self) -> Result<Digest, NotCanonical> {
        #[derive(Serialize)]
        struct Hashed<'a> {
            seq: LedgerSeq,
            prev: Digest,
            at: Timestamp,
            actor: &'a Actor,
            reason: &'a str,
            body: &'a Body,
        }
        let Entry { seq, prev, at, actor, reason, body, hash: _ } = self;
        canonical::digest(&Hashed { seq: *seq, prev: *prev, at: *at, actor, reason, body })
    }
}

/// The first entry that doesn't fit the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ledger entry {seq} is broken: {fault}")]
pub struct Broken {
    pub seq: LedgerSeq,
    pub fault: Fault,
}

/// How an entry doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Sequence { expected: LedgerSeq },
    Previous { expected: Digest },
    Hash { expected: Digest },
    NotCanonical,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Sequence { expected } => write!(f, "its place should be {expected}"),
            Fault::Previous { expected } => write!(f, "the entry before it has hash {expected}"),
            Fault::Hash { expected } => write!(f, "its content has hash {expected}"),
            Fault::NotCanonical => f.write_str("its content has no canonical form"),
        }
    }
}

/// [`Actor`] as it is read: serde refuses unknown fields only in variants that have braces.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum StoredActor {
    Key { id: KeyId, name: String },
    Open {},
    System {},
}

impl From<StoredActor> for Actor {
    fn from(stored: StoredActor) -> Actor {
        match stored {
            StoredActor::Key { id, name } => Actor::Key { id, name },
            StoredActor::Open {} => Actor::Open,
            StoredActor::System {} => Actor::System,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Key { id, name } => write!(f, "{name} ({id})"),
            Actor::Open => f.write_str("anyone (no keys)"),
            Actor::System => f.write_str("pinrail"),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A reason is a sentence, not a document.
pub const REASON_BYTES_MAX: usize = 2_000;

#[cfg(test)]
mod tests;
