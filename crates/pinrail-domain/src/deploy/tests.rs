use proptest::prelude::*;

use super::*;
use crate::agent::AgentSpec;
use crate::release::Manifest;
use crate::tier::Tier;
use crate::world::tests::play::{
    self, Play, agent, created, judge, manifest, played, release_id, segment, share,
};

const CANARY: Traffic = Traffic::Canary(Share::NONE);

fn wish(agents: &[&str], release: u32, at: &str) -> Open {
    Open {
        releases: agents.iter().map(|name| (agent(name), release_id(release))).collect(),
        segment: segment(at),
        traffic: CANARY,
        lift_hold: false,
    }
}

fn opened(play: &Play, wish: &Open) -> Result<Vec<&'static str>, String> {
    let decided = open(&play.world, wish, Salt(1), judge, crate::time::Timestamp(0));
    decided.map(|(_, bodies)| bodies.iter().map(Body::kind).collect()).map_err(|refusal| refusal.to_string())
}

fn promoted(play: &Play, id: DeploymentId, lift_hold: bool) -> Result<Vec<&'static str>, String> {
    let decided = promote(&play.world, id, &Grounds::ASKED, lift_hold, judge, crate::time::Timestamp(0));
    decided.map(|bodies| bodies.iter().map(Body::kind).collect()).map_err(|refusal| refusal.to_string())
}

fn refused(text: &str) -> Result<Vec<&'static str>, String> {
    Err(text.to_owned())
}

#[test]
fn opening_is_refused_with_what_is_missing_or_in_the_way() {
    let mut play = Play::new();
    let check = |play: &Play, wish: &Open, expected: &str| assert_eq!(opened(play, wish), refused(expected));
    check(&play, &wish(&[], 1, "default"), "a deployment names 1 to 64 agents; this one names 0");
    let crowd: Vec<String> = (0..65).map(|n| format!("a{n}")).collect();
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    check(&play, &wish(&crowd, 1, "default"), "a deployment names 1 to 64 agents; this one names 65");
    check(&play, &wish(&["nobody"], 1, "default"), "there is no agent `nobody`");
    check(&play, &wish(&["planner"], 1, "nowhere"), "agent `planner` has no segment `nowhere`");
    let id = release_id(9);
    check(&play, &wish(&["planner"], 9, "vip"), &format!("agent `planner` has no release {id}"));

    // Another agent's release is not this one's.
    let own = manifest("own-2026-01-01");
    play.append(vec![created("writer", &own)]);
    let mut theirs = wish(&["planner"], 1, "vip");
    theirs.releases.insert(agent("planner"), own.id().unwrap());
    check(&play, &theirs, &format!("agent `planner` has no release {}", own.id().unwrap()));

    let candidate = play.open(&["planner", "writer"], 1, "vip", CANARY);
    check(&play, &wish(&["writer"], 2, "vip"), "deployment 1 is the candidate of writer/vip");
    assert_eq!(opened(&play, &wish(&["writer"], 2, "default")), Ok(vec!["deployment_opened"]));
    play.promote(candidate);
    check(
        &play,
        &wish(&["planner", "writer"], 1, "vip"),
        "every agent named already runs that release in segment `vip` (deployment 1)",
    );
    // One of two is news.
    assert_eq!(opened(&play, &wish(&["planner", "executor"], 1, "vip")), Ok(vec!["deployment_opened"]));

    play.roll_back(candidate);
    let held = wish(&["executor", "writer"], 2, "vip");
    let why = play.entries.last().unwrap().reason.clone();
    check(&play, &held, &format!("writer/vip is held since deployment 1 was rolled back: {why}"));
    let lifting = Open { lift_hold: true, traffic: Traffic::Now, ..held };
    let bodies = vec!["hold_lifted", "deployment_opened", "deployment_promoted"];
    assert_eq!(opened(&play, &lifting), Ok(bodies));

    play.append(vec![Body::ProviderRemoved { provider: "p".parse().unwrap() }]);
    let id = release_id(2);
    check(&play, &lifting, &format!("provider `p` of release {id} is not registered"));
}

