//! What can go wrong, and what to do about it.

use crate::refuse::Refusal;

/// Why a table wasn't adopted, listed or given back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Visibility is decided by the store's tables, and they aren't in this database.
    #[error("this database holds no store of Pinrail (there is no table pinrail.{0})")]
    NoStore(&'static str),
    #[error("there is no table {0}")]
    NoTable(String),
    #[error("{0} is not adopted")]
    NotAdopted(String),
    #[error("{0} is adopted already")]
    Already(String),
    /// Each refusal says what it is and what to do.
    #[error("{table} cannot be adopted: {}", told(.refused))]
    Refused { table: String, refused: Vec<Refusal> },
    /// Somebody changed the table's definition while it was being adopted.
    #[error("the definition of {0} was changed by somebody else at the same time")]
    Changed(String),
    /// Every try to have the table for a moment ended at the lock's time limit.
    #[error("{table} was in use all the time: {tries} tries of {wait_ms} ms each got no lock")]
    Busy { table: String, tries: u32, wait_ms: u32 },
    /// What isn't visible to everybody would be lost.
    #[error(
        "{table} holds {rows} rows and {ends} replacements or deletions that not everybody sees ({deployments})"
    )]
    Hidden { table: String, rows: i64, ends: i64, deployments: String },
    /// Something was made from the view since.
    #[error("{table} is used by {by}")]
    Used { table: String, by: String },
    #[error("a row that was written since can't go back into the table")]
    Collides(#[source] tokio_postgres::Error),
    #[error("cannot read what the catalogue says of the table")]
    Unreadable(#[source] serde_json::Error),
    #[error("cannot {what}")]
    Sql { what: String, source: tokio_postgres::Error },
}

impl Error {
    /// A failed statement, with what it was for.
    pub fn sql(what: impl Into<String>, source: tokio_postgres::Error) -> Error {
        Error::Sql { what: what.into(), source }
    }

    /// For programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::NoStore(_) => "adopt_no_store",
            Error::NoTable(_) => "adopt_no_table",
            Error::NotAdopted(_) => "adopt_not_adopted",
            Error::Already(_) => "adopt_already",
            Error::Refused { .. } => "adopt_refused",
            Error::Changed(_) => "adopt_changed",
            Error::Busy { .. } => "adopt_busy",
            Error::Hidden { .. } => "adopt_hidden_rows",
            Error::Used { .. } => "adopt_used",
            Error::Collides(_) => "adopt_collides",
            Error::Unreadable(_) => "adopt_unreadable",
            Error::Sql { .. } => "adopt_sql",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn next_step(&self) -> String {
        let text = match self {
            Error::NoStore(_) => {
                "name the database in which Pinrail keeps its store; `pinrail migrate --store URL` makes it"
            }
            Error::NoTable(_) => {
                "write it as SCHEMA.TABLE, quoted like in SQL where it has capitals or spaces"
            }
            Error::NotAdopted(_) => "`pinrail vectors adopted` lists what is",
            Error::Already(_) => "`pinrail vectors unadopt` takes it out; `pinrail vectors adopted` shows it",
            Error::Refused { .. } => {
                "change what is named, or leave the table as it is; docs/adopt.md says why for each"
            }
            Error::Changed(_) => "run it again: nothing has changed",
            Error::Busy { .. } => {
                "run it again when no long transaction holds the table (pg_stat_activity shows them); nothing has changed"
            }
            Error::Hidden { .. } => {
                "commit or roll back what is open; keep the rows with --export FILE; then --drop-hidden lets them go"
            }
            Error::Used { .. } => "drop what was made from the view, and make it again afterwards",
            Error::Collides(_) => {
                "the message names the constraint; change the row through the table and run it again"
            }
            Error::Unreadable(_) => "this is another version's: use the one that adopted the table",
            Error::Sql { .. } => "docs/adopt.md lists which role needs which rights; nothing has changed",
        };
        text.to_owned()
    }
}

fn told(refused: &[Refusal]) -> String {
    let one = |refusal: &Refusal| format!("\n  - {}: {}", refusal.what, refusal.instead);
    refused.iter().map(one).collect()
}
