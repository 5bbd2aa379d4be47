//! The data folder, `DIR/.pinrail`: made, locked and opened, by the server or by a command that works on a stopped one.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use pinrail_control::{Control, OpenError, Recovered};
use pinrail_domain::model::Layers;

use crate::config::Settings;
use crate::exit::Failed;
use crate::system::{OsEntropy, SystemClock};

mod lock;
pub mod moved;
mod notebook;
mod spool;
pub mod store;

pub use lock::{Lock, LockError};
use notebook::Notebook;
use spool::Spool;

/// The control plane over a data folder. Its lock must live longer.
pub struct Data {
    pub control: Control,
    pub clock: Arc<SystemClock>,
    pub recovered: Recovered,
}

/// Takes the data folder of `dir`, making it if need be.
pub fn lock(dir: &Path) -> anyhow::Result<Lock> {
    let folder = dir.join(".pinrail");
    make_private(&folder)?;
    Ok(Lock::take(&folder)?)
}

impl Data {
    /// Opens the store and recovers what a crash left. Needs a tokio runtime.
    pub async fn open(lock: &Lock, settings: &Settings) -> anyhow::Result<Data> {
        let clock = Arc::new(SystemClock::start());
        let store = store::open(lock, settings).await?;
        let options = pinrail_control::Options {
            store,
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(OsEntropy),
            catalogue: Layers::embedded(settings.own_catalogue.clone()),
            vectors_folder: Some(lock.folder().join("vectors")),
            notebook: Some(Arc::new(Notebook::in_folder(lock.folder()))),
            spool: Some(Arc::new(spool(lock, settings)?)),
            stale_ms_max: settings.replica.stale_max_ms.unwrap_or(pinrail_control::runs::STALE_MS_MAX),
            leads: settings.replica.leads.unwrap_or(true),
        };
        let opened = Control::open(options).await;
        let (control, recovered) = opened.map_err(|error| refusal(error, lock.folder()))?;
        if let Some(ms) = settings.aborted_kept_ms {
            control.keep_aborted_for(ms);
        }
        if let Some(ms) = settings.journals_kept_ms {
            control.keep_journals_for(ms);
        }
        Ok(Data { control, clock, recovered })
    }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the data folder {}", folder.display()))
}

/// Why the control plane didn't open, with what to do where that is known.
fn refusal(error: OpenError, folder: &Path) -> anyhow::Error {
    match error {
        OpenError::Spool(foreign) => Failed {
            code: "foreign_spool",
            what: foreign.to_string(),
            next_step: format!(
                "start with the --store that they belong to, and they are written there; to give them up, move {}* away",
                spool::path(folder).display()
            ),
            source: None,
        }
        .into(),
        OpenError::Store(_) | OpenError::Corrupt(_) | OpenError::Close(_) => error.into(),
    }
}

/// What waits here while a store that others share is away.
fn spool(lock: &Lock, settings: &Settings) -> anyhow::Result<Spool> {
    let bytes_max = settings.replica.spool_bytes_max.unwrap_or(spool::BYTES_MAX);
    let spool = Spool::in_folder(lock.folder(), bytes_max);
    spool.with_context(|| format!("cannot read the spool in {}", lock.folder().display()))
}

#[cfg(test)]
mod tests {
    use pinrail_control::runs::Spool as _;
    use pinrail_domain::digest::Digest;
    use pinrail_domain::id::RunId;
    use pinrail_store::Memory;
    use serde_json::json;

    use super::*;

    /// A control plane over a store that others share, which plays what is spooled in a folder.
    async fn open(folder: &Path) -> anyhow::Result<Control> {
        let options = pinrail_control::Options {
            store: Arc::new(Memory::new().join("one")),
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(OsEntropy),
            catalogue: Layers::embedded(None),
            vectors_folder: None,
            notebook: None,
            spool: Some(Arc::new(Spool::in_folder(folder, spool::BYTES_MAX)?)),
            stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
            leads: true,
        };
        let opened = Control::open(options).await;
        Ok(opened.map_err(|error| refusal(error, folder))?.0)
    }

    #[tokio::test]
    async fn a_spool_of_another_database_comes_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = Digest::of(b"the first entry of their ledger");
        let append = json!({ "append": { "run": RunId::from_parts(7, 7), "events": [] } });
        let record = json!({ "ledger": theirs, "write": append }).to_string().into_bytes();
        Spool::in_folder(folder.path(), spool::BYTES_MAX).unwrap().push(&[record.clone(), record]).unwrap();

        let error = open(folder.path()).await.map(drop).unwrap_err();
        let Failed { code, what, next_step, source: _ } = error.downcast_ref().expect("with what to do");
        assert_eq!(*code, "foreign_spool");
        assert!(
            what.starts_with("what is spooled here (journal writes: 2) is for another database"),
            "{what}"
        );
        assert!(what.contains(&theirs.to_string()), "{what}");
        let path = folder.path().join("spool");
        assert!(next_step.starts_with("start with the --store that they belong to"), "{next_step}");
        assert!(next_step.ends_with(&format!("move {}* away", path.display())), "{next_step}");
        // Whoever does that can start, and loses nothing.
        std::fs::rename(&path, folder.path().join("kept")).unwrap();
        open(folder.path()).await.unwrap();
    }
}
