//! The SQL that adopts a table. Pure: a [`Shape`] in, statements out.
//!
//! Two transactions. The first *prepares*: it makes the schema, the tables, indexes and functions beside the table, all
//! empty, and takes no lock on it that anyone would notice. The second *switches*: it holds the table alone for some
//! milliseconds, adds three columns with constant defaults (the catalogue alone changes), moves it and puts the view in
//! its place. Whatever dies in between leaves the table either as it was or adopted whole.

use serde::{Deserialize, Serialize};

use crate::refuse::{self, Refusal};
use crate::shape::{Column, Grant, Sequence, Shape, Unique};
use crate::text::{grantee, ident, literal, qualified};
use crate::trigger::{self, Eyes};

/// Where an adopted table and what belongs to it are. Stored as JSON: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    pub id: i64,
    /// The schema that holds them.
    pub inner: String,
    /// The user's table, as it was adopted.
    pub ground: String,
    /// What was written since.
    pub written: String,
    /// Of it, what deployments wrote before they were committed: each has one of these to itself while there are free
    /// ones, so that whoever doesn't see the deployment doesn't search it.
    pub slots: Vec<String>,
    /// Which deployment has which slot.
    pub taken: String,
    /// The versions that each key had: where two writers meet.
    pub keys: String,
    /// The same for the values of each other unique index.
    pub claims: Vec<String>,
    /// What replaced or deleted something.
    pub ends: String,
}

/// What every version says of itself. Constant defaults: the catalogue alone changes.
const COLUMNS: &str = "ADD COLUMN pinrail_version bigint NOT NULL DEFAULT 0, ADD COLUMN pinrail_deployment bigint NOT NULL DEFAULT 0, \
                       ADD COLUMN pinrail_ledger bigint NOT NULL DEFAULT 0";
/// How many deployments have a table to themselves. Each costs every search some tens of microseconds.
const SLOTS: usize = 6;

/// What adopting a table would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub table: String,
    pub rows: i64,
    pub places: Places,
    /// Nothing is done unless this is empty.
    pub refused: Vec<Refusal>,
    /// What the application will notice.
    pub changes: Vec<String>,
    pub steps: Vec<Step>,
    #[serde(skip)]
    pub shape: Shape,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub what: String,
    /// Who waits for it, and how long.
    pub locks: String,
    pub statements: Vec<String>,
}

impl Places {
    /// Names for an adoption that collide with nothing that moves along with the table.
    #[must_use]
    pub fn of(id: i64, shape: &Shape) -> Places {
        let sequences = shape.columns.iter().filter_map(|column| column.sequence.as_ref());
        let taken: Vec<&str> = std::iter::once(shape.name.as_str())
            .chain(shape.indexes.iter().map(|index| index.name.as_str()))
            .chain(sequences.map(|sequence| sequence.name.as_str()))
            .collect();
        let free = |wish: &str| {
            let mut name = wish.to_owned();
            while taken.contains(&name.as_str()) {
                name.push('_');
            }
            name
        };
        Places {
            id,
            inner: format!("pinrail_adopted_{id}"),
            ground: free("ground"),
            written: free("written"),
            slots: (1..=SLOTS).map(|n| free(&format!("written_{n}"))).collect(),
            taken: free("slots"),
            keys: free("keys"),
            claims: (1..=shape.secondary().count()).map(|n| free(&format!("claims_{n}"))).collect(),
            ends: free("ends"),
        }
    }

    #[must_use]
    pub fn ground(&self) -> String {
        qualified(&self.inner, &self.ground)
    }

    #[must_use]
    pub fn written(&self) -> String {
        qualified(&self.inner, &self.written)
    }

    /// The slots' tables.
    pub fn slots(&self) -> impl Iterator<Item = String> {
        self.slots.iter().map(|slot| qualified(&self.inner, slot))
    }

    #[must_use]
    pub fn taken(&self) -> String {
        qualified(&self.inner, &self.taken)
    }

