//! Vectors as runs meet them: who finds what, whose embedder it is, and that nothing hidden is ever in the way.

use std::sync::Arc;

use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::{CollectionName, DeploymentId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::key::Tenants;
use pinrail_domain::release::{Embedder, Manifest, Metric};
use pinrail_domain::state::StateKey;
use pinrail_domain::state::manifest::Probe;
use pinrail_domain::tier::Tier;
use pinrail_store::state::State as _;
use pinrail_vectors::filter::Filter;
use serde_json::json;

use super::bench::*;
use crate::state::vectors::{EmbedderRefused, Found, Named, Search, SearchError, Upsert, VectorSpace};
use crate::state::{AsOf, Reader, WriteAs};

const ONE: DeploymentId = DeploymentId(1);

fn name() -> CollectionName {
    "kb".parse().unwrap()
}

fn embedder(model: &str) -> Embedder {
    serde_json::from_value(json!({ "embedder": model, "dims": 2, "metric": "cosine" })).unwrap()
}

fn kb(model: &str) -> VectorSpace {
    VectorSpace::new(&tenant("acme"), &name(), &embedder(model)).unwrap()
}

fn upsert(key: &str, degrees: f32, payload: serde_json::Value) -> Upsert {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let key: StateKey = key.parse().unwrap();
    Upsert { key, vector: vec![cos, sin], payload: Some(payload), parents: Vec::new() }
}

fn toward(degrees: f32, k: usize) -> Search {
    let (sin, cos) = degrees.to_radians().sin_cos();
    Search { vector: vec![cos, sin], k, filter: None, min_score: None, exact: false }
}

fn keys(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.record.operation.key.as_str()).collect()
}

async fn run_on(bench: &Bench, deployment: DeploymentId) -> Arc<Stamp> {
    for n in 0..1_000 {
        let run = bench.created(Some(&format!("v{deployment}-{n}"))).await;
        let stamp = bench.control.runs().stamp(run, &Tenants::All).await.unwrap().unwrap();
        if stamp.deployment == deployment {
            return stamp;
        }
    }
    panic!("no session falls on deployment {deployment}");
}

fn reader(stamp: &Stamp) -> Reader {
    let run = Some((stamp.run, stamp.agent.clone()));
    Reader { own: Some(stamp.deployment), run, as_of: AsOf::Now }
}

async fn write(bench: &Bench, who: WriteAs<'_>, to: &VectorSpace, upserts: &[Upsert]) {
    let states = bench.control.states();
    let by = states.author(who).await.unwrap();
    states.upsert(&by, to, upserts, None).await.unwrap();
}

