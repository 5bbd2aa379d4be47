//! What gates promise: kept whole or not at all, listed newest first, and rows that are written once.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, GateId};
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{agent, answer, release};
use crate::Term;
use crate::gates::{GateChange, GateCreateError, GateFilter, GateRecord, GateRow, GateStatus, RowKey};

fn gate(n: u64) -> GateId {
    GateId::from_parts(1_000 + n, u128::from(n))
}

fn record(n: u64, of: &str, deployment: Option<u64>) -> GateRecord {
    GateRecord {
        id: gate(n),
        agent: agent(of),
        deployment: deployment.map(DeploymentId),
        candidate: release("two"),
        incumbent: (!n.is_multiple_of(2)).then(|| release("one")),
        created_at: Timestamp(1_000 + n),
        status: GateStatus::Running,
        document: format!("{{\"settings\":\"no'; -- ü {n}\"}}"),
    }
}

fn change(n: u64, from: GateStatus, to: GateStatus) -> GateChange {
    GateChange { id: gate(n), from, to, document: to.as_str().to_owned(), fence: None }
}

fn row(case: &str, repeat: u32, of: &str, settled: bool, body: &str) -> GateRow {
    let key = RowKey { case: Digest::of(case.as_bytes()), repeat, release: release(of) };
    GateRow { key, settled, body: body.as_bytes().to_vec() }
}

fn bodies(rows: &[GateRow]) -> Vec<&str> {
    rows.iter().map(|row| std::str::from_utf8(&row.body).unwrap()).collect()
}

pub async fn a_gate_comes_back_whole_and_changes_its_document(subject: Subject) {
    let store = &*subject.store;
    let gates = [record(1, "support", Some(4)), record(2, "sales", None)];
    store.gate_create(gates.to_vec(), None).await.unwrap();
    for gate in &gates {
        assert_eq!(store.gate_get(gate.id).await.unwrap().as_ref(), Some(gate));
    }
    assert_eq!(store.gate_get(gate(9)).await.unwrap(), None);
    let mut from = GateStatus::Running;
    for status in GateStatus::ALL {
        assert!(store.gate_update(change(1, from, status)).await.unwrap());
        let shown = store.gate_get(gate(1)).await.unwrap().unwrap();
        let document = status.as_str().to_owned();
        assert_eq!(shown, GateRecord { status, document, ..gates[0].clone() });
        from = status;
    }
    assert!(!store.gate_update(change(9, GateStatus::Running, GateStatus::Failed)).await.unwrap());
    assert_eq!(store.gate_get(gate(2)).await.unwrap().as_ref(), Some(&gates[1]));
}

/// Whoever saw a gate where it isn't any more, or led when it began, changes nothing.
pub async fn how_a_gate_ended_is_not_changed_by_old_news(subject: Subject) {
    let store = &*subject.store;
    let gates = [record(1, "support", None), record(2, "support", None)];
    store.gate_create(gates.to_vec(), None).await.unwrap();
    let (runs, over) = (GateStatus::Running, GateStatus::Cancelled);
    assert!(store.gate_update(change(1, runs, over)).await.unwrap());
    for late in [GateStatus::Finished, GateStatus::Failed, GateStatus::Cancelled] {
        assert!(!store.gate_update(change(1, runs, late)).await.unwrap());
    }
    let ended = store.gate_get(gate(1)).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.document.as_str()), (over, "cancelled"));
    // It is taken up again by whoever saw that.
    assert!(store.gate_update(change(1, over, runs)).await.unwrap());

    let term = store.lead().await.unwrap().expect("nobody else leads");
    let of = |term, to| GateChange { fence: Some(term), ..change(2, runs, to) };
    if store.is_shared() {
        assert!(!store.gate_update(of(Term(0), GateStatus::Failed)).await.unwrap());
        store.resign().await.unwrap();
        let newest = store.lead().await.unwrap().expect("nobody else leads");
        assert!(!store.gate_update(of(term, GateStatus::Failed)).await.unwrap());
        assert_eq!(store.gate_get(gate(2)).await.unwrap().as_ref(), Some(&gates[1]));
        assert!(store.gate_update(of(newest, GateStatus::Finished)).await.unwrap());
    } else {
        assert!(store.gate_update(of(term, GateStatus::Finished)).await.unwrap(), "who is alone leads");
    }
}

pub async fn gates_are_kept_together_and_answered_once(subject: Subject) {
    let store = &*subject.store;
    let given = answer("key", "k", 5);
    let made = vec![record(1, "support", None), record(2, "sales", None)];
    store.gate_create(made.clone(), Some(given.clone())).await.unwrap();
    // The key is looked at before the gates, and a refused write keeps nothing.
    let again = store.gate_create(made, Some(given.clone())).await;
    assert!(matches!(again, Err(GateCreateError::Answered(there)) if *there == given));
    let other = answer("key", "l", 6);
    let half = vec![record(3, "support", None), record(2, "sales", None)];
    let refused = store.gate_create(half, Some(other.clone())).await;
    assert!(matches!(refused, Err(GateCreateError::Exists(id)) if id == gate(2)), "{refused:?}");
    assert_eq!(store.gate_get(gate(3)).await.unwrap(), None);
    assert_eq!(store.answer_get(&other.key).await.unwrap(), None);
    assert_eq!(store.answer_get(&given.key).await.unwrap(), Some(given));
}

