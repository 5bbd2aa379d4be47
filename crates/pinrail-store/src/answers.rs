//! Answers already given, so that the same idempotency key gets the same answer and one effect.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::IdempotencyKey;
use pinrail_domain::time::Timestamp;

use crate::StoreError;

/// Whose key it is: two callers may use the same text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerKey {
    /// The key id of the caller, or `open`.
    pub caller: String,
    pub key: IdempotencyKey,
}

/// An answer, kept in the same transaction as the effect it reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub key: AnswerKey,
    /// The digest of the request, so that the key can't be reused for another.
    pub request: Digest,
    pub status: u16,
    /// The JSON body. Never holds a secret (I15).
    pub body: String,
    pub at: Timestamp,
}

/// Keeps answers for a while.
#[async_trait]
pub trait Answers: Send + Sync {
    async fn answer_get(&self, key: &AnswerKey) -> Result<Option<Answer>, StoreError>;

    /// Forgets answers given before `before`; returns how many.
    async fn answers_expire(&self, before: Timestamp) -> Result<u64, StoreError>;
}
