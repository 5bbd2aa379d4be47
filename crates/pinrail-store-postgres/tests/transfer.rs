//! Everything that is in a SQLite file comes to PostgreSQL as it was, whoever writes to the file meanwhile.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pinrail_domain::id::{DeploymentId, EventSeq, LedgerSeq, StateSeq};
use pinrail_domain::ledger::Head;
use pinrail_domain::state::Layer;
use pinrail_domain::time::Timestamp;
use pinrail_store::approvals::ApprovalFilter;
use pinrail_store::conformance::sample::state::{author, batch, set, set_vector, space, unset};
use pinrail_store::conformance::sample::{answer, appending, entries, note, run, starting};
use pinrail_store::conformance::{Subject, approvals, deliveries, gates, random, sightings, watches};
use pinrail_store::gates::GateFilter;
use pinrail_store::journal::RunFilter;
use pinrail_store::sightings::SightingKind;
use pinrail_store::state::SpaceFilter;
use pinrail_store::transfer::{CopyError, Pass, Sink as _, compare, copy};
use pinrail_store::{Store, ledger};
use pinrail_store_postgres::testing::{Cluster, Database};
use pinrail_store_postgres::{OpenError, Postgres, Transfer};
use pinrail_store_sqlite::{File, Options, Sqlite};

/// A file, and a database to copy it to.
struct Move {
    store: Arc<dyn Store>,
    path: PathBuf,
    _folder: tempfile::TempDir,
    database: Database,
}

impl Move {
    fn new() -> Option<Move> {
        let database = Cluster::named_by_env()?.database();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinrail.db");
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(Options::new(&path)).unwrap());
        Some(Move { store, path, _folder: folder, database })
    }

    async fn target(&self) -> Transfer {
        Transfer::connect(&self.database.options_of_owner(), true).await.unwrap()
    }

    async fn pass(&self, pass: Pass) -> (u64, u64, u64) {
        let source = File::open(&self.path).unwrap();
        let copied = copy(&source, &self.target().await, pass, &mut |_| ()).await.unwrap();
        copied.iter().fold((0, 0, 0), |(added, changed, removed), (_, copied)| {
            (added + copied.added, changed + copied.changed, removed + copied.removed)
        })
    }

    async fn assert_equal(&self) {
        let source = File::open(&self.path).unwrap();
        let (comparisons, _) = compare(&source, &self.target().await, &mut |_| ()).await.unwrap();
        for comparison in comparisons {
            assert!(comparison.is_equal(), "{comparison:#?}");
        }
    }

    /// Fills the file with whatever the conformance suite thinks of.
    async fn fill(&self, seed: u64) {
        let subject = || {
            let damage = Box::new(|_| unreachable!("nothing is damaged"));
            Subject { store: Arc::clone(&self.store), other: None, damage, keep: Box::new(()) }
        };
        random::same(subject(), seed).await;
        gates::the_newest_settled_rows_can_be_reused(subject()).await;
        approvals::of_many_decisions_one_counts(subject()).await;
        deliveries::dead_letters_change_and_go_singly(subject()).await;
        sightings::the_newest_sighting_of_a_subject_stays(subject()).await;
        watches::a_watch_and_its_days_come_back(subject()).await;
    }
}

/// Asks both stores the same and wants the same answer.
macro_rules! same {
    ($ours:expr, $theirs:expr, $operation:ident($($argument:expr),*)) => {{
        let ours = $ours.$operation($($argument),*).await.unwrap();
        let theirs = $theirs.$operation($($argument),*).await.unwrap();
        assert_same(stringify!($operation), &ours, &theirs);
        ours
    }};
}

fn assert_same<T: Debug>(what: &str, ours: &T, theirs: &T) {
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"), "{what}");
}

