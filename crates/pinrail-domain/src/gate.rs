//! The gate: which evals a candidate must pass before it is promoted, and whether it has (I14).
//!
//! A *suite* is a set of cases, an artifact named by its digest; an agent's settings list the suites that its candidates
//! are held to. A *gate* has candidate and incumbent answer them and ends with a [`Judgement`], a ledger entry. Whether a
//! deployment may be promoted is then worked out from the ledger alone, at the moment of the promotion: [`missing`].
//!
//! For each suite that is needed, the *newest* judgement of exactly this candidate, this incumbent and this suite's digest
//! decides: a later failure takes back what an earlier pass allowed. Rolling back never asks for any of it (I7).

use serde::{Deserialize, Serialize};

use crate::deployment::GateVerdict;
use crate::digest::Digest;
use crate::id::{AgentName, GateId, LedgerSeq, ReleaseId};
use crate::rollout::quantity::{Margin, Span, Usd};
use crate::time::Timestamp;

pub mod acts;
mod needs;

pub use needs::{Missing, Seconded, Unmet, Waiver, incumbent, missing, required, step_missing};

/// What a suite's cases are there for. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuiteKind {
    /// What the agent is for: how often it gets it right.
    Success,
    /// What worked before and must go on working.
    Regression,
    /// What must not happen.
    Safety,
}

/// What an agent's candidates are held to before a promotion. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<SuitePin>,
    /// Kinds that a promotion needs, beside those of the tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<SuiteKind>,
    /// How often each arm answers each case; none: [`REPEATS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    /// The chance of passing a candidate that is worse by the margin; none: [`ALPHA`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How long a verdict counts; none: the tier's ([`max_age`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// What one gate may cost; none: [`BUDGET`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Usd>,
    /// How many answers are asked for at once; none: [`CONCURRENCY`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The most model calls per minute; none: no limit of Pinrail's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Repeats that an undecided gate may ask for by itself, per case and arm in all; none: no more than `repeats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats_max: Option<u32>,
    /// Whether a rollout's step `gate` has a gate run by itself; none: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<bool>,
    /// The agent whose active release judges `llm-rubric` and `factuality`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<AgentName>,
}

/// A suite that an agent's candidates are held to. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuitePin {
    pub name: String,
    pub kind: SuiteKind,
    /// The suite with all that it includes, an artifact; of an imported suite, the digest that its import gives.
    pub digest: Digest,
    /// How much worse than the incumbent is tolerable; none: the kind's ([`SuiteKind::margin`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<Margin>,
    /// Whether the candidate must be shown to be better, not only to be no worse: its margin is 0 then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub better: bool,
    /// The score that a candidate without an incumbent must be shown to reach; none: [`FLOOR`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Its answers come from elsewhere: no gate of Pinrail's asks it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
}

/// How a gate ended. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    pub candidate: ReleaseId,
    /// None where nothing was active: then the candidate was held to the suites' floors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ReleaseId>,
    pub verdict: GateVerdict,
    pub alpha: f64,
    pub suites: Vec<SuiteJudged>,
    /// The models that the provider says answered for the candidate, as the counted answers name them: spellings of its
    /// pin, as others aren't counted. Empty where the provider said nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<String>,
    /// Where the answers are from.
    #[serde(default, skip_serializing_if = "Source::is_run")]
    pub source: Source,
    /// The in-toto statement in its envelope, an artifact.
    pub statement: Digest,
}

/// What a gate says of one suite. Stored: never rename a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteJudged {
    pub name: String,
    pub kind: SuiteKind,
    pub digest: Digest,
    pub verdict: GateVerdict,
    /// What it was judged by: 0 where it had to be better.
    pub margin: f64,
    /// The floor it was held to where there was no incumbent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    pub cases: u64,
}

/// Where a gate's answers are from. Stored: never rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Pinrail asked the models itself.
    #[default]
    Run,
    Promptfoo,
    Inspect,
}

/// A judgement with its place in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub seq: LedgerSeq,
    pub at: Timestamp,
    pub gate: GateId,
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// Why settings of a gate are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadGate {
    #[error("{what} is {got}; it must be from {min} to {max}")]
    Range { what: &'static str, got: f64, min: f64, max: f64 },
    #[error("suite `{0}` is listed twice")]
    Duplicate(String),
    #[error("suite name `{0}` is not 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit")]
    Name(String),
    #[error("suite `{0}` must be better and has a margin: it is one or the other")]
    BetterByMargin(String),
    #[error("{got} suites are listed; at most {SUITES_MAX} are allowed")]
    TooMany { got: usize },
    #[error("repeats_max is {most}, below the {repeats} repeats that every gate begins with")]
    RepeatsMax { repeats: u32, most: u32 },
}

