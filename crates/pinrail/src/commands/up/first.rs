//! The first start: the simulated provider is registered, and in a folder without configuration an example agent is
//! put on the rail, so that there is something to try.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_control::publish::Publish;
use pinrail_control::{By, Control};
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::id::{AgentName, ProviderName, ReleaseId, SegmentName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::{FORMAT, Manifest, ModelPin, PromptPin, StateContract, ToolPin};
use pinrail_domain::tier::Tier;

/// The example agent's name.
pub const EXAMPLE: &str = "hello";
const PROMPTS: [&str; 2] = [
    "You are a helpful assistant. Answer in one sentence.\n",
    "You are a cheerful assistant. Answer in one sentence and say why.\n",
];

/// Registers the simulated provider where it is missing.
pub async fn register_simulator(control: &Control) -> anyhow::Result<()> {
    let sim = ProviderName::new("sim")?;
    if !control.snapshot().world.providers.contains_key(&sim) {
        let by = By::system("first start: register the simulated provider");
        control.provider_put(by, &sim, &ProviderSpec::simulated()).await?;
    }
    Ok(())
}

/// Makes the example agent with two releases, and deploys the first.
pub async fn make_example(control: &Control) -> anyhow::Result<()> {
    let agent = AgentName::new(EXAMPLE)?;
    let by = || By::system("first start: an example agent to try");
    let spec = AgentSpec {
        tier: Tier::Standard,
        description: "An example agent on the simulated provider.".to_owned(),
        ..AgentSpec::default()
    };
    control.agent_put(by(), &agent, &spec).await?;
    let mut releases = Vec::new();
    for prompt in PROMPTS {
        releases.push(publish(control, &agent, prompt).await?);
    }
    let wish = Open {
        releases: BTreeMap::from([(agent, releases[0])]),
        segment: SegmentName::default_segment(),
        traffic: Traffic::Now,
        lift_hold: false,
    };
    control.deploy(by(), &wish).await?;
    Ok(())
}

/// The example agent's release that isn't deployed yet, while nobody has deployed anything since the first start.
pub fn undeployed_release(control: &Control) -> Option<ReleaseId> {
    let snapshot = control.snapshot();
    let world = &snapshot.world;
    if world.deployments.len() != 1 {
        return None;
    }
    let agent = world.agents.get_key_value(EXAMPLE)?.0;
    let own = world.releases.values().filter(|release| release.agents.contains(agent));
    own.map(|release| release.id).find(|id| !world.is_live(*id))
}

async fn publish(control: &Control, agent: &AgentName, prompt: &str) -> anyhow::Result<ReleaseId> {
    let system = control.artifact_put(prompt.as_bytes()).await?;
    let manifest = Manifest {
        pinrail: FORMAT,
        model: ModelPin {
            provider: ProviderName::new("sim")?,
            snapshot: "sim-1-2026-01-15".to_owned(),
            params: BTreeMap::new(),
            weights: None,
            fallbacks: Vec::new(),
            lossy: BTreeSet::new(),
        },
        prompt: PromptPin { system: Some(system), ..PromptPin::default() },
        tools: ToolPin::default(),
        state: StateContract::default(),
    };
    let publish = Publish { agent: agent.clone(), manifest, model_override: None };
    let published = control.publish(By::system("first start: an example release"), publish).await?;
    Ok(published.value.release)
}
