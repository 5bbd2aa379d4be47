//! A person's decision on one tool call, asked for where the dial stands at `supervised`.
//!
//! An approval is decided once and used once. Its state is read off its facts and the clock ([`Approval::state`]), so
//! nothing has to happen for one to expire. What is the same call as one before says its `key`: the call's own id within
//! its run, else tool and arguments within the conversation ([`key_of_id`], [`key_of_content`]).
//!
//! Every store keeps approvals by these functions: [`Approval::stands_for`], [`Approval::decide`], [`Approval::take`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::Bodies;
use crate::canonical;
use crate::digest::Digest;
use crate::id::{
    AgentName, ApprovalId, DeploymentId, ReleaseId, RunId, SegmentName, SessionId, TenantId, ToolName,
};
use crate::journal::Stamp;
use crate::ledger::Actor;
use crate::time::Timestamp;

/// One tool call that waits for a person, or did. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub id: ApprovalId,
    /// Equal for calls that are the same.
    pub key: Digest,
    /// The caller's own id of the call: asked again with it, the call is the same for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    pub run: RunId,
    pub agent: AgentName,
    pub segment: SegmentName,
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub deployment: DeploymentId,
    pub release: ReleaseId,
    pub tool: ToolName,
    /// What a person decides about; gone once it is erased, and see `until_decided`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The agent's journal keeps no text: the arguments are there for the decision alone, and go with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub until_decided: bool,
    /// There was more than is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Of the arguments' canonical form; none where the agent's journal keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Which setting of the dial asks, and why it was turned.
    pub why: String,
    pub asked_at: Timestamp,
    /// Before: of the decision. After it: of the call.
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Use>,
}

/// What a person said. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub approved: bool,
    pub by: Actor,
    pub at: Timestamp,
    pub reason: String,
}

/// What is kept of a call's arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub arguments: Option<String>,
    pub truncated: bool,
    pub until_decided: bool,
    pub digest: Option<Digest>,
}

/// Who went ahead with it. Stored: never rename a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub run: RunId,
    pub at: Timestamp,
}

/// Where an approval is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    Pending,
    Approved,
    Denied,
    /// Nobody decided in time, or the call didn't come in time.
    Expired,
    Used,
}

/// Why a decision is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDecided {
    #[error("{id} was {} by {} already", verdict(.decision.approved), who(&.decision.by))]
    Decided { id: ApprovalId, decision: Box<Decision> },
    #[error("{id} expired at {}", .at.rfc3339())]
    Expired { id: ApprovalId, at: Timestamp },
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state of an approval: it is pending, approved, denied, expired or used")]
pub struct NoSuchState(pub String);

/// Arguments kept of one call: what a person reads before deciding.
pub const ARGUMENTS_BYTES_MAX: usize = 64 << 10;
/// Approvals that may wait at once: more than people decide.
pub const PENDING_MAX: u64 = 10_000;

impl Approval {
    #[must_use]
    pub fn state(&self, now: Timestamp) -> ApprovalState {
        match (&self.used, &self.decision) {
            (Some(_), _) => ApprovalState::Used,
            (None, Some(decision)) if !decision.approved => ApprovalState::Denied,
            (None, _) if now >= self.expires_at => ApprovalState::Expired,
            (None, Some(_)) => ApprovalState::Approved,
            (None, None) => ApprovalState::Pending,
        }
    }

    /// Whether a call with the same key is answered by this approval, so that no other is asked for.
    ///
    /// One that was used stands for the call of that id alone. A denial holds until it would have expired, so that a
    /// model that insists asks nobody twice.
    #[must_use]
    pub fn stands_for(&self, now: Timestamp) -> bool {
        match self.state(now) {
            ApprovalState::Pending | ApprovalState::Approved => true,
            ApprovalState::Used => self.call.is_some(),
            ApprovalState::Denied => self.call.is_some() || now < self.expires_at,
            ApprovalState::Expired => false,
        }
    }

    /// Takes in the one decision; an approved call then may come until `expires_at`.
    pub fn decide(&mut self, decision: Decision, expires_at: Timestamp) -> Result<(), NotDecided> {
        if let Some(known) = &self.decision {
            return Err(NotDecided::Decided { id: self.id, decision: Box::new(known.clone()) });
        }
        if decision.at >= self.expires_at {
            return Err(NotDecided::Expired { id: self.id, at: self.expires_at });
        }
        self.decision = Some(decision);
        self.expires_at = self.expires_at.max(expires_at);
        self.forget();
        Ok(())
    }

