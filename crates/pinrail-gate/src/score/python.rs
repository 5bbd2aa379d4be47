//! Python: assertions in a process of their own, where the settings allow it.
//!
//! Unlike JavaScript, Python isn't shut in: a script may read files and use the network as the server's user may. That is
//! why it is off until the settings name a Python. What is kept from it is the server's environment, and so its secrets
//! (I15): the process gets a fixed `PATH` and nothing else, an empty folder to be in, and no input but the answer. It is
//! killed with all that it started when its time is over.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::judged::{Judged, clip};
use super::script;
use super::seen::Seen;
use super::{Aides, CannotScore};
use crate::suite::Assertion;

/// `python`: the value is the script: an expression, a function's body of several lines, or a file's text with
/// `get_assert(output, context)`.
pub(super) async fn python(
    assertion: &Assertion,
    seen: &Seen<'_>,
    output: &Value,
    aides: &dyn Aides,
) -> Result<Judged, CannotScore> {
    let code = script::code(assertion, "python")?;
    let Some(python) = aides.python().map(str::to_owned) else {
        let why = "the suite has python assertions, and no Python may be run here: set `[gate] python = \"python3\"` \
                   in pinrail.toml to allow it";
        return Err(CannotScore::Script(why.to_owned()));
    };
    let input = json!({ "script": code, "output": output, "context": seen.context(assertion) }).to_string();
    let _turn = PYTHONS.acquire().await.expect("nothing closes the semaphore");
    let said = tokio::task::spawn_blocking(move || run(&python, input, TIME_MAX)).await;
    let said =
        said.map_err(|_| CannotScore::Script("python: what waits for the script broke".to_owned()))??;
    Ok(match said {
        Said::Value(value) => script::judge(assertion, script::pythons(assertion, &value)),
        Said::Threw(why) => Judged::failed(format!("the script failed on the answer: {}", clip(&why, 300))),
        Said::Fault(why) => {
            return Err(CannotScore::Script(format!("the script is at fault: {}", clip(&why, 300))));
        }
    })
}

/// What a script may take. Starting Python is some 30 ms of it, a large library a second or two.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What a script may say.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Processes at the same time; more only take each other's time.
static PYTHONS: Semaphore = Semaphore::const_new(4);

/// Where the process finds programs, and where Python is looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Reads the input, limits itself, runs the script, and says what came of it.
const HARNESS: &str = include_str!("python/harness.py");

/// What the harness says.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// What the script returned.
    Value(Value),
    /// An exception that may be the answer's doing.
    Threw(String),
    /// An exception that can't be.
    Fault(String),
}

fn run(python: &str, input: String, time_max: Duration) -> Result<Said, CannotScore> {
    let failed = |what: &str, fault: std::io::Error| CannotScore::Script(format!("python: {what}: {fault}"));
    let folder = tempfile::tempdir().map_err(|fault| failed("no folder for the script", fault))?;
    let mut child = command(python, folder.path())
        .spawn()
        .map_err(|fault| failed(&format!("can't start {python}"), fault))?;
    let said = converse(&mut child, input, time_max);
    kill(&child);
    let ended = child.wait();
    let Some(said) = said else {
        return Err(CannotScore::Script(format!("the script ran for over {} s", time_max.as_secs())));
    };
    if said.len() > OUTPUT_BYTES_MAX {
        return Err(CannotScore::Script("the script returned more than 1 MiB".to_owned()));
    }
    serde_json::from_slice(&said).map_err(|_| {
        let ended = ended.map_or_else(|fault| fault.to_string(), |status| status.to_string());
        CannotScore::Script(format!("python ended without a result: {ended}"))
    })
}

fn command(python: &str, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-I", "-c", HARNESS])
        .env_clear()
        .env("PATH", PATH)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

/// Kills the process with what it started and left behind.
fn kill(child: &Child) {
    // An error means that nothing is left.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// Gives the process its input and takes what it says, until it has ended or its time is over.
fn converse(child: &mut Child, input: String, time_max: Duration) -> Option<Vec<u8>> {
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let (send, receive) = mpsc::sync_channel(1);
    // Either thread ends at the latest when the process is killed and its pipes close. One that can't write has a
    // process that ended, which the other finds out.
    std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = stdout.take(OUTPUT_BYTES_MAX as u64 + 1).read_to_end(&mut said);
        send.send(read.map(|_| said))
    });
    receive.recv_timeout(time_max).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It ends at once with time left over, and the process that it started, which holds a pipe open, with it.
    #[test]
    fn what_runs_too_long_is_killed_with_what_it_started() {
        let python = "/usr/bin/python3";
        if !Path::new(python).exists() {
            println!("SKIPPED: there is no {python}, so that nothing is known of killing it");
            return;
        }
        let (mut alive, theirs) = std::io::pipe().unwrap();
        let script = "import subprocess, sys\nsubprocess.Popen(['sleep', '600'], stdin=0)\nwhile True: pass";
        let input = json!({ "script": script, "output": "", "context": {} }).to_string();
        let mut child = command(python, Path::new("/")).stderr(theirs).spawn().unwrap();
        let said = converse(&mut child, input, Duration::from_millis(500));
        kill(&child);
        child.wait().unwrap();
        assert_eq!(said, None);
        // Ends only when nobody holds the other side any more.
        alive.read_to_end(&mut Vec::new()).unwrap();
    }
}
