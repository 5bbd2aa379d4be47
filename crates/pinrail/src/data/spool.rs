//! Journal writes that wait for a store that is away, in a file of the data folder.
//!
//! `spool` holds records one after another: four bytes of length, eight bytes of the content's digest, the content. Records are
//! only ever added at the end, and synced before they count; a record that a crash tore is dropped at the next start, and so said.
//! `spool.at` says from which byte on they still wait. When none does, the next record begins the file anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pinrail_control::runs::SpoolError;
use pinrail_domain::digest::Digest;

/// The spool of a data folder. Nothing is made before something must wait.
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    file: Option<File>,
    /// Where the oldest record begins, and where the next one goes.
    first: u64,
    end: u64,
    left: u64,
    /// A record after the oldest one, and where it begins: reading goes on there.
    mark: (u64, u64),
}

/// How much may wait: some million calls, which is an hour of a busy machine.
pub const BYTES_MAX: u64 = 1 << 30;

const NAME: &str = "spool";
const AT: &str = "spool.at";
const AT_NEXT: &str = "spool.at.next";
/// A record's length and the beginning of its digest.
const HEAD: u64 = 12;
/// A run's events of one write are at most some hundred times 256 KiB; a length beyond this is no length.
const RECORD_BYTES_MAX: u64 = 1 << 29;

/// Where a data folder's spool is; what it knows of its place begins with the same name.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

impl Spool {
    /// Looks for what an earlier process left.
    pub fn in_folder(folder: &Path, bytes_max: u64) -> io::Result<Spool> {
        let spool = Spool { folder: folder.to_owned(), bytes_max, kept: Mutex::default() };
        let file = match OpenOptions::new().read(true).write(true).open(path(&spool.folder)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                spool.remove_at()?;
                return Ok(spool);
            }
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut first = spool.read_at()?;
        if first > length {
            // A crash while the file was begun anew left it: what is here now came later. It must be gone before more comes.
            spool.remove_at()?;
            first = 0;
        }
        let (mut end, mut left) = (first, 0);
        while let Some(record) = record(&file, end, length)? {
            end += HEAD + record.len() as u64;
            left += 1;
        }
        if end < length {
            let bytes = length - end;
            tracing::warn!(
                bytes,
                "the end of the spool was torn by a crash and is dropped: it was never acknowledged"
            );
            file.set_len(end)?;
            file.sync_all()?;
        }
        *spool.lock() = Kept { file: Some(file), first, end, left, mark: (0, first) };
        Ok(spool)
    }