    /// Whether its arguments were there for a decision that nobody made in time.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.until_decided && self.arguments.is_some() && now >= self.expires_at
    }

    /// The approval as it may be shown: without arguments that were there for a decision which can't be made any more.
    #[must_use]
    pub fn seen(mut self, now: Timestamp) -> Approval {
        if self.is_stale(now) {
            self.forget();
        }
        self
    }

    /// Lets go of arguments that were kept for the decision alone.
    pub fn forget(&mut self) {
        if self.until_decided {
            (self.arguments, self.truncated) = (None, false);
        }
    }

    /// Goes ahead with an approved call, once; says whether it may.
    pub fn take(&mut self, by: Use) -> bool {
        let may = self.state(by.at) == ApprovalState::Approved;
        if may {
            self.used = Some(by);
        }
        may
    }

    /// The approval without what was said in the call.
    #[must_use]
    pub fn without_content(self) -> Approval {
        Approval { arguments: None, truncated: false, ..self }
    }
}

/// A tool call's arguments: their canonical text and its digest. What is no JSON counts as the text that it is.
#[must_use]
pub fn canonical_arguments(text: &str) -> (String, Digest) {
    let value = if text.trim().is_empty() { Ok(Value::Null) } else { serde_json::from_str::<Value>(text) };
    let canonical = value.ok().and_then(|value| canonical::to_vec(&value).ok());
    let text = canonical.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned());
    let digest = Digest::of(text.as_bytes());
    (text, digest)
}

/// The arguments as an agent's journal lets them be kept: whoever decides must see them, so where it keeps digests they
/// are there until then; where it keeps nothing, they aren't.
#[must_use]
pub fn kept(bodies: Bodies, mut text: String, digest: Digest) -> Kept {
    let truncated = text.len() > ARGUMENTS_BYTES_MAX;
    text.truncate(text.floor_char_boundary(ARGUMENTS_BYTES_MAX));
    let (arguments, digest) = (Some(text), Some(digest));
    match bodies {
        Bodies::Full => Kept { arguments, truncated, until_decided: false, digest },
        Bodies::Digest => Kept { arguments, truncated, until_decided: true, digest },
        Bodies::Off => Kept::default(),
    }
}

/// The key of a call that its caller gave an id.
#[must_use]
pub fn key_of_id(run: RunId, call: &str) -> Digest {
    Digest::of(format!("call\n{run}\n{call}").as_bytes())
}

/// The same where nothing of the call may be kept that another call of this id could be compared with: what is
/// approved is these arguments all the same.
#[must_use]
pub fn key_of_unkept(run: RunId, call: &str, tool: &str, arguments: Digest) -> Digest {
    Digest::of(format!("unkept\n{run}\n{call}\n{tool}\n{arguments}").as_bytes())
}

/// The key of a call by its tool and arguments, within its conversation, or within its run where there is none.
#[must_use]
pub fn key_of_content(stamp: &Stamp, tool: &str, arguments: Digest) -> Digest {
    let Stamp { agent, tenant, .. } = stamp;
    let of = match &stamp.session {
        Some(session) => format!("session\n{session}"),
        None => format!("run\n{}", stamp.run),
    };
    Digest::of(format!("content\n{agent}\n{tenant}\n{of}\n{tool}\n{arguments}").as_bytes())
}

impl ApprovalState {
    pub const ALL: [ApprovalState; 5] = [
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Denied,
        ApprovalState::Expired,
        ApprovalState::Used,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ApprovalState::Pending => "pending",
            ApprovalState::Approved => "approved",
            ApprovalState::Denied => "denied",
            ApprovalState::Expired => "expired",
            ApprovalState::Used => "used",
        }
    }
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ApprovalState {
    type Err = NoSuchState;

    fn from_str(text: &str) -> Result<ApprovalState, NoSuchState> {
        let found = ApprovalState::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| NoSuchState(text.to_owned()))
    }
}

