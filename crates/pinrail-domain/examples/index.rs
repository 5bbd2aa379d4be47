//! Prints what an index of a million operations costs: `cargo run --release -p pinrail-domain --example index`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures, and says what it measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::state::index::Index;
use pinrail_domain::state::model::{Act, Model, Step};
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Moment, Op, Operation, StateKey};

const RECORDS: u64 = 1_000_000;
/// Deployments that were rolled back before anything is measured.
const PAST: u64 = 1_000;

fn main() {
    println!("{:<52} {:>12} {:>10}", "", "time", "memory");
    let ground = |seq| (seq, 0, format!("doc-{seq}"));
    let own = |seq: u64| (seq, 1, format!("new-{seq}"));
    let shared = |seq: u64| (seq, 1, format!("doc-{}", seq - RECORDS));
    let mixed = |seq: u64| (seq, seq % 2, format!("doc-{seq}"));
    story(
        "1 M records of the ground, 1 M new keys of one deployment",
        (1..=RECORDS).map(ground),
        (RECORDS + 1..=2 * RECORDS).map(own),
    );
    story(
        "1 M records of the ground, all overwritten by one",
        (1..=RECORDS).map(ground),
        (RECORDS + 1..=2 * RECORDS).map(shared),
    );
    story(
        "1 M records, every other one's author is the deployment",
        [].into_iter(),
        (1..=RECORDS).map(mixed),
    );
    past();
}

type Planned = (u64, u64, String);

/// Writes, promotes and rolls back one deployment, and prints what each took.
fn story(name: &str, before: impl Iterator<Item = Planned>, after: impl Iterator<Item = Planned>) {
    println!("\n{name}");
    let mut model = Model::new();
    let mut index = Index::load(&model.world.commits, before.map(operation));
    model.play(&Step::OpenIngest);
    index.sync(&model.world.commits);
    let planned: Vec<Operation> = after.map(operation).collect();
    let (count, took) = (planned.len(), timed(|| planned.into_iter().for_each(|o| index.apply(o))).1);
    row(&format!("apply {count} operations"), took, &index);
    let deployment = Some(DeploymentId(1));
    let (shown, took) = timed(|| index.visible(deployment).len());
    row(&format!("the deployment's view ({shown} visible)"), took, &index);
    let (shown, took) = timed(|| index.visible(None).words().len());
    row(&format!("everybody's view ({shown} words)"), took, &index);
    let (_, took) = timed(|| black_box(index.iter(deployment).rev().take(200).count()));
    row("its last 200", took, &index);
    assert!(matches!(model.play(&Step::Commit { which: 0 }), Act::Append(_)));
    let (_, took) = timed(|| index.sync(&model.world.commits));
    row(&format!("promote ({} visible)", index.count(None)), took, &index);
    let head = Moment { state: index.newest(), ledger: model.world.head.seq };
    model.play(&Step::RollBack { which: 0, keep_state: false, cascade: None });
    let (_, took) = timed(|| index.sync(&model.world.commits));
    row(&format!("roll back ({} visible)", index.count(None)), took, &index);
    let (shown, took) = timed(|| index.visible(deployment).len());
    row(&format!("the retracted deployment's own view ({shown} visible)"), took, &index);
    let view = View { own: None, at: head, commits: Arc::clone(&model.world.commits) };
    let (shown, took) = timed(|| index.at(&view).len());
    row(&format!("as of before the rollback ({shown} visible)"), took, &index);
    let (hidden, took) = timed(|| index.history(&view).filter(|(_, why)| why.is_some()).count());
    row(&format!("history ({hidden} hidden)"), took, &index);
}

/// Reads after many rolled-back deployments that wrote the same keys.
fn past() {
    println!("\n10 k records of the ground, {PAST} deployments rolled back that overwrote 1 k of them each");
    let mut model = Model::new();
    let mut index =
        Index::load(&model.world.commits, (1..=10_000).map(|n| operation((n, 0, format!("doc-{n}")))));
    let mut seq = 10_000;
    for deployment in 1..=PAST {
        model.play(&Step::OpenIngest);
        for key in 0..1_000 {
            seq += 1;
            index.apply(operation((seq, deployment, format!("doc-{}", key * 10 + 1))));
        }
        model.play(&Step::RollBack { which: 0, keep_state: false, cascade: None });
        index.sync(&model.world.commits);
    }
    let key = StateKey::new("doc-1").expect("a short name");
    let (found, took) = timed(|| (0..1_000).filter_map(|_| black_box(index.get(None, &key))).count());
    row(&format!("{found} reads of one key"), took, &index);
    let (shown, took) = timed(|| black_box(index.iter(None).count()));
    row(&format!("all {shown} visible"), took, &index);
    model.play(&Step::OpenIngest);
    let next = operation((seq + 1, PAST + 1, "doc-1".to_owned()));
    let ((), took) = timed(|| index.apply(next));
    row("one more write to such a key", took, &index);
    model.play(&Step::Commit { which: 0 });
    let ((), took) = timed(|| index.sync(&model.world.commits));
    row("its promotion", took, &index);
}

fn operation((seq, deployment, key): Planned) -> Operation {
    Operation {
        seq: StateSeq(seq),
        ledger: LedgerSeq(1),
        deployment: DeploymentId(deployment),
        key: StateKey::new(&key).expect("a short name"),
        op: Op::Put,
    }
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let made = what();
    (made, start.elapsed())
}

fn row(what: &str, took: Duration, index: &Index) {
    let mib = index.memory_bytes() >> 20;
    println!("  {what:<52} {:>9.3} ms {mib:>6} MiB", took.as_secs_f64() * 1_000.0);
}
