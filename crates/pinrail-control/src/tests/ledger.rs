//! Verifying the ledger as it is stored (I8).

use std::sync::Arc;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::{Actor, Body, Draft, Entry, Fault, Head};
use pinrail_domain::tier::Tier;
use pinrail_store::Ledger as _;
use pinrail_store::ledger::Append;

use super::bench::*;
use crate::ledger::Verdict;

#[tokio::test]
async fn a_ledger_is_whole_until_somebody_touches_it() {
    let bench = Bench::new(Tier::Standard).await;
    let verify = async || bench.control.ledger_verify().await.unwrap();
    let known = bench.control.snapshot().world.head;
    assert_eq!(verify().await, Verdict::Whole { head: known });

    bench.store.tamper(Some(Arc::new(|entries| entries[2].reason.push('!'))));
    let Verdict::Broken(broken) = verify().await else { panic!("a changed entry must be found") };
    assert_eq!(broken.seq, LedgerSeq(3));
    assert!(matches!(broken.fault, Fault::Hash { .. }));

    bench.store.tamper(Some(Arc::new(|entries| entries.truncate(4))));
    let Verdict::Truncated { stored, .. } = verify().await else { panic!("a lost end must be found") };
    assert_eq!(stored.seq, LedgerSeq(4));

    // A chain that is whole in itself but says something else.
    bench.store.tamper(Some(Arc::new(|entries| {
        let mut head = pinrail_domain::ledger::Head::START;
        for entry in entries {
            entry.prev = head.hash;
            entry.reason = "forged".to_owned();
            entry.hash = entry.compute_hash().unwrap();
            head = pinrail_domain::ledger::Head { seq: entry.seq, hash: entry.hash };
        }
    })));
    assert!(matches!(verify().await, Verdict::Truncated { stored, .. } if stored.seq == known.seq));

    bench.store.tamper(None);
    bench.store.memory.damage_entry(LedgerSeq(2));
    let Verdict::Unreadable { what, .. } = verify().await else { panic!("damage must be found") };
    assert!(what.contains("entry 2"), "{what}");
}

#[tokio::test]
async fn of_a_broken_and_a_damaged_entry_the_first_is_named() {
    let bench = Bench::new(Tier::Standard).await;
    let memory = &bench.store.memory;
    let mut head = bench.control.snapshot().world.head;
    for reason in ["as written", "as changed", "as written"] {
        let provider = "p".parse().unwrap();
        let draft = Draft {
            at: START,
            actor: Actor::Open,
            reason: "as written".to_owned(),
            body: Body::ProviderRemoved { provider },
        };
        let entry = Entry { reason: reason.to_owned(), ..head.seal(draft).unwrap() };
        head = Head { seq: entry.seq, hash: entry.hash };
        memory.ledger_append(Append::of(vec![entry])).await.unwrap();
    }
    let verify = async || bench.control.ledger_verify().await.unwrap();
    memory.damage_entry(head.seq);
    let Verdict::Broken(broken) = verify().await else { panic!("a changed entry must be found") };
    assert_eq!(broken.seq.next(), head.seq);
    memory.damage_entry(broken.seq);
    let Verdict::Unreadable { after, what } = verify().await else { panic!("damage must be found") };
    assert_eq!(after.next(), broken.seq);
    assert!(what.contains(&format!("entry {}", broken.seq)), "{what}");
}
