//! Tool calls that wait for a person's approval.
//!
//! What may become of one is `pinrail_domain::approval`'s: a backend reads the approval, lets the domain change it and
//! writes it back as one step that no other write comes between. Arguments leave with what was said in their run:
//! [`Journal::run_erase`](crate::Journal::run_erase) takes them, too.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, ApprovalState, Decision, NotDecided, Use};
use pinrail_domain::id::{AgentName, ApprovalId, RunId, TenantId, ToolName};
use pinrail_domain::time::Timestamp;

use crate::{Answer, StoreError};

/// What became of asking for an approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It waits for a person from now on.
    New,
    /// The same call was asked for before, and this stands for it.
    Known(Box<Approval>),
}

/// Which approvals. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApprovalFilter {
    pub agent: Option<AgentName>,
    pub tool: Option<ToolName>,
    pub run: Option<RunId>,
    /// Only calls of these tenants (I11).
    pub tenants: Option<Vec<TenantId>>,
    /// In this state at this time.
    pub state: Option<(ApprovalState, Timestamp)>,
}

/// Why nothing was decided.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecideError {
    #[error("there is no approval {0}")]
    NoApproval(ApprovalId),
    #[error(transparent)]
    Refused(#[from] NotDecided),
    /// This idempotency key has its answer.
    #[error("the idempotency key was used before")]
    Answered(Box<Answer>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApprovalFilter {
    /// Whether an approval is meant.
    #[must_use]
    pub fn takes(&self, approval: &Approval) -> bool {
        let ApprovalFilter { agent, tool, run, tenants, state } = self;
        agent.as_ref().is_none_or(|agent| *agent == approval.agent)
            && tool.as_ref().is_none_or(|tool| *tool == approval.tool)
            && run.is_none_or(|run| run == approval.run)
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&approval.tenant))
            && state.is_none_or(|(state, now)| approval.state(now) == state)
    }
}

/// Keeps approvals.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// Keeps a new approval, unless the newest of its key stands for the call when it is asked for
    /// ([`Approval::stands_for`]). Durable on return (I9).
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError>;

    /// Takes in a person's decision, once, and keeps the answer to whoever made it, durably (I9). The answer's key is
    /// looked at first. Gives the approval as it is then.
    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError>;

    /// Goes ahead with an approved call, once, durably (I9); says whether it may ([`Approval::take`]).
    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError>;

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError>;

    /// Up to `limit` approvals of ids below `before`, newest first.
    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError>;

    /// Lets go of arguments that were kept for a decision which can't be made any more ([`Approval::is_stale`]); tells of
    /// how many approvals.
    async fn approvals_forget(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// How many wait for a person at this time.
    async fn approvals_pending(&self, now: Timestamp) -> Result<u64, StoreError>;
}
