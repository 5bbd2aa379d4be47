//! Sessions that are cut, paused and taken over.

use std::sync::Arc;

use pinrail_domain::ledger::Head;
use pinrail_store::conformance::sample::{entries, starting};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::replicas::{Replicas, Term};
use pinrail_store::{Journal as _, Ledger, ReplicaId};
use tokio_postgres::types::Type;

use super::tell_rest;
use crate::Postgres;
use crate::db::Lane;
use crate::failure::integer;
use crate::testing::{Cluster, Database};

/// Two replicas over an empty database, where there is a server.
async fn two() -> Option<(Database, Postgres, Postgres)> {
    let database = Cluster::named_by_env()?.database();
    let (one, two) =
        (Postgres::connect(database.options()).await, Postgres::connect(database.options()).await);
    Some((database, one.unwrap(), two.unwrap()))
}

/// Asks until the answer is there; every question is a round trip to the server.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

fn cut(database: &Database, replica: ReplicaId) {
    database.execute(&format!("SELECT pg_terminate_backend(pid) FROM pinrail.replicas WHERE id = {replica}"));
}

async fn leading(store: &Postgres) -> Term {
    // While its session is made anew it says that it can't tell.
    until(async || store.lead().await.ok().flatten()).await
}

#[tokio::test]
async fn whoever_loses_its_session_loses_the_lead_and_terms_rise() {
    let Some((database, one, two)) = two().await else { return };
    let first = one.lead().await.unwrap().unwrap();
    assert_eq!(two.lead().await.unwrap(), None);
    let list = two.replica_list().await.unwrap();
    let leads: Vec<_> =
        list.iter().map(|replica| (replica.id, replica.leads.map(|lead| lead.term))).collect();
    assert_eq!(leads, [(one.replica(), Some(first)), (two.replica(), None)]);
    assert!(list[0].leads.unwrap().since >= list[0].started_at, "{list:?}");

    cut(&database, one.replica());
    let second = leading(&two).await;
    assert!(second > first);
    // It comes back as the same replica and doesn't lead.
    let me = one.replica();
    assert_eq!(until(async || one.lead().await.ok()).await, None);
    assert_eq!(one.replica(), me);
    // What it decided while it led is old news.
    let append = |fence, n| Append { fence: Some(fence), ..Append::of(entries(Head::START, n, "late")) };
    let late = one.ledger_append(append(first, 1)).await;
    assert!(matches!(late, Err(AppendError::Fenced { newest }) if newest == second), "{late:?}");
    two.ledger_append(append(second, 1)).await.unwrap();
    two.resign().await.unwrap();
    assert!(leading(&one).await > second);
}

#[tokio::test]
async fn a_replica_that_was_given_up_is_another_one_afterwards() {
    let Some((_database, one, two)) = two().await else { return };
    let (me, term) = (one.replica(), one.lead().await.unwrap().unwrap());
    // It says every second that it is there.
    assert!(!two.replica_forget(me, 60_000).await.unwrap());
    assert!(two.replica_forget(me, 0).await.unwrap());
    assert!(!two.replica_forget(me, 0).await.unwrap());
    let list = || async { two.replica_list().await.unwrap() };
    let again = until(async || list().await.into_iter().find(|replica| replica.id > two.replica())).await;
    until(async || (one.replica() == again.id).then_some(())).await;
    assert_eq!(list().await.len(), 2);
    assert!(leading(&one).await > term);
}

#[tokio::test]
async fn news_rise_with_what_is_written_and_whenever_the_session_was_lost() {
    let Some((database, one, two)) = two().await else { return };
    let mut news = two.news();
    let before = *news.borrow_and_update();
    one.ledger_append(Append::of(entries(Head::START, 1, "first"))).await.unwrap();
    let tx = one.begin(Lane::Work).await.unwrap();
    tell_rest(&tx).await.unwrap();
    tx.commit().await.unwrap();
    one.inner.here.wrote_runs();
    let rose = news.wait_for(|news| {
        news.ledger > before.ledger && news.rest > before.rest && news.journal > before.journal
    });
    let now = *rose.await.unwrap();
    assert_eq!(now.state, before.state);
    cut(&database, two.replica());
    let all = |news: &pinrail_store::replicas::News| {
        news.ledger > now.ledger
            && news.rest > now.rest
            && news.journal > now.journal
            && news.state > now.state
    };
    news.wait_for(all).await.unwrap();
}

