//! A graph (HNSW, by `usearch`) over some places of a space, to find near ones without looking at all.
//!
//! The graph compares by squared Euclidean distance on one byte per dimension, with one scale for all members. That
//! ranks as cosine does on vectors of length 1; for inner products each member gets further dimensions that bring
//! all members to the same length (Bachrach et al., "Speeding up the Xbox recommender system", 2014), where it ranks
//! as the product does.
//!
//! Members with the same code share one node: nodes at distance 0 keep only each other as neighbours, an island
//! that a search enters and never leaves.
//!
//! A walk passes through hidden nodes and stops when it holds as many visible ones as it was asked for, none of
//! which the next step could better. If it runs out of nodes before, it says so ([`Walk::Dry`]), and the members
//! must be scanned: a walk never passes off what it happened to reach as the answer.

use std::collections::HashMap;

use pinrail_domain::digest::Digest;
use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;
use usearch::ffi::{IndexOptions, MetricKind, ScalarKind};

use crate::arena::{CODE_MAX, Shape};
use crate::query::Query;

mod build;
mod file;
#[cfg(test)]
mod tests;

pub use build::{NotBuilt, Progress};
pub use file::{BadFile, NotSaved};

/// A graph over the vectors of its members. It never changes: what comes later gets a graph of its own.
pub struct Graph {
    shape: Shape,
    members: Bits,
    nodes: usearch::Index,
    /// The further members of a node that stands for several.
    twins: HashMap<usize, Vec<usize>>,
    scale: f32,
    /// Of what the members held when the graph was built ([`crate::arena::Arena::digest`]).
    content: u128,
    embedder: Digest,
}

/// What a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The visible places of the nearest nodes, at least as many nodes as wanted, or all there are.
    Found(Vec<usize>),
    /// The walk ran out of nodes, or out of room, while more members are visible: scan them.
    Dry,
}

/// Neighbours of a node. 16 is what the literature and the library propose; twice that on the ground layer.
const CONNECTIVITY: usize = 16;
/// Candidates looked at to place a node. 128 gives recall above 0.99 at twice the building time of 64.
const EXPANSION_ADD: usize = 128;
/// Walks at once, with a kilobyte or so of room each. One more is told [`Walk::Dry`].
const WALKS_MAX: usize = 64;

impl Graph {
    /// The places that the graph covers.
    #[must_use]
    pub fn members(&self) -> &Bits {
        &self.members
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The embedder whose vectors these are.
    #[must_use]
    pub fn embedder(&self) -> Digest {
        self.embedder
    }

    /// A digest of what the members hold ([`crate::arena::Arena::digest`]): a name for the graph and for its file.
    #[must_use]
    pub fn content(&self) -> u128 {
        self.content
    }

    /// The bytes that this holds in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let twins = self.twins.values().map(|twins| (twins.capacity() + NODE_WORDS) * size_of::<usize>());
        self.nodes.memory_usage() + twins.sum::<usize>() + size_of_val(self.members.words())
    }

    /// The visible members near a query: those of the `wanted` nearest nodes.
    ///
    /// `visible_members` is how many members are in `visible`; the caller knows it from its plan.
    #[must_use]
    pub fn walk(&self, query: &Query, wanted: usize, visible: &Bits, visible_members: usize) -> Walk {
        let code = self.query_code(query);
        let twins = |node: &usize| self.twins.get(node).into_iter().flatten().copied();
        let sees = |node: u64| {
            let node = node as usize;
            visible.contains(node) || twins(&node).any(|twin| visible.contains(twin))
        };
        let Ok(matches) = self.nodes.filtered_search(&code, wanted, sees) else { return Walk::Dry };
        let nodes = matches.keys.len();
        let found: Vec<usize> = matches
            .keys
            .into_iter()
            .flat_map(|node| std::iter::once(node as usize).chain(twins(&(node as usize))))
            .filter(|place| visible.contains(*place))
            .collect();
        if nodes < wanted && found.len() < visible_members { Walk::Dry } else { Walk::Found(found) }
    }

    fn query_code(&self, query: &Query) -> Vec<i8> {
        let scale = match self.shape.metric {
            // Members are equally long, so the query's length changes no order: it gets the finest code.
            Metric::Cosine | Metric::Dot => {
                let largest = query.values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
                (largest / CODE_MAX) as f32
            }
            Metric::Euclidean => self.scale,
        };
        let mut code: Vec<i8> = query.values.iter().map(|value| quantise(*value, scale)).collect();
        code.resize(width(self.shape), 0);
        code
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("shape", &self.shape)
            .field("members", &self.members.len())
            .field("nodes", &self.nodes.size())
            .finish_non_exhaustive()
    }
}

/// What the graph's library said when it refused.
#[derive(Debug, thiserror::Error)]
#[error("the graph library refused: {0}")]
pub struct Refused(String);

/// Takes the text of an error of the library, whose type it doesn't name.
fn refused(error: impl std::fmt::Display) -> Refused {
    Refused(error.to_string())
}

/// Words of a map's entry, beside what it points to.
const NODE_WORDS: usize = 4;
/// Dimensions per dimension that is added for inner products. Spread over an eighth, what brings a member to the
/// common length isn't larger than its own numbers, and so doesn't make the common scale coarser.
const DIMS_PER_FILL: usize = 8;

/// The dimensions that are added to a member.
fn fill_dims(shape: Shape) -> usize {
    match shape.metric {
        Metric::Cosine | Metric::Euclidean => 0,
        Metric::Dot => shape.dims.div_ceil(DIMS_PER_FILL),
    }
}

/// The dimensions inside the graph.
fn width(shape: Shape) -> usize {
    shape.dims + fill_dims(shape)
}

fn quantise(value: f64, scale: f32) -> i8 {
    if scale > 0.0 { (value / f64::from(scale)).round().clamp(-CODE_MAX, CODE_MAX) as i8 } else { 0 }
}

/// An empty graph of the library, with room for walks.
fn empty(shape: Shape, capacity: usize) -> Result<usearch::Index, Refused> {
    let nodes = usearch::Index::new(&IndexOptions {
        dimensions: width(shape),
        metric: MetricKind::L2sq,
        quantization: ScalarKind::I8,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: 1,
        multi: false,
    })
    .map_err(refused)?;
    nodes.reserve_capacity_and_threads(capacity, WALKS_MAX).map_err(refused)?;
    Ok(nodes)
}
