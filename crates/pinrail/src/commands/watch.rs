//! `pinrail watch`: follows the epoch: what changed, when it changes.

use std::time::Duration;

use pinrail_api::members::EpochEvent;
use pinrail_domain::member::Change;

use crate::cli::Context;
use crate::client::{ClientError, Query};
use crate::output::{clean, talk, time};

/// Follow the epoch: every change of what is served, as it happens
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail watch
  pinrail watch --after 12                 what changed since epoch 12, and then what changes
  pinrail watch --json | jq -c .changed    one JSON object a line

The first line is the current epoch. Ends with ctrl-c; a stream that breaks is taken up where it was.")]
pub struct Args {
    /// The newest epoch that is known already
    #[arg(long, value_name = "EPOCH")]
    after: Option<u64>,
}

/// Before a broken stream is taken up again: a server that starts anew needs about as long.
const PAUSE: Duration = Duration::from_secs(1);
const PATH: &str = "/api/v1/watch";

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut last: Option<String> = None;
    loop {
        let path = Query::default().add("after", args.after).on(PATH);
        let mut events = match context.client.follow(&path, last.as_deref()) {
            Ok(events) => events,
            // Whoever has followed once goes on when the server is back.
            Err(ClientError::Unreachable { .. }) if last.is_some() => {
                pause();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        while let Ok(Some(event)) = events.next() {
            // Taken up again, it begins with what was told before.
            if last.as_ref() == Some(&event.id) {
                continue;
            }
            if context.out.is_json() {
                context.out.data(&event.data)?;
            } else {
                context.out.data(&clean(&lines(&serde_json::from_str(&event.data)?)))?;
            }
            last = Some(event.id);
        }
        talk("the stream ended; following again");
        pause();
    }
}

fn lines(event: &EpochEvent) -> String {
    let mut lines: Vec<String> = event.changes.iter().map(line).collect();
    if event.more {
        lines.insert(0, "… and older changes, which are not kept any more".to_owned());
    }
    if lines.is_empty() {
        let parts = event.changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        lines.push(
            format!("epoch {}, ledger entry {}  {parts}", event.epoch, event.seq).trim_end().to_owned(),
        );
    }
    lines.join("\n")
}

fn line(change: &Change) -> String {
    let parts = change.changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let deployment = change.deployment.map(|id| format!("  deployment {id}")).unwrap_or_default();
    let agents = change.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let kind = change.kind.replace('_', " ");
    format!("{}  epoch {}  {kind}{deployment}  {agents}  [{parts}]", time::clock(change.at), change.epoch)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a server that is away can't be waited on; a person watches and ends it"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
