//! What an agent's tier demands of it, what of that is met, and what is missing: one list, [`explain`].
//!
//! It looks and decides nothing: what isn't met here is refused, or alarms, where it is decided. `missing` is what was seen
//! not to be so; what nobody can know yet is `unknown`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::agent::AgentSpec;
use crate::gate;
use crate::id::{AgentName, DeploymentId, ReleaseId};
use crate::key::Scope;
use crate::model::Identity;
use crate::release::ModelId;
use crate::rollout::Plan;
use crate::tier::{Demands, kinds};
use crate::time::Timestamp;
use crate::warm::Callable;
use crate::world::World;

/// One thing that a tier demands of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    pub what: String,
    /// What the tier demands.
    pub demanded: String,
    pub state: State,
    /// Why it stands so: sentences for people.
    pub why: String,
    /// A command that leads on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// Whether a demand is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Met,
    Missing,
    /// There is nothing to judge it by.
    Unknown,
}

/// What the world doesn't say.
pub struct Facts<'a> {
    pub now: Timestamp,
    /// What the catalogue says of a release's model.
    pub judge: &'a dyn Fn(ModelId<'_>) -> Identity,
    pub callable: &'a Calls<'a>,
}

/// Says whether a release can be called for an agent, and why not.
pub type Calls<'a> = dyn Fn(&AgentName, ReleaseId) -> (Callable, Option<String>) + 'a;

/// What an agent's tier demands of it; none where there is no such agent.
#[must_use]
pub fn explain(world: &World, agent: &AgentName, facts: &Facts<'_>) -> Option<Vec<Demand>> {
    let spec = world.agents.get(agent)?;
    let asked = Asked { world, agent, spec, demands: spec.tier.demands(), facts };
    Some(vec![
        asked.models(),
        asked.stamp(),
        asked.store_away(),
        asked.suites(),
        asked.verdicts(),
        asked.second_key(),
        asked.rollout(),
        asked.warm(),
        asked.drift(),
    ])
}

/// Whose demands, and what they are judged by.
struct Asked<'a> {
    world: &'a World,
    agent: &'a AgentName,
    spec: &'a AgentSpec,
    demands: Demands,
    facts: &'a Facts<'a>,
}

