//! I14: a promotion that needs a gate gets one of exactly its candidate, incumbent and suites, or doesn't happen.

use std::collections::BTreeSet;

use super::acts::{OverrideRefused, judged, override_gate, second};
use super::*;
use crate::agent::AgentSpec;
use crate::deploy::{self, Grounds, Open, OpenRefused, PromoteRefused, Traffic};
use crate::id::{DeploymentId, SegmentName};
use crate::key::KeyId;
use crate::ledger::{Actor, Body};
use crate::share::Share;
use crate::tier::Tier;
use crate::world::tests::play::{self, Play, agent, judge, manifest};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NAME: &str = "planner";

/// A critical agent with one suite of each kind, `m1` active and `m2` its candidate.
struct Stage {
    play: Play,
    id: DeploymentId,
    gates: u64,
}

impl Stage {
    fn new() -> Stage {
        let mut play = Play::new();
        let first = open(&play, 1, Traffic::Now).unwrap();
        play.append(first.1);
        let suites = SuiteKind::ALL.map(pin).to_vec();
        let gate = Some(GateSpec { suites, ..GateSpec::default() });
        let spec = AgentSpec { tier: Tier::Critical, gate, ..play::spec(&[0, 1, 2]) };
        play.append(vec![Body::AgentPut { agent: agent(NAME), spec }]);
        let (id, bodies) = open(&play, 2, Traffic::Canary(Share::NONE)).unwrap();
        play.append(bodies);
        Stage { play, id, gates: 0 }
    }

    /// What a gate of the candidate says today where everything passes.
    fn passing(&self) -> Judgement {
        let suites = SuiteKind::ALL.map(|kind| SuiteJudged {
            name: pin(kind).name,
            kind,
            digest: pin(kind).digest,
            verdict: GateVerdict::Pass,
            margin: kind.margin(),
            floor: None,
            cases: 200,
        });
        Judgement {
            candidate: release(2),
            incumbent: Some(release(1)),
            verdict: GateVerdict::Pass,
            alpha: ALPHA,
            suites: suites.to_vec(),
            served: vec!["m2-2026-01-01".to_owned()],
            source: Source::Run,
            statement: Digest::of(b"statement"),
        }
    }

    fn judge(&mut self, judgement: &Judgement) {
        self.gates += 1;
        let gate = GateId::from_parts(self.gates, 0);
        let body = judged(&self.play.world, &agent(NAME), gate, judgement).unwrap();
        self.play.append(vec![body]);
    }

    fn promote_at(&self, now: Timestamp) -> Result<Vec<Body>, PromoteRefused> {
        deploy::promote(&self.play.world, self.id, &Grounds::ASKED, false, judge, now)
    }

    fn at(&self) -> Timestamp {
        self.play.entries.last().unwrap().at
    }

    fn missing(&self) -> String {
        match self.promote_at(self.at()) {
            Ok(_) => String::new(),
            Err(PromoteRefused::Gate { missing, .. }) => deploy::gate_words(&missing),
            Err(other) => panic!("{other}"),
        }
    }

    fn spec(&mut self, change: impl FnOnce(&mut AgentSpec)) {
        let mut spec = AgentSpec::clone(&self.play.world.agents[&agent(NAME)]);
        change(&mut spec);
        self.play.append(vec![Body::AgentPut { agent: agent(NAME), spec }]);
    }
}

fn open(play: &Play, n: u32, traffic: Traffic) -> Result<(DeploymentId, Vec<Body>), OpenRefused> {
    let releases = [(agent(NAME), release(n))].into();
    let wish = Open { releases, segment: SegmentName::default_segment(), traffic, lift_hold: false };
    deploy::open(&play.world, &wish, crate::assign::Salt(1), judge, NOW)
}

fn release(n: u32) -> ReleaseId {
    manifest(&format!("m{n}-2026-01-01")).id().unwrap()
}

fn pin(kind: SuiteKind) -> SuitePin {
    SuitePin {
        name: format!("{kind}-suite"),
        kind,
        digest: Digest::of(kind.as_str().as_bytes()),
        margin: None,
        better: false,
        floor: None,
        imported: false,
    }
}

fn key(name: &str) -> Actor {
    let id = if name == "key_a" { "aaaaaaaaaaaa" } else { "bbbbbbbbbbbb" };
    Actor::Key { id: id.parse::<KeyId>().unwrap(), name: name.to_owned() }
}

