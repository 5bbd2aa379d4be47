//! What appends in a data job's name promise: they come before the entry that ends the job, or not at all.

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::Body;
use pinrail_domain::state::{Author, Origin};

use super::Subject;
use super::sample::state::{author, batch, enter, facts, key, set};
use super::sample::{all_at_once, answer};
use crate::Store;
use crate::state::{AppendError, Appended, Batch, Expect, Keep};

pub async fn nothing_is_written_in_an_ended_jobs_name(subject: Subject) {
    let store = &*subject.store;
    let check = async |job, open: Option<u64>, expected: Result<u64, u64>| {
        let batch = Batch { open: open.map(LedgerSeq), ..load(job) };
        match (store.state_append(batch).await, expected) {
            (Ok(appended), Ok(first)) => assert_eq!(appended.first, StateSeq(first), "job {job}"),
            (Err(AppendError::Ended { by }), Err(entry)) => assert_eq!(by, LedgerSeq(entry), "job {job}"),
            other => panic!("job {job}, open as of {open:?}: {other:?}"),
        }
    };
    let given = answer("key", "k", 0);
    let keep = Keep { key: given.key, request: given.request };
    let kept = || Batch { open: Some(LedgerSeq(0)), answer: Some(keep.clone()), ..load(3) };
    assert_eq!(store.state_append(kept()).await.unwrap().first, StateSeq(1));
    enter(store, 1, taken_back(2)).await;
    enter(store, 2, committed(3)).await;
    // What became of others is nothing to a job that is open.
    check(1, Some(0), Ok(2)).await;
    check(1, Some(2), Ok(3)).await;
    check(2, Some(0), Err(1)).await;
    check(3, Some(0), Err(2)).await;
    check(3, Some(1), Err(2)).await;
    enter(store, 3, taken_back(3)).await;
    check(3, Some(1), Err(2)).await;
    // Whoever is no data job isn't asked: what a deployment's runs write after its promotion counts.
    check(3, None, Ok(4)).await;
    // The answer and what is expected come first, and what is refused has changed nothing.
    let again = store.state_append(kept()).await;
    assert!(matches!(again, Err(AppendError::Answered(_))), "{again:?}");
    let expect = Some(Expect { space: facts(), key: key("k"), newest: None });
    let moved = store.state_append(Batch { expect, open: Some(LedgerSeq(0)), ..load(3) }).await;
    assert!(matches!(moved, Err(AppendError::Moved { .. })), "{moved:?}");
    assert_eq!(store.state_head().await.unwrap().state, StateSeq(4));
    let written = store.state_written(DeploymentId(3)).await.unwrap();
    assert_eq!(written.iter().map(|written| written.puts).collect::<Vec<_>>(), [2]);
}

/// I4, I5: at the same moment, on all replicas.
pub async fn all_that_a_commit_covers_was_there_before_it(subject: Subject) {
    let stores: Vec<&dyn Store> =
        [Some(&subject.store), subject.other.as_ref()].into_iter().flatten().map(|store| &**store).collect();
    for job in 1..=4 {
        let open = stores[0].ledger_head().await.unwrap().seq;
        let append = |n: usize| {
            let store = stores[n % stores.len()];
            async move {
                match n {
                    9 => Err(enter(store, job, committed(job)).await),
                    _ => Ok(store.state_append(Batch { open: Some(open), ..load(job) }).await),
                }
            }
        };
        let done = all_at_once((0..24).map(append)).await;
        let ended = done.iter().find_map(|done| done.as_ref().err()).copied().unwrap();
        let mut acknowledged = BTreeMap::new();
        for appended in done.into_iter().flatten() {
            match appended {
                Ok(Appended { first, ledger, .. }) => drop(acknowledged.insert(first, ledger)),
                Err(AppendError::Ended { by }) => assert_eq!(by, ended),
                Err(error) => panic!("{error}"),
            }
        }
        assert!(acknowledged.values().all(|ledger| *ledger < ended), "{acknowledged:?} of {ended}");
        let there = stores[0].state_of_deployment(DeploymentId(job), StateSeq(0), 99).await.unwrap();
        assert!(there.iter().map(|(_, operation)| &operation.seq).eq(acknowledged.keys()));
    }
}

/// One record in a data job's name.
fn load(job: u64) -> Batch {
    let author = Author { origin: Origin::Ingest, run: None, agent: None, ..author(job) };
    batch(&author, 1, vec![set(&facts(), "k", "1")])
}

fn committed(job: u64) -> Body {
    Body::DeploymentPromoted { deployment: DeploymentId(job), overridden: None, evidence: None }
}

fn taken_back(job: u64) -> Body {
    Body::DeploymentRolledBack {
        deployment: DeploymentId(job),
        keep_state: false,
        derived: Default::default(),
        to: BTreeMap::new(),
        evidence: None,
    }
}
