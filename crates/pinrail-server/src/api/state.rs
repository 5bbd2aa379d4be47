//! State as operators look at it, space by space.
//!
//! A read of theirs may look through a run's or a deployment's eyes; it is never noted as a run's own read.

use pinrail_api::problem::Problem;
use pinrail_domain::id::TenantId;
use pinrail_domain::state::{Layer, Space, SpaceName};

use crate::call::bad_name;

pub mod export;
pub mod import;
pub mod map;
pub mod records;
pub mod spaces;
pub mod verify;

/// The space that a text names: `memory/support/s-1`.
pub fn space(tenant: TenantId, text: &str) -> Result<Space, Problem> {
    let bad = |why: String| {
        let shown = &text[..text.floor_char_boundary(100)];
        bad_name(format!(
            "space `{shown}`: {why}; write memory/AGENT/SESSION, context/NAME or vectors/NAME@EMBEDDER"
        ))
    };
    let (layer, name) = text.split_once('/').ok_or_else(|| bad("it names no layer".to_owned()))?;
    let layer: Layer = layer.parse().map_err(|error: pinrail_domain::id::BadName| bad(error.to_string()))?;
    let name = SpaceName::new(name).map_err(|error| bad(error.to_string()))?;
    let fits = match layer {
        Layer::Memory => name.as_str().contains('/'),
        Layer::Vectors => name.as_str().contains('@') || name.as_str().starts_with('~'),
        Layer::Context => true,
    };
    if fits { Ok(Space { tenant, layer, name }) } else { Err(bad("its name lacks a part".to_owned())) }
}

#[cfg(test)]
pub(crate) mod tests;
