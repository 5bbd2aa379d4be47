//! Runs in memory: their events, and what sessions are bound to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::collect::{FIRST_DAY, RunDay, day_of};
use pinrail_domain::journal::{Event, Recorded, Stamp, Summary};
use pinrail_domain::ledger::Body;
use pinrail_domain::time::{Day, Timestamp};

use super::{Kept, Memory, Strike};
use crate::journal::{
    Append, CollectError, Follow, Found, OpenRuns, Run, RunFilter, Search, SessionKey, Start, Write,
    WriteError, Written,
};
use crate::{Journal, StoreError};

pub(super) struct StoredRun {
    stamp: Stamp,
    summary: Summary,
    events: Vec<Recorded>,
}

pub(super) struct Binding {
    deployment: DeploymentId,
    /// Rises with every binding written.
    written: u64,
}

/// What looking at a run's journal came to.
enum Said {
    Yes,
    No,
    /// Not in what was read of it.
    NotSoFar,
}

impl Kept {
    fn journal(&mut self, write: Write) -> Result<Written, WriteError> {
        if let Some(answer) = self.given(write.answer()) {
            return Err(WriteError::Answered(answer));
        }
        match write {
            Write::Start(start) => self.start(*start),
            Write::Append(append) => self.extend(append),
        }
    }

    fn start(&mut self, start: Start) -> Result<Written, WriteError> {
        if self.runs.contains_key(&start.stamp.run) {
            return Err(WriteError::Exists(start.stamp.run));
        }
        start.check_epoch(self.epoch())?;
        let session = SessionKey::of(&start.stamp);
        let bound = session.as_ref().and_then(|key| self.bindings.get(key));
        start.check_binding(bound.map(|binding| binding.deployment))?;
        let summary = start.summary()?;

        if let (Some(session), Some(_)) = (session, start.bind) {
            self.bindings_written += 1;
            let binding = Binding { deployment: start.stamp.deployment, written: self.bindings_written };
            self.bindings.insert(session, binding);
        }
        let mut events = vec![start.plan()];
        record(&mut events, start.events);
        let run = StoredRun { stamp: start.stamp, summary: summary.clone(), events };
        self.runs.insert(run.stamp.run, run);
        self.keep(start.answer);
        Ok(Written { summary })
    }

    fn extend(&mut self, append: Append) -> Result<Written, WriteError> {
        let run = self.runs.get_mut(&append.run).ok_or(WriteError::NoRun(append.run))?;
        let (_, summary) = append.follow(&run.summary)?;
        run.summary = summary.clone();
        record(&mut run.events, append.events);
        if let Some(follow) = append.follows {
            let Follow { session, deployment } = *follow;
            self.bindings_written += 1;
            let binding = Binding { deployment, written: self.bindings_written };
            self.bindings.insert(session, binding);
        }
        self.keep(append.answer);
        Ok(Written { summary })
    }
}

impl Memory {
    pub(super) fn write_batch(&self, kept: &mut Kept, writes: &[Write]) -> Vec<Result<Written, WriteError>> {
        let mut touched = BTreeSet::new();
        let carry_out = |write: Write| {
            let run = write.run();
            let begins = matches!(write, Write::Start(_));
            let written = kept.journal(write);
            if written.is_ok() {
                touched.insert(run);
                if begins {
                    kept.together.begun.insert(run, self.me);
                }
            }
            written
        };
        let all = writes.iter().cloned().map(carry_out).collect();
        self.wrote(kept, touched);
        all
    }
}

impl Kept {
    fn matches(&self, run: &StoredRun, filter: &RunFilter) -> bool {
        let begun_by = self.together.begun.get(&run.stamp.run).copied().unwrap_or_default();
        filter.replica.is_none_or(|replica| replica == begun_by) && run.matches(filter)
    }
}