    fn read_at(&self) -> io::Result<u64> {
        match fs::read_to_string(self.folder.join(AT)) {
            Ok(text) => text.trim().parse().map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn write_at(&self, at: u64) -> io::Result<()> {
        let next = self.folder.join(AT_NEXT);
        let mut file = File::create(&next)?;
        file.write_all(at.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, self.folder.join(AT))?;
        self.sync_folder()
    }

    fn remove_at(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(AT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync_folder(),
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Makes the file anew where all that is in it was forgotten.
    fn begin_anew(&self, kept: &mut Kept) -> io::Result<()> {
        if let Some(file) = kept.file.as_ref().filter(|_| kept.left == 0 && kept.end > 0) {
            // A crash after this leaves a mark beyond the end, which the next start removes before anything is pushed.
            file.set_len(0)?;
            file.sync_all()?;
            self.remove_at()?;
            // Also where an earlier try removed it and got no further.
            self.sync_folder()?;
            *kept = Kept { file: kept.file.take(), ..Kept::default() };
        }
        if kept.file.is_none() {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            kept.file = Some(options.open(path(&self.folder))?);
            self.sync_folder()?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl pinrail_control::runs::Spool for Spool {
    fn left(&self) -> u64 {
        self.lock().left
    }

    fn push(&self, records: &[Vec<u8>]) -> Result<(), SpoolError> {
        let mut kept = self.lock();
        self.begin_anew(&mut kept)?;
        let mut bytes = Vec::with_capacity(records.iter().map(|record| record.len() + HEAD as usize).sum());
        for record in records {
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&sum(record));
            bytes.extend_from_slice(record);
        }
        let end = kept.end + bytes.len() as u64;
        if end > self.bytes_max {
            return Err(SpoolError::Full { bytes_max: self.bytes_max });
        }
        let file = kept.file.as_ref().expect("it was just opened");
        if let Err(error) = file.write_all_at(&bytes, kept.end).and_then(|()| file.sync_data()) {
            // What came of it doesn't count; what can't be cut off now is overwritten, or dropped at the next start.
            let _ = file.set_len(kept.end);
            return Err(error.into());
        }
        kept.end = end;
        kept.left += records.len() as u64;
        Ok(())
    }

    fn read(&self, skip: u64, limit: usize) -> io::Result<Vec<Vec<u8>>> {
        let mut kept = self.lock();
        let (mut place, mut at) = kept.walk(skip)?;
        let mut records = Vec::new();
        while records.len() < limit && place < kept.left {
            let Some(file) = &kept.file else { break };
            let record = record(file, at, kept.end)?.ok_or_else(damaged)?;
            at += HEAD + record.len() as u64;
            place += 1;
            records.push(record);
        }
        kept.mark = (place, at);
        Ok(records)
    }

    fn forget(&self, records: u64) -> io::Result<()> {
        let mut kept = self.lock();
        let (place, at) = kept.walk(records)?;
        self.write_at(at)?;
        kept.first = at;
        kept.left -= place;
        kept.mark = (0, at);
        if kept.left == 0 && self.begin_anew(&mut kept).is_err() {
            // The next push tries again.
            tracing::debug!("the spool is empty and can't be shortened yet");
        }
        Ok(())
    }
}

impl Kept {
    /// The record after the first `skip`, or the end, and where it begins.
    fn walk(&self, skip: u64) -> io::Result<(u64, u64)> {
        let from_mark = self.mark.0 <= skip && self.mark.1 >= self.first;
        let (mut place, mut at) = if from_mark { self.mark } else { (0, self.first) };
        while place < skip.min(self.left) {
            let Some(file) = &self.file else { break };
            at += HEAD + length(file, at)?;
            place += 1;
        }
        Ok((place, at))
    }
}

fn length(file: &File, at: u64) -> io::Result<u64> {
    let mut length = [0; 4];
    file.read_exact_at(&mut length, at)?;
    Ok(u64::from(u32::from_le_bytes(length)))
}

/// The record that begins there; none where it isn't whole.
fn record(file: &File, at: u64, end: u64) -> io::Result<Option<Vec<u8>>> {
    if at + HEAD > end {
        return Ok(None);
    }
    let length = length(file, at)?;
    if length > RECORD_BYTES_MAX || at + HEAD + length > end {
        return Ok(None);
    }
    let mut known = [0; 8];
    file.read_exact_at(&mut known, at + 4)?;
    let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut content, at + HEAD)?;
    Ok((sum(&content) == known).then_some(content))
}

fn sum(content: &[u8]) -> [u8; 8] {
    let digest = Digest::of(content);
    let mut sum = [0; 8];
    sum.copy_from_slice(&digest.as_bytes()[..8]);
    sum
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a spooled record is damaged")
}

#[cfg(test)]
mod tests {
    use pinrail_control::runs::Spool as _;

    use super::*;

    fn records(from: usize, to: usize) -> Vec<Vec<u8>> {
        (from..to).map(|n| format!("record {n}").repeat(n % 7 + 1).into_bytes()).collect()
    }

    #[test]
    fn what_was_pushed_is_read_in_order_and_forgotten_once() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Spool::in_folder(folder.path(), BYTES_MAX).unwrap();
        let spool = open();
        assert_eq!((spool.left(), spool.read(0, 9).unwrap()), (0, Vec::new()));
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is made before it is needed");
        spool.push(&records(0, 50)).unwrap();
        spool.push(&records(50, 100)).unwrap();
        assert_eq!(spool.read(0, 1_000).unwrap(), records(0, 100));
        spool.forget(30).unwrap();
        assert_eq!(spool.read(20, 10).unwrap(), records(50, 60));
        assert_eq!(spool.read(30, 10).unwrap(), records(60, 70));
        assert_eq!(spool.read(0, 10).unwrap(), records(30, 40));
        drop(spool);
        let spool = open();
        assert_eq!((spool.left(), spool.read(0, 1_000).unwrap()), (70, records(30, 100)));
        spool.forget(70).unwrap();
        assert_eq!(fs::metadata(folder.path().join(NAME)).unwrap().len(), 0, "the room is given back");
        assert_eq!(open().left(), 0);
        spool.push(&records(7, 9)).unwrap();
        assert_eq!(open().read(0, 9).unwrap(), records(7, 9));
    }

    /// I9: whatever of the last write reached the disk.
    #[test]
    fn a_torn_end_is_dropped_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        Spool::in_folder(folder.path(), BYTES_MAX).unwrap().push(&records(0, 10)).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let spool = Spool::in_folder(folder.path(), BYTES_MAX).unwrap();
            let left = spool.read(0, 100).unwrap();
            assert!(left.len() < 10 && left == records(0, left.len()), "cut at {cut}");
            spool.push(&records(20, 21)).unwrap();
            let again =
                Spool::in_folder(folder.path(), BYTES_MAX).unwrap().read(left.len() as u64, 9).unwrap();
            assert_eq!(again, records(20, 21), "cut at {cut}");
        }
        let mut changed = whole.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert_eq!(Spool::in_folder(folder.path(), BYTES_MAX).unwrap().left(), 9);
    }

    /// I9: a crash between the two steps that begin the file anew, after each number of records, and a file that somebody took away.
    #[test]
    fn a_mark_that_a_crash_left_hides_nothing_that_comes_later() {
        for (count, gone) in [(1, false), (3, false), (9, false), (3, true)] {
            let folder = tempfile::tempdir().unwrap();
            let open = || Spool::in_folder(folder.path(), BYTES_MAX).unwrap();
            let (path, mark) = (folder.path().join(NAME), folder.path().join(AT));
            let spool = open();
            spool.push(&records(0, count)).unwrap();
            fs::write(&mark, fs::metadata(&path).unwrap().len().to_string()).unwrap();
            drop(spool);
            match gone {
                true => fs::remove_file(&path).unwrap(),
                false => fs::write(&path, b"").unwrap(),
            }
            let spool = open();
            assert_eq!(spool.left(), 0);
            spool.push(&records(20, 22)).unwrap();
            drop(spool);
            assert_eq!(open().read(0, 99).unwrap(), records(20, 22), "{count}, {gone}");
            assert!(!mark.exists());
        }
    }

    /// I9: what comes into a file that was begun anew isn't taken for what was there before.
    #[test]
    fn what_comes_after_all_was_forgotten_is_read_from_its_beginning() {
        for count in [1, 3, 9, 30] {
            let folder = tempfile::tempdir().unwrap();
            let open = || Spool::in_folder(folder.path(), BYTES_MAX).unwrap();
            let spool = open();
            spool.push(&records(0, count)).unwrap();
            spool.forget(count as u64).unwrap();
            spool.push(&records(count, 3 * count)).unwrap();
            drop(spool);
            assert_eq!(open().read(0, 99).unwrap(), records(count, 3 * count), "{count}");
        }
    }

    #[test]
    fn a_full_spool_takes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::in_folder(folder.path(), 100).unwrap();
        spool.push(&records(0, 2)).unwrap();
        assert!(matches!(spool.push(&records(0, 50)), Err(SpoolError::Full { bytes_max: 100 })));
        assert_eq!(spool.read(0, 9).unwrap(), records(0, 2));
    }
}
