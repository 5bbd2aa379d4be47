//! The one way the world changes: decide on the newest world, append to the ledger, then show it.
//!
//! 1. Look for an answer under the caller's idempotency key: the same key and request get it again.
//! 2. Decide (pure) on the newest world; fold the entries into a copy and build what readers will see.
//! 3. Append entries and answer in one store transaction: the commit point. A crash before it leaves
//!    nothing; after it, the next start folds the same ledger.
//! 4. Swap the snapshot: one pointer store that can't fail.
//!
//! Steps 3 and 4 run to their end whether or not the caller waits for them ([`append`]), so what is in the
//! ledger is in force. If the store's ledger has moved on (another replica), the world catches up and decides
//! again. A decision that changes nothing keeps no answer: asked again, it is made again.
//!
//! [`append`]: crate::append

use pinrail_domain::canonical::NotCanonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Actor, Body, Draft, Entry, REASON_BYTES_MAX};
use pinrail_domain::world::{Corrupt, World};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Answer, AnswerKey, StoreError, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::append::{self, Behind};
use crate::{Control, Snapshot};

/// Who changes something, why, and under which idempotency key.
#[derive(Clone, Debug)]
pub struct By {
    pub actor: Actor,
    pub reason: String,
    pub idempotency: Option<Idempotency>,
    /// The term in which this replica leads, for what only the leader does: refused once another leads.
    pub term: Option<Term>,
}

/// A caller's promise that this is one and the same request, however often it arrives.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: AnswerKey,
    pub request: Digest,
}

