//! The mark of a store that was moved elsewhere: whoever would serve it from here is told where it is.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exit::Failed;

/// Where everything went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// For people: hosts, ports, database.
    pub to: String,
    pub at: Timestamp,
    /// The last entry that is in both.
    pub ledger: LedgerSeq,
}

/// The file in the data folder. Stored: never change.
const NAME: &str = "moved.json";

/// The mark, where there is one. One that can't be read counts, too.
pub fn read(folder: &Path) -> anyhow::Result<Option<Moved>> {
    match fs::read(folder.join(NAME)) {
        Ok(bytes) => {
            let unknown = || Moved {
                to: "a place that its mark doesn't name".to_owned(),
                at: Timestamp(0),
                ledger: LedgerSeq(0),
            };
            Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Marks the store; durable on return.
pub fn mark(folder: &Path, moved: &Moved) -> anyhow::Result<()> {
    let next = folder.join("moved.json.next");
    let mut file = File::create(&next)?;
    file.write_all(serde_json::to_string_pretty(moved)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, folder.join(NAME))?;
    Ok(File::open(folder)?.sync_all()?)
}

/// Takes the mark away; tells what it said.
pub fn unmark(folder: &Path) -> anyhow::Result<Option<Moved>> {
    let moved = read(folder)?;
    if moved.is_some() {
        fs::remove_file(folder.join(NAME))?;
    }
    Ok(moved)
}

/// Refuses a store that was moved.
pub fn check(folder: &Path) -> anyhow::Result<()> {
    let Some(moved) = read(folder)? else { return Ok(()) };
    Err(Failed {
        code: "store_moved",
        what: format!("what was in {} was moved to {}", folder.display(), moved.to),
        next_step: "start with --store and that address; `pinrail store reopen` goes on from here instead, \
                    without what was written there"
            .to_owned(),
        source: None,
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_folder_is_refused_until_it_is_reopened() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path()).unwrap();
        let moved = Moved { to: "db:5432/pinrail".to_owned(), at: Timestamp(7), ledger: LedgerSeq(9) };
        mark(folder.path(), &moved).unwrap();
        let refusal = format!("{:#}", check(folder.path()).unwrap_err());
        assert!(refusal.contains("db:5432/pinrail"), "{refusal}");
        assert_eq!(unmark(folder.path()).unwrap(), Some(moved));
        check(folder.path()).unwrap();
        assert_eq!(unmark(folder.path()).unwrap(), None);
        // A torn mark refuses as well.
        fs::write(folder.path().join(NAME), "{").unwrap();
        assert!(check(folder.path()).is_err());
    }
}
