//! `POST /api/v1/agents/{agent}/bump`: the release that differs from what runs in its model's snapshot only.

use std::collections::BTreeMap;

use pinrail_api::problem::{Code, Problem};
use pinrail_api::releases::{Bump, Bumped, ReleaseCreated};
use pinrail_control::publish::Publish;
use pinrail_domain::id::{AgentName, ReleaseId, SegmentName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::world::World;
use pinrail_wire::models::When;

use super::no_agent;
use crate::api::releases::{named, post};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn bump(call: Call) -> Answer {
    let agent: AgentName = call.param("agent")?;
    let Bump { from, to, offline, dry_run, reason } = call.json_or_default()?;
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let (from, manifest) = start(world, &agent, from.as_deref())?;
    let model = manifest.model.snapshot.clone();
    let spec = world.providers.get(&manifest.model.provider).cloned();
    let (listed, unlisted) = match spec.as_deref().filter(|_| !offline) {
        Some(spec) => {
            listed(&call, spec).await.map_or_else(|why| (BTreeMap::new(), Some(why)), |l| (l, None))
        }
        None => (BTreeMap::new(), Some("the provider was not asked".to_owned())),
    };
    let part = spec.map(|spec| spec.catalogue.clone()).unwrap_or_default();
    let newer = call.control().catalogue().newer(&part, &model, &listed, call.state.clock.now());
    let to = to.or_else(|| newer.first().map(|newest| newest.id.clone()));
    let mut bumped = Bumped { agent: agent.clone(), from, model, newer, unlisted, release: None, to };
    let Some(to) = bumped.to.clone().filter(|_| !dry_run) else { return reply::json(&bumped) };
    let mut manifest = Manifest::clone(&manifest);
    manifest.model.snapshot = to;
    let publish = Publish { agent, manifest, model_override: None };
    let done = call.control().publish(call.by(reason)?, publish).await;
    let done = done.map_err(|error| problem::commit(error, post::refused))?;
    let published = done.value;
    bumped.release = Some(ReleaseCreated {
        release: published.release,
        short: published.release.short(),
        agent: published.agent,
        identity: published.identity,
        created: published.created,
    });
    reply::changed(done.replayed, &bumped)
}

/// The release to start from.
fn start(
    world: &World,
    agent: &AgentName,
    from: Option<&str>,
) -> Result<(ReleaseId, std::sync::Arc<Manifest>), Problem> {
    if !world.agents.contains_key(agent) {
        return Err(no_agent(agent));
    }
    let id = match from {
        Some(text) => named(world, text, Some(agent))?,
        None => pinrail_domain::gate::incumbent(world, agent, &SegmentName::default_segment()).ok_or_else(
            || {
                Problem::new(
                    Code::NothingActive,
                    format!("agent `{agent}` runs nothing in segment `default`"),
                )
                .next_step("name the release to start from: --from RELEASE (\"from\": \"RELEASE\")")
            },
        )?,
    };
    Ok((id, std::sync::Arc::clone(&world.releases[&id].manifest)))
}

/// What the provider's own list says: ids, and when each was made.
async fn listed(call: &Call, spec: &ProviderSpec) -> Result<BTreeMap<String, Option<u64>>, String> {
    let pages = call.state.lists.list(spec).await?;
    let models = pages.models().map_err(|error| error.to_string())?;
    let made = |when: Option<When>| match when {
        Some(When::UnixS(seconds)) => Some(seconds),
        Some(When::Text(_)) | None => None,
    };
    Ok(models.into_iter().map(|model| (model.id, made(model.created))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_newer_snapshot_becomes_a_release_that_differs_in_nothing_else() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let path = "/api/v1/agents/support/bump";
        bench.post(path, json!({})).await.problem("nothing_active");
        bench.post("/api/v1/agents/nobody/bump", json!({})).await.problem("not_found");
        let first = bench.release("sim-1-2026-01-15").await;
        bench.open_deployment(json!({ "releases": { "support": first }, "now": true })).await.ok();
        let known = bench.post(path, json!({ "offline": true, "dry_run": true })).await.ok();
        assert_eq!((&known["from"], &known["to"]), (&json!(first), &json!("sim-1-2026-06-01")), "{known}");
        // What the provider lists counts, too.
        let listed = r#"{"data": [{"id": "sim-1-2026-11-01"}, {"id": "sim-1"}, {"id": "sim-2-2026-12-01"}]}"#;
        bench.list_models(listed);
        let seen = bench.post(path, json!({ "dry_run": true })).await.ok();
        assert_eq!((&seen["to"], seen.get("release")), (&json!("sim-1-2026-11-01"), None));
        assert_eq!(seen["newer"][0]["catalogued"], false);
        let bumped = bench.post(path, json!({ "reason": "what is new" })).await.ok();
        let release = bumped["release"]["release"].as_str().unwrap();
        let diff = bench.get(&format!("/api/v1/releases/{first}/diff/{release}")).await.ok();
        let model = json!({ "snapshot": { "before": "sim-1-2026-01-15", "after": "sim-1-2026-11-01" } });
        assert_eq!((&diff["model"], diff.as_object().unwrap().len()), (&model, 3), "{diff}");
        // Another name is a person's choice.
        let named = bench.post(path, json!({ "to": "sim-2-2026-09-01" })).await.ok();
        assert_eq!(named["to"], "sim-2-2026-09-01");
    }
}
