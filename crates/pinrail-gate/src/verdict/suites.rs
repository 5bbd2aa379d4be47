//! One suite's verdict.

use std::collections::BTreeSet;

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use pinrail_domain::id::ReleaseId;
use pinrail_domain::stats::paired::{self, Ask, Paired, Scale};
use pinrail_domain::stats::{Alphas, Better};
use serde::{Deserialize, Serialize};

use super::arms::{ArmCounts, ArmRows};
use super::cases::{Both, CaseResult, Notable};
use super::numbers::{Informs, informs, pass_rates};
use super::{Held, LOST_MAX, words};
use crate::row::Row;

/// How the arms compare on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    pub name: String,
    pub kind: SuiteKind,
    pub digest: Digest,
    pub verdict: GateVerdict,
    /// A sentence.
    pub why: String,
    /// What it was judged by: 0 where it had to be better.
    pub margin: f64,
    /// What it was held to, where there is no incumbent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// The pass rate: what decides. Without an incumbent its harm is how far it is below the floor.
    pub pass_rate: Paired,
    pub informs: Vec<Informs>,
    pub counts: Counts,
    pub notables: Notables,
    /// Every case, in the suite's order.
    pub cases: Vec<CaseResult>,
}

/// What was asked, and what of it counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Of the suite, each content once.
    pub cases: u64,
    /// Those that have a counted answer in every arm.
    pub compared: u64,
    /// Of these, those whose arms don't pass alike, and those that pass but sometimes in one arm.
    pub worse: u64,
    pub better: u64,
    pub unstable: u64,
    pub candidate: ArmCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ArmCounts>,
}

/// The cases that somebody should look at: of each list no more than [`Notables::LISTED_MAX`], the counts say how many
/// there are. A case is in the first list that fits, and in `must_pass` beside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notables {
    /// Those that must pass and that the candidate failed.
    pub must_pass: Vec<Notable>,
    /// Those in which the candidate passes less often than the incumbent, by how much less. Without an incumbent: those
    /// that don't always pass.
    pub worse: Vec<Notable>,
    pub better: Vec<Notable>,
    /// Those that pass as often in both arms, but only sometimes in one.
    pub unstable: Vec<Notable>,
}

/// Who is compared.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub candidate: ReleaseId,
    pub incumbent: Option<ReleaseId>,
}

/// A suite's report, with what the whole gate's sums up.
pub(super) struct Judged {
    pub report: SuiteReport,
    pub served: Vec<String>,
    pub unsaid: u64,
}

impl Notables {
    /// A report is read by people; all cases' results are in [`SuiteReport::cases`].
    pub const LISTED_MAX: usize = 100;
}

pub(super) fn judge(held: &Held, rows: &[Row], pair: Pair, alphas: Alphas) -> Judged {
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    let mut asked = Vec::new();
    for (index, case) in held.suite.cases.iter().enumerate() {
        // A suite that has a digest has cases that have one.
        let Ok(digest) = case.digest() else { continue };
        if digests.insert(digest) {
            asked.push((case, digest, index as u64 + 1));
        }
    }
    let candidate = ArmRows::new(rows, pair.candidate, &digests);
    let incumbent = pair.incumbent.map(|release| ArmRows::new(rows, release, &digests));
    let cases: Vec<Both<'_>> =
        asked.into_iter().map(|case| Both::new(case, &candidate, incumbent.as_ref())).collect();
    let compared: Vec<&Both<'_>> = cases.iter().filter(|both| both.is_compared()).collect();
    let notables = Lists::new(&cases, &compared);
    let counts = Counts {
        cases: cases.len() as u64,
        compared: compared.len() as u64,
        worse: notables.worse.len() as u64,
        better: notables.better.len() as u64,
        unstable: notables.unstable.len() as u64,
        candidate: candidate.counts(),
        incumbent: incumbent.as_ref().map(ArmRows::counts),
    };
    let margin = held.pin.margin();
    let pass_rate = pass_rate(held, &compared, pair, alphas);
    let unproven = cases.iter().filter(|both| both.case.must_pass && both.candidate.is_empty()).count();
    let facts =
        Facts { held, counts: &counts, pass_rate: &pass_rate, failed: notables.must_pass.len(), unproven };
    let (verdict, why) = facts.verdict(pair, alphas);
    let mut served: Vec<String> = Vec::new();
    for answer in cases.iter().flat_map(|both| &both.candidate) {
        served
            .extend(answer.row.served.iter().filter(|id| !served.contains(id)).cloned().collect::<Vec<_>>());
    }
    let report = SuiteReport {
        name: held.pin.name.clone(),
        kind: held.pin.kind,
        digest: held.pin.digest,
        verdict,
        why,
        margin,
        floor: pair.incumbent.is_none().then(|| held.pin.floor()),
        pass_rate,
        informs: informs(&compared, margin, alphas),
        notables: notables.listed(),
        cases: cases.iter().map(Both::result).collect(),
        counts,
    };
    let unsaid = report.counts.candidate.unsaid;
    Judged { report, served, unsaid }
}

