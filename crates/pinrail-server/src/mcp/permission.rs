//! Which programs the server starts: those that its own machine's `pinrail.toml` names.

/// Why a program isn't started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this server may not start `{program}`: add it to allow in [mcp_commands] of its pinrail.toml")]
pub struct NotAllowed {
    pub program: String,
}

/// Checks a command's program against the list. A name stands for what `PATH` finds, a path for itself alone.
pub fn check(command: &[String], allowed: &[String]) -> Result<(), NotAllowed> {
    let program = command.first().map(String::as_str).unwrap_or_default();
    match allowed.iter().any(|name| name == program) {
        true => Ok(()),
        false => Err(NotAllowed { program: program.to_owned() }),
    }
}