/// A change that is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    pub value: T,
    /// Whether an earlier request with this idempotency key made the change.
    pub replayed: bool,
    /// The ledger's last entry of the change; none where this call made none.
    pub seq: Option<LedgerSeq>,
    /// From the call to the flip, in microseconds.
    pub took_us: u64,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Refused(E),
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    #[error("the reason is {0} bytes long; at most {REASON_BYTES_MAX} are kept")]
    ReasonTooLong(usize),
    #[error("the change has no canonical form")]
    Canonical(#[source] NotCanonical),
    #[error("the ledger cannot be followed")]
    Corrupt(#[source] Corrupt),
    /// Another replica leads: what the rollout controller decided here is old news.
    #[error("another replica leads since term {0}")]
    Fenced(Term),
    /// Other replicas kept changing the world; trying again may help.
    #[error("the ledger moved {ATTEMPTS_MAX} times while the change was decided")]
    Contended,
    #[error("the change could not be stored")]
    Store(#[source] StoreError),
}

/// Each attempt loses only to a change that somebody else completed, so few are needed.
const ATTEMPTS_MAX: usize = 8;

impl By {
    /// Pinrail's own change, for example on its first start.
    #[must_use]
    pub fn system(reason: &str) -> By {
        By { actor: Actor::System, reason: reason.to_owned(), idempotency: None, term: None }
    }

    /// Takes the idempotency out: for the one step of several that carries it.
    #[must_use]
    pub fn without_idempotency(&self) -> By {
        By { idempotency: None, ..self.clone() }
    }
}

impl Control {
    /// Carries a decision into the ledger. `decide` returns the entries' bodies (none: nothing to change) and a
    /// note for `report`, which says from the world after it what the caller is told, and what a repetition is
    /// told again.
    pub(crate) async fn commit<T, N, E>(
        &self,
        by: By,
        decide: impl Fn(&World) -> Result<(Vec<Body>, N), E>,
        report: impl Fn(&World, N) -> T,
    ) -> Result<Committed<T>, CommitError<E>>
    where
        T: Serialize + DeserializeOwned,
        E: std::error::Error + 'static,
    {
        let start = self.inner.clock.ticks();
        if by.reason.len() > REASON_BYTES_MAX {
            return Err(CommitError::ReasonTooLong(by.reason.len()));
        }
        let took_us = || self.inner.clock.ticks().us_since(start);
        let mut turn = append::turn(&self.inner).await;
        if append::is_behind(&self.inner) {
            append::catch_up(&self.inner).await?;
        }
        for _ in 0..ATTEMPTS_MAX {
            let unread = match self.earlier_answer(&by).await {
                Ok(Some(answer)) => return self.replayed(&by, &answer, took_us).await,
                Ok(None) => None,
                Err(error) => Some(error),
            };
            let before = self.snapshot();
            let decided = decide(&before.world);
            let nothing_to_do = decided.as_ref().map_or(true, |(bodies, _)| bodies.is_empty());
            // The append looks for the answer itself, so only without one is it missed: reads that fail block nothing
            // that can still be appended (I7).
            if let Some(error) = unread.filter(|_| nothing_to_do) {
                return Err(CommitError::Store(error));
            }
            // Nothing would be appended, so nobody would notice that the decision was made on old news.
            if nothing_to_do && append::catch_up(&self.inner).await.is_ok_and(|moved| moved) {
                continue;
            }
            let (bodies, note) = decided.map_err(CommitError::Refused)?;
            if bodies.is_empty() {
                let value = report(&before.world, note);
                return Ok(Committed { value, replayed: false, seq: None, took_us: took_us() });
            }
            let (after, entries) = self.fold(&before.world, &by, bodies)?;
            let value = report(&after, note);
            let after = Snapshot::of(after);
            let seq = entries.last().map(|entry| entry.seq);
            let answer = self.answer(&by, &value);
            let appended =
                append::append(&self.inner, turn, Append { entries, answer, fence: by.term }, after).await;
            turn = appended.turn;
            match appended.result {
                Ok(()) => return Ok(Committed { value, replayed: false, seq, took_us: took_us() }),
                Err(AppendError::Moved { .. }) => {
                    append::catch_up(&self.inner).await?;
                }
                Err(AppendError::Fenced { newest }) => return Err(CommitError::Fenced(newest)),
                Err(AppendError::Answered(answer)) => return self.replayed(&by, &answer, took_us).await,
                Err(AppendError::Store(error)) => return Err(CommitError::Store(error)),
            }
        }
        drop(turn);
        Err(CommitError::Contended)
    }

    /// The answer given before. Its effect is in force here before it is told again, whoever made it.
    async fn replayed<T: DeserializeOwned, E: std::error::Error + 'static>(
        &self,
        by: &By,
        answer: &Answer,
        took_us: impl Fn() -> u64,
    ) -> Result<Committed<T>, CommitError<E>> {
        let value = replay(by, answer)?;
        append::catch_up(&self.inner).await?;
        Ok(Committed { value, replayed: true, seq: None, took_us: took_us() })
    }

    pub(crate) async fn earlier_answer(&self, by: &By) -> Result<Option<Answer>, StoreError> {
        match &by.idempotency {
            Some(idempotency) => self.inner.store.answer_get(&idempotency.key).await,
            None => Ok(None),
        }
    }

    fn fold<E: std::error::Error + 'static>(
        &self,
        before: &World,
        by: &By,
        bodies: Vec<Body>,
    ) -> Result<(World, Vec<Entry>), CommitError<E>> {
        let at = self.inner.clock.now();
        let mut world = before.clone();
        let mut entries = Vec::with_capacity(bodies.len());
        for body in bodies {
            let draft = Draft { at, actor: by.actor.clone(), reason: by.reason.clone(), body };
            let entry = world.head.seal(draft).map_err(CommitError::Canonical)?;
            world.apply(&entry).map_err(CommitError::Corrupt)?;
            entries.push(entry);
        }
        Ok((world, entries))
    }

    pub(crate) fn answer<T: Serialize>(&self, by: &By, value: &T) -> Option<Answer> {
        by.idempotency.as_ref().map(|Idempotency { key, request }| Answer {
            key: key.clone(),
            request: *request,
            status: 200,
            body: serde_json::to_string(value).expect("an outcome is plain data"),
            at: self.inner.clock.now(),
        })
    }
}

impl<E: std::error::Error + 'static> From<Behind> for CommitError<E> {
    fn from(behind: Behind) -> CommitError<E> {
        match behind {
            Behind::Corrupt(corrupt) => CommitError::Corrupt(corrupt),
            Behind::Store(error) => CommitError::Store(error),
        }
    }
}

/// What an earlier answer said, if it was to the same request.
pub(crate) fn replay<T: DeserializeOwned, E: std::error::Error + 'static>(
    by: &By,
    answer: &Answer,
) -> Result<T, CommitError<E>> {
    let same = by.idempotency.as_ref().is_some_and(|idempotency| idempotency.request == answer.request);
    // A key used on another endpoint has another request digest, so the body's type is known here.
    match serde_json::from_str(&answer.body) {
        Ok(value) if same => Ok(value),
        Ok(_) | Err(_) => Err(CommitError::KeyReused),
    }
}
