//! State as runs meet it: what a rollback takes back, what stays, and what is seen as of when.

use std::sync::Arc;

use pinrail_domain::deploy::{TakeBack, Traffic};
use pinrail_domain::id::{DeploymentId, RunId, StateSeq};
use pinrail_domain::journal::Stamp;
use pinrail_domain::key::Tenants;
use pinrail_domain::state::view::Hidden;
use pinrail_domain::state::{Content, Record, Space, StateKey};
use pinrail_domain::tier::Tier;
use pinrail_store::memory::Strike;
use pinrail_store::{State as _, StoreError};

use super::bench::*;
use crate::state::context::{Accepts, GetRefused, Set, SetRefused, Stored};
use crate::state::memory::{Remembered, Turn};
use crate::state::{AsOf, NoWriter, Reader, WriteAs, WriteError};

pub(super) const ONE: DeploymentId = DeploymentId(1);

async fn stamp(bench: &Bench, run: RunId) -> Arc<Stamp> {
    bench.control.runs().stamp(run, &Tenants::All).await.unwrap().unwrap()
}

/// A run of a new session, on this deployment.
pub(super) async fn run_on(bench: &Bench, deployment: DeploymentId) -> Arc<Stamp> {
    for n in 0..1_000 {
        let run = bench.created(Some(&format!("on-{deployment}-{n}"))).await;
        let stamp = stamp(bench, run).await;
        if stamp.deployment == deployment {
            return stamp;
        }
    }
    panic!("no session falls on deployment {deployment}");
}

pub(super) fn reader(stamp: &Stamp) -> Reader {
    Reader { own: Some(stamp.deployment), run: Some((stamp.run, stamp.agent.clone())), as_of: AsOf::Now }
}

pub(super) fn session(name: &str) -> Space {
    Space::memory(tenant("acme"), &agent("planner"), &name.parse().unwrap())
}

pub(super) fn turn(text: &str, told: bool) -> Turn {
    Turn { key: None, json: format!("\"{text}\""), told, parents: Vec::new() }
}

pub(super) fn key(text: &str) -> StateKey {
    text.parse().unwrap()
}

pub(super) fn stored(protocol: u32, json: &str) -> Stored {
    serde_json::from_str(&format!("{{\"protocol\":{protocol},\"value\":{json}}}")).unwrap()
}

pub(super) fn set(name: &str, value: Option<&str>, expected: Option<u64>) -> Set {
    Set {
        key: key(name),
        value: value.map(|json| stored(1, json)),
        expected: expected.map(StateSeq),
        parents: Vec::new(),
    }
}

pub(super) async fn remember(
    bench: &Bench,
    stamp: &Stamp,
    space: &Space,
    text: &str,
    told: bool,
) -> Remembered {
    bench.control.states().remember(stamp, space, vec![turn(text, told)], None).await.unwrap()
}

fn texts(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| match &record.content {
        Content::Value(value) => value.json.trim_matches('"').to_owned(),
        Content::Nothing => "-".to_owned(),
        Content::Erased => "erased".to_owned(),
    };
    records.iter().map(text).collect()
}

pub(super) async fn recall(bench: &Bench, space: &Space, reader: &Reader) -> Vec<String> {
    texts(&bench.control.states().recall(space, reader, None, 100).await.unwrap().turns)
}

