//! A small world to play in: agents, releases, and wishes in any order, decided and folded like real ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use crate::agent::{AgentSpec, Segment};
use crate::assign::Salt;
use crate::deploy::{self, Open, TakeBack, Traffic};
use crate::deployment::Status;
use crate::id::{AgentName, DeploymentId, ReleaseId, SegmentName, TenantId};
use crate::ledger::{Actor, Body, Draft, Entry};
use crate::model::Identity;
use crate::provider::ProviderSpec;
use crate::release::{Manifest, ModelId};
use crate::share::Share;
use crate::time::Timestamp;
use crate::world::{Corrupt, World};

pub(crate) const AGENTS: [&str; 3] = ["executor", "planner", "writer"];
/// In the order in which they are tried; a tenant and an attribute may match several.
pub(crate) const SEGMENTS: [&str; 4] = ["eu", "vip", "beta", SegmentName::DEFAULT];
pub(crate) const RELEASES: u32 = 4;

/// A world and the ledger that led to it.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub world: World,
    pub entries: Vec<Entry>,
}

/// Something that a person might ask for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Open {
        agents: Vec<usize>,
        release: u32,
        segment: usize,
        weight: Option<u64>,
        lift_hold: bool,
        salt: u64,
    },
    Promote {
        which: Index,
        lift_hold: bool,
    },
    RollBack {
        which: Index,
    },
    SetWeight {
        which: Index,
        bps: u64,
    },
    LiftHold {
        agent: usize,
        segment: usize,
    },
    /// Removes an agent, and perhaps puts another one of that name right after.
    RemoveAgent {
        agent: usize,
        back: bool,
    },
    /// Puts an agent (back) with only some of its segments.
    PutAgent {
        agent: usize,
        segments: Vec<usize>,
    },
}

impl Play {
    /// All agents with all segments, each with every release; nothing deployed.
    pub(crate) fn new() -> Play {
        let mut play = Play { world: World::default(), entries: Vec::new() };
        let provider = "p".parse().unwrap();
        play.append(vec![Body::ProviderPut { provider, spec: Box::new(ProviderSpec::simulated()) }]);
        for name in AGENTS {
            play.append(vec![Body::AgentPut { agent: agent(name), spec: spec(&[0, 1, 2]) }]);
            for n in 1..=RELEASES {
                play.append(vec![created(name, &manifest(&format!("m{n}-2026-01-01")))]);
            }
        }
        play
    }

    pub(crate) fn try_append(&mut self, body: Body) -> Result<(), Corrupt> {
        self.try_append_by(Actor::Open, body)
    }

    /// Appends in somebody's name.
    pub(crate) fn append_by(&mut self, actor: Actor, bodies: Vec<Body>) {
        for body in bodies {
            self.try_append_by(actor.clone(), body).unwrap();
        }
    }

    fn try_append_by(&mut self, actor: Actor, body: Body) -> Result<(), Corrupt> {
        let seq = self.world.head.seq.next();
        let draft =
            Draft { at: Timestamp(1_700_000_000_000 + seq.0), actor, reason: format!("reason {seq}"), body };
        let entry = self.world.head.seal(draft).unwrap();
        self.world.apply(&entry)?;
        self.entries.push(entry);
        Ok(())
    }

    /// Appends what was decided; a decision that the fold refuses is a bug.
    pub(crate) fn append(&mut self, bodies: Vec<Body>) {
        for body in bodies {
            let before = self.world.epoch;
            let raises = body.raises_epoch();
            self.try_append(body).unwrap();
            assert_eq!(self.world.epoch, if raises { before.next() } else { before });
        }
    }

