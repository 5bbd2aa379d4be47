//! What reads of state promise: operations, records, spaces and what was derived from what.

use std::collections::BTreeSet;

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::{Layer, Op, Operation, Record, Space};

use super::Subject;
use super::sample::state::{append, author, batch, facts, key, records, set, space, unset};
use super::sample::{run, tenant};
use crate::Store;
use crate::state::{KeyHistory, SpaceFacts, SpaceFilter, Written};

/// Three spaces, two tenants, three deployments, each with a run; 24 records.
async fn three_spaces(store: &dyn Store) -> (Vec<Space>, Vec<Record>) {
    let spaces =
        vec![facts(), space("acme", Layer::Memory, "a/1"), space("umbrella", Layer::Context, "facts")];
    let mut all = Vec::new();
    for n in 0..6_u64 {
        let (one, two) = (&spaces[(n % 3) as usize], &spaces[(n % 2) as usize]);
        let changes = vec![
            set(one, &format!("k{n}"), "1"),
            set(two, "shared", "2"),
            unset(one, "shared"),
            set(&spaces[2], &format!("k{n}"), "3"),
        ];
        let batch = batch(&author(n % 3), n, changes);
        let appended = store.state_append(batch.clone()).await.unwrap();
        all.extend(records(&batch, appended));
    }
    (spaces, all)
}

fn operations<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Operation> {
    records.into_iter().map(|record| record.operation.clone()).collect()
}

fn placed<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(Space, Operation)> {
    records.into_iter().map(|record| (record.space.clone(), record.operation.clone())).collect()
}

pub async fn a_space_is_read_in_pages(subject: Subject) {
    let store = &*subject.store;
    let (spaces, all) = three_spaces(store).await;
    let nowhere = space("acme", Layer::Vectors, "facts");
    for space in spaces.iter().chain([&nowhere]) {
        for (after, limit) in [(0, 100), (0, usize::MAX), (0, 3), (5, 2), (11, 9), (24, 9), (99, 9), (0, 0)] {
            let of_space = all.iter().filter(|record| record.space == *space);
            let page = of_space.filter(|record| record.operation.seq > StateSeq(after)).take(limit);
            let page: Vec<Record> = page.cloned().collect();
            let read = store.state_operations(space, StateSeq(after), limit).await.unwrap();
            assert_eq!(read, operations(&page), "{space}, {after}, {limit}");
            assert_eq!(store.state_scan(space, StateSeq(after), limit).await.unwrap(), page);
        }
    }
}

/// A store that others write to answers for one key of a large space; whichever does says the same.
pub async fn a_key_of_a_large_space_is_read_alone(subject: Subject) {
    let store = &*subject.store;
    let (spaces, all) = three_spaces(store).await;
    let at = store.state_head().await.unwrap();
    let nowhere = space("acme", Layer::Vectors, "facts");
    for space in spaces.iter().chain([&nowhere]) {
        let of_space: Vec<&Record> = all.iter().filter(|record| record.space == *space).collect();
        let count = of_space.len() as u64;
        for name in ["shared", "k0", "k4", "never"] {
            let of_key = of_space.iter().copied().filter(|record| record.operation.key == key(name));
            let expected = operations(of_key);
            for (min, limit) in [(0, 99), (1, 99), (count, 99), (count + 1, 99), (1, 2), (1, 0)] {
                let is_told = min.max(1) <= count && expected.len() <= limit;
                match store.state_of_key(space, &key(name), min, limit).await.unwrap() {
                    Some(KeyHistory { at: told, operations }) => {
                        assert!(is_told, "{space}, {name}, {min}, {limit}");
                        assert_eq!((told, &operations), (at, &expected), "{space}, {name}");
                    }
                    None => assert!(!is_told || !store.is_shared(), "{space}, {name}, {min}, {limit}"),
                }
            }
        }
    }
}

pub async fn records_come_in_the_order_asked_for(subject: Subject) {
    let store = &*subject.store;
    let (_, all) = three_spaces(store).await;
    let check = async |asked: &[u64], expected: &[usize]| {
        let asked: Vec<StateSeq> = asked.iter().copied().map(StateSeq).collect();
        let read = store.state_records(&asked).await.unwrap();
        let expected: Vec<Record> = expected.iter().map(|place| all[*place].clone()).collect();
        assert_eq!(read, expected, "{asked:?}");
        let digests: Vec<_> = expected.iter().map(|record| (record.operation.seq, record.digest)).collect();
        assert_eq!(store.state_digests(&asked).await.unwrap(), digests, "{asked:?}");
    };
    check(&[], &[]).await;
    check(&[3], &[2]).await;
    check(&[24, 1, 99, 0, 7, 1, u64::MAX], &[23, 0, 6, 0]).await;
    let many: Vec<u64> = (1..=24).rev().cycle().take(240).collect();
    let places: Vec<usize> = (0..24).rev().cycle().take(240).collect();
    check(&many, &places).await;
}

