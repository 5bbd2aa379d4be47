//! A server that is a program: started in a process group of its own, with a clean environment.
//!
//! Its stdin and stdout carry a message per line. What it writes to stderr goes to the log, by line, shortened, with
//! the values of its variables blacked out. When the connection ends, its stdin is closed; after a moment the whole
//! group is killed, so that what it started ends with it (`npx` starts a shell that starts node).

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinrail_wire::redact::Redactor;
use rmcp::model::ServerJsonRpcMessage;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::MESSAGE_BYTES_MAX;
use crate::decode::Decoder;
use crate::reach::Secret;
use crate::wire::{INBOX, NotSent, Outgoing};

/// A program's stdin, and its end.
pub struct ProgramOut {
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    group: Group,
    child: tokio::sync::Mutex<Child>,
}

/// The process group; killed when nobody holds it any more.
struct Group(Option<Pid>);

/// What a program said last on stderr: often the only thing that tells why it ended.
#[derive(Clone, Default)]
pub struct LastWords(Arc<Mutex<String>>);

/// How long a program may take to end by itself once its stdin is closed.
const END_WAIT: Duration = Duration::from_secs(2);
/// A line of stderr in the log.
const STDERR_LINE_MAX: usize = 1_000;
/// Lines of stderr that are logged at most: a program that complains in a loop must not fill a disk.
const STDERR_LINES_MAX: usize = 1_000;

/// Starts a program. Its messages come out of the receiver, which ends with the program.
pub fn start(
    command: &[String],
    env: &[(String, Secret)],
) -> std::io::Result<(ProgramOut, mpsc::Receiver<ServerJsonRpcMessage>, LastWords)> {
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, &value.0)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().expect("its stdout is piped");
    let stderr = child.stderr.take().expect("its stderr is piped");
    let last_words = LastWords::default();
    // PATH and HOME are no secrets, and everywhere in what programs say.
    let secrets = env.iter().filter(|(name, _)| name != "PATH" && name != "HOME").map(|(_, value)| &value.0);
    let listen = listen(stderr, program.clone(), Redactor::new(secrets), last_words.clone());
    tokio::spawn(listen);
    let (sender, inbox) = mpsc::channel(INBOX);
    tokio::spawn(read(stdout, program.clone(), sender));
    let out =
        ProgramOut { stdin: tokio::sync::Mutex::new(stdin), group, child: tokio::sync::Mutex::new(child) };
    Ok((out, inbox, last_words))
}

impl ProgramOut {
    pub async fn send(&self, outgoing: Outgoing) -> Result<(), NotSent> {
        let mut bytes = outgoing.bytes;
        bytes.push(b'\n');
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().ok_or_else(|| NotSent("the program's stdin is closed".to_owned()))?;
        let written = async {
            stdin.write_all(&bytes).await?;
            stdin.flush().await
        };
        written.await.map_err(|error| NotSent(format!("the program takes no input any more: {error}")))
    }

    /// Lets the program end, and ends it.
    pub async fn close(&self) {
        self.stdin.lock().await.take();
        let mut child = self.child.lock().await;
        if tokio::time::timeout(END_WAIT, child.wait()).await.is_err() {
            self.group.kill();
            child.wait().await.ok();
        }
        // What it started may be there still.
        self.group.kill();
    }
}

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl LastWords {
    /// What it said last, if anything.
    pub fn get(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!words.is_empty()).then(|| words.clone())
    }

    fn set(&self, words: &str) {
        words.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Reads messages until the program says no more, or something that is no message.
async fn read(stdout: impl AsyncRead + Unpin, program: String, inbox: mpsc::Sender<ServerJsonRpcMessage>) {
    let mut lines = BufReader::new(stdout);
    let decoder = Decoder::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MESSAGE_BYTES_MAX as u64 + 1;
        match (&mut lines).take(most).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) if bytes as u64 >= most => {
                tracing::warn!(
                    program,
                    "an MCP server sent a message over {MESSAGE_BYTES_MAX} bytes; the connection ends"
                );
                return;
            }
            Ok(_) => {}
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match decoder.message(&line) {
            Ok(message) => {
                if inbox.send(message).await.is_err() {
                    return;
                }
            }
            // Some programs talk on stdout before they begin: what waits for an answer has its own patience.
            Err(what) => tracing::debug!(program, what, "an MCP server wrote a line that is no message"),
        }
    }
}

async fn listen(stderr: impl AsyncRead + Unpin, program: String, redactor: Redactor, last: LastWords) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut logged = 0;
    loop {
        line.clear();
        match (&mut lines).take(STDERR_LINE_MAX as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(line.trim_ascii());
        let text = redactor.redact(&text);
        if text.is_empty() {
            continue;
        }
        last.set(&text);
        if logged < STDERR_LINES_MAX {
            logged += 1;
            tracing::debug!(program, stderr = %text, "an MCP server says");
        }
    }
}