impl StoredRun {
    /// Whether the run itself is one of those: who began it isn't in it.
    fn matches(&self, filter: &RunFilter) -> bool {
        let RunFilter {
            agent,
            release,
            deployment,
            status,
            outcome,
            session,
            tenants,
            single,
            shadow,
            gate,
            replica: _,
            since,
            until,
        } = filter;
        let StoredRun { stamp, summary, .. } = self;
        agent.as_ref().is_none_or(|agent| stamp.agent == *agent)
            && release.is_none_or(|release| stamp.release == release)
            && deployment.is_none_or(|deployment| stamp.deployment == deployment)
            && status.is_none_or(|status| summary.status == status)
            && outcome.is_none_or(|outcome| summary.outcome == Some(outcome))
            && session.as_ref().is_none_or(|session| stamp.session.as_ref() == Some(session))
            && tenants.as_ref().is_none_or(|tenants| tenants.contains(&stamp.tenant))
            && single.is_none_or(|single| stamp.single == single)
            && shadow.is_none_or(|shadow| stamp.shadow.is_some() == shadow)
            && gate.is_none_or(|gate| (stamp.deployment == DeploymentId(0)) == gate)
            && since.is_none_or(|since| summary.started_at >= since)
            && until.is_none_or(|until| summary.started_at < until)
    }

    /// Whether the run says the text; adds what it takes to find out to `bytes`.
    fn says(&self, search: &Search, bytes: &mut u64) -> Said {
        let mut own = 0;
        for Recorded { seq, at: _, event } in &self.events {
            if own > search.reach.run_bytes_max {
                return Said::NotSoFar;
            }
            // The stamp is no journal to read: every list has it.
            let length = match seq.0 {
                0 => 0,
                _ => serde_json::to_string(event).expect("an event is plain data").len() as u64,
            };
            own += length;
            *bytes += length;
            if search.text.is_in_event(event) {
                return Said::Yes;
            }
        }
        Said::No
    }

    fn run(&self) -> Run {
        Run { stamp: self.stamp.clone(), summary: self.summary.clone() }
    }
}

#[async_trait]
impl Journal for Memory {
    async fn journal_write(&self, writes: Arc<Vec<Write>>) -> Vec<Result<Written, WriteError>> {
        writes.iter().for_each(Write::assert_whole);
        let mut kept = self.lock();
        for writes in std::mem::take(&mut kept.later) {
            self.write_batch(&mut kept, &writes);
        }
        let later = matches!(kept.failures.front(), Some((Strike::Later, _)));
        let all = self.write_to(&mut kept, |kept| self.write_batch(kept, &writes));
        if later {
            kept.later.push(Arc::clone(&writes));
        }
        all.unwrap_or_else(|error| vec![Err(WriteError::Store(error)); writes.len()])
    }

    async fn run_erase(&self, runs: &[RunId]) -> Result<u64, StoreError> {
        self.write(|kept| {
            let mut erased = 0;
            for id in runs {
                let events = kept.runs.get_mut(id).map_or(&mut [][..], |run| &mut run.events);
                let before = events.to_vec();
                for recorded in &mut *events {
                    recorded.event = recorded.event.clone().without_content();
                }
                let mut had_content = before != events;
                for approval in kept.approvals.values_mut().filter(|approval| approval.run == *id) {
                    had_content |= approval.arguments.is_some();
                    *approval = approval.clone().without_content();
                }
                erased += u64::from(had_content);
            }
            erased
        })
    }

    async fn run_days(&self, until: Day) -> Result<Vec<RunDay>, StoreError> {
        let kept = self.lock();
        let mut days: BTreeMap<Day, RunDay> = BTreeMap::new();
        for (id, run) in &kept.runs {
            let day = day_of(*id);
            if (FIRST_DAY..until).contains(&day) {
                let of = days.entry(day).or_insert(RunDay { day, runs: 0, open: 0 });
                of.runs += 1;
                of.open += u64::from(run.summary.status.is_open());
            }
        }
        Ok(days.into_values().collect())
    }

