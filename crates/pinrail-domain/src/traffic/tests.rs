use serde_json::json;

use super::*;

/// A full hour, far from 1970.
const NOON: u64 = 1_795_176_000_000;
const MINUTE: u64 = 60_000;

fn run(n: u64) -> RunId {
    RunId::from_parts(NOON, u128::from(n))
}

fn stamp(n: u64, agent: &str, deployment: u32) -> Stamp {
    serde_json::from_value(json!({
        "run": run(n), "agent": agent, "tenant": "default", "deployment": deployment,
        "release": format!("sha256:{}", "1".repeat(64)), "segment": "default", "epoch": 1, "via": "session",
        "provider": "sim", "snapshot": "sim-1-2026-06-01",
    }))
    .unwrap()
}

fn ended(at: u64, outcome: Outcome) -> Option<End> {
    Some(End { at: Timestamp(at), outcome })
}

fn hour(traffic: &Traffic, now: u64, agent: &str) -> Hour {
    let now = Timestamp(now);
    let lately = traffic.lately(now, Some(&agent.parse().unwrap()));
    let hours = lately.lines.values().flat_map(|of| of.values());
    hours.fold(Hour::quiet(now), |sum, hour| sum.and(hour))
}

#[test]
fn runs_count_in_the_minute_in_which_they_begin_and_end() {
    let mut traffic = Traffic::new(Timestamp(NOON));
    traffic.began(&stamp(1, "a", 1), Timestamp(NOON + 10), ended(NOON + 20, Outcome::Ok));
    traffic.began(&stamp(2, "a", 2), Timestamp(NOON + 30), None);
    traffic.ended(run(2), End { at: Timestamp(NOON + MINUTE), outcome: Outcome::Error });
    traffic.ended(run(2), End { at: Timestamp(NOON + MINUTE), outcome: Outcome::Error });
    let hour = hour(&traffic, NOON + MINUTE + 1, "a");
    assert_eq!(hour.minutes[58], Minute { begun: 2, ended: 1, errors: 0 });
    assert_eq!(hour.minutes[59], Minute { begun: 0, ended: 1, errors: 1 });
    assert_eq!(hour.errors(), Errors { errors: 1, ended: 2 });
    assert_eq!(hour.errors().rate(), Some(0.5));
    let lately = traffic.lately(Timestamp(NOON + MINUTE), None);
    assert_eq!(lately.lines.values().next().unwrap().len(), 2, "both deployments");
    assert!(self::hour(&traffic, NOON + 62 * MINUTE, "a").is_quiet(), "an hour later");
}

#[test]
fn copies_and_a_gates_runs_serve_nobody() {
    let mut traffic = Traffic::new(Timestamp(NOON));
    let copy = Stamp { shadow: Some(run(1)), ..stamp(2, "a", 1) };
    let asked = Stamp { gate: Some("gate_00000000000000000000000000".parse().unwrap()), ..stamp(3, "a", 0) };
    for stamp in [copy, asked] {
        traffic.began(&stamp, Timestamp(NOON), None);
    }
    assert!(traffic.lately(Timestamp(NOON), None).lines.is_empty());
}

#[test]
fn what_was_written_before_and_after_a_start_counts_once() {
    let from = NOON;
    for recalls_late in [false, true] {
        let mut traffic = Traffic::new(Timestamp(from));
        let live = |traffic: &mut Traffic| {
            traffic.ended(run(2), End { at: Timestamp(from + 5), outcome: Outcome::Error });
            traffic.began(&stamp(4, "a", 1), Timestamp(from + 1), ended(from + 2, Outcome::Ok));
        };
        if recalls_late {
            live(&mut traffic);
        }
        // Ended before; ended since, as the store says now; still open; begun since.
        traffic.recalled(&stamp(1, "a", 1), Timestamp(from - 100), ended(from - 50, Outcome::Ok));
        traffic.recalled(&stamp(2, "a", 1), Timestamp(from - 90), ended(from + 5, Outcome::Error));
        traffic.recalled(&stamp(3, "a", 1), Timestamp(from - 80), None);
        traffic.recalled(&stamp(4, "a", 1), Timestamp(from + 1), ended(from + 2, Outcome::Ok));
        if !recalls_late {
            live(&mut traffic);
        }
        traffic.recalled_all(Timestamp(from - 60 * MINUTE));
        traffic.ended(run(3), End { at: Timestamp(from + 9), outcome: Outcome::Cancelled });
        let hour = hour(&traffic, from + 10, "a");
        let sum = hour.minutes.iter().fold((0, 0), |sum, of| (sum.0 + of.begun, sum.1 + of.ended));
        assert_eq!((sum, hour.errors().errors), ((4, 4), 1), "recalled late: {recalls_late}");
    }
}