    #[must_use]
    pub fn keys(&self) -> String {
        qualified(&self.inner, &self.keys)
    }

    /// Where claims on the values of the other unique indexes are kept, in their order.
    pub fn claims(&self) -> impl Iterator<Item = String> {
        self.claims.iter().map(|claims| qualified(&self.inner, claims))
    }

    #[must_use]
    pub fn ends(&self) -> String {
        qualified(&self.inner, &self.ends)
    }
}

impl Plan {
    /// What adopting `shape` as number `id` by the role `by` takes.
    #[must_use]
    pub fn of(shape: Shape, id: i64, by: &str) -> Plan {
        let places = Places::of(id, &shape);
        let refused = refuse::refusals(&shape);
        let mut changes = refuse::changes(&shape);
        if shape.owner == by {
            changes.push(format!(
                "`{by}` owns the table and adopts it: whoever logs in by that name can write what is hidden, too; adopt by a role of its own"
            ));
        }
        let steps = match shape.primary() {
            Some(primary) if refused.is_empty() => {
                vec![prepare(&shape, &places, primary), switch(&shape, &places, primary, by)]
            }
            Some(_) | None => Vec::new(),
        };
        Plan { table: shape.table(), rows: shape.rows, places, refused, changes, steps, shape }
    }
}

fn prepare(shape: &Shape, places: &Places, primary: &Unique) -> Step {
    let mut statements = vec![format!("CREATE SCHEMA {}", ident(&places.inner))];
    statements.extend(versions(shape, places, primary));
    statements.extend(meetings(shape, places, primary));
    statements.extend([
        trigger::write(shape, places, primary),
        trigger::wrote(places, primary),
        trigger::slot_of(places),
        trigger::gate(places),
        format!(
            "REVOKE ALL ON FUNCTION {0}.write(), {0}.wrote(bigint), {0}.slot_of(bigint) FROM PUBLIC",
            ident(&places.inner)
        ),
    ]);
    Step {
        what: "make empty tables, indexes and functions beside it".to_owned(),
        locks: "nobody waits (tables that its foreign keys name: for a moment)".to_owned(),
        statements,
    }
}

/// The tables of what is written from now on.
fn versions(shape: &Shape, places: &Places, primary: &Unique) -> Vec<String> {
    let written = places.written();
    let mut statements = vec![
        format!(
            "CREATE TABLE {written} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING DEFAULTS)",
            shape.table()
        ),
        drop_unique(&written),
        format!("ALTER TABLE {written} {COLUMNS}"),
        format!("CREATE UNIQUE INDEX ON {written} ({}, pinrail_version)", primary.list("")),
        format!("CREATE INDEX ON {written} (pinrail_deployment)"),
    ];
    let values = |unique: &Unique| format!("CREATE INDEX ON {written} ({})", unique.list(""));
    statements.extend(shape.secondary().map(values));
    for slot in places.slots() {
        statements.push(format!("CREATE TABLE {slot} (LIKE {written} INCLUDING ALL)"));
        statements.push(format!("ALTER TABLE {slot} INHERIT {written}"));
    }
    for key in shape.constraints.iter().filter(|constraint| constraint.kind == "f") {
        let on = |table: String| {
            format!("ALTER TABLE {table} ADD CONSTRAINT {} {}", ident(&key.name), key.definition)
        };
        statements.extend(std::iter::once(written.clone()).chain(places.slots()).map(on));
    }
    statements
}

