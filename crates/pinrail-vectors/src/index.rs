//! All of a space in memory: codes, graphs over parts of them, payloads.
//!
//! What is in no graph is scanned; so a graph can be missing, come late or be taken away, and answers stay right. A
//! search looks only at visible places: whatever a candidate or an aborted deployment wrote costs the others nothing
//! but the words of a bit set that are zero.
//!
//! How ties break: not here. The candidates hold everything that may tie, and [`crate::rescore`] decides.

use std::ops::ControlFlow;
use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::state::bits::Bits;
use serde_json::Value;

use crate::arena::{Arena, BadVector, Shape};
use crate::filter::Filter;
use crate::graph::{Graph, NotBuilt, Progress, Walk};
use crate::maintenance::{Facts, GraphFacts, Why, decide};
use crate::nearest::{Candidate, Nearest, PROOF_CANDIDATES_MAX, candidates_max};
use crate::payload::{BadPayload, Payloads, read};
use crate::plan::{Choice, Effort, Step, choose, seen, walk_wanted};
use crate::query::Query;
use crate::rescore::floor;

#[cfg(test)]
mod tests;

/// A space's index. What is pushed is seen by the searches whose visible set holds it, at once.
#[derive(Debug)]
pub struct Index {
    arena: Arena,
    payloads: Payloads,
    graphs: Vec<Arc<Graph>>,
    embedder: Digest,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    pub k: usize,
    /// Leaves out what can't score as much (see [`crate::rescore`]).
    pub min_score: Option<f32>,
    pub effort: Effort,
}

/// The first phase's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Read the vectors of these, and rank them with [`crate::rescore::rescore`].
    pub candidates: Vec<Candidate>,
    /// Whether it is certain that the best `k` are among them.
    pub proven: bool,
    pub looked: Looked,
}

/// What a search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Vectors compared in scans.
    pub scanned: usize,
    /// Graphs walked with success.
    pub walked: usize,
    /// Graphs whose walk ran dry, and whose members were scanned.
    pub dry: usize,
}

/// Why a record is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    #[error("the vector can't be indexed")]
    Vector(#[from] BadVector),
    #[error("the payload can't be indexed")]
    Payload(#[from] BadPayload),
    #[error("the space is full: it has {PLACES_MAX} operations")]
    Full,
}

/// The most places of a space: places are kept in 32 bits where there are many.
pub const PLACES_MAX: usize = u32::MAX as usize;

/// A graph to build in the background, and what it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What the new graph covers; empty if graphs are only to be dropped.
    pub members: Bits,
    /// [`Graph::content`] of those that it replaces.
    pub replaces: Vec<u128>,
    pub why: Why,
}

impl Job {
    /// Does the work, on a snapshot ([`Index::arena`], cloned). Hand the result to [`Index::swap`].
    pub fn build(
        &self,
        arena: &Arena,
        embedder: Digest,
        threads: usize,
        progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> Result<Option<Graph>, NotBuilt> {
        if self.members.is_empty() {
            return Ok(None);
        }
        Graph::build(arena, &self.members, embedder, threads, progress).map(Some)
    }
}

impl Index {
    #[must_use]
    pub fn new(shape: Shape, embedder: Digest) -> Index {
        Index { arena: Arena::new(shape), payloads: Payloads::default(), graphs: Vec::new(), embedder }
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.arena.shape()
    }

    #[must_use]
    pub fn embedder(&self) -> Digest {
        self.embedder
    }

    /// The codes; clone them for a snapshot.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    #[must_use]
    pub fn payloads(&self) -> &Payloads {
        &self.payloads
    }

    #[must_use]
    pub fn graphs(&self) -> &[Arc<Graph>] {
        &self.graphs
    }

    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.arena.places()
    }

    /// Appends a put, and gives its place.
    pub fn put(&mut self, vector: &[f32], payload: Option<&Value>) -> Result<usize, BadRecord> {
        self.has_room()?;
        let fields = payload.map(read).transpose()?.unwrap_or_default();
        let place = self.arena.push(Some(vector))?;
        self.payloads.insert(place, fields);
        Ok(place)
    }

    /// Appends a delete, which takes a place and holds nothing there.
    pub fn delete(&mut self) -> Result<usize, BadRecord> {
        self.has_room()?;
        Ok(self.arena.push(None)?)
    }

    /// The places of a view that a filter lets through.
    #[must_use]
    pub fn filtered(&self, visible: &Bits, filter: &Filter) -> Bits {
        let mut seen = self.payloads.resolve(filter);
        seen.intersect(visible);
        seen
    }