#[test]
fn the_tier_is_asked_again_at_every_deployment_and_promotion() {
    let mut play = Play::new();
    let put =
        |tier| Body::AgentPut { agent: agent("writer"), spec: AgentSpec { tier, ..AgentSpec::default() } };
    let (floating, unknown) = (manifest("floating"), manifest("unknown"));
    play.append(vec![created("writer", &floating), created("writer", &unknown)]);
    let of = |manifest: &Manifest| {
        let releases = [(agent("writer"), manifest.id().unwrap())].into();
        Open { releases, ..wish(&[], 1, "default") }
    };
    let refusal = "tier standard refuses model `floating`: floating, an alias";
    assert_eq!(opened(&play, &of(&floating)), refused(refusal));
    assert_eq!(opened(&play, &of(&unknown)), Ok(vec!["deployment_opened"]));

    play.append(vec![put(Tier::Throwaway)]);
    let (id, bodies) = open(&play.world, &of(&floating), Salt(1), judge, crate::time::Timestamp(0)).unwrap();
    play.append(bodies);
    play.append(vec![put(Tier::Standard)]);
    assert_eq!(promoted(&play, id, false), refused(refusal));
    assert!(roll_back(&play.world, id, &TakeBack::default()).is_ok()); // I7
    play.roll_back(id);

    play.append(vec![put(Tier::Critical)]);
    let lifting = Open { lift_hold: true, ..of(&unknown) };
    let refusal = "tier critical refuses model `unknown`: unknown, no dated sibling";
    assert_eq!(opened(&play, &lifting), refused(refusal));
    let Body::ReleaseCreated { release, agent, manifest, identity, .. } = created("writer", &unknown) else {
        panic!("it makes releases")
    };
    let model_override = Some("checked by hand".to_owned());
    play.append(vec![Body::ReleaseCreated { release, agent, manifest, identity, model_override }]);
    assert_eq!(opened(&play, &lifting), Ok(vec!["hold_lifted", "deployment_opened"]));
}

#[test]
fn what_is_no_candidate_is_not_promoted_or_weighed_and_its_state_is_named() {
    let mut play = Play::new();
    let check = |play: &Play, id: DeploymentId, word: &'static str| {
        let deployment = &play.world.deployments[&id];
        assert_eq!(state(&play.world, deployment), word);
        let weight = set_weight(&play.world, id, share(1));
        if word == "candidate" {
            assert_eq!(promoted(play, id, false), Ok(vec!["deployment_promoted"]));
            assert_eq!(weight, Ok(Body::WeightSet { deployment: id, weight: share(1) }));
        } else {
            let promoted = promoted(play, id, true);
            assert_eq!(
                promoted,
                refused(&format!("deployment {id} is {word}, so there is nothing to promote"))
            );
            let refusal = weight.unwrap_err().to_string();
            assert_eq!(refusal, format!("deployment {id} is {word}; only a candidate has a weight"));
        }
    };
    let first = play.open(&["planner", "writer"], 1, "default", CANARY);
    check(&play, first, "candidate");
    play.promote(first);
    check(&play, first, "active");
    let second = play.open(&["planner"], 2, "default", Traffic::Now);
    check(&play, first, "active"); // For the writer it still is.
    let third = play.open(&["writer"], 2, "default", Traffic::Now);
    check(&play, first, "superseded");
    play.roll_back(second);
    check(&play, second, "rolled back");
    check(&play, first, "active");
    check(&play, third, "active");

    let none = DeploymentId(9);
    assert_eq!(promoted(&play, none, true), refused("there is no deployment 9"));
    assert_eq!(set_weight(&play.world, none, share(1)), Err(WeightRefused::NoDeployment(none)));
    assert_eq!(WeightRefused::NoDeployment(none).to_string(), "there is no deployment 9");
}

