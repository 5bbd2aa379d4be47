//! The end: what was shown, and what to do next.

use serde_json::json;

use super::super::load::{Load, Stream};
use super::super::members::Members;
use super::{Story, claim};
use crate::commands::up::LISTEN_DEFAULT;

/// How often the workers' leases are renewed while somebody stays.
const RENEW_MS: u64 = 60_000;
/// Customers in a second while somebody stays.
const GENTLY: u32 = 2;

pub fn tell(story: &mut Story) -> anyhow::Result<()> {
    story.teller.chapter(6, "What you saw")?;
    let ledger = story.api.get("ledger/verify")?;
    claim(ledger["whole"] == true, "the ledger is whole", &ledger)?;
    story.teller.proven(
        "ledger_verified",
        &format!(
            "`pinrail ledger verify`: whole. {} entries, each with its actor and its reason, each chained to the one before.",
            ledger["entries"]
        ),
        json!({ "whole": true, "entries": ledger["entries"], "head": ledger["head"] }),
    )?;
    story.teller.look("/ledger")?;
    story.teller.say(
        "what_you_saw",
        "A model that moved was found by the answers that it gave. A good candidate went live on evidence. A bad one was taken back with \
         all that it wrote, and nothing was left of it. Every number above is the server's own.",
        json!({}),
    )?;
    story.teller.commands(&[
        ("pinrail up".to_owned(), "a server with an example agent, in an empty folder"),
        ("pinrail init".to_owned(), "files for an agent of your own"),
        ("pinrail scan .".to_owned(), "models in your code that can move, or retire"),
    ])?;
    let next = json!({ "next": ["pinrail up", "pinrail init", "pinrail scan ."] });
    if story.stays { Ok(()) } else { story.teller.ended("over", next) }
}

/// Goes on serving, with a few customers, until somebody presses ctrl-c.
pub fn stay(story: &mut Story, members: &Members, from: usize) -> anyhow::Result<()> {
    let wish = super::bad::complaining;
    let load =
        Load::start(story.shop.clone(), Stream { from, per_second: Some(GENTLY), wish, patient: true });
    let server =
        if story.url.ends_with(LISTEN_DEFAULT) { String::new() } else { format!(" --server {}", story.url) };
    let sentence = format!(
        "Customers keep coming. Look around at {}, or try `pinrail deployment report 4{server}` and `pinrail run tail{server}` in \
         another terminal. ctrl-c ends it.",
        story.url
    );
    story.teller.say("staying", &sentence, json!({ "url": story.url }))?;
    while story.halt.pause(RENEW_MS).is_ok() {
        members.renew(&story.context.client)?;
    }
    drop(load);
    Ok(())
}