fn pass_rate(held: &Held, compared: &[&Both<'_>], pair: Pair, alphas: Alphas) -> Paired {
    let scores = pass_rates(compared);
    if pair.incumbent.is_some() {
        let ask = Ask { scale: Scale::Unit, better: Better::Higher, margin: held.pin.margin(), alphas };
        return paired::paired(&scores, &ask);
    }
    let alone: Vec<Vec<f64>> = scores.into_iter().map(|case| case.candidate).collect();
    paired::alone(&alone, held.pin.floor(), alphas)
}

/// What a verdict is made of.
struct Facts<'a> {
    held: &'a Held,
    counts: &'a Counts,
    pass_rate: &'a Paired,
    /// Cases that must pass: failed ones, and such without a counted answer.
    failed: usize,
    unproven: usize,
}

impl Facts<'_> {
    fn verdict(&self, pair: Pair, alphas: Alphas) -> (GateVerdict, String) {
        use pinrail_domain::stats::Verdict;
        if self.failed > 0 {
            return (GateVerdict::Fail, words::must_pass_failed(self.failed));
        }
        if let Some(why) = self.too_much_lost() {
            return (GateVerdict::Inconclusive, why);
        }
        if self.unproven > 0 {
            return (GateVerdict::Inconclusive, words::must_pass_unproven(self.unproven));
        }
        let verdict = match self.pass_rate.verdict {
            Verdict::NotWorse => GateVerdict::Pass,
            Verdict::Worse => GateVerdict::Fail,
            Verdict::Undecided => GateVerdict::Inconclusive,
        };
        let floor = pair.incumbent.is_none().then(|| self.held.pin.floor());
        (verdict, words::numbers(self.pass_rate, floor, self.held.pin.margin(), alphas))
    }

    fn too_much_lost(&self) -> Option<String> {
        let Counts { cases, compared, candidate, incumbent, .. } = self.counts;
        if *cases == 0 {
            return Some("the suite has no cases".to_owned());
        }
        let arms = [("candidate", Some(candidate)), ("incumbent", incumbent.as_ref())];
        for (name, arm) in arms.into_iter().filter_map(|(name, arm)| Some((name, arm?))) {
            if arm.lost() > LOST_MAX {
                return Some(words::answers_lost(name, arm));
            }
        }
        let missing = cases - compared;
        too_many(missing, *cases).then(|| words::cases_lost(missing, *cases, incumbent.is_some()))
    }
}

/// The cases of each list, before they are shown.
struct Lists<'a, 'b> {
    must_pass: Vec<&'b Both<'a>>,
    worse: Vec<&'b Both<'a>>,
    better: Vec<&'b Both<'a>>,
    unstable: Vec<&'b Both<'a>>,
}

impl<'a, 'b> Lists<'a, 'b> {
    fn new(cases: &'b [Both<'a>], compared: &[&'b Both<'a>]) -> Lists<'a, 'b> {
        let by_harm = |sign: f64| {
            let mut found: Vec<_> = compared
                .iter()
                .map(|both| (both.harm(), *both))
                .filter(|((harm, _), _)| sign * harm > 1e-9)
                .collect();
            // Stable: cases that differ as much stay in the suite's order.
            found.sort_by(|((a, a_score), _), ((b, b_score), _)| {
                (sign * b).total_cmp(&(sign * a)).then((sign * b_score).total_cmp(&(sign * a_score)))
            });
            found.into_iter().map(|(_, both)| both).collect::<Vec<_>>()
        };
        let alike = compared.iter().filter(|both| both.harm().0.abs() <= 1e-9);
        Lists {
            must_pass: cases.iter().filter(|both| both.fails_must_pass()).collect(),
            worse: by_harm(1.0),
            better: by_harm(-1.0),
            unstable: alike.filter(|both| both.unstable().is_some()).copied().collect(),
        }
    }

    fn listed(&self) -> Notables {
        let apart = |list: &[&Both<'_>], candidate_passes: bool| -> Vec<Notable> {
            list.iter().take(Notables::LISTED_MAX).map(|both| both.apart(candidate_passes)).collect()
        };
        let flipping = self.unstable.iter().take(Notables::LISTED_MAX);
        Notables {
            must_pass: apart(&self.must_pass, false),
            worse: apart(&self.worse, false),
            better: apart(&self.better, true),
            unstable: flipping.filter_map(|both| Some(both.flipping(both.unstable()?))).collect(),
        }
    }
}

impl SuiteReport {
    /// Repeats in all that would decide an undecided suite, where it is the numbers that are undecided.
    pub(super) fn repeats_needed(&self) -> Option<u64> {
        let Counts { cases, compared, candidate, incumbent, .. } = &self.counts;
        let arms = std::iter::once(candidate).chain(incumbent);
        if arms.map(ArmCounts::lost).fold(0.0, f64::max) > LOST_MAX || too_many(cases - compared, *cases) {
            return None;
        }
        let needed = self.pass_rate.needed?.repeats?;
        (needed > self.pass_rate.repeats.most).then_some(needed)
    }
}

fn too_many(missing: u64, cases: u64) -> bool {
    missing as f64 > LOST_MAX * cases as f64
}
