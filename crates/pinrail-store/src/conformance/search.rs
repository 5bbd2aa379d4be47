//! What the journal promises of searches through what runs say.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Body, Event, ModelResponse, Outcome, Stamp};
use pinrail_domain::time::Timestamp;
use serde_json::json;

use super::Subject;
use super::sample::{agent, appending, finished, note, run, session, stamp, start, starting, tenant, write};
use crate::Store;
use crate::journal::{Found, Reach, RunFilter, Search, Start, Write};

pub async fn runs_are_found_by_what_they_say(subject: Subject) {
    let store = &*subject.store;
    let body = |text: serde_json::Value| Some(Body::Text { text: text.to_string(), truncated: false });
    let asked = body(json!({"messages": [{"role": "user", "content": "Where is my \"order\"?\nGrüße"}]}));
    let request = Event::ModelRequest { call: 1, stream: false, dropped: vec![], body: asked };
    let said = body(json!({"choices": [{"message": {"role": "assistant", "content": "On its way."}}]}));
    let response = Event::ModelResponse(Box::new(ModelResponse { body: said, ..ModelResponse::default() }));
    let call = Event::ToolCall { name: "look_up".to_owned(), id: None, arguments: json!({ "order": "A-7" }) };
    let failed = Event::Finished { outcome: Outcome::Error, why: Some("the shop is closed".to_owned()) };
    let with_session = Stamp { session: Some(session("ticket-812")), ..stamp(3) };
    let at_once = Start { events: vec![(Timestamp(1_001), note("on its way"))], ..start(stamp(4)) };
    let batch = vec![
        starting(1),
        appending(1, vec![request, response]),
        starting(2),
        appending(2, vec![note("n"), note("m")]),
        appending(2, vec![call, failed]),
        Write::Start(Box::new(start(with_session))),
        Write::Start(Box::new(at_once)),
    ];
    assert!(store.journal_write(batch.into()).await.iter().all(Result::is_ok));
    let check = async |text: &str, expected: &[u64]| {
        let found = found(store, text, Reach::ALL, None, 100).await;
        assert_eq!(ids(&found), runs(expected), "{text}");
        assert_eq!((found.looked_at, found.in_part, found.more), (4, 0, false), "{text}");
    };
    check("my \"ORDER\"? grusse", &[]).await;
    check("my \"ORDER\"? GRÜßE", &[1]).await;
    check("On its way", &[4, 1]).await;
    check("a-7", &[2]).await;
    check("look_up", &[2]).await;
    check("shop is closed", &[2]).await;
    check("ticket-812", &[3]).await;
    check("plan=gold \"ü\"", &[4, 3, 2, 1]).await;
    check("\\n", &[]).await;
    check("ngrü", &[]).await;
    check("%", &[]).await;
    let outcome = RunFilter { outcome: Some(Outcome::Error), ..RunFilter::default() };
    let search = Search { filter: outcome, text: "order".parse().unwrap(), reach: Reach::ALL };
    let found = store.run_search(&search, None, 9).await.unwrap();
    assert_eq!((ids(&found), found.looked_at), (runs(&[2]), 1));
}

