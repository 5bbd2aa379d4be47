//! State that several replicas read and write: what is acknowledged by one is what all see next (I4, I5).

use std::time::Duration;

use pinrail_domain::deploy::TakeBack;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::state::{Content, Space};
use pinrail_domain::tier::Tier;
use pinrail_store::State as _;
use serde_json::json;

use super::Crew;
use crate::Control;
use crate::state::context::{Accepts, GetRefused, SetRefused};
use crate::state::erase::{Subject, Whose};
use crate::state::vectors::{Search, Upsert, VectorSpace};
use crate::state::{AsOf, NoWriter, Reader, WriteAs, WriteError};
use crate::tests::bench::*;
use crate::tests::state::{key, session, set, turn};

async fn remember(replica: &Control, who: WriteAs<'_>, space: &Space, text: &str) {
    replica.states().remember_as(who, space, vec![turn(text, false)], None).await.unwrap();
}

async fn recall(replica: &Control, space: &Space, reader: &Reader) -> Vec<String> {
    let recalled = replica.states().recall(space, reader, None, 100).await.unwrap();
    let text = |content: &Content| match content {
        Content::Value(value) => value.json.trim_matches('"').to_owned(),
        Content::Nothing | Content::Erased => "-".to_owned(),
    };
    recalled.turns.iter().map(|turn| text(&turn.content)).collect()
}

async fn job(replica: &Control, name: &str) -> DeploymentId {
    replica.open_ingest(by("load"), &name.parse().unwrap()).await.unwrap().value.deployment
}

fn own(deployment: DeploymentId) -> Reader {
    Reader { own: Some(deployment), ..Reader::everybody() }
}

/// I4, I5: nobody waits for another replica to be told.
#[tokio::test(start_paused = true)]
async fn what_one_replica_writes_the_others_read_at_once() {
    let crew = Crew::new(3, Tier::Standard).await;
    let [one, two, three] = &crew.replicas[..] else { panic!("there are three") };
    let (space, everybody) = (session("s"), Reader::everybody());
    remember(one, WriteAs::Operator, &space, "a").await;
    for replica in &crew.replicas {
        assert_eq!(recall(replica, &space, &everybody).await, ["a"]);
    }
    remember(two, WriteAs::Operator, &space, "b").await;
    remember(one, WriteAs::Operator, &space, "c").await;
    let load = job(one, "load").await;
    remember(two, WriteAs::Job(load), &space, "d").await;
    assert_eq!(recall(three, &space, &own(load)).await, ["a", "b", "c", "d"]);
    let then = three.states().recall(&space, &own(load), None, 9).await.unwrap().at;
    assert_eq!(recall(one, &space, &everybody).await, ["a", "b", "c"]);
    three.promote(by("good"), load, false).await.unwrap();
    assert_eq!(recall(one, &space, &everybody).await, ["a", "b", "c", "d"]);
    two.roll_back(by("bad"), load, TakeBack::default()).await.unwrap();
    for replica in &crew.replicas {
        assert_eq!(recall(replica, &space, &everybody).await, ["a", "b", "c"]);
    }
    // A moment that one replica named is one for all of them.
    remember(one, WriteAs::Operator, &space, "e").await;
    let now = one.states().recall(&space, &everybody, None, 9).await.unwrap().at;
    let at = |moment, reader: Reader| Reader { as_of: AsOf::Moment(moment), ..reader };
    assert_eq!(recall(two, &space, &at(now, everybody.clone())).await, ["a", "b", "c", "e"]);
    assert_eq!(recall(two, &space, &at(then, own(load))).await, ["a", "b", "c", "d"]);
}

