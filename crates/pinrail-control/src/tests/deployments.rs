//! Agents, providers, releases and deployments: what is done, and each refusal.

use std::fmt::Debug;

use pinrail_domain::agent::{AgentSpec, Bodies, Segment};
use pinrail_domain::deploy::{Open, TakeBack, Traffic};
use pinrail_domain::id::{DeploymentId, SegmentName};
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::release::Manifest;
use pinrail_domain::tier::Tier;
use serde_json::json;

use super::bench::*;
use crate::CommitError;
use crate::agents::Change;
use crate::publish::{Publish, Published};

const ONE: DeploymentId = DeploymentId(1);

/// Checks that something was refused, and with which words.
fn refused<T: Debug, E: std::error::Error>(result: Result<T, CommitError<E>>, expected: &str) {
    let Err(CommitError::Refused(why)) = result else { panic!("{result:?} instead of: {expected}") };
    assert!(why.to_string().contains(expected), "{why} instead of: {expected}");
}

fn house() -> ProviderSpec {
    ProviderSpec { catalogue: "house".to_owned(), ..ProviderSpec::simulated() }
}

fn tiered(tier: Tier) -> AgentSpec {
    AgentSpec { tier, ..AgentSpec::default() }
}

#[tokio::test(start_paused = true)]
async fn agents_and_providers_become_what_is_said_and_only_then() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let head = || control.snapshot().world.head.seq;
    let before = head();
    let (p, q) = ("p".parse().unwrap(), "q".parse().unwrap());
    assert_eq!(control.provider_put(by("a"), &p, &house()).await.unwrap().value, Change::Unchanged);
    let same = control.agent_put(by("a"), &agent("planner"), &tiered(Tier::Standard)).await.unwrap();
    assert_eq!((same.value, head()), (Change::Unchanged, before));
    assert_eq!(control.provider_put(by("a"), &q, &house()).await.unwrap().value, Change::Created);
    assert_eq!(control.provider_remove(by("a"), &q).await.unwrap().value, Change::Removed);
    refused(control.provider_remove(by("a"), &q).await, "there is no provider `q`");
    refused(control.provider_remove(by("a"), &p).await, "still used by deployment 1 of agent");
    let bad = ProviderSpec { base_url: "ftp://x".to_owned(), ..house() };
    refused(control.provider_put(by("a"), &q, &bad).await, "must start with http");

    refused(control.agent_remove(by("a"), &agent("planner")).await, "still has deployment 1 in segment");
    refused(control.agent_remove(by("a"), &agent("nobody")).await, "there is no agent `nobody`");
    let listed = Segment {
        name: SegmentName::default_segment(),
        tenants: vec![tenant("acme")],
        attributes: Default::default(),
    };
    let bad = AgentSpec { segments: vec![listed], ..AgentSpec::default() };
    refused(control.agent_put(by("a"), &agent("planner"), &bad).await, "`default` always exists");
    assert_eq!(
        control.agent_put(by("a"), &agent("new"), &tiered(Tier::Throwaway)).await.unwrap().value,
        Change::Created
    );
    assert_eq!(control.agent_remove(by("a"), &agent("new")).await.unwrap().value, Change::Removed);
}

/// What a pointer, a rollback or an open run needs of a provider keeps it there.
#[tokio::test(start_paused = true)]
async fn a_provider_that_anything_needs_stays() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let remove = async |name: &str| control.provider_remove(by("a"), &name.parse().unwrap()).await;
    let publish = async |name: &str, provider: &str| {
        control.provider_put(by("a"), &provider.parse().unwrap(), &house()).await.unwrap();
        let manifest: Manifest = serde_json::from_value(
            json!({"pinrail": 1, "model": {"provider": provider, "snapshot": "m2-2026-01-01"}}),
        )
        .unwrap();
        let publish = Publish { agent: agent(name), manifest, model_override: None };
        control.publish(by("publish"), publish).await.unwrap().value.release
    };
    // One deployment, two agents, two providers; the active deployment beneath it has a third.
    let releases = [
        (agent("planner"), publish("planner", "q").await),
        (agent("executor"), publish("executor", "r").await),
    ];
    let segment = SegmentName::default_segment();
    let wish =
        Open { releases: releases.into(), segment, traffic: Traffic::Canary(share("5%")), lift_hold: false };
    let two = control.deploy(by("a"), &wish).await.unwrap().value.deployment;
    refused(remove("p").await, "`p` is still used by deployment 1 of agent `executor`");
    refused(remove("q").await, "`q` is still used by deployment 2 of agent `planner`");
    refused(remove("r").await, "`r` is still used by deployment 2 of agent `executor`");

    // Superseded, but what a rollback returns to (I7).
    control.promote(by("a"), two, false).await.unwrap();
    refused(remove("p").await, "`p` is still used by deployment 1 of agent");

    // Rolled back, but a run is open on it (I2).
    let run = bench.created(None).await;
    bench.roll_back(two).await;
    refused(remove("q").await, "`q` is still used by deployment 2 of agent `planner`");
    assert!(bench.join(run).await.is_ok());
    bench.finish(run).await.unwrap();
    assert_eq!(remove("q").await.unwrap().value, Change::Removed);
    assert_eq!(remove("r").await.unwrap().value, Change::Removed);
}

