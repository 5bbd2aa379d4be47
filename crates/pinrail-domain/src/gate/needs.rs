//! What a promotion still needs of the gate, worked out from the world at the moment of the promotion (I14).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GateSpec, Judged, SuiteJudged, SuiteKind, SuitePin};
use crate::agent::AgentSpec;
use crate::deployment::{Deployment, GateVerdict};
use crate::id::{AgentName, GateId, LedgerSeq, ReleaseId, SegmentName};
use crate::ledger::Actor;
use crate::rollout::quantity::Span;
use crate::time::Timestamp;
use crate::world::World;

/// What the gate still has against one agent's part of a promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    pub agent: AgentName,
    pub candidate: ReleaseId,
    /// What it is compared with: what its segment serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    /// Never empty.
    pub unmet: Vec<Unmet>,
}

/// One thing that is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "unmet", rename_all = "snake_case")]
pub enum Unmet {
    /// The agent's settings list no suite of a kind that is needed.
    NoSuite { kind: SuiteKind },
    /// No gate ever judged exactly this candidate, incumbent and suite.
    NoVerdict { suite: String, kind: SuiteKind },
    /// The newest verdict isn't a pass.
    NotPassed { suite: String, kind: SuiteKind, verdict: GateVerdict, gate: GateId },
    /// The newest verdict is older than counts.
    Old { suite: String, kind: SuiteKind, gate: GateId, at: Timestamp, max_age: Span },
    /// It was judged by more lenient rules than the agent's settings have now.
    Lenient { suite: String, kind: SuiteKind, gate: GateId },
    /// Nothing says which model answered.
    Unserved { suite: String, kind: SuiteKind, gate: GateId },
}

/// A person's word that a deployment may do without some kinds of suites.
///
/// It holds for this deployment against the incumbents of that moment only, and in tier `critical` from when a second
/// key says so, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiver {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    pub by: Actor,
    pub reason: String,
    pub kinds: Vec<SuiteKind>,
    pub incumbents: BTreeMap<AgentName, Option<ReleaseId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconded: Option<Seconded>,
}

/// Who else said so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seconded {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    pub by: Actor,
}

/// What the gate still has against promoting these releases in a segment; empty where nothing is.
#[must_use]
pub fn missing(
    world: &World,
    releases: &BTreeMap<AgentName, ReleaseId>,
    segment: &SegmentName,
    waivers: &[Waiver],
    now: Timestamp,
) -> Vec<Missing> {
    let waived = |spec: &AgentSpec, agent: &AgentName, incumbent: Option<ReleaseId>| -> BTreeSet<SuiteKind> {
        let counts = |waiver: &&Waiver| {
            let said = !spec.tier.demands().override_needs_second || waiver.is_of_two_keys();
            said && waiver.incumbents.get(agent) == Some(&incumbent)
        };
        waivers.iter().filter(counts).flat_map(|waiver| waiver.kinds.iter().copied()).collect()
    };
    let of = |(agent, candidate): (&AgentName, &ReleaseId)| {
        let spec = world.agents.get(agent)?;
        let incumbent = incumbent(world, agent, segment);
        let mut kinds = required(spec);
        for kind in waived(spec, agent, incumbent) {
            kinds.remove(&kind);
        }
        asked(world, agent, spec, (*candidate, incumbent), &kinds, now)
    };
    releases.iter().filter_map(of).collect()
}

/// What a rollout's step `gate` still waits for: all suites of its agents, or a person's verdict where none are listed
/// and none are needed.
#[must_use]
pub fn step_missing(world: &World, deployment: &Deployment, now: Timestamp) -> Vec<String> {
    let said = deployment.gate.as_ref().map(|gate| gate.verdict);
    match said {
        Some(GateVerdict::Fail) => return vec!["a gate that passes: the last one failed".to_owned()],
        Some(GateVerdict::Inconclusive) => {
            return vec!["a gate that passes: the last one was inconclusive".to_owned()];
        }
        Some(GateVerdict::Pass) | None => {}
    }
    let Deployment { releases, segment, waivers, .. } = deployment;
    let specs: Vec<_> = releases.keys().filter_map(|agent| Some((agent, world.agents.get(agent)?))).collect();
    let needed = specs.iter().any(|(_, spec)| !required(spec).is_empty());
    let listed = specs.iter().any(|(_, spec)| spec.gate.as_ref().is_some_and(|gate| !gate.suites.is_empty()));
    let mut missing = missing(world, releases, segment, waivers, now);
    if !needed {
        if said == Some(GateVerdict::Pass) {
            return Vec::new();
        }
        if !listed {
            return vec!["a gate's verdict (no suite is listed: `pinrail gate record`)".to_owned()];
        }
        missing = specs
            .into_iter()
            .filter_map(|(agent, spec)| step_asks(world, agent, spec, deployment, now))
            .collect();
    }
    missing.iter().map(ToString::to_string).collect()
}

/// The release that a segment serves now for an agent: its own, or the default one's.
#[must_use]
pub fn incumbent(world: &World, agent: &AgentName, segment: &SegmentName) -> Option<ReleaseId> {
    let own = world.pointer(agent, segment).active;
    let active = own.or_else(|| world.pointer(agent, &SegmentName::default_segment()).active)?;
    world.deployments.get(&active)?.releases.get(agent).copied()
}

/// The kinds of suites that a promotion of the agent needs.
#[must_use]
pub fn required(spec: &AgentSpec) -> BTreeSet<SuiteKind> {
    let own = spec.gate.as_ref().map(|gate| gate.requires.clone()).unwrap_or_default();
    spec.tier.demands().gate.iter().copied().chain(own).collect()
}

