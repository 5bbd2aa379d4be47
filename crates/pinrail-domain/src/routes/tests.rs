use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::deploy::{self, TakeBack, Traffic};
use crate::ledger::Body;
use crate::world::tests::play::{
    self, AGENTS, Play, agent, played, release_id, segment, share, spec, tenant,
};

const TENANTS: [&str; 4] = ["acme", "globex", "umbrella", "default"];

/// A question that owns its parts.
#[derive(Clone, Debug)]
struct Asked {
    agent: &'static str,
    tenant: TenantId,
    attributes: BTreeMap<String, String>,
    unit: String,
    bound: Option<DeploymentId>,
    parent: Option<DeploymentId>,
}

impl Asked {
    fn of(agent: &'static str, unit: &str) -> Asked {
        let (attributes, tenant) = (BTreeMap::new(), TenantId::shared());
        Asked { agent, tenant, attributes, unit: unit.to_owned(), bound: None, parent: None }
    }

    fn tenant(mut self, name: &str) -> Asked {
        self.tenant = tenant(name);
        self
    }

    fn attributes(mut self, attributes: &[(&str, &str)]) -> Asked {
        self.attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self
    }

    fn question(&self) -> Question<'_> {
        Question {
            tenant: &self.tenant,
            attributes: &self.attributes,
            unit: &self.unit,
            bound: self.bound,
            parent: self.parent,
        }
    }

    fn ask(&self, world: &World) -> Result<(SegmentName, Target, Via), String> {
        let routes = Routes::of(world);
        let decision = routes.resolve(self.agent, self.question());
        decision.map(|d| (d.segment.clone(), d.target, d.via)).map_err(|no| no.to_string())
    }

    fn deployment(&self, world: &World) -> u64 {
        self.ask(world).unwrap().1.deployment.0
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    let region = prop::option::of(prop::sample::select(vec!["eu", "us", "ap"]));
    let plan = prop::option::of(prop::sample::select(vec!["beta", "trial", "gold"]));
    let id = || prop::option::of((0..12_u64).prop_map(DeploymentId));
    let names = (prop::sample::select(AGENTS.to_vec()), prop::sample::select(TENANTS.to_vec()));
    (names, region, plan, 0..50_u32, id(), prop::option::weighted(0.2, (0..12_u64).prop_map(DeploymentId)))
        .prop_map(|((agent, tenant), region, plan, unit, bound, parent)| {
            let attributes = [("region", region), ("plan", plan)];
            let attributes: Vec<_> = attributes.iter().filter_map(|(k, v)| v.map(|v| (*k, v))).collect();
            let asked = Asked::of(agent, &format!("unit-{unit}")).tenant(tenant).attributes(&attributes);
            Asked { bound, parent, ..asked }
        })
}

/// What the module's text says, read straight from the world.
fn plainly(world: &World, asked: &Asked) -> Result<(SegmentName, Target, Via), String> {
    let name = agent(asked.agent);
    let spec = world.agents.get(&name).ok_or(format!("there is no agent `{name}`"))?;
    let runs = |id: DeploymentId| Target { deployment: id, release: world.deployments[&id].releases[&name] };
    if let Some(parent) = asked.parent.and_then(|id| world.deployments.get(&id))
        && parent.releases.contains_key(&name)
    {
        return Ok((parent.segment.clone(), runs(parent.id), Via::Parent));
    }
    let matches = |segment: &&Segment| {
        (segment.tenants.is_empty() || segment.tenants.contains(&asked.tenant))
            && segment
                .attributes
                .iter()
                .all(|(name, values)| asked.attributes.get(name).is_some_and(|value| values.contains(value)))
    };
    let matching = spec.segments.iter().find(matches);
    let segment = matching.map_or(SegmentName::default_segment(), |segment| segment.name.clone());
    let own = world.pointer(&name, &segment);
    let default = world.pointer(&name, &SegmentName::default_segment());
    let (active, split) = match (own.active, own.candidate) {
        (Some(active), candidate) => (Some(active), candidate.map(|id| (id, own.weight))),
        (None, Some(candidate)) => (default.active, Some((candidate, own.weight))),
        (None, None) => (default.active, default.candidate.map(|id| (id, default.weight))),
    };
    let nothing = format!("agent `{name}` has no active release in segment `{segment}`");
    let Some((candidate, weight)) = split else {
        return Ok((segment, runs(active.ok_or(nothing)?), Via::Active));
    };
    if let Some(bound) = asked.bound
        && (active == Some(bound) || candidate == bound)
    {
        return Ok((segment, runs(bound), Via::Session));
    }
    let bucket = crate::assign::bucket(world.deployments[&candidate].salt, &asked.unit);
    let side = if bucket < weight.bps() { candidate } else { active.ok_or(nothing)? };
    Ok((segment, runs(side), Via::Bucket(bucket)))
}

