//! The compiled binary against a server that says what the test wants: exit codes, what goes to stdout and what to
//! stderr, and what travels.

#![allow(clippy::unwrap_used, reason = "a test that can't go on stops")]

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/gates.rs"]
mod gates;
#[path = "cli/rollouts.rs"]
mod rollouts;
#[path = "cli/scan.rs"]
mod scan;
#[path = "cli/sim.rs"]
mod sim;
#[path = "cli/stub.rs"]
mod stub;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use stub::{Reply, Stub};

const DIGEST: &str = "sha256:1743b50f2728eed52d5ec8466b80991f1ede7ca20721ce5dad91303b6ba6aa68";
/// Nobody listens on the discard port of loopback.
const NOBODY: &str = "http://127.0.0.1:9";

fn pinrail(url: &str, args: &[&str]) -> Output {
    command(url, args).output().unwrap()
}

fn command(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinrail"));
    command.env_clear().env("PINRAIL_URL", url).env("TERM", "dumb").args(args);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let problem = r#"{"type":"urn:pinrail:problem:held","title":"a hold is set","status":409,"code":"held",
        "detail":"support is held","next_step":"pinrail hold lift support"}"#;
    let verified = |whole: bool| {
        let broken = if whole { "" } else { r#","broken":{"seq":3,"what":"entry 3 is broken"}"# };
        Reply::ok(&format!(r#"{{"whole":{whole},"entries":2,"head":"{DIGEST}"{broken}}}"#))
    };
    let check = |reply: Reply, args: &[&str], expected: i32, says: &str| {
        let stub = Stub::new(move |_| Some(reply.clone()));
        let output = pinrail(&stub.url, args);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{args:?}: {all}");
        assert!(all.contains(says), "{args:?}: {all}");
    };
    let deploy = ["deploy", "support=4f1c22", "--now"];
    check(Reply::ok(r#"{"epoch":1,"seq":2,"pointers":[]}"#), &["pointers"], 0, "nothing is deployed");
    check(
        Reply::new(409, problem),
        &deploy,
        1,
        "error[held]: support is held\n  next: pinrail hold lift support",
    );
    check(
        Reply::new(502, "<html>bad gateway"),
        &["pointers"],
        1,
        "answered 502 with something that is not Pinrail's",
    );
    check(Reply::ok("{}"), &["pointers"], 1, "not Pinrail's");
    check(verified(true), &["ledger", "verify"], 0, "whole: 2 entries");
    check(verified(false), &["ledger", "verify"], 4, "BROKEN at entry 3");
    check(verified(true), &["ledger", "verify", "--expect-head", DIGEST], 0, "is entry 2");
    check(verified(true), &["run", "list", "--since", "yesterday"], 2, "is not a time");
    check(verified(true), &["deploy", "support"], 2, "expected AGENT=RELEASE");
    let deploy_twice = ["deploy", "support=4f1c22", "--now", "--plan", "p.toml"];
    check(verified(true), &deploy_twice, 2, "cannot be used with");
    check(verified(true), &["deploy", "support=4f1c22", "--weight", "-5%"], 2, "from 0% to 100%");
    check(verified(true), &["key", "revoke", "pr_4f1c_x"], 2, "error[usage]: a key's id is 12 hex digits");
    check(verified(true), &["--help"], 0, "Exit codes:");
    let output = pinrail(NOBODY, &["pointers"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("start one with `pinrail up`"), "{}", text(&output.stderr));
    assert_eq!(pinrail("127.0.0.1:7070", &["pointers"]).status.code(), Some(2));
}

#[test]
fn json_is_the_servers_own_and_alone_on_stdout() {
    // Spaces and unknown fields show that nothing is rewritten.
    let body = r#"{ "epoch":1, "seq" : 2,"pointers":[ ], "later": 1.50 }"#;
    let stub = Stub::new(move |_| Some(Reply::ok(body)));
    let output = pinrail(&stub.url, &["pointers", "--json"]);
    assert_eq!(text(&output.stdout), format!("{body}\n"));
    assert_eq!(text(&output.stderr), "");

    let problem = r#"{"type":"urn:pinrail:problem:not_found","title":"t","status":404,"code":"not_found","detail":"no"}"#;
    let stub = Stub::new(move |_| Some(Reply::new(404, problem)));
    let output = pinrail(&stub.url, &["agent", "show", "x", "--json"]);
    assert_eq!(text(&output.stdout), "");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&error["code"], &error["detail"]), (&"not_found".into(), &"no".into()));
}

#[test]
fn a_call_that_was_cut_off_is_sent_once_more_with_the_same_idempotency_key() {
    let answer = r#"{"agent":"support","segment":"default","seq":9}"#;
    let stub = Stub::new(move |count| (count > 0).then(|| Reply::ok(answer)));
    let output = pinrail(&stub.url, &["hold", "lift", "support", "--reason", "fixed"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let requests = stub.requests();
    let keys: Vec<_> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(requests[0].body, requests[1].body);

    let stub = Stub::new(|_| None);
    let output = pinrail(&stub.url, &["hold", "lift", "support", "--reason", "fixed"]);
    assert_eq!((output.status.code(), stub.requests().len()), (Some(3), 2), "once more, not for ever");
}

#[test]
fn the_key_travels_and_is_never_shown() {
    let stub = Stub::new(|_| {
        Some(Reply::new(
            401,
            r#"{"type":"urn:pinrail:problem:unauthenticated","title":"t","status":401,"code":"unauthenticated","detail":"no valid key"}"#,
        ))
    });
    let output = command(&stub.url, &["pointers"]).env("PINRAIL_KEY", "pr_secret").output().unwrap();
    assert_eq!(stub.requests()[0].header("authorization"), Some("Bearer pr_secret"));
    assert_eq!(stub.requests()[0].header("idempotency-key"), None, "reading changes nothing");
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(all.contains("error[unauthenticated]") && !all.contains("pr_secret"), "{all}"); // I15
}

#[test]
fn a_new_token_is_alone_on_stdout() {
    let stub = Stub::new(|_| Some(Reply::ok(r#"{"key":"4f1c22aa9b03","token":"pr_4f1c22aa9b03_x"}"#)));
    let output = pinrail(&stub.url, &["key", "create", "ci", "--scope", "deploy", "--tenant", "acme"]);
    assert_eq!(text(&output.stdout), "pr_4f1c22aa9b03_x\n");
    assert!(text(&output.stderr).contains("the only time"));
    let body: serde_json::Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({ "name": "ci", "scopes": ["deploy"], "tenants": ["acme"], "reason": "" })
    );
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let body = r#"{"items":[{"agent":"a","spec":{"description":"\u001b[2Jgone"}}]}"#;
    let stub = Stub::new(move |_| Some(Reply::ok(body)));
    let output = pinrail(&stub.url, &["agent", "list"]);
    assert!(!output.stdout.contains(&0x1b) && text(&output.stdout).contains("gone"));
}

#[test]
fn init_keeps_what_exists_and_says_what_it_replaces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agents/support/agent.toml");
    let init = |more: &[&str]| {
        let args = [&["init", dir.path().to_str().unwrap()], more].concat();
        String::from_utf8(pinrail(NOBODY, &args).stdout).unwrap()
    };
    assert_eq!(init(&[]).matches("created").count(), 6);
    assert_eq!(init(&[]).matches("unchanged").count(), 6);
    std::fs::write(&path, "mine").unwrap();
    assert!(init(&[]).contains("kept       agents/support/agent.toml"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    assert!(init(&["--force"]).contains("replaced   agents/support/agent.toml"));
    assert_ne!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn files_are_checked_before_a_server_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let output = pinrail(NOBODY, &["apply", "-f", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no pinrail.toml here; `pinrail init` makes one"));
    pinrail(NOBODY, &["init", path]);
    std::fs::write(dir.path().join("pinrail.toml"), "[providers.sim]\nbase_ulr = 'sim:'\n").unwrap();
    let output = pinrail(NOBODY, &["apply", "-f", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("pinrail.toml:2: providers.sim.base_ulr"),
        "{}",
        text(&output.stderr)
    );
    std::fs::write(dir.path().join("pinrail.toml"), "[providers.sim]\nbase_url = 'sim:'\n").unwrap();
    assert_eq!(pinrail(NOBODY, &["apply", "-f", path]).status.code(), Some(3));
}

#[test]
fn a_model_that_the_tier_refuses_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    pinrail(NOBODY, &["init", path]);
    let release = dir.path().join("agents/support/release.toml");
    let floating = std::fs::read_to_string(&release).unwrap().replace("sim-1-2026-01-15", "sim-1");
    std::fs::write(&release, &floating).unwrap();
    let line = floating.lines().position(|line| line.starts_with("snapshot")).unwrap() + 1;
    let missing = r#"{"type":"urn:pinrail:problem:not_found","title":"t","status":404,"code":"not_found","detail":"no"}"#;
    // No providers, no MCP servers, no agents, no webhooks, no such release.
    let stub = Stub::new(move |count| {
        Some(if count < 4 { Reply::ok(r#"{"items":[]}"#) } else { Reply::new(404, missing) })
    });
    let output = pinrail(&stub.url, &["apply", "-f", path]);
    let said = text(&output.stderr);
    let expected = format!("agents/support/release.toml:{line}: model.snapshot: tier standard refuses");
    assert!(said.contains(&expected) && said.contains("error[bad_files]"), "{said}");
}

#[test]
fn a_run_says_in_words_how_it_got_its_deployment() {
    let run = r#"{"run":"run_01k0zv7v8m4t1x9n3q2b5d6f7h","stamp":{"run":"run_01k0zv7v8m4t1x9n3q2b5d6f7h",
        "agent":"support","tenant":"default","deployment":3,"release":"DIGEST","segment":"default","epoch":6,
        "via":{"bucket":380},"provider":"sim","snapshot":"sim-1"},"summary":{"status":"running","next":1,
        "started_at":1,"last_at":1,"calls":0,"input_tokens":0,"output_tokens":0,"cost_nano_usd":0,"drifted":false}}"#;
    let run = run.replace("DIGEST", DIGEST);
    let none = r#"{"run":"run_01k0zv7v8m4t1x9n3q2b5d6f7h","events":[],"next":0,"status":"running"}"#;
    let stub = Stub::new(move |count| Some(Reply::ok(if count == 0 { &run } else { none })));
    let output = pinrail(&stub.url, &["run", "show", "run_01k0zv7v8m4t1x9n3q2b5d6f7h"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("3 (segment default, epoch 6, bucket 380)"), "{shown}{}", text(&output.stderr));
}

#[test]
fn a_drain_lists_what_blocks_it_and_how_many_more() {
    let body = r#"{"deployment":3,"state":"superseded","releases":{},"segment":"default","reason":"","opened_at":1,
        "replaced":{},"drain":{"open":{"queued":0,"running":21,"paused":0,"parked":0},"drained":false,"more":20,
        "blocking":[{"run":"run_01k0zv7v8m4t1x9n3q2b5d6f7h","agent":"support","status":"running","since":1}]}}"#;
    let stub = Stub::new(move |_| Some(Reply::ok(body)));
    let output = pinrail(&stub.url, &["deployment", "show", "3"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("support  running, began ") && !shown.contains("since"), "{shown}");
    assert!(shown.contains("… and 20 more: pinrail run list --deployment 3"), "{shown}");
}

#[test]
fn a_server_whose_stdout_nobody_reads_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, nobody) = std::io::pipe().unwrap();
    drop(reader);
    let mut up = command(NOBODY, &["up", "--listen", "127.0.0.1:0", "--dir", dir.path().to_str().unwrap()])
        .env("PINRAIL_LOG", "debug")
        .stdout(nobody)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(up.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("nobody reads stdout")));
    let id = up.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(said.any(|line| line.unwrap().contains("stopped")));
    assert_eq!(up.wait().unwrap().code(), Some(0));
}

#[test]
fn doctor_names_each_trouble_and_its_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let project =
        "[providers.up]\nbase_url = 'http://127.0.0.1:9/v1'\nkey_env = 'UP_KEY'\ncatalogue = 'openai'\n";
    std::fs::write(dir.path().join("pinrail.toml"), project).unwrap();
    let output = pinrail(NOBODY, &["doctor", "--dir", dir.path().to_str().unwrap()]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(4), "{shown}");
    for expected in [
        "ok     files",
        "ok     data",
        "ERROR  server",
        "next: start one with `pinrail up`",
        "ERROR  key        up: UP_KEY is not set in this environment",
        "ERROR  provider   up: 127.0.0.1:9 cannot be reached",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    let output = pinrail(NOBODY, &["doctor", "--json", "--dir", dir.path().to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["errors"], 3);
}

#[test]
fn a_model_is_explained_without_a_server() {
    let output = pinrail(NOBODY, &["model", "check", "gpt-4o"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("floating: ") && shown.contains("gpt-4o-2024-08-06"), "{shown}");
    let output = pinrail(NOBODY, &["model", "check", "sim-1-2026-01-15", "--provider", "sim", "--json"]);
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers[0]["identity"], "pinned");
}
