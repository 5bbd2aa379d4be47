//! What a gate that somebody asks for would be: whom it compares, by which suites, within which bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use pinrail_control::CommitError;
use pinrail_control::contracts::ContractError;
use pinrail_domain::deploy;
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::gate::{BadGate, GateSpec, SuitePin, incumbent};
use pinrail_domain::id::{AgentName, DeploymentId, GateId, ReleaseId, SegmentName};
use pinrail_domain::rollout::quantity::Usd;
use pinrail_domain::world::World;
use pinrail_gate::run::estimate::ArmFacts;
use pinrail_gate::run::{self, Contestant, Estimate, Judge, Settings};
use pinrail_gate::suite::{AssertKind, Assertion, FORMAT, Suite};
use pinrail_gate::verdict::Held;
use pinrail_store::StoreError;

use super::service::Gates;

/// A gate that somebody wants.
#[derive(Clone, Debug)]
pub struct Wish {
    pub of: Of,
    /// None: all that the agent's settings list.
    pub suites: Vec<String>,
    pub repeats: Option<u32>,
    pub budget: Option<Usd>,
    pub concurrency: Option<u32>,
    pub reuse: bool,
}

/// What is to be judged.
#[derive(Clone, Debug)]
pub enum Of {
    /// All of a candidate's agents.
    Deployment(DeploymentId),
    /// These of a candidate's agents.
    Agents(DeploymentId, BTreeSet<AgentName>),
    /// A release, against this one or what the default segment serves.
    Release { agent: AgentName, candidate: ReleaseId, incumbent: Option<ReleaseId> },
}

/// Why no gate is started.
#[derive(Debug, thiserror::Error)]
pub enum StartRefused {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("deployment {0} is a data job: it has no release to judge")]
    Ingest(DeploymentId),
    #[error("deployment {id} is {state}, so there is nothing to judge")]
    NotACandidate { id: DeploymentId, state: &'static str },
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("nothing would change for agent `{0}`: the candidate is what it is compared with")]
    Nothing(AgentName),
    #[error("the settings of agent `{0}` list no suites")]
    NoSuites(AgentName),
    #[error("agent `{agent}` has no suite `{suite}`; it has {}", known.join(", "))]
    NoSuchSuite { agent: AgentName, suite: String, known: Vec<String> },
    #[error("suite `{name}` cannot be asked: {why}")]
    BadSuite { name: String, why: String },
    #[error("the budget is 0, so nothing could be asked")]
    NoBudget,
    #[error(transparent)]
    Settings(BadGate),
    #[error("suite `{suite}` needs a judge, and {why}")]
    NoJudge { suite: String, why: String },
    #[error("it would ask for {0} answers; at most {max} are allowed", max = run::ANSWERS_MAX)]
    TooMany(u64),
    #[error("{0} asks the same already")]
    Running(GateId),
    #[error("{0} gates run or wait already")]
    Full(usize),
    #[error("a release cannot be loaded")]
    Contract(#[from] ContractError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Commit(CommitError<std::convert::Infallible>),
}

/// A gate that could be started.
pub(super) struct Plan {
    pub pair: Pair,
    pub settings: Settings,
    pub estimate: Estimate,
}

/// Who is compared with whom.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub agent: AgentName,
    pub deployment: Option<DeploymentId>,
    pub candidate: ReleaseId,
    pub incumbent: Option<ReleaseId>,
}

impl Gates {
    /// The gates that a wish comes to, one for each agent that has something to judge.
    pub(super) async fn plan(
        &self,
        wish: &Wish,
        by: &pinrail_control::By,
    ) -> Result<Vec<Plan>, StartRefused> {
        let snapshot = self.control().snapshot();
        let world = &snapshot.world;
        let mut plans = Vec::new();
        for pair in pairs(world, &wish.of)? {
            let spec = world.agents.get(&pair.agent);
            let spec = spec.ok_or_else(|| StartRefused::NoAgent(pair.agent.clone()))?;
            let gate = bounded(spec.gate.clone().unwrap_or_default(), wish)?;
            let suites = chosen(&gate, &pair.agent, &wish.suites)?;
            let held = self.held(&suites).await?;
            let judge = judge(world, &gate, &held)?;
            let settings = settings(&gate, suites, judge, wish, by);
            let mut facts = Vec::new();
            for release in [Some(pair.candidate), pair.incumbent].into_iter().flatten() {
                facts.push(self.facts(world, release).await?);
            }
            let estimate = run::estimate(&held, &facts, &settings).map_err(|why| StartRefused::BadSuite {
                name: held[0].pin.name.clone(),
                why: why.to_string(),
            })?;
            if estimate.answers > run::ANSWERS_MAX {
                return Err(StartRefused::TooMany(estimate.answers));
            }
            plans.push(Plan { pair, settings, estimate });
        }
        Ok(plans)
    }

