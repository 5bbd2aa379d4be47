//! What can't be adopted is refused with a reason, and nothing has changed; whatever a name is, it stays a name.

use pinrail_adopt::shape::Shape;
use pinrail_adopt::{Error, plan_for};

use super::bench::{Bench, seen, within};

async fn check(bench: &mut Bench, ddl: &str, why: &str) {
    bench.sql("DROP SCHEMA IF EXISTS mine CASCADE; CREATE SCHEMA mine; CREATE TABLE mine.docs (id integer PRIMARY KEY, v vector(3), name text)").await;
    bench.sql(ddl).await;
    let before = Shape::find(&bench.admin, "mine.docs").await.unwrap();
    let refused = bench.adopt("mine.docs").await.expect_err(ddl);
    assert!(matches!(refused, Error::Refused { .. }), "{ddl}: {refused}");
    assert!(refused.to_string().contains(why), "{ddl}: {refused}");
    assert_eq!(Shape::find(&bench.admin, "mine.docs").await.unwrap(), before);
}

#[tokio::test]
async fn what_could_not_be_kept_is_refused() {
    let Some(mut bench) = Bench::new().await else { return };
    let bench = &mut bench;
    check(bench, "ALTER TABLE mine.docs DROP CONSTRAINT docs_pkey", "no primary key").await;
    check(bench, "ALTER TABLE mine.docs ENABLE ROW LEVEL SECURITY", "row-level security").await;
    check(bench, "CREATE TABLE mine.refs (id integer REFERENCES mine.docs)", "foreign key of mine.refs")
        .await;
    check(bench, "CREATE VIEW mine.shown AS SELECT name FROM mine.docs", "view mine.shown").await;
    check(
        bench,
        "CREATE MATERIALIZED VIEW mine.kept AS SELECT name FROM mine.docs",
        "materialized view mine.kept",
    )
    .await;
    check(
        bench,
        "CREATE FUNCTION mine.f() RETURNS SETOF mine.docs LANGUAGE sql AS 'SELECT * FROM mine.docs'",
        "function mine.f()",
    )
    .await;
    check(bench, "CREATE FUNCTION mine.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM mine.docs; END", "function mine.f()").await;
    check(bench, "CREATE TABLE mine.holds (d mine.docs)", "column d of table mine.holds").await;
    check(bench, "CREATE TRIGGER t AFTER INSERT ON mine.docs FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()", "trigger t").await;
    check(bench, "CREATE RULE r AS ON DELETE TO mine.docs DO INSTEAD NOTHING", "rule r").await;
    check(bench, "CREATE TABLE mine.child () INHERITS (mine.docs)", "inherits").await;
    check(bench, "ALTER TABLE mine.docs SET UNLOGGED", "unlogged").await;
    check(bench, "CREATE UNIQUE INDEX u ON mine.docs (lower(name))", "`u` is on an expression").await;
    check(bench, "CREATE UNIQUE INDEX u ON mine.docs (name) WHERE id > 3", "`u` holds for some rows").await;
    check(bench, "ALTER TABLE mine.docs ADD CONSTRAINT u UNIQUE (name) DEFERRABLE", "`u` can be deferred")
        .await;
    check(bench, "ALTER TABLE mine.docs ADD CONSTRAINT x EXCLUDE (name WITH =)", "exclusion constraint `x`")
        .await;
    check(
        bench,
        "ALTER TABLE mine.docs ADD COLUMN h text GENERATED ALWAYS AS (md5(name)) STORED UNIQUE",
        "`docs_h_key` holds the generated column `h`",
    )
    .await;
    check(bench, "ALTER TABLE mine.docs ADD COLUMN pinrail_deployment integer", "`pinrail_deployment`").await;
    check(
        bench,
        "DROP TABLE mine.docs; CREATE TABLE mine.docs (id integer PRIMARY KEY) PARTITION BY RANGE (id)",
        "partitioned",
    )
    .await;
    check(bench, "DROP TABLE mine.docs; CREATE VIEW mine.docs AS SELECT 1 AS id", "it is a view").await;
    bench.sql("DROP SCHEMA mine CASCADE").await;
    assert!(matches!(bench.adopt("mine.docs").await, Err(Error::NoTable(_))));
    assert!(matches!(plan_for(&bench.admin, "pinrail.runs").await.unwrap().refused.as_slice(), [_, ..]));
    assert!(matches!(
        plan_for(&bench.admin, "pg_catalog.pg_class").await.unwrap().refused.as_slice(),
        [_, ..]
    ));
}