    pub(crate) fn decide(&self, wish: &Wish) -> Result<Vec<Body>, String> {
        let world = &self.world;
        match wish {
            Wish::Open { agents, release, segment: at, weight, lift_hold, salt } => {
                let open = Open {
                    releases: agents.iter().map(|n| (agent(AGENTS[*n]), release_id(*release))).collect(),
                    segment: segment(SEGMENTS[*at]),
                    traffic: weight.map_or(Traffic::Now, |bps| Traffic::Canary(share(bps))),
                    lift_hold: *lift_hold,
                };
                let opened = deploy::open(world, &open, Salt(*salt), judge, crate::time::Timestamp(0));
                opened.map(|(_, bodies)| bodies).map_err(|refusal| refusal.to_string())
            }
            Wish::Promote { which, lift_hold } => deploy::promote(
                world,
                self.pick(which),
                &deploy::Grounds::ASKED,
                *lift_hold,
                judge,
                crate::time::Timestamp(0),
            )
            .map_err(|r| r.to_string()),
            Wish::RollBack { which } => deploy::roll_back(world, self.pick(which), &TakeBack::default())
                .map(|b| vec![b])
                .map_err(|r| r.to_string()),
            Wish::SetWeight { which, bps } => deploy::set_weight(world, self.pick(which), share(*bps))
                .map(|body| vec![body])
                .map_err(|r| r.to_string()),
            Wish::LiftHold { agent: name, segment: at } => {
                deploy::lift_hold(world, &agent(AGENTS[*name]), &segment(SEGMENTS[*at]))
                    .map(|body| vec![body])
                    .map_err(|r| r.to_string())
            }
            Wish::RemoveAgent { agent: name, back } => {
                let agent = agent(AGENTS[*name]);
                if !world.agents.contains_key(&agent) {
                    return Err("no such agent".to_owned());
                }
                let again = Body::AgentPut { agent: agent.clone(), spec: spec(&[0, 1, 2]) };
                let removed = Body::AgentRemoved { agent };
                Ok(if *back { vec![removed, again] } else { vec![removed] })
            }
            Wish::PutAgent { agent: name, segments } => {
                Ok(vec![Body::AgentPut { agent: agent(AGENTS[*name]), spec: spec(segments) }])
            }
        }
    }

    /// Does what is wished, if it may be done.
    pub(crate) fn step(&mut self, wish: &Wish) -> Result<Vec<Body>, String> {
        let bodies = self.decide(wish)?;
        self.append(bodies.clone());
        Ok(bodies)
    }

    /// Some deployment, candidates most often, or one that there isn't.
    fn pick(&self, which: &Index) -> DeploymentId {
        let all = (0..=self.world.next_deployment().0).map(DeploymentId);
        let open = self.world.deployments.values().filter(|d| matches!(d.status, Status::Candidate { .. }));
        let open: Vec<DeploymentId> = open.map(|deployment| deployment.id).collect();
        let pool: Vec<DeploymentId> = all.chain(open.repeat(5)).collect();
        *which.get(&pool)
    }

    /// Opens `release` for `agents` in `segment` and returns its id.
    pub(crate) fn open(&mut self, agents: &[&str], release: u32, at: &str, traffic: Traffic) -> DeploymentId {
        let open = Open {
            releases: agents.iter().map(|name| (agent(name), release_id(release))).collect(),
            segment: segment(at),
            traffic,
            lift_hold: true,
        };
        let (id, bodies) =
            deploy::open(&self.world, &open, Salt(u64::from(release)), judge, crate::time::Timestamp(0))
                .unwrap();
        self.append(bodies);
        id
    }

    pub(crate) fn promote(&mut self, id: DeploymentId) {
        self.append(
            deploy::promote(&self.world, id, &deploy::Grounds::ASKED, true, judge, crate::time::Timestamp(0))
                .unwrap(),
        );
    }