// I14
#[test]
fn only_a_passing_gate_of_exactly_this_lets_a_critical_candidate_through() {
    let mut stage = Stage::new();
    assert!(stage.missing().contains("success suite success-suite has no verdict"), "{}", stage.missing());
    let check = |change: &dyn Fn(&mut Judgement), expected: &str| {
        let mut stage = Stage::new();
        let mut judgement = stage.passing();
        change(&mut judgement);
        stage.judge(&judgement);
        let missing = stage.missing();
        assert!(
            missing.contains(expected) && expected.is_empty() == missing.is_empty(),
            "{missing} / {expected}"
        );
    };
    check(&|_| {}, "");
    check(&|j| j.candidate = release(3), "has no verdict");
    check(&|j| j.incumbent = Some(release(3)), "has no verdict");
    check(&|j| j.incumbent = None, "has no verdict");
    check(&|j| j.suites[2].digest = Digest::of(b"older"), "safety suite safety-suite has no verdict");
    check(&|j| j.suites[1].kind = SuiteKind::Success, "regression suite regression-suite has no verdict");
    check(&|j| drop(j.suites.remove(0)), "success suite success-suite has no verdict");
    check(&|j| j.suites[0].verdict = GateVerdict::Fail, "success suite success-suite ended fail");
    check(&|j| j.suites[0].verdict = GateVerdict::Inconclusive, "ended inconclusive");
    check(&|j| j.suites[0].margin = 0.06, "more lenient");
    check(&|j| j.alpha = 0.1, "more lenient");
    check(&|j| j.served.clear(), "nothing says which model answered");

    // The newest verdict counts, whichever way it goes.
    let passing = stage.passing();
    let mut failing = passing.clone();
    failing.suites[1].verdict = GateVerdict::Fail;
    stage.judge(&passing);
    assert_eq!(stage.missing(), "");
    stage.judge(&failing);
    assert!(stage.missing().contains("regression suite regression-suite ended fail"));
    // A gate of another suite alone leaves the others' verdicts as they are.
    let only = vec![passing.suites[1].clone()];
    stage.judge(&Judgement { suites: only, ..passing });
    assert_eq!(stage.missing(), "");
}

// I14
#[test]
fn a_verdict_ages_and_goes_with_what_it_was_about() {
    let mut stage = Stage::new();
    stage.judge(&stage.passing());
    let week = Tier::Critical.demands().gate_max_age.ms;
    assert!(stage.promote_at(stage.at().plus_ms(week)).is_ok());
    let late = stage.promote_at(stage.at().plus_ms(week + 1)).unwrap_err().to_string();
    assert!(late.contains("and counts 7d"), "{late}");

    // Other suites, stricter settings: what was shown isn't what is asked for any more.
    stage.spec(|spec| spec.gate.as_mut().unwrap().suites[0].margin = Some(Margin(0.01)));
    assert!(stage.missing().contains("more lenient"));
    stage.spec(|spec| {
        let suite = &mut spec.gate.as_mut().unwrap().suites[0];
        (suite.margin, suite.digest) = (None, Digest::of(b"more cases"));
    });
    assert!(stage.missing().contains("success suite success-suite has no verdict"));
    stage.spec(|spec| drop(spec.gate.take()));
    assert!(stage.missing().contains("no safety suite is listed"));
    // What needs no gate asks for none.
    stage.spec(|spec| spec.tier = Tier::Standard);
    assert_eq!(stage.missing(), "");
    stage.spec(|spec| {
        spec.gate = Some(GateSpec { requires: vec![SuiteKind::Safety], ..GateSpec::default() });
    });
    assert!(stage.missing().contains("no safety suite is listed"));
}

// I14
#[test]
fn nothing_critical_is_promoted_at_once_and_the_first_is_held_to_its_floor() {
    let mut stage = Stage::new();
    let at_once = open(&stage.play, 3, Traffic::Now).unwrap_err();
    assert!(matches!(at_once, OpenRefused::CandidateInTheWay { .. }), "{at_once}");
    stage
        .play
        .append(vec![deploy::roll_back(&stage.play.world, stage.id, &deploy::TakeBack::default()).unwrap()]);
    stage.play.append(vec![
        deploy::lift_hold(&stage.play.world, &agent(NAME), &SegmentName::default_segment()).unwrap(),
    ]);
    assert!(matches!(open(&stage.play, 3, Traffic::Now), Err(OpenRefused::Gate(_))));

    // Nothing is active: the candidate stands alone, against what its suites ask for.
    let first = DeploymentId(1);
    stage
        .play
        .append(vec![deploy::roll_back(&stage.play.world, first, &deploy::TakeBack::default()).unwrap()]);
    stage.play.append(vec![
        deploy::lift_hold(&stage.play.world, &agent(NAME), &SegmentName::default_segment()).unwrap(),
    ]);
    let (id, bodies) = open(&stage.play, 2, Traffic::Canary(Share::NONE)).unwrap();
    stage.play.append(bodies);
    stage.id = id;
    let mut alone = Judgement { incumbent: None, ..stage.passing() };
    stage.judge(&alone);
    assert!(stage.missing().contains("more lenient"), "{}", stage.missing());
    alone.suites.iter_mut().for_each(|suite| suite.floor = Some(FLOOR));
    stage.judge(&alone);
    assert_eq!(stage.missing(), "");
}

