//! No room left, on the disk or by `[store] bytes_max`: writes are refused as such, reads go on, nothing is damaged,
//! and with room everything works again.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::client::{Answer, Client};
use crate::node::{BINARY, Node, Refusal, up};
use crate::provider::Provider;
use crate::seen::Seen;
use crate::stage::{CHAT, CRITICAL, STANDARD, Stage, chat};

#[test]
fn a_disk_without_room_is_said_and_room_helps_at_once() {
    let Some(disk) = Disk::mount("12m") else {
        eprintln!(
            "SKIPPED: cannot mount a small file system here; the test of `bytes_max` runs all the same"
        );
        return;
    };
    let provider = Provider::start();
    let node = disk.start().unwrap();
    let stage = Stage::set(&node.client, Some(&provider.base_url));
    let mut seen = Seen::look(&node.client, &disk.inside());
    disk.fill();
    is_full(&node.client, &stage, &provider, &mut seen, &disk.inside());
    disk.free();
    // Without a restart.
    works(&node.client, &stage, &mut seen, &disk.inside());

    // A call is cut off, and there is no room to say so: the next start reads, and the first one with room closes it.
    provider.hold();
    let mut cut_off = node.client.stream(CHAT, &chat(CRITICAL, true)).unwrap();
    assert!(cut_off.line().unwrap().unwrap().contains("one"));
    seen.look_again(&node.client, &disk.inside());
    disk.fill();
    node.kill();
    let node = disk.start().unwrap();
    assert_eq!(node.calls_closed(), 0);
    seen.look_again(&node.client, &disk.inside());
    disk.free();
    node.kill();
    let node = disk.start().unwrap();
    assert_eq!(node.calls_closed(), 1);
    seen.look_again(&node.client, &disk.inside());
    assert_eq!(seen.runs[cut_off.header("x-pinrail-run")].summary["outcome"], "error");
    provider.release();
}

#[test]
fn a_store_at_its_limit_says_so_and_a_higher_limit_helps() {
    let dir = tempfile::tempdir().unwrap();
    let limit = |bytes: u64| {
        fs::write(dir.path().join("pinrail.toml"), format!("[store]\nbytes_max = {bytes}\n")).unwrap();
    };
    limit(1 << 20);
    let provider = Provider::start();
    let node = Node::start(dir.path());
    let stage = Stage::set(&node.client, Some(&provider.base_url));
    let mut seen = Seen::look(&node.client, dir.path());
    is_full(&node.client, &stage, &provider, &mut seen, dir.path());
    node.kill();
    // Still full: what is there opens and reads.
    let node = Node::start(dir.path());
    seen.look_again(&node.client, dir.path());
    node.kill();
    limit(8 << 20);
    let node = Node::start(dir.path());
    works(&node.client, &stage, &mut seen, dir.path());
}

/// Writes until nothing fits any more, and checks what a full store does and doesn't.
fn is_full(client: &Client, stage: &Stage, provider: &Provider, seen: &mut Seen, dir: &Path) {
    for bytes in [100_000, 3_000, 0] {
        until_full(|n| append(client, stage, &format!("fill-{bytes}-{n}"), bytes));
    }
    until_full(|n| client.artifact(&format!("{n}").repeat(5_000).into_bytes()).unwrap());
    until_full(|_| client.send("POST", "/api/v1/runs", &[], Some(&json!({ "agent": STANDARD }))).unwrap());
    until_full(|n| weigh(client, stage, 1 + n));
    let refused = append(client, stage, "later", 3_000);
    assert_eq!((refused.status, refused.code().as_str()), (507, "store_full"));
    assert!(refused.json()["next_step"].is_string());
    // What is there is read, and whole.
    seen.look_again(client, dir);

    // A critical call isn't made without its stamp; a standard one is answered, and its stamp waits for room.
    let asked = provider.calls();
    let answer = until(
        || client.send("POST", CHAT, &[], Some(&chat(CRITICAL, false))).unwrap(),
        |answer| answer.status != 200,
    );
    assert_eq!((answer.status, answer.code().as_str()), (503, "journal_unwritable"));
    let answered = provider.calls() - asked;
    client.send("POST", CHAT, &[], Some(&chat(CRITICAL, false))).unwrap();
    assert_eq!(provider.calls() - asked, answered, "the provider isn't asked without a stamp");
    let troubled = until(
        || {
            client.send("POST", CHAT, &[], Some(&chat(STANDARD, false))).unwrap().ok();
            ready(client, stage)
        },
        |ready| ready.status != 200,
    );
    assert_eq!((troubled.status, troubled.code().as_str()), (503, "not_ready"));
    assert!(troubled.json()["detail"].as_str().unwrap().contains("full"), "{}", troubled.json());
    client.get("/healthz");
    client.get("/api/v1/pointers");
}