#[test]
fn runs_per_minute_are_those_of_five_full_minutes_or_of_what_there_is() {
    let check = |begun: &[(usize, u32)], since_ms_ago: u64, into_minute: u64, expected: Option<f64>| {
        let now = Timestamp(NOON + into_minute);
        let mut hour = Hour::quiet(now);
        for (minutes_ago, runs) in begun {
            hour.minutes[59 - minutes_ago].begun = *runs;
        }
        let since = Timestamp(now.0 - since_ms_ago);
        assert_eq!(hour.runs_per_minute(since), expected, "{begun:?} {since_ms_ago} {into_minute}");
    };
    let long = 60 * MINUTE;
    check(&[(0, 99), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 80)], long, 1_000, Some(3.0));
    check(&[(30, 7)], long, 1_000, Some(0.0));
    // It began two minutes ago.
    check(&[(0, 9), (1, 4), (2, 2)], long, 1_000, Some(3.0));
    // It is known for two and a half minutes, of which two are full.
    check(&[(0, 9), (1, 4), (2, 2), (3, 50)], 150_000, 5_000, Some(3.0));
    check(&[(0, 10)], long, 30_000, Some(20.0));
    check(&[(0, 10)], 20_000, 40_000, Some(30.0));
    check(&[(0, 1)], long, 2_000, None);
    check(&[], long, 2_000, Some(0.0));
    check(&[], 1_000, 2_000, None);
}

#[test]
fn what_is_too_much_is_dropped_and_counted_and_old_lines_make_room() {
    let mut traffic = Traffic::new(Timestamp(NOON));
    let many = u32::try_from(LINES_MAX).unwrap();
    for deployment in 1..=many + 1 {
        traffic.began(&stamp(1, "a", deployment), Timestamp(NOON), ended(NOON, Outcome::Ok));
    }
    assert_eq!(traffic.lately(Timestamp(NOON), None).dropped, 1);
    let later = NOON + 61 * MINUTE;
    traffic.began(&stamp(2, "b", 1), Timestamp(later), ended(later, Outcome::Ok));
    let lately = traffic.lately(Timestamp(later), None);
    assert_eq!((lately.dropped, lately.lines.len()), (1, 1));
    assert_eq!(hour(&traffic, later, "b").minutes[59].begun, 1);
    // Of runs that stay open, the oldest are forgotten.
    for n in 0..=OPEN_MAX as u64 {
        traffic.began(&stamp(n, "b", 1), Timestamp(later), None);
    }
    assert!(!traffic.open.contains_key(&run(0)) && traffic.open.len() == OPEN_MAX);
}

#[test]
fn a_clock_that_was_ahead_leaves_nothing_behind() {
    let mut traffic = Traffic::new(Timestamp(NOON));
    let ahead = NOON + 60 * MINUTE * 24;
    traffic.began(&stamp(1, "a", 1), Timestamp(ahead), ended(ahead, Outcome::Error));
    traffic.began(&stamp(2, "a", 1), Timestamp(NOON), ended(NOON, Outcome::Ok));
    let hour = hour(&traffic, NOON, "a");
    assert_eq!(hour.minutes[59], Minute { begun: 1, ended: 1, errors: 0 });
    // What is older than the hour takes nobody's place.
    traffic.recalled(&stamp(3, "a", 1), Timestamp(NOON - 60 * MINUTE), None);
    assert_eq!(self::hour(&traffic, NOON, "a").minutes[59].begun, 1);
}

/// Whoever wrote a run, and however often it is looked at, it counts once.
#[test]
fn what_other_replicas_write_counts_once() {
    let mut traffic = Traffic::among_others(Timestamp(NOON));
    let ok = |ms| ended(NOON + ms, Outcome::Ok);
    // Begun elsewhere, seen open, then ended, then scored.
    for end in [None, ok(20), ok(20)] {
        traffic.seen(&stamp(1, "a", 1), Timestamp(NOON + 10), end);
    }
    // Begun and ended here, then scored elsewhere.
    traffic.began(&stamp(2, "a", 1), Timestamp(NOON + 10), ok(30));
    traffic.seen(&stamp(2, "a", 1), Timestamp(NOON + 10), ok(30));
    // Begun here, ended elsewhere.
    traffic.began(&stamp(3, "a", 1), Timestamp(NOON + 10), None);
    traffic.seen(&stamp(3, "a", 1), Timestamp(NOON + 10), ok(40));
    // Begun elsewhere, ended here before that is seen.
    traffic.ended(run(4), ok(50).unwrap());
    traffic.seen(&stamp(4, "a", 1), Timestamp(NOON + 10), ok(50));
    // From before: what is recalled counts it.
    traffic.seen(&stamp(5, "a", 1), Timestamp(NOON - 10), ok(60));
    traffic.recalled(&stamp(5, "a", 1), Timestamp(NOON - 10), None);
    let minutes = hour(&traffic, NOON + 100, "a").minutes;
    assert_eq!(minutes[59], Minute { begun: 4, ended: 5, errors: 0 });
    assert_eq!(minutes[58], Minute { begun: 1, ended: 0, errors: 0 });
}

/// Of more runs than are remembered, the old ones don't count anew.
#[test]
fn what_is_forgotten_does_not_count_anew() {
    let mut traffic = Traffic::among_others(Timestamp(NOON));
    let see = |traffic: &mut Traffic, n| {
        traffic.seen(&stamp(n, "a", 1), Timestamp(NOON + 10), ended(NOON + 20, Outcome::Ok));
    };
    let many = 2 * OPEN_MAX as u64;
    for n in (1..=many).chain(1..=many) {
        see(&mut traffic, n);
    }
    assert_eq!(u64::from(hour(&traffic, NOON + 100, "a").minutes[59].begun), many);
}