#[test]
fn only_what_is_taken_back_already_or_never_was_is_not_rolled_back() {
    let mut play = Play::new();
    let id = play.open(&["planner"], 1, "default", CANARY);
    play.roll_back(id);
    let why = play.entries.last().unwrap().reason.clone();
    let refusal = |id| roll_back(&play.world, id, &TakeBack::default()).unwrap_err().to_string();
    assert_eq!(refusal(id), format!("deployment 1 is rolled back already: {why}"));
    assert_eq!(refusal(DeploymentId(0)), "there is no deployment 0"); // The ground stays.
    assert_eq!(refusal(DeploymentId(7)), "there is no deployment 7");
}

#[test]
fn a_hold_stops_promotion_until_someone_lifts_it_and_never_a_rollback() {
    let mut play = Play::new();
    let active = play.open(&["planner"], 1, "default", Traffic::Now);
    let candidate = play.open(&["planner", "writer"], 2, "default", CANARY);
    play.roll_back(active);
    let why = play.entries.last().unwrap().reason.clone();
    let held = format!("planner/default is held since deployment 1 was rolled back: {why}");
    assert_eq!(promoted(&play, candidate, false), refused(&held));
    assert_eq!(promoted(&play, candidate, true), Ok(vec!["hold_lifted", "deployment_promoted"]));
    assert!(roll_back(&play.world, candidate, &TakeBack::default()).is_ok()); // I7

    let default = SegmentName::default_segment();
    let lifted = lift_hold(&play.world, &agent("planner"), &default).unwrap();
    play.append(vec![lifted]);
    assert_eq!(promoted(&play, candidate, false), Ok(vec!["deployment_promoted"]));
    let refusal = lift_hold(&play.world, &agent("planner"), &default).unwrap_err();
    assert_eq!(refusal.to_string(), "planner/default is not held");
}

/// The hold is another deployment's business: the agent was removed and put again since this one was opened.
#[test]
fn a_hold_on_a_pointer_that_would_not_move_is_not_in_the_way() {
    let mut play = Play::new();
    let old = play.open(&["planner", "writer"], 1, "default", CANARY);
    play.append(vec![
        Body::AgentRemoved { agent: agent("writer") },
        Body::AgentPut { agent: agent("writer"), spec: AgentSpec::default() },
    ]);
    let new = play.open(&["writer"], 2, "default", CANARY);
    play.roll_back(new);
    assert_eq!(promoted(&play, old, false), Ok(vec!["deployment_promoted"]));
    play.promote(old);
    let hold = play.world.pointer(&agent("writer"), &SegmentName::default_segment()).hold;
    assert_eq!(hold.map(|hold| hold.deployment), Some(new));
}

fn ingest(play: &mut Play, name: &str) -> Result<DeploymentId, String> {
    let opened = open_ingest(&play.world, &name.parse().unwrap(), Salt(1));
    let (id, body) = opened.map_err(|refusal| refusal.to_string())?;
    play.append(vec![body]);
    Ok(id)
}

#[test]
fn a_data_job_is_open_once_then_committed_or_rolled_back() {
    let mut play = Play::new();
    let word = |play: &Play, id| state(&play.world, &play.world.deployments[&id]);
    let job = ingest(&mut play, "docs").unwrap();
    assert_eq!(word(&play, job), "open");
    assert_eq!(ingest(&mut play, "docs"), Err("data job `docs` is open already, as deployment 1".to_owned()));
    assert_eq!(promoted(&play, job, false), Ok(vec!["deployment_promoted"]));
    play.promote(job);
    assert_eq!(word(&play, job), "committed");
    assert_eq!(
        promoted(&play, job, false),
        refused("deployment 1 is committed, so there is nothing to promote")
    );
    // Its name is free again.
    let next = ingest(&mut play, "docs").unwrap();
    play.roll_back(next);
    assert_eq!(word(&play, next), "rolled back");
    play.roll_back(job);
    assert_eq!(word(&play, job), "rolled back");
    assert!(ingest(&mut play, "docs").is_ok());
}