/// There is room: what was refused is taken, and what waited is written.
fn works(client: &Client, stage: &Stage, seen: &mut Seen, dir: &Path) {
    until(|| ready(client, stage), |ready| ready.status == 200);
    let done = append(client, stage, "later", 3_000);
    assert!(!done.is_replayed());
    done.ok();
    assert!(append(client, stage, "later", 3_000).is_replayed());
    weigh(client, stage, 5_000).ok();
    client.artifact(&[7; 10_000]).unwrap().ok();
    for agent in [STANDARD, CRITICAL] {
        client.post("/api/v1/runs", &json!({ "agent": agent }));
        let answer = client.send("POST", CHAT, &[], Some(&chat(agent, false))).unwrap();
        answer.ok();
        crate::seen::follow(client, answer.header("x-pinrail-run").unwrap(), "finished");
    }
    seen.look_again(client, dir);
}

fn append(client: &Client, stage: &Stage, mark: &str, bytes: usize) -> Answer {
    let note = json!({ "type": "note", "name": mark, "data": "x".repeat(bytes) });
    let path = format!("/api/v1/runs/{}/events", stage.running);
    client.send("POST", &path, &[("idempotency-key", mark)], Some(&json!({ "events": [note] }))).unwrap()
}

fn weigh(client: &Client, stage: &Stage, weight: usize) -> Answer {
    let path = format!("/api/v1/deployments/{}/weight", stage.candidate);
    client.send("POST", &path, &[], Some(&json!({ "weight": weight }))).unwrap()
}

/// `/readyz`, after what is on its way to the journal had a while to be written.
fn ready(client: &Client, stage: &Stage) -> Answer {
    client.get(&format!("/api/v1/runs/{}/events?from=100000&wait_ms=100", stage.queued));
    client.send("GET", "/readyz", &[], None).unwrap()
}

fn until_full(mut write: impl FnMut(usize) -> Answer) {
    let mut n = 0;
    let refused = until(
        || {
            n += 1;
            write(n)
        },
        |answer| answer.status != 200,
    );
    assert_eq!((refused.status, refused.code().as_str()), (507, "store_full"));
}

/// Asks until the answer is as wanted.
fn until(mut ask: impl FnMut() -> Answer, wanted: impl Fn(&Answer) -> bool) -> Answer {
    const ASKED_MAX: usize = 600;
    (0..ASKED_MAX).map(|_| ask()).find(|answer| wanted(answer)).expect("it comes in time")
}

/// A small disk in a mount namespace of its own, which goes with the process that holds it.
struct Disk {
    holder: Child,
    place: tempfile::TempDir,
}

impl Disk {
    /// None where that isn't allowed.
    fn mount(size: &str) -> Option<Disk> {
        let place = tempfile::tempdir().unwrap();
        // It lives as long as its stdin, so that it doesn't outlive us however we end.
        let script = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" && echo mounted && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let _ = BufReader::new(holder.stdout.take()?).read_line(&mut line);
        let disk = Disk { holder, place };
        (line.trim() == "mounted").then_some(disk)
    }

    /// Starts a server whose folder is the disk.
    fn start(&self) -> Result<Node, Refusal> {
        let server = up(BINARY, self.place.path());
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id())).arg(BINARY).args(server.get_args());
        Node::launch(command)
    }

    /// The disk as it is seen from outside.
    fn inside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.place.path().strip_prefix("/").expect("an absolute path"))
    }

    /// Takes all room.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.inside().join("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    /// Gives the room back.
    fn free(&self) {
        fs::remove_file(self.inside().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
