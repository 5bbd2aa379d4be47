use std::collections::BTreeSet;

use pinrail_domain::release::Metric;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rescore::{Hit, rescore};
use crate::testing::{METRICS, Random, best, index, ranked, recall};

const GO_ON: &(dyn Fn(Progress) -> ControlFlow<()> + Sync) = &|_| ControlFlow::Continue(());

fn ask(k: usize, effort: Effort) -> Ask {
    Ask { k, min_score: None, effort }
}

/// A graph over some places.
fn graph(index: &Index, members: &Bits) -> Graph {
    Graph::build(index.arena(), members, Digest::ZERO, 1, GO_ON).unwrap()
}

/// A search that walks every graph, whatever the plan would be.
fn walk(index: &Index, query: &Query, k: usize, visible: &Bits) -> Found {
    let ask = ask(k, Effort::Cheapest);
    let mut plan = index.search_plan(visible, &ask);
    plan.iter_mut().for_each(|choice| choice.step = Step::Walk);
    index.search_by(&plan, query, &ask, visible)
}

#[test]
fn a_scan_of_many_finds_exactly_the_best_with_few_candidates() {
    let mut random = Random(5);
    for metric in METRICS {
        let vectors = random.clusters(5_000, 64);
        let index = index(metric, &vectors);
        let visible = Bits::all(vectors.len());
        let mut candidates = 0;
        for _ in 0..40 {
            let asked = random.below(vectors.len());
            let query = Query::new(index.shape(), &random.near(&vectors[asked], 0.3)).unwrap();
            let found = index.search(&query, &ask(10, Effort::Cheapest), &visible);
            assert!(found.proven);
            assert_eq!(ranked(&query, &found, &vectors, 10), best(&query, &visible, &vectors, 10));
            candidates += found.candidates.len();
        }
        assert!(candidates < 40 * 60, "{metric:?}: {candidates} candidates for 40 searches");
    }
}

#[test]
fn walks_find_the_best() {
    let mut random = Random(6);
    for metric in METRICS {
        let mut vectors = random.clusters(6_000, 64);
        // Lengths vary, which inner products and distances see.
        for vector in &mut vectors {
            let length = 0.5 + random.unit() as f32;
            vector.iter_mut().for_each(|value| *value *= length);
        }
        let mut index = index(metric, &vectors);
        let everything = Bits::all(vectors.len());
        let graph = graph(&index, &everything);
        index.adopt(graph);
        for share in [1.0, 0.5, 0.3] {
            let visible: Bits = (0..vectors.len()).filter(|_| random.unit() < share).collect();
            let mut sum = 0.0;
            for _ in 0..40 {
                let asked = random.below(vectors.len());
                let query = Query::new(index.shape(), &random.near(&vectors[asked], 0.3)).unwrap();
                let found = walk(&index, &query, 10, &visible);
                let hits = ranked(&query, &found, &vectors, 10);
                assert_eq!((hits.len(), found.proven), (10, false));
                sum += recall(&hits, &best(&query, &visible, &vectors, 10));
            }
            assert!(sum / 40.0 >= 0.99, "{metric:?} with {share} visible: recall {}", sum / 40.0);
        }
    }
}

/// 100 near-duplicates of every probe, written by a deployment that was retracted after its graph was merged: nearer
/// to the probe than anything else, in the same graph, and hidden.
#[test]
fn a_poisoned_neighbourhood_hides_nothing_from_a_walk() {
    for (noise, duplicates) in [(0.0, 100), (1e-4, 100), (0.01, 100), (0.05, 100), (0.0, 300), (0.01, 300)] {
        let mut random = Random(7);
        let mut vectors = random.clusters(4_000, 64);
        let good = vectors.len();
        let probes: Vec<Vec<f32>> = (0..20)
            .map(|_| {
                let near = random.below(good);
                random.near(&vectors[near], 0.3)
            })
            .collect();
        for probe in &probes {
            vectors.extend((0..duplicates).map(|_| random.near(probe, noise)));
        }
        let mut index = index(Metric::Cosine, &vectors);
        let everything = Bits::all(vectors.len());
        let graph = graph(&index, &everything);
        index.adopt(graph);
        let visible = Bits::all(good);
        let mut sum = 0.0;
        for probe in &probes {
            let query = Query::new(index.shape(), probe).unwrap();
            let hits = ranked(&query, &walk(&index, &query, 10, &visible), &vectors, 10);
            let planned = index.search(&query, &ask(10, Effort::Cheapest), &visible);
            let expected = best(&query, &visible, &vectors, 10);
            assert_eq!(hits.len(), 10);
            assert!(recall(&ranked(&query, &planned, &vectors, 10), &expected) >= 0.9);
            sum += recall(&hits, &expected);
        }
        assert!(sum / 20.0 >= 0.99, "noise {noise}, {duplicates} duplicates: recall {}", sum / 20.0);
    }
}