/// The tables in which writers meet, and that of ends.
fn meetings(shape: &Shape, places: &Places, primary: &Unique) -> Vec<String> {
    let (table, keys, ends, taken) = (shape.table(), places.keys(), places.ends(), places.taken());
    let key = primary.list("");
    let not_null =
        primary.columns.iter().map(|column| format!("ALTER COLUMN {} SET NOT NULL", ident(&column.name)));
    let mut statements = vec![
        format!("CREATE TABLE {taken} (slot integer PRIMARY KEY, deployment bigint NOT NULL UNIQUE)"),
        format!("CREATE TABLE {keys} AS SELECT {key} FROM {table} WITH NO DATA"),
        format!("ALTER TABLE {keys} ADD COLUMN pinrail_version bigint NOT NULL"),
        format!("CREATE UNIQUE INDEX ON {keys} ({key}, pinrail_version)"),
        format!("CREATE TABLE {ends} AS SELECT {key} FROM {table} WITH NO DATA"),
        format!(
            "ALTER TABLE {ends} {}, ADD COLUMN pinrail_version bigint NOT NULL, ADD COLUMN pinrail_deployment bigint NOT NULL, \
             ADD COLUMN pinrail_ledger bigint NOT NULL, ADD COLUMN pinrail_xact xid8 NOT NULL DEFAULT pg_current_xact_id()",
            not_null.collect::<Vec<_>>().join(", ")
        ),
        format!("CREATE UNIQUE INDEX ON {ends} ({key}, pinrail_version, pinrail_deployment)"),
        format!("CREATE INDEX ON {ends} (pinrail_deployment)"),
    ];
    for (unique, claims) in shape.secondary().zip(places.claims()) {
        let values = unique.list("");
        statements.push(format!("CREATE TABLE {claims} AS SELECT {values} FROM {table} WITH NO DATA"));
        statements.push(format!("ALTER TABLE {claims} ADD COLUMN pinrail_claim bigint NOT NULL"));
        statements.push(format!("CREATE UNIQUE INDEX ON {claims} ({values}, pinrail_claim)"));
    }
    statements
}

fn switch(shape: &Shape, places: &Places, primary: &Unique, by: &str) -> Step {
    let (table, ground, written) = (shape.table(), places.ground(), places.written());
    let moved = qualified(&places.inner, &shape.name);
    let mut statements = vec![format!("ALTER TABLE {table} {COLUMNS}")];
    for Sequence { schema, name, .. } in sequences(shape, true) {
        statements.push(format!("ALTER SEQUENCE {} OWNED BY NONE", qualified(schema, name)));
    }
    statements.push(format!("ALTER TABLE {table} SET SCHEMA {}", ident(&places.inner)));
    statements.push(format!("ALTER TABLE {moved} RENAME TO {}", ident(&places.ground)));
    if shape.owner != by {
        statements.push(format!("ALTER TABLE {ground} OWNER TO {}", ident(by)));
    }
    statements.push(format!("ALTER TABLE {written} INHERIT {ground}"));
    statements.push(view(shape, places, primary));
    for column in &shape.columns {
        let of_identity = column.sequence.as_ref().filter(|_| column.identity).map(|sequence| {
            format!("nextval({}::regclass)", literal(&qualified(&places.inner, &sequence.name)))
        });
        if let Some(default) = of_identity.as_ref().or(column.default.as_ref()) {
            let name = ident(&column.name);
            statements.push(format!("ALTER VIEW {table} ALTER COLUMN {name} SET DEFAULT {default}"));
        }
    }
    statements.push(format!(
        "CREATE TRIGGER pinrail_write INSTEAD OF INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {}.write()",
        ident(&places.inner)
    ));
    statements.extend(grants(shape, places, by));
    Step {
        what: "move the table and put the view in its place".to_owned(),
        locks: "the table alone, for some milliseconds; a try that doesn't get it gives up after 200 ms and is repeated".to_owned(),
        statements,
    }
}

