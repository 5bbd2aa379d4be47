//! What agents' traffic was lately: what an outline of a plan is worked out from.
//!
//! A bounded look at the newest runs, page by page; of a part of them the events are read too, for what rates and values to
//! expect. It is an estimate, and whoever follows the plan sees the truth in `standing`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::id::{AgentName, DeploymentId, EventSeq, RunId, SegmentName, SessionId, TenantId};
use pinrail_domain::journal::{Ending, Event, FaultOf, Outcome, RunStatus, Stamp};
use pinrail_domain::key::Scope;
use pinrail_domain::rollout::Plan;
use pinrail_domain::rollout::outline::{self, Base, Flow, Keys, Outline, Recent};
use pinrail_domain::rollout::spec::Metric;
use pinrail_domain::time::Timestamp;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use pinrail_store::journal::{Run, RunFilter};

use crate::{Control, tasks};

/// How far back is looked: a week has every weekday.
const WINDOW_MS: u64 = 7 * 86_400_000;
/// Runs of each agent that are counted; busier agents are looked at over a shorter time.
const RUNS_MAX: usize = 5_000;
const PAGE_RUNS: usize = 500;
/// Runs of each agent whose events are read: a rate of one in a hundred is seen some times.
const SAMPLED_MAX: usize = 500;
/// Events read of a run; what a longer one does later says nothing new.
const EVENTS_MAX: usize = 500;

impl Control {
    /// Says what a plan takes for these agents in a segment, from their traffic of the last days.
    pub async fn outline(
        &self,
        agents: impl IntoIterator<Item = &AgentName>,
        segment: &SegmentName,
        plan: Plan,
    ) -> Result<Outline, StoreError> {
        let recent = self.recent(agents, segment).await?;
        Ok(tasks::compute(move || outline::outline(&plan, &recent)).await)
    }

    /// What looks wrong about an agent's settings, where they changed how its candidates are proven from what they were
    /// `before`.
    pub async fn doubts(
        &self,
        agent: &AgentName,
        before: Option<&AgentSpec>,
    ) -> Result<Vec<String>, StoreError> {
        let (snapshot, segment) = (self.snapshot(), SegmentName::default_segment());
        let Some(spec) = snapshot.world.agents.get(agent).filter(|spec| spec.rollout.is_some()) else {
            return Ok(Vec::new());
        };
        let plan = Plan::of(agent, spec, &segment);
        if before.is_some_and(|before| Plan::of(agent, before, &segment) == plan) {
            return Ok(Vec::new());
        }
        Ok(self.outline([agent], &segment, plan).await?.doubts)
    }

    async fn recent(
        &self,
        agents: impl IntoIterator<Item = &AgentName>,
        segment: &SegmentName,
    ) -> Result<Recent, StoreError> {
        let (snapshot, now) = (self.snapshot(), self.inner.clock.now());
        let world = &snapshot.world;
        let mut recent = Recent { keys: keys(world), ..Recent::default() };
        for agent in agents {
            let Some(first) = first_deployed(world, agent) else { continue };
            let since = Timestamp(now.0.saturating_sub(WINDOW_MS)).max(first);
            let runs = self.newest_runs(agent, since).await?;
            let span_ms = match runs.last() {
                // There are more within the window than are counted.
                Some(oldest) if runs.len() >= RUNS_MAX => now.ms_since(oldest.summary.started_at),
                Some(_) | None => now.ms_since(since),
            };
            recent.flows.extend(flows(world, agent, segment, &runs, span_ms.max(1)));
            self.measure(agent, &runs, &mut recent).await?;
        }
        Ok(recent)
    }

    async fn newest_runs(&self, agent: &AgentName, since: Timestamp) -> Result<Vec<Run>, StoreError> {
        let filter = RunFilter { agent: Some(agent.clone()), since: Some(since), ..RunFilter::default() };
        let mut runs: Vec<Run> = Vec::new();
        while runs.len() < RUNS_MAX {
            let before = runs.last().map(|run| run.stamp.run);
            let page = self.inner.store.run_list(&filter, before, PAGE_RUNS).await?;
            let is_last = page.len() < PAGE_RUNS;
            runs.extend(page);
            if is_last {
                break;
            }
        }
        Ok(runs)
    }

    async fn measure(&self, agent: &AgentName, runs: &[Run], recent: &mut Recent) -> Result<(), StoreError> {
        let mut units: HashMap<Unit, Seen> = HashMap::new();
        let ended = runs.iter().filter(|run| is_live(run) && run.summary.status == RunStatus::Finished);
        for run in ended.take(SAMPLED_MAX) {
            let events = self.inner.store.run_events(run.stamp.run, EventSeq(0), EVENTS_MAX).await?;
            let seen = units.entry(unit(&run.stamp)).or_default();
            for recorded in &events {
                seen.take(&recorded.event);
            }
            seen.end(run);
        }
        let units: Vec<Seen> = units.into_values().collect();
        for (metric, base) in bases(&units) {
            recent.measured.insert((agent.clone(), metric), base);
        }
        Ok(())
    }
}

/// A session of a tenant, or a run without one.
type Unit = (TenantId, Result<SessionId, RunId>);

/// What a unit's runs showed.
#[derive(Default)]
struct Seen {
    client_fault: bool,
    error: bool,
    refusal: bool,
    empty: bool,
    tool_error: bool,
    drift: bool,
    values: BTreeMap<Metric, (f64, u32)>,
    input_tokens: u64,
    output_tokens: u64,
    cost_nano_usd: Option<u64>,
}

