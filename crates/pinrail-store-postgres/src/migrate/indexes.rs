//! Indexes of tables in partitions, made while replicas write.
//!
//! `CREATE INDEX` on such a table keeps everybody from writing to any partition until the last is done, and `CONCURRENTLY` isn't to be had for
//! it. So the index is made empty first, each partition gets its own concurrently, and the table's is whole once it has them all.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::patiently;

/// One line of a migration: `CREATE INDEX name ON pinrail.table (…) …;`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Index<'a> {
    name: &'a str,
    table: &'a str,
    /// The columns, and what comes after them.
    on: &'a str,
}

impl<'a> Index<'a> {
    /// What a file makes: comments and these lines are all that it may have.
    pub(super) fn of_file(sql: &'a str) -> impl Iterator<Item = Index<'a>> {
        let says = |line: &&str| !line.is_empty() && !line.starts_with("--");
        sql.lines().map(str::trim).filter(says).map(|line| {
            Index::of_line(line).expect("a migration that is concurrent makes indexes, each in a line")
        })
    }

    fn of_line(line: &'a str) -> Option<Index<'a>> {
        let (name, rest) = line.strip_prefix("CREATE INDEX ")?.split_once(" ON pinrail.")?;
        let (table, on) = rest.strip_suffix(';')?.split_once(' ')?;
        Some(Index { name, table, on })
    }

    /// Makes it, or goes on where an attempt was cut off.
    pub(super) async fn make(&self, client: &Client) -> Result<(), Error> {
        let Index { name, table, on } = self;
        patiently(client, &format!("CREATE INDEX IF NOT EXISTS {name} ON ONLY pinrail.{table} {on}")).await?;
        while let Some(partition) = self.next_without(client).await? {
            match self.make_for(client, &partition).await {
                // Retired meanwhile.
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {}
                made => made?,
            }
        }
        Ok(())
    }

    async fn make_for(&self, client: &Client, partition: &str) -> Result<(), Error> {
        let Index { name, table: _, on } = self;
        let own = format!("{partition}_{name}");
        // An attempt that was cut off leaves one that is good for nothing.
        client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS pinrail.{own}")).await?;
        client.batch_execute(&format!("CREATE INDEX CONCURRENTLY {own} ON pinrail.{partition} {on}")).await?;
        patiently(client, &format!("ALTER INDEX pinrail.{name} ATTACH PARTITION pinrail.{own}")).await
    }

    /// A partition that the index doesn't have yet. One that is made from now on brings its own.
    async fn next_without(&self, client: &Client) -> Result<Option<String>, Error> {
        let Index { name, table, on: _ } = self;
        let sql = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                   WHERE i.inhparent = to_regclass('pinrail.' || $1) AND NOT EXISTS (SELECT FROM pg_inherits p \
                   JOIN pg_index x ON x.indexrelid = p.inhrelid \
                   WHERE p.inhparent = to_regclass('pinrail.' || $2) AND x.indrelid = c.oid) \
                   ORDER BY c.relname LIMIT 1";
        let rows = client.query_typed(sql, &[(table, Type::TEXT), (name, Type::TEXT)]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_indexes_is_read_line_by_line() {
        let file = "-- oldest: 1\n-- concurrently\n\n-- Why.\nCREATE INDEX one ON pinrail.runs (a, b) WHERE a IS NOT NULL;\n";
        let read: Vec<Index<'_>> = Index::of_file(file).collect();
        assert_eq!(read, [Index { name: "one", table: "runs", on: "(a, b) WHERE a IS NOT NULL" }]);
        assert_eq!(Index::of_line("CREATE INDEX one ON pinrail.runs (a)"), None);
        assert_eq!(Index::of_line("DROP INDEX one;"), None);
    }
}
