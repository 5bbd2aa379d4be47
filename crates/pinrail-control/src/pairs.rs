//! Pairs of answers: what a candidate said to a copy, beside what was served.

use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::{Compared, Event, ModelResponse};
use pinrail_domain::key::Tenants;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};

use crate::Control;

/// A candidate's answer to a copy, and the live one.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The candidate's run.
    pub run: Run,
    /// None where there is nothing to compare.
    pub compared: Option<Compared>,
    pub candidate: Option<ModelResponse>,
    /// Why the candidate gave no answer.
    pub failed: Option<String>,
    /// The run that was served.
    pub live: Option<Run>,
    pub served: Option<ModelResponse>,
}

/// Which pairs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest, older than a run if one is given.
    Newest { before: Option<RunId> },
    /// Those that differ most, the newer first among equals, of the newest [`WORST_OF`].
    Worst,
}

/// Runs among which the worst are looked for.
pub const WORST_OF: usize = 10_000;
/// Runs read at once while the worst are looked for.
const PAGE: usize = 1_000;
/// Events of a candidate's run that are looked at: it is one call, and providers are asked again a few times.
const EVENTS_MAX: usize = 100;
/// Events of a live run among which the call is looked for, and how many are read at once.
const LIVE_EVENTS_MAX: u64 = 5_000;
const LIVE_EVENTS: usize = 500;

impl Control {
    /// A deployment's pairs, of the caller's tenants (I11).
    pub async fn pairs(
        &self,
        deployment: DeploymentId,
        tenants: &Tenants,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let filter = RunFilter { deployment: Some(deployment), shadow: Some(true), ..RunFilter::default() };
        let runs = match order {
            Order::Newest { before } => self.inner.runs.list(tenants, filter, before, limit).await?,
            Order::Worst => self.worst(tenants, filter, limit).await?,
        };
        let mut pairs = Vec::with_capacity(runs.len());
        for run in runs {
            pairs.push(self.pair_of(run, tenants).await?);
        }
        Ok(pairs)
    }

    /// One pair, by the candidate's run; none where that answers no copy for this deployment.
    pub async fn pair(
        &self,
        deployment: DeploymentId,
        run: RunId,
        tenants: &Tenants,
    ) -> Result<Option<Pair>, StoreError> {
        let run = self.inner.runs.get(run, tenants).await?;
        let copy = run.filter(|run| run.stamp.deployment == deployment && run.stamp.shadow.is_some());
        match copy {
            Some(run) => self.pair_of(run, tenants).await.map(Some),
            None => Ok(None),
        }
    }

    async fn worst(
        &self,
        tenants: &Tenants,
        filter: RunFilter,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let (mut compared, mut seen, mut before) = (Vec::new(), 0, None);
        while seen < WORST_OF {
            let page = self.inner.runs.list(tenants, filter.clone(), before, PAGE).await?;
            before = page.last().map(|run| run.stamp.run);
            seen += page.len();
            let is_last = page.len() < PAGE;
            compared.extend(page.into_iter().filter_map(|run| Some((run.summary.divergence?, run))));
            if is_last {
                break;
            }
        }
        compared.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Ok(compared.into_iter().take(limit).map(|(_, run)| run).collect())
    }

    async fn pair_of(&self, run: Run, tenants: &Tenants) -> Result<Pair, StoreError> {
        let mut pair = Pair { run, compared: None, candidate: None, failed: None, live: None, served: None };
        let id = pair.run.stamp.run;
        for recorded in self.inner.store.run_events(id, EventSeq(0), EVENTS_MAX).await? {
            match recorded.event {
                Event::ModelResponse(response) => pair.candidate = Some(*response),
                Event::ModelFailed { why, .. } => pair.failed = Some(why),
                Event::Compared(compared) => pair.compared = Some(*compared),
                Event::Finished { why: Some(why), .. } => {
                    pair.failed.get_or_insert(why);
                }
                Event::Plan { .. }
                | Event::Started
                | Event::ModelRequest { .. }
                | Event::ModelRetry { .. }
                | Event::Drift { .. }
                | Event::ToolCall { .. }
                | Event::ToolResult { .. }
                | Event::Dialled { .. }
                | Event::ToolRuled { .. }
                | Event::ApprovalDecided { .. }
                | Event::Note { .. }
                | Event::Score { .. }
                | Event::Paused { .. }
                | Event::Resumed
                | Event::Parked { .. }
                | Event::Finished { why: None, .. }
                | Event::Compensated { .. } => {}
            }
        }
        let Some(live) = pair.run.stamp.shadow else { return Ok(pair) };
        pair.live = self.inner.runs.get(live, tenants).await?;
        if let (Some(_), Some(compared)) = (&pair.live, &pair.compared) {
            pair.served = self.answer_to(live, compared.call).await?;
        }
        Ok(pair)
    }

    /// The answer to a call of a run.
    async fn answer_to(&self, run: RunId, call: u32) -> Result<Option<ModelResponse>, StoreError> {
        let mut from = EventSeq(0);
        while from.0 < LIVE_EVENTS_MAX {
            let events = self.inner.store.run_events(run, from, LIVE_EVENTS).await?;
            let Some(last) = events.last() else { return Ok(None) };
            from = last.seq.next();
            for recorded in events {
                if let Event::ModelResponse(response) = recorded.event
                    && response.call == call
                {
                    return Ok(Some(*response));
                }
            }
        }
        Ok(None)
    }
}
