//! Members and approvals that replicas share.

use pinrail_domain::member::{MemberId, MemberKind};

use super::*;
use crate::append;
use crate::keys::Caller;
use crate::members::{
    AckRefused, AdmitRefused, Answer, Fenced, Register, RegisterRefused, Registered, Shown, State,
};

fn worker(name: &str) -> Register {
    Register { name: name.parse().unwrap(), kind: MemberKind::Worker, lease_ms: Some(60_000) }
}

async fn register(at: &Control, name: &str) -> Registered {
    at.members().register(&caller(at), worker(name), None).await.unwrap()
}

fn caller(at: &Control) -> Caller {
    at.authenticate(None).unwrap()
}

async fn ack(at: &Control, member: MemberId, epoch: u64) -> Result<u64, AckRefused> {
    let renewed = at.members().acknowledge(&caller(at), member, None, pinrail_domain::id::Epoch(epoch)).await;
    renewed.map(|renewed| renewed.epoch.0)
}

/// Waits until all replicas' own gateways are members.
async fn gathered(crew: &Crew) -> Vec<Shown> {
    loop {
        let shown = crew.replicas[0].members().list().await.unwrap();
        if shown.iter().filter(|shown| shown.kind == MemberKind::Gateway).count() == crew.replicas.len() {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_member_is_the_same_at_every_replica_and_outlives_them() {
    let mut crew = Crew::new(3, Tier::Standard).await;
    let names: Vec<String> = gathered(&crew).await.iter().map(|shown| shown.name.to_string()).collect();
    assert_eq!(names, ["replica-0", "replica-1", "replica-2"]);
    let [a, b, c] = [&crew.replicas[0], &crew.replicas[1], &crew.replicas[2]];
    let once = || Some(idempotency("k", "one"));
    let member = a.members().register(&caller(a), worker("w"), once()).await.unwrap();
    let again = b.members().register(&caller(b), worker("w"), once()).await.unwrap();
    assert_eq!(again, Registered { replayed: true, ..member.clone() });
    let other = c.members().register(&caller(c), worker("w"), Some(idempotency("k", "two"))).await;
    assert_eq!(other, Err(RegisterRefused::KeyReused));

    let two = crew.deploy("m2-2026-01-01", Traffic::Now).await;
    b.roll_back(by("back"), two, Default::default()).await.unwrap();
    for replica in &crew.replicas {
        crew.caught_up(replica).await;
    }
    let epoch = b.members().epoch_of(two).unwrap();
    crew.store.pass(7);
    assert_eq!(ack(c, member.member, epoch.0).await, Ok(epoch.0));
    // Each replica's own gateway answers by itself, and all of them say the same of all.
    let report = loop {
        let report = a.members().report(epoch).await.unwrap().unwrap();
        if report.is_settled() {
            break report;
        }
        tokio::task::yield_now().await;
    };
    let told: Vec<(String, Answer)> =
        report.members.iter().map(|member| (member.name.to_string(), member.answer)).collect();
    assert_eq!(told.len(), 4);
    assert_eq!(told[3], ("w".to_owned(), Answer::Acknowledged { took_us: 7_000 }));
    assert!(told.iter().all(|(_, answer)| matches!(answer, Answer::Acknowledged { .. })), "{told:?}");
    for replica in [b, c] {
        assert_eq!(replica.members().report(epoch).await.unwrap().as_ref(), Some(&report));
    }
    // A replica dies, without a word. Another that comes later knows the report and the member.
    crew.replicas.remove(0);
    let late = crew.join("late").await;
    let late = &crew.replicas[late];
    assert_eq!(late.members().report(epoch).await.unwrap().as_ref(), Some(&report));
    assert_eq!(late.members().admit(&caller(late), member.member, None).await, Ok(()));
}

#[tokio::test]
async fn whoever_is_fenced_is_fenced_everywhere() {
    let crew = Crew::new(2, Tier::Standard).await;
    let [a, b] = [&crew.replicas[0], &crew.replicas[1]];
    let member = register(a, "w").await;
    let admit = async |at: &Control| at.members().admit(&caller(at), member.member, None).await;
    assert_eq!(admit(b).await, Ok(()));
    crew.deploy("m2-2026-01-01", Traffic::Now).await;
    crew.caught_up(b).await;
    crew.store.pass(40_000);
    // A heartbeat keeps the lease, and the flip goes on waiting.
    ack(b, member.member, member.epoch.0).await.unwrap();
    crew.store.pass(20_001);
    for at in [a, b] {
        let refused = admit(at).await;
        assert!(matches!(refused, Err(AdmitRefused::Fenced(Fenced::Behind { .. }))), "{refused:?}");
    }
    let list = b.members().list().await.unwrap();
    let shown = list.iter().find(|shown| shown.name.as_str() == "w").unwrap();
    assert!(shown.fenced && matches!(shown.state, State::Behind { .. }));
    crew.store.pass(40_000);
    let refused = ack(b, member.member, member.epoch.0).await;
    assert!(matches!(refused, Err(AckRefused::Fenced(Fenced::Lapsed { .. }))), "{refused:?}");
    let again = register(b, "w").await;
    assert_eq!((again.member, again.generation.0), (member.member, 2));
    assert_eq!(admit(a).await, Ok(()));
    let old = a.members().admit(&caller(a), member.member, Some(member.generation)).await;
    assert!(matches!(old, Err(AdmitRefused::Fenced(Fenced::Replaced { .. }))), "{old:?}");
    let left = b.members().leave(&caller(b), member.member).await.unwrap();
    assert_eq!(left.unwrap().as_str(), "w");
    assert!(matches!(admit(a).await, Err(AdmitRefused::Fenced(Fenced::Unknown(_)))));
}

#[tokio::test]
async fn a_replica_that_slept_registers_anew_and_one_that_stops_says_goodbye() {
    let crew = Crew::new(2, Tier::Standard).await;
    gathered(&crew).await;
    crew.store.pass(60_000);
    // Woken by the next flip, or by its own clock, it finds its lease lapsed.
    crew.deploy("m2-2026-01-01", Traffic::Now).await;
    loop {
        let shown = crew.replicas[0].members().list().await.unwrap();
        if shown.iter().all(|shown| shown.generation.0 == 2 && shown.state == State::Fresh) {
            break;
        }
        tokio::task::yield_now().await;
    }
    crew.replicas[1].drain().await;
    let left = crew.replicas[0].members().list().await.unwrap();
    assert_eq!(left.iter().map(|shown| shown.name.as_str()).collect::<Vec<_>>(), ["replica-0"]);
}

/// Else a rollback's report would say that nobody serves the old pointers any more.
#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_back_acknowledges_nothing_that_it_does_not_serve() {
    let crew = Crew::new(2, Tier::Standard).await;
    gathered(&crew).await;
    let second = &crew.replicas[1];
    let shown = async || {
        let list = crew.replicas[0].members().list().await.unwrap();
        list.into_iter().find(|shown| shown.name.as_str() == "replica-1").unwrap()
    };
    // It slept, and hasn't read yet what the others did meanwhile.
    let turn = append::turn(&second.inner).await;
    let serves = second.snapshot().world.epoch;
    crew.store.pass(60_000);
    crew.deploy("m2-2026-01-01", Traffic::Now).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = shown().await;
    assert!(before.fenced && before.acknowledged <= serves, "{before:?}");
    drop(turn);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = shown().await;
    assert_eq!((after.generation.0, after.state), (2, State::Fresh));
    assert_eq!(after.acknowledged, second.snapshot().world.epoch);
    assert!(after.acknowledged > serves);
}

/// Nor what others did after it had read the ledger, and before it was a member again.
#[tokio::test(start_paused = true)]
async fn a_flip_while_a_replica_registers_is_acknowledged_only_once_it_is_served() {
    let crew = Crew::new(2, Tier::Standard).await;
    gathered(&crew).await;
    let second = &crew.replicas[1];
    let serves = second.snapshot().world.epoch;
    // Its lease lapsed. It has read the ledger, and asks for its name.
    crew.store.pass(60_000);
    crew.store.hold_replicas(true);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let turn = append::turn(&second.inner).await;
    crew.deploy("m2-2026-01-01", Traffic::Now).await;
    crew.store.hold_replicas(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(second.snapshot().world.epoch, serves);
    let members = crew.replicas[0].members().list().await.unwrap();
    let told: Vec<_> =
        members.iter().map(|shown| (shown.name.as_str(), shown.generation.0, shown.acknowledged)).collect();
    let flipped = crew.replicas[0].snapshot().world.epoch;
    assert_eq!(told, [("replica-0", 2, flipped)], "the other serves {serves} and left again");
    drop(turn);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(second.snapshot().world.epoch, flipped);
    let members = gathered(&crew).await;
    assert!(members.iter().all(|shown| (shown.acknowledged, shown.state) == (flipped, State::Fresh)));
}

#[tokio::test]
async fn acknowledgements_that_arrive_together_are_all_taken() {
    let crew = Crew::new(2, Tier::Standard).await;
    let mut members = Vec::new();
    for n in 0..12 {
        members.push(register(&crew.replicas[n % 2], &format!("w{n}")).await.member);
    }
    crew.deploy("m2-2026-01-01", Traffic::Now).await;
    crew.caught_up(&crew.replicas[1]).await;
    let epoch = crew.replicas[0].members().since(None).epoch;
    let mut acks = tokio::task::JoinSet::new();
    for (n, member) in members.into_iter().enumerate() {
        let at = crew.replicas[n % 2].clone();
        acks.spawn(async move { ack(&at, member, epoch.0).await });
    }
    for taken in acks.join_all().await {
        assert_eq!(taken, Ok(epoch.0));
    }
    let report = crew.replicas[1].members().report(epoch).await.unwrap().unwrap();
    let workers = report.members.iter().filter(|member| member.name.as_str().starts_with('w'));
    assert!(workers.clone().count() == 12);
    assert!(workers.into_iter().all(|member| matches!(member.answer, Answer::Acknowledged { .. })));
}

#[tokio::test]
async fn what_another_replica_did_wakes_those_who_wait() {
    let crew = Crew::new(2, Tier::Standard).await;
    gathered(&crew).await;
    let (mut approvals, mut members) =
        (crew.replicas[1].approval_changes(), crew.replicas[1].members().changes());
    approvals.mark_unchanged();
    members.mark_unchanged();
    register(&crew.replicas[0], "w").await;
    approvals.changed().await.unwrap();
    members.changed().await.unwrap();
}