async fn read_alike(ours: &dyn Store, theirs: &dyn Store) {
    same!(ours, theirs, ledger_head());
    same!(ours, theirs, ledger_read(LedgerSeq(0), 10_000));
    for run in same!(ours, theirs, run_list(&RunFilter::default(), None, 10_000)) {
        same!(ours, theirs, run_events(run.stamp.run, EventSeq(0), 10_000));
        same!(ours, theirs, state_of_run(run.stamp.run, StateSeq(0), 10_000));
    }
    same!(ours, theirs, sessions_recent(10_000));
    same!(ours, theirs, run_open_total());
    let head = same!(ours, theirs, state_head());
    let all: Vec<StateSeq> = (0..=head.state.0).map(StateSeq).collect();
    same!(ours, theirs, state_records(&all));
    same!(ours, theirs, state_children(&all));
    for ledger in 0..=head.ledger.0 {
        same!(ours, theirs, state_until(LedgerSeq(ledger)));
    }
    for at in 0..60 {
        same!(ours, theirs, state_moment(Timestamp(at)));
    }
    for facts in same!(ours, theirs, space_list(&SpaceFilter::default(), None, 10_000)) {
        same!(ours, theirs, reads_of_space(&facts.space, StateSeq(0), 0, 10_000));
        same!(ours, theirs, state_operations(&facts.space, StateSeq(0), 10_000));
    }
    same!(ours, theirs, state_uses(None));
    for deployment in (0..40).map(DeploymentId) {
        same!(ours, theirs, state_written(deployment));
        same!(ours, theirs, run_open(deployment));
    }
    for gate in same!(ours, theirs, gate_list(&GateFilter::default(), None, 100)) {
        same!(ours, theirs, gate_rows_read(gate.id, None, 100));
    }
    same!(ours, theirs, approval_list(&ApprovalFilter::default(), None, 100));
    for outlet in same!(ours, theirs, delivery_outlets()) {
        same!(ours, theirs, delivery_cursor(&outlet));
        same!(ours, theirs, dead_letter_list(&outlet, LedgerSeq(0), 100));
    }
    same!(ours, theirs, sighting_list(SightingKind::Probe));
    same!(ours, theirs, sighting_list(SightingKind::List));
    for (key, _) in same!(ours, theirs, watch_list()) {
        same!(ours, theirs, watch_days(&key, 0, 100));
    }
}

/// What is written next gets the same places in both.
async fn go_on_alike(ours: &dyn Store, theirs: &dyn Store) {
    let new = space("acme", Layer::Vectors, "after");
    let more =
        || batch(&author(7), 100, vec![set_vector(&new, "k", "1", Some(vec![0.25, -0.0])), unset(&new, "k")]);
    same!(ours, theirs, state_append(more()));
    let append = ledger::Append::of(entries(ours.ledger_head().await.unwrap(), 2, "after"));
    same!(ours, theirs, ledger_append(append.clone()));
    let writes = Arc::new(vec![starting(9_000), appending(9_000, vec![note("after")])]);
    let (one, other) = (ours.journal_write(Arc::clone(&writes)).await, theirs.journal_write(writes).await);
    assert_same("journal_write", &one, &other);
    read_alike(ours, theirs).await;
}

async fn comes_as_it_was(seed: u64) {
    let Some(moving) = Move::new() else { return };
    moving.fill(seed).await;
    let (added, ..) = moving.pass(Pass::Quick).await;
    assert!(added > 100, "{added}");
    assert_eq!(moving.pass(Pass::Quick).await, (0, 0, 0));
    moving.assert_equal().await;
    // Nobody opens it yet.
    let opened = Postgres::connect(moving.database.options()).await;
    assert!(matches!(opened.err(), Some(OpenError::Unfinished { .. })));

    // What goes from the source goes from the copy, too.
    let (ours, all) = (&moving.store, (1..=90).map(StateSeq).collect::<Vec<_>>());
    ours.state_erase(&all[20..40]).await.unwrap();
    ours.state_remove(DeploymentId(1), StateSeq(50), 3).await.unwrap();
    ours.run_erase(&(0..6).map(run).collect::<Vec<_>>()).await.unwrap();
    ours.answers_expire(Timestamp(30)).await.unwrap();
    ours.approvals_forget(Timestamp(u64::from(u32::MAX))).await.unwrap();
    moving.pass(Pass::Whole).await;
    moving.assert_equal().await;
    moving.target().await.finish().await.unwrap();
    let theirs = Postgres::connect(moving.database.options()).await.unwrap();
    read_alike(&**ours, &theirs).await;
    go_on_alike(&**ours, &theirs).await;
}

#[tokio::test]
async fn everything_comes_as_it_was_1() {
    comes_as_it_was(11).await;
}

#[tokio::test]
async fn everything_comes_as_it_was_2() {
    comes_as_it_was(12).await;
}

