//! How the process ends: the exit codes, and how an error is shown.

use std::process::ExitCode;

use serde_json::json;

use crate::client::ClientError;
use crate::output;

/// The server said no, or something failed.
pub const FAILED: u8 = 1;
/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// The server can't be reached.
pub const UNREACHABLE: u8 = 3;
/// What was verified is not as it should be.
pub const NOT_VERIFIED: u8 = 4;

/// Arguments that parse one by one but make no sense together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Shows an error on stderr and gives the exit code for it. With `--json` it is one JSON object.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let client = error.downcast_ref::<ClientError>();
    let text = match (client, json) {
        (Some(ClientError::Refused(problem)), true) => serde_json::to_string(problem).unwrap_or_default(),
        (Some(error), false) => error.describe(),
        (None, true) => json!({ "code": "failed", "detail": format!("{error:#}") }).to_string(),
        (Some(other), true) => {
            json!({ "code": "unreachable", "detail": format!("{error:#}"), "next_step": other.next_step() })
                .to_string()
        }
        (None, false) => format!("error: {error:#}"),
    };
    output::talk(&text);
    ExitCode::from(code_of(error))
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
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    error.is::<output::Closed>() && io.is_none_or(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
