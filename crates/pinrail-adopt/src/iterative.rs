//! pgvector's iterative scans: without them an index gives up before it has found as many visible rows as were asked for.
//!
//! An HNSW index hands out its `ef_search` nearest rows and stops. Where those are hidden, a search finds too few, or
//! nothing. With `hnsw.iterative_scan = strict_order`, from pgvector 0.8 on, it goes on searching.

use serde::Serialize;
use tokio_postgres::GenericClient;

use crate::error::Error;
use crate::text::{ident, literal};

/// What a search in this database does when hidden rows are in its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scans {
    /// The extension's version; none where it isn't installed.
    pub pgvector: Option<String>,
    /// Whether that version can go on searching.
    pub able: bool,
    /// For whom it is set, and to what: `database`, `role NAME`, each for new connections.
    pub set: Vec<(String, String)>,
}

/// For whom it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum For {
    Database,
    Role(String),
}

impl Scans {
    /// Reads what is set.
    pub async fn read(client: &impl GenericClient) -> Result<Scans, Error> {
        let failed = |error| Error::sql("read pgvector's settings", error);
        let version = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
        let version = client.query_opt(version, &[]).await.map_err(failed)?;
        let pgvector: Option<String> = version.map(|row| row.get(0));
        let settings = "SELECT CASE WHEN s.setrole = 0 THEN 'database' ELSE 'role ' || pg_get_userbyid(s.setrole) END, split_part(c, '=', 2)
            FROM pg_db_role_setting s, unnest(s.setconfig) c
            WHERE c LIKE 'hnsw.iterative\\_scan=%' AND (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
            ORDER BY 1";
        let rows = client.query(settings, &[]).await.map_err(failed)?;
        let able = pgvector.as_deref().is_some_and(is_able);
        Ok(Scans { pgvector, able, set: rows.iter().map(|row| (row.get(0), row.get(1))).collect() })
    }

    /// Sets it for new connections.
    pub async fn set(client: &impl GenericClient, whom: &For) -> Result<(), Error> {
        let failed = |error| Error::sql("set hnsw.iterative_scan", error);
        let row = client.query_one("SELECT current_database()::text", &[]).await.map_err(failed)?;
        let database = ident(row.get(0));
        let whom = match whom {
            For::Database => format!("DATABASE {database}"),
            For::Role(role) => format!("ROLE {} IN DATABASE {database}", ident(role)),
        };
        let sql = format!("ALTER {whom} SET hnsw.iterative_scan = {}", literal("strict_order"));
        client.batch_execute(&sql).await.map_err(failed)
    }

    /// What is wrong, if something is.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Scans { pgvector, able, set } = self;
        let pgvector = pgvector.as_deref()?;
        if !able {
            return Some(format!(
                "pgvector {pgvector} can't search on past hidden rows: a search may find nothing after a rollback. Update it to 0.8 or later"
            ));
        }
        if set.iter().any(|(_, to)| to == "strict_order") {
            return None;
        }
        Some(
            "hnsw.iterative_scan isn't strict_order for anybody: a search may find nothing after a rollback. \
             Set it with --set-iterative-scan database (or a role's name)"
                .to_owned(),
        )
    }
}

/// From 0.8 on.
fn is_able(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next(), parts.next()) >= (Some(0), Some(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, able) in
            [("0.7.4", false), ("0.8.0", true), ("0.10.1", true), ("1.0", true), ("0.5.1", false)]
        {
            assert_eq!(is_able(version), able, "{version}");
        }
    }
}