impl Asked<'_> {
    fn models(&self) -> Demand {
        let Demands { floating_models, unknown_models, .. } = self.demands;
        let demanded = format!(
            "pinned models; floating: {}; unknown: {}",
            floating_models.words(),
            unknown_models.words()
        );
        let (mut refused, mut said) = (Vec::new(), Vec::new());
        for release in self.releases() {
            let Some(release) = self.world.releases.get(&release) else { continue };
            let overridden = release.model_override.is_some();
            for model in release.manifest.model.models() {
                let identity = (self.facts.judge)(model);
                let word = match &identity {
                    Identity::Pinned { .. } => "pinned",
                    Identity::Floating { .. } => "floating",
                    Identity::Unknown { .. } => "unknown",
                };
                said.push(format!("{} of release {} is {word}", model.snapshot, release.id.short()));
                refused.extend(self.spec.tier.admit(model.snapshot, &identity, overridden).err());
            }
        }
        let next = format!("pinrail release bump {}", self.agent);
        match (refused.first(), said.is_empty()) {
            (Some(first), _) => missing("models", demanded, first.to_string(), next),
            (None, true) => {
                unknown("models", demanded, "nothing is deployed".to_owned(), Some(self.deploy()))
            }
            (None, false) => met("models", demanded, said.join("; ")),
        }
    }

    fn stamp(&self) -> Demand {
        let demanded = format!("a run's stamp is on disk {}", self.demands.stamp.words());
        met("stamp", demanded, "every run of the agent is stamped so".to_owned())
    }

    fn store_away(&self) -> Demand {
        let demanded = format!("while the store is away, {}", self.demands.stamp.while_away());
        met("store away", demanded, "it follows from the tier".to_owned())
    }

    fn suites(&self) -> Demand {
        let needed = gate::required(self.spec);
        let own = self.spec.gate.clone().unwrap_or_default();
        let demanded = format!("suites that a promotion must pass: {}", kinds(&self.demands));
        let lacking: Vec<&str> = needed
            .iter()
            .filter(|kind| !own.suites.iter().any(|suite| suite.kind == **kind))
            .map(|kind| kind.as_str())
            .collect();
        if !lacking.is_empty() {
            let why =
                format!("its settings list no suite of kind {}: nothing can be promoted", lacking.join(", "));
            let next = format!(
                "write the suites in agents/{}/evals and name them in its agent.toml (docs/suites.md), then `pinrail apply`",
                self.agent
            );
            return missing("suites", demanded, why, next);
        }
        let why = match (own.suites.len(), needed.is_empty()) {
            (0, _) => "it has none".to_owned(),
            (count, true) => format!("it has {count} of its own, and no promotion needs them"),
            (count, false) => format!("it has {count}"),
        };
        met("suites", demanded, why)
    }

    /// The verdicts of its candidates.
    fn verdicts(&self) -> Demand {
        let max_age = self.spec.gate.as_ref().and_then(|gate| gate.max_age);
        let demanded = match gate::required(self.spec).is_empty() {
            true => "no verdict is needed".to_owned(),
            false => format!(
                "a verdict of exactly this candidate, incumbent and suite, not older than {}",
                max_age.unwrap_or(self.demands.gate_max_age)
            ),
        };
        let (mut lacking, mut candidates) = (Vec::new(), 0);
        for id in self.pointed(|pointer| pointer.candidate) {
            let Some(deployment) = self.world.deployments.get(&id) else { continue };
            candidates += 1;
            let (releases, segment) = (&deployment.releases, &deployment.segment);
            let found = gate::missing(self.world, releases, segment, &deployment.waivers, self.facts.now);
            let own = found.into_iter().filter(|missing| missing.agent == *self.agent);
            lacking.extend(own.map(|missing| (id, missing.to_string())));
        }
        match lacking.first() {
            Some((id, _)) => {
                let why: Vec<String> =
                    lacking.iter().map(|(id, what)| format!("deployment {id}: {what}")).collect();
                missing("verdicts", demanded, why.join("; "), format!("pinrail gate run {id}"))
            }
            None if candidates == 0 => met("verdicts", demanded, "it has no candidate".to_owned()),
            None => met("verdicts", demanded, "its candidate has what it needs".to_owned()),
        }
    }

    fn second_key(&self) -> Demand {
        if !self.demands.override_needs_second {
            return met(
                "override",
                "an override of the gate takes one key".to_owned(),
                "any that may deploy".to_owned(),
            );
        }
        let demanded = "an override of the gate takes two keys".to_owned();
        let able = self.world.keys.values().filter(|key| key.allows(Scope::Deploy)).count();
        if able >= 2 {
            return met("override", demanded, format!("{able} keys may deploy"));
        }
        let why = format!("{able} keys may deploy, so nobody could second an override");
        missing("override", demanded, why, "pinrail key create NAME --scope deploy".to_owned())
    }

    fn rollout(&self) -> Demand {
        let demanded = format!("a rollout by {}", self.demands.rollout.words());
        let plan = Plan::of(self.agent, self.spec, &crate::id::SegmentName::default_segment());
        let own = |is: bool| if is { "its own" } else { "the tier's" };
        let settings = self.spec.rollout.clone().unwrap_or_default();
        let why = format!(
            "{} steps, {}, and {} guardrails, {}",
            plan.steps.len(),
            own(settings.steps.is_some()),
            plan.guardrails.len(),
            own(settings.guardrails.is_some())
        );
        met("rollout", demanded, why)
    }

    fn warm(&self) -> Demand {
        let wanted = self.spec.warm();
        let demanded = format!("what serves and the {} releases before it can be called", self.demands.warm);
        let warm = self.world.warm(self.agent);
        let next = "pinrail warm probe".to_owned();
        if warm.is_empty() {
            return unknown("warm", demanded, "nothing is deployed".to_owned(), Some(self.deploy()));
        }
        let (mut bad, mut open) = (Vec::new(), Vec::new());
        for one in &warm {
            let place = format!("release {} of {}/{}", one.release.short(), self.agent, one.segment);
            let (callable, why) = (self.facts.callable)(self.agent, one.release);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            match callable {
                Callable::Yes => {}
                Callable::Unknown => open.push(format!("{place} wasn't probed yet")),
                Callable::Failing | Callable::Refused | Callable::Gone => {
                    bad.push(format!("{place} cannot be called{why}"));
                }
            }
        }
        let back = |segment| warm.iter().filter(|one| one.segment == segment && one.steps_back > 0).count();
        let segments: BTreeSet<_> = warm.iter().map(|one| one.segment.clone()).collect();
        let stuck = segments.iter().filter(|segment| wanted > 0 && back((*segment).clone()) == 0);
        bad.extend(stuck.map(|segment| {
            format!("nothing served {}/{segment} before: a rollback would leave nothing", self.agent)
        }));
        match (bad.is_empty(), open.is_empty()) {
            (false, _) => {
                let next = format!("{next}; then deploy a release that can be called (`pinrail readiness`)");
                missing("warm", demanded, bad.join("; "), next)
            }
            (true, false) => unknown("warm", demanded, open.join("; "), Some(next)),
            (true, true) => {
                let count = warm.len();
                met("warm", demanded, format!("{count} releases, all of which can be called"))
            }
        }
    }

    fn drift(&self) -> Demand {
        let demanded = format!("when something drifted: {}", self.demands.on_drift.words());
        let mut open: Vec<String> = Vec::new();
        let mut first = None;
        let releases: BTreeSet<ReleaseId> = self
            .releases()
            .into_iter()
            .chain(self.world.warm(self.agent).into_iter().map(|warm| warm.release))
            .collect();
        for release in releases {
            for finding in self.world.findings_of(release) {
                let said = format!("finding {}: {}", finding.seq, finding.what);
                first = first.or(Some(finding.seq));
                if !open.contains(&said) {
                    open.push(said);
                }
            }
        }
        if let Some(first) = first {
            let next = format!("look at it, then `pinrail drift clear {first} --reason …`");
            return missing("drift", demanded, open.join("; "), next);
        }
        let own = self.spec.on_drift();
        let why = if own == self.demands.on_drift {
            "nothing drifted".to_owned()
        } else {
            format!("nothing drifted; its settings say otherwise: {}", own.words())
        };
        met("drift", demanded, why)
    }

    /// The releases that its pointers name.
    fn releases(&self) -> BTreeSet<ReleaseId> {
        let deployments = self.pointed(|pointer| pointer.active).into_iter();
        let deployments = deployments.chain(self.pointed(|pointer| pointer.candidate));
        deployments
            .filter_map(|id| self.world.deployments.get(&id)?.releases.get(self.agent).copied())
            .collect()
    }

    fn pointed(
        &self,
        which: impl Fn(&crate::deployment::Pointer) -> Option<DeploymentId>,
    ) -> BTreeSet<DeploymentId> {
        let own = self.world.pointers.iter().filter(|((owner, _), _)| owner == self.agent);
        own.filter_map(|(_, pointer)| which(pointer)).collect()
    }

    fn deploy(&self) -> String {
        format!("pinrail deploy {}=RELEASE", self.agent)
    }
}

