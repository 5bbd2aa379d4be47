//! Codes of all vectors of a space in the order of their places, one byte per dimension.
//!
//! A vector `x` is kept as `scale * code + rest`, with the length of `rest` beside it. By Cauchy and Schwarz
//! `|query · rest| ≤ |query| |rest|`, so each estimate comes with a bound that no vector breaks, and a scan can
//! prove that it missed nothing (see [`crate::nearest`]). Under cosine the vector is normalised first.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;
use xxhash_rust::xxh3::Xxh3;

use crate::nearest::Nearest;
use crate::plan::STREAM_MIN;
use crate::query::Query;

mod dot;
#[cfg(test)]
mod tests;

/// What the embedder's contract says about the vectors of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub dims: usize,
    pub metric: Metric,
}

/// Why a vector can't be in a space, or ask one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVector {
    #[error("the vector has {found} dimensions, and the space has {expected}")]
    Dims { expected: usize, found: usize },
    #[error("number {at} of the vector is not finite")]
    NotFinite { at: usize },
    #[error("the vector is zero, which has no direction to compare by cosine")]
    Zero,
    #[error("the vector is longer than {LENGTH_MAX:e}")]
    TooLong,
}

/// The greatest length of a vector: squares of it, and sums of two, are finite in 32 bits.
pub const LENGTH_MAX: f64 = 1e18;

/// The codes of a space. Cloning is cheap: it shares all blocks, so a snapshot can be taken for work in the background.
#[derive(Clone, Debug)]
pub struct Arena {
    shape: Shape,
    blocks: Vec<Arc<Block>>,
    filled: Bits,
    places: usize,
}

/// Places in a block. A block is what a snapshot shares, and what the first push after a snapshot copies: at 384
/// dimensions 200 kB. A multiple of 64, so that a block's places are whole words of [`Bits`].
pub(crate) const BLOCK: usize = 512;
/// Words of [`Bits`] per block.
const WORDS: usize = BLOCK / 64;
/// The largest code. -128 isn't used, so that codes are symmetric.
pub(crate) const CODE_MAX: f64 = 127.0;

/// Bytes of a cache line.
const LINE: usize = 64;

/// The vectors of up to [`BLOCK`] neighbouring places.
#[derive(Clone, Debug, Default)]
struct Block {
    codes: Vec<i8>,
    facts: Vec<Fact>,
    /// Squared lengths; kept only where the metric needs them.
    squares: Vec<f32>,
}

/// What turns a code back into an estimate with a bound.
#[derive(Clone, Copy, Debug)]
struct Fact {
    scale: f32,
    /// The length of what the code leaves out.
    rest: f32,
}

impl Arena {
    #[must_use]
    pub fn new(shape: Shape) -> Arena {
        Arena { shape, blocks: Vec::new(), filled: Bits::new(), places: 0 }
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many places there are, empty ones included.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places
    }

    /// The places that hold a vector.
    #[must_use]
    pub fn filled(&self) -> &Bits {
        &self.filled
    }

    /// Appends a place: with a vector for a put, empty for a delete. Nothing changes when the vector is refused.
    pub fn push(&mut self, vector: Option<&[f32]>) -> Result<usize, BadVector> {
        let normal = vector.map(|vector| normal(self.shape, vector)).transpose()?;
        let place = self.places;
        if place.is_multiple_of(BLOCK) {
            self.blocks.push(Arc::default());
        }
        let block = Arc::make_mut(self.blocks.last_mut().expect("a place has a block"));
        block.make_room(self.shape.dims);
        let square = match &normal {
            Some(Normal { values, length }) => {
                block.facts.push(encode(values, &mut block.codes));
                self.filled.insert(place);
                length * length
            }
            None => {
                block.codes.resize(block.codes.len() + self.shape.dims, 0);
                block.facts.push(Fact { scale: 0.0, rest: 0.0 });
                0.0
            }
        };
        if self.shape.metric == Metric::Euclidean {
            block.squares.push(square as f32);
        }
        self.places += 1;
        Ok(place)
    }

    /// Offers all vectors in `among` to `nearest`, in the order of their places.
    pub(crate) fn scan(&self, query: &Query, among: &Bits, nearest: &mut Nearest) -> usize {
        let mut looked = 0;
        for (number, block) in self.blocks.iter().enumerate() {
            let words =
                |bits: &Bits, index: usize| bits.words().get(number * WORDS + index).copied().unwrap_or(0);
            for index in 0..WORDS {
                let mut word = words(among, index) & words(&self.filled, index);
                let count = word.count_ones();
                looked += count as usize;
                let mut next = index * 64;
                while word != 0 {
                    let row = index * 64 + word.trailing_zeros() as usize;
                    word &= word - 1;
                    if count >= STREAM_MIN {
                        block.touch(self.shape.dims, next..row);
                    }
                    next = row + 1;
                    block.offer(self.shape, query, row, number * BLOCK + row, nearest);
                }
            }
        }
        looked
    }

