//! Gateway calls that a kill cuts off: no run without its plan, no answer before a critical stamp is on disk, and
//! whoever was cut off is closed as failed at the next start.

use std::path::Path;

use serde_json::Value;

use crate::client::Client;
use crate::node::{Node, copy};
use crate::provider::Provider;
use crate::seen::{Seen, follow, journal};
use crate::stage::{CHAT, CRITICAL, STANDARD, Stage, chat};

#[test]
fn a_call_that_meets_a_crash_leaves_no_run_or_one_that_failed() {
    let provider = Provider::start();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    Stage::set(&node.client, Some(&provider.base_url));
    let seen = Seen::look(&node.client, dir.path());
    node.kill();
    provider.hold_silently();
    for stream in [false, true] {
        // A critical stamp is on disk before the provider hears of the call (I3, I9).
        let (asked, runs) = crash(dir.path(), &seen, &provider, CRITICAL, stream, "journal.before_commit:1");
        assert_eq!((asked, runs.len()), (0, 0));
        let (asked, runs) = crash(dir.path(), &seen, &provider, CRITICAL, stream, "journal.after_commit:1");
        assert_eq!((asked, runs.len()), (0, 1));
        // A standard one follows while the call is under way.
        let (_, runs) = crash(dir.path(), &seen, &provider, STANDARD, stream, "journal.before_commit:1");
        assert_eq!(runs.len(), 0);
        let (_, runs) = crash(dir.path(), &seen, &provider, STANDARD, stream, "journal.after_commit:1");
        assert_eq!(runs.len(), 1);
    }
    provider.release();
}

#[test]
fn calls_cut_off_in_the_middle_are_closed_and_other_runs_go_on() {
    let provider = Provider::start();
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    let stage = Stage::set(&node.client, Some(&provider.base_url));
    provider.hold();
    let calls: Vec<_> = [STANDARD, CRITICAL, STANDARD]
        .map(|agent| {
            let mut call = node.client.stream(CHAT, &chat(agent, true)).unwrap();
            assert!(call.line().unwrap().unwrap().contains("one"));
            (call.header("x-pinrail-run").to_owned(), call)
        })
        .into();
    // Also a call of a run that its caller manages.
    let body = chat(STANDARD, false);
    let joined = [("x-pinrail-run", stage.running.as_str())];
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| node.client.send("POST", CHAT, &joined, Some(&body)));
        calls.iter().for_each(|(run, _)| follow(&node.client, run, "plan"));
        follow(&node.client, &stage.running, "model_request");
        let mut seen = Seen::look(&node.client, dir.path());
        for (run, _) in &calls {
            assert_eq!(seen.runs[run].summary["status"], "running", "{:?}", seen.runs[run].events);
        }
        node.kill();
        assert!(joining.join().unwrap().is_err());

        let node = Node::start(dir.path());
        assert_eq!(node.calls_closed(), 3);
        seen.look_again(&node.client, dir.path());
        for (run, call) in calls {
            assert_failed(&seen.runs[&run].summary, &journal(&node.client, &run));
            assert!(call.rest().is_err(), "an answer that was cut off doesn't look whole");
        }
        for open in [&stage.running, &stage.paused, &stage.queued] {
            let resumed =
                node.client.send("POST", &format!("/api/v1/runs/{open}/resume"), &[], None).unwrap();
            assert_eq!(resumed.ok()["stamp"], seen.runs[open].stamp); // I2
        }
        provider.release();
        let again = node.client.send("POST", CHAT, &joined, Some(&body)).unwrap();
        assert_eq!(again.header("x-pinrail-run"), Some(stage.running.as_str()));
        again.ok();
        node.kill();
    });
    let node = Node::start(dir.path());
    assert_eq!(node.calls_closed(), 0, "the next start has nothing to close");
}

/// Drives a call into a point; gives how often the provider was asked, and the runs that are left of it.
fn crash(
    base: &Path,
    seen: &Seen,
    provider: &Provider,
    agent: &str,
    stream: bool,
    point: &str,
) -> (u64, Vec<Value>) {
    eprintln!("{agent}, stream {stream}, at {point}");
    let asked_before = provider.calls();
    let dir = copy(base);
    let node = Node::doomed(dir.path(), point);
    assert!(call(&node.client, agent, stream).is_none(), "the answer is held, so there is none");
    node.wait_for_crash();
    let asked = provider.calls() - asked_before;

    let node = Node::start(dir.path());
    let mut seen = seen.clone();
    seen.look_again(&node.client, dir.path());
    let runs = node.client.all("/api/v1/runs?single=true", "before");
    assert_eq!(node.calls_closed(), runs.len() as u64);
    for run in &runs {
        let events = journal(&node.client, run["run"].as_str().unwrap());
        assert_failed(&run["summary"], &events);
    }
    (asked, runs)
}

fn call(client: &Client, agent: &str, stream: bool) -> Option<Value> {
    let answer = client.send("POST", CHAT, &[], Some(&chat(agent, stream))).ok()?;
    Some(answer.ok())
}

fn assert_failed(summary: &Value, events: &[Value]) {
    assert_eq!((&summary["status"], &summary["outcome"]), (&"finished".into(), &"error".into()));
    let end = events.last().unwrap();
    assert_eq!(end["type"], "finished");
    assert!(end["why"].as_str().unwrap().contains("pinrail stopped"), "{end}");
}
