//! What approvals promise: asked for once, decided once, used once.

use pinrail_domain::approval::{Approval, ApprovalState, Decision, NotDecided, Use};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{ApprovalId, DeploymentId, SegmentName};
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{agent, all_at_once, answer, release, run, session, tenant};
use crate::approvals::{ApprovalFilter, Asked, DecideError};

fn id(n: u64) -> ApprovalId {
    ApprovalId::from_parts(1_000 + n, u128::from(n))
}

/// Asked for at 1 000 ms, to be decided within a second.
pub(super) fn approval(n: u64, key: &str) -> Approval {
    let digest = Digest::of(b"{}");
    Approval {
        id: id(n),
        key: Digest::of(key.as_bytes()),
        call: None,
        run: run(n),
        agent: agent("support"),
        segment: SegmentName::default_segment(),
        tenant: tenant("acme"),
        session: Some(session("s1")),
        deployment: DeploymentId(1),
        release: release("one"),
        tool: "refund".parse().unwrap(),
        arguments: Some(format!("{{\"to\":\"Ada'; -- ü {n}\"}}")),
        truncated: true,
        until_decided: false,
        digest: Some(digest),
        why: "the dial".to_owned(),
        asked_at: Timestamp(1_000),
        expires_at: Timestamp(2_000),
        decision: None,
        used: None,
    }
}

fn said(approved: bool, at: u64) -> Decision {
    Decision { approved, by: Actor::Open, at: Timestamp(at), reason: "it \"is\" fine".to_owned() }
}

fn by(n: u64, at: u64) -> Use {
    Use { run: run(n), at: Timestamp(at) }
}

pub async fn a_call_is_asked_for_once(subject: Subject) {
    let store = &*subject.store;
    let first = approval(1, "a");
    assert_eq!(store.approval_ask(first.clone()).await.unwrap(), Asked::New);
    assert_eq!(store.approval_get(id(1)).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.approval_get(id(9)).await.unwrap(), None);
    let known = Asked::Known(Box::new(first.clone()));
    assert_eq!(store.approval_ask(approval(2, "a")).await.unwrap(), known);
    assert_eq!(store.approval_get(id(2)).await.unwrap(), None);
    assert_eq!(store.approval_ask(approval(3, "b")).await.unwrap(), Asked::New);
    // Once it has expired, the same call asks anew.
    let late = Approval { asked_at: Timestamp(2_000), expires_at: Timestamp(3_000), ..approval(4, "a") };
    assert_eq!(store.approval_ask(late.clone()).await.unwrap(), Asked::New);
    let later = Approval { asked_at: Timestamp(2_500), ..approval(5, "a") };
    assert_eq!(store.approval_ask(later).await.unwrap(), Asked::Known(Box::new(late)));
    // What was used stands only for the call of its own id.
    let named = |n, call: &str| Approval { call: Some(call.to_owned()), ..approval(n, call) };
    for (n, call) in [(6, Some("c")), (7, None)] {
        let asked = call.map_or_else(|| approval(n, "d"), |call| named(n, call));
        store.approval_ask(asked).await.unwrap();
        store.approval_decide(id(n), said(true, 1_500), Timestamp(1_900), None).await.unwrap();
        assert!(store.approval_use(id(n), by(n, 1_600)).await.unwrap());
    }
    assert!(
        matches!(store.approval_ask(named(8, "c")).await.unwrap(), Asked::Known(used) if used.id == id(6))
    );
    assert_eq!(store.approval_ask(approval(9, "d")).await.unwrap(), Asked::New);
}

