//! `similar`: how near the answer's embedding is to that of the value.

use super::judged::{Judged, share};
use super::text::{quoted, wants};
use super::{Aides, CannotScore, json};
use crate::suite::Assertion;
use serde_json::Value;

/// Judges by the cosine of the two, from `threshold` (0.75) on; of a list, the nearest counts. Negated, the answer must be
/// below it for each, and the score is 1 less the cosine.
pub(super) async fn similar(
    assertion: &Assertion,
    text: &str,
    aides: &dyn Aides,
) -> Result<Judged, CannotScore> {
    let values: Vec<String> = match &assertion.value {
        Value::String(value) => vec![value.clone()],
        Value::Array(values) if !values.is_empty() && values.len() <= VALUES_MAX => {
            values.iter().map(json::text_of).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(wants("similar", "a text, or a list of at most 100 texts, as its value"));
        }
    };
    let mut texts = values.clone();
    texts.push(text.to_owned());
    let mut vectors = aides.embed(&texts).await?;
    let output =
        vectors.pop().filter(|_| vectors.len() == values.len()).ok_or_else(|| strange("not one per text"))?;
    let mut nearest = (f64::NEG_INFINITY, 0);
    for (nth, vector) in vectors.iter().enumerate() {
        let cosine = cosine(vector, &output).ok_or_else(|| strange("not of one length"))?;
        if cosine > nearest.0 {
            nearest = (cosine, nth);
        }
    }
    let threshold = assertion.threshold.unwrap_or(0.75);
    let (cosine, value) = (nearest.0, quoted(&values[nearest.1]));
    let (pass, score, side) = if assertion.not {
        (cosine <= threshold + f64::EPSILON, 1.0 - cosine, "not below")
    } else {
        (cosine >= threshold - f64::EPSILON, cosine, "below")
    };
    let why =
        if pass { String::new() } else { format!("similarity {cosine:.3} to {value}, {side} {threshold}") };
    Ok(Judged::graded(pass, share(score), why))
}

/// Texts that one assertion compares with: each is embedded for every answer.
const VALUES_MAX: usize = 100;

fn strange(what: &str) -> CannotScore {
    CannotScore::Script(format!("the embedder's vectors are {what}"))
}

/// None: they can't be compared (I12). With a vector of nothing, nothing is similar.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    let cosine = dot(a, b) / norms;
    Some(if cosine.is_finite() { cosine } else { 0.0 })
}
