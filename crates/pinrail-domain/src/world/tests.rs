use std::collections::BTreeMap;

use proptest::prelude::*;

use self::play::{Play, Wish, agent, created, manifest, segment, share, wish};
use super::*;
use crate::assign::Salt;
use crate::deploy::{self, TakeBack, Traffic};
use crate::deployment::Status;
use crate::digest::Digest;
use crate::share::Share;
use crate::state::view::Ranges;

mod golden;
mod golden_state;
pub(crate) mod play;
mod state;

/// What each pointer should be, kept in the plainest way: its whole history.
#[derive(Default)]
struct Model {
    pointers: BTreeMap<PointerKey, Track>,
    rolled_back: BTreeSet<DeploymentId>,
}

#[derive(Default)]
struct Track {
    promoted: Vec<DeploymentId>,
    candidate: Option<(DeploymentId, Share)>,
    hold: Option<DeploymentId>,
}

impl Model {
    fn active(&self, track: &Track) -> Option<DeploymentId> {
        track.promoted.iter().rev().find(|id| !self.rolled_back.contains(id)).copied()
    }

    fn follow(&mut self, body: &Body) {
        match body {
            Body::DeploymentOpened { deployment, releases, segment, weight, .. } => {
                for agent in releases.keys() {
                    let track = self.pointers.entry((agent.clone(), segment.clone())).or_default();
                    track.candidate = Some((*deployment, *weight));
                }
            }
            Body::DeploymentPromoted { deployment, .. } => {
                for track in self.candidates(*deployment) {
                    track.promoted.push(*deployment);
                    track.candidate = None;
                }
            }
            Body::DeploymentRolledBack { deployment, .. } => {
                let moved: Vec<PointerKey> = self.named(*deployment);
                self.rolled_back.insert(*deployment);
                for key in moved {
                    let track = self.pointers.get_mut(&key).unwrap();
                    track.candidate.take_if(|(id, _)| id == deployment);
                    track.hold = Some(*deployment);
                }
            }
            Body::WeightSet { deployment, weight } => {
                for track in self.candidates(*deployment) {
                    track.candidate = Some((*deployment, *weight));
                }
            }
            Body::RolloutStep { deployment, entered, .. } => {
                for track in self.candidates(*deployment) {
                    track.candidate = Some((*deployment, entered.weight));
                }
            }
            Body::HoldLifted { agent, segment } => {
                self.pointers.get_mut(&(agent.clone(), segment.clone())).unwrap().hold = None;
            }
            Body::AgentRemoved { agent } => self.pointers.retain(|(owner, _), _| owner != agent),
            Body::ProviderPut { .. }
            | Body::ProviderRemoved { .. }
            | Body::AgentPut { .. }
            | Body::ReleaseCreated { .. }
            | Body::ManifestRecorded { .. }
            | Body::StateCollected { .. }
            | Body::JournalCollected { .. }
            | Body::StateErased { .. }
            | Body::RolloutStopped { .. }
            | Body::RolloutResumed { .. }
            | Body::RolloutApproved { .. }
            | Body::GateRecorded { .. }
            | Body::GateJudged { .. }
            | Body::GateOverridden { .. }
            | Body::GateOverrideSeconded { .. }
            | Body::KeyCreated { .. }
            | Body::KeyRevoked { .. }
            | Body::WebhookPut { .. }
            | Body::WebhookRemoved { .. }
            | Body::DialSet { .. }
            | Body::DriftFound { .. }
            | Body::DriftCleared { .. }
            | Body::CatalogueUpdated { .. }
            | Body::ReleaseRetired { .. }
            | Body::McpServerPut { .. }
            | Body::McpServerRemoved { .. } => {}
        }
    }

    fn candidates(&mut self, id: DeploymentId) -> impl Iterator<Item = &mut Track> {
        self.pointers.values_mut().filter(move |track| track.candidate.is_some_and(|(other, _)| other == id))
    }

    /// The pointers that name the deployment.
    fn named(&self, id: DeploymentId) -> Vec<PointerKey> {
        let names = |track: &Track| {
            self.active(track) == Some(id) || track.candidate.is_some_and(|(candidate, _)| candidate == id)
        };
        self.pointers.iter().filter(|(_, track)| names(track)).map(|(key, _)| key.clone()).collect()
    }

