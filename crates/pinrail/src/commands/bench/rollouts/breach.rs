//! From the end of the run that proves a breach to the flip: one process, a store on disk, nothing else going on.

use std::collections::BTreeMap;
use std::time::Duration;

use pinrail_control::publish::Publish;
use pinrail_control::runs::Create;
use pinrail_control::{By, Control};
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::id::{AgentName, DeploymentId, ProviderName, SegmentName, TenantId};
use pinrail_domain::journal::Outcome;
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;

use super::super::{Bench, process, rollback};

/// Rollouts that are measured.
const ROLLOUTS: usize = 5;
/// A run's end that was a proof is acted on within this, or it was none.
const PATIENCE: Duration = Duration::from_millis(700);
/// More runs than any proof takes.
const RUNS_MAX: usize = 5_000;

/// How long each rollout took to flip, in microseconds.
pub async fn measure(bench: &Bench) -> anyhow::Result<Vec<u64>> {
    let folder = bench.folder()?;
    let control = rollback::open(folder.path()).await?;
    control.conduct_rollouts();
    control.provider_put(by(), &ProviderName::new("sim")?, &ProviderSpec::simulated()).await?;
    let mut took = Vec::new();
    for n in 0..ROLLOUTS {
        let agent = AgentName::new(&format!("bench-{n}"))?;
        let candidate = open(&control, &agent).await?;
        took.push(fail_until_it_goes(&control, &agent, candidate).await?);
    }
    Ok(took)
}

fn by() -> By {
    By::system("bench")
}

async fn open(control: &Control, agent: &AgentName) -> anyhow::Result<DeploymentId> {
    let settings = r#"
        [rollout]
        steps = [{ canary = { percent = 50 } }]
        [[rollout.guardrails]]
        metric = "error_rate"
    "#;
    let spec: AgentSpec = toml::from_str(settings)?;
    control.agent_put(by(), agent, &spec).await?;
    let segment = SegmentName::default_segment();
    let plan = control.plan_for([agent], &segment).expect("the agent was just put");
    let mut opened = DeploymentId(0);
    for (temperature, traffic) in [(0, Traffic::Now), (1, Traffic::Rollout(Box::new(plan)))] {
        let manifest: Manifest = serde_json::from_value(serde_json::json!({
            "pinrail": 1,
            "model": { "provider": "sim", "snapshot": "sim-1-2026-01-15", "params": { "temperature": temperature } },
        }))?;
        let publish = Publish { agent: agent.clone(), manifest, model_override: None };
        let release = control.publish(by(), publish).await?.value.release;
        let releases = BTreeMap::from([(agent.clone(), release)]);
        let wish = Open { releases, segment: segment.clone(), traffic, lift_hold: false };
        opened = control.deploy(by(), &wish).await?.value.deployment;
    }
    Ok(opened)
}

/// Lets the candidate's runs fail, each watched until it is clear that it was no proof.
async fn fail_until_it_goes(control: &Control, agent: &AgentName, id: DeploymentId) -> anyhow::Result<u64> {
    let flipped = || control.snapshot().world.deployments[&id].is_rolled_back();
    for n in 0..RUNS_MAX {
        let create = Create {
            agent: agent.clone(),
            tenant: TenantId::new("bench")?,
            session: Some(format!("s{n}").parse()?),
            attributes: BTreeMap::new(),
            parent: None,
            queued: false,
        };
        let stamp = control.runs().create(create, &Tenants::All, None).await?.stamp;
        let on_candidate = stamp.deployment == id;
        let outcome = if on_candidate { Outcome::Error } else { Outcome::Ok };
        let start = process::now();
        control.runs().finish(stamp.run, &Tenants::All, outcome, None, None).await?;
        while on_candidate && start.elapsed() < PATIENCE {
            if flipped() {
                return Ok(process::us_since(start));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    anyhow::bail!("{RUNS_MAX} runs were no proof")
}
