//! What a model call asks of the control plane, and what it gets: the words that data plane and control
//! plane share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::agent::Bodies;
use crate::dial::{Halted, Ruling, Standing};
use crate::id::{
    AgentName, ApprovalId, DeploymentId, Epoch, ProviderName, RunId, SegmentName, SessionId, TenantId,
};
use crate::journal::{RunStatus, Stamp};
use crate::provider::ProviderSpec;
use crate::release::{Contract, ModelPin};
use crate::rollout::quantity::Usd;
use crate::routes::Target;
use crate::time::Timestamp;

/// A model call that wants a run.
#[derive(Clone, Debug)]
pub struct Call {
    pub agent: String,
    pub tenant: TenantId,
    /// The run to join; none makes the call a run of its own.
    pub run: Option<RunId>,
    pub session: Option<SessionId>,
    pub attributes: BTreeMap<String, String>,
}

/// A run that may call its model.
#[derive(Clone, Debug)]
pub struct Begun {
    pub stamp: Arc<Stamp>,
    /// The number of this call within the run: from 1 in the process that began the run. Where several replicas share a
    /// store, another one that the run's calls come to counts from a number of its own, so that none is given twice.
    pub call: u32,
    /// The epoch now; the stamp has the epoch it was made in.
    pub epoch: Epoch,
    pub contract: Arc<Contract>,
    pub provider: Arc<ProviderSpec>,
    pub bodies: Bodies,
    /// What the dial leaves of this call; none: everything.
    pub dial: Option<Arc<Standing>>,
    /// Who answers a copy of this call, once it is answered.
    pub shadow: Option<Target>,
    /// Who else may answer while the provider is in trouble, in the order to ask in; empty for most.
    pub alternatives: Alternatives,
}

/// An endpoint that may answer in the pinned one's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    pub provider: ProviderName,
    pub spec: Arc<ProviderSpec>,
    pub snapshot: String,
    /// The place among the models that the release lists; none where this is the pinned snapshot at another endpoint.
    pub listed: Option<usize>,
}

/// The endpoints that may answer in the pinned one's place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alternatives(Option<Arc<[Alternative]>>);

/// A tool call that an answer wants made and that needs a person's approval.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub stamp: Arc<Stamp>,
    pub tool: String,
    /// As the model wrote them.
    pub arguments: String,
}

/// What becomes of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruled {
    pub ruling: Ruling,
    pub approval: Option<ApprovalId>,
    /// Until when somebody may decide, or the call may be made.
    pub expires_at: Option<Timestamp>,
    /// Why it isn't simply allowed.
    pub why: Option<String>,
}

/// Asks for a run in which a candidate answers a copy of a live call.
#[derive(Clone, Debug)]
pub struct CopyOf {
    pub live: Arc<Stamp>,
    pub target: Target,
}

/// Why a candidate answers no copy.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoShadow {
    #[error("deployment {0} is no candidate any more")]
    NotCandidate(DeploymentId),
    #[error("deployment {0} is not at a step at which it answers copies")]
    NoShare(DeploymentId),
    #[error("copies cost {spent} in this step, and {budget} is what they may")]
    Spent { spent: Usd, budget: Usd },
    #[error(transparent)]
    Begin(#[from] BeginError),
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for the candidate.
    Queued,
    /// There was no room for it, or Pinrail stopped before its turn.
    Dropped,
    /// Its turn came when the candidate answered no copies any more, or the budget was used up.
    Refused,
    /// The candidate gave no answer that can be compared. What there was of it may have cost something.
    Failed {
        cost: Usd,
    },
    Compared {
        cost: Usd,
    },
}

impl Alternatives {
    /// Those of a model: the endpoints of the pinned snapshot first, then, where `listed`, what its release lists. A
    /// provider that `find` doesn't know is left out.
    pub fn of(
        model: &ModelPin,
        pinned: &ProviderSpec,
        listed: bool,
        find: impl Fn(&ProviderName) -> Option<Arc<ProviderSpec>>,
    ) -> Alternatives {
        let fallbacks = if listed { &model.fallbacks[..] } else { &[] };
        if pinned.failover.is_empty() && fallbacks.is_empty() {
            return Alternatives::default();
        }
        let same = pinned.failover.iter().filter(|name| **name != model.provider);
        let same = same.map(|provider| (provider, &model.snapshot, None));
        let others = fallbacks.iter().enumerate();
        let others = others.map(|(place, other)| (&other.provider, &other.snapshot, Some(place)));
        let known = same.chain(others).filter_map(|(provider, snapshot, listed)| {
            let spec = find(provider)?;
            Some(Alternative { provider: provider.clone(), spec, snapshot: snapshot.clone(), listed })
        });
        Alternatives(Some(known.collect()))
    }

    #[must_use]
    pub fn as_slice(&self) -> &[Alternative] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Alternative {
    /// The parameters that it is asked with.
    #[must_use]
    pub fn params<'a>(&self, contract: &'a Contract) -> &'a BTreeMap<String, Value> {
        let model = &contract.manifest.model;
        let own = self.listed.and_then(|place| model.fallbacks.get(place)?.params.as_ref());
        own.unwrap_or(&model.params)
    }
}

/// Why a call gets no run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BeginError {
    #[error("there is no agent `{0}`")]
    NoAgent(String),
    #[error("agent `{agent}` has no active release in segment `{segment}`")]
    NothingActive { agent: AgentName, segment: SegmentName },
    #[error(transparent)]
    Dialled(#[from] Box<Halted>),
    /// Also the answer for another tenant's run (I11).
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("run {run} belongs to agent `{agent}`")]
    OtherAgent { run: RunId, agent: AgentName },
    #[error("run {run} belongs to another session than this call names")]
    OtherSession { run: RunId },
    #[error("run {run} is {status}")]
    NotRunning { run: RunId, status: RunStatus },
    /// The pin is gone at the provider, and no other model may answer in its place. A run that can be resumed
    /// is parked by this.
    #[error("run {run} cannot go on: {why}")]
    PinGone { run: RunId, why: String },
    #[error("the release of deployment {deployment} cannot be loaded")]
    Release {
        deployment: DeploymentId,
        #[source]
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Too much is open or queued; later may work.
    #[error("{what} is at its limit of {limit}")]
    Busy { what: &'static str, limit: u64 },
    /// This replica hasn't heard for so long what the others changed that its pointers may be old, and the agent's tier
    /// allows no stamp from old pointers.
    #[error("this replica has not heard of the other replicas' changes for {ms} ms")]
    Stale { ms: u64 },
    #[error("the journal cannot be written")]
    Journal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}
