//! What replicas tell each other of MCP sessions: when one was used last, and that one is over.
//!
//! A session with a run of its own is over when that run is. One in a run that its client named leaves no trace there, so its
//! end is kept as an idempotency answer is: for a week, after which nobody remembers the session's id either.

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{IdempotencyKey, RunId};
use pinrail_domain::journal::Event;
use pinrail_domain::key::Tenants;
use pinrail_domain::time::Timestamp;
use pinrail_store::sightings::{Sighting, SightingKind};
use pinrail_store::{AnswerKey, StoreError};
use serde_json::json;

use crate::runs::AppendRefused;
use crate::{Control, Idempotency};

/// Whose idempotency keys sessions' ends are: no caller has this id.
const KEEPER: &str = "mcp";

impl Control {
    /// Notes that a session is used now.
    pub async fn mcp_session_seen(&self, session: &str) -> Result<(), StoreError> {
        let sighting = Sighting {
            kind: SightingKind::McpSession,
            subject: session.to_owned(),
            at: self.inner.clock.now(),
            document: "{}".to_owned(),
        };
        self.inner.store.sighting_put(sighting).await.map(drop)
    }

    /// The sessions that were noted before a time, and not since.
    pub async fn mcp_sessions_unseen_since(&self, before: Timestamp) -> Result<Vec<String>, StoreError> {
        let seen = self.inner.store.sighting_list(SightingKind::McpSession).await?;
        Ok(seen.into_iter().filter(|seen| seen.at < before).map(|seen| seen.subject).collect())
    }

    /// Forgets those.
    pub async fn mcp_sessions_forget(&self, before: Timestamp) -> Result<(), StoreError> {
        self.inner.store.sighting_forget(SightingKind::McpSession, before).await.map(drop)
    }

    /// Keeps, beside the run that its client named, that a session is over.
    pub async fn mcp_session_end(&self, session: &IdempotencyKey, run: RunId) -> Result<(), AppendRefused> {
        let note = Event::Note { name: "mcp_session_ended".to_owned(), data: json!({ "session": session }) };
        let request = Digest::of(session.as_str().as_bytes());
        let once = Idempotency { key: ended(session), request };
        self.inner.runs.append(run, &Tenants::All, None, vec![note], Some(once)).await.map(drop)
    }

    /// Whether that was kept.
    pub async fn mcp_session_is_over(&self, session: &IdempotencyKey) -> Result<bool, StoreError> {
        Ok(self.inner.store.answer_get(&ended(session)).await?.is_some())
    }
}

fn ended(session: &IdempotencyKey) -> AnswerKey {
    AnswerKey { caller: KEEPER.to_owned(), key: session.clone() }
}
