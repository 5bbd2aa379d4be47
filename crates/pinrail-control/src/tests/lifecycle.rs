//! The whole life of data: collected, erased, verified, drilled.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::{DeploymentId, RunId, StateSeq};
use pinrail_domain::journal::{Event, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::state::collect::Why;
use pinrail_domain::state::{Content, Layer, Space};
use pinrail_domain::tier::Tier;
use pinrail_domain::time::Clock as _;
use pinrail_store::memory::Strike;
use pinrail_store::{Journal as _, Ledger as _, State as _};

use super::bench::*;
use crate::state::context::Set;
use crate::state::erase::{Subject, Whose};
use crate::state::memory::Turn;
use crate::state::{AsOf, BadMoment, ReadError, Reader, WriteAs};

const ONE: DeploymentId = DeploymentId(1);

async fn stamp(bench: &Bench, run: RunId) -> Arc<Stamp> {
    bench.control.runs().stamp(run, &Tenants::All).await.unwrap().unwrap()
}

async fn run_on(bench: &Bench, deployment: DeploymentId) -> Arc<Stamp> {
    for n in 0..1_000 {
        let run = bench.created(Some(&format!("on-{deployment}-{n}"))).await;
        let stamp = stamp(bench, run).await;
        if stamp.deployment == deployment {
            return stamp;
        }
        bench.finish(run).await.unwrap();
    }
    panic!("no session falls on deployment {deployment}");
}

fn session(name: &str) -> Space {
    Space::memory(tenant("acme"), &agent("planner"), &name.parse().unwrap())
}

fn orders() -> Space {
    Space::context(tenant("acme"), &"orders".parse().unwrap())
}

async fn remember(bench: &Bench, stamp: &Stamp, space: &Space, text: &str, told: bool) -> StateSeq {
    let turn = Turn { key: None, json: format!("\"{text}\""), told, parents: Vec::new() };
    bench.control.states().remember(stamp, space, vec![turn], None).await.unwrap().turns[0].1
}

async fn set(bench: &Bench, stamp: &Stamp, key: &str, json: &str) -> StateSeq {
    let states = bench.control.states();
    let by = states.author(WriteAs::Run(stamp)).await.unwrap();
    let value = serde_json::from_str(&format!("{{\"protocol\":1,\"value\":{json}}}")).unwrap();
    let set = Set { key: key.parse().unwrap(), value: Some(value), expected: None, parents: Vec::new() };
    states.context_set(&by, &orders(), set, None).await.unwrap().appended.unwrap().first
}

async fn texts(bench: &Bench, space: &Space, reader: &Reader) -> Result<Vec<String>, ReadError> {
    let recalled = bench.control.states().recall(space, reader, None, 100).await?;
    let text = |content: &Content| match content {
        Content::Value(value) => value.json.trim_matches('"').to_owned(),
        Content::Nothing => "-".to_owned(),
        Content::Erased => "erased".to_owned(),
    };
    Ok(recalled.turns.iter().map(|record| text(&record.content)).collect())
}

async fn collected(bench: &Bench) {
    let mut progress = bench.control.collecting();
    progress.wait_for(|progress| !progress.running).await.unwrap();
}

/// Deployment 2 was active with a turn in memory and a key in context, and is rolled back; its run is over.
async fn rolled_back(bench: &Bench) -> (Space, DeploymentId, Arc<Stamp>) {
    let space = session("s");
    let good = run_on(bench, ONE).await;
    remember(bench, &good, &space, "hello", true).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(bench, two).await;
    bench.control.promote(by("good"), two, false).await.unwrap();
    remember(bench, &bad, &space, "nonsense", false).await;
    set(bench, &bad, "k", "\"nonsense\"").await;
    set(bench, &good, "k", "\"sense\"").await;
    bench.roll_back(two).await;
    (space, two, bad)
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_is_removed_and_what_somebody_needs_is_named() {
    let bench = Bench::new(Tier::Standard).await;
    let (space, two, bad) = rolled_back(&bench).await;
    let states = bench.control.states();
    let committed = bench.control.snapshot().world.commits.span(two).committed.unwrap();
    let then = Reader { as_of: AsOf::Ledger(committed), ..Reader::everybody() };
    let before = Reader { as_of: AsOf::State(StateSeq(1)), ..Reader::everybody() };
    assert_eq!(texts(&bench, &space, &then).await.unwrap(), ["hello", "nonsense"]);

    let kept = |collection: crate::state::collect::Collection| collection.plan.keep[0].why;
    let why = kept(bench.control.collection_plan(Some(0)).await.unwrap());
    assert_eq!(why, Why::RunsOpen { runs: 1 });
    bench.finish(bad.run).await.unwrap();
    let why = kept(bench.control.collection_plan(None).await.unwrap());
    assert!(matches!(why, Why::Lately { .. }), "{why:?}");
    bench.control.keep_aborted_for(0);
    let plan = bench.control.collection_plan(None).await.unwrap();
    assert_eq!((plan.plan.records(), plan.seq), (2, None));
    assert_eq!(plan.layers, [(Layer::Memory, 1), (Layer::Context, 1)].into());
    assert_eq!(states.records(&[StateSeq(2)]).await.unwrap().len(), 1, "a plan removes nothing");

    let done = bench.control.collect(by("tidy"), None).await.unwrap().value;
    collected(&bench).await;
    assert_eq!(done.seq, Some(bench.control.snapshot().world.head.seq));
    assert_eq!(bench.store.state_written(two).await.unwrap(), []);
    assert_eq!(texts(&bench, &space, &Reader::everybody()).await.unwrap(), ["hello"]);
    assert_eq!(texts(&bench, &space, &before).await.unwrap(), ["hello"]);
    for gone in [then, Reader { own: Some(two), ..Reader::everybody() }] {
        let refused = texts(&bench, &space, &gone).await;
        assert!(matches!(refused, Err(ReadError::Moment(BadMoment::Collected { .. }))), "{refused:?}");
    }
    // Compare-and-set goes on over what is left.
    let good = run_on(&bench, ONE).await;
    set(&bench, &good, "k", "\"more sense\"").await;
    // Nothing is left to do, and nothing is entered for it.
    let head = bench.control.snapshot().world.head;
    assert_eq!(bench.control.collect(by("again"), None).await.unwrap().value.seq, None);
    assert_eq!(bench.control.snapshot().world.head, head);
    assert!(states.verify(&space).await.unwrap().is_whole());
}

/// The intent is in the ledger, the removal failed: the next start goes on with it.
#[tokio::test(start_paused = true)]
async fn a_removal_that_was_cut_off_is_finished() {
    let bench = Bench::new(Tier::Standard).await;
    let (space, two, bad) = rolled_back(&bench).await;
    bench.finish(bad.run).await.unwrap();
    bench.control.collect(by("tidy"), Some(0)).await.unwrap();
    bench.store.fail(1, Strike::BeforeEffect);
    let mut progress = bench.control.collecting();
    let stopped = progress.wait_for(|progress| !progress.running).await.unwrap().clone();
    assert!(stopped.trouble.is_some());
    assert_ne!(bench.store.state_written(two).await.unwrap(), []);
    let (restarted, _) = bench.another().await;
    collected(&restarted).await;
    assert_eq!(bench.store.state_written(two).await.unwrap(), []);
    assert_eq!(texts(&restarted, &space, &Reader::everybody()).await.unwrap(), ["hello"]);
}

/// Whoever writes a key whose newest record was removed a moment ago is not kept from it.
#[tokio::test(start_paused = true)]
async fn a_write_over_a_removed_record_is_decided_again() {
    let bench = Bench::new(Tier::Standard).await;
    let good = run_on(&bench, ONE).await;
    set(&bench, &good, "k", "1").await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    set(&bench, &bad, "k", "2").await;
    bench.roll_back(two).await;
    bench.store.state_remove(two, StateSeq(9), 10).await.unwrap();
    set(&bench, &good, "k", "3").await;
}

#[tokio::test(start_paused = true)]
async fn a_session_is_erased_with_all_that_its_runs_wrote() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let run = stamp(&bench, bench.created(Some("ada")).await).await;
    let other = stamp(&bench, bench.created(Some("bob")).await).await;
    let turns = [
        remember(&bench, &run, &session("ada"), "i am ada", true).await,
        remember(&bench, &run, &session("ada"), "hello ada", false).await,
    ];
    set(&bench, &run, "customer", "\"ada\"").await;
    set(&bench, &other, "customer-2", "\"bob\"").await;
    remember(&bench, &other, &session("bob"), "i am bob", true).await;
    let note = Event::Note { name: "said".to_owned(), data: "i am ada".into() };
    bench.control.runs().record(run.run, vec![(bench.clock.now(), note)]).await;
    bench.finish(run.run).await.unwrap();

    let whose = |session: &str| Whose {
        tenant: tenant("acme"),
        subject: Subject::Session { agent: agent("planner"), session: session.parse().unwrap() },
    };
    let plan = bench.control.erasure_plan(&whose("ada")).await.unwrap();
    assert_eq!((plan.records, plan.runs, plan.open_runs, plan.seq), (3, 1, Vec::new(), None));
    let done = bench.control.erase(by("she asked"), &whose("ada")).await.unwrap().value;
    assert_eq!(texts(&bench, &session("ada"), &Reader::everybody()).await.unwrap(), ["erased", "erased"]);
    assert_eq!(texts(&bench, &session("bob"), &Reader::everybody()).await.unwrap(), ["i am bob"]);
    let events = bench.store.run_events(run.run, pinrail_domain::id::EventSeq(0), 100).await.unwrap();
    assert!(!serde_json::to_string(&events).unwrap().contains("i am ada"));
    let proven = states.erasures_of(&tenant("acme"), turns).await.unwrap();
    assert_eq!(proven.values().map(|proven| Some(proven.entry)).collect::<Vec<_>>(), [done.seq; 2]);
    let verdict = states.verify(&session("ada")).await.unwrap();
    assert_eq!((verdict.erased, verdict.damaged), (2, 0));
    // Of nobody there is nothing to erase.
    assert!(bench.control.erase(by("again"), &whose("nobody")).await.is_err());
    let entries = bench.store.ledger_read(done.seq.unwrap(), 10).await.unwrap();
    assert!(entries.is_empty());
}

/// Erasure by attribute takes the runs that such a run started along; a crash in the middle is made good.
#[tokio::test(start_paused = true)]
async fn an_erasure_that_was_cut_off_is_finished() {
    let bench = Bench::new(Tier::Standard).await;
    let mut create = creating(Some("s"));
    create.attributes = [("user".to_owned(), "ada".to_owned())].into();
    let run = bench.create(create).await.unwrap().stamp;
    let mut child = creating(None);
    (child.parent, child.agent) = (Some(run.run), agent("executor"));
    let child = bench.create(child).await.unwrap().stamp;
    let own = set(&bench, &run, "k", "\"ada\"").await;
    let childs = set(&bench, &child, "l", "\"ada too\"").await;
    let subject = Subject::Attribute { name: "user".to_owned(), value: "ada".to_owned() };
    let whose = Whose { tenant: tenant("acme"), subject };
    let plan = bench.control.erasure_plan(&whose).await.unwrap();
    assert_eq!((plan.records, plan.runs, plan.open_runs.len()), (2, 2, 2));
    bench.control.enter_erasure(by("she asked"), &whose).await.unwrap();
    let content = async |bench: &Bench| {
        let records = bench.store.state_records(&[own, childs]).await.unwrap();
        records.into_iter().filter(|record| record.content != Content::Erased).count()
    };
    assert_eq!(content(&bench).await, 2);
    let (restarted, _) = bench.another().await;
    settle().await;
    assert_eq!(content(&restarted).await, 0);
    assert!(restarted.control.states().verify(&orders()).await.unwrap().is_whole());
}

/// I8: content that went missing without the ledger saying so is damage, and so is content that changed.
#[tokio::test(start_paused = true)]
async fn what_was_tampered_with_is_named() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let run = run_on(&bench, ONE).await;
    let one = set(&bench, &run, "k", "1").await;
    let two = set(&bench, &run, "l", "2").await;
    assert!(states.verify(&orders()).await.unwrap().is_whole());
    bench.store.state_erase(&[one]).await.unwrap();
    bench.store.memory.damage_record(two);
    let verdict = states.verify(&orders()).await.unwrap();
    let named: Vec<StateSeq> = verdict.named.iter().map(|damage| damage.seq).collect();
    assert_eq!((verdict.records, verdict.damaged, named), (2, 2, vec![one, two]));
    assert!(!states.verdicts()[&orders()].is_whole());
}

