//! What the journal promises of its lists and counts.

use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Event, Outcome, RunStatus, Stamp};
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{
    agent, appending, finished, note, one_call, release, run, session, stamp, start, starting, tenant, write,
};
use crate::Store;
use crate::journal::{OpenRuns, RunFilter, Start, Write};

pub async fn events_are_read_in_pages(subject: Subject) {
    let store = &*subject.store;
    let first = Start { events: one_call()[..2].to_vec(), ..start(stamp(1)) };
    write(store, Write::Start(Box::new(first))).await.unwrap();
    write(store, starting(2)).await.unwrap();
    for size in [1, 3, 2] {
        write(store, appending(1, vec![note("n"); size])).await.unwrap();
    }
    write(store, appending(2, vec![note("another run's")])).await.unwrap();
    let all = store.run_events(run(1), EventSeq(0), 100).await.unwrap();
    assert_eq!(all.len(), 9);
    for from in 0..=10 {
        for limit in [0, 1, 2, 3, 8, usize::MAX] {
            let read = store.run_events(run(1), EventSeq(from), limit).await.unwrap();
            let start = all.len().min(usize::try_from(from).unwrap());
            let end = all.len().min(start.saturating_add(limit));
            assert_eq!(read, all[start..end], "from {from}, {limit}");
        }
    }
    assert_eq!(store.run_events(run(1), EventSeq(u64::MAX), 9).await.unwrap(), []);
}

pub async fn runs_are_listed_newest_id_first_in_pages(subject: Subject) {
    let store = &*subject.store;
    // Ids decide, not the order of writing.
    for n in [5, 2, 9, 1, 7] {
        write(store, starting(n)).await.unwrap();
    }
    let all = RunFilter::default();
    let check = async |before: Option<u64>, limit: usize, expected: &[u64]| {
        let listed = store.run_list(&all, before.map(run), limit).await.unwrap();
        let ids: Vec<RunId> = listed.iter().map(|run| run.stamp.run).collect();
        let expected: Vec<RunId> = expected.iter().copied().map(run).collect();
        assert_eq!(ids, expected, "before {before:?}, {limit}");
    };
    check(None, 100, &[9, 7, 5, 2, 1]).await;
    check(None, usize::MAX, &[9, 7, 5, 2, 1]).await;
    check(None, 2, &[9, 7]).await;
    check(Some(7), 2, &[5, 2]).await;
    check(Some(6), 2, &[5, 2]).await;
    check(Some(2), 2, &[1]).await;
    check(Some(1), 2, &[]).await;
    check(None, 0, &[]).await;
    let one = store.run_list(&all, None, 1).await.unwrap().remove(0);
    assert_eq!(Some(one), store.run_get(run(9)).await.unwrap());
}

pub async fn every_filter_filters(subject: Subject) {
    let store = &*subject.store;
    let varied = |n: u64, change: &dyn Fn(&mut Start)| {
        let mut varied = start(stamp(n));
        change(&mut varied);
        Write::Start(Box::new(varied))
    };
    let ended = |outcome| (Timestamp(1_001), Event::Finished { outcome, why: None });
    let batch = vec![
        varied(1, &|_| {}),
        varied(2, &|s| s.stamp.agent = agent("sales")),
        varied(3, &|s| s.stamp.release = release("two")),
        varied(4, &|s| s.stamp.deployment = DeploymentId(2)),
        varied(5, &|s| s.queued = true),
        varied(6, &|s| s.stamp.session = Some(session("s"))),
        varied(7, &|s| s.stamp.tenant = tenant("umbrella")),
        varied(8, &|s| s.stamp.single = true),
        varied(9, &|s| s.at = Timestamp(5_000)),
        varied(10, &|s| s.stamp.shadow = Some(run(9))),
        varied(11, &|s| s.events = vec![ended(Outcome::Error)]),
        varied(12, &|s| s.events = vec![ended(Outcome::Cancelled)]),
    ];
    assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    let any = RunFilter::default;
    let check = async |filter: RunFilter, expected: &[u64]| assert_list(store, &filter, expected).await;
    check(RunFilter { agent: Some(agent("sales")), ..any() }, &[2]).await;
    check(RunFilter { agent: Some(agent("nobody")), ..any() }, &[]).await;
    check(RunFilter { release: Some(release("two")), ..any() }, &[3]).await;
    check(RunFilter { deployment: Some(DeploymentId(2)), ..any() }, &[4]).await;
    check(RunFilter { status: Some(RunStatus::Queued), ..any() }, &[5]).await;
    check(RunFilter { status: Some(RunStatus::Finished), ..any() }, &[12, 11]).await;
    check(RunFilter { outcome: Some(Outcome::Ok), ..any() }, &[]).await;
    check(RunFilter { outcome: Some(Outcome::Error), ..any() }, &[11]).await;
    check(RunFilter { outcome: Some(Outcome::Cancelled), ..any() }, &[12]).await;
    let ended_open = RunFilter { outcome: Some(Outcome::Error), status: Some(RunStatus::Running), ..any() };
    check(ended_open, &[]).await;
    check(RunFilter { session: Some(session("s")), ..any() }, &[6]).await;
    check(RunFilter { tenants: Some(vec![tenant("umbrella")]), ..any() }, &[7]).await;
    check(RunFilter { single: Some(true), ..any() }, &[8]).await;
    check(RunFilter { shadow: Some(true), ..any() }, &[10]).await;
    check(RunFilter { gate: Some(true), ..any() }, &[]).await;
    check(RunFilter { shadow: Some(true), deployment: Some(DeploymentId(2)), ..any() }, &[]).await;
    check(RunFilter { shadow: Some(false), deployment: Some(DeploymentId(2)), ..any() }, &[4]).await;
    check(RunFilter { single: Some(false), since: Some(Timestamp(5_000)), ..any() }, &[9]).await;
    check(RunFilter { since: Some(Timestamp(1_001)), ..any() }, &[9]).await;
    check(RunFilter { until: Some(Timestamp(1_000)), ..any() }, &[]).await;
    check(RunFilter { since: Some(Timestamp(u64::MAX)), ..any() }, &[]).await;
    check(RunFilter { until: Some(Timestamp(5_000)), ..any() }, &[12, 11, 10, 8, 7, 6, 5, 4, 3, 2, 1]).await;
    check(RunFilter { until: Some(Timestamp(u64::MAX)), status: Some(RunStatus::Queued), ..any() }, &[5])
        .await;
    check(RunFilter { agent: Some(agent("support")), deployment: Some(DeploymentId(2)), ..any() }, &[4])
        .await;
    check(RunFilter { agent: Some(agent("sales")), deployment: Some(DeploymentId(2)), ..any() }, &[]).await;
}

