//! MCP sessions: each belongs to one caller, one agent and one run, for life (I2).
//!
//! A session that named no run has one of its own, begun with it and finished with it. Where one process has the store, sessions
//! are in its memory: after a restart a client is told that its session is gone (404) and begins a new one, as the protocol says.
//! A run of its own that was open at a crash stays open, as any run that its caller manages.
//!
//! Several replicas share sessions: what a session is, its [id](SessionKey) says, so whichever is asked goes on with it, and it is
//! over where its run is (or where its end was kept, if the run isn't its own). What stays with one replica are the calls that it
//! has under way: their number, and their cancelling. Whoever uses a session notes so in the store every [`NOTE_EVERY_MS`]; the
//! leader ends those that nobody noted for [`IDLE_MS`] and that time more. So a session lives for an hour after its last use,
//! wherever that was, and up to six minutes longer; a use in the very moment of its end is told that it came too late.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pinrail_control::keys::Caller;
use pinrail_control::runs::AppendRefused;
use pinrail_domain::id::{AgentName, ReleaseId, RunId};
use pinrail_domain::journal::{Outcome, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::time::{Ticks, Timestamp};
use pinrail_store::StoreError;
use pinrail_store::journal::WriteError;
use tokio::sync::Notify;

use super::Mcp;

mod id;

pub use id::SessionKey;

/// A client's session.
pub struct Session {
    pub key: SessionKey,
    /// Who began it: nobody else may use it.
    pub caller: String,
    pub agent: AgentName,
    pub stamp: Arc<Stamp>,
    used_at: AtomicU64,
    /// When this replica noted its use last, as ticks; 0 for never.
    noted_at: AtomicU64,
    /// Calls under way, by their request's id.
    calls: Mutex<HashMap<String, Arc<Notify>>>,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
    /// When the leader looked last for those that nobody uses.
    looked_at: AtomicU64,
}

/// There are too many sessions.
#[derive(Debug)]
pub struct Full;

/// Why nobody knows whether there is a session.
#[derive(Debug)]
pub enum Unknown {
    Full,
    Store(StoreError),
}

/// Some hundred agents with dozens of conversations each.
pub const SESSIONS_MAX: usize = 10_000;
/// A session that nobody used for this long is over.
pub const IDLE_MS: u64 = 60 * 60_000;
/// How often a use is noted where others may go on with the session: one small write for some minutes of use.
pub const NOTE_EVERY_MS: u64 = 5 * 60_000;
/// How often the leader looks for sessions that nobody uses.
const LOOK_EVERY_MS: u64 = 60_000;
/// Calls of one session at once.
pub const CALLS_MAX: usize = 64;

/// Why a run ends whose session is left alone.
const UNUSED: &str = "nobody used its session any more";

/// A call under way; it is over when dropped.
pub struct UnderWay<'a> {
    session: &'a Session,
    id: String,
    pub cancelled: Arc<Notify>,
}

impl Session {
    pub fn new(key: SessionKey, caller: String, stamp: Arc<Stamp>, now: Ticks) -> Session {
        Session {
            key,
            caller,
            agent: stamp.agent.clone(),
            stamp,
            used_at: AtomicU64::new(now.0),
            noted_at: AtomicU64::new(0),
            calls: Mutex::default(),
        }
    }

    pub fn id(&self) -> &str {
        self.key.text.as_str()
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

    /// Whether its use must be noted now; whoever is told so does it.
    fn is_to_note(&self, now: Ticks) -> bool {
        let noted = |at: u64| at != 0 && now.us_since(Ticks(at)) / 1_000 < NOTE_EVERY_MS;
        let note = |at: u64| (!noted(at)).then_some(now.0.max(1));
        self.noted_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note).is_ok()
    }

