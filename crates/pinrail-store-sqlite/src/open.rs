//! Opening the file: what it must be, and what SQLite is told about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pinrail_store::{NoProbe, Probe};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::Sqlite;
use crate::reader::Readers;
use crate::writer::Writer;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// The database file; made if it isn't there. Its folder must be.
    pub path: PathBuf,
    pub probe: Arc<dyn Probe>,
    /// How large the database may grow. The write-ahead log comes on top.
    pub size_bytes_max: Option<u64>,
    /// How many lists and pages are read at once; at least one. Questions about one thing have connections of
    /// their own.
    pub readers: usize,
    /// How long to wait for another process that holds the file, a backup for example.
    pub busy_ms: u64,
}

/// Why a store couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("there is no folder {}", folder.display())]
    NoFolder { folder: PathBuf },
    /// Something else lies there, or a database whose pages are damaged.
    #[error("{} is not a database, or is damaged; restore it from a backup", path.display())]
    NotADatabase { path: PathBuf },
    #[error("{} is another program's database", path.display())]
    Foreign { path: PathBuf },
    /// Nothing was changed. Run that Pinrail, or a newer one.
    #[error("{} was made by a newer Pinrail: its schema is {found}, this one knows {known}", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Reading alone doesn't bring it up: `pinrail up`, once, does.
    #[error("the schema of {} is {found}, this Pinrail needs {known}: start `pinrail up` on it once", path.display())]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error("{} or its folder can't be written", path.display())]
    ReadOnly { path: PathBuf, source: Cause },
    /// There is no room to make or to recover it.
    #[error("the disk of {} is full", path.display())]
    Full { path: PathBuf, source: Cause },
    /// Another process writes to it.
    #[error("{} is locked by another process", path.display())]
    Locked { path: PathBuf, source: Cause },
    #[error("cannot bring {} up to this Pinrail's schema", path.display())]
    Migrate { path: PathBuf, source: Cause },
    #[error("cannot open {}", path.display())]
    Other { path: PathBuf, source: Cause },
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

mod schema {
    refinery::embed_migrations!("migrations");
}

/// "pinr": says in the file's header whose it is. Stored: never change.
const APPLICATION_ID: i64 = 0x7069_6e72;
/// What a connection keeps of the file in memory, in KiB.
const CACHE_KIB: i64 = 8 * 1024;
/// Log pages after which a commit also moves them into the file. Moving costs two syncs and every page once,
/// however often it was written, so rarely is cheaper; 16 MiB is what a start after a crash reads again.
const CHECKPOINT_PAGES: i64 = 4_096;
/// What the log keeps of its size after a burst.
const LOG_BYTES_KEPT: i64 = 64 << 20;
/// Connections for questions about one thing: each takes microseconds, so two keep two cores busy.
const QUICK_READERS: usize = 2;
/// More statements than the code has; lists with unusual filters take turns.
const STATEMENTS_CACHED: usize = 128;

impl Options {
    /// The usual options: no size limit, two readers.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Options {
        let probe = Arc::new(NoProbe);
        Options { path: path.into(), probe, size_bytes_max: None, readers: 2, busy_ms: 5_000 }
    }
}

impl Sqlite {
    /// Opens the store, making or migrating it first when that is due.
    ///
    /// Blocks: call it before serving. Refuses files that aren't a store or are a newer Pinrail's, unchanged.
    pub fn open(options: Options) -> Result<Sqlite, OpenError> {
        let Options { path, probe, size_bytes_max, readers, busy_ms } = options;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(OpenError::NoFolder { folder: folder.to_owned() });
        }
        let recovered_bytes = fs::metadata(beside(&path, "-wal")).map_or(0, |log| log.len());
        let explain = |error| explain(&path, error);
        let mut writer = connect(&path, busy_ms).map_err(explain)?;
        check(&writer, &path)?;
        prepare_writer(&writer, size_bytes_max).map_err(explain)?;
        migrate(&mut writer, &path)?;