pub async fn gates_are_listed_newest_first_and_by_filter(subject: Subject) {
    let store = &*subject.store;
    for n in 1..=6 {
        let of = if n % 3 == 0 { "sales" } else { "support" };
        store.gate_create(vec![record(n, of, (n > 2).then_some(n / 2))], None).await.unwrap();
    }
    assert!(store.gate_update(change(4, GateStatus::Running, GateStatus::Finished)).await.unwrap());
    let list = async |filter: GateFilter, before: Option<u64>, limit| {
        let gates = store.gate_list(&filter, before.map(gate), limit).await.unwrap();
        gates.iter().map(|gate| gate.created_at.0 - 1_000).collect::<Vec<_>>()
    };
    let all = GateFilter::default;
    assert_eq!(list(all(), None, 10).await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(all(), None, 2).await, [6, 5]);
    assert_eq!(list(all(), Some(5), 2).await, [4, 3]);
    assert_eq!(list(GateFilter { agent: Some(agent("sales")), ..all() }, None, 10).await, [6, 3]);
    assert_eq!(list(GateFilter { deployment: Some(DeploymentId(2)), ..all() }, None, 10).await, [5, 4]);
    assert_eq!(list(GateFilter { status: Some(GateStatus::Finished), ..all() }, None, 10).await, [4]);
    let both = GateFilter { status: Some(GateStatus::Running), deployment: Some(DeploymentId(2)), ..all() };
    assert_eq!(list(both, None, 10).await, [5]);
}

pub async fn rows_are_written_once_and_read_in_pages(subject: Subject) {
    let store = &*subject.store;
    store.gate_create(vec![record(1, "support", None), record(2, "support", None)], None).await.unwrap();
    let mut rows: Vec<GateRow> = Vec::new();
    for case in ["a", "b", "c"] {
        for repeat in [1, 0] {
            rows.extend(["one", "two"].map(|of| row(case, repeat, of, true, &format!("{case}{repeat}{of}"))));
        }
    }
    assert_eq!(store.gate_rows_append(gate(1), rows.clone()).await.unwrap(), 12);
    // Whoever comes later changes nothing; of a batch only what is new counts.
    let mut late: Vec<GateRow> =
        rows.iter().map(|row| GateRow { body: b"late".to_vec(), ..row.clone() }).collect();
    late.push(row("d", 7, "two", true, "new"));
    assert_eq!(store.gate_rows_append(gate(1), late).await.unwrap(), 1);
    assert_eq!(store.gate_rows_append(gate(9), rows.clone()).await.unwrap(), 0);
    rows.push(row("d", 7, "two", true, "new"));
    rows.sort_by_key(|row| row.key);
    assert_eq!(store.gate_rows_read(gate(1), None, 100).await.unwrap(), rows);
    assert_eq!(store.gate_rows_read(gate(1), Some(rows[3].key), 5).await.unwrap(), rows[4..9]);
    assert_eq!(store.gate_rows_read(gate(1), Some(rows[12].key), 5).await.unwrap(), []);
    assert_eq!(store.gate_rows_read(gate(2), None, 5).await.unwrap(), []);
}

pub async fn a_row_that_is_not_settled_gives_way(subject: Subject) {
    let store = &*subject.store;
    store.gate_create(vec![record(1, "support", None)], None).await.unwrap();
    for (settled, body, kept) in
        [(false, "error", 1), (false, "again", 1), (true, "good", 1), (false, "late", 0), (true, "later", 0)]
    {
        let rows = vec![row("a", 0, "one", settled, body)];
        assert_eq!(store.gate_rows_append(gate(1), rows).await.unwrap(), kept, "{body}");
    }
    let rows = store.gate_rows_read(gate(1), None, 9).await.unwrap();
    assert_eq!((rows[0].settled, bodies(&rows)), (true, vec!["good"]));
}

pub async fn the_newest_settled_rows_can_be_reused(subject: Subject) {
    let store = &*subject.store;
    store.gate_create((1..=3).map(|n| record(n, "support", None)).collect(), None).await.unwrap();
    let of = |n: u64, repeats: &[(u32, bool)]| {
        let body = |repeat| format!("{n}/{repeat}");
        let rows = repeats.iter().map(|(repeat, ok)| row("a", *repeat, "one", *ok, &body(*repeat)));
        (gate(n), rows.collect::<Vec<_>>())
    };
    let written =
        [of(3, &[(0, false), (1, true)]), of(1, &[(0, true), (1, true), (2, true)]), of(2, &[(0, true)])];
    for (id, rows) in written {
        store.gate_rows_append(id, rows).await.unwrap();
    }
    let noise = vec![row("b", 0, "one", true, "-"), row("a", 0, "two", true, "-")];
    store.gate_rows_append(gate(3), noise).await.unwrap();
    let found = async |case: &str, repeats| {
        let case = Digest::of(case.as_bytes());
        let found = store.gate_rows_reusable(release("one"), case, repeats).await.unwrap();
        let found = found.into_iter().map(|(id, row)| (id, String::from_utf8(row.body).unwrap()));
        found.collect::<Vec<_>>()
    };
    let named = |n: u64, body: &str| (gate(n), body.to_owned());
    assert_eq!(found("a", 2).await, [named(2, "2/0"), named(3, "3/1")]);
    assert_eq!(found("a", 9).await, [named(2, "2/0"), named(3, "3/1"), named(1, "1/2")]);
    assert_eq!(found("c", 9).await, []);
}