/// I4, I5, I6: the canary's turns are its own until it is promoted; its rollback takes them back and nothing else.
#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_without_the_bad_turns() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = session("s");
    let good = run_on(&bench, ONE).await;
    remember(&bench, &good, &space, "hello", true).await;
    remember(&bench, &good, &space, "hi there", false).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    let before = states.recall(&space, &Reader::everybody(), None, 100).await.unwrap();
    states
        .remember(&bad, &space, vec![turn("refund?", true), turn("all of it!", false)], None)
        .await
        .unwrap();
    let all = ["hello", "hi there", "refund?", "all of it!"];
    let without = ["hello", "hi there", "refund?"];
    assert_eq!(recall(&bench, &space, &reader(&bad)).await, all);
    assert_eq!(recall(&bench, &space, &reader(&good)).await, without);

    bench.control.promote(by("good"), two, false).await.unwrap();
    assert_eq!(recall(&bench, &space, &reader(&good)).await, all);
    let promoted = bench.control.snapshot().world.head.seq;
    let records = bench.store.state_head().await.unwrap().state;
    bench.roll_back(two).await;
    assert_eq!(bench.store.state_head().await.unwrap().state, records); // I6
    assert_eq!(recall(&bench, &space, &reader(&good)).await, without);
    assert_eq!(recall(&bench, &space, &reader(&bad)).await, all); // I4: its own runs always see it

    // As of then shows what was seen then, the promoted and since retracted turn included.
    let then = Reader { as_of: AsOf::Ledger(promoted), ..Reader::everybody() };
    assert_eq!(recall(&bench, &space, &then).await, all);
    let then = Reader { as_of: AsOf::Moment(before.at), ..Reader::everybody() };
    assert_eq!(recall(&bench, &space, &then).await, ["hello", "hi there"]);

    let (_, history) = states.history(&space, &Reader::everybody(), StateSeq(0), 100).await.unwrap();
    let hidden: Vec<_> = history.into_iter().filter_map(|told| told.hidden).collect();
    assert_eq!(hidden, [Hidden::Retracted { deployment: two }]);
    // Between its promotion and now, the one key is gone that the deployment wrote.
    let compared = states.compare(&space, AsOf::Ledger(promoted), &Reader::everybody()).await.unwrap();
    let changed: Vec<_> = compared.keys.values().map(|key| (key.before, key.after)).collect();
    assert_eq!((changed, compared.same), (vec![(Some(StateSeq(4)), None)], 3));
    let none = states.compare(&space, AsOf::Now, &Reader::everybody()).await.unwrap();
    assert_eq!((none.keys.len(), none.same), (0, 3));
    assert_eq!(states.moment(AsOf::Now).await.unwrap(), None);
    let (_, facts) = states.replay(&space, &Reader::everybody(), StateSeq(0), 100).await.unwrap();
    assert_eq!(texts(&facts), ["hello", "refund?"]);
}

