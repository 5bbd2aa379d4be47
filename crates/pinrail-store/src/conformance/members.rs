//! What members promise where replicas share them. Not a part of every store's suite: one that a process has for itself keeps
//! none. `pass` moves the clock by so many milliseconds.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, Generation};
use pinrail_domain::ledger::Head;
use pinrail_domain::member::{MemberId, MemberKind};

use super::sample::{all_at_once, entries};
use crate::ledger::Append;
use crate::members::{Ack, Answer, Heard, Lease, Leaver, RegisterError, Registered, Wish};
use crate::{Ledger, Members};

const MAX: usize = 4;

/// What these checks need of a store.
pub trait Shared: Ledger + Members {}

impl<T: Ledger + Members> Shared for T {}

fn wish(id: u64, name: &str, lease_ms: u64) -> Wish {
    let (owner, name) = (Some("k1".to_owned()), name.parse().unwrap());
    Wish {
        id: MemberId(id),
        owner,
        name,
        kind: MemberKind::Worker,
        lease_ms,
        idempotency: None,
        members_max: MAX,
    }
}

fn ack(member: MemberId, epoch: u64) -> Ack {
    Ack { member, owner: Some("k1".to_owned()), generation: None, epoch: Epoch(epoch) }
}

async fn heard(store: &dyn Shared, ack: Ack) -> Heard {
    store.members_acknowledge(&[ack]).await.unwrap().pop().unwrap()
}

/// Raises the epoch by one.
async fn flip(store: &dyn Shared) -> Epoch {
    let head: Head = store.ledger_head().await.unwrap();
    store.ledger_append(Append::of(entries(head, 1, "flip"))).await.unwrap();
    Epoch(head.seq.0 + 1)
}

async fn answers(store: &dyn Shared, epoch: Epoch) -> Vec<(String, Answer)> {
    let acks = store.epoch_acks(epoch).await.unwrap().unwrap();
    acks.members.into_iter().map(|ack| (ack.name.to_string(), ack.answer)).collect()
}

/// Registered at one replica, heard at another, judged the same at both.
pub async fn members_are_the_same_at_every_replica(
    store: &dyn Shared,
    other: &dyn Shared,
    pass: impl Fn(u64),
) {
    let a = store.member_register(wish(u64::MAX, "a", 60_000)).await.unwrap();
    assert_eq!(
        (a.member, a.generation, a.epoch, a.replayed),
        (MemberId(u64::MAX), Generation(1), Epoch(0), false)
    );
    let b = other.member_register(wish(2, "b", 60_000)).await.unwrap();
    let epoch = flip(store).await;
    let missing = answers(other, epoch).await;
    assert!(
        matches!(&missing[..], [(_, Answer::Missing { .. }), (_, Answer::Missing { .. })]),
        "{missing:?}"
    );
    pass(4);
    assert_eq!(heard(other, ack(a.member, 1)).await, Heard::Renewed { epoch, lease_ms: 60_000 });
    // A heartbeat on the old epoch renews the lease and answers nothing.
    assert!(matches!(heard(store, ack(b.member, 0)).await, Heard::Renewed { .. }));
    assert!(matches!(heard(store, ack(b.member, 2)).await, Heard::Ahead { epoch: Epoch(1) }));
    assert_eq!(heard(store, Ack { owner: Some("k2".to_owned()), ..ack(b.member, 1) }).await, Heard::Unknown);
    assert_eq!(heard(store, ack(MemberId(77), 1)).await, Heard::Unknown);
    for at in [store, other] {
        let told = answers(at, epoch).await;
        let [(_, Answer::Acknowledged { took_us }), (_, Answer::Missing { .. })] = told[..] else {
            panic!("{told:?}");
        };
        assert!((4_000..2_000_000).contains(&took_us), "{took_us}");
        let list = at.member_list(0).await.unwrap();
        let mut seen: Vec<_> =
            list.iter().map(|m| (m.name.as_str(), m.acknowledged.0, m.behind_ms.is_some())).collect();
        seen.sort_unstable();
        assert_eq!(seen, [("a", 1, false), ("b", 0, true)]);
        assert_eq!(at.newest_acks(5).await.unwrap(), (vec![took_us], 1));
        assert_eq!(at.epoch_acks(Epoch(9)).await.unwrap(), None);
    }
    // One acknowledgement answers all epochs before it, and late repetitions change nothing.
    let second = flip(other).await;
    pass(6);
    heard(store, ack(b.member, 2)).await;
    let first = answers(store, epoch).await;
    pass(100);
    heard(other, ack(b.member, 2)).await;
    assert_eq!(answers(store, epoch).await, first);
    let told = answers(store, second).await;
    assert!(matches!(told[..], [(_, Answer::Missing { .. }), (_, Answer::Acknowledged { .. })]), "{told:?}");
}

