//! Turns of the dial that the store didn't take, in a file of the data folder.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file: replaced as a whole, so that a crash leaves the old one or the new one.
pub struct Notebook {
    folder: PathBuf,
}

const NAME: &str = "dial.json";
const NEXT: &str = "dial.json.next";

impl Notebook {
    pub fn in_folder(folder: &Path) -> Notebook {
        Notebook { folder: folder.to_owned() }
    }
}

impl pinrail_control::dial::Notebook for Notebook {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(NAME)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let next = self.folder.join(NEXT);
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use pinrail_control::dial::Notebook as _;

    use super::*;

    #[test]
    fn what_was_written_last_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let notebook = Notebook::in_folder(folder.path());
        assert_eq!(notebook.read().unwrap(), None);
        for text in ["one", "two"] {
            notebook.write(text.as_bytes()).unwrap();
        }
        assert_eq!(Notebook::in_folder(folder.path()).read().unwrap().as_deref(), Some(&b"two"[..]));
    }
}
