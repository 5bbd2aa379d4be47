//! The way back: the table is what it was, and holds what everybody sees.

use pinrail_adopt::hidden::export;
use pinrail_adopt::shape::Shape;
use pinrail_adopt::{Error, Unadopting, list, unadopt};

use super::bench::{Bench, DOCUMENTS, seen, within};

const ALL: &str = "SELECT * FROM documents ORDER BY id";

#[tokio::test]
async fn a_table_that_nobody_wrote_to_comes_back_as_it_was() {
    let Some(mut bench) = Bench::new().await else { return };
    bench
        .sql(&format!(
            "{DOCUMENTS}
            CREATE TABLE authors (id integer PRIMARY KEY);
            CREATE SEQUENCE aside;
            ALTER TABLE documents ADD COLUMN author integer REFERENCES authors ON DELETE CASCADE,
                ADD COLUMN note varchar(20) COLLATE \"C\" DEFAULT 'a''b' CHECK (note <> 'bad'),
                ADD COLUMN other bigint DEFAULT nextval('aside'),
                ADD COLUMN n integer GENERATED ALWAYS AS IDENTITY,
                DROP COLUMN slug;
            CREATE INDEX ON documents (author) WHERE author > 3;
            CREATE INDEX ON documents ((lower(content)));
            CREATE UNIQUE INDEX ON documents (note, other);
            GRANT SELECT, INSERT ON documents TO PUBLIC; GRANT UPDATE (note) ON documents TO PUBLIC"
        ))
        .await;
    let (shape, rows) =
        (Shape::find(&bench.admin, "documents").await.unwrap(), seen(&bench.admin, &[], ALL).await);
    let files =
        "SELECT pg_relation_filenode(oid), relname FROM pg_class WHERE relname ~ '^documents' ORDER BY 2";
    let stored = seen(&bench.admin, &[], files).await;
    for _ in 0..2 {
        bench.adopt("documents").await.unwrap();
        assert_eq!(seen(&bench.admin, &[], ALL).await, rows);
        let gone = bench.unadopt("public.documents", false).await.unwrap();
        assert_eq!((gone.settled, gone.removed, gone.moved), (0, 0, 0));
        assert!(Shape::find(&bench.admin, "documents").await.unwrap().is_same(&shape), "{shape:#?}");
        assert_eq!(seen(&bench.admin, &[], ALL).await, rows);
        assert_eq!(
            seen(&bench.admin, &[], files).await,
            stored,
            "the very same files: nothing was rewritten"
        );
    }
    let left = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^pinrail_adopted_'";
    assert!(seen(&bench.admin, &[], left).await.is_empty());
    let history =
        seen(&bench.admin, &[], "SELECT act, table_name, reason FROM pinrail_adopted.history ORDER BY at")
            .await;
    assert_eq!(history.len(), 4);
    assert_eq!(history[0], "adopted|documents|a test");
    bench.admin.batch_execute("DELETE FROM pinrail_adopted.history").await.expect_err("it is append-only");
    bench.sql("INSERT INTO documents (content) VALUES ('next')").await;
    assert_eq!(
        seen(&bench.admin, &[], "SELECT id, n FROM documents ORDER BY id DESC LIMIT 1").await,
        ["4|4"]
    );
}

#[tokio::test]
async fn what_everybody_sees_is_what_the_table_holds() {
    let Some(mut bench) = Bench::adopted().await else { return };
    let run = [format!("pinrail.run = '{}'", bench.run_of(1, "").await)];
    bench.sql("INSERT INTO documents (slug) SELECT 'g' || n FROM generate_series(1, 9) n").await;
    bench.sql("DELETE FROM documents WHERE id = 4; UPDATE documents SET content = 'grounded' WHERE id IN (2, 5)").await;
    // Values that move from key to key must find their place free.
    within(&bench.admin, &run, "UPDATE documents SET slug = NULL WHERE id = 1; UPDATE documents SET slug = 'a' WHERE id = 3; DELETE FROM documents WHERE id = 6").await.unwrap();
    bench
        .sql(
            "UPDATE documents SET slug = 'freed' WHERE id = 7; UPDATE documents SET slug = 'g4' WHERE id = 8",
        )
        .await;
    bench.commit(1).await;
    bench.sql("UPDATE documents SET slug = 'g3' WHERE id = 9").await;
    let rows = seen(&bench.admin, &[], ALL).await;
    let gone = bench.unadopt("documents", false).await.unwrap();
    assert!(gone.settled >= 8 && gone.moved >= 2, "{gone:?}");
    assert_eq!(seen(&bench.admin, &[], ALL).await, rows);
    let planned = seen(&bench.admin, &[], "SELECT count(*), count(DISTINCT slug) FROM documents").await;
    assert_eq!(planned, [format!("{0}|{1}", rows.len(), rows.len() - 1)]);
}