/// The view in the table's place: all the tables together, where those of deployments that the reader doesn't see are
/// left out before anything is searched. A condition on a constant of each table does that; on the table's identity it
/// wouldn't.
fn view(shape: &Shape, places: &Places, primary: &Unique) -> String {
    let columns = |of: &str| {
        let one = |column: &Column| format!("{of}{}", ident(&column.name));
        shape.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let inner = ident(&places.inner);
    let arm = |(slot, table): (usize, String)| {
        format!(
            "SELECT {}, pinrail_version, pinrail_deployment, pinrail_ledger, {slot} AS pinrail_slot FROM ONLY {table}",
            columns("")
        )
    };
    let tables = std::iter::once((0, places.ground()))
        .chain(std::iter::once(places.written()).chain(places.slots()).enumerate());
    let gate = |slot: usize| format!("(t.pinrail_slot <> {slot} OR (SELECT {inner}.gate({slot})))");
    let gates: Vec<String> = (1..=places.slots.len()).map(gate).collect();
    let eyes =
        Eyes { own: Some("(SELECT pinrail_adopted.own())"), at: Some("(SELECT pinrail_adopted.at())") };
    format!(
        "CREATE VIEW {} AS SELECT {} FROM ({}) t WHERE {} AND {}",
        shape.table(),
        columns("t."),
        tables.map(arm).collect::<Vec<_>>().join(" UNION ALL "),
        gates.join(" AND "),
        trigger::visible("t", places, primary, &eyes)
    )
}

/// The rights on the view that were there on the table, as far as a view has them.
fn grants(shape: &Shape, places: &Places, by: &str) -> Vec<String> {
    let has = |privilege: &str| matches!(privilege, "SELECT" | "INSERT" | "UPDATE" | "DELETE");
    let mut owners = Vec::new();
    if shape.owner != by {
        owners.push(Grant {
            grantee: Some(shape.owner.clone()),
            privilege: "SELECT, INSERT, UPDATE, DELETE".to_owned(),
            grantable: true,
        });
    }
    let given = |grant: &&Grant| has(&grant.privilege) && grant.grantee.as_ref() != Some(&shape.owner);
    let mut statements: Vec<String> = Vec::new();
    for grant in owners.iter().chain(shape.grants.iter().filter(given)) {
        statements.push(grant_on(grant, "", &shape.table()));
    }
    for column in &shape.columns {
        let name = ident(&column.name);
        for grant in column.grants.iter().filter(|grant| has(&grant.privilege)) {
            statements.push(grant_on(grant, &format!(" ({name})"), &shape.table()));
        }
    }
    // Whoever inserts takes numbers of the identities, be it that it may give some columns alone.
    let on_columns = shape.columns.iter().flat_map(|column| &column.grants);
    let inserts = shape.grants.iter().chain(on_columns).filter(|grant| grant.privilege == "INSERT");
    let mut inserting: Vec<&Option<String>> =
        owners.iter().chain(inserts).map(|grant| &grant.grantee).collect();
    inserting.sort();
    inserting.dedup();
    for Sequence { name, .. } in sequences(shape, false) {
        let sequence = qualified(&places.inner, name);
        let to = |role: &&Option<String>| {
            format!("GRANT USAGE ON SEQUENCE {sequence} TO {}", grantee(role.as_deref()))
        };
        statements.extend(inserting.iter().map(to));
    }
    statements
}

/// A grant as it is written.
#[must_use]
pub fn grant_on(grant: &Grant, columns: &str, on: &str) -> String {
    let Grant { grantee: role, privilege, grantable } = grant;
    let option = if *grantable && role.is_some() { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {privilege}{columns} ON {on} TO {}{option}", grantee(role.as_deref()))
}

/// The sequences that belong to its columns: those of `serial`, or of identities.
pub fn sequences(shape: &Shape, serial: bool) -> impl Iterator<Item = &Sequence> {
    shape
        .columns
        .iter()
        .filter_map(|column| column.sequence.as_ref())
        .filter(move |sequence| sequence.serial == serial)
}

/// Drops the unique indexes that came along with the form: a key has many versions.
fn drop_unique(written: &str) -> String {
    let of = literal(written);
    let body = format!(
        "DECLARE came record;
BEGIN
    FOR came IN SELECT i.indexrelid::regclass AS index, k.conname FROM pg_index i
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
        WHERE i.indrelid = {of}::regclass AND i.indisunique LOOP
        IF came.conname IS NULL THEN EXECUTE format('DROP INDEX %s', came.index);
        ELSE EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', {of}::regclass, came.conname);
        END IF;
    END LOOP;
END"
    );
    format!("DO {}", literal(&body))
}