/// I4, I5: what a canary adds, changes and deletes is found by the canary alone; a rollback takes it back whole, and
/// the same question gets the same bytes as before.
#[tokio::test(start_paused = true)]
async fn a_rollback_takes_vectors_back() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = kb("small");
    let facts = [upsert("north", 90.0, json!({})), upsert("east", 0.0, json!({ "lang": "en" }))];
    write(&bench, WriteAs::Operator, &space, &facts).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let (good, bad) = (run_on(&bench, ONE).await, run_on(&bench, two).await);
    let ask = toward(80.0, 5);
    let before = states.search(&space, &reader(&good), &ask).await.unwrap();
    assert_eq!(keys(&before), ["north", "east"]);

    // A hundred near-duplicates of the question, and the best answer gone.
    let poison: Vec<Upsert> =
        (0..100).map(|n| upsert(&format!("poison-{n}"), 80.0 + n as f32 / 1e4, json!({}))).collect();
    write(&bench, WriteAs::Run(&bad), &space, &poison).await;
    let author = states.author(WriteAs::Run(&bad)).await.unwrap();
    let gone = ["north".parse().unwrap(), "nowhere".parse().unwrap()];
    assert_eq!(states.delete_vectors(&author, &tenant("acme"), &name(), &gone).await.unwrap(), 1);
    let theirs = states.search(&space, &reader(&bad), &ask).await.unwrap();
    assert!(keys(&theirs).iter().all(|key| key.starts_with("poison")), "{:?}", keys(&theirs));
    assert_eq!(theirs.visible, 101);
    assert_eq!(keys(&states.search(&space, &reader(&good), &ask).await.unwrap()), ["north", "east"]);

    bench.control.promote(by("good"), two, false).await.unwrap();
    assert_eq!(states.count_vectors(&space, &reader(&good), None).await.unwrap().1, 101);
    bench.control.roll_back(by("bad"), two, TakeBack::default()).await.unwrap();
    let after = states.search(&space, &reader(&good), &ask).await.unwrap();
    let scores = |found: &Found| found.hits.iter().map(|hit| hit.score.to_bits()).collect::<Vec<_>>();
    assert_eq!((keys(&after), scores(&after)), (keys(&before), scores(&before)));
    let then = Reader { as_of: AsOf::Moment(theirs.at), ..reader(&bad) };
    assert_eq!(keys(&states.search(&space, &then, &ask).await.unwrap()), keys(&theirs));
    // After a restart, the vectors come from the store again.
    let (restarted, _) = bench.another().await;
    let again = restarted.control.states().search(&space, &reader(&good), &ask).await.unwrap();
    assert_eq!((keys(&again), scores(&again)), (keys(&before), scores(&before)));
}

#[tokio::test(start_paused = true)]
async fn a_search_is_filtered_and_never_short() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = kb("small");
    let many: Vec<Upsert> = (0..500)
        .map(|n| upsert(&format!("k{n}"), n as f32 / 10.0, json!({ "n": n, "odd": n % 2 == 1 })))
        .collect();
    write(&bench, WriteAs::Operator, &space, &many).await;
    let filter: Filter =
        Filter::parse(&json!({ "and": [{ "odd": true }, { "n": { "gte": 480 } }] })).unwrap();
    let search = Search { filter: Some(filter.clone()), ..toward(0.0, 10) };
    let found = states.search(&space, &Reader::everybody(), &search).await.unwrap();
    assert_eq!((found.visible, found.matching, found.hits.len()), (500, 10, 10));
    assert_eq!(keys(&found)[0], "k481");
    let counted = states.count_vectors(&space, &Reader::everybody(), Some(&filter)).await.unwrap().1;
    assert_eq!(counted, 10);
    let near = Search { min_score: Some(0.999_9), ..toward(0.0, 100) };
    let found = states.search(&space, &Reader::everybody(), &near).await.unwrap();
    assert!((1..100).contains(&found.hits.len()) && found.hits.iter().all(|hit| hit.score >= 0.999_9));
    for k in [0, 1_001] {
        let refused = states.search(&space, &Reader::everybody(), &toward(0.0, k)).await;
        assert!(matches!(refused, Err(SearchError::Top(_))));
    }
    let wide = Search { vector: vec![1.0; 3], ..toward(0.0, 1) };
    assert!(matches!(states.search(&space, &Reader::everybody(), &wide).await, Err(SearchError::Query(_))));
}

