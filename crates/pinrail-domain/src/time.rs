//! Points in time and the clocks that tell them. Order is by sequence, never by time (design: clocks jump).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Stored: never change the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The milliseconds from `earlier` to this; zero when the clock went backwards.
    #[must_use]
    pub fn ms_since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// The first millisecond of a day that is written `YYYY-MM-DD`, UTC; none where that day doesn't exist.
    #[must_use]
    pub fn of_day(text: &str) -> Option<Timestamp> {
        crate::model::start_of_day(text)
    }

    /// As other programs write it, for example `2026-11-20T00:00:00.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let (days, ms) = (self.0 / DAY_MS, self.0 % DAY_MS);
        // Days since 0000-03-01, so that a leap day ends its year; 400 years have 146 097 days.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (seconds, ms) = (ms / 1_000, ms % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A day without leap seconds, as Unix time counts.
const DAY_MS: u64 = 86_400_000;

/// A day in UTC, by its number since 1970-01-01. Written `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Day(pub u32);

impl Day {
    /// The day of a time.
    #[must_use]
    pub fn of(at: Timestamp) -> Day {
        Day(u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX))
    }

    /// Its first millisecond; that of the next day is the first one after it.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        Timestamp(u64::from(self.0) * DAY_MS)
    }

    #[must_use]
    pub fn next(self) -> Day {
        Day(self.0.saturating_add(1))
    }

    /// The day before; the first day is before itself.
    #[must_use]
    pub fn before(self) -> Day {
        Day(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.begins().rfc3339();
        f.write_str(text.split_once('T').map_or("", |(day, _)| day))
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        Timestamp::of_day(&text).map(Day::of).ok_or_else(|| format!("`{text}` is no day; write 2026-11-20"))
    }
}

/// Nanoseconds on a clock that never goes back; only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

impl Ticks {
    #[must_use]
    pub fn us_since(self, earlier: Ticks) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// Tells the time. The real one lives in the binary; tests and the simulator bring their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    fn ticks(&self) -> Ticks;
}

/// Draws unpredictable bytes. The real one lives in the binary; tests seed theirs.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_others_read_it() {
        let check = |ms, text: &str| assert_eq!(Timestamp(ms).rfc3339(), text);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_399_999, "2000-02-28T23:59:59.999Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_132_800_000, "2026-11-20T00:00:00.000Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_day_is_written_and_read() {
        for (number, text) in [(0, "1970-01-01"), (18_262, "2020-01-01"), (20_777, "2026-11-20")] {
            let day = Day(number);
            assert_eq!((day.to_string().as_str(), Day::try_from(text.to_owned())), (text, Ok(day)));
            assert_eq!((Day::of(day.begins()), day.next().before()), (day, day));
            assert_eq!(Day::of(Timestamp(day.next().begins().0 - 1)), day);
        }
        assert!(Day::try_from("2026-02-30".to_owned()).is_err());
        assert_eq!((Day::of(Timestamp(u64::MAX)), Day(0).before()), (Day(u32::MAX), Day(0)));
    }
}
