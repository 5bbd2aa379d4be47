//! The approvals' part of the store that breaks.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, Decision, Use};
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::{ApprovalFilter, Approvals, Asked, DecideError};
use pinrail_store::{Answer, StoreError};

use super::{Breaking, now};
use crate::schedule::Call;

#[async_trait]
impl Approvals for Breaking {
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError> {
        let ask = || {
            let asked = now(self.memory.approval_ask(approval.clone()))?;
            if asked == Asked::New {
                self.truth().asked(&approval);
            }
            Ok(asked)
        };
        self.through(Call::write("approval_ask"), ask).await
    }

    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError> {
        let decide = || {
            let decided = now(self.memory.approval_decide(id, decision.clone(), expires_at, answer))?;
            self.truth().decided(id, &decision, expires_at);
            Ok(decided)
        };
        self.through(Call::write("approval_decide"), decide).await
    }

    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError> {
        let take = || {
            let may = now(self.memory.approval_use(id, by))?;
            if may {
                self.truth().used(id, by);
            }
            Ok(may || self.tampering.uses_again())
        };
        self.through(Call::write("approval_use"), take).await
    }

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        self.through(Call::read("approval_get"), || now(self.memory.approval_get(id))).await
    }

    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        self.through(Call::read("approval_list"), || now(self.memory.approval_list(filter, before, limit)))
            .await
    }

    async fn approvals_forget(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.through(Call::write("approvals_forget"), || now(self.memory.approvals_forget(at))).await
    }

    async fn approvals_pending(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.through(Call::read("approvals_pending"), || now(self.memory.approvals_pending(at))).await
    }
}
