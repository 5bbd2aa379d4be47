//! The data folder: can it be written, has it room, and does its clock agree with ours.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use pinrail_domain::time::Timestamp;

use super::Check;
use crate::output::time;

/// Below this a busy server is out of room within the day.
const FREE_WARN: u64 = 1 << 30;
/// Below this the database can't even tidy its own files.
const FREE_ERROR: u64 = 100 << 20;
/// A file's time comes from the same clock on a local disk; network disks have their own.
const SKEW_MS: u64 = 5_000;
/// The day this was written: no later clock shows an earlier one.
const WRITTEN: Timestamp = Timestamp(1_795_132_800_000);

/// Looks at the folder, or at the nearest one above that exists.
pub fn look(data: &Path, now: Timestamp, checks: &mut Vec<Check>) {
    let exists = data.is_dir();
    let Some(folder) = data.ancestors().map(or_here).find(|folder| folder.is_dir()) else {
        checks.push(Check::error("data", format!("{} cannot be found", data.display()), "check --dir"));
        return;
    };
    match probe(folder) {
        Ok(written) => {
            let note = if exists { "" } else { " is not there yet; its parent" };
            checks.push(Check::ok("data", format!("{}{note} can be written", data.display())));
            clock(written, now, checks);
        }
        Err(error) => {
            let found = format!("{} cannot be written: {error}", folder.display());
            checks.push(Check::error("data", found, "give the user who runs `pinrail up` the folder"));
            clock(now, now, checks);
        }
    }
    room(folder, checks);
}

fn room(folder: &Path, checks: &mut Vec<Check>) {
    let Ok(disk) = rustix::fs::statvfs(folder) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} free", size(free));
    let next = "make room: a full disk stops new runs, though it loses none";
    checks.push(if free < FREE_ERROR {
        Check::error("disk", found, next)
    } else if free < FREE_WARN {
        Check::warn("disk", found, next)
    } else {
        Check::ok("disk", found)
    });
}

fn clock(written: Timestamp, now: Timestamp, checks: &mut Vec<Check>) {
    let skew = written.ms_since(now).max(now.ms_since(written));
    let shown = time::absolute(now);
    checks.push(if now < WRITTEN {
        Check::error("clock", format!("it shows {shown}, which is in the past"), "set the machine's clock")
    } else if skew > SKEW_MS {
        let found = format!("it shows {shown}, and a new file is {} away from it", time::span(skew));
        Check::warn("clock", found, "synchronise the clocks of this machine and its disk (NTP)")
    } else {
        Check::ok("clock", shown)
    });
}

/// Writes a file, gives its time and removes it.
fn probe(folder: &Path) -> io::Result<Timestamp> {
    let path = folder.join(format!(".pinrail-doctor-{}", std::process::id()));
    let written = fs::write(&path, b"pinrail doctor\n").and_then(|()| fs::metadata(&path)?.modified());
    let removed = fs::remove_file(&path);
    let since = written?.duration_since(UNIX_EPOCH).unwrap_or_default();
    removed?;
    Ok(Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}

/// The empty path is what a relative path's last ancestor looks like.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

fn size(bytes: u64) -> String {
    let (unit, name) = if bytes >= 1 << 30 { (1 << 30, "GiB") } else { (1 << 20, "MiB") };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}