pub async fn a_tenants_list_holds_only_its_runs(subject: Subject) {
    let store = &*subject.store;
    for (n, owner) in [(1, "acme"), (2, "umbrella"), (3, "acme"), (4, "hooli"), (5, "umbrella")] {
        let owned = Stamp { tenant: tenant(owner), session: Some(session("same")), ..stamp(n) };
        write(store, Write::Start(Box::new(start(owned)))).await.unwrap();
    }
    let of = |tenants: &[&str]| RunFilter {
        tenants: Some(tenants.iter().map(|name| tenant(name)).collect()),
        ..RunFilter::default()
    };
    // I11
    assert_list(store, &of(&["acme"]), &[3, 1]).await;
    assert_list(store, &of(&["umbrella", "hooli"]), &[5, 4, 2]).await;
    assert_list(store, &of(&["acme", "acme"]), &[3, 1]).await;
    assert_list(store, &of(&["Acme"]), &[]).await;
    assert_list(store, &of(&["'OR/**/1--"]), &[]).await;
    assert_list(store, &of(&[]), &[]).await;
    let shared_session = RunFilter { session: Some(session("same")), ..of(&["acme"]) };
    assert_list(store, &shared_session, &[3, 1]).await;
    let page = store.run_list(&of(&["acme"]), Some(run(3)), 9).await.unwrap();
    assert_eq!(page.len(), 1);
}

pub async fn open_runs_are_counted_through_every_transition(subject: Subject) {
    let store = &*subject.store;
    let queued = Start { queued: true, ..start(stamp(1)) };
    write(store, Write::Start(Box::new(queued))).await.unwrap();
    let mut other = start(stamp(2));
    other.stamp.deployment = DeploymentId(2);
    write(store, Write::Start(Box::new(other))).await.unwrap();
    let none = OpenRuns::default();
    assert_open(store, OpenRuns { queued: 1, ..none }).await;

    let pause = || Event::Paused { why: "lunch".to_owned() };
    let park = || Event::Parked { why: "gone".to_owned() };
    let steps = [
        (Event::Started, OpenRuns { running: 1, ..none }),
        (note("n"), OpenRuns { running: 1, ..none }),
        (pause(), OpenRuns { paused: 1, ..none }),
        (Event::Resumed, OpenRuns { running: 1, ..none }),
        (park(), OpenRuns { parked: 1, ..none }),
        (Event::Resumed, OpenRuns { running: 1, ..none }),
        (finished(), none),
    ];
    for (event, expected) in steps {
        write(store, appending(1, vec![event])).await.unwrap();
        assert_open(store, expected).await;
    }
    // A run that begins and ends in one write is never open; a refused write opens nothing.
    let whole = Start { events: one_call(), ..start(stamp(3)) };
    write(store, Write::Start(Box::new(whole))).await.unwrap();
    assert!(write(store, starting(3)).await.is_err());
    assert_open(store, none).await;
    write(store, starting(4)).await.unwrap();
    write(store, starting(5)).await.unwrap();
    assert_open(store, OpenRuns { running: 2, ..none }).await;
    assert_eq!(store.run_open(DeploymentId(77)).await.unwrap(), none);
}

/// Deployment 1 has these open runs, and deployment 2 its one.
async fn assert_open(store: &dyn Store, expected: OpenRuns) {
    assert_eq!(store.run_open(DeploymentId(1)).await.unwrap(), expected);
    let other = OpenRuns { running: 1, ..OpenRuns::default() };
    assert_eq!(store.run_open(DeploymentId(2)).await.unwrap(), other);
    assert_eq!(store.run_open_total().await.unwrap(), expected.total() + 1);
}

async fn assert_list(store: &dyn Store, filter: &RunFilter, expected: &[u64]) {
    let listed = store.run_list(filter, None, 100).await.unwrap();
    let ids: Vec<RunId> = listed.iter().map(|run| run.stamp.run).collect();
    let expected: Vec<RunId> = expected.iter().copied().map(run).collect();
    assert_eq!(ids, expected, "{filter:?}");
}
