//! `/`: the rail. `?q=` narrows it down, `?warn=true` to what needs a look; `?after=AGENT/SEGMENT` is the next page.
//!
//! Everything comes from memory: the world's snapshot, the counters of traffic, what probes found. Lines are in the order of
//! their names, so that nothing moves while somebody reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use pinrail_api::problem::Problem;
use pinrail_api::traffic::{self, Errors};
use pinrail_control::Control;
use pinrail_control::readiness::Surroundings;
use pinrail_dashboard::rail::{Candidate, Held, LINES_MAX, Line, Pinned, Rail, Totals, Turned, Warning};
use pinrail_domain::deployment::{Deployment, Pointer, Status};
use pinrail_domain::dial::{Caller, Position};
use pinrail_domain::id::{AgentName, DeploymentId, ReleaseId, SegmentName, TenantId};
use pinrail_domain::model::{Catalogue, Lifecycle};
use pinrail_domain::rollout::outlook::step_words;
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::Callable;
use pinrail_domain::world::World;
use serde::Deserialize;

use super::form;
use crate::api;
use crate::call::Call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    q: Option<String>,
    #[serde(default)]
    warn: bool,
    after: Option<String>,
}

/// Lines that need a look and are named at the top.
const NAMED_MAX: usize = 8;
const DAY_MS: u64 = 86_400_000;

/// What is read once for all lines.
struct Gathered<'a> {
    control: &'a Control,
    world: &'a World,
    catalogue: Arc<Catalogue>,
    around: Surroundings,
    traffic: HashMap<(AgentName, SegmentName), traffic::Line>,
    drifted: BTreeMap<AgentName, Vec<Warning>>,
    now: Timestamp,
}

pub async fn show(call: Call) -> Result<Rail, Problem> {
    let Query { q, warn, after } = form::query(&call)?;
    let (control, now) = (call.control(), call.state.clock.now());
    let snapshot = control.snapshot();
    let world = &snapshot.world;
    let counted = api::traffic::traffic(control, None, now);
    let paces = counted.lines.iter().filter_map(|line| line.counts.runs_per_minute);
    // Not `sum`, which is -0 of nothing.
    let totals_pace = paces.fold(0.0, |sum, pace| sum + pace);
    let complete = counted.complete;
    let by_place = counted.lines.into_iter().map(|line| ((line.agent.clone(), line.segment.clone()), line));
    let gathered = Gathered {
        control,
        world,
        catalogue: control.catalogue(),
        around: call.surroundings(),
        traffic: by_place.collect(),
        drifted: drifted(world),
        now,
    };
    let dialled = |agent: &AgentName, segment: &SegmentName| {
        let tenant = TenantId::shared();
        let dialled = snapshot.routes.dialled(Caller { agent, segment, tenant: &tenant })?;
        let reason = dialled.by.map(|(_, setting)| setting.reason.clone()).unwrap_or_default();
        (dialled.position != Position::Full).then_some(Turned { position: dialled.position, reason })
    };
    let mut totals = Totals { agents: world.agents.len(), runs_per_minute: totals_pace, ..Totals::default() };
    totals.candidates = candidates(world);
    let (needle, after) = (q.as_ref().map(|q| q.trim().to_lowercase()), after.as_deref().and_then(place));
    let (mut lines, mut next) = (Vec::new(), None);
    for (agent, segment) in places(world) {
        let line = gathered.line(&agent, &segment, dialled(&agent, &segment));
        let looks = !line.warnings.is_empty() || line.hold.is_some() || line.dial.is_some();
        totals.lines += 1;
        if looks {
            totals.warned += 1;
            if totals.first_warned.len() < NAMED_MAX {
                totals.first_warned.push((agent.clone(), segment.clone()));
            }
        }
        let is_later = after.as_ref().is_none_or(|after| (&agent, &segment) > (&after.0, &after.1));
        let is_meant = needle.as_ref().is_none_or(|needle| is_about(&line, needle));
        if !is_later || !is_meant || (warn && !looks) || next.is_some() {
            continue;
        }
        if lines.len() == LINES_MAX {
            next = lines.last().map(|line: &Line| format!("{}/{}", line.agent, line.segment));
            continue;
        }
        lines.push(line);
    }
    Ok(Rail { epoch: world.epoch, seq: world.head.seq, totals, q, warn, lines, complete, next })
}

