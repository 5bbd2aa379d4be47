//! `pinrail run list`: a page of runs, or a search through what runs say.
//!
//! A page of a search says how far it looked and may be empty; the command asks for one after the other until it has as
//! many runs as it was told to find, or there are no more.

use indicatif::{ProgressBar, ProgressStyle};
use pinrail_api::runs::{Run, Runs, Searched};
use pinrail_domain::id::RunId;
use serde_json::value::RawValue;

use super::{Filter, HEADER, PATH, row};
use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::exit::Usage;
use crate::output::table::table;
use crate::output::time;

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only runs that say this, in any case: prompts, answers, tools, notes, errors
    #[arg(long)]
    text: Option<String>,
    /// Started at or after: 2h, 7d, 2026-11-20 or RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Started before
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Runs of a page, or to find with --text (20)
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only runs older than this one: the next page
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
}

/// Runs to find where nobody says how many: what a person looks through.
const FOUND: usize = 20;
/// Runs asked for at once: the server gives no more.
const PAGE: usize = 1_000;

impl List {
    pub fn show(&self, context: &Context) -> anyhow::Result<()> {
        match &self.text {
            Some(text) => self.search(text, context),
            None => self.list(context),
        }
    }

    fn list(&self, context: &Context) -> anyhow::Result<()> {
        let path = self.query(context)?.add("limit", self.limit).add("before", self.before).on(PATH);
        let reply = context.client.get::<Runs>(&path)?;
        context.out.reply(&reply, |page| {
            let rows = page.items.iter().map(|run| row(run, context)).collect();
            with_next(table(&HEADER, rows, "no runs"), "--before", page.next.as_ref())
        })?;
        Ok(())
    }

    fn search(&self, text: &str, context: &Context) -> anyhow::Result<()> {
        let wanted = self.limit.unwrap_or(FOUND);
        let mut found: Runs<Box<RawValue>> =
            Runs { items: Vec::new(), next: self.before.map(|run| run.to_string()), searched: None };
        let progress = progress();
        loop {
            let limit = wanted.saturating_sub(found.items.len()).min(PAGE);
            let query = self.query(context)?.add("text", Some(text)).add("limit", Some(limit));
            let path = query.add("before", found.next.as_ref()).on(PATH);
            let page = context.client.get::<Runs<Box<RawValue>>>(&path)?.value;
            let stuck = page.next.is_some() && page.next == found.next;
            anyhow::ensure!(!stuck, "the server doesn't get on with its search");
            found.items.extend(page.items);
            found.next = page.next;
            found.searched = Some(sum(found.searched, page.searched.unwrap_or_default()));
            progress.set_message(format!("{}; {} found", looked(&found, context), found.items.len()));
            if found.next.is_none() || found.items.len() >= wanted {
                break;
            }
        }
        progress.finish_and_clear();
        let mut runs = Vec::new();
        for raw in &found.items {
            runs.push(serde_json::from_str::<Run>(raw.get())?);
        }
        context.out.value(&found, || {
            let rows = runs.iter().map(|run| row(run, context)).collect();
            let shown = table(&HEADER, rows, "no run says that");
            with_next(format!("{shown}\n{}", looked(&found, context)), "--before", found.next.as_ref())
        })?;
        Ok(())
    }

    fn query(&self, context: &Context) -> Result<Query, Usage> {
        let at = |text: &Option<String>| {
            let parsed = text.as_ref().map(|text| time::parse(text, context.now)).transpose();
            parsed.map(|at| at.map(|at| at.0)).map_err(Usage)
        };
        Ok(self.filter.query().add("since", at(&self.since)?).add("until", at(&self.until)?))
    }
}

/// Two pages' looks as one.
fn sum(before: Option<Searched>, page: Searched) -> Searched {
    let before = before.unwrap_or_default();
    Searched {
        runs: before.runs + page.runs,
        back_to: page.back_to.or(before.back_to),
        in_part: before.in_part + page.in_part,
    }
}

/// How far it was looked, in words.
fn looked(found: &Runs<Box<RawValue>>, context: &Context) -> String {
    let Searched { runs, back_to, in_part } = found.searched.unwrap_or_default();
    let mut words = format!("looked at {runs} {}", if runs == 1 { "run" } else { "runs" });
    if let Some(at) = back_to {
        words.push_str(&format!(", back to {}", time::both(context.now, at)));
    }
    if in_part > 0 {
        words.push_str(&format!(", of {in_part} only the first 8 MiB"));
    }
    words
}

/// Draws nothing where stderr is no terminal.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}
