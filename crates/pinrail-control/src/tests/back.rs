//! Taking back: what goes, what stays, how much it costs, and that every layer goes at once.

use std::sync::atomic::Ordering;

use pinrail_domain::deploy::{RollBackRefused, TakeBack, Traffic};
use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::index::Winner;
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Layer, Space};
use pinrail_domain::tier::Tier;
use pinrail_store::State as _;

use super::bench::*;
use super::state::*;
use crate::deploy::take_back::{Extent, PlanRefused};
use crate::state::context::{Accepts, SetRefused};
use crate::state::memory::Turn;
use crate::state::{AsOf, Authorised, Change, Decided, NewValue, Reader, WriteAs};

fn orders() -> Space {
    Space::context(tenant("acme"), &"orders".parse().unwrap())
}

/// Writes records in batches, without looking at any key.
async fn fill(bench: &Bench, by: &Authorised, space: &Space, records: usize) {
    for first in (0..records).step_by(1_000) {
        let changes: Vec<Change> = (first..records.min(first + 1_000))
            .map(|n| Change {
                key: key(&format!("k{n}")),
                value: Some(NewValue { json: "{\"protocol\":1,\"value\":1}".to_owned(), vector: None }),
                parents: Vec::new(),
            })
            .collect();
        let decide = |_: &_| Ok::<_, SetRefused>(Decided { changes: changes.clone(), expect: None });
        bench.control.states().write(by, space, None, decide).await.unwrap();
    }
}

/// I5, I6: one append to the ledger and no other write, however many records there are.
#[tokio::test(start_paused = true)]
async fn a_rollback_is_one_append_however_much_was_written() {
    for records in [1_000, 100_000] {
        let bench = Bench::new(Tier::Standard).await;
        let job =
            bench.control.open_ingest(by("load"), &"docs".parse().unwrap()).await.unwrap().value.deployment;
        let author = bench.control.states().author(WriteAs::Job(job)).await.unwrap();
        fill(&bench, &author, &orders(), records).await;
        drop(author);
        bench.control.promote(by("good"), job, false).await.unwrap();
        let count = |space: Space| {
            let states = bench.control.states();
            async move { states.look(&space, |index| index.count(None)).await.unwrap() }
        };
        assert_eq!(count(orders()).await, records);
        // The manifest of its opening is recorded by then.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let writes = || {
            let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::SeqCst);
            (of(&bench.store.ledger_appends), of(&bench.store.state_appends), of(&bench.store.batches))
        };
        let (entries, appends, batches) = writes();
        bench.roll_back(job).await;
        assert_eq!(writes(), (entries + 1, appends, batches), "{records}");
        assert_eq!(count(orders()).await, 0);
    }
}

/// I5: whoever reads all layers as of one moment sees the deployment in all of them or in none, wherever the rollback
/// falls between the reads.
#[tokio::test(start_paused = true)]
async fn no_reader_sees_one_layer_before_and_another_after() {
    for before_read in 0..=3 {
        let bench = Bench::new(Tier::Standard).await;
        let states = bench.control.states();
        let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
        let run = run_on(&bench, two).await;
        let author = states.author(WriteAs::Run(&run)).await.unwrap();
        let spaces = [session("s"), orders(), Space { layer: Layer::Vectors, ..orders() }];
        for space in &spaces {
            fill(&bench, &author, space, 3).await;
        }
        let at = bench.store.state_head().await.unwrap();
        let pinned = Reader { as_of: AsOf::Moment(at), ..Reader::everybody() };
        let mut seen = Vec::new();
        for (n, space) in spaces.iter().enumerate() {
            if n == before_read {
                bench.roll_back(two).await;
            }
            seen.push(states.view(space, &pinned, |sight| sight.shown().len()).await.unwrap());
        }
        assert_eq!(seen, [3, 3, 3], "the rollback came before read {before_read}");
        if before_read == 3 {
            bench.roll_back(two).await;
        }
        for space in &spaces {
            assert_eq!(states.look(space, |index| index.count(None)).await.unwrap(), 0);
        }
    }
}

