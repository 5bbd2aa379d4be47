//! Asks providers for embeddings, for their models, for probes and border prompts: calls outside of runs.

use std::time::Duration;

use async_trait::async_trait;
use pinrail_control::state::vectors::live::Embeds;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Embedder;
use pinrail_gateway::direct::{Bounds, Direct, Endpoint, FEATURES, Heard, Lossy, Unheard};
use pinrail_server::ModelLists;
use pinrail_server::drift::{AskFailed, Questions};
use pinrail_server::lists::{Pages, next_page};
use pinrail_server::warm::{Answered, DirectCalls, NotAnswered};

use serde::Deserialize;
use serde_json::{Value, json};

/// Asks providers.
#[derive(Clone)]
pub struct Providers {
    direct: Direct,
    /// What a probe may leave out where the provider speaks another dialect: all of it, since only whether it answers counts.
    anything: Lossy,
}

/// A hundred texts take a provider seconds, and so does one token of a model that thinks first. A hundred vectors of the widest
/// model, written out, are the largest answer.
const EMBEDDING: Bounds = Bounds { within: Duration::from_secs(60), bytes_max: 64 << 20 };
/// One token, and what its alternatives were.
const QUESTION: Bounds = Bounds { within: Duration::from_secs(60), bytes_max: 1 << 20 };
/// The longest public list of models has some hundred entries.
const LIST: Bounds = Bounds { within: Duration::from_secs(60), bytes_max: 4 << 20 };
/// Pages of a list: more models than any provider has.
const LIST_PAGES_MAX: usize = 50;
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
    pub fn new(direct: Direct) -> Providers {
        let names = FEATURES.iter().map(|feature| feature.name);
        Providers { direct, anything: Lossy::new(names).expect("the features know their own names") }
    }

    async fn vectors(
        &self,
        provider: &ProviderSpec,
        embedder: &Embedder,
        texts: &[String],
        dimensions: Option<u32>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let mut body = json!({ "model": embedder.embedder, "input": texts, "encoding_format": "float" });
        if let Some(dimensions) = dimensions {
            body["dimensions"] = dimensions.into();
        }
        let body = body.to_string().into_bytes();
        let heard = self.direct.ask(provider, Endpoint::Embeddings, body, EMBEDDING).await;
        let Heard { status, body, .. } = heard.map_err(|unheard| unheard.to_string())?;
        if !is_good(status) {
            let text = String::from_utf8_lossy(&body);
            return Err(format!("{status}: {}", text.chars().take(EXCERPT_CHARS).collect::<String>()));
        }
        let mut embedded: Embedded = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        embedded.data.sort_by_key(|item| item.index);
        Ok(embedded.data.into_iter().map(|item| item.embedding).collect())
    }
}

fn is_good(status: u16) -> bool {
    (200..300).contains(&status)
}

/// What an error answer says, without the rest of it.
fn message_of(body: &[u8]) -> String {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let message = parsed.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
    message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[async_trait]
impl DirectCalls for Providers {
    async fn chat(&self, provider: &ProviderSpec, body: Vec<u8>) -> Result<Answered, NotAnswered> {
        let within = Duration::from_millis(provider.timeouts.first_byte_ms).min(LIST.within);
        let bounds = Bounds { within, ..LIST };
        match self.direct.chat(provider, body, &self.anything, bounds).await {
            Ok(Heard { status, body, .. }) => Ok(Answered { status, body: body.to_vec() }),
            Err(Unheard::Here(why) | Unheard::Uncarried(why)) => Err(NotAnswered::Here(why)),
            Err(Unheard::There(why)) => Err(NotAnswered::There(why)),
        }
    }
}

#[async_trait]
impl ModelLists for Providers {
    async fn list(&self, provider: &ProviderSpec) -> Result<Pages, String> {
        let mut pages = Pages::default();
        let mut query = String::new();
        while pages.pages.len() < LIST_PAGES_MAX {
            let heard = self.direct.models(provider, &query, LIST).await;
            let Heard { status, body, .. } = heard.map_err(|unheard| unheard.to_string())?;
            if !is_good(status) {
                return Err(format!("the provider answers with status {status}"));
            }
            let next = next_page(&body);
            pages.pages.push(body.to_vec());
            let Some((name, value)) = next else {
                pages.whole = true;
                break;
            };
            query = format!("{name}={}", crate::client::escape(&value));
        }
        Ok(pages)
    }
}

#[async_trait]
impl Questions for Providers {
    async fn ask(&self, provider: &ProviderSpec, body: &Value) -> Result<Value, AskFailed> {
        let body = body.to_string().into_bytes();
        let heard = self.direct.chat(provider, body, &Lossy::default(), QUESTION).await;
        let Heard { status, retry_after_s, body } = heard.map_err(|unheard| match unheard {
            // The question may be asked in another manner.
            Unheard::Uncarried(why) => AskFailed::Refused(why),
            Unheard::Here(why) | Unheard::There(why) => AskFailed::Failed(why),
        })?;
        let why =
            || format!("{status}: {}", message_of(&body).chars().take(EXCERPT_CHARS).collect::<String>());
        match status {
            200..=299 => serde_json::from_slice(&body).map_err(|error| AskFailed::Failed(error.to_string())),
            429 | 503 | 529 => Err(AskFailed::Busy {
                why: why(),
                retry_after_ms: retry_after_s.map(|seconds| seconds.saturating_mul(1_000)),
            }),
            400 | 404 | 422 => Err(AskFailed::Refused(why())),
            _ => Err(AskFailed::Failed(why())),
        }
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
        let vectors = self.vectors(provider, embedder, &texts, None).await?;
        if vectors.iter().all(|vector| vector.len() == embedder.dims as usize) {
            return Ok(vectors);
        }
        // Some models give as many dimensions as they are asked for, and others refuse to be asked.
        self.vectors(provider, embedder, &texts, Some(embedder.dims)).await
    }
}
