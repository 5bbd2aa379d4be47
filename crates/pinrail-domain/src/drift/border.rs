//! Border prompts: how a checkpoint that was swapped behind an unchanged id gives itself away.
//!
//! A *border prompt* is a short question whose next token is close to a tie, such as "Pick one word: red or blue?" for a
//! model that says either about as often. Another checkpoint rarely ties at the same places, so a few tokens a day tell
//! them apart. [`hunt`] finds such prompts, [`judge`] says of the days that were sampled what they mean.
//!
//! **A day is a point.** Each prompt's shares of its two usual answers and of all others are the coordinates. Quiet days
//! scatter around their mean, and not as independent draws would: batches and hardware move all prompts of one day
//! together. So nothing is assumed about how prompts go together; the release's own quiet days, the *baseline*, say it.
//!
//! **A swap is a direction that stays.** Of a window of days (the first two fifths of it, at least one) the move away from
//! the baseline gives a direction `w`; the others are asked whether they moved *along `w`*. Along that one axis the
//! baseline's days and the later days are compared by Student's t. The reference is the mean of the baseline *and* of the
//! days that gave the direction, whose covariance with `w` is nil, so if days are independent and alike and their noise
//! is normal (of whatever covariance), t has exactly Student's distribution, and the chance of a false alarm is what its
//! tail says. Windows of [`Rules::persistence`], 7 and 14 days share one chance a day, `1 / (365.25 · years)`.
//!
//! | verdict | when |
//! |---|---|
//! | [`Verdict::Calibrating`] | fewer than [`Rules::calibration_days`] quiet days are known |
//! | [`Verdict::Drifted`] | a window's t exceeds its threshold (never less than 4), the shift is at least [`Rules::shift_min`], and each of the last days alone shows more than half of it |
//! | [`Verdict::Suspect`] | the same at 1 in 1 000, or without the persistence; two days are enough |
//! | [`Verdict::Quiet`] | otherwise |
//!
//! A drifted model stays so until [`Rules::persistence`] days in a row aren't even suspect. The baseline is made of the
//! first [`Rules::baseline_days`] quiet days, each taken up only when as many days as the persistence have passed quietly
//! after it, and is then never changed: slow drift isn't followed but adds up. A swap among the calibration's own days
//! shows as neighbours that are more alike than any two days; the calibration then goes on with the later ones.
//! A missing day is no day, a day with too few answers is a missing one, and a prompt that is missing on a day says nothing
//! for or against. Only days sampled in the last day's [`Mode`] are compared.

mod frame;
pub mod hunt;
mod judge;
pub mod pool;
mod tally;
mod told;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use judge::judge;
pub use tally::{Tally, normal};
pub use told::date;

/// How a day was sampled. Stored: never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Answers drawn at a temperature, counted.
    Sampled,
    /// The provider's own probabilities of the next token.
    Logprobs,
}

/// What one day's sampling gave, per prompt. Stored: never rename.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    pub mode: Mode,
    pub tallies: BTreeMap<String, Tally>,
}

/// What is asked of the days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Border prompts that are kept.
    pub prompts: u32,
    /// Answers per prompt and day where there are no log probabilities.
    pub samples: u32,
    /// Quiet days before anything is judged.
    pub calibration_days: u32,
    /// Quiet days that the baseline grows to.
    pub baseline_days: u32,
    /// Days that a change must last.
    pub persistence: u32,
    /// The least shift that is a finding: how far shares moved, as the root of the mean square over prompts.
    pub shift_min: f64,
    /// One false alarm in so many years, at most.
    pub years: f64,
}

/// What the last day says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Verdict {
    Calibrating {
        /// Quiet days so far.
        days: u32,
        of: u32,
    },
    Quiet,
    Suspect {
        /// The day from which on it looks different.
        since: u32,
        days: u32,
        shift: f64,
        sigma: f64,
        /// What the sigma would have to be.
        needed: f64,
    },
    Drifted {
        since: u32,
        days: u32,
        /// How far shares moved, as the root of the mean square over prompts; 0.3 is thirty points.
        shift: f64,
        /// How many standard errors of quiet days that is.
        sigma: f64,
        /// The threshold that it exceeded.
        needed: f64,
    },
}

/// What all days say, and how sure that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub verdict: Verdict,
    /// Each measured day's verdict, in order.
    pub days: Vec<(u32, Verdict)>,
    /// The days that the baseline is made of.
    pub baseline: Vec<u32>,
    /// The bound on false alarms a year, as [`Rules::false_alarms_per_year`] says.
    pub false_alarms_per_year: f64,
    /// About the smallest shift that would be found in half of all cases within the days of persistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<f64>,
    /// How many times what drawing alone explains the variance of quiet days is. `None` with log probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// Prompts that no longer tell anything and may be replaced: lopsided on quiet days, or not answered at all lately.
    pub worn: Vec<String>,
}

impl Rules {
    /// A few hundred tokens a day, a week to calibrate, and a false alarm in a hundred years.
    pub const DEFAULT: Rules = Rules {
        prompts: 20,
        samples: 10,
        calibration_days: 7,
        baseline_days: 28,
        persistence: 3,
        shift_min: 0.1,
        years: 100.0,
    };

    /// The chance of a false alarm on one day, over all windows together.
    #[must_use]
    pub fn alpha_per_day(&self) -> f64 {
        (1.0 / (DAYS_PER_YEAR * self.years)).min(1.0)
    }

    /// The bound on false alarms a year and model: the sum of the days' chances.
    #[must_use]
    pub fn false_alarms_per_year(&self) -> f64 {
        self.alpha_per_day() * DAYS_PER_YEAR
    }

    /// The rules with every number where it makes sense; what is stored or configured may not.
    #[must_use]
    pub fn sane(mut self) -> Rules {
        self.prompts = self.prompts.clamp(PROMPTS_MIN, PROMPTS_MAX);
        self.samples = self.samples.clamp(2, SAMPLES_MAX);
        self.calibration_days = self.calibration_days.clamp(4, 90);
        self.baseline_days = self.baseline_days.clamp(self.calibration_days, 365);
        self.persistence = self.persistence.clamp(2, 30);
        self.shift_min = if self.shift_min.is_finite() { self.shift_min.clamp(0.0, 1.0) } else { 0.1 };
        self.years = if self.years.is_finite() { self.years.clamp(0.001, 1e6) } else { 100.0 };
        self
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules::DEFAULT
    }
}

impl Verdict {
    /// One word for it, as the API and metrics have it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Verdict::Calibrating { .. } => "calibrating",
            Verdict::Quiet => "quiet",
            Verdict::Suspect { .. } => "suspect",
            Verdict::Drifted { .. } => "drifted",
        }
    }

    /// Whether something looks different, proven or not.
    #[must_use]
    pub fn looks_different(&self) -> bool {
        match self {
            Verdict::Calibrating { .. } | Verdict::Quiet => false,
            Verdict::Suspect { .. } | Verdict::Drifted { .. } => true,
        }
    }
}

/// Prompts below which a day says nothing: fewer coordinates than that are no picture of a model.
pub const PROMPTS_MIN: u32 = 5;
/// Most prompts that are kept; more add cost and hardly any sight.
pub const PROMPTS_MAX: u32 = 100;
/// Most answers per prompt and day.
pub const SAMPLES_MAX: u32 = 100;
const DAYS_PER_YEAR: f64 = 365.25;
