//! How the process ends: the exit codes, and how an error is shown.

use std::io;
use std::process::ExitCode;

use pinrail_store::StoreError;
use serde_json::json;

use crate::client::ClientError;
use crate::data::LockError;
use crate::files::BadFiles;
use crate::output;

/// The server said no, or something failed.
pub const FAILED: u8 = 1;
/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// The server can't be reached.
pub const UNREACHABLE: u8 = 3;
/// What was verified is not as it should be.
pub const NOT_VERIFIED: u8 = 4;

/// How a command ends that proves something.
pub fn verdict(holds: bool) -> ExitCode {
    if holds { ExitCode::SUCCESS } else { ExitCode::from(NOT_VERIFIED) }
}

/// Arguments that parse one by one but make no sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A failure of this program's own, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failed {
    /// For programs.
    pub code: &'static str,
    pub what: String,
    pub next_step: String,
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Shows an error on stderr and gives the exit code for it. With `--json` it is one JSON object.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    output::talk(&if json { as_json(error) } else { as_text(error) });
    ExitCode::from(code_of(error))
}

fn as_json(error: &anyhow::Error) -> String {
    if let Some(ClientError::Refused(problem)) = error.downcast_ref::<ClientError>() {
        return serde_json::to_string(problem).unwrap_or_default();
    }
    let (code, next_step) = told(error);
    json!({ "code": code, "detail": format!("{error:#}"), "next_step": next_step }).to_string()
}

fn as_text(error: &anyhow::Error) -> String {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return error.describe();
    }
    let (code, next_step) = told(error);
    let next_step = next_step.map(|next| format!("\n  next: {next}")).unwrap_or_default();
    format!("error[{code}]: {error:#}{next_step}")
}

/// The code and the next step of an error.
fn told(error: &anyhow::Error) -> (&str, Option<String>) {
    if let Some(client) = error.downcast_ref::<ClientError>() {
        return (client.code(), client.next_step());
    }
    if let Some(Failed { code, next_step, .. }) = error.downcast_ref::<Failed>() {
        return (code, Some(next_step.clone()));
    }
    if error.is::<Usage>() {
        return ("usage", Some("`--help` behind the command shows how it is written".to_owned()));
    }
    if error.is::<BadFiles>() {
        return ("bad_files", Some("mend the files and run the same command again".to_owned()));
    }
    if let Some(LockError::Taken { .. }) = error.downcast_ref::<LockError>() {
        return ("in_use", Some("stop that one, or give this one another --dir".to_owned()));
    }
    if let Some(store) = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>()) {
        return of_store(store);
    }
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    ("failed", io.and_then(|io| of_io(io.kind())).map(str::to_owned))
}

fn of_store(error: &StoreError) -> (&'static str, Option<String>) {
    let (code, next_step) = match error {
        StoreError::Full(_) => ("store_full", "free disk space; `pinrail doctor` shows how much there is"),
        StoreError::ReadOnly(_) => ("store_unavailable", "make the data folder writable for this user"),
        StoreError::Unavailable(_) => {
            ("store_unavailable", "look at the data folder with `pinrail doctor`, then start again")
        }
        StoreError::Damaged(_) => ("store_damaged", "restore .pinrail from a backup (docs/operations.md)"),
    };
    (code, Some(next_step.to_owned()))
}

/// What to do when the operating system refuses.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "of the standard library's many kinds, few have a next step"
)]
fn of_io(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Some("check the path, and give another one")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("give this user the right to it, or name another place")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free disk space"),
        io::ErrorKind::AddrInUse => Some("stop what listens there, or name another port"),
        _ => None,
    }
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        return USAGE;
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { .. }) => UNREACHABLE,
        Some(ClientError::BadAddress { .. } | ClientError::BadKey) => USAGE,
        Some(ClientError::Refused(_) | ClientError::NotPinrail { .. }) | None => FAILED,
    }
}

/// Whoever read our output has seen enough: `pinrail run list | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    error.is::<output::Closed>() && io.is_none_or(|io| io.kind() == io::ErrorKind::BrokenPipe)
}
