//! Asks providers for embeddings, for their models and border prompts, in OpenAI's format.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pinrail_control::state::vectors::live::Embeds;
use pinrail_domain::provider::{ProviderSpec, SIM_URL};
use pinrail_domain::release::Embedder;
use pinrail_gateway::port::Secrets as _;
use pinrail_server::ModelLists;
use pinrail_server::drift::{AskFailed, Questions};
use pinrail_server::lists::{Pages, next_page};
use pinrail_server::warm::{Answered, DirectCalls, NotAnswered};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use crate::system::EnvSecrets;

/// Asks providers; `sim:` is where the simulated one listens.
#[derive(Clone)]
pub struct Providers {
    agent: Agent,
    sim: Arc<str>,
}

/// A hundred texts take a provider seconds.
const ANSWER: Duration = Duration::from_secs(60);
/// A hundred vectors of the widest model, written out.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Pages of a list: more models than any provider has.
const LIST_PAGES_MAX: usize = 50;
/// Where Anthropic answers.
const ANTHROPIC: &str = "https://api.anthropic.com/";
/// One token takes a provider seconds, also when it thinks first.
const PROBE_ANSWER: Duration = Duration::from_secs(60);
/// The longest public list of models has some hundred entries.
const LIST_BYTES_MAX: u64 = 4 << 20;
/// One token and what its alternatives were.
const QUESTION_BYTES_MAX: u64 = 1 << 20;
/// What of a refusal is told.
const EXCERPT_CHARS: usize = 200;

#[derive(Deserialize)]
struct Embedded {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

impl Providers {
    pub fn new(sim: &http::Uri) -> Providers {
        let config = Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false);
        let sim = sim.to_string().trim_end_matches('/').into();
        Providers { agent: config.build().into(), sim }
    }

    fn ask(
        &self,
        provider: &ProviderSpec,
        embedder: &Embedder,
        texts: &[String],
        dimensions: Option<u32>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let base = self.base(provider);
        let mut body = json!({ "model": embedder.embedder, "input": texts, "encoding_format": "float" });
        if let Some(dimensions) = dimensions {
            body["dimensions"] = dimensions.into();
        }
        let mut request = self.agent.post(format!("{base}/embeddings"));
        if let Some(key) = bearer(provider)? {
            request = request.header("authorization", key);
        }
        let mut answer = request.send_json(&body).map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| error.to_string())?;
        if !status.is_success() {
            let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
            return Err(format!("{status}: {excerpt}"));
        }
        let mut embedded: Embedded = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        embedded.data.sort_by_key(|item| item.index);
        Ok(embedded.data.into_iter().map(|item| item.embedding).collect())
    }
}

impl Providers {
    /// Where a provider's addresses begin.
    fn base<'a>(&'a self, provider: &'a ProviderSpec) -> &'a str {
        if provider.base_url == SIM_URL { &self.sim } else { provider.base_url.trim_end_matches('/') }
    }

    fn models(&self, provider: &ProviderSpec) -> Result<Pages, String> {
        let mut pages = Pages::default();
        let mut query = String::new();
        while pages.pages.len() < LIST_PAGES_MAX {
            let page = self.page(provider, &query)?;
            let next = next_page(&page);
            pages.pages.push(page);
            let Some((name, value)) = next else {
                pages.whole = true;
                break;
            };
            query = format!("?{name}={}", crate::client::escape(&value));
        }
        Ok(pages)
    }

    fn page(&self, provider: &ProviderSpec, query: &str) -> Result<Vec<u8>, String> {
        let base = self.base(provider);
        let mut request = self.agent.get(format!("{base}/models{query}"));
        if let Some(key) = bearer(provider)? {
            // Anthropic's list takes its own header.
            if base.starts_with(ANTHROPIC) {
                request = request.header("x-api-key", key.trim_start_matches("Bearer "));
            }
            request = request.header("authorization", key);
        }
        if base.starts_with(ANTHROPIC) {
            request = request.header("anthropic-version", "2023-06-01");
        }
        let mut answer = request.call().map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("the provider answers with {}", answer.status()));
        }
        let body = answer.body_mut().with_config().limit(LIST_BYTES_MAX);
        body.read_to_vec().map_err(|error| error.to_string())
    }

    fn chat(&self, provider: &ProviderSpec, body: &[u8]) -> Result<Answered, NotAnswered> {
        let mut request = self.agent.post(format!("{}/chat/completions", self.base(provider)));
        if let Some(key) = bearer(provider).map_err(NotAnswered::Here)? {
            request = request.header("authorization", key);
        }
        let wait = Duration::from_millis(provider.timeouts.first_byte_ms).min(PROBE_ANSWER);
        let request = request.config().timeout_global(Some(wait)).build();
        let there = |error: ureq::Error| NotAnswered::There(error.to_string());
        let sent = request.header("content-type", "application/json").send(body);
        let mut answer = sent.map_err(there)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(LIST_BYTES_MAX).read_to_vec().map_err(there)?;
        Ok(Answered { status, body })
    }
}

