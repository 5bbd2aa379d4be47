//! The binary against itself: a server in an own folder, and every step from files to a rollback.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// A server that is killed when the test ends, however it ends.
struct Up {
    child: Child,
    url: String,
    /// Kept open: the server says more than its address.
    _stdout: BufReader<ChildStdout>,
}

impl Up {
    fn start(dir: &Path) -> Up {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pinrail"))
            .env_clear()
            .args(["up", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let url = line.trim().rsplit_once(' ').map(|(_, url)| url.to_owned());
        let Some(url) = url else {
            let _ = child.kill();
            panic!("the server said {line:?}");
        };
        Up { child, url, _stdout: stdout }
    }

    fn pinrail(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinrail"));
        command.env_clear().env("PINRAIL_URL", &self.url).args(args).output().unwrap()
    }

    /// What a command that must be done prints.
    fn done(&self, args: &[&str]) -> String {
        let output = self.pinrail(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        text(&output.stdout)
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[args, &["--json"]].concat())).unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_become_releases_and_a_rollback_takes_one_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let init = Command::new(env!("CARGO_BIN_EXE_pinrail")).args(["init", path]).output().unwrap();
    assert!(init.status.success());
    let up = Up::start(dir.path());

    // The second apply changes nothing, in the ledger either.
    let dry = up.json(&["apply", "-f", path, "--dry-run"]);
    assert_eq!(dry["changed"], 3, "{dry}");
    assert_eq!(up.json(&["apply", "-f", path])["changed"], 3);
    let seq = up.json(&["pointers"])["seq"].clone();
    let again = up.json(&["apply", "-f", path]);
    assert_eq!((&again["changed"], &up.json(&["pointers"])["seq"]), (&0.into(), &seq), "{again}");
    assert!(!up.done(&["apply", "-f", path]).contains("created"));

    let first = up.json(&["release", "list", "--agent", "support"])["items"][0].clone();
    let a = first["short"].as_str().unwrap().to_owned();
    assert!(up.done(&["deploy", &format!("support={a}"), "--now"]).contains("deployment 1 is active"));

    // A second release is another prompt, shown word by word.
    let prompt = dir.path().join("agents/support/prompts/system.md");
    let text = std::fs::read_to_string(&prompt).unwrap();
    std::fs::write(&prompt, text.replace("brief and kind", "brief and blunt")).unwrap();
    let made = up.json(&["release", "create", "support", "-f", path, "--reason", "shorter"]);
    let b = made["short"].as_str().unwrap().to_owned();
    let diff = up.done(&["release", "diff", &a[..6], &b[..6]]);
    assert!(diff.contains("[-kind-]{+blunt+}"), "{diff}");

    assert!(
        up.done(&["deploy", &format!("support={b}"), "--weight", "5%"])
            .contains("deployment 2 is a candidate at 5%")
    );
    up.done(&["deployment", "weight", "2", "100%"]);
    let run = up.json(&["run", "create", "support", "--session", "s-1", "--attribute", "plan=gold"]);
    assert_eq!(run["deployment"], 2);
    let run = run["run"].as_str().unwrap();

    let back = up.done(&["deployment", "rollback", "2", "--reason", "too blunt"]);
    assert!(
        back.contains("deployment 2 is rolled back") && back.contains("active is deployment 1"),
        "{back}"
    );
    assert!(back.contains("1 open run"), "{back}");
    // I2: the run finishes on what it started with.
    assert_eq!(up.json(&["run", "resume", run])["stamp"]["deployment"], 2);
    up.done(&["run", "finish", run, "--outcome", "ok"]);
    let shown = up.done(&["run", "show", run]);
    assert!(shown.contains("finished (ok)") && shown.contains("   0  "), "{shown}");
    assert!(up.done(&["run", "tail", run]).contains("finished"));
    assert!(up.done(&["deployment", "show", "2"]).contains("drained"));

    // A hold refuses what comes next, until it is lifted.
    let refused = up.pinrail(&["deploy", &format!("support={b}"), "--now"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("error[held]"));
    up.done(&["hold", "lift", "support", "--reason", "the prompt is kind again"]);

    // What was exported verifies without the server.
    let verified = up.json(&["ledger", "verify"]);
    let head = verified["head"].as_str().unwrap();
    let export = up.done(&["ledger", "export"]);
    let file = dir.path().join("ledger.jsonl");
    std::fs::write(&file, &export).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(up.json(&["ledger", "verify", "--file", file, "--expect-head", head])["head"], head);
    std::fs::write(file, export.replace("too blunt", "too kind!")).unwrap();
    assert_eq!(up.pinrail(&["ledger", "verify", "--file", file]).status.code(), Some(4));
    assert!(up.done(&["ledger", "show"]).contains("too blunt"));

    for list in [
        &["agent", "list"][..],
        &["provider", "list"],
        &["key", "list"],
        &["deployment", "list"],
        &["run", "list"],
    ] {
        up.done(list);
    }
    let doctor = up.done(&["doctor", "--dir", path]);
    assert!(doctor.contains("is ready") && doctor.contains("0 errors"), "{doctor}");
}

#[test]
fn suites_are_stored_and_pinned_and_their_cases_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let up = Up::start(dir.path());
    let _ = Command::new(env!("CARGO_BIN_EXE_pinrail")).args(["init", path]).output().unwrap();
    let first = up.done(&["apply", "-f", path]);
    assert!(first.contains("created    suite     support/answers: 3 cases"), "{first}");
    let step = |report: &Value| {
        let steps = report["steps"].as_array().unwrap();
        steps.iter().filter(|step| step["kind"] == "suite").cloned().collect::<Vec<_>>()
    };
    let unchanged =
        serde_json::json!({ "kind": "suite", "name": "support/answers", "change": "unchanged", "cases": 3 });
    assert_eq!(step(&up.json(&["apply", "-f", path])), [unchanged]);

    // The digest is the one that a check says, and what is stored under it is the suite.
    let file = dir.path().join("agents/support/evals/answers.yaml");
    let check = up.json(&["gate", "suite", "check", file.to_str().unwrap()])["suites"][0].clone();
    assert_eq!((&check["cases"], &check["assertions"]["contains"]), (&3.into(), &2.into()), "{check}");
    let pinned = up.json(&["agent", "show", "support"])["spec"]["gate"]["suites"].clone();
    let expected = serde_json::json!([{ "name": "answers", "kind": "success", "digest": check["digest"] }]);
    assert_eq!(pinned, expected);

    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("tests:\n", "tests:\n  - vars: { input: \"What is 2 + 2?\" }\n"))
        .unwrap();
    let settings = dir.path().join("agents/support/agent.toml");
    let written = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, written.replace("tier = \"standard\"", "tier = \"critical\"")).unwrap();
    let dry = up.pinrail(&["apply", "-f", path, "--dry-run"]);
    let told = String::from_utf8(dry.stdout).unwrap();
    assert!(told.contains("updated    suite     support/answers: 4 cases (was 3)"), "{told}");
    let warned = String::from_utf8(dry.stderr).unwrap();
    assert!(warned.contains("needs a passing gate of kind regression and of kind safety"), "{warned}");
    up.done(&["apply", "-f", path]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(step(&up.json(&["apply", "-f", path]))[0]["change"], "removed");
}

#[test]
fn a_suite_that_cannot_be_read_is_told_with_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("refunds.yaml");
    let check = |text: &str, args: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_pinrail"))
            .args(["gate", "suite", "check", file.to_str().unwrap()])
            .args(args)
            .output()
            .unwrap();
        let say = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), say(output.stdout), say(output.stderr))
    };
    let (code, shown, _) =
        check("tests: [{vars: {input: q}, assert: [{type: contains, value: a}]}]", &["--kind", "safety"]);
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("refunds (") && shown.contains("1 contains") && shown.contains("sha256:"),
        "{shown}"
    );
    let (code, shown, told) = check("tests: [{vars: {input: q}, assert: [{type: contain, value: a}]}]", &[]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert!(told.contains("refunds.yaml:1:1: kind is missing"), "{told}");
    assert!(told.contains("refunds.yaml:1:38: tests[0].assert[0].type is `contain`"), "{told}");
    let (code, shown, _) = check("kind: safety\ntests: [{vars: {x: q}}]", &["--json"]);
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &report["whole"]), (Some(1), &false.into()));
    assert_eq!(report["suites"][0]["faults"][0]["line"], 2);
}