impl Gathered<'_> {
    fn line(&self, agent: &AgentName, segment: &SegmentName, dial: Option<Turned>) -> Line {
        let key = (agent.clone(), segment.clone());
        let pointer = self.world.pointers.get(&key).cloned().unwrap_or_default();
        let troubles = self.troubles(agent, &pointer);
        let Pointer { active, candidate, weight, hold } = pointer;
        let deployment = |id: DeploymentId| self.world.deployments.get(&id).map(|found| &**found);
        let active = active.and_then(deployment).and_then(|on| self.pinned(agent, on));
        let proven = candidate.and_then(deployment).and_then(|on| {
            let step = on.rollout.as_deref().map(|rollout| {
                let (step, steps) = (rollout.step + 1, rollout.plan.steps.len());
                format!("{}, step {step} of {steps}", step_words(rollout.current()))
            });
            Some(Candidate { pinned: self.pinned(agent, on)?, weight, step })
        });
        let mut warnings = self.drifted.get(agent).cloned().unwrap_or_default();
        warnings.extend(candidate.and_then(deployment).and_then(stopped));
        warnings.extend(troubles);
        let counts = self.traffic.get(&key).map(|line| line.counts.clone());
        Line {
            agent: agent.clone(),
            segment: segment.clone(),
            active,
            candidate: proven,
            dial,
            hold: hold.map(|hold| Held { deployment: hold.deployment, since: hold.since, why: hold.why }),
            warnings,
            runs_per_minute: counts.as_ref().map_or(Some(0.0), |counts| counts.runs_per_minute),
            errors: counts
                .as_ref()
                .map_or(Errors { errors: 0, ended: 0, rate: None }, |counts| counts.errors),
            minutes: counts.map(|counts| counts.minutes).unwrap_or_default(),
        }
    }

    fn pinned(&self, agent: &AgentName, on: &Deployment) -> Option<Pinned> {
        let release = *on.releases.get(agent)?;
        let model = self.world.releases.get(&release)?.manifest.model.snapshot.clone();
        let since = match &on.status {
            Status::Promoted { at, .. } => *at,
            Status::Candidate { .. } | Status::RolledBack { .. } => on.opened_at,
        };
        Some(Pinned { deployment: on.id, release, model, since })
    }

    /// What is wrong with the releases that are proven, that serve, and that the next rollback leads to.
    fn troubles(&self, agent: &AgentName, pointer: &Pointer) -> Vec<Warning> {
        let deployment = |id: DeploymentId| self.world.deployments.get(&id).map(|found| &**found);
        let active = pointer.active.and_then(deployment);
        let back = active.and_then(|on| deployment(self.world.fallback(agent, on)?));
        let places = [
            (pointer.candidate.and_then(deployment), Role::Candidate),
            (active, Role::Active),
            (back, Role::Back),
        ];
        let releases = places.into_iter().filter_map(|(on, role)| Some((*on?.releases.get(agent)?, role)));
        releases.flat_map(|(release, role)| self.trouble(release, role)).collect()
    }

    fn trouble(&self, release: ReleaseId, role: Role) -> Vec<Warning> {
        let mut found = Vec::new();
        let (callable, why) = self.control.callable(self.world, &self.around, release);
        let word = match callable {
            Callable::Gone => Some("model gone"),
            Callable::Refused => Some("can’t be called"),
            Callable::Failing => Some("probe fails"),
            Callable::Yes | Callable::Unknown => None,
        };
        let warning = |what: String, says: String, bad: bool| Warning {
            what,
            says: format!("{}: {says}", role.words()),
            href: "/readiness".to_owned(),
            bad,
        };
        if let Some(word) = word {
            let what = if role == Role::Back { format!("way back: {word}") } else { word.to_owned() };
            found.push(warning(what.clone(), why.unwrap_or(what), role == Role::Active));
        }
        let Some(pin) = self.world.releases.get(&release).map(|release| &release.manifest.model) else {
            return found;
        };
        let Some(provider) = self.world.providers.get(&pin.provider) else { return found };
        let at = match self.catalogue.lifecycle(&provider.catalogue, &pin.snapshot, self.now) {
            Lifecycle::RetiringSoon { at, .. } => at,
            // A model that was retired is gone, as said above.
            Lifecycle::Retired { .. }
            | Lifecycle::Deprecated { .. }
            | Lifecycle::Active
            | Lifecycle::Unlisted => return found,
        };
        let what = format!("retires in {} d", at.ms_since(self.now).div_ceil(DAY_MS));
        let says = format!("its provider ends {} on {}", pin.snapshot, &at.rfc3339()[..10]);
        found.push(warning(what, says, false));
        found
    }
}

