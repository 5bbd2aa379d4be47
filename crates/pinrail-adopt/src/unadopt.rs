//! Giving a table back: what everybody sees then is what it holds.
//!
//! First, in small transactions, the keys that the ground alone wrote are *settled* ([`settle`]). Then one transaction settles the rest,
//! as of one ledger entry for all of it: a rollback that comes after that entry comes too late for this table. Writers wait for that one;
//! readers only for its last step, which drops the view and moves the table back.

use serde::Serialize;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::adopt;
use crate::error::Error;
use crate::list::{self, Entry, Wrote};
use crate::moment;
use crate::plan::{self, Places};
use crate::shape::{Grant, Shape, Unique};
use crate::text::{grantee, ident, qualified};
use crate::trigger::{self, Eyes};

mod settle;

/// How a table is given back.
#[derive(Clone, Debug)]
pub struct Unadopting {
    /// What not everybody sees may be lost.
    pub drop_hidden: bool,
    pub reason: String,
    /// How many keys are settled at a time, at most.
    pub batch: i64,
}

/// How often the last step is tried before everything is undone and begun anew.
const LAST_TRIES: u32 = 4;

/// A table that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unadopted {
    pub table: String,
    /// Keys that were settled while the application went on.
    pub settled: u64,
    /// Rows that went away: replaced, deleted or hidden.
    pub removed: u64,
    /// Rows that came into the table while writers waited.
    pub moved: u64,
    /// Rows and ends that not everybody saw, and that are gone.
    pub dropped: Vec<Wrote>,
    /// It had only been prepared: nothing but empty tables was dropped.
    pub was_prepared: bool,
}

/// Gives the table back; `each` hears how many keys of how many are settled.
pub async fn unadopt(
    client: &mut Client,
    table: &str,
    how: &Unadopting,
    mut each: impl FnMut(u64, u64),
) -> Result<Unadopted, Error> {
    let found = Shape::find(client, table).await?;
    let entry = list::entry(client, &found.schema, &found.name).await?;
    let entry = entry.ok_or_else(|| Error::NotAdopted(found.table()))?;
    if !entry.adopted {
        adopt::abandon(client, &entry).await?;
        return Ok(Unadopted::of(found.table(), true));
    }
    if !found.dependants.is_empty() {
        return Err(Error::Used { table: found.table(), by: found.dependants.join(", ") });
    }
    let wrote = list::wrote(client, entry.places.id, None).await?;
    hidden(&wrote, &found.table(), how)?;
    let back = Back::of(&entry);
    let mut done = Unadopted::of(found.table(), false);
    if wrote.iter().any(|wrote| wrote.deployment == 0) {
        back.settle_ground(client, how.batch, &mut done, &mut each).await?;
    }
    for _ in 0..moment::TRIES {
        match back.finish(client, how, &mut done).await {
            Err(Error::Sql { source, .. }) if moment::is_busy(&source) => moment::pause().await,
            Err(error) => return Err(error),
            Ok(()) => return Ok(done),
        }
    }
    Err(Error::Busy { table: done.table, tries: moment::TRIES, wait_ms: moment::WAIT_MS })
}

impl Unadopted {
    fn of(table: String, was_prepared: bool) -> Unadopted {
        Unadopted { table, settled: 0, removed: 0, moved: 0, dropped: Vec::new(), was_prepared }
    }
}

/// Refuses to lose what not everybody sees, unless told to; gives what would be lost.
fn hidden(wrote: &[Wrote], table: &str, how: &Unadopting) -> Result<Vec<Wrote>, Error> {
    let is_hidden = |wrote: &&Wrote| match wrote.status.as_str() {
        "ground" | "committed" => false,
        _ => wrote.written + wrote.ended > 0,
    };
    let lost: Vec<Wrote> = wrote.iter().filter(is_hidden).cloned().collect();
    if lost.is_empty() || how.drop_hidden {
        return Ok(lost);
    }
    let told = |wrote: &Wrote| format!("deployment {}: {}", wrote.deployment, wrote.status);
    Err(Error::Hidden {
        table: table.to_owned(),
        rows: lost.iter().map(|wrote| wrote.written).sum(),
        ends: lost.iter().map(|wrote| wrote.ended).sum(),
        deployments: lost.iter().map(told).collect::<Vec<_>>().join(", "),
    })
}

