//! Seeded data for this crate's tests.

use pinrail_domain::digest::Digest;
use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;

use crate::arena::Shape;
use crate::index::{Found, Index};
use crate::query::Query;
use crate::rescore::{Hit, rescore};

/// All metrics.
pub const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::Euclidean];

/// Splitmix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// The sum of some even numbers is near enough to a normal distribution.
    pub fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.unit() as f32 - 0.5).sum::<f32>() * 1.7
    }

    pub fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| self.normal()).collect()
    }

    /// A vector that differs from another by `noise` times a random one.
    pub fn near(&mut self, vector: &[f32], noise: f32) -> Vec<f32> {
        vector.iter().map(|value| value + noise * self.normal()).collect()
    }

    /// Vectors around centres, a hundred each.
    pub fn clusters(&mut self, vectors: usize, dims: usize) -> Vec<Vec<f32>> {
        let centres: Vec<Vec<f32>> = (0..vectors.div_ceil(100)).map(|_| self.vector(dims)).collect();
        (0..vectors)
            .map(|_| {
                let centre = self.below(centres.len());
                self.near(&centres[centre], 0.5)
            })
            .collect()
    }
}

/// An index of some vectors, at places 0, 1, 2…
pub fn index(metric: Metric, vectors: &[Vec<f32>]) -> Index {
    let mut index = Index::new(Shape { dims: vectors[0].len(), metric }, Digest::ZERO);
    for vector in vectors {
        index.put(vector, None).unwrap();
    }
    index
}

/// Ranks what a search found by the vectors.
pub fn ranked(query: &Query, found: &Found, vectors: &[Vec<f32>], k: usize) -> Vec<Hit> {
    let rows = found.candidates.iter().map(|candidate| candidate.place);
    rescore(query, rows.map(|place| (place, place, vectors[place].as_slice())), k, None).unwrap()
}

/// The best, by looking at everything.
pub fn best(query: &Query, visible: &Bits, vectors: &[Vec<f32>], k: usize) -> Vec<Hit> {
    let rows = visible.iter().filter(|place| *place < vectors.len());
    rescore(query, rows.map(|place| (place, place, vectors[place].as_slice())), k, None).unwrap()
}

/// The share of the places in `expected` that are in `hits`.
pub fn recall(hits: &[Hit], expected: &[Hit]) -> f64 {
    let found = expected.iter().filter(|hit| hits.iter().any(|other| other.place == hit.place)).count();
    found as f64 / expected.len().max(1) as f64
}