/// A lease that lapsed is over, on the store's clock, until its name registers again.
pub async fn a_lease_that_lapsed_is_not_renewed(store: &dyn Shared, other: &dyn Shared, pass: impl Fn(u64)) {
    let a = store.member_register(wish(1, "a", 60_000)).await.unwrap();
    let epoch = flip(store).await;
    pass(59_000);
    assert!(matches!(heard(other, ack(a.member, 0)).await, Heard::Renewed { .. }));
    // It lives, but doesn't follow.
    pass(1_001);
    assert!(!other.member_get(a.member).await.unwrap().unwrap().counts());
    assert_eq!(answers(store, epoch).await[0].1, Answer::Fenced);
    pass(59_000);
    let Heard::Refused(lapsed) = heard(other, ack(a.member, 1)).await else { panic!("renewed") };
    assert!(matches!(lapsed.lease, Lease::Lapsed { .. }), "{lapsed:?}");
    assert_eq!(
        store.member_list(0).await.unwrap().len() + store.member_list(600_000).await.unwrap().len(),
        1
    );

    let again = other.member_register(wish(9, "a", 60_000)).await.unwrap();
    assert_eq!((again.member, again.generation, again.epoch), (a.member, Generation(2), epoch));
    let stale = Ack { generation: Some(a.generation), ..ack(a.member, 1) };
    assert!(matches!(heard(store, stale).await, Heard::Refused(now) if now.generation == Generation(2)));
    assert!(matches!(heard(store, ack(a.member, 1)).await, Heard::Renewed { .. }));
    // What the one before missed isn't forgiven.
    assert_eq!(answers(store, epoch).await, [("a".to_owned(), Answer::Fenced)]);
}

/// A name has one member, whoever registers it where and how often.
pub async fn registrations_count_once(store: &dyn Shared, other: &dyn Shared, pass: impl Fn(u64)) {
    let once = |request: &str| Wish {
        idempotency: Some(("key".parse().unwrap(), Digest::of(request.as_bytes()))),
        ..wish(1, "a", 1_000)
    };
    let a = store.member_register(once("one")).await.unwrap();
    let again = other.member_register(Wish { id: MemberId(5), ..once("one") }).await.unwrap();
    assert_eq!(again, Registered { replayed: true, ..a.clone() });
    assert!(matches!(other.member_register(once("two")).await, Err(RegisterError::KeyReused)));
    // Another key's member of this name is another one.
    let theirs = Wish { owner: Some("k2".to_owned()), ..wish(2, "a", 1_000) };
    assert_eq!(other.member_register(theirs).await.unwrap().member, MemberId(2));
    let many = (0..6).map(|n| [store, other][n % 2].member_register(wish(10 + n as u64, "b", 900_000)));
    let many = all_at_once(many).await;
    let mut generations: Vec<u64> = many.iter().map(|one| one.as_ref().unwrap().generation.0).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 2, 3, 4, 5, 6]);
    let epoch = flip(store).await;
    store.member_register(wish(3, "c", 900_000)).await.unwrap();
    assert!(matches!(other.member_register(wish(4, "d", 900_000)).await, Err(RegisterError::TooMany)));
    // A replica's gateway takes nobody's place.
    let gateway = Wish { owner: None, kind: MemberKind::Gateway, ..wish(6, "replica", 900_000) };
    let gateway = store.member_register(gateway).await.unwrap();
    pass(2_000);
    other.member_register(wish(4, "d", 900_000)).await.unwrap();
    // Those that came after the flip needn't acknowledge it.
    let told = answers(store, epoch).await;
    assert!(
        matches!(&told[..], [(a, Answer::Fenced), (_, Answer::Fenced), (b, Answer::Missing { .. })] if a == "a" && b == "b")
    );
    let by = |owner: &str| Leaver::Owner(Some(owner.to_owned()));
    let b = many[0].as_ref().unwrap().member;
    assert_eq!(other.member_leave(b, &by("k2")).await.unwrap(), None);
    assert_eq!(other.member_leave(b, &by("k1")).await.unwrap().unwrap().as_str(), "b");
    assert_eq!(store.member_get(b).await.unwrap(), None);
    assert_eq!(answers(store, epoch).await[2].1, Answer::Left);
    assert_eq!(store.member_leave(gateway.member, &Leaver::Anybody).await.unwrap(), None);
    assert!(store.member_leave(gateway.member, &Leaver::Owner(None)).await.unwrap().is_some());
    let list = store.member_list(u64::MAX / 2_000_000).await.unwrap();
    assert!(list.iter().all(|member| member.name.as_str() != "b" && member.owner.is_some()));
}
