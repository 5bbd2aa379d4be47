//! Manifests and verification: what was there is recorded without anybody waiting, and every difference is found.

use std::time::Duration;

use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::manifest::Manifest;
use pinrail_domain::tier::Tier;
use pinrail_store::{Ledger as _, State as _};

use super::bench::*;
use super::state::*;
use crate::proof::verify::{CannotVerify, Finding, Summary};
use crate::state::WriteAs;

/// Lets the background work be done.
async fn patience() {
    tokio::time::sleep(Duration::from_secs(10)).await;
    settle().await;
}

async fn manifest_of(bench: &Bench, id: DeploymentId) -> Manifest {
    patience().await;
    bench.control.manifest(id).await.unwrap().1
}

async fn verify(bench: &Bench, id: DeploymentId) -> (Summary, Vec<Finding>) {
    let mut verification = bench.control.verify(id).await.unwrap();
    let mut findings = Vec::new();
    while let Some(checked) = verification.next().await.unwrap() {
        findings.extend(checked.findings);
    }
    (verification.summary(), findings)
}

/// Two sessions with a turn each by deployment 1, then deployment 2 writes over one and into a third.
async fn story(bench: &Bench) -> (DeploymentId, Vec<StateSeq>) {
    let good = run_on(bench, ONE).await;
    let mut seqs = Vec::new();
    for name in ["a", "b"] {
        seqs.push(remember(bench, &good, &session(name), "before", false).await.turns[0].1);
    }
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let bad = run_on(bench, two).await;
    for name in ["b", "c"] {
        seqs.push(remember(bench, &bad, &session(name), "poison", false).await.turns[0].1);
    }
    let told = remember(bench, &bad, &session("b"), "what the user said", true).await.turns[0].1;
    seqs.push(told);
    (two, seqs)
}

#[tokio::test(start_paused = true)]
async fn a_manifest_says_what_was_there_and_a_rollback_is_proven() {
    let bench = Bench::new(Tier::Standard).await;
    let (two, _) = story(&bench).await;
    let manifest = manifest_of(&bench, two).await;
    let lines: Vec<_> =
        manifest.spaces.iter().map(|line| (line.space.name.as_str().to_owned(), line.count)).collect();
    assert_eq!(lines, [("planner/a".to_owned(), 1), ("planner/b".to_owned(), 1)]);
    let active: Vec<_> = manifest.pointers.iter().map(|served| served.active).collect();
    assert_eq!(active, [Some(ONE), Some(ONE)]);

    let (summary, findings) = verify(&bench, two).await;
    assert!(summary.holds && findings.is_empty(), "{findings:?}");
    bench.roll_back(two).await;
    let (summary, findings) = verify(&bench, two).await;
    assert!(summary.holds && findings.is_empty(), "{findings:?}");
    assert_eq!((summary.spaces, summary.records), (3, 5));
    // What others wrote since is accounted for, and the first deployment's manifest still holds as well.
    let later = run_on(&bench, ONE).await;
    remember(&bench, &later, &session("a"), "after", false).await;
    let mut verification = bench.control.verify(two).await.unwrap();
    let first = verification.next().await.unwrap().unwrap().verdict.unwrap();
    assert_eq!((first.unchanged, first.now.count, first.accounts[&ONE].added), (1, 2, 1));
    assert!(verify(&bench, ONE).await.0.holds);
    assert!(matches!(bench.control.verify(DeploymentId(9)).await, Err(CannotVerify::NoDeployment(_))));
}

#[tokio::test(start_paused = true)]
async fn a_planted_corruption_is_found_and_named() {
    // Records of the time before, of the rolled-back deployment itself, and of others since.
    for planted in 0..5 {
        let bench = Bench::new(Tier::Standard).await;
        let (two, seqs) = story(&bench).await;
        patience().await;
        bench.roll_back(two).await;
        let planted = seqs[planted];
        bench.store.memory.damage_record(planted);
        let (summary, findings) = verify(&bench, two).await;
        assert!(!summary.holds);
        let [Finding { record, what: "corrupt", key: Some(_), .. }] = &findings[..] else {
            panic!("{findings:?}")
        };
        assert_eq!(*record, Some(planted));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_record_is_found_and_named() {
    let bench = Bench::new(Tier::Standard).await;
    let (two, seqs) = story(&bench).await;
    patience().await;
    // Deployment 1's records vanish from the store, and nothing in the ledger says why.
    bench.store.memory.state_remove(ONE, seqs[0], 1).await.unwrap();
    let (summary, findings) = verify(&bench, two).await;
    assert_eq!((summary.holds, summary.gone), (false, vec![seqs[0]]));
    assert!(findings.iter().any(|finding| finding.what == "then_differs"), "{findings:?}");
    // After a restart no index remembers it either.
    let (restarted, _) = bench.another().await;
    assert_eq!(verify(&restarted, two).await.0.gone, [seqs[0]]);
}

/// Writers go on while a manifest is worked out, and it says what was there at the opening all the same.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_manifest() {
    let bench = Bench::new(Tier::Standard).await;
    let good = run_on(&bench, ONE).await;
    remember(&bench, &good, &session("a"), "before", false).await;
    patience().await;
    bench.store.operations.shut();
    let two = bench.canary("m2-2026-01-01", "50%").await;
    settle().await;
    tokio::time::advance(Duration::from_secs(1)).await;
    settle().await;
    // It is under way and can't get on; everything else does.
    assert!(matches!(bench.control.manifest(two).await, Err(CannotVerify::NotYet(id)) if id == two));
    for n in 0..100 {
        remember(&bench, &good, &session("a"), &format!("meanwhile {n}"), false).await;
    }
    bench.control.promote(by("good"), two, false).await.unwrap();
    let entries = bench.store.ledger_head().await.unwrap().seq;
    bench.store.operations.unlock();
    let manifest = manifest_of(&bench, two).await;
    assert_eq!(manifest.spaces[0].count, 1);
    assert_eq!(manifest.pointers[0].active, Some(ONE));
    assert_eq!(bench.store.ledger_head().await.unwrap().seq.0, entries.0 + 1);
    assert!(verify(&bench, two).await.0.holds);
}

/// A process that ended before a manifest was recorded leaves it to the next.
#[tokio::test(start_paused = true)]
async fn a_manifest_survives_a_restart() {
    let bench = Bench::new(Tier::Standard).await;
    let good = run_on(&bench, ONE).await;
    remember(&bench, &good, &session("a"), "before", false).await;
    patience().await;
    bench.store.operations.shut();
    let job = bench.control.open_ingest(by("load"), &"docs".parse().unwrap()).await.unwrap().value.deployment;
    let author = bench.control.states().author(WriteAs::Job(job)).await.unwrap();
    drop(author);
    let Bench { store, clock, entropy, control } = bench;
    drop(control);
    settle().await;
    store.operations.unlock();
    let control = open(&store, &clock, &entropy).await.unwrap().0;
    let restarted = Bench { store, clock, entropy, control };
    remember(&restarted, &good, &session("a"), "after", false).await;
    assert_eq!(manifest_of(&restarted, job).await.spaces[0].count, 1);
    // Two control planes over one store record it once.
    let (another, _) = restarted.another().await;
    patience().await;
    assert_eq!(
        another.control.manifest(job).await.unwrap().0,
        restarted.control.manifest(job).await.unwrap().0
    );
    let ledger = restarted.control.ledger_verify().await.unwrap();
    assert!(matches!(ledger, crate::ledger::Verdict::Whole { .. }), "{ledger:?}");
}
