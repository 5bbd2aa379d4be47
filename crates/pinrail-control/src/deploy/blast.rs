//! A deployment's blast radius: whom it may have misled, what they wrote in turn, and what they did to the world.
//!
//! Affected are the deployment's own runs, and every run that read one of its records or of what was derived from
//! them ([`pinrail_domain::state::derive`]). Of each, the calls of tools with side effects
//! ([`pinrail_domain::release::Contract::has_side_effects`]) are what a rollback can't take back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use pinrail_domain::canonical;
use pinrail_domain::dial::Ruling;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{
    AgentName, DeploymentId, EventSeq, ReleaseId, RunId, SessionId, StateSeq, TenantId, ToolName,
};
use pinrail_domain::journal::{Event, Recorded, RunStatus, Stamp};
use pinrail_domain::state::Layer;
use pinrail_domain::state::derive::{Cause, Misled};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};
use serde::Serialize;

use super::derived::{Found, TAINTED_MAX};
use crate::Control;
use crate::contracts::ContractError;

/// Everything that a deployment touched.
pub struct Blast {
    pub deployment: DeploymentId,
    /// Records that it wrote, and that others derived from them, by layer.
    pub layers: BTreeMap<Layer, Touched>,
    /// The affected runs, oldest first.
    pub runs: BTreeMap<RunId, Affected>,
    pub counts: Counts,
    /// What the limits left out, in words; empty when nothing.
    pub cut: Vec<String>,
    pub(super) found: Found,
}

/// Records of one layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    pub written: u64,
    pub derived: u64,
}

/// How far it reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub own_runs: u64,
    /// Runs of other deployments that read what is tainted.
    pub misled_runs: u64,
    pub sessions: u64,
    pub tenants: u64,
}

/// A run that may have been misled.
#[derive(Clone, Debug, PartialEq)]
pub struct Affected {
    pub stamp: Arc<Stamp>,
    pub status: RunStatus,
    pub why: Why,
    /// Tainted records that it wrote.
    pub wrote: u64,
}

/// How a run is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It ran on the deployment.
    Own,
    /// It read a tainted record.
    Misled(Misled),
}

/// A cause in the chain from a run back to the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub record: StateSeq,
    pub cause: Cause,
}

/// A call of a tool that changes the world.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideEffect {
    pub run: RunId,
    pub event: EventSeq,
    pub agent: AgentName,
    pub tenant: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    pub tool: String,
    pub at: Timestamp,
    /// The tool call's own id, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Of the arguments' canonical JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_digest: Option<Digest>,
    /// The beginning of the arguments.
    pub arguments: String,
    /// `ok`, `error`, or none where no result was journaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'static str>,
    /// When its compensation was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensated_at: Option<Timestamp>,
    #[serde(skip)]
    pub full_arguments: serde_json::Value,
}

/// The side effects of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    pub effects: Vec<SideEffect>,
    /// Tools with side effects that the model asked for through the gateway, whose calls nobody journaled.
    pub unreported: u64,
}

/// Affected runs looked at: each costs a read or two. Beyond it the counts are lower bounds, and it is said.
pub const RUNS_MAX: usize = 10_000;
/// Runs and events read at once.
const PAGE: usize = 1_000;
/// Steps of a chain that are told.
const STEPS_MAX: usize = 32;
/// Characters of arguments shown.
const ARGUMENTS_CHARS: usize = 200;

impl Control {
    /// Everything that a deployment touched; none where there is no such deployment.
    pub async fn blast(&self, id: DeploymentId) -> Result<Option<Blast>, StoreError> {
        if !self.snapshot().world.deployments.contains_key(&id) {
            return Ok(None);
        }
        let found = self.derived_from(id).await?;
        let is_cut = found.cut;
        let mut layers: BTreeMap<Layer, Touched> = BTreeMap::new();
        for (record, cause) in &found.derived.records {
            let touched = layers.entry(found.space(*record).layer).or_default();
            if *cause == Cause::Seed {
                touched.written += 1
            } else {
                touched.derived += 1
            };
        }
        let mut blast = Blast {
            deployment: id,
            layers,
            runs: BTreeMap::new(),
            counts: Counts::default(),
            cut: Vec::new(),
            found,
        };
        if is_cut {
            blast.cut.push(format!("only the first {TAINTED_MAX} tainted records were followed"));
        }
        self.add_own_runs(&mut blast).await?;
        self.add_misled_runs(&mut blast).await?;
        self.count_writes(&mut blast).await?;
        blast.count();
        Ok(Some(blast))
    }

