//! Rollouts as the controller conducts them: on what was journaled, across restarts, and what sessions see of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::{self, Traffic};
use pinrail_domain::deployment::Status;
use pinrail_domain::dial::{Place, Position, Turn};
use pinrail_domain::id::{DeploymentId, RunId};
use pinrail_domain::journal::{Outcome, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::ledger::{Actor, Body};
use pinrail_domain::rollout::Plan;
use pinrail_domain::rollout::spec::OnBreach;
use pinrail_domain::state::Content;
use pinrail_domain::tier::Tier;

use super::bench::*;
use super::state::{reader, session, turn};
use crate::rollouts::Standing;

const ONE: DeploymentId = DeploymentId(1);

/// Settings whose guardrail is proven by any traffic, or only by a good candidate.
fn settings(margin: &str) -> AgentSpec {
    let settings = serde_json::json!({
        "rollout": {
            "steps": [
                { "canary": { "percent": 10, "min_runs": 20 } },
                { "canary": { "percent": 50, "min_runs": 100 } },
            ],
            "guardrails": [{ "metric": "error_rate", "margin": margin }],
        },
    });
    serde_json::from_value(settings).unwrap()
}

/// Opens a rollout of the planner.
async fn open(bench: &Bench, margin: &str) -> DeploymentId {
    let spec = settings(margin);
    bench.control.agent_put(by("settings"), &agent("planner"), &spec).await.unwrap();
    let plan: Plan = bench.control.plan_for([&agent("planner")], &"default".parse().unwrap()).unwrap();
    bench.deploy(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan))).await
}

/// Conducts until nothing more is to be done.
async fn conduct(bench: &Bench) {
    while bench.control.conduct_once().await.acted {}
}

/// One run of a session, finished with this outcome.
async fn run(bench: &Bench, session: &str, bad_one: impl Fn(DeploymentId) -> bool) -> DeploymentId {
    let id = bench.created(Some(session)).await;
    let stamp = stamp(bench, id).await;
    let outcome = if bad_one(stamp.deployment) { Outcome::Error } else { Outcome::Ok };
    bench.control.runs().finish(id, &Tenants::All, outcome, None, None).await.unwrap();
    stamp.deployment
}

async fn stamp(bench: &Bench, run: RunId) -> Arc<Stamp> {
    bench.control.runs().stamp(run, &Tenants::All).await.unwrap().unwrap()
}

fn state_of(bench: &Bench, id: DeploymentId) -> &'static str {
    let snapshot = bench.control.snapshot();
    deploy::state(&snapshot.world, &snapshot.world.deployments[&id])
}

