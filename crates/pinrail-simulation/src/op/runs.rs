//! Runs: created, called, joined, written to, finished.

use std::collections::BTreeMap;

use pinrail_control::Control;
use pinrail_control::runs::{AppendRefused, Create, CreateRefused, RunChange};
use pinrail_domain::begin::{BeginError, Call};
use pinrail_domain::id::{EventSeq, RunId};
use pinrail_domain::journal::{Event, Outcome};
use pinrail_domain::key::Tenants;
use pinrail_domain::time::Timestamp;
use pinrail_store::journal::WriteError;

use super::{Done, NewRun, Op, RunWork, Told, chain};

/// Events read at once: more than any run here has.
const EVENTS_MAX: usize = 10_000;

impl Op {
    pub(super) async fn run(&self, control: &Control, work: &RunWork) -> Told {
        let runs = control.runs();
        match work {
            RunWork::Create(new) => self.create(control, new).await,
            RunWork::Call(new) => self.call(control, new).await,
            RunWork::Join { run } => {
                let call = Call {
                    agent: run.agent.to_string(),
                    tenant: run.tenant.clone(),
                    run: Some(run.run),
                    session: run.session.clone(),
                    attributes: BTreeMap::new(),
                };
                match runs.begin(call).await {
                    Ok(begun) => Told::Done(Done::Joined { stamp: (*begun.stamp).clone() }),
                    Err(error) => begin_failed(&error),
                }
            }
            RunWork::Note { run, expected } => {
                let events = vec![Event::Note { name: self.tag(), data: serde_json::Value::Null }];
                let written = runs.append(*run, &Tenants::All, *expected, events, self.idempotency()).await;
                changed(written, Done::Noted)
            }
            RunWork::Pause { run } => {
                let events = vec![Event::Paused { why: self.tag() }];
                changed(runs.append(*run, &Tenants::All, None, events, None).await, Done::Changed)
            }
            RunWork::Resume { run } => match runs.resume(*run, &Tenants::All).await {
                Ok(resumed) => Told::Done(Done::Joined { stamp: resumed.run.stamp }),
                Err(error) => append_failed(&error),
            },
            RunWork::Finish { run } => {
                let finished = runs.finish(*run, &Tenants::All, Outcome::Ok, None, self.idempotency()).await;
                changed(finished, Done::Changed)
            }
            RunWork::Read { run } => read(control, *run).await,
            RunWork::Authorize { run, wish } => super::dial::authorize(control, run, wish).await,
        }
    }

    async fn create(&self, control: &Control, new: &NewRun) -> Told {
        let NewRun { agent, tenant, session, parent, queued } = new.clone();
        let attributes = BTreeMap::from([("op".to_owned(), self.tag())]);
        let create = Create { agent, tenant, session, attributes, parent, queued };
        match control.runs().create(create, &Tenants::All, self.idempotency()).await {
            Ok(created) => Told::Done(Done::Begun { stamp: created.stamp, replayed: created.replayed }),
            Err(CreateRefused::Begin(error)) => begin_failed(&error),
            Err(error @ CreateRefused::NoParent(_)) => Told::Refused(error.to_string()),
            Err(error) => Told::Unknown(chain(&error)),
        }
    }

    async fn call(&self, control: &Control, new: &NewRun) -> Told {
        let NewRun { agent, tenant, session, .. } = new.clone();
        let attributes = BTreeMap::from([("op".to_owned(), self.tag())]);
        let call = Call { agent: agent.to_string(), tenant, run: None, session, attributes };
        match control.runs().begin(call).await {
            Ok(begun) => {
                let request =
                    Event::ModelRequest { call: begun.call, stream: false, dropped: Vec::new(), body: None };
                let note = Event::Note { name: self.call_tag(), data: serde_json::Value::Null };
                let finished = Event::Finished { outcome: Outcome::Ok, why: None };
                // The provider answers while the stamp may be on its way still.
                tokio::time::sleep(std::time::Duration::from_millis(self.number % 30)).await;
                let at = Timestamp(self.number);
                let events = [request, note, finished].map(|event| (at, event)).to_vec();
                control.runs().record(begun.stamp.run, events).await;
                Told::Done(Done::Called { stamp: (*begun.stamp).clone() })
            }
            Err(error) => begin_failed(&error),
        }
    }
}

async fn read(control: &Control, run: RunId) -> Told {
    let runs = control.runs();
    let found = match runs.get(run, &Tenants::All).await {
        Ok(Some(found)) => found,
        Ok(None) => return Told::Refused("there is no such run".to_owned()),
        Err(error) => return Told::Unknown(chain(&error)),
    };
    match runs.events(run, &Tenants::All, EventSeq(0), EVENTS_MAX).await {
        Ok(events) => Told::Done(Done::Run { stamp: found.stamp, events: events.unwrap_or_default() }),
        Err(error) => Told::Unknown(chain(&error)),
    }
}

fn changed(outcome: Result<RunChange, AppendRefused>, done: Done) -> Told {
    match outcome {
        Ok(_) => Told::Done(done),
        Err(error) => append_failed(&error),
    }
}

fn append_failed(error: &AppendRefused) -> Told {
    match error {
        AppendRefused::NoRun(_)
        | AppendRefused::Count(_)
        | AppendRefused::TooLong { .. }
        | AppendRefused::NotYours(_)
        | AppendRefused::Scores(_)
        | AppendRefused::BadScore { .. }
        | AppendRefused::Moved { .. }
        | AppendRefused::Illegal(_)
        | AppendRefused::KeyReused => Told::Refused(error.to_string()),
        AppendRefused::Write(WriteError::Illegal(_) | WriteError::NoRun(_)) => {
            Told::Refused(error.to_string())
        }
        AppendRefused::PinGone { .. }
        | AppendRefused::Contract(_)
        | AppendRefused::Contended(_)
        | AppendRefused::Write(_) => Told::Unknown(chain(error)),
    }
}

fn begin_failed(error: &BeginError) -> Told {
    match error {
        BeginError::NoAgent(_)
        | BeginError::NothingActive { .. }
        | BeginError::Dialled(_)
        | BeginError::NoRun(_)
        | BeginError::OtherAgent { .. }
        | BeginError::OtherSession { .. }
        | BeginError::NotRunning { .. } => Told::Refused(error.to_string()),
        BeginError::PinGone { .. }
        | BeginError::Release { .. }
        | BeginError::Busy { .. }
        | BeginError::Stale { .. }
        | BeginError::Journal(_) => Told::Unknown(chain(error)),
    }
}
