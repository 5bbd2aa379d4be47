//! Verdicts in sentences.

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::stats::paired::{Method, Needed, Paired};
use pinrail_domain::stats::{Alphas, Verdict};

use super::arms::ArmCounts;
use super::suites::SuiteReport;

/// The whole gate's verdict: the first suite that failed, else the first undecided one, says why.
pub(super) fn overall(suites: &[SuiteReport]) -> (GateVerdict, String) {
    let with = |verdict: GateVerdict| suites.iter().filter(move |suite| suite.verdict == verdict);
    for verdict in [GateVerdict::Fail, GateVerdict::Inconclusive] {
        if let Some(first) = with(verdict).next() {
            let others = with(verdict).count() - 1;
            let more = if others == 0 { String::new() } else { format!("; so did {others} more") };
            return (
                verdict,
                format!("suite {} ended {}: {}{more}", first.name, verdict.as_str(), first.why),
            );
        }
    }
    match suites {
        [] => (GateVerdict::Inconclusive, "there is no suite to judge by".to_owned()),
        [only] => (GateVerdict::Pass, format!("suite {} passed: {}", only.name, only.why)),
        several => (GateVerdict::Pass, format!("all {} suites passed", several.len())),
    }
}

pub(super) fn must_pass_failed(cases: usize) -> String {
    format!("the candidate failed {} that must pass", counted(cases as u64, "case"))
}

pub(super) fn must_pass_unproven(cases: usize) -> String {
    format!("{} that must pass without a counted answer of the candidate", there_are(cases as u64, "case"))
}

pub(super) fn answers_lost(arm: &str, counts: &ArmCounts) -> String {
    let most = counts.reasons.first().map(|reason| format!("; mostly: {}", reason.why)).unwrap_or_default();
    format!(
        "{} of the {arm}'s {} are errors ({}) or refused ({}), and at most 5 % may be{most}",
        counts.errors + counts.refused,
        counted(counts.answers, "answer"),
        counts.errors,
        counts.refused,
    )
}

pub(super) fn cases_lost(missing: u64, cases: u64, paired: bool) -> String {
    let arms = if paired { "in both arms" } else { "of the candidate" };
    format!("{missing} of {} have no counted answer {arms}, and at most 5 % may", counted(cases, "case"))
}

/// What the numbers say.
pub(super) fn numbers(pass_rate: &Paired, floor: Option<f64>, margin: f64, alphas: Alphas) -> String {
    let over = format!("over {}", counted(pass_rate.cases, "case"));
    if let Some(floor) = floor {
        let alone = Alone { rate: pass_rate, floor, alphas };
        return alone.words(&over);
    }
    let (low, high) = (pass_rate.harm_low.unwrap_or(-1.0), pass_rate.harm_high.unwrap_or(1.0));
    let is = |harm: f64, bound: &str| {
        if harm > 0.0 {
            format!("{bound} {} worse", points(harm))
        } else if bound == "at most" {
            format!("at least {} better", points(-harm))
        } else {
            format!("at most {} better", points(-harm))
        }
    };
    match pass_rate.verdict {
        Verdict::NotWorse if margin > 0.0 => format!(
            "not worse by {}: {} with {} certainty, {over}",
            points(margin),
            is(high, "at most"),
            certainty(alphas.not_worse)
        ),
        Verdict::NotWorse => {
            format!("better: {} with {} certainty, {over}", is(high, "at most"), certainty(alphas.not_worse))
        }
        Verdict::Worse => {
            format!("worse: {} with {} certainty, {over}", is(low, "at least"), certainty(alphas.worse))
        }
        Verdict::Undecided if pass_rate.method == Method::TooFew => {
            format!("too few cases to say anything, {over}")
        }
        Verdict::Undecided => {
            let bar = if margin > 0.0 {
                format!("worse by {} isn't ruled out", points(margin))
            } else {
                "that it is better isn't proven".to_owned()
            };
            let seen = pass_rate.harm.map(|harm| format!(" ({} seen)", seen(harm))).unwrap_or_default();
            format!("{bar}: {}{seen}, {over}{}", is(high, "at most"), needed(pass_rate.needed))
        }
    }
}

/// A candidate without an incumbent.
struct Alone<'a> {
    rate: &'a Paired,
    floor: f64,
    alphas: Alphas,
}

impl Alone<'_> {
    fn words(&self, over: &str) -> String {
        let Alone { rate, floor, alphas } = self;
        let bound = |harm: Option<f64>| percent((floor - harm.unwrap_or(*floor)).clamp(0.0, 1.0));
        let floor = percent(self.floor);
        let passed = rate.candidate.map(percent).unwrap_or_else(|| "nothing".to_owned());
        match rate.verdict {
            Verdict::NotWorse => format!(
                "{passed} passed, at least {} with {} certainty, above the floor of {floor}, {over}",
                bound(rate.harm_high),
                certainty(alphas.not_worse)
            ),
            Verdict::Worse => format!(
                "{passed} passed, at most {} with {} certainty, below the floor of {floor}, {over}",
                bound(rate.harm_low),
                certainty(alphas.worse)
            ),
            Verdict::Undecided => format!(
                "{passed} passed, and that it is above the floor of {floor} isn't proven, {over}{}",
                needed(rate.needed)
            ),
        }
    }
}

/// A part of a hundred, with one decimal where it has one.
pub(crate) fn percent(part: f64) -> String {
    format!("{} %", trimmed(part * 100.0))
}

/// A difference of parts.
pub(crate) fn points(difference: f64) -> String {
    let text = trimmed(difference * 100.0);
    let unit = if text == "1" { "point" } else { "points" };
    format!("{text} {unit}")
}

/// What would decide.
pub(crate) fn needed(needed: Option<Needed>) -> String {
    let Needed { cases, repeats } = needed.unwrap_or_default();
    match (cases, repeats) {
        (Some(cases), Some(repeats)) => format!("; about {cases} cases or {repeats} repeats would decide"),
        (Some(cases), None) => format!("; about {cases} cases would decide"),
        (None, Some(repeats)) => format!("; about {repeats} repeats would decide"),
        (None, None) => String::new(),
    }
}

/// A number with its noun.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn there_are(number: u64, noun: &str) -> String {
    format!("there {} {}", if number == 1 { "is" } else { "are" }, counted(number, noun))
}

fn seen(harm: f64) -> String {
    if harm > 0.0 { format!("{} worse", points(harm)) } else { format!("{} better", points(-harm)) }
}

fn certainty(alpha: f64) -> String {
    format!("{} %", decimals((1.0 - alpha) * 100.0, 2))
}

fn trimmed(number: f64) -> String {
    decimals(number, 1)
}

fn decimals(number: f64, most: usize) -> String {
    let text = format!("{number:.most$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
