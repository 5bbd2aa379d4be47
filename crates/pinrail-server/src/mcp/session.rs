//! MCP sessions: each belongs to one caller, one agent and one run, for life (I2).
//!
//! A session that named no run has one of its own, begun with it and finished with it. Sessions are in memory: after a
//! restart a client is told that its session is gone (404) and begins a new one, as the protocol says. A run of its own
//! that was open at a crash stays open, as any run that its caller manages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::journal::{Outcome, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::time::Ticks;
use tokio::sync::Notify;

use super::Mcp;

/// A client's session.
pub struct Session {
    pub id: String,
    /// Who began it: nobody else may use it.
    pub caller: String,
    pub agent: AgentName,
    pub stamp: Arc<Stamp>,
    /// Whether the run is the session's own.
    pub owns_run: bool,
    used_at: AtomicU64,
    /// Calls under way, by their request's id.
    calls: Mutex<HashMap<String, Arc<Notify>>>,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
}

/// There are too many sessions.
#[derive(Debug)]
pub struct Full;

/// Some hundred agents with dozens of conversations each.
pub const SESSIONS_MAX: usize = 10_000;
/// A session that nobody used for this long is over.
pub const IDLE_MS: u64 = 60 * 60_000;
/// Calls of one session at once.
pub const CALLS_MAX: usize = 64;

/// A call under way; it is over when dropped.
pub struct UnderWay<'a> {
    session: &'a Session,
    id: String,
    pub cancelled: Arc<Notify>,
}

impl Session {
    pub fn new(id: String, caller: String, stamp: Arc<Stamp>, owns_run: bool, now: Ticks) -> Session {
        Session {
            id,
            caller,
            agent: stamp.agent.clone(),
            stamp,
            owns_run,
            used_at: AtomicU64::new(now.0),
            calls: Mutex::default(),
        }
    }

    /// Takes a call in; none where too many are under way, or one of that id is.
    pub fn begin_call(&self, id: String) -> Option<UnderWay<'_>> {
        let mut calls = self.calls();
        if calls.len() >= CALLS_MAX || calls.contains_key(&id) {
            return None;
        }
        let cancelled = Arc::new(Notify::new());
        calls.insert(id.clone(), Arc::clone(&cancelled));
        Some(UnderWay { session: self, id, cancelled })
    }

    /// Cancels a call that is under way.
    pub fn cancel(&self, id: &str) {
        if let Some(call) = self.calls().get(id) {
            call.notify_one();
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.session.calls().remove(&self.id);
    }
}

impl Sessions {
    pub fn add(&self, session: Arc<Session>) -> Result<(), Full> {
        let mut open = self.open();
        if open.len() >= SESSIONS_MAX {
            return Err(Full);
        }
        open.insert(session.id.clone(), session);
        Ok(())
    }

    /// The caller's session; used now.
    pub fn get(&self, id: &str, caller: &str, agent: &AgentName, now: Ticks) -> Option<Arc<Session>> {
        let open = self.open();
        let session = open.get(id).filter(|session| session.caller == caller && session.agent == *agent)?;
        session.used_at.store(now.0, Ordering::Relaxed);
        Some(Arc::clone(session))
    }

    pub fn is_open(&self, id: &str) -> bool {
        self.open().contains_key(id)
    }

    pub fn take(&self, id: &str) -> Option<Arc<Session>> {
        self.open().remove(id)
    }

    pub fn take_all(&self) -> Vec<Arc<Session>> {
        self.open().drain().map(|(_, session)| session).collect()
    }

    /// Those that nobody used for long, and that no call is under way in.
    pub fn take_idle(&self, now: Ticks) -> Vec<Arc<Session>> {
        let is_idle = |_: &String, session: &mut Arc<Session>| {
            let used_at = Ticks(session.used_at.load(Ordering::Relaxed));
            now.us_since(used_at) / 1_000 > IDLE_MS && session.calls().is_empty()
        };
        self.open().extract_if(is_idle).map(|(_, session)| session).collect()
    }

    /// The releases of the sessions' runs.
    pub fn releases(&self) -> Vec<ReleaseId> {
        let mut releases: Vec<ReleaseId> =
            self.open().values().map(|session| session.stamp.release).collect();
        releases.sort_unstable();
        releases.dedup();
        releases
    }

    pub fn count(&self) -> usize {
        self.open().len()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mcp {
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    /// An id that nobody can guess.
    pub(crate) fn new_session_id(&self) -> String {
        let mut random = [0; 24];
        self.inner.control.entropy().fill(&mut random);
        let digits = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        format!("mcp_{digits}")
    }

    /// Ends a session: its calls are cancelled, and its own run is finished.
    pub(crate) async fn end(&self, session: &Session, why: &str) {
        for call in session.calls().values() {
            call.notify_one();
        }
        if !session.owns_run {
            return;
        }
        let tenants = Tenants::Only([session.stamp.tenant.clone()].into());
        let runs = self.inner.control.runs();
        let finished =
            runs.finish(session.stamp.run, &tenants, Outcome::Ok, Some(why.to_owned()), None).await;
        if let Err(error) = finished {
            // Somebody finished it before, most likely.
            tracing::debug!(run = %session.stamp.run, %error, "a session's run isn't finished");
        }
    }
}
