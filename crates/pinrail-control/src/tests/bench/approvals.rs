//! The approvals' part of the gated store.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, Decision, Use};
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::{ApprovalFilter, Approvals, Asked, DecideError};
use pinrail_store::{Answer, StoreError};

use super::Gated;

#[async_trait]
impl Approvals for Gated {
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError> {
        self.memory.approval_ask(approval).await
    }

    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError> {
        self.memory.approval_decide(id, decision, expires_at, answer).await
    }

    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError> {
        self.memory.approval_use(id, by).await
    }

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.memory.approval_get(id).await
    }

    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        self.memory.approval_list(filter, before, limit).await
    }

    async fn approvals_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.memory.approvals_forget(now).await
    }

    async fn approvals_pending(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.memory.approvals_pending(at).await
    }
}