#[tokio::test]
async fn everything_comes_as_it_was_3() {
    comes_as_it_was(13).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_goes_on_meanwhile() {
    let Some(moving) = Move::new() else { return };
    let (ends, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (store, ends, written) = (Arc::clone(&moving.store), Arc::clone(&ends), Arc::clone(&written));
        tokio::spawn(async move {
            let memory = space("acme", Layer::Memory, "a");
            let mut n = 0;
            while !ends.load(Ordering::Relaxed) {
                n += 1;
                let writes = vec![starting(n), appending(n / 2 + 1, vec![note("more")])];
                let written_now = store.journal_write(writes.into()).await;
                assert!(written_now.iter().all(Result::is_ok), "{written_now:?}");
                let records = vec![set(&memory, &format!("k{}", n % 9), "1")];
                store.state_append(batch(&author(n % 5), n, records)).await.unwrap();
                let append = ledger::Append {
                    answer: Some(answer("key", &format!("{n}"), n)),
                    ..ledger::Append::of(entries(store.ledger_head().await.unwrap(), 1, "meanwhile"))
                };
                store.ledger_append(append).await.unwrap();
                if n % 7 == 0 {
                    store.state_remove(DeploymentId(n % 5), StateSeq(n / 2), 2).await.unwrap();
                    // Refused while the copy reads what still holds the content: asked again until it is done.
                    while store.state_erase(&[StateSeq(n - 3)]).await.is_err() {}
                    store.answers_expire(Timestamp(n / 2)).await.unwrap();
                }
                written.store(n, Ordering::Relaxed);
            }
        })
    };
    for _ in 0..6 {
        let before = written.load(Ordering::Relaxed);
        moving.pass(Pass::Quick).await;
        while written.load(Ordering::Relaxed) < before + 20 {
            assert!(!writer.is_finished(), "the writer failed");
            tokio::task::yield_now().await;
        }
    }
    ends.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    moving.pass(Pass::Whole).await;
    moving.assert_equal().await;
    moving.target().await.finish().await.unwrap();
    let theirs = Postgres::connect(moving.database.options()).await.unwrap();
    read_alike(&*moving.store, &theirs).await;
}

#[tokio::test]
async fn a_copy_that_was_killed_goes_on() {
    let Some(moving) = Move::new() else { return };
    moving.fill(21).await;
    for steps in [0, 1, 2, 5, 9, 14, 17] {
        let source = File::open(&moving.path).unwrap();
        let target = moving.target().await;
        let (kill, mut killed) = tokio::sync::mpsc::unbounded_channel();
        let mut done = 0;
        let mut tell = |_| {
            if done == steps {
                kill.send(()).unwrap();
            }
            done += 1;
        };
        // Dropped wherever it waits next.
        tokio::select! {
            biased;
            _ = killed.recv() => {}
            copied = copy(&source, &target, Pass::Quick, &mut tell) => drop(copied.unwrap()),
        }
    }
    moving.pass(Pass::Whole).await;
    moving.assert_equal().await;
}

#[tokio::test]
async fn a_database_with_a_life_of_its_own_is_refused() {
    let Some(moving) = Move::new() else { return };
    moving.fill(31).await;
    let source = || File::open(&moving.path).unwrap();
    {
        let target = moving.target().await;
        let other = Transfer::connect(&moving.database.options_of_owner(), true).await;
        assert!(matches!(other.err(), Some(OpenError::Copying { .. })));
        drop(target);
    }
    // Somebody else's installation.
    let store: Arc<dyn Store> = Arc::new(moving.database.open());
    store.ledger_append(ledger::Append::of(entries(Head::START, 3, "theirs"))).await.unwrap();
    let refused = copy(&source(), &moving.target().await, Pass::Quick, &mut |_| ()).await;
    assert!(matches!(refused, Err(CopyError::InUse)), "{refused:?}");
    // Even where it pretends to be a copy.
    moving.target().await.begin().await.unwrap();
    let refused = copy(&source(), &moving.target().await, Pass::Quick, &mut |_| ()).await;
    assert!(matches!(refused, Err(CopyError::Foreign { .. })), "{refused:?}");
    assert_eq!(store.artifact_get(pinrail_domain::digest::Digest::of(b"x")).await.unwrap(), None);
    assert_eq!(store.ledger_head().await.unwrap().seq, LedgerSeq(3));
}

/// I8: the triggers that hold history together are as they were, and hold what was copied.
#[tokio::test]
async fn history_is_held_together_in_the_copy() {
    let Some(moving) = Move::new() else { return };
    moving.fill(41).await;
    moving.pass(Pass::Quick).await;
    moving.target().await.finish().await.unwrap();
    for sql in [
        "UPDATE pinrail.ledger SET entry = entry || ' '",
        "DELETE FROM pinrail.ledger",
        "UPDATE pinrail.state SET key = 'other'",
        "DELETE FROM pinrail.state",
        "UPDATE pinrail.state_content SET json = '1'",
        "UPDATE pinrail.runs SET stamp = '{}'",
        "DELETE FROM pinrail.run_events",
        "UPDATE pinrail.artifacts SET bytes = ''",
        "UPDATE pinrail.heads SET state_seq = 0",
    ] {
        let refused = moving.database.try_execute(&moving.database.url, sql);
        assert!(refused.is_err(), "{sql}");
    }
}