/// What the ledger says of a rollout, entry by entry.
async fn story(bench: &Bench, id: DeploymentId) -> Vec<&'static str> {
    use pinrail_store::ledger::Ledger as _;
    let entries = bench.store.ledger_read(pinrail_domain::id::LedgerSeq(0), 1_000).await.unwrap();
    let of_it = entries.iter().filter(|entry| {
        matches!(
            &entry.body,
            Body::DeploymentOpened { deployment, .. }
            | Body::DeploymentPromoted { deployment, .. }
            | Body::DeploymentRolledBack { deployment, .. }
            | Body::RolloutStep { deployment, .. }
            | Body::RolloutStopped { deployment, .. }
            | Body::RolloutResumed { deployment, .. } if *deployment == id
        )
    });
    of_it.map(|entry| entry.body.kind()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_good_candidate_is_promoted_by_what_was_journaled() {
    let bench = Bench::new(Tier::Standard).await;
    let two = open(&bench, "20%").await;
    let mut sessions = 0;
    while state_of(&bench, two) == "candidate" {
        run(&bench, &format!("s{sessions}"), |_| sessions % 50 == 7).await;
        conduct(&bench).await;
        sessions += 1;
        assert!(sessions < 5_000, "{}", bench.control.standing(two).unwrap().sentence);
    }
    assert_eq!(state_of(&bench, two), "active");
    assert_eq!(story(&bench, two).await, ["deployment_opened", "rollout_step", "deployment_promoted"]);
    let snapshot = bench.control.snapshot();
    let evidence = snapshot.world.deployments[&two].evidence.as_deref().unwrap().clone();
    assert!(
        evidence.runs.candidate >= 100 && evidence.findings[0].judged.harm_high.unwrap() < 0.2,
        "{evidence:?}"
    );
}

/// I7: at the first proof, with everything that it wrote; and once.
#[tokio::test(start_paused = true)]
async fn a_hopeless_candidate_goes_back_within_dozens_of_runs() {
    let bench = Bench::new(Tier::Standard).await;
    let two = open(&bench, "1%").await;
    let (mut sessions, mut served) = (0, 0);
    while state_of(&bench, two) == "candidate" {
        let deployment = run(&bench, &format!("s{sessions}"), |deployment| deployment == two).await;
        served += u32::from(deployment == two);
        conduct(&bench).await;
        sessions += 1;
        assert!(sessions < 2_000, "{}", bench.control.standing(two).unwrap().sentence);
    }
    assert_eq!(state_of(&bench, two), "rolled back");
    assert!(served < 30, "{served} runs were lost");
    assert_eq!(story(&bench, two).await, ["deployment_opened", "deployment_rolled_back"]);
    let snapshot = bench.control.snapshot();
    let deployment = &snapshot.world.deployments[&two];
    let Status::RolledBack { why, .. } = &deployment.status else { panic!("it went back") };
    assert!(why.starts_with("guardrail error_rate: 100.00% against 0.00%"), "{why}");
    assert!(snapshot.world.pointer(&agent("planner"), &deployment.segment).hold.is_some());
    assert!(bench.control.standing(two).is_none());
    conduct(&bench).await;
    let wish = wish(&["planner"], "m2-2026-01-01", Traffic::Canary(share("5%")));
    let refused = bench.control.deploy(by("again"), &wish).await.unwrap_err();
    assert!(refused.to_string().contains("is held"), "{refused}");
}

/// One commit stops it and turns the dial down; a person who turns it up again has the last word.
#[tokio::test(start_paused = true)]
async fn a_breach_turns_the_dial_down() {
    let bench = Bench::new(Tier::Standard).await;
    let mut spec = settings("1%");
    let guardrails = spec.rollout.as_mut().unwrap().guardrails.as_mut().unwrap();
    guardrails[0].on_breach = OnBreach::Dial(Position::ReadOnly);
    bench.control.agent_put(by("settings"), &agent("planner"), &spec).await.unwrap();
    let plan = bench.control.plan_for([&agent("planner")], &"default".parse().unwrap()).unwrap();
    let two = bench.deploy(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan))).await;
    let dials = || bench.control.snapshot().world.dials.clone();
    let mut sessions = 0;
    while dials().is_empty() {
        run(&bench, &format!("s{sessions}"), |deployment| deployment == two).await;
        conduct(&bench).await;
        sessions += 1;
        assert!(sessions < 2_000, "{}", bench.control.standing(two).unwrap().sentence);
    }
    let sentence = bench.control.standing(two).unwrap().sentence;
    assert!(sentence.contains("error_rate, which turns the dial down to read_only"), "{sentence}");
    let place = Place { segment: Some("default".parse().unwrap()), ..Place::agent(&agent("planner")) };
    let setting = dials()[&place].clone();
    assert_eq!((setting.position, &setting.by), (Position::ReadOnly, &Actor::System));
    let stopped = bench.control.snapshot().world.deployments[&two].rollout.clone().unwrap().stopped.unwrap();
    assert_eq!(setting.seq.0, stopped.seq.0 + 1, "one commit");
    let up = Turn { place, position: Position::Full, release: None, text: None };
    bench.control.turn_dial(by("looked at it"), &up).await.unwrap();
    conduct(&bench).await;
    assert!(dials().is_empty());
    assert_eq!(story(&bench, two).await, ["deployment_opened", "rollout_stopped"]);
}

/// Whatever is asked of it, a candidate that nobody used proves nothing.
#[tokio::test(start_paused = true)]
async fn without_traffic_it_waits_and_then_asks() {
    let bench = Bench::new(Tier::Standard).await;
    let two = open(&bench, "1%").await;
    conduct(&bench).await;
    settle().await;
    let Standing { sentence, outlook, .. } = bench.control.standing(two).unwrap();
    assert!(sentence.contains("Waits for 20 more runs of the candidate (0 of 20)"), "{sentence}");
    bench.clock.0.store(outlook.at.unwrap().0, Ordering::SeqCst);
    conduct(&bench).await;
    conduct(&bench).await;
    assert_eq!(story(&bench, two).await, ["deployment_opened", "rollout_stopped"]);
    bench.control.resume(by("monday"), two).await.unwrap();
    conduct(&bench).await;
    assert_eq!(story(&bench, two).await, ["deployment_opened", "rollout_stopped", "rollout_resumed"]);
    // What people do keeps what they could see, too.
    run(&bench, "late", |_| false).await;
    settle().await;
    conduct(&bench).await;
    bench.roll_back(two).await;
    let snapshot = bench.control.snapshot();
    let seen = snapshot.world.deployments[&two].evidence.as_deref().unwrap();
    assert_eq!(seen.units.candidate + seen.units.incumbent, 1, "{seen:?}");
}