/// Lets something be written while keys are settled, once.
async fn while_it_settles(bench: &Bench, when: &str, sql: &str) {
    bench
        .sql(&format!(
            "CREATE TABLE once (); CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF to_regclass('once') IS NOT NULL THEN DROP TABLE once; {sql}; END IF; RETURN NULL; END $$;
             CREATE TRIGGER meanwhile AFTER {when} ON pinrail_adopted_1.ground FOR EACH STATEMENT EXECUTE FUNCTION meanwhile()"
        ))
        .await;
}

#[tokio::test]
async fn what_is_written_while_it_settles_is_settled_before_the_last_step() {
    let Some(mut bench) = Bench::adopted().await else { return };
    bench.sql("INSERT INTO documents (slug) SELECT 'g' || n FROM generate_series(1, 9) n").await;
    let more = "INSERT INTO documents (slug) SELECT 'm' || n FROM generate_series(1, 30) n; DELETE FROM documents WHERE id = 1";
    while_it_settles(&bench, "INSERT", more).await;
    let how = Unadopting { drop_hidden: false, reason: "a test".to_owned(), batch: 4 };
    let mut heard = Vec::new();
    let gone = unadopt(&mut bench.admin, "documents", &how, |at, of| heard.push((at, of))).await.unwrap();
    assert_eq!((gone.settled, gone.moved), (9 + 31, 0), "{gone:?}");
    let ends: Vec<_> = heard.iter().filter(|(at, of)| at == of).map(|(_, of)| *of).collect();
    assert_eq!(ends, [9, 31], "{heard:?}");
    assert_eq!(seen(&bench.admin, &[], "SELECT count(*), min(id) FROM documents").await, ["41|2"]);
}

#[tokio::test]
async fn values_that_change_places_while_it_settles_find_theirs_free() {
    let Some(mut bench) = Bench::adopted().await else { return };
    bench.sql("UPDATE documents SET content = 'written' WHERE id = 3").await;
    // After the row that was replaced before is gone, and before keys are settled one by one: each finds its value in a row of the other.
    let swap = "UPDATE documents SET slug = NULL WHERE id = 1; UPDATE documents SET slug = 'a' WHERE id = 2; UPDATE documents SET slug = 'b' WHERE id = 1";
    while_it_settles(&bench, "DELETE", swap).await;
    let how = Unadopting { drop_hidden: false, reason: "a test".to_owned(), batch: 1 };
    let gone = unadopt(&mut bench.admin, "documents", &how, |_, _| ()).await.unwrap();
    assert_eq!((gone.settled, gone.moved), (3, 0), "{gone:?}");
    assert_eq!(
        seen(&bench.admin, &[], "SELECT id, slug FROM documents ORDER BY id").await,
        ["1|b", "2|a", "3|c"]
    );
}

