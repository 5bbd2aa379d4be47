//! Walks a tree as grep does, in parallel, and reads what may hold an id.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::language::{self, Language, NotRead};

/// Folders that hold other people's code, or what a tool made. They are skipped without an ignore file, too.
pub const VENDORED: [&str; 17] = [
    "node_modules",
    "bower_components",
    "vendor",
    "third_party",
    "site-packages",
    "dist-packages",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".terraform",
    "Pods",
    ".yarn",
    ".pnpm-store",
    ".mypy_cache",
    ".next",
];

/// Hidden files and folders that are read all the same: they configure what runs.
const HIDDEN_READ: [&str; 5] = [".github", ".gitlab-ci.yml", ".circleci", ".devcontainer", ".buildkite"];

/// How much is read of a file at first, in bytes: most files are smaller.
const READ_BYTES: usize = 64 * 1024;

/// How much of a file's beginning is searched for a zero byte, which text doesn't hold.
const BINARY_BYTES: usize = 8 * 1024;

/// What is walked.
#[derive(Clone, Debug)]
pub struct Walk {
    pub roots: Vec<PathBuf>,
    /// Read what ignore files leave out.
    pub no_ignore: bool,
    /// Read what is hidden.
    pub hidden: bool,
    /// Read [`VENDORED`] folders.
    pub vendored: bool,
    pub file_bytes_max: u64,
    pub threads: usize,
}

/// How many files were read or left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub read: u64,
    pub read_bytes: u64,
    /// Neither source nor configuration nor a notebook.
    pub other: u64,
    pub lock: u64,
    pub minified: u64,
    pub binary: u64,
    pub too_large: u64,
    pub vendored_folders: u64,
    pub hidden: u64,
}

#[derive(Debug, Default)]
struct Tally {
    read: AtomicU64,
    read_bytes: AtomicU64,
    other: AtomicU64,
    lock: AtomicU64,
    minified: AtomicU64,
    binary: AtomicU64,
    too_large: AtomicU64,
    vendored_folders: AtomicU64,
    hidden: AtomicU64,
}

/// What can't be read.
#[derive(Debug)]
pub struct Unreadable {
    pub path: Option<PathBuf>,
    pub why: String,
}

/// Walks, and gives each file's content to `look`, on several threads.
pub fn walk<L>(walk: &Walk, look: L, unreadable: &(dyn Fn(Unreadable) + Sync)) -> Counts
where
    L: Fn(&Path, Language, &[u8]) + Sync,
{
    let tally = Arc::new(Tally::default());
    let Some(builder) = builder(walk, &tally) else { return Counts::default() };
    let (look, counts) = (&look, &tally);
    builder.build_parallel().run(|| {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        Box::new(move |entry| {
            match entry {
                Ok(entry) => visit(&entry, walk, counts, &mut buffer, look, unreadable),
                Err(error) => unreadable(of_walk(&error)),
            }
            WalkState::Continue
        })
    });
    tally.counts()
}

fn builder(walk: &Walk, tally: &Arc<Tally>) -> Option<WalkBuilder> {
    let (first, others) = walk.roots.split_first()?;
    let mut builder = WalkBuilder::new(first);
    for other in others {
        builder.add(other);
    }
    builder.standard_filters(!walk.no_ignore).hidden(false).threads(walk.threads);
    let (hidden, vendored, tally) = (walk.hidden, walk.vendored, Arc::clone(tally));
    builder.filter_entry(move |entry| keeps(entry, hidden, vendored, &tally));
    Some(builder)
}

fn keeps(entry: &DirEntry, hidden: bool, vendored: bool, tally: &Tally) -> bool {
    let Some(name) = entry.file_name().to_str().filter(|_| entry.depth() > 0) else { return true };
    if name == ".git" {
        return false;
    }
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    if !vendored && is_folder && VENDORED.contains(&name) {
        tally.vendored_folders.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    if !hidden && name.starts_with('.') && !name.starts_with(".env") && !HIDDEN_READ.contains(&name) {
        tally.hidden.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    true
}

fn visit<L>(
    entry: &DirEntry,
    walk: &Walk,
    tally: &Tally,
    buffer: &mut Vec<u8>,
    look: &L,
    unreadable: &(dyn Fn(Unreadable) + Sync),
) where
    L: Fn(&Path, Language, &[u8]) + Sync,
{
    // A root that is a link is followed, as it was named.
    if !entry.file_type().is_some_and(|kind| kind.is_file() || (kind.is_symlink() && entry.depth() == 0)) {
        return;
    }
    let one = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let path = entry.path();
    let named = match language::of_path(path) {
        Ok(language) => language,
        // Whoever names one file wants it read.
        Err(NotRead::Other) if entry.depth() == 0 => None,
        Err(NotRead::Other) => return one(&tally.other),
        Err(NotRead::Lock) => return one(&tally.lock),
        Err(NotRead::Minified) => return one(&tally.minified),
    };
    match read(path, walk.file_bytes_max, buffer) {
        Ok(true) => {}
        Ok(false) => return one(&tally.too_large),
        Err(error) => return unreadable(Unreadable { path: Some(path.to_owned()), why: error.to_string() }),
    }
    if memchr::memchr(0, &buffer[..buffer.len().min(BINARY_BYTES)]).is_some() {
        return one(&tally.binary);
    }
    let Some(language) = named.or_else(|| language::of_first_line(buffer)) else { return one(&tally.other) };
    one(&tally.read);
    tally.read_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
    look(path, language, buffer);
}

/// Reads a file into the buffer; false when it is longer than allowed.
fn read(path: &Path, bytes_max: u64, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let file = File::open(path)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(buffer)?;
    Ok(buffer.len() as u64 <= bytes_max)
}

fn of_walk(error: &ignore::Error) -> Unreadable {
    let path = if let ignore::Error::WithPath { path, .. } = error { Some(path.clone()) } else { None };
    Unreadable { path, why: error.to_string() }
}

impl Tally {
    fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            read: of(&self.read),
            read_bytes: of(&self.read_bytes),
            other: of(&self.other),
            lock: of(&self.lock),
            minified: of(&self.minified),
            binary: of(&self.binary),
            too_large: of(&self.too_large),
            vendored_folders: of(&self.vendored_folders),
            hidden: of(&self.hidden),
        }
    }
}
