//! A query, made ready for comparing.
//!
//! Its codes have up to 16 bits where a vector's have 8: that costs a scan nothing, since the product is taken on
//! 16 bits anyway, and leaves the vectors' rounding as the only error that matters.

use crate::arena::{BadVector, CODE_MAX, ROUNDING, Shape, normal, round_up};

/// A query of one space.
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) shape: Shape,
    /// As it is compared: of length 1 under cosine.
    pub(crate) values: Vec<f64>,
    pub(crate) codes: Vec<i16>,
    pub(crate) step: f32,
    pub(crate) length: f32,
    /// Times a vector's scale: at most this is lost by rounding the query and by arithmetic in 32 bits.
    pub(crate) coarse: f32,
}

impl Query {
    pub fn new(shape: Shape, vector: &[f32]) -> Result<Query, BadVector> {
        let normal = normal(shape, vector)?;
        let code_max = code_max(shape.dims);
        let largest = normal.values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let step = (largest / code_max) as f32;
        let wide = f64::from(step);
        let code =
            |value: &f64| if step > 0.0 { (value / wide).round().clamp(-code_max, code_max) } else { 0.0 };
        let rounded: Vec<f64> = normal.values.iter().map(code).collect();
        let lost = normal.values.iter().zip(&rounded).map(|(value, code)| value - code * wide);
        let lost = lost.map(|lost| lost * lost).sum::<f64>().sqrt();
        // No code of a vector is longer than this many of its scales.
        let longest_code = CODE_MAX * (shape.dims as f64).sqrt();
        let coarse = (lost + f64::from(ROUNDING) * normal.length) * longest_code;
        Ok(Query {
            shape,
            codes: rounded.into_iter().map(|code| code as i16).collect(),
            step,
            length: round_up(normal.length),
            coarse: round_up(coarse),
            values: normal.values,
        })
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// The largest code of a query: `dims` products with a vector's largest code still fit into 32 bits.
fn code_max(dims: usize) -> f64 {
    let fits = f64::from(i32::MAX) / (CODE_MAX * dims.max(1) as f64);
    fits.floor().clamp(1.0, f64::from(i16::MAX))
}