fn step_asks(
    world: &World,
    agent: &AgentName,
    spec: &AgentSpec,
    deployment: &Deployment,
    now: Timestamp,
) -> Option<Missing> {
    let kinds: BTreeSet<SuiteKind> =
        spec.gate.iter().flat_map(|gate| &gate.suites).map(|suite| suite.kind).collect();
    let pair = (*deployment.releases.get(agent)?, incumbent(world, agent, &deployment.segment));
    asked(world, agent, spec, pair, &kinds, now)
}

/// What is missing of these kinds; none where nothing is, or nothing would change for the agent.
fn asked(
    world: &World,
    agent: &AgentName,
    spec: &AgentSpec,
    (candidate, incumbent): (ReleaseId, Option<ReleaseId>),
    kinds: &BTreeSet<SuiteKind>,
    now: Timestamp,
) -> Option<Missing> {
    if incumbent == Some(candidate) {
        return None;
    }
    let gate = spec.gate.clone().unwrap_or_default();
    let max_age = gate.max_age.unwrap_or(spec.tier.demands().gate_max_age);
    let ask = Ask {
        world,
        agent,
        candidate,
        incumbent,
        gate: &gate,
        needs_served: spec.tier.demands().override_needs_second,
        max_age,
        now,
    };
    let unmet: Vec<Unmet> = kinds.iter().flat_map(|kind| ask.kind(*kind)).collect();
    (!unmet.is_empty()).then(|| Missing { agent: agent.clone(), candidate, incumbent, unmet })
}

struct Ask<'a> {
    world: &'a World,
    agent: &'a AgentName,
    candidate: ReleaseId,
    incumbent: Option<ReleaseId>,
    gate: &'a GateSpec,
    needs_served: bool,
    max_age: Span,
    now: Timestamp,
}

impl Waiver {
    /// Whether somebody's key said it, so that another's can second it.
    #[must_use]
    pub fn is_of_a_key(&self) -> bool {
        matches!(self.by, Actor::Key { .. })
    }

    /// Whether two keys said it. What was said without one doesn't become two persons' word by one key.
    #[must_use]
    pub fn is_of_two_keys(&self) -> bool {
        self.is_of_a_key() && self.seconded.is_some()
    }
}

impl Unmet {
    #[must_use]
    pub fn kind(&self) -> SuiteKind {
        match self {
            Unmet::NoSuite { kind }
            | Unmet::NoVerdict { kind, .. }
            | Unmet::NotPassed { kind, .. }
            | Unmet::Old { kind, .. }
            | Unmet::Lenient { kind, .. }
            | Unmet::Unserved { kind, .. } => *kind,
        }
    }
}

impl Ask<'_> {
    fn kind(&self, kind: SuiteKind) -> Vec<Unmet> {
        let mut suites = self.gate.suites.iter().filter(|suite| suite.kind == kind).peekable();
        if suites.peek().is_none() {
            return vec![Unmet::NoSuite { kind }];
        }
        suites.filter_map(|suite| self.suite(suite)).collect()
    }

    fn suite(&self, pin: &SuitePin) -> Option<Unmet> {
        let (suite, kind) = (pin.name.clone(), pin.kind);
        let Some((judged, said)) = self.newest(pin) else { return Some(Unmet::NoVerdict { suite, kind }) };
        let gate = judged.gate;
        if said.verdict != GateVerdict::Pass {
            return Some(Unmet::NotPassed { suite, kind, verdict: said.verdict, gate });
        }
        if judged.at.plus_ms(self.max_age.ms) < self.now {
            return Some(Unmet::Old { suite, kind, gate, at: judged.at, max_age: self.max_age });
        }
        let floor_held = self.incumbent.is_some() || said.floor.is_some_and(|floor| floor >= pin.floor());
        if said.margin > pin.margin() || judged.judgement.alpha > self.gate.alpha() || !floor_held {
            return Some(Unmet::Lenient { suite, kind, gate });
        }
        if self.needs_served && judged.judgement.served.is_empty() {
            return Some(Unmet::Unserved { suite, kind, gate });
        }
        None
    }

    /// The newest judgement of exactly this candidate, this incumbent and this suite.
    fn newest(&self, pin: &SuitePin) -> Option<(&Judged, &SuiteJudged)> {
        let judged = self.world.gates.get(self.agent)?.iter().rev();
        let same = judged.filter(|judged| {
            judged.judgement.candidate == self.candidate && judged.judgement.incumbent == self.incumbent
        });
        let mut with = same.filter_map(|judged| {
            let mut suites = judged.judgement.suites.iter();
            Some((&**judged, suites.find(|said| said.digest == pin.digest && said.kind == pin.kind)?))
        });
        with.next()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { agent, candidate, incumbent, unmet } = self;
        write!(f, "a passing gate of {agent}={}", candidate.short())?;
        match incumbent {
            Some(incumbent) => write!(f, " against {}", incumbent.short())?,
            None => f.write_str(" alone (nothing is active)")?,
        }
        for (index, unmet) in unmet.iter().enumerate() {
            write!(f, "{}{unmet}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmet::NoSuite { kind } => write!(f, "no {kind} suite is listed"),
            Unmet::NoVerdict { suite, kind } => write!(f, "{kind} suite {suite} has no verdict"),
            Unmet::NotPassed { suite, kind, verdict, .. } => {
                write!(f, "{kind} suite {suite} ended {}", verdict.as_str())
            }
            Unmet::Old { suite, kind, at, max_age, .. } => {
                write!(f, "the verdict on {kind} suite {suite} is of {}, and counts {max_age}", at.rfc3339())
            }
            Unmet::Lenient { suite, kind, .. } => {
                write!(f, "{kind} suite {suite} was judged by more lenient settings than the agent's")
            }
            Unmet::Unserved { suite, kind, .. } => {
                write!(f, "nothing says which model answered {kind} suite {suite}")
            }
        }
    }
}
