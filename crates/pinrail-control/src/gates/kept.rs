//! Gates that are kept: where their rows go, and how new ones come to be.

use std::convert::Infallible;
use std::sync::Arc;

use pinrail_domain::id::GateId;
use pinrail_store::gates::{GateCreateError, GateRecord};
use pinrail_store::{Gates, StoreError};

use crate::commit::replay;
use crate::{By, CommitError, Committed, Control};

impl Control {
    /// Where gates and their rows are kept.
    #[must_use]
    pub fn gate_store(&self) -> Arc<dyn Gates> {
        Arc::clone(&self.inner.store) as Arc<dyn Gates>
    }

    /// The gates that an earlier request with this idempotency key made.
    pub async fn gates_made(&self, by: &By) -> Result<Option<Vec<GateId>>, CommitError<Infallible>> {
        match self.earlier_answer(by).await {
            Ok(Some(answer)) => replay(by, &answer).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(CommitError::Store(error)),
        }
    }

    /// Keeps new gates, all or none, once for each idempotency key.
    pub async fn gates_make(
        &self,
        by: &By,
        gates: Vec<GateRecord>,
    ) -> Result<Committed<Vec<GateId>>, CommitError<Infallible>> {
        let start = self.inner.clock.ticks();
        let ids: Vec<GateId> = gates.iter().map(|gate| gate.id).collect();
        let answer = self.answer(by, &ids);
        let made = self.inner.store.gate_create(gates, answer).await;
        let took_us = self.inner.clock.ticks().us_since(start);
        match made {
            Ok(()) => Ok(Committed { value: ids, replayed: false, seq: None, took_us }),
            Err(GateCreateError::Answered(answer)) => {
                Ok(Committed { value: replay(by, &answer)?, replayed: true, seq: None, took_us })
            }
            Err(GateCreateError::Exists(id)) => {
                // 80 random bits in the same millisecond, or damage.
                Err(CommitError::Store(StoreError::Damaged(format!("{id} is there before it was made"))))
            }
            Err(GateCreateError::Store(error)) => Err(CommitError::Store(error)),
        }
    }
}
