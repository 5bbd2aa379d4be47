//! Publishing: artifacts, then the release that names them.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, McpServerName, ProviderName, ReleaseId, ToolName};
use pinrail_domain::ledger::{Body, REASON_BYTES_MAX};
use pinrail_domain::mcp::{BadPin, Pin};
use pinrail_domain::model::Identity;
use pinrail_domain::release::{BadManifest, Manifest, ModelId};
use pinrail_domain::tier::ModelRefused;
use pinrail_domain::world::World;
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{By, CommitError, Committed, Control};

/// A release to create.
#[derive(Clone, Debug)]
pub struct Publish {
    pub agent: AgentName,
    pub manifest: Manifest,
    /// Lets an unknown model into tier `critical`, for this reason.
    pub model_override: Option<String>,
}

/// A release that exists now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub release: ReleaseId,
    pub agent: AgentName,
    pub identity: String,
    /// Whether this call created it for this agent.
    pub created: bool,
}

/// Why a release isn't created.
#[derive(Debug, thiserror::Error)]
pub enum PublishRefused {
    #[error(transparent)]
    Manifest(#[from] BadManifest),
    #[error("there is no agent `{0}`")]
    NoAgent(AgentName),
    #[error("there is no provider `{0}`")]
    NoProvider(ProviderName),
    #[error("artifact {0} is not in the store")]
    NoArtifact(Digest),
    #[error("the system prompt {0} is not UTF-8 text")]
    PromptNotText(Digest),
    #[error("the tool schema {digest} cannot be used: {what}")]
    Tools { digest: Digest, what: String },
    #[error("there is no MCP server `{0}`")]
    NoMcpServer(McpServerName),
    #[error("the pin {digest} of MCP server `{server}` cannot be used")]
    Pin {
        server: McpServerName,
        digest: Digest,
        #[source]
        bad: BadPin,
    },
    #[error("tool `{tool}` is defined twice: by MCP server `{server}` and by {other}")]
    Collision { tool: ToolName, server: McpServerName, other: String },
    #[error("the release has {0} tools in all; at most {TOOLS_MAX} are allowed")]
    TooManyTools(usize),
    #[error(transparent)]
    Model(#[from] ModelRefused),
    #[error("the artifacts could not be read")]
    Store(#[source] StoreError),
}

/// Largest artifact: prompts are kilobytes, tool schemas tens of them, and a suite of twenty thousand cases with the tools of
/// each is some tens of megabytes.
pub const ARTIFACT_BYTES_MAX: usize = 64 << 20;
/// Most tools that any provider takes is 128 to 512.
pub const TOOLS_MAX: usize = 1_000;

impl Control {
    /// Stores bytes under their digest.
    pub async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.inner.store.artifact_put(bytes).await
    }

    pub async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.store.artifact_get(digest).await
    }

    /// What the catalogue says of a model.
    #[must_use]
    pub fn judge(&self, world: &World, model: ModelId<'_>) -> Identity {
        let provider = world.providers.get(model.provider);
        let catalogue = provider.map_or("", |provider| provider.catalogue.as_str());
        self.catalogue().judge(catalogue, model.snapshot)
    }

    /// Creates a release for an agent; an existing one is left as it is.
    pub async fn publish(
        &self,
        by: By,
        publish: Publish,
    ) -> Result<Committed<Published>, CommitError<PublishRefused>> {
        let Publish { agent, manifest, model_override } = publish;
        let refused = CommitError::Refused;
        manifest.check().map_err(|bad| refused(bad.into()))?;
        self.check_artifacts(&manifest).await.map_err(refused)?;
        let release = manifest.id().map_err(CommitError::Canonical)?;
        if let Some(why) = model_override.as_ref().filter(|why| why.len() > REASON_BYTES_MAX) {
            return Err(CommitError::ReasonTooLong(why.len()));
        }
        let decide = |world: &World| {
            let spec = world.agents.get(&agent).ok_or_else(|| PublishRefused::NoAgent(agent.clone()))?;
            let mut models = manifest.model.models();
            if let Some(model) = models.find(|model| !world.providers.contains_key(model.provider)) {
                return Err(PublishRefused::NoProvider(model.provider.clone()));
            }
            if let Some(server) =
                manifest.tools.mcp.keys().find(|name| !world.mcp_servers.contains_key(*name))
            {
                return Err(PublishRefused::NoMcpServer(server.clone()));
            }
            for model in manifest.model.models() {
                spec.tier.admit(model.snapshot, &self.judge(world, model), model_override.is_some())?;
            }
            let identity = self.judge(world, manifest.model.id());
            let known = world.releases.get(&release).filter(|known| known.agents.contains(&agent));
            // The agent's tier may have risen since: then the override is what deploying it waits for.
            let adds_override = model_override.is_some() && known.is_some_and(|r| r.model_override.is_none());
            if known.is_some() && !adds_override {
                return Ok((Vec::new(), false));
            }
            let body = Body::ReleaseCreated {
                release,
                agent: agent.clone(),
                manifest: Box::new(manifest.clone()),
                identity: word(&identity).to_owned(),
                model_override: model_override.clone(),
            };
            Ok((vec![body], known.is_none()))
        };
        let report = |world: &World, created: bool| Published {
            release,
            agent: agent.clone(),
            identity: world.releases[&release].identity.clone(),
            created,
        };
        self.commit(by, decide, report).await
    }

    async fn check_artifacts(&self, manifest: &Manifest) -> Result<(), PublishRefused> {
        if let Some(digest) = manifest.prompt.system {
            let bytes = self.artifact(digest).await?;
            std::str::from_utf8(&bytes).map_err(|_| PublishRefused::PromptNotText(digest))?;
        }
        let names = match manifest.tools.schema {
            None => Vec::new(),
            Some(digest) => {
                let bytes = self.artifact(digest).await?;
                tool_names(&bytes).map_err(|what| PublishRefused::Tools { digest, what })?
            }
        };
        let names = self.with_pinned(manifest, names).await?;
        let unknown = |tool: &&ToolName| !names.iter().any(|name| name == tool.as_str());
        match manifest.tools.side_effects.iter().find(unknown) {
            Some(tool) => Err(BadManifest::UnknownSideEffect(tool.clone()).into()),
            None => Ok(()),
        }
    }

    /// The names of all tools: those of the schema and those of the pins, each once.
    async fn with_pinned(
        &self,
        manifest: &Manifest,
        schema: Vec<String>,
    ) -> Result<BTreeSet<String>, PublishRefused> {
        let mut owners: BTreeMap<String, String> =
            schema.into_iter().map(|name| (name, "the tool schema".to_owned())).collect();
        for (server, digest) in &manifest.tools.mcp {
            let (server, digest) = (server.clone(), *digest);
            let bytes = self.artifact(digest).await?;
            let pin = Pin::read(&bytes);
            let pin = pin.map_err(|bad| PublishRefused::Pin { server: server.clone(), digest, bad })?;
            for tool in pin.tools.into_iter().map(|tool| tool.name) {
                if let Some(other) = owners.insert(tool.to_string(), format!("MCP server `{server}`")) {
                    return Err(PublishRefused::Collision { tool, server, other });
                }
            }
        }
        match owners.len() {
            count if count > TOOLS_MAX => Err(PublishRefused::TooManyTools(count)),
            _ => Ok(owners.into_keys().collect()),
        }
    }

    async fn artifact(&self, digest: Digest) -> Result<Vec<u8>, PublishRefused> {
        let bytes = self.inner.store.artifact_get(digest).await.map_err(PublishRefused::Store)?;
        bytes.ok_or(PublishRefused::NoArtifact(digest))
    }
}

/// The catalogue's answer in a word.
#[must_use]
pub fn word(identity: &Identity) -> &'static str {
    match identity {
        Identity::Pinned { .. } => "pinned",
        Identity::Floating { .. } => "floating",
        Identity::Unknown { .. } => "unknown",
    }
}

/// The names of an OpenAI-shaped tool list: `[{"type": "function", "function": {"name": …}}]`.
pub(crate) fn tool_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let tools: Vec<Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not a JSON array of tools: {error}"))?;
    if tools.len() > TOOLS_MAX {
        return Err(format!("it holds {} tools; at most {TOOLS_MAX} are allowed", tools.len()));
    }
    let mut names = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let name = tool.pointer("/function/name").and_then(Value::as_str);
        let name = name.ok_or_else(|| format!("tool {index} has no function.name"))?;
        if names.iter().any(|earlier| earlier == name) {
            return Err(format!("tool `{name}` is defined twice"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}
