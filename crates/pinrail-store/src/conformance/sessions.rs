//! What the journal promises of the bindings of sessions.

use pinrail_domain::id::{DeploymentId, EventSeq};
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;

use super::Subject;
use super::sample::{agent, note, run, session, stamp, start, tenant, write};
use crate::journal::{Append, Bind, Follow, SessionKey, Start, Write, WriteError};

pub async fn a_start_and_its_binding_are_one_step(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.session_get(&key("s")).await.unwrap(), None);
    write(store, binding(1, "s", 4, None)).await.unwrap();
    assert_eq!(store.session_get(&key("s")).await.unwrap(), Some(DeploymentId(4)));

    // I3: what makes the start fail leaves no binding.
    let Write::Start(mut illegal) = binding(2, "t", 4, None) else { unreachable!() };
    illegal.events = vec![(Timestamp(1), note("fine")), (Timestamp(1), Event::Resumed)];
    let refused = write(store, Write::Start(illegal)).await;
    assert!(matches!(refused, Err(WriteError::Illegal(_))), "{refused:?}");
    let exists = write(store, binding(1, "t", 4, None)).await;
    assert!(matches!(exists, Err(WriteError::Exists(_))), "{exists:?}");
    assert_eq!(store.session_get(&key("t")).await.unwrap(), None);
}

pub async fn a_bound_session_refuses_another_deployment_and_leaves_no_run(subject: Subject) {
    let store = &*subject.store;
    write(store, binding(1, "s", 4, None)).await.unwrap();
    let results = store
        .journal_write(
            vec![binding(2, "s", 5, None), binding(3, "s", 5, Some(3)), binding(4, "s", 4, None)].into(),
        )
        .await;
    for refused in &results[..2] {
        assert!(matches!(refused, Err(WriteError::Bound(DeploymentId(4)))), "{refused:?}");
    }
    assert!(results[2].is_ok(), "a start on the deployment that the session is bound to: {:?}", results[2]);
    for absent in [run(2), run(3)] {
        assert_eq!(store.run_get(absent).await.unwrap(), None);
        assert_eq!(store.run_events(absent, EventSeq(0), 9).await.unwrap(), []);
    }
    assert_eq!(store.session_get(&key("s")).await.unwrap(), Some(DeploymentId(4)));

    // The run comes before the binding, and the binding before what is legal.
    let exists = write(store, binding(1, "s", 5, None)).await;
    assert!(matches!(exists, Err(WriteError::Exists(_))), "{exists:?}");
    let Write::Start(mut illegal) = binding(5, "s", 5, None) else { unreachable!() };
    illegal.events = vec![(Timestamp(1), Event::Resumed)];
    let bound = write(store, Write::Start(illegal)).await;
    assert!(matches!(bound, Err(WriteError::Bound(_))), "{bound:?}");
}

pub async fn a_binding_moves_when_the_decision_saw_the_old_one(subject: Subject) {
    let store = &*subject.store;
    write(store, binding(1, "s", 4, None)).await.unwrap();
    write(store, binding(2, "s", 5, Some(4))).await.unwrap();
    assert_eq!(store.session_get(&key("s")).await.unwrap(), Some(DeploymentId(5)));
    // A decision that saw a binding which is gone meets none that it didn't see.
    write(store, binding(3, "new", 5, Some(4))).await.unwrap();
    assert_eq!(store.session_get(&key("new")).await.unwrap(), Some(DeploymentId(5)));
}

pub async fn a_start_without_a_binding_leaves_the_session_alone(subject: Subject) {
    let store = &*subject.store;
    let mut unbound = stamp(1);
    unbound.session = Some(session("s"));
    write(store, Write::Start(Box::new(start(unbound)))).await.unwrap();
    assert_eq!(store.session_get(&key("s")).await.unwrap(), None);
    write(store, binding(2, "s", 4, None)).await.unwrap();
    let mut elsewhere = stamp(3);
    elsewhere.session = Some(session("s"));
    elsewhere.deployment = DeploymentId(9);
    write(store, Write::Start(Box::new(start(elsewhere)))).await.unwrap();
    assert_eq!(store.session_get(&key("s")).await.unwrap(), Some(DeploymentId(4)));
}

