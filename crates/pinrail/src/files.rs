//! A team's repository as Pinrail reads it: `pinrail.toml`, `agents/*/agent.toml`, `agents/*/release.toml`.
//!
//! Reading finds every fault there is before it gives up, each with its file and line. A key that isn't known is a
//! fault, since a misspelt setting that is silently ignored is worse than an error. Start at [`project`].

use std::fmt;
use std::path::PathBuf;

pub mod agent;
pub mod dial;
mod drift;
mod gate;
mod limits;
pub mod mcp;
mod observe;
pub mod project;
mod provider;
pub mod release;
pub mod section;
mod store;
pub mod suites;
pub mod tools;
mod trouble;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use observe::{Observe, is_address};
pub use project::Project;
pub use store::{Replica, Store, has_password, is_postgres};

/// The longest file of settings that is read: they are written by hand.
pub const SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// The largest artifact that the server takes.
pub const ARTIFACT_BYTES_MAX: u64 = pinrail_control::publish::ARTIFACT_BYTES_MAX as u64;

/// Something in a file that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: PathBuf,
    pub line: Option<usize>,
    /// Names the key, and what to do.
    pub what: String,
}

/// Everything that is wrong in the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadFiles(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.what),
            None => write!(f, "{}: {}", self.file.display(), self.what),
        }
    }
}

impl fmt::Display for BadFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the files have {count} {}", if count == 1 { "error" } else { "errors" })?;
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

/// The known word that `word` is most like, if it is like one.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    // Up to a third of the letters may differ: more is another word.
    let like = scored.filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3));
    like.min().map(|(_, candidate)| candidate)
}
