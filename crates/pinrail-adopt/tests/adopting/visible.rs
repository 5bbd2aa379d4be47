//! Who sees what (I4), and that a rollback is one row (I5, I6).

use tokio_postgres::error::SqlState;

use super::bench::{Bench, DOCUMENTS, seen, within};

const ALL: &str = "SELECT id, slug, content, words FROM documents ORDER BY id";

#[tokio::test]
async fn a_rollback_hides_what_was_written_and_brings_back_what_it_replaced() {
    let Some(bench) = Bench::adopted().await else { return };
    let before = seen(&bench.admin, &[], ALL).await;
    assert_eq!(before, ["1|a|one|3", "2|b|two|3", "3|c|three|5"]);
    let run = [format!("pinrail.run = '{}'", bench.run_of(7, "").await)];
    let sql = "INSERT INTO documents (slug, content, embedding) VALUES ('d', 'poison', '[0.9,0.1,0]');
        UPDATE documents SET content = 'poisoned' WHERE slug = 'a'; DELETE FROM documents WHERE slug = 'b'";
    within(&bench.admin, &run, sql).await.unwrap();

    let after = ["1|a|poisoned|8", "3|c|three|5", "4|d|poison|6"];
    assert_eq!(seen(&bench.admin, &run, ALL).await, after, "its own run sees its writes");
    assert_eq!(seen(&bench.admin, &[], ALL).await, before, "nobody else does");
    bench.commit(7).await;
    assert_eq!(seen(&bench.admin, &[], ALL).await, after);
    let near = "SELECT slug FROM documents ORDER BY embedding <=> '[1,0.1,0]' LIMIT 2";
    assert_eq!(seen(&bench.admin, &[], near).await, ["d", "a"]);
    bench.roll_back(7).await;
    assert_eq!(seen(&bench.admin, &[], ALL).await, before);
    assert_eq!(seen(&bench.admin, &[], near).await, ["a", "b"]);
    assert_eq!(seen(&bench.admin, &run, ALL).await, after, "its runs in flight still see what they wrote");
    let then = ["pinrail.as_of_ledger = '1'".to_owned()];
    assert_eq!(seen(&bench.admin, &then, ALL).await, after, "as of the commit");
    let past = within(&bench.admin, &then, "DELETE FROM documents").await;
    assert_eq!(past, Err(SqlState::READ_ONLY_SQL_TRANSACTION));
}

#[tokio::test]
async fn the_ground_writes_as_before() {
    let Some(bench) = Bench::adopted().await else { return };
    let returned = "INSERT INTO documents (slug, content) VALUES ('d', 'four') RETURNING id, words";
    assert_eq!(seen(&bench.admin, &[], returned).await, ["4|4"], "sequence and generated column");
    let updated =
        "UPDATE documents SET content = content || '!' WHERE id IN (1, 4) RETURNING id, content, words";
    assert_eq!(seen(&bench.admin, &[], updated).await, ["1|one!|4", "4|four!|5"]);
    assert_eq!(bench.admin.execute("DELETE FROM documents WHERE id < 3", &[]).await.unwrap(), 2);
    assert_eq!(
        seen(&bench.admin, &[], "INSERT INTO documents DEFAULT VALUES RETURNING id, content").await,
        ["5|empty"]
    );
    bench.sql("UPDATE documents SET id = 6 WHERE id = 5").await;
    assert_eq!(seen(&bench.admin, &[], ALL).await, ["3|c|three|5", "4|d|four!|5", "6|∅|empty|5"]);

    let refused = |sql: &'static str| within(&bench.admin, &[], sql);
    assert_eq!(refused("INSERT INTO documents (id) VALUES (3)").await, Err(SqlState::UNIQUE_VIOLATION));
    assert_eq!(refused("INSERT INTO documents (slug) VALUES ('c')").await, Err(SqlState::UNIQUE_VIOLATION));
    assert_eq!(
        refused("UPDATE documents SET slug = 'c' WHERE id = 4").await,
        Err(SqlState::UNIQUE_VIOLATION)
    );
    assert_eq!(refused("UPDATE documents SET id = 3 WHERE id = 4").await, Err(SqlState::UNIQUE_VIOLATION));
    assert_eq!(
        refused("INSERT INTO documents (content) VALUES (NULL)").await,
        Err(SqlState::NOT_NULL_VIOLATION)
    );
    bench.sql("INSERT INTO documents (id, slug) VALUES (1, 'a'), (2, NULL), (7, NULL)").await;
    assert_eq!(
        seen(&bench.admin, &[], "SELECT count(*) FROM documents").await,
        ["6"],
        "a deleted key is free again"
    );
}

