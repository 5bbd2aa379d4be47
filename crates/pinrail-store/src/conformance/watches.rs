//! What watches promise: a document and its day in one step, and days in their order.

use super::Subject;
use crate::watches::{WatchDay, WatchKey};

fn key(provider: &str, snapshot: &str) -> WatchKey {
    WatchKey { provider: provider.parse().unwrap(), snapshot: snapshot.to_owned() }
}

fn day(day: u32, document: &str) -> WatchDay {
    WatchDay { day, document: document.to_owned() }
}

pub async fn a_watch_and_its_days_come_back(subject: Subject) {
    let store = &*subject.store;
    let of = key("openai", "gpt'; -- 2024");
    assert_eq!(store.watch_get(&of).await.unwrap(), None);
    assert_eq!(store.watch_days(&of, 0, 10).await.unwrap(), []);
    store.watch_put(&of, "{}".to_owned(), None).await.unwrap();
    assert_eq!(store.watch_get(&of).await.unwrap().as_deref(), Some("{}"));
    for number in [20_002, 20_000, 20_001] {
        store.watch_put(&of, format!("after {number}"), Some(day(number, "{\"ä\":1}"))).await.unwrap();
    }
    store.watch_put(&of, "again".to_owned(), Some(day(20_001, "other"))).await.unwrap();
    assert_eq!(store.watch_get(&of).await.unwrap().as_deref(), Some("again"));
    let days = store.watch_days(&of, 0, 10).await.unwrap();
    assert_eq!(days, [day(20_000, "{\"ä\":1}"), day(20_001, "other"), day(20_002, "{\"ä\":1}")]);
    assert_eq!(store.watch_days(&of, 20_001, 1).await.unwrap(), [day(20_001, "other")]);
}

pub async fn watches_are_apart_and_listed_in_order(subject: Subject) {
    let store = &*subject.store;
    let keys = [key("a", "m/1"), key("a", "m/2"), key("b", "m/1")];
    for of in keys.iter().rev() {
        store.watch_put(of, format!("{} {}", of.provider, of.snapshot), Some(day(1, "one"))).await.unwrap();
    }
    let listed = store.watch_list().await.unwrap();
    assert_eq!(listed.iter().map(|(key, _)| key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
    assert_eq!(listed[1].1, "a m/2");
    store.watch_put(&keys[1], "changed".to_owned(), Some(day(2, "two"))).await.unwrap();
    assert_eq!(store.watch_days(&keys[0], 0, 10).await.unwrap(), [day(1, "one")]);
    assert_eq!(store.watch_get(&keys[2]).await.unwrap().as_deref(), Some("b m/1"));
}