    pub(crate) fn roll_back(&mut self, id: DeploymentId) {
        self.append(vec![deploy::roll_back(&self.world, id, &TakeBack::default()).unwrap()]);
    }
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let agents = prop::sample::subsequence(vec![0, 1, 2], 1..=3);
    let weight = prop_oneof![1 => Just(None), 2 => (0..=10_000_u64).prop_map(Some)];
    let any_index = any::<Index>;
    prop_oneof![
        6 => (agents, 1..=RELEASES, 0..SEGMENTS.len(), weight, any::<bool>(), any::<u64>()).prop_map(
            |(agents, release, segment, weight, lift_hold, salt)| {
                // Most traffic is default traffic.
                let segment = if salt % 2 == 0 { 3 } else { segment };
                Wish::Open { agents, release, segment, weight, lift_hold, salt }
            }),
        3 => (any_index(), any::<bool>()).prop_map(|(which, lift_hold)| Wish::Promote { which, lift_hold }),
        3 => any_index().prop_map(|which| Wish::RollBack { which }),
        1 => (any_index(), 0..=10_000_u64).prop_map(|(which, bps)| Wish::SetWeight { which, bps }),
        1 => (0..3_usize, 0..4_usize).prop_map(|(agent, segment)| Wish::LiftHold { agent, segment }),
        1 => (0..3_usize, prop::bool::weighted(0.8))
            .prop_map(|(agent, back)| Wish::RemoveAgent { agent, back }),
        1 => (0..3_usize, prop::sample::subsequence(vec![0, 1, 2], 0..=3))
            .prop_map(|(agent, segments)| Wish::PutAgent { agent, segments }),
    ]
}

/// A world that some wishes led to.
pub(crate) fn played() -> impl Strategy<Value = Play> {
    prop::collection::vec(wish(), 0..20).prop_map(|wishes| {
        let mut play = Play::new();
        for wish in wishes {
            let _refused_or_done = play.step(&wish);
        }
        play
    })
}

/// Calls `floating…` floating, `unknown…` unknown and everything else pinned.
pub(crate) fn judge(model: ModelId<'_>) -> Identity {
    let snapshot = model.snapshot;
    if snapshot.starts_with("floating") {
        Identity::Floating { why: "an alias".to_owned(), pins: Vec::new() }
    } else if snapshot.starts_with("unknown") {
        Identity::Unknown { why: "no dated sibling".to_owned(), pins: Vec::new() }
    } else {
        Identity::Pinned { why: "dated".to_owned() }
    }
}

pub(crate) fn created(name: &str, manifest: &Manifest) -> Body {
    Body::ReleaseCreated {
        release: manifest.id().unwrap(),
        agent: agent(name),
        manifest: Box::new(manifest.clone()),
        identity: "pinned".to_owned(),
        model_override: None,
    }
}

pub(crate) fn manifest(snapshot: &str) -> Manifest {
    serde_json::from_value(json!({"pinrail": 1, "model": {"provider": "p", "snapshot": snapshot}})).unwrap()
}

pub(crate) fn release_id(n: u32) -> ReleaseId {
    manifest(&format!("m{n}-2026-01-01")).id().unwrap()
}

pub(crate) fn agent(name: &str) -> AgentName {
    name.parse().unwrap()
}

pub(crate) fn segment(name: &str) -> SegmentName {
    name.parse().unwrap()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

pub(crate) fn share(bps: u64) -> Share {
    Share::from_bps(bps).unwrap()
}

/// An agent with those of [`SEGMENTS`] that are named by their place.
pub(crate) fn spec(segments: &[usize]) -> AgentSpec {
    let tenants = [vec!["globex", "acme"], vec!["umbrella", "acme"], vec![]];
    let attributes: [&[(&str, &[&str])]; 3] =
        [&[("region", &["eu"])], &[], &[("plan", &["beta", "trial"]), ("region", &["eu", "us"])]];
    let segment = |n: &usize| Segment {
        name: segment(SEGMENTS[*n]),
        tenants: tenants[*n].iter().map(|name| tenant(name)).collect(),
        attributes: attributes[*n]
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect()))
            .collect::<BTreeMap<_, _>>(),
    };
    AgentSpec { segments: segments.iter().map(segment).collect(), ..AgentSpec::default() }
}
