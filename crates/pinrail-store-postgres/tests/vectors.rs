//! Searches by pgvector find what a plain scan of the visible vectors finds, whoever reads and as of when.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::release::Metric;
use pinrail_domain::state::{Layer, Moment, Space};
use pinrail_store::State;
use pinrail_store::conformance::sample::state::{Change, author, batch, set_vector, space, unset};
use pinrail_store::state::{Near, Nearest};
use pinrail_store_postgres::Postgres;
use pinrail_store_postgres::testing::{Cluster, Database};

const DIMS: usize = 24;
const K: usize = 10;
/// The spans that the test gives its deployments: committed, open, and taken back.
const GOOD: u64 = 1;
const OPEN: u64 = 2;
const BAD: u64 = 3;
const SPANS: &str = "INSERT INTO pinrail.spans VALUES (1, 1, NULL), (3, 1, 2)";

/// What was written, to be searched plainly.
struct Plain {
    space: Space,
    written: Vec<(StateSeq, u64, String, Option<Vec<f32>>)>,
    seed: u64,
}

impl Plain {
    fn number(&mut self) -> f32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIMS).map(|_| self.number()).collect()
    }

    fn beside(&mut self, vector: &[f32]) -> Vec<f32> {
        vector.iter().map(|of| of + 0.02 * self.number()).collect()
    }

    async fn write(&mut self, store: &Postgres, deployment: u64, keyed: Vec<(String, Option<Vec<f32>>)>) {
        for some in keyed.chunks(1_000) {
            let change = |(key, vector): &(String, Option<Vec<f32>>)| -> Change {
                match vector {
                    Some(vector) => set_vector(&self.space, key, "{}", Some(vector.clone())),
                    None => unset(&self.space, key),
                }
            };
            let changes = some.iter().map(change).collect();
            let appended = store.state_append(batch(&author(deployment), 1, changes)).await.unwrap();
            for ((key, vector), seq) in some.iter().zip(appended.first.0..) {
                self.written.push((StateSeq(seq), deployment, key.clone(), vector.clone()));
            }
        }
    }

    /// What a reader sees, by replaying all of it.
    fn seen(&self, own: Option<u64>, at: Moment) -> Vec<(StateSeq, &str, &[f32])> {
        let counts = |deployment: u64| match deployment {
            0 => true,
            GOOD => at.ledger.0 >= 1,
            BAD => at.ledger.0 == 1,
            _ => false,
        };
        let mut shown = BTreeMap::new();
        for (seq, deployment, key, vector) in self.written.iter().filter(|(seq, ..)| *seq <= at.state) {
            if own == Some(*deployment) || counts(*deployment) {
                match vector {
                    Some(vector) => shown.insert(key.as_str(), (*seq, key.as_str(), vector.as_slice())),
                    None => shown.remove(key.as_str()),
                };
            }
        }
        shown.into_values().collect()
    }
}

fn distance(metric: Metric, one: &[f32], other: &[f32]) -> f64 {
    let pairs = || one.iter().zip(other).map(|(one, other)| (f64::from(*one), f64::from(*other)));
    let dot: f64 = pairs().map(|(one, other)| one * other).sum();
    let length = |of: &[f32]| of.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    match metric {
        Metric::Cosine => 1.0 - dot / (length(one) * length(other)),
        Metric::Dot => -dot,
        Metric::Euclidean => pairs().map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt(),
    }
}

async fn filled(store: &Postgres, database: &Database) -> (Plain, Vec<Vec<f32>>) {
    database.execute(SPANS);
    let mut plain =
        Plain { space: space("acme", Layer::Vectors, "kb@0123456789ab"), written: Vec::new(), seed: 0x5eed };
    let queries: Vec<Vec<f32>> = (0..5).map(|_| plain.vector()).collect();
    let some = |plain: &mut Plain, name: &str, count: usize| -> Vec<(String, Option<Vec<f32>>)> {
        (0..count).map(|n| (format!("{name}{n}"), Some(plain.vector()))).collect()
    };
    let ground = some(&mut plain, "k", 1_500);
    plain.write(store, 0, ground).await;
    let good = some(&mut plain, "g", 1_500);
    plain.write(store, GOOD, good).await;
    // A hundred near-duplicates of each query, all taken back.
    let mut poison = Vec::new();
    for (n, query) in queries.iter().enumerate() {
        for m in 0..100 {
            poison.push((format!("p{n}-{m}"), Some(plain.beside(query))));
        }
    }
    plain.write(store, BAD, poison).await;
    // Deletes and superseding puts, by the bad one (which end nothing) and by the good one.
    let gone = (0..100).map(|n| (format!("k{n}"), None)).collect();
    plain.write(store, BAD, gone).await;
    let gone = (50..150).map(|n| (format!("k{n}"), None)).collect();
    plain.write(store, GOOD, gone).await;
    let again = some(&mut plain, "k", 300);
    plain.write(store, OPEN, again).await;
    // So many that are as near as can be.
    let same = (0..40).map(|n| (format!("s{n}"), Some(queries[0].clone()))).collect();
    plain.write(store, OPEN, same).await;
    // Another space's, and another tenant's, vectors are nobody's business here (I11), and neither are other dimensions (I12).
    for other in
        [space("umbrella", Layer::Vectors, "kb@0123456789ab"), space("acme", Layer::Vectors, "kb@other")]
    {
        let puts =
            queries.iter().map(|query| set_vector(&other, &query[0].to_string(), "{}", Some(query.clone())));
        store.state_append(batch(&author(0), 1, puts.collect())).await.unwrap();
    }
    let short = set_vector(&plain.space, "short", "{}", Some(vec![1.0; 3]));
    store.state_append(batch(&author(0), 1, vec![short])).await.unwrap();
    (plain, queries)
}

