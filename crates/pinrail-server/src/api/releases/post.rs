//! `POST /api/v1/releases`.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::releases::{CreateRelease, ReleaseCreated};
use pinrail_control::publish::{Publish, PublishRefused};
use pinrail_wire::convert::Lossy;

use crate::api::agents::no_agent;
use crate::api::mcp::no_server;
use crate::api::providers::no_provider;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn create(call: Call) -> Answer {
    let CreateRelease { agent, manifest, reason, model_override } = call.json()?;
    if let Err(unknown) = Lossy::new(manifest.model.lossy.iter().map(String::as_str)) {
        return Err(Problem::new(Code::BadManifest, format!("model.lossy: {unknown}")).next_step(
            "docs/conversion.md lists what may be lost; correct release.toml and create the release again",
        ));
    }
    let publish = Publish { agent, manifest, model_override };
    let done = call.control().publish(call.by(reason)?, publish).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    let published = done.value;
    reply::changed(
        done.replayed,
        &ReleaseCreated {
            release: published.release,
            short: published.release.short(),
            agent: published.agent,
            identity: published.identity,
            created: published.created,
        },
    )
}

pub fn refused(refused: PublishRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        PublishRefused::Manifest(_) => Problem::new(Code::BadManifest, detail)
            .next_step("correct release.toml and create the release again"),
        PublishRefused::NoAgent(agent) => no_agent(&agent),
        PublishRefused::NoProvider(provider) => no_provider(&provider),
        PublishRefused::NoArtifact(digest) => Problem::new(Code::MissingArtifact, detail)
            .next_step("store it first: POST /api/v1/artifacts with its bytes; `pinrail release create` does")
            .fact("digest", digest.to_string()),
        PublishRefused::NoMcpServer(server) => no_server(&server),
        PublishRefused::Pin { server, digest, bad: _ } => Problem::new(Code::BadManifest, detail)
            .next_step(format!("pin the server again: `pinrail tools pin AGENT --mcp {server} --write`"))
            .fact("digest", digest.to_string()),
        PublishRefused::Collision { tool, .. } => Problem::new(Code::BadManifest, detail)
            .next_step("a model can't tell two tools of one name apart: leave one of them out of the release")
            .fact("tool", tool.to_string()),
        PublishRefused::TooManyTools(_) => Problem::new(Code::BadManifest, detail)
            .next_step("name fewer MCP servers or tools in release.toml"),
        PublishRefused::PromptNotText(digest) => Problem::new(Code::BadManifest, detail)
            .next_step("save the prompt as UTF-8 and create the release again")
            .fact("digest", digest.to_string()),
        PublishRefused::Tools { digest, what: _ } => Problem::new(Code::BadManifest, detail)
            .next_step("the schema is a JSON array of {\"type\": \"function\", \"function\": {\"name\": …}}")
            .fact("digest", digest.to_string()),
        PublishRefused::Model(refused) => problem::model(&refused),
        PublishRefused::Store(error) => problem::store(&error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Bench, manifest};

    #[tokio::test(start_paused = true)]
    async fn the_same_content_is_the_same_release() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let wish = json!({ "agent": "support", "manifest": manifest("sim-large-2026-03-01") });
        let first = bench.post("/api/v1/releases", wish.clone()).await.ok();
        let second = bench.post("/api/v1/releases", wish).await.ok();
        assert_eq!((&first["created"], &second["created"]), (&json!(true), &json!(false)));
        assert_eq!(first["release"], second["release"]); // I1
        assert_eq!(first["short"].as_str().unwrap().len(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_a_release_is_refused_with_the_reason() {
        let bench = Bench::open().await;
        let wish = |manifest: serde_json::Value| json!({ "agent": "support", "manifest": manifest });
        bench.post("/api/v1/releases", wish(manifest("m"))).await.problem("not_found");
        bench.agent_and_provider().await;
        let mut lossy = manifest("sim-large-2026-03-01");
        lossy["model"]["lossy"] = json!(["logprobs", "manners"]);
        let problem = bench.post("/api/v1/releases", wish(lossy)).await.problem("bad_manifest");
        assert!(problem["detail"].as_str().unwrap().contains("manners"), "{problem}");
        let mut missing = manifest("sim-large-2026-03-01");
        missing["prompt"] = json!({ "system": pinrail_domain::digest::Digest::of(b"?") });
        bench.post("/api/v1/releases", wish(missing)).await.problem("missing_artifact");
        let mut reserved = manifest("sim-large-2026-03-01");
        reserved["model"]["params"] = json!({ "stream": true });
        bench.post("/api/v1/releases", wish(reserved)).await.problem("bad_manifest");
        let mut stray = manifest("sim-large-2026-03-01");
        stray["colour"] = json!("red");
        let problem = bench.post("/api/v1/releases", wish(stray)).await.problem("bad_request");
        assert!(problem["detail"].as_str().unwrap().contains("unknown field `colour`"), "{problem}");
        let mut elsewhere = manifest("m");
        elsewhere["model"]["provider"] = json!("nowhere");
        bench.post("/api/v1/releases", wish(elsewhere)).await.problem("not_found");
    }

    #[tokio::test(start_paused = true)]
    async fn a_floating_model_is_refused_with_the_pins_that_may_be_meant() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let spec = json!({ "base_url": "https://api.example/v1", "catalogue": "openai", "key_env": "OPENAI_API_KEY" });
        bench.put("/api/v1/providers/openai", spec).await.ok();
        let mut floating = manifest("gpt-4o");
        floating["model"]["provider"] = json!("openai");
        let wish = json!({ "agent": "support", "manifest": floating });
        let problem = bench.post("/api/v1/releases", wish).await.problem("model_refused");
        assert_eq!((&problem["identity"], &problem["tier"]), (&json!("floating"), &json!("standard")));
        assert!(
            problem["pins"].as_array().unwrap().iter().any(|pin| pin == "gpt-4o-2024-08-06"),
            "{problem}"
        );
        assert!(problem["next_step"].as_str().unwrap().contains("gpt-4o-2024-"), "{problem}");
    }
}
