//! Whether to walk a graph or to scan its visible members, by expected cost.
//!
//! Measured with `examples/measure.rs` on two cores, without special instructions; on another machine both sides
//! shift alike. 200 000 clustered vectors of 384 dimensions, visible ones scattered at random, medians, walks for 64
//! nodes (for the 96 of [`walk_wanted`] they take 1.3 times as long):
//!
//! | visible | scan ms | walk ms | recall of the walk |
//! |---|---|---|---|
//! | 100 % | 4.9 | 0.58 | 1.000 |
//! | 50 % | 4.1 | 0.99 | 1.000 |
//! | 20 % | 3.8 | 2.4 | 1.000 |
//! | 5 % | 0.4 to 2.2 | 7.4 | 0.963 |
//! | 0.5 % | 0.04 | 48 | 0.994 |
//!
//! - A scan costs a fixed time and a time per dimension for each visible vector, and less for each hidden one in
//!   between, which it reads past. Long runs of hidden places, as an aborted deployment leaves them, cost nothing.
//! - A walk looks at a number of nodes that grows with the logarithm of all. With a share of them visible it has to
//!   go on until it holds as many visible ones, and looks at no node twice.
//! - With less than [`WALK_SHARE_MIN`] visible there is no walk, since its recall falls.
//!
//! At equal cost it scans, which is exact.

use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;

/// How hard to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// By expected cost: what is scanned is exact, what is walked has a recall above 0.99.
    #[default]
    Cheapest,
    /// Scan all, and prove that nothing was missed: the same answer whatever graphs there are. What `verify` asks.
    Exact,
}

/// What is to be done with a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// None of its members is visible.
    Skip,
    Scan,
    Walk,
}

/// A graph's step and the estimates that decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub step: Step,
    pub members: usize,
    pub seen: Seen,
    pub walk_ns: f64,
    pub scan_ns: f64,
}

/// What a scan of some places meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub visible: usize,
    /// Hidden places so close between visible ones that a scan reads past them.
    pub between: usize,
}

/// Visible places among 64 from which on a scan reads the hidden ones between them too: the processor then sees one
/// stream, and a scan of 200 000 vectors with every second one visible takes 4.1 ms instead of 9.3.
pub(crate) const STREAM_MIN: u32 = 8;
/// A walk isn't trusted with a smaller visible share of its graph.
pub const WALK_SHARE_MIN: f64 = 0.1;

/// Nanoseconds per scanned vector.
const SCAN_NS: f64 = 2.1;
/// Nanoseconds per scanned vector and dimension.
const SCAN_DIM_NS: f64 = 0.058;
/// A hidden place between visible ones costs this part of a scanned one.
const BETWEEN: f64 = 0.7;
/// Nanoseconds per node that a walk looks at.
const NODE_NS: f64 = 40.0;
/// Nanoseconds per node that a walk looks at and dimension.
const NODE_DIM_NS: f64 = 0.57;
/// Nodes that a walk looks at per wanted node and doubling of the graph's size.
const NODES_PER_WANTED: f64 = 1.6;

/// Decides for one graph.
#[must_use]
pub fn choose(effort: Effort, dims: usize, members: usize, seen: Seen, wanted: usize) -> Choice {
    let scan_ns = scan_ns(dims, seen);
    let walk_ns = walk_ns(dims, members, seen.visible, wanted);
    let trusted = seen.visible as f64 >= WALK_SHARE_MIN * members as f64;
    let step = match effort {
        Effort::Cheapest | Effort::Exact if seen.visible == 0 => Step::Skip,
        Effort::Cheapest if trusted && walk_ns < scan_ns => Step::Walk,
        Effort::Cheapest | Effort::Exact => Step::Scan,
    };
    Choice { step, members, seen, walk_ns, scan_ns }
}

/// The expected time of a scan.
#[must_use]
pub fn scan_ns(dims: usize, seen: Seen) -> f64 {
    (seen.visible as f64 + BETWEEN * seen.between as f64) * (SCAN_NS + SCAN_DIM_NS * dims as f64)
}

/// The expected time of a walk to `wanted` visible nodes.
#[must_use]
pub fn walk_ns(dims: usize, members: usize, visible: usize, wanted: usize) -> f64 {
    let size = members.max(1) as f64;
    let share = visible.max(1) as f64 / size;
    let nodes = NODES_PER_WANTED * wanted as f64 * size.log2().max(1.0) / share;
    nodes.min(size) * (NODE_NS + NODE_DIM_NS * dims as f64)
}

/// What a scan of the members that are in `visible` meets.
#[must_use]
pub fn seen(members: &Bits, visible: &Bits) -> Seen {
    let mut seen = Seen::default();
    for (members, visible) in members.words().iter().zip(visible.words()) {
        let both = (members & visible).count_ones();
        seen.visible += both as usize;
        if both >= STREAM_MIN {
            seen.between += (u64::BITS - both) as usize;
        }
    }
    seen
}

/// Nodes to ask a walk for, so that the best `k` are among them.
///
/// With 64 a walk in data of large clusters now and then ends in the wrong one (recall 0.979 for k = 10 in clusters
/// of 2 000); with 96 recall is above 0.99. Inner products of vectors of different lengths need twice as many.
#[must_use]
pub fn walk_wanted(metric: Metric, k: usize) -> usize {
    let wanted = (2 * k).max(96);
    match metric {
        Metric::Cosine | Metric::Euclidean => wanted,
        Metric::Dot => 2 * wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cheaper_is_done() {
        let check = |effort, members, visible, between, expected| {
            let choice =
                choose(effort, 384, members, Seen { visible, between }, walk_wanted(Metric::Cosine, 10));
            assert_eq!(choice.step, expected, "{choice:?}");
        };
        check(Effort::Cheapest, 200_000, 200_000, 0, Step::Walk);
        check(Effort::Cheapest, 200_000, 100_000, 100_000, Step::Walk);
        check(Effort::Cheapest, 200_000, 100_000, 0, Step::Walk);
        check(Effort::Cheapest, 200_000, 40_000, 160_000, Step::Walk);
        check(Effort::Cheapest, 200_000, 40_000, 0, Step::Scan);
        check(Effort::Cheapest, 200_000, 10_000, 100_000, Step::Scan);
        check(Effort::Cheapest, 10_000_000, 900_000, 9_000_000, Step::Scan);
        check(Effort::Cheapest, 10_000, 10_000, 0, Step::Scan);
        check(Effort::Cheapest, 200_000, 0, 0, Step::Skip);
        check(Effort::Exact, 200_000, 200_000, 0, Step::Scan);
        check(Effort::Exact, 200_000, 0, 0, Step::Skip);
    }

    #[test]
    fn hidden_places_count_only_between_visible_ones() {
        let members = Bits::all(640);
        let scattered: Bits = (0..640).filter(|place| place % 2 == 0).collect();
        assert_eq!(seen(&members, &scattered), Seen { visible: 320, between: 320 });
        assert_eq!(seen(&members, &Bits::all(320)), Seen { visible: 320, between: 0 });
        assert_eq!(seen(&Bits::all(64), &scattered), Seen { visible: 32, between: 32 });
    }
}