/// I2: a run goes on though its agent was removed, and leaves nothing of its bodies: whoever said what may be kept
/// of them is gone.
#[tokio::test(start_paused = true)]
async fn a_run_outlives_its_agent() {
    let bench = Bench::new(Tier::Standard).await;
    let run = bench.created(None).await;
    bench.roll_back(ONE).await;
    bench.control.agent_remove(by("a"), &agent("planner")).await.unwrap();
    let begun = bench.join(run).await.unwrap();
    assert_eq!((begun.stamp.deployment, begun.bodies), (ONE, Bodies::Off));
    let (bench, _) = bench.another().await;
    assert_eq!(bench.join(run).await.unwrap().stamp, begun.stamp);
    bench.finish(run).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_served_stays() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let vip: SegmentName = "vip".parse().unwrap();
    let segment =
        Segment { name: vip.clone(), tenants: vec![tenant("acme")], attributes: Default::default() };
    let with = AgentSpec { segments: vec![segment], ..tiered(Tier::Standard) };
    let planner = agent("planner");
    control.agent_put(by("a"), &planner, &with).await.unwrap();
    bench.release("planner", "m2-2026-01-01").await;
    let wish = Open { segment: vip, ..wish(&["planner"], "m2-2026-01-01", Traffic::Now) };
    let two = control.deploy(by("a"), &wish).await.unwrap().value.deployment;
    let without = tiered(Tier::Standard);
    let what = format!("segment `vip` is still served by deployment {two}");
    refused(control.agent_put(by("a"), &planner, &without).await, &what);
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, two);
    bench.roll_back(two).await;
    assert_eq!(bench.begin(None).await.unwrap().stamp.deployment, ONE);
    control.agent_put(by("a"), &planner, &without).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn releases_that_could_not_run_are_refused() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let text = control.artifact_put(b"You are helpful.").await.unwrap();
    let bytes = control.artifact_put(&[0xff, 0xfe]).await.unwrap();
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let tools = control.artifact_put(json!([tool("look")]).to_string().as_bytes()).await.unwrap();
    let twice = json!([tool("look"), tool("look")]).to_string();
    let twice = control.artifact_put(twice.as_bytes()).await.unwrap();
    let absent = pinrail_domain::digest::Digest::of(b"never stored");
    let model = json!({"provider": "p", "snapshot": "m2-2026-01-01"});
    let publish = |name: &str, rest: serde_json::Value| {
        let mut whole = json!({"pinrail": 1, "model": model});
        whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let manifest: Manifest = serde_json::from_value(whole).unwrap();
        control.publish(by("publish"), Publish { agent: agent(name), manifest, model_override: None })
    };
    let check = async |rest: serde_json::Value, expected: &str| {
        refused(publish("planner", rest).await, expected);
    };
    check(json!({"pinrail": 2}), "manifest format 2").await;
    check(json!({"model": {"provider": "q", "snapshot": "x"}}), "there is no provider `q`").await;
    check(json!({"model": {"provider": "p", "snapshot": "moving"}}), "floating").await;
    check(json!({"prompt": {"system": absent}}), "is not in the store").await;
    check(json!({"prompt": {"system": bytes}}), "is not UTF-8 text").await;
    check(json!({"tools": {"schema": text}}), "not a JSON array").await;
    check(json!({"tools": {"schema": twice}}), "`look` is defined twice").await;
    check(json!({"tools": {"schema": tools, "side_effects": ["leap"]}}), "`leap`").await;
    refused(publish("nobody", json!({})).await, "there is no agent `nobody`");

    let whole = json!({"prompt": {"system": text}, "tools": {"schema": tools, "side_effects": ["look"]}});
    let first = publish("planner", whole.clone()).await.unwrap().value;
    let again = publish("planner", whole).await.unwrap().value;
    assert_eq!((first.created, again.created, again.release), (true, false, first.release));
    // A prompt that was changed on disk is found before it gets traffic.
    bench.store.memory.damage_artifact(text);
    let releases = [(agent("planner"), first.release)].into();
    let wish = Open { releases, ..wish(&[], "m2-2026-01-01", Traffic::Now) };
    refused(control.deploy(by("deploy"), &wish).await, "cannot be loaded");
}