pub async fn a_search_says_how_far_it_looked(subject: Subject) {
    let store = &*subject.store;
    for n in 1..=9 {
        let events = if n % 3 == 0 { vec![note("needle")] } else { vec![note("hay")] };
        write(store, starting(n)).await.unwrap();
        write(store, appending(n, events)).await.unwrap();
    }
    let check =
        async |reach: Reach, before: Option<u64>, limit: usize, expected: (&[u64], u64, u64, bool)| {
            let found = found(store, "needle", reach, before, limit).await;
            let (listed, looked_at, last, more) = expected;
            assert_eq!(ids(&found), runs(listed), "{reach:?} before {before:?}");
            let last = Some((run(last), Timestamp(1_000)));
            assert_eq!((found.looked_at, found.last, found.more), (looked_at, last, more), "{reach:?}");
        };
    check(Reach::ALL, None, 9, (&[9, 6, 3], 9, 1, false)).await;
    check(Reach::ALL, None, 2, (&[9, 6], 4, 6, true)).await;
    check(Reach::ALL, Some(6), 2, (&[3], 5, 1, false)).await;
    let few = |runs_max| Reach { runs_max, ..Reach::ALL };
    check(few(2), None, 9, (&[9], 2, 8, true)).await;
    check(few(2), Some(8), 9, (&[6], 2, 6, true)).await;
    check(few(2), Some(6), 9, (&[], 2, 4, true)).await;
    check(few(3), Some(4), 9, (&[3], 3, 1, false)).await;
    check(few(4), Some(4), 9, (&[3], 3, 1, false)).await;
    check(few(0), None, 9, (&[9], 1, 9, true)).await;
    check(Reach { bytes_max: 1, ..Reach::ALL }, Some(9), 9, (&[], 1, 8, true)).await;
    let end = found(store, "needle", Reach::ALL, Some(1), 9).await;
    assert_eq!(end, Found::default());

    // Of a long journal, the beginning is looked at.
    for _ in 0..10 {
        write(store, appending(9, vec![note("hay")])).await.unwrap();
    }
    write(store, appending(9, vec![note("pin")])).await.unwrap();
    let short = Reach { run_bytes_max: 100, ..Reach::ALL };
    let cut = found(store, "pin", short, Some(10), 9).await;
    assert_eq!((ids(&cut), cut.looked_at, cut.in_part), (runs(&[]), 9, 1));
    let whole = found(store, "pin", Reach::ALL, None, 9).await;
    assert_eq!((ids(&whole), whole.in_part), (runs(&[9]), 0));
}

pub async fn a_search_of_a_tenant_finds_only_its_runs(subject: Subject) {
    let store = &*subject.store;
    for (n, owner) in [(1, "acme"), (2, "umbrella"), (3, "acme"), (4, "hooli")] {
        let mut owned = start(Stamp { tenant: tenant(owner), ..stamp(n) });
        owned.stamp.agent = agent(if n == 3 { "sales" } else { "support" });
        owned.events = vec![(Timestamp(1_001), note("secret"))];
        write(store, Write::Start(Box::new(owned))).await.unwrap();
    }
    let check = async |filter: RunFilter, expected: &[u64]| {
        let search = Search { filter, text: "secret".parse().unwrap(), reach: Reach::ALL };
        let found = store.run_search(&search, None, 9).await.unwrap();
        // I11: neither found nor counted.
        assert_eq!((ids(&found), found.looked_at), (runs(expected), expected.len() as u64));
    };
    let of = |tenants: &[&str]| RunFilter {
        tenants: Some(tenants.iter().map(|name| tenant(name)).collect()),
        ..RunFilter::default()
    };
    check(of(&["acme"]), &[3, 1]).await;
    check(of(&["hooli", "umbrella"]), &[4, 2]).await;
    check(of(&[]), &[]).await;
    check(RunFilter { agent: Some(agent("sales")), ..of(&["acme"]) }, &[3]).await;
}

pub async fn what_was_erased_is_not_found(subject: Subject) {
    let store = &*subject.store;
    let said = Event::Note { name: "asked".to_owned(), data: json!("my name is Ada") };
    write(store, starting(1)).await.unwrap();
    write(store, appending(1, vec![said, finished()])).await.unwrap();
    assert_eq!(ids(&found(store, "ada", Reach::ALL, None, 9).await), runs(&[1]));
    assert_eq!(store.run_erase(&[run(1)]).await.unwrap(), 1);
    assert_eq!(ids(&found(store, "ada", Reach::ALL, None, 9).await), runs(&[]));
    assert_eq!(ids(&found(store, "asked", Reach::ALL, None, 9).await), runs(&[1]));
}

async fn found(store: &dyn Store, text: &str, reach: Reach, before: Option<u64>, limit: usize) -> Found {
    let search = Search { filter: RunFilter::default(), text: text.parse().unwrap(), reach };
    store.run_search(&search, before.map(run), limit).await.unwrap()
}

fn ids(found: &Found) -> Vec<RunId> {
    found.runs.iter().map(|run| run.stamp.run).collect()
}

fn runs(numbers: &[u64]) -> Vec<RunId> {
    numbers.iter().copied().map(run).collect()
}
