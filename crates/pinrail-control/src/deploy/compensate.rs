//! Telling the outside world what a rollback can't take back: one report per call of a tool with side effects.
//!
//! A report is a CloudEvent whose id follows from the deployment and the call alone, so a receiver that gets it twice
//! knows it. What was delivered is journaled in the call's run, and not sent again unless somebody asks. How reports
//! travel, and how they are signed, is the [`Outbound`] port's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pinrail_domain::id::{AgentName, DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::Event;
use pinrail_domain::time::{Clock, Timestamp};
use pinrail_store::StoreError;
use serde::Serialize;
use serde_json::json;

use super::blast::{Blast, SideEffect};
use crate::Control;
use crate::outbound::{Address, Message, Outbound};

/// How calls are to be reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compensate {
    /// Only tell what would be sent.
    pub dry_run: bool,
    /// Also what was delivered before.
    pub again: bool,
    /// Why: receivers are told, and it is journaled with each report.
    pub reason: String,
}

/// What became of a call's report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reported {
    pub id: String,
    pub run: RunId,
    pub event: EventSeq,
    pub agent: AgentName,
    pub tool: String,
    pub at: Timestamp,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Delivered {
        attempts: u32,
        /// It was delivered, but that couldn't be journaled: it will be sent again, under the same id.
        #[serde(skip_serializing_if = "Option::is_none")]
        not_noted: Option<String>,
    },
    WouldSend,
    /// Delivered before.
    Skipped {
        delivered_at: Timestamp,
    },
    /// The agent names no address.
    NoAddress,
    Failed {
        attempts: u32,
        why: String,
    },
}

/// What became of all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Compensated {
    /// By run and event.
    pub reports: Vec<Reported>,
    /// Tools with side effects that models asked for through the gateway and whose calls nobody journaled: nobody
    /// can be told of these.
    pub unreported: u64,
    /// What the limits left out, in words.
    pub cut: Vec<String>,
}

/// Attempts for one report; a receiver that is away for longer gets it with the next call.
pub const ATTEMPTS_MAX: u32 = 4;
/// The pause before the second attempt; each further one doubles it.
const PAUSE: Duration = Duration::from_millis(250);
/// Reports of one request.
pub const REPORTS_MAX: usize = 10_000;
/// Failures in a row, at one address, after which the rest is left for later.
const FAILURES_MAX: u32 = 5;

impl Control {
    /// Reports the side effects of all runs that a deployment touched; none where there is no such deployment.
    pub async fn compensate(
        &self,
        id: DeploymentId,
        outbound: &dyn Outbound,
        how: Compensate,
    ) -> Result<Option<Compensated>, StoreError> {
        let Some(blast) = self.blast(id).await? else { return Ok(None) };
        let mut all = Compensated { cut: blast.cut.clone(), ..Compensated::default() };
        let mut failures: BTreeMap<AgentName, u32> = BTreeMap::new();
        for affected in blast.runs.values() {
            let done = self.side_effects(affected).await?;
            all.unreported += done.unreported;
            for effect in done.effects {
                if all.reports.len() >= REPORTS_MAX {
                    all.cut.push(format!("only the first {REPORTS_MAX} calls were looked at"));
                    return Ok(Some(all));
                }
                let outcome = self.report_one(&blast, &effect, outbound, &how, &mut failures).await;
                let SideEffect { run, event, agent, tool, at, .. } = effect;
                all.reports.push(Reported {
                    id: report_id(id, run, event),
                    run,
                    event,
                    agent,
                    tool,
                    at,
                    outcome,
                });
            }
        }
        Ok(Some(all))
    }

    async fn report_one(
        &self,
        blast: &Blast,
        effect: &SideEffect,
        outbound: &dyn Outbound,
        how: &Compensate,
        failures: &mut BTreeMap<AgentName, u32>,
    ) -> Outcome {
        if let Some(delivered_at) = effect.compensated_at.filter(|_| !how.again) {
            return Outcome::Skipped { delivered_at };
        }
        let snapshot = self.snapshot();
        let spec = snapshot.world.agents.get(&effect.agent).map(Arc::clone);
        let Some(to) = spec.and_then(|spec| spec.compensation.clone()) else { return Outcome::NoAddress };
        if how.dry_run {
            return Outcome::WouldSend;
        }
        if failures.get(&effect.agent).is_some_and(|failures| *failures >= FAILURES_MAX) {
            let why = format!("not tried: the {FAILURES_MAX} before it failed at the same address");
            return Outcome::Failed { attempts: 0, why };
        }
        let mut report = self.report_of(blast, effect, &how.reason);
        let outcome = deliver(outbound, &*self.inner.clock, &Address::from(&to), &mut report).await;
        match &outcome {
            Err((_, _)) => *failures.entry(effect.agent.clone()).or_default() += 1,
            Ok(_) => {
                failures.remove(&effect.agent);
            }
        }
        match outcome {
            Err((attempts, why)) => Outcome::Failed { attempts, why },
            Ok(attempts) => {
                let note = Event::Compensated {
                    deployment: blast.deployment,
                    event: effect.event,
                    id: report.id,
                    reason: how.reason.clone(),
                };
                let noted = self.inner.runs.compensated(effect.run, note).await;
                Outcome::Delivered { attempts, not_noted: noted.err().map(|error| error.to_string()) }
            }
        }
    }

    fn report_of(&self, blast: &Blast, effect: &SideEffect, reason: &str) -> Message {
        let SideEffect { run, event, agent, tenant, session, tool, at, call, full_arguments, result, .. } =
            effect;
        let id = report_id(blast.deployment, *run, *event);
        let snapshot = self.snapshot();
        let deployment = snapshot.world.deployments.get(&blast.deployment);
        let affected = blast.runs.get(run);
        let mut body = json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/pinrail/deployments/{}", blast.deployment),
            "type": "pinrail.compensation.requested",
            "subject": format!("{run}/{event}"),
            "time": at.rfc3339(),
            "datacontenttype": "application/json",
            "data": {
                "deployment": blast.deployment,
                "deployment_state": deployment.map(|known| pinrail_domain::deploy::state(&snapshot.world, known)),
                "run": run, "event": event, "agent": agent, "tenant": tenant, "session": session,
                "tool": tool, "call": call, "arguments": full_arguments, "result": result,
                "run_deployment": affected.map(|affected| affected.stamp.deployment),
                "chain": affected.map(|affected| blast.chain(affected.why)),
            },
        });
        if !reason.is_empty() {
            body["data"]["reason"] = reason.into();
        }
        Message { id, at: self.inner.clock.now(), body: body.to_string().into_bytes() }
    }
}

/// Sends a report, and again while that may help; gives the number of attempts.
async fn deliver(
    outbound: &dyn Outbound,
    clock: &dyn Clock,
    to: &Address,
    report: &mut Message,
) -> Result<u32, (u32, String)> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match outbound.send(to, report).await {
            Ok(_) => return Ok(attempts),
            Err(error) if !error.may_help() || attempts >= ATTEMPTS_MAX => {
                return Err((attempts, error.what));
            }
            Err(_) => tokio::time::sleep(PAUSE * (1 << (attempts - 1))).await,
        }
        // A receiver refuses what was signed too long ago.
        report.at = clock.now();
    }
}

/// The same for the same call of the same deployment, in every attempt and after every restart.
fn report_id(deployment: DeploymentId, run: RunId, event: EventSeq) -> String {
    format!("compensate-{deployment}-{run}-{event}")
}