/// The world after one more entry.
fn after(world: &World, body: Body) -> World {
    let mut play = Play { world: world.clone(), entries: Vec::new() };
    play.append(vec![body]);
    play.world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The compiled routes answer what the text says, for any world and any question.
    #[test]
    fn routes_answer_what_the_text_says(play in played(), questions in prop::collection::vec(asked(), 40)) {
        let world = &play.world;
        let routes = Routes::of(world);
        prop_assert_eq!((routes.epoch, routes.seq), (world.epoch, world.head.seq));
        for asked in questions {
            let answer = asked.ask(world);
            prop_assert_eq!(&answer, &plainly(world, &asked), "{:?}", asked);
            let Ok((segment, target, via)) = answer else { continue };
            // I2: nothing but the parent's, or what is active or the candidate where the unit belongs.
            if via == Via::Parent {
                prop_assert_eq!(Some(target.deployment), asked.parent);
            } else {
                let default = SegmentName::default_segment();
                let here = [segment, default].map(|segment| world.pointer(&agent(asked.agent), &segment));
                let named: BTreeSet<_> = here.iter().flat_map(|p| [p.active, p.candidate]).flatten().collect();
                prop_assert!(named.contains(&target.deployment));
                prop_assert!(!world.deployments[&target.deployment].is_rolled_back());
            }
            if via == Via::Session {
                prop_assert_eq!(Some(target.deployment), asked.bound);
            }
        }
    }

    /// I10: raising the weight never moves a unit off the candidate, and lowering it never puts one on it.
    /// A bound session stays through both, and moves with the promotion or the rollback.
    #[test]
    fn units_and_sessions_move_only_when_they_must(
        play in played(), questions in prop::collection::vec(asked(), 20), bps in 0..=10_000_u64,
    ) {
        for mut asked in questions {
            (asked.bound, asked.parent) = (None, None);
            let world = &play.world;
            let Ok((_, first, _)) = asked.ask(world) else { continue };
            let routes = Routes::of(world);
            let (_, route) = routes.agent(asked.agent).unwrap();
            let Some(candidate) = route.choice(&asked.tenant, &asked.attributes).candidate else {
                prop_assert!(!route.has_candidate(&asked.tenant, &asked.attributes));
                continue;
            };
            let id = candidate.target.deployment;
            let weighed = after(world, deploy::set_weight(world, id, share(bps)).unwrap());
            let (was, is) = (first.deployment == id, asked.ask(&weighed).map(|a| a.1.deployment == id));
            if bps >= u64::from(candidate.weight.bps()) {
                prop_assert!(!was || is == Ok(true));
            } else {
                prop_assert!(was || is == Ok(false));
            }
            asked.bound = Some(first.deployment);
            let (_, again, via) = asked.ask(&weighed).unwrap();
            prop_assert_eq!((again, via), (first, Via::Session));

            let promoted = deploy::promote(world, id, &deploy::Grounds::ASKED, true, play::judge, crate::time::Timestamp(0)).unwrap().pop().unwrap();
            prop_assert_eq!(asked.ask(&after(world, promoted)).unwrap().1, candidate.target);
            let aborted = asked.ask(&after(world, deploy::roll_back(world, id, &TakeBack::default()).unwrap()));
            prop_assert!(aborted.is_err() || aborted.unwrap().1.deployment != id);
            let taken_back = after(world, deploy::roll_back(world, first.deployment, &TakeBack::default()).unwrap());
            let moved = asked.ask(&taken_back);
            prop_assert!(moved.is_err() || moved.unwrap().1.deployment != first.deployment);
        }
    }
}

