//! From rows to a verdict, with the report that says why.
//!
//! A suite's verdict, the first that applies:
//!
//! | when | verdict |
//! |---|---|
//! | a counted answer of the candidate fails a case that must pass | `fail` |
//! | more than [`LOST_MAX`] of an arm's answers are errors or refused, or of the cases have no counted answer in an arm | `inconclusive` |
//! | a case that must pass has no counted answer of the candidate | `inconclusive` |
//! | the pass rate is proven worse by more than the margin (below the floor, without an incumbent) | `fail` |
//! | it is proven not to be worse by the margin (above the floor) | `pass` |
//! | neither | `inconclusive` |
//!
//! A case passes as often as its counted answers do, and is compared where both arms have one. All suites must pass, so
//! each is judged at the full alpha: a candidate that one suite should stop gets past all of them no more often than past
//! that one (intersection–union). A single proven harm fails the gate, so that the chance of it is shared out among the
//! suites (Bonferroni). Everything else that is reported (mean score, named scores, latency, cost) informs and never
//! decides: the margin was set for the pass rate.
//!
//! The order of rows doesn't matter. Of rows for the same arm, case and repeat the newest counts.

use std::sync::Arc;

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{Judgement, Source, SuiteJudged, SuitePin};
use pinrail_domain::id::ReleaseId;
use pinrail_domain::stats::Alphas;
use serde::{Deserialize, Serialize};

use crate::row::Row;
use crate::suite::Suite;

mod arms;
mod cases;
mod numbers;
mod suites;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use arms::bounded;
pub use arms::{ArmCounts, Reason};
pub use cases::{Arm, CaseResult, Notable, Shown, Tally};
pub use numbers::Informs;
pub use suites::{Counts, Notables, SuiteReport};

/// A suite that a candidate is held to, whole.
#[derive(Clone, Debug)]
pub struct Held {
    pub pin: SuitePin,
    pub suite: Arc<Suite>,
}

/// How a gate ended, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub candidate: ReleaseId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    pub verdict: GateVerdict,
    /// A sentence.
    pub why: String,
    pub alpha: f64,
    pub suites: Vec<SuiteReport>,
    /// The models that the provider says gave the candidate's counted answers, in order; empty unless all of them say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<String>,
}

/// The part of an arm's answers (or of a suite's cases) that may be lost to errors and refusals: what is lost may be just
/// what is hard, so beyond this the rest proves nothing.
pub const LOST_MAX: f64 = 0.05;

/// Judges a candidate by what both arms answered; without an incumbent, by the suites' floors.
#[must_use]
pub fn judge(
    held: &[Held],
    rows: &[Row],
    candidate: ReleaseId,
    incumbent: Option<ReleaseId>,
    alpha: f64,
) -> Report {
    let alphas = Alphas { worse: alpha / held.len().max(1) as f64, not_worse: alpha };
    let pair = suites::Pair { candidate, incumbent };
    let judged: Vec<suites::Judged> =
        held.iter().map(|held| suites::judge(held, rows, pair, alphas)).collect();
    let all_say = judged.iter().all(|suite| suite.unsaid == 0);
    let mut served: Vec<String> = judged.iter().flat_map(|suite| suite.served.iter().cloned()).collect();
    served.sort();
    served.dedup();
    let suites: Vec<SuiteReport> = judged.into_iter().map(|suite| suite.report).collect();
    let (verdict, why) = if incumbent == Some(candidate) {
        (GateVerdict::Inconclusive, "candidate and incumbent are the same release".to_owned())
    } else {
        words::overall(&suites)
    };
    let served = if all_say { served } else { Vec::new() };
    Report { candidate, incumbent, verdict, why, alpha, suites, served }
}

impl Report {
    /// Repeats in all that would decide what is undecided; none where repeats don't help, or nothing is undecided.
    ///
    /// An expectation, and no more than that: with so many the verdict is as likely as not.
    #[must_use]
    pub fn more_repeats(&self) -> Option<u32> {
        if self.verdict != GateVerdict::Inconclusive || self.incumbent == Some(self.candidate) {
            return None;
        }
        let open = self.suites.iter().filter(|suite| suite.verdict == GateVerdict::Inconclusive);
        let needed: Option<Vec<u64>> = open.map(SuiteReport::repeats_needed).collect();
        needed?.into_iter().max().and_then(|repeats| u32::try_from(repeats).ok())
    }

    /// What the ledger keeps of it.
    #[must_use]
    pub fn to_judgement(&self, source: Source, statement: Digest) -> Judgement {
        let suites = self.suites.iter().map(|suite| SuiteJudged {
            name: suite.name.clone(),
            kind: suite.kind,
            digest: suite.digest,
            verdict: suite.verdict,
            margin: suite.margin,
            floor: suite.floor,
            cases: suite.counts.compared,
        });
        Judgement {
            candidate: self.candidate,
            incumbent: self.incumbent,
            verdict: self.verdict,
            alpha: self.alpha,
            suites: suites.collect(),
            served: self.served.clone(),
            source,
            statement,
        }
    }
}
