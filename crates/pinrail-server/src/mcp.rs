//! The MCP proxy: agents use it instead of the servers, and see what their run's release pins.
//!
//! What is served are the *pinned* definitions, never a live list. A live server is asked for three things: to be
//! compared with the pins (polled, and before the first call on every new connection), to be called, and to be told
//! that a call was cancelled. In this order a call is refused: the run's release doesn't pin the tool; an open finding
//! keeps the tool in quarantine; the dial withholds it, or it waits for an approval; the server can't be reached or
//! listed; the tool that it lists now is not the pinned one. Whatever can't be told is a refusal: it fails closed.
//!
//! A quarantine is an open finding of the ledger, and stays until a person clears it, also when the server goes back to
//! what it was: a tool that changed under its pin once is looked at before a model may call it again.
//!
//! The window: what a server changes is noticed within its `poll` (or at once, where it announces changes), and on a
//! connection whose listing is older than twice that, the call itself lists first.
//!
//! Start reading at [`Mcp`], then [`upstream`] (a live server), `call.rs` (what a tool's call goes through) and
//! `session.rs` (whose run it is).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pinrail_control::Control;
use pinrail_control::mcp::{Users, pins_in_use};
use pinrail_domain::digest::Digest;
use pinrail_domain::drift::Subject;
use pinrail_domain::id::{McpServerName, ReleaseId};
use pinrail_domain::mcp::{McpServerSpec, Pin};
use pinrail_domain::time::Clock;
use pinrail_gateway::port::Secrets;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

mod call;
mod journal;
mod listed;
mod permission;
pub mod rpc;
pub mod session;
mod shown;
#[cfg(test)]
mod tests;
pub mod upstream;

pub use call::{PROTOCOLS, greet};
pub use permission::NotAllowed;

use session::Sessions;
use upstream::{Checked, Unreachable, Upstream};

/// What the proxy is made of.
pub struct Options {
    pub control: Control,
    pub clock: Arc<dyn Clock>,
    /// The values of the variables that servers' settings name, and `PATH` and `HOME` for programs.
    pub secrets: Arc<dyn Secrets>,
    /// The programs that may be started: what this machine's own `pinrail.toml` lists. Whoever may change settings
    /// over the API may not start programs with that.
    pub commands_allowed: Vec<String>,
}

/// The proxy. Cheap to clone; all clones are the same one.
#[derive(Clone)]
pub struct Mcp {
    inner: Arc<Inner>,
}

struct Inner {
    control: Control,
    clock: Arc<dyn Clock>,
    secrets: Arc<dyn Secrets>,
    commands_allowed: Vec<String>,
    upstreams: Mutex<BTreeMap<McpServerName, Arc<Upstream>>>,
    sessions: Sessions,
    watcher: Mutex<Option<JoinHandle<()>>>,
    checks: Arc<Semaphore>,
}

/// How often it is looked which server is due. Polls are seconds apart at least.
const LOOK: Duration = Duration::from_millis(500);
/// Servers that are listed at once.
const CHECKS_MAX: usize = 8;

impl Mcp {
    #[must_use]
    pub fn new(options: Options) -> Mcp {
        let Options { control, clock, secrets, commands_allowed } = options;
        Mcp {
            inner: Arc::new(Inner {
                control,
                clock,
                secrets,
                commands_allowed,
                upstreams: Mutex::default(),
                sessions: Sessions::default(),
                watcher: Mutex::default(),
                checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            }),
        }
    }

