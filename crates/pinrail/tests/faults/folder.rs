//! The data folder: one server at a time, and one that may be written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{BINARY, Node, Refusal, data, up};
use crate::stage::Stage;

#[test]
fn a_second_server_on_the_same_folder_is_refused_and_works_once_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Node::start(dir.path());
    let refusal = Node::refused(dir.path());
    assert_eq!(refusal.code, Some(1));
    let process = format!("process {}", first.id());
    assert!(refusal.said.contains("another pinrail") && refusal.said.contains(&process), "{}", refusal.said);
    first.client.get("/readyz");
    first.kill();
    Node::start(dir.path()).client.get("/readyz");
}

#[test]
fn a_folder_that_may_not_be_written_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    Stage::set(&node.client, None);
    node.stop();
    let Some(server) = Unprivileged::new(dir.path()) else {
        eprintln!("SKIPPED: cannot run a server without root's rights here");
        return;
    };
    let before = contents(dir.path());
    // The whole folder, then only what is in it.
    for (folder, files) in [(0o555, 0o444), (0o755, 0o444), (0o555, 0o666)] {
        mode(&data(dir.path()), folder, files);
        let refusal = server.refused(dir.path());
        assert_eq!(refusal.code, Some(1), "{folder:o} {files:o}: {}", refusal.said);
        let said = ["cannot lock", "can't be written"].iter().any(|why| refusal.said.contains(why));
        assert!(said && refusal.said.contains(".pinrail"), "{folder:o} {files:o}: {}", refusal.said);
        assert_eq!(contents(dir.path()), before, "{folder:o} {files:o}");
    }
    mode(&data(dir.path()), 0o700, 0o600);
    Node::start(dir.path()).client.get("/readyz");

    let empty = tempfile::tempdir().unwrap();
    fs::set_permissions(empty.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let refusal = server.refused(empty.path());
    assert_eq!(refusal.code, Some(1));
    assert!(refusal.said.contains("cannot make the data folder"), "{}", refusal.said);
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

/// Runs servers that root's rights don't help.
struct Unprivileged {
    binary: PathBuf,
    as_root: bool,
    _place: tempfile::TempDir,
}

/// Nobody's user and group.
const NOBODY: &str = "65534";

impl Unprivileged {
    /// None where that can't be done. `dir` is opened to everyone's eyes.
    fn new(dir: &Path) -> Option<Unprivileged> {
        let as_root = rustix::process::geteuid().is_root();
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        // The build's folder may be closed to others.
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let binary = place.path().join("pinrail");
        fs::copy(BINARY, &binary).unwrap();
        let server = Unprivileged { binary, as_root, _place: place };
        let tried = server.command().arg("--version").output();
        tried.is_ok_and(|tried| tried.status.success()).then_some(server)
    }

    fn refused(&self, dir: &Path) -> Refusal {
        let server = up(&self.binary, dir);
        let mut command = self.command();
        command.args(server.get_args());
        Node::launch(command).err().expect("it refuses to start")
    }

    fn command(&self) -> Command {
        if !self.as_root {
            return Command::new(&self.binary);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&self.binary);
        command
    }
}

fn mode(folder: &Path, own: u32, files: u32) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(files)).unwrap();
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(own)).unwrap();
}

/// Every file of the data folder but the lock, which names a process and nothing else.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(data(dir)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| !path.ends_with("lock")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