/// What a release is to its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Candidate,
    Active,
    /// What the next rollback leads to.
    Back,
}

impl Role {
    fn words(self) -> &'static str {
        match self {
            Role::Candidate => "the candidate",
            Role::Active => "the active release",
            Role::Back => "the release that a rollback leads to",
        }
    }
}

/// Every agent in each of its segments, and wherever else a pointer is.
fn places(world: &World) -> BTreeSet<(AgentName, SegmentName)> {
    let named = world.agents.iter().flat_map(|(agent, spec)| {
        let own = spec.segments.iter().map(|segment| segment.name.clone());
        own.chain([SegmentName::default_segment()]).map(|segment| (agent.clone(), segment))
    });
    named.chain(world.pointers.keys().cloned()).collect()
}

/// Where a cursor points.
fn place(cursor: &str) -> Option<(AgentName, SegmentName)> {
    let (agent, segment) = cursor.split_once('/')?;
    Some((agent.parse().ok()?, segment.parse().ok()?))
}

/// The candidates, each once, however many agents it covers.
fn candidates(world: &World) -> usize {
    world.pointers.values().filter_map(|pointer| pointer.candidate).collect::<BTreeSet<_>>().len()
}

/// What drifted under each agent.
fn drifted(world: &World) -> BTreeMap<AgentName, Vec<Warning>> {
    let mut drifted: BTreeMap<_, Vec<Warning>> = BTreeMap::new();
    for finding in world.findings.values() {
        let warning = Warning {
            what: "drift".to_owned(),
            says: finding.what.clone(),
            href: format!("/drift#f{}", finding.seq),
            bad: true,
        };
        for agent in world.agents_on(&finding.subject) {
            drifted.entry(agent).or_default().push(warning.clone());
        }
    }
    // Of several, one is enough to make people look.
    for warnings in drifted.values_mut() {
        let more = warnings.len().saturating_sub(1);
        warnings.truncate(1);
        if let Some(first) = warnings.first_mut().filter(|_| more > 0) {
            first.what = format!("drift ×{}", more + 1);
        }
    }
    drifted
}

/// Why a candidate stands still.
fn stopped(candidate: &Deployment) -> Option<Warning> {
    let stopped = candidate.rollout.as_deref()?.stopped.as_ref()?;
    let says = pinrail_domain::rollout::outlook::stop_words(&stopped.why);
    Some(Warning {
        what: "stopped".to_owned(),
        says,
        href: format!("/deployments/{}", candidate.id),
        bad: false,
    })
}

/// Whether a text is in what a line says.
fn is_about(line: &Line, needle: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(needle);
    let pinned = |on: &Pinned| {
        has(&on.model) || on.release.to_string().contains(needle) || on.deployment.to_string() == needle
    };
    has(line.agent.as_str())
        || has(line.segment.as_str())
        || line.active.as_ref().is_some_and(pinned)
        || line.candidate.as_ref().is_some_and(|candidate| pinned(&candidate.pinned))
}

#[cfg(test)]
mod tests;