#[test]
fn so_many_data_jobs_are_open_at_once_and_no_more() {
    let mut play = Play::new();
    for n in 0..INGESTS_OPEN_MAX {
        ingest(&mut play, &format!("job-{n}")).unwrap();
    }
    let refusal = Err("100 data jobs are open; no more can be".to_owned());
    assert_eq!(ingest(&mut play, "one-more"), refusal);
    play.promote(DeploymentId(7));
    assert!(ingest(&mut play, "one-more").is_ok());
    assert_eq!(ingest(&mut play, "and-another"), refusal);
    // I7: that is no reason not to take one back.
    assert!(roll_back(&play.world, DeploymentId(1), &TakeBack::default()).is_ok());
}

#[test]
fn pointers_alone_go_back_once_and_the_state_may_follow() {
    let mut play = Play::new();
    let id = play.open(&["planner"], 1, "default", Traffic::Now);
    let pointers = TakeBack { keep_state: true, ..TakeBack::default() };
    play.append(vec![roll_back(&play.world, id, &pointers).unwrap()]);
    let why = play.entries.last().unwrap().reason.clone();
    let refusal = roll_back(&play.world, id, &pointers).unwrap_err();
    assert_eq!(refusal.to_string(), format!("deployment 1 is rolled back already: {why}"));
    let state = TakeBack { derived: Ranges::of([crate::id::StateSeq(3)]), ..TakeBack::default() };
    let body = roll_back(&play.world, id, &state).unwrap();
    let derived = state.derived.clone();
    assert_eq!(
        body,
        Body::DeploymentRolledBack {
            deployment: id,
            keep_state: false,
            derived,
            to: BTreeMap::new(),
            evidence: None
        }
    );
    play.append(vec![body]);
    assert!(roll_back(&play.world, id, &state).is_err());
}