    fn check(&self, world: &World) {
        assert_eq!(world.pointers.keys().collect::<Vec<_>>(), self.pointers.keys().collect::<Vec<_>>());
        for (key, track) in &self.pointers {
            let pointer = &world.pointers[key];
            let candidate = pointer.candidate.map(|id| (id, pointer.weight));
            let hold = pointer.hold.as_ref().map(|hold| hold.deployment);
            assert_eq!(
                (pointer.active, candidate, hold),
                (self.active(track), track.candidate, track.hold),
                "{key:?}"
            );
            assert!(pointer.candidate.is_some() || pointer.weight == Share::NONE, "{key:?}");
        }
    }
}

/// What holds in every world that decisions led to.
fn check_world(world: &World) {
    for ((agent, segment), pointer) in world.pointers.iter() {
        for (id, is_active) in [(pointer.active, true), (pointer.candidate, false)] {
            let Some(id) = id else { continue };
            let deployment = &world.deployments[&id];
            assert!(deployment.releases.contains_key(agent) && deployment.segment == *segment);
            match deployment.status {
                Status::Promoted { .. } => assert!(is_active, "{agent}/{segment}: {id}"),
                Status::Candidate { weight, .. } => {
                    assert_eq!((is_active, weight), (false, pointer.weight), "{agent}/{segment}: {id}");
                }
                Status::RolledBack { .. } => panic!("{agent}/{segment} names {id}, which is rolled back"),
            }
        }
    }
    for deployment in world.deployments.values() {
        // I7: held or not, whatever else is open, and I5: with one entry.
        let refusal = deploy::roll_back(world, deployment.id, &TakeBack::default()).err();
        assert_eq!(refusal.is_some(), deployment.is_rolled_back());
        let named = world.pointers.values().any(|p| p.active == Some(deployment.id));
        assert_eq!(deploy::state(world, deployment) == "active", named, "{deployment:?}");
    }
}