#[test]
fn the_first_segment_that_matches_decides_and_default_stands_in() {
    let mut play = Play::new();
    play.open(&["planner"], 1, "default", Traffic::Now);
    let check = |play: &Play, asked: &Asked, expected: &str, deployment: u64| {
        let (segment, target, _) = asked.ask(&play.world).unwrap();
        assert_eq!((segment.as_str(), target.deployment.0), (expected, deployment), "{asked:?}");
    };
    let acme = Asked::of("planner", "u").tenant("acme");
    let acme_eu = acme.clone().attributes(&[("region", "eu")]);
    let beta = Asked::of("planner", "u").attributes(&[("plan", "trial"), ("region", "us"), ("other", "x")]);
    // Nothing was ever promoted in the segments: default serves them, under their own name.
    check(&play, &acme, "vip", 1);
    check(&play, &acme_eu, "eu", 1);
    check(&play, &beta, "beta", 1);
    check(&play, &Asked::of("planner", "u").attributes(&[("plan", "trial")]), "default", 1);
    check(&play, &Asked::of("planner", "u").attributes(&[("region", "eu")]), "default", 1);

    // The candidate in default reaches them too, until they have something of their own.
    let canary = play.open(&["planner"], 2, "default", Traffic::Canary(Share::ALL));
    check(&play, &acme, "vip", 2);
    let own = play.open(&["planner"], 3, "vip", Traffic::Canary(Share::NONE));
    check(&play, &acme, "vip", 1);
    check(&play, &acme_eu, "eu", 2);
    play.promote(own);
    check(&play, &acme, "vip", 3);
    play.roll_back(own);
    check(&play, &acme, "vip", 2);
    play.roll_back(canary);
    check(&play, &acme, "vip", 1);

    // A segment that the agent no longer lists catches nobody.
    play.open(&["planner"], 4, "vip", Traffic::Now);
    check(&play, &acme, "vip", 4);
    play.append(vec![Body::AgentPut { agent: agent("planner"), spec: spec(&[0]) }]);
    check(&play, &acme, "default", 1);
}

#[test]
fn a_segment_alone_may_run_while_default_runs_nothing() {
    let mut play = Play::new();
    let asked = Asked::of("planner", "u").tenant("acme");
    let refusal =
        |agent: &str, at: &str| Err(format!("agent `{agent}` has no active release in segment `{at}`"));
    assert_eq!(asked.ask(&play.world), refusal("planner", "vip"));
    assert_eq!(Asked::of("nobody", "u").ask(&play.world), Err("there is no agent `nobody`".to_owned()));
    // A first canary serves its share; the rest has nothing to go to.
    let first = play.open(&["planner"], 1, "vip", Traffic::Canary(Share::NONE));
    assert_eq!(asked.ask(&play.world), refusal("planner", "vip"));
    play.append(vec![deploy::set_weight(&play.world, first, Share::ALL).unwrap()]);
    assert_eq!(asked.deployment(&play.world), 1);
    assert_eq!(Asked::of("planner", "u").ask(&play.world), refusal("planner", "default"));
}

#[test]
fn a_sub_agent_run_stays_with_its_parent_whatever_was_rolled_back() {
    let mut play = Play::new();
    play.open(&["planner", "executor", "writer"], 1, "default", Traffic::Now);
    let pair = play.open(&["planner", "executor"], 2, "vip", Traffic::Now);
    let child = |name| Asked { parent: Some(pair), ..Asked::of(name, "u") };
    for taken_back in [false, true] {
        if taken_back {
            play.roll_back(pair);
        }
        // I2: in the parent's segment and release, though the child alone would be in default.
        let inherited = Target { deployment: pair, release: release_id(2) };
        assert_eq!(child("executor").ask(&play.world), Ok((segment("vip"), inherited, Via::Parent)));
        // What the parent's deployment doesn't cover resolves anew.
        let own = Target { deployment: DeploymentId(1), release: release_id(1) };
        assert_eq!(child("writer").ask(&play.world), Ok((segment("default"), own, Via::Active)));
    }
    let orphan = Asked { parent: Some(DeploymentId(9)), ..Asked::of("executor", "u") };
    assert_eq!(orphan.deployment(&play.world), 1);
    // The parent outranks the session.
    let bound = Asked { bound: Some(DeploymentId(1)), ..child("executor") };
    assert_eq!(bound.deployment(&play.world), pair.0);
}

#[test]
fn a_session_sticks_until_its_deployment_is_neither_active_nor_candidate() {
    let mut play = Play::new();
    let old = play.open(&["planner"], 1, "default", Traffic::Now);
    let new = play.open(&["planner"], 2, "default", Traffic::Canary(share(5_000)));
    let on = |bound| Asked { bound: Some(bound), ..Asked::of("planner", "u") };
    let check = |play: &Play, bound: DeploymentId, expected: DeploymentId, via: fn(Via) -> bool| {
        let (_, target, found) = on(bound).ask(&play.world).unwrap();
        assert!(target.deployment == expected && via(found), "{target:?} {found:?}");
    };
    for bps in [5_000, 0, 10_000] {
        play.append(vec![deploy::set_weight(&play.world, new, share(bps)).unwrap()]);
        check(&play, old, old, |via| via == Via::Session);
        check(&play, new, new, |via| via == Via::Session);
        let gone = DeploymentId(77);
        let fresh = Asked::of("planner", "u").ask(&play.world).unwrap().1.deployment;
        check(&play, gone, fresh, |via| matches!(via, Via::Bucket(_)));
    }
    play.promote(new);
    check(&play, old, new, |via| via == Via::Active);
    play.roll_back(new);
    check(&play, new, old, |via| via == Via::Active);
}
