//! Shares of traffic, counted in basis points so that no float decides who gets what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A share in basis points, 0 to 10 000. Stored as that integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u16);

/// A text or number that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a share: expected a percentage from 0% to 100% with at most two decimals, such as 5% or 0.25%")]
pub struct NotAShare;

impl Share {
    pub const NONE: Share = Share(0);
    pub const ALL: Share = Share(Self::BPS_MAX);
    pub const HALF: Share = Share(Self::BPS_MAX / 2);
    pub const FIFTH: Share = Share(Self::BPS_MAX / 5);
    /// Buckets that assignment hashes units into; also 100 %.
    pub const BPS_MAX: u16 = 10_000;

    pub fn from_bps(bps: u64) -> Result<Share, NotAShare> {
        u16::try_from(bps).ok().filter(|bps| *bps <= Self::BPS_MAX).map(Share).ok_or(NotAShare)
    }

    #[must_use]
    pub fn bps(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match (hundredths, hundredths % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", hundredths / 10),
            (_, _) => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl FromStr for Share {
    type Err = NotAShare;

    /// Reads `5%`, `5` or `0.25%`: always a percentage.
    fn from_str(text: &str) -> Result<Share, NotAShare> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return Err(NotAShare);
        }
        let parse = |part: &str| part.parse::<u64>().map_err(|_| NotAShare);
        let scale = if decimals.len() == 1 { 10 } else { 1 };
        Share::from_bps(parse(whole)? * 100 + parse(decimals)? * scale)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        Share::from_bps(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_read_and_write_without_loss() {
        for bps in 0..=10_000 {
            let share = Share::from_bps(bps).unwrap();
            assert_eq!(share.to_string().parse(), Ok(share));
        }
        for (text, bps) in [("5%", 500), ("5", 500), ("0.25 %", 25), ("0.3", 30), ("100%", 10_000), ("0", 0)]
        {
            assert_eq!(text.parse(), Share::from_bps(bps), "{text}");
        }
        for bad in ["", "%", "-1", "100.01", "1.234", "1e2", ".5", "5.", "٥"] {
            assert_eq!(bad.parse::<Share>(), Err(NotAShare), "{bad}");
        }
    }
}
