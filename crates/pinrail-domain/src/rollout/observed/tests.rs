use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

use super::*;
use crate::agent::AgentSpec;
use crate::deploy::{self, Open, Traffic};
use crate::id::{DeploymentId, RunId, TenantId};
use crate::journal::{Compared, Ending, FaultOf, ModelResponse, Outcome, Usage};
use crate::ledger::Body;
use crate::rollout::Facts;
use crate::rollout::acts;
use crate::rollout::plan::Plan;
use crate::routes::{Question, Routes};
use crate::stats::Verdict;
use crate::world::tests::play::{Play, agent, judge, release_id, segment};

/// One run's journal.
#[derive(Clone, Debug)]
struct Told {
    stamp: Stamp,
    events: Vec<Event>,
}

/// A rollout under way, and what its runs did.
struct Stage {
    play: Play,
    id: DeploymentId,
    /// What each session is bound to.
    bound: BTreeMap<String, DeploymentId>,
    told: Vec<Told>,
}

/// What a run does.
#[derive(Clone, Debug)]
enum Wish {
    Run { session: Option<u8>, parent: Option<Index>, does: Vec<u8>, ends: Option<u8> },
    Copy { divergence: f64 },
    Widen,
}

fn settings() -> AgentSpec {
    let rails = [
        "error_rate",
        "refusal_rate",
        "empty_rate",
        "tool_error_rate",
        "unknown_tool_rate",
        "drift_rate",
        "first_byte",
        "latency",
        "input_tokens",
        "output_tokens",
        "cost",
        "score:helpful",
    ];
    let guardrails: Vec<_> = rails.iter().map(|metric| json!({ "metric": metric })).collect();
    let settings = json!({ "rollout": {
        "steps": [
            { "canary": { "percent": 10, "min_runs": 1 } },
            { "canary": { "percent": 50, "min_runs": 1 } },
        ],
        "guardrails": guardrails,
    } });
    serde_json::from_value(settings).unwrap()
}

fn response(us: u64) -> ModelResponse {
    let usage = Some(Usage { input_tokens: us, output_tokens: us / 10, cached_input_tokens: 0 });
    ModelResponse {
        call: 1,
        status: 200,
        first_byte_us: us / 2,
        last_byte_us: us,
        usage,
        cost_nano_usd: Some(us * 3),
        ..ModelResponse::default()
    }
}

fn answered(change: impl FnOnce(&mut ModelResponse)) -> Event {
    let mut response = response(1_000_000);
    change(&mut response);
    Event::ModelResponse(Box::new(response))
}

fn failed(fault: FaultOf) -> Event {
    Event::ModelFailed { call: 1, fault, code: "c".into(), why: "w".into() }
}

fn finished(outcome: Outcome) -> Event {
    Event::Finished { outcome, why: None }
}

fn scored(value: f64) -> Event {
    Event::Score { name: "helpful".into(), value, comment: None }
}

fn event(n: u8) -> Event {
    match n % 8 {
        0 => answered(|_| {}),
        1 => answered(|response| response.last_byte_us *= 1 + u64::from(n)),
        2 => failed(FaultOf::Provider),
        3 => answered(|response| response.refusal = true),
        4 => scored(f64::from(n) / 255.0),
        5 => Event::ToolCall { name: "unheard_of".into(), id: None, arguments: json!(null) },
        6 => Event::Drift { call: 1, pinned: "a".into(), served: "b".into(), provider: None },
        _ => failed(FaultOf::Client),
    }
}

fn tools() -> Arc<Tools> {
    Arc::new(Some(["look_up".to_owned()].into()))
}

impl Stage {
    fn new() -> Stage {
        let mut play = Play::new();
        play.append(vec![Body::AgentPut { agent: agent("planner"), spec: settings() }]);
        play.open(&["planner"], 1, "default", Traffic::Now);
        let plan = Plan::of(&agent("planner"), &settings(), &segment("default"));
        let wish = Open {
            releases: [(agent("planner"), release_id(2))].into(),
            segment: segment("default"),
            traffic: Traffic::Rollout(Box::new(plan)),
            lift_hold: false,
        };
        let (id, bodies) =
            deploy::open(&play.world, &wish, Salt(1), judge, crate::time::Timestamp(0)).unwrap();
        play.append(bodies);
        Stage { play, id, bound: BTreeMap::new(), told: Vec::new() }
    }

    fn rollout(&self) -> &Rollout {
        self.play.world.deployments[&self.id].rollout.as_deref().unwrap()
    }

    fn observed(&self) -> Observed {
        Observed::new(&self.play.world.deployments[&self.id]).unwrap()
    }

