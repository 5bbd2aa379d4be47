//! The promises: how often it is wrong, and how fast it finds.

use super::model::Dice;
use super::*;

/// Days on which a quiet model is called drifted, and days that were judged, over many worlds.
fn quiet(worlds: u64, mode: Mode, noise: Noise, rules: &Rules) -> (u64, u64) {
    let (mut alarms, mut judged) = (0, 0);
    for world in 0..worlds {
        let mut dice = Dice::new(world);
        let model = Model::new(&mut dice, 20);
        let days = play(&mut dice, 0..60, mode, noise, rules, |_| Some(&model));
        let mut was = false;
        for (_, verdict) in judge(&days, rules).days {
            let is = matches!(verdict, Verdict::Drifted { .. });
            judged += u64::from(!matches!(verdict, Verdict::Calibrating { .. }));
            // One episode is one alarm.
            alarms += u64::from(is && !was);
            was = is;
        }
    }
    (alarms, judged)
}

/// Days until a swap on day `at` is found, by world; `None` where it isn't within three weeks.
fn swapped(worlds: u64, mode: Mode, noise: Noise, at: u32, distance: f64) -> Vec<Option<u32>> {
    let rules = Rules::DEFAULT;
    let world = |seed: u64| {
        let mut dice = Dice::new(10_000 + seed);
        let old = Model::new(&mut dice, 20);
        let new = old.sibling(&mut dice, distance);
        let which = |day: u32| Some(if day < at { &old } else { &new });
        let days = play(&mut dice, 0..at + 21, mode, noise, &rules, which);
        let found = judge(&days, &rules)
            .days
            .into_iter()
            .find(|(_, verdict)| matches!(verdict, Verdict::Drifted { .. }))?;
        Some((found.0 + 1).saturating_sub(at))
    };
    (0..worlds).map(world).collect()
}

#[test]
fn sixty_quiet_days_raise_nothing() {
    let noises = [
        ("none", Noise { own: 0.0, pool: 0.0, ..Noise::SOME }),
        ("some", Noise::SOME),
        ("much", Noise { own: 0.4, pool: 0.3, ..Noise::SOME }),
        ("wild", Noise { wild: 0.1, ..Noise::SOME }),
        ("failing", Noise { fails: 0.1, ..Noise::SOME }),
    ];
    for (what, noise) in noises {
        for mode in [Mode::Sampled, Mode::Logprobs] {
            let (alarms, judged) = quiet(15, mode, noise, &Rules::DEFAULT);
            println!("{what} {mode:?}: {alarms} of {judged}");
            assert_eq!(alarms, 0, "{what}, {mode:?}: {alarms} alarms on {judged} quiet days");
        }
    }
}

/// The stated rate holds where it is large enough to be counted: one alarm in 100 days.
#[test]
fn the_stated_rate_holds() {
    let rules = Rules { years: 100.0 / 365.25, shift_min: 0.0, ..Rules::DEFAULT };
    for (what, noise) in [("some", Noise::SOME), ("pools", Noise { own: 0.05, pool: 0.5, ..Noise::SOME })] {
        for mode in [Mode::Sampled, Mode::Logprobs] {
            let (alarms, judged) = quiet(40, mode, noise, &rules);
            println!("{what} {mode:?}: {alarms} of {judged}");
            let expected = rules.alpha_per_day() * judged as f64;
            let most = expected + 3.0 * expected.sqrt();
            assert!(alarms as f64 <= most, "{what}, {mode:?}: {alarms} of {judged} days, at most {most:.0}");
        }
    }
}

#[test]
fn a_swap_is_found_within_days() {
    let check = |mode: Mode, noise: Noise, at: u32, distance: f64, within: u32, share: f64| {
        let found = swapped(30, mode, noise, at, distance);
        let mut days: Vec<u32> = found.iter().flatten().copied().collect();
        days.sort_unstable();
        let hit = days.iter().filter(|day| **day <= within).count() as f64 / found.len() as f64;
        println!("{mode:?} day {at} distance {distance}: {hit} within {within}; {days:?}");
        assert!(
            hit >= share,
            "{mode:?}, day {at}, distance {distance}: {hit} within {within} days: {days:?}"
        );
        assert!(days.iter().all(|day| *day >= 3), "found before it lasted: {days:?}");
    };
    let failing = Noise { fails: 0.1, ..Noise::SOME };
    check(Mode::Sampled, Noise::SOME, 10, 2.5, 7, 0.9);
    check(Mode::Sampled, Noise::SOME, 40, 2.5, 3, 0.95);
    check(Mode::Sampled, failing, 40, 2.5, 4, 0.95);
    check(Mode::Sampled, Noise::SOME, 40, 1.0, 7, 0.9);
    check(Mode::Logprobs, Noise::SOME, 10, 2.5, 4, 0.9);
    check(Mode::Logprobs, Noise::SOME, 40, 1.0, 3, 0.95);
    check(Mode::Logprobs, Noise::SOME, 40, 0.5, 7, 0.5);
}
