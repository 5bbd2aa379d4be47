//! `pinrail run tail`: follows one run by long poll, or the newest runs by asking again.

use std::collections::BTreeSet;
use std::time::Duration;

use pinrail_api::Page;
use pinrail_api::runs::{Events, Run};
use pinrail_domain::id::RunId;
use serde_json::value::RawValue;

use super::{Filter, PATH, RawEvents, row};
use crate::cli::Context;
use crate::client::Query;
use crate::output::event;

/// Which run, or which of the newest runs.
#[derive(Debug, clap::Args)]
pub struct Tail {
    /// The run to follow; none follows the newest runs
    #[arg(conflicts_with_all = ["agent", "release", "deployment", "status", "outcome", "tenant", "session"])]
    id: Option<RunId>,
    #[command(flatten)]
    filter: Filter,
}

/// How long the server may hold a question back until there is news: half of what proxies commonly allow.
const WAIT_MS: u64 = 30_000;
/// How often the newest runs are asked for: often enough for a person who watches.
const PAUSE: Duration = Duration::from_secs(1);
/// Runs shown before following begins.
const FIRST: usize = 10;
/// Runs asked for at once; more than this many new ones in a pause are told as a gap.
const PAGE: usize = 200;
/// Runs remembered, so that none is shown twice.
const SEEN_MAX: usize = 10_000;

impl Tail {
    /// Prints until the run ends, or until ctrl-c.
    pub fn follow(&self, context: &Context) -> anyhow::Result<()> {
        match self.id {
            Some(id) => follow_run(id, context),
            None => follow_newest(&self.filter, context),
        }
    }
}

fn follow_run(id: RunId, context: &Context) -> anyhow::Result<()> {
    let mut from = 0;
    loop {
        let query = Query::default().add("from", Some(from)).add("wait_ms", Some(WAIT_MS));
        let page = context.client.get::<Events>(&query.on(&format!("{PATH}/{id}/events")))?;
        if context.out.is_json() {
            let raw: RawEvents = serde_json::from_str(page.raw.get())?;
            for recorded in raw.events {
                context.out.data(recorded.get())?;
            }
        } else {
            for recorded in &page.value.events {
                context.out.data(&crate::output::clean(&event::line(recorded)))?;
            }
        }
        let caught_up = page.value.events.is_empty();
        from = page.value.next.0;
        // A finished run takes no more events, but a page may have ended before its last one.
        if page.value.status == "finished" && caught_up {
            return Ok(());
        }
    }
}

fn follow_newest(filter: &Filter, context: &Context) -> anyhow::Result<()> {
    let mut seen: BTreeSet<RunId> = BTreeSet::new();
    let mut limit = FIRST;
    loop {
        let path = filter.query().add("limit", Some(limit)).on(PATH);
        let page = context.client.get::<Page<Box<RawValue>>>(&path)?.value;
        let mut runs = Vec::new();
        for raw in page.items {
            runs.push((serde_json::from_str::<Run>(raw.get())?, raw));
        }
        let all_new =
            !seen.is_empty() && !runs.is_empty() && runs.iter().all(|(run, _)| !seen.contains(&run.run));
        if all_new && runs.len() == PAGE {
            crate::output::talk(&format!("… more than {PAGE} runs at once; some are not shown"));
        }
        for (run, raw) in runs.iter().rev() {
            if !seen.insert(run.run) {
                continue;
            }
            let line =
                if context.out.is_json() { raw.get().to_owned() } else { row(run, context).join("  ") };
            context.out.data(&crate::output::clean(&line))?;
        }
        while seen.len() > SEEN_MAX {
            seen.pop_first();
        }
        limit = PAGE;
        pause();
    }
}

#[allow(clippy::disallowed_methods, reason = "a list can't be waited on; a person watches and ends it")]
fn pause() {
    std::thread::sleep(PAUSE);
}