/// Pointers only: what a promoted deployment wrote stays, until it is taken back with its state.
#[tokio::test(start_paused = true)]
async fn a_rollback_may_leave_the_state_and_take_it_later() {
    let bench = Bench::new(Tier::Standard).await;
    let space = session("s");
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let run = run_on(&bench, two).await;
    remember(&bench, &run, &space, "kept", false).await;
    let keep = TakeBack { keep_state: true, ..TakeBack::default() };
    bench.control.roll_back(by("slow"), two, keep).await.unwrap();
    assert_eq!(recall(&bench, &space, &Reader::everybody()).await, ["kept"]);
    bench.roll_back(two).await;
    assert!(recall(&bench, &space, &Reader::everybody()).await.is_empty());
    assert!(bench.control.roll_back(by("again"), two, TakeBack::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_written_over_the_version_that_its_writer_saw() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = Space::context(tenant("acme"), &"orders".parse().unwrap());
    let good = run_on(&bench, ONE).await;
    let two = bench.canary("m2-2026-01-01", "50%").await;
    let bad = run_on(&bench, two).await;
    let by_good = states.author(WriteAs::Run(&good)).await.unwrap();
    let by_bad = states.author(WriteAs::Run(&bad)).await.unwrap();

    let first = states.context_set(&by_good, &space, set("k", Some("1"), Some(0)), None).await.unwrap();
    let first = first.appended.unwrap().first;
    let refused = states.context_set(&by_good, &space, set("k", Some("2"), Some(0)), None).await;
    let Err(WriteError::Refused(SetRefused::Moved { current, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!(current, Some(first));
    // The canary's version is current for the canary alone.
    let theirs = states.context_set(&by_bad, &space, set("k", Some("2"), Some(first.0)), None).await.unwrap();
    let theirs = theirs.appended.unwrap().first;
    states.context_set(&by_good, &space, set("k", None, Some(first.0)), None).await.unwrap();
    let got = states.context_get(&space, &key("k"), &reader(&good), &Accepts::All).await;
    assert!(matches!(got, Err(GetRefused::Nothing { .. })), "{got:?}");
    // delete → rollback → delete
    states.context_set(&by_bad, &space, set("k", Some("3"), None), None).await.unwrap();
    states.context_set(&by_bad, &space, set("k", None, None), None).await.unwrap();
    bench.roll_back(two).await;
    let again = states.context_set(&by_good, &space, set("k", Some("4"), Some(0)), None).await.unwrap();
    states.context_set(&by_good, &space, set("k", None, None), None).await.unwrap();
    let nothing = states.context_set(&by_good, &space, set("k", None, None), None).await;
    assert!(matches!(nothing, Err(WriteError::Refused(SetRefused::Nothing))), "{nothing:?}");
    assert!(again.appended.unwrap().first > theirs);
}

/// A value in a protocol that the reader doesn't know is named, never handed over.
#[tokio::test(start_paused = true)]
async fn a_reader_never_gets_a_value_that_it_does_not_accept() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = Space::context(tenant("acme"), &"orders".parse().unwrap());
    let run = run_on(&bench, ONE).await;
    let by = states.author(WriteAs::Run(&run)).await.unwrap();
    let mut versions = Vec::new();
    for protocol in [1, 2, 3] {
        let set = Set { value: Some(stored(protocol, "{}")), ..set("k", None, None) };
        versions.push(states.context_set(&by, &space, set, None).await.unwrap().appended.unwrap().first);
    }
    let get = |these: &[u32]| {
        let accepts = Accepts::These(these.iter().copied().collect());
        let space = &space;
        async move { states.context_get(space, &key("k"), &Reader::everybody(), &accepts).await }
    };
    assert_eq!(get(&[3]).await.unwrap().stored.protocol, 3);
    let Err(GetRefused::Protocol { protocol, version, last_accepted, .. }) = get(&[1, 2]).await else {
        panic!("handed over")
    };
    assert_eq!((protocol, version, last_accepted), (3, versions[2], Some(versions[1])));
    let Err(GetRefused::Protocol { last_accepted: None, .. }) = get(&[7]).await else {
        panic!("handed over")
    };
}

/// A data job commits or aborts as one, and nothing is written in its name afterwards.
#[tokio::test(start_paused = true)]
async fn a_data_job_is_seen_when_it_commits() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = Space::context(tenant("acme"), &"facts".parse().unwrap());
    let job = bench.control.open_ingest(by("load"), &"docs".parse().unwrap()).await.unwrap().value;
    assert_eq!(job.state, "open");
    let author = states.author(WriteAs::Job(job.deployment)).await.unwrap();
    states.context_set(&author, &space, set("k", Some("1"), None), None).await.unwrap();
    let got = states.context_get(&space, &key("k"), &Reader::everybody(), &Accepts::All).await;
    assert!(matches!(got, Err(GetRefused::Nothing { .. })));
    // While somebody may write in its name, it doesn't commit.
    let mut committing = Box::pin(bench.control.promote(by("done"), job.deployment, false));
    assert!(futures_poll(&mut committing).await.is_none());
    drop(author);
    assert_eq!(committing.await.unwrap().value.state, "committed");
    states.context_get(&space, &key("k"), &Reader::everybody(), &Accepts::All).await.unwrap();
    let closed = states.author(WriteAs::Job(job.deployment)).await.err();
    assert_eq!(closed, Some(NoWriter::Closed(job.deployment)));
    assert_eq!(states.author(WriteAs::Job(ONE)).await.err(), Some(NoWriter::NoJob(ONE)));
    bench.roll_back(job.deployment).await;
    let got = states.context_get(&space, &key("k"), &Reader::everybody(), &Accepts::All).await;
    assert!(matches!(got, Err(GetRefused::Nothing { .. })));
}

/// I9: what was acknowledged is there after a restart; what nobody knows about is looked up.
#[tokio::test(start_paused = true)]
async fn memory_follows_the_store_through_failures_and_restarts() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = session("s");
    let run = run_on(&bench, ONE).await;
    remember(&bench, &run, &space, "one", true).await;
    for strike in [Strike::BeforeEffect, Strike::AfterEffect] {
        bench.store.fail(1, strike);
        let failed = states.remember(&run, &space, vec![turn("two", true)], None).await;
        assert!(matches!(failed, Err(WriteError::Store(StoreError::Unavailable(_)))), "{failed:?}");
    }
    assert_eq!(recall(&bench, &space, &reader(&run)).await, ["one", "two"]);
    // Sent again under its key, a request is done once.
    for _ in 0..2 {
        let key = idempotency("k", "three");
        let turns = vec![turn("three", true), turn("four", false)];
        let again = states.remember(&run, &space, turns, Some(&key)).await.unwrap();
        assert_eq!(again.turns.len(), 2);
    }
    let expected = ["one", "two", "three", "four"];
    assert_eq!(recall(&bench, &space, &reader(&run)).await, expected);
    let (restarted, _) = bench.another().await;
    assert_eq!(recall(&restarted, &space, &reader(&run)).await, expected);
}

/// I11: a parent of another tenant is no parent.
#[tokio::test(start_paused = true)]
async fn nothing_is_derived_from_another_tenants_records() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let run = run_on(&bench, ONE).await;
    let own = remember(&bench, &run, &session("s"), "one", true).await.turns[0].1;
    let derived = |parent| vec![Turn { parents: vec![parent], ..turn("two", false) }];
    states.remember(&run, &session("s"), derived(own), None).await.unwrap();
    let mut other = Stamp::clone(&run);
    other.tenant = tenant("umbrella");
    let space = Space { tenant: other.tenant.clone(), ..session("s") };
    assert!(states.remember(&other, &space, derived(own), None).await.is_err());
    assert!(states.remember(&run, &session("s"), derived(StateSeq(99)), None).await.is_err());
}

/// I5: a record that was appended after a rollback is not shown before that rollback is, in any layer.
#[tokio::test(start_paused = true)]
async fn a_record_is_not_shown_before_the_entry_that_it_follows() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = session("s");
    let good = run_on(&bench, ONE).await;
    let two = bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    let bad = run_on(&bench, two).await;
    remember(&bench, &bad, &space, "bad", false).await;
    // The rollback is in the ledger, and nobody was told yet.
    bench.store.ledger.shut();
    let mut rolling_back = Box::pin(bench.control.roll_back(by("bad"), two, TakeBack::default()));
    assert!(futures_poll(&mut rolling_back).await.is_none());
    let mut remembering = Box::pin(states.remember(&good, &space, vec![turn("good", false)], None));
    assert!(futures_poll(&mut remembering).await.is_none());
    settle().await;
    let before = states.recall(&space, &Reader::everybody(), None, 100).await.unwrap();
    assert_eq!(texts(&before.turns), ["bad"]);
    bench.store.ledger.unlock();
    rolling_back.await.unwrap();
    remembering.await.unwrap();
    assert_eq!(recall(&bench, &space, &Reader::everybody()).await, ["good"]);
    // What was shown then is shown again.
    let then = Reader { as_of: AsOf::Moment(before.at), ..Reader::everybody() };
    assert_eq!(recall(&bench, &space, &then).await, ["bad"]);
}