/// I12: the same dimensions don't make the same space.
#[tokio::test(start_paused = true)]
async fn embedders_are_never_mixed() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let (old, new) = (kb("small"), kb("large"));
    let facts: Vec<Upsert> = (0..4).map(|n| upsert(&format!("k{n}"), n as f32, json!({}))).collect();
    write(&bench, WriteAs::Operator, &old, &facts).await;
    let pins = |model: &str| -> Manifest {
        let state = json!({ "vectors": { "kb": embedder(model) } });
        serde_json::from_value(json!({
            "pinrail": 1, "model": { "provider": "p", "snapshot": "m1-2026-01-01" }, "state": state
        }))
        .unwrap()
    };
    let acme = tenant("acme");
    let meant = async |named: Option<Named>, manifest: Option<&Manifest>| {
        states.vector_space(&acme, &name(), named.as_ref(), manifest).await
    };
    assert_eq!(meant(None, None).await.unwrap().id, old.id);
    let pinned = pins("large");
    assert_eq!(meant(None, Some(&pinned)).await.unwrap().id, new.id);
    let mixed = meant(Some(Named::Contract(embedder("small"))), Some(&pinned)).await;
    assert!(matches!(mixed, Err(EmbedderRefused::Mixed { .. })), "{mixed:?}");
    let unknown = meant(Some(Named::Id("0123".to_owned())), None).await;
    assert!(matches!(unknown, Err(EmbedderRefused::Unknown { .. })), "{unknown:?}");

    // The candidate fills an index of its own, and shows how far it is.
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    write(&bench, WriteAs::Run(&bad), &new, &facts[..3]).await;
    let which = meant(None, None).await;
    assert!(matches!(which, Err(EmbedderRefused::Which { ref known, .. }) if known.len() == 2), "{which:?}");
    let covered = states.coverage(&acme, &name(), &reader(&bad)).await.unwrap();
    let mut covered: Vec<_> = covered.iter().map(|c| (c.space.id, c.keys, c.of)).collect();
    covered.sort_unstable_by_key(|(_, keys, _)| *keys);
    assert_eq!(covered, [(new.id, 3, 4), (old.id, 4, 4)]);
    assert_eq!(states.count_vectors(&new, &Reader::everybody(), None).await.unwrap().1, 0);
    assert_eq!(old.embedder.metric, Metric::Cosine);
    // I11: another tenant's space of that name is another.
    assert!(states.embedders(&tenant("umbrella"), &name()).await.unwrap().is_empty());
    // A document that is deleted is deleted in every embedder's index.
    let by = states.author(WriteAs::Run(&bad)).await.unwrap();
    assert_eq!(states.delete_vectors(&by, &acme, &name(), &["k0".parse().unwrap()]).await.unwrap(), 2);
}

/// Gives each text the vector that the test says, and counts what it is asked.
struct Fixed(std::sync::Mutex<Vec<(String, Vec<f32>)>>);

