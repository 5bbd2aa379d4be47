//! What the store promises of reads: who read what, and who uses which space.

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::{Layer, Moment, Space};
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::state::{author, batch, facts, set, space};
use super::sample::{agent, run, tenant};
use crate::state::{Read, Seen, SpaceFilter, Use};

fn read(n: u64, name: &str, space: &Space, state: u64, what: Seen) -> Read {
    let at = Moment { state: StateSeq(state), ledger: LedgerSeq(n) };
    Read { run: run(n), agent: agent(name), space: space.clone(), at, what }
}

pub async fn reads_come_back_in_the_order_noted(subject: Subject) {
    let store = &*subject.store;
    let other = space("umbrella", Layer::Context, "facts");
    assert_eq!(store.reads_of_space(&facts(), StateSeq(0), 0, 9).await.unwrap(), []);
    store.reads_note(&[], Timestamp(1)).await.unwrap();
    let some = |places: &[u64]| Seen::Records(places.iter().copied().map(StateSeq).collect());
    let reads = [
        read(1, "support", &facts(), 5, Seen::All),
        read(2, "planner", &facts(), 3, some(&[1, 3])),
        read(1, "support", &other, 6, Seen::All),
        read(3, "support", &facts(), 9, some(&[])),
        read(1, "support", &facts(), 5, some(&[2])),
        read(1, "support", &facts(), 5, some(&[2])),
    ];
    store.reads_note(&reads[..4], Timestamp(1)).await.unwrap();
    store.reads_note(&reads[4..], Timestamp(2)).await.unwrap();
    let check = async |space: &Space, from: u64, skip: usize, limit: usize, expected: &[usize]| {
        let found = store.reads_of_space(space, StateSeq(from), skip, limit).await.unwrap();
        let expected: Vec<Read> = expected.iter().map(|n| reads[*n].clone()).collect();
        assert_eq!(found, expected, "{space}, {from}, {skip}, {limit}");
    };
    check(&facts(), 0, 0, 99, &[0, 1, 3, 4, 5]).await;
    check(&facts(), 0, 1, 2, &[1, 3]).await;
    check(&facts(), 4, 0, 99, &[0, 3, 4, 5]).await;
    check(&facts(), 5, 3, usize::MAX, &[5]).await;
    check(&facts(), 6, 0, 99, &[3]).await;
    check(&facts(), 10, 0, 99, &[]).await;
    check(&facts(), 0, 99, 99, &[]).await;
    check(&facts(), 0, 0, 0, &[]).await;
    check(&other, 6, 0, 99, &[2]).await;
    // To read a space doesn't make it one that holds something.
    assert_eq!(store.space_list(&SpaceFilter::default(), None, 9).await.unwrap(), []);
}

/// I11
pub async fn uses_are_counted_by_agent_and_space(subject: Subject) {
    let store = &*subject.store;
    let other = space("umbrella", Layer::Memory, "support/s");
    assert_eq!(store.state_uses(None).await.unwrap(), []);
    let write =
        batch(&author(1), 50, vec![set(&facts(), "a", "1"), set(&other, "b", "1"), set(&facts(), "c", "1")]);
    store.state_append(write).await.unwrap();
    let seen = [
        read(1, "support", &facts(), 1, Seen::All),
        read(1, "support", &facts(), 1, Seen::All),
        read(2, "planner", &other, 1, Seen::All),
    ];
    store.reads_note(&seen, Timestamp(40)).await.unwrap();
    store.reads_note(&seen[2..], Timestamp(70)).await.unwrap();
    let used = |name: &str, space: &Space, reads, writes, last_at| Use {
        agent: agent(name),
        space: space.clone(),
        reads,
        writes,
        last_at: Timestamp(last_at),
    };
    let expected = [
        used("support", &facts(), 2, 2, 50),
        used("planner", &other, 2, 0, 70),
        used("support", &other, 0, 1, 50),
    ];
    assert_eq!(store.state_uses(None).await.unwrap(), expected);
    let check = async |owners: &[&str], expected: &[Use]| {
        let tenants: Vec<_> = owners.iter().map(|owner| tenant(owner)).collect();
        assert_eq!(store.state_uses(Some(&tenants)).await.unwrap(), expected, "{owners:?}");
    };
    check(&["acme"], &expected[..1]).await;
    check(&["umbrella"], &expected[1..]).await;
    check(&["umbrella", "acme"], &expected).await;
    check(&["nobody"], &[]).await;
    check(&[], &[]).await;
}
