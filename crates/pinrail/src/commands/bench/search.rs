//! A search inside a view, half of whose space an aborted data job wrote, against the bare index over the visible half.
//!
//! The vectors are random but seeded: clusters of a hundred, asked near one of them. Both halves lie in the same
//! clusters and were written in turns, so what is hidden is everywhere in between.

use std::ops::ControlFlow;
use std::sync::Arc;

use pinrail_control::state::vectors::{Progress, Search, Upsert, VectorSpace};
use pinrail_control::state::{Reader, States, WriteAs};
use pinrail_control::{By, Control, Options};
use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::TenantId;
use pinrail_domain::model::Layers;
use pinrail_domain::state::StateKey;
use pinrail_domain::state::bits::Bits;
use pinrail_store_sqlite::Sqlite;
use pinrail_vectors::arena::Shape;
use pinrail_vectors::index::{Ask, Index};
use pinrail_vectors::plan::Effort;
use pinrail_vectors::query::Query;
use pinrail_vectors::rescore::rescore;

use super::{Bench, Row, process, quantile};
use crate::output::talk;
use crate::system::{OsEntropy, SystemClock};

/// What is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Wish {
    /// Vectors of the search scenario, half of them hidden
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    vectors: usize,
    /// Measure searches with graphs too: building them takes a minute or two
    #[arg(long)]
    graph: bool,
}

const DIMS: usize = 384;
/// Vectors around each centre, and how far from it: as near as passages of one document.
const CLUSTER: usize = 100;
const NOISE: f32 = 0.5;
const K: usize = 10;
const QUERIES: usize = 200;
/// Records of a write.
const BATCH: usize = 500;
/// The budgets: time against the bare index, and the share of the best that are found.
const FACTOR_MAX: f64 = 1.3;
const RECALL_MIN: f64 = 0.95;

/// The half that stays, as the bare index holds it.
struct Bare {
    index: Index,
    vectors: Vec<Vec<f32>>,
    everything: Arc<Bits>,
}

/// What a phase came to, in microseconds.
struct Measured {
    bare_us: u64,
    ours_us: u64,
    recall: f64,
    walked: bool,
}

pub async fn measure(bench: &Bench, wish: Wish) -> anyhow::Result<Vec<Row>> {
    let folder = bench.folder()?;
    let control = open(folder.path()).await?;
    let states = control.states();
    states.build_graphs(false);
    let space = space()?;
    let mut random = Random(1);
    let centres: Vec<Vec<f32>> =
        (0..wish.vectors.div_ceil(CLUSTER).max(1)).map(|_| random.vector()).collect();
    let mut bare = Bare {
        index: Index::new(Shape { dims: DIMS, metric: space.embedder.metric }, space.id),
        vectors: Vec::new(),
        everything: Arc::default(),
    };
    let begun = process::now();
    fill(&control, &space, &mut bare, &centres, wish.vectors, &mut random).await?;
    let per_second = wish.vectors as f64 / begun.elapsed().as_secs_f64();
    bare.everything = Arc::new(Bits::all(bare.vectors.len()));

    let begun = process::now();
    ask(states, &space, &bare.vectors[0], true).await?;
    let loaded_ms = process::us_since(begun) / 1_000;
    let mut rows = vec![
        Row::new(
            "search",
            format!("vectors kept, {DIMS} dimensions, durably"),
            format!("{per_second:.0} /s"),
        ),
        Row::new(
            "search",
            format!("first search: {} vectors read from the store", wish.vectors),
            format!("{loaded_ms} ms"),
        ),
    ];
    let scanned = compare(states, &space, &bare, &centres, &mut random).await?;
    rows.extend(scanned.rows("everything scanned"));
    rows.push(memory(states, &space, wish.vectors).await?);
    if wish.graph {
        build(states, &space, &mut bare).await?;
        let walked = compare(states, &space, &bare, &centres, &mut random).await?;
        rows.extend(walked.rows(if walked.walked { "with graphs" } else { "with graphs, none walked" }));
        rows.push(memory(states, &space, wish.vectors).await?);
    }
    Ok(rows)
}

