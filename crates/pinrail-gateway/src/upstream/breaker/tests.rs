use pinrail_domain::share::Share;
use proptest::prelude::*;

use super::*;

const FAILED: Outcome = Outcome::Failed { asked: None };

fn at_ms(ms: u64) -> Ticks {
    Ticks(ms * NS_PER_MS)
}

fn settings() -> Settings {
    Settings {
        failures: 3,
        share: Share::HALF,
        calls_min: 8,
        window_ms: 10_000,
        open_ms: 1_000,
        open_ms_max: 4_000,
    }
}

/// Lets one attempt through and ends it; says whether it went through.
fn one(breaker: &mut Breaker, settings: &Settings, ms: u64, outcome: Outcome) -> bool {
    match breaker.admit(settings, at_ms(ms)) {
        Ok(pass) => {
            breaker.ended(pass, outcome, settings, at_ms(ms), 0);
            true
        }
        Err(_) => false,
    }
}

fn open_until(breaker: &Breaker) -> u64 {
    match breaker.state() {
        State::Open { until } => until.0 / NS_PER_MS,
        other @ (State::Closed | State::HalfOpen { .. }) => panic!("{other:?}"),
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let (settings, mut breaker) = (settings(), Breaker::default());
    for outcome in [FAILED, FAILED, Outcome::Well, FAILED, FAILED] {
        assert!(one(&mut breaker, &settings, 0, outcome));
    }
    assert_eq!((breaker.state(), breaker.failed_in_a_row()), (State::Closed, 2));
    assert!(one(&mut breaker, &settings, 0, FAILED));
    assert_eq!(open_until(&breaker), 1_000);
    assert!(!one(&mut breaker, &settings, 999, Outcome::Well));
    assert_eq!(breaker.shut(&settings, at_ms(999)), Some(Shut { until: at_ms(1_000) }));
}

#[test]
fn a_share_of_enough_calls_opens_it() {
    let check = |outcomes: &[Outcome], every_ms: u64, opens: bool| {
        let settings = Settings { failures: 0, ..settings() };
        let mut breaker = Breaker::default();
        for (n, outcome) in outcomes.iter().enumerate() {
            one(&mut breaker, &settings, n as u64 * every_ms, *outcome);
        }
        assert_eq!(breaker.state() != State::Closed, opens, "{outcomes:?}");
    };
    let half: Vec<Outcome> = (0..8).map(|n| if n % 2 == 0 { Outcome::Well } else { FAILED }).collect();
    check(&half, 10, true);
    check(&half[..7], 10, false);
    // What is older than the window counts no more.
    check(&half, 2_000, false);
    check(&[Outcome::Well; 20], 10, false);
    check(&[&[Outcome::Well; 9][..], &[FAILED; 8][..]].concat(), 10, false);
}

#[test]
fn it_stays_open_twice_as_long_each_time_up_to_its_bound() {
    let (settings, mut breaker) = (settings(), Breaker::default());
    for _ in 0..3 {
        one(&mut breaker, &settings, 0, FAILED);
    }
    let mut now = 0;
    for longer in [1_000, 2_000, 4_000, 4_000, 4_000] {
        assert_eq!(open_until(&breaker), now + longer);
        now += longer;
        assert!(one(&mut breaker, &settings, now, FAILED), "the probe goes through");
    }
    now = open_until(&breaker);
    assert!(one(&mut breaker, &settings, now, Outcome::Well));
    assert_eq!(breaker.state(), State::Closed);
    // An endpoint that comes back for one call and fails on is kept away as long as before.
    for _ in 0..3 {
        one(&mut breaker, &settings, now, FAILED);
    }
    assert_eq!(open_until(&breaker), now + 4_000);
    now += 4_000;
    for _ in 0..2 {
        assert!(one(&mut breaker, &settings, now, Outcome::Well));
    }
    for _ in 0..3 {
        one(&mut breaker, &settings, now, FAILED);
    }
    assert_eq!(open_until(&breaker), now + 1_000);
}

#[test]
fn a_provider_may_ask_for_longer_up_to_the_bound() {
    let check = |asked_ms: u64, expected: u64| {
        let (settings, mut breaker) = (settings(), Breaker::default());
        let asked = Some(Duration::from_millis(asked_ms));
        for _ in 0..3 {
            one(&mut breaker, &settings, 0, Outcome::Failed { asked });
        }
        assert_eq!(open_until(&breaker), expected);
    };
    check(10, 1_000);
    check(3_000, 3_000);
    check(3_600_000, 4_000);
}

#[test]
fn one_probe_at_a_time_and_a_silent_one_does_not_block() {
    let (settings, mut breaker) = (settings(), Breaker::default());
    for _ in 0..3 {
        one(&mut breaker, &settings, 0, FAILED);
    }
    let probe = breaker.admit(&settings, at_ms(1_000)).unwrap();
    assert_eq!(breaker.admit(&settings, at_ms(1_500)), Err(Shut { until: at_ms(2_000) }));
    // It thinks on: another is sent beside it.
    let second = breaker.admit(&settings, at_ms(2_000)).unwrap();
    breaker.given_up(second, at_ms(2_100));
    let third = breaker.admit(&settings, at_ms(2_100)).unwrap();
    breaker.began(probe);
    assert_eq!(breaker.state(), State::Closed);
    breaker.ended(third, FAILED, &settings, at_ms(2_200), 0);
    assert_eq!((breaker.state(), breaker.failed_in_a_row()), (State::Closed, 1));
}

#[test]
fn what_was_under_way_when_it_opened_changes_nothing() {
    let (settings, mut breaker) = (settings(), Breaker::default());
    let slow: Vec<Pass> = (0..9).map(|_| breaker.admit(&settings, at_ms(0)).unwrap()).collect();
    for pass in &slow[..3] {
        breaker.ended(*pass, FAILED, &settings, at_ms(10), 0);
    }
    assert_eq!(open_until(&breaker), 1_010);
    for (pass, outcome) in
        slow[3..].iter().zip([FAILED, Outcome::Well, FAILED, FAILED, FAILED, Outcome::Well])
    {
        breaker.ended(*pass, outcome, &settings, at_ms(20), 0);
        breaker.began(*pass);
    }
    assert_eq!(open_until(&breaker), 1_010);
}

#[test]
fn switched_off_it_never_opens_and_closes() {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        one(&mut breaker, &settings(), 0, FAILED);
    }
    let off = Settings { failures: 0, share: Share::NONE, ..settings() };
    for _ in 0..100 {
        assert!(one(&mut breaker, &off, 0, FAILED));
    }
    assert_eq!(breaker.state(), State::Closed);
}

