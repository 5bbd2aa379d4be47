//! Graphs across starts: kept, found again, and never trusted.

use pinrail_domain::state::StateKey;
use pinrail_domain::tier::Tier;
use pinrail_vectors::maintenance::Why;
use serde_json::json;

use super::super::{Found, Search, Upsert};
use super::*;
use crate::state::{Reader, WriteAs};
use crate::tests::bench::*;

/// Enough for a walk to be cheaper than a scan at these dimensions.
const MANY: usize = 2_000;
const DIMS: usize = 4;

/// A control plane over the bench's store that keeps graphs in this folder: a start of the process.
async fn started(bench: &Bench, folder: &Path) -> Bench {
    bench.another_in(folder).await
}

fn space() -> VectorSpace {
    let embedder = json!({ "embedder": "small", "dims": DIMS, "metric": "euclidean" });
    VectorSpace::new(&tenant("acme"), &"kb".parse().unwrap(), &serde_json::from_value(embedder).unwrap())
        .unwrap()
}

/// Scattered, the same in every run.
fn vector(n: usize) -> Vec<f32> {
    (0..DIMS).map(|dim| ((n * 7_919 + dim * 104_729) % 10_007) as f32 / 10_007.0).collect()
}

async fn filled(bench: &Bench) {
    let states = bench.control.states();
    let by = states.author(WriteAs::Operator).await.unwrap();
    let keys = (0..MANY).map(|n| StateKey::new(&format!("k{n}")).unwrap());
    let upserts: Vec<Upsert> = keys
        .enumerate()
        .map(|(n, key)| Upsert { key, vector: vector(n), payload: None, parents: Vec::new() })
        .collect();
    for some in upserts.chunks(1_000) {
        states.upsert(&by, &space(), some, None).await.unwrap();
    }
}

async fn found(bench: &Bench, n: usize) -> Found {
    let search = Search { vector: vector(n), k: 5, filter: None, min_score: None, exact: true };
    bench.control.states().search(&space(), &Reader::everybody(), &search).await.unwrap()
}

fn bytes(found: &Found) -> Vec<(String, u32)> {
    found.hits.iter().map(|hit| (hit.record.operation.key.to_string(), hit.score.to_bits())).collect()
}

/// Builds a graph over the first `members` places.
async fn build(bench: &Bench, members: usize) {
    let states = bench.control.states();
    found(bench, 0).await;
    let vectors = states.vectors.get(&space().space).unwrap();
    let job =
        Job { members: (0..members).collect(), replaces: Vec::new(), why: Why::ManyLoose { loose: members } };
    assert_eq!(states.build(&space().space, &Arc::downgrade(&vectors), job).await, Some(true));
}

fn in_graphs(bench: &Bench) -> (usize, usize) {
    let progress = bench.control.states().vectors.progress(&space().space).unwrap();
    (progress.graphs, progress.in_graphs)
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|space| fs::read_dir(space).unwrap()).map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(start_paused = true)]
async fn a_graph_is_found_again_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = started(&Bench::new(Tier::Standard).await, folder.path()).await;
    filled(&first).await;
    let before = bytes(&found(&first, 7).await);
    build(&first, 1_500).await;
    assert_eq!((in_graphs(&first), bytes(&found(&first, 7).await)), ((1, 1_500), before.clone()));
    let second = started(&first, folder.path()).await;
    assert_eq!((bytes(&found(&second, 7).await), in_graphs(&second)), (before, (1, 1_500)));
    // A larger one takes its place, in memory and on disk.
    build(&second, 1_800).await;
    assert_eq!((in_graphs(&second), kept(folder.path()).len()), ((1, 1_800), 1));
}

/// Whatever is in the folder, the answers are the same; what can't be used is gone.
#[tokio::test(start_paused = true)]
async fn damaged_foreign_stale_and_unfinished_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let first = started(&Bench::new(Tier::Standard).await, folder.path()).await;
    filled(&first).await;
    build(&first, 1_500).await;
    let before = bytes(&found(&first, 7).await);
    let [file] = &kept(folder.path())[..] else { panic!("one graph is kept") };
    let good = fs::read(file).unwrap();
    let check = async |damage: &dyn Fn(&Path), graphs: usize, files: usize| {
        fs::write(file, &good).unwrap();
        damage(file);
        let next = started(&first, folder.path()).await;
        assert_eq!(bytes(&found(&next, 7).await), before);
        assert_eq!((in_graphs(&next).0, kept(folder.path()).len()), (graphs, files));
    };
    check(&|_| {}, 1, 1).await;
    check(&|file| fs::remove_file(file).unwrap(), 0, 0).await;
    check(&|file| fs::write(file, b"").unwrap(), 0, 0).await;
    check(&|file| fs::write(file, &good[..good.len() / 2]).unwrap(), 0, 0).await;
    let flipped = |file: &Path| {
        let mut bad = good.clone();
        bad[good.len() / 3] ^= 1;
        fs::write(file, bad).unwrap();
    };
    check(&flipped, 0, 0).await;
    // The process ended while the next one was being written.
    let unfinished = |file: &Path| fs::write(file.with_extension("graph.new"), &good[..100]).unwrap();
    check(&unfinished, 1, 1).await;
    let twice = |file: &Path| fs::copy(file, file.with_file_name("0.graph")).map(drop).unwrap();
    check(&twice, 1, 1).await;

    // Another store's vectors: the graph was made of others.
    let other = started(&Bench::new(Tier::Standard).await, folder.path()).await;
    let by = other.control.states().author(WriteAs::Operator).await.unwrap();
    let one = Upsert { key: "k".parse().unwrap(), vector: vector(3), payload: None, parents: Vec::new() };
    other.control.states().upsert(&by, &space(), &[one], None).await.unwrap();
    fs::write(file, &good).unwrap();
    assert_eq!(found(&other, 3).await.hits.len(), 1);
    assert_eq!((in_graphs(&other).0, kept(folder.path()).len()), (0, 0));
}

/// A build that ends after its space was read anew leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_graph_of_forgotten_vectors_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let bench = started(&Bench::new(Tier::Standard).await, folder.path()).await;
    filled(&bench).await;
    found(&bench, 0).await;
    let states = bench.control.states();
    let old = states.vectors.get(&space().space).unwrap();
    states.forget(&space().space).await;
    let job =
        Job { members: (0..1_000).collect(), replaces: Vec::new(), why: Why::ManyLoose { loose: 1_000 } };
    states.build(&space().space, &Arc::downgrade(&old), job).await;
    assert!(!folder.path().exists() || kept(folder.path()).is_empty());
    assert_eq!((found(&bench, 7).await.hits.len(), in_graphs(&bench)), (5, (0, 0)));
}
