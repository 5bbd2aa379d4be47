//! What holds whatever was scored.

use proptest::prelude::*;

use super::*;

fn check_sound(judged: &Paired) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(judged).unwrap();
    prop_assert_eq!(serde_json::from_str::<Paired>(&text).unwrap(), *judged);
    let Paired { harm, harm_low, harm_high, p_not_worse, p_worse, .. } = *judged;
    for number in [judged.candidate, judged.incumbent, harm, harm_low, harm_high, p_not_worse, p_worse] {
        prop_assert!(number.is_none_or(f64::is_finite), "{}", text);
    }
    for p in [p_not_worse, p_worse].into_iter().flatten() {
        prop_assert!((0.0..=1.0).contains(&p), "{}", text);
    }
    if let Some(harm) = harm {
        prop_assert!(harm_low.is_none_or(|low| low <= harm), "{}", text);
        prop_assert!(harm_high.is_none_or(|high| harm <= high), "{}", text);
    }
    prop_assert_eq!(judged.needed.is_some(), judged.verdict == Verdict::Undecided);
    Ok(())
}

/// Verdicts, bounds and p-values say the same.
fn check_consistent(judged: &Paired, margin: f64) -> Result<(), TestCaseError> {
    let (harm, low, high) = (judged.harm.unwrap(), judged.harm_low.unwrap(), judged.harm_high.unwrap());
    match judged.verdict {
        Verdict::NotWorse => prop_assert!(harm < margin && high <= margin, "{:?}", judged),
        Verdict::Worse => prop_assert!(harm > margin && low >= margin, "{:?}", judged),
        Verdict::Undecided => prop_assert!(low <= margin && margin <= high, "{:?}", judged),
    }
    Ok(())
}

fn binary(repeats: usize) -> impl Strategy<Value = Vec<CaseScores>> {
    let answer = || prop_oneof![4 => Just(1.0), 1 => Just(0.0)];
    let arm = move || prop::collection::vec(answer(), 1..=repeats);
    prop::collection::vec((arm(), arm()), 1..60)
        .prop_map(|cases| cases.iter().map(|(candidate, incumbent)| case(candidate, incumbent)).collect())
}

fn anything() -> impl Strategy<Value = Vec<CaseScores>> {
    let number = prop_oneof![
        8 => 0.0..1.0,
        1 => any::<f64>(),
        1 => Just(0.0),
        1 => Just(f64::NAN),
        1 => Just(1e300),
    ];
    let arm = prop::collection::vec(number, 0..4);
    prop::collection::vec((arm.clone(), arm), 0..40)
        .prop_map(|cases| cases.iter().map(|(candidate, incumbent)| case(candidate, incumbent)).collect())
}

fn swapped(cases: &[CaseScores]) -> Vec<CaseScores> {
    cases.iter().map(|one| case(&one.incumbent, &one.candidate)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn order_does_not_matter(cases in binary(3), margin in 0.0..0.2) {
        let reversed: Vec<_> = cases
            .iter()
            .rev()
            .map(|one| {
                let turned = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
                case(&turned(&one.candidate), &turned(&one.incumbent))
            })
            .collect();
        let judged = paired(&cases, &unit(margin));
        check_consistent(&judged, margin)?;
        prop_assert_eq!(judged, paired(&reversed, &unit(margin)));
    }

    #[test]
    fn the_same_answer_again_is_no_evidence(cases in binary(1), repeats in 2_usize..5) {
        let again = |values: &[f64]| values.repeat(repeats);
        let repeated: Vec<_> = cases.iter().map(|one| case(&again(&one.candidate), &again(&one.incumbent))).collect();
        let (once, more) = (paired(&cases, &unit(0.05)), paired(&repeated, &unit(0.05)));
        let numbers = |judged: &Paired| (judged.verdict, judged.harm_low, judged.p_not_worse, judged.method);
        prop_assert_eq!(numbers(&once), numbers(&more));
    }

    #[test]
    fn exchanged_arms_say_the_opposite(cases in binary(3), margin in 0.0..0.2) {
        let judged = paired(&cases, &unit(margin));
        let opposite = paired(&swapped(&cases), &unit(-margin));
        let near = |a: Option<f64>, b: Option<f64>| (a.unwrap() - b.unwrap()).abs() < 2e-4;
        prop_assert!(near(judged.p_not_worse, opposite.p_worse), "{:?} {:?}", judged, opposite);
        prop_assert!(near(judged.harm_high, opposite.harm_low.map(|low| -low)), "{:?} {:?}", judged, opposite);
        // Fewer failures or more passes: the same question.
        let failures = Ask { better: Better::Lower, ..unit(margin) };
        prop_assert_eq!(paired(&swapped(&cases), &failures).p_not_worse, judged.p_not_worse);
    }

    #[test]
    fn better_answers_never_harm(lost in 0_usize..12, won in 0_usize..12, tied in 1_usize..80, margin in 0.0..0.2) {
        let p = |lost: usize, won: usize| Tables::new(lost + won + tied).p(lost, won, margin);
        let (before, cases) = (p(lost, won), lost + won + tied);
        // A further win leaves another range of chances open, which may cost a hair.
        prop_assert!(Tables::new(cases).p(lost, won + 1, margin) <= before + 1e-3, "one more win");
        if lost > 0 {
            prop_assert!(Tables::new(cases).p(lost - 1, won, margin) <= before + 1e-9, "one loss less");
        }
    }
}

proptest! {
    // Numbers that are alike in nothing take the longest.
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn anything_is_answered(
        cases in anything(),
        margin in prop_oneof![4 => -0.5..1.5, 1 => any::<f64>()],
        floor in prop_oneof![4 => 0.0..1.0, 1 => any::<f64>()],
    ) {
        for (scale, better) in [
            (Scale::Unit, Better::Higher),
            (Scale::Unit, Better::Lower),
            (Scale::Amount, Better::Lower),
            (Scale::Amount, Better::Higher),
        ] {
            check_sound(&paired(&cases, &Ask { scale, better, margin, alphas: ALPHAS }))?;
        }
        let one: Vec<_> = cases.into_iter().map(|case| case.candidate).collect();
        check_sound(&alone(&one, floor, ALPHAS))?;
    }
}