#[tokio::test]
async fn what_others_wrote_is_read_in_pieces_and_a_gap_is_seen() {
    let Some((database, one, two)) = two().await else { return };
    let wrote = |batch: u64, runs: &str| {
        let replica = one.replica();
        database.execute(&format!(
            "INSERT INTO pinrail.run_writes (replica, batch, runs) VALUES ({replica}, {batch}, ARRAY[{runs}]::uuid[])"
        ));
    };
    let run = |n: u64| format!("'00000000-0000-0000-0000-00000000000{n}'");
    let before = two.reached().await.unwrap();
    wrote(1, &format!("{}, {}", run(1), run(2)));
    wrote(2, &run(2));
    wrote(3, &run(3));
    let ids = |runs: &[pinrail_domain::id::RunId]| runs.iter().map(|run| run.0).collect::<Vec<u128>>();
    let some = two.runs_touched(&before, 1).await.unwrap();
    assert_eq!((ids(&some.runs), some.more, some.gap), (vec![1, 2], true, false));
    let rest = two.runs_touched(&some.reached, 100).await.unwrap();
    assert_eq!((ids(&rest.runs), rest.more, rest.gap), (vec![2, 3], false, false));
    assert_eq!(two.reached().await.unwrap(), rest.reached);
    // Its own writes are no news.
    assert_eq!(one.runs_touched(&before, 100).await.unwrap().runs, []);
    database.execute("DELETE FROM pinrail.run_writes WHERE batch < 3");
    assert!(two.runs_touched(&before, 100).await.unwrap().gap);
    assert!(!two.runs_touched(&rest.reached, 100).await.unwrap().gap);
}

#[tokio::test]
async fn a_term_begins_only_when_no_append_is_under_way() {
    let Some((_database, one, two)) = two().await else { return };
    let term = one.lead().await.unwrap().unwrap();
    one.resign().await.unwrap();
    // An append that has passed its check holds the heads.
    let tx = one.begin(Lane::Quick).await.unwrap();
    tx.row("SELECT term FROM pinrail.heads FOR UPDATE", &[]).await.unwrap();
    let mut leads = std::pin::pin!(two.lead());
    let waits = async {
        let sql = "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND query LIKE $1 AND datname = current_database()";
        until(async || one.maybe(Lane::Work, sql, &[(&"%SET term%", Type::TEXT)]).await.unwrap()).await
    };
    tokio::select! {
        _ = &mut leads => panic!("a term began in the middle of an append"),
        _ = waits => {}
    }
    tx.commit().await.unwrap();
    assert!(leads.await.unwrap().unwrap() > term);
}

#[tokio::test]
async fn what_a_replica_wrote_that_was_given_up_is_forgotten() {
    let Some((database, one, two)) = two().await else { return };
    let wrote = |replica: u64, batch: u64, age: &str| {
        database.execute(&format!(
            "INSERT INTO pinrail.run_writes (replica, batch, at, runs) \
             VALUES ({replica}, {batch}, now() - interval '{age}', ARRAY[]::uuid[])"
        ));
    };
    let living = two.replica().0;
    for (replica, age) in [(901, "2 days"), (902, "1 hour"), (living, "2 days")] {
        wrote(replica, 1, age);
        wrote(replica, 2, age);
    }
    // The first batch that a process writes forgets.
    let mut started = one.journal_write(Arc::new(vec![starting(1)])).await;
    started.pop().unwrap().unwrap();
    let rows = async || {
        let sql = "SELECT replica FROM pinrail.run_writes WHERE replica <> $1 ORDER BY replica";
        let me = integer(one.replica().0);
        let rows = one.rows(Lane::Work, sql, &[(&me, Type::INT8)]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
    };
    let mut expected = vec![integer(living), 902];
    expected.sort_unstable();
    until(async || (rows().await == expected).then_some(())).await;
}
