use proptest::prelude::*;

use super::*;
use crate::agent::AgentSpec;
use crate::deploy::{self, Grounds, Open, TakeBack, Traffic};
use crate::deployment::{Gate, GateVerdict};
use crate::dial::{self, Place, Turn};
use crate::ledger::Body;
use crate::rollout::acts;
use crate::rollout::facts::{Evidence, Pairs};
use crate::rollout::quantity::Usd;
use crate::rollout::spec::Metric;
use crate::stats::{Arms, Judged, Verdict};
use crate::world::tests::play::{Play, agent, judge, release_id, segment};

/// A world with a rollout under way in it, and what is observed of that.
struct Stage {
    play: Play,
    id: DeploymentId,
    facts: Facts,
    now: Timestamp,
}

const PLAN: &str = r#"
[[segments]]
name = "vip"
tenants = ["t"]
[rollout]
steps = [
  "gate",
  { shadow = { percent = 10, min_runs = 20, max_divergence = 0.3, budget = 2 } },
  { canary = { percent = 50, min_runs = 5, segments = ["vip"] } },
  { canary = { percent = 5, min_runs = 10, deadline = "1h", slack = 4 } },
  { pause = { for = "10m" } },
  { canary = { percent = 25, min_runs = 10, deadline = "1h" } },
  { pause = {} },
  { approve = {} },
]
[[rollout.guardrails]]
metric = "error_rate"
margin = "1%"
[[rollout.guardrails]]
metric = "latency"
on_breach = "freeze"
"#;

/// Nothing is wrong, and everything is proven.
fn fine() -> Facts {
    let judged = |high| Judged {
        verdict: Verdict::NotWorse,
        candidate: Some(0.01),
        incumbent: Some(0.01),
        harm: Some(0.0),
        harm_low: Some(-0.01),
        harm_high: Some(high),
        samples: Arms { candidate: 100, incumbent: 900 },
        log_e: Some(0.0),
    };
    let finding = |metric: Metric, high| Finding {
        guardrail: metric.to_string(),
        agent: agent("planner"),
        metric,
        judged: judged(high),
        trouble: None,
    };
    Facts {
        complete: true,
        findings: vec![finding(Metric::ErrorRate, 0.005), finding(Metric::Latency, 0.1)],
        runs: Arms { candidate: 1_000, incumbent: 9_000 },
        units: Arms { candidate: 1_000, incumbent: 9_000 },
        ratio_off: false,
        pairs: Pairs {
            compared: 50,
            divergence_low: Some(0.0),
            divergence_high: Some(0.2),
            ..Pairs::default()
        },
    }
}

impl Stage {
    fn new(settings: &str) -> Stage {
        let mut play = Play::new();
        let spec: AgentSpec = toml::from_str(settings).unwrap();
        spec.check().unwrap();
        play.append(vec![Body::AgentPut { agent: agent("planner"), spec: spec.clone() }]);
        play.open(&["planner"], 1, "default", Traffic::Now);
        let plan = super::super::Plan::of(&agent("planner"), &spec, &segment("default"));
        let wish = Open {
            releases: [(agent("planner"), release_id(2))].into(),
            segment: segment("default"),
            traffic: Traffic::Rollout(Box::new(plan)),
            lift_hold: false,
        };
        let (id, bodies) =
            deploy::open(&play.world, &wish, crate::assign::Salt(1), judge, crate::time::Timestamp(0))
                .unwrap();
        play.append(bodies);
        let now = play.entries.last().unwrap().at;
        Stage { play, id, facts: fine(), now }
    }

    fn look(&self) -> Outlook {
        look(&self.play.world, self.id, &self.facts, self.now).unwrap()
    }

    fn rollout(&self) -> &Rollout {
        self.play.world.deployments[&self.id].rollout.as_deref().unwrap()
    }

    fn waits(&self) -> String {
        let outlook = self.look();
        assert_eq!(outlook.action, None);
        outlook.waits.join(" | ")
    }

    /// Does what the outlook says, as the controller does.
    fn act(&mut self) -> Option<Action> {
        let action = self.look().action?;
        let (id, generation, evidence) = (self.id, self.rollout().generation, self.facts.evidence());
        let bodies = bodies(&self.play, id, generation, evidence, &action);
        self.play.append(bodies);
        self.now = self.now.max(self.play.entries.last().unwrap().at);
        Some(action)
    }