    /// What the affected run did to the world.
    pub async fn side_effects(&self, affected: &Affected) -> Result<Done, StoreError> {
        let Affected { stamp, .. } = affected;
        let tools = self.side_effects_of(stamp.release).await?;
        if tools.is_empty() {
            return Ok(Done::default());
        }
        let mut done = Done::default();
        let mut asked: HashMap<String, u64> = HashMap::new();
        let mut next = EventSeq(0);
        loop {
            let events = self.inner.store.run_events(stamp.run, next, PAGE).await?;
            let Some(last) = events.last() else { break };
            next = last.seq.next();
            for event in events {
                done.take(stamp, &tools, event, &mut asked);
            }
        }
        for effect in &done.effects {
            if let Some(asked) = asked.get_mut(&effect.tool) {
                *asked = asked.saturating_sub(1);
            }
        }
        done.unreported = asked.values().sum();
        Ok(done)
    }

    /// The tools of a release that change the world.
    async fn side_effects_of(&self, release: ReleaseId) -> Result<BTreeSet<ToolName>, StoreError> {
        let snapshot = self.snapshot();
        let Some(known) = snapshot.world.releases.get(&release) else { return Ok(BTreeSet::new()) };
        let tools = &known.manifest.tools;
        if tools.mcp.is_empty() {
            return Ok(tools.side_effects.clone());
        }
        match self.contracts().get(release).await {
            Ok(contract) => Ok(contract.side_effects()),
            Err(ContractError::Store(error)) => Err(error),
            // What annotations say is lost with the pin; what the release says itself is not.
            Err(
                ContractError::NoRelease(_)
                | ContractError::Missing(_)
                | ContractError::NotText(_)
                | ContractError::Tools { .. },
            ) => Ok(tools.side_effects.clone()),
        }
    }

    async fn add_own_runs(&self, blast: &mut Blast) -> Result<(), StoreError> {
        let filter = RunFilter { deployment: Some(blast.deployment), ..RunFilter::default() };
        let mut before = None;
        loop {
            let page = self.inner.store.run_list(&filter, before, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            before = Some(last.stamp.run);
            for run in page {
                if blast.runs.len() >= RUNS_MAX {
                    blast.cut.push(format!("only the {RUNS_MAX} newest of its own runs were looked at"));
                    return Ok(());
                }
                blast.runs.insert(run.stamp.run, Affected::new(run, Why::Own));
            }
        }
    }

    async fn add_misled_runs(&self, blast: &mut Blast) -> Result<(), StoreError> {
        let misled = blast.found.derived.runs.clone();
        let mut looked_at = 0;
        for (run, misled) in misled {
            if blast.runs.contains_key(&run) {
                continue;
            }
            looked_at += 1;
            if looked_at > RUNS_MAX {
                let all = blast.found.derived.runs.len();
                blast
                    .cut
                    .push(format!("only {RUNS_MAX} of {all} runs that read what is tainted were looked at"));
                return Ok(());
            }
            // A run that is gone can't be told about.
            let Some(stored) = self.inner.store.run_get(run).await? else { continue };
            if stored.stamp.deployment != blast.deployment {
                blast.runs.insert(run, Affected::new(stored, Why::Misled(misled)));
            }
        }
        Ok(())
    }

    /// Counts, for each run, the tainted records that are its own.
    async fn count_writes(&self, blast: &mut Blast) -> Result<(), StoreError> {
        for (run, affected) in &mut blast.runs {
            let mut after = StateSeq(0);
            loop {
                let page = self.inner.store.state_of_run(*run, after, PAGE).await?;
                let Some((_, last)) = page.last() else { break };
                after = last.seq;
                let tainted = page
                    .iter()
                    .filter(|(_, operation)| blast.found.derived.records.contains_key(&operation.seq));
                affected.wrote += tainted.count() as u64;
            }
        }
        Ok(())
    }
}

impl Blast {
    /// Why a run is affected, cause by cause, back to what the deployment wrote.
    #[must_use]
    pub fn chain(&self, why: Why) -> Vec<Step> {
        let Why::Misled(Misled { record, .. }) = why else { return Vec::new() };
        let mut steps: Vec<Step> = Vec::new();
        let mut next = Some(record);
        while let Some(record) = next.filter(|_| steps.len() < STEPS_MAX) {
            let Some(cause) = self.found.derived.records.get(&record).copied() else { break };
            steps.push(Step { record, cause });
            next = match cause {
                Cause::Seed => None,
                Cause::Parent { record } | Cause::Run { record, .. } => Some(record),
            };
        }
        steps
    }

