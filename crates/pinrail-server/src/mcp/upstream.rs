//! A live server behind the proxy: connected when it is needed, listed, called.
//!
//! After a failure the next attempt waits, twice as long each time, up to a minute; a call that comes meanwhile is
//! refused with the failure. A connection that broke is made anew, and on a new one the tools are listed before
//! anything is called.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::id::McpServerName;
use pinrail_domain::mcp::{Identity, McpServerSpec, Pin};
use pinrail_domain::time::{Clock, Ticks, Timestamp};
use pinrail_gateway::port::Secrets;
use pinrail_mcp::{Live, Reach};

use super::permission;
use crate::problem::chain;

/// A live server behind the proxy.
pub struct Upstream {
    pub server: McpServerName,
    pub spec: Arc<McpServerSpec>,
    /// Held while it is connected and listed.
    link: tokio::sync::Mutex<Option<Arc<Live>>>,
    seen: Mutex<Seen>,
    used_at: AtomicU64,
}

/// What is known of a server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// As it was listed last.
    pub tools: Option<Arc<Pin>>,
    pub identity: Option<Identity>,
    pub protocol: Option<String>,
    pub checked_at: Option<Timestamp>,
    pub error: Option<String>,
    pub failures: u32,
    checked: Option<Ticks>,
    tried: Option<Ticks>,
    /// How many changes it had announced then.
    announced: u64,
}

/// A server that was just listed, or whose listing is new enough.
#[derive(Clone)]
pub struct Checked {
    pub live: Arc<Live>,
    pub tools: Arc<Pin>,
}

/// Why a server can't be used, in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// What connecting takes.
pub struct Reaching<'a> {
    pub clock: &'a dyn Clock,
    pub secrets: &'a dyn Secrets,
    pub commands_allowed: &'a [String],
}

/// The first wait after a failure.
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MS_MAX: u64 = 60_000;
/// A connection that nobody needs is closed after this.
const IDLE_MS: u64 = 10 * 60_000;

impl Upstream {
    pub fn new(server: McpServerName, spec: Arc<McpServerSpec>) -> Upstream {
        Upstream {
            server,
            spec,
            link: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
            used_at: AtomicU64::new(0),
        }
    }

    /// What is known of the server.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is a connection now. One that is being made or listed counts as none.
    pub fn is_connected(&self) -> bool {
        self.link.try_lock().is_ok_and(|link| link.as_ref().is_some_and(|live| !live.is_closed()))
    }

    /// Whether the server's turn to be listed has come.
    pub fn is_due(&self, now: Ticks) -> bool {
        let Ok(link) = self.link.try_lock() else { return false };
        let seen = self.seen();
        let announced = link.as_ref().is_some_and(|live| *live.changed().borrow() != seen.announced);
        match seen.error {
            Some(_) => self.wait(&seen, now) == 0,
            None => announced || seen.checked.is_none_or(|at| passed_ms(at, now) >= self.spec.poll().ms),
        }
    }

    pub fn is_idle(&self, now: Ticks) -> bool {
        passed_ms(Ticks(self.used_at.load(Ordering::Relaxed)), now) > IDLE_MS
    }

    /// Connects if need be, and lists the tools now.
    pub async fn check(&self, reaching: &Reaching<'_>) -> Result<Checked, Unreachable> {
        let mut link = self.link.lock().await;
        self.refuse_while_waiting(reaching.clock.ticks())?;
        self.list(&mut link, reaching).await
    }

    /// The server for a call: connected, and listed on this connection within twice its poll. None where it must be
    /// checked first.
    pub async fn ready(&self, clock: &dyn Clock) -> Option<Checked> {
        let now = clock.ticks();
        self.used_at.store(now.0, Ordering::Relaxed);
        let link = self.link.lock().await;
        let live = link.as_ref().filter(|live| !live.is_closed())?;
        let seen = self.seen();
        let is_new = seen.checked.is_some_and(|at| passed_ms(at, now) <= 2 * self.spec.poll().ms);
        let is_told = *live.changed().borrow() == seen.announced;
        let tools = seen.tools.filter(|_| seen.error.is_none() && is_new && is_told)?;
        Some(Checked { live: Arc::clone(live), tools })
    }

    /// Ends the connection.
    pub async fn close(&self) {
        let live = self.link.lock().await.take();
        if let Some(live) = live.and_then(Arc::into_inner) {
            live.close().await;
        }
    }

    async fn list(
        &self,
        link: &mut Option<Arc<Live>>,
        reaching: &Reaching<'_>,
    ) -> Result<Checked, Unreachable> {
        let live = match link.take().filter(|live| !live.is_closed()) {
            Some(live) => live,
            None => Arc::new(self.connect(reaching).await.map_err(|why| self.failed(reaching.clock, why))?),
        };
        let announced = *live.changed().borrow();
        let tools = live.tools().await.map_err(|error| self.failed(reaching.clock, chain(&error)))?;
        let tools = Arc::new(tools);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen {
            tools: Some(Arc::clone(&tools)),
            identity: Some(live.identity().clone()),
            protocol: Some(live.protocol().to_owned()),
            checked_at: Some(reaching.clock.now()),
            error: None,
            failures: 0,
            checked: Some(reaching.clock.ticks()),
            tried: None,
            announced,
        };
        drop(seen);
        *link = Some(Arc::clone(&live));
        Ok(Checked { live, tools })
    }

    async fn connect(&self, reaching: &Reaching<'_>) -> Result<Live, String> {
        if !self.spec.command.is_empty() {
            permission::check(&self.spec.command, reaching.commands_allowed)
                .map_err(|error| error.to_string())?;
        }
        let reach = Reach::of(&self.spec, |name| reaching.secrets.secret(name));
        let reach = reach.map_err(|error| error.to_string())?;
        Live::connect(&reach).await.map_err(|error| chain(&error))
    }

    fn failed(&self, clock: &dyn Clock, why: String) -> Unreachable {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.error.as_ref() != Some(&why) {
            tracing::warn!(server = %self.server, why, "an MCP server cannot be used");
        }
        seen.error = Some(why.clone());
        seen.failures = seen.failures.saturating_add(1);
        seen.tried = Some(clock.ticks());
        Unreachable(why)
    }

    fn refuse_while_waiting(&self, now: Ticks) -> Result<(), Unreachable> {
        let seen = self.seen();
        match (&seen.error, self.wait(&seen, now)) {
            (Some(why), ms) if ms > 0 => Err(Unreachable(format!("{why} (tried again in {ms} ms)"))),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Milliseconds until it is tried again.
    fn wait(&self, seen: &Seen, now: Ticks) -> u64 {
        let Some(tried) = seen.tried else { return 0 };
        let pause =
            BACKOFF_MS.saturating_mul(1 << seen.failures.saturating_sub(1).min(10)).min(BACKOFF_MS_MAX);
        pause.saturating_sub(passed_ms(tried, now))
    }
}

fn passed_ms(since: Ticks, now: Ticks) -> u64 {
    now.us_since(since) / 1_000
}