    fn person(&mut self, body: Body) {
        self.play.append(vec![body]);
    }

    fn gate(&mut self, verdict: GateVerdict) {
        let body = acts::record_gate(&self.play.world, self.id, Gate { verdict, report: None }).unwrap();
        self.person(body);
    }
}

fn bodies(play: &Play, id: DeploymentId, generation: u64, evidence: Evidence, action: &Action) -> Vec<Body> {
    match action {
        Action::Enter(step) => vec![acts::enter(&play.world, id, generation, *step, evidence).unwrap()],
        Action::Stop(why) => acts::stop(&play.world, id, generation, why.clone(), evidence).unwrap(),
        Action::Promote => {
            let grounds = Grounds::Rollout { generation, evidence: Box::new(evidence) };
            deploy::promote(&play.world, id, &grounds, true, judge, crate::time::Timestamp(0)).unwrap()
        }
        Action::RollBack { .. } => {
            let what = TakeBack { evidence: Some(Box::new(evidence)), ..TakeBack::default() };
            vec![deploy::roll_back(&play.world, id, &what).unwrap()]
        }
    }
}

#[test]
fn a_good_candidate_goes_through_every_step() {
    let mut stage = Stage::new(PLAN);
    let weights = |stage: &Stage| {
        let weights = stage.rollout().weights_now().clone();
        (
            weights.everywhere.to_string(),
            weights.in_segment(&segment("vip")).to_string(),
            stage.rollout().shadow.bps(),
        )
    };
    assert_eq!(stage.waits(), "a gate's verdict (no suite is listed: `pinrail gate record`)");
    stage.gate(GateVerdict::Inconclusive);
    assert_eq!(stage.waits(), "a gate that passes: the last one was inconclusive");
    stage.gate(GateVerdict::Pass);
    assert_eq!(stage.act(), Some(Action::Enter(1)));
    assert_eq!(weights(&stage), ("0%".into(), "0%".into(), 1_000));
    assert_eq!(stage.act(), Some(Action::Enter(2)));
    assert_eq!(weights(&stage), ("0%".into(), "50%".into(), 0));
    assert_eq!(stage.act(), Some(Action::Enter(3)));
    assert_eq!(weights(&stage), ("5%".into(), "50%".into(), 0), "I10: what a segment had, it keeps");
    assert_eq!(stage.act(), Some(Action::Enter(4)));
    assert!(stage.waits().starts_with("the pause to end, at "));
    stage.now = stage.now.plus_ms(600_000);
    assert_eq!(stage.act(), Some(Action::Enter(5)));
    assert_eq!(weights(&stage), ("25%".into(), "50%".into(), 0));
    assert_eq!(stage.act(), Some(Action::Enter(6)));
    assert!(stage.waits().starts_with("somebody to resume it"));
    let resume = acts::resume(&stage.play.world, stage.id, Timestamp(0)).unwrap();
    stage.person(resume);
    assert!(stage.waits().starts_with("an approval"));
    let approve = acts::approve(&stage.play.world, stage.id).unwrap();
    stage.person(approve);
    assert_eq!(stage.act(), Some(Action::Promote));
    assert_eq!(look(&stage.play.world, stage.id, &stage.facts, stage.now), None);
    let behind: Vec<usize> = stage.rollout().behind.iter().map(|behind| behind.step).collect();
    assert_eq!(behind, [0, 1, 2, 3, 4, 5, 6]);
    let promoted = &stage.play.world.deployments[&stage.id];
    assert_eq!(promoted.evidence.as_deref(), Some(&fine().evidence()));
}

/// Until the canary that everybody takes part in.
fn at_canary() -> Stage {
    let mut stage = Stage::new(PLAN);
    stage.gate(GateVerdict::Pass);
    while stage.rollout().step < 3 {
        stage.act().unwrap();
    }
    stage
}