fn met(what: &str, demanded: String, why: String) -> Demand {
    Demand { what: what.to_owned(), demanded, state: State::Met, why, next_step: None }
}

fn missing(what: &str, demanded: String, why: String, next: String) -> Demand {
    Demand { what: what.to_owned(), demanded, state: State::Missing, why, next_step: Some(next) }
}

fn unknown(what: &str, demanded: String, why: String, next_step: Option<String>) -> Demand {
    Demand { what: what.to_owned(), demanded, state: State::Unknown, why, next_step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::Traffic;
    use crate::ledger::Body;
    use crate::share::Share;
    use crate::tier::Tier;
    use crate::world::tests::play::{Play, agent, judge};

    fn states(play: &Play, callable: Callable) -> Vec<(String, State)> {
        let facts = Facts {
            now: Timestamp(0),
            judge: &judge,
            callable: &|_, _| (callable, Some("it is gone".to_owned())),
        };
        let all = explain(&play.world, &agent("planner"), &facts).unwrap();
        for demand in &all {
            assert!(demand.state != State::Missing || demand.next_step.is_some(), "{demand:?}");
        }
        let open = all.into_iter().filter(|demand| demand.state != State::Met);
        open.map(|demand| (demand.what, demand.state)).collect()
    }

    fn put(play: &mut Play, tier: Tier) {
        let mut spec = AgentSpec::clone(&play.world.agents[&agent("planner")]);
        spec.tier = tier;
        play.append(vec![Body::AgentPut { agent: agent("planner"), spec }]);
    }

    #[test]
    fn an_agent_hears_what_its_tier_lacks() {
        use State::{Missing, Unknown};
        let mut play = Play::new();
        let check = |play: &Play, callable, expected: &[(&str, State)]| {
            let expected: Vec<(String, State)> =
                expected.iter().map(|(what, state)| ((*what).to_owned(), *state)).collect();
            assert_eq!(states(play, callable), expected);
        };
        assert_eq!(
            explain(
                &play.world,
                &agent("nobody"),
                &Facts { now: Timestamp(0), judge: &judge, callable: &|_, _| (Callable::Yes, None) }
            ),
            None
        );
        check(&play, Callable::Yes, &[("models", Unknown), ("warm", Unknown)]);
        play.open(&["planner"], 1, "default", Traffic::Now);
        check(&play, Callable::Yes, &[("warm", Missing)]);
        play.open(&["planner"], 2, "default", Traffic::Now);
        check(&play, Callable::Yes, &[]);
        check(&play, Callable::Unknown, &[("warm", Unknown)]);
        check(&play, Callable::Gone, &[("warm", Missing)]);
        put(&mut play, Tier::Critical);
        check(&play, Callable::Yes, &[("suites", Missing), ("override", Missing)]);
        play.open(&["planner"], 3, "default", Traffic::Canary(Share::NONE));
        check(&play, Callable::Yes, &[("suites", Missing), ("verdicts", Missing), ("override", Missing)]);
        put(&mut play, Tier::Throwaway);
        check(&play, Callable::Yes, &[]);
    }
}
