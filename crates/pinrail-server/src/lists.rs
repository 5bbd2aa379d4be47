//! What providers say of their models: their own lists, and what is learnt from them.

use async_trait::async_trait;
use pinrail_domain::model::{Fact, PerToken, Source};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::time::Timestamp;
use pinrail_wire::litellm::PriceList;
use pinrail_wire::models::{ModelEntry, ModelsError, When, parse_models};

pub use pinrail_wire::models::next_page;

mod daily;

pub use daily::{Daily, Options};

/// Asks a provider for its models.
#[async_trait]
pub trait ModelLists: Send + Sync {
    /// The list as the provider wrote it, or why there is none, without a secret in it (I15).
    async fn list(&self, provider: &ProviderSpec) -> Result<Pages, String>;
}

/// A list of models, page by page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    pub pages: Vec<Vec<u8>>,
    /// Whether the last page is there.
    pub whole: bool,
}

impl Pages {
    /// The models of all pages.
    pub fn models(&self) -> Result<Vec<ModelEntry>, ModelsError> {
        let pages = self.pages.iter().map(|page| parse_models(page)).collect::<Result<Vec<_>, _>>()?;
        let mut models: Vec<ModelEntry> = pages.into_iter().flatten().collect();
        for model in &mut models {
            // Gemini puts its models under a path.
            if let Some(id) = model.id.strip_prefix("models/") {
                model.id = id.to_owned();
            }
        }
        Ok(models)
    }
}

/// What a provider's own list says, for the catalogue.
pub fn source_of_list(provider: &ProviderSpec, pages: &Pages) -> Result<Source, ModelsError> {
    let models = pages.models()?.into_iter().map(fact).collect();
    Ok(Source {
        part: provider.catalogue.clone(),
        from: format!("{}/models", provider.base_url.trim_end_matches('/')),
        whole: pages.whole,
        models,
    })
}

/// What LiteLLM's price list says, for the catalogue: a source per provider.
pub fn sources_of_prices(list: PriceList) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for model in list.models {
        let price = model.input.map(|input| PerToken {
            input,
            cached_input: model.cached_input,
            output: model.output.unwrap_or(0.0),
        });
        let retires = model.ends.as_deref().and_then(day);
        let fact = Fact { id: model.id, retires, price, ..Fact::default() };
        match sources.iter_mut().find(|source| source.part == model.part) {
            Some(source) => source.models.push(fact),
            None => sources.push(Source {
                part: model.part.to_owned(),
                from: "LiteLLM model_prices_and_context_window.json".to_owned(),
                whole: false,
                models: vec![fact],
            }),
        }
    }
    sources
}

fn fact(model: ModelEntry) -> Fact {
    let ModelEntry { id, created, owned_by: _, deprecated, shutdown, aliases } = model;
    // Some providers say 0, or the time of the request, of models of which they don't know.
    let released = created.as_ref().and_then(at).filter(|at| at.0 > 0).filter(|_| dated(&id));
    let deprecated = deprecated.as_ref().and_then(at);
    let retires = shutdown.as_ref().and_then(at);
    Fact { id, released, deprecated, retires, price: None, aliases }
}

/// Whether an id is of one checkpoint, which has a day of release: an alias has none.
fn dated(id: &str) -> bool {
    id.bytes().filter(u8::is_ascii_digit).count() >= 4
}

fn at(when: &When) -> Option<Timestamp> {
    match when {
        When::UnixS(seconds) => Some(Timestamp(seconds.saturating_mul(1_000))),
        When::Text(text) => day(text),
    }
}

/// The day at the front of a date or a time as ISO 8601 writes them.
fn day(text: &str) -> Option<Timestamp> {
    Timestamp::of_day(text.get(..10)?)
}