#[test]
fn no_traffic_is_no_success_and_the_deadline_asks() {
    let mut stage = at_canary();
    stage.facts.runs.candidate = 3;
    stage.facts.findings[0].judged.harm_high = Some(0.05);
    assert_eq!(
        stage.waits(),
        "7 more runs of the candidate (3 of 10) | proof of at most 4.00 points worse: error_rate: 1.00% against 1.00% \
         (100 and 900 units), at most 5.00 points worse"
    );
    stage.facts.findings[0].judged.harm_high = Some(0.039);
    assert_eq!(stage.waits(), "7 more runs of the candidate (3 of 10)", "the slack widens the margin");
    let deadline = stage.look().at.unwrap();
    assert_eq!(deadline, stage.rollout().since.plus_ms(3_600_000));
    stage.now = deadline;
    let Some(Action::Stop(Stop::Deadline { missing })) = stage.act() else { panic!("it asks") };
    assert_eq!(missing, ["7 more runs of the candidate (3 of 10)"]);
    assert_eq!(stage.act(), None);
    assert!(
        stage.waits().contains("undecided at the step's deadline; missing: 7 more runs"),
        "{}",
        stage.waits()
    );
    // Enough comes later: it still stands, since somebody was asked.
    stage.facts = fine();
    assert_eq!(stage.act(), None);
    let resume = acts::resume(&stage.play.world, stage.id, Timestamp(0)).unwrap();
    stage.person(resume);
    assert_eq!(stage.act(), Some(Action::Enter(4)));
}

#[test]
fn what_is_unknown_is_neither_a_fault_nor_a_proof() {
    let mut stage = at_canary();
    stage.facts.complete = false;
    assert_eq!(stage.waits(), "the journal to be read again after the start");
    stage.facts = fine();
    stage.facts.findings[0].judged.verdict = Verdict::Worse;
    stage.facts.findings[0].trouble = Some("connection refused".to_owned());
    assert!(stage.waits().ends_with("error_rate: its source gives nothing (connection refused)"));
    stage.facts.findings[0].trouble = None;
    stage.facts.findings[0].judged = Judged {
        verdict: Verdict::Undecided,
        candidate: None,
        incumbent: None,
        harm: None,
        harm_low: None,
        harm_high: None,
        samples: Arms { candidate: 0, incumbent: 7 },
        log_e: None,
    };
    assert!(stage.waits().ends_with("nothing to compare yet (0 units of the candidate, 7 of the incumbent)"));
}

#[test]
fn a_breach_takes_it_back_whatever_the_step_and_also_while_it_stands() {
    for frozen in [false, true] {
        let mut stage = at_canary();
        if frozen {
            let freeze = acts::freeze(&stage.play.world, stage.id, "lunch", None).unwrap();
            stage.person(freeze);
            assert!(stage.waits().contains("frozen by a person: lunch"));
        }
        stage.facts.findings[0].judged.verdict = Verdict::Worse;
        stage.facts.findings[0].judged.harm_low = Some(0.02);
        let Some(Action::RollBack { guardrail, why }) = stage.act() else { panic!("it goes back") };
        assert_eq!(guardrail.as_deref(), Some("error_rate"));
        assert!(why.ends_with("(100 and 900 units), at least 2.00 points worse"), "{why}");
        // Once: the hold keeps anybody from opening another before a person lifts it.
        assert_eq!(look(&stage.play.world, stage.id, &stage.facts, stage.now), None);
        assert!(stage.play.world.pointer(&agent("planner"), &segment("default")).hold.is_some());
        let back = &stage.play.world.deployments[&stage.id];
        assert_eq!(back.evidence.as_deref(), Some(&stage.facts.evidence()));
    }
}

#[test]
fn shadow_answers_that_are_too_far_off_take_it_back_before_anybody_is_served() {
    let mut stage = Stage::new(PLAN);
    stage.gate(GateVerdict::Pass);
    stage.act().unwrap();
    stage.facts.pairs = Pairs { compared: 12, divergence_high: Some(0.5), ..Pairs::default() };
    assert_eq!(
        stage.waits(),
        "8 more compared answers (12 of 20) | proof that answers differ by at most 0.3 on average; what is proven is 0.500"
    );
    stage.facts.pairs.cost = Usd { nano: 2_000_000_000 };
    assert_eq!(stage.look().action, Some(Action::Stop(Stop::Budget)));
    stage.facts.pairs.divergence_low = Some(0.31);
    assert!(matches!(stage.act(), Some(Action::RollBack { guardrail: None, .. })));
}

