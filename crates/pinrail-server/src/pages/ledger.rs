//! `/ledger`: every change, newest first, and whether the chain holds.

use std::sync::Arc;

use pinrail_api::problem::{Code, Problem};
use pinrail_dashboard::ledger::{EntryPage, Holds, Ledger, Line, Link, Verified, Wish};
use pinrail_domain::id::{AgentName, LedgerSeq};
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use serde::Deserialize;

use super::form::query;
use crate::api;
use crate::call::{Call, bad_name};
use crate::problem;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Query {
    kind: String,
    agent: String,
    actor: String,
    text: String,
    since: String,
    until: String,
    before: Option<LedgerSeq>,
    limit: Option<usize>,
    verify: bool,
}

/// What an entry must be to be shown.
struct Sieve {
    world: Arc<World>,
    kind: Option<String>,
    agent: Option<AgentName>,
    actor: String,
    text: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// Entries of a page where nobody says how many.
const SHOWN: usize = 50;
/// Entries read at once.
const CHUNK: u64 = 500;
/// Entries that one page looks at in search of those that fit: some tens of milliseconds.
const SEARCHED_MAX: u64 = 10_000;

pub async fn list(call: Call) -> Result<Ledger, Problem> {
    let Query { kind, agent, actor, text, since, until, before, limit, verify } = query(&call)?;
    let limit = call.page(Some(limit.unwrap_or(SHOWN)))?;
    let snapshot = call.control().snapshot();
    let head = snapshot.world.head;
    let sieve = Sieve {
        world: Arc::new(snapshot.world.clone()),
        kind: Some(kind.clone()).filter(|kind| !kind.is_empty()),
        agent: typed_name(&agent)?,
        actor: actor.to_lowercase(),
        text: text.to_lowercase(),
        since: moment(&since)?,
        until: moment(&until)?,
    };
    let end = before.map_or(head.seq, |before| LedgerSeq(before.0.saturating_sub(1)).min(head.seq));
    let found = search(&call, &sieve, end, limit).await?;
    let verified = if verify { Some(verified(&call).await?) } else { None };
    Ok(Ledger {
        items: found.items,
        next: found.next,
        searched_to: found.searched_to,
        entries: head.seq,
        head: head.hash,
        wish: Wish { kind, agent, actor, text, since, until, before },
        kinds: Body::kinds().to_vec(),
        verified,
        damage: found.damage,
    })
}

/// What a page holds.
struct Found {
    items: Vec<Line>,
    next: Option<LedgerSeq>,
    searched_to: LedgerSeq,
    damage: Option<String>,
}

/// Goes back from `end` until there are enough that fit. The ledger has no gaps, so a stretch of it is read by its numbers.
async fn search(call: &Call, sieve: &Sieve, end: LedgerSeq, limit: usize) -> Result<Found, Problem> {
    let mut found = Found { items: Vec::new(), next: None, searched_to: end.next(), damage: None };
    let mut end = end.0;
    let stop = end.saturating_sub(SEARCHED_MAX);
    while end > stop {
        let start = end.saturating_sub(CHUNK.min(end - stop));
        let entries = call.control().ledger_read(LedgerSeq(start), count(end - start)).await;
        let entries = match entries {
            Ok(entries) => entries,
            Err(StoreError::Damaged(what)) => {
                found.damage = Some(what);
                break;
            }
            Err(error) => return Err(problem::store(&error)),
        };
        for entry in entries.iter().rev().filter(|entry| entry.seq.0 <= end) {
            let Some(line) = sieve.fits(entry) else {
                found.searched_to = entry.seq;
                continue;
            };
            if found.items.len() == limit {
                found.next = Some(found.searched_to);
                return Ok(found);
            }
            found.searched_to = entry.seq;
            found.items.push(line);
        }
        end = start;
    }
    if end > 0 && found.damage.is_none() {
        found.next = Some(LedgerSeq(end + 1));
    }
    Ok(found)
}

fn count(entries: u64) -> usize {
    usize::try_from(entries).unwrap_or(usize::MAX)
}

impl Sieve {
    /// The entry in a line, if it is searched for.
    fn fits(&self, entry: &Entry) -> Option<Line> {
        let kind = entry.body.kind();
        let has = |text: &str, part: &str| part.is_empty() || text.to_lowercase().contains(part);
        let by_facts = self.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
            && has(&entry.actor.to_string(), &self.actor);
        let concerns = |agent: &AgentName| entry.concerns(&self.world).agents.contains(agent);
        if !by_facts || !self.agent.as_ref().is_none_or(concerns) {
            return None;
        }
        let what = entry.body.in_words(&self.world);
        (has(&entry.reason, &self.text) || has(&what, &self.text)).then(|| Line {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor.clone(),
            kind,
            what,
            reason: entry.reason.clone(),
            hash: entry.hash,
        })
    }
}

async fn verified(call: &Call) -> Result<Verified, Problem> {
    let began = call.state.clock.ticks();
    let verification = api::ledger::verify::value(call).await?;
    Ok(Verified { verification, took_us: call.state.clock.ticks().us_since(began) })
}

fn typed_name(text: &str) -> Result<Option<AgentName>, Problem> {
    let name = Some(text).filter(|text| !text.is_empty()).map(str::parse).transpose();
    name.map_err(|error| bad_name(format!("agent: {error}")))
}

/// A moment as a browser's field for one says it, in UTC, or as RFC 3339 has it.
fn moment(text: &str) -> Result<Option<Timestamp>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let ways = [text.to_owned(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    let read = ways.iter().find_map(|way| way.parse::<jiff::Timestamp>().ok());
    let read = read.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let bad = || {
        let shown: String = text.chars().take(40).collect();
        Problem::new(Code::BadRequest, format!("`{shown}` is no time"))
            .next_step("write it as 2026-11-21T10:00 (UTC), or leave it out")
    };
    read.map(|ms| Some(Timestamp(ms))).ok_or_else(bad)
}

/// One entry.
pub async fn show(call: Call) -> Result<EntryPage, Problem> {
    let seq = call.text("seq").parse().map(LedgerSeq);
    let seq = seq.map_err(|_| bad_name("the entry in the path is no number".to_owned()))?;
    let none = || problem::not_found(format!("ledger entry {seq}"), "GET /ledger lists them");
    let before = seq.0.checked_sub(1).map(LedgerSeq).ok_or_else(none)?;
    let at = |after: LedgerSeq| call.control().ledger_read(after, 1);
    let entry = at(before).await.map_err(|error| problem::store(&error))?;
    let entry = entry.into_iter().find(|entry| entry.seq == seq).ok_or_else(none)?;
    let previous = match before.0.checked_sub(1) {
        Some(further) => at(LedgerSeq(further)).await.map(|found| found.into_iter().next()),
        None => Ok(None),
    };
    let next = at(seq).await.map(|found| found.into_iter().next());
    let holds = holds(&entry, previous.as_ref(), next.as_ref());
    let world = &call.control().snapshot().world;
    Ok(EntryPage {
        what: entry.body.in_words(world),
        holds,
        newer: next.ok().flatten().map(|next| next.seq),
        concerns: links(&entry, world),
        entry,
    })
}

/// Whether an entry fits between its neighbours.
fn holds(
    entry: &Entry,
    previous: Result<&Option<Entry>, &StoreError>,
    next: Result<&Option<Entry>, &StoreError>,
) -> Holds {
    let (previous, next) = match (previous, next) {
        (Ok(previous), Ok(next)) => (previous, next),
        (Err(error), _) | (_, Err(error)) => return Holds::Unknown { what: error.to_string() },
    };
    let head = previous.as_ref().map_or(pinrail_domain::ledger::Head::START, |previous| {
        pinrail_domain::ledger::Head { seq: previous.seq, hash: previous.hash }
    });
    match (head.follow(entry), next) {
        (Err(broken), _) => Holds::No { what: broken.to_string() },
        (Ok(_), Some(next)) if next.prev != entry.hash => {
            Holds::No { what: format!("entry {} names another hash before it", next.seq) }
        }
        (Ok(_), _) => Holds::Yes,
    }
}

/// The pages of what an entry is about.
fn links(entry: &Entry, world: &World) -> Vec<Link> {
    let concerns = entry.concerns(world);
    let mut links = Vec::new();
    if let Some((label, href)) = concerns.subject.as_deref().and_then(page_of) {
        links.push(Link { label, href });
    }
    for agent in concerns.agents {
        links.push(Link { label: format!("all about {agent}"), href: format!("/ledger?agent={agent}") });
    }
    if let Body::DialSet { .. } = entry.body {
        links.push(Link { label: "the dial".to_owned(), href: "/dial".to_owned() });
    }
    links
}

/// The page of what the API has at an address such as `deployments/7`.
fn page_of(subject: &str) -> Option<(String, String)> {
    let (place, name) = subject.split_once('/')?;
    let short: String = name.chars().take(12).collect();
    let name = pinrail_dashboard::ui::url(name);
    let (what, href) = match place {
        "deployments" => ("deployment", format!("/deployments/{name}")),
        "gates" => ("gate", format!("/gates/{name}")),
        "releases" => ("release", format!("/releases/{name}")),
        "webhooks" => ("webhook", format!("/webhooks/{name}")),
        "drift" => return Some((format!("finding {short}"), format!("/ledger/{name}"))),
        "providers" => ("provider", "/readiness#providers".to_owned()),
        "keys" => ("key", "/keys".to_owned()),
        _ => return None,
    };
    Some((format!("{what} {short}"), href))
}

#[cfg(test)]
mod tests;