    /// Offers one place to `nearest`; an empty one is nothing to offer.
    pub(crate) fn offer(&self, query: &Query, place: usize, nearest: &mut Nearest) {
        if self.filled.contains(place) {
            self.blocks[place / BLOCK].offer(self.shape, query, place % BLOCK, place, nearest);
        }
    }

    /// The code of a place and its scale.
    pub(crate) fn code(&self, place: usize) -> (&[i8], f32) {
        let block = &self.blocks[place / BLOCK];
        let row = place % BLOCK;
        (block.code(self.shape.dims, row), block.facts[row].scale)
    }

    /// A digest of what some places hold, to tell whether something derived from them still fits.
    #[must_use]
    pub fn digest(&self, places: &Bits) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(&(self.shape.dims as u64).to_le_bytes());
        let mut bytes = Vec::with_capacity(self.shape.dims);
        for place in places.iter() {
            hash.update(&(place as u64).to_le_bytes());
            if place < self.places && self.filled.contains(place) {
                let (code, scale) = self.code(place);
                bytes.clear();
                bytes.extend(code.iter().map(|number| number.cast_unsigned()));
                hash.update(&scale.to_le_bytes());
                hash.update(&bytes);
            }
        }
        hash.digest128()
    }

    /// The bytes that this holds in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let block = |block: &Arc<Block>| {
            block.codes.capacity()
                + block.facts.capacity() * size_of::<Fact>()
                + block.squares.capacity() * size_of::<f32>()
        };
        self.blocks.iter().map(block).sum::<usize>() + size_of_val(self.filled.words())
    }
}

impl Block {
    /// Doubles the rows when they are full, and never takes more than a block's.
    fn make_room(&mut self, dims: usize) {
        if self.codes.len() == self.codes.capacity() {
            let more = self.codes.len().max(dims).min(BLOCK * dims - self.codes.len());
            self.codes.reserve_exact(more);
        }
    }

    fn code(&self, dims: usize, row: usize) -> &[i8] {
        &self.codes[row * dims..(row + 1) * dims]
    }

    /// Reads a byte of each cache line of some rows, so that the processor sees one stream through the block.
    fn touch(&self, dims: usize, rows: Range<usize>) {
        for at in (rows.start * dims..rows.end * dims).step_by(LINE) {
            black_box(self.codes[at]);
        }
    }

    fn offer(&self, shape: Shape, query: &Query, row: usize, place: usize, nearest: &mut Nearest) {
        let Fact { scale, rest } = self.facts[row];
        let dot = dot::dot(self.code(shape.dims, row), &query.codes) as f32 * (query.step * scale);
        let slack = query.length * rest + query.coarse * scale;
        match shape.metric {
            Metric::Cosine | Metric::Dot => nearest.offer(place, dot, slack),
            Metric::Euclidean => {
                let square = self.squares[row];
                let rounding = ROUNDING * (square + query.length * query.length);
                nearest.offer(place, 2.0 * dot - square, 2.0 * slack + rounding);
            }
        }
    }
}

/// More than what 32-bit arithmetic loses in an estimate, relative to the lengths of both vectors.
pub(crate) const ROUNDING: f32 = 4e-6;

/// A vector as it is compared, and its length.
pub(crate) struct Normal {
    pub values: Vec<f64>,
    pub length: f64,
}

/// Checks a vector, and gives it the length 1 under cosine.
pub(crate) fn normal(shape: Shape, vector: &[f32]) -> Result<Normal, BadVector> {
    if vector.len() != shape.dims {
        return Err(BadVector::Dims { expected: shape.dims, found: vector.len() });
    }
    if let Some(at) = vector.iter().position(|value| !value.is_finite()) {
        return Err(BadVector::NotFinite { at });
    }
    let mut values: Vec<f64> = vector.iter().copied().map(f64::from).collect();
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > LENGTH_MAX {
        return Err(BadVector::TooLong);
    }
    match shape.metric {
        Metric::Dot | Metric::Euclidean => Ok(Normal { values, length }),
        Metric::Cosine if length == 0.0 => Err(BadVector::Zero),
        Metric::Cosine => {
            values.iter_mut().for_each(|value| *value /= length);
            Ok(Normal { values, length: 1.0 })
        }
    }
}

/// Appends a vector's code, and says what it means.
fn encode(values: &[f64], codes: &mut Vec<i8>) -> Fact {
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    // What is stored must be what is used: the scale in 32 bits decides the code.
    let scale = (largest / CODE_MAX) as f32;
    let wide = f64::from(scale);
    let mut rest = 0.0;
    for value in values {
        let code = if scale > 0.0 { (value / wide).round().clamp(-CODE_MAX, CODE_MAX) } else { 0.0 };
        let left = value - code * wide;
        rest += left * left;
        codes.push(code as i8);
    }
    Fact { scale, rest: round_up(rest.sqrt()) }
}

/// The value in 32 bits, never below it.
pub(crate) fn round_up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}