// I14
#[test]
fn an_override_takes_a_reason_and_two_keys_and_lasts_while_its_incumbent_does() {
    let mut stage = Stage::new();
    let none = BTreeSet::new();
    let ask = |stage: &Stage, kinds: &BTreeSet<SuiteKind>, by: &Actor, reason: &str| {
        override_gate(&stage.play.world, stage.id, kinds, by, reason, stage.at())
    };
    let id = stage.id;
    assert_eq!(ask(&stage, &none, &key("key_a"), " ").unwrap_err(), OverrideRefused::NoReason);
    assert_eq!(ask(&stage, &none, &Actor::Open, "why").unwrap_err(), OverrideRefused::NeedsKey { id });
    assert_eq!(
        second(&stage.play.world, id, &key("key_a")).unwrap_err(),
        OverrideRefused::NothingToSecond { id }
    );
    let safety = [SuiteKind::Safety].into();
    let body = ask(&stage, &safety, &key("key_a"), "why").unwrap();
    stage.play.append_by(key("key_a"), vec![body]);
    // One key alone changes nothing.
    assert!(stage.missing().contains("safety"));
    assert_eq!(second(&stage.play.world, id, &key("key_a")).unwrap_err(), OverrideRefused::OwnWord { id });
    let body = second(&stage.play.world, id, &key("key_b")).unwrap();
    stage.play.append_by(key("key_b"), vec![body]);
    let missing = stage.missing();
    assert!(missing.contains("success") && !missing.contains("safety"), "{missing}");
    assert_eq!(ask(&stage, &safety, &key("key_a"), "why").unwrap_err(), OverrideRefused::Nothing { id });

    let body = ask(&stage, &none, &key("key_b"), "the rest").unwrap();
    stage.play.append_by(key("key_b"), vec![body]);
    let body = second(&stage.play.world, id, &key("key_a")).unwrap();
    stage.play.append_by(key("key_a"), vec![body]);
    assert_eq!(stage.missing(), "");
    // Another incumbent: nobody said anything about that.
    let first = DeploymentId(1);
    let back = deploy::roll_back(&stage.play.world, first, &deploy::TakeBack::default()).unwrap();
    stage.play.append(vec![back]);
    stage.play.append(vec![
        deploy::lift_hold(&stage.play.world, &agent(NAME), &SegmentName::default_segment()).unwrap(),
    ]);
    assert!(stage.missing().contains("alone (nothing is active)"));
}

// I14
#[test]
fn what_nobodys_key_overrode_counts_for_nothing_once_the_agent_is_critical() {
    let mut stage = Stage::new();
    let requires = SuiteKind::ALL.to_vec();
    stage.spec(|spec| (spec.tier, spec.gate.as_mut().unwrap().requires) = (Tier::Standard, requires));
    let id = stage.id;
    let body =
        override_gate(&stage.play.world, id, &BTreeSet::new(), &Actor::Open, "why", stage.at()).unwrap();
    stage.play.append(vec![body]);
    assert_eq!(stage.missing(), "", "in tier standard one word is enough");
    stage.spec(|spec| spec.tier = Tier::Critical);
    assert!(stage.missing().contains("safety"));
    // Two keys are asked for, and here would be one.
    let seconded = second(&stage.play.world, id, &key("key_a"));
    assert_eq!(seconded.unwrap_err(), OverrideRefused::NothingToSecond { id });
    let overridden = stage.play.world.deployments[&id].waivers[0].seq;
    stage.play.append_by(key("key_a"), vec![Body::GateOverrideSeconded { deployment: id, overridden }]);
    assert!(stage.missing().contains("safety"));
}

// I7
#[test]
fn rolling_back_never_asks_for_a_gate() {
    let stage = Stage::new();
    for id in [stage.id, DeploymentId(1)] {
        assert!(deploy::roll_back(&stage.play.world, id, &deploy::TakeBack::default()).is_ok());
    }
}

#[test]
fn settings_that_would_surprise_are_refused() {
    let check = |change: &dyn Fn(&mut GateSpec), expected: &str| {
        let mut spec = GateSpec { suites: SuiteKind::ALL.map(pin).to_vec(), ..GateSpec::default() };
        assert_eq!(spec.check(), Ok(()));
        change(&mut spec);
        let refusal = spec.check().unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    };
    check(&|g| g.suites[1].name = g.suites[0].name.clone(), "listed twice");
    check(&|g| g.suites[1].name = "A b".to_owned(), "is not 1 to 64 of");
    check(&|g| (g.suites[0].better, g.suites[0].margin) = (true, Some(Margin(0.1))), "one or the other");
    check(&|g| g.suites[0].margin = Some(Margin(1.5)), "margin is 1.5");
    check(&|g| g.suites[0].floor = Some(-0.1), "floor is -0.1");
    check(&|g| g.repeats = Some(0), "repeats is 0");
    check(&|g| g.repeats_max = Some(2), "below the 3 repeats");
    check(&|g| g.repeats_max = Some(101), "repeats_max is 101");
    check(&|g| g.alpha = Some(0.5), "alpha is 0.5");
    check(&|g| g.concurrency = Some(0), "concurrency is 0");
    check(&|g| g.calls_per_minute = Some(0), "calls_per_minute is 0");
    check(&|g| g.suites = vec![pin(SuiteKind::Safety); SUITES_MAX + 1], "65 suites");
}