#[test]
fn a_guardrail_that_freezes_and_a_wrong_split_stop_it() {
    let mut stage = at_canary();
    stage.facts.findings[1].judged.verdict = Verdict::Worse;
    assert_eq!(stage.act(), Some(Action::Stop(Stop::Breach { guardrail: "latency".into(), dial: None })));
    assert_eq!(stage.act(), None, "it doesn't stop what stands");
    let mut stage = at_canary();
    stage.facts.ratio_off = true;
    assert_eq!(stage.act(), Some(Action::Stop(Stop::SampleRatio)));
}

const DIALS: &str = r#"
[[segments]]
name = "vip"
tenants = ["t"]
[rollout]
steps = [{ canary = { percent = 5, min_runs = 10 } }]
[[rollout.guardrails]]
metric = "error_rate"
on_breach = { dial = "read_only" }
[[rollout.guardrails]]
metric = "latency"
on_breach = { dial = "off" }
"#;

/// Where the dial stands, place by place.
fn dials(stage: &Stage) -> Vec<String> {
    let settings = stage.play.world.dials.iter();
    settings.map(|(place, setting)| format!("{place}: {}", setting.position)).collect()
}

#[test]
fn a_guardrail_turns_the_dial_down_and_only_down() {
    let mut stage = Stage::new(DIALS);
    stage.facts.findings[0].judged.verdict = Verdict::Worse;
    // Also of a rollout that stands, since its candidate serves on.
    let freeze = acts::freeze(&stage.play.world, stage.id, "", None).unwrap();
    stage.person(freeze);
    let breach = |guardrail: &str, dial| {
        Some(Action::Stop(Stop::Breach { guardrail: guardrail.into(), dial: Some(dial) }))
    };
    assert_eq!(stage.act(), breach("error_rate", Position::ReadOnly));
    assert_eq!(
        dials(&stage),
        ["agent planner, segment default: read_only", "agent planner, segment vip: read_only"],
        "wherever it serves"
    );
    let stopped = stage.rollout().stopped.clone().unwrap();
    assert_eq!(
        stop_words(&stopped.why),
        "frozen by guardrail error_rate, which turns the dial down to read_only"
    );
    assert_eq!(stage.act(), None);
    // A person turns it up, and the breach that stopped it doesn't turn it down again.
    let place = Place { segment: Some(segment("vip")), ..Place::agent(&agent("planner")) };
    let up = Turn { place, position: Position::Full, release: None, text: None };
    let body = dial::turn(&stage.play.world, &up, &Actor::Open).unwrap().unwrap();
    stage.person(body);
    assert_eq!(stage.act(), None);
    // One that turns it further down does, and goes first.
    stage.facts.findings[1].judged.verdict = Verdict::Worse;
    assert_eq!(stage.act(), breach("latency", Position::Off));
    assert!(dials(&stage).iter().all(|dial| dial.contains("off")), "{:?}", dials(&stage));
    // Resumed, it is as bad as before; where the dial stands lower already, it is left.
    stage.facts.findings[1].judged.verdict = Verdict::NotWorse;
    let resume = acts::resume(&stage.play.world, stage.id, stage.now).unwrap();
    stage.person(resume);
    let before = dials(&stage);
    let Some(Action::Stop(why)) = stage.look().action else { panic!("it is breached") };
    let left = acts::dials_left(&stage.play.world, stage.id, &why);
    assert!(left[0].1.to_string().contains("stands at off, and only a person turns it up"), "{left:?}");
    assert_eq!(stage.act(), breach("error_rate", Position::ReadOnly));
    assert_eq!(dials(&stage), before);
}

