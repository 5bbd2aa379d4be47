//! `/api/v1/vectors`.

pub mod canaries;
pub mod count;
pub mod delete;
pub mod search;
pub mod show;
#[cfg(test)]
mod tests;
pub mod upsert;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinrail_api::problem::{Code, Problem};
use pinrail_api::vectors::{Components, WhichEmbedder};
use pinrail_control::state::vectors::{EmbedderRefused, Named, UpsertRefused, VectorSpace};
use pinrail_domain::id::{CollectionName, DeploymentId, TenantId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::release::Manifest;
use pinrail_domain::state::vector_from;
use pinrail_vectors::filter::Filter;
use serde_json::Value;
use std::sync::Arc;

use crate::call::Call;
use crate::problem;
use crate::state_call::{Eyes, bad_parents};

/// The index that a call means.
async fn space(
    call: &Call,
    tenant: &TenantId,
    embedder: Option<WhichEmbedder>,
    manifest: Option<Arc<Manifest>>,
) -> Result<VectorSpace, Problem> {
    let name: CollectionName = call.param("space")?;
    let named = embedder.map(|embedder| match embedder {
        WhichEmbedder::Id(id) => Named::Id(id),
        WhichEmbedder::Contract(contract) => Named::Contract(*contract),
    });
    let states = call.control().states();
    states.vector_space(tenant, &name, named.as_ref(), manifest.as_deref()).await.map_err(no_space)
}

/// The index that a reader means: where the call names no embedder, the one that its release pins.
async fn seen(call: &Call, eyes: &Eyes, embedder: Option<WhichEmbedder>) -> Result<VectorSpace, Problem> {
    let pinned = pinned_by(call, eyes.run.as_deref());
    let own = eyes.reader.own.filter(|_| eyes.run.is_none());
    let pinned = pinned.or_else(|| pinned_for(call, own, call.text("space")));
    space(call, &eyes.tenant, embedder, pinned).await
}

/// What a run's release pins.
fn pinned_by(call: &Call, run: Option<&Stamp>) -> Option<Arc<Manifest>> {
    let snapshot = call.control().snapshot();
    Some(Arc::clone(&snapshot.world.releases.get(&run?.release)?.manifest))
}

/// What a deployment's releases pin for the space, where somebody looks through its eyes.
fn pinned_for(call: &Call, deployment: Option<DeploymentId>, space: &str) -> Option<Arc<Manifest>> {
    let world = &call.control().snapshot().world;
    let releases = &world.deployments.get(&deployment?)?.releases;
    let manifests = releases.values().filter_map(|release| Some(&world.releases.get(release)?.manifest));
    manifests.filter(|manifest| manifest.state.vectors.contains_key(space)).map(Arc::clone).next()
}

/// The numbers of a vector; `what` names it in the refusal.
fn numbers(components: Components, what: impl Fn() -> String) -> Result<Vec<f32>, Problem> {
    match components {
        Components::Numbers(numbers) => Ok(numbers),
        Components::Base64(text) => {
            let bytes = STANDARD.decode(text.as_bytes()).ok();
            bytes.and_then(|bytes| vector_from(&bytes)).ok_or_else(|| {
                Problem::new(Code::BadVector, format!("{} is not base64 of 32-bit floats", what()))
                    .next_step("send numbers, or little-endian 32-bit floats in standard base64 with padding")
            })
        }
    }
}

fn filter(filter: Option<Value>) -> Result<Option<Filter>, Problem> {
    let parse = |filter: &Value| {
        Filter::parse(filter).map_err(|error| {
            Problem::new(Code::BadRequest, format!("the filter is refused: {}", problem::chain(&error)))
                .next_step("docs/state.md lists what filters can say, such as {\"lang\": \"en\"}")
        })
    };
    filter.as_ref().map(parse).transpose()
}

fn no_space(refused: EmbedderRefused) -> Problem {
    let detail = problem::chain(&refused);
    let contract = "pin the space in the release ([state] vectors.NAME), or name the embedder in the request (\"embedder\", \
         --embedder)";
    match refused {
        EmbedderRefused::Which { known, .. } => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            Problem::new(Code::WhichEmbedder, detail).next_step(contract).fact("known", known)
        }
        EmbedderRefused::Mixed { named, pinned, .. } => Problem::new(Code::EmbedderMismatch, detail)
            .next_step("embed with what the release pins, or deploy a release that pins the other embedder")
            .fact("named", named.to_string())
            .fact("pinned", pinned.to_string()),
        EmbedderRefused::Unknown { space, .. } => problem::not_found(
            format!("embedder like that in space `{space}`"),
            "`pinrail vectors show SPACE` (GET /api/v1/vectors/SPACE) lists them",
        ),
        EmbedderRefused::Dims | EmbedderRefused::Canonical(_) => {
            Problem::new(Code::BadRequest, detail).next_step("correct the embedder's contract")
        }
        EmbedderRefused::Store(error) => problem::store(&error),
    }
}

fn refused(refused: UpsertRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        UpsertRefused::Count(_) => Problem::new(Code::BadRequest, detail)
            .next_step("send them in batches (`pinrail vectors upsert` does)"),
        UpsertRefused::Vector { key, .. } => Problem::new(Code::BadVector, detail)
            .next_step("embed the text with the space's own embedder; nothing of this request was kept")
            .fact("key", key.as_str()),
        UpsertRefused::Payload { key, .. } => Problem::new(Code::BadRequest, detail)
            .next_step("make the payload a smaller JSON object; nothing of this request was kept")
            .fact("key", key.as_str()),
        UpsertRefused::Parents(error) => bad_parents(error),
    }
}
