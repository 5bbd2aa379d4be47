//! Single worlds: what is missing, what drifts slowly, what comes back, what is replaced.

use super::model::Dice;
use super::*;

fn last(days: &[Day]) -> Verdict {
    judge(days, &Rules::DEFAULT).verdict
}

#[test]
fn nothing_is_said_before_a_week_of_quiet_days() {
    assert_eq!(last(&[]), Verdict::Calibrating { days: 0, of: 7 });
    let mut dice = Dice::new(1);
    let model = Model::new(&mut dice, 20);
    let days = play(&mut dice, 0..8, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, |_| Some(&model));
    assert_eq!(last(&days[..3]), Verdict::Calibrating { days: 3, of: 7 });
    assert_eq!(last(&days), Verdict::Quiet);
    let judged = judge(&days, &Rules::DEFAULT);
    assert_eq!(judged.baseline, [0, 1, 2, 3, 4, 5, 6]);
    assert!((judged.false_alarms_per_year - 0.01).abs() < 1e-9);
    let noise = judged.noise.expect("a week is enough");
    assert!((0.6..1.8).contains(&noise), "{noise}");
}

#[test]
fn missing_and_partial_days_are_no_days() {
    let mut dice = Dice::new(2);
    let old = Model::new(&mut dice, 20);
    let new = old.sibling(&mut dice, 3.0);
    let which = |day: u32| match day {
        0..30 => (!day.is_multiple_of(3)).then_some(&old),
        30..40 => None,
        _ => Some(&new),
    };
    let mut days = play(&mut dice, 0..44, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, which);
    let verdict = last(&days);
    assert!(matches!(verdict, Verdict::Drifted { since: 40, days: 4, .. }), "{verdict:?}");
    // A day of which most prompts failed says nothing, whatever the others say.
    for day in days.iter_mut().filter(|day| day.day > 40) {
        for tally in day.tallies.values_mut().take(15) {
            *tally = Tally { failed: 10, ..Tally::default() };
        }
    }
    assert_eq!(judge(&days, &Rules::DEFAULT).days.last().map(|(day, _)| *day), Some(40));
}

#[test]
fn two_strange_days_are_no_drift_and_what_returns_is_quiet() {
    let mut on_time = 0;
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let old = Model::new(&mut dice, 20);
        let new = old.sibling(&mut dice, 3.0);
        let which =
            |day: u32| Some(if (20..22).contains(&day) || (30..36).contains(&day) { &new } else { &old });
        let days = play(&mut dice, 0..50, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, which);
        let judged = judge(&days, &Rules::DEFAULT);
        let state = |day: usize| judged.days[day].1.state();
        assert_eq!(state(21), "suspect", "seed {seed}");
        assert!((20..30).all(|day| state(day) != "drifted"), "seed {seed}: {:?}", &judged.days[20..30]);
        // The strange days count as what this model does, so it may take longer to tell that they came to stay.
        assert_eq!(state(35), "drifted", "seed {seed}: {:?}", &judged.days[30..36]);
        on_time += u32::from((33..36).all(|day| state(day) == "drifted"));
        assert_eq!(judged.verdict, Verdict::Quiet, "seed {seed}");
        assert!(
            !judged.baseline.iter().any(|day| (30..36).contains(day)),
            "seed {seed}: {:?}",
            judged.baseline
        );
    }
    assert!(on_time >= 8, "{on_time} of 10");
}

#[test]
fn slow_drift_adds_up() {
    let mut dice = Dice::new(4);
    let old = Model::new(&mut dice, 20);
    let far = old.sibling(&mut dice, 3.0);
    let steps: Vec<Model> = (0..=60).map(|step| old.towards(&far, f64::from(step) / 60.0)).collect();
    let which = |day: u32| Some(&steps[day.saturating_sub(35).min(60) as usize]);
    let days = play(&mut dice, 0..100, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, which);
    let verdict = last(&days);
    assert!(matches!(verdict, Verdict::Drifted { .. }), "{verdict:?}");
}

#[test]
fn a_swap_while_calibrating_is_not_taken_for_noise() {
    for seed in 0..10 {
        let mut dice = Dice::new(100 + seed);
        let old = Model::new(&mut dice, 20);
        let new = old.sibling(&mut dice, 3.0);
        let which = |day: u32| Some(if day < 3 { &old } else { &new });
        let days = play(&mut dice, 0..14, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, which);
        let judged = judge(&days, &Rules::DEFAULT);
        let old_days = judged.baseline.iter().filter(|day| **day < 3).count();
        assert!(old_days <= 1, "seed {seed}: {:?}", judged.baseline);
    }
}

#[test]
fn prompts_may_be_replaced() {
    let mut found = 0;
    for seed in 0..10 {
        let mut dice = Dice::new(200 + seed);
        let old = Model::new(&mut dice, 24);
        let new = old.sibling(&mut dice, 2.5);
        let which = |day: u32| Some(if day < 45 { &old } else { &new });
        let mut days = play(&mut dice, 0..50, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, which);
        for day in &mut days {
            // Four of twenty are others from day 20 on.
            let (gone, comes) = if day.day < 20 { (20, 24) } else { (0, 4) };
            day.tallies.retain(|prompt, _| {
                let number: usize = prompt[7..].parse().expect("a number");
                !(gone..comes).contains(&number)
            });
        }
        let judged = judge(&days, &Rules::DEFAULT);
        assert!(
            judged.days.iter().all(|(day, verdict)| *day >= 45 || verdict.state() != "drifted"),
            "seed {seed}"
        );
        found += u32::from(judged.verdict.state() == "drifted");
    }
    assert!(found >= 9, "{found} of 10");
}