#[test]
fn people_act_at_any_time_and_old_news_does_nothing() {
    let mut stage = at_canary();
    let (id, generation) = (stage.id, stage.rollout().generation);
    let freeze = acts::freeze(&stage.play.world, id, "", None).unwrap();
    stage.person(freeze);
    let stale = acts::enter(&stage.play.world, id, generation, 4, Evidence::default());
    assert_eq!(stale, Err(acts::RolloutRefused::Stale { id, generation: generation + 1 }));
    // Even if somebody wrote it, the fold takes no entry of an old generation.
    let entered =
        super::super::progress::Entered::of(&stage.rollout().plan, 4, stage.rollout().weights_now(), None);
    let forced = Body::RolloutStep { deployment: id, generation, entered: Box::new(entered) };
    assert!(stage.play.try_append(forced).is_err());
    assert!(matches!(
        acts::freeze(&stage.play.world, id, "", None),
        Err(acts::RolloutRefused::Stopped { .. })
    ));
    assert!(matches!(acts::approve(&stage.play.world, id), Err(acts::RolloutRefused::NoApproval { .. })));

    let asked =
        deploy::promote(&stage.play.world, id, &Grounds::ASKED, false, judge, crate::time::Timestamp(0));
    assert_eq!(asked, Err(deploy::PromoteRefused::Unproven { id, step: 4, steps: 8 }));
    let overridden = Some("the fix of the incident".to_owned());
    let grounds = Grounds::Person { overridden: overridden.clone(), seen: None };
    let bodies =
        deploy::promote(&stage.play.world, id, &grounds, false, judge, crate::time::Timestamp(0)).unwrap();
    assert_eq!(bodies, [Body::DeploymentPromoted { deployment: id, overridden, evidence: None }]);

    // By hand while it stands; its own share again when it goes on.
    let by_hand = deploy::set_weight(&stage.play.world, id, "40%".parse().unwrap()).unwrap();
    stage.person(by_hand);
    assert_eq!(stage.rollout().weights_now().largest().to_string(), "40%");
    let resume = acts::resume(&stage.play.world, id, Timestamp(0)).unwrap();
    stage.person(resume);
    assert_eq!(stage.rollout().weights_now().everywhere.to_string(), "5%");
    let refused = deploy::set_weight(&stage.play.world, id, Share::NONE);
    assert_eq!(refused, Err(deploy::WeightRefused::Rollout { id }));
    assert_eq!(
        acts::resume(&stage.play.world, id, Timestamp(0)),
        Err(acts::RolloutRefused::NotStopped { id })
    );
}

#[test]
fn approvers_by_name_must_all_approve() {
    let settings = "[rollout]\nsteps = [{ approve = { by = ['ops', 'legal'] } }]\nguardrails = []";
    let mut stage = Stage::new(settings);
    assert_eq!(
        stage.waits(),
        "the approval of the holder of key `ops` | the approval of the holder of key `legal`"
    );
    let approve = acts::approve(&stage.play.world, stage.id).unwrap();
    stage.person(approve);
    assert!(stage.waits().contains("`ops`"), "whoever played the world holds no such key");
}

#[test]
fn where_it_stands_reads_like_a_sentence() {
    let stage = {
        let mut stage = at_canary();
        stage.facts.runs = Arms { candidate: 3, incumbent: 71 };
        stage
    };
    let deployment = &stage.play.world.deployments[&stage.id];
    let text = sentence(deployment, &stage.facts, &stage.look());
    let deadline = stage.rollout().since.plus_ms(3_600_000).rfc3339();
    assert_eq!(
        text,
        format!(
            "Step 4 of 8, canary 5%: 3 runs of the candidate and 71 of the incumbent ended in it. Waits for 7 more runs of \
             the candidate (3 of 10). Then: pause for 10m. Undecided at {deadline}, it stops and asks."
        )
    );
}

/// What may happen between two looks.
#[derive(Clone, Debug)]
enum Happens {
    Look,
    Time(u64),
    Runs(u64),
    Harm { guardrail: usize, verdict: Verdict, high: f64 },
    Pairs { compared: u64, low: f64 },
    Trouble(usize),
    Read(bool),
    Freeze,
    Resume,
    Approve,
    Gate(GateVerdict),
    Weigh(u64),
    Override,
}

fn happens() -> impl Strategy<Value = Happens> {
    let verdict =
        prop_oneof![1 => Just(Verdict::Worse), 4 => Just(Verdict::NotWorse), 2 => Just(Verdict::Undecided)];
    prop_oneof![
        6 => Just(Happens::Look),
        2 => (0_u64..7_200_000).prop_map(Happens::Time),
        2 => (0_u64..40).prop_map(Happens::Runs),
        3 => (0_usize..2, verdict, 0.0..0.06).prop_map(|(guardrail, verdict, high)| {
            Happens::Harm { guardrail, verdict, high }
        }),
        1 => (0_u64..40, 0.0..0.4).prop_map(|(compared, low)| Happens::Pairs { compared, low }),
        1 => (0_usize..2).prop_map(Happens::Trouble),
        1 => any::<bool>().prop_map(Happens::Read),
        1 => Just(Happens::Freeze),
        2 => Just(Happens::Resume),
        1 => Just(Happens::Approve),
        2 => prop_oneof![Just(GateVerdict::Pass), Just(GateVerdict::Fail)].prop_map(Happens::Gate),
        1 => (0_u64..10_000).prop_map(Happens::Weigh),
        1 => Just(Happens::Override),
    ]
}