/// A request that is sent again while its first try is under way is told what that did, and sees it.
#[tokio::test(start_paused = true)]
async fn a_request_sent_again_sees_what_its_first_try_did() {
    let bench = Bench::new(Tier::Standard).await;
    let states = bench.control.states();
    let space = session("s");
    let run = run_on(&bench, ONE).await;
    let request = idempotency("k", "one");
    bench.store.state.shut();
    let first = states.remember(&run, &space, vec![turn("one", false)], Some(&request));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(5), first).await.is_err());
    let mut again = Box::pin(states.remember(&run, &space, vec![turn("one", false)], Some(&request)));
    assert!(futures_poll(&mut again).await.is_none());
    bench.store.state.unlock();
    let again = again.await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.turns.len(), 1);
    assert_eq!(recall(&bench, &space, &reader(&run)).await, ["one"]);

    // So is one that would be refused by what its first try did.
    let context = Space::context(tenant("acme"), &"orders".parse().unwrap());
    let author = states.author(WriteAs::Run(&run)).await.unwrap();
    let request = idempotency("k2", "two");
    bench.store.state.shut();
    let first = states.context_set(&author, &context, set("k", Some("1"), Some(0)), Some(&request));
    let mut first = Box::pin(first);
    assert!(futures_poll(&mut first).await.is_none());
    let again = states.context_set(&author, &context, set("k", Some("1"), Some(0)), Some(&request));
    let mut again = Box::pin(again);
    assert!(futures_poll(&mut again).await.is_none());
    bench.store.state.unlock();
    assert!(!first.await.unwrap().replayed);
    assert!(again.await.unwrap().replayed);
}

pub(super) async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = tokio::task::yield_now() => None,
    }
}