/// I4, I11, I12
#[tokio::test(flavor = "multi_thread")]
async fn searches_find_what_a_plain_scan_finds() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let database = cluster.database();
    // Replicas' role makes no index.
    let store = Postgres::connect(database.options_of_owner()).await.unwrap();
    if store.found().vector_version.is_none() {
        // What Pinrail does without it is tested with every other store.
        let asked = space("acme", Layer::Vectors, "kb@0123456789ab");
        let asked = asking(&asked, &[1.0], (None, Moment::default()), Metric::Cosine);
        assert_eq!(store.vectors_nearest(&asked).await.unwrap(), None);
        return;
    }
    let (plain, queries) = filled(&store, &database).await;
    let head = store.state_head().await.unwrap().state;
    let before_bad = StateSeq(3_000);
    for metric in [Metric::Cosine, Metric::Dot, Metric::Euclidean] {
        for (indexed, exact) in [(false, true), (true, false)] {
            if indexed {
                assert!(store.index_vectors(&plain.space, DIMS, metric).await.unwrap());
            }
            let (mut found, mut of) = (0, 0);
            for own in [None, Some(OPEN), Some(BAD)] {
                for (state, ledger) in [(head, 2), (head, 1), (before_bad, 5), (StateSeq(700), 0)] {
                    let at = Moment { state, ledger: LedgerSeq(ledger) };
                    let seen = plain.seen(own, at);
                    for query in &queries {
                        let own = own.map(DeploymentId);
                        let asked = Nearest {
                            exact,
                            visible: seen.len(),
                            ..asking(&plain.space, query, (own, at), metric)
                        };
                        let Near { seqs, proven } = store.vectors_nearest(&asked).await.unwrap().unwrap();
                        let mut all: Vec<(f64, StateSeq)> = seen
                            .iter()
                            .map(|(seq, _, vector)| (distance(metric, query, vector), *seq))
                            .collect();
                        all.sort_by(|one, other| one.partial_cmp(other).unwrap());
                        // Which of those that are equally near comes first is the caller's to say, who must have them all.
                        let last = all.get(K - 1).map_or(f64::MAX, |(distance, _)| *distance);
                        let wanted: Vec<StateSeq> = match proven {
                            true => all
                                .iter()
                                .filter(|(distance, _)| *distance <= last)
                                .map(|(_, seq)| *seq)
                                .collect(),
                            false => all.iter().take(K).map(|(_, seq)| *seq).collect(),
                        };
                        let hits = wanted.iter().filter(|seq| seqs.contains(seq)).count();
                        let visible = seqs.iter().all(|seq| seen.iter().any(|(of, ..)| of == seq));
                        assert!(
                            visible,
                            "{metric:?} {own:?} as of {at}: something else than what is visible"
                        );
                        assert!(proven != indexed || seen.len() < 2_000, "{metric:?} {own:?} as of {at}");
                        assert!(!proven || hits == wanted.len(), "{metric:?} {own:?} as of {at}: {hits}");
                        (found, of) = (found + hits, of + wanted.len());
                    }
                }
            }
            let recall = found as f64 / of as f64;
            assert!(recall >= 0.95, "{metric:?}, indexed {indexed}: {found} of {of}");
        }
    }
}

fn asking<'a>(
    space: &'a Space,
    vector: &'a [f32],
    (own, at): (Option<DeploymentId>, Moment),
    metric: Metric,
) -> Nearest<'a> {
    Nearest { space, own, at, vector, metric, k: K, exact: false, operations: 5_000, visible: 0 }
}
