//! What a model call asks of the control plane, and what it gets: the words that data plane and control
//! plane share.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::agent::Bodies;
use crate::dial::{Halted, Ruling, Standing};
use crate::id::{AgentName, ApprovalId, DeploymentId, Epoch, RunId, SegmentName, SessionId, TenantId};
use crate::journal::{RunStatus, Stamp};
use crate::provider::ProviderSpec;
use crate::release::Contract;
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
    /// The number of this call within the run, from 1.
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
}

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
    #[error("the journal cannot be written")]
    Journal(#[source] Arc<dyn std::error::Error + Send + Sync>),
}
