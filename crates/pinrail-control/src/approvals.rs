//! Tool calls: which may be made, which wait for a person, and what that person says.
//!
//! [`Control::authorize_tool`] is asked before a tool is called: by clients over the API, and by whatever calls tools for
//! them. [`Control::rule_tool`] is the gateway's question about a call that stands in an answer. Both ask the dial as it
//! stands in the last snapshot, so neither needs the store unless a person is to be asked; where that can't be kept,
//! nothing is let through. Where other replicas turn the dial, too, and this one hasn't heard of them for too long, agents in
//! tier `critical` call no tool, as they get no run ([`Control::fresh_for`]).

use std::sync::Arc;

use pinrail_domain::agent::Bodies;
use pinrail_domain::approval::{
    self, Approval, Decision, NotDecided, PENDING_MAX, Use, canonical_arguments, key_of_content, key_of_id,
    key_of_unkept,
};
use pinrail_domain::begin::{Ruled, Wanted};
use pinrail_domain::dial::{APPROVAL_DEFAULT, DialSpec, Dialled, Position, Ruling, ToolRule};
use pinrail_domain::id::{ApprovalId, RunId, ToolName};
use pinrail_domain::journal::{Event, RunStatus, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::ledger::REASON_BYTES_MAX;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::approvals::{ApprovalFilter, Asked, DecideError};
use pinrail_store::journal::WriteError;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::contracts::ContractError;
use crate::{By, Committed, Control, commit};

mod told;

pub(crate) use told::Told;

/// A tool call that somebody wants to make.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    pub tool: &'a str,
    pub arguments: &'a Value,
    /// The caller's id of the call: asked again with it, the call is the same one.
    pub id: Option<&'a str>,
    /// Whether the tool has side effects, from a caller that has found it in the run's release; none: it is looked up.
    pub side_effects: Option<bool>,
}

/// What was decided about a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    pub ruling: Ruling,
    /// The person's decision that it waits for, or rests on.
    pub approval: Option<ApprovalId>,
    /// Until when somebody may decide, or the call may be made.
    pub expires_at: Option<Timestamp>,
    /// Why it isn't simply allowed.
    pub why: Option<String>,
    /// Where the dial stands for the run.
    pub position: Position,
}

