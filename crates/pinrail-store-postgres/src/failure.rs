//! What PostgreSQL says, as the store's errors, and what may be tried again.

use std::fmt::Display;
use std::sync::Arc;

use deadpool_postgres::PoolError;
use pinrail_domain::digest::Digest;
use pinrail_store::gates::GateCreateError;
use pinrail_store::journal::WriteError;
use pinrail_store::{StoreError, ledger, state};
use tokio_postgres::Row;
use tokio_postgres::error::{Error, SqlState};
use tokio_postgres::types::FromSql;

/// A store error on its way out: lets `?` turn what PostgreSQL says into one.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    again: Again,
    /// A single value is what PostgreSQL won't take.
    about_data: bool,
}

/// Whether the transaction may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It failed for good.
    No,
    /// Its connection went away before it was answered: nobody knows whether it was carried out.
    Unknown,
    /// It was surely undone, by another transaction that was in its way or with its connection.
    Yes,
}

impl Failure {
    /// Something stored can't be read; `what` names it.
    pub(crate) fn damaged(what: impl Display, why: impl Display) -> Failure {
        Failure { error: StoreError::Damaged(format!("{what}: {why}")), again: Again::No, about_data: false }
    }

    /// Nothing was done, for a reason that isn't PostgreSQL's.
    pub(crate) fn unavailable(why: impl Into<String>) -> Failure {
        let why = std::io::Error::other(why.into());
        Failure { error: StoreError::Unavailable(Arc::new(why)), again: Again::No, about_data: false }
    }

    /// A transaction's connection went away before its COMMIT was sent: it was undone.
    pub(crate) fn cut_off() -> Failure {
        Failure { again: Again::Yes, ..Failure::unavailable("the connection was lost before the commit") }
    }

    /// Another transaction was faster: this one was undone and finds another world when it is tried again.
    pub(crate) fn overtaken(why: &'static str) -> Failure {
        Failure { again: Again::Yes, ..Failure::unavailable(why) }
    }

    /// The error of a COMMIT: when the connection went away or the server stopped under it, nobody knows.
    pub(crate) fn at_commit(error: Error) -> Failure {
        let certain = error.code().is_some_and(|code| is_conflict(code) || !is_parting(code));
        let failure = Failure::from(error);
        if certain { failure } else { Failure { again: Again::Unknown, ..failure } }
    }

    /// The failure of a transaction that looks first whether it was carried out, by the answer that it keeps: so it may be tried again
    /// although nobody knows.
    pub(crate) fn of_one_that_looks(self) -> Failure {
        let again = if self.again == Again::Unknown { Again::Yes } else { self.again };
        Failure { again, ..self }
    }

    /// Whether it may be one write of several that made a transaction fail; the others can be tried without it.
    pub(crate) fn is_about_data(&self) -> bool {
        self.about_data
    }

    /// Whether it gave up because somebody held a lock for longer than it may wait.
    pub(crate) fn waited_in_vain(&self) -> bool {
        let StoreError::Unavailable(cause) = &self.error else { return false };
        let code = cause.downcast_ref::<Error>().and_then(Error::code);
        code == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// What the server said beside the code that it failed with, if it was this one.
    pub(crate) fn detail_of(&self, code: &SqlState) -> Option<&str> {
        let StoreError::Unavailable(cause) = &self.error else { return None };
        let said = cause.downcast_ref::<Error>().and_then(Error::as_db_error)?;
        (said.code() == code).then(|| said.detail()).flatten()
    }

    /// Whether a transaction that ended so may be tried again: it has surely done nothing.
    pub(crate) fn may_repeat(&self) -> bool {
        self.again == Again::Yes
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let Some(code) = error.code().cloned() else {
            // No answer at all: the connection is gone, and with it whatever wasn't committed.
            return Failure {
                error: StoreError::Unavailable(Arc::new(error)),
                again: Again::Yes,
                about_data: false,
            };
        };
        let about_data = ["22", "23", "54"].iter().any(|class| code.code().starts_with(class));
        let again = if is_conflict(&code) || is_parting(&code) { Again::Yes } else { Again::No };
        let error = if code == SqlState::DISK_FULL {
            StoreError::Full(Arc::new(error))
        } else if code == SqlState::READ_ONLY_SQL_TRANSACTION || code == SqlState::INSUFFICIENT_PRIVILEGE {
            StoreError::ReadOnly(Arc::new(error))
        } else if code == SqlState::DATA_CORRUPTED || code == SqlState::INDEX_CORRUPTED {
            StoreError::Damaged(chain(&error))
        } else {
            StoreError::Unavailable(Arc::new(error))
        };
        Failure { error, again, about_data }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Failure {
        match error {
            // Nothing was asked yet, but whoever can't connect won't a moment later.
            PoolError::Backend(error) => Failure { again: Again::No, ..Failure::from(error) },
            error @ (PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_)) => Failure {
                error: StoreError::Unavailable(Arc::new(error)),
                again: Again::No,
                about_data: false,
            },
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        failure.error
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> WriteError {
        WriteError::Store(failure.error)
    }
}

impl From<Failure> for GateCreateError {
    fn from(failure: Failure) -> GateCreateError {
        GateCreateError::Store(failure.error)
    }
}

impl From<Failure> for ledger::AppendError {
    fn from(failure: Failure) -> ledger::AppendError {
        ledger::AppendError::Store(failure.error)
    }
}

impl From<Failure> for state::AppendError {
    fn from(failure: Failure) -> state::AppendError {
        state::AppendError::Store(failure.error)
    }
}

/// Undone because others were in the way, or because it stood in theirs and did nothing.
fn is_conflict(code: &SqlState) -> bool {
    *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
}

/// The server or a pooler ends the connection: it stops, starts, or was told to.
fn is_parting(code: &SqlState) -> bool {
    code.code().starts_with("08") || code.code().starts_with("57P")
}

/// Reads a column; `what` names the row when the value isn't what the schema says.
pub(crate) fn column<'a, T: FromSql<'a>>(
    row: &'a Row,
    column: usize,
    what: impl Display,
) -> Result<T, Failure> {
    row.try_get(column).map_err(|why| Failure::damaged(what, chain(&why)))
}

/// Reads a column of JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row,
    place: usize,
    what: impl Display,
) -> Result<T, Failure> {
    let text: &str = column(row, place, &what)?;
    serde_json::from_str(text).map_err(|why| Failure::damaged(what, why))
}

/// Reads a digest.
pub(crate) fn digest(row: &Row, place: usize, what: impl Display) -> Result<Digest, Failure> {
    let bytes: &[u8] = column(row, place, &what)?;
    Ok(Digest::from_bytes(bytes.try_into().map_err(|why| Failure::damaged(what, why))?))
}

/// Reads a number that was stored as [`integer`].
pub(crate) fn number(row: &Row, place: usize, what: impl Display) -> Result<u64, Failure> {
    Ok(natural(column(row, place, what)?))
}

/// An error and what it comes from, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A number for PostgreSQL, which has none above `i64::MAX`; no id, place or time comes near it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit for PostgreSQL.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number from PostgreSQL, where none that was stored is below zero.
pub(crate) fn natural(number: i64) -> u64 {
    number.unsigned_abs()
}
