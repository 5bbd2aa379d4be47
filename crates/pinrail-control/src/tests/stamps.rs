//! Runs and flips in any order: every stamp is what the pure routes say, and sessions move only when they must.

use std::collections::BTreeMap;

use pinrail_domain::deploy::{TakeBack, Traffic};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::routes::{Question, Via};
use pinrail_domain::share::Share;
use pinrail_domain::tier::Tier;
use pinrail_store::Journal as _;
use pinrail_store::memory::Strike;
use proptest::prelude::*;
use proptest::sample::Index;

use super::bench::*;
use crate::runs::CreateRefused;

#[derive(Clone, Debug)]
enum Step {
    Begin { session: usize },
    Create { session: usize },
    Open { model: usize, bps: u64 },
    Promote { which: Index },
    RollBack { which: Index },
    Weigh { which: Index, bps: u64 },
    Fail { after_effect: bool },
    Pass { ms: u64 },
    Restart,
}

struct Play {
    bench: Bench,
    /// What each session got last.
    bound: BTreeMap<usize, DeploymentId>,
    stamps: Vec<pinrail_domain::journal::Stamp>,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..5_usize).prop_map(|session| Step::Begin { session }),
        4 => (0..5_usize).prop_map(|session| Step::Create { session }),
        3 => (0..3_usize, 0..=10_000_u64).prop_map(|(model, bps)| Step::Open { model, bps }),
        1 => any::<Index>().prop_map(|which| Step::Promote { which }),
        1 => any::<Index>().prop_map(|which| Step::RollBack { which }),
        3 => (any::<Index>(), 0..=10_000_u64).prop_map(|(which, bps)| Step::Weigh { which, bps }),
        1 => any::<bool>().prop_map(|after_effect| Step::Fail { after_effect }),
        2 => (0..40_u64).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Restart),
    ]
}

impl Play {
    async fn step(&mut self, step: &Step) {
        let control = self.bench.control.clone();
        let pick =
            |which: &Index| DeploymentId(1 + which.index(control.snapshot().world.deployments.len()) as u64);
        match step {
            Step::Begin { session } => {
                let begun = self.bench.begin(Some(&format!("s{session}"))).await;
                self.check(*session, false, begun.map(|begun| (*begun.stamp).clone()).ok());
            }
            Step::Create { session } => {
                // A planned failure may strike here: then the session is bound in memory, and the run that is
                // created next finds it so.
                let session_id = format!("s{session}");
                let mut failed = false;
                let created = loop {
                    let created = self.bench.create(creating(Some(&session_id))).await;
                    if !matches!(created, Err(CreateRefused::Write(_))) {
                        break created;
                    }
                    failed = true;
                };
                self.check(*session, failed, created.map(|created| created.stamp).ok());
            }
            Step::Open { model, bps } => {
                let model = ["m1-2026-01-01", "m2-2026-01-01", "m3-2026-01-01"][*model];
                let traffic = Traffic::Canary(Share::from_bps(*bps).unwrap());
                let _refused_or_done = control.deploy(by("open"), &wish(&AGENTS, model, traffic)).await;
            }
            Step::Promote { which } => {
                let _refused_or_done = control.promote(by("promote"), pick(which), true).await;
            }
            Step::RollBack { which } => {
                let _refused_or_done = control.roll_back(by("bad"), pick(which), TakeBack::default()).await;
                let pointers: Vec<_> = control.snapshot().world.pointers.keys().cloned().collect();
                for (agent, segment) in pointers {
                    let _refused_or_done = control.lift_hold(by("lift"), &agent, &segment).await;
                }
            }
            Step::Weigh { which, bps } => {
                let weight = Share::from_bps(*bps).unwrap();
                let _refused_or_done = control.set_weight(by("weight"), pick(which), weight).await;
            }
            Step::Fail { after_effect } => {
                let strike = if *after_effect { Strike::AfterEffect } else { Strike::BeforeEffect };
                self.bench.store.fail(1, strike);
                // Strikes the journal or the ledger, whichever writes next; a begin never notices.
                let _failed_or_done =
                    control.lift_hold(by("none"), &agent("planner"), &"x".parse().unwrap()).await;
            }
            Step::Pass { ms } => tokio::time::sleep(std::time::Duration::from_millis(*ms)).await,
            Step::Restart => {
                control.drain().await;
                let Bench { store, clock, entropy, .. } = &self.bench;
                // A planned failure strikes once.
                self.bench.control = loop {
                    if let Ok((control, _)) = open(store, clock, entropy).await {
                        break control;
                    }
                };
            }
        }
    }

    /// Checks a stamp against the routes as they are now.
    fn check(&mut self, session: usize, failed_before: bool, stamp: Option<pinrail_domain::journal::Stamp>) {
        let snapshot = self.bench.control.snapshot();
        let (tenant, attributes) = (tenant("acme"), BTreeMap::new());
        let bound = self.bound.get(&session).copied();
        let unit = format!("s{session}");
        let question =
            Question { tenant: &tenant, attributes: &attributes, unit: &unit, bound, parent: None };
        let decision = snapshot.routes.resolve("planner", question).ok();
        let Some(stamp) = stamp else {
            assert_eq!(decision, None, "a run was refused that has a route");
            return;
        };
        let decision = decision.expect("a run began, so there is a route");
        assert_eq!((stamp.deployment, stamp.release), (decision.target.deployment, decision.target.release));
        assert_eq!(stamp.epoch, snapshot.world.epoch);
        assert!(stamp.via == decision.via || (failed_before && stamp.via == Via::Session), "{stamp:?}");
        let pointer = snapshot.world.pointer(&agent("planner"), &stamp.segment);
        if let Some(bound) = bound.filter(|bound| *bound != stamp.deployment) {
            assert!(![pointer.active, pointer.candidate].contains(&Some(bound)), "{unit} left {bound}");
        }
        self.bound.insert(session, stamp.deployment);
        self.stamps.push(stamp);
    }

    /// Every stamp that was handed out is in the journal as it was.
    async fn check_store(&self) {
        for stamp in &self.stamps {
            assert_eq!(self.bench.stored(stamp.run).await.unwrap().stamp, *stamp); // I2, I3
        }
        for (session, deployment) in &self.bound {
            let key = session_key(&format!("s{session}"));
            let stored = self.bench.store.session_get(&key).await.unwrap();
            assert_eq!(stored, Some(*deployment), "{session}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn stamps_follow_the_routes_and_sessions_move_only_when_they_must(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(Tier::Standard).await;
            for model in ["m2-2026-01-01", "m3-2026-01-01"] {
                for name in AGENTS {
                    bench.release(name, model).await;
                }
            }
            let mut play = Play { bench, bound: BTreeMap::new(), stamps: Vec::new() };
            for step in &steps {
                play.step(step).await;
            }
            play.bench.control.drain().await;
            play.check_store().await;
        });
    }
}
