//! Who may do what: the application keeps its rights and gets no others.

use pinrail_adopt::hidden::export;
use pinrail_adopt::shape::Shape;
use pinrail_adopt::{Error, Unadopting, adopt, plan_for, unadopt};
use tokio_postgres::error::SqlState;

use super::bench::{Bench, connect, seen, within};

struct Roles {
    app: String,
    reader: String,
    keeper: String,
}

#[tokio::test]
async fn the_application_keeps_its_rights_and_gets_no_others() {
    let Some(bench) = Bench::new().await else { return };
    let roles = Roles::make(&bench).await;
    let Roles { app, reader, keeper } = &roles;
    let [app_client, reader_client, mut keeper_client] = [
        connect(&bench.database.url_of(app)).await,
        connect(&bench.database.url_of(reader)).await,
        connect(&bench.database.url_of(keeper)).await,
    ];
    app_client
        .batch_execute(&format!(
            "CREATE TABLE documents (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, serial serial, content text);
             INSERT INTO documents (content) VALUES ('one'); GRANT SELECT ON documents TO {reader}"
        ))
        .await
        .unwrap();
    let shape = Shape::find(&bench.admin, "documents").await.unwrap();
    adopt(&mut keeper_client, "documents", "a test").await.unwrap();
    let run = [format!("pinrail.run = '{}'", bench.run_of(4, "").await)];

    let all = "SELECT id, serial, content FROM documents ORDER BY id";
    within(
        &app_client,
        &run,
        "INSERT INTO documents (content) VALUES ('two'); UPDATE documents SET content = 'x' WHERE id = 1",
    )
    .await
    .unwrap();
    assert_eq!(seen(&app_client, &run, all).await, ["1|1|x", "2|2|two"]);
    assert_eq!(seen(&reader_client, &[], all).await, ["1|1|one"]);
    assert_eq!(seen(&reader_client, &run, all).await, ["1|1|x", "2|2|two"]);
    for sql in [
        "SELECT * FROM pinrail_adopted_1.ground",
        "SELECT * FROM pinrail_adopted_1.written",
        "INSERT INTO pinrail_adopted_1.ends VALUES (1, 0, 0, 0)",
        "DELETE FROM pinrail_adopted_1.ends",
        "ALTER TABLE pinrail_adopted_1.ground DISABLE TRIGGER ALL",
        "UPDATE pinrail_adopted.tables SET state = 'prepared'",
        "INSERT INTO pinrail_adopted.jobs VALUES (9)",
        "SELECT pinrail_adopted.writer()",
        "SELECT * FROM pinrail.spans",
        "UPDATE pinrail.spans SET committed = 1",
        "DROP VIEW documents",
        "ALTER VIEW documents ALTER COLUMN content SET DEFAULT 'x'",
    ] {
        let denied = within(&app_client, &[], sql).await;
        assert_eq!(denied, Err(SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    let denied = within(&reader_client, &run, "DELETE FROM documents").await;
    assert_eq!(denied, Err(SqlState::INSUFFICIENT_PRIVILEGE));
    // A search path of the application's own leads the functions nowhere.
    let hostile = "CREATE SCHEMA evil; CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT '4' $$;
        CREATE TABLE evil.spans (deployment bigint, committed bigint, retracted bigint); INSERT INTO evil.spans VALUES (4, 1, NULL);
        SET LOCAL search_path = evil, public, pg_catalog; UPDATE public.documents SET content = 'y' WHERE id = 1";
    bench.sql(&format!("GRANT CREATE ON DATABASE {} TO {app}", bench.name())).await;
    within(&app_client, &[], hostile).await.unwrap();
    assert_eq!(seen(&reader_client, &[], all).await, ["1|1|y"]);

    let how = Unadopting { drop_hidden: true, reason: "a test".to_owned(), batch: 100 };
    unadopt(&mut keeper_client, "documents", &how, |_, _| ()).await.unwrap();
    let back = Shape::find(&bench.admin, "documents").await.unwrap();
    assert!(back.is_same(&shape), "{back:#?}");
    app_client
        .batch_execute(
            "ALTER TABLE documents ADD COLUMN more text; INSERT INTO documents (content) VALUES ('z')",
        )
        .await
        .unwrap();
    drop((app_client, reader_client, keeper_client));
    roles.drop(&bench).await;
}

/// Functions of the application's, by which it would become the role that adopts.
const MINE: &str = "DROP SCHEMA IF EXISTS mine CASCADE; CREATE SCHEMA mine;
    CREATE FUNCTION mine.fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION mine.same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE OPERATOR mine.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = mine.same);
    CREATE DOMAIN mine.checked AS text CHECK (mine.fine(VALUE)); CREATE DOMAIN mine.plain AS text;
    CREATE TABLE mine.docs (id integer PRIMARY KEY, content text, more text);";

#[tokio::test]
async fn what_the_application_can_change_never_runs_as_the_adopting_role() {
    let Some(bench) = Bench::new().await else { return };
    let roles = Roles::make(&bench).await;
    let Roles { app, keeper, .. } = &roles;
    bench.sql(&format!("GRANT CREATE ON DATABASE {} TO {app}", bench.name())).await;
    let app_client = connect(&bench.database.url_of(app)).await;
    let mut keeper_client = connect(&bench.database.url_of(keeper)).await;
    let (fine, same, plain) =
        ("function `mine.fine(text)`", "function `mine.same(text,text)`", "domain `mine.plain`");
    for (ddl, what) in [
        ("ALTER TABLE mine.docs ADD CHECK (mine.fine(content))", fine),
        ("ALTER TABLE mine.docs ADD CHECK (content OPERATOR(mine.===) more)", same),
        ("ALTER TABLE mine.docs ADD CHECK (content::mine.plain <> '')", plain),
        ("ALTER TABLE mine.docs ADD g boolean GENERATED ALWAYS AS (mine.fine(content)) STORED", fine),
        ("ALTER TABLE mine.docs ADD g mine.plain GENERATED ALWAYS AS (content) STORED", plain),
        ("ALTER TABLE mine.docs ADD d mine.checked", fine),
        ("ALTER TABLE mine.docs ADD d mine.checked[]", fine),
        ("CREATE TYPE mine.pair AS (a mine.checked, b text); ALTER TABLE mine.docs ADD p mine.pair", fine),
        ("CREATE INDEX ON mine.docs ((mine.fine(content)))", fine),
        ("CREATE INDEX ON mine.docs (id) WHERE mine.fine(content)", fine),
        ("CREATE STATISTICS mine.told ON (mine.fine(content)), id FROM mine.docs", fine),
    ] {
        app_client.batch_execute(&format!("{MINE} {ddl}")).await.unwrap();
        let refused = adopt(&mut keeper_client, "mine.docs", "a test").await.map(|_| ()).expect_err(ddl);
        assert!(matches!(refused, Error::Refused { .. }), "{ddl}: {refused}");
        assert!(refused.to_string().contains(&format!("the {what} of `{app}`")), "{ddl}: {refused}");
        let admins = plan_for(&bench.admin, "mine.docs").await.unwrap();
        assert_eq!(admins.refused.len(), 1, "it isn't the superuser's either: {ddl}");
    }
    // In hands that could act as the adopting role anyway, it gives nobody anything.
    let given = format!("ALTER FUNCTION mine.fine(text) OWNER TO {keeper}");
    let ddl = "ALTER TABLE mine.docs ADD CHECK (mine.fine(content)), ADD p mine.plain";
    app_client.batch_execute(&format!("{MINE} {ddl}")).await.unwrap();
    bench.sql(&format!("GRANT CREATE ON SCHEMA mine TO {keeper}; {given}")).await;
    adopt(&mut keeper_client, "mine.docs", "a test").await.unwrap();
    app_client.batch_execute("INSERT INTO mine.docs VALUES (1, 'one')").await.unwrap();
    let how = Unadopting { drop_hidden: false, reason: "a test".to_owned(), batch: 100 };
    unadopt(&mut keeper_client, "mine.docs", &how, |_, _| ()).await.unwrap();
    drop((app_client, keeper_client));
    roles.drop(&bench).await;
}

#[tokio::test]
async fn what_the_application_makes_later_does_not_run_as_the_adopting_role() {
    let Some(bench) = Bench::new().await else { return };
    let roles = Roles::make(&bench).await;
    let Roles { app, keeper, .. } = &roles;
    let app_client = connect(&bench.database.url_of(app)).await;
    let mut keeper_client = connect(&bench.database.url_of(keeper)).await;
    app_client
        .batch_execute(
            "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN place AS vector(2);
             CREATE TABLE docs (id integer PRIMARY KEY, m mood UNIQUE, p place UNIQUE);
             INSERT INTO docs VALUES (1, 'good', '[1,2]')",
        )
        .await
        .unwrap();
    adopt(&mut keeper_client, "docs", "a test").await.unwrap();
    app_client
        .batch_execute(
            "CREATE FUNCTION ran() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
             CREATE FUNCTION as_text(mood) RETURNS text LANGUAGE sql AS $$ SELECT public.ran() $$;
             CREATE CAST (mood AS text) WITH FUNCTION as_text(mood);
             CREATE FUNCTION as_json(mood) RETURNS json LANGUAGE sql AS $$ SELECT public.ran()::json $$;
             CREATE CAST (mood AS json) WITH FUNCTION as_json(mood);
             CREATE FUNCTION same(place, place) RETURNS boolean LANGUAGE sql AS $$ SELECT public.ran() IS NULL $$;
             CREATE OPERATOR = (LEFTARG = place, RIGHTARG = place, FUNCTION = same)",
        )
        .await
        .unwrap();
    // A connection that has planned nothing yet.
    let app_client = connect(&bench.database.url_of(app)).await;
    let taken = Err(SqlState::UNIQUE_VIOLATION);
    assert_eq!(within(&app_client, &[], "INSERT INTO docs (id, m) VALUES (2, 'good')").await, taken);
    assert_eq!(within(&app_client, &[], "INSERT INTO docs (id, p) VALUES (2, '[1,2]')").await, taken);
    assert_eq!(within(&app_client, &[], "UPDATE docs SET m = 'bad', p = '[2,1]'").await, Ok(()));
    let run = [format!("pinrail.run = '{}'", bench.run_of(7, "").await)];
    within(&app_client, &run, "INSERT INTO docs (id, m) VALUES (3, 'good')").await.unwrap();
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Ok::<(), ()>(())
    };
    assert_eq!(export(&keeper_client, "docs", &mut keep).await.unwrap(), Ok(1));
    assert!(lines[0].contains(r#""m" : "good", "p" : null"#), "{lines:?}");
    drop((app_client, keeper_client));
    roles.drop(&bench).await;
}

#[tokio::test]
async fn a_right_to_some_columns_is_enough_to_insert() {
    let Some(bench) = Bench::new().await else { return };
    let roles = Roles::make(&bench).await;
    let Roles { app, reader, keeper } = &roles;
    let app_client = connect(&bench.database.url_of(app)).await;
    let mut keeper_client = connect(&bench.database.url_of(keeper)).await;
    app_client
        .batch_execute(&format!(
            "CREATE TABLE documents (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, content text, more text);
             GRANT INSERT (content, more) ON documents TO {reader}; GRANT INSERT (more) ON documents TO PUBLIC;
             GRANT INSERT ON documents TO {app}"
        ))
        .await
        .unwrap();
    let reader_client = connect(&bench.database.url_of(reader)).await;
    let insert = "INSERT INTO documents (content) VALUES ('one')";
    within(&reader_client, &[], insert).await.unwrap();
    let shape = Shape::find(&bench.admin, "documents").await.unwrap();
    adopt(&mut keeper_client, "documents", "a test").await.unwrap();
    within(&reader_client, &[], insert).await.unwrap();
    let denied = within(&reader_client, &[], "INSERT INTO documents (id) VALUES (9)").await;
    assert_eq!(denied, Err(SqlState::INSUFFICIENT_PRIVILEGE));
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM documents";
    assert_eq!(seen(&app_client, &[], ids).await, ["1 2"]);
    let how = Unadopting { drop_hidden: false, reason: "a test".to_owned(), batch: 100 };
    unadopt(&mut keeper_client, "documents", &how, |_, _| ()).await.unwrap();
    let back = Shape::find(&bench.admin, "documents").await.unwrap();
    assert!(back.is_same(&shape), "its sequence's rights, too: {back:#?}");
    drop((app_client, reader_client, keeper_client));
    roles.drop(&bench).await;
}

impl Bench {
    fn name(&self) -> &str {
        self.database.url.rsplit('/').next().unwrap().split('?').next().unwrap()
    }
}

impl Roles {
    /// Roles of this test alone: they are the whole server's.
    async fn make(bench: &Bench) -> Roles {
        let name = |of: &str| format!("{}_{of}", bench.name());
        let roles = Roles { app: name("app"), reader: name("reader"), keeper: name("keeper") };
        let Roles { app, reader, keeper } = &roles;
        bench
            .sql(&format!(
                "CREATE ROLE {app} LOGIN; CREATE ROLE {reader} LOGIN; CREATE ROLE {keeper} LOGIN IN ROLE {app};
                 GRANT CREATE ON SCHEMA public TO {app}; GRANT USAGE ON SCHEMA pinrail TO {keeper};
                 GRANT CREATE ON DATABASE {} TO {keeper};
                 GRANT SELECT ON pinrail.spans, pinrail.heads, pinrail.runs, pinrail.ledger TO {keeper}",
                bench.name()
            ))
            .await;
        roles
    }

    async fn drop(self, bench: &Bench) {
        for role in [self.keeper, self.reader, self.app] {
            bench.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
        }
    }
}
