//! The story, chapter by chapter. Whatever a sentence claims was asked of the server first, and is held against what the
//! sentence says: a claim that doesn't hold ends the demo with an error.

use std::fmt::Display;
use std::path::PathBuf;

use pinrail_domain::time::Clock as _;
use serde_json::{Value, json};

use super::api::{AGENT, Api};
use super::halt::Halt;
use super::load::{Load, Stream};
use super::members::Members;
use super::project::{self, Agent};
use super::shop::{Shop, Wish};
use super::teller::Teller;
use crate::cli::Context;
use crate::commands::apply;
use crate::exit::Failed;
use crate::system::SystemClock;

mod bad;
mod dial;
mod drift;
mod ending;
mod good;
mod pin;
mod rollout;

/// Everything that the chapters need.
pub struct Story {
    pub api: Api,
    pub shop: Shop,
    /// The client of the commands: the project's files reach the server by it.
    pub context: Context,
    pub teller: Teller,
    pub halt: Halt,
    pub clock: SystemClock,
    pub dir: PathBuf,
    pub url: String,
    /// Whether people read along.
    pub paced: bool,
    pub stays: bool,
}

/// How long anything may take that happens by itself.
const PATIENCE_MS: u64 = 120_000;
/// How often it is looked whether it did.
const LOOK_MS: u64 = 60;
/// Customers in a second, where people read along.
const PER_SECOND: u32 = 24;

impl Story {
    /// Tells it from the beginning to the end.
    pub fn tell(mut self) -> anyhow::Result<()> {
        let members = Members::join(&self.context.client)?;
        self.opening()?;
        drift::tell(&mut self)?;
        pin::tell(&mut self)?;
        let next = good::tell(&mut self)?;
        let next = bad::tell(&mut self, next, members.count())?;
        dial::tell(&mut self, members.count())?;
        ending::tell(&mut self)?;
        if self.stays { ending::stay(&mut self, &members, next) } else { Ok(()) }
    }

    fn opening(&mut self) -> anyhow::Result<()> {
        let url = self.url.clone();
        let sentence = format!(
            "Pinrail runs at {url}: the real server, gateway and controller, and a simulated model provider."
        );
        self.teller.say("started", &sentence, json!({ "url": url, "dir": self.dir }))
    }

    /// Makes the server equal to the project's files, with the agent as it is now; gives the id of its release.
    fn apply(&self, agent: Agent, reason: &str) -> anyhow::Result<String> {
        project::write(&self.dir, agent)?;
        apply::quietly(&self.dir, reason, &self.context)?;
        let releases = self.api.get(&format!("releases?agent={AGENT}&limit=1"))?;
        Ok(text(&releases["items"][0]["release"]))
    }

    /// Opens a deployment of a release.
    fn deploy(&self, release: &str, now: bool, reason: &str) -> anyhow::Result<Value> {
        let how = if now { "now" } else { "rollout" };
        self.api.post("deployments", &json!({ "releases": { AGENT: release }, how: true, "reason": reason }))
    }

    /// Lets customers come.
    fn customers(&self, from: usize, wish: fn(usize) -> Wish) -> Load {
        let per_second = self.paced.then_some(PER_SECOND);
        Load::start(self.shop.clone(), Stream { from, per_second, wish, patient: false })
    }

    /// When patience is over.
    fn deadline(&self) -> u64 {
        self.clock.ticks().0 + PATIENCE_MS * 1_000_000
    }

    fn is_before(&self, deadline: u64) -> bool {
        self.clock.ticks().0 < deadline
    }

    /// Looks until something is there.
    fn until<T>(&self, what: &str, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        let deadline = self.deadline();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            self.halt.pause(LOOK_MS)?;
            claim(self.is_before(deadline), what, format!("not within {} s", PATIENCE_MS / 1_000))?;
        }
    }

    /// Who acknowledged an epoch, once everybody did.
    fn acknowledged(&self, epoch: &Value, members: u64) -> anyhow::Result<Value> {
        let report = self.until("every member acknowledges", || {
            let report = self.api.get(&format!("epochs/{epoch}"))?;
            Ok((report["settled"] == true).then_some(report))
        })?;
        // The server's own gateway is a member, too.
        let all = report["acknowledged"] == report["expected"] && report["expected"] == members + 1;
        claim(all, "every member acknowledges", &report)?;
        Ok(report)
    }
}

/// Holds what the demo says against what the server says.
fn claim(holds: bool, what: &str, seen: impl Display) -> anyhow::Result<()> {
    if holds {
        return Ok(());
    }
    let seen: String = seen.to_string().chars().take(SEEN_CHARS_MAX).collect();
    anyhow::bail!(Failed {
        code: "demo_untrue",
        what: format!("the demo says: {what}; the server says: {seen}"),
        next_step:
            "run it again with --dir to keep its folder; if it says so again, that is a bug in Pinrail"
                .to_owned(),
        source: None,
    })
}

/// What of an answer an error repeats.
const SEEN_CHARS_MAX: usize = 600;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The first digits of a release's id, as people write it.
fn short(release: &str) -> &str {
    let digits = release.strip_prefix("sha256:").unwrap_or(release);
    digits.get(..12).unwrap_or(digits)
}

/// A part of a whole in per cent.
fn percent(part: u64, whole: u64) -> u64 {
    (part * 100 + whole / 2) / whole.max(1)
}

/// Microseconds, for people.
fn took(us: &Value) -> String {
    let us = us.as_u64().unwrap_or_default();
    if us < 10_000 { format!("{}.{} ms", us / 1_000, us % 1_000 / 100) } else { format!("{} ms", us / 1_000) }
}

/// `1 run`, `2 runs`.
fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