impl Measured {
    fn rows(&self, how: &str) -> Vec<Row> {
        let Measured { bare_us, ours_us, recall, .. } = *self;
        let factor = ours_us as f64 / bare_us.max(1) as f64;
        vec![
            Row::new(
                "search",
                format!("in a view, half hidden by an aborted job, {how}, p50"),
                format!("{ours_us} µs, {factor:.2}×"),
            )
            .against(format!("{bare_us} µs bare index over the visible half"))
            .budget("≤ 1.3×", factor <= FACTOR_MAX),
            Row::new("search", format!("recall@{K}, {how}"), format!("{recall:.4}"))
                .against("all visible vectors compared")
                .budget("≥ 0.95", recall >= RECALL_MIN),
        ]
    }
}

/// Writes facts and a data job's records in turns, and takes the job back.
async fn fill(
    control: &Control,
    space: &VectorSpace,
    bare: &mut Bare,
    centres: &[Vec<f32>],
    vectors: usize,
    random: &mut Random,
) -> anyhow::Result<()> {
    let states = control.states();
    let job = control.open_ingest(By::system("bench"), &"bench".parse()?).await?.value.deployment;
    let mut written = 0;
    while written < vectors {
        let is_fact = (written / BATCH).is_multiple_of(2);
        let mut batch = Vec::with_capacity(BATCH);
        for n in written..vectors.min(written + BATCH) {
            let vector = random.near_one_of(centres);
            if is_fact {
                bare.index.put(&vector, None)?;
                bare.vectors.push(vector.clone());
            }
            batch.push(Upsert {
                key: StateKey::new(&format!("doc/{n}"))?,
                vector,
                payload: None,
                parents: Vec::new(),
            });
        }
        written += batch.len();
        let by = states.author(if is_fact { WriteAs::Operator } else { WriteAs::Job(job) }).await?;
        states.upsert(&by, space, &batch, None).await?;
    }
    control.roll_back(By::system("bench"), job, TakeBack::default()).await?;
    Ok(())
}

/// Asks both sides the same questions in turns, so that a noisy neighbour disturbs both.
async fn compare(
    states: &States,
    space: &VectorSpace,
    bare: &Bare,
    centres: &[Vec<f32>],
    random: &mut Random,
) -> anyhow::Result<Measured> {
    let (mut theirs, mut ours, mut found, mut walked) = (Vec::new(), Vec::new(), 0, false);
    for _ in 0..QUERIES {
        let asked = random.near_one_of(centres);
        let begun = process::now();
        let query = Query::new(bare.index.shape(), &asked)?;
        bare.nearest(&query)?;
        theirs.push(process::us_since(begun));
        let begun = process::now();
        let (keys, looked) = ask(states, space, &asked, false).await?;
        ours.push(process::us_since(begun));
        walked |= looked;
        let best = bare.best(&query)?;
        found += best.iter().filter(|key| keys.contains(key)).count();
    }
    theirs.sort_unstable();
    ours.sort_unstable();
    let recall = found as f64 / (QUERIES * K.min(bare.vectors.len())) as f64;
    Ok(Measured { bare_us: quantile(&theirs, 0.5), ours_us: quantile(&ours, 0.5), recall, walked })
}

/// The keys of the nearest, and whether a graph was walked.
async fn ask(
    states: &States,
    space: &VectorSpace,
    vector: &[f32],
    exact: bool,
) -> anyhow::Result<(Vec<String>, bool)> {
    let search = Search { vector: vector.to_vec(), k: K, filter: None, min_score: None, exact };
    let found = states.search(space, &Reader::everybody(), &search).await?;
    let keys = found.hits.iter().map(|hit| hit.record.operation.key.to_string()).collect();
    Ok((keys, found.looked.walked > 0))
}

