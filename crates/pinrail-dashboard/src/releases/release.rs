//! One release: its contract in full, where it serves, and what it has been through.

use askama::Template;
use pinrail_api::releases::Release;
use pinrail_api::warm::WarmRelease;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, DeploymentId, LedgerSeq, McpServerName, ReleaseId, SegmentName};
use pinrail_domain::model::Lifecycle;
use pinrail_domain::release::{Embedder, Metric, PromptMode};
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::Callable;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Place, Verdict};
use crate::page::{Nav, Page};
use crate::releases;
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

/// A release.
#[derive(Clone, Debug, Serialize)]
pub struct ReleasePage {
    #[serde(flatten)]
    pub release: Release,
    /// The pinned model, then those that may answer in its place.
    pub models: Vec<Model>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    pub tools: Vec<Tool>,
    pub servers: Vec<Server>,
    pub serves: Vec<Place>,
    /// As far as it is in the warm set: whether it can be called.
    pub warm: Vec<WarmRelease>,
    /// The newest deployments that hold it.
    pub deployments: Vec<Held>,
    /// All of them.
    pub deployments_count: u64,
    /// The newest verdicts in which it is candidate or incumbent.
    pub verdicts: Vec<Verdict>,
    /// The newest ledger entries that concern it.
    pub entries: Vec<EntryLine>,
    /// Other releases of its agents to compare it with, newest first.
    pub others: Vec<Other>,
    /// What still needs it, in words; empty where it may be retired.
    pub needs: Vec<String>,
}

/// A model that may answer.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    pub provider: String,
    pub snapshot: String,
    pub identity: String,
    pub why: String,
    pub standing: Lifecycle,
    /// The request's fields that the release sets.
    pub params: Map<String, Value>,
}

/// A tool that the model may call.
#[derive(Clone, Debug, Serialize)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// The MCP server whose pin has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<McpServerName>,
    pub side_effects: bool,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// A pinned MCP server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    pub server: McpServerName,
    pub pin: Digest,
    /// What the server calls itself.
    pub name: String,
    pub version: String,
    pub tools: u64,
}

/// A deployment that holds the release.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub deployment: DeploymentId,
    pub agents: Vec<AgentName>,
    pub segment: SegmentName,
    pub state: String,
    pub opened_at: Timestamp,
    pub reason: String,
}

/// A ledger entry in a line.
#[derive(Clone, Debug, Serialize)]
pub struct EntryLine {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    /// Its kind in words.
    pub what: String,
    pub actor: String,
    pub reason: String,
}

/// Another release of the same agent.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    pub release: ReleaseId,
    pub snapshot: String,
    pub created_at: Timestamp,
    /// Something serves it.
    pub live: bool,
}

#[derive(Template)]
#[template(path = "releases/release.html")]
struct Main<'a> {
    it: &'a ReleasePage,
    release: &'a Release,
    shell: &'a Shell,
}

impl Page for ReleasePage {
    fn nav(&self) -> Nav {
        Nav::Releases
    }

    fn title(&self) -> String {
        format!("Release {}", self.release.short)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, release: &self.release, shell })
    }
}

impl Main<'_> {
    fn params(&self, model: &Model) -> Html {
        if model.params.is_empty() {
            let none = "<span class=\"dim\">as the caller or the provider has them</span>";
            return Html::from_trusted(none.to_owned());
        }
        let one = |(name, value): (&String, &Value)| {
            let value = ui::plain(ui::diff::pretty(value));
            format!("<li><code>{}</code> <code>{value}</code></li>", ui::plain(name))
        };
        let items: String = model.params.iter().map(one).collect();
        Html::from_trusted(format!("<ul class=\"lines\">{items}</ul>"))
    }

    fn mode(&self) -> &'static str {
        match self.release.manifest.prompt.mode {
            PromptMode::Managed => "managed: Pinrail puts prompt and tools into every request",
            PromptMode::Verify => {
                "verify: the caller sends prompt and tools, and is refused where they aren’t these"
            }
        }
    }

    fn metric(&self, embedder: &Embedder) -> &'static str {
        match embedder.metric {
            Metric::Cosine => "cosine",
            Metric::Dot => "dot",
            Metric::Euclidean => "euclidean",
        }
    }

    /// What of an embedder makes its space a space of its own, beside model, width and metric.
    fn finer(&self, embedder: &Embedder) -> String {
        let Embedder {
            embedder: _,
            dims: _,
            metric: _,
            provider,
            endpoint,
            revision,
            pooling,
            normalisation,
            prefix,
        } = embedder;
        let named = [
            ("provider", provider),
            ("endpoint", endpoint),
            ("revision", revision),
            ("pooling", pooling),
            ("normalisation", normalisation),
            ("prefix", prefix),
        ];
        let named = named.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        named.collect::<Vec<_>>().join(", ")
    }

    /// The arguments of a tool in a line: names, those that must be there marked.
    fn arguments(&self, tool: &Tool) -> Html {
        let required: Vec<&str> =
            tool.parameters["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(fields) = tool.parameters["properties"].as_object() else {
            return Html::default();
        };
        let one = |name: &String| {
            let mark = if required.contains(&name.as_str()) { "*" } else { "" };
            format!("{name}{mark}")
        };
        let names = fields.keys().map(one).collect::<Vec<_>>().join(", ");
        if names.is_empty() {
            return Html::default();
        }
        Html::from_trusted(format!(": <code>{}</code>", ui::plain(names)))
    }

    fn characters(&self, text: &str) -> String {
        ui::count(text.chars().count() as u64, "character", "characters")
    }

    fn tool_count(&self) -> String {
        ui::count(self.it.tools.len() as u64, "tool", "tools")
    }

    fn took(&self, warm: &WarmRelease) -> String {
        warm.latency_ms.map_or_else(|| "–".to_owned(), ui::span_ms)
    }

    fn schema(&self, tool: &Tool) -> Html {
        ui::block(&ui::diff::pretty(&tool.parameters))
    }

    fn callable(&self, warm: &WarmRelease) -> Html {
        let (tone, word) = match warm.state {
            Callable::Yes => (Tone::Good, "callable"),
            Callable::Unknown => (Tone::Plain, "not probed yet"),
            Callable::Failing => (Tone::Warn, "failing"),
            Callable::Refused => (Tone::Bad, "refused"),
            Callable::Gone => (Tone::Bad, "gone"),
        };
        ui::badge(tone, word)
    }

    fn depth(&self, warm: &WarmRelease) -> String {
        match warm.steps_back {
            None => "candidate".to_owned(),
            Some(0) => "active".to_owned(),
            Some(back) => ui::count(back.into(), "rollback away", "rollbacks away"),
        }
    }

    fn other(&self, other: &Other) -> String {
        let live = if other.live { ", serves now" } else { "" };
        format!(
            "{} · {} · {} ago{live}",
            other.release.short(),
            other.snapshot,
            ui::span_ms(self.shell.now.0.saturating_sub(other.created_at.0))
        )
    }

    fn agents(&self) -> String {
        self.release.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    fn gate_command(&self) -> String {
        format!("pinrail gate run {} --candidate {}", self.agent(), self.release.short)
    }

    fn deploy_command(&self) -> String {
        format!("pinrail deploy {}={}", self.agent(), self.release.short)
    }

    /// The agent to name in commands.
    fn agent(&self) -> String {
        self.release.agents.first().map(ToString::to_string).unwrap_or_default()
    }
}
