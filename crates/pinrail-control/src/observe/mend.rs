//! Reads from the store what a rollout's fold lacks.
//!
//! Runs are listed once, from the time the deployment was opened on, and read one by one, oldest first. A run whose events
//! arrive by the queue while it is being read isn't known yet, so it is noted as missing once more and read again. It is done
//! when nothing is missing, which is checked under the lock that the queue's side takes too.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pinrail_domain::id::{DeploymentId, RunId};
use pinrail_domain::journal::{Event, Recorded};
use pinrail_domain::rollout::observed::{RUNS_MAX, Taken};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::journal::RunFilter;

use super::{Observer, unread};
use crate::contracts::ContractError;

/// Runs listed, and events read, at once.
const PAGE: usize = 500;
/// How far a clock may have been set back while the deployment was open, without runs being overlooked.
const CLOCK_SLACK_MS: u64 = 600_000;
/// How soon a store that failed is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// What was read and couldn't be taken in at once.
enum Read {
    Done,
    /// This run first.
    After(RunId),
}

/// What is to be read next.
enum Missing {
    Run(RunId),
    /// The queue overflowed meanwhile.
    Unlisted,
    Nothing,
}

#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the release of a run cannot be loaded")]
    Contract(#[from] ContractError),
}

/// Reads until nothing is missing, or the rollout is over, or the control plane is gone.
pub(super) async fn mend(observer: Weak<Observer>, id: DeploymentId) {
    loop {
        let Some(observer) = observer.upgrade() else { return };
        match observer.mend_some(id).await {
            Ok(true) => {
                observer.changed.send_modify(|batches| *batches += 1);
                return;
            }
            Ok(false) => {}
            Err(error) => {
                unread(id, &error);
                drop(observer);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

impl Observer {
    /// Reads a page of what is missing; true when nothing is left.
    async fn mend_some(&self, id: DeploymentId) -> Result<bool, Unread> {
        if self.unlisted(id) {
            self.list(id).await?;
        }
        for _ in 0..PAGE {
            let run = match self.next_missing(id) {
                Missing::Run(run) => run,
                Missing::Unlisted => return Ok(false),
                Missing::Nothing => return Ok(true),
            };
            if let Err(error) = self.read(id, run).await {
                if let Some(followed) = self.lock().get_mut(&id) {
                    followed.lacks(run);
                }
                return Err(error);
            }
            self.replayed(id);
        }
        Ok(false)
    }

    fn unlisted(&self, id: DeploymentId) -> bool {
        self.lock().get(&id).is_some_and(|followed| !followed.listed)
    }

    /// Takes a run that is missing; with none left, says so in the same step.
    fn next_missing(&self, id: DeploymentId) -> Missing {
        let mut followed = self.lock();
        let Some(followed) = followed.get_mut(&id) else { return Missing::Nothing };
        match followed.missing.pop_first() {
            Some(run) => Missing::Run(run),
            None if !followed.listed => Missing::Unlisted,
            None => {
                followed.mending = false;
                Missing::Nothing
            }
        }
    }

    /// Notes the newest runs that may matter as missing.
    async fn list(&self, id: DeploymentId) -> Result<(), Unread> {
        let Some((agents, opened_at)) = self.lock().get(&id).map(|followed| {
            let agents: Vec<_> = followed.observed.agents().cloned().collect();
            (agents, followed.opened_at)
        }) else {
            return Ok(());
        };
        let since = Some(Timestamp(opened_at.0.saturating_sub(CLOCK_SLACK_MS)));
        // From here on the queue's side notes what it misses, so nothing falls between.
        for agent in agents {
            let filter = RunFilter { agent: Some(agent), since, ..RunFilter::default() };
            let (mut before, mut found) = (None, 0);
            while found < RUNS_MAX {
                let runs = self.store.run_list(&filter, before, PAGE).await?;
                let Some(last) = runs.last() else { break };
                before = Some(last.stamp.run);
                let mut followed = self.lock();
                let Some(followed) = followed.get_mut(&id) else { return Ok(()) };
                for run in runs.iter().filter(|run| followed.observed.concerns(&run.stamp)) {
                    found += 1;
                    if followed.observed.next(run.stamp.run) != Some(run.summary.next) {
                        followed.missing.insert(run.stamp.run);
                    }
                }
            }
        }
        if let Some(followed) = self.lock().get_mut(&id) {
            followed.listed = true;
            followed.begin_replay();
        }
        Ok(())
    }

    /// Reads a run, and before it the one that began it, if that is missing too.
    async fn read(&self, id: DeploymentId, run: RunId) -> Result<(), Unread> {
        let mut wanted = vec![run];
        while let Some(run) = wanted.last().copied() {
            match self.read_run(id, run).await? {
                Read::Done => {
                    wanted.pop();
                }
                Read::After(parent) => wanted.push(parent),
            }
        }
        Ok(())
    }

    async fn read_run(&self, id: DeploymentId, run: RunId) -> Result<Read, Unread> {
        loop {
            let Some(from) = self.lock().get(&id).map(|followed| followed.observed.next(run)) else {
                return Ok(Read::Done);
            };
            let from = from.unwrap_or_default();
            let events = self.store.run_events(run, from, PAGE).await?;
            let tools = match events.first() {
                Some(Recorded { event: Event::Plan { stamp, .. }, .. }) => {
                    Arc::clone(&self.tools(stamp.release).await?)
                }
                Some(_) => Arc::default(),
                None => return Ok(Read::Done),
            };
            let is_last = events.len() < PAGE;
            let mut followed = self.lock();
            let Some(followed) = followed.get_mut(&id) else { return Ok(Read::Done) };
            for Recorded { seq, at, event } in events {
                match &event {
                    Event::Plan { stamp, .. } => match followed.began(stamp, &tools) {
                        Taken::NeedsParent(parent) if followed.missing.remove(&parent) => {
                            return Ok(Read::After(parent));
                        }
                        Taken::NeedsParent(_) | Taken::Ignored => return Ok(Read::Done),
                        Taken::New | Taken::Known | Taken::Gap(_) => {}
                    },
                    Event::Started
                    | Event::ModelRequest { .. }
                    | Event::ModelRetry { .. }
                    | Event::ModelResponse(_)
                    | Event::ModelFailed { .. }
                    | Event::Drift { .. }
                    | Event::ToolCall { .. }
                    | Event::ToolResult { .. }
                    | Event::Dialled { .. }
                    | Event::ToolRuled { .. }
                    | Event::ApprovalDecided { .. }
                    | Event::Note { .. }
                    | Event::Score { .. }
                    | Event::Compared(_)
                    | Event::Paused { .. }
                    | Event::Resumed
                    | Event::Parked { .. }
                    | Event::Finished { .. }
                    | Event::Compensated { .. } => followed.events(run, seq, &[(at, event)]),
                }
            }
            if is_last {
                return Ok(Read::Done);
            }
        }
    }
}