proptest! {
    /// Whatever happens: it is never shut for longer than its bound, never opens without a failure just then, and a
    /// provider that is well again is served again after its bound.
    #[test]
    fn it_always_comes_back(
        failures in 0..5_u32,
        bps in 0..=10_000_u64,
        calls_min in 1..20_u32,
        seed in any::<u64>(),
        steps in prop::collection::vec((0..4_u8, 0..1_500_u64), 1..300),
    ) {
        let settings = Settings { failures, share: Share::from_bps(bps).unwrap(), calls_min, ..settings() };
        let (mut breaker, mut ms, mut under_way) = (Breaker::default(), 0, Vec::new());
        for (step, wait) in steps {
            ms += wait;
            let (now, before) = (at_ms(ms), breaker.state());
            match (step, under_way.pop()) {
                (0, taken) => {
                    under_way.extend(taken);
                    match breaker.admit(&settings, now) {
                        Ok(pass) => under_way.push(pass),
                        Err(Shut { until }) => {
                            prop_assert!(until > now && until.0 - now.0 <= 4_000 * NS_PER_MS);
                        }
                    }
                }
                (1, Some(pass)) => breaker.ended(pass, FAILED, &settings, now, seed),
                (2, Some(pass)) => breaker.ended(pass, Outcome::Well, &settings, now, seed),
                (3, Some(pass)) => breaker.given_up(pass, now),
                (_, _) => {}
            }
            if matches!(breaker.state(), State::Open { .. }) && !matches!(before, State::Open { .. }) {
                prop_assert_eq!(step, 1);
                prop_assert!(settings.is_on());
            }
        }
        ms += 4_000;
        prop_assert!(one(&mut breaker, &settings, ms, Outcome::Well));
        prop_assert_eq!(breaker.state(), State::Closed);
    }
}
