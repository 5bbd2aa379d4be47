//! Verifying the ledger as it is stored (I8).

use std::sync::Arc;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::ledger::Fault;
use pinrail_domain::tier::Tier;

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