/// Answers per case and arm: enough to see which cases flip by themselves.
pub const REPEATS: u32 = 3;
/// A case that a hundred answers don't settle is settled by more cases, not by more answers.
pub const REPEATS_MAX: u32 = 100;
/// The chance of passing a candidate that is worse by the margin.
pub const ALPHA: f64 = 0.05;
/// Under most providers' limits, and enough to keep a gate of a thousand cases to minutes.
pub const CONCURRENCY: u32 = 8;
pub const CONCURRENCY_MAX: u32 = 256;
/// A gate whose owner said nothing of money shouldn't cost more than a lunch.
pub const BUDGET: Usd = Usd { nano: 10_000_000_000 };
/// What a candidate without an incumbent must reach, where its suite names nothing else.
pub const FLOOR: f64 = 0.8;
/// Each is asked in full by every gate.
pub const SUITES_MAX: usize = 64;

impl SuiteKind {
    pub const ALL: [SuiteKind; 3] = [SuiteKind::Success, SuiteKind::Regression, SuiteKind::Safety];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SuiteKind::Success => "success",
            SuiteKind::Regression => "regression",
            SuiteKind::Safety => "safety",
        }
    }

    /// How much worse than the incumbent is tolerable where nobody says: five points of a hundred, two where it is
    /// about safety.
    #[must_use]
    pub fn margin(self) -> f64 {
        match self {
            SuiteKind::Success | SuiteKind::Regression => 0.05,
            SuiteKind::Safety => 0.02,
        }
    }
}

impl std::fmt::Display for SuiteKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SuitePin {
    /// The margin that a gate judges by: 0 where the candidate must be better.
    #[must_use]
    pub fn margin(&self) -> f64 {
        match self.margin {
            _ if self.better => 0.0,
            Some(Margin(margin)) => margin,
            None => self.kind.margin(),
        }
    }

    #[must_use]
    pub fn floor(&self) -> f64 {
        self.floor.unwrap_or(FLOOR)
    }
}

impl GateSpec {
    #[must_use]
    pub fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(REPEATS)
    }

    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(ALPHA)
    }

    #[must_use]
    pub fn budget(&self) -> Usd {
        self.budget.unwrap_or(BUDGET)
    }

    #[must_use]
    pub fn concurrency(&self) -> u32 {
        self.concurrency.unwrap_or(CONCURRENCY)
    }

    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.auto.unwrap_or(true)
    }

    /// Checks what types alone don't.
    pub fn check(&self) -> Result<(), BadGate> {
        let range = |what, got: f64, min, max| {
            if (min..=max).contains(&got) { Ok(()) } else { Err(BadGate::Range { what, got, min, max }) }
        };
        if self.suites.len() > SUITES_MAX {
            return Err(BadGate::TooMany { got: self.suites.len() });
        }
        for (index, suite) in self.suites.iter().enumerate() {
            if crate::id::CollectionName::new(&suite.name).is_err() {
                return Err(BadGate::Name(suite.name.clone()));
            }
            if self.suites[..index].iter().any(|earlier| earlier.name == suite.name) {
                return Err(BadGate::Duplicate(suite.name.clone()));
            }
            if suite.better && suite.margin.is_some() {
                return Err(BadGate::BetterByMargin(suite.name.clone()));
            }
            range("a suite's margin", suite.margin(), 0.0, 1.0)?;
            range("a suite's floor", suite.floor(), 0.0, 1.0)?;
        }
        range("repeats", self.repeats().into(), 1.0, REPEATS_MAX.into())?;
        range("alpha", self.alpha(), 0.0001, 0.2)?;
        range("concurrency", self.concurrency().into(), 1.0, CONCURRENCY_MAX.into())?;
        if let Some(calls) = self.calls_per_minute {
            range("calls_per_minute", calls.into(), 1.0, 1_000_000.0)?;
        }
        match self.repeats_max {
            Some(most) if most > REPEATS_MAX => range("repeats_max", most.into(), 1.0, REPEATS_MAX.into()),
            Some(most) if most < self.repeats() => Err(BadGate::RepeatsMax { repeats: self.repeats(), most }),
            Some(_) | None => Ok(()),
        }
    }
}

impl Source {
    #[must_use]
    pub fn is_run(&self) -> bool {
        *self == Source::Run
    }
}

#[cfg(test)]
mod tests;