impl Bare {
    /// The nearest by the index, ranked by the vectors in memory.
    fn nearest(&self, query: &Query) -> anyhow::Result<Vec<usize>> {
        let ask = Ask { k: K, min_score: None, effort: Effort::Cheapest };
        let found = self.index.search(query, &ask, &self.everything);
        let rows = found.candidates.iter().map(|candidate| candidate.place);
        let rows = rows.map(|place| (place, place, self.vectors[place].as_slice()));
        Ok(rescore(query, rows, K, None)?.into_iter().map(|hit| hit.place).collect())
    }

    /// The keys of the nearest, by comparing all.
    fn best(&self, query: &Query) -> anyhow::Result<Vec<String>> {
        let rows = self.vectors.iter().enumerate().map(|(place, vector)| (place, place, vector.as_slice()));
        let hits = rescore(query, rows, K, None)?;
        // The n-th fact is in the n / BATCH-th of every second batch.
        let key = |place: usize| format!("doc/{}", place / BATCH * 2 * BATCH + place % BATCH);
        Ok(hits.into_iter().map(|hit| key(hit.place)).collect())
    }
}

/// Builds graphs on both sides.
async fn build(states: &States, space: &VectorSpace, bare: &mut Bare) -> anyhow::Result<()> {
    talk("building graphs …");
    while let Some(job) = bare.index.maintenance(&bare.everything) {
        let go_on = |_| ControlFlow::Continue(());
        let graph = job.build(bare.index.arena(), space.id, 2, &go_on)?;
        bare.index.swap(&job, graph);
    }
    states.build_graphs(true);
    ask(states, space, &bare.vectors[0], true).await?;
    // It begins in the background after that search, and ends when nothing is left to build.
    while progress(states, space).await?.building {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn memory(states: &States, space: &VectorSpace, vectors: usize) -> anyhow::Result<Row> {
    let Progress { bytes, graphs, .. } = progress(states, space).await?;
    let each = bytes / vectors.max(1);
    let what = format!("memory for {vectors} vectors, {graphs} graphs");
    Ok(Row::new("search", what, format!("{} MB, {each} bytes each", bytes >> 20)))
}

async fn progress(states: &States, space: &VectorSpace) -> anyhow::Result<Progress> {
    let covered = states.coverage(&space.space.tenant, &"bench".parse()?, &Reader::everybody()).await?;
    Ok(covered.into_iter().find_map(|coverage| coverage.index).unwrap_or_default())
}

fn space() -> anyhow::Result<VectorSpace> {
    let embedder = serde_json::json!({ "embedder": "random", "dims": DIMS, "metric": "cosine" });
    let embedder = serde_json::from_value(embedder)?;
    Ok(VectorSpace::new(&TenantId::shared(), &"bench".parse()?, &embedder)?)
}

async fn open(folder: &std::path::Path) -> anyhow::Result<Control> {
    let store = Sqlite::open(pinrail_store_sqlite::Options::new(folder.join("pinrail.db")))?;
    let options = Options {
        store: Arc::new(store),
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(OsEntropy),
        catalogue: Layers::embedded(None),
        vectors_folder: Some(folder.join("vectors")),
        notebook: None,
        spool: None,
        stale_ms_max: pinrail_control::runs::STALE_MS_MAX,
        leads: true,
    };
    Ok(Control::open(options).await?.0)
}

/// Splitmix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// The sum of some even numbers is near enough to a normal distribution.
    fn normal(&mut self) -> f32 {
        let unit = |number: u64| (number >> 40) as f32 / (1_u32 << 24) as f32 - 0.5;
        (0..4).map(|_| unit(self.next())).sum::<f32>() * 1.7
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMS).map(|_| self.normal()).collect()
    }

    fn near_one_of(&mut self, centres: &[Vec<f32>]) -> Vec<f32> {
        let centre = &centres[self.below(centres.len())];
        centre.iter().map(|value| value + NOISE * self.normal()).collect()
    }
}
