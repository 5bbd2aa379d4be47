//! Approvals in memory.

use async_trait::async_trait;
use pinrail_domain::approval::{Approval, ApprovalState, Decision, Use};
use pinrail_domain::id::ApprovalId;
use pinrail_domain::time::Timestamp;

use super::Memory;
use crate::approvals::{ApprovalFilter, Approvals, Asked, DecideError};
use crate::{Answer, StoreError};

#[async_trait]
impl Approvals for Memory {
    async fn approval_ask(&self, approval: Approval) -> Result<Asked, StoreError> {
        self.write(|kept| {
            let newest = kept.approvals.values().rev().find(|known| known.key == approval.key);
            match newest.filter(|known| known.stands_for(approval.asked_at)) {
                Some(known) => Asked::Known(Box::new(known.clone())),
                None => {
                    kept.approvals.insert(approval.id, approval);
                    Asked::New
                }
            }
        })
    }

    async fn approval_decide(
        &self,
        id: ApprovalId,
        decision: Decision,
        expires_at: Timestamp,
        answer: Option<Answer>,
    ) -> Result<Approval, DecideError> {
        self.write(|kept| {
            if let Some(given) = kept.given(answer.as_ref()) {
                return Err(DecideError::Answered(given));
            }
            let approval = kept.approvals.get_mut(&id).ok_or(DecideError::NoApproval(id))?;
            approval.decide(decision, expires_at)?;
            let approval = approval.clone();
            kept.keep(answer);
            Ok(approval)
        })?
    }

    async fn approval_use(&self, id: ApprovalId, by: Use) -> Result<bool, StoreError> {
        self.write(|kept| kept.approvals.get_mut(&id).is_some_and(|approval| approval.take(by)))
    }

    async fn approval_get(&self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        Ok(self.lock().approvals.get(&id).cloned())
    }

    async fn approval_list(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        let kept = self.lock();
        let newest_first = kept.approvals.values().rev();
        let older = newest_first.filter(|approval| before.is_none_or(|before| approval.id < before));
        Ok(older.filter(|approval| filter.takes(approval)).take(limit).cloned().collect())
    }

    async fn approvals_forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(|kept| {
            let stale = kept.approvals.values_mut().filter(|known| known.is_stale(now));
            stale.map(Approval::forget).count() as u64
        })
    }

    async fn approvals_pending(&self, now: Timestamp) -> Result<u64, StoreError> {
        let kept = self.lock();
        let pending = kept.approvals.values().filter(|known| known.state(now) == ApprovalState::Pending);
        Ok(pending.count() as u64)
    }
}