    /// The suites whole.
    pub(super) async fn held(&self, pins: &[SuitePin]) -> Result<Vec<Held>, StartRefused> {
        let mut held = Vec::with_capacity(pins.len());
        for pin in pins {
            let bad = |why: String| StartRefused::BadSuite { name: pin.name.clone(), why };
            let bytes = self.control().artifact_get(pin.digest).await?;
            let bytes = bytes.ok_or_else(|| {
                bad(format!(
                    "{} is not stored; a suite that was imported is judged where it was asked",
                    pin.digest
                ))
            })?;
            let suite: Suite = serde_json::from_slice(&bytes)
                .map_err(|error| bad(format!("{} is no suite: {error}", pin.digest)))?;
            if suite.pinrail_suite != FORMAT {
                return Err(bad(format!(
                    "its format is {}; this Pinrail reads {FORMAT}",
                    suite.pinrail_suite
                )));
            }
            if suite.cases.is_empty() {
                return Err(bad("it holds no case".to_owned()));
            }
            held.push(Held { pin: pin.clone(), suite: Arc::new(suite) });
        }
        Ok(held)
    }

    /// A release as it answers.
    pub(super) async fn contestant(&self, release: ReleaseId) -> Result<Contestant, StartRefused> {
        let contract = self.control().contracts().get(release).await?;
        let tools = contract.tools.as_deref().map(serde_json::from_str).transpose();
        // What publishing took is an array; anything else would be damage, which asking the release then shows.
        Ok(Contestant { release, tools: tools.ok().flatten().unwrap_or_default() })
    }

    async fn facts(&self, world: &World, release: ReleaseId) -> Result<ArmFacts, StartRefused> {
        let contract = self.control().contracts().get(release).await?;
        let model = &contract.manifest.model;
        let part = world.providers.get(&model.provider).map(|spec| spec.catalogue.as_str());
        let price = self.control().catalogue().price(part.unwrap_or_default(), &model.snapshot);
        let bytes = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() as u64);
        Ok(ArmFacts { price, bytes: bytes(&contract.system) + bytes(&contract.tools) })
    }
}

fn pairs(world: &World, of: &Of) -> Result<Vec<Pair>, StartRefused> {
    match of {
        Of::Deployment(id) => {
            let deployment = world.deployments.get(id).ok_or(StartRefused::NoDeployment(*id))?;
            of_deployment(world, deployment)
        }
        Of::Agents(id, agents) => {
            let deployment = world.deployments.get(id).ok_or(StartRefused::NoDeployment(*id))?;
            let mut pairs = of_deployment(world, deployment)?;
            pairs.retain(|pair| agents.contains(&pair.agent));
            Ok(pairs)
        }
        Of::Release { agent, candidate, incumbent: named } => {
            let served = || incumbent(world, agent, &SegmentName::default_segment());
            let incumbent = named.or_else(served);
            if incumbent == Some(*candidate) {
                return Err(StartRefused::Nothing(agent.clone()));
            }
            let (agent, candidate) = (agent.clone(), *candidate);
            Ok(vec![Pair { agent, deployment: None, candidate, incumbent }])
        }
    }
}

