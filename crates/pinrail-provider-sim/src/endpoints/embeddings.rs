//! `POST /v1/embeddings`: the same text always gets the same vector from the same checkpoint, and another from another.
//!
//! A text is the bag of its words; each word's direction is drawn from the checkpoint's id and the word. So texts that
//! share words are near each other, as with a real embedder, and a checkpoint that was swapped behind an unchanged id
//! gives itself away by every vector.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::read_body;
use crate::failure::Failure;
use crate::limits::{EMBEDDED_TEXTS_MAX, EMBEDDING_DIMS, EMBEDDING_DIMS_MAX};
use crate::sim::Sim;

#[derive(Deserialize)]
struct EmbeddingsRequest {
    model: String,
    input: Input,
    dimensions: Option<usize>,
    encoding_format: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

/// Embeds one text or several.
pub async fn embed(
    State(sim): State<Sim>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    sim.check_key(&headers)?;
    let body = read_body(body)?;
    let request: EmbeddingsRequest = serde_json::from_slice(&body)
        .map_err(|error| Failure::invalid("body", format!("The body is no embeddings request: {error}")))?;
    let texts = match request.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if texts.is_empty() || texts.len() > EMBEDDED_TEXTS_MAX {
        let message = format!("`input` must hold 1 to {EMBEDDED_TEXTS_MAX} texts");
        return Err(Failure::invalid("input", message));
    }
    let dims = request.dimensions.unwrap_or(EMBEDDING_DIMS);
    if !(1..=EMBEDDING_DIMS_MAX).contains(&dims) {
        let message = format!("`dimensions` must be 1 to {EMBEDDING_DIMS_MAX}");
        return Err(Failure::invalid("dimensions", message));
    }
    if request.encoding_format.is_some_and(|format| format != "float") {
        return Err(Failure::invalid("encoding_format", "Only `float` is simulated"));
    }
    let asked = texts.iter().fold(sim.seed(), |hash, text| xxh3_64_with_seed(text.as_bytes(), hash));
    let (serving, in_flight) = sim.admit_to(&request.model, asked)?;
    let checkpoint = &serving.checkpoint.id;
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(sim.seed(), checkpoint, text, dims);
            json!({ "object": "embedding", "index": index, "embedding": vector })
        })
        .collect();
    let tokens: usize = texts.iter().map(|text| words(text).count()).sum();
    in_flight.finish(|count| count.completed += 1);
    Ok(Json(json!({
        "object": "list",
        "data": data,
        "model": serving.shown,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

fn vector(seed: u64, checkpoint: &str, text: &str, dims: usize) -> Vec<f32> {
    let own = xxh3_64_with_seed(checkpoint.as_bytes(), seed);
    let mut sum = vec![0.0_f64; dims];
    // A text without words has a direction too.
    for word in words(text).chain(std::iter::once(String::new())) {
        let key = xxh3_64_with_seed(word.as_bytes(), own);
        let weight = if word.is_empty() { 0.1 } else { 1.0 };
        for (place, component) in sum.iter_mut().enumerate() {
            let drawn = xxh3_64_with_seed(&(place as u64).to_le_bytes(), key);
            *component += weight * (drawn as f64 / u64::MAX as f64 - 0.5);
        }
    }
    let length = sum.iter().map(|component| component * component).sum::<f64>().sqrt();
    sum.into_iter().map(|component| (component / length) as f32).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
