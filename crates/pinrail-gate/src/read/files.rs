//! Where the files of a suite come from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

/// The longest file that a suite includes: twenty thousand cases of three kilobytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Files by their paths from the suite's folder, with `/` between the parts.
pub trait Files {
    /// A file's bytes.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The files that a pattern with `*`, `**`, `?` and `[…]` fits, sorted.
    fn glob(&self, pattern: &str) -> io::Result<Vec<String>>;
}

/// A folder on disk, from which nothing outside the project is reached, links included.
#[derive(Clone, Debug)]
pub struct Folder {
    /// What paths are taken from.
    base: PathBuf,
    /// What they may not leave.
    root: PathBuf,
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory(pub BTreeMap<String, Vec<u8>>);

impl Folder {
    /// The folder `base` in the project `root`.
    pub fn new(base: &Path, root: &Path) -> io::Result<Folder> {
        let here = |path: &Path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            path.canonicalize()
        };
        Ok(Folder { base: here(base)?, root: here(root)? })
    }

    /// The path with `..` taken away, inside the project.
    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let mut whole = self.base.clone();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(part) => whole.push(part),
                Component::CurDir => {}
                Component::ParentDir => {
                    whole.pop();
                }
                Component::RootDir | Component::Prefix(_) => whole = PathBuf::from(part.as_os_str()),
            }
        }
        if whole.starts_with(&self.root) { Ok(whole) } else { Err(outside()) }
    }
}

impl Files for Folder {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let real = self.inside(path)?.canonicalize()?;
        if !real.starts_with(&self.root) {
            return Err(outside());
        }
        let file = File::open(real)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::FileTooLarge,
                format!("it has more than {FILE_BYTES_MAX} bytes"),
            ));
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        // Parts before the first wildcard are a folder; names in it need no escaping from there on.
        let mut folder: Vec<&str> = pattern.split('/').collect();
        let wild = folder.iter().position(|part| part.contains(['*', '?', '['])).unwrap_or(folder.len());
        let rest = folder.split_off(wild).join("/");
        let start = self.inside(&folder.join("/"))?;
        let full = format!("{}/{rest}", glob::Pattern::escape(&start.to_string_lossy()));
        let found = glob::glob_with(&full, OPTIONS).map_err(|error| io::Error::other(error.to_string()))?;
        let mut paths = Vec::new();
        for entry in found {
            let entry = entry.map_err(io::Error::from)?;
            let Ok(below) = entry.strip_prefix(&start) else { continue };
            if entry.is_file() {
                let named = folder.iter().copied().map(str::to_owned).chain([slashes(below)]);
                paths.push(named.collect::<Vec<_>>().join("/"));
            }
        }
        paths.sort();
        Ok(paths)
    }
}

impl Files for Memory {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let path = path.strip_prefix("./").unwrap_or(path);
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(ErrorKind::NotFound, "there is no such file"))
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<String>> {
        let pattern = glob::Pattern::new(pattern).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(self.0.keys().filter(|path| pattern.matches_with(path, OPTIONS)).cloned().collect())
    }
}

const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

fn slashes(path: &Path) -> String {
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.collect::<Vec<_>>().join("/")
}

fn outside() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "it is outside the project's folder")
}