        let reader = |_| {
            let reader = connect(&path, busy_ms)?;
            reader.pragma_update(None, "query_only", true)?;
            Ok(reader)
        };
        let quick = (0..QUICK_READERS).map(reader).collect::<Result<_, _>>().map_err(explain)?;
        let readers = (0..readers.max(1)).map(reader).collect::<Result<_, _>>().map_err(explain)?;
        let writer = Writer::start(writer, probe)
            .map_err(|source| OpenError::Other { path: path.clone(), source: source.into() })?;
        Ok(Sqlite { readers: Readers::new(readers), quick: Readers::new(quick), writer, recovered_bytes })
    }
}

fn connect(path: &Path, busy_ms: u64) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_millis(busy_ms))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(db)
}

/// Looks at what the file is before anything is changed.
pub(crate) fn check(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, error);
    let number = |sql: &str| db.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(explain);
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(());
    }
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if number("SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'")? == 0 {
        return Ok(());
    }
    let found = number("SELECT ifnull(max(version), 0) FROM refinery_schema_history")?;
    let known = known();
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Refuses a file that this Pinrail would have to bring up first.
pub(crate) fn check_is_current(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, error);
    let number = |sql: &str| db.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(explain);
    let is_store = number("SELECT count(*) FROM sqlite_schema WHERE name = 'refinery_schema_history'")? > 0;
    let found =
        if is_store { number("SELECT ifnull(max(version), 0) FROM refinery_schema_history")? } else { 0 };
    let known = known();
    if found == known { Ok(()) } else { Err(OpenError::Older { path: path.to_owned(), found, known }) }
}

/// The last migration that this Pinrail knows.
fn known() -> i64 {
    let runner = schema::migrations::runner();
    let versions = runner.get_migrations().iter().map(|migration| i64::from(migration.version()));
    versions.max().unwrap_or_default()
}

/// Makes the connection the one that writes: write-ahead log, and a sync with every commit.
fn prepare_writer(db: &Connection, size_bytes_max: Option<u64>) -> rusqlite::Result<()> {
    if db.is_readonly("main")? {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let why = format!("its journal mode stays {mode}");
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(why),
        ));
    }
    db.pragma_update(None, "synchronous", "full")?;
    // What is deleted is overwritten: see `erase`.
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    if let Some(bytes) = size_bytes_max {
        let page: i64 = db.query_row("PRAGMA page_size", (), |row| row.get(0))?;
        let pages = i64::try_from(bytes / page.unsigned_abs()).unwrap_or(i64::MAX);
        // SQLite never goes below what the file has already.
        db.pragma_update(None, "max_page_count", pages.clamp(1, i64::from(u32::MAX - 1)))?;
    }
    db.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    Ok(())
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, error);
    // Before the first table, so that a crash in between leaves a file that is known to be ours. Not written again:
    // a store that is there must open on a full disk too.
    if db.query_row("PRAGMA application_id", (), |row| row.get(0)) != Ok(APPLICATION_ID) {
        db.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
    }
    // In one transaction with the note that they were made: by itself the runner commits them apart, and a crash
    // in between would leave a file that can't be opened again.
    let runner = schema::migrations::runner().set_grouped(true);
    let Err(error) = runner.run(db) else { return Ok(()) };
    if let refinery::error::Kind::Connection(_, source) = error.kind()
        && let Some(rusqlite::Error::SqliteFailure(code, why)) = source.downcast_ref()
    {
        return Err(explain(rusqlite::Error::SqliteFailure(*code, why.clone())));
    }
    Err(OpenError::Migrate { path: path.to_owned(), source: error.into() })
}

pub(crate) fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let (path, code) = (path.to_owned(), error.sqlite_error_code());
    let source: Cause = error.into();
    match code {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::NotADatabase { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Locked { path, source },
        Some(ErrorCode::DiskFull) => OpenError::Full { path, source },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly { path, source },
        // SQLite doesn't say why; the folder does.
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => match refuses_files(&path) {
            Some(source) => OpenError::ReadOnly { path, source: source.into() },
            None => OpenError::Other { path, source },
        },
        _ => OpenError::Other { path, source },
    }
}

/// Why no file can be made beside `path`; none when one can.
fn refuses_files(path: &Path) -> Option<io::Error> {
    let probe = beside(path, ".probe");
    let made = fs::File::create(&probe);
    // A probe that stays is empty and is tried again the next time.
    let _ = fs::remove_file(&probe);
    made.err()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
