//! Ten thousand worlds in which everything must hold, and some in which nothing may.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use pinrail_simulation::{Counts, Failure, Options, Played, Tamper, play};

/// The first seed: any number would do, as long as it is always the same.
const BASE: u64 = 0;
/// Worlds played with every test run: about a minute on two cores.
const WORLDS: u64 = 10_000;
/// Worlds that are played at a time with something broken.
const TAMPERED: u64 = 60;
/// How often so many are played before the break counts as not found: most show in the first ones, an approval that is
/// used twice takes a world in which one is used at all.
const TAMPERED_TIMES: u64 = 40;

/// Before anybody hunts for bugs: the same seed gives the same trace, also on another thread at another time.
#[test]
fn one_seed_gives_one_trace() {
    let digests = |from: u64| {
        let played = |seed| play(seed, &Options::default()).map(|played| (seed, played.digest));
        (BASE..BASE + 200).map(|n| (n + from) % 200).map(played).collect::<Result<BTreeSet<_>, _>>()
    };
    let again = std::thread::spawn(move || digests(100).unwrap_or_else(|failure| panic!("{failure}")));
    let once = digests(0).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(once, again.join().unwrap());
    let all: BTreeSet<u64> = once.iter().map(|(_, digest)| *digest).collect();
    assert_eq!(all.len(), once.len(), "worlds are not alike");
}

/// I2 to I9.
#[test]
fn ten_thousand_worlds() {
    let (counts, failures) = play_all(BASE, WORLDS, Options::default());
    if let Some(first) = failures.first() {
        let seeds: Vec<u64> = failures.iter().map(|failure| failure.seed).collect();
        panic!("{} worlds failed: {seeds:?}\n{first}", failures.len());
    }
    // Worlds in which little happens would prove little.
    let Counts {
        crashes,
        done,
        unknown,
        records,
        runs,
        rollbacks,
        views,
        turns,
        unrecorded,
        decided,
        used,
        ..
    } = counts;
    for (what, number, least) in [
        ("crashes", crashes, WORLDS),
        ("operations done", done, 15 * WORLDS),
        ("operations without an answer", unknown, 4 * WORLDS),
        ("records", records, 4 * WORLDS),
        ("runs", runs, 3 * WORLDS),
        ("rollbacks", rollbacks, 2 * WORLDS),
        ("views compared", views, 50 * WORLDS),
        ("turns of the dial", turns, WORLDS),
        ("turns without the ledger", unrecorded, WORLDS),
        ("approvals decided", decided, WORLDS / 60),
        ("approvals used", used, WORLDS / 1_000),
    ] {
        assert!(number >= least, "only {number} {what}; {counts:?}");
    }
}

/// A check that never fails checks nothing: each lie of the store is found out, by the check that is there for it.
#[test]
fn every_broken_rule_is_found_out() {
    let check = |tamper: Tamper, invariants: &[&str]| {
        let mut found: Vec<String> = Vec::new();
        let by_its_check = (0..TAMPERED_TIMES).any(|time| {
            let broken = Options { tamper: Some(tamper), keep_all: false };
            let (_, failures) = play_all(BASE + time * TAMPERED, TAMPERED, broken);
            found.extend(failures.into_iter().map(|failure| failure.what));
            found.iter().any(|what| invariants.iter().any(|invariant| what.starts_with(invariant)))
        });
        assert!(by_its_check, "{tamper:?} was found by {found:#?}");
    };
    for tamper in Tamper::ALL {
        match tamper {
            Tamper::LoseRecord | Tamper::LoseRollback => check(tamper, &["I9"]),
            Tamper::RepeatRecord => check(tamper, &["I8", "I9"]),
            Tamper::ChangeEntry => check(tamper, &["I8"]),
            Tamper::RefuseRollback => check(tamper, &["I7"]),
            Tamper::RollBackByWriting => check(tamper, &["I6"]),
            Tamper::ShowUncommitted | Tamper::ForgetDeletes | Tamper::LeaveContextBehind => {
                check(tamper, &["I4"])
            }
            Tamper::ForgetRun => check(tamper, &["I9"]),
            Tamper::Restamp => check(tamper, &["I2"]),
            Tamper::ForgetTurns => check(tamper, &["I9"]),
            Tamper::UseAgain => check(tamper, &["op-", "I9"]),
        }
    }
}

/// A failure says how to see it again.
#[test]
fn a_failure_prints_one_command() {
    let tampered = Options { tamper: Some(Tamper::RefuseRollback), keep_all: false };
    let failure = play(BASE, &tampered).unwrap_err();
    let command = format!("cargo run -p pinrail-simulation --example replay -- {BASE}");
    assert!(failure.to_string().ends_with(&command), "{failure}");
    assert!(failure.trace.len() > 5, "{failure}");
}

/// Plays worlds on all cores, each on one thread.
fn play_all(first: u64, worlds: u64, options: Options) -> (Counts, Vec<Failure>) {
    let next = AtomicU64::new(first);
    let played: Mutex<Vec<Result<Played, Failure>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + worlds {
                        return;
                    }
                    let world = play(seed, &options);
                    played.lock().expect("no thread panics").push(world);
                }
            });
        }
    });
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    for world in played.into_inner().expect("no thread panics") {
        match world {
            Ok(played) => counts.add(&played.counts),
            Err(failure) => failures.push(failure),
        }
    }
    failures.sort_by_key(|failure| failure.seed);
    (counts, failures)
}