#[test]
fn a_cascade_that_no_entry_holds_is_refused_with_its_size() {
    let mut play = Play::new();
    let id = ingest(&mut play, "docs").unwrap();
    let every_other = |count: u64| TakeBack {
        derived: Ranges::of((1..=count).map(|n| crate::id::StateSeq(2 * n))),
        ..TakeBack::default()
    };
    assert!(roll_back(&play.world, id, &every_other(DERIVED_RANGES_MAX as u64)).is_ok());
    let refusal = roll_back(&play.world, id, &every_other(DERIVED_RANGES_MAX as u64 + 1)).unwrap_err();
    let expected =
        "20001 records were derived from what deployment 1 wrote, in more than 20000 separate ranges";
    assert_eq!(refusal.to_string(), expected);
    // In one range, as many as there are.
    let all = TakeBack { derived: Ranges::of((1..=90_000).map(crate::id::StateSeq)), ..TakeBack::default() };
    assert!(roll_back(&play.world, id, &all).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// I7, I5: whatever happened before, every deployment that counts can be taken back, in any order, by one entry
    /// each; then no pointer names any, and each rollback held exactly the pointers that it moved.
    #[test]
    fn everything_can_be_taken_back_in_any_order(mut play in played(), seed in any::<u64>()) {
        let mut left: Vec<DeploymentId> = play.world.deployments.keys().copied().collect();
        left.sort_by_key(|id| crate::assign::bucket(Salt(seed), &id.to_string()));
        for id in left {
            let before = play.world.clone();
            let Ok(body) = roll_back(&before, id, &TakeBack::default()) else {
                prop_assert!(before.deployments[&id].is_rolled_back());
                continue;
            };
            play.append(vec![body]);
            prop_assert!(play.world.deployments[&id].is_rolled_back());
            prop_assert!(roll_back(&play.world, id, &TakeBack::default()).is_err());
            for (key, after) in play.world.pointers.iter() {
                let pointer = &before.pointers[key];
                let moved = [pointer.active, pointer.candidate].contains(&Some(id));
                prop_assert!(![after.active, after.candidate].contains(&Some(id)));
                if moved {
                    prop_assert_eq!(after.hold.as_ref().map(|hold| hold.deployment), Some(id));
                } else {
                    prop_assert_eq!(after, pointer);
                }
            }
        }
        let named = |p: &crate::deployment::Pointer| p.active.or(p.candidate).is_some();
        prop_assert!(!play.world.pointers.values().any(named));
        prop_assert!(!(1..=play::RELEASES).any(|n| play.world.is_live(release_id(n))));
    }
}

#[test]
fn a_rollback_can_lead_past_what_cannot_be_called() {
    let mut play = Play::new();
    for release in [1, 2, 3] {
        play.open(&["planner", "executor"], release, "default", Traffic::Now);
    }
    let last = play.open(&["planner", "executor"], 4, "default", Traffic::Now);
    let check = |play: &Play, gone: &[(&str, u32)], expected: &[(&str, Option<u64>, &[u64], bool)]| {
        let trouble = |of: &AgentName, release: ReleaseId| {
            let is = |(name, n): &&(&str, u32)| agent(name) == *of && release_id(*n) == release;
            gone.iter().find(is).map(|_| "it is gone".to_owned())
        };
        let found = landings(&play.world, last, trouble);
        let told: Vec<_> = found
            .iter()
            .map(|Landing { agent, to, passed_over, callable }| {
                let passed: Vec<u64> = passed_over.iter().map(|one| one.deployment.0).collect();
                (agent.to_string(), to.map(|id| id.0), passed, *callable)
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(agent, to, passed, callable)| ((*agent).to_owned(), *to, passed.to_vec(), *callable))
            .collect();
        assert_eq!(told, expected, "{gone:?}");
    };
    let both = |to, passed: &'static [u64], callable| {
        [("executor", to, passed, callable), ("planner", to, passed, callable)]
    };
    check(&play, &[], &both(Some(3), &[], true));
    // What moved together comes back together.
    check(&play, &[("planner", 3)], &both(Some(2), &[3], true));
    check(&play, &[("planner", 3), ("executor", 2)], &both(Some(1), &[3, 2], true));
    // Nothing can be called: then as a rollback without this (I7).
    check(&play, &[("planner", 3), ("executor", 2), ("planner", 1)], &both(Some(3), &[3, 2, 1], false));

    let to = |id: u64| [(agent("planner"), DeploymentId(id)), (agent("executor"), DeploymentId(id))].into();
    let body = |to| roll_back(&play.world, last, &TakeBack { to, ..TakeBack::default() }).unwrap();
    for wrong in [0, 4, 9] {
        assert!(play.clone().try_append(body(to(wrong))).is_err(), "{wrong}");
    }
    assert!(play.clone().try_append(body([(agent("writer"), DeploymentId(1))].into())).is_err());
    let body = body(to(1));
    let written = serde_json::to_string(&body).unwrap();
    assert!(written.contains(r#""to":{"executor":1,"planner":1}"#), "{written}");
    play.append(vec![body]);
    let active = |play: &Play| play.world.pointer(&agent("planner"), &segment("default")).active;
    assert_eq!(active(&play), Some(DeploymentId(1)));
    // What was passed over stays committed: its state counts on.
    let now = play.world.head.seq;
    assert!(play.world.commits.is_committed(DeploymentId(2), now));
    assert!(play.world.commits.is_committed(DeploymentId(3), now));
}

#[test]
fn what_is_retired_is_not_deployed_again() {
    let mut play = Play::new();
    play.append(vec![Body::ReleaseRetired { release: release_id(1) }]);
    let refusal = opened(&play, &wish(&["planner"], 1, "default")).unwrap_err();
    assert!(refusal.starts_with("release "), "{refusal}");
    assert!(refusal.contains(" of agent `planner` was retired at 20"), "{refusal}");
    assert_eq!(opened(&play, &wish(&["planner"], 2, "default")), Ok(vec!["deployment_opened"]));
}