    /// What a search would do with each graph, in their order.
    #[must_use]
    pub fn search_plan(&self, visible: &Bits, ask: &Ask) -> Vec<Choice> {
        let Shape { dims, metric } = self.shape();
        let choice = |graph: &Arc<Graph>| {
            let members = graph.members();
            choose(ask.effort, dims, members.len(), seen(members, visible), walk_wanted(metric, ask.k))
        };
        self.graphs.iter().map(choice).collect()
    }

    /// Finds the places in `visible` that may be among the best. At least `k` of them, if so many are visible
    /// and can have the score.
    ///
    /// # Panics
    /// If the query was made for another shape.
    #[must_use]
    pub fn search(&self, query: &Query, ask: &Ask, visible: &Bits) -> Found {
        self.search_by(&self.search_plan(visible, ask), query, ask, visible)
    }

    fn search_by(&self, plan: &[Choice], query: &Query, ask: &Ask, visible: &Bits) -> Found {
        assert_eq!(query.shape(), self.shape(), "a query is of its space");
        let mut nearest = Nearest::new(ask.k, floor(query, ask.min_score));
        let mut looked = Looked::default();
        let mut to_scan = visible.clone();
        for (graph, choice) in self.graphs.iter().zip(plan) {
            match choice.step {
                Step::Skip | Step::Scan => {}
                Step::Walk => match graph.walk(
                    query,
                    walk_wanted(query.shape().metric, ask.k),
                    visible,
                    choice.seen.visible,
                ) {
                    Walk::Found(places) => {
                        looked.walked += 1;
                        to_scan.subtract(graph.members());
                        places.into_iter().for_each(|place| self.arena.offer(query, place, &mut nearest));
                    }
                    Walk::Dry => looked.dry += 1,
                },
            }
        }
        looked.scanned = self.arena.scan(query, &to_scan, &mut nearest);
        let most = match ask.effort {
            Effort::Cheapest => candidates_max(ask.k),
            Effort::Exact => PROOF_CANDIDATES_MAX.max(ask.k),
        };
        let (candidates, complete) = nearest.finish(most);
        Found { candidates, proven: complete && looked.walked == 0, looked }
    }

    /// The graph to build next, if any. `committed` is what readers of the committed state see.
    #[must_use]
    pub fn maintenance(&self, committed: &Bits) -> Option<Job> {
        let mut loose = committed.clone();
        loose.intersect(self.arena.filled());
        self.graphs.iter().for_each(|graph| loose.subtract(graph.members()));
        let facts = |graph: &Arc<Graph>| GraphFacts {
            members: graph.members().len(),
            visible: seen(graph.members(), committed).visible,
        };
        let graphs = self.graphs.iter().map(facts).collect();
        let decision = decide(&Facts { shape: self.shape(), loose: loose.len(), graphs })?;
        let mut members = if decision.takes_loose { loose } else { Bits::new() };
        let replaced = || decision.replaces.iter().map(|number| &self.graphs[*number]);
        if decision.builds {
            for graph in replaced() {
                let mut kept = graph.members().clone();
                kept.intersect(committed);
                members.unite(&kept);
            }
        }
        Some(Job { members, replaces: replaced().map(|graph| graph.content()).collect(), why: decision.why })
    }

    /// Ends a job: puts its graph in and takes out what it replaces, in one step. Gives back what was taken out.
    pub fn swap(&mut self, job: &Job, graph: Option<Graph>) -> Vec<Arc<Graph>> {
        let mut out: Vec<Arc<Graph>> =
            self.graphs.extract_if(.., |graph| job.replaces.contains(&graph.content())).collect();
        out.extend(graph.into_iter().flat_map(|graph| self.adopt(graph)));
        out
    }

    /// Puts a graph in, such as one that was loaded, and takes out those that share members with it.
    ///
    /// # Panics
    /// If the graph is of another space.
    pub fn adopt(&mut self, graph: Graph) -> Vec<Arc<Graph>> {
        assert!(
            graph.shape() == self.shape() && graph.embedder() == self.embedder,
            "a graph is of its space and its embedder"
        );
        let out =
            self.graphs.extract_if(.., |old| seen(old.members(), graph.members()).visible > 0).collect();
        self.graphs.push(Arc::new(graph));
        out
    }

    /// The bytes in memory, by part.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            codes: self.arena.bytes(),
            graphs: self.graphs.iter().map(|graph| graph.bytes()).sum(),
            payloads: self.payloads.bytes(),
        }
    }

    fn has_room(&self) -> Result<(), BadRecord> {
        if self.places() < PLACES_MAX { Ok(()) } else { Err(BadRecord::Full) }
    }
}

/// Bytes in memory. What the allocator adds isn't counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub codes: usize,
    pub graphs: usize,
    pub payloads: usize,
}