#[test]
fn what_is_not_in_the_files_is_removed_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let up = Up::start(dir.path());
    let _ = Command::new(env!("CARGO_BIN_EXE_pinrail")).args(["init", path]).output().unwrap();
    up.done(&["apply", "-f", path]);
    std::fs::rename(dir.path().join("agents/support"), dir.path().join("agents/helpdesk")).unwrap();
    let change_of = |report: &Value, name: &str| {
        let steps = report["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["kind"] == "agent" && step["name"] == name);
        step.map(|step| step["change"].as_str().unwrap().to_owned())
    };
    let report = up.json(&["apply", "-f", path]);
    assert_eq!(change_of(&report, "support").as_deref(), Some("extra"), "{report}");
    assert_eq!(change_of(&report, "helpdesk").as_deref(), Some("created"), "{report}");
    // The example agent of a first start is served, so it is not the files' to remove: said, and nothing lost.
    let refused = up.pinrail(&["apply", "-f", path, "--prune"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("in_use"));
}

#[test]
fn a_webhook_of_the_files_is_told_of_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let _ = Command::new(env!("CARGO_BIN_EXE_pinrail")).args(["init", path]).output().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let answers = ["204 No Content", "410 Gone", "410 Gone", "204 No Content"];
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            let mut request = BufReader::new(&stream);
            let (mut line, mut bytes) = (String::new(), 0);
            while line != "\r\n" {
                line.clear();
                request.read_line(&mut line).unwrap();
                bytes =
                    line.strip_prefix("content-length:").map_or(bytes, |text| text.trim().parse().unwrap());
            }
            request.read_exact(&mut vec![0; bytes]).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    let file = dir.path().join("pinrail.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let hook = |more: &str| format!("{settings}\n[webhooks.chat]\nurl = '{url}'\n{more}\n");
    let up = Up::start(dir.path());
    std::fs::write(&file, hook("events = ['provider_removd']")).unwrap();
    let refused = up.pinrail(&["apply", "-f", path]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("webhooks.chat.events cannot be used") && said.contains("provider_removed"),
        "{said}"
    );
    std::fs::write(&file, hook("agents = ['supprt']")).unwrap();
    let refused = up.pinrail(&["apply", "-f", path]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("no agent here or on the server"));

    std::fs::write(&file, hook("events = ['hold_*', 'weight_set', 'provider_*']")).unwrap();
    assert_eq!(up.json(&["apply", "-f", path])["changed"], 4);
    assert_eq!(up.json(&["apply", "-f", path])["changed"], 0);
    assert!(up.done(&["webhook", "test", "chat"]).contains("it answered 204"));
    let refused = up.pinrail(&["webhook", "test", "chat"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("error[not_delivered]"));

    let provider = "\n[providers.extra]\nbase_url = 'sim:'\ncatalogue = 'sim'\n";
    std::fs::write(&file, hook("events = ['hold_*', 'weight_set', 'provider_*']") + provider).unwrap();
    up.done(&["apply", "-f", path]);
    let shown = || up.json(&["webhook", "show", "chat"]);
    while shown()["dead_letters"] != 1 {}
    let letters = up.done(&["webhook", "dead-letters", "chat"]);
    assert!(letters.contains("the receiver answered 410"), "{letters}");
    assert!(up.done(&["webhook", "list"]).contains("chat"));
    assert_eq!(up.done(&["webhook", "retry", "chat", "--all"]).trim(), "1 delivered, 0 left");
    assert!(up.done(&["webhook", "dead-letters", "chat"]).contains("no dead letters"));
    assert!(up.done(&["webhook", "show", "chat"]).contains("the newest"));
    std::fs::write(&file, &settings).unwrap();
    let report = up.done(&["apply", "-f", path]);
    assert!(report.contains("extra      webhook   chat"), "{report}");
    assert!(up.done(&["apply", "-f", path, "--prune"]).contains("removed    webhook   chat"));
    assert_eq!(up.pinrail(&["webhook", "show", "chat"]).status.code(), Some(1));
}

#[test]
fn a_key_closes_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let token = up.done(&["key", "create", "ops", "--scope", "admin"]);
    assert_eq!(up.pinrail(&["key", "list"]).status.code(), Some(1));
    let listed = Command::new(env!("CARGO_BIN_EXE_pinrail"))
        .env_clear()
        .env("PINRAIL_URL", &up.url)
        .env("PINRAIL_KEY", token.trim())
        .args(["key", "list"])
        .output()
        .unwrap();
    assert!(listed.status.success() && String::from_utf8(listed.stdout).unwrap().contains("admin"));
}

#[test]
fn the_first_key_can_be_made_before_any_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let make = || {
        Command::new(env!("CARGO_BIN_EXE_pinrail"))
            .env_clear()
            .args(["key", "create", "ops", "--scope", "admin", "--offline"])
            .arg(dir.path())
            .output()
            .unwrap()
    };
    let made = make();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let token = String::from_utf8(made.stdout).unwrap();
    let up = Up::start(dir.path());
    assert_eq!(up.pinrail(&["key", "list"]).status.code(), Some(1));
    let listed = Command::new(env!("CARGO_BIN_EXE_pinrail"))
        .env_clear()
        .env("PINRAIL_URL", &up.url)
        .env("PINRAIL_KEY", token.trim())
        .args(["key", "list"])
        .output()
        .unwrap();
    assert!(listed.status.success());
    // A running server's folder is its own.
    let refused = make();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("another pinrail"), "{said}");
}