impl Providers {
    /// Asks a model one question.
    fn question(&self, provider: &ProviderSpec, body: &Value) -> Result<Value, AskFailed> {
        let mut request = self.agent.post(format!("{}/chat/completions", self.base(provider)));
        let key = bearer(provider).map_err(AskFailed::Failed)?;
        if let Some(key) = &key {
            request = request.header("authorization", key);
        }
        let mut answer = request.send_json(body).map_err(|error| AskFailed::Failed(error.to_string()))?;
        let status = answer.status();
        let seconds =
            answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let text = answer.body_mut().with_config().limit(QUESTION_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| AskFailed::Failed(error.to_string()))?;
        let why = || {
            let mut said = message_of(&text);
            // Some providers repeat the key that they refuse, and this is kept and shown (I15).
            if let Some(key) = key.as_deref().and_then(|key| key.strip_prefix("Bearer ")) {
                said = said.replace(key, "[redacted]");
            }
            format!("{status}: {}", said.chars().take(EXCERPT_CHARS).collect::<String>())
        };
        match status.as_u16() {
            200..=299 => serde_json::from_str(&text).map_err(|error| AskFailed::Failed(error.to_string())),
            429 | 503 | 529 => Err(AskFailed::Busy {
                why: why(),
                retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)),
            }),
            400 | 404 | 422 => Err(AskFailed::Refused(why())),
            _ => Err(AskFailed::Failed(why())),
        }
    }
}

/// What an error answer says, without the rest of it.
fn message_of(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let message = parsed.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
    message.map_or_else(|| text.to_owned(), str::to_owned)
}

/// The header that shows a provider's key; none where it asks for no key.
fn bearer(provider: &ProviderSpec) -> Result<Option<String>, String> {
    let Some(name) = &provider.key_env else { return Ok(None) };
    let key = EnvSecrets.secret(name).ok_or_else(|| format!("environment variable {name} is not set"))?;
    Ok(Some(format!("Bearer {key}")))
}

#[async_trait]
impl DirectCalls for Providers {
    async fn chat(&self, provider: &ProviderSpec, body: Vec<u8>) -> Result<Answered, NotAnswered> {
        let (providers, provider) = (self.clone(), provider.clone());
        let chat = tokio::task::spawn_blocking(move || providers.chat(&provider, &body)).await;
        chat.map_err(|error| NotAnswered::Here(error.to_string()))?
    }
}

#[async_trait]
impl ModelLists for Providers {
    async fn list(&self, provider: &ProviderSpec) -> Result<Pages, String> {
        let (providers, provider) = (self.clone(), provider.clone());
        let list = tokio::task::spawn_blocking(move || providers.models(&provider)).await;
        list.map_err(|error| error.to_string())?
    }
}

#[async_trait]
impl Questions for Providers {
    async fn ask(&self, provider: &ProviderSpec, body: &Value) -> Result<Value, AskFailed> {
        let (providers, provider, body) = (self.clone(), provider.clone(), body.clone());
        let asked = tokio::task::spawn_blocking(move || providers.question(&provider, &body)).await;
        asked.map_err(|error| AskFailed::Failed(error.to_string()))?
    }
}

#[async_trait]
impl Embeds for Providers {
    async fn embed(
        &self,
        provider: &ProviderSpec,
        embedder: &Embedder,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let (providers, provider, embedder) = (self.clone(), provider.clone(), embedder.clone());
        let ask = move || {
            let vectors = providers.ask(&provider, &embedder, &texts, None)?;
            if vectors.iter().all(|vector| vector.len() == embedder.dims as usize) {
                return Ok(vectors);
            }
            // Some models give as many dimensions as they are asked for, and others refuse to be asked.
            providers.ask(&provider, &embedder, &texts, Some(embedder.dims))
        };
        tokio::task::spawn_blocking(ask).await.map_err(|error| error.to_string())?
    }
}
