//! Keys: who may hold them, what they open, and that no secret stays behind (I15).

use std::collections::BTreeSet;

use pinrail_domain::id::LedgerSeq;
use pinrail_domain::key::{Scope, Tenants, Token};
use pinrail_domain::ledger::Actor;

use pinrail_store::Answers as _;

use super::bench::*;
use crate::CommitError;
use crate::keys::{KEYS_MAX, KeyRefused, NewKey, Unauthenticated};

fn new(scopes: &[Scope], tenants: Tenants) -> NewKey {
    NewKey { name: "ci".to_owned(), scopes: scopes.iter().copied().collect(), tenants }
}

async fn made(bench: &Bench, scopes: &[Scope], tenants: Tenants) -> Token {
    bench.control.key_create(by("key"), new(scopes, tenants)).await.unwrap().1.unwrap()
}

#[tokio::test]
async fn keys_that_would_lock_out_or_let_in_are_refused() {
    let bench = Bench::empty().await;
    let refuse = async |key: NewKey, expected: KeyRefused| {
        let refused = bench.control.key_create(by("key"), key).await.unwrap_err();
        assert!(matches!(&refused, CommitError::Refused(why) if *why == expected), "{refused:?}");
    };
    let acme = || Tenants::Only([tenant("acme")].into());
    refuse(new(&[], Tenants::All), KeyRefused::NoScope).await;
    refuse(NewKey { name: String::new(), ..new(&[Scope::Admin], Tenants::All) }, KeyRefused::Name).await;
    refuse(NewKey { name: "a\nb".into(), ..new(&[Scope::Admin], Tenants::All) }, KeyRefused::Name).await;
    refuse(new(&[Scope::Run], Tenants::Only(BTreeSet::new())), KeyRefused::NoTenant).await;
    refuse(new(&[Scope::Admin], acme()), KeyRefused::TenantScope(Scope::Admin)).await;
    refuse(new(&[Scope::Deploy], acme()), KeyRefused::TenantScope(Scope::Deploy)).await;
    refuse(new(&[Scope::Run], Tenants::All), KeyRefused::FirstNotAdmin).await;
    assert!(!bench.control.is_keyed());

    let first = made(&bench, &[Scope::Admin], Tenants::All).await;
    made(&bench, &[Scope::Run], acme()).await;
    let last = bench.control.key_revoke(by("out"), &first.id).await.unwrap_err();
    assert!(matches!(last, CommitError::Refused(KeyRefused::LastAdmin)));
    made(&bench, &[Scope::Admin], Tenants::All).await;
    bench.control.key_revoke(by("out"), &first.id).await.unwrap();
    let gone = bench.control.key_revoke(by("out"), &first.id).await.unwrap_err();
    assert!(matches!(gone, CommitError::Refused(KeyRefused::NoKey(_))));
    assert!(bench.control.authenticate(Some(&first.reveal())).is_err());
    while bench.control.snapshot().world.keys.len() < KEYS_MAX {
        made(&bench, &[Scope::Read], Tenants::All).await;
    }
    refuse(new(&[Scope::Read], Tenants::All), KeyRefused::TooMany).await;
}

#[tokio::test]
async fn a_call_is_let_in_by_a_whole_living_key_and_nothing_else() {
    let bench = Bench::empty().await;
    // Without any key the server is open, whatever a caller sends along.
    for bearer in [None, Some("nonsense")] {
        let caller = bench.control.authenticate(bearer).unwrap();
        assert_eq!((caller.actor.clone(), caller.may(Scope::Admin)), (Actor::Open, true));
    }
    let admin = made(&bench, &[Scope::Admin], Tenants::All).await;
    let acme = Tenants::Only([tenant("acme")].into());
    let run = made(&bench, &[Scope::Run], acme.clone()).await;
    let check = |bearer: Option<&str>, expected: Unauthenticated| {
        assert_eq!(bench.control.authenticate(bearer), Err(expected), "{bearer:?}");
    };
    check(None, Unauthenticated::Missing);
    let others = Token { id: admin.id.clone(), secret: run.secret.clone() }.reveal();
    let unknown = Token { id: "0123456789ab".parse().unwrap(), secret: run.secret.clone() }.reveal();
    for bad in ["", "nonsense", &admin.reveal()[..20], &others, &unknown] {
        check(Some(bad), Unauthenticated::Invalid);
    }
    let caller = bench.control.authenticate(Some(&run.reveal())).unwrap();
    assert_eq!((caller.id(), &caller.tenants), (run.id.to_string(), &acme));
    assert!(caller.may(Scope::Run) && !caller.may(Scope::Read) && !caller.may(Scope::Admin));
    // A key that is revoked does not make the server open again, and keys outlive a restart.
    let (again, _) = bench.another().await;
    assert!(again.control.authenticate(Some(&run.reveal())).is_ok());
    bench.control.key_revoke(by("out"), &run.id).await.unwrap();
    check(Some(&run.reveal()), Unauthenticated::Invalid);
}

#[tokio::test]
async fn the_secret_is_handed_out_once_and_kept_nowhere() {
    let bench = Bench::empty().await;
    let create = || bench.control.key_create(keyed("k", "key"), new(&[Scope::Admin], Tenants::All));
    let (first, token) = create().await.unwrap();
    let token = token.unwrap();
    let (again, none) = create().await.unwrap();
    assert!(again.replayed && none.is_none() && again.value == first.value);

    let ledger = bench.control.ledger_read(LedgerSeq(0), 100).await.unwrap();
    let answer = bench.store.answer_get(&idempotency("k", "key").key).await.unwrap().unwrap();
    let caller = bench.control.authenticate(Some(&token.reveal())).unwrap();
    let everywhere = format!(
        "{} {answer:?} {first:?} {token:?} {caller:?} {:?}",
        serde_json::to_string(&ledger).unwrap(),
        bench.control.snapshot()
    );
    assert!(everywhere.contains(token.id.to_string().as_str()));
    assert!(!everywhere.contains(&token.secret)); // I15
}