#[test]
fn a_member_follows_a_rollback_and_readiness_says_what_is_amiss() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    // The example's first deployment has nothing before it.
    let output = up.pinrail(&["readiness"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(4) && said.contains("MISSED   rollback target"), "{said}");

    let mut join = Command::new(env!("CARGO_BIN_EXE_pinrail"))
        .env_clear()
        .env("PINRAIL_URL", &up.url)
        .args(["member", "join", "--name", "w", "--lease-ms", "300000", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(join.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut next = |event: &str| {
        let told = told.next().unwrap();
        assert_eq!(told["event"], event, "{told}");
        told
    };
    next("registered");
    let releases = up.json(&["release", "list", "--agent", "hello"]);
    let idle = releases["items"].as_array().unwrap().iter().find(|release| release["live"] != true).unwrap();
    let release = format!("hello={}", idle["short"].as_str().unwrap());
    up.done(&["deploy", &release, "--now"]);
    let deployed = next("acknowledged")["epoch"].as_u64().unwrap();
    let readiness: Value = serde_json::from_slice(&up.pinrail(&["readiness", "--json"]).stdout).unwrap();
    assert_eq!(readiness["indicators"][0]["met"], "yes", "{readiness}");
    up.done(&["deployment", "rollback", "2", "--reason", "odd"]);
    assert_eq!(next("acknowledged")["epoch"], deployed + 1);
    let acks = up.done(&["member", "acks"]);
    assert!(
        acks.contains("deployment rolled back, deployment 2") && acks.contains("2 of 2 acknowledged"),
        "{acks}"
    );
    assert!(up.done(&["member", "list"]).contains("self"));
    assert!(Command::new("kill").args(["-INT", &join.id().to_string()]).status().unwrap().success());
    next("left");
    assert_eq!(join.wait().unwrap().code(), Some(0));
}
