//! Measures scans and walks, so that anyone can check the numbers that `plan` decides by.
//!
//! `cargo run --release -p pinrail-vectors --example measure -- [VECTORS] [DIMS] [THREADS]`
//!
//! The data is random but seeded: clusters of unit vectors, asked near one of them. For each visible share it prints
//! medians over the queries: the scan, the walk, what the plan expects of both, and the recall at 10. With 0 threads
//! there is no graph.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for people, at a terminal")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::ops::ControlFlow;
use std::time::Instant;

use pinrail_domain::digest::Digest;
use pinrail_domain::release::Metric;
use pinrail_domain::state::bits::Bits;
use pinrail_vectors::arena::{Arena, Shape};
use pinrail_vectors::graph::{Graph, Walk};
use pinrail_vectors::index::{Ask, Index};
use pinrail_vectors::plan::{Effort, Step, scan_ns, seen, walk_ns, walk_wanted};
use pinrail_vectors::query::Query;
use pinrail_vectors::rescore::rescore;

const K: usize = 10;
const QUERIES: usize = 100;
/// Vectors around each centre.
const CLUSTER: usize = 100;

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().unwrap()).collect();
    let argument = |number: usize, default| arguments.get(number).copied().unwrap_or(default);
    let (vectors, dims, threads) = (argument(0, 20_000), argument(1, 384), argument(2, 2));
    let shape = Shape { dims, metric: Metric::Cosine };
    let data = clusters(vectors, dims);
    let mut index = Index::new(shape, Digest::ZERO);
    let start = Instant::now();
    for vector in &data {
        index.put(vector, None).unwrap();
    }
    println!("{vectors} x {dims}: quantised in {:.2} s, {} MB", start.elapsed().as_secs_f64(), mb(&index));
    if threads > 0 {
        let graph = build(index.arena(), threads);
        index.adopt(graph);
    }
    println!("{}", header());
    for share in [1.0, 0.5, 0.2, 0.05, 0.005] {
        println!("{}", line(&index, &data, share));
    }
}

fn build(arena: &Arena, threads: usize) -> Graph {
    let start = Instant::now();
    let everything = Bits::all(arena.places());
    let go_on = |_| ControlFlow::Continue(());
    let graph = Graph::build(arena, &everything, Digest::ZERO, threads, &go_on).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!("graph: built in {seconds:.1} s on {threads} threads, {} MB", graph.bytes() >> 20);
    graph
}

fn header() -> String {
    let names = ["visible", "scan ms", "expected", "walk ms", "expected", "plan", "candidates", "recall@10"];
    names.map(|name| format!("{name:>11}")).concat()
}

fn line(index: &Index, data: &[Vec<f32>], share: f64) -> String {
    let (vectors, dims) = (data.len(), index.shape().dims);
    let mut random = Random(7);
    let visible: Bits = (0..vectors).filter(|_| random.unit() < share).collect();
    let cheapest = Ask { k: K, min_score: None, effort: Effort::Cheapest };
    let exact = Ask { effort: Effort::Exact, ..cheapest };
    let (mut scans, mut walks, mut candidates, mut same) = (Vec::new(), Vec::new(), 0, 0);
    for number in 0..QUERIES {
        let near = &data[number * vectors / QUERIES];
        let asked: Vec<f32> =
            near.iter().map(|value| value + random.normal() * 0.5 / (dims as f32).sqrt()).collect();
        let query = Query::new(index.shape(), &asked).unwrap();
        let start = Instant::now();
        let best = index.search(&query, &exact, &visible);
        scans.push(start.elapsed().as_secs_f64() * 1e3);
        assert!(best.proven);
        let start = Instant::now();
        let walk = index
            .graphs()
            .first()
            .map(|graph| graph.walk(&query, walk_wanted(Metric::Cosine, K), &visible, visible.len()));
        walks.push(start.elapsed().as_secs_f64() * 1e3);
        candidates += best.candidates.len();
        let rank = |places: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
            let rows: Vec<_> = places.map(|place| (place, place, data[place].as_slice())).collect();
            rescore(&query, rows, K, None).unwrap().into_iter().map(|hit| hit.place).collect()
        };
        let best = rank(&mut best.candidates.iter().map(|candidate| candidate.place));
        let walked = match walk {
            Some(Walk::Found(places)) => rank(&mut places.into_iter()),
            Some(Walk::Dry) | None => Vec::new(),
        };
        same += walked.iter().filter(|place| best.contains(place)).count();
    }
    let expected = walk_ns(dims, vectors, visible.len(), walk_wanted(Metric::Cosine, K)) / 1e6;
    let step = index.search_plan(&visible, &cheapest).first().map_or(Step::Scan, |choice| choice.step);
    let met = seen(&Bits::all(vectors), &visible);
    let columns = [
        format!("{:.1} %", share * 100.0),
        format!("{:.3}", median(scans)),
        format!("{:.3}", scan_ns(dims, met) / 1e6),
        format!("{:.3}", median(walks)),
        format!("{expected:.3}"),
        format!("{step:?}"),
        format!("{}", candidates / QUERIES),
        format!("{:.4}", same as f64 / (QUERIES * K.min(visible.len())) as f64),
    ];
    columns.map(|column| format!("{column:>11}")).concat()
}

fn clusters(vectors: usize, dims: usize) -> Vec<Vec<f32>> {
    let mut random = Random(1);
    let centres: Vec<Vec<f32>> =
        (0..vectors.div_ceil(CLUSTER)).map(|_| (0..dims).map(|_| random.normal()).collect()).collect();
    let mut vector = || {
        let centre = &centres[(random.unit() * centres.len() as f64) as usize];
        let raw: Vec<f32> = centre.iter().map(|value| value + random.normal() * 0.7).collect();
        let length = raw.iter().map(|value| value * value).sum::<f32>().sqrt();
        raw.into_iter().map(|value| value / length).collect()
    };
    (0..vectors).map(|_| vector()).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn mb(index: &Index) -> usize {
    index.memory().codes >> 20
}

/// Splitmix64: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The sum of twelve is near enough to a normal distribution.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f64>() as f32 - 6.0
    }
}
