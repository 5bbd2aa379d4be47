//! Which page of a list.

use crate::client::Query;

/// Where a page of names begins and how long it is.
#[derive(Debug, clap::Args)]
pub struct After {
    /// Only what comes after this name or id: the next page
    #[arg(long)]
    after: Option<String>,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl After {
    /// The list's address with the page.
    pub fn on(&self, path: &str) -> String {
        Query::default().add("after", self.after.as_ref()).add("limit", self.limit).on(path)
    }
}

/// A page's table with the way to the next page.
pub fn with_next(table: String, flag: &str, next: Option<&String>) -> String {
    match next {
        Some(next) => format!("{table}\nmore: {flag} {next}"),
        None => table,
    }
}
