//! Who else may answer a run: endpoints of the same snapshot, and models that the release lists.

use pinrail_domain::begin::{Alternative, Begun, Call};
use pinrail_domain::deploy::{Open, Traffic};
use pinrail_domain::id::{GateId, ReleaseId, SegmentName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::tier::Tier;
use serde_json::{Value, json};

use super::bench::*;
use crate::publish::{Publish, PublishRefused};
use crate::{By, CommitError};

async fn put(bench: &Bench, provider: &str, failover: &[&str]) -> Result<(), String> {
    let failover = failover.iter().map(|name| name.parse().unwrap()).collect();
    let spec = ProviderSpec { catalogue: "house".to_owned(), failover, ..ProviderSpec::simulated() };
    let put = bench.control.provider_put(by("a"), &provider.parse().unwrap(), &spec).await;
    put.map(drop).map_err(|error| crate::errors::chain(&error))
}

async fn publish(bench: &Bench, fallbacks: Value) -> Result<ReleaseId, CommitError<PublishRefused>> {
    let model = json!({
        "provider": "p", "snapshot": "m2-2026-01-01", "params": { "temperature": 0.2 }, "fallbacks": fallbacks
    });
    let manifest: Manifest = serde_json::from_value(json!({ "pinrail": 1, "model": model })).unwrap();
    let by: By = by("publish");
    let publish = Publish { agent: agent("planner"), manifest, model_override: None };
    Ok(bench.control.publish(by, publish).await?.value.release)
}

async fn deploy(bench: &Bench, release: ReleaseId) {
    let releases = [(agent("planner"), release)].into();
    let segment = SegmentName::default_segment();
    let wish = Open { releases, segment, traffic: Traffic::Now, lift_hold: false };
    bench.control.deploy(by("deploy"), &wish).await.unwrap();
}

/// `provider snapshot place temperature` of each.
fn told(begun: &Begun) -> Vec<String> {
    let tell = |to: &Alternative| {
        let place = to.listed.map_or("same".to_owned(), |place| place.to_string());
        let params = to.params(&begun.contract);
        format!(
            "{} {} {place} {}",
            to.provider,
            to.snapshot,
            params.get("temperature").unwrap_or(&Value::Null)
        )
    };
    begun.alternatives.as_slice().iter().map(tell).collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_snapshot_elsewhere_comes_first_and_then_what_the_release_lists() {
    let bench = Bench::new(Tier::Standard).await;
    assert!(bench.begin(None).await.unwrap().alternatives.as_slice().is_empty());
    put(&bench, "q", &[]).await.unwrap();
    put(&bench, "r", &["q"]).await.unwrap();
    put(&bench, "p", &["q", "r"]).await.unwrap();
    assert_eq!(
        told(&bench.begin(None).await.unwrap()),
        ["q m1-2026-01-01 same null", "r m1-2026-01-01 same null"]
    );
    let fallbacks = json!([
        { "provider": "q", "snapshot": "m3-2026-01-01" },
        { "provider": "p", "snapshot": "m3-2026-01-01", "params": { "temperature": 0.7 } }
    ]);
    let release = publish(&bench, fallbacks).await.unwrap();
    deploy(&bench, release).await;
    let begun = bench.begin(None).await.unwrap();
    assert_eq!(
        told(&begun),
        [
            "q m2-2026-01-01 same 0.2",
            "r m2-2026-01-01 same 0.2",
            "q m3-2026-01-01 0 0.2",
            "p m3-2026-01-01 1 0.7",
        ]
    );
    // I2: the stamp says what is pinned, whoever answers.
    assert_eq!((begun.stamp.provider.as_str(), begun.stamp.snapshot.as_str()), ("p", "m2-2026-01-01"));
    // What a gate learns must be of the pinned model.
    let gate = GateId::from_parts(1, 1);
    let asked = bench.control.runs().begin_gate(gate, &agent("planner"), release).await.unwrap();
    let joined = Call { run: Some(asked.run), tenant: asked.tenant.clone(), ..call(None) };
    let asked = bench.control.runs().begin(joined).await.unwrap();
    assert_eq!(told(&asked), ["q m2-2026-01-01 same 0.2", "r m2-2026-01-01 same 0.2"]);
    // All of them are probed.
    let probed: Vec<String> = bench
        .control
        .probes_wanted(Some(&agent("planner")))
        .into_iter()
        .map(|wanted| format!("{} {}", wanted.model.provider, wanted.model.snapshot))
        .collect();
    for model in ["p m2-2026-01-01", "q m3-2026-01-01", "p m3-2026-01-01"] {
        assert!(probed.iter().any(|probed| probed == model), "{model}: {probed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_there_and_stays_there() {
    let bench = Bench::new(Tier::Standard).await;
    let refused = |result: Result<(), String>, expected: &str| {
        let why = result.unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    refused(put(&bench, "p", &["q"]).await, "its failover `q` is no provider");
    refused(put(&bench, "p", &["p"]).await, "the provider itself");
    put(&bench, "q", &[]).await.unwrap();
    put(&bench, "p", &["q"]).await.unwrap();
    put(&bench, "q", &["p"]).await.unwrap();
    let remove = async |name: &str| {
        let removed = bench.control.provider_remove(by("a"), &name.parse().unwrap()).await;
        removed.map(drop).map_err(|error| crate::errors::chain(&error))
    };
    refused(remove("q").await, "provider `q` is the failover of `p`");
    put(&bench, "p", &[]).await.unwrap();
    remove("q").await.unwrap();
    // Nor does a provider go that a served release falls back to.
    put(&bench, "q", &[]).await.unwrap();
    let release = publish(&bench, json!([{ "provider": "q", "snapshot": "m3-2026-01-01" }])).await.unwrap();
    deploy(&bench, release).await;
    refused(remove("q").await, "`q` is still used by deployment 2 of agent `planner`");
}

#[tokio::test(start_paused = true)]
async fn what_a_release_lists_is_judged_as_what_it_pins() {
    async fn check(tier: Tier, provider: &str, snapshot: &str, expected: Option<&str>) {
        let bench = Bench::new(tier).await;
        let published = publish(&bench, json!([{ "provider": provider, "snapshot": snapshot }])).await;
        let why = published.err().map(|error| crate::errors::chain(&error));
        match (&why, expected) {
            (None, None) => {}
            (Some(why), Some(expected)) => assert!(why.contains(expected), "{tier} {snapshot}: {why}"),
            (_, _) => panic!("{tier} {snapshot}: {why:?} instead of {expected:?}"),
        }
    }
    check(Tier::Critical, "p", "m3-2026-01-01", None).await;
    check(Tier::Standard, "nobody", "m3-2026-01-01", Some("there is no provider `nobody`")).await;
    check(Tier::Standard, "p", "m2-2026-01-01", Some("model.fallbacks[0] names a model")).await;
    check(Tier::Standard, "p", "moving", Some("tier standard refuses model `moving`")).await;
    check(Tier::Throwaway, "p", "moving", None).await;
    check(Tier::Critical, "p", "who-knows", Some("tier critical refuses model `who-knows`: unknown")).await;
    check(Tier::Standard, "p", "who-knows", None).await;
}
