//! A disk that is small enough to be filled: memory, mounted for the purpose, where this process may do that.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small disk. Unmounted when dropped.
pub struct SmallDisk {
    at: PathBuf,
}

/// Room for an empty server, its log and what some minutes write.
const SIZE: &str = "size=768m,mode=0755";
/// The ballast's last pieces, so that really nothing is left.
const PIECES: [usize; 3] = [1 << 20, 64 << 10, 4 << 10];

impl SmallDisk {
    /// Mounts one, or says why it can't.
    pub fn mount(at: &Path) -> Result<SmallDisk, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting a small disk needs root".to_owned());
        }
        fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).stderr(Stdio::piped()).output();
        match done {
            Ok(output) if output.status.success() => Ok(SmallDisk { at: at.to_owned() }),
            Ok(output) => Err(format!(
                "a small disk can't be mounted: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => Err(format!("a small disk can't be mounted: {error}")),
        }
    }

    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> std::io::Result<()> {
        let mut ballast = File::create(self.ballast())?;
        for piece in PIECES {
            let bytes = vec![1; piece];
            while ballast.write_all(&bytes).is_ok() {}
        }
        Ok(())
    }

    /// Gives it back.
    pub fn clear(&self) -> std::io::Result<()> {
        fs::remove_file(self.ballast())
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still runs there is being killed.
        let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
    }
}
