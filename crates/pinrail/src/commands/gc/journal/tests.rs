use pinrail_api::gc::{DayCollected, DayKept, Dropping};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::journal::collect::Why;
use pinrail_domain::time::Day;

use super::*;

#[test]
fn it_says_what_went_and_why_older_days_stay() {
    let day = |days: u32| Day(20_454 + days);
    let why = Why::RunsOpen { open: 2 };
    let mut collection = JournalCollection {
        seq: Some(LedgerSeq(8)),
        older_than_ms: 7_776_000_000,
        by_itself: false,
        kept_from: day(9),
        runs: 1,
        collect: vec![DayCollected { day: day(2), runs: 1 }],
        keep: vec![DayKept { day: day(1), runs: 5, because: why.to_string(), why }],
        dropping: Dropping { trouble: Some("the store is unavailable".to_owned()), ..Dropping::default() },
    };
    let text = describe(&collection, false);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "1 run of 1 day dropped (before 2026-01-10, kept 90d), ledger entry 8");
    assert!(
        lines[3].starts_with("2026-01-02  5") && lines[3].ends_with("kept: 2 of its runs are open"),
        "{text}"
    );
    assert!(lines[4].starts_with("2026-01-03  1") && lines[4].ends_with("dropped"), "{text}");
    assert!(text.ends_with("NOT FINISHED: the store is unavailable; `pinrail gc journal` goes on"), "{text}");
    collection.runs = 0;
    collection.collect.clear();
    assert!(describe(&collection, true).starts_with("no journals to drop (before 2026-01-10, kept 90d)"));
}