pub async fn what_a_deployment_and_a_run_wrote_is_found(subject: Subject) {
    let store = &*subject.store;
    let (mut spaces, all) = three_spaces(store).await;
    spaces.sort();
    for id in 0..4 {
        let theirs = || all.iter().filter(|record| record.operation.deployment == DeploymentId(id));
        for (after, limit) in [(0, 100), (0, 3), (9, 2), (24, 9), (0, 0)] {
            let page = theirs().filter(|record| record.operation.seq > StateSeq(after)).take(limit);
            let page = placed(page);
            let read = store.state_of_deployment(DeploymentId(id), StateSeq(after), limit).await.unwrap();
            assert_eq!(read, page, "deployment {id}, {after}, {limit}");
            // Every deployment of the sample has one run, of the same number.
            let read = store.state_of_run(run(id), StateSeq(after), limit).await.unwrap();
            assert_eq!(read, page, "run {id}, {after}, {limit}");
        }
        let written = spaces.iter().filter_map(|space| {
            let count = |op| theirs().filter(|r| r.space == *space && r.operation.op == op).count() as u64;
            let written = Written { space: space.clone(), puts: count(Op::Put), deletes: count(Op::Delete) };
            (written.puts + written.deletes > 0).then_some(written)
        });
        assert_eq!(store.state_written(DeploymentId(id)).await.unwrap(), written.collect::<Vec<_>>());
    }
}

pub async fn writes_without_a_run_belong_to_none(subject: Subject) {
    let store = &*subject.store;
    let nobody = pinrail_domain::state::Author { run: None, agent: None, ..author(3) };
    store.state_append(batch(&nobody, 1, vec![set(&facts(), "a", "1")])).await.unwrap();
    assert_eq!(store.state_of_run(run(3), StateSeq(0), 9).await.unwrap(), []);
    assert_eq!(store.state_of_run(pinrail_domain::id::RunId(0), StateSeq(0), 9).await.unwrap(), []);
    assert_eq!(store.state_of_deployment(DeploymentId(3), StateSeq(0), 9).await.unwrap().len(), 1);
    assert_eq!(store.state_uses(None).await.unwrap(), []);
}

pub async fn children_are_found_by_their_parents(subject: Subject) {
    let store = &*subject.store;
    let derived = |parents: &[u64]| {
        let mut change = set(&facts(), "k", "1");
        change.parents = parents.iter().copied().map(StateSeq).collect();
        change
    };
    append(store, 1, vec![derived(&[]), derived(&[1]), derived(&[1, 2]), derived(&[2, 2, 1])]).await;
    append(store, 2, vec![derived(&[4]), derived(&[77])]).await;
    let check = async |parents: &[u64], expected: &[u64]| {
        let parents: Vec<StateSeq> = parents.iter().copied().map(StateSeq).collect();
        let expected: Vec<StateSeq> = expected.iter().copied().map(StateSeq).collect();
        assert_eq!(store.state_children(&parents).await.unwrap(), expected, "{parents:?}");
    };
    check(&[], &[]).await;
    check(&[1], &[2, 3, 4]).await;
    check(&[2], &[3, 4]).await;
    check(&[4, 1, 4], &[2, 3, 4, 5]).await;
    check(&[5, 3], &[]).await;
    check(&[77], &[6]).await;
    let read = store.state_records(&[StateSeq(4)]).await.unwrap();
    assert_eq!(read[0].parents, [2, 2, 1].map(StateSeq), "as they were given");
}

/// I11
pub async fn spaces_are_listed_in_order_and_by_filter(subject: Subject) {
    let store = &*subject.store;
    let mut all = BTreeSet::new();
    for owner in ["acme", "Zeta", "umbrella"] {
        for layer in Layer::ALL {
            for name in ["facts", "fact", "facts2", "g%", "g_", "~"] {
                all.insert(space(owner, layer, name));
            }
        }
    }
    let mixed: Vec<&Space> = all.iter().rev().collect();
    for (n, space) in (0..).zip(&mixed) {
        append(store, n % 4, vec![set(space, "a", "1"), unset(space, "b"), set(space, "a", "2")]).await;
    }
    let place = |space: &Space| mixed.iter().position(|other| *other == space).unwrap() as u64;
    let facts = |space: &Space| {
        let newest = StateSeq(3 * place(space) + 3);
        SpaceFacts { space: space.clone(), puts: 2, deletes: 1, newest }
    };
    let pick = |n: usize| all.iter().nth(n).cloned();
    let layers = [None, Some(Layer::Memory), Some(Layer::Vectors)];
    let tenants = [None, Some(vec!["acme"]), Some(vec!["umbrella", "Zeta", "nobody"]), Some(vec![])];
    let prefixes = [
        None,
        Some(""),
        Some("fact"),
        Some("facts"),
        Some("g%"),
        Some("g_"),
        Some("F"),
        Some("ü"),
        Some("~~"),
    ];
    for layer in layers {
        for owners in &tenants {
            for prefix in prefixes {
                let tenants = owners.as_ref().map(|names| names.iter().map(|name| tenant(name)).collect());
                let filter = SpaceFilter { layer, tenants, prefix: prefix.map(str::to_owned) };
                for (after, limit) in [(None, 99), (None, 2), (pick(7), 3), (pick(30), 99), (pick(0), 0)] {
                    let later = all.iter().filter(|space| after.as_ref().is_none_or(|after| *space > after));
                    let wanted = later.filter(|space| filter.matches(space)).take(limit);
                    let expected: Vec<SpaceFacts> = wanted.map(facts).collect();
                    let read = store.space_list(&filter, after.as_ref(), limit).await.unwrap();
                    assert_eq!(read, expected, "{filter:?} after {after:?}");
                }
            }
        }
    }
}
