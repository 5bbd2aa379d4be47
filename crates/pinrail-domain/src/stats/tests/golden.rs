//! The golden statistics: what implementations in other languages check their numbers against.

use serde::Deserialize;

use super::*;
use crate::stats::paired::{self, Ask, CaseScores, Method, Paired};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    count_log_e: Vec<CountCase>,
    sample_ratio: Vec<RatioCase>,
    rate: Vec<RateCase>,
    mean: Vec<MeanCase>,
    quantile: Vec<QuantileCase>,
    paired: Vec<PairedCase>,
    alone: Vec<AloneCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountCase {
    k: f64,
    candidate: u64,
    incumbent: u64,
    theta: f64,
    log_e: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatioCase {
    strata: Vec<Stratum>,
    alpha: f64,
    expected: SampleRatio,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stratum {
    share: Share,
    units: Arms<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateCase {
    strata: Vec<Counted>,
    margin: f64,
    alphas: Alphas,
    expected: Judged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeanCase {
    values: Arms<Vec<f64>>,
    better: Better,
    margin: f64,
    alphas: Alphas,
    expected: Judged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantileCase {
    sorted: Arms<Vec<f64>>,
    q: f64,
    margin: f64,
    alphas: Alphas,
    expected: Judged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairedCase {
    ask: Ask,
    cases: Vec<Alike>,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AloneCase {
    floor: f64,
    alphas: Alphas,
    cases: Vec<AlikeAlone>,
    expected: Expected,
}

/// So many cases with these values.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alike {
    times: usize,
    candidate: Vec<f64>,
    incumbent: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlikeAlone {
    times: usize,
    values: Vec<f64>,
}

/// What is said of cases; the rest follows from them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: Verdict,
    method: Method,
    cases: u64,
    candidate: Option<f64>,
    incumbent: Option<f64>,
    discordant: Option<f64>,
    harm: Option<f64>,
    harm_low: Option<f64>,
    harm_high: Option<f64>,
    p_not_worse: Option<f64>,
    p_worse: Option<f64>,
}

const FILE: &str = include_str!("../../../../../docs/golden/stats.json");
/// How near a bound that is searched for must come; formulas are held to 1e-9.
const SEARCHED: f64 = 1e-4;
/// How near a p-value must come that is the highest of many.
const P_VALUE: f64 = 1e-6;

fn near(what: &str, number: Option<f64>, expected: Option<f64>, tolerance: f64) {
    let far = |(a, b): (f64, f64)| (a - b).abs() > tolerance * b.abs().max(1.0);
    assert!(
        number.is_some() == expected.is_some() && !number.zip(expected).is_some_and(far),
        "{what}: {number:?}, not {expected:?}"
    );
}

fn check(what: &str, judged: &Judged, expected: &Judged, log_e_tolerance: f64) {
    let what = format!("{what}: {judged:?}");
    assert_eq!((judged.verdict, judged.samples), (expected.verdict, expected.samples), "{what}");
    near(&what, judged.candidate, expected.candidate, 1e-9);
    near(&what, judged.incumbent, expected.incumbent, 1e-9);
    near(&what, judged.harm, expected.harm, 1e-9);
    near(&what, judged.harm_low, expected.harm_low, SEARCHED);
    near(&what, judged.harm_high, expected.harm_high, SEARCHED);
    near(&what, judged.log_e, expected.log_e, log_e_tolerance);
}

fn check_paired(judged: &Paired, expected: &Expected) {
    let what = format!("{judged:?}");
    let named = (judged.verdict, judged.method, judged.cases);
    assert_eq!(named, (expected.verdict, expected.method, expected.cases), "{what}");
    near(&what, judged.candidate, expected.candidate, 1e-9);
    near(&what, judged.incumbent, expected.incumbent, 1e-9);
    near(&what, judged.discordant, expected.discordant, 1e-9);
    near(&what, judged.harm, expected.harm, 1e-9);
    near(&what, judged.p_not_worse, expected.p_not_worse, P_VALUE);
    near(&what, judged.p_worse, expected.p_worse, P_VALUE);
    near(&what, judged.harm_low, expected.harm_low, SEARCHED);
    near(&what, judged.harm_high, expected.harm_high, SEARCHED);
}

#[test]
fn the_golden_verdicts_of_cases_are_what_they_say() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    for case in golden.paired {
        let scores = |alike: &Alike| {
            let one = CaseScores { candidate: alike.candidate.clone(), incumbent: alike.incumbent.clone() };
            vec![one; alike.times]
        };
        let cases: Vec<_> = case.cases.iter().flat_map(scores).collect();
        check_paired(&paired::paired(&cases, &case.ask), &case.expected);
    }
    for case in golden.alone {
        let cases: Vec<_> =
            case.cases.iter().flat_map(|alike| vec![alike.values.clone(); alike.times]).collect();
        check_paired(&paired::alone(&cases, case.floor, case.alphas), &case.expected);
    }
}

#[test]
fn the_golden_statistics_are_what_they_say() {
    let golden: Golden = serde_json::from_str(FILE).unwrap();
    for case in &golden.count_log_e {
        let log_e = count_log_e(case.k, case.candidate, case.incumbent, case.theta);
        near(&format!("{} and {}", case.candidate, case.incumbent), Some(log_e), Some(case.log_e), 1e-9);
    }
    for case in &golden.sample_ratio {
        let strata: Vec<_> = case.strata.iter().map(|stratum| (stratum.share, stratum.units)).collect();
        let ratio = sample_ratio(&strata, case.alpha);
        assert_eq!(ratio.mismatch, case.expected.mismatch, "{ratio:?}");
        near("sample ratio", ratio.log_e, case.expected.log_e, 1e-9);
        near("expected share", ratio.expected_share, case.expected.expected_share, 1e-9);
        near("observed share", ratio.observed_share, case.expected.observed_share, 1e-9);
    }
    for case in &golden.rate {
        check("rate", &rate(&case.strata, case.margin, case.alphas), &case.expected, 1e-9);
    }
    for case in &golden.mean {
        let values = arms(&case.values.candidate[..], &case.values.incumbent[..]);
        check("mean", &mean(values, case.better, case.margin, case.alphas), &case.expected, SEARCHED);
    }
    for case in &golden.quantile {
        let sorted = arms(&case.sorted.candidate[..], &case.sorted.incumbent[..]);
        check("quantile", &quantile(sorted, case.q, case.margin, case.alphas), &case.expected, SEARCHED);
    }
}
