//! What SQLite says, as the store's errors.

use std::sync::Arc;

use pinrail_store::gates::GateCreateError;
use pinrail_store::journal::WriteError;
use pinrail_store::{StoreError, ledger, state};
use rusqlite::{Error, ErrorCode};

/// A store error on its way out: lets `?` turn what SQLite says into one.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) StoreError);

impl Failure {
    /// Something stored can't be read; `what` names it.
    pub(crate) fn damaged(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Failure {
        Failure(StoreError::Damaged(format!("{what}: {why}")))
    }

    /// The writer or a reader is gone, because it panicked or the store is closing.
    pub(crate) fn closed() -> Failure {
        Failure(StoreError::Unavailable(Arc::new(std::io::Error::other("the store is closed"))))
    }
}

impl From<Error> for Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's codes, of which there may be more")]
    fn from(error: Error) -> Failure {
        let Some(code) = error.sqlite_error_code() else {
            // The rest are values that aren't what the schema says.
            return Failure(StoreError::Damaged(error.to_string()));
        };
        Failure(match code {
            ErrorCode::DiskFull => StoreError::Full(Arc::new(error)),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreError::ReadOnly(Arc::new(error)),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged(error.to_string()),
            _ => StoreError::Unavailable(Arc::new(error)),
        })
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> StoreError {
        failure.0
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> WriteError {
        WriteError::Store(failure.0)
    }
}

impl From<Failure> for GateCreateError {
    fn from(failure: Failure) -> GateCreateError {
        GateCreateError::Store(failure.0)
    }
}

impl From<Failure> for ledger::AppendError {
    fn from(failure: Failure) -> ledger::AppendError {
        ledger::AppendError::Store(failure.0)
    }
}

impl From<Failure> for state::AppendError {
    fn from(failure: Failure) -> state::AppendError {
        state::AppendError::Store(failure.0)
    }
}

/// A number for SQLite, which has none above `i64::MAX`; no id, place or time comes near it.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit for SQLite.
pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number from SQLite, where none that was stored is below zero.
pub(crate) fn natural(number: i64) -> u64 {
    number.unsigned_abs()
}