    fn cancel_all(&self) {
        for call in self.calls().values() {
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
        open.insert(session.id().to_owned(), session);
        Ok(())
    }

    /// Takes in a session that another replica may have begun; the one that is here already where there is one.
    fn take_in(&self, session: Session) -> Result<Arc<Session>, Full> {
        let mut open = self.open();
        if let Some(known) = open.get(session.id()) {
            return Ok(Arc::clone(known));
        }
        if open.len() >= SESSIONS_MAX {
            return Err(Full);
        }
        let session = Arc::new(session);
        open.insert(session.id().to_owned(), Arc::clone(&session));
        Ok(session)
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

    /// Whether the leader is to look again; whoever is told so does it.
    fn is_time_to_look(&self, now: Ticks) -> bool {
        let due =
            |at: u64| (at == 0 || now.us_since(Ticks(at)) / 1_000 >= LOOK_EVERY_MS).then_some(now.0.max(1));
        self.looked_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok()
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

    /// The caller's session, whichever replica began it; used now. One that isn't the caller's is not there (I11).
    pub(crate) async fn session(
        &self,
        id: &str,
        caller: &Caller,
        agent: &AgentName,
    ) -> Result<Option<Arc<Session>>, Unknown> {
        let now = self.inner.clock.ticks();
        let who = caller.id();
        let known = self.sessions().get(id, &who, agent, now);
        let known = known.filter(|session| caller.tenants.contain(&session.stamp.tenant));
        if !self.inner.control.is_shared() {
            return Ok(known);
        }
        let Some(key) = SessionKey::read(id).filter(|key| key.is_of(&who)) else { return Ok(None) };
        let Some(stamp) = self.goes_on(&key, &caller.tenants).await.map_err(Unknown::Store)? else {
            self.sessions().take(id);
            return Ok(None);
        };
        let session = match known {
            Some(known) => known,
            None if stamp.agent != *agent => return Ok(None),
            None => {
                let session = Session::new(key, who, stamp, now);
                self.sessions().take_in(session).map_err(|Full| Unknown::Full)?
            }
        };
        self.note_use(&session).await;
        Ok(Some(session))
    }

    /// Whether a session that somebody follows is open still. What can't be told goes on.
    pub(crate) async fn is_open(&self, session: &Session) -> bool {
        if !self.sessions().is_open(session.id()) || !self.inner.control.is_shared() {
            return self.sessions().is_open(session.id());
        }
        !matches!(self.goes_on(&session.key, &Tenants::All).await, Ok(None))
    }

    /// Notes that a session is used, where the store is shared: the leader ends the runs of those that nobody uses.
    pub(crate) async fn note_use(&self, session: &Session) {
        let control = &self.inner.control;
        let matters =
            control.is_shared() && session.key.owns_run && control.runs().journal_trouble().is_none();
        if !matters || !session.is_to_note(self.inner.clock.ticks()) {
            return;
        }
        if let Err(error) = control.mcp_session_seen(session.id()).await {
            session.noted_at.store(0, Ordering::Relaxed);
            tracing::debug!(run = %session.stamp.run, %error, "a session's use isn't noted; its next one is");
        }
    }

    /// Ends a session: its calls are cancelled, and its own run is finished. Fails where others would go on with it, as the store
    /// didn't take its end.
    pub(crate) async fn end(&self, session: &Session, why: &str) -> Result<(), StoreError> {
        session.cancel_all();
        let run = session.stamp.run;
        let ended = match session.key.owns_run {
            true => self.finish(run, why).await,
            false if self.inner.control.is_shared() => {
                self.inner.control.mcp_session_end(&session.key.text, run).await
            }
            false => Ok(()),
        };
        match ended {
            Err(AppendRefused::Write(WriteError::Store(error))) if self.inner.control.is_shared() => {
                Err(error)
            }
            Err(error) => {
                // Somebody finished the run before, most likely.
                tracing::debug!(%run, %error, "a session's end isn't in its run's journal");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Lets go of a session as this process stops. Another replica goes on with it, if there are others.
    pub(super) async fn leave(&self, session: &Session) {
        match self.inner.control.is_shared() {
            true => session.cancel_all(),
            // It is in this process's memory alone, and ends with it whatever the store says.
            false => self.end(session, "the server stopped").await.unwrap_or_default(),
        }
    }

    /// Ends sessions that nobody uses. Where the store is shared, what is idle here is only forgotten here, and the leader ends
    /// what nobody used anywhere.
    pub(super) async fn end_unused(&self, now: Ticks) {
        let idle = self.sessions().take_idle(now);
        if self.inner.control.is_shared() {
            self.end_unused_anywhere(now).await;
            return;
        }
        for session in idle {
            self.end(&session, UNUSED).await.unwrap_or_default();
        }
    }

    async fn end_unused_anywhere(&self, now: Ticks) {
        let control = &self.inner.control;
        if !control.standing_here().leads() || !self.sessions().is_time_to_look(now) {
            return;
        }
        let before = Timestamp(self.inner.clock.now().0.saturating_sub(IDLE_MS + NOTE_EVERY_MS));
        let ended = async {
            for id in control.mcp_sessions_unseen_since(before).await? {
                let Some(SessionKey { run, owns_run: true, .. }) = SessionKey::read(&id) else { continue };
                // Refused, it is over: its client ended it, or another did.
                if let Err(AppendRefused::Write(WriteError::Store(error))) = self.finish(run, UNUSED).await {
                    return Err(error);
                }
            }
            control.mcp_sessions_forget(before).await
        };
        if let Err(error) = ended.await {
            tracing::debug!(%error, "sessions that nobody uses can't be ended yet; the next look tries again");
        }
    }

    /// The run's stamp while a session of it goes on.
    async fn goes_on(&self, key: &SessionKey, tenants: &Tenants) -> Result<Option<Arc<Stamp>>, StoreError> {
        let control = &self.inner.control;
        let Some((stamp, status)) = control.runs().status(key.run, tenants).await? else { return Ok(None) };
        let is_over = match key.owns_run {
            true => !status.is_open(),
            // The store is away, and the run's agent goes on from memory: so does its session.
            false if control.runs().journal_trouble().is_some() => false,
            false => control.mcp_session_is_over(&key.text).await.unwrap_or(false),
        };
        Ok((!is_over).then_some(stamp))
    }

    async fn finish(&self, run: RunId, why: &str) -> Result<(), AppendRefused> {
        let runs = self.inner.control.runs();
        runs.finish(run, &Tenants::All, Outcome::Ok, Some(why.to_owned()), None).await.map(drop)
    }
}
