//! What the verdicts say to people.

use std::fmt;

use super::{Judged, Verdict};
use crate::time::Timestamp;

const DAY_MS: u64 = 86_400_000;

/// A day since 1970 as people write it, for example `2026-11-20`.
#[must_use]
pub fn date(day: u32) -> String {
    let mut date = Timestamp(u64::from(day) * DAY_MS).rfc3339();
    date.truncate("2026-11-20".len());
    date
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Calibrating { days, of } => {
                write!(f, "calibrating: {days} of {of} quiet days")
            }
            Verdict::Quiet => write!(f, "quiet: it answers as it did on its own quiet days"),
            Verdict::Suspect { since, days, shift, sigma, needed } => write!(
                f,
                "suspect since {} ({days} measured days): shares moved by {:.0} points, {sigma:.1} standard errors; \
                 a finding takes {needed:.1} and that it lasts",
                date(*since),
                100.0 * shift
            ),
            Verdict::Drifted { since, days, shift, sigma, needed } => write!(
                f,
                "drifted since {} ({days} measured days): shares moved by {:.0} points, {sigma:.1} standard errors of \
                 its own quiet days; {needed:.1} are needed",
                date(*since),
                100.0 * shift
            ),
        }
    }
}

impl Judged {
    /// How often this is wrong, and what it can't see, in a sentence.
    #[must_use]
    pub fn promise(&self) -> String {
        let years = 1.0 / self.false_alarms_per_year;
        let years = if years >= 10.0 { format!("{years:.0}") } else { format!("{years:.2}") };
        let seen = self.smallest.map_or(String::new(), |smallest| {
            format!("; a swap that moves shares by {:.0} points or more shows at once", 100.0 * smallest)
        });
        format!("less than one false alarm in {years} years for this model{seen}")
    }
}