    fn count(&mut self) {
        let mut sessions = BTreeSet::new();
        let mut tenants = BTreeSet::new();
        for Affected { stamp, why, .. } in self.runs.values() {
            match why {
                Why::Own => self.counts.own_runs += 1,
                Why::Misled(_) => self.counts.misled_runs += 1,
            }
            tenants.insert(&stamp.tenant);
            if let Some(session) = &stamp.session {
                sessions.insert((&stamp.agent, &stamp.tenant, session));
            }
        }
        self.counts.sessions = sessions.len() as u64;
        self.counts.tenants = tenants.len() as u64;
    }
}

impl Affected {
    fn new(run: Run, why: Why) -> Affected {
        Affected { stamp: Arc::new(run.stamp), status: run.summary.status, why, wrote: 0 }
    }
}

impl Done {
    fn take(
        &mut self,
        stamp: &Stamp,
        tools: &BTreeSet<ToolName>,
        recorded: Recorded,
        asked: &mut HashMap<String, u64>,
    ) {
        let Recorded { seq, at, event } = recorded;
        let is_effect = |name: &str| tools.iter().any(|tool| tool.as_str() == name);
        match event {
            Event::ToolCall { name, id, arguments } if is_effect(&name) => {
                let text = if arguments.is_null() { String::new() } else { arguments.to_string() };
                self.effects.push(SideEffect {
                    run: stamp.run,
                    event: seq,
                    agent: stamp.agent.clone(),
                    tenant: stamp.tenant.clone(),
                    session: stamp.session.clone(),
                    tool: name,
                    at,
                    call: id,
                    arguments_digest: canonical::digest(&arguments).ok().filter(|_| !text.is_empty()),
                    arguments: text.chars().take(ARGUMENTS_CHARS).collect(),
                    result: None,
                    compensated_at: None,
                    full_arguments: arguments,
                });
            }
            Event::ToolResult { name, id, error, .. } => {
                // By the call's id; without one, the oldest call of the tool that has no result.
                let open = self.effects.iter_mut().find(|effect| {
                    effect.result.is_none() && effect.tool == name && (id.is_none() || effect.call == id)
                });
                if let Some(effect) = open {
                    effect.result = Some(if error { "error" } else { "ok" });
                }
            }
            Event::ModelResponse(response) => {
                for name in response.tool_calls.into_iter().filter(|name| is_effect(name)) {
                    *asked.entry(name).or_default() += 1;
                }
            }
            // What was held back never reached the client, who so can't have made the call.
            Event::ToolRuled { name, call: Some(_), ruling, .. } if ruling != Ruling::Allowed => {
                if let Some(asked) = asked.get_mut(&name) {
                    *asked = asked.saturating_sub(1);
                }
            }
            Event::Compensated { event, .. } => {
                if let Some(effect) = self.effects.iter_mut().find(|effect| effect.event == event) {
                    effect.compensated_at = Some(at);
                }
            }
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRequest { .. }
            | Event::ModelRetry { .. }
            | Event::ModelFailed { .. }
            | Event::Drift { .. }
            | Event::ToolCall { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Note { .. }
            | Event::Score { .. }
            | Event::Compared(_)
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Finished { .. } => {}
        }
    }
}
