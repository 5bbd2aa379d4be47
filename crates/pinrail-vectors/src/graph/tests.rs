use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::arena::Arena;
use crate::testing::{METRICS, Random};

const GO_ON: &(dyn Fn(Progress) -> ControlFlow<()> + Sync) = &|_| ControlFlow::Continue(());

fn arena(metric: Metric, vectors: usize) -> Arena {
    let mut random = Random(12);
    let mut arena = Arena::new(Shape { dims: 16, metric });
    for vector in random.clusters(vectors, 16) {
        arena.push(Some(&vector)).unwrap();
    }
    arena
}

fn embedder() -> Digest {
    Digest::of(b"embedder")
}

/// A small graph in a file, with the arena that it is of.
fn saved(path: &Path) -> (Arena, Graph) {
    let mut arena = arena(Metric::Cosine, 60);
    arena.push(None).unwrap();
    let again = Random(12).vector(16);
    (0..3).for_each(|_| assert!(arena.push(Some(&again)).is_ok()));
    let mut members = Bits::all(64);
    members.remove(60);
    let graph = Graph::build(&arena, &members, embedder(), 1, GO_ON).unwrap();
    graph.save(path).unwrap();
    (arena, graph)
}

#[test]
fn a_graph_comes_back_from_its_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph");
    for metric in METRICS {
        let arena = arena(metric, 500);
        let members: Bits = (0..500).filter(|place| place % 7 != 0).collect();
        let graph = Graph::build(&arena, &members, embedder(), 2, GO_ON).unwrap();
        graph.save(&path).unwrap();
        let loaded = Graph::load(&path, &arena, embedder()).unwrap();
        assert_eq!((loaded.members(), loaded.content()), (&members, graph.content()));
        let visible = Bits::all(400);
        let mut random = Random(13);
        for _ in 0..20 {
            let query = Query::new(arena.shape(), &random.vector(16)).unwrap();
            assert_eq!(loaded.walk(&query, 30, &visible, 342), graph.walk(&query, 30, &visible, 342));
        }
    }
    let files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["graph"], "nothing is left beside it");
}

#[test]
fn any_damage_is_noticed_before_the_library_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph");
    let (arena, _) = saved(&path);
    let whole = fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let loaded = Graph::load(&path, &arena, embedder());
        assert!(matches!(loaded, Err(BadFile::Damaged { .. })), "{what}: {loaded:?}");
    };
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        check(&damaged, &format!("a bit of byte {at} flipped"));
    }
    for end in [0, 1, 15, 16, 40, whole.len() / 2, whole.len() - 1] {
        check(&whole[..end], &format!("cut at {end}"));
    }
    check(&[whole.as_slice(), b"x"].concat(), "a byte more");
}

#[test]
fn a_file_that_does_not_fit_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph");
    let missing = Graph::load(&path, &arena(Metric::Cosine, 1), embedder());
    assert!(matches!(missing, Err(BadFile::Missing { .. })), "{missing:?}");
    let (own, _) = saved(&path);
    assert!(Graph::load(&path, &own, embedder()).is_ok());
    let other_embedder = Graph::load(&path, &own, Digest::of(b"another"));
    assert!(matches!(other_embedder, Err(BadFile::Foreign { .. })), "{other_embedder:?}");
    let other_metric = Graph::load(&path, &arena(Metric::Dot, 64), embedder());
    assert!(matches!(other_metric, Err(BadFile::Foreign { .. })), "{other_metric:?}");
    for places in [0, 10, 64] {
        let changed = Graph::load(&path, &arena(Metric::Cosine, places), embedder());
        assert!(matches!(changed, Err(BadFile::Stale { .. })), "{places} other vectors: {changed:?}");
    }
    let mut later = fs::read(&path).unwrap();
    later[8] = 2;
    let body = later.len() - 16;
    let sum = xxhash_rust::xxh3::xxh3_128(&later[..body]);
    later[body..].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, &later).unwrap();
    let format = Graph::load(&path, &own, embedder());
    assert!(matches!(format, Err(BadFile::Format { found: 2, .. })), "{format:?}");
}

#[test]
fn a_save_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph");
    let (arena, graph) = saved(&path);
    fs::create_dir(folder.path().join("graph.new")).unwrap();
    assert!(matches!(graph.save(&path), Err(NotSaved::Write { .. })));
    assert!(Graph::load(&path, &arena, embedder()).is_ok());
}

#[test]
fn a_build_reports_and_can_be_stopped() {
    let arena = arena(Metric::Cosine, 1_000);
    let everything = Bits::all(1_000);
    let reports = std::sync::Mutex::new(Vec::new());
    let stop_at_half = |progress: Progress| {
        reports.lock().unwrap().push(progress);
        if progress.done >= 500 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    for threads in [1, 3] {
        reports.lock().unwrap().clear();
        let stopped = Graph::build(&arena, &everything, embedder(), threads, &stop_at_half);
        assert!(matches!(stopped, Err(NotBuilt::Stopped(_))), "{stopped:?}");
        assert_eq!(reports.lock().unwrap()[0].of, 1_000);
    }
    let beyond: Bits = [3, 1_000].into_iter().collect();
    let empty = Graph::build(&arena, &beyond, embedder(), 1, GO_ON);
    assert!(matches!(empty, Err(NotBuilt::NoVector(1_000))), "{empty:?}");
}

#[test]
fn more_walks_at_once_than_there_is_room_for_run_dry_and_not_wrong() {
    let arena = arena(Metric::Cosine, 300);
    let everything = Bits::all(300);
    let graph = Graph::build(&arena, &everything, embedder(), 1, GO_ON).unwrap();
    let query = Query::new(arena.shape(), &Random(14).vector(16)).unwrap();
    let alone = graph.walk(&query, 20, &everything, 300);
    std::thread::scope(|scope| {
        for _ in 0..2 * WALKS_MAX {
            scope.spawn(|| {
                let walked = graph.walk(&query, 20, &everything, 300);
                assert!(walked == alone || walked == Walk::Dry, "{walked:?}");
            });
        }
    });
}