/// A cascade takes along what was concluded from the bad records, by parents and by reads, in the same entry.
#[tokio::test(start_paused = true)]
async fn a_cascade_takes_along_what_was_derived() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let bad = run_on(&bench, two).await;
    let by_bad = states.author(WriteAs::Run(&bad)).await.unwrap();
    let poison = states.context_set(&by_bad, &orders(), set("vip", Some("true"), None), None).await.unwrap();
    let poison = poison.appended.unwrap().first;
    let three = bench.deploy(&AGENTS, "m3-2026-01-01", Traffic::Now).await;
    let misled = run_on(&bench, three).await;
    let unaware = run_on(&bench, three).await;
    // One run reads the poison and concludes something; another names it as a parent; a third knows nothing of it.
    remember(&bench, &misled, &session("before"), "wrote before it read", false).await;
    states.context_get(&orders(), &key("vip"), &reader(&misled), &Accepts::All).await.unwrap();
    remember(&bench, &misled, &session("m"), "so they get a refund", false).await;
    remember(&bench, &misled, &session("m"), "thanks!", true).await;
    let named = vec![Turn { parents: vec![poison], ..turn("as noted", false) }];
    states.remember(&unaware, &session("n"), named, None).await.unwrap();
    remember(&bench, &unaware, &session("n"), "something else", false).await;

    let extent = Extent { cascade: true, ..Extent::default() };
    let plan = bench.control.plan_back(two, extent, None).await.unwrap();
    assert_eq!(plan.layers[&Layer::Context].puts, 1);
    assert_eq!(plan.layers[&Layer::Memory].taken_along, 2);
    assert_eq!(plan.taken_along, [(three, 2)].into());
    let what = bench.control.extent(two, extent).await.unwrap();
    assert_eq!(what.derived.len(), 2);
    let entries = bench.store.ledger_appends.load(Ordering::SeqCst);
    bench.control.roll_back(by("wrong"), two, what).await.unwrap();
    assert_eq!(bench.store.ledger_appends.load(Ordering::SeqCst), entries + 1);
    let all = Reader::everybody();
    assert_eq!(recall(&bench, &session("m"), &all).await, ["thanks!"]);
    assert_eq!(recall(&bench, &session("n"), &all).await, ["something else"]);
    assert_eq!(recall(&bench, &session("before"), &all).await, ["wrote before it read"]);
    let (_, history) = states.history(&session("m"), &all, StateSeq(0), 10).await.unwrap();
    assert_eq!(history[0].hidden, Some(Hidden::Derived { from: two }));
    let again = bench.control.extent(two, extent).await;
    assert!(matches!(again, Err(PlanRefused::Refused(RollBackRefused::AlreadyRolledBack { .. }))));
}

/// I7: a plain rollback reads no state at all, so a store that can't be read isn't in its way.
#[tokio::test(start_paused = true)]
async fn nothing_is_read_for_a_plain_rollback() {
    let bench = Bench::new(Tier::Standard).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    bench.store.operations.shut();
    bench.store.state.shut();
    for extent in [Extent::default(), Extent { keep_state: true, ..Extent::default() }] {
        let what = bench.control.extent(two, extent).await.unwrap();
        assert_eq!(what, TakeBack { keep_state: extent.keep_state, ..TakeBack::default() });
    }
    let what = bench.control.extent(two, Extent::default()).await.unwrap();
    bench.control.roll_back(by("bad"), two, what).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_promotion_tells_what_it_decided_between_writers() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let (good, bad) = (run_on(&bench, ONE).await, run_on(&bench, two).await);
    let by_good = states.author(WriteAs::Run(&good)).await.unwrap();
    let by_bad = states.author(WriteAs::Run(&bad)).await.unwrap();
    let write = async |by: &Authorised, name: &str| {
        states.context_set(by, &orders(), set(name, Some("1"), None), None).await.unwrap();
    };
    for name in ["theirs", "alone"] {
        write(&by_bad, name).await;
    }
    for name in ["theirs", "own", "quiet"] {
        write(&by_good, name).await;
    }
    write(&by_bad, "own").await;
    let would = bench.control.conflicts(two).await.unwrap();
    let promoted = bench.control.promote(by("go"), two, false).await.unwrap().value;
    assert_eq!(promoted.conflicts, would);
    let shown: Vec<_> = would
        .shown
        .iter()
        .map(|found| (found.conflict.key.as_str().to_owned(), found.conflict.wins))
        .collect();
    // Only who didn't see the other's write is in conflict with it.
    assert_eq!(shown, [("theirs".to_owned(), Winner::Theirs)]);
    assert!(bench.control.conflicts(two).await.unwrap().is_empty());
    assert_eq!(bench.control.conflicts(DeploymentId(99)).await.unwrap().count, 0);
}
