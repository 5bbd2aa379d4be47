//! What artifacts promise.

use pinrail_domain::digest::Digest;

use super::{Damage, Subject};
use crate::StoreError;

pub async fn an_artifact_comes_back_as_it_went_in(subject: Subject) {
    let store = &*subject.store;
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
    for bytes in [&b""[..], b"you are a support agent", &every_byte] {
        let digest = store.artifact_put(bytes).await.unwrap();
        assert_eq!(digest, Digest::of(bytes));
        assert_eq!(store.artifact_get(digest).await.unwrap().as_deref(), Some(bytes));
    }
    assert_eq!(store.artifact_get(Digest::of(b"never stored")).await.unwrap(), None);
}

pub async fn storing_an_artifact_twice_changes_nothing(subject: Subject) {
    let store = &*subject.store;
    let first = store.artifact_put(b"prompt").await.unwrap();
    let second = store.artifact_put(b"prompt").await.unwrap();
    assert_eq!(first, second);
    assert_eq!(store.artifact_get(first).await.unwrap().as_deref(), Some(&b"prompt"[..]));
}

pub async fn a_damaged_artifact_is_never_handed_out(subject: Subject) {
    let store = &*subject.store;
    let digest = store.artifact_put(b"prompt").await.unwrap();
    let other = store.artifact_put(b"tools").await.unwrap();
    (subject.damage)(Damage::Artifact(digest));
    match store.artifact_get(digest).await {
        Err(StoreError::Damaged(what)) => assert!(what.contains(&digest.to_string()), "{what}"),
        other => panic!("handed out: {other:?}"),
    }
    assert!(store.artifact_get(other).await.unwrap().is_some());
}
