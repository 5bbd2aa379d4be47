//! Several writers at once, and adopting under them.

use pinrail_adopt::{Unadopting, adopt, list, unadopt};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::bench::{Bench, DOCUMENTS, seen, within};

/// Lets another connection run something and waits until it waits for a lock.
async fn blocked(
    bench: &Bench,
    settings: &[String],
    sql: &str,
) -> JoinHandle<(Result<(), SqlState>, Client)> {
    let client = bench.another().await;
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
    let (pid, settings, sql): (i32, _, _) = (row.get(0), settings.to_vec(), sql.to_owned());
    let task = tokio::spawn(async move { (within(&client, &settings, &sql).await, client) });
    until_it_waits(bench, pid, &task).await;
    task
}

/// Waits until what a task does on a connection waits for a lock.
async fn until_it_waits<T>(bench: &Bench, pid: i32, task: &JoinHandle<T>) {
    while !bench
        .admin
        .query_one("SELECT cardinality(pg_blocking_pids($1)) > 0", &[&pid])
        .await
        .unwrap()
        .get::<_, bool>(0)
    {
        assert!(!task.is_finished(), "it didn't wait");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_second_of_two_writers_waits_and_is_told() {
    let Some(bench) = Bench::adopted().await else { return };
    let [one, two] = [bench.run_of(1, "").await, bench.run_of(2, "").await]
        .map(|run| vec![format!("pinrail.run = '{run}'")]);
    let ground = Vec::new();
    let update = "UPDATE documents SET content = content || '+' WHERE id = 1";
    let delete = "DELETE FROM documents WHERE id = 1";
    let insert = "INSERT INTO documents (id, slug) VALUES (50, 'fifty')";
    let slug = "INSERT INTO documents (id, slug) VALUES (51, 'fifty')";
    let conflict = Err(SqlState::T_R_SERIALIZATION_FAILURE);
    let taken = Err(SqlState::UNIQUE_VIOLATION);
    let first = bench.another().await;
    for (as_first, does_first, as_second, does_second, ends) in [
        (&ground, update, &ground, update, conflict.clone()),
        (&ground, delete, &ground, update, conflict.clone()),
        (&ground, update, &ground, delete, conflict.clone()),
        (&ground, insert, &ground, insert, taken.clone()),
        (&ground, insert, &one, slug, taken.clone()),
        (&ground, update, &one, update, conflict),
        // What they can't see of each other doesn't stand between two deployments.
        (&one, update, &two, update, Ok(())),
        (&one, insert, &two, insert, Ok(())),
        (&one, insert, &two, slug, Ok(())),
        (&one, insert, &ground, insert, Ok(())),
    ] {
        bench.sql("DELETE FROM documents WHERE id >= 50; INSERT INTO documents (id) SELECT 1 WHERE NOT EXISTS (SELECT FROM documents WHERE id = 1)").await;
        let set: String = as_first.iter().map(|setting| format!("SET LOCAL {setting};")).collect();
        first.batch_execute(&format!("BEGIN; {set} {does_first}")).await.unwrap();
        let second = blocked(&bench, as_second, does_second).await;
        first.batch_execute("COMMIT").await.unwrap();
        let (done, _client) = second.await.unwrap();
        assert_eq!(done, ends, "{as_first:?} {does_first} – {as_second:?} {does_second}");
        for reader in [&ground, &one, &two] {
            let twice = "SELECT id FROM documents GROUP BY id HAVING count(*) > 1";
            assert!(seen(&bench.admin, reader, twice).await.is_empty());
            let twice = "SELECT slug FROM documents WHERE slug IS NOT NULL GROUP BY slug HAVING count(*) > 1";
            assert!(seen(&bench.admin, reader, twice).await.is_empty());
        }
        // Each has its keys to itself again.
        for writer in [&one, &two] {
            within(&bench.admin, writer, "DELETE FROM documents WHERE id >= 50").await.unwrap();
        }
    }
}

#[tokio::test]
async fn in_a_fixed_snapshot_the_second_writer_fails_too() {
    let Some(bench) = Bench::adopted().await else { return };
    let (first, second) = (bench.another().await, bench.another().await);
    for (one, other) in [
        (
            "UPDATE documents SET content = 'x' WHERE id = 1",
            "UPDATE documents SET content = 'y' WHERE id = 1",
        ),
        ("DELETE FROM documents WHERE id = 2", "UPDATE documents SET content = 'y' WHERE id = 2"),
        ("INSERT INTO documents (id) VALUES (60)", "INSERT INTO documents (id) VALUES (60)"),
        ("INSERT INTO documents (slug) VALUES ('s')", "INSERT INTO documents (slug) VALUES ('s')"),
    ] {
        second
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM documents")
            .await
            .unwrap();
        first.batch_execute(one).await.unwrap();
        let late = second.batch_execute(other).await.unwrap_err();
        assert_eq!(late.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE), "{one} – {other}: {late:?}");
        second.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// A fixed snapshot may be what a role begins with, and would be older than what the last writer commits.
#[tokio::test]
async fn what_is_written_until_the_last_step_comes_back_whatever_the_isolation() {
    let Some(bench) = Bench::adopted().await else { return };
    let (writer, mut back) = (bench.another().await, bench.another().await);
    writer.batch_execute("BEGIN; INSERT INTO documents (slug) VALUES ('last')").await.unwrap();
    back.batch_execute("SET default_transaction_isolation = 'repeatable read'").await.unwrap();
    let pid: i32 = back.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let task = tokio::spawn(async move {
        let how = Unadopting { drop_hidden: false, reason: "a test".to_owned(), batch: 2 };
        unadopt(&mut back, "documents", &how, |_, _| ()).await.map(drop)
    });
    until_it_waits(&bench, pid, &task).await;
    writer.batch_execute("COMMIT").await.unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(seen(&bench.admin, &[], "SELECT count(*) FROM documents WHERE slug = 'last'").await, ["1"]);
}

#[tokio::test]
async fn adopting_and_back_under_a_writer_loses_nothing() {
    let Some(mut bench) = Bench::new().await else { return };
    bench.sql(DOCUMENTS).await;
    let writer = bench.another().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut acknowledged = 0;
        while stopped.try_recv().is_err() {
            let sql = format!(
                "INSERT INTO documents (slug) VALUES ('w{acknowledged}'); UPDATE documents SET content = content || '.' WHERE slug = 'w{acknowledged}'"
            );
            writer.batch_execute(&sql).await.unwrap();
            acknowledged += 1;
        }
        acknowledged
    });
    for _ in 0..3 {
        bench.adopt("documents").await.unwrap();
        assert!(!seen(&bench.admin, &[], "SELECT count(*) FROM documents").await.is_empty());
        bench.unadopt("documents", false).await.unwrap();
    }
    stop.send(()).unwrap();
    let acknowledged: i32 = writing.await.unwrap();
    let there = seen(&bench.admin, &[], "SELECT count(*), count(DISTINCT slug), bool_and(content = 'empty.') FROM documents WHERE slug ~ '^w'").await;
    assert_eq!(there, [format!("{acknowledged}|{acknowledged}|t")]);
}

#[tokio::test]
async fn an_adoption_that_dies_between_its_steps_is_thrown_away() {
    let Some(mut bench) = Bench::new().await else { return };
    bench.sql(DOCUMENTS).await;
    let prepared = "SELECT state FROM pinrail_adopted.tables";
    let holder = bench.another().await;
    for again in [true, false] {
        // Somebody holds the table, so the switch can't be made; then the adopting process dies.
        holder.batch_execute("BEGIN; SELECT count(*) FROM documents").await.unwrap();
        let mut dying = bench.another().await;
        let task = tokio::spawn(async move { adopt(&mut dying, "documents", "dies").await.map(|_| ()) });
        while seen(&bench.admin, &[], "SELECT to_regclass('pinrail_adopted.tables')").await == ["∅"]
            || seen(&bench.admin, &[], prepared).await.is_empty()
        {
            assert!(!task.is_finished());
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        let reader = bench.another().await;
        assert_eq!(seen(&reader, &[], "SELECT count(*) FROM documents").await, ["3"], "the table goes on");
        holder.batch_execute("ROLLBACK").await.unwrap();
        assert!(list::adopted(&bench.admin, None, None).await.unwrap().is_empty());
        if again {
            bench.adopt("documents").await.unwrap();
            bench.unadopt("documents", false).await.unwrap();
        } else {
            let undone = bench.unadopt("documents", false).await.unwrap();
            assert!(undone.was_prepared);
            assert!(seen(&bench.admin, &[], prepared).await.is_empty());
        }
    }
}

#[tokio::test]
async fn whoever_holds_the_table_holds_up_the_switch_and_nobody_else() {
    let Some(bench) = Bench::new().await else { return };
    bench.sql(DOCUMENTS).await;
    let holder = bench.another().await;
    holder.batch_execute("BEGIN; SELECT count(*) FROM documents").await.unwrap();
    let mut adopting = bench.another().await;
    let task = tokio::spawn(async move {
        let done = adopt(&mut adopting, "documents", "waits").await;
        (done.unwrap(), adopting)
    });
    let tried = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    while seen(&bench.admin, &[], tried).await == ["0"] {
        assert!(!task.is_finished());
        tokio::task::yield_now().await;
    }
    // It queues behind the try, which gives up.
    bench.sql("UPDATE documents SET content = 'quick' WHERE id = 1").await;
    holder.batch_execute("COMMIT").await.unwrap();
    let (adopted, mut client) = task.await.unwrap();
    assert!(adopted.tries > 1, "{adopted:?}");
    // The same on the way back, while a reader holds the view.
    holder.batch_execute("BEGIN; SELECT count(*) FROM documents").await.unwrap();
    let task = tokio::spawn(async move {
        let how = Unadopting { drop_hidden: false, reason: "back".to_owned(), batch: 10 };
        unadopt(&mut client, "documents", &how, |_, _| ()).await.unwrap()
    });
    while seen(&bench.admin, &[], tried).await == ["0"] {
        assert!(!task.is_finished());
        tokio::task::yield_now().await;
    }
    assert_eq!(seen(&bench.admin, &[], "SELECT content FROM documents WHERE id = 1").await, ["quick"]);
    holder.batch_execute("COMMIT").await.unwrap();
    task.await.unwrap();
}