    fn widen(&mut self) {
        let (generation, step) = (self.rollout().generation, self.rollout().step + 1);
        if step < self.rollout().plan.steps.len() {
            let body = acts::enter(&self.play.world, self.id, generation, step, Default::default()).unwrap();
            self.play.append(vec![body]);
        }
    }

    /// A run as the routes stamp it.
    fn run(&mut self, session: Option<&str>, parent: Option<&Stamp>, events: Vec<Event>) -> Stamp {
        let run = RunId::from_parts(1_700_000_000_000, self.told.len() as u128);
        let routes = Routes::of(&self.play.world);
        let (tenant, attributes) = (TenantId::shared(), BTreeMap::new());
        let unit = session.map_or_else(|| run.to_string(), str::to_owned);
        let bound = session.and_then(|session| self.bound.get(session)).copied();
        let parents = parent.map(|parent| parent.deployment);
        let asked =
            Question { tenant: &tenant, attributes: &attributes, unit: &unit, bound, parent: parents };
        let decision = routes.resolve("planner", asked).unwrap();
        if let (Some(session), None) = (session, parent) {
            self.bound.insert(session.to_owned(), decision.target.deployment);
        }
        let stamp = Stamp {
            run,
            agent: agent("planner"),
            tenant: tenant.clone(),
            session: session.map(|session| session.parse().unwrap()),
            parent: parent.map(|parent| parent.run),
            attributes: BTreeMap::new(),
            single: false,
            shadow: None,
            gate: None,
            deployment: decision.target.deployment,
            release: decision.target.release,
            segment: decision.segment.clone(),
            epoch: routes.epoch,
            via: decision.via,
            provider: "p".parse().unwrap(),
            snapshot: "m".into(),
        };
        self.told.push(Told { stamp: stamp.clone(), events });
        stamp
    }

    fn copy(&mut self, divergence: f64) {
        let live = self.run(None, None, Vec::new());
        let compared = Compared {
            live: live.run,
            call: 1,
            divergence,
            text: None,
            tools: None,
            finish: false,
            refusal: false,
            cut: false,
            characters: [1, 1],
            last_byte_us: [1, 1],
            cost_nano_usd: None,
        };
        let stamp = self.run(None, None, vec![Event::Compared(Box::new(compared)), finished(Outcome::Ok)]);
        let told = self.told.last_mut().unwrap();
        told.stamp = Stamp { shadow: Some(live.run), via: Via::Shadow, deployment: self.id, ..stamp };
    }

    fn act(&mut self, wish: &Wish) {
        match wish {
            Wish::Widen => self.widen(),
            Wish::Copy { divergence } => self.copy(*divergence),
            Wish::Run { session, parent, does, ends } => {
                let parent = match parent {
                    Some(index) if !self.told.is_empty() => Some(index.get(&self.told).stamp.clone()),
                    Some(_) | None => None,
                };
                let mut events: Vec<Event> = does.iter().map(|n| event(*n)).collect();
                let outcome = |n: u8| match n % 3 {
                    0 => Outcome::Ok,
                    1 => Outcome::Error,
                    _ => Outcome::Cancelled,
                };
                events.extend(ends.map(|n| finished(outcome(n))));
                // Scores come late, too.
                events.extend(ends.filter(|n| *n > 100).map(|n| scored(f64::from(n) / 300.0)));
                let session = session.map(|n| format!("s{n}"));
                self.run(session.as_deref(), parent.as_ref(), events);
            }
        }
    }