/// I4, I5: whoever was about to write in a data job's name at one replica is refused once another has ended the job.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_in_a_jobs_name_after_another_replica_ended_it() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    let space = Space::context(tenant("acme"), &"facts".parse().unwrap());
    for takes_back in [false, true] {
        let load = job(one, if takes_back { "worse" } else { "better" }).await;
        crew.caught_up(two).await;
        let late = two.states().author(WriteAs::Job(load)).await.unwrap();
        two.states().context_set(&late, &space, set("k", Some("1"), None), None).await.unwrap();
        match takes_back {
            false => drop(one.promote(by("done"), load, false).await.unwrap()),
            true => drop(one.roll_back(by("bad"), load, TakeBack::default()).await.unwrap()),
        }
        let head = crew.store.state_head().await.unwrap();
        let key = idempotency("late", &load.to_string());
        for key in [None, Some(&key)] {
            let refused = two.states().context_set(&late, &space, set("k", Some("2"), None), key).await;
            let Err(WriteError::Writer(no)) = refused else { panic!("{refused:?}") };
            assert_eq!(no, NoWriter::Closed(load));
        }
        assert_eq!(crew.store.state_head().await.unwrap(), head);
        // What ended the job is known here now, whether or not the news came.
        assert_eq!(two.states().author(WriteAs::Job(load)).await.err(), Some(NoWriter::Closed(load)));
    }
    // Another's end is nothing to a job that is open.
    let (first, second) = (job(one, "first").await, job(one, "second").await);
    crew.caught_up(two).await;
    let late = two.states().author(WriteAs::Job(first)).await.unwrap();
    one.promote(by("done"), second, false).await.unwrap();
    two.states().context_set(&late, &space, set("k", Some("3"), None), None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_that_set_a_key_at_once_one_wins() {
    let crew = Crew::new(2, Tier::Standard).await;
    let space = Space::context(tenant("acme"), &"orders".parse().unwrap());
    let set_on = |n: usize, expected: Option<u64>| {
        let (replica, space) = (&crew.replicas[n], &space);
        async move {
            let by = replica.states().author(WriteAs::Operator).await.unwrap();
            replica.states().context_set(&by, space, set("k", Some(&n.to_string()), expected), None).await
        }
    };
    let (first, second) = tokio::join!(set_on(0, Some(0)), set_on(1, Some(0)));
    let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
    let version = won.unwrap().appended.unwrap().first;
    let Err(WriteError::Refused(SetRefused::Moved { current, .. })) = lost else { panic!("{lost:?}") };
    assert_eq!(current, Some(version));
    // Writes that expect nothing all get through, in the store's order.
    let (one, two) = tokio::join!(set_on(0, None), set_on(1, None));
    let last = one.unwrap().appended.unwrap().first.max(two.unwrap().appended.unwrap().first);
    for replica in &crew.replicas {
        let (k, everybody) = (key("k"), Reader::everybody());
        let got = replica.states().context_get(&space, &k, &everybody, &Accepts::All).await.unwrap();
        assert_eq!(got.record.operation.seq, last);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_hears_what_other_replicas_write_and_take_back() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    let space = session("s");
    let mut watch = two.states().watch(&space, None, None).await.unwrap();
    assert!(two.states().watch_delta(&mut watch).await.unwrap().shown.is_empty());
    remember(one, WriteAs::Operator, &space, "a").await;
    watch.appended().await;
    assert_eq!(two.states().watch_delta(&mut watch).await.unwrap().shown.len(), 1);
    let load = job(one, "load").await;
    remember(one, WriteAs::Job(load), &space, "b").await;
    one.promote(by("good"), load, false).await.unwrap();
    assert_eq!(two.states().watch_delta(&mut watch).await.unwrap().shown.len(), 1);
    one.roll_back(by("bad"), load, TakeBack::default()).await.unwrap();
    assert_eq!(two.states().watch_delta(&mut watch).await.unwrap().gone.len(), 1);
}

/// One key of a space that isn't in memory is read by itself, and says what it says where the space is.
#[tokio::test(start_paused = true)]
async fn a_key_of_a_large_space_is_read_without_the_others() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    let space = Space::context(tenant("acme"), &"orders".parse().unwrap());
    let put = async |who: WriteAs<'_>, name: &str, value: &str| {
        let by = one.states().author(who).await.unwrap();
        one.states().context_set(&by, &space, set(name, Some(value), None), None).await.unwrap();
    };
    for n in 0..20 {
        put(WriteAs::Operator, &format!("k{}", n % 5), &n.to_string()).await;
    }
    let then =
        one.states().context_get(&space, &key("k1"), &Reader::everybody(), &Accepts::All).await.unwrap().at;
    let load = job(one, "load").await;
    put(WriteAs::Job(load), "k1", "77").await;
    put(WriteAs::Operator, "k2", "78").await;
    let get = async |replica: &Control, name: &str, reader: &Reader| {
        let accepts = Accepts::These([1].into());
        format!("{:?}", replica.states().context_get(&space, &key(name), reader, &accepts).await)
    };
    let check = async || {
        // What is worked out in the background about an opening is in the ledger by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        for name in ["k0", "k1", "k2", "never"] {
            for reader in [Reader::everybody(), own(load), Reader { as_of: AsOf::Moment(then), ..own(load) }]
            {
                assert_eq!(
                    get(two, name, &reader).await,
                    get(one, name, &reader).await,
                    "{name}, {reader:?}"
                );
            }
        }
    };
    two.states().look_in_store_from(10);
    check().await;
    one.promote(by("good"), load, false).await.unwrap();
    check().await;
    one.roll_back(by("bad"), load, TakeBack::default()).await.unwrap();
    check().await;
    let bytes = two.states().kept().1;
    two.states().look_in_store_from(1_000);
    check().await;
    assert!(two.states().kept().1 > bytes, "a small space is read whole, and not before");
}