impl Seen {
    fn take(&mut self, event: &Event) {
        match event {
            Event::ModelResponse(response) => {
                self.refusal |= response.refusal;
                let is_cut = response.finish_reason.as_deref() == Some("length");
                self.empty |= response.empty || is_cut || response.ending == Ending::Cut;
                self.value(Metric::FirstByte, response.first_byte_us as f64 / 1_000.0);
                self.value(Metric::Latency, response.last_byte_us as f64 / 1_000.0);
                let usage = response.usage.unwrap_or_default();
                self.input_tokens += usage.input_tokens;
                self.output_tokens += usage.output_tokens;
                if let Some(cost) = response.cost_nano_usd {
                    *self.cost_nano_usd.get_or_insert(0) += cost;
                }
            }
            Event::ModelFailed { fault, .. } => self.client_fault = *fault == FaultOf::Client,
            Event::ToolResult { error, .. } => self.tool_error |= error,
            Event::Drift { .. } => self.drift = true,
            Event::Score { name, value, .. } => self.value(Metric::Score(name.clone()), *value),
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRequest { .. }
            | Event::ModelRetry { .. }
            | Event::ToolCall { .. }
            | Event::Note { .. }
            | Event::Compared(_)
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Finished { .. }
            | Event::Compensated { .. } => {}
        }
    }

    fn end(&mut self, run: &Run) {
        self.error |= run.summary.outcome == Some(Outcome::Error) && !self.client_fault;
        self.client_fault = false;
        let (input, output) =
            (std::mem::take(&mut self.input_tokens), std::mem::take(&mut self.output_tokens));
        if run.summary.calls > 0 {
            self.value(Metric::InputTokens, input as f64);
            self.value(Metric::OutputTokens, output as f64);
        }
        if let Some(cost) = self.cost_nano_usd.take() {
            self.value(Metric::Cost, cost as f64 / 1e9);
        }
    }

    fn value(&mut self, metric: Metric, value: f64) {
        let (sum, count) = self.values.entry(metric).or_default();
        *sum += value;
        *count += 1;
    }
}

fn bases(units: &[Seen]) -> Vec<(Metric, Base)> {
    let count = |of: fn(&Seen) -> bool| {
        let bad = units.iter().filter(|seen| of(seen)).count();
        Base::Rate { bad: bad as u64, units: units.len() as u64 }
    };
    let mut bases = vec![
        (Metric::ErrorRate, count(|seen| seen.error)),
        (Metric::RefusalRate, count(|seen| seen.refusal)),
        (Metric::EmptyRate, count(|seen| seen.empty)),
        (Metric::ToolErrorRate, count(|seen| seen.tool_error)),
        (Metric::DriftRate, count(|seen| seen.drift)),
    ];
    let metrics: BTreeSet<&Metric> = units.iter().flat_map(|seen| seen.values.keys()).collect();
    for metric in metrics {
        let of = units.iter().filter_map(|seen| seen.values.get(metric));
        let mut values: Vec<f64> = of.map(|(sum, count)| sum / f64::from(*count)).collect();
        values.sort_by(f64::total_cmp);
        let base = if matches!(metric, Metric::Score(_)) { spread(&values) } else { Base::Values(values) };
        bases.push((metric.clone(), base));
    }
    bases
}

fn spread(values: &[f64]) -> Base {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    Base::Mean { mean, sd: variance.sqrt(), units: values.len() as u64 }
}

/// An agent's traffic in the segments that a deployment in `segment` serves.
fn flows(world: &World, agent: &AgentName, segment: &SegmentName, runs: &[Run], span_ms: u64) -> Vec<Flow> {
    let mut counted: BTreeMap<&SegmentName, (u64, BTreeSet<Unit>)> = BTreeMap::new();
    for run in runs.iter().filter(|run| is_live(run)) {
        let (runs, units) = counted.entry(&run.stamp.segment).or_default();
        *runs += 1;
        units.insert(unit(&run.stamp));
    }
    let served = served(world, agent, segment);
    served
        .into_iter()
        .map(|(segment, own)| {
            let (runs, units) =
                counted.get(&segment).map_or((0, 0), |(runs, units)| (*runs, units.len() as u64));
            Flow { agent: agent.clone(), segment, span_ms, runs, units, own }
        })
        .collect()
}

/// The segments that a deployment in `segment` reaches, each with a deployment of its own that keeps it out.
fn served(
    world: &World,
    agent: &AgentName,
    segment: &SegmentName,
) -> Vec<(SegmentName, Option<DeploymentId>)> {
    let mut served = vec![(segment.clone(), None)];
    if segment.as_str() == SegmentName::DEFAULT {
        let others = world.agents.get(agent).into_iter().flat_map(|spec| &spec.segments);
        served.extend(others.map(|other| {
            let pointer = world.pointer(agent, &other.name);
            (other.name.clone(), pointer.active.or(pointer.candidate))
        }));
    }
    served
}

/// When an agent's first deployment was opened; nothing was served before.
fn first_deployed(world: &World, agent: &AgentName) -> Option<Timestamp> {
    let mut own = world.deployments.values().filter(|deployment| deployment.releases.contains_key(agent));
    own.next().map(|deployment| deployment.opened_at)
}

fn keys(world: &World) -> Keys {
    let may = world.keys.values().filter(|key| key.scopes.iter().any(|scope| scope.includes(Scope::Deploy)));
    let names = may.map(|key| key.name.clone()).collect();
    if world.keyed { Keys::Named(names) } else { Keys::Open }
}

/// Whether a person was served by it.
fn is_live(run: &Run) -> bool {
    run.stamp.shadow.is_none()
}

fn unit(stamp: &Stamp) -> Unit {
    (stamp.tenant.clone(), stamp.session.clone().ok_or(stamp.run))
}