/// Why nothing was decided about a tool call. The call must not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("run {run} is {status}")]
    NotRunning { run: RunId, status: RunStatus },
    #[error("a call's id is 1 to {CALL_ID_BYTES_MAX} bytes long")]
    BadId,
    #[error("the arguments are {0} bytes long; at most {ARGUMENTS_BYTES_MAX} can be decided about")]
    TooLong(usize),
    #[error("call `{id}` of run {run} was asked about with another tool or other arguments")]
    AnotherCall { run: RunId, id: String },
    #[error("{PENDING_MAX} calls wait for a person already")]
    TooManyPending,
    /// Somebody may have turned the dial at another replica, and the agent's tier allows no decision on old news.
    #[error("this replica has not heard of the other replicas' changes for {ms} ms")]
    Stale { ms: u64 },
    #[error("its release cannot be loaded")]
    Contract(#[from] ContractError),
    #[error("the approval cannot be kept")]
    Store(#[source] StoreError),
    #[error("the decision cannot be journaled")]
    Journal(#[source] WriteError),
}

/// Why an approval stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum DecideRefused {
    /// Also the answer for another tenant's approval (I11).
    #[error("there is no approval {0}")]
    NoApproval(ApprovalId),
    #[error(transparent)]
    Refused(NotDecided),
    #[error("the reason is {0} bytes long; at most {REASON_BYTES_MAX} are kept")]
    ReasonTooLong(usize),
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    #[error("the decision could not be stored")]
    Store(#[source] StoreError),
}

/// Ids that models and clients give calls are some dozens of characters.
pub const CALL_ID_BYTES_MAX: usize = 256;
/// What somebody is to decide about, they must be able to read.
pub const ARGUMENTS_BYTES_MAX: usize = 256 << 10;
/// Another call may use an approval just when it is looked at; each lost attempt means that another went ahead.
const ATTEMPTS_MAX: usize = 4;

/// What is known of a call when the dial asks for a person.
struct Question<'a> {
    stamp: &'a Stamp,
    tool: ToolName,
    arguments: String,
    id: Option<&'a str>,
    why: String,
}

impl Control {
    /// Says whether a run may call a tool now, and asks a person where the dial wants one. The answer is journaled; for a
    /// call with an id once, as long as it stays the same ([`Told`]).
    pub async fn authorize_tool(
        &self,
        stamp: &Stamp,
        call: ToolCall<'_>,
    ) -> Result<Authorized, AuthorizeError> {
        let ToolCall { tool, arguments, id, side_effects } = call;
        if id.is_some_and(|id| id.is_empty() || id.len() > CALL_ID_BYTES_MAX) {
            return Err(AuthorizeError::BadId);
        }
        let text = arguments.to_string();
        if text.len() > ARGUMENTS_BYTES_MAX {
            return Err(AuthorizeError::TooLong(text.len()));
        }
        self.fresh_for(stamp).await?;
        let dialled = self.snapshot().routes.dialled_run(stamp);
        let position = dialled.as_ref().map_or(Position::Full, |dialled| dialled.position);
        let has_side_effects = match side_effects {
            Some(known) => Some(known),
            None => self.tool_of_release(stamp, tool).await?,
        };
        let Some(has_side_effects) = has_side_effects else {
            let why = format!("release {} pins no tool `{tool}`", stamp.release.short());
            let ruled = Ruled { why: Some(why), ..ruled(Ruling::Withheld) };
            self.journal_ruling(stamp, tool, id, &ruled).await?;
            return Ok(authorized(ruled, position));
        };
        let (ruled, is_new) = self.rule(stamp, dialled.as_ref(), tool, has_side_effects, text, id).await?;
        if is_new {
            self.journal_ruling(stamp, tool, id, &ruled).await?;
        }
        Ok(authorized(ruled, position))
    }

    /// Says what becomes of a call that stands in an answer and needs a person's approval. Whatever goes wrong, it isn't
    /// let through.
    pub async fn rule_tool(&self, wanted: &Wanted) -> Ruled {
        let Wanted { stamp, tool, arguments } = wanted;
        if let Err(stale) = self.fresh_for(stamp).await {
            return Ruled { why: Some(stale.to_string()), ..ruled(Ruling::Withheld) };
        }
        let dialled = self.snapshot().routes.dialled_run(stamp);
        if stamp.single && stamp.session.is_none() {
            let why = "nobody can approve it, as the call belongs to no session: name one (x-pinrail-session), so that \
                       it is known again when the model asks for it once more";
            return Ruled { why: Some(why.to_owned()), ..ruled(Ruling::Withheld) };
        }
        // Only the tools that need a person are asked about.
        match self.rule(stamp, dialled.as_ref(), tool, true, arguments.clone(), None).await {
            Ok((ruled, _)) => ruled,
            Err(error) => {
                let why = crate::errors::chain(&error);
                tracing::warn!(run = %stamp.run, tool, error = %why, "nobody can be asked to approve a tool call");
                Ruled { why: Some(why), ..ruled(Ruling::Withheld) }
            }
        }
    }

    /// Makes sure that the dial as it is shown isn't too old to decide about a run's tools; tries to catch up first.
    pub async fn fresh_for(&self, stamp: &Stamp) -> Result<(), AuthorizeError> {
        match self.inner.runs.too_stale(&stamp.agent).await {
            Some(ms) => Err(AuthorizeError::Stale { ms }),
            None => Ok(()),
        }
    }

    /// Takes in a person's decision about a call of one of these tenants.
    pub async fn decide_approval(
        &self,
        by: By,
        id: ApprovalId,
        tenants: &Tenants,
        approved: bool,
    ) -> Result<Committed<Approval>, DecideRefused> {
        let start = self.inner.clock.ticks();
        let committed = |value, replayed| {
            let took_us = self.inner.clock.ticks().us_since(start);
            Committed { value, replayed, seq: None, took_us }
        };
        if by.reason.len() > REASON_BYTES_MAX {
            return Err(DecideRefused::ReasonTooLong(by.reason.len()));
        }
        let earlier = self.earlier_answer(&by).await.map_err(DecideRefused::Store)?;
        if let Some(answer) = earlier {
            return Ok(committed(replayed(&by, &answer)?, true));
        }
        let known = self.approval(id, tenants).await.map_err(DecideRefused::Store)?;
        let mut known = known.ok_or(DecideRefused::NoApproval(id))?;
        let now = self.inner.clock.now();
        let decision = Decision { approved, by: by.actor.clone(), at: now, reason: by.reason.clone() };
        // An approved call has as long again to be made.
        let expires_at = now.plus_ms(known.expires_at.ms_since(known.asked_at));
        known.decide(decision.clone(), expires_at).map_err(DecideRefused::Refused)?;
        let answer = self.answer(&by, &known);
        let decided = self.inner.store.approval_decide(id, decision, expires_at, answer).await;
        let approval = match decided {
            Ok(approval) => approval,
            Err(DecideError::NoApproval(id)) => return Err(DecideRefused::NoApproval(id)),
            Err(DecideError::Refused(refused)) => return Err(DecideRefused::Refused(refused)),
            Err(DecideError::Answered(answer)) => return Ok(committed(replayed(&by, &answer)?, true)),
            Err(DecideError::Store(error)) => return Err(DecideRefused::Store(error)),
        };
        let event = Event::ApprovalDecided {
            approval: id,
            name: approval.tool.to_string(),
            approved,
            by: by.actor,
            reason: by.reason,
        };
        self.inner.runs.record(approval.run, vec![(now, event)]).await;
        self.inner.approvals.send_modify(|changes| *changes += 1);
        Ok(committed(approval, false))
    }

    /// An approval, if it is one of these tenants' (I11).
    pub async fn approval(&self, id: ApprovalId, tenants: &Tenants) -> Result<Option<Approval>, StoreError> {
        let found = self.inner.store.approval_get(id).await?;
        let found = found.filter(|approval| tenants.contain(&approval.tenant));
        Ok(found.map(|approval| approval.seen(self.inner.clock.now())))
    }

    /// Approvals of these tenants, newest first.
    pub async fn approvals(
        &self,
        tenants: &Tenants,
        mut filter: ApprovalFilter,
        before: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, StoreError> {
        filter.tenants = match (tenants, filter.tenants) {
            (Tenants::All, asked) => asked,
            (Tenants::Only(own), None) => Some(own.iter().cloned().collect()),
            (Tenants::Only(own), Some(asked)) => {
                Some(asked.into_iter().filter(|tenant| own.contains(tenant)).collect())
            }
        };
        let now = self.inner.clock.now();
        let found = self.inner.store.approval_list(&filter, before, limit).await?;
        Ok(found.into_iter().map(|approval| approval.seen(now)).collect())
    }

    /// How many calls wait for a person.
    pub async fn approvals_pending(&self) -> Result<u64, StoreError> {
        self.inner.store.approvals_pending(self.inner.clock.now()).await
    }

    /// Changes whenever a call was asked about for the first time or decided: what those who wait for either wait for.
    #[must_use]
    pub fn approval_changes(&self) -> watch::Receiver<u64> {
        self.inner.approvals.subscribe()
    }

    /// A run that may ask for its tools: one that is open, or a gateway call, whose client acts on the answer after it.
    pub async fn authorizing(&self, run: RunId, tenants: &Tenants) -> Result<Arc<Stamp>, AuthorizeError> {
        let found = self.inner.runs.status(run, tenants).await.map_err(AuthorizeError::Store)?;
        let (stamp, status) = found.ok_or(AuthorizeError::NoRun(run))?;
        match status.is_open() || stamp.single {
            true => Ok(stamp),
            false => Err(AuthorizeError::NotRunning { run, status }),
        }
    }

    /// What the dial, and perhaps a person, say; and whether that is news.
    async fn rule(
        &self,
        stamp: &Stamp,
        dialled: Option<&Dialled>,
        tool: &str,
        has_side_effects: bool,
        arguments: String,
        id: Option<&str>,
    ) -> Result<(Ruled, bool), AuthorizeError> {
        let rule = dialled.map_or(ToolRule::Allowed, |dialled| dialled.tool(tool, has_side_effects));
        let why = || {
            let (place, setting) = dialled?.why_tool(tool)?;
            Some(format!("the dial of {place} stands at {} ({})", setting.position, setting.reason))
        };
        match (rule, tool.parse::<ToolName>()) {
            (ToolRule::Allowed, _) => Ok((ruled(Ruling::Allowed), true)),
            (ToolRule::Withheld, _) => Ok((Ruled { why: why(), ..ruled(Ruling::Withheld) }, true)),
            (ToolRule::NeedsApproval, Ok(tool)) => {
                let why = why().unwrap_or_default();
                self.ask(Question { stamp, tool, arguments, id, why }).await
            }
            (ToolRule::NeedsApproval, Err(bad)) => {
                Ok((Ruled { why: Some(bad.to_string()), ..ruled(Ruling::Withheld) }, true))
            }
        }
    }

    /// Asks a person, or finds what one said before.
    async fn ask(&self, question: Question<'_>) -> Result<(Ruled, bool), AuthorizeError> {
        let Question { stamp, tool, arguments, id, why } = question;
        let store = &self.inner.store;
        let (bodies, expires_ms) = self.approval_settings(stamp);
        let (text, digest) = canonical_arguments(&arguments);
        let key = match (id, bodies) {
            (Some(id), Bodies::Full | Bodies::Digest) => key_of_id(stamp.run, id),
            (Some(id), Bodies::Off) => key_of_unkept(stamp.run, id, tool.as_str(), digest),
            (None, _) => key_of_content(stamp, tool.as_str(), digest),
        };
        let kept = approval::kept(bodies, text, digest);
        for _ in 0..ATTEMPTS_MAX {
            let now = self.inner.clock.now();
            let asked = Approval {
                id: self.new_approval_id(now),
                key,
                call: id.map(str::to_owned),
                run: stamp.run,
                agent: stamp.agent.clone(),
                segment: stamp.segment.clone(),
                tenant: stamp.tenant.clone(),
                session: stamp.session.clone(),
                deployment: stamp.deployment,
                release: stamp.release,
                tool: tool.clone(),
                arguments: kept.arguments.clone(),
                truncated: kept.truncated,
                until_decided: kept.until_decided,
                digest: kept.digest,
                why: why.clone(),
                asked_at: now,
                expires_at: now.plus_ms(expires_ms),
                decision: None,
                used: None,
            };
            if store.approvals_pending(now).await.map_err(AuthorizeError::Store)? >= PENDING_MAX {
                return Err(AuthorizeError::TooManyPending);
            }
            let known = match store.approval_ask(asked.clone()).await.map_err(AuthorizeError::Store)? {
                Asked::New => {
                    self.inner.approvals.send_modify(|changes| *changes += 1);
                    return Ok((waits(&asked, &why), true));
                }
                Asked::Known(known) => known,
            };
            // What isn't kept can't be compared.
            let differs = known.digest.zip(kept.digest).is_some_and(|(known, digest)| known != digest);
            if let Some(id) = id.filter(|_| known.tool != tool || differs) {
                return Err(AuthorizeError::AnotherCall { run: stamp.run, id: id.to_owned() });
            }
            match (&known.used, &known.decision) {
                (Some(_), _) => return Ok((goes(&known), false)),
                (None, None) => return Ok((waits(&known, &why), false)),
                (None, Some(decision)) if decision.approved => {
                    let by = Use { run: stamp.run, at: now };
                    if store.approval_use(known.id, by).await.map_err(AuthorizeError::Store)? {
                        return Ok((goes(&known), true));
                    }
                }
                (None, Some(decision)) => return Ok((denied(&known, decision), true)),
            }
        }
        Err(AuthorizeError::TooManyPending)
    }

    /// What of arguments may be kept, and how long a call waits.
    fn approval_settings(&self, stamp: &Stamp) -> (Bodies, u64) {
        let snapshot = self.snapshot();
        let spec = snapshot.world.agents.get(&stamp.agent);
        let bodies = spec.map_or(Bodies::Off, |spec| spec.journal.bodies);
        let expires = spec.and_then(|spec| spec.dial.as_deref()).map(DialSpec::approval_expires);
        (bodies, expires.unwrap_or(APPROVAL_DEFAULT).ms)
    }

    /// Whether a tool of the run's release has side effects; none where the release pins tools and not this one.
    async fn tool_of_release(&self, stamp: &Stamp, tool: &str) -> Result<Option<bool>, ContractError> {
        let contract = self.inner.contracts.get(stamp.release).await?;
        // Without a pin of its tools the release leaves them to the caller. Those of MCP servers are among them.
        let is_open = contract.tools.as_ref().is_none_or(|text| names(text).any(|name| name == tool));
        Ok(is_open.then(|| contract.has_side_effects(tool)))
    }

    async fn journal_ruling(
        &self,
        stamp: &Stamp,
        tool: &str,
        id: Option<&str>,
        ruled: &Ruled,
    ) -> Result<(), AuthorizeError> {
        let event = Event::ToolRuled {
            name: tool.to_owned(),
            id: id.map(str::to_owned),
            call: None,
            ruling: ruled.ruling,
            approval: ruled.approval,
            why: ruled.why.clone(),
        };
        let told = id.map(|id| told::key(stamp.run, id, tool, ruled));
        if told.is_some_and(|told| self.inner.told.knows(told)) {
            return Ok(());
        }
        self.inner.runs.ruled(stamp, event).await.map_err(AuthorizeError::Journal)?;
        // Noted when it is journaled: of two that ask at the same time, both may be.
        told.into_iter().for_each(|told| self.inner.told.note(told));
        Ok(())
    }

    fn new_approval_id(&self, now: Timestamp) -> ApprovalId {
        let mut random = [0; 16];
        self.inner.entropy.fill(&mut random[..10]);
        ApprovalId::from_parts(now.0, u128::from_le_bytes(random))
    }
}

/// The names of OpenAI- or MCP-shaped tool definitions.
fn names(tools: &str) -> impl Iterator<Item = String> {
    #[derive(Deserialize)]
    struct Tool {
        name: Option<String>,
        function: Option<Named>,
        custom: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let tools: Vec<Tool> = serde_json::from_str(tools).unwrap_or_default();
    tools
        .into_iter()
        .filter_map(|Tool { name, function, custom }| function.or(custom).map(|Named { name }| name).or(name))
}

fn ruled(ruling: Ruling) -> Ruled {
    Ruled { ruling, approval: None, expires_at: None, why: None }
}

fn waits(approval: &Approval, why: &str) -> Ruled {
    Ruled {
        ruling: Ruling::NeedsApproval,
        approval: Some(approval.id),
        expires_at: Some(approval.expires_at),
        why: Some(why.to_owned()),
    }
}

fn goes(approval: &Approval) -> Ruled {
    Ruled { approval: Some(approval.id), expires_at: Some(approval.expires_at), ..ruled(Ruling::Allowed) }
}

fn denied(approval: &Approval, decision: &Decision) -> Ruled {
    let said = match decision.reason.is_empty() {
        true => String::new(),
        false => format!(": {}", decision.reason),
    };
    Ruled {
        ruling: Ruling::Denied,
        approval: Some(approval.id),
        expires_at: None,
        why: Some(format!("denied by {}{said}", approval::who(&decision.by))),
    }
}

fn authorized(ruled: Ruled, position: Position) -> Authorized {
    let Ruled { ruling, approval, expires_at, why } = ruled;
    Authorized { ruling, approval, expires_at, why, position }
}

fn replayed(by: &By, answer: &pinrail_store::Answer) -> Result<Approval, DecideRefused> {
    commit::replay::<Approval, DecideRefused>(by, answer).map_err(|_| DecideRefused::KeyReused)
}