#[test]
fn lopsided_and_unanswered_prompts_are_worn() {
    let mut dice = Dice::new(5);
    let model = Model::new(&mut dice, 20);
    let mut days = play(&mut dice, 0..12, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, |_| Some(&model));
    for day in &mut days {
        let mut tally = Tally::default();
        (0..10).for_each(|_| tally.answered("red"));
        day.tallies.insert("prompt 00".to_owned(), tally);
        if day.day >= 9 {
            day.tallies.insert("prompt 01".to_owned(), Tally { failed: 10, ..Tally::default() });
        }
    }
    let judged = judge(&days, &Rules::DEFAULT);
    assert_eq!(judged.verdict, Verdict::Quiet);
    assert_eq!(judged.worn, ["prompt 00", "prompt 01"]);
}

#[test]
fn another_mode_calibrates_anew() {
    let mut dice = Dice::new(6);
    let model = Model::new(&mut dice, 20);
    let mut days = play(&mut dice, 0..20, Mode::Sampled, Noise::SOME, &Rules::DEFAULT, |_| Some(&model));
    days.extend(play(&mut dice, 20..23, Mode::Logprobs, Noise::SOME, &Rules::DEFAULT, |_| Some(&model)));
    assert_eq!(last(&days), Verdict::Calibrating { days: 3, of: 7 });
}

#[test]
fn answers_are_the_same_word() {
    let check = |text: &str, want: &str| assert_eq!(normal(text), want, "{text:?}");
    check(" Red", "red");
    check("red.", "red");
    check("**Blue**", "blue");
    check("", "-");
    check(" !", "-");
    check("I'm sorry", "i'm");
}

#[test]
fn the_pool_is_large_and_its_order_is_the_model_s() {
    let one = pool::pool("openai/gpt");
    assert!(one.len() > 1_000, "{}", one.len());
    assert_eq!(one, pool::pool("openai/gpt"));
    assert_ne!(one[..10], pool::pool("openai/gpt-2")[..10]);
    let distinct: std::collections::BTreeSet<&String> = one.iter().collect();
    assert_eq!(distinct.len(), one.len());
}

#[test]
fn a_hunt_finds_what_is_near_a_tie_for_few_answers() {
    for mode in [Mode::Sampled, Mode::Logprobs] {
        let mut dice = Dice::new(7);
        let pool = pool::pool("a model");
        let chances: BTreeMap<&String, f64> =
            pool.iter().map(|prompt| (prompt, 1.0 / (1.0 + (-2.5 * dice.normal()).exp()))).collect();
        let mut hunt = hunt::Hunt::default();
        let mut answers = 0;
        let found = loop {
            match hunt.next(&pool, &[], mode, 20, 200) {
                hunt::Next::Found(found) => break found,
                hunt::Next::Nothing { .. } => panic!("nothing found"),
                hunt::Next::Ask(ask) => {
                    for (prompt, times) in ask {
                        let chance = chances[&prompt];
                        let mut tally = Tally::default();
                        for _ in 0..times {
                            answers += 1;
                            match mode {
                                Mode::Sampled => tally.answered(if dice.part() < chance { "a" } else { "b" }),
                                Mode::Logprobs => {
                                    tally.told(&[("a".into(), chance), ("b".into(), 1.0 - chance)])
                                }
                            }
                        }
                        hunt.heard(&prompt, &tally);
                    }
                }
            }
        };
        assert_eq!(found.len(), 20);
        let lopsided = found.iter().filter(|prompt| (chances[prompt] - 0.5).abs() > 0.35).count();
        println!("{mode:?}: {answers} answers, {lopsided} lopsided");
        assert!(lopsided == 0 && answers < 1_800, "{mode:?}: {answers} answers, {lopsided} lopsided");
    }
}

#[test]
fn a_model_that_never_ties_is_said_to_be_so() {
    let pool = pool::pool("sure");
    let mut hunt = hunt::Hunt::default();
    let mut rounds = 0;
    let next = loop {
        match hunt.next(&pool, &[], Mode::Logprobs, 20, 400) {
            hunt::Next::Ask(ask) => {
                let mut tally = Tally::default();
                tally.told(&[("a".into(), 1.0)]);
                ask.iter().for_each(|(prompt, _)| hunt.heard(prompt, &tally));
            }
            done @ (hunt::Next::Found(_) | hunt::Next::Nothing { .. }) => break done,
        }
        rounds += 1;
        assert!(rounds < 10);
    };
    assert_eq!(next, hunt::Next::Nothing { found: 0, tried: hunt::TRIED_MAX as u32 });
}

#[test]
fn days_are_kept_and_said_as_they_are() {
    let mut tally = Tally::default();
    tally.answered("Red");
    tally.failed();
    let day = Day { day: 20_000, mode: Mode::Sampled, tallies: [("p".to_owned(), tally)].into() };
    let text = serde_json::to_string(&day).expect("plain data");
    assert_eq!(
        text,
        r#"{"day":20000,"mode":"sampled","tallies":{"p":{"asked":1,"answers":{"red":1.0},"failed":1}}}"#
    );
    assert_eq!(serde_json::from_str::<Day>(&text).expect("its own text"), day);
    assert_eq!(date(20_000), "2024-10-04");
    let said =
        Verdict::Drifted { since: 20_000, days: 3, shift: 0.31, sigma: 12.34, needed: 5.2 }.to_string();
    assert_eq!(
        said,
        "drifted since 2024-10-04 (3 measured days): shares moved by 31 points, 12.3 standard errors of its own quiet \
         days; 5.2 are needed"
    );
}