#[tokio::test]
async fn foreign_keys_that_change_keys_are_refused() {
    let Some(mut bench) = Bench::new().await else { return };
    let bench = &mut bench;
    let people = "CREATE TABLE mine.people (id integer PRIMARY KEY, name text UNIQUE); ALTER TABLE mine.docs";
    let refused = async |bench: &mut Bench, ddl: &str, why: &str| {
        check(bench, &format!("{people} {ddl}"), why).await;
    };
    let key = "(ON UPDATE CASCADE), which changes columns of `docs_pkey`";
    refused(bench, "ADD FOREIGN KEY (id) REFERENCES mine.people ON UPDATE CASCADE", key).await;
    let key = "`docs_name_fkey` (ON UPDATE SET NULL), which changes columns of `u`";
    refused(
        bench,
        "ADD CONSTRAINT u UNIQUE (v, name), ADD FOREIGN KEY (name) REFERENCES mine.people (name) ON UPDATE SET NULL",
        key,
    )
    .await;
    let of_any = "ADD COLUMN by integer DEFAULT 0 REFERENCES mine.people ON";
    refused(bench, &format!("{of_any} UPDATE SET DEFAULT"), "`docs_by_fkey` (ON UPDATE SET DEFAULT)").await;
    refused(bench, &format!("{of_any} DELETE SET DEFAULT"), "`docs_by_fkey` (ON DELETE SET DEFAULT)").await;

    bench
        .sql(
            "ALTER TABLE mine.docs DROP COLUMN by, ADD FOREIGN KEY (id) REFERENCES mine.people ON DELETE CASCADE;
             ALTER TABLE mine.docs ADD COLUMN by text REFERENCES mine.people (name) ON UPDATE CASCADE ON DELETE SET NULL",
        )
        .await;
    assert_eq!(plan_for(&bench.admin, "mine.docs").await.unwrap().refused, [], "no key of a row is changed");
}

#[tokio::test]
async fn names_stay_names() {
    let Some(mut bench) = Bench::new().await else { return };
    let table = r#""it's $$ a ""schema""\"."ta\.ble'; DROP TABLE ""x""; --""#;
    bench
        .sql(&format!(
            r#"SET standard_conforming_strings = on; CREATE SCHEMA "it's $$ a ""schema""\"; CREATE TABLE {table} ("k""ey" text, "old" integer, "new" integer, "t" text, "e" text UNIQUE,
            "select" text DEFAULT 'it''s \', "x'y\" vector(2), PRIMARY KEY ("k""ey", "old")); CREATE INDEX "written" ON {table} ("new"); CREATE INDEX ends ON {table} ("t");
            INSERT INTO {table} VALUES ('a', 1, 2, 'three', 'e')"#
        ))
        .await;
    let shape = Shape::find(&bench.admin, table).await.unwrap();
    bench.adopt(table).await.unwrap();
    assert!(matches!(bench.adopt(table).await, Err(Error::Already(_))));
    let run = [format!("pinrail.run = '{}'", bench.run_of(1, "").await)];
    let sql = format!(
        r#"UPDATE {table} SET "new" = 5, "t" = 'x'; INSERT INTO {table} ("k""ey", "old", e) VALUES ('b', 2, 'f'); DELETE FROM {table} WHERE "old" = 1"#
    );
    within(&bench.admin, &run, &sql).await.unwrap();
    let all = format!("SELECT * FROM {table}");
    assert_eq!(seen(&bench.admin, &[], &all).await, [r"a|1|2|three|e|it's \|∅"]);
    assert_eq!(seen(&bench.admin, &run, &all).await, [r"b|2|∅|∅|f|it's \|∅"]);
    bench.unadopt(table, true).await.unwrap();
    assert!(Shape::find(&bench.admin, table).await.unwrap().is_same(&shape));
}

#[tokio::test]
async fn without_a_store_nothing_is_adopted() {
    let Some(mut bench) = Bench::new().await else { return };
    bench.sql("CREATE TABLE docs (id integer PRIMARY KEY); DROP SCHEMA pinrail CASCADE").await;
    assert!(matches!(bench.adopt("docs").await, Err(Error::NoStore("spans"))));
}