#[async_trait::async_trait]
impl crate::state::vectors::live::Embeds for Fixed {
    async fn embed(
        &self,
        _provider: &pinrail_domain::provider::ProviderSpec,
        embedder: &Embedder,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, String> {
        assert_eq!(embedder.prefix.as_deref(), Some("query: "));
        let known = self.0.lock().unwrap();
        let vector =
            |text: &String| known.iter().find(|(known, _)| known == text).map(|(_, vector)| vector.clone());
        texts.iter().map(|text| vector(text).ok_or_else(|| format!("{text} is unknown"))).collect()
    }
}

/// A model that was swapped behind its name shows when the next release is opened.
#[tokio::test(start_paused = true)]
async fn a_deployment_embeds_the_canary_texts_of_its_spaces_again() {
    use crate::state::vectors::canaries::Canary;
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let fixed = Arc::new(Fixed(std::sync::Mutex::new(vec![("query: one".to_owned(), vec![1.0, 0.001])])));
    states.embed_with(Arc::clone(&fixed) as _);
    let embedder =
        Embedder { provider: Some("p".to_owned()), prefix: Some("query: ".to_owned()), ..embedder("small") };
    let space = VectorSpace::new(&tenant("acme"), &name(), &embedder).unwrap();
    states.canaries_set(&space, &[Canary { text: "one".to_owned(), vector: vec![1.0, 0.0] }]).await.unwrap();
    let deployed = async |snapshot: &str| {
        let mut manifest = manifest(snapshot);
        manifest.state.vectors.insert("kb".to_owned(), embedder.clone());
        let publish = crate::publish::Publish { agent: agent("planner"), manifest, model_override: None };
        let release = bench.control.publish(by("publish"), publish).await.unwrap().value.release;
        let open = pinrail_domain::deploy::Open {
            releases: [(agent("planner"), release)].into(),
            segment: pinrail_domain::id::SegmentName::default_segment(),
            traffic: pinrail_domain::deploy::Traffic::Now,
            lift_hold: false,
        };
        bench.control.deploy(by("deploy"), &open).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        states.canaries(&space).await.unwrap().1
    };
    assert!(deployed("m2-2026-01-01").await.unwrap().same);
    fixed.0.lock().unwrap()[0].1 = vec![0.0, 1.0];
    let checked = deployed("m3-2026-01-01").await.unwrap();
    assert!(!checked.same && checked.worst < 0.1, "{checked:?}");
}

/// Enough to be read in several parts.
async fn many(bench: &Bench, space: &VectorSpace, count: usize) {
    let upserts: Vec<Upsert> =
        (0..count).map(|n| upsert(&format!("k{n}"), n as f32 / 100.0, json!({}))).collect();
    for some in upserts.chunks(1_000) {
        write(bench, WriteAs::Operator, space, some).await;
    }
}

/// A search that goes away while vectors are read leaves the next one what it needs, once.
#[tokio::test(start_paused = true)]
async fn a_load_that_is_cut_short_goes_on() {
    let bench = Bench::new(Tier::Standard).await;
    let space = kb("small");
    many(&bench, &space, 5_000).await;
    let ask = toward(12.34, 3);
    let expected = bench.control.states().search(&space, &Reader::everybody(), &ask).await.unwrap();
    for polls in 0..12 {
        let (next, _) = bench.another().await;
        let states = next.control.states();
        let everybody = Reader::everybody();
        {
            let mut search = std::pin::pin!(states.search(&space, &everybody, &ask));
            for _ in 0..polls {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                if search.as_mut().poll(&mut context).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let found = states.search(&space, &Reader::everybody(), &ask).await.unwrap();
        assert_eq!((keys(&found), found.visible), (keys(&expected), 5_000), "after {polls} polls");
        let covered = states.coverage(&tenant("acme"), &name(), &everybody).await.unwrap();
        assert_eq!(covered[0].index.unwrap().loaded, 5_000, "after {polls} polls");
    }
}

/// gc and erasure go on under a search: it never shows what is gone, and never fewer than there are.
#[tokio::test(start_paused = true)]
async fn what_is_removed_or_erased_under_a_search_leaves_a_whole_answer() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = kb("small");
    many(&bench, &space, 50).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    let poison: Vec<Upsert> = (0..20).map(|n| upsert(&format!("poison-{n}"), n as f32, json!({}))).collect();
    write(&bench, WriteAs::Run(&bad), &space, &poison).await;
    let facts = [upsert("last", 0.001, json!({}))];
    write(&bench, WriteAs::Operator, &space, &facts).await;
    let ask = toward(0.0, 10);
    let before = states.search(&space, &Reader::everybody(), &ask).await.unwrap();
    bench.roll_back(two).await;

    // The records are gone from the store, and nobody has said so yet.
    let removed = bench.store.state_remove(two, before.at.state, 100).await.unwrap();
    assert_eq!(removed, 20);
    let after = states.search(&space, &Reader::everybody(), &ask).await.unwrap();
    assert_eq!(keys(&after), keys(&before));
    assert_eq!(after.visible, 51);
    // The next search reads what is left, and its places are the index's.
    write(&bench, WriteAs::Operator, &space, &[upsert("newest", 0.0, json!({}))]).await;
    let newest = states.search(&space, &Reader::everybody(), &toward(0.0, 1)).await.unwrap();
    assert_eq!(keys(&newest).len(), 1);

    let nearest = after.hits[0].record.operation.seq;
    bench.store.state_erase(&[nearest]).await.unwrap();
    let erased = states.search(&space, &Reader::everybody(), &ask).await.unwrap();
    assert_eq!(erased.hits.len(), 10);
    assert!(erased.hits.iter().all(|hit| hit.record.operation.seq != nearest));
    let near = Search { min_score: Some(0.999), ..toward(0.0, 10) };
    assert_eq!(states.search(&space, &Reader::everybody(), &near).await.unwrap().hits.len(), 10);
}

/// I5: what `verify` replays: the same bytes before a deployment, while it poisons every question, and after.
#[tokio::test(start_paused = true)]
async fn probes_answer_byte_for_byte_the_same_after_a_rollback() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = kb("small");
    many(&bench, &space, 100).await;
    let everybody = Reader::everybody();
    let before = states.probes(&space.space, &everybody).await.unwrap();
    assert_eq!(before.len(), 8);
    let contracts =
        pinrail_domain::state::Space { name: "~embedders".parse().unwrap(), ..space.space.clone() };
    assert!(states.probes(&contracts, &everybody).await.unwrap().is_empty());
    let digests = |probes: &[Probe]| probes.iter().map(|probe| Some(probe.digest)).collect::<Vec<_>>();

    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    let poison: Vec<Upsert> = before
        .iter()
        .flat_map(|probe| (0..20).map(|n| (probe.key.as_str()[1..].parse::<f32>().unwrap(), n)))
        .enumerate()
        .map(|(n, (at, near))| upsert(&format!("poison-{n}"), (at + near as f32 / 1e3) / 100.0, json!({})))
        .collect();
    write(&bench, WriteAs::Run(&bad), &space, &poison).await;
    assert_eq!(states.probes(&space.space, &everybody).await.unwrap(), before);
    let theirs = states.probes_again(&space.space, &reader(&bad), &before).await.unwrap();
    assert!(theirs.iter().zip(digests(&before)).all(|(theirs, ours)| *theirs != ours));
    bench.control.promote(by("good"), two, false).await.unwrap();
    assert_ne!(states.probes_again(&space.space, &everybody, &before).await.unwrap(), digests(&before));
    bench.control.roll_back(by("bad"), two, TakeBack::default()).await.unwrap();
    assert_eq!(states.probes(&space.space, &everybody).await.unwrap(), before);
    let (restarted, _) = bench.another().await;
    let again = restarted.control.states().probes_again(&space.space, &everybody, &before).await.unwrap();
    assert_eq!(again, digests(&before));
    bench.store.state_erase(&[before[0].seq]).await.unwrap();
    let (restarted, _) = bench.another().await;
    let again = restarted.control.states().probes_again(&space.space, &everybody, &before).await.unwrap();
    assert_eq!(again[0], None);
}

/// What a rollback's proof shows of vectors: the manifest's questions, and the same answers.
#[tokio::test(start_paused = true)]
async fn a_manifest_holds_probes_and_verify_asks_them_again() {
    let bench = Bench::new(Tier::Standard).await;
    let space = kb("small");
    many(&bench, &space, 100).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (_, manifest) = bench.control.manifest(two).await.unwrap();
    let line = manifest.spaces.iter().find(|line| line.space == space.space).unwrap();
    assert_eq!((line.count, line.probes.len()), (100, 8));
    let poison: Vec<Upsert> =
        (0..100).map(|n| upsert(&format!("poison-{n}"), n as f32 / 100.0 + 0.001, json!({}))).collect();
    write(&bench, WriteAs::Run(&bad), &space, &poison).await;
    let verified = async || {
        let mut verification = bench.control.verify(two).await.unwrap();
        while verification.next().await.unwrap().is_some() {}
        let summary = verification.summary();
        (summary.holds, summary.probes)
    };
    bench.control.promote(by("good"), two, false).await.unwrap();
    assert_eq!(verified().await, (true, 8));
    bench.roll_back(two).await;
    assert_eq!(verified().await, (true, 8));
    write(&bench, WriteAs::Operator, &space, &[upsert("new", 0.5, json!({}))]).await;
    assert_eq!(verified().await, (true, 8));
    bench.store.memory.damage_record(line.probes[0].seq);
    assert!(!verified().await.0);
}