    /// Begins to compare servers with the pins in use, until [`Mcp::stop`].
    pub fn watch(&self) {
        let this = self.clone();
        let watching = tokio::spawn(async move {
            loop {
                this.look().await;
                tokio::time::sleep(LOOK).await;
            }
        });
        *self.inner.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watching);
    }

    /// Ends sessions with their runs, unless other replicas go on with them, and all connections with their programs.
    pub async fn stop(&self) {
        if let Some(watching) = self.inner.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watching.abort();
        }
        for session in self.inner.sessions.take_all() {
            self.leave(&session).await;
        }
        let upstreams = std::mem::take(&mut *self.upstreams());
        for upstream in upstreams.into_values() {
            upstream.close().await;
        }
    }

    /// Has every server checked that is due, forgets those that nobody needs, and ends sessions that nobody uses.
    async fn look(&self) {
        let now = self.inner.clock.ticks();
        self.end_unused(now).await;
        // One that is never to lead asks no server by itself, either.
        let needed = if self.inner.control.never_leads() { BTreeMap::new() } else { self.in_use() };
        let unneeded = {
            let snapshot = self.inner.control.snapshot();
            let known = &snapshot.world.mcp_servers;
            let mut upstreams = self.upstreams();
            let mut unneeded = Vec::new();
            upstreams.retain(|server, upstream| {
                let spec = known.get(server);
                let keep = spec.is_some_and(|spec| **spec == *upstream.spec);
                if !keep || (!needed.contains_key(server) && upstream.is_idle(now)) {
                    unneeded.push(Arc::clone(upstream));
                    return false;
                }
                true
            });
            unneeded
        };
        for upstream in unneeded {
            upstream.close().await;
        }
        for (server, _) in needed {
            let Some(upstream) = self.upstream(&server) else { continue };
            if upstream.is_due(now)
                && let Ok(place) = Arc::clone(&self.inner.checks).try_acquire_owned()
            {
                let this = self.clone();
                tokio::spawn(async move {
                    // What went wrong is in what the upstream shows.
                    this.check(&upstream, &[]).await.ok();
                    drop(place);
                });
            }
        }
    }

    /// Lists a server's tools now, and compares them with the pins in use and those of `releases`.
    pub(crate) async fn check(
        &self,
        upstream: &Upstream,
        releases: &[ReleaseId],
    ) -> Result<Checked, Unreachable> {
        let checked = upstream.check(&self.reach()).await?;
        let others = self.inner.sessions.releases().into_iter().chain(releases.iter().copied());
        let snapshot = self.inner.control.snapshot();
        let users = pins_in_use(&snapshot.world, others).remove(&upstream.server).unwrap_or_default();
        for pin in users.into_keys() {
            self.compare(&upstream.server, pin, &checked.tools).await;
        }
        Ok(checked)
    }

    /// Opens a finding where the server's tools are not what is pinned.
    async fn compare(&self, server: &McpServerName, digest: Digest, live: &Pin) {
        let control = &self.inner.control;
        let pin = match self.pin(digest).await {
            Ok(pin) => pin,
            Err(why) => {
                tracing::error!(%server, pin = %digest, why, "a pin cannot be read: calls of its tools are refused");
                return;
            }
        };
        let differences = pin.differences(live);
        let Some(sign) = differences.sign() else { return };
        let subject = Subject::Tools { server: server.clone(), pin: digest };
        let known = |finding: &Arc<pinrail_domain::drift::Finding>| {
            finding.subject == subject && finding.sign.is_as(&sign)
        };
        if control.snapshot().world.findings.values().any(known) {
            return;
        }
        let what = differences.sentence(server.as_str());
        let evidence = match live.to_vec() {
            Ok(bytes) => control.artifact_put(&bytes).await.ok(),
            Err(_) => None,
        };
        match control.find_drift(&subject, &sign, &what, evidence).await {
            Ok(_) => tracing::warn!(%server, what, "tools changed behind their pin"),
            // The next poll tries again; until then each call compares for itself.
            Err(error) => {
                tracing::error!(%server, what, %error, "tools changed behind their pin, and the ledger can't be told")
            }
        }
    }

    /// A pin by its digest, from the store.
    pub(crate) async fn pin(&self, digest: Digest) -> Result<Arc<Pin>, String> {
        let bytes = self.inner.control.artifact_get(digest).await.map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("artifact {digest} is missing from the store"))?;
        Pin::read(&bytes).map(Arc::new).map_err(|bad| crate::problem::chain(&bad))
    }

    /// The connection to a server that has settings.
    pub(crate) fn upstream(&self, server: &McpServerName) -> Option<Arc<Upstream>> {
        let snapshot = self.inner.control.snapshot();
        let spec: &Arc<McpServerSpec> = snapshot.world.mcp_servers.get(server)?;
        let mut upstreams = self.upstreams();
        let known = upstreams.get(server).filter(|known| *known.spec == **spec);
        Some(match known {
            Some(known) => Arc::clone(known),
            None => {
                let made = Arc::new(Upstream::new(server.clone(), Arc::clone(spec)));
                upstreams.insert(server.clone(), Arc::clone(&made));
                made
            }
        })
    }

    /// The pins in use, sessions' included.
    fn in_use(&self) -> BTreeMap<McpServerName, Users> {
        pins_in_use(&self.inner.control.snapshot().world, self.inner.sessions.releases())
    }

    fn reach(&self) -> upstream::Reaching<'_> {
        upstream::Reaching {
            clock: &*self.inner.clock,
            secrets: &*self.inner.secrets,
            commands_allowed: &self.inner.commands_allowed,
        }
    }

    fn upstreams(&self) -> std::sync::MutexGuard<'_, BTreeMap<McpServerName, Arc<Upstream>>> {
        self.inner.upstreams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
