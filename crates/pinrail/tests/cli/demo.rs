//! The demo: the whole story, as programs read it, and what keeps it from being told.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{NOBODY, command, pinrail, text};

/// Every step of the story, in its order.
const STEPS: [&str; 38] = [
    "started",
    "chapter",
    "floating",
    "moved",
    "drift_found",
    "behaviour_changed",
    "nobody_deployed",
    "chapter",
    "model_refused",
    "pinned",
    "no_drift",
    "chapter",
    "opened",
    "gate_passed",
    "shadowed",
    "promoted",
    "chapter",
    "opened",
    "gate_passed",
    "poisoned",
    "contained",
    "complaints",
    "rolled_back",
    "flip",
    "hidden",
    "blast_radius",
    "verified",
    "same_as_before",
    "held",
    "chapter",
    "full",
    "read_only",
    "off",
    "full_again",
    "chapter",
    "ledger_verified",
    "what_you_saw",
    "over",
];

/// A demo on a free port, whose temporary folder is made in `home`.
fn demo(home: &Path, args: &[&str]) -> Command {
    let args = [&["demo", "--listen", "127.0.0.1:0"], args].concat();
    let mut command = command(NOBODY, &args);
    command.env("TMPDIR", home);
    command
}

fn is_empty(dir: &TempDir) -> bool {
    std::fs::read_dir(dir.path()).unwrap().next().is_none()
}

#[test]
fn the_whole_story_comes_out_as_it_is_told() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &["--fast", "--json"]).output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}");
    let steps: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS, "{said}");
    let of = |name: &str| steps.iter().rev().find(|step| step["step"] == name).unwrap();
    let drift = of("drift_found");
    assert_eq!(
        (&drift["served_before"], &drift["served_now"]),
        (&"sim-1-2026-01-15".into(), &"sim-1-2026-06-01".into())
    );
    assert_eq!(of("model_refused")["code"], "model_refused");
    assert_eq!((&of("no_drift")["drifted"], &of("no_drift")["findings_open"]), (&0.into(), &0.into()));
    assert_eq!(of("promoted")["actor"]["kind"], "system");
    assert_eq!(of("gate_passed")["verdict"], "pass", "the bad candidate passes its gate");
    assert_eq!(of("rolled_back")["actor"]["kind"], "system");
    assert!(of("hidden")["layers"]["vectors"]["puts"].as_u64().unwrap() > 0);
    assert_eq!(of("hidden")["turns_of_the_candidate"], 0);
    assert_eq!(of("blast_radius")["reach"]["misled_runs"], 0); // I4
    assert_eq!((&of("verified")["holds"], &of("same_as_before")["searches_same"]), (&true.into(), &3.into()));
    assert_eq!((&of("off")["status"], &of("off")["others"]), (&503.into(), &200.into()));
    assert_eq!(of("ledger_verified")["whole"], true);
    assert!(is_empty(&home), "its folder is removed");
}

#[test]
fn a_demo_that_cannot_begin_says_why_and_leaves_things_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    let path = dir.path().to_str().unwrap();
    let output = pinrail(NOBODY, &["demo", "--dir", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error[dir_not_empty]"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let output =
        command(NOBODY, &["demo", "--listen", &address]).env("TMPDIR", home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error[cannot_listen]"), "{}", text(&output.stderr));
    let output =
        command(NOBODY, &["demo", "--listen", "0.0.0.0:0"]).env("TMPDIR", home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error[no_keys]"), "{}", text(&output.stderr));
    assert!(is_empty(&home));
}

#[test]
fn ctrl_c_ends_it_at_any_time_and_nothing_is_left() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = tempfile::tempdir().unwrap();
        let mut playing =
            demo(home.path(), &["--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(playing.stdout.take().unwrap()).lines();
        assert!(lines.next().unwrap().unwrap().contains("\"started\""));
        kill_process(Pid::from_child(&playing), signal).unwrap();
        assert_eq!(playing.wait().unwrap().code(), Some(130));
        assert!(is_empty(&home));
    }
}