pub async fn sessions_of_other_agents_and_tenants_are_others(subject: Subject) {
    let store = &*subject.store;
    let cases = [("support", "acme", 1), ("support", "umbrella", 2), ("sales", "acme", 3)];
    for (name, owner, deployment) in cases {
        let Write::Start(mut start) = binding(deployment, "s", deployment, None) else { unreachable!() };
        start.stamp.agent = agent(name);
        start.stamp.tenant = tenant(owner);
        write(store, Write::Start(start)).await.unwrap();
    }
    for (name, owner, deployment) in cases {
        let key = SessionKey { agent: agent(name), tenant: tenant(owner), session: session("s") };
        assert_eq!(store.session_get(&key).await.unwrap(), Some(DeploymentId(deployment)), "{key:?}");
    }
}

pub async fn recent_bindings_come_newest_first(subject: Subject) {
    let store = &*subject.store;
    assert_eq!(store.sessions_recent(9).await.unwrap(), []);
    // `a` is written again last: once as it was, `b` once to another deployment.
    let batch = vec![
        binding(1, "a", 4, None),
        binding(2, "b", 4, None),
        binding(3, "c", 4, None),
        binding(4, "b", 5, Some(4)),
        binding(5, "a", 4, Some(4)),
    ];
    assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    let expected = [("a", 4), ("b", 5), ("c", 4)].map(|(name, id)| (key(name), DeploymentId(id)));
    assert_eq!(store.sessions_recent(9).await.unwrap(), expected);
    assert_eq!(store.sessions_recent(2).await.unwrap(), expected[..2]);
    assert_eq!(store.sessions_recent(0).await.unwrap(), []);
}

pub async fn a_session_that_follows_an_answer_is_bound_with_its_events(subject: Subject) {
    let store = &*subject.store;
    write(store, binding(1, "s", 4, None)).await.unwrap();
    write(store, following(1, "response:a", 4, vec![note("said")])).await.unwrap();
    assert_eq!(store.session_get(&key("response:a")).await.unwrap(), Some(DeploymentId(4)));
    assert_eq!(store.session_get(&key("s")).await.unwrap(), Some(DeploymentId(4)));
    // What the session was bound to doesn't matter.
    write(store, binding(2, "t", 5, None)).await.unwrap();
    write(store, following(2, "response:a", 5, vec![note("said")])).await.unwrap();
    assert_eq!(store.session_get(&key("response:a")).await.unwrap(), Some(DeploymentId(5)));
    let recent = store.sessions_recent(1).await.unwrap();
    assert_eq!(recent, [(key("response:a"), DeploymentId(5))]);
    // A run of the session is stamped with the deployment that the session is bound to, or not at all.
    let elsewhere = write(store, binding(3, "response:a", 4, None)).await;
    assert!(matches!(elsewhere, Err(WriteError::Bound(DeploymentId(5)))), "{elsewhere:?}");
    write(store, binding(3, "response:a", 5, None)).await.unwrap();
    // I3: events that aren't taken bind nothing.
    let refused = write(store, following(9, "response:b", 4, vec![note("said")])).await;
    assert!(refused.is_err(), "{refused:?}");
    let illegal = write(store, following(1, "response:b", 4, vec![note("fine"), Event::Resumed])).await;
    assert!(matches!(illegal, Err(WriteError::Illegal(_))), "{illegal:?}");
    assert_eq!(store.session_get(&key("response:b")).await.unwrap(), None);
}

fn key(name: &str) -> SessionKey {
    SessionKey { agent: agent("support"), tenant: tenant("acme"), session: session(name) }
}

/// Starts the `n`th run and binds its session to its deployment.
fn binding(n: u64, name: &str, deployment: u64, replaces: Option<u64>) -> Write {
    let mut bound = stamp(n);
    bound.session = Some(session(name));
    bound.deployment = DeploymentId(deployment);
    let bind = Some(Bind { replaces: replaces.map(DeploymentId) });
    Write::Start(Box::new(Start { bind, ..start(bound) }))
}

/// Events of the `n`th run, whose answer a session goes on from.
fn following(n: u64, name: &str, deployment: u64, events: Vec<Event>) -> Write {
    let events = events.into_iter().map(|event| (Timestamp(1), event)).collect();
    let follow = Follow { session: key(name), deployment: DeploymentId(deployment) };
    let follows = Some(Box::new(follow));
    Write::Append(Append { run: run(n), expected: None, events, follows, answer: None })
}