#[tokio::test]
async fn what_not_everybody_sees_is_kept_until_told_otherwise() {
    let Some(mut bench) = Bench::adopted().await else { return };
    let open = [format!("pinrail.run = '{}'", bench.run_of(1, "").await)];
    let gone = [format!("pinrail.run = '{}'", bench.run_of(2, "").await)];
    within(&bench.admin, &open, "INSERT INTO documents (slug) VALUES ('open')").await.unwrap();
    within(&bench.admin, &gone, "DELETE FROM documents WHERE id = 1").await.unwrap();
    bench.commit(2).await;
    bench.roll_back(2).await;
    let rows = seen(&bench.admin, &[], ALL).await;
    let refused = bench.unadopt("documents", false).await.unwrap_err();
    assert!(matches!(&refused, Error::Hidden { rows: 1, ends: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("deployment 1: open, deployment 2: retracted"), "{refused}");
    assert_eq!(seen(&bench.admin, &[], ALL).await, rows);
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Ok::<(), ()>(())
    };
    let kept = export(&bench.admin, "documents", &mut keep).await;
    assert_eq!(kept.unwrap(), Ok(2));
    assert!(lines[0].contains(r#""deployment" : 1"#) && lines[0].contains(r#""slug" : "open""#), "{lines:?}");
    assert!(lines[1].contains(r#""ended" : {"id" : 1}"#), "{lines:?}");
    let done = bench.unadopt("documents", true).await.unwrap();
    assert_eq!(done.dropped.len(), 2);
    assert_eq!(seen(&bench.admin, &[], ALL).await, rows);
}

/// Where in the last step a ledger entry comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// After it has looked at the ledger, and before it asks what would be lost.
    Looked,
    /// After it has removed rows, and before it puts others there.
    Removed,
}

/// Lets a ledger entry come in the middle of the last step.
async fn meanwhile(bench: &Bench, moment: Moment, entry: &str) {
    // In the step's own transaction: what others commit there is seen by its next statement just the same.
    let comes = format!("UPDATE pinrail.heads SET ledger_seq = ledger_seq + 1; {entry};");
    let sql = match moment {
        Moment::Looked => format!(
            "CREATE OR REPLACE FUNCTION pinrail_adopted.ledger() RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE head bigint; BEGIN
                 SELECT ledger_seq INTO head FROM pinrail.heads; {comes} RETURN head; END $$"
        ),
        Moment::Removed => format!(
            "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {comes} RETURN NULL; END $$;
             CREATE TRIGGER meanwhile AFTER DELETE ON pinrail_adopted_1.ground FOR EACH STATEMENT EXECUTE FUNCTION meanwhile()"
        ),
    };
    bench.sql(&sql).await;
}

#[tokio::test]
async fn a_rollback_during_the_last_step_comes_too_late_for_all_of_it() {
    for moment in [Moment::Looked, Moment::Removed] {
        let Some(mut bench) = Bench::adopted().await else { return };
        let run = [format!("pinrail.run = '{}'", bench.run_of(7, "").await)];
        let sql =
            "UPDATE documents SET content = 'replaced' WHERE id = 1; DELETE FROM documents WHERE id = 2";
        within(&bench.admin, &run, sql).await.unwrap();
        bench.commit(7).await;
        let rows = seen(&bench.admin, &[], ALL).await;
        meanwhile(&bench, moment, "UPDATE pinrail.spans SET retracted = 2 WHERE deployment = 7").await;
        let gone = bench.unadopt("documents", false).await.unwrap();
        assert_eq!(seen(&bench.admin, &[], ALL).await, rows, "{moment:?}");
        assert_eq!((gone.removed, gone.moved, gone.dropped), (2, 1, Vec::new()), "{moment:?}");
        let noted = "SELECT (SELECT ledger_seq FROM pinrail.heads), ledger FROM pinrail_adopted.history WHERE act = 'unadopted'";
        assert_eq!(seen(&bench.admin, &[], noted).await, ["2|1"], "the entry as of which it was given back");
    }
}

#[tokio::test]
async fn a_promotion_during_the_last_step_comes_too_late_for_all_of_it() {
    for moment in [Moment::Looked, Moment::Removed] {
        let Some(mut bench) = Bench::adopted().await else { return };
        let run = [format!("pinrail.run = '{}'", bench.run_of(7, "").await)];
        within(&bench.admin, &run, "UPDATE documents SET id = 9, slug = NULL WHERE id = 1").await.unwrap();
        let rows = seen(&bench.admin, &[], ALL).await;
        meanwhile(&bench, moment, "INSERT INTO pinrail.spans VALUES (7, 1, NULL)").await;
        let gone = bench.unadopt("documents", true).await.unwrap();
        let under_both = "the row under its old key and not under both";
        assert_eq!(seen(&bench.admin, &[], ALL).await, rows, "{moment:?}: {under_both}");
        assert_eq!((gone.removed, gone.moved), (0, 0), "{moment:?}");
        let dropped: Vec<_> = gone.dropped.iter().map(|one| (one.deployment, one.status.as_str())).collect();
        assert_eq!(dropped, [(7, "open")], "{moment:?}");
    }
}

#[tokio::test]
async fn what_was_made_from_the_view_is_named() {
    let Some(mut bench) = Bench::adopted().await else { return };
    bench.sql("CREATE VIEW titles AS SELECT slug FROM documents").await;
    let refused = bench.unadopt("documents", false).await.unwrap_err();
    assert!(matches!(&refused, Error::Used { by, .. } if by.contains("view titles")), "{refused}");
    bench.sql("DROP VIEW titles").await;
    bench.unadopt("documents", false).await.unwrap();
    let again = bench.unadopt("documents", false).await.unwrap_err();
    assert!(matches!(again, Error::NotAdopted(_)), "{again}");
    assert!(list::adopted(&bench.admin, None, None).await.unwrap().is_empty());
}