#[tokio::test]
async fn a_statement_that_meets_a_row_twice_changes_it_once() {
    let Some(bench) = Bench::adopted().await else { return };
    let sql = "UPDATE documents SET content = v.c FROM (VALUES ('x'), ('y')) v(c) WHERE id = 1";
    assert_eq!(bench.admin.execute(sql, &[]).await.unwrap(), 1);
    let sql = "DELETE FROM documents USING (VALUES (1), (2)) v WHERE id = 1";
    assert_eq!(bench.admin.execute(sql, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn an_insert_replaces_or_skips_where_it_is_told_to() {
    let Some(bench) = Bench::adopted().await else { return };
    let sql = "INSERT INTO documents (id, slug, content) VALUES (1, 'a', 'new'), (9, 'i', 'nine')";
    within(&bench.admin, &["pinrail.on_conflict = 'nothing'".to_owned()], sql).await.unwrap();
    assert_eq!(
        seen(&bench.admin, &[], "SELECT content FROM documents WHERE id IN (1, 9) ORDER BY id").await,
        ["one", "nine"]
    );
    within(&bench.admin, &["pinrail.on_conflict = 'update'".to_owned()], sql).await.unwrap();
    assert_eq!(
        seen(&bench.admin, &[], "SELECT content FROM documents WHERE id IN (1, 9) ORDER BY id").await,
        ["new", "nine"]
    );
    let bad = within(&bench.admin, &["pinrail.on_conflict = 'maybe'".to_owned()], sql).await;
    assert_eq!(bad, Err(SqlState::INVALID_PARAMETER_VALUE));
    let clause =
        within(&bench.admin, &[], "INSERT INTO documents (id) VALUES (1) ON CONFLICT (id) DO NOTHING").await;
    assert_eq!(clause, Err(SqlState::INVALID_COLUMN_REFERENCE), "PostgreSQL finds no unique index on a view");
}

#[tokio::test]
async fn a_condition_is_tried_on_hidden_rows_too() {
    let Some(mut bench) = Bench::new().await else { return };
    bench
        .sql(&format!("{DOCUMENTS} UPDATE documents SET content = CASE id WHEN 1 THEN 'bad' ELSE '1990' END"))
        .await;
    bench.adopt("documents").await.unwrap();
    bench.sql("UPDATE documents SET content = '2001' WHERE id = 1").await;
    let plain = "SELECT id FROM documents WHERE content::integer > 1990";
    let failed = within(&bench.admin, &[], plain).await;
    assert_eq!(failed, Err(SqlState::INVALID_TEXT_REPRESENTATION), "the row that was replaced");
    let guarded =
        "SELECT id FROM documents WHERE CASE WHEN content ~ '^[0-9]+$' THEN content::integer > 1990 END";
    assert_eq!(seen(&bench.admin, &[], guarded).await, ["1"]);
    bench.unadopt("documents", false).await.unwrap();
    let told = bench.adopt("documents").await.unwrap().changes;
    assert!(told.iter().any(|change| change.contains("guard it with CASE")), "{told:?}");
    assert_eq!(seen(&bench.admin, &[], plain).await, ["1"], "settled, and adopted again");
    let run = [format!("pinrail.run = '{}'", bench.run_of(7, "").await)];
    within(&bench.admin, &run, "INSERT INTO documents (content) VALUES ('worse')").await.unwrap();
    assert_eq!(seen(&bench.admin, &[], plain).await, ["1"], "a slot that isn't seen isn't looked at");
    bench.commit(7).await;
    bench.roll_back(7).await;
    assert_eq!(seen(&bench.admin, &[], plain).await, ["1"], "nor after a rollback");
}

#[tokio::test]
async fn whose_name_is_written_in_can_not_be_made_up() {
    let Some(bench) = Bench::adopted().await else { return };
    let sql = "INSERT INTO documents (slug) VALUES ('x')";
    let tried = async |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        within(&bench.admin, &settings, sql).await
    };
    let invalid = Err(SqlState::INVALID_PARAMETER_VALUE);
    assert_eq!(tried(&["pinrail.run = 'run_01hf7yat00000000000000000z'"]).await, invalid, "an unknown run");
    assert_eq!(tried(&["pinrail.run = 'no run'"]).await, invalid);
    assert_eq!(tried(&["pinrail.deployment = '3'"]).await, invalid, "nobody opened it");
    assert_eq!(tried(&["pinrail.deployment = 'x'"]).await, invalid);
    bench.open_job(3).await;
    assert_eq!(tried(&["pinrail.deployment = '3'"]).await, Ok(()));
    assert_eq!(seen(&bench.admin, &[], "SELECT count(*) FROM documents").await, ["3"]);
    bench.commit(3).await;
    assert_eq!(seen(&bench.admin, &[], "SELECT count(*) FROM documents").await, ["4"]);
    assert_eq!(tried(&["pinrail.deployment = '3'"]).await, invalid, "it is closed");
    let gate = format!("pinrail.run = '{}'", bench.run_of(5, r#""gate":"g""#).await);
    assert_eq!(tried(&[&gate]).await, invalid, "a gate keeps nothing");
    assert_eq!(tried(&[&gate, "pinrail.deployment = '3'"]).await, invalid, "two names");
    let wrote = pinrail_adopt::list::adopted(&bench.admin, Some("documents"), Some(3)).await.unwrap();
    let wrote = &wrote[0].deployments[0];
    assert_eq!((wrote.status.as_str(), wrote.written, wrote.visible, wrote.ended), ("committed", 1, 1, 0));
}

#[tokio::test]
async fn of_two_deployments_on_one_key_the_later_counts() {
    let Some(bench) = Bench::adopted().await else { return };
    let [first, second] =
        [bench.run_of(1, "").await, bench.run_of(2, "").await].map(|run| [format!("pinrail.run = '{run}'")]);
    within(&bench.admin, &first, "UPDATE documents SET content = 'first' WHERE id = 1; INSERT INTO documents (id, slug) VALUES (9, 'n')").await.unwrap();
    within(&bench.admin, &second, "UPDATE documents SET content = 'second' WHERE id = 1; INSERT INTO documents (id, slug) VALUES (8, 'n')").await.unwrap();
    let shown = "SELECT id, content FROM documents WHERE id = 1 OR slug = 'n' ORDER BY id";
    bench.commit(1).await;
    assert_eq!(seen(&bench.admin, &[], shown).await, ["1|first", "9|empty"]);
    bench.commit(2).await;
    assert_eq!(
        seen(&bench.admin, &[], shown).await,
        ["1|second", "8|empty"],
        "no key and no unique value twice"
    );
    bench.roll_back(2).await;
    assert_eq!(seen(&bench.admin, &[], shown).await, ["1|first", "9|empty"]);
    bench.roll_back(1).await;
    assert_eq!(seen(&bench.admin, &[], shown).await, ["1|one"]);
}
