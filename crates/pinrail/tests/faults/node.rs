//! A server as a process of its own: started, killed, told to stop, listened to.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// A running server; killed when dropped.
pub struct Node {
    pub client: Client,
    child: Mutex<Child>,
    stderr: Mutex<Receiver<String>>,
}

/// A server that did not come up.
#[derive(Debug)]
pub struct Refusal {
    pub code: Option<i32>,
    pub said: String,
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_pinrail");
const SIGKILL: i32 = 9;

impl Node {
    /// Starts a server in `dir` on a free port of this machine.
    pub fn start(dir: &Path) -> Node {
        Node::launch(up(BINARY, dir)).unwrap_or_else(|refusal| panic!("it refused to start: {refusal:?}"))
    }

    /// Starts a server that kills itself at a point, for example `ledger.before_commit:1`.
    pub fn doomed(dir: &Path, point: &str) -> Node {
        let mut command = up(BINARY, dir);
        command.env("PINRAIL_CRASH_AT", point);
        Node::launch(command).unwrap_or_else(|refusal| panic!("it refused to start: {refusal:?}"))
    }

    /// Starts a server that must not come up, and gives its refusal.
    pub fn refused(dir: &Path) -> Refusal {
        Node::launch(up(BINARY, dir)).err().expect("it refuses to start")
    }

    /// Runs a command that is a server, until it listens or has ended.
    pub fn launch(mut command: Command) -> Result<Node, Refusal> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        let (says, stderr) = channel();
        let pipe = BufReader::new(child.stderr.take().expect("it is piped"));
        std::thread::spawn(move || pipe.lines().map_while(Result::ok).try_for_each(|line| says.send(line)));
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a pipe can be read");
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        let Some(address) = address else {
            let code = child.wait().expect("it is our child").code();
            return Err(Refusal { code, said: stderr.iter().collect::<Vec<_>>().join("\n") });
        };
        // Its stdout is read to the end, or the server would write into a closed pipe.
        std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
        let client = Client::new(&address);
        Ok(Node { client, child: Mutex::new(child), stderr: Mutex::new(stderr) })
    }

    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Sends SIGKILL; gone before this returns.
    pub fn kill(&self) {
        let mut child = self.child();
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    /// Waits for the end of a server that kills itself.
    pub fn wait_for_crash(self) {
        let status = self.child().wait().expect("it is our child");
        assert_eq!(status.signal(), Some(SIGKILL), "{status}, {:?}", self.rest_of_stderr());
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, Signal::TERM).expect("it is our child");
    }

    /// Waits for the end.
    pub fn wait(&self) -> ExitStatus {
        self.child().wait().expect("it is our child")
    }

    /// Stops in peace.
    pub fn stop(self) {
        self.terminate();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:?}", self.rest_of_stderr());
    }

    /// Waits for a log line with this message and gives its fields.
    pub fn logged(&self, message: &str) -> Value {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let line = stderr.recv().unwrap_or_else(|_| panic!("it ended without saying {message:?}"));
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            if line["fields"]["message"].as_str().is_some_and(|text| text.contains(message)) {
                return line["fields"].clone();
            }
        }
    }

    /// How many gateway calls the start found cut off, and closed.
    pub fn calls_closed(&self) -> u64 {
        self.logged("opened the store of an earlier run")["calls_closed"].as_u64().expect("a count")
    }

    fn rest_of_stderr(&self) -> Vec<String> {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).iter().collect()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The command of a server in `dir` on a free port of this machine, with nothing of our environment.
pub fn up(binary: impl AsRef<OsStr>, dir: &Path) -> Command {
    up_at("127.0.0.1:0", binary, dir)
}

/// The command of a server that listens at `address`.
pub fn up_at(address: &str, binary: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().args(["up", "--log-json", "--listen", address, "--dir"]).arg(dir);
    command
}

/// A copy of a stopped server's folder.
pub fn copy(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(data(copy.path())).unwrap();
    for entry in std::fs::read_dir(data(dir)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), data(copy.path()).join(entry.file_name())).unwrap();
    }
    copy
}

/// Where a server in `dir` keeps its data.
pub fn data(dir: &Path) -> PathBuf {
    dir.join(".pinrail")
}

/// The database of a server in `dir`.
pub fn database(dir: &Path) -> PathBuf {
    data(dir).join("pinrail.db")
}
