use std::sync::atomic::Ordering;

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::deploy::Traffic;
use pinrail_domain::key::{Scope, Tenants};
use pinrail_domain::tier::Tier;
use proptest::prelude::*;

use super::super::*;
use super::{Kept, Local};
use crate::tests::bench::{AGENTS, Bench, agent, by, idempotency};

/// A bench, and who asks.
struct Play {
    bench: Bench,
    caller: Caller,
}

async fn play() -> Play {
    let bench = Bench::new(Tier::Standard).await;
    let caller = bench.control.authenticate(None).unwrap();
    Play { bench, caller }
}

fn worker(name: &str, lease_ms: u64) -> Register {
    Register { name: name.parse().unwrap(), kind: MemberKind::Worker, lease_ms: Some(lease_ms) }
}

impl Play {
    fn members(&self) -> &Local {
        &self.bench.control.members().local
    }

    fn register(&self, name: &str, lease_ms: u64) -> Registered {
        self.members().register(&self.caller, worker(name, lease_ms), None).unwrap()
    }

    fn ack(&self, member: MemberId, epoch: Epoch) -> Result<Epoch, AckRefused> {
        self.members().acknowledge(&self.caller, member, None, epoch).map(|renewed| renewed.epoch)
    }

    fn admit(&self, member: MemberId) -> Result<(), Fenced> {
        self.members().admit(&self.caller, member, None)
    }