    async fn run_collect(&self, day: Day) -> Result<u64, CollectError> {
        self.write(|kept| {
            let says = |body: &Body| matches!(body, Body::JournalCollected { before, .. } if day < *before);
            if day < FIRST_DAY || !kept.ledger.iter().any(|entry| says(&entry.body)) {
                return Err(CollectError::NotEntered(day));
            }
            let of_day = kept.runs.iter().filter(|(id, _)| day_of(**id) == day);
            let open = of_day.clone().filter(|(_, run)| run.summary.status.is_open()).count() as u64;
            if open > 0 {
                return Err(CollectError::Open { day, open });
            }
            let gone: BTreeSet<RunId> = of_day.map(|(id, _)| *id).collect();
            kept.runs.retain(|id, _| !gone.contains(id));
            for approval in kept.approvals.values_mut().filter(|approval| gone.contains(&approval.run)) {
                *approval = approval.clone().without_content();
            }
            Ok(gone.len() as u64)
        })?
    }

    async fn run_get(&self, run: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.lock().runs.get(&run).map(StoredRun::run))
    }

    async fn run_events(
        &self,
        run: RunId,
        from: EventSeq,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let kept = self.lock();
        let events = kept.runs.get(&run).map_or(&[][..], |run| &run.events);
        Ok(events.iter().filter(|event| event.seq >= from).take(limit).cloned().collect())
    }

    async fn run_list(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        let kept = self.lock();
        let newest_first = kept.runs.iter().rev();
        let older = newest_first.filter(|(id, _)| before.is_none_or(|before| **id < before));
        let matching = older.filter(|(_, run)| kept.matches(run, filter));
        Ok(matching.take(limit).map(|(_, run)| run.run()).collect())
    }

    async fn run_search(
        &self,
        search: &Search,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let kept = self.lock();
        let newest_first = kept.runs.iter().rev();
        let older = newest_first.filter(|(id, _)| before.is_none_or(|before| **id < before));
        let mut found = Found::default();
        let mut bytes = 0;
        for (id, run) in older.filter(|(_, run)| kept.matches(run, &search.filter)) {
            let far = found.looked_at >= search.reach.runs_max || bytes >= search.reach.bytes_max;
            if found.runs.len() >= limit || (far && found.looked_at > 0) {
                found.more = true;
                break;
            }
            found.looked_at += 1;
            found.last = Some((*id, run.summary.started_at));
            match run.says(search, &mut bytes) {
                Said::Yes => found.runs.push(run.run()),
                Said::No => {}
                Said::NotSoFar => found.in_part += 1,
            }
        }
        Ok(found)
    }

    async fn run_open(&self, deployment: DeploymentId) -> Result<OpenRuns, StoreError> {
        let kept = self.lock();
        let mut open = OpenRuns::default();
        for run in kept.runs.values().filter(|run| run.stamp.deployment == deployment) {
            open.add(run.summary.status, 1);
        }
        Ok(open)
    }

    async fn run_open_total(&self) -> Result<u64, StoreError> {
        Ok(self.lock().runs.values().filter(|run| run.summary.status.is_open()).count() as u64)
    }

    async fn session_get(&self, key: &SessionKey) -> Result<Option<DeploymentId>, StoreError> {
        Ok(self.lock().bindings.get(key).map(|binding| binding.deployment))
    }

    async fn sessions_recent(&self, limit: usize) -> Result<Vec<(SessionKey, DeploymentId)>, StoreError> {
        let kept = self.lock();
        let mut bindings: Vec<_> = kept.bindings.iter().collect();
        bindings.sort_by_key(|(_, binding)| std::cmp::Reverse(binding.written));
        let recent = bindings.into_iter().take(limit);
        Ok(recent.map(|(key, binding)| (key.clone(), binding.deployment)).collect())
    }
}

fn record(events: &mut Vec<Recorded>, more: Vec<(Timestamp, Event)>) {
    for (at, event) in more {
        let seq = EventSeq(events.len() as u64);
        events.push(Recorded { seq, at, event });
    }
}