/// What is known is in the ledger and the journal; a second executor does nothing twice.
#[tokio::test(start_paused = true)]
async fn a_restart_at_any_point_goes_on() {
    let bench = Bench::new(Tier::Standard).await;
    let two = open(&bench, "20%").await;
    let (mut bench, mut sessions) = (bench, 0);
    while state_of(&bench, two) == "candidate" {
        for _ in 0..40 {
            run(&bench, &format!("s{sessions}"), |_| false).await;
            sessions += 1;
        }
        if sessions % 200 == 0 {
            conduct(&bench).await;
        }
        bench.control.drain().await;
        let (replica, _) = bench.another().await;
        bench = replica;
        // Its observer reads the journal again before anything is decided on it.
        for _ in 0..1_000 {
            conduct(&bench).await;
            if bench.control.standing(two).is_none_or(|standing| standing.facts.complete) {
                break;
            }
            settle().await;
        }
        assert!(sessions < 5_000, "{:?}", bench.control.standing(two).map(|standing| standing.sentence));
    }
    assert_eq!(story(&bench, two).await, ["deployment_opened", "rollout_step", "deployment_promoted"]);
}

/// Follows sessions: what each run sees must be its own deployment's or committed, and a run has one stamp.
struct Followed {
    open: BTreeMap<usize, RunId>,
    candidates_seen: u64,
}

impl Followed {
    /// The session's next run, or one more call of the run that is open; some runs stay open across flips.
    async fn step(&mut self, bench: &Bench, n: usize, turn_no: usize) {
        let name = format!("s{n}");
        let run = match self.open.get(&n) {
            Some(run) => *run,
            None => bench.created(Some(&name)).await,
        };
        let stamp = stamp(bench, run).await;
        let begun = bench.join(run).await.unwrap();
        assert_eq!(begun.stamp.deployment, stamp.deployment, "I2: {name}");
        let space = session(&name);
        let text = format!("d{}", stamp.deployment.0);
        bench.control.states().remember(&stamp, &space, vec![turn(&text, false)], None).await.unwrap();
        self.check(bench, &stamp, &name).await;
        if (n + turn_no).is_multiple_of(7) {
            self.open.insert(n, run);
        } else {
            self.open.remove(&n);
            bench.finish(run).await.unwrap();
        }
        self.candidates_seen += u64::from(stamp.deployment != ONE);
    }

    /// I4, I5.
    async fn check(&self, bench: &Bench, stamp: &Stamp, name: &str) {
        let seen = bench.control.states().recall(&session(name), &reader(stamp), None, 100).await.unwrap();
        let snapshot = bench.control.snapshot();
        for record in &seen.turns {
            let Content::Value(value) = &record.content else { panic!("nothing is erased here") };
            let wrote = DeploymentId(value.json.trim_matches('"')[1..].parse().unwrap());
            let counts = snapshot.world.commits.is_committed(wrote, snapshot.world.head.seq);
            assert!(wrote == stamp.deployment || counts, "{name} on {} sees {wrote}", stamp.deployment);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sessions_see_one_deployment_per_run_and_no_state_but_theirs() {
    for ends_well in [true, false] {
        let bench = Bench::new(Tier::Standard).await;
        let two = open(&bench, "20%").await;
        let mut followed = Followed { open: BTreeMap::new(), candidates_seen: 0 };
        for turn_no in 0..3 {
            for n in 0..1_000 {
                followed.step(&bench, n, turn_no).await;
                if n % 100 == 99 {
                    conduct(&bench).await;
                }
            }
            if turn_no == 1 && !ends_well && state_of(&bench, two) != "rolled back" {
                bench.roll_back(two).await;
            }
        }
        assert_eq!(state_of(&bench, two), if ends_well { "active" } else { "rolled back" });
        assert!(followed.candidates_seen > 100, "{}", followed.candidates_seen);
    }
}
