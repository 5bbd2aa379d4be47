//! `pinrail state get`, `history` and `as-of`.

use pinrail_api::spaces::{Record, Records};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Op, Origin};

use super::{Eyes, Page};
use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::table::table;
use crate::output::{one_line, time};

/// Longest value in a row.
const VALUE_CHARS: usize = 60;

pub fn run(
    space: &str,
    key: Option<&str>,
    history: bool,
    eyes: &Eyes,
    page: &Page,
    context: &Context,
) -> anyhow::Result<()> {
    let path = seen_by(Query::default().add("space", Some(space)), eyes)
        .add("key", key)
        .add("history", history.then_some(true))
        .add("after", page.after)
        .add("limit", page.limit)
        .on("/api/v1/state/records");
    let reply = context.client.get::<Records>(&path)?;
    context.out.reply(&reply, |records| {
        let rows = records.items.iter().map(|record| row(record, history, context)).collect();
        let mut header = vec!["seq", "key", "when", "by", "value"];
        if history {
            header.push("hidden");
        }
        let text = table(&header, rows, "nothing is visible there");
        with_next(format!("{text}\nmoment {}", records.moment), "--after", records.next.as_ref())
    })?;
    Ok(())
}

/// Adds who looks, and as of when.
pub fn seen_by(query: Query, eyes: &Eyes) -> Query {
    query
        .add("tenant", eyes.tenant.as_ref())
        .add("deployment", eyes.deployment)
        .add("as_of", eyes.as_of.as_ref())
}

fn row(record: &Record, history: bool, context: &Context) -> Vec<String> {
    let by = match record.origin {
        Origin::External => "external".to_owned(),
        Origin::Run => format!("deployment {}", record.deployment),
        Origin::Ingest => format!("job {}", record.deployment),
    };
    let value = match (&record.value, record.op, record.erased_by) {
        (Some(value), _, _) => {
            let dims = record.dims.map(|dims| format!("[{dims} dims] ")).unwrap_or_default();
            one_line(&format!("{dims}{}", value.get()), VALUE_CHARS)
        }
        (None, Op::Delete, _) => "(delete)".to_owned(),
        (None, Op::Put, Some(entry)) => format!("(erased: ledger entry {entry})"),
        (None, Op::Put, None) => "(erased)".to_owned(),
    };
    let mut row = vec![
        record.seq.to_string(),
        one_line(record.key.as_str(), 40),
        time::both(context.now, record.at),
        by,
        value,
    ];
    if history {
        row.push(record.hidden.as_ref().map_or_else(|| "-".to_owned(), in_words));
    }
    row
}

fn in_words(hidden: &Hidden) -> String {
    match hidden {
        Hidden::AfterAsOf => "came later".to_owned(),
        Hidden::Uncommitted { deployment } => format!("deployment {deployment} is not committed"),
        Hidden::Aborted { deployment } => format!("aborted deployment {deployment}"),
        Hidden::Retracted { deployment } => format!("retracted deployment {deployment}"),
        Hidden::Derived { from } => format!("derived from deployment {from}"),
        Hidden::Superseded { by } => format!("superseded by {by}"),
        Hidden::Deleted { by } => format!("deleted by {by}"),
        Hidden::Delete => "a delete".to_owned(),
    }
}
