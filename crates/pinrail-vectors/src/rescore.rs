//! Exact scores, from the vectors that the store holds, in one order of summation: the same vectors give the same
//! bytes on every machine and at any time.
//!
//! A higher score is always better. It is the cosine of the angle, the inner product, or the distance with its sign
//! turned (`-2.5` is 2.5 away), so `min_score` reads the same for all metrics. Ties break by the key that the caller gives, lower
//! first.

use std::cmp::Ordering;

use pinrail_domain::release::Metric;

use crate::arena::{BadVector, normal};
use crate::query::Query;

/// A result: how well a place answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub place: usize,
    pub score: f32,
}

/// Ranks candidates by their vectors, and keeps the `k` best that score at least `min_score`.
pub fn rescore<'a, T: Ord>(
    query: &Query,
    candidates: impl IntoIterator<Item = (usize, T, &'a [f32])>,
    k: usize,
    min_score: Option<f32>,
) -> Result<Vec<Hit>, BadVector> {
    let mut ranked = Vec::new();
    for (place, tie, vector) in candidates {
        let score = score(query, vector)?;
        if min_score.is_none_or(|least| score >= least) {
            ranked.push((Hit { place, score }, tie));
        }
    }
    let better = |a: &(Hit, T), b: &(Hit, T)| -> Ordering {
        b.0.score.total_cmp(&a.0.score).then_with(|| a.1.cmp(&b.1)).then(a.0.place.cmp(&b.0.place))
    };
    ranked.sort_unstable_by(better);
    ranked.truncate(k);
    Ok(ranked.into_iter().map(|(hit, _)| hit).collect())
}

/// How well one vector answers a query.
pub fn score(query: &Query, vector: &[f32]) -> Result<f32, BadVector> {
    let vector = normal(query.shape, vector)?;
    let pairs = query.values.iter().zip(&vector.values);
    let score = match query.shape.metric {
        Metric::Cosine => pairs.map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0),
        Metric::Dot => pairs.map(|(a, b)| a * b).sum::<f64>(),
        Metric::Euclidean => -pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
    };
    // Not -0: it would rank below 0 and print differently.
    Ok(score as f32 + 0.0)
}

/// The least estimate that can have `min_score`, in the scale that candidates are ranked by.
pub(crate) fn floor(query: &Query, min_score: Option<f32>) -> f32 {
    let Some(least) = min_score.map(f64::from) else { return f32::NEG_INFINITY };
    let floor = match query.shape.metric {
        Metric::Cosine | Metric::Dot => least - 1e-6 * least.abs(),
        Metric::Euclidean if least > 0.0 => return f32::INFINITY,
        Metric::Euclidean => {
            let length = f64::from(query.length);
            length * length - least * least - 1e-6 * (length * length + least * least)
        }
    };
    floor as f32
}