fn of_deployment(world: &World, deployment: &Deployment) -> Result<Vec<Pair>, StartRefused> {
    let id = deployment.id;
    if deployment.ingest.is_some() {
        return Err(StartRefused::Ingest(id));
    }
    match &deployment.status {
        Status::Candidate { .. } => {}
        Status::Promoted { .. } | Status::RolledBack { .. } => {
            return Err(StartRefused::NotACandidate { id, state: deploy::state(world, deployment) });
        }
    }
    let mut unchanged = None;
    let mut without_suites = None;
    let mut pairs = Vec::new();
    for (agent, candidate) in &deployment.releases {
        let incumbent = incumbent(world, agent, &deployment.segment);
        let listed = world.agents.get(agent).and_then(|spec| spec.gate.as_ref());
        if incumbent == Some(*candidate) {
            unchanged = Some(agent);
        } else if listed.is_none_or(|gate| gate.suites.is_empty()) {
            without_suites = Some(agent);
        } else {
            let (agent, candidate) = (agent.clone(), *candidate);
            pairs.push(Pair { agent, deployment: Some(id), candidate, incumbent });
        }
    }
    match (pairs.is_empty(), without_suites, unchanged) {
        (false, _, _) | (true, None, None) => Ok(pairs),
        (true, Some(agent), _) => Err(StartRefused::NoSuites(agent.clone())),
        (true, None, Some(agent)) => Err(StartRefused::Nothing(agent.clone())),
    }
}

/// The agent's settings with what the wish says otherwise.
fn bounded(mut gate: GateSpec, wish: &Wish) -> Result<GateSpec, StartRefused> {
    gate.repeats = wish.repeats.or(gate.repeats);
    gate.repeats_max = gate.repeats_max.map(|most| most.max(gate.repeats()));
    gate.budget = wish.budget.or(gate.budget);
    gate.concurrency = wish.concurrency.or(gate.concurrency);
    gate.check().map_err(StartRefused::Settings)?;
    if gate.budget().nano == 0 { Err(StartRefused::NoBudget) } else { Ok(gate) }
}

fn chosen(gate: &GateSpec, agent: &AgentName, names: &[String]) -> Result<Vec<SuitePin>, StartRefused> {
    if gate.suites.is_empty() {
        return Err(StartRefused::NoSuites(agent.clone()));
    }
    let known = || gate.suites.iter().map(|suite| suite.name.clone()).collect();
    if let Some(suite) = names.iter().find(|name| !gate.suites.iter().any(|suite| suite.name == **name)) {
        return Err(StartRefused::NoSuchSuite { agent: agent.clone(), suite: suite.clone(), known: known() });
    }
    let wanted = gate.suites.iter().filter(|suite| names.is_empty() || names.contains(&suite.name));
    let (imported, asked): (Vec<&SuitePin>, Vec<&SuitePin>) = wanted.partition(|suite| suite.imported);
    match imported.first().filter(|_| asked.is_empty() || !names.is_empty()) {
        Some(suite) => Err(StartRefused::BadSuite {
            name: suite.name.clone(),
            why: "its answers come from elsewhere (`pinrail gate import`)".to_owned(),
        }),
        None => Ok(asked.into_iter().cloned().collect()),
    }
}

/// The judge as it is now, where one is needed.
fn judge(world: &World, gate: &GateSpec, held: &[Held]) -> Result<Option<Judge>, StartRefused> {
    let judged = |held: &&Held| {
        let cases = held.suite.cases.iter();
        cases
            .flat_map(|case| case.asserts.iter().chain(case.turns.iter().flat_map(|turn| &turn.asserts)))
            .any(needs_judge)
    };
    let needing = held.iter().find(judged);
    let refused = |why: String| match needing {
        Some(held) => Err(StartRefused::NoJudge { suite: held.pin.name.clone(), why }),
        None => Ok(None),
    };
    let Some(agent) = &gate.judge else {
        return refused("the agent's settings name none".to_owned());
    };
    match incumbent(world, agent, &SegmentName::default_segment()) {
        Some(release) => Ok(Some(Judge { agent: agent.clone(), release })),
        None => refused(format!("its agent `{agent}` has nothing active")),
    }
}

fn needs_judge(assertion: &Assertion) -> bool {
    matches!(assertion.kind, AssertKind::LlmRubric | AssertKind::Factuality)
        || assertion.asserts.iter().any(needs_judge)
}

fn settings(
    gate: &GateSpec,
    suites: Vec<SuitePin>,
    judge: Option<Judge>,
    wish: &Wish,
    by: &pinrail_control::By,
) -> Settings {
    Settings {
        suites,
        repeats: gate.repeats(),
        repeats_max: gate.repeats_max.unwrap_or(gate.repeats()),
        alpha: gate.alpha(),
        budget_nano_usd: gate.budget().nano,
        concurrency: gate.concurrency(),
        calls_per_minute: gate.calls_per_minute,
        reuse: wish.reuse,
        judge,
        by: by.actor.clone(),
        reason: by.reason.clone(),
    }
}