    fn pass(&self, ms: u64) {
        self.bench.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Raises the epoch by one; returns it.
    async fn flip(&self) -> Epoch {
        let before = self.members().since(None).epoch;
        let spec = AgentSpec { description: before.to_string(), ..AgentSpec::default() };
        self.bench.control.agent_put(by("a"), &agent("planner"), &spec).await.unwrap();
        let now = self.bench.control.snapshot().world.epoch;
        assert_eq!((now, self.members().since(None).epoch), (before.next(), before.next()));
        now
    }

    fn answers(&self, epoch: Epoch) -> Vec<(String, Answer)> {
        let members = self.members().report(epoch).unwrap().members;
        members.into_iter().map(|member| (member.name.to_string(), member.answer)).collect()
    }

    fn shown(&self, name: &str) -> Shown {
        self.members().list().into_iter().find(|shown| shown.name.as_str() == name).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_flip_is_acknowledged_and_timed() {
    let play = play().await;
    let (a, b) = (play.register("a", 15_000), play.register("b", 15_000));
    assert_eq!((a.epoch, a.generation), (play.bench.control.snapshot().world.epoch, Generation(1)));
    let epoch = play.flip().await;
    assert!(matches!(play.shown("a").state, State::Behind { epochs: 1, for_ms: 0 }));
    play.pass(4);
    assert_eq!(play.ack(a.member, epoch), Ok(epoch));
    play.pass(6);
    // A heartbeat on the old epoch: the lease is renewed, and the answer says what is missing.
    assert_eq!(play.ack(b.member, b.epoch), Ok(epoch));
    let told = |took_us| Answer::Acknowledged { took_us };
    assert_eq!(
        play.answers(epoch),
        [
            ("a".to_owned(), told(4_000)),
            ("b".to_owned(), Answer::Missing { lease_left_ms: 15_000 }),
            ("self".to_owned(), told(0)),
        ]
    );
    assert!(!play.members().report(epoch).unwrap().is_settled());
    play.ack(b.member, epoch).unwrap();
    // Late and early repetitions change nothing.
    play.pass(90);
    play.ack(b.member, epoch).unwrap();
    let report = play.members().report(epoch).unwrap();
    assert_eq!(report.took, Some(Took { p50_us: 4_000, p99_us: 10_000, max_us: 10_000 }));
    assert!(report.is_settled() && report.acknowledged() == 3);
    assert_eq!(play.shown("b").state, State::Fresh);
}

#[tokio::test(start_paused = true)]
async fn one_acknowledgement_answers_all_epochs_before_it() {
    let play = play().await;
    let a = play.register("a", 15_000);
    let first = play.flip().await;
    play.pass(5);
    let second = play.flip().await;
    play.pass(5);
    play.ack(a.member, second).unwrap();
    assert_eq!(play.answers(first)[0].1, Answer::Acknowledged { took_us: 10_000 });
    assert_eq!(play.answers(second)[0].1, Answer::Acknowledged { took_us: 5_000 });
    let ahead = play.ack(a.member, second.next());
    assert_eq!(ahead, Err(AckRefused::Ahead { said: second.next(), epoch: second }));
}

#[tokio::test(start_paused = true)]
async fn whoever_lets_its_lease_lapse_is_fenced_until_it_registers_again() {
    let play = play().await;
    let a = play.register("a", 2_000);
    let epoch = play.flip().await;
    play.pass(2_000);
    assert_eq!(play.admit(a.member), Ok(()), "a lease lasts as long as it says");
    play.pass(1);
    assert!(matches!(play.admit(a.member), Err(Fenced::Lapsed { for_ms: 1, .. })));
    assert!(matches!(play.ack(a.member, epoch), Err(AckRefused::Fenced(Fenced::Lapsed { .. }))));
    assert_eq!(play.answers(epoch)[0].1, Answer::Fenced);
    assert!(play.shown("a").fenced);

    let again = play.register("a", 2_000);
    assert_eq!((again.member, again.generation, again.epoch), (a.member, Generation(2), epoch));
    assert_eq!(play.admit(again.member), Ok(()));
    // Whoever it was before is told apart, and what it missed isn't forgiven.
    let before = play.members().admit(&play.caller, a.member, Some(a.generation));
    assert!(matches!(before, Err(Fenced::Replaced { current: Generation(2), .. })));
    assert_eq!(play.answers(epoch)[0].1, Answer::Fenced);
    assert!(play.members().report(epoch).unwrap().is_settled());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_alone_does_not_let_a_member_stay_behind() {
    let play = play().await;
    let a = play.register("a", 2_000);
    let (first, second) = (play.flip().await, {
        play.pass(1_500);
        play.flip().await
    });
    play.ack(a.member, a.epoch).unwrap();
    play.pass(500);
    assert_eq!(play.admit(a.member), Ok(()));
    play.pass(1);
    // The first flip counts, also where a later one came meanwhile.
    assert!(matches!(play.admit(a.member), Err(Fenced::Behind { for_ms: 2_001, .. })));
    assert_eq!(play.answers(first)[0].1, Answer::Fenced);
    play.ack(a.member, first).unwrap();
    assert_eq!(play.admit(a.member), Ok(()), "the second flip is 501 ms old");
    play.ack(a.member, second).unwrap();
    assert_eq!(play.shown("a").state, State::Fresh);
}

#[tokio::test(start_paused = true)]
async fn names_are_their_owners_and_a_register_again_takes_the_place() {
    let play = play().await;
    let a = play.register("a", 15_000);
    let epoch = play.flip().await;
    play.register("a", 15_000);
    assert_eq!(play.answers(epoch)[0], ("a".to_owned(), Answer::Replaced));

    let admin = play.bench.control.key_create(by("k"), key("ops", Scope::Admin)).await.unwrap().1.unwrap();
    let other = play.bench.control.key_create(by("k"), key("w", Scope::Run)).await.unwrap().1.unwrap();
    let caller = |token: &str| play.bench.control.authenticate(Some(token)).unwrap();
    let (admin, other) = (caller(&admin.reveal()), caller(&other.reveal()));
    let theirs = play.members().register(&other, worker("a", 15_000), None).unwrap();
    assert_ne!(theirs.member, a.member);
    assert_eq!(play.members().admit(&other, a.member, None), Err(Fenced::Unknown(a.member)));
    assert_eq!(play.members().leave(&other, a.member), None);
    let own = play.shown("self").member;
    assert_eq!((play.members().leave(&admin, own), play.members().list().len()), (None, 3));
    assert_eq!(play.members().leave(&admin, theirs.member).unwrap().as_str(), "a");
}

fn key(name: &str, scope: Scope) -> crate::keys::NewKey {
    crate::keys::NewKey { name: name.to_owned(), scopes: [scope].into(), tenants: Tenants::All }
}

#[tokio::test(start_paused = true)]
async fn leases_and_members_are_bounded() {
    let play = play().await;
    let register = |name: &str, ms, key| play.members().register(&play.caller, worker(name, ms), key);
    assert_eq!(register("a", LEASE_MS_MIN - 1, None), Err(RegisterRefused::Lease(999)));
    assert_eq!(register("a", LEASE_MS_MAX + 1, None), Err(RegisterRefused::Lease(300_001)));
    let once = || Some(idempotency("k", "one"));
    let first = register("m0", 1_000, once()).unwrap();
    assert_eq!(register("m0", 1_000, once()).unwrap(), Registered { replayed: true, ..first });
    assert_eq!(register("m0", 1_000, Some(idempotency("k", "two"))), Err(RegisterRefused::KeyReused));
    for n in 1..MEMBERS_MAX {
        register(&format!("m{n}"), 5_000, None).unwrap();
    }
    assert_eq!(register("one-more", 5_000, None), Err(RegisterRefused::TooMany));
    register("m0", 1_000, None).unwrap();
    // Who lapsed makes room, and is listed until then.
    play.pass(1_001);
    assert_eq!(play.members().list().len(), MEMBERS_MAX + 1);
    register("one-more", 5_000, None).unwrap();
    assert_eq!(play.admit(first.member), Err(Fenced::Unknown(first.member)));
    play.pass(5_000 + LAPSED_KEPT_MS + 1);
    assert_eq!(play.members().list().len(), 1, "its own gateway stays");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_settles_what_was_awaited() {
    let play = play().await;
    let (a, _b) = (play.register("a", 15_000), play.register("b", 15_000));
    let epoch = play.flip().await;
    assert_eq!(play.members().leave(&play.caller, a.member).unwrap().as_str(), "a");
    assert_eq!(play.answers(epoch)[0].1, Answer::Left);
    assert_eq!(play.admit(a.member), Err(Fenced::Unknown(a.member)));
    assert!(!play.answers(play.flip().await).iter().any(|(name, _)| name == "a"));
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_from_any_epoch_that_is_kept_also_after_a_restart() {
    let play = play().await;
    let two = play.bench.deploy(&AGENTS, "m2-2026-01-01", Traffic::Now).await;
    play.bench.roll_back(two).await;
    let now = play.members().since(None);
    assert_eq!((now.epoch, now.changes.len(), now.more), (Epoch(7), 0, false));
    // Opened and promoted are two epochs in one flip.
    let since = play.members().since(Some(Epoch(4)));
    let told: Vec<_> = since.changes.iter().map(|change| (change.epoch.0, &*change.kind)).collect();
    assert_eq!(told, [(5, "deployment_opened"), (6, "deployment_promoted"), (7, "deployment_rolled_back")]);
    assert_eq!(since.changed(), [Part::Pointers, Part::Commits].into());
    assert_eq!(since.changes[2].deployment, Some(DeploymentId(2)));
    assert_eq!(since.changes[2].agents.len(), 2);
    assert_eq!(play.members().epoch_of(two), Some(Epoch(7)));

    let (again, _) = play.bench.another().await;
    assert_eq!(again.control.members().since(Some(Epoch(4))), since);
    assert_eq!(again.control.members().local.report(Epoch(7)), None, "another process flipped it");
    for _ in 0..EPOCHS_KEPT {
        play.flip().await;
    }
    let since = play.members().since(Some(Epoch(4)));
    assert_eq!((since.changes.len(), since.more), (EPOCHS_KEPT, true));
    assert_eq!(play.members().report(Epoch(7)), None);
    let all = play.members().since(Some(since.epoch));
    assert_eq!((all.changes.len(), all.more), (0, false));
}

/// A replica that catches up flips when it does.
#[tokio::test(start_paused = true)]
async fn what_another_replica_changed_is_flipped_here_when_it_is_seen() {
    let play = play().await;
    let (replica, _) = play.bench.another().await;
    play.bench.canary("m2-2026-01-01", "5%").await;
    assert_eq!(replica.control.members().since(None).epoch, Epoch(4));
    replica.roll_back(DeploymentId(2)).await;
    assert_eq!(replica.control.members().since(None).epoch, Epoch(6));
    assert!(replica.control.members().local.report(Epoch(5)).is_some());
}

/// What members do, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Register(u8),
    Ack(u8, u64),
    Leave(u8),
    Flip,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8).prop_map(Step::Register),
        (0..3_u8, 0..4_u64).prop_map(|(who, back)| Step::Ack(who, back)),
        (0..3_u8).prop_map(Step::Leave),
        Just(Step::Flip),
        (0..1_500_u64).prop_map(Step::Pass),
    ]
}

/// What must hold of a member: when it was heard last, and for how long it has been behind.
#[derive(Clone, Copy, Default)]
struct Model {
    id: Option<MemberId>,
    heard_at: u64,
    acked: u64,
}

proptest! {
    /// Nobody writes whose lease lapsed, or who hasn't acknowledged a flip that is older than its lease; everyone
    /// else does.
    #[test]
    fn a_member_is_fenced_exactly_when_it_should_be(steps in prop::collection::vec(step(), 1..60)) {
        let clock = Arc::new(crate::tests::bench::ManualClock(0.into()));
        let members = Local::open(clock.clone(), Arc::new(Ids(0.into())), Epoch(0), []);
        let caller = Caller::system();
        let (mut model, mut flips, mut now) = ([Model::default(); 3], Vec::<u64>::new(), 0_u64);
        for step in steps {
            let epoch = flips.len() as u64;
            match step {
                Step::Register(who) => {
                    let id = members.register(&caller, worker(&format!("w{who}"), 1_000), None).unwrap().member;
                    model[usize::from(who)] = Model { id: Some(id), heard_at: now, acked: epoch };
                }
                Step::Ack(who, back) => {
                    let one = &mut model[usize::from(who)];
                    let Some(id) = one.id else { continue };
                    let said = epoch.saturating_sub(back);
                    let taken = members.acknowledge(&caller, id, None, Epoch(said)).is_ok();
                    prop_assert_eq!(taken, now - one.heard_at <= 1_000);
                    if taken {
                        (one.heard_at, one.acked) = (now, one.acked.max(said));
                    }
                }
                Step::Leave(who) => {
                    if let Some(id) = model[usize::from(who)].id.take() {
                        members.leave(&caller, id).unwrap();
                    }
                }
                Step::Flip => {
                    flips.push(now);
                    members.flip_for_test(Epoch(epoch + 1));
                }
                Step::Pass(ms) => {
                    now += ms;
                    clock.0.store(now, Ordering::SeqCst);
                }
            }
            let kept = flips.len().saturating_sub(EPOCHS_KEPT);
            for one in &model {
                let Some(id) = one.id else { continue };
                let oldest = usize::try_from(one.acked).unwrap().max(kept);
                let behind = flips.get(oldest).is_some_and(|flipped| now - flipped > 1_000);
                let admitted = members.admit(&caller, id, None).is_ok();
                prop_assert_eq!(admitted, now - one.heard_at <= 1_000 && !behind);
            }
        }
    }
}

/// Counts.
struct Ids(std::sync::atomic::AtomicU64);

impl Entropy for Ids {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes());
    }
}

impl Local {
    fn flip_for_test(&self, epoch: Epoch) {
        let (now, at) = (self.clock.ticks(), self.clock.now());
        let Kept { registry, flips } = &mut *self.lock();
        let (kind, changed, agents) = ("agent_put".into(), BTreeSet::new(), BTreeSet::new());
        let change = Change { epoch, seq: LedgerSeq(epoch.0), at, kind, changed, deployment: None, agents };
        flips.flip_now(change, registry, now, at);
    }
}