/// A space that isn't in memory is looked at in the store, which says the same; often enough, it is read.
#[tokio::test(start_paused = true)]
async fn a_large_space_is_not_read_whole_for_a_look_at_its_end() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    let space = session("s");
    for n in 0..20 {
        remember(one, WriteAs::Operator, &space, &n.to_string()).await;
    }
    let load = job(one, "load").await;
    remember(one, WriteAs::Job(load), &space, "mine").await;
    two.states().look_in_store_from(10);
    let readers = [Reader::everybody(), own(load), Reader::everybody(), own(load), Reader::everybody()];
    for (n, reader) in readers.iter().enumerate() {
        for before in [None, Some(pinrail_domain::id::StateSeq(7))] {
            let here = two.states().recall(&space, reader, before, 5).await.unwrap();
            let there = one.states().recall(&space, reader, before, 5).await.unwrap();
            assert_eq!(here, there, "look {n}");
        }
        let (_, bytes) = two.states().kept();
        assert_eq!(bytes < 2_000, n < 1, "look {n}: the index takes {bytes} bytes");
    }
}

fn kb() -> VectorSpace {
    let embedder = json!({ "embedder": "small", "dims": 2, "metric": "cosine" });
    VectorSpace::new(&tenant("acme"), &"kb".parse().unwrap(), &serde_json::from_value(embedder).unwrap())
        .unwrap()
}

async fn found(replica: &Control) -> Vec<String> {
    let search = Search { vector: vec![1.0, 0.0], k: 9, filter: None, min_score: None, exact: false };
    let found = replica.states().search(&kb(), &Reader::everybody(), &search).await.unwrap();
    found.hits.iter().map(|hit| hit.record.operation.key.to_string()).collect()
}

async fn upsert(replica: &Control, who: WriteAs<'_>, name: &str) {
    let by = replica.states().author(who).await.unwrap();
    let upsert =
        Upsert { key: key(name), vector: vec![1.0, 0.1], payload: Some(json!({})), parents: Vec::new() };
    replica.states().upsert(&by, &kb(), &[upsert], None).await.unwrap();
}

/// Without a store that searches, every replica's vectors follow what the others write, take back and remove.
#[tokio::test(start_paused = true)]
async fn vectors_follow_the_other_replicas() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    upsert(one, WriteAs::Operator, "a").await;
    assert_eq!(found(two).await, ["a"]);
    let load = job(two, "load").await;
    upsert(two, WriteAs::Job(load), "b").await;
    upsert(one, WriteAs::Operator, "c").await;
    assert_eq!(
        (found(one).await, found(two).await),
        (vec!["a".into(), "c".into()], vec!["a".into(), "c".into()])
    );
    two.promote(by("good"), load, false).await.unwrap();
    assert_eq!(found(one).await, ["a", "b", "c"]);
    one.roll_back(by("bad"), load, TakeBack::default()).await.unwrap();
    assert_eq!(found(two).await, ["a", "c"]);

    // gc on one, and writes after it: places moved, and nobody finds another's record at them.
    one.collect(by("old"), Some(0)).await.unwrap();
    let mut progress = one.collecting();
    progress.wait_for(|progress| !progress.running).await.unwrap();
    assert!(crew.store.state_written(load).await.unwrap().is_empty());
    upsert(one, WriteAs::Operator, "d").await;
    assert_eq!(
        (found(one).await, found(two).await),
        (vec!["a".into(), "c".into(), "d".into()], vec!["a".into(), "c".into(), "d".into()])
    );
}

/// I8: what one replica erased, the others have in memory no longer.
#[tokio::test(start_paused = true)]
async fn what_one_replica_erases_all_forget() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [one, two] = &crew.replicas[..] else { panic!("there are two") };
    upsert(one, WriteAs::Operator, "a").await;
    remember(one, WriteAs::Operator, &session("s"), "my name is Ada").await;
    assert_eq!(found(two).await, ["a"]);
    assert_eq!(two.states().kept().0, 1);
    let whose = Whose { tenant: tenant("acme"), subject: Subject::Tenant };
    one.erase(by("she asked"), &whose).await.unwrap();
    assert!(found(two).await.is_empty());
    assert_eq!(recall(two, &session("s"), &Reader::everybody()).await, ["-"]);
    let got =
        two.states().context_get(&session("none"), &key("k"), &Reader::everybody(), &Accepts::All).await;
    assert!(matches!(got, Err(GetRefused::Nothing { .. })));
}

#[tokio::test(start_paused = true)]
async fn every_replica_knows_the_last_drill_of_any() {
    let crew = Crew::new(2, Tier::Standard).await;
    for n in [0, 1, 0] {
        crew.clock.0.fetch_add(1_000, std::sync::atomic::Ordering::SeqCst);
        let drill = crew.replicas[n].drill(&by("drill")).await.unwrap();
        for replica in &crew.replicas {
            assert_eq!(replica.last_drill().await.unwrap().as_ref(), Some(&drill));
        }
    }
}
