//! Writes the one snapshot that an alias can stand for in its place.
//!
//! Only what is certain is changed: a floating id with exactly one listed snapshot that is still served, in a string that is
//! surely a model. Bytes around it stay as they are, whatever the encoding and the line ends. A file is replaced as a whole
//! (written beside it, then renamed), so a crash leaves the old one or the new one.

use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use similar::TextDiff;
use thiserror::Error;

use crate::finding::Finding;

/// One id in place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub bytes: Range<usize>,
    pub from: String,
    pub to: String,
}

/// What a file becomes.
#[derive(Debug)]
pub struct Fixed {
    pub path: PathBuf,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    pub edits: usize,
}

/// Why a file isn't changed.
#[derive(Debug, Error)]
pub enum FixError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} changed while it was scanned", path.display())]
    Changed { path: PathBuf },
    #[error("two fixes of {} overlap", path.display())]
    Overlap { path: PathBuf },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The edits that findings of one file ask for.
#[must_use]
pub fn edits<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Vec<Edit> {
    let mut edits: Vec<Edit> = findings
        .into_iter()
        .filter(|finding| finding.counts())
        .filter_map(|finding| {
            let to = finding.fix.clone()?;
            Some(Edit { bytes: finding.bytes.clone(), from: finding.id.clone(), to })
        })
        .collect();
    edits.sort_by_key(|edit| (edit.bytes.start, edit.bytes.end));
    edits.dedup();
    edits
}

/// What the file becomes; nothing is written.
///
/// # Errors
/// When it can't be read, or isn't what was scanned.
pub fn prepare(path: &Path, edits: &[Edit]) -> Result<Fixed, FixError> {
    let path = path.to_owned();
    let before = fs::read(&path).map_err(|source| FixError::Read { path: path.clone(), source })?;
    let mut after = Vec::with_capacity(before.len() + edits.len() * 16);
    let mut done = 0;
    for edit in edits {
        if edit.bytes.start < done {
            return Err(FixError::Overlap { path });
        }
        if before.get(edit.bytes.clone()) != Some(edit.from.as_bytes()) {
            return Err(FixError::Changed { path });
        }
        after.extend_from_slice(&before[done..edit.bytes.start]);
        after.extend_from_slice(edit.to.as_bytes());
        done = edit.bytes.end;
    }
    after.extend_from_slice(&before[done..]);
    Ok(Fixed { path, before, after, edits: edits.len() })
}

/// Replaces the file, if it still is what was read. Its permissions stay.
///
/// # Errors
/// When it changed meanwhile or can't be written; then it is as it was.
pub fn write(fixed: &Fixed) -> Result<(), FixError> {
    let path = fixed.path.clone();
    // A link stays a link: what it leads to is replaced.
    let target = fs::canonicalize(&path).map_err(|source| FixError::Read { path: path.clone(), source })?;
    let now = fs::read(&target).map_err(|source| FixError::Read { path: path.clone(), source })?;
    if now != fixed.before {
        return Err(FixError::Changed { path });
    }
    replace(&target, &fixed.after).map_err(|source| FixError::Write { path, source })
}

fn replace(target: &Path, content: &[u8]) -> io::Result<()> {
    let permissions = fs::metadata(target)?.permissions();
    if permissions.readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(content)?;
    beside.as_file().set_permissions(permissions)?;
    beside.as_file().sync_all()?;
    beside.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The change as a unified diff.
#[must_use]
pub fn diff(fixed: &Fixed, shown: &str) -> String {
    let (before, after) = (String::from_utf8_lossy(&fixed.before), String::from_utf8_lossy(&fixed.after));
    let diff = TextDiff::from_lines(before.as_ref(), after.as_ref());
    diff.unified_diff().context_radius(3).header(&format!("a/{shown}"), &format!("b/{shown}")).to_string()
}