impl Stage {
    /// Lets something happen; true when a person promoted it.
    fn happen(&mut self, happens: &Happens) -> bool {
        let (world, id) = (&self.play.world, self.id);
        let body = match happens {
            Happens::Look => return false,
            Happens::Time(ms) => {
                self.now = self.now.plus_ms(*ms);
                return false;
            }
            Happens::Runs(runs) => {
                self.facts.runs.candidate = *runs;
                return false;
            }
            Happens::Harm { guardrail, verdict, high } => {
                let finding = &mut self.facts.findings[*guardrail];
                finding.trouble = None;
                (finding.judged.verdict, finding.judged.harm_high) = (*verdict, Some(*high));
                return false;
            }
            Happens::Pairs { compared, low } => {
                self.facts.pairs.compared = *compared;
                self.facts.pairs.divergence_low = Some(*low);
                return false;
            }
            Happens::Trouble(guardrail) => {
                self.facts.findings[*guardrail].trouble = Some("away".to_owned());
                return false;
            }
            Happens::Read(complete) => {
                self.facts.complete = *complete;
                return false;
            }
            Happens::Freeze => acts::freeze(world, id, "", None).ok(),
            Happens::Resume => acts::resume(world, id, Timestamp(0)).ok(),
            Happens::Approve => acts::approve(world, id).ok(),
            Happens::Gate(verdict) => {
                acts::record_gate(world, id, Gate { verdict: *verdict, report: None }).ok()
            }
            Happens::Weigh(bps) => deploy::set_weight(world, id, Share::from_bps(*bps).unwrap()).ok(),
            Happens::Override => {
                let grounds = Grounds::Person { overridden: Some("why".to_owned()), seen: None };
                deploy::promote(world, id, &grounds, true, judge, crate::time::Timestamp(0))
                    .ok()
                    .and_then(|mut bodies| bodies.pop())
            }
        };
        self.play.append(body.into_iter().collect());
        matches!(happens, Happens::Override)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens in whatever order: it widens and promotes only on what the step asks for, goes back at the first
    /// breach (I7), and what it does is what the fold takes.
    #[test]
    fn a_rollout_never_moves_without_proof(story in prop::collection::vec(happens(), 0..60)) {
        let mut stage = Stage::new(PLAN);
        for happening in &story {
            if stage.happen(happening) && look(&stage.play.world, stage.id, &stage.facts, stage.now).is_none() {
                return Ok(());
            }
            let Some(outlook) = look(&stage.play.world, stage.id, &stage.facts, stage.now) else { return Ok(()) };
            prop_assert!(outlook.action.is_some() || !outlook.waits.is_empty(), "doing nothing has a reason");
            let (before, facts) = (stage.rollout().clone(), stage.facts.clone());
            let breached = facts.findings[0].trouble.is_none() && facts.findings[0].judged.verdict == Verdict::Worse;
            let action = stage.act();
            prop_assert!(!breached || matches!(action, Some(Action::RollBack { .. })), "{action:?}");
            match action {
                None => {}
                Some(Action::Enter(step)) => {
                    prop_assert_eq!(step, before.step + 1);
                    prop_assert!(before.stopped.is_none());
                    if let Step::Canary { min_runs, slack, .. } = before.current() {
                        prop_assert!(facts.complete && facts.runs.candidate >= *min_runs);
                        for (guardrail, finding) in before.plan.guardrails.iter().zip(&facts.findings) {
                            prop_assert!(finding.is_not_worse(guardrail, *slack), "{finding:?}");
                        }
                    }
                    let weights = stage.rollout().weights_now();
                    prop_assert!(weights.everywhere >= before.weights_now().everywhere, "I10");
                }
                Some(Action::Promote) => prop_assert_eq!(before.step + 1, before.plan.steps.len()),
                Some(Action::RollBack { .. }) => return Ok(()),
                Some(Action::Stop(_)) => prop_assert!(before.stopped.is_none()),
            }
            let evidence = stage.play.world.deployments[&stage.id].evidence.clone();
            prop_assert!(action.is_none() || evidence.as_deref() == Some(&facts.evidence()));
        }
    }
}
