//! One space's vectors in memory: which places of it are nearest to a query, among those that a reader sees.
//!
//! Every operation of a space has a place, in sequence order, so "as of" is a prefix and a view is a set of places
//! ([`pinrail_domain::state::bits::Bits`]) that is worked out elsewhere and passed in. Nothing here knows about
//! deployments: what a rollback hides is simply not in the set, and costs a search a 64th of a look.
//!
//! A search has two phases. [`index::Index::search`] finds the places that may be among the best, with proven error
//! bounds, from codes of one byte per dimension; [`rescore::rescore`] ranks them by the vectors that the caller
//! reads from its store, which is the truth. An index can be lost at any time: all of it is derived.
//!
//! This crate must not know SQL, clocks, async or any crate of ours but `pinrail-domain`. It touches files only to
//! save and load a [`graph::Graph`].
//!
//! Start reading at [`index`] (the whole), then [`arena`] (codes and bounds), [`plan`] (walk or scan, by cost),
//! [`maintenance`] (which graph to build next) and [`payload`] (filters).

pub mod arena;
pub mod filter;
pub mod graph;
pub mod index;
pub mod maintenance;
pub mod nearest;
pub mod payload;
pub mod plan;
pub mod query;
pub mod rescore;
#[cfg(test)]
mod testing;