pub async fn of_many_decisions_one_counts(subject: Subject) {
    let store = &*subject.store;
    store.approval_ask(approval(1, "a")).await.unwrap();
    let deciding = (0..16_u64).map(|n| {
        let decision = Decision { reason: n.to_string(), ..said(n % 2 == 0, 1_500) };
        store.approval_decide(id(1), decision, Timestamp(2_000), None)
    });
    let mut counted = Vec::new();
    for decided in all_at_once(deciding).await {
        match decided {
            Ok(approval) => counted.push(approval),
            Err(DecideError::Refused(NotDecided::Decided { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(counted.len(), 1);
    assert_eq!(store.approval_get(id(1)).await.unwrap(), counted.pop());
}

pub async fn a_decision_comes_in_time_and_is_answered_once(subject: Subject) {
    let store = &*subject.store;
    for n in 1..=3 {
        store.approval_ask(approval(n, &n.to_string())).await.unwrap();
    }
    let late = store.approval_decide(id(1), said(true, 2_000), Timestamp(9_000), None).await;
    assert!(matches!(late, Err(DecideError::Refused(NotDecided::Expired { .. }))), "{late:?}");
    let none = store.approval_decide(id(9), said(true, 1), Timestamp(2), None).await;
    assert!(matches!(none, Err(DecideError::NoApproval(there)) if there == id(9)));
    let given = answer("key", "k", 5);
    let decide = async |n, given| store.approval_decide(id(n), said(false, 1_100), Timestamp(0), given).await;
    let done = decide(2, Some(given.clone())).await.unwrap();
    assert_eq!((done.decision, done.expires_at), (Some(said(false, 1_100)), Timestamp(2_000)));
    let again = decide(2, Some(given.clone())).await;
    assert!(matches!(again, Err(DecideError::Answered(there)) if *there == given));
    // A refused decision keeps no answer.
    let other = answer("key", "l", 6);
    assert!(decide(2, Some(other.clone())).await.is_err());
    assert_eq!(store.answer_get(&other.key).await.unwrap(), None);
}

pub async fn an_approved_call_is_made_once(subject: Subject) {
    let store = &*subject.store;
    store.approval_ask(approval(1, "a")).await.unwrap();
    assert!(!store.approval_use(id(1), by(1, 1_200)).await.unwrap(), "nobody decided");
    store.approval_decide(id(1), said(true, 1_900), Timestamp(3_000), None).await.unwrap();
    assert!(!store.approval_use(id(1), by(1, 3_000)).await.unwrap(), "too late");
    let going = (0..8).map(|n| store.approval_use(id(1), by(n, 2_500)));
    let went = all_at_once(going).await.into_iter().filter(|went| *went.as_ref().unwrap()).count();
    assert_eq!(went, 1);
    let used = store.approval_get(id(1)).await.unwrap().unwrap();
    assert_eq!((used.state(Timestamp(9_999)), used.expires_at), (ApprovalState::Used, Timestamp(3_000)));
    assert!(!store.approval_use(id(9), by(1, 1)).await.unwrap());
}

pub async fn approvals_are_listed_newest_first_and_by_filter(subject: Subject) {
    let store = &*subject.store;
    for n in 1..=6 {
        let mut asked = approval(n, &n.to_string());
        if n % 3 == 0 {
            (asked.agent, asked.tenant) = (agent("sales"), tenant("umbrella"));
        }
        if n == 5 {
            asked.tool = "mail".parse().unwrap();
        }
        store.approval_ask(asked).await.unwrap();
    }
    store.approval_decide(id(1), said(true, 1_500), Timestamp(2_000), None).await.unwrap();
    store.approval_decide(id(2), said(false, 1_500), Timestamp(2_000), None).await.unwrap();
    store.approval_decide(id(3), said(true, 1_500), Timestamp(2_000), None).await.unwrap();
    assert!(store.approval_use(id(3), by(3, 1_600)).await.unwrap());
    let check = async |filter: ApprovalFilter, before: Option<u64>, limit, expected: &[u64]| {
        let found = store.approval_list(&filter, before.map(id), limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|approval| approval.id).collect();
        assert_eq!(found, expected.iter().copied().map(id).collect::<Vec<_>>(), "{filter:?}");
    };
    let all = ApprovalFilter::default;
    check(all(), None, 9, &[6, 5, 4, 3, 2, 1]).await;
    check(all(), Some(5), 2, &[4, 3]).await;
    check(ApprovalFilter { agent: Some(agent("sales")), ..all() }, None, 9, &[6, 3]).await;
    check(ApprovalFilter { tool: Some("mail".parse().unwrap()), ..all() }, None, 9, &[5]).await;
    check(ApprovalFilter { run: Some(run(2)), ..all() }, None, 9, &[2]).await;
    check(ApprovalFilter { tenants: Some(vec![tenant("umbrella")]), ..all() }, None, 9, &[6, 3]).await; // I11
    check(ApprovalFilter { tenants: Some(vec![]), ..all() }, None, 9, &[]).await;
    let at = |state, now| ApprovalFilter { state: Some((state, Timestamp(now))), ..all() };
    check(at(ApprovalState::Pending, 1_700), None, 9, &[6, 5, 4]).await;
    check(at(ApprovalState::Approved, 1_700), None, 9, &[1]).await;
    check(at(ApprovalState::Denied, 1_700), None, 9, &[2]).await;
    check(at(ApprovalState::Used, 1_700), None, 9, &[3]).await;
    check(at(ApprovalState::Expired, 1_700), None, 9, &[]).await;
    check(at(ApprovalState::Expired, 2_000), None, 9, &[6, 5, 4, 1]).await;
    assert_eq!(store.approvals_pending(Timestamp(1_999)).await.unwrap(), 3);
    assert_eq!(store.approvals_pending(Timestamp(2_000)).await.unwrap(), 0);
}

pub async fn erasure_takes_the_arguments(subject: Subject) {
    let store = &*subject.store;
    for n in 1..=2 {
        store.approval_ask(approval(n, &n.to_string())).await.unwrap();
    }
    assert_eq!(store.run_erase(&[run(1)]).await.unwrap(), 1);
    assert_eq!(store.run_erase(&[run(1)]).await.unwrap(), 0);
    let erased = approval(1, "1").without_content();
    assert_eq!(store.approval_get(id(1)).await.unwrap(), Some(erased));
    assert_eq!(store.approval_get(id(2)).await.unwrap(), Some(approval(2, "2")));
    // What is left can be decided.
    store.approval_decide(id(1), said(true, 1_500), Timestamp(2_000), None).await.unwrap();
}

pub async fn arguments_kept_for_the_decision_go_with_it(subject: Subject) {
    let store = &*subject.store;
    let passing = |n| Approval { until_decided: true, ..approval(n, &n.to_string()) };
    for n in 1..=3 {
        store.approval_ask(passing(n)).await.unwrap();
    }
    store.approval_ask(approval(4, "4")).await.unwrap();
    let later = Approval { expires_at: Timestamp(5_000), ..passing(5) };
    store.approval_ask(later.clone()).await.unwrap();
    for (n, approved) in [(1, true), (2, false)] {
        let decided =
            store.approval_decide(id(n), said(approved, 1_500), Timestamp(2_500), None).await.unwrap();
        assert_eq!((&decided.arguments, decided.truncated), (&None, false));
        assert_eq!(store.approval_get(id(n)).await.unwrap(), Some(decided));
    }
    assert_eq!(store.approvals_forget(Timestamp(1_999)).await.unwrap(), 0);
    assert_eq!(store.approval_get(id(3)).await.unwrap(), Some(passing(3)));
    assert_eq!(store.approvals_forget(Timestamp(2_000)).await.unwrap(), 1);
    assert_eq!(store.approvals_forget(Timestamp(2_000)).await.unwrap(), 0);
    assert_eq!(store.approval_get(id(3)).await.unwrap(), Some(passing(3).without_content()));
    assert_eq!(store.approval_get(id(4)).await.unwrap(), Some(approval(4, "4")));
    assert_eq!(store.approval_get(id(5)).await.unwrap(), Some(later));
    assert!(store.approval_use(id(1), by(1, 2_000)).await.unwrap());
}
