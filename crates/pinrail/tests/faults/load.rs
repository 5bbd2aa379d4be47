//! Killed at random moments under load: nothing acknowledged is lost, nothing is half there, nothing happens twice.
//!
//! Several clients create runs, append, finish, call the gateway and change deployments, and note every answer. The
//! kill comes with the n-th answer, so no clock is involved; what the seed doesn't decide is how the clients'
//! requests fall between each other.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::node::Node;
use crate::seen::Seen;
use crate::stage::Stage;

mod draw;
mod worker;

use draw::Draw;
use worker::{Ack, Request, Worker};

/// Each plays its own folder.
const SEEDS: [u64; 3] = [1, 20_261, 0x5eed];
/// Kills of one folder.
const ROUNDS: u64 = 4;
/// Clients at once.
const CLIENTS: u64 = 4;
/// Answers before a kill: the least, and how many more there may be.
const ANSWERS: (u64, u64) = (40, 160);

/// A seed of one's own, to play again what failed.
const SEED: Option<&str> = option_env!("PINRAIL_FAULTS_SEED");

#[test]
fn what_was_acknowledged_survives_kills_under_load() {
    let seeds = SEED.map_or(SEEDS.to_vec(), |seed| vec![seed.parse().expect("a seed is a number")]);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            eprintln!("play it again: PINRAIL_FAULTS_SEED={seed} cargo test -p pinrail --test faults load");
            resume_unwind(panic);
        }
    }
}

fn play(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut draw = Draw::new(seed);
    let mut node = Node::start(dir.path());
    let stage = Stage::set(&node.client, None);
    let mut seen = Seen::look(&node.client, dir.path());
    let mut workers: Vec<Worker> = (0..CLIENTS).map(|n| Worker::new(n, draw.next(), stage.clone())).collect();
    let mut lost_stamps = 0;
    for round in 0..ROUNDS {
        let kill_at = ANSWERS.0 + draw.below(ANSWERS.1);
        run_until_killed(&node, &mut workers, kill_at);
        node = Node::start(dir.path());
        node.calls_closed();
        seen.look_again(&node.client, dir.path());
        for ack in workers.iter_mut().flat_map(|worker| worker.acks.drain(..)) {
            lost_stamps += u64::from(check_ack(&seen, &ack).is_none());
        }
        let pending: Vec<Request> = workers.iter_mut().filter_map(|worker| worker.pending.take()).collect();
        repeat(&node, &mut seen, &pending, dir.path());
        workers.iter_mut().for_each(|worker| worker.catch_up(&seen));
        let (runs, entries) = (seen.runs.len(), seen.ledger.len());
        eprintln!(
            "seed {seed}, round {round}: killed at answer {kill_at}; {runs} runs, {entries} entries, {lost_stamps} stamps on their way"
        );
    }
    // Once more without a kill: what is whole stays whole.
    node.stop();
    let node = Node::start(dir.path());
    seen.look_again(&node.client, dir.path());
}

/// Lets all clients work until the server was killed at the n-th answer.
fn run_until_killed(node: &Node, workers: &mut [Worker], kill_at: u64) {
    let answers = AtomicU64::new(0);
    let count = || {
        if answers.fetch_add(1, Ordering::SeqCst) + 1 == kill_at {
            node.kill();
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            workers.iter_mut().map(|worker| scope.spawn(|| worker.work(&node.client, &count))).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                // The others would go on for ever.
                node.kill();
                resume_unwind(panic);
            }
        }
    });
}

/// What was acknowledged is there, as it was acknowledged (I9). None for a stamp that only was on its way to the
/// disk, as those of tier `standard` may be when the answer is out.
fn check_ack(seen: &Seen, ack: &Ack) -> Option<()> {
    match ack {
        Ack::Created { run, stamp } => assert_eq!(&seen.runs[run].stamp, stamp),
        Ack::Appended { run, mark, next } => {
            let events = &seen.runs[run].events;
            assert_eq!(
                events[*next as usize - 1]["name"],
                **mark,
                "run {run} lost what was appended before {next}"
            );
        }
        Ack::Finished { run } => assert_eq!(seen.runs[run].summary["status"], "finished", "run {run}"),
        Ack::Called { run, durable, single, deployment, release } => {
            let Some(journal) = seen.runs.get(run) else {
                assert!(!durable, "run {run} is lost");
                return None;
            };
            assert_eq!(journal.stamp["deployment"].to_string(), *deployment, "run {run}"); // I2
            assert_eq!(journal.stamp["release"], **release, "run {run}");
            assert_eq!(journal.stamp["single"] == true, *single, "run {run}");
            if *single {
                assert_eq!(journal.summary["status"], "finished", "run {run} was left open");
            }
        }
        Ack::Changed { seq, mark } => assert_eq!(seen.ledger[*seq as usize - 1].reason, *mark),
    }
    Some(())
}

/// What nobody heard of is there or not, and sent again it is there once, however often.
fn repeat(node: &Node, seen: &mut Seen, pending: &[Request], dir: &std::path::Path) {
    let before: Vec<usize> = pending.iter().map(|request| request.effects(seen)).collect();
    let answers: Vec<_> = pending
        .iter()
        .map(|request| [(); 2].map(|()| request.send(&node.client).expect("the server answers")))
        .collect();
    seen.look_again(&node.client, dir);
    for ((request, before), [first, second]) in pending.iter().zip(before).zip(&answers) {
        let after = request.effects(seen);
        assert_eq!(first.status, second.status, "{request:?}");
        if before > 0 {
            assert!(first.is_replayed() && second.is_replayed(), "{request:?}: {first:?}");
            assert_eq!(after, before, "{request:?} is done twice");
        }
        if first.status == 200 {
            assert!(after > 0 && second.is_replayed(), "{request:?}: {second:?}");
            assert_eq!(lasting(first.ok()), lasting(second.ok()), "{request:?}");
        } else {
            let refused = [404, 409].contains(&first.status);
            assert_eq!((refused, before, after), (true, 0, 0), "{request:?}: {first:?}");
        }
        assert!(request.once().is_none_or(|once| after == once || after == 0), "{request:?}: {after}");
    }
}

/// An answer without what it says of the moment.
fn lasting(mut answer: Value) -> Value {
    for passing in ["took_us", "open_runs"] {
        answer.as_object_mut().expect("an object").remove(passing);
    }
    answer
}