    /// The facts, with runs taken in by this order, each event as often as `twice` says.
    fn facts(&self, order: &[usize], twice: bool) -> Facts {
        let mut observed = self.observed();
        let mut waiting: Vec<usize> = order.to_vec();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|n| {
                let Told { stamp, events } = &self.told[*n];
                if let Taken::NeedsParent(_) = observed.began(stamp, &tools()) {
                    return true;
                }
                for (place, event) in (1..).zip(events) {
                    observed.take(stamp.run, EventSeq(place), event);
                    if twice {
                        let again = observed.take(stamp.run, EventSeq(place), event);
                        assert!(matches!(again, Taken::Known | Taken::Ignored));
                    }
                }
                false
            });
            if waiting.len() == before {
                // Their parents don't matter, so they don't.
                break;
            }
        }
        observed.gather().facts(&BTreeMap::new())
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let run = (
        prop::option::of(0..12_u8),
        prop::option::weighted(0.15, any::<Index>()),
        prop::collection::vec(any::<u8>(), 0..5),
        prop::option::weighted(0.9, any::<u8>()),
    );
    prop_oneof![
        20 => run.prop_map(|(session, parent, does, ends)| Wish::Run { session, parent, does, ends }),
        1 => (0.0..1.0).prop_map(|divergence| Wish::Copy { divergence }),
        1 => Just(Wish::Widen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn the_order_of_runs_and_what_comes_twice_change_nothing(
        wishes in prop::collection::vec(wish(), 1..120),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut stage = Stage::new();
        wishes.iter().for_each(|wish| stage.act(wish));
        let order: Vec<usize> = (0..stage.told.len()).collect();
        let live = stage.facts(&order, false);
        let reversed: Vec<usize> = order.iter().rev().copied().collect();
        prop_assert_eq!(&stage.facts(&reversed, true), &live);
        let mut rotated = order.clone();
        rotated.rotate_left(shuffled.index(order.len().max(1)));
        prop_assert_eq!(&stage.facts(&rotated, false), &live);
        prop_assert!(live.units.candidate + live.units.incumbent <= stage.told.len() as u64);
    }

    /// What one half followed live knows, it learns from reading the rest: gaps are told and filled.
    #[test]
    fn reading_again_fills_gaps(wishes in prop::collection::vec(wish(), 1..40), cut in any::<Index>()) {
        let mut stage = Stage::new();
        wishes.iter().for_each(|wish| stage.act(wish));
        let order: Vec<usize> = (0..stage.told.len()).collect();
        let live = stage.facts(&order, false);
        let mut observed = stage.observed();
        for Told { stamp, events } in &stage.told {
            observed.began(stamp, &tools());
            let from = cut.index(events.len() + 1);
            let mut next = EventSeq(1);
            for (place, event) in (1..).zip(events).skip(from) {
                match observed.take(stamp.run, EventSeq(place), event) {
                    Taken::Gap(at) => next = at,
                    Taken::New | Taken::Known | Taken::Ignored | Taken::NeedsParent(_) => {}
                }
            }
            for (place, event) in (1..).zip(events).filter(|(place, _)| *place >= next.0) {
                observed.take(stamp.run, EventSeq(place), event);
            }
        }
        prop_assert_eq!(observed.gather().facts(&BTreeMap::new()), live);
    }
}

/// Runs with the same events until both arms have one; what the metric then says of them.
fn of_metric(metric: &str, events: &[Event]) -> Option<f64> {
    let mut stage = Stage::new();
    stage.widen();
    for n in 0..20 {
        stage.run(Some(&format!("s{n}")), None, events.to_vec());
    }
    let order: Vec<usize> = (0..20).collect();
    let facts = stage.facts(&order, false);
    let finding = facts.findings.into_iter().find(|finding| finding.guardrail == metric).unwrap();
    assert_eq!(finding.judged.candidate, finding.judged.incumbent, "{metric}");
    finding.judged.candidate
}

#[test]
fn events_read_as_the_table_says() {
    let check = |metric: &str, events: &[Event], expected: Option<f64>| {
        let got = of_metric(metric, events);
        let same = match (got, expected) {
            (Some(got), Some(expected)) => (got - expected).abs() < 1e-9,
            (got, expected) => got == expected,
        };
        assert!(same, "{metric} of {events:?} is {got:?}, not {expected:?}");
    };
    let (ok, error, cancelled) =
        (finished(Outcome::Ok), finished(Outcome::Error), finished(Outcome::Cancelled));
    let fine = answered(|_| {});
    let ending = |ending| answered(|response| response.ending = ending);
    check("error_rate", std::slice::from_ref(&fine), None);
    check("error_rate", &[fine.clone(), ok.clone()], Some(0.0));
    check("error_rate", std::slice::from_ref(&error), Some(1.0));
    check("error_rate", std::slice::from_ref(&cancelled), None);
    check("error_rate", &[failed(FaultOf::Client), error.clone()], None);
    check("error_rate", &[failed(FaultOf::Client), fine.clone(), ok.clone()], Some(0.0));
    check("error_rate", &[failed(FaultOf::Provider), fine.clone(), ok.clone()], Some(1.0));
    check("error_rate", &[failed(FaultOf::Pinrail)], Some(1.0));
    check("error_rate", &[ending(Ending::Cut), ok.clone()], Some(1.0));
    check("error_rate", &[ending(Ending::Cancelled), cancelled.clone()], None);
    check("refusal_rate", &[answered(|response| response.refusal = true), ok.clone()], Some(1.0));
    check("refusal_rate", &[fine.clone(), ok.clone()], Some(0.0));
    check("empty_rate", &[answered(|response| response.empty = true)], Some(1.0));
    check("empty_rate", &[answered(|r| r.finish_reason = Some("length".into())), ok.clone()], Some(1.0));
    check("empty_rate", &[ending(Ending::Cut)], Some(1.0));
    let result = |error| Event::ToolResult { name: "look_up".into(), id: None, error, result: json!(1) };
    check("tool_error_rate", &[result(true), ok.clone()], Some(1.0));
    check("tool_error_rate", &[result(false), ok.clone()], Some(0.0));
    let calls = |name: &str| answered(|response| response.tool_calls = vec![name.into()]);
    check("unknown_tool_rate", &[calls("look_up"), ok.clone()], Some(0.0));
    check("unknown_tool_rate", &[calls("rm"), ok.clone()], Some(1.0));
    check("drift_rate", &[event(6), ok.clone()], Some(1.0));
    let slow = answered(|response| response.last_byte_us = 3_000_000);
    check("latency", &[fine.clone(), slow], Some(2_000.0));
    check("latency", &[ending(Ending::Error)], None);
    check("first_byte", std::slice::from_ref(&fine), Some(500.0));
    check("input_tokens", &[fine.clone(), fine.clone(), ok.clone()], Some(2_000_000.0));
    check("output_tokens", &[fine.clone(), ok.clone()], Some(100_000.0));
    check("cost", &[fine.clone(), ok.clone()], Some(0.003));
    check("cost", &[fine, error], None);
    check("score:helpful", &[ok.clone(), scored(0.25), scored(0.75)], Some(0.75));
    check("score:helpful", &[ok, scored(f64::NAN)], None);
}

#[test]
fn an_hour_that_is_slow_for_everybody_is_held_against_nobody() {
    let mut stage = Stage::new();
    // At 10 % everybody is slow, at 50 % everybody is fast. Of the candidate's units two in seven are slow ones; pooled,
    // three in four of the incumbent's would be.
    for n in 0..1_200 {
        stage.run(None, None, vec![answered(|response| response.last_byte_us = 9_000_000 + n)]);
    }
    stage.widen();
    for n in 0..600 {
        stage.run(None, None, vec![answered(|response| response.last_byte_us = 1_000_000 + n)]);
    }
    let order: Vec<usize> = (0..stage.told.len()).collect();
    let latency = &stage.facts(&order, false).findings[7].judged;
    assert!(latency.harm.is_some_and(|harm| harm.abs() < 0.01), "{latency:?}");
    assert_ne!(latency.verdict, Verdict::Worse);
}

#[test]
fn what_is_forgotten_stays_counted() {
    let mut stage = Stage::new();
    stage.widen();
    for n in 0..2 * UNITS_MAX {
        let outcome = if n % 4 == 0 { Outcome::Error } else { Outcome::Ok };
        stage.run(None, None, vec![answered(|_| {}), finished(outcome)]);
    }
    let mut observed = stage.observed();
    for Told { stamp, events } in &stage.told {
        observed.began(stamp, &tools());
        for (place, event) in (1..).zip(events) {
            observed.take(stamp.run, EventSeq(place), event);
        }
    }
    assert_eq!((observed.units.len(), observed.runs.len()), (UNITS_MAX, UNITS_MAX));
    // What comes late of a unit that was forgotten is passed over.
    let oldest = stage.told[0].stamp.run;
    assert_eq!(observed.take(oldest, EventSeq(3), &scored(0.5)), Taken::Ignored);
    let facts = observed.gather().facts(&BTreeMap::new());
    assert_eq!(facts.units.candidate + facts.units.incumbent, 2 * UNITS_MAX as u64);
    let errors = facts.findings[0].judged;
    assert_eq!(errors.samples.candidate + errors.samples.incumbent, 2 * UNITS_MAX as u64);
    let latency = facts.findings[7].judged.samples;
    assert!(
        latency.candidate <= VALUES_MAX as u64 && latency.candidate > VALUES_MAX as u64 / 4,
        "{latency:?}"
    );
}

#[test]
fn the_session_that_a_person_moved_is_in_no_arm() {
    let mut stage = Stage::new();
    stage.widen();
    stage.run(Some("s"), None, vec![finished(Outcome::Ok)]);
    let order = |stage: &Stage| (0..stage.told.len()).collect::<Vec<_>>();
    assert_eq!(stage.facts(&order(&stage), false).units, one_of(&stage));
    // As after a weight that was set to nothing and up again, and a binding that was lost.
    let other = if stage.told[0].stamp.deployment == stage.id { DeploymentId(1) } else { stage.id };
    stage.bound.insert("s".into(), other);
    stage.run(Some("s"), None, vec![finished(Outcome::Ok)]);
    let facts = stage.facts(&order(&stage), false);
    assert_eq!((facts.units, facts.runs), (Arms::default(), Arms::default()));
}

fn one_of(stage: &Stage) -> Arms<u64> {
    let is_candidate = stage.told[0].stamp.deployment == stage.id;
    Arms { candidate: u64::from(is_candidate), incumbent: u64::from(!is_candidate) }
}
