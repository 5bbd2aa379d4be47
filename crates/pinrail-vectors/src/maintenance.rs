//! Which graph to build next.
//!
//! Decided on the places that are committed, by these rules, the first that applies:
//!
//! 1. A graph of which less than half is still visible is built again without what is hidden: a retraction costs
//!    every later walk its detour. If what is left isn't worth a graph, it is dropped and scanned.
//! 2. When the committed places in no graph would cost a scan more than [`WORTH_WALKS`] walks, they get a graph.
//!    Graphs that are no larger than what is gathered so far are merged into it, smallest first, so that there
//!    are at most as many graphs as doublings, and each vector is built in again as often as that.
//! 3. When there are more than [`GRAPHS_MAX`] graphs, the two smallest are merged.
//!
//! A job is done in the background on a snapshot and swapped in at its end: nothing is taken away before, so an
//! interrupted job loses its work and nothing else.

use crate::arena::Shape;
use crate::plan::{Seen, scan_ns, walk_ns, walk_wanted};

/// A graph is worth building when a scan would take as long as so many walks. Building one costs 0.5 ms of
/// a core for each vector, and a space that is rarely asked shouldn't pay that for little. At 384 dimensions this
/// is from some 50 000 vectors on.
pub const WORTH_WALKS: f64 = 2.0;
/// More graphs than this are merged, since each is walked.
pub const GRAPHS_MAX: usize = 4;
/// Results for which a graph must pay.
const USUAL_K: usize = 10;

/// What the decision is made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub shape: Shape,
    /// Committed visible places in no graph.
    pub loose: usize,
    /// The graphs, in the index's order.
    pub graphs: Vec<GraphFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphFacts {
    pub members: usize,
    /// Members that readers of what is committed see.
    pub visible: usize,
}

/// What to do, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Graphs that the new one replaces, by their number in the index's order.
    pub replaces: Vec<usize>,
    /// Whether the places in no graph go into the new one.
    pub takes_loose: bool,
    /// Whether there is a new graph at all.
    pub builds: bool,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Most of a graph is hidden.
    MostlyHidden { members: usize, visible: usize },
    /// So many places are in no graph that scanning them costs more than walking would.
    ManyLoose { loose: usize },
    /// There are too many graphs.
    ManyGraphs { graphs: usize },
}

/// Says what to do next, if anything.
#[must_use]
pub fn decide(facts: &Facts) -> Option<Decision> {
    let worth = |places: usize| pays(facts.shape, places);
    let hidden = facts.graphs.iter().position(|graph| graph.visible * 2 < graph.members);
    if let Some(number) = hidden {
        let GraphFacts { members, visible } = facts.graphs[number];
        return Some(Decision {
            replaces: vec![number],
            takes_loose: false,
            builds: worth(visible),
            why: Why::MostlyHidden { members, visible },
        });
    }
    let mut by_size: Vec<usize> = (0..facts.graphs.len()).collect();
    by_size.sort_by_key(|number| (facts.graphs[*number].visible, *number));
    if worth(facts.loose) {
        let mut gathered = facts.loose;
        let merges = by_size.into_iter().take_while(|number| {
            let size = facts.graphs[*number].visible;
            let merge = size <= gathered;
            gathered += if merge { size } else { 0 };
            merge
        });
        let replaces = merges.collect();
        return Some(Decision {
            replaces,
            takes_loose: true,
            builds: true,
            why: Why::ManyLoose { loose: facts.loose },
        });
    }
    (facts.graphs.len() > GRAPHS_MAX).then(|| Decision {
        replaces: by_size.into_iter().take(2).collect(),
        takes_loose: false,
        builds: true,
        why: Why::ManyGraphs { graphs: facts.graphs.len() },
    })
}

/// Whether so many places are worth a graph of their own.
#[must_use]
pub fn pays(shape: Shape, places: usize) -> bool {
    let seen = Seen { visible: places, between: 0 };
    let wanted = walk_wanted(shape.metric, USUAL_K);
    scan_ns(shape.dims, seen) > WORTH_WALKS * walk_ns(shape.dims, places, places, wanted)
}

#[cfg(test)]
mod tests {
    use pinrail_domain::release::Metric;

    use super::*;

    fn shape(dims: usize) -> Shape {
        Shape { dims, metric: Metric::Cosine }
    }

    fn next(loose: usize, graphs: &[(usize, usize)]) -> Option<Decision> {
        let graphs =
            graphs.iter().map(|(members, visible)| GraphFacts { members: *members, visible: *visible });
        decide(&Facts { shape: shape(384), loose, graphs: graphs.collect() })
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let check = |loose, graphs: &[(usize, usize)], expected: Option<(&[usize], bool, bool)>| {
            let found = next(loose, graphs);
            let found = found.as_ref().map(|found| (&*found.replaces, found.takes_loose, found.builds));
            assert_eq!(found, expected, "{loose} loose, graphs {graphs:?}");
        };
        check(0, &[], None);
        check(20_000, &[], None);
        check(100_000, &[], Some((&[], true, true)));
        check(20_000, &[(100_000, 100_000)], None);
        // Smaller graphs are gathered in, larger ones left.
        check(
            60_000,
            &[(1_000_000, 1_000_000), (100_000, 90_000), (50_000, 50_000)],
            Some((&[2, 1], true, true)),
        );
        check(60_000, &[(100_000, 90_000)], Some((&[], true, true)));
        // A retraction left most of a graph hidden: what is left is or isn't worth a graph.
        check(60_000, &[(90_000, 90_000), (200_000, 90_000)], Some((&[1], false, true)));
        check(60_000, &[(200_000, 9_000)], Some((&[0], false, false)));
        check(0, &[(9, 9), (7, 7), (8, 8), (6, 6)], None);
        check(0, &[(9, 9), (7, 7), (8, 8), (6, 6), (9, 9)], Some((&[3, 1], false, true)));
    }

    #[test]
    fn there_are_few_graphs_and_each_vector_is_built_in_few_times() {
        let mut graphs: Vec<(usize, usize)> = Vec::new();
        let (mut total, mut built, mut loose) = (0, 0, 0);
        for _ in 0..200 {
            loose += 10_000;
            total += 10_000;
            while let Some(decision) = next(loose, &graphs) {
                let merged: usize = decision.replaces.iter().map(|number| graphs[*number].1).sum();
                let size = merged + if decision.takes_loose { std::mem::take(&mut loose) } else { 0 };
                built += size;
                let mut number = 0;
                graphs.retain(|_| {
                    number += 1;
                    !decision.replaces.contains(&(number - 1))
                });
                graphs.push((size, size));
            }
            assert!(graphs.len() <= GRAPHS_MAX && loose < 60_000, "{graphs:?}, {loose} loose");
            assert_eq!(graphs.iter().map(|graph| graph.1).sum::<usize>() + loose, total);
        }
        assert!(built <= 8 * total, "{total} vectors were built in {built} times");
    }

    #[test]
    fn a_graph_pays_from_some_tens_of_thousands_on() {
        let least =
            |dims| (1..2_000).map(|thousand| thousand * 1_000).find(|places| pays(shape(dims), *places));
        assert_eq!([64, 384, 1_536].map(least), [Some(65_000), Some(52_000), Some(48_000)]);
    }
}