#[tokio::test(start_paused = true)]
async fn a_drill_takes_back_what_it_wrote_and_touches_nothing_else() {
    let bench = Bench::new(Tier::Standard).await;
    let run = run_on(&bench, ONE).await;
    set(&bench, &run, "k", "1").await;
    let pointers = bench.control.snapshot().world.pointers.clone();
    assert_eq!(bench.control.last_drill().await.unwrap(), None);
    for _ in 0..2 {
        let drill = bench.control.drill(&by("drill")).await.unwrap();
        assert_eq!(drill.faults, [""; 0]);
        assert_eq!(drill.records, 192);
        assert!(bench.control.snapshot().world.deployments[&drill.deployment].is_rolled_back());
        let (restarted, _) = bench.another().await;
        assert_eq!(restarted.control.last_drill().await.unwrap(), Some(drill));
        bench.clock.0.fetch_add(1_000, Ordering::SeqCst);
    }
    assert_eq!(*bench.control.snapshot().world.pointers, *pointers);
    let spaces = bench.control.states().spaces(&Default::default(), None, 100).await.unwrap();
    let others = spaces.iter().filter(|space| space.facts.space.tenant == tenant("acme"));
    assert_eq!(others.count(), 1);
    // Their data goes the way of all that is rolled back.
    let collection = bench.control.collect(by("tidy"), Some(0)).await.unwrap().value;
    collected(&bench).await;
    assert_eq!(collection.plan.records(), 384);
    let nothing = TakeBack::default();
    assert!(bench.control.roll_back(by("x"), collection.plan.collect[0].deployment, nothing).await.is_err());
}