/// A few visible ones in an island of copies must not pass for the whole answer.
#[test]
fn copies_share_a_node_and_leave_room_for_others() {
    let mut random = Random(8);
    let mut vectors = random.clusters(2_000, 32);
    let probe = random.vector(32);
    let copies = 2_000..2_500;
    vectors.extend(copies.clone().map(|_| probe.clone()));
    let mut index = index(Metric::Cosine, &vectors);
    let everything = Bits::all(vectors.len());
    let graph = graph(&index, &everything);
    index.adopt(graph);
    let query = Query::new(index.shape(), &probe).unwrap();
    let mut visible = everything.clone();
    copies.skip(3).for_each(|place| assert!(visible.remove(place)));
    let hits = ranked(&query, &walk(&index, &query, 10, &visible), &vectors, 10);
    let expected = best(&query, &visible, &vectors, 10);
    assert_eq!(hits[..3], expected[..3], "the three copies, by place");
    assert!(recall(&hits, &expected) >= 0.9);
    let all = walk(&index, &query, 10, &everything);
    assert_eq!(
        ranked(&query, &all, &vectors, 10),
        best(&query, &everything, &vectors, 10),
        "ties break by place"
    );
}

#[test]
fn what_a_candidate_wrote_costs_the_others_no_look() {
    let mut random = Random(9);
    let vectors = random.clusters(3_000, 16);
    let mut index = index(Metric::Cosine, &vectors);
    let incumbent = Bits::all(1_000);
    let candidate: Bits = (1_000..3_000).collect();
    let graph = graph(&index, &candidate);
    index.adopt(graph);
    let query = Query::new(index.shape(), &vectors[5]).unwrap();
    let found = index.search(&query, &ask(10, Effort::Cheapest), &incumbent);
    assert_eq!(found.looked, Looked { scanned: 1_000, walked: 0, dry: 0 });
    let plan = index.search_plan(&incumbent, &ask(10, Effort::Cheapest));
    assert_eq!(plan[0].step, Step::Skip);
}

#[test]
fn more_copies_than_can_be_looked_at_are_admitted() {
    let mut index = Index::new(Shape { dims: 2, metric: Metric::Cosine }, Digest::ZERO);
    for _ in 0..2_000 {
        index.put(&[1.0, 2.0], None).unwrap();
    }
    let query = Query::new(index.shape(), &[1.0, 1.0]).unwrap();
    let visible = Bits::all(2_000);
    let cheapest = index.search(&query, &ask(10, Effort::Cheapest), &visible);
    assert_eq!((cheapest.candidates.len(), cheapest.proven), (candidates_max(10), false));
    let exact = index.search(&query, &ask(10, Effort::Exact), &visible);
    assert_eq!((exact.candidates.len(), exact.proven), (2_000, true));
}

/// The probe answers byte for byte the same before a deployment and after its rollback.
#[test]
fn an_exact_search_answers_the_same_whatever_graphs_there_are() {
    let mut random = Random(10);
    let vectors = random.clusters(2_000, 32);
    let mut index = index(Metric::Dot, &vectors);
    let visible = Bits::all(1_500);
    let query = Query::new(index.shape(), &vectors[7]).unwrap();
    let answer = |index: &Index| {
        let found = index.search(&query, &ask(10, Effort::Exact), &visible);
        assert!(found.proven);
        ranked(&query, &found, &vectors, 10)
    };
    let before = answer(&index);
    for members in [Bits::all(2_000), Bits::all(700)] {
        let graph = graph(&index, &members);
        index.adopt(graph);
        assert_eq!(answer(&index), before);
    }
}

