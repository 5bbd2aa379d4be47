//! LiteLLM's price list, `model_prices_and_context_window.json`: which models there are, what they cost, when they end.
//!
//! Only what is spelled as its provider spells it is read: entries of other providers than those in [`PARTS`], of regions
//! and deployments (`bedrock/us-east-1/…`), of fine-tunes, and of models that don't write or embed text are passed over.

use serde_json::Value;

/// A model of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// The part of the catalogue, such as `openai`.
    pub part: &'static str,
    pub id: String,
    /// USD per token.
    pub input: Option<f64>,
    pub cached_input: Option<f64>,
    pub output: Option<f64>,
    /// When it ends, as the list writes it.
    pub ends: Option<String>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceList {
    pub models: Vec<Priced>,
    /// Entries that were passed over.
    pub passed_over: usize,
}

/// Says why a text is no price list.
#[derive(Debug, thiserror::Error)]
pub enum NoPriceList {
    #[error("the price list is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the file holds no entry with `litellm_provider`: it is no price list of LiteLLM")]
    NoEntry,
}

/// Its providers, with what is put before the ids, and the parts of the catalogue that they are.
const PARTS: [(&str, &str, &str); 8] = [
    ("openai", "", "openai"),
    ("text-completion-openai", "", "openai"),
    ("anthropic", "", "anthropic"),
    ("gemini", "gemini/", "gemini"),
    ("mistral", "mistral/", "mistral"),
    ("bedrock", "", "bedrock"),
    ("bedrock_converse", "", "bedrock"),
    ("vertex_ai-anthropic_models", "vertex_ai/", "vertex"),
];
const MODES: [&str; 4] = ["chat", "completion", "responses", "embedding"];
/// An entry that only explains the others.
const SAMPLE: &str = "sample_spec";

/// Reads a price list.
///
/// # Errors
/// When it is no JSON, or no entry says whose model it is.
pub fn parse_prices(text: &[u8]) -> Result<PriceList, NoPriceList> {
    let list: serde_json::Map<String, Value> = serde_json::from_slice(text).map_err(NoPriceList::NotJson)?;
    let entries = list.iter().filter(|(name, _)| *name != SAMPLE);
    let entries: Vec<_> = entries.filter(|(_, entry)| entry.get("litellm_provider").is_some()).collect();
    if entries.is_empty() {
        return Err(NoPriceList::NoEntry);
    }
    let models: Vec<Priced> = entries.iter().filter_map(|(name, entry)| priced(name, entry)).collect();
    let passed_over = entries.len() - models.len();
    Ok(PriceList { models, passed_over })
}

fn priced(name: &str, entry: &Value) -> Option<Priced> {
    let provider = entry.get("litellm_provider")?.as_str()?;
    let (_, before, part) = PARTS.iter().find(|(known, _, _)| *known == provider)?;
    let id = name.strip_prefix(before)?;
    let mode = entry.get("mode").and_then(Value::as_str).unwrap_or("chat");
    if id.contains('/') || id.starts_with("ft:") || !MODES.contains(&mode) {
        return None;
    }
    let usd = |key: &str| entry.get(key).and_then(Value::as_f64);
    Some(Priced {
        part,
        id: id.to_owned(),
        input: usd("input_cost_per_token"),
        cached_input: usd("cache_read_input_token_cost"),
        output: usd("output_cost_per_token"),
        ends: entry.get("deprecation_date").and_then(Value::as_str).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form of the list that the package `litellm` holds.
    const LIST: &str = r#"{
      "sample_spec": { "litellm_provider": "one of https://docs.litellm.ai/docs/providers", "mode": "one of: chat, embedding" },
      "gpt-4o-2024-08-06": { "cache_read_input_token_cost": 1.25e-06, "input_cost_per_token": 2.5e-06, "litellm_provider": "openai",
        "max_input_tokens": 128000, "mode": "chat", "output_cost_per_token": 1e-05, "deprecation_date": "2027-01-14" },
      "ft:gpt-4o-2024-08-06": { "input_cost_per_token": 3.75e-06, "litellm_provider": "openai", "mode": "chat", "output_cost_per_token": 1.5e-05 },
      "1024-x-1024/dall-e-2": { "input_cost_per_pixel": 1.9e-08, "litellm_provider": "openai", "mode": "image_generation", "output_cost_per_pixel": 0.0 },
      "gemini/gemini-2.0-flash-001": { "input_cost_per_token": 1e-07, "litellm_provider": "gemini", "mode": "chat", "output_cost_per_token": 4e-07 },
      "bedrock/us-east-1/anthropic.claude-v2:1": { "input_cost_per_token": 8e-06, "litellm_provider": "bedrock", "mode": "chat", "output_cost_per_token": 2.4e-05 },
      "azure/gpt-4o": { "input_cost_per_token": 2.5e-06, "litellm_provider": "azure", "mode": "chat", "output_cost_per_token": 1e-05 }
    }"#;

    #[test]
    fn only_what_is_spelled_as_its_provider_does_is_read() {
        let list = parse_prices(LIST.as_bytes()).unwrap();
        let ids: Vec<_> = list.models.iter().map(|model| (model.part, &*model.id)).collect();
        assert_eq!(ids, [("gemini", "gemini-2.0-flash-001"), ("openai", "gpt-4o-2024-08-06")]);
        assert_eq!(list.passed_over, 4);
        let gpt = &list.models[1];
        assert_eq!((gpt.input, gpt.cached_input, gpt.output), (Some(2.5e-6), Some(1.25e-6), Some(1e-5)));
        assert_eq!(gpt.ends.as_deref(), Some("2027-01-14"));
        assert!(matches!(parse_prices(b"[]"), Err(NoPriceList::NotJson(_))));
        assert!(matches!(parse_prices(b"{}"), Err(NoPriceList::NoEntry)));
        assert!(matches!(parse_prices(br#"{"data": []}"#), Err(NoPriceList::NoEntry)));
    }
}
