//! Calendar days in UTC, as the catalogue file writes them: `YYYY-MM-DD`.

use serde::de::{Deserialize, Deserializer, Error};

use crate::time::Timestamp;

pub(super) const DAY_MS: u64 = 86_400_000;

/// A day; it begins at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// Reads `YYYY-MM-DD`; `None` when that day doesn't exist or lies outside 1970–9999.
    pub(super) fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..])?);
        (year >= 1970 && day_exists(year, month, day)).then_some(Date { year, month, day })
    }

    /// The day that a time is in.
    pub(super) fn of(at: Timestamp) -> Date {
        Date::parse(&at.rfc3339()[..10]).unwrap_or(Date { year: 9_999, month: 12, day: 31 })
    }

    /// The first millisecond of the day.
    ///
    /// Days are counted as in Howard Hinnant's `days_from_civil`: years begin in March, so that the leap
    /// day comes last.
    pub(super) fn start(self) -> Timestamp {
        let year = u64::from(self.year) - u64::from(self.month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let month = (u64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + u64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Timestamp((era * 146_097 + day_of_era - 719_468) * DAY_MS)
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Date::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a day; write it as \"YYYY-MM-DD\"")))
    }
}

/// The number that ASCII digits spell; `None` when one of them is something else.
pub(super) fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0_u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.checked_mul(10)?.checked_add(u32::from(byte - b'0'))).flatten()
    })
}

pub(super) fn day_exists(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}