#[test]
fn a_job_is_swapped_in_whole_and_an_interrupted_one_loses_nothing() {
    let mut random = Random(11);
    let vectors = random.clusters(3_000, 16);
    let mut index = index(Metric::Cosine, &vectors);
    for members in [(0..1_000).collect::<Bits>(), (1_000..2_000).collect()] {
        let graph = graph(&index, &members);
        assert!(index.adopt(graph).is_empty());
    }
    // Most of the first graph is hidden by a retraction.
    let committed: Bits = (800..3_000).collect();
    let job = index.maintenance(&committed).unwrap();
    assert_eq!(job.why, Why::MostlyHidden { members: 1_000, visible: 200 });
    assert_eq!(index.graphs().len(), 2, "nothing is taken away before the swap");
    let graph = job.build(&index.arena().clone(), Digest::ZERO, 1, GO_ON).unwrap();
    let out = index.swap(&job, graph);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].members().len(), 1_000);
    assert_eq!(index.graphs().len(), 1, "200 vectors aren't worth a graph");
    let query = Query::new(index.shape(), &vectors[900]).unwrap();
    let found = index.search(&query, &ask(10, Effort::Cheapest), &committed);
    assert_eq!(ranked(&query, &found, &vectors, 10), best(&query, &committed, &vectors, 10));
    assert_eq!(index.maintenance(&committed), None, "there is nothing left to do");
}

#[test]
fn a_refused_record_changes_nothing() {
    let mut index = Index::new(Shape { dims: 2, metric: Metric::Cosine }, Digest::ZERO);
    assert!(matches!(index.put(&[1.0, 0.0], Some(&json!([1]))), Err(BadRecord::Payload(_))));
    assert!(matches!(index.put(&[0.0, 0.0], Some(&json!({"a": 1}))), Err(BadRecord::Vector(_))));
    assert_eq!(index.places(), 0);
    assert_eq!(index.put(&[1.0, 0.0], Some(&json!({"a": 1}))).unwrap(), 0);
    assert_eq!(index.delete().unwrap(), 1);
    let everything = Bits::all(2);
    let filter = Filter::parse(&json!({"a": 1})).unwrap();
    assert_eq!(index.filtered(&everything, &filter), Bits::all(1));
    assert_eq!(index.filtered(&Bits::new(), &filter), Bits::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is visible and however it is looked for: a scan gives what looking at everything gives, in the same
    /// order, and a walk is never short.
    #[test]
    fn searches_give_what_looking_at_everything_gives(
        seed: u64,
        size in 1_usize..700,
        dims in 1_usize..40,
        k in 1_usize..30,
        share in prop::sample::select(vec![0.0, 0.02, 0.3, 0.9, 1.0]),
        metric in prop::sample::select(METRICS.to_vec()),
        least in prop::option::of(-2.0_f32..2.0),
    ) {
        let mut random = Random(seed);
        let mut vectors = random.clusters(size, dims);
        // Many ties: every third vector is a copy.
        for copy in (3..size).step_by(3) {
            vectors[copy] = vectors[random.below(copy)].clone();
        }
        let mut index = index(metric, &vectors);
        let visible: Bits = (0..size).filter(|_| random.unit() < share).collect();
        let asked = random.vector(dims);
        let query = Query::new(index.shape(), &asked).unwrap();
        let expected = best(&query, &visible, &vectors, k);
        for effort in [Effort::Cheapest, Effort::Exact] {
            let found = index.search(&query, &ask(k, effort), &visible);
            prop_assert!(found.proven);
            prop_assert_eq!(&ranked(&query, &found, &vectors, k), &expected);
        }
        let floored = index.search(&query, &Ask { min_score: least, ..ask(k, Effort::Exact) }, &visible);
        let rows = floored.candidates.iter().map(|candidate| candidate.place);
        let rows = rows.map(|place| (place, place, vectors[place].as_slice()));
        let enough = |hit: &Hit| least.is_none_or(|least| hit.score >= least);
        prop_assert_eq!(
            rescore(&query, rows, k, least).unwrap(),
            expected.iter().copied().filter(enough).collect::<Vec<_>>()
        );

        let members: Bits = (0..size).filter(|_| random.unit() < 0.8).collect();
        let graph = graph(&index, &members);
        index.adopt(graph);
        let found = walk(&index, &query, k, &visible);
        let places: BTreeSet<usize> = found.candidates.iter().map(|candidate| candidate.place).collect();
        prop_assert!(places.iter().all(|place| visible.contains(*place)));
        prop_assert_eq!(ranked(&query, &found, &vectors, k).len(), k.min(visible.len()), "short");
        prop_assert_eq!(
            ranked(&query, &index.search(&query, &ask(k, Effort::Exact), &visible), &vectors, k),
            expected
        );
    }
}