/// A release that was created while its agent was less strict can get its override later.
#[tokio::test(start_paused = true)]
async fn an_override_can_be_added_to_a_release() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let publish = async |model_override: Option<&str>| -> Result<Published, String> {
        let model_override = model_override.map(str::to_owned);
        let publish = Publish { agent: agent("planner"), manifest: manifest("mystery"), model_override };
        let published = control.publish(by("publish"), publish).await;
        published.map(|published| published.value).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(publish(None).await.unwrap().identity, "unknown");
    control.agent_put(by("a"), &agent("planner"), &tiered(Tier::Critical)).await.unwrap();
    let wish = wish(&["planner"], "mystery", Traffic::Now);
    refused(control.deploy(by("deploy"), &wish).await, "tier critical refuses model `mystery`");
    assert!(publish(None).await.unwrap_err().contains("unknown"));
    assert!(!publish(Some("checked by hand")).await.unwrap().created);
    let head = control.snapshot().world.head;
    publish(Some("checked by hand")).await.unwrap();
    assert_eq!(control.snapshot().world.head, head);
    refused(control.deploy(by("deploy"), &wish).await, "the gate is missing");
    control.deploy(by("deploy"), &Open { traffic: Traffic::Canary(share("5%")), ..wish }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deployment_moves_its_agents_together_and_back_and_holds() {
    let bench = Bench::new(Tier::Standard).await;
    let control = &bench.control;
    let two = bench.canary("m2-2026-01-01", "5%").await;
    let in_the_way = wish(&AGENTS, "m3-2026-01-01", Traffic::Now);
    for name in AGENTS {
        bench.release(name, "m3-2026-01-01").await;
    }
    refused(control.deploy(by("d"), &in_the_way).await, "deployment 2 is the candidate of");
    refused(control.deploy(by("d"), &wish(&[], "m3-2026-01-01", Traffic::Now)).await, "this one names 0");
    refused(control.deploy(by("d"), &wish(&["nobody"], "m3-2026-01-01", Traffic::Now)).await, "no agent");
    refused(control.deploy(by("d"), &wish(&AGENTS, "never", Traffic::Now)).await, "has no release");
    refused(control.deploy(by("d"), &wish(&AGENTS, "m1-2026-01-01", Traffic::Now)).await, "already runs");
    let unknown = DeploymentId(9);
    refused(control.set_weight(by("w"), ONE, share("5%")).await, "only a candidate has a weight");
    refused(control.set_weight(by("w"), unknown, share("5%")).await, "there is no deployment 9");
    refused(control.promote(by("p"), unknown, false).await, "there is no deployment 9");
    refused(control.promote(by("p"), ONE, false).await, "nothing to promote");
    refused(control.roll_back(by("r"), unknown, TakeBack::default()).await, "there is no deployment 9");

    let epoch = control.snapshot().world.epoch;
    let promoted = control.promote(by("good"), two, false).await.unwrap().value;
    assert!(promoted.active.len() == 2 && promoted.active.values().all(|active| *active == Some(two)));
    assert_eq!((promoted.state.as_str(), promoted.epoch), ("active", epoch.next()));
    let back = control.roll_back(by("it lied"), two, TakeBack::default()).await.unwrap().value;
    assert!(back.active.len() == 2 && back.active.values().all(|active| *active == Some(ONE)));
    assert_eq!(back.epoch, epoch.next().next());
    refused(control.roll_back(by("again"), two, TakeBack::default()).await, "rolled back already: it lied");
    refused(
        control.deploy(by("d"), &in_the_way).await,
        "is held since deployment 2 was rolled back: it lied",
    );
    let segment = SegmentName::default_segment();
    control.lift_hold(by("fine"), &agent("planner"), &segment).await.unwrap();
    refused(control.lift_hold(by("fine"), &agent("planner"), &segment).await, "is not held");
    refused(control.deploy(by("d"), &in_the_way).await, "executor/default is held");
    let lifting = Open { lift_hold: true, ..in_the_way };
    let three = control.deploy(by("d"), &lifting).await.unwrap().value;
    assert!(three.active.values().all(|active| *active == Some(three.deployment)));
}