/// The way back of one table.
struct Back<'a> {
    shape: &'a Shape,
    places: &'a Places,
    primary: &'a Unique,
    /// The columns that are written.
    names: String,
}

impl<'a> Back<'a> {
    fn of(entry: &'a Entry) -> Back<'a> {
        let Entry { shape, places, .. } = entry;
        let primary = shape.primary().expect("a table without a primary key is never adopted");
        let written = shape.columns.iter().filter(|column| !column.generated);
        let names: Vec<String> = written.map(|column| ident(&column.name)).collect();
        Back { shape, places, primary, names: names.join(", ") }
    }

    /// Settles the rest and moves the table back.
    async fn finish(&self, client: &mut Client, how: &Unadopting, done: &mut Unadopted) -> Result<(), Error> {
        let failed = |error| Error::sql("move the table back", error);
        // A fixed snapshot would be taken before the writers are gone.
        let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let mut transaction = begin.start().await.map_err(failed)?;
        self.hold_writers(&transaction).await.map_err(failed)?;
        // What counts is asked for more than once, and the ledger goes on meanwhile: each time as of this entry.
        let head: i64 =
            transaction.query_one("SELECT pinrail_adopted.ledger()", &[]).await.map_err(failed)?.get(0);
        let at = head.to_string();
        let eyes = Eyes { own: None, at: Some(&at) };
        let wrote = list::wrote_as_of(&transaction, self.places, self.primary, &at).await?;
        let dropped = hidden(&wrote, &done.table, how)?;
        let (ground, written, ends) = (self.places.ground(), self.places.written(), self.places.ends());
        let remove = format!(
            "DELETE FROM ONLY {ground} t WHERE EXISTS (SELECT FROM {ends} e WHERE {} AND e.pinrail_version = t.pinrail_version AND {})",
            self.primary.equal("e", "t"),
            trigger::counts("e", &eyes),
        );
        let removed = transaction.execute(&remove, &[]).await.map_err(failed)?;
        let names = &self.names;
        let visible = self.visible(&eyes);
        let put = format!(
            "INSERT INTO {ground} ({names}) OVERRIDING SYSTEM VALUE SELECT {} FROM {written} t WHERE {visible}",
            self.written_columns("t.").join(", ")
        );
        let moved = transaction.execute(&put, &[]).await.map_err(|error| match error.code() {
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Error::Collides(error),
            Some(_) | None => failed(error),
        })?;
        self.move_back(&mut transaction).await?;
        let forget = "DELETE FROM pinrail_adopted.tables WHERE id = $1";
        transaction.execute(forget, &[&self.places.id]).await.map_err(failed)?;
        let noted = adopt::note(&transaction, "unadopted", self.shape, &how.reason, Some(head)).await;
        noted.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        (done.removed, done.moved, done.dropped) = (done.removed + removed, moved, dropped);
        Ok(())
    }

    /// The last step, tried some times on its own: a reader who holds the view makes it wait and not begin anew. Not for
    /// ever: who has read and now wants to write waits for this transaction.
    async fn move_back(&self, transaction: &mut Transaction<'_>) -> Result<(), Error> {
        let failed = |error| Error::sql("move the table back", error);
        let mut left = LAST_TRIES;
        loop {
            let mut point = transaction.savepoint("pinrail_back").await.map_err(failed)?;
            left -= 1;
            match self.try_move_back(&mut point).await {
                Ok(()) => return point.commit().await.map_err(failed),
                Err(Error::Sql { source, .. }) if moment::is_busy(&source) && left > 0 => {
                    point.rollback().await.map_err(failed)?;
                    moment::pause().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_move_back(&self, point: &mut Transaction<'_>) -> Result<(), Error> {
        let failed = |error| Error::sql("move the table back", error);
        for statement in self.statements() {
            point.batch_execute(&statement).await.map_err(failed)?;
        }
        let now = Shape::find(point, &self.shape.table()).await?;
        for statement in grants_back(self.shape, &now) {
            point.batch_execute(&statement).await.map_err(failed)?;
        }
        Ok(())
    }

    fn statements(&self) -> Vec<String> {
        let Shape { schema, name, owner, .. } = self.shape;
        let inner = &self.places.inner;
        let table = self.shape.table();
        let mut statements = vec![
            format!("DROP VIEW {table}"),
            format!("ALTER TABLE {} RENAME TO {}", self.places.ground(), ident(name)),
            format!("ALTER TABLE {} SET SCHEMA {}", qualified(inner, name), ident(schema)),
            // The table has left: what is in there is Pinrail's.
            format!("DROP SCHEMA {} CASCADE", ident(inner)),
            format!(
                "ALTER TABLE {table} DROP COLUMN pinrail_version, DROP COLUMN pinrail_deployment, DROP COLUMN pinrail_ledger"
            ),
            format!("ALTER TABLE {table} OWNER TO {}", ident(owner)),
        ];
        for column in &self.shape.columns {
            if let Some(sequence) = column.sequence.as_ref().filter(|sequence| sequence.serial) {
                let name = qualified(&sequence.schema, &sequence.name);
                statements.push(format!("ALTER SEQUENCE {name} OWNED BY {table}.{}", ident(&column.name)));
            }
        }
        statements
    }

    /// Keeps writers away from the view until the transaction ends, while readers go on: that is the lock of a trigger
    /// being made, and LOCK TABLE would lock `pinrail.spans` along with the view. Nobody who waits holds anything.
    async fn hold_writers(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let hold = format!(
            "{}; CREATE TRIGGER pinrail_hold INSTEAD OF INSERT ON {} FOR EACH ROW EXECUTE FUNCTION {}.write()",
            moment::limit(),
            self.shape.table(),
            ident(&self.places.inner)
        );
        transaction.batch_execute(&hold).await
    }

    /// Keeps writers away from the versions until the transaction ends. The order is a writer's, too.
    async fn alone(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let (keys, written, ends) = (self.places.keys(), self.places.written(), self.places.ends());
        let lock =
            format!("{}; LOCK TABLE {keys}, {written}, {ends} IN SHARE ROW EXCLUSIVE MODE", moment::limit());
        transaction.batch_execute(&lock).await
    }

    fn visible(&self, eyes: &Eyes<'_>) -> String {
        trigger::visible("t", self.places, self.primary, eyes)
    }

    fn written_columns(&self, of: &str) -> Vec<String> {
        let written = self.shape.columns.iter().filter(|column| !column.generated);
        written.map(|column| format!("{of}{}", ident(&column.name))).collect()
    }
}

/// What makes the rights what they were, where moving the table to another owner and back has changed them.
fn grants_back(was: &Shape, now: &Shape) -> Vec<String> {
    let table = was.table();
    let mut statements = Vec::new();
    if was.grants != now.grants {
        let mut roles: Vec<&Option<String>> = now.grants.iter().map(|grant| &grant.grantee).collect();
        roles.dedup();
        let revoke =
            |role: &&Option<String>| format!("REVOKE ALL ON {table} FROM {}", grantee(role.as_deref()));
        statements.extend(roles.iter().map(revoke));
        statements.extend(was.grants.iter().map(|grant| plan::grant_on(grant, "", &table)));
    }
    for (was, now) in was.columns.iter().zip(&now.columns).filter(|(was, now)| was.grants != now.grants) {
        let column = format!(" ({})", ident(&was.name));
        for grant in &now.grants {
            let from = grantee(grant.grantee.as_deref());
            statements.push(format!("REVOKE {}{column} ON {table} FROM {from}", grant.privilege));
        }
        statements.extend(was.grants.iter().map(|grant| plan::grant_on(grant, &column, &table)));
    }
    for (was, now) in plan::sequences(was, false).zip(plan::sequences(now, false)) {
        let (Some(before), Some(after)) = (&was.grants, &now.grants) else { continue };
        if before != after {
            let on = format!("SEQUENCE {}", qualified(&was.schema, &was.name));
            let revoke =
                |grant: &Grant| format!("REVOKE ALL ON {on} FROM {}", grantee(grant.grantee.as_deref()));
            statements.extend(after.iter().map(revoke));
            statements.extend(before.iter().map(|grant| plan::grant_on(grant, "", &on)));
        }
    }
    statements
}