fn replay(entries: &[Entry]) -> World {
    let mut world = World::default();
    for entry in entries {
        let stored = serde_json::to_vec(entry).unwrap();
        world.apply(&serde_json::from_slice(&stored).unwrap()).unwrap();
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What is decided always folds, what is refused changes nothing, pointers are where a plain history says,
    /// and the ledger alone gives the same world again (I5, I7, I8).
    #[test]
    fn whatever_is_wished_the_world_stays_whole(wishes in prop::collection::vec(wish(), 1..30)) {
        let mut play = Play::new();
        let mut model = Model::default();
        for wish in &wishes {
            let entries = play.entries.len();
            match play.step(wish) {
                Ok(bodies) => {
                    prop_assert_eq!(play.entries.len(), entries + bodies.len());
                    bodies.iter().for_each(|body| model.follow(body));
                    if matches!(wish, Wish::RollBack { .. } | Wish::SetWeight { .. }) {
                        prop_assert_eq!(bodies.len(), 1); // I5
                    }
                }
                Err(why) => {
                    prop_assert_eq!(play.entries.len(), entries);
                    prop_assert!(!why.is_empty());
                }
            }
            model.check(&play.world);
            check_world(&play.world);
        }
        let again = replay(&play.entries);
        let raised = play.entries.iter().filter(|entry| entry.body.raises_epoch()).count();
        prop_assert_eq!(again.epoch, Epoch(raised as u64));
        prop_assert_eq!(format!("{again:?}"), format!("{:?}", play.world));
    }

    /// One deployment moves all its agents together, forward and back.
    #[test]
    fn agents_of_one_deployment_move_together(
        wishes in prop::collection::vec(wish(), 0..12), back in any::<bool>(),
    ) {
        let mut play = Play::new();
        for wish in wishes.iter().filter(|wish| !matches!(wish, Wish::RemoveAgent { .. } | Wish::PutAgent { .. })) {
            let _refused_or_done = play.step(wish);
        }
        let open: Vec<_> = play.world.pointers.values().filter_map(|p| p.candidate).collect();
        open.into_iter().collect::<BTreeSet<_>>().into_iter().for_each(|id| play.roll_back(id));
        let pair = ["planner", "executor"];
        let at = |play: &Play| pair.map(|name| play.world.pointer(&agent(name), &segment("vip")));
        let before = at(&play);
        // A release that nothing runs yet, so that the wish can't be a repeat.
        let fresh = manifest("fresh-2026-01-01");
        play.append(pair.iter().map(|name| created(name, &fresh)).collect());
        let open = deploy::Open {
            releases: pair.iter().map(|name| (agent(name), fresh.id().unwrap())).collect(),
            segment: segment("vip"), traffic: Traffic::Canary(share(500)), lift_hold: true,
        };
        let (id, bodies) = deploy::open(&play.world, &open, Salt(1), play::judge, crate::time::Timestamp(0)).unwrap();
        play.append(bodies);
        prop_assert!(at(&play).iter().all(|p| p.candidate == Some(id) && p.weight == share(500)));
        if !back {
            play.promote(id);
            prop_assert!(at(&play).iter().all(|p| p.active == Some(id) && p.candidate.is_none()));
        }
        play.roll_back(id);
        for (before, after) in before.iter().zip(at(&play)) {
            prop_assert_eq!((before.active, after.candidate), (after.active, None));
            prop_assert_eq!(after.hold.map(|hold| hold.deployment), Some(id));
        }
    }
}

/// The agent that was removed is another one when it comes back: what was opened before doesn't reach it.
#[test]
fn an_open_deployment_leaves_an_agent_alone_that_was_removed_meanwhile() {
    let mut play = Play::new();
    let old = play.open(&["planner", "writer"], 1, "default", Traffic::Canary(share(100)));
    play.append(vec![
        Body::AgentRemoved { agent: agent("writer") },
        Body::AgentPut { agent: agent("writer"), spec: AgentSpec::default() },
    ]);
    let new = play.open(&["writer"], 2, "default", Traffic::Canary(share(200)));
    play.append(vec![deploy::set_weight(&play.world, old, share(5_000)).unwrap()]);
    let at = |play: &Play, name| play.world.pointer(&agent(name), &SegmentName::default_segment());
    assert_eq!(at(&play, "writer").weight, share(200));
    play.promote(old);
    assert_eq!(at(&play, "planner").active, Some(old));
    assert_eq!((at(&play, "writer").active, at(&play, "writer").candidate), (None, Some(new)));
    play.roll_back(old);
    assert_eq!((at(&play, "planner").active, at(&play, "planner").hold.is_some()), (None, true));
    assert_eq!((at(&play, "writer").candidate, at(&play, "writer").hold), (Some(new), None));
}

#[test]
fn a_rollback_returns_past_predecessors_that_are_rolled_back_themselves() {
    let mut play = Play::new();
    let [one, two, three] = [1, 2, 3].map(|n| play.open(&["planner"], n, "default", Traffic::Now));
    let at = |play: &Play| play.world.pointer(&agent("planner"), &SegmentName::default_segment());
    play.roll_back(two);
    assert_eq!((at(&play).active, at(&play).hold), (Some(three), None)); // It was superseded: nothing moved.
    play.roll_back(three);
    assert_eq!(at(&play).active, Some(one));
    assert_eq!(at(&play).hold.unwrap().deployment, three);
    play.roll_back(one);
    assert_eq!(at(&play).active, None);
    assert!(!play.world.is_live(play::release_id(1)));
}

#[test]
fn an_entry_that_contradicts_the_ones_before_it_is_named_and_changes_nothing() {
    let check = |play: &Play, body: Body, expected: &str| {
        let mut play = play.clone();
        let before = format!("{:?}", play.world);
        let corrupt = play.try_append(body).unwrap_err().to_string();
        let seq = play.world.head.seq.next();
        assert_eq!(corrupt.replace(&format!("ledger entry {seq} "), "ledger entry N "), expected);
        assert_eq!(format!("{:?}", play.world), before);
    };
    let mut play = Play::new();
    let active = play.open(&["planner"], 1, "default", Traffic::Now);
    let candidate = play.open(&["planner"], 2, "default", Traffic::Canary(share(100)));
    let gone = play.open(&["writer"], 3, "vip", Traffic::Canary(share(100)));
    play.roll_back(gone);

    let promoted = |deployment| Body::DeploymentPromoted { deployment, overridden: None, evidence: None };
    let contradicts =
        |kind: &str, what: &str| format!("ledger entry N ({kind}) contradicts the entries before it: {what}");
    check(&play, promoted(active), &contradicts("deployment_promoted", "it is no candidate"));
    check(&play, promoted(gone), &contradicts("deployment_promoted", "it is no candidate"));
    check(&play, promoted(DeploymentId(9)), &contradicts("deployment_promoted", "no such deployment"));
    let rolled_back = |deployment| Body::DeploymentRolledBack {
        deployment,
        keep_state: false,
        derived: Ranges::default(),
        to: BTreeMap::new(),
        evidence: None,
    };
    check(&play, rolled_back(gone), &contradicts("deployment_rolled_back", "it is rolled back"));
    check(&play, rolled_back(DeploymentId(0)), &contradicts("deployment_rolled_back", "no such deployment"));
    let weight = |deployment| Body::WeightSet { deployment, weight: Share::ALL };
    check(&play, weight(active), &contradicts("weight_set", "it is no candidate"));

    let opened = |deployment, name: &str, release| Body::DeploymentOpened {
        deployment,
        releases: [(agent(name), release)].into(),
        segment: SegmentName::default_segment(),
        weight: Share::NONE,
        salt: Salt(0),
        ingest: None,
        rollout: None,
    };
    let (next, known) = (play.world.next_deployment(), play::release_id(1));
    let kind = "deployment_opened";
    check(&play, opened(candidate, "writer", known), &contradicts(kind, "the next deployment is 4"));
    check(&play, opened(next, "planner", known), &contradicts(kind, "planner/default has a candidate"));
    check(&play, opened(next, "nobody", known), &contradicts(kind, "no such agent: nobody"));
    let unknown = manifest("nothing").id().unwrap();
    check(&play, opened(next, "writer", unknown), &contradicts(kind, "writer has no such release"));

    let lifted = |name: &str, at: &str| Body::HoldLifted { agent: agent(name), segment: segment(at) };
    check(&play, lifted("planner", "default"), &contradicts("hold_lifted", "no hold there"));
    check(&play, lifted("writer", "eu"), &contradicts("hold_lifted", "no hold there"));
    let removed = Body::AgentRemoved { agent: agent("nobody") };
    check(&play, removed, &contradicts("agent_removed", "no such agent"));
    let removed = Body::ProviderRemoved { provider: "q".parse().unwrap() };
    check(&play, removed, &contradicts("provider_removed", "no such provider"));
    let revoked = Body::KeyRevoked { key: "0123456789ab".parse().unwrap() };
    check(&play, revoked, &contradicts("key_revoked", "no such key"));
    // I1: content under another content's id.
    let forged = Body::ReleaseCreated {
        release: known,
        agent: agent("writer"),
        manifest: Box::new(manifest("forged")),
        identity: "pinned".to_owned(),
        model_override: None,
    };
    check(&play, forged, &contradicts("release_created", "the release id is not the digest of its manifest"));
}

#[test]
fn an_entry_out_of_its_place_is_named() {
    let play = Play::new();
    let mut world = World::default();
    let second = world.apply(&play.entries[1]).unwrap_err().to_string();
    assert_eq!(second, "ledger entry 2 is broken: its place should be 1");
    let mut forged = play.entries[0].clone();
    forged.reason.push('!');
    let forged = world.apply(&forged).unwrap_err().to_string();
    assert!(forged.starts_with("ledger entry 1 is broken: its content has hash sha256:"), "{forged}");
    assert_eq!((world.head, world.head.hash), (Head::START, Digest::ZERO));
}

#[test]
fn the_same_release_for_a_second_agent_is_one_release() {
    let play = Play::new();
    let release = &play.world.releases[&play::release_id(1)];
    assert_eq!(release.agents.len(), play::AGENTS.len());
    assert_eq!(play.world.releases.len(), play::RELEASES as usize);
    assert_eq!(release.seq, LedgerSeq(3));
}

/// I6: what was ever published costs a change nothing.
#[test]
fn a_change_copies_only_what_it_touches() {
    let before = World::default();
    let mut after = before.clone();
    after.epoch = after.epoch.next();
    after.pointers.insert(
        ("a".parse().unwrap(), SegmentName::default_segment()),
        Pointer { weight: Share::ALL, ..Pointer::default() },
    );
    assert!(Arc::ptr_eq(&before.releases.0, &after.releases.0));
    assert!(Arc::ptr_eq(&before.deployments.0, &after.deployments.0));
    assert!(before.pointers.is_empty() && after.pointers.len() == 1);
}