/// Who decided, in words.
#[must_use]
pub fn who(actor: &Actor) -> String {
    match actor {
        Actor::Key { id: _, name } => format!("key `{name}`"),
        Actor::Open => "somebody on this machine".to_owned(),
        Actor::System => "Pinrail".to_owned(),
    }
}

fn verdict(approved: bool) -> &'static str {
    if approved { "approved" } else { "denied" }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        let digest = Digest::of(b"x");
        Approval {
            id: ApprovalId::from_parts(1, 1),
            key: digest,
            call: None,
            run: RunId::from_parts(1, 1),
            agent: "support".parse().unwrap(),
            segment: SegmentName::default_segment(),
            tenant: TenantId::shared(),
            session: None,
            deployment: DeploymentId(1),
            release: ReleaseId(digest),
            tool: "refund".parse().unwrap(),
            arguments: None,
            truncated: false,
            until_decided: false,
            digest: Some(digest),
            why: "the dial".into(),
            asked_at: Timestamp(100),
            expires_at: Timestamp(200),
            decision: None,
            used: None,
        }
    }

    fn said(approved: bool, at: u64) -> Decision {
        Decision { approved, by: Actor::Open, at: Timestamp(at), reason: String::new() }
    }

    #[test]
    fn it_is_decided_once_and_in_time() {
        let mut late = approval();
        let refusal = late.decide(said(true, 200), Timestamp(300)).unwrap_err();
        assert!(refusal.to_string().contains("expired at"), "{refusal}");
        assert_eq!(late, approval());
        let mut once = approval();
        once.decide(said(true, 199), Timestamp(300)).unwrap();
        let refusal = once.decide(said(false, 199), Timestamp(900)).unwrap_err();
        assert!(refusal.to_string().contains("was approved by somebody"), "{refusal}");
        assert_eq!(once.expires_at, Timestamp(300));
    }

    #[test]
    fn an_approved_call_is_made_once_and_in_time() {
        let by = |at| Use { run: RunId::from_parts(2, 2), at: Timestamp(at) };
        let mut approval = approval();
        assert!(!approval.take(by(150)), "nobody decided");
        approval.decide(said(true, 150), Timestamp(300)).unwrap();
        assert!(!approval.clone().take(by(300)));
        assert!(approval.take(by(299)) && !approval.take(by(299)));
        assert_eq!(approval.state(Timestamp(999)), ApprovalState::Used);
        assert!(!approval.stands_for(Timestamp(250)), "the next call of the kind asks anew");
        assert!(Approval { call: Some("c1".into()), ..approval }.stands_for(Timestamp(250)));
    }

    #[test]
    fn a_denied_call_asks_nobody_again_for_a_while() {
        let mut approval = approval();
        approval.decide(said(false, 150), Timestamp(0)).unwrap();
        assert!(!approval.take(Use { run: approval.run, at: Timestamp(160) }));
        assert_eq!([199, 200].map(|at| approval.stands_for(Timestamp(at))), [true, false]);
    }

    #[test]
    fn arguments_kept_for_the_decision_go_with_it() {
        let check = |bodies, waits: Option<&str>, after: Option<&str>| {
            let digest = Digest::of(b"x");
            let Kept { arguments, truncated, until_decided, digest } = kept(bodies, "{}".into(), digest);
            let mut asked = Approval { arguments, truncated, until_decided, digest, ..approval() };
            assert_eq!(asked.clone().seen(Timestamp(199)).arguments.as_deref(), waits, "{bodies:?}");
            assert_eq!(asked.clone().seen(Timestamp(200)).arguments.as_deref(), after, "{bodies:?}");
            asked.decide(said(true, 150), Timestamp(300)).unwrap();
            assert_eq!(asked.arguments.as_deref(), after, "{bodies:?}");
        };
        check(Bodies::Full, Some("{}"), Some("{}"));
        check(Bodies::Digest, Some("{}"), None);
        check(Bodies::Off, None, None);
    }

    #[test]
    fn equal_arguments_are_the_same_call() {
        let digest = |text| canonical_arguments(text).1;
        assert_eq!(digest(r#"{"b":1,"a":2.0}"#), digest(r#" {"a": 2, "b": 1}"#));
        assert_ne!(digest(r#"{"a":1}"#), digest(r#"{"a":2}"#));
        assert_ne!(digest("{broken"), digest("{broken "));
        assert_eq!(digest(""), digest("null"));
    }
}
